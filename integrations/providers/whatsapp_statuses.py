"""What WhatsApp's webhook says about our messages and about people's choices, as receipts.

Pages: developers.facebook.com/documentation/business-messaging/whatsapp, webhooks/reference/
messages and webhooks/reference/user_preferences.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from integrations import meta_graph
from integrations.contracts import Receipt, ReceiptKind
from integrations.payloads import objects, text
from integrations.providers.whatsapp_codes import STOPPED_MARKETING, error_word

_KINDS: Mapping[str, ReceiptKind] = {
    "sent": ReceiptKind.SENT,
    "delivered": ReceiptKind.DELIVERED,
    "read": ReceiptKind.READ,
    "played": ReceiptKind.READ,
    "failed": ReceiptKind.FAILED,
}
_CHOICES: Mapping[str, ReceiptKind] = {
    "stop": ReceiptKind.UNSUBSCRIBED,
    "resume": ReceiptKind.RESUBSCRIBED,
}
_MARKETING = "marketing"


def alias_of(value: Mapping[str, Any], number: str) -> str:
    """The business-scoped id a call names beside a number; "" where it names none."""
    for contact in objects(value.get("contacts")):
        if number and text(contact.get("wa_id")) == number:
            return text(contact.get("user_id"))
    return ""


def statuses(value: Mapping[str, Any]) -> Iterator[Receipt]:
    """The statuses in one change; a refusal of marketing is that person's choice, too."""
    for status in objects(value.get("statuses")):
        receipt = _status(status, value)
        if receipt is None:
            continue
        yield receipt
        if receipt.vendor_code == str(STOPPED_MARKETING) and receipt.recipient:
            yield Receipt(
                kind=ReceiptKind.UNSUBSCRIBED,
                vendor_time=receipt.vendor_time,
                recipient=receipt.recipient,
                purpose=_MARKETING,
            )


def choices(value: Mapping[str, Any]) -> Iterator[Receipt]:
    """What people chose about marketing in the app; it says nothing about order updates."""
    for choice in objects(value.get("user_preferences")):
        kind = _CHOICES.get(text(choice.get("value")))
        person, alias = _person(choice.get("wa_id"), choice.get("user_id"), value)
        if kind is None or not person or text(choice.get("category")) != "marketing_messages":
            continue
        yield Receipt(
            kind=kind,
            vendor_time=meta_graph.moment(choice.get("timestamp")),
            recipient=person,
            purpose=_MARKETING,
            alias=alias,
        )


def _status(status: Mapping[str, Any], value: Mapping[str, Any]) -> Receipt | None:
    kind = _KINDS.get(text(status.get("status")))
    vendor_id = text(status.get("id"))
    attempt_id = text(status.get("biz_opaque_callback_data"))
    if kind is None or not (vendor_id or attempt_id):
        return None
    has_failed = kind is ReceiptKind.FAILED
    code = meta_graph.whole(next(iter(objects(status.get("errors"))), {}).get("code"))
    person, alias = _person(status.get("recipient_id"), status.get("recipient_user_id"), value)
    return Receipt(
        kind=kind,
        vendor_id=vendor_id,
        attempt_id=attempt_id,
        vendor_time=meta_graph.moment(status.get("timestamp")),
        vendor_code=str(code) if has_failed and code else "",
        error=error_word(code) if has_failed and code else "",
        recipient=person,
        alias=alias,
    )


def _person(number: object, user_id: object, value: Mapping[str, Any]) -> tuple[str, str]:
    """(who it is about, the other id of theirs): the number where there is one."""
    digits, alias = text(number), text(user_id)
    return digits or alias, alias or alias_of(value, digits)
