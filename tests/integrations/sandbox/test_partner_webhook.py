"""The partner's server: verifies, dedupes and misbehaves like a consumer of webhooks."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from integrations.errors import ConfigurationError, RateLimited, TransientError
from integrations.providers.partner_webhook import PartnerWebhook
from tests.integrations import fixture_files as files
from tests.integrations.sandbox.calls import Client, Receiver
from tests.integrations.sandbox.through import deliver

SECRET = "whsec_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
OTHER = "whsec_" + base64.b64encode(bytes(range(32, 64))).decode()
URL = "https://partner.example.com/hooks/orders"
MESSAGE = files.message("partner_webhook")


def at(client: Client, settings: dict[str, str]) -> PartnerWebhook:
    return PartnerWebhook(settings, base_url=f"{client.url}/partner_webhook")


def test_the_sandbox_partner_verifies_and_dedupes(client: Client, receiver: Receiver) -> None:
    settings = {"url": URL, "secret": SECRET, "detail": "full"}
    client.register("partner_webhook", settings)
    made = at(client, settings)
    for _ in range(2):
        assert deliver(made, MESSAGE, client.url).detail == "HTTP 204"
    (kept,) = client.messages(order="1042")
    assert (kept["channel"], kept["text"]) == ("webhook", "Order 1042: ready")
    assert deliver(made, replace(MESSAGE, event={"id": "2"}), client.url).detail == "HTTP 204"
    assert client.messages()[-1]["extra"]["event"]["timestamp"]
    assert receiver.calls.empty()


@pytest.mark.parametrize("theirs", [SECRET, OTHER])
def test_a_partner_verifies_with_either_secret_while_rotating(client: Client, theirs: str) -> None:
    client.register("partner_webhook", {"url": URL, "secret": theirs})
    made = at(client, {"url": URL, "secret": OTHER, "previous_secret": SECRET})
    assert deliver(made, MESSAGE, client.url).detail == "HTTP 204"
    assert len(client.messages(order="1042")) == 1


def test_an_old_secret_is_worth_nothing_once_it_is_removed(client: Client) -> None:
    client.register("partner_webhook", {"url": URL, "secret": SECRET})
    with pytest.raises(TransientError) as caught:
        deliver(at(client, {"url": URL, "secret": OTHER}), MESSAGE, client.url)
    assert (caught.value.status, client.messages()) == (401, [])


@pytest.mark.parametrize(
    ("headers", "word"),
    [
        ({"webhook-signature": "v1,AAAA"}, "does not fit"),
        ({"webhook-signature": "junk"}, "does not fit"),
        ({"webhook-signature": ""}, "missing"),
        ({"webhook-timestamp": "1614265330"}, "fresh"),
        ({"webhook-id": "a.b"}, "missing"),
    ],
)
def test_the_sandbox_partner_refuses(client: Client, headers: dict[str, str], word: str) -> None:
    settings = {"url": URL, "secret": SECRET}
    client.register("partner_webhook", settings)
    made = at(client, settings)
    request = made.signed(made.request(MESSAGE), datetime.now(UTC))
    answer = client.send(replace(request, headers={**request.headers, **headers}))
    assert answer.status == 401
    assert word in answer.json()["error"]
    assert client.messages() == []


@pytest.mark.parametrize(
    ("ending", "error"),
    [("gone", ConfigurationError), ("moved", TransientError), ("broken", TransientError)],
)
def test_the_sandbox_partners_moods(client: Client, ending: str, error: type[Exception]) -> None:
    settings = {"url": f"https://partner.example.com/{ending}", "secret": SECRET}
    client.register("partner_webhook", settings)
    with pytest.raises((error,)):
        deliver(at(client, settings), MESSAGE, client.url)


def test_the_sandbox_partner_can_be_slow_to_take_more(client: Client) -> None:
    settings = {"url": URL, "secret": SECRET}
    client.register("partner_webhook", settings)
    client.control(
        "POST", "faults", {"vendor": "partner_webhook", "kind": "429", "retry_after_s": 4}
    )
    with pytest.raises(RateLimited) as caught:
        deliver(at(client, settings), MESSAGE, client.url)
    assert caught.value.retry_after_s == 4.0
