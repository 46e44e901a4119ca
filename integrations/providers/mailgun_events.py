"""What Mailgun posts to us: events of domain webhooks and mail forwarded by routes.

Signature and parsing are Anymail's; freshness and the meaning for a delivery are ours. The
signature covers a timestamp and a token, not the body: what protects the body is HTTPS, the age
limit and the token being taken once (it is the receipt's ``event_id``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

from anymail.exceptions import AnymailConfigurationError, AnymailError
from anymail.webhooks.mailgun import MailgunInboundWebhookView, MailgunTrackingWebhookView
from django.core.exceptions import SuspiciousOperation
from django.core.handlers.wsgi import WSGIRequest
from django.http.multipartparser import MultiPartParserError

from integrations.contracts import Channel, InboundCall, Receipt, ReceiptKind, Reply
from integrations.errors import (
    MessageRejected,
    PayloadMalformed,
    RecipientOptedOut,
    RecipientUnreachable,
    SignatureInvalid,
)

#: Mailgun repeats a refused call for 8 h 5 min; nothing older is news
MAX_AGE_S = 9 * 3600
#: how far the sender's clock may be ahead of ours
MAX_AHEAD_S = 300

_SIMPLE: Mapping[str, ReceiptKind] = {
    "accepted": ReceiptKind.SENT,
    "delivered": ReceiptKind.DELIVERED,
    "opened": ReceiptKind.READ,
    "clicked": ReceiptKind.CLICKED,
    "unsubscribed": ReceiptKind.UNSUBSCRIBED,
    "complained": ReceiptKind.COMPLAINED,
}
#: permanent failures by reason: kind and word of errors.py ("" = says nothing about the address)
_REASONS: Mapping[str, tuple[ReceiptKind, str]] = {
    "bounce": (ReceiptKind.BOUNCED, RecipientUnreachable.code),
    "hardfail": (ReceiptKind.BOUNCED, RecipientUnreachable.code),
    "suppress-bounce": (ReceiptKind.FAILED, RecipientUnreachable.code),
    "suppress-complaint": (ReceiptKind.FAILED, RecipientOptedOut.code),
    "suppress-unsubscribe": (ReceiptKind.FAILED, RecipientOptedOut.code),
    "old": (ReceiptKind.EXPIRED, ""),
    "espblock": (ReceiptKind.FAILED, ""),
    "blacklisted": (ReceiptKind.FAILED, ""),
}
#: codes Mailgun itself gives for addresses on its suppression lists
_LIST_CODES = frozenset({605, 606, 607})
_BAD_MAILBOX = re.compile(r"\b5\.1\.\d{1,3}\b")
_UNREADABLE = (KeyError, IndexError, ValueError, TypeError, AttributeError, OverflowError)
_AUTOMATIC = frozenset({"bulk", "list", "junk", "auto_reply"})


def read_receipts(call: InboundCall, signing_keys: Sequence[str]) -> list[Receipt]:
    """The receipt in a verified event; [] for temporary failures, machine opens and mail."""
    fields = _verify(call, signing_keys)
    event = fields.get("event-data")
    if not isinstance(event, dict):
        return []
    client = _mapping(event.get("client-info"))
    kind, error = _meaning(event)
    if kind is None or (kind in (ReceiptKind.READ, ReceiptKind.CLICKED) and client.get("bot")):
        return []
    headers = _mapping(_mapping(event.get("message")).get("headers"))
    status = _mapping(event.get("delivery-status"))
    failed = event.get("event") in ("failed", "rejected")
    return [
        Receipt(
            kind=kind,
            vendor_id=str(headers.get("message-id") or "").strip("<>"),
            attempt_id=str(_mapping(event.get("user-variables")).get("attempt_id") or ""),
            vendor_time=_moment(event.get("timestamp")),
            vendor_code=str(status.get("code") or event.get("reason") or "") if failed else "",
            error=error,
            event_id=str(_mapping(fields.get("signature")).get("token")),
            recipient=str(event.get("recipient") or ""),
        )
    ]


def read_replies(call: InboundCall, signing_keys: Sequence[str]) -> list[Reply]:
    """The person's words in a verified forwarded mail; raises PayloadMalformed."""
    if _is_json(call):
        _verify(call, signing_keys)
        return []
    request = _django_request(call)
    fields = _verify(call, signing_keys, request)
    view = MailgunInboundWebhookView(webhook_signing_key=signing_keys[0], webhook_secret=[])
    try:
        mail = view.parse_events(request)[0]
    except (AnymailError, AnymailConfigurationError, *_UNREADABLE) as error:
        raise PayloadMalformed(f"forwarded mail: {type(error).__name__}") from error
    message = mail.message
    if _is_automatic(message):
        return []
    sender = message.from_email.addr_spec if message.from_email else message.envelope_sender
    text = (message.stripped_text or message.text or "").strip()
    return [
        Reply(
            channel=Channel.EMAIL,
            sender=str(sender or ""),
            # a mailto: unsubscribe link says all it has to say in the subject
            text=text or str(message.subject or ""),
            # nothing signs the mail itself: one token, one reply, whatever is written under it
            vendor_id=str(fields["token"]),
            occurred_at=mail.timestamp,
            recipient=str(message.envelope_recipient or ""),
        )
    ]


def _verify(
    call: InboundCall, signing_keys: Sequence[str], request: WSGIRequest | None = None
) -> Mapping[str, Any]:
    """The fields of a call Mailgun signed lately. Raises SignatureInvalid."""
    if not signing_keys:
        raise SignatureInvalid("no webhook signing key is configured")
    request = request or _django_request(call)
    fields, signed = _fields(call, request)
    timestamp, token, signature = (
        str(signed.get(name) or "") for name in ("timestamp", "token", "signature")
    )
    if not all(part and part.isascii() for part in (timestamp, token, signature)):
        raise SignatureInvalid("timestamp, token or signature is missing")
    if not any(_signs(request, key) for key in signing_keys):
        raise SignatureInvalid(f"signature ({len(signature)} characters) does not match")
    _check_age(timestamp, call.received_at)
    return fields


def _signs(request: WSGIRequest, key: str) -> bool:
    view = MailgunTrackingWebhookView(webhook_signing_key=key, webhook_secret=[])
    try:
        view.run_validators(request)
    except AnymailError:
        return False
    return True


def _fields(call: InboundCall, request: WSGIRequest) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """All fields of a call and those that hold the signature. Raises SignatureInvalid."""
    try:
        if not _is_json(call):
            form = request.POST.dict()
            return form, form
        fields = json.loads(call.body)
    except (ValueError, RecursionError, SuspiciousOperation, MultiPartParserError):
        raise SignatureInvalid("the body is unreadable") from None
    return _mapping(fields), _mapping(_mapping(fields).get("signature"))


def _check_age(timestamp: str, received_at: datetime) -> None:
    age_s = received_at.timestamp() - (int(timestamp) if timestamp.isdecimal() else 0)
    if not -MAX_AHEAD_S <= age_s <= MAX_AGE_S:
        raise SignatureInvalid(f"the signature is {round(age_s)} s old")


def _meaning(event: Mapping[str, Any]) -> tuple[ReceiptKind | None, str]:
    """Receipt kind (None: nothing to tell) and word of errors.py for an event."""
    name = str(event.get("event") or "")
    if name == "rejected":
        return ReceiptKind.FAILED, MessageRejected.code
    if name != "failed":
        return _SIMPLE.get(name), ""
    if event.get("severity") == "temporary":
        return None, ""  # Mailgun goes on trying
    reason = str(event.get("reason") or "")
    if reason in _REASONS:
        return _REASONS[reason]
    status = _mapping(event.get("delivery-status"))
    if reason.startswith("suppress-") or status.get("code") in _LIST_CODES:
        return ReceiptKind.FAILED, RecipientUnreachable.code
    return _by_smtp_code(reason, status)


def _by_smtp_code(reason: str, status: Mapping[str, Any]) -> tuple[ReceiptKind, str]:
    """An unexplained permanent failure is a dead mailbox only if the other server said so."""
    words = " ".join(
        str(status.get(name) or "") for name in ("enhanced-code", "message", "description")
    )
    bare_550 = str(status.get("code")) == "550" and reason != "generic"
    if _BAD_MAILBOX.search(words) or (bare_550 and not re.search(r"\b5\.\d\.\d", words)):
        return ReceiptKind.BOUNCED, RecipientUnreachable.code
    return ReceiptKind.FAILED, ""


def _is_automatic(message: Any) -> bool:
    """Out-of-office notes, bounces and lists: answering them makes loops."""
    submitted = str(message.get("Auto-Submitted") or "no").strip().lower()
    precedence = str(message.get("Precedence") or "").strip().lower()
    return submitted != "no" or precedence in _AUTOMATIC or message.envelope_sender in ("", "<>")


def _is_json(call: InboundCall) -> bool:
    return call.headers.get("content-type", "").partition(";")[0].strip() == "application/json"


def _django_request(call: InboundCall) -> WSGIRequest:
    """The call as Anymail's views want it."""
    return WSGIRequest(
        {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "443",
            "CONTENT_TYPE": call.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(call.body)),
            "wsgi.input": BytesIO(call.body),
        }
    )


def _moment(value: object) -> datetime | None:
    if not isinstance(value, (int, float)):
        return None
    try:
        return datetime.fromtimestamp(value, tz=UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
