"""Reads one order of Deliverect: a commercial snapshot and the state of the kitchen.

The states are the till's own, so they are ordered by its times and belong to the kitchen.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from integrations import payloads
from integrations.contracts import Customer, Observation, OrderUpdate, State, ordering_key

ORDER_STREAM = "order_status"
#: status code of an order -> ours; 90 and 95 are paperwork of the till
ORDER_STATES: Mapping[str, str | None] = {
    **dict.fromkeys(("1", "2", "3", "4", "5", "6", "7", "10", "25"), State.RECEIVED),
    "20": State.ACCEPTED,
    "30": None,
    "35": State.CANCELLED,
    "40": State.ACCEPTED,
    "50": State.PREPARING,
    "60": State.READY,
    "70": State.READY,
    "90": None,
    "95": None,
    "100": State.CANCELLED,
    "110": State.CANCELLED,
    "120": State.FAILED,
}
FULFILLMENTS = {
    "1": "pickup",
    "2": "delivery",
    "3": "dine_in",
    "4": "curbside",
    "5": "drive_through",
}
DENIED, CANCEL_REQUESTED, AUTO_FINALIZED, FAILED = "35", "100", "95", "120"
#: items inside items inside items
DEEPEST = 8

StatusMap = Mapping[str, Mapping[str, str]]


def order_id_of(order: Mapping[str, Any]) -> str:
    """``_id``, or ``orderId`` in the form for kitchen displays. Raises PayloadMalformed."""
    name = "_id" if "_id" in order else "orderId"
    return payloads.required_text(order.get(name), name)


def order_key(order: Mapping[str, Any]) -> str:
    """Order, status and the time of the change, or what is told where there is no such time."""
    native = payloads.text(order.get("status"), 20)
    stamp = payloads.text(order.get("_updated"), 40)
    if not stamp:
        names = ("channelOrderDisplayId", "pickupTime", "deliveryTime")
        told = [[payloads.text(order.get(name)) for name in names], _items(order.get("items"))]
        stamp = payloads.sha256(json.dumps(told).encode())[:32]
    return payloads.key_within(f"deliverect:order:{order_id_of(order)}:{native}:{stamp}")


def read_state(native: str, status_map: StatusMap) -> tuple[str | None, tuple[str, ...]]:
    """(state or None, unknown words) of a status code."""
    state, known = payloads.look_up(native, ORDER_STATES, status_map.get(ORDER_STREAM))
    return state, () if known or not native else (f"{ORDER_STREAM} {native}",)


def why(native: str, state: str | None, words: str = "") -> dict[str, Any]:
    """What the status code says beyond the state, as data of an observation."""
    if native == AUTO_FINALIZED:
        return {"note": "closed by itself: the till sends no further news"}
    if state not in (State.CANCELLED, State.FAILED):
        return {}
    codes = {DENIED: "rejected", CANCEL_REQUESTED: "cancel_requested"}
    reason: dict[str, Any] = {"code": codes.get(native, "other" if words else "")}
    if words:
        reason["text"] = words
    if native == FAILED:
        # the till could not take it, and somebody may still cook it
        reason |= {"code": "other", "staff_first": True}
    return {"reason": reason} if reason["code"] else {}


def aliases(body: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The channel's own id of the order."""
    found = payloads.text(body.get("channelOrderId"))
    return (("channelOrderId", found),) if found else ()


def read_order(order: dict[str, Any], received_at: datetime, status_map: StatusMap) -> OrderUpdate:
    """An order as an update. Raises PayloadMalformed."""
    order_id, key = order_id_of(order), order_key(order)
    native = payloads.text(order.get("status"), 20)
    state, unknown = read_state(native, status_map)
    at = payloads.time(order.get("_updated"), "_updated")
    customer = _customer(payloads.inner(order, "customer"))
    display = payloads.text(order.get("channelOrderDisplayId"), 40) or order_id[-6:]
    place: dict[str, Any] = {
        "scope": "order",
        "ordering_key": ordering_key(at or received_at),
        "kind": "snapshot",
        "occurred_at": at,
        "occurred_at_basis": "resource_modified" if at else "arrival",
    }
    commercial = Observation(
        event_key=payloads.scoped_key(key, "order", "commercial"),
        track="commercial",
        data=_contents(order, display, customer),
        **place,
    )
    ready = payloads.iso(payloads.time(order.get("pickupTime"), "pickupTime"))
    kitchen = Observation(
        event_key=payloads.scoped_key(key, "order", "kitchen"),
        track="kitchen",
        native_state=native,
        state=state,
        data={"times": {"est_ready_at": ready} if ready else {}, **why(native, state)},
        **place,
    )
    return OrderUpdate(
        order_id=order_id,
        observations=(commercial, kitchen),
        display=display,
        aliases=aliases(order),
        customer=customer,
        location_id=payloads.text(order.get("location")),
        timezone=payloads.text(order.get("timezone"), 64),
        unknown_states=unknown,
    )


def _contents(order: Mapping[str, Any], display: str, customer: Customer | None) -> dict[str, Any]:
    kind = FULFILLMENTS.get(payloads.text(order.get("orderType"), 4))
    is_scheduled = order.get("deliveryIsAsap") is False
    is_brought = kind == "delivery"
    due_name = "deliveryTime" if is_brought else "pickupTime"
    due = payloads.iso(payloads.time(order.get(due_name), due_name))
    times = {"placed_at": payloads.iso(payloads.time(order.get("_created"), "_created"))}
    if is_scheduled:
        times["promised_at"] = due
    elif is_brought:
        # as soon as possible is an estimate: it moves without anybody rescheduling
        times["est_delivery_at"] = due
    data: dict[str, Any] = {
        "display": display,
        "times": {name: value for name, value in times.items() if value},
    }
    if isinstance(order.get("items"), list):
        data["items"] = _items(order["items"])
    if kind:
        data["fulfillment"] = {"type": kind, "scheduled": is_scheduled}
    if customer:
        data["customer_kind"] = customer.contact_kind
    return data


def _items(lines: Any) -> list[dict[str, Any]]:
    items = []
    seen: Counter[str] = Counter()
    for line in payloads.objects(lines):
        product = payloads.text(line.get("plu"), 100) or "line"
        seen[product] += 1
        items.append(
            {
                # one product may stand on several lines
                "id": product if seen[product] == 1 else f"{product}#{seen[product]}",
                "label": payloads.text(line.get("name")) or "Item",
                "quantity": payloads.number(line.get("quantity")),
                "modifiers": list(_sub_items(line.get("subItems"))),
            }
        )
    return items


def _sub_items(lines: Any, depth: int = 0) -> Iterator[str]:
    for line in payloads.objects(lines):
        if name := payloads.text(line.get("name"), 150):
            count = payloads.number(line.get("quantity"))
            yield name if count == 1 else f"{count} x {name}"
        if depth < DEEPEST:
            yield from _sub_items(line.get("subItems"), depth + 1)


def _customer(guest: Mapping[str, Any]) -> Customer | None:
    """A guest behind an access code belongs to the marketplace: only the name is used."""
    name = payloads.text(guest.get("name"))
    if payloads.text(guest.get("phoneAccessCode"), 40):
        return Customer(name=name, contact_kind="masked")
    phone = payloads.text(guest.get("phoneNumber"), 40)
    email = payloads.text(guest.get("email"), 254)
    if not (name or phone or email):
        return None
    return Customer(name, phone, email, "direct" if phone or email else "none")
