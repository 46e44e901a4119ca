"""The FCM stand-in: token exchange, limits, magic addresses."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from integrations.contracts import HttpRequest
from integrations.errors import (
    ConfigurationError,
    RateLimited,
    RecipientUnreachable,
    TransientError,
)
from integrations.providers.fcm import Fcm
from integrations.providers.fcm_token import ServiceAccount
from tests.integrations import fixture_files as files
from tests.integrations.sandbox.calls import Client
from tests.integrations.sandbox.through import deliver

SETTINGS = files.settings("fcm")
MESSAGE = files.message("fcm")


@pytest.fixture(autouse=True)
def account(client: Client) -> None:
    client.register("fcm", SETTINGS)


def provider(client: Client, **key_file: str) -> Fcm:
    info = {**json.loads(SETTINGS["service_account"]), **key_file}
    return Fcm({"service_account": json.dumps(info)}, base_url=f"{client.url}/fcm")


def test_a_notification_reaches_an_install(client: Client) -> None:
    accepted = deliver(provider(client), MESSAGE, client.url)
    (kept,) = client.messages(order="1042")
    assert accepted.vendor_id == kept["id"]
    assert (kept["channel"], kept["to"]) == ("push", MESSAGE.to)
    assert (kept["subject"], kept["text"]) == (MESSAGE.subject, MESSAGE.text)
    assert kept["attempt"] == MESSAGE.attempt_id
    assert "ya29" not in str(kept)


def test_a_token_that_ended_early_is_renewed(client: Client) -> None:
    made = provider(client)
    deliver(made, MESSAGE, client.url)
    client.control("DELETE", "fcm/tokens")
    deliver(made, MESSAGE, client.url)
    assert len(client.messages()) == 2


@pytest.mark.parametrize(
    ("to", "error", "code"),
    [
        ("gone", RecipientUnreachable, "UNREGISTERED"),
        ("other-project", RecipientUnreachable, "SENDER_ID_MISMATCH"),
        ("invalid", RecipientUnreachable, "INVALID_ARGUMENT"),
        ("apns-key", ConfigurationError, "THIRD_PARTY_AUTH_ERROR"),
        ("quota", RateLimited, "QUOTA_EXCEEDED"),
        ("internal", TransientError, "INTERNAL"),
        ("down", RateLimited, "UNAVAILABLE"),
    ],
)
def test_installs_that_provoke_a_refusal(
    client: Client, to: str, error: type[Exception], code: str
) -> None:
    with pytest.raises((error,)) as caught:
        deliver(provider(client), replace(MESSAGE, to=f"token:{to}"), client.url)
    raised: Any = caught.value
    assert (type(raised), raised.vendor_code) == (error, code)
    assert client.messages() == []


def other_key() -> str:
    private = rsa.generate_private_key(65537, 2048)
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize(
    "key_file",
    [
        {"client_email": "somebody@example.com"},
        {"private_key_id": "another"},
        {"private_key": other_key()},
    ],
)
def test_wrong_credentials_get_no_token(client: Client, key_file: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        deliver(provider(client, **key_file), MESSAGE, client.url)
    assert caught.value.vendor_code == "invalid_grant"


def test_another_project(client: Client) -> None:
    with pytest.raises(ConfigurationError) as caught:
        deliver(provider(client, project_id="not-ours"), MESSAGE, client.url)
    assert caught.value.vendor_code == "PERMISSION_DENIED"


def token_of(client: Client) -> str:
    service = ServiceAccount.from_json(SETTINGS["service_account"])
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "assertion": service.assertion(datetime.now(UTC)),
    }
    answer = client.send(HttpRequest.post(f"{client.url}/fcm/token", form=form))
    return str(answer.json()["access_token"])


@pytest.mark.parametrize(
    "message",
    [
        {"fid": "a", "notifcation": {}},
        {"fid": "a", "token": "b"},
        {},
        {"fid": "a", "data": {"number": 7}},
        {"fid": "a", "data": {"google.x": "1"}},
        {"fid": "a", "data": {"from": "1"}},
        {"fid": "a", "android": {"ttl": "soon"}},
        {"fid": "a", "data": {"x": "y" * 4096}},
        [],
    ],
)
def test_what_the_api_refuses(client: Client, message: Any) -> None:
    url = f"{client.url}/fcm/v1/projects/order-up-test/messages:send"
    headers = {"Authorization": f"Bearer {token_of(client)}"}
    answer = client.send(HttpRequest.post(url, json_body={"message": message}, headers=headers))
    assert (answer.status, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert client.messages() == []


def test_no_token_no_message(client: Client) -> None:
    url = f"{client.url}/fcm/v1/projects/order-up-test/messages:send"
    answer = client.send(HttpRequest.post(url, json_body={"message": {"fid": "a"}}))
    assert answer.json()["error"]["status"] == "UNAUTHENTICATED"
    bare = client.send(HttpRequest.post(f"{client.url}/fcm/token", form={"grant_type": "x"}))
    assert (bare.status, bare.json()["error"]) == (400, "invalid_grant")


def test_too_many_requests(client: Client) -> None:
    made = provider(client)
    deliver(made, MESSAGE, client.url)
    client.control("POST", "faults", {"vendor": "fcm", "kind": "429", "retry_after_s": 5})
    with pytest.raises(RateLimited) as caught:
        deliver(made, MESSAGE, client.url)
    assert caught.value.retry_after_s == 5.0


def test_a_key_file_is_needed(client: Client) -> None:
    bad = {"vendor": "fcm", "settings": {"service_account": "{}"}}
    assert client.try_control("POST", "accounts", bad).status == 400
