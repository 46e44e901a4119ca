"""Reads one order of Otter whole, as a new order, an update or the answer to a question."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from integrations import payloads
from integrations.contracts import Customer, Observation, OrderUpdate, State
from integrations.sources.otter_status import (
    LAST_YEAR,
    LONGEST_PREPARATION_MIN,
    MODES,
    ORDER_STATES,
    ORDER_STREAM,
    Said,
    lenient_time,
    mode_of,
    typed_state,
)

COURIER_STREAM = "courierStatus"
#: courier as the order shows it -> state of the leg
COURIER_STATES: Mapping[str, str | None] = {
    "COURIER_ASSIGNED": None,
    "COURIER_ON_ROUTE_TO_PICKUP": None,
    "COURIER_ARRIVED": None,
    "COURIER_PICKED_UP_FOOD": State.OUT_FOR_DELIVERY,
    "COURIER_COMPLETED": State.DELIVERED,
}
DEEPEST = 8
#: ISO 8601, as far as a kitchen needs it
_DURATION = re.compile(r"PT(?:(?P<hours>\d{1,3})H)?(?:(?P<minutes>\d{1,4})M)?(?:\d+S)?", re.ASCII)


def read_order(payload: dict[str, Any], said: Said) -> OrderUpdate:
    """A whole order as an update. Raises PayloadMalformed."""
    names = payloads.inner(payload, "externalIdentifiers")
    order_id = payloads.required_text(names.get("id"), "externalIdentifiers.id")
    native, mode = payloads.text(payload.get("status"), 80), mode_of(payload)
    state, known = typed_state(native, mode, ORDER_STREAM, ORDER_STATES, said.status_map)
    unknown = [] if known or not native else [f"{ORDER_STREAM} {native}"]
    customer = _customer(payloads.inner(payload, "customer"))
    display = payloads.text(names.get("friendlyId"), 40) or order_id[-6:]
    data: dict[str, Any] = {"display": display, "times": _times(payload, mode)}
    if isinstance(payload.get("items"), list):
        data["items"] = _items(payload["items"])
    if customer:
        data["customer_kind"] = customer.contact_kind
    if kind := MODES.get(mode):
        data["fulfillment"] = _fulfillment(payload, kind)
    if native == "REJECTED":
        data["reason"] = {"code": "rejected"}
    order = said.observe(
        event_key=payloads.scoped_key(said.key, "order", "commercial"),
        track="commercial",
        scope="order",
        kind="snapshot",
        native_state=native,
        state=state,
        data=data,
    )
    legs, strange = _legs(payload, order_id, said)
    return OrderUpdate(
        order_id=order_id,
        observations=(order, *legs),
        display=display,
        aliases=tuple(dict.fromkeys(_aliases(names))),
        customer=customer,
        location_id=said.location_id,
        unknown_states=(*unknown, *strange),
    )


def _fulfillment(payload: Mapping[str, Any], kind: str) -> dict[str, Any]:
    info = payloads.inner(payload, "fulfillmentInfo")
    found: dict[str, Any] = {"type": kind}
    if how := payloads.text(info.get("schedulingType"), 40):
        found["scheduled"] = how == "FIXED_TIME"
    if table := payloads.text(info.get("tableIdentifier"), 40):
        found["table"] = table
    return found


def _times(payload: Mapping[str, Any], mode: str) -> dict[str, str]:
    """As soon as possible is an estimate that moves; a fixed time is a promise."""
    info = payloads.inner(payload, "fulfillmentInfo")
    pickup = lenient_time(info.get("pickupTime"))
    due = lenient_time(info.get("deliveryTime")) if MODES.get(mode) == "delivery" else None
    is_fixed = info.get("schedulingType") == "FIXED_TIME"
    placed = lenient_time(payload.get("orderedAt"))
    estimate = lenient_time(info.get("estimatedPickupTime")) or pickup
    times = {
        "placed_at": placed,
        "est_ready_at": estimate or (None if is_fixed else _prepared_at(payload, placed)),
        "est_delivery_at": None if is_fixed else due,
        "promised_at": (due or pickup) if is_fixed else None,
    }
    return {name: at.isoformat() for name, at in times.items() if at}


def _prepared_at(payload: Mapping[str, Any], placed: datetime | None) -> datetime | None:
    """When the preparation time of the order will be over."""
    told = payloads.inner(payload, "preparationTime").get("estimatedPreparationTime")
    found = _DURATION.fullmatch(told) if isinstance(told, str) else None
    if found is None or placed is None or placed.year >= LAST_YEAR:
        return None
    hours, minutes = (int(found[name] or 0) for name in ("hours", "minutes"))
    lead = 60 * hours + minutes
    return placed + timedelta(minutes=lead) if 0 < lead <= LONGEST_PREPARATION_MIN else None


def _items(lines: Any) -> list[dict[str, Any]]:
    return [
        {
            "id": payloads.text(line.get("lineItemId"))
            or payloads.text(line.get("id"))
            or f"line-{place}",
            "label": payloads.text(line.get("name")) or "Item",
            "quantity": payloads.number(line.get("quantity")),
            "modifiers": list(_modifiers(line.get("modifiers"))),
        }
        for place, line in enumerate(payloads.objects(lines))
    ]


def _modifiers(lines: Any, depth: int = 0) -> Iterator[str]:
    for line in payloads.objects(lines):
        if name := payloads.text(line.get("name"), 150):
            count = payloads.number(line.get("quantity"))
            yield name if count == 1 else f"{count} x {name}"
        if depth < DEEPEST:
            yield from _modifiers(line.get("modifiers"), depth + 1)


def _customer(guest: Mapping[str, Any]) -> Customer | None:
    """A number with a code belongs to the marketplace: only the name is used."""
    name = payloads.text(guest.get("name"))
    if payloads.text(guest.get("phoneCode"), 40):
        return Customer(name=name, contact_kind="masked")
    phone = payloads.text(guest.get("phone"), 40)
    email = payloads.text(guest.get("email"), 254)
    if not (name or phone or email):
        return None
    return Customer(name, phone, email, "direct" if phone or email else "none")


def _aliases(names: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The ids other systems know the order by: a chain from Otter to the till or the channel."""
    link = payloads.inner(names, "sourceExternalIdentifiers")
    for _ in range(DEEPEST):
        if found := payloads.text(link.get("id")):
            is_channel = link.get("sourceType") == "ORDERING_MARKETPLACE"
            yield ("channelOrderId" if is_channel else "external_id"), found
        link = payloads.inner(link, "sourceExternalIdentifiers")


def _legs(
    payload: Mapping[str, Any], order_id: str, said: Said
) -> tuple[list[Observation], list[str]]:
    """The courier the order shows, and the word nobody knows, if it is one."""
    native = payloads.text(payloads.inner(payload, "fulfillmentInfo").get("courierStatus"), 80)
    if not native:
        return [], []
    state, known = payloads.look_up(native, COURIER_STATES, said.status_map.get(COURIER_STREAM))
    name = payloads.text(payloads.inner(payload, "deliveryInfo", "courier").get("name"), 100)
    leg = said.observe(
        event_key=payloads.scoped_key(said.key, "leg", order_id),
        track="courier",
        scope="leg",
        ref=order_id,
        ordering_class="ranked",
        native_state=native,
        state=state,
        data={"courier": {"name": name.split()[0]}} if name else {},
    )
    return [leg], [] if known else [f"{COURIER_STREAM} {native}"]


def fetched_key(payload: Mapping[str, Any], when: str) -> str:
    """Equal for two reads of an order that say the same. ``when`` tells reads apart."""
    info = payloads.inner(payload, "fulfillmentInfo")
    names = ("estimatedPickupTime", "pickupTime", "deliveryTime", "courierStatus")
    told = [
        payloads.text(payload.get("status")),
        _items(payload.get("items")),
        [payloads.text(info.get(name)) for name in names],
    ]
    digest = payloads.sha256(json.dumps(told).encode())[:32]
    order_id = payloads.text(payloads.inner(payload, "externalIdentifiers").get("id"))
    return payloads.key_within(f"read:{order_id}:{when}:{digest}")


def unwrapped(value: dict[str, Any]) -> dict[str, Any]:
    """The order itself: the manager's view puts it beside other things."""
    inside = value.get("order")
    return inside if isinstance(inside, dict) and "externalIdentifiers" not in value else value
