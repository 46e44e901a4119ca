"""The Telegram stand-in: descriptions, edits, updates, a blocked bot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from integrations.contracts import Channel, HttpRequest, HttpResponse, Message
from integrations.errors import RecipientOptedOut
from integrations.providers.telegram import Telegram
from tests.integrations.sandbox.calls import Client, Receiver
from tests.integrations.sandbox.through import deliver

SETTINGS = {
    "bot_token": "1000000001:AAExample",
    "secret_token": "s3cret_token",
    "bot_username": "harvest_orders_bot",
}
MESSAGE = Message(
    attempt_id="attempt-1",
    channel=Channel.TELEGRAM,
    to="5000000042",
    text="Order #1042 <ready> & warm",
    order={"number": "1042"},
    links={"order": "https://alerts.example.com/o/1042/"},
)


@pytest.fixture(autouse=True)
def account(client: Client) -> None:
    client.register("telegram", SETTINGS)


def post(client: Client, token: str = SETTINGS["bot_token"], **changes: Any) -> HttpResponse:
    fields = {"chat_id": 42, "text": "Order #1042 is ready", "parse_mode": "HTML", **changes}
    return client.send(HttpRequest.post(f"/telegram/bot{token}/sendMessage", json_body=fields))


def provider_of(client: Client) -> Telegram:
    return Telegram(SETTINGS, base_url=f"{client.url}/telegram")


def test_understands_our_provider(client: Client) -> None:
    provider = provider_of(client)
    accepted = provider.outcome(MESSAGE, client.send(provider.request(MESSAGE)))
    (kept,) = client.messages(order="1042")
    assert (kept["id"], kept["channel"], kept["to"]) == (
        accepted.vendor_id,
        "telegram",
        "5000000042",
    )
    assert kept["text"] == MESSAGE.text
    assert [button["label"] for button in kept["extra"]["buttons"]] == ["Status", "Track"]
    assert "AAExample" not in str(kept)


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"token": "wrong"}, 401, "Unauthorized"),
        ({"chat_id": "ana"}, 400, "chat_id is empty"),
        ({"text": " "}, 400, "text is empty"),
        ({"text": "a < b"}, 400, "can't parse entities"),
        ({"text": "Fish & Chips"}, 400, "can't parse entities"),
        ({"text": "x" * 4097}, 400, "too long"),
        (
            {"reply_markup": {"inline_keyboard": [[{"text": "x", "callback_data": "я" * 33}]]}},
            400,
            "BUTTON_DATA_INVALID",
        ),
        ({"chat_id": 400000001}, 400, "chat not found"),
        ({"chat_id": 403000001}, 403, "blocked by the user"),
        ({"chat_id": 429000001}, 429, "retry after 1"),
        ({"chat_id": 500000001}, 500, "Internal"),
    ],
)
def test_refuses_with_a_description(
    client: Client, changes: dict[str, Any], status: int, words: str
) -> None:
    response = post(client, **changes)
    answer = response.json_object()
    assert (response.status, answer["ok"], answer["error_code"]) == (status, False, status)
    assert words in answer["description"]
    assert ("retry-after" in response.headers) is (status == 429)
    assert client.messages() == []


def test_a_fault_says_how_long_to_wait(client: Client) -> None:
    fault = {"vendor": "telegram", "kind": "429", "times": 1, "retry_after_s": 7}
    client.control("POST", "faults", fault)
    assert post(client).json_object()["parameters"] == {"retry_after": 7}


def test_a_group_with_a_new_id_is_reached_there(client: Client) -> None:
    provider = provider_of(client)
    accepted = deliver(provider, replace(MESSAGE, to="-400000003"), client.url)
    assert accepted.vendor_id.startswith("-1000400000003/")
    (kept,) = client.messages()
    assert kept["to"] == "-1000400000003"


def test_an_edit_changes_the_window(client: Client) -> None:
    provider = provider_of(client)
    first = deliver(provider, MESSAGE, client.url)
    edit = replace(MESSAGE, text="Order #1042 is on its way", replaces_vendor_id=first.vendor_id)
    assert deliver(provider, edit, client.url).vendor_id == first.vendor_id
    assert deliver(provider, edit, client.url).detail == "already says so"
    (kept,) = client.messages()
    assert kept["text"] == "Order #1042 is on its way"
    lost = replace(edit, replaces_vendor_id="5000000042/99999999")
    assert deliver(provider, lost, client.url).vendor_id != first.vendor_id
    assert len(client.messages()) == 2


def say(client: Client, receiver: Receiver, **words: Any) -> Any:
    wanted = {"vendor": "telegram", "from": "5000000042", **words}
    assert client.control("POST", "reply", wanted)["status"] == 200
    return receiver.next().as_call()


def test_words_and_buttons_come_back(client: Client, receiver: Receiver) -> None:
    provider = provider_of(client)
    (reply,) = provider.replies(say(client, receiver, text="/stop"))
    assert (reply.sender, reply.text) == ("5000000042", "STOP")
    (reply,) = provider.replies(say(client, receiver, text="/start aZ09"))
    assert reply.action == {"type": "link", "value": "aZ09"}
    (reply,) = provider.replies(say(client, receiver, **{"from": "-100/7"}, text="hi"))
    assert reply.sender == "-100/7"
    pressed = say(client, receiver, action={"action_id": "button", "value": "status:1042"})
    (reply,) = provider.replies(pressed)
    assert (reply.text, reply.action["value"]) == ("STATUS", "status:1042")
    assert b"answerCallbackQuery" in provider.answer(pressed).body


def test_a_blocked_bot_hears_it_once_and_is_refused(client: Client, receiver: Receiver) -> None:
    provider = provider_of(client)
    (reply,) = provider.replies(say(client, receiver, text="/block"))
    assert (reply.text, reply.vendor_handled, reply.vendor_confirmed) == ("STOP", "stop", True)
    with pytest.raises(RecipientOptedOut):
        deliver(provider, MESSAGE, client.url)
    assert provider.replies(say(client, receiver, text="/unblock")) == []
    assert deliver(provider, MESSAGE, client.url).vendor_id


def test_get_me_shows_whether_a_token_is_good(client: Client) -> None:
    request = HttpRequest.post(f"/telegram/bot{SETTINGS['bot_token']}/getMe", json_body={})
    assert client.send(request).json_object()["result"]["username"] == "harvest_orders_bot"
    request = HttpRequest.post("/telegram/bot1:x/getMe", json_body={})
    assert client.send(request).status == 401


def test_the_webhook_that_is_set_has_no_gaps(client: Client, receiver: Receiver) -> None:
    provider = provider_of(client)
    assert provider.set_up_gaps(client.send(provider.set_up_request())) == []
