"""The WhatsApp stand-in: Meta's envelope, the 24-hour window, signed statuses and messages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    RateLimited,
    RecipientUnreachable,
    TransientError,
)
from integrations.providers.whatsapp import WhatsApp
from tests.integrations import fixture_files as files
from tests.integrations.sandbox.calls import Client, Receiver
from tests.integrations.sandbox.through import deliver

SETTINGS = files.settings("whatsapp")
MESSAGE = files.message("whatsapp")
FREE = replace(MESSAGE, vendor_template="", text="Order #1042 is on its way")


@pytest.fixture(autouse=True)
def account(client: Client) -> None:
    client.register("whatsapp", SETTINGS)


def provider(client: Client, **settings: str) -> WhatsApp:
    return WhatsApp({**SETTINGS, **settings}, base_url=f"{client.url}/whatsapp")


def send(client: Client, **changes: Any) -> Any:
    return deliver(provider(client), replace(MESSAGE, **changes), client.url)


def test_a_template_goes_out_and_its_statuses_come_back(client: Client, receiver: Receiver) -> None:
    accepted = send(client)
    assert accepted.vendor_id.startswith("wamid.")
    for kind in ("sent", "delivered"):
        call = receiver.next().as_call()
        [receipt] = provider(client).receipts(call)
        assert (receipt.kind.value, receipt.attempt_id) == (kind, MESSAGE.attempt_id)
        assert receipt.vendor_id == accepted.vendor_id
    (kept,) = client.messages(order="1042")
    assert (kept["to"], kept["text"]) == ("+12025550142", "order_status_update: Ana · 1042 · ready")
    assert kept["attempt"] == MESSAGE.attempt_id


@pytest.mark.parametrize(
    ("to", "error"),
    [
        ("+15005550001", RecipientUnreachable),
        ("+15005550012", RateLimited),
        ("+15005550016", RateLimited),
        ("+15005550041", MessageRejected),
        ("+15005550042", MessageRejected),
        ("+15005550043", MessageRejected),
        ("+15005550050", TransientError),
        ("soon", MessageRejected),
    ],
)
def test_numbers_that_provoke_a_refusal(client: Client, to: str, error: type[Exception]) -> None:
    with pytest.raises((error,)) as caught:
        send(client, to=to)
    assert type(caught.value) is error
    assert client.messages() == []


@pytest.mark.parametrize(
    ("to", "error", "more"),
    [
        ("+15005550030", "unreachable", []),
        ("+15005550031", "rejected", []),
        ("+15005550032", "rejected", ["unsubscribed"]),
        ("+15005550033", "rejected", []),
    ],
)
def test_numbers_that_fail_later(
    client: Client, receiver: Receiver, to: str, error: str, more: list[str]
) -> None:
    send(client, to=to)
    receiver.next()
    [receipt, *choices] = provider(client).receipts(receiver.next().as_call())
    assert (receipt.kind.value, receipt.error) == ("failed", error)
    assert [choice.kind.value for choice in choices] == more


def test_a_template_replaces_words_the_window_does_not_take(client: Client) -> None:
    """We thought the window was open; at this number it is not."""
    accepted = send(client, window_open=True)
    (kept,) = client.messages()
    assert kept["id"] == accepted.vendor_id
    assert kept["text"] == "order_status_update: Ana · 1042 · ready"


def test_who_goes_by_a_user_name_has_an_id_only(client: Client, receiver: Receiver) -> None:
    words = {"vendor": "whatsapp", "from": "+12025550142", "text": "hi"}
    client.control("POST", "reply", words)
    [known] = provider(client).replies(receiver.next().as_call())
    client.control("POST", "reply", {**words, "hides_number": True})
    [hidden] = provider(client).replies(receiver.next().as_call())
    assert (known.sender, known.alias) == ("12025550142", hidden.sender)
    assert hidden.alias == ""
    # one person, one window
    deliver(provider(client), replace(FREE, to=hidden.sender), client.url)
    [receipt] = provider(client).receipts(receiver.next().as_call())
    assert (receipt.recipient, receipt.attempt_id) == (hidden.sender, FREE.attempt_id)


@pytest.mark.parametrize(("value", "kind"), [("stop", "unsubscribed"), ("resume", "resubscribed")])
def test_choices_about_marketing_come_as_such(
    client: Client, receiver: Receiver, value: str, kind: str
) -> None:
    choice = {"vendor": "whatsapp", "from": "+12025550142", "marketing": value}
    client.control("POST", "reply", choice)
    call = receiver.next().as_call()
    [receipt] = provider(client).receipts(call)
    assert (receipt.kind.value, receipt.recipient, receipt.purpose) == (
        *(kind, "12025550142", "marketing"),
    )
    assert provider(client).replies(call) == []
    with pytest.raises(MessageRejected):  # it opens no window
        deliver(provider(client), FREE, client.url)


@pytest.mark.parametrize(
    "settings", [{"access_token": "wrong"}, {"phone_number_id": "1", "access_token": "wrong"}]
)
def test_wrong_credentials(client: Client, settings: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        deliver(provider(client, **settings), MESSAGE, client.url)
    assert caught.value.vendor_code == "190"


def test_a_number_that_is_not_ours(client: Client) -> None:
    with pytest.raises(MessageRejected):
        deliver(provider(client, phone_number_id="1"), MESSAGE, client.url)


def test_free_text_needs_the_persons_word_first(client: Client, receiver: Receiver) -> None:
    with pytest.raises(MessageRejected) as caught:
        deliver(provider(client), FREE, client.url)
    assert caught.value.vendor_code == "131047"
    words = {"vendor": "whatsapp", "from": "+12025550142", "text": "status?"}
    assert client.control("POST", "reply", words)["status"] == 200
    [reply] = provider(client).replies(receiver.next().as_call())
    assert (reply.sender, reply.text) == ("12025550142", "status?")
    deliver(provider(client), FREE, client.url)
    deliver(provider(client), replace(FREE, purpose="service_reply"), client.url)
    assert client.messages()[-1]["extra"]["buttons"] == [{"label": "Order status"}]


def test_a_button_comes_back_as_a_press(client: Client, receiver: Receiver) -> None:
    press = {"vendor": "whatsapp", "from": "+12025550142", "text": "Order status", "payload": "p"}
    client.control("POST", "reply", press)
    [reply] = provider(client).replies(receiver.next().as_call())
    assert reply.action == {"type": "button", "value": "p"}


@pytest.mark.parametrize(("kind", "error"), [("429", RateLimited), ("500", TransientError)])
def test_faults_in_metas_words(client: Client, kind: str, error: type[Exception]) -> None:
    client.control("POST", "faults", {"vendor": "whatsapp", "kind": kind})
    with pytest.raises((error,)):
        send(client)


def test_templates_meta_would_not_send_are_named(client: Client) -> None:
    client.register("whatsapp", {**SETTINGS, "business_account_id": "102290129340398"})
    assert provider(client).set_up_request() is None
    known = provider(client, business_account_id="102290129340398")
    request = known.set_up_request()
    assert request is not None
    assert known.set_up_gaps(client.send(request)) == [
        "Meta has the template order_status_old:en_US as paused: it is not sent."
    ]
    wrong = provider(client, business_account_id="1").set_up_request()
    assert wrong is not None
    with pytest.raises(MessageRejected):
        known.set_up_gaps(client.send(wrong))
