"""The Twilio stand-in: fields, error codes, signed callbacks and replies."""

from __future__ import annotations

import re

import pytest
from twilio.request_validator import RequestValidator

from integrations.contracts import Channel, HttpRequest, Message, ReceiptKind
from integrations.providers.twilio import Twilio
from tests.integrations.sandbox.calls import PUBLIC, SID, TWILIO, Client, Receiver, login, text

MESSAGES = f"/twilio/2010-04-01/Accounts/{SID}/Messages.json"
CALLBACK = f"{PUBLIC}/hooks/messages/twilio/?a=attempt-1"


@pytest.fixture(autouse=True)
def account(client: Client) -> None:
    client.register("twilio", TWILIO)


def test_accepts_a_text_like_the_vendor(client: Client) -> None:
    response = text(client, Body="a" * 161)
    answer = response.json_object()
    assert response.status == 201
    assert re.fullmatch(r"SM[0-9a-f]{32}", answer["sid"])
    assert answer["num_segments"] == "2"
    assert answer["status"] == "queued"
    assert answer["error_code"] is None
    assert (answer["to"], answer["from"]) == ("+12025550142", "+12025550100")


def test_a_messaging_service_takes_a_text_as_accepted(client: Client) -> None:
    answer = text(client, From="", MessagingServiceSid="MG" + "1" * 32).json_object()
    assert (answer["status"], answer["from"]) == ("accepted", None)
    assert answer["messaging_service_sid"] == "MG" + "1" * 32


@pytest.mark.parametrize(
    ("user", "password"),
    [(SID, "wrong"), ("AC" + "9" * 32, TWILIO["auth_token"]), ("", "")],
)
def test_refuses_unknown_credentials(client: Client, user: str, password: str) -> None:
    request = HttpRequest.post(MESSAGES, form={"To": "+12025550142"}, auth=(user, password))
    response = client.send(request)
    assert response.status == 401
    assert response.json_object() == {
        "code": 20003,
        "message": "Authenticate",
        "more_info": "https://www.twilio.com/docs/errors/20003",
        "status": 401,
    }
    assert client.messages() == []


def test_takes_an_api_key_instead_of_the_token(client: Client) -> None:
    client.register("twilio", {**TWILIO, "api_key_sid": "SK1", "api_key_secret": "key-secret"})
    form = {"To": "+12025550142", "From": "+1", "Body": "x"}
    request = HttpRequest.post(MESSAGES, form=form, auth=("SK1", "key-secret"))
    assert client.send(request).status == 201


def test_a_replaced_account_loses_its_old_token(client: Client) -> None:
    client.register("twilio", {**TWILIO, "auth_token": "rotated"})
    assert text(client).status == 401


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"To": ""}, 400, 21604),
        ({"From": ""}, 400, 21603),
        ({"Body": ""}, 400, 21602),
        ({"Body": "x" * 1601}, 400, 21617),
        ({"To": "12025550142"}, 400, 21211),
        ({"To": "+15005550001"}, 400, 21211),
        ({"To": "+15005550002"}, 400, 21612),
        ({"To": "+15005550009"}, 400, 21614),
        ({"To": "+15005550004"}, 400, 21610),
        ({"To": "+15005550003"}, 403, 21408),
        ({"To": "+15005550012"}, 429, 20429),
        ({"To": "+15005550050"}, 500, 20500),
        ({"To": "+15005550053"}, 503, 20503),
    ],
)
def test_refuses_with_the_vendors_code(
    client: Client, fields: dict[str, str], status: int, code: int
) -> None:
    response = text(client, **fields)
    assert (response.status, response.json_object()["code"]) == (status, code)
    assert response.json_object()["status"] == status
    assert client.messages() == []
    assert ("retry-after" in response.headers) is (status in (429, 503))


def test_records_what_the_vendor_saw_without_credentials(client: Client) -> None:
    sid = text(client, StatusCallback=CALLBACK).json_object()["sid"]
    (message,) = client.messages(vendor="twilio", order="1042")
    assert message["id"] == sid
    assert (message["channel"], message["to"]) == ("sms", "+12025550142")
    assert (message["order"], message["attempt"]) == ("1042", "attempt-1")
    assert message["raw"]["body"]["Body"] == "Order #1042 is ready"
    assert TWILIO["auth_token"] not in str(message)
    assert "Authorization" not in message["raw"]["headers"]


def test_posts_signed_status_callbacks(client: Client, receiver: Receiver) -> None:
    sid = text(client, StatusCallback=CALLBACK).json_object()["sid"]
    calls = [receiver.next(), receiver.next()]
    assert [call.form["MessageStatus"] for call in calls] == ["sent", "delivered"]
    validator = RequestValidator(TWILIO["auth_token"])
    for call in calls:
        assert call.url == CALLBACK
        assert call.form["MessageSid"] == call.form["SmsSid"] == sid
        assert validator.validate(CALLBACK, call.form, call.headers["x-twilio-signature"])
        assert not validator.validate(
            CALLBACK, {**call.form, "To": "+1"}, call.headers["x-twilio-signature"]
        )


@pytest.mark.parametrize(
    ("number", "status", "code"),
    [
        ("+15005550030", "undelivered", "30003"),
        ("+15005550031", "undelivered", "30005"),
        ("+15005550032", "undelivered", "30007"),
        ("+15005550033", "failed", "30008"),
    ],
)
def test_magic_numbers_fail_after_acceptance(
    client: Client, receiver: Receiver, number: str, status: str, code: str
) -> None:
    assert text(client, To=number, StatusCallback=CALLBACK).status == 201
    assert receiver.next().form["MessageStatus"] == "sent"
    last = receiver.next().form
    assert (last["MessageStatus"], last["ErrorCode"]) == (status, code)


def test_never_calls_a_url_that_is_not_the_accounts(client: Client, receiver: Receiver) -> None:
    assert text(client, StatusCallback="https://elsewhere.example.com/x").status == 201
    assert client.control("GET", "health")["callbacks"]["waiting"] == 0
    assert receiver.calls.empty()


def test_looks_messages_up(client: Client) -> None:
    first, other = (text(client, Body=body).json_object()["sid"] for body in ("first", "second"))
    text(client, To="+12025550199")
    answer = client.get(f"{MESSAGES}?To=%2B12025550142", **login(SID, TWILIO["auth_token"]))
    assert [found["sid"] for found in answer.json_object()["messages"]] == [other, first]
    one = MESSAGES.replace(".json", f"/{first}.json")
    assert client.get(one, **login(SID, TWILIO["auth_token"])).json_object()["body"] == "first"
    none = MESSAGES.replace(".json", "/SM0.json")
    assert client.get(none, **login(SID, TWILIO["auth_token"])).json_object()["code"] == 20404
    assert client.get(MESSAGES).status == 401


def test_posts_signed_replies_and_blocks_after_stop(client: Client, receiver: Receiver) -> None:
    text(client)
    reply = {"vendor": "twilio", "from": "+12025550142", "text": " Stop "}
    answer = client.control("POST", "reply", reply)
    assert (answer["status"], answer["to"]) == (200, "+12025550100")
    assert "unsubscribed" in answer["vendor_note"]
    call = receiver.next()
    assert (call.form["Body"], call.form["From"]) == (" Stop ", "+12025550142")
    assert "OptOutType" not in call.form
    validator = RequestValidator(TWILIO["auth_token"])
    url = f"{PUBLIC}/hooks/messages/twilio/"
    assert validator.validate(url, call.form, call.headers["x-twilio-signature"])

    assert text(client).json_object()["code"] == 21610
    assert text(client, To="+12025550177").status == 201
    client.control("POST", "reply", {**reply, "text": "START"})
    assert text(client).status == 201


def test_a_messaging_service_names_the_opt_out_word(client: Client, receiver: Receiver) -> None:
    client.register("twilio", {**TWILIO, "messaging_service_sid": "MG1"})
    client.control("POST", "reply", {"vendor": "twilio", "from": "+12025550142", "text": "STOP"})
    form = receiver.next().form
    assert (form["OptOutType"], form["MessagingServiceSid"]) == ("STOP", "MG1")


def test_ordinary_words_are_not_heeded(client: Client) -> None:
    reply = {"vendor": "twilio", "from": "+12025550142", "text": "stop sending it so late"}
    assert client.control("POST", "reply", reply)["vendor_note"] == ""
    assert text(client).status == 201


def test_understands_our_provider_both_ways(client: Client, receiver: Receiver) -> None:
    provider = Twilio(TWILIO, base_url=f"{client.url}/twilio")
    message = Message(
        attempt_id="attempt-1",
        channel=Channel.SMS,
        to="+12025550142",
        text="Order #1042 is ready",
        callback_url=CALLBACK,
    )
    accepted = provider.outcome(message, client.send(provider.request(message)))
    assert accepted.segments == 1
    found = provider.looked_up(message, client.send(provider.look_up(message)))
    assert found is not None
    assert found.vendor_id == accepted.vendor_id
    receipts = [provider.receipts(receiver.next().as_call())[0] for _ in range(2)]
    assert [receipt.kind for receipt in receipts] == [ReceiptKind.SENT, ReceiptKind.DELIVERED]
    assert {receipt.attempt_id for receipt in receipts} == {"attempt-1"}
    assert {receipt.vendor_id for receipt in receipts} == {accepted.vendor_id}
    client.control("POST", "reply", {"vendor": "twilio", "from": message.to, "text": "where?"})
    (reply,) = provider.replies(receiver.next().as_call())
    assert (reply.sender, reply.text, reply.vendor_handled) == (message.to, "where?", "")
