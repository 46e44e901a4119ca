"""The Plivo stand-in: fields, words, both signatures, replies."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from integrations.contracts import Channel, HttpRequest, HttpResponse, Message, ReceiptKind
from integrations.providers.plivo import Plivo
from tests.integrations.sandbox.calls import PUBLIC, Client, Receiver, login

SETTINGS = {
    "auth_id": "MA000000000000000001",
    "auth_token": "plivo-token",
    "sender": "+12025550100",
}
URL = "/plivo/v1/Account/MA000000000000000001/Message/"
CALLBACK = f"{PUBLIC}/hooks/messages/plivo/?a=attempt-1"
AUTH = (SETTINGS["auth_id"], SETTINGS["auth_token"])


@pytest.fixture(autouse=True)
def account(client: Client) -> None:
    client.register("plivo", SETTINGS)


def post(client: Client, auth: tuple[str, str] = AUTH, **changes: Any) -> HttpResponse:
    fields = {"src": "12025550100", "dst": "12025550142", "text": "Order #1042 is ready", **changes}
    fields = {name: value for name, value in fields.items() if value is not None}
    return client.send(HttpRequest.post(URL, json_body=fields, auth=auth))


def test_accepts_a_text_like_the_vendor(client: Client) -> None:
    response = post(client)
    answer = response.json_object()
    assert response.status == 202
    assert [str(uuid.UUID(found)) for found in answer["message_uuid"]] == answer["message_uuid"]
    (message,) = client.messages(vendor="plivo", order="1042")
    assert (message["channel"], message["to"]) == ("sms", "+12025550142")
    assert SETTINGS["auth_token"] not in str(message)
    record = client.get(f"{URL}{message['id']}/", **login(*AUTH)).json_object()
    assert (record["message_state"], record["to_number"]) == ("queued", "12025550142")
    assert "text" not in record
    assert client.get(f"{URL}none/", **login(*AUTH)).status == 404


def test_refuses_unknown_credentials(client: Client) -> None:
    assert post(client, auth=(AUTH[0], "wrong")).status == 401
    assert client.messages() == []


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"dst": None}, 400),
        ({"dst": "+1202"}, 400),
        ({"text": None}, 400),
        ({"text": "x" * 1601}, 400),
        ({"src": None}, 400),
        ({"powerpack_uuid": "pp"}, 400),
        ({"log": True}, 400),
        ({"message_expiry": 0}, 400),
        ({"dst": "15005550001"}, 400),
        ({"dst": "15005550003"}, 403),
        ({"dst": "15005550012"}, 429),
        ({"dst": "15005550050"}, 500),
        ({"dst": "15005550090"}, 400),
    ],
)
def test_refuses_with_words(client: Client, changes: dict[str, Any], status: int) -> None:
    response = post(client, **changes)
    assert response.status == status
    assert response.json_object()["error"]
    assert ("retry-after" in response.headers) is (status == 429)
    assert client.messages() == []


@pytest.mark.parametrize(
    ("number", "kind", "error"),
    [
        ("+12025550142", ReceiptKind.DELIVERED, ""),
        ("+15005550030", ReceiptKind.FAILED, "transient"),
        ("+15005550031", ReceiptKind.FAILED, "unreachable"),
        ("+15005550032", ReceiptKind.FAILED, "rejected"),
        ("+15005550033", ReceiptKind.FAILED, "transient"),
        ("+15005550034", ReceiptKind.EXPIRED, ""),
    ],
)
def test_understands_our_provider_both_ways(
    client: Client, receiver: Receiver, number: str, kind: ReceiptKind, error: str
) -> None:
    provider = Plivo(SETTINGS, base_url=f"{client.url}/plivo")
    message = Message(
        attempt_id="attempt-1",
        channel=Channel.SMS,
        to=number,
        text="Order #1042 is ready 🍜",
        callback_url=CALLBACK,
    )
    accepted = provider.outcome(message, client.send(provider.request(message)))
    receipts = [provider.receipts(receiver.next().as_call())[0] for _ in range(2)]
    assert [receipt.kind for receipt in receipts] == [ReceiptKind.SENT, kind]
    assert receipts[-1].error == error
    assert {receipt.attempt_id for receipt in receipts} == {"attempt-1"}
    assert {receipt.vendor_id for receipt in receipts} == {accepted.vendor_id}
    assert [receipt.event_id for receipt in receipts] == ["", ""]  # the body was signed too
    assert client.messages()[0]["attempt"] == "attempt-1"


def test_stop_is_taken_and_fails_later(client: Client, receiver: Receiver) -> None:
    provider = Plivo(SETTINGS)
    words = {"vendor": "plivo", "from": "+12025550142", "text": "Stop "}
    answer = client.control("POST", "reply", words)
    assert (answer["status"], answer["to"]) == (200, "+12025550100")
    assert "unsubscribed" in answer["vendor_note"]
    (reply,) = provider.replies(receiver.next().as_call())
    assert (reply.sender, reply.vendor_handled) == ("+12025550142", "stop")
    assert post(client, url=CALLBACK).status == 202
    receiver.next()
    (receipt,) = provider.receipts(receiver.next().as_call())
    assert (receipt.vendor_code, receipt.error) == ("200", "opted_out")
    client.control("POST", "reply", {**words, "text": "START"})
    receiver.next()
    post(client, url=CALLBACK)
    receiver.next()
    assert provider.receipts(receiver.next().as_call())[0].kind == ReceiptKind.DELIVERED


def test_never_calls_a_url_that_is_not_the_accounts(client: Client, receiver: Receiver) -> None:
    assert post(client, url="https://elsewhere.example.com/x").status == 202
    assert client.control("GET", "health")["callbacks"]["waiting"] == 0
    assert receiver.calls.empty()
