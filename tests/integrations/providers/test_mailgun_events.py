"""Every event Mailgun posts, its signature's age, and forwarded mail."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from mailgun.security import SecurityGuard

from integrations.contracts import InboundCall
from integrations.errors import PayloadMalformed, SignatureInvalid
from tests.integrations import fixture_files as files

HOOK = "https://alerts.example.com/hooks/messages/tok_1/"
KEY = "webhook-signing-key"
TOKEN = "a8ce0edb2dd8301dee6c2405235584e45aa91d1e9f979f3de0"
NOW = datetime(2026, 3, 14, 22, 42, 5, tzinfo=UTC)


def signature(moment: datetime = NOW, token: str = TOKEN) -> dict[str, str]:
    stamp = str(int(moment.timestamp()))
    mac = hmac.new(KEY.encode(), (stamp + token).encode(), hashlib.sha256).hexdigest()
    return {"timestamp": stamp, "token": token, "signature": mac}


def event_call(event: object, block: object = None, at: datetime = NOW) -> InboundCall:
    body = json.dumps(
        {"signature": signature() if block is None else block, "event-data": event}
    ).encode()
    return InboundCall("POST", HOOK, {"content-type": "application/json"}, body, at)


def read(**event: Any) -> list[tuple[str, str]]:
    fields = {"recipient": "ana@example.com", "user-variables": {"attempt_id": "at-1"}, **event}
    found = files.provider("mailgun").receipts(event_call(fields))
    return [(receipt.kind.value, receipt.error) for receipt in found]


def test_a_known_signature() -> None:
    block = {
        "timestamp": "1529006854",
        "token": TOKEN,
        "signature": "44540250428cccadc671c773f2ca19be17eabdfce5075fc472d3730e51a11e4f",
    }
    assert SecurityGuard.verify_webhook(KEY, **block, max_age_seconds=0)  # the vendor's own SDK
    at = datetime.fromtimestamp(1529006854, tz=UTC)
    [receipt] = files.provider("mailgun").receipts(event_call({"event": "delivered"}, block, at))
    assert receipt.event_id == TOKEN


@pytest.mark.parametrize(
    ("event", "kinds"),
    [
        ("accepted", [("sent", "")]),
        ("delivered", [("delivered", "")]),
        ("opened", [("read", "")]),
        ("clicked", [("clicked", "")]),
        ("unsubscribed", [("unsubscribed", "")]),
        ("complained", [("complained", "")]),
        ("rejected", [("failed", "rejected")]),
        ("stored", []),
        ("list_member_uploaded", []),
        (None, []),
    ],
)
def test_every_event(event: str | None, kinds: list[tuple[str, str]]) -> None:
    assert read(event=event) == kinds


@pytest.mark.parametrize("event", ["opened", "clicked"])
def test_machines_do_not_read(event: str) -> None:
    assert read(event=event, **{"client-info": {"bot": "apple"}}) == []
    assert len(read(event=event, **{"client-info": {"bot": ""}})) == 1


@pytest.mark.parametrize(
    ("reason", "status", "kind", "error"),
    [
        ("bounce", {"code": 550}, "bounced", "unreachable"),
        ("hardfail", {"code": 554}, "bounced", "unreachable"),
        ("suppress-bounce", {"code": 605}, "failed", "unreachable"),
        ("suppress-complaint", {"code": 607}, "failed", "opted_out"),
        ("suppress-unsubscribe", {"code": 606}, "failed", "opted_out"),
        ("suppress-new", {}, "failed", "unreachable"),
        ("old", {"code": 602}, "expired", ""),
        ("espblock", {"code": 550, "message": "5.7.1 blocked"}, "failed", ""),
        ("blacklisted", {"code": 550}, "failed", ""),
        ("generic", {"code": 550}, "failed", ""),
        ("generic", {"code": 550, "enhanced-code": "5.1.1"}, "bounced", "unreachable"),
        ("generic", {"code": 550, "message": "5.1.10 no such user"}, "bounced", "unreachable"),
        ("generic", {"code": 552, "message": "5.2.2 mailbox full"}, "failed", ""),
        ("", {"code": 605}, "failed", "unreachable"),
        ("", {"code": 550}, "bounced", "unreachable"),
        ("", {"code": 550, "message": "5.7.26 not authenticated"}, "failed", ""),
        ("", {}, "failed", ""),
    ],
)
def test_permanent_failures(reason: str, status: dict[str, Any], kind: str, error: str) -> None:
    event = {"reason": reason, "severity": "permanent", "delivery-status": status}
    assert read(event="failed", **event) == [(kind, error)]


def test_temporary_failures_say_nothing_yet() -> None:
    assert read(event="failed", severity="temporary", reason="bounce") == []


@pytest.mark.parametrize(
    "event", [None, [], "x", {"event": "delivered", "message": [], "client-info": 1}]
)
def test_odd_shapes_do_not_raise(event: Any) -> None:
    files.provider("mailgun").receipts(event_call(event))


@pytest.mark.parametrize("when", [1e300, float("inf"), "1529", None, -1e20])
def test_a_time_that_is_none(when: Any) -> None:
    call = event_call({"event": "delivered", "timestamp": when})
    [receipt] = files.provider("mailgun").receipts(call)
    assert receipt.vendor_time is None


@pytest.mark.parametrize("hours", [0, 8, 8.1, 9])
def test_the_vendors_repetitions_are_fresh_enough(hours: float) -> None:
    call = event_call({"event": "delivered"}, at=NOW + timedelta(hours=hours))
    assert len(files.provider("mailgun").receipts(call)) == 1


@pytest.mark.parametrize("delta_s", [-301, 9 * 3600 + 1, 86400 * 30])
def test_old_and_future_signatures_are_refused(delta_s: int) -> None:
    call = event_call({"event": "delivered"}, at=NOW + timedelta(seconds=delta_s))
    with pytest.raises(SignatureInvalid, match="old"):
        files.provider("mailgun").receipts(call)


def test_the_key_before_counts_while_it_is_set() -> None:
    rotated = files.provider("mailgun", signing_key="new", previous_signing_key=KEY)
    made, forwarded = event_call({"event": "delivered"}), mail_call()
    assert (len(rotated.receipts(made)), len(rotated.replies(forwarded))) == (1, 1)
    fresh = files.provider("mailgun", signing_key="new")
    for read_, call in ((fresh.receipts, made), (fresh.replies, forwarded)):
        with pytest.raises(SignatureInvalid):
            read_(call)


def test_a_late_bounce_is_a_bounce() -> None:
    event = {"reason": "bounce", "severity": "permanent", "delivery-status": {"code": 550}}
    late = {**event, "is-delayed-bounce": True}
    assert read(event="failed", **late) == [("bounced", "unreachable")]


def test_without_a_signing_key_nothing_is_believed() -> None:
    """Anymail alone would fall back to the API key."""
    provider = files.provider("mailgun", signing_key="")
    for read_ in (provider.receipts, provider.replies):
        with pytest.raises(SignatureInvalid, match="no webhook signing key"):
            read_(event_call({"event": "delivered"}))


@pytest.mark.parametrize("block", [{}, {"timestamp": 1, "token": 2, "signature": 3}, [1], "x"])
def test_signature_blocks_of_odd_shape(block: Any) -> None:
    with pytest.raises(SignatureInvalid):
        files.provider("mailgun").receipts(event_call({"event": "delivered"}, block))


# --- forwarded mail -------------------------------------------------------------------------------

HEADERS = [["From", "Ana <ana@example.com>"], ["Message-Id", "<1@example.com>"]]


def mail_call(headers: list[list[str]] | None = None, **fields: str | None) -> InboundCall:
    form = {
        "recipient": "r.tok@in.example.com",
        "sender": "ana@example.com",
        "body-plain": "Where is it?",
        "message-headers": json.dumps(HEADERS if headers is None else headers),
        **signature(),
        **fields,
    }
    body = urlencode({name: value for name, value in form.items() if value is not None})
    types = {"content-type": "application/x-www-form-urlencoded"}
    return InboundCall("POST", HOOK, types, body.encode(), NOW)


def replies(call: InboundCall) -> Any:
    return files.provider("mailgun").replies(call)


def test_quoted_text_is_left_out_where_mailgun_found_it() -> None:
    [reply] = replies(mail_call(**{"stripped-text": "Where?", "body-plain": "Where?\n> old"}))
    assert reply.text == "Where?"
    [reply] = replies(mail_call())
    assert (reply.text, reply.sender, reply.vendor_id) == (
        "Where is it?",
        "ana@example.com",
        TOKEN,
    )


def test_an_empty_mail_speaks_by_its_subject() -> None:
    headers = [*HEADERS, ["Subject", "unsubscribe"]]
    [reply] = replies(mail_call(headers, **{"body-plain": " \r\n"}))
    assert reply.text == "unsubscribe"


def test_one_signature_is_one_reply_whatever_stands_under_it() -> None:
    """The token is signed and the mail is not: a second mail under it counts as the first."""
    first = mail_call()
    second = mail_call(
        [["From", "Bo <bo@example.com>"], ["Message-Id", "<2@example.com>"]],
        **{"sender": "bo@example.com", "body-plain": "START"},
    )
    nameless = mail_call([["From", "ana@example.com"]])
    assert {reply.vendor_id for call in (first, second, nameless) for reply in replies(call)} == {
        TOKEN
    }


@pytest.mark.parametrize(
    "headers",
    [
        [["Auto-Submitted", "auto-replied"]],
        [["Auto-Submitted", "auto-generated"]],
        [["Precedence", "bulk"]],
        [["Precedence", "auto_reply"]],
    ],
)
def test_automatic_answers_are_not_words_of_a_person(headers: list[list[str]]) -> None:
    assert replies(mail_call([*HEADERS, *headers])) == []
    assert len(replies(mail_call([*HEADERS, ["Auto-Submitted", "no"]]))) == 1


def test_a_bounce_is_not_words_of_a_person() -> None:
    assert replies(mail_call(sender="")) == []


def test_raw_mime() -> None:
    mime = (
        "From: Ana <ana@example.com>\r\nMessage-ID: <2@example.com>\r\nSubject: Re\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n\r\n¿Dónde está? 🍜\r\n"
    )
    [reply] = replies(mail_call(**{"body-mime": mime, "message-headers": None}))
    assert (reply.text, reply.vendor_id) == ("¿Dónde está? 🍜", TOKEN)


def test_a_multipart_form_with_an_attachment() -> None:
    fields = {
        "sender": "ana@example.com",
        "recipient": "r.tok@in.example.com",
        "body-plain": "STATUS",
        "attachment-count": "1",
        "message-headers": json.dumps(HEADERS),
        **signature(),
    }
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    parts.append(
        '--b\r\nContent-Disposition: form-data; name="attachment-1"; filename="a.txt"\r\n'
        "Content-Type: text/plain\r\n\r\nhello\r\n--b--\r\n"
    )
    types = {"content-type": "multipart/form-data; boundary=b"}
    [reply] = replies(InboundCall("POST", HOOK, types, "".join(parts).encode(), NOW))
    assert reply.text == "STATUS"


@pytest.mark.parametrize(
    "fields",
    [
        {"message-headers": None},
        {"message-headers": "{"},
        {"message-headers": "[1]"},
        {"event": "opened"},
    ],
)
def test_a_signed_mail_that_cannot_be_read(fields: dict[str, str | None]) -> None:
    with pytest.raises(PayloadMalformed, match="forwarded mail"):
        replies(mail_call(**fields))


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data", "multipart/form-data; boundary=b", "text/plain", ""]
)
def test_bodies_of_other_types_are_refused(content_type: str) -> None:
    call = InboundCall("POST", HOOK, {"content-type": content_type}, b"--b\r\njunk", NOW)
    for read_ in (files.provider("mailgun").receipts, files.provider("mailgun").replies):
        with pytest.raises(SignatureInvalid):
            read_(call)
