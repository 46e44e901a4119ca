"""The push service: browsers it makes, tokens it checks, messages it decrypts."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations.contracts import Message
from integrations.errors import (
    ConfigurationError,
    RateLimited,
    RecipientUnreachable,
    TransientError,
)
from integrations.providers.web_push import WebPush
from tests.integrations import fixture_files as files
from tests.integrations.sandbox.calls import Client
from tests.integrations.sandbox.through import deliver

SETTINGS = files.settings("web_push")


@pytest.fixture(autouse=True)
def account(client: Client) -> None:
    client.register("web_push", SETTINGS)


def provider(client: Client, **settings: str) -> WebPush:
    return WebPush({**SETTINGS, **settings}, base_url=f"{client.url}/web_push")


def message_to(client: Client, browser: str = "anas-phone") -> Message:
    subscription = client.control("POST", "web_push/browsers", {"id": browser})
    return files.message("web_push", to=json.dumps(subscription))


def test_a_browser_shows_what_it_decrypted(client: Client) -> None:
    message = message_to(client)
    accepted = deliver(provider(client), message, client.url)
    (kept,) = client.messages(order="1042")
    assert accepted.vendor_id.endswith(kept["id"])
    assert (kept["channel"], kept["to"]) == ("web_push", "browser anas-phone")
    assert (kept["subject"], kept["text"]) == (message.subject, message.text)
    assert (kept["attempt"], kept["extra"]["ttl"]) == (message.attempt_id, "1200")


@pytest.mark.parametrize(
    ("browser", "error"),
    [
        ("gone", RecipientUnreachable),
        ("unknown", RecipientUnreachable),
        ("old-key", RecipientUnreachable),
        ("busy", RateLimited),
        ("down", TransientError),
    ],
)
def test_browsers_that_misbehave(client: Client, browser: str, error: type[Exception]) -> None:
    with pytest.raises((error,)) as caught:
        deliver(provider(client), message_to(client, browser), client.url)
    assert type(caught.value) is error


def test_a_browser_nobody_made(client: Client) -> None:
    with pytest.raises(RecipientUnreachable):
        deliver(provider(client), files.message("web_push"), client.url)


def test_keys_of_another_browser(client: Client) -> None:
    old = message_to(client)
    message_to(client)
    answer = send_raw(client, old)
    assert (answer.status, client.messages()) == (400, [])


def send_raw(client: Client, message: Message, **changes: Any) -> Any:
    made = provider(client)
    at = changes.pop("at", datetime.now(UTC))
    request = made.sealed(made.request(message), message.to, at)
    headers = {**request.headers, **changes.pop("headers", {})}
    headers = {name: value for name, value in headers.items() if value is not None}
    return client.send(replace(request, headers=headers, **changes))


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"headers": {"Authorization": None}}, 401),
        ({"headers": {"Authorization": "vapid t=a.b.c, k=AAAA"}}, 403),
        ({"at": datetime.now(UTC) - timedelta(hours=13)}, 401),
        ({"at": datetime.now(UTC) + timedelta(hours=13)}, 401),
        ({"headers": {"TTL": None}}, 400),
        ({"headers": {"Topic": "order 1042"}}, 400),
        ({"headers": {"Content-Encoding": "aesgcm"}}, 400),
        ({"body": b"x" * 4097}, 413),
        ({"body": b"x" * 100}, 400),
    ],
)
def test_what_a_push_service_refuses(client: Client, changes: dict[str, Any], status: int) -> None:
    assert send_raw(client, message_to(client), **changes).status == status
    assert client.messages() == []


def test_a_token_for_another_service(client: Client) -> None:
    message = message_to(client)
    subscription = json.loads(message.to)
    path = subscription["endpoint"].partition(".com")[2]
    subscription["endpoint"] = f"https://web.push.apple.com{path}"
    assert send_raw(client, replace(message, to=json.dumps(subscription))).status == 401


def test_another_key_pair_is_not_the_subscribed_one(client: Client) -> None:
    other = provider(client, vapid_private_key="Ag" + SETTINGS["vapid_private_key"][2:])
    with pytest.raises(RecipientUnreachable):
        deliver(other, message_to(client), client.url)


def test_names_of_browsers_and_keys_are_checked(client: Client) -> None:
    assert client.try_control("POST", "web_push/browsers", {"id": "a b"}).status == 400
    assert client.try_control("POST", "web_push/browsers", []).status == 400
    assert "endpoint" in client.control("POST", "web_push/browsers")
    bad = {"vendor": "web_push", "settings": {**SETTINGS, "vapid_private_key": "AQID"}}
    assert client.try_control("POST", "accounts", bad).status == 400


def test_our_own_fault_reads_as_ours(client: Client) -> None:
    client.control("POST", "faults", {"vendor": "web_push", "kind": "429", "retry_after_s": 5})
    with pytest.raises(RateLimited) as caught:
        deliver(provider(client), message_to(client), client.url)
    assert caught.value.retry_after_s == 5.0
    assert not isinstance(caught.value, ConfigurationError)
