"""Uber Direct in its older form: ``dapi.status_changed`` and the delivery behind it.

Each trip of a courier is a leg; the delivery as a whole is only active, completed or failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from integrations import payloads
from integrations.contracts import Observation, OrderUpdate, State, ordering_key
from integrations.sources.uber_eats_direct import update_of
from integrations.sources.uber_eats_notice import noticed_at
from integrations.sources.uber_eats_order import COURIER_STATES, COURIER_STREAM

STATUS_CHANGED = "dapi.status_changed"
WHOLE_STREAM = "dapi.order_status"
#: the delivery as a whole -> state of its newest leg
WHOLE_STATES: Mapping[str, str | None] = {
    "ACTIVE": None,
    "COMPLETED": State.DELIVERED,
    "FAILED": State.FAILED,
}

#: the order is on its way back, or back
RETURNING = frozenset({"IN_PROGRESS", "COMPLETED"})


def delivery_id(event: Mapping[str, Any]) -> str:
    """Uber's id of the delivery. Raises PayloadMalformed."""
    return payloads.required_text(payloads.inner(event, "meta").get("order_id"), "meta.order_id")


def leg_ref(event: Mapping[str, Any]) -> str:
    """The trip the event is about, else the delivery. Raises PayloadMalformed."""
    trip = payloads.text(payloads.inner(event, "meta").get("courier_trip_id"))
    return trip or delivery_id(event)


def read_event(event: dict[str, Any], status_map: Mapping[str, Mapping[str, str]]) -> OrderUpdate:
    """The notice as an update. Raises PayloadMalformed."""
    meta = payloads.inner(event, "meta")
    delivery = delivery_id(event)
    native = payloads.text(meta.get("status"), 120)
    state, known = payloads.look_up(native, COURIER_STATES, status_map.get(COURIER_STREAM))
    if meta.get("is_returning") is True:
        state = State.FAILED
    at = noticed_at(event)
    observation = Observation(
        event_key=payloads.required_text(event.get("event_id"), "event_id"),
        track="courier",
        scope="leg",
        ref=leg_ref(event),
        ordering_class="ranked",
        ordering_key=ordering_key(at),
        native_state=native,
        state=state,
        occurred_at=at,
        occurred_at_basis="event" if at else "arrival",
    )
    unknown = () if known or not native else (f"{COURIER_STREAM} {native}",)
    return update_of(
        delivery, payloads.text(meta.get("external_order_id")), observation, unknown, None
    )


def read_delivery(
    delivery: dict[str, Any],
    leg: str,
    received_at: datetime,
    status_map: Mapping[str, Mapping[str, str]],
) -> OrderUpdate:
    """The answer of GET /v1/eats/deliveries/orders/{id}. Raises PayloadMalformed."""
    ref = payloads.required_text(delivery.get("order_id"), "order_id")
    native = payloads.text(delivery.get("order_status"), 120)
    state, known = payloads.look_up(native, WHOLE_STATES, status_map.get(WHOLE_STREAM))
    returning = payloads.text(delivery.get("return_status"), 40)
    if returning in RETURNING:
        state = State.FAILED
    link = payloads.text(delivery.get("order_tracking_url"), 2000)
    observation = Observation(
        event_key=payloads.key_within(f"dapi:{ref}:read:{leg}:{native}:{returning}"),
        track="courier",
        scope="leg",
        ref=leg or ref,
        ordering_class="ranked",
        ordering_key=ordering_key(received_at),
        kind="transition" if state else "note",
        # the notice says how far the courier is; the whole is only told when it is over
        native_state=native if state else "",
        state=state,
        data={"courier": {"tracking_url": link}} if link.startswith("https://") else {},
    )
    unknown = () if known or not native else (f"{WHOLE_STREAM} {native}",)
    return update_of(
        ref, payloads.text(delivery.get("external_order_id")), observation, unknown, None
    )
