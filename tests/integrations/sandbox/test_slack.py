"""The Slack stand-in: plain-text answers, block limits and signed button presses."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.contracts import Channel, HttpRequest, HttpResponse, Message
from integrations.errors import ConfigurationError
from integrations.providers.slack import Slack
from integrations.sandbox.vendors.slack import FATES
from tests.integrations.sandbox.calls import SLACK, Client, Receiver

ATTEMPT = "7d0c1f3a-1111-4222-8333-444455556666"
PATH = "/slack/services/T0TEAM/B0KITCHEN/s3cret"


@pytest.fixture(autouse=True)
def account(client: Client) -> None:
    client.register("slack", SLACK)


def _post(client: Client, payload: Any, path: str = PATH) -> HttpResponse:
    return client.send(HttpRequest.post(path, json_body=payload))


def button(**changes: Any) -> dict[str, Any]:
    pressed = {"type": "button", "text": {"text": "Open"}, "action_id": "a", **changes}
    return {"type": "actions", "elements": [pressed]}


def test_answers_ok_as_plain_text(client: Client) -> None:
    response = _post(client, {"text": "Order #1042 &amp; friends"})
    assert (response.status, response.text()) == (200, "ok")
    assert response.headers["content-type"].startswith("text/plain")
    (message,) = client.messages(order="1042")
    assert (message["channel"], message["text"]) == ("team_chat", "Order #1042 & friends")
    assert "s3cret" not in str(message)


@pytest.mark.parametrize(
    ("payload", "word"),
    [
        ({}, "no_text"),
        ({"text": " "}, "no_text"),
        (["text"], "invalid_payload"),
        ({"text": "x", "blocks": {}}, "invalid_blocks"),
        ({"text": "x", "blocks": [{"type": "divider"}] * 51}, "invalid_blocks"),
        (
            {"text": "x", "blocks": [{"type": "header", "text": {"text": "h" * 151}}]},
            "invalid_blocks",
        ),
        ({"text": "x", "blocks": [button(url="javascript:x")]}, "invalid_blocks"),
        ({"text": "x", "blocks": [button(url="https://x/" + "a" * 3000)]}, "invalid_blocks"),
        ({"text": "x", "blocks": [button(value="v" * 2001)]}, "invalid_blocks"),
        ({"text": "x", "blocks": [button(text={"text": ""})]}, "invalid_blocks"),
        (
            {"text": "x", "blocks": [{"type": "section", "fields": [{"text": "f" * 2001}]}]},
            "invalid_blocks",
        ),
    ],
)
def test_refuses_with_the_vendors_word(client: Client, payload: Any, word: str) -> None:
    response = _post(client, payload)
    assert (response.status, response.text()) == (400, word)
    assert client.messages() == []


@pytest.mark.parametrize(
    ("path", "status", "word"),
    [
        ("/slack/services/T0OTHER/B0KITCHEN/s3cret", 404, "no_team"),
        ("/slack/services/T0TEAM/B0OTHER/s3cret", 404, "no_service"),
        ("/slack/services/T0TEAM/B0KITCHEN/wrong", 403, "invalid_token"),
    ],
)
def test_refuses_a_wrong_url(client: Client, path: str, status: int, word: str) -> None:
    response = _post(client, {"text": "x"}, path)
    assert (response.status, response.text()) == (status, word)


@pytest.mark.parametrize(("hook", "fate"), sorted(FATES.items()))
def test_a_channel_something_happened_to(client: Client, hook: str, fate: tuple[int, str]) -> None:
    settings = {"webhook_url": f"https://hooks.slack.com/services/T0TEAM/{hook}/s3cret"}
    client.register("slack", settings)
    provider = Slack(settings, base_url=f"{client.url}/slack")
    message = Message(attempt_id=ATTEMPT, channel=Channel.TEAM_CHAT, to="", text="Late")
    answer = client.send(provider.request(message))
    assert (answer.status, answer.text()) == fate
    with pytest.raises(ConfigurationError) as caught:
        provider.outcome(message, answer)
    assert (caught.value.vendor_code, caught.value.endpoint_only) == (fate[1], True)
    assert client.messages() == []


def test_sends_no_receipts(client: Client, receiver: Receiver) -> None:
    _post(client, {"text": "Order #1042 is late"})
    assert client.control("GET", "health")["callbacks"]["waiting"] == 0
    assert receiver.calls.empty()


def test_our_provider_reads_a_button_press(client: Client, receiver: Receiver) -> None:
    provider = Slack({**SLACK, "acknowledge_buttons": "yes"}, base_url=f"{client.url}/slack")
    message = Message(
        attempt_id=ATTEMPT,
        channel=Channel.TEAM_CHAT,
        to="",
        text="Order #1042 is late",
        links={"acknowledge": "https://alerts.example.com/ack/1"},
    )
    provider.outcome(message, client.send(provider.request(message)))
    (kept,) = client.messages(vendor="slack")
    assert kept["attempt"] == ATTEMPT
    button = next(b for b in kept["extra"]["buttons"] if b["action_id"] == "order_ack")
    press = {
        "vendor": "slack",
        "message": kept["id"],
        "from": "U0SAM",
        "action": {"action_id": "order_ack", "value": button["value"]},
    }
    assert client.control("POST", "reply", press)["status"] == 200
    (reply,) = provider.replies(receiver.next().as_call())
    assert reply.action == {"type": "acknowledge", "value": ATTEMPT}
