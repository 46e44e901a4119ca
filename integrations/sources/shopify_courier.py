"""Reads Shopify's fulfilments and their events: goods that left, as courier legs.

A fulfilment made when a guest picks up has no courier, and a leg in its place would keep the
order from ever being picked up. So it is a leg only when a courier or a tracking code is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from integrations import payloads, shopify_marks
from integrations.contracts import Observation, OrderUpdate, State, ordering_key
from integrations.errors import EventIgnored, PayloadMalformed

STREAM = "fulfillment_event"
READY = "ready_for_pickup"
DELAYED = "delayed"
CANCELLED = "cancelled"
#: the fulfilment was never made, so nobody carries anything
UNMADE = frozenset({"error", "failure"})
#: event status, and shipment status of a fulfilment -> state of the leg. Ready is the kitchen's
#: word about the parts inside, which have to be asked for; delayed is a flag
STATES: Mapping[str, str | None] = {
    "label_purchased": None,
    "label_printed": None,
    "confirmed": None,
    READY: None,
    "carrier_picked_up": State.OUT_FOR_DELIVERY,
    "in_transit": State.OUT_FOR_DELIVERY,
    "out_for_delivery": State.OUT_FOR_DELIVERY,
    "attempted_delivery": None,
    DELAYED: None,
    "delivered": State.DELIVERED,
    "failure": State.FAILED,
}

StatusMap = Mapping[str, Mapping[str, str]]


def read_event(event: Mapping[str, Any], status_map: StatusMap) -> OrderUpdate:
    """The body of ``fulfillment_events/create``. Raises PayloadMalformed or EventIgnored."""
    if shopify_marks.is_own_event(event):
        raise EventIgnored("we wrote this event ourselves")
    event_id = payloads.required_text(event.get("id"), "id")
    order_id = payloads.required_text(event.get("order_id"), "order_id")
    leg = payloads.required_text(event.get("fulfillment_id"), "fulfillment_id", 100)
    native = payloads.required_text(event.get("status"), "status", 120)
    at = _required_time(event, "happened_at")
    state, known = payloads.look_up(native, STATES, status_map.get(STREAM))
    key = f"fulfillment_event:{event_id}"
    if native == READY:
        return _update(order_id, _note(key, native, at), ())
    data: dict[str, Any] = {}
    if estimate := payloads.time(event.get("estimated_delivery_at"), "estimated_delivery_at"):
        data["est_delivery_at"] = payloads.iso(estimate)
    if native == DELAYED:
        data["flags"] = {"delayed": True}
    if native == "attempted_delivery":
        data["note"] = payloads.text(event.get("message")) or "delivery was tried"
    unknown = () if known else (f"{STREAM} {native}",)
    return _update(order_id, _leg(leg, key, native, state, at, data, "event"), unknown)


def read_fulfillment(body: Mapping[str, Any], status_map: StatusMap) -> OrderUpdate:
    """The body of ``fulfillments/*``. Raises PayloadMalformed."""
    order_id = payloads.required_text(body.get("order_id"), "order_id")
    found, unknown = fulfillment_observation(body, status_map)
    return _update(order_id, found, unknown)


def fulfillment_observation(
    body: Mapping[str, Any], status_map: StatusMap
) -> tuple[Observation, tuple[str, ...]]:
    """One fulfilment as it is now, also where an order lists it. Raises PayloadMalformed."""
    ref = payloads.required_text(body.get("id"), "fulfillment.id", 100)
    at = _required_time(body, "updated_at")
    shipped = payloads.text(body.get("shipment_status"), 120)
    native = shipped or payloads.text(body.get("status"), 120) or "unnamed"
    is_cancelled = body.get("status") == CANCELLED
    courier = _courier(body)
    key = f"fulfillment:{ref}:{ordering_key(at)}:{CANCELLED if is_cancelled else native}"
    is_carried = bool(shipped or (courier and native not in UNMADE))
    # what we wrote ourselves must not come back as a courier's word
    if native == READY or not is_carried or shopify_marks.is_own_fulfillment(body):
        return _note(key, native, at), ()
    state, known = payloads.look_up(shipped, STATES, status_map.get(STREAM))
    if is_cancelled:
        state, native = State.CANCELLED, CANCELLED
    data: dict[str, Any] = {"courier": courier} if courier else {}
    if shipped == DELAYED:
        data["flags"] = {"delayed": True}
    unknown = () if known or not shipped else (f"{STREAM} {shipped}",)
    return _leg(ref, key, native, state, at, data, "resource_modified"), unknown


def lenient_time(value: str) -> datetime | None:
    """A time from a header, which no signature covers; None when it is none."""
    try:
        return payloads.time(value, "")
    except PayloadMalformed:
        return None


def _courier(body: Mapping[str, Any]) -> dict[str, str]:
    """Who carries it. A code alone counts as a courier nobody named."""
    found = {}
    if name := payloads.text(body.get("tracking_company"), 100):
        found["name"] = name
    link = payloads.text(body.get("tracking_url"), 2000)
    if link.startswith("https://"):
        found["tracking_url"] = link
    if not found and (link or payloads.text(body.get("tracking_number"))):
        found["name"] = "Courier"
    return found


def _required_time(body: Mapping[str, Any], name: str) -> datetime:
    at = payloads.time(body.get(name), name)
    if at is None:
        raise PayloadMalformed(f"{name}: missing")
    return at


def _leg(
    ref: str,
    key: str,
    native: str,
    state: str | None,
    at: datetime,
    data: Mapping[str, Any],
    basis: str,
) -> Observation:
    return Observation(
        event_key=payloads.key_within(key, 370),
        track="courier",
        scope="leg",
        ref=ref,
        ordering_key=ordering_key(at),
        kind="transition" if state else "eta" if "est_delivery_at" in data else "note",
        native_state=native,
        state=state,
        occurred_at=at,
        occurred_at_basis=basis,
        data=data,
    )


def _note(key: str, native: str, at: datetime) -> Observation:
    return Observation(
        event_key=payloads.key_within(key, 370),
        track="courier",
        scope="order",
        ordering_key=ordering_key(at),
        kind="note",
        native_state=native,
        occurred_at=at,
        occurred_at_basis="event",
    )


def _update(order_id: str, observation: Observation, unknown: tuple[str, ...]) -> OrderUpdate:
    return OrderUpdate(order_id=order_id, observations=(observation,), unknown_states=unknown)
