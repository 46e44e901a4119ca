"""What a CRM is told about one message: plain values its own workflow or flow builds words from.

The same names for every CRM. Nothing here is about anybody but the guest and the order.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from integrations.contracts import Message

#: longest text and list handed on; vendors cut or refuse far longer ones
_LONGEST_TEXT, _LONGEST_LIST = 10_000, 100


def once_key(message: Message) -> str:
    """A UUID that is the same for every try of one delivery, and for nothing else.

    The id of the event is part of it: deliveries are numbered anew in every installation.
    """
    said = f"{message.event.get('id') or ''}:{message.delivery_key or message.attempt_id}"
    return str(uuid5(NAMESPACE_URL, f"order-up:{sendable(said)}"))


def occurred_at(message: Message) -> datetime | None:
    """When the news happened, in UTC, without fractions; None when nobody said."""
    try:
        found = datetime.fromisoformat(str(message.event.get("occurred_at") or ""))
        moment = found if found.tzinfo else found.replace(tzinfo=UTC)
        return moment.astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError):
        return None


def news(message: Message) -> str:
    """One word for what happened: a state ("ready"), "delayed", "edited", "split", "part_ready"."""
    return (message.milestone or message.event_kind).partition(":")[0]


def values_of(message: Message) -> dict[str, Any]:
    """Everything about the order and its news that a CRM's templates may use.

    Texts, except ``parts``, which is a list. What is not known is "" or []. What was ordered is not
    among them: a status needs none of it, and a CRM would make segments of it.
    """
    order, event = message.order, message.event
    parts = _mapping(order.get("parts"))
    return {
        "order_number": _text(order.get("number")),
        "status": _text(order.get("state")),
        "status_label": _text(order.get("state_label")),
        "news": _text(news(message)),
        "kind": _text(message.event_kind),
        "subject": _text(message.subject),
        "text": _text(message.text),
        "eta": _text(order.get("eta_time")),
        "promised": _text(order.get("promised_time")),
        "fulfillment": _text(order.get("fulfillment")),
        "part": _text(event.get("part_label")),
        "parts_ready": _text(parts.get("ready")),
        "parts_total": _text(parts.get("total")),
        "parts": [
            {"name": _text(part.get("label")), "state": _text(part.get("state"))}
            for part in _listed(parts.get("list"))
            if isinstance(part, Mapping)
        ],
        "change": _text(event.get("change")),
        "late_min": _text(event.get("late_min") or ""),
        "reason": _text(order.get("reason")),
        "url": _text(message.links.get("order")),
        "manage_url": _text(message.links.get("preferences")),
        "courier_url": _text(_mapping(order.get("courier")).get("tracking_url")),
        "restaurant": _text(message.restaurant.get("name")),
        "location": _text(order.get("location")),
        "first_name": _text(message.recipient.get("first_name")),
        "language": _text(message.language),
        "attempt_id": _text(message.attempt_id),
    }


def sendable(words: str) -> str:
    """Without NUL and halves of surrogate pairs, which no encoder takes."""
    return words.replace("\x00", "").encode("utf-8", "ignore").decode()


def _text(value: object) -> str:
    return "" if value is None else sendable(str(value)).strip()[:_LONGEST_TEXT]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _listed(value: object) -> list[Any]:
    return list(value)[:_LONGEST_LIST] if isinstance(value, list | tuple) else []
