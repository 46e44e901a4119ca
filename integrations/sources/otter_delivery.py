"""Otter's deliveries: the courier of an order, whoever sends him.

PICKED_UP is a status of orders as well; what it means here is only ever read here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from integrations import payloads
from integrations.contracts import OrderUpdate, State, ordering_key
from integrations.sources.otter_status import Said, lenient_time

DELIVERY_STREAM = "deliveryStatus"
#: status of a delivery -> state of the leg
DELIVERY_STATES: Mapping[str, str | None] = {
    "REQUESTED": None,
    "ALLOCATED": None,
    "ARRIVED_AT_PICKUP": None,
    "PICKED_UP": State.OUT_FOR_DELIVERY,
    "ARRIVED_AT_DROP_OFF": State.OUT_FOR_DELIVERY,
    "COMPLETED": State.DELIVERED,
    "CANCELED": State.FAILED,
}


def read_delivery(payload: Mapping[str, Any], order_id: str, said: Said) -> OrderUpdate:
    """A delivery's news as an update of the order it belongs to."""
    native = payloads.text(payload.get("deliveryStatus"), 80) or payloads.text(
        payload.get("status"), 80
    )
    state, known = payloads.look_up(native, DELIVERY_STATES, said.status_map.get(DELIVERY_STREAM))
    at = lenient_time(payload.get("updatedTime"))
    leg = said.observe(
        track="courier",
        scope="leg",
        # the courier an order shows and the one of its delivery are the same trip
        ref=order_id,
        ordering_class="ranked",
        ordering_key=ordering_key(at or said.at),
        native_state=native,
        state=state,
        data=_leg_data(payload),
    )
    return OrderUpdate(
        order_id=order_id,
        observations=(leg,),
        aliases=(("external_id", order_id),),
        location_id=said.location_id,
        courier_only=True,
        unknown_states=() if known or not native else (f"{DELIVERY_STREAM} {native}",),
    )


def _leg_data(payload: Mapping[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    # the courier's own pickup time is nothing to promise
    if estimate := lenient_time(payload.get("estimatedDeliveryTime")):
        data["est_delivery_at"] = payloads.iso(estimate)
    courier: dict[str, str] = {}
    if name := payloads.text(payloads.inner(payload, "courier").get("name"), 100):
        courier["name"] = name.split()[0]
    link = payloads.text(payload.get("deliveryTrackingUrl"), 2000)
    if link.startswith("https://"):
        courier["tracking_url"] = link
    if courier:
        data["courier"] = courier
    return data
