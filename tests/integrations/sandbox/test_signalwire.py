"""The SignalWire stand-in: fields, codes, signed callbacks, replies nobody but us heeds."""

from __future__ import annotations

import uuid

import pytest

from integrations.contracts import Channel, HttpRequest, HttpResponse, Message, ReceiptKind
from integrations.providers.signalwire import SignalWire
from tests.integrations.sandbox.calls import PUBLIC, Client, Receiver, login

SETTINGS = {
    "space": "example",
    "project_id": "ea108133-d6b3-407c-9536-9fad8a929a6a",
    "api_token": "PT-token",
    "sender": "+12025550100",
    "signing_key": "PSKtest",
}
URL = f"/signalwire/api/laml/2010-04-01/Accounts/{SETTINGS['project_id']}/Messages"
CALLBACK = f"{PUBLIC}/hooks/messages/signalwire/?a=attempt-1"
AUTH = (SETTINGS["project_id"], SETTINGS["api_token"])


@pytest.fixture(autouse=True)
def account(client: Client) -> None:
    client.register("signalwire", SETTINGS)


def post(client: Client, auth: tuple[str, str] = AUTH, **changes: str) -> HttpResponse:
    form = {"To": "+12025550142", "From": "+12025550100", "Body": "Order #1042 is ready", **changes}
    form = {name: value for name, value in form.items() if value}
    return client.send(HttpRequest.post(URL, form=form, auth=auth))


def test_accepts_a_text_like_the_vendor(client: Client) -> None:
    response = post(client, Body="a" * 161)
    answer = response.json_object()
    assert response.status == 201
    assert str(uuid.UUID(answer["sid"])) == answer["sid"]
    assert (answer["num_segments"], answer["status"]) == (2, "queued")
    one = client.get(f"{URL}/{answer['sid']}", **login(*AUTH)).json_object()
    assert one["sid"] == answer["sid"]
    assert client.get(f"{URL}/none", **login(*AUTH)).status == 404
    assert SETTINGS["api_token"] not in str(client.messages())


def test_refuses_unknown_credentials(client: Client) -> None:
    response = post(client, auth=(AUTH[0], "wrong"))
    assert (response.status, response.json_object()["code"]) == (401, 20003)
    assert client.get(URL).status == 401
    assert client.messages() == []


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"To": ""}, 400, 21604),
        ({"From": ""}, 400, 21212),
        ({"Body": ""}, 400, 21602),
        ({"Body": "x" * 1601}, 400, 21617),
        ({"To": "12025550142"}, 400, 21211),
        ({"ValidityPeriod": "172801"}, 422, 20010),
        ({"To": "+15005550001"}, 400, 21211),
        ({"To": "+15005550004"}, 400, 21610),
        ({"To": "+15005550009"}, 400, 21614),
        ({"To": "+15005550011"}, 400, 21611),
        ({"To": "+15005550012"}, 429, 20429),
        ({"To": "+15005550017"}, 400, 21717),
        ({"To": "+15005550050"}, 500, 20001),
    ],
)
def test_refuses_with_the_vendors_code(
    client: Client, changes: dict[str, str], status: int, code: int
) -> None:
    response = post(client, **changes)
    assert (response.status, response.json_object()["code"]) == (status, code)
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
    provider = SignalWire(SETTINGS, base_url=f"{client.url}/signalwire")
    message = Message(
        attempt_id="attempt-1",
        channel=Channel.SMS,
        to=number,
        text="Order #1042 is ready 🍜",
        callback_url=CALLBACK,
    )
    accepted = provider.outcome(message, client.send(provider.request(message)))
    look_up = provider.look_up(message)
    assert look_up is not None
    found = provider.looked_up(message, client.send(look_up))
    assert found is not None
    assert found.vendor_id == accepted.vendor_id
    receipts = [provider.receipts(receiver.next().as_call())[0] for _ in range(2)]
    assert [receipt.kind for receipt in receipts] == [ReceiptKind.SENT, kind]
    assert receipts[-1].error == error
    assert {receipt.attempt_id for receipt in receipts} == {"attempt-1"}
    assert {receipt.vendor_id for receipt in receipts} == {accepted.vendor_id}
    assert client.messages(order="1042")[0]["attempt"] == "attempt-1"


def test_stop_is_ours_alone(client: Client, receiver: Receiver) -> None:
    words = {"vendor": "signalwire", "from": "+12025550142", "text": "STOP"}
    answer = client.control("POST", "reply", words)
    assert (answer["status"], answer["to"], answer["vendor_note"]) == (200, "+12025550100", "")
    (reply,) = SignalWire(SETTINGS).replies(receiver.next().as_call())
    assert (reply.sender, reply.text, reply.vendor_handled) == ("+12025550142", "STOP", "")
    assert post(client).status == 201


def test_never_calls_a_url_that_is_not_the_accounts(client: Client, receiver: Receiver) -> None:
    assert post(client, StatusCallback="https://elsewhere.example.com/x").status == 201
    assert client.control("GET", "health")["callbacks"]["waiting"] == 0
    assert receiver.calls.empty()
