"""Every event of SendGrid's webhook, its signature, and mail of Inbound Parse."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from integrations.contracts import InboundCall
from integrations.errors import PayloadMalformed, SignatureInvalid
from tests.integrations import fixture_files as files

HOOK = "https://alerts.example.com/hooks/messages/tok_1/"
NOW = datetime(2026, 3, 14, 22, 42, 5, tzinfo=UTC)
SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"
PAIR = ec.derive_private_key(42, ec.SECP256R1())


def public(key: Any) -> str:
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


KEY = public(PAIR)


def call(body: bytes, kind: str = "application/json", at: datetime = NOW) -> InboundCall:
    stamp = str(int(at.timestamp()))
    signature = PAIR.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    headers = {
        "content-type": kind,
        SIGNATURE: base64.b64encode(signature).decode(),
        TIMESTAMP: stamp,
    }
    return InboundCall("POST", HOOK, headers, body, NOW)


def provider(**changes: str) -> Any:
    return files.provider(
        "sendgrid", **{"event_public_key": KEY, "parse_public_key": "", **changes}
    )


def events(*found: object) -> InboundCall:
    return call(json.dumps(found).encode() + b"\r\n")


def read(**event: Any) -> list[tuple[str, str, str]]:
    found = provider().receipts(events({"attempt_id": "at-1", "sg_event_id": "e-1", **event}))
    return [(receipt.kind.value, receipt.error, receipt.vendor_code) for receipt in found]


@pytest.mark.parametrize(
    ("event", "kinds"),
    [
        ("processed", [("sent", "", "")]),
        ("deferred", []),
        ("delivered", [("delivered", "", "")]),
        ("open", [("read", "", "")]),
        ("click", [("clicked", "", "")]),
        ("spamreport", [("complained", "", "")]),
        ("unsubscribe", [("unsubscribed", "", "")]),
        ("group_unsubscribe", [("unsubscribed", "", "")]),
        ("group_resubscribe", []),
        ("brand_new", []),
        (None, []),
    ],
)
def test_every_event(event: str | None, kinds: list[tuple[str, str, str]]) -> None:
    assert read(event=event) == kinds


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("Bounced Address", "unreachable"),
        ("Invalid", "unreachable"),
        ("Unsubscribed Address", "opted_out"),
        ("Spam Reporting Address", "opted_out"),
        ("Spam Content", "rejected"),
        ("Recipient List over Package Quota", "config"),
        ("Invalid SMTPAPI header", "config"),
        ("bounced address", "unreachable"),
        ("Something new", ""),
        ("", ""),
    ],
)
def test_every_reason_of_a_dropped_message(reason: str, error: str) -> None:
    assert read(event="dropped", reason=reason) == [("failed", error, reason)]


@pytest.mark.parametrize(
    ("kind", "classification", "status", "expected"),
    [
        ("bounce", "Invalid Address", "5.1.1", ("bounced", "unreachable", "Invalid Address")),
        ("bounce", "", "5.1.1", ("bounced", "unreachable", "5.1.1")),
        ("blocked", "Reputation", "5.7.1", ("failed", "", "Reputation")),
        ("blocked", "", "", ("failed", "", "")),
        *(
            ("bounce", word, "5.0.0", ("bounced", "unreachable", word))
            for word in (
                *("Content", "Frequency or Volume Too High", "Mailbox Unavailable"),
                *("Reputation", "Technical Failure", "Unclassified"),
            )
        ),
    ],
)
def test_every_bounce(
    kind: str, classification: str, status: str, expected: tuple[str, str, str]
) -> None:
    event = {"type": kind, "bounce_classification": classification, "status": status}
    assert read(event="bounce", **event) == [expected]


def test_machines_do_not_read() -> None:
    assert read(event="open", sg_machine_open=True) == []
    assert len(read(event="open", sg_machine_open=False)) == 1


def test_many_events_in_one_call_keep_their_ids() -> None:
    found = provider().receipts(
        events(
            {"event": "processed", "sg_message_id": "abc.filter1", "sg_event_id": "1"},
            None,
            {"event": "delivered", "sg_message_id": "abc", "sg_event_id": "2"},
            {"event": "delivered", "sg_event_id": "3"},  # about nothing of ours
        )
    )
    assert [(r.event_id, r.vendor_id) for r in found] == [("1", "abc"), ("2", "abc")]


@pytest.mark.parametrize("when", [1e300, float("inf"), "1529", None, True])
def test_a_time_that_is_none(when: Any) -> None:
    body = json.dumps([{"event": "delivered", "attempt_id": "a", "timestamp": when}])
    made = call(body.replace("Infinity", "1e999").encode())
    [receipt] = provider().receipts(made)
    assert receipt.vendor_time is None


@pytest.mark.parametrize("body", [b"{", b"NaN"])
def test_a_signed_body_that_is_not_json(body: bytes) -> None:
    with pytest.raises(PayloadMalformed):
        provider().receipts(call(body))


@pytest.mark.parametrize("body", [b"{}", b"null", b'"x"', b"[[]]"])
def test_a_signed_body_that_is_no_list(body: bytes) -> None:
    assert provider().receipts(call(body)) == []


# --- the signature --------------------------------------------------------------------------------

VECTOR_KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+"
    "2fNNRaINXvVpiglSI8eNEc6wEA3F+g=="
)
VECTOR_SIGNATURE = base64.b64encode(
    base64.b64decode("MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM")
    + base64.b64decode("+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM=")
).decode()
VECTOR_BODY = (
    b'[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address",'
    b'"sg_event_id":"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",'
    b'"sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",'
    b'"smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>",'
    b'"timestamp":1600112492}]\r\n'
)


def vector() -> InboundCall:
    headers = {
        "content-type": "application/json",
        SIGNATURE: VECTOR_SIGNATURE,
        TIMESTAMP: "1600112502",
    }
    at = datetime.fromtimestamp(1600112502, tz=UTC)
    return InboundCall("POST", HOOK, headers, VECTOR_BODY, at)


def test_the_vendors_vector() -> None:
    assert len(VECTOR_BODY) == 327
    [receipt] = provider(event_public_key=VECTOR_KEY).receipts(vector())
    assert (receipt.kind.value, receipt.error) == ("failed", "unreachable")
    assert receipt.vendor_id == "LRzXl_NHStOGhQ4kofSm_A"


@pytest.mark.parametrize(
    "changes",
    [
        {"body": VECTOR_BODY.rstrip()},
        {"body": VECTOR_BODY.replace(b"hello", b"hallo")},
        {"headers": {SIGNATURE: VECTOR_SIGNATURE}},
        {"headers": {TIMESTAMP: "1600112502"}},
        {"headers": {SIGNATURE: VECTOR_SIGNATURE, TIMESTAMP: "1600112503"}},
        {"headers": {SIGNATURE: "A" + VECTOR_SIGNATURE[1:], TIMESTAMP: "1600112502"}},
        {"headers": {SIGNATURE: VECTOR_SIGNATURE[:-3], TIMESTAMP: "1600112502"}},
        {"received_at": datetime.fromtimestamp(1600112502, tz=UTC) + timedelta(hours=26)},
        {"received_at": datetime.fromtimestamp(1600112502, tz=UTC) - timedelta(minutes=11)},
    ],
)
def test_the_vector_altered(changes: dict[str, Any]) -> None:
    with pytest.raises(SignatureInvalid):
        provider(event_public_key=VECTOR_KEY).receipts(replace(vector(), **changes))


@pytest.mark.parametrize("hours", [0, 24, 25])
def test_the_vendors_repetitions_are_fresh_enough(hours: int) -> None:
    made = call(b"[]", at=NOW - timedelta(hours=hours))
    assert provider().receipts(made) == []


@pytest.mark.parametrize(
    "key",
    [
        "no key",
        "AAAA",
        "ÄÖÜ",
        public(rsa.generate_private_key(public_exponent=65537, key_size=2048)),
    ],
)
def test_a_key_that_is_none_opens_nothing(key: str) -> None:
    with pytest.raises(SignatureInvalid):
        provider(event_public_key=key).receipts(events())


@pytest.mark.parametrize("name", ["event_public_key", "parse_public_key"])
def test_the_key_before_counts_while_it_is_set(name: str) -> None:
    new = public(ec.generate_private_key(ec.SECP256R1()))
    for made in (events(), mail()):
        rotated = provider(event_public_key=new, **{f"previous_{name}": KEY})
        assert rotated.receipts(made) == []
        with pytest.raises(SignatureInvalid):
            provider(event_public_key=new).receipts(made)


def test_without_a_key_nothing_is_believed() -> None:
    for reader in (provider(event_public_key="").receipts, provider(event_public_key="").replies):
        with pytest.raises(SignatureInvalid, match="no webhook verification key"):
            reader(events())


# --- mail -----------------------------------------------------------------------------------------

MIME = (
    "From: Ana <ana@example.com>\r\nTo: orders@example.com\r\nSubject: Re: Order\r\n"
    "Message-ID: <1@example.com>\r\n{more}\r\n{text}"
)


def mail(more: str = "", text: str = "Where is it?", **fields: str | None) -> InboundCall:
    form: dict[str, str | None] = {
        "email": MIME.format(more=more, text=text),
        "envelope": '{"to":["r.tok@parse.example.com"],"from":"ana@example.com"}',
        "to": "Orders <orders@example.com>",
        **fields,
    }
    body = "".join(
        f'--cut\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in form.items()
        if value is not None
    )
    return call(f"{body}--cut--\r\n".encode(), "multipart/form-data; boundary=cut")


def replies(made: InboundCall) -> Any:
    return provider(event_public_key="", parse_public_key=KEY).replies(made)


def test_a_raw_mail() -> None:
    [reply] = replies(mail())
    assert (reply.sender, reply.text, reply.vendor_id, reply.occurred_at) == (
        "ana@example.com",
        "Where is it?",
        "1@example.com",
        NOW,
    )
    assert reply.recipient == "r.tok@parse.example.com"


def test_an_html_mail_and_an_empty_one() -> None:
    [reply] = replies(mail("Content-Type: text/html\r\n", "<p>Where is <b>it</b>?</p>"))
    assert reply.text == "Where is  it ?"
    [reply] = replies(mail(text=""))
    assert reply.text == "Re: Order"


@pytest.mark.parametrize(
    "envelope", [None, "{", "[]", "{}", '{"to":[]}', '{"to":"x"}', '{"to":[1]}']
)
def test_a_mail_without_a_usable_envelope(envelope: str | None) -> None:
    [reply] = replies(mail(envelope=envelope))
    assert (reply.sender, reply.recipient) == ("ana@example.com", "orders@example.com")


@pytest.mark.parametrize(
    ("more", "envelope"),
    [
        ("Auto-Submitted: auto-replied\r\n", None),
        ("Precedence: bulk\r\n", None),
        ("", '{"to":["x@example.com"],"from":""}'),
    ],
)
def test_automatic_answers_are_no_replies(more: str, envelope: str | None) -> None:
    assert replies(mail(more, envelope=envelope)) == []


def test_a_mail_without_an_id_is_known_by_its_bytes() -> None:
    made = mail(email="From: ana@example.com\r\n\r\nhi")
    [reply] = replies(made)
    assert len(reply.vendor_id) == 64
    assert replies(made) == [reply]


def test_a_mail_from_nobody_is_no_reply() -> None:
    assert replies(mail(email="Subject: x\r\n\r\nhi", envelope=None)) == []
    [reply] = replies(mail(email="Subject: x\r\n\r\nhi"))
    assert reply.sender == "ana@example.com"


def test_a_broken_form() -> None:
    made = call(b"--cut\r\nnonsense", "multipart/form-data")
    with pytest.raises(PayloadMalformed):
        replies(made)
