"""Deliverect: couriers of dispatch partners, and preparation times.

Couriers are ranked. A preparation time has no time of its own: the last to arrive counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from integrations import payloads
from integrations.contracts import Observation, OrderUpdate, State, ordering_key
from integrations.errors import PayloadMalformed
from integrations.sources.deliverect_bodies import courier_status, first_name, order_id_of
from integrations.sources.deliverect_order import StatusMap, aliases

COURIER_STREAM = "courier_status"
#: status code of a courier -> state of the leg; 90 is an order's paperwork but a courier's end
COURIER_STATES: Mapping[str, str | None] = {
    "80": None,
    "81": None,
    "83": None,
    "84": None,
    "85": None,
    "87": State.OUT_FOR_DELIVERY,
    "89": State.OUT_FOR_DELIVERY,
    "90": State.DELIVERED,
    "115": State.FAILED,
}


def read_courier(
    body: Mapping[str, Any], key: str, received_at: datetime, status_map: StatusMap
) -> OrderUpdate:
    """A courier's news as an update. Raises PayloadMalformed."""
    order_id, native = order_id_of(body), courier_status(body)
    state, known = payloads.look_up(native, COURIER_STATES, status_map.get(COURIER_STREAM))
    at = payloads.time(body.get("received"), "received")
    observation = Observation(
        event_key=key,
        track="courier",
        scope="leg",
        ref=_leg(body, order_id),
        ordering_class="ranked",
        ordering_key=ordering_key(at or received_at),
        native_state=native,
        state=state,
        occurred_at=at,
        occurred_at_basis="event" if at else "arrival",
        data=_leg_data(body, state),
    )
    return OrderUpdate(
        order_id=order_id,
        observations=(observation,),
        aliases=aliases(body),
        location_id=payloads.text(body.get("location")),
        courier_only=True,
        unknown_states=() if known or not native else (f"{COURIER_STREAM} {native}",),
    )


def _leg(body: Mapping[str, Any], order_id: str) -> str:
    """One leg per order, however often the courier changes; one per courier where several share it.

    A share of an order is delivered when its own courier says so.
    """
    courier = payloads.text(body.get("courierId"), 60)
    if body.get("multipleDrivers") is True and courier:
        return payloads.key_within(f"{order_id}:{courier}", 200)
    return order_id


def _leg_data(body: Mapping[str, Any], state: str | None) -> dict[str, Any]:
    data: dict[str, Any] = {}
    estimate = payloads.time(body.get("deliveryTime"), "deliveryTime")
    # of a courier who is done it is when it was done, and no estimate
    if estimate and state not in (State.DELIVERED, State.FAILED):
        data["est_delivery_at"] = payloads.iso(estimate)
    if name := payloads.text(body.get("courierName"), 100) or first_name(body):
        data["courier"] = {"name": name.split()[0]}
    return data


def read_preparation(body: Mapping[str, Any], key: str, received_at: datetime) -> OrderUpdate:
    """A new ready time. Raises PayloadMalformed."""
    ready = payloads.time(body.get("pickupTime"), "pickupTime")
    if ready is None:
        raise PayloadMalformed("pickupTime: missing")
    observation = Observation(
        event_key=key,
        track="kitchen",
        scope="order",
        ordering_key=ordering_key(received_at),
        kind="eta",
        # the status of the order comes along and is no news
        native_state=payloads.text(body.get("status"), 20),
        data={"times": {"est_ready_at": payloads.iso(ready)}},
    )
    return OrderUpdate(
        order_id=order_id_of(body),
        observations=(observation,),
        aliases=aliases(body),
        location_id=payloads.text(body.get("location")),
        # a time alone is no order to show
        courier_only=True,
    )
