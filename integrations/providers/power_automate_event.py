"""What a flow is told: one JSON object, every value a text, and what is not known left out.

A flow keeps the schema it was given: a null or a number where it says text ends the run before
it begins.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from integrations.contracts import Message, State

SCHEMA_VERSION = "1"
#: far below what a flow takes, and small enough for what flows do with it
LARGEST_BODY = 60 * 1024
_MOST_PARTS = 50
_LONGEST, _LONGEST_WORDS = 500, 4_000
_UNSENDABLE = re.compile("[\x00\ud800-\udfff]")
_NOT_IN_TYPE = re.compile(r"[^a-z0-9_]")
_TYPES: Mapping[str, str] = {
    "order_edited": "order.edited",
    "order_split": "order.split",
    "order_delayed": "order.delayed",
    "status_requested": "customer.status_requested",
    "customer_message": "customer.message",
}
_MILESTONES: Mapping[str, str] = {
    State.RECEIVED: "order.created",
    State.CANCELLED: "order.cancelled",
}


def event_body(message: Message, *, guest_data: bool) -> bytes:
    """The body for one message, below ``LARGEST_BODY``."""
    body = _event(message, guest_data=guest_data)
    raw = _json(body)
    if len(raw) > LARGEST_BODY:
        body["order"].pop("parts", None)
        body.pop("conversation", None)
        raw = _json(body)
    return raw


def _json(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _event(message: Message, *, guest_data: bool) -> dict[str, Any]:
    order, restaurant = message.order, message.restaurant
    name = _said(restaurant.get("name"))
    body: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "event_id": _said(message.event.get("id")) or message.attempt_id,
        # what a flow hands back when it tells us how it ended
        "attempt_id": message.attempt_id,
        "event_type": _type(message),
        **_known(occurred_at=message.event.get("occurred_at")),
        "restaurant": {
            "id": _said(restaurant.get("id")) or name,
            "name": name,
            **_known(location=order.get("location"), timezone=restaurant.get("timezone")),
        },
        "order": _order(message),
    }
    if message.event_kind == "test":
        body["test"] = True
    if changes := _changes(message):
        body["changes"] = changes
    body |= _known(acknowledge_url=message.links.get("acknowledge"))
    if guest_data:
        body |= _guest(message)
    return body


def _type(message: Message) -> str:
    kind = message.event_kind
    if kind == "status_changed":
        return _MILESTONES.get(message.milestone, "order.status_changed")
    if kind in ("test", "alarm", "reply"):
        return kind
    return _TYPES.get(kind) or "order." + _NOT_IN_TYPE.sub("_", kind)


def _order(message: Message) -> dict[str, Any]:
    order = message.order
    ends = "est_delivery_at" if order.get("is_delivery") else "est_ready_at"
    eta = order.get(ends) or order.get("est_ready_at") or order.get("promised_at")
    found: dict[str, Any] = {
        # always there, so that a flow may require them; empty where the news is about no order
        **{name: _said(order.get(name)) for name in ("id", "number", "source")},
        "status": _status(order.get("state")),
        **_known(
            fulfillment_method=order.get("fulfillment"),
            eta=eta,
            reason=order.get("reason"),
            url=message.links.get("order"),
        ),
    }
    if parts := _parts(order.get("parts")):
        found["parts"] = parts
    return found


def _parts(parts: object) -> list[dict[str, str]]:
    listed = parts.get("list") if isinstance(parts, Mapping) else None
    found = [part for part in listed or () if isinstance(part, Mapping)][:_MOST_PARTS]
    return [
        {
            "id": str(place),
            "name": _said(part.get("label")),
            "status": _status(part.get("state")),
        }
        for place, part in enumerate(found, 1)
    ]


def _changes(message: Message) -> list[dict[str, str]]:
    event = message.event
    late_min = event.get("late_min")
    news = {
        "status": _status(message.order.get("state"))
        if message.event_kind == "status_changed"
        else "",
        "part": _said(event.get("part_label")),
        "items": _said(event.get("change")),
        "late_minutes": _said(late_min) if late_min else "",
    }
    return [{"field": field, "new": value} for field, value in news.items() if value]


def _guest(message: Message) -> dict[str, Any]:
    """Only for flows whose owner said that they may know."""
    found: dict[str, Any] = _known(subject=message.subject)
    found["text"] = _said(message.text, _LONGEST_WORDS)
    if name := _said(message.recipient.get("first_name")):
        found["customer"] = {"name": name}
    said = message.event.get("conversation")
    lines = [line for line in said if isinstance(line, Mapping)] if isinstance(said, list) else []
    if lines:
        found["conversation"] = [
            {name: _said(line.get(name), _LONGEST_WORDS) for name in ("from", "text", "at")}
            for line in lines[-20:]
        ]
    return found


def _status(state: object) -> str:
    """The words flows know; others are ours."""
    return "ready_for_pickup" if state == State.READY else _said(state)


def _known(**values: object) -> dict[str, str]:
    """Those that say something."""
    return {name: said for name, value in values.items() if (said := _said(value))}


def _said(value: object, limit: int = _LONGEST) -> str:
    return "" if value is None else _UNSENDABLE.sub("", str(value)).strip()[:limit]
