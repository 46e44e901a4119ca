"""What SendGrid's event webhook says: a JSON list of events, in any order and perhaps twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from integrations.contracts import InboundCall, Receipt, ReceiptKind
from integrations.errors import MessageRejected, RecipientOptedOut, RecipientUnreachable
from integrations.payloads import load_json, objects, text
from integrations.providers.sendgrid_signature import verify

_SIMPLE: Mapping[str, ReceiptKind] = {
    "processed": ReceiptKind.SENT,
    "delivered": ReceiptKind.DELIVERED,
    "open": ReceiptKind.READ,
    "click": ReceiptKind.CLICKED,
    "spamreport": ReceiptKind.COMPLAINED,
    "unsubscribe": ReceiptKind.UNSUBSCRIBED,
    "group_unsubscribe": ReceiptKind.UNSUBSCRIBED,
}
#: why SendGrid dropped a message it had accepted; "config" = the account's fault
_DROPPED: Mapping[str, str] = {
    "bounced address": RecipientUnreachable.code,
    "invalid": RecipientUnreachable.code,
    "unsubscribed address": RecipientOptedOut.code,
    "spam reporting address": RecipientOptedOut.code,
    "spam content": MessageRejected.code,
    "recipient list over package quota": "config",
    "invalid smtpapi header": "config",
}


def read_receipts(call: InboundCall, keys: Iterable[str]) -> list[Receipt]:
    """The receipts in a verified call; [] for a forwarded mail. Raises SignatureInvalid."""
    verify(call, keys)
    if is_form(call):
        return []
    return [
        receipt
        for event in objects(load_json(call.body))
        if (receipt := _receipt(event)) is not None
    ]


def is_form(call: InboundCall) -> bool:
    """Whether this is a mail of Inbound Parse; events are JSON."""
    kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind in ("multipart/form-data", "application/x-www-form-urlencoded")


def _receipt(event: Mapping[str, Any]) -> Receipt | None:
    kind, error, code = _meaning(event)
    # "14c5d75ce93.dfd.64b469.filter0001..." begins with the id of the answer to the send
    vendor_id = text(event.get("sg_message_id")).partition(".")[0]
    attempt_id = text(event.get("attempt_id"))
    if kind is None or not (vendor_id or attempt_id):
        return None
    return Receipt(
        kind=kind,
        vendor_id=vendor_id,
        attempt_id=attempt_id,
        vendor_time=_moment(event.get("timestamp")),
        vendor_code=code,
        error=error,
        event_id=text(event.get("sg_event_id")),
        recipient=text(event.get("email"), 320),
    )


def _meaning(event: Mapping[str, Any]) -> tuple[ReceiptKind | None, str, str]:
    """Receipt kind (None: nothing to tell), word of errors.py and vendor code of an event."""
    name = text(event.get("event"))
    if name == "open" and event.get("sg_machine_open"):
        return None, "", ""  # a mail program fetched the picture, nobody read
    if name == "dropped":
        reason = text(event.get("reason"))
        return ReceiptKind.FAILED, _DROPPED.get(reason.lower(), ""), reason[:60]
    if name == "bounce":
        code = (text(event.get("bounce_classification")) or text(event.get("status")))[:60]
        if text(event.get("type")) == "blocked":
            # the server refused this message, not the address
            return ReceiptKind.FAILED, "", code
        return ReceiptKind.BOUNCED, RecipientUnreachable.code, code
    return _SIMPLE.get(name), "", ""


def _moment(value: object) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return datetime.fromtimestamp(value, tz=UTC)
    except (ValueError, OverflowError, OSError):
        return None
