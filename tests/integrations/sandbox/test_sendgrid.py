"""The SendGrid stand-in: JSON, errors that name a field, signed batches and forwarded mail."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.contracts import Channel, HttpRequest, HttpResponse, Message, ReceiptKind
from integrations.providers.sendgrid import SendGrid
from integrations.sandbox.vendors.sendgrid import PUBLIC_KEY
from tests.integrations.sandbox.calls import Client, Receiver

SETTINGS = {
    "api_key": "SG.test",
    "from_address": "orders@example.com",
    "reply_to": "r.tok@parse.example.com",
    "event_public_key": PUBLIC_KEY,
    "parse_public_key": PUBLIC_KEY,
}
URL = "/sendgrid/v3/mail/send"


@pytest.fixture(autouse=True)
def account(client: Client) -> None:
    client.register("sendgrid", SETTINGS)


def post(client: Client, key: str = "SG.test", accept: str = "*/*", **changes: Any) -> HttpResponse:
    mail = {
        "personalizations": [{"to": [{"email": "ana@example.com"}]}],
        "from": {"email": "orders@example.com"},
        "subject": "Order #1042 is ready",
        "content": [{"type": "text/plain", "value": "Come and get it."}],
        **changes,
    }
    mail = {name: value for name, value in mail.items() if value is not None}
    headers = {"Authorization": f"Bearer {key}", "Accept": accept}
    return client.send(HttpRequest.post(URL, json_body=mail, headers=headers))


def to(address: str, **more: Any) -> dict[str, Any]:
    return {"personalizations": [{"to": [{"email": address}], **more}]}


def test_accepts_a_mail_like_the_vendor(client: Client) -> None:
    response = post(client)
    assert (response.status, response.body) == (202, b"")
    assert len(response.headers["x-message-id"]) == 22
    (message,) = client.messages(order="1042")
    assert (message["channel"], message["to"]) == ("email", "ana@example.com")
    assert "SG.test" not in str(message)


def test_refuses_a_wrong_key_and_gives_its_public_one(client: Client) -> None:
    assert post(client, key="SG.wrong").status == 401
    path = "/sendgrid/v3/user/webhooks/event/settings/signed"
    assert client.get(path).status == 401
    answer = client.get(path, Authorization="Bearer SG.test").json_object()
    assert answer == {"public_key": PUBLIC_KEY}
    assert client.messages() == []


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({"personalizations": None}, 400, "personalizations"),
        (to("nobody"), 400, "personalizations.0.to.0.email"),
        (to("a@example.com", custom_args={"n": 1}), 400, "personalizations.0.custom_args"),
        ({"from": None}, 400, "from.email"),
        ({"from": {"email": "x@example.org"}}, 403, "from"),
        ({"subject": None}, 400, "subject"),
        ({"content": None}, 400, "content"),
        ({"content": [{"type": "text/plain", "value": ""}]}, 400, "content"),
        ({"accept": "text/html"}, 406, None),
        (to("invalid@example.com"), 400, "personalizations.0.to.0.email"),
        (to("credits@example.com"), 401, None),
        (to("error@example.com"), 500, None),
        (to("throttled@example.com"), 429, None),
    ],
)
def test_refuses_naming_the_field(
    client: Client, changes: dict[str, Any], status: int, field: str | None
) -> None:
    response = post(client, **changes)
    assert response.status == status
    [error] = response.json_object()["errors"]
    assert (error["field"], bool(error["message"])) == (field, True)
    assert ("x-ratelimit-reset" in response.headers) is (status == 429)
    assert client.messages() == []


def test_a_template_brings_its_own_words(client: Client) -> None:
    changes = to("ana@example.com", dynamic_template_data={"subject": "Order #7", "text": "Ready"})
    assert post(client, template_id="d-1", subject=None, content=None, **changes).status == 202
    (message,) = client.messages()
    assert (message["subject"], message["text"]) == ("Order #7", "Ready")
    assert message["extra"]["template"] == "d-1"


@pytest.mark.parametrize(
    ("local", "kinds"),
    [
        ("ana", [ReceiptKind.SENT, ReceiptKind.DELIVERED]),
        ("bounce", [ReceiptKind.SENT, ReceiptKind.BOUNCED]),
        ("blocked", [ReceiptKind.SENT, ReceiptKind.FAILED]),
        ("suppressed", [ReceiptKind.SENT, ReceiptKind.FAILED]),
        ("optedout", [ReceiptKind.SENT, ReceiptKind.FAILED]),
        ("deferred", [ReceiptKind.SENT, None, ReceiptKind.DELIVERED]),
        ("complaint", [ReceiptKind.SENT, ReceiptKind.DELIVERED, ReceiptKind.COMPLAINED]),
        ("unsubscribed", [ReceiptKind.SENT, ReceiptKind.DELIVERED, ReceiptKind.UNSUBSCRIBED]),
        ("opened", [ReceiptKind.SENT, ReceiptKind.DELIVERED, ReceiptKind.READ]),
    ],
)
def test_understands_our_provider_both_ways(
    client: Client, receiver: Receiver, local: str, kinds: list[ReceiptKind | None]
) -> None:
    provider = SendGrid(SETTINGS, base_url=f"{client.url}/sendgrid")
    message = Message(
        attempt_id="attempt-1",
        channel=Channel.EMAIL,
        to=f"{local}@example.com",
        text="Come and get it.",
        html="<p>Come and get it.</p>",
        subject="Order #1042 is ready",
        links={"unsubscribe": "https://alerts.example.com/u/tok/"},
    )
    accepted = provider.outcome(message, client.send(provider.request(message)))
    found = [provider.receipts(receiver.next().as_call()) for _ in kinds]
    assert [batch[0].kind if batch else None for batch in found] == kinds
    receipts = [receipt for batch in found for receipt in batch]
    assert {receipt.attempt_id for receipt in receipts} == {"attempt-1"}
    assert {receipt.vendor_id for receipt in receipts} == {accepted.vendor_id}
    assert len({receipt.event_id for receipt in receipts}) == len(receipts)
    (kept,) = client.messages(vendor="sendgrid")
    assert (kept["attempt"], kept["html"]) == ("attempt-1", "<p>Come and get it.</p>")
    assert kept["extra"]["unsubscribe"] == "https://alerts.example.com/u/tok/"


def test_forwards_mail_people_send_back(client: Client, receiver: Receiver) -> None:
    words = {"vendor": "sendgrid", "from": "ana@example.com", "text": "STOP\r\n> é"}
    answer = client.control("POST", "reply", words)
    assert (answer["status"], answer["to"]) == (200, "r.tok@parse.example.com")
    (reply,) = SendGrid(SETTINGS).replies(receiver.next().as_call())
    assert (reply.sender, reply.text, reply.vendor_id) == ("ana@example.com", "STOP", answer["id"])
    assert reply.recipient == "r.tok@parse.example.com"
    assert client.try_control("POST", "reply", {**words, "from": "ana"}).status == 400
