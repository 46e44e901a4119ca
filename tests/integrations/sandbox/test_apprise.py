"""The Apprise stand-in: one endpoint for every service, through the real library."""

from __future__ import annotations

import json
from typing import Any

import pytest

from integrations.contracts import Accepted, HttpRequest
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    RateLimited,
    TransientError,
)
from integrations.providers.apprise import Apprise
from tests.integrations import fixture_files as files
from tests.integrations.sandbox.calls import Client
from tests.integrations.sandbox.through import deliver

SETTINGS = files.settings("apprise")
MESSAGE = files.message("apprise")


def at(client: Client, url: str, *, is_known: bool = True) -> Apprise:
    settings = {"service_url": url}
    if is_known:
        client.register("apprise", settings)
    return Apprise(settings, base_url=f"{client.url}/apprise")


@pytest.mark.parametrize(
    "url",
    [
        SETTINGS["service_url"],
        "tgram://123456789:abcdefg_hijklmnop/12345678/",
        "mailto://user:secret@example.com",
        "json://alerts.example.com/hooks",
    ],
)
def test_every_service_leads_to_the_sandbox(client: Client, url: str) -> None:
    assert deliver(at(client, url), MESSAGE, client.url) == Accepted()
    (kept,) = client.messages(order="1042")
    assert (kept["channel"], kept["to"]) == ("team_chat", f"{url.partition('://')[0]}://…")
    assert (kept["subject"], kept["attempt"]) == (MESSAGE.subject, MESSAGE.attempt_id)
    assert kept["extra"]["lines"][0] == MESSAGE.text
    assert kept["extra"]["type"] == "warning"
    for secret in ("abcDEF", "abcdefg_hijklmnop", "secret", "hooks"):
        assert secret not in json.dumps(kept)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, ConfigurationError),
        (404, ConfigurationError),
        (400, MessageRejected),
        (429, RateLimited),
        (500, TransientError),
        (502, OutcomeUnknown),
        (503, TransientError),
    ],
)
def test_services_with_a_fate(client: Client, status: int, error: type[Exception]) -> None:
    made = at(client, f"discord://sandbox-{status}/abcDEF-token_of_a-webhook")
    with pytest.raises((error,)) as caught:
        deliver(made, MESSAGE, client.url)
    assert type(caught.value) is error
    assert "abcDEF" not in str(caught.value)
    assert client.messages() == []


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("429", RateLimited),
        ("500", TransientError),
        ("html", OutcomeUnknown),
        ("disconnect", OutcomeUnknown),
        ("drop_after_accept", OutcomeUnknown),
    ],
)
def test_faults(client: Client, kind: str, error: type[Exception]) -> None:
    made = at(client, SETTINGS["service_url"])
    client.control("POST", "faults", {"vendor": "apprise", "kind": kind, "times": 1})
    with pytest.raises((error,)) as caught:
        deliver(made, MESSAGE, client.url)
    assert type(caught.value) is error
    assert len(client.messages()) == (kind == "drop_after_accept")


def test_an_account_nobody_registered(client: Client) -> None:
    with pytest.raises(ConfigurationError):
        deliver(at(client, SETTINGS["service_url"], is_known=False), MESSAGE, client.url)


def test_only_the_sandbox_is_exempt(client: Client) -> None:
    """The same account without the exemption of the door reaches nobody on this machine."""
    with pytest.raises(ConfigurationError, match="private or local"):
        deliver(at(client, SETTINGS["service_url"]), MESSAGE)
    assert client.messages() == []


@pytest.mark.parametrize(
    "note",
    [
        {},
        [],
        {"version": "1.0", "title": "x", "message": "", "type": "info"},
        {"version": "1.0", "title": "x", "message": "y", "type": "loud"},
        {"version": "1.0", "title": 1, "message": "y", "type": "info"},
    ],
)
def test_what_is_no_notification(client: Client, note: Any) -> None:
    made = at(client, SETTINGS["service_url"])
    url = made.request(MESSAGE).url
    assert client.send(HttpRequest.post(url, json_body=note)).status == 400
    assert client.messages() == []
