"""The Slack stand-in: plain-text answers, block limits and signed button presses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from integrations.contracts import Channel, HttpRequest, HttpResponse, Message
from integrations.errors import ConfigurationError, OutcomeUnknown
from integrations.providers.slack import Slack
from integrations.sandbox.vendors.slack import BOT_FATES, FATES
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


# --- bots -----------------------------------------------------------------------------------------

BOT = {"bot_token": "xoxb-s3cret", "channel_id": "C0KITCHEN", "signing_secret": "slack-secret"}
LATE = Message(
    attempt_id=ATTEMPT,
    channel=Channel.TEAM_CHAT,
    to="",
    text="Order #1042 is late",
    links={"acknowledge": "https://alerts.example.com/ack/1"},
)


def test_a_bots_messages_of_one_order_are_one_thread(client: Client) -> None:
    client.register("slack", BOT)
    provider = Slack(BOT, base_url=f"{client.url}/slack")
    first = provider.outcome(LATE, client.send(provider.request(LATE)))
    channel, _, root = first.vendor_id.partition("/")
    assert channel == "C0KITCHEN"
    for urgent in (False, True):
        more = replace(LATE, replaces_vendor_id=first.vendor_id, urgent=urgent)
        again = provider.outcome(more, client.send(provider.request(more)))
        assert again.vendor_id == first.vendor_id
    kept = client.messages(vendor="slack")
    assert [message["extra"]["thread"] for message in kept] == ["", root, root]
    assert [message["extra"]["in_channel"] for message in kept] == [True, False, True]
    assert "s3cret" not in str(kept)


def test_two_channels_of_one_bot_are_two_accounts(client: Client) -> None:
    for channel in ("C0KITCHEN", "C0BAR"):
        client.register("slack", {**BOT, "channel_id": channel})
    for channel in ("C0BAR", "C0KITCHEN"):
        provider = Slack({**BOT, "channel_id": channel}, base_url=f"{client.url}/slack")
        accepted = provider.outcome(LATE, client.send(provider.request(LATE)))
        assert accepted.vendor_id.startswith(f"{channel}/")
    assert {message["to"] for message in client.messages()} == {
        "T0SANDBOX/C0BAR",
        "T0SANDBOX/C0KITCHEN",
    }


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"bot_token": "xoxb-wrong"}, "invalid_auth"),
        ({"channel_id": "C0ELSEWHERE"}, "channel_not_found"),
    ],
)
def test_refuses_a_bot_it_does_not_know(client: Client, changes: dict[str, str], word: str) -> None:
    client.register("slack", BOT)
    provider = Slack({**BOT, **changes}, base_url=f"{client.url}/slack")
    with pytest.raises(ConfigurationError) as caught:
        provider.outcome(LATE, client.send(provider.request(LATE)))
    assert caught.value.vendor_code == word
    assert client.messages() == []


@pytest.mark.parametrize(("channel", "word"), sorted(BOT_FATES.items()))
def test_a_bots_channel_something_happened_to(client: Client, channel: str, word: str) -> None:
    settings = {**BOT, "channel_id": channel}
    client.register("slack", settings)
    provider = Slack(settings, base_url=f"{client.url}/slack")
    with pytest.raises((ConfigurationError, OutcomeUnknown)) as caught:
        provider.outcome(LATE, client.send(provider.request(LATE)))
    assert caught.value.vendor_code == word
    assert client.messages() == []


@pytest.mark.parametrize(
    ("payload", "word"),
    [
        ([], "invalid_json"),
        ({"channel": "C0KITCHEN"}, "no_text"),
        ({"channel": "C0KITCHEN", "text": "x", "blocks": {}}, "invalid_blocks"),
        ({"channel": "C0KITCHEN", "text": "x", "thread_ts": "1.000009"}, "thread_not_found"),
        ({"text": "x"}, "channel_not_found"),
    ],
)
def test_refuses_a_bots_message_in_json(client: Client, payload: Any, word: str) -> None:
    client.register("slack", BOT)
    headers = {"Authorization": "Bearer xoxb-s3cret"}
    url = "/slack/api/chat.postMessage"
    response = client.send(HttpRequest.post(url, json_body=payload, headers=headers))
    assert (response.status, response.json_object()) == (200, {"ok": False, "error": word})
    assert client.messages() == []
    assert client.send(HttpRequest.post(url, json_body=payload)).json_object()["error"] == (
        "not_authed"
    )


def test_a_bots_button_is_heard(client: Client, receiver: Receiver) -> None:
    client.register("slack", BOT)
    press = {"vendor": "slack", "from": "U0SAM", "action": {"action_id": "order_ack", "value": "a"}}
    assert client.control("POST", "reply", press)["status"] == 200
    (reply,) = Slack(BOT).replies(receiver.next().as_call())
    assert (reply.sender, reply.recipient) == ("U0SAM", "C0KITCHEN")
    assert reply.action == {"type": "acknowledge", "value": "a"}
