"""The Mailgun stand-in: forms, error texts, signed webhooks and forwarded mail."""

from __future__ import annotations

import hashlib
import hmac
import re

import pytest

from integrations.contracts import Channel, HttpRequest, Message, ReceiptKind
from integrations.providers.mailgun import Mailgun
from tests.integrations.sandbox.calls import MAILGUN, PUBLIC, Client, Receiver, login, mail

URL = "/mailgun/v3/mg.example.com/messages"


@pytest.fixture(autouse=True)
def account(client: Client) -> None:
    client.register("mailgun", MAILGUN)


def _is_signed(timestamp: str, token: str, signature: str) -> bool:
    key, signed = MAILGUN["signing_key"].encode(), f"{timestamp}{token}".encode()
    return hmac.compare_digest(hmac.new(key, signed, hashlib.sha256).hexdigest(), signature)


def test_accepts_a_mail_like_the_vendor(client: Client) -> None:
    response = mail(client)
    assert response.status == 200
    answer = response.json_object()
    assert re.fullmatch(r"<\d{14}\.1\.[0-9A-F]{16}@mg\.example\.com>", answer["id"])
    assert answer["message"] == "Queued. Thank you."
    (message,) = client.messages(order="1042")
    assert (message["channel"], message["to"]) == ("email", "ana@example.com")
    assert (message["subject"], message["attempt"]) == ("Order #1042 is ready", "attempt-1")
    assert f"<{message['id']}>" == answer["id"]


def test_takes_multipart_forms(client: Client) -> None:
    fields = {"from": "a@mg.example.com", "to": "b@example.com", "subject": "Hi", "text": "Tags"}
    parts = [*fields.items(), ("o:tag", "one"), ("o:tag", "two")]
    body = "".join(
        f'--cut\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in parts
    )
    headers = {
        "Content-Type": "multipart/form-data; boundary=cut",
        **login("api", MAILGUN["api_key"]),
    }
    response = client.send(HttpRequest("POST", URL, headers, f"{body}--cut--\r\n".encode()))
    assert response.status == 200
    assert client.messages()[0]["raw"]["body"]["o:tag"] == ["one", "two"]


def test_refuses_a_wrong_key_and_a_wrong_domain(client: Client) -> None:
    wrong = client.send(HttpRequest.post(URL, form={"to": "x"}, auth=("api", "nope")))
    assert (wrong.status, wrong.text()) == (401, "Forbidden")
    url = "/mailgun/v3/other.example.com/messages"
    other = client.send(HttpRequest.post(url, form={"to": "x"}, auth=("api", MAILGUN["api_key"])))
    assert other.status == 404
    assert other.json_object() == {"message": "Domain not found: other.example.com"}
    assert client.messages() == []


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"from": ""}, 400, "from parameter is missing"),
        ({"to": ""}, 400, "to parameter is missing"),
        ({"subject": ""}, 400, "subject parameter is missing"),
        ({"text": ""}, 400, "Need at least one of"),
        ({"to": "nobody"}, 400, "to parameter is not a valid address"),
        ({"to": "invalid@example.com"}, 400, "to parameter is not a valid address"),
        ({"to": "error@example.com"}, 500, "Internal Server Error"),
        ({"to": "throttled@example.com"}, 429, "try again after"),
    ],
)
def test_refuses_with_the_vendors_words(
    client: Client, fields: dict[str, str], status: int, words: str
) -> None:
    response = mail(client, **fields)
    assert response.status == status
    assert words in response.json_object()["message"]
    assert ("x-ratelimit-reset" in response.headers) is (status == 429)
    assert client.messages() == []


def test_a_stored_template_needs_no_subject(client: Client) -> None:
    assert mail(client, subject="", text="", template="order-status").status == 200


def test_posts_signed_events(client: Client, receiver: Receiver) -> None:
    message_id = mail(client, **{"o:tag": "ready"}).json_object()["id"].strip("<>")
    calls = [receiver.next().json, receiver.next().json]
    assert [call["event-data"]["event"] for call in calls] == ["accepted", "delivered"]
    for call in calls:
        assert _is_signed(**call["signature"])
        event = call["event-data"]
        assert event["message"]["headers"]["message-id"] == message_id
        assert event["user-variables"] == {"attempt_id": "attempt-1"}
        assert (event["recipient"], event["tags"]) == ("ana@example.com", ["ready"])
    assert calls[0]["signature"]["token"] != calls[1]["signature"]["token"]


@pytest.mark.parametrize(
    ("to", "kinds"),
    [
        ("ana@example.com", [ReceiptKind.SENT, ReceiptKind.DELIVERED]),
        ("bounce@example.com", [ReceiptKind.SENT, ReceiptKind.BOUNCED]),
        ("suppressed@example.com", [ReceiptKind.SENT, ReceiptKind.FAILED]),
        (
            "complaint@example.com",
            [ReceiptKind.SENT, ReceiptKind.DELIVERED, ReceiptKind.COMPLAINED],
        ),
        (
            "unsubscribed@example.com",
            [ReceiptKind.SENT, ReceiptKind.DELIVERED, ReceiptKind.UNSUBSCRIBED],
        ),
        ("opened@example.com", [ReceiptKind.SENT, ReceiptKind.DELIVERED, ReceiptKind.READ]),
    ],
)
def test_our_provider_reads_what_magic_recipients_provoke(
    client: Client, receiver: Receiver, to: str, kinds: list[ReceiptKind]
) -> None:
    provider = Mailgun(MAILGUN, base_url=f"{client.url}/mailgun")
    message = Message(
        attempt_id="attempt-1", channel=Channel.EMAIL, to=to, text="Come.", subject="Order #1042"
    )
    accepted = provider.outcome(message, client.send(provider.request(message)))
    found = provider.looked_up(message, client.send(provider.look_up(message)))
    assert found is not None
    assert found.vendor_id == accepted.vendor_id
    receipts = [receipt for _ in kinds for receipt in provider.receipts(receiver.next().as_call())]
    assert [receipt.kind for receipt in receipts] == kinds
    assert {receipt.vendor_id for receipt in receipts} == {accepted.vendor_id}
    assert {receipt.attempt_id for receipt in receipts} == {"attempt-1"}


def test_what_is_retried_by_the_vendor_says_nothing_new(client: Client, receiver: Receiver) -> None:
    provider = Mailgun(MAILGUN, base_url=f"{client.url}/mailgun")
    message = Message(
        attempt_id="attempt-1", channel=Channel.EMAIL, to="deferred@example.com", text="Come."
    )
    provider.outcome(message, client.send(provider.request(message)))
    found = [provider.receipts(receiver.next().as_call()) for _ in range(3)]
    assert [[receipt.kind for receipt in receipts] for receipts in found] == [
        [ReceiptKind.SENT],
        [],
        [ReceiptKind.DELIVERED],
    ]


def test_our_provider_fills_a_stored_template(client: Client) -> None:
    provider = Mailgun(MAILGUN, base_url=f"{client.url}/mailgun")
    message = Message(
        attempt_id="attempt-1",
        channel=Channel.EMAIL,
        to="ana@example.com",
        text="Order #1042 is ready.",
        vendor_template="order-status",
        variables={"number": "1042"},
    )
    provider.outcome(message, client.send(provider.request(message)))
    (seen,) = client.messages()
    assert (seen["text"], seen["html"]) == ("Order #1042 is ready.", "")
    assert seen["extra"]["template"] == "order-status"
    assert seen["extra"]["variables"] == {
        "number": "1042",
        "subject": "Order #1042 is ready.",
        "text": "Order #1042 is ready.",
    }


def test_forwards_signed_mail(client: Client, receiver: Receiver) -> None:
    reply = {"vendor": "mailgun", "from": "ana@example.com", "text": "Where is it?"}
    assert client.control("POST", "reply", reply)["to"] == "orders@mg.example.com"
    call = receiver.next()
    assert _is_signed(*(call.form[name] for name in ("timestamp", "token", "signature")))
    (read,) = Mailgun(MAILGUN).replies(call.as_call())
    assert (read.sender, read.text) == ("ana@example.com", "Where is it?")


def test_presses_the_unsubscribe_button(client: Client, receiver: Receiver) -> None:
    mail(client, **{"h:List-Unsubscribe": f"<{PUBLIC}/u/token-1>"})
    (message,) = client.messages()
    assert client.control("POST", "unsubscribe", {"id": message["id"]})["status"] == 200
    call = receiver.next()
    while call.path != "/u/token-1":
        call = receiver.next()
    assert call.form == {"List-Unsubscribe": "One-Click"}
