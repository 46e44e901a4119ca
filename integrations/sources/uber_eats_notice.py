"""Uber Eats Marketplace notices: what an event says by its name, before the order is fetched."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from integrations import payloads
from integrations.contracts import Observation, OrderUpdate, State, ordering_key
from integrations.errors import PayloadMalformed
from integrations.sources.uber_eats_order import CHANNEL_ORDER_ID

#: event type -> what staff should know
NOTES: Mapping[str, str] = {
    "orders.release": "courier is near, start preparing",
    "order.fulfillment_issues.resolved": "what was ordered has changed",
}
#: event type -> state of the order; None = a hint for staff
STATED: Mapping[str, str | None] = {
    "orders.notification": State.RECEIVED,
    "orders.scheduled.notification": State.RECEIVED,
    "orders.cancel": State.CANCELLED,
    "orders.failure": State.CANCELLED,
    **dict.fromkeys(NOTES),
}


def noticed_at(event: Mapping[str, Any]) -> datetime | None:
    """When a notice was made; an unreadable time must not cost us the order behind it."""
    try:
        return payloads.unix_time(event.get("event_time"), "event_time")
    except PayloadMalformed:
        return None


def read(event: Mapping[str, Any], kind: str) -> OrderUpdate:
    """A notice whose name says something. Raises PayloadMalformed."""
    meta = payloads.inner(event, "meta")
    order_id = payloads.required_text(meta.get("resource_id"), "meta.resource_id")
    at = noticed_at(event)
    observation = Observation(
        event_key=payloads.required_text(event.get("event_id"), "event_id"),
        track="commercial",
        scope="order",
        ordering_class="ranked",
        ordering_key=ordering_key(at),
        kind="transition" if STATED[kind] else "note",
        native_state=kind,
        state=STATED[kind],
        occurred_at=at,
        occurred_at_basis="event" if at else "arrival",
        data={"note": NOTES[kind]} if kind in NOTES else {},
    )
    return OrderUpdate(
        order_id=order_id,
        observations=(observation,),
        aliases=((CHANNEL_ORDER_ID, order_id),),
        location_id=payloads.text(meta.get("user_id")),
    )
