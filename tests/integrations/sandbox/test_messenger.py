"""The Messenger stand-in: proof, the 24-hour window, echoes, deliveries and messages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from integrations.contracts import HttpRequest
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    RateLimited,
    RecipientUnreachable,
    TransientError,
)
from integrations.providers.messenger import Messenger
from tests.integrations import fixture_files as files
from tests.integrations.sandbox.calls import Client, Receiver
from tests.integrations.sandbox.through import deliver

SETTINGS = files.settings("messenger")
MESSAGE = files.message("messenger")
FREE = replace(MESSAGE, vendor_template="", text="Order #1042 is on its way")


@pytest.fixture(autouse=True)
def account(client: Client) -> None:
    client.register("messenger", SETTINGS)


def provider(client: Client, **settings: str) -> Messenger:
    return Messenger({**SETTINGS, **settings}, base_url=f"{client.url}/messenger")


def test_a_template_goes_out_and_its_receipts_come_back(client: Client, receiver: Receiver) -> None:
    accepted = deliver(provider(client), MESSAGE, client.url)
    [echo] = provider(client).receipts(receiver.next().as_call())
    assert (echo.kind.value, echo.attempt_id) == ("sent", MESSAGE.attempt_id)
    [delivery] = provider(client).receipts(receiver.next().as_call())
    assert (delivery.kind.value, delivery.vendor_id) == ("delivered", accepted.vendor_id)
    (kept,) = client.messages(order="1042")
    assert kept["text"] == "order_status_update: 1042 · ready"
    assert kept["attempt"] == MESSAGE.attempt_id
    assert "appsecret_proof" not in str(kept)


@pytest.mark.parametrize(
    ("person", "error"),
    [
        ("5550001", RecipientUnreachable),
        ("5550002", RecipientUnreachable),
        ("5550012", RateLimited),
        ("5550013", ConfigurationError),
        ("5550014", MessageRejected),
        ("5550050", TransientError),
    ],
)
def test_people_that_provoke_a_refusal(client: Client, person: str, error: type[Exception]) -> None:
    with pytest.raises((error,)) as caught:
        deliver(provider(client), replace(MESSAGE, to=person), client.url)
    assert type(caught.value) is error
    assert client.messages() == []


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"page_access_token": "wrong"}, ConfigurationError),
        ({"page_id": "1"}, ConfigurationError),
        ({"app_secret": "wrong"}, MessageRejected),
    ],
)
def test_wrong_credentials(
    client: Client, settings: dict[str, str], error: type[Exception]
) -> None:
    with pytest.raises((error,)):
        deliver(provider(client, **settings), MESSAGE, client.url)


def test_text_needs_the_persons_word_first(client: Client, receiver: Receiver) -> None:
    with pytest.raises(MessageRejected) as caught:
        deliver(provider(client), FREE, client.url)
    assert caught.value.vendor_code == "10/2018278"
    words = {"vendor": "messenger", "from": MESSAGE.to, "text": "status?"}
    assert client.control("POST", "reply", words)["status"] == 200
    [reply] = provider(client).replies(receiver.next().as_call())
    assert (reply.sender, reply.text) == (MESSAGE.to, "status?")
    deliver(provider(client), replace(FREE, purpose="service_reply"), client.url)
    assert client.messages()[-1]["extra"]["buttons"] == [{"label": "Order status"}]


def test_a_template_replaces_words_the_window_does_not_take(client: Client) -> None:
    accepted = deliver(provider(client), replace(MESSAGE, window_open=True), client.url)
    (kept,) = client.messages()
    assert (kept["id"], kept["text"]) == (accepted.vendor_id, "order_status_update: 1042 · ready")
    closed = provider(client, utility_messages="no")
    with pytest.raises(MessageRejected):
        deliver(closed, replace(MESSAGE, window_open=True), client.url)
    assert len(client.messages()) == 1


def test_reading_comes_as_a_watermark(client: Client, receiver: Receiver) -> None:
    client.control("POST", "reply", {"vendor": "messenger", "from": MESSAGE.to, "read": True})
    call = receiver.next().as_call()
    [receipt] = provider(client).receipts(call)
    assert (receipt.kind.value, receipt.recipient) == ("read", MESSAGE.to)
    assert receipt.up_to is not None
    assert provider(client).replies(call) == []


@pytest.mark.parametrize(
    ("words", "action"),
    [
        ({"text": "Order status", "payload": "p"}, {"type": "button", "value": "p"}),
        ({"ref": "tok-1"}, {"type": "link", "value": "tok-1"}),
    ],
)
def test_buttons_and_links_come_back(
    client: Client, receiver: Receiver, words: dict[str, str], action: dict[str, str]
) -> None:
    client.control("POST", "reply", {"vendor": "messenger", "from": MESSAGE.to, **words})
    [reply] = provider(client).replies(receiver.next().as_call())
    assert reply.action == action


@pytest.mark.parametrize(
    "payload",
    [
        [],
        {},
        {"recipient": {"id": "1"}, "messaging_type": "MESSAGE_TAG", "message": {"text": "x"}},
        {"recipient": {"id": "1"}, "messaging_type": "UPDATE", "message": {"text": "x" * 2001}},
        {"recipient": {"id": "1"}, "messaging_type": "UTILITY", "message": {"attachment": {}}},
    ],
)
def test_what_the_api_refuses(client: Client, payload: Any) -> None:
    true = provider(client).request(MESSAGE)
    made = HttpRequest.post(true.url, json_body=payload, headers=dict(true.headers))
    answer = client.send(made)
    assert (answer.status, answer.json()["error"]["code"]) == (400, 100)


@pytest.mark.parametrize(("kind", "error"), [("429", RateLimited), ("500", TransientError)])
def test_faults_in_metas_words(client: Client, kind: str, error: type[Exception]) -> None:
    client.control("POST", "faults", {"vendor": "messenger", "kind": kind})
    with pytest.raises((error,)):
        deliver(provider(client), MESSAGE, client.url)


def test_templates_meta_would_not_send_are_named(client: Client) -> None:
    assert provider(client, utility_messages="no").set_up_request() is None
    request = provider(client).set_up_request()
    assert request is not None
    assert provider(client).set_up_gaps(client.send(request)) == [
        "Meta has the template order_status_old:en_US as paused: it is not sent."
    ]
    wrong = provider(client, page_access_token="wrong").set_up_request()
    assert wrong is not None
    with pytest.raises(ConfigurationError):
        provider(client).set_up_gaps(client.send(wrong))
