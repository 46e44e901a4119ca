"""Reads one Marketplace order (GET /v2/eats/order/{id}): the order, its lines, its couriers.

Uber gives the order no version, so both streams are ranked; the time of the notice that asked
for the order tells newer contents from older ones.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from integrations import payloads
from integrations.contracts import Customer, Observation, OrderUpdate, State, ordering_key

ORDER_STREAM = "order.current_state"
COURIER_STREAM = "deliveries[].current_state"
#: the shared name by which an aggregator or a till knows an order of a marketplace
CHANNEL_ORDER_ID = "channelOrderId"
#: order state -> ours; FINISHED depends on the order type
ORDER_STATES: Mapping[str, str | None] = {
    "CREATED": State.RECEIVED,
    "ACCEPTED": State.ACCEPTED,
    "DENIED": State.CANCELLED,
    "FINISHED": State.DELIVERED,
    "FINISHED PICK_UP": State.PICKED_UP,
    "FINISHED DINE_IN": None,
    "CANCELED": State.CANCELLED,
    "UNKNOWN": None,
}
#: courier state -> state of the leg; on the way to the restaurant nothing has moved yet
COURIER_STATES: Mapping[str, str | None] = {
    "SCHEDULED": None,
    "EN_ROUTE_TO_PICKUP": None,
    "ARRIVED_AT_PICKUP": None,
    "EN_ROUTE_TO_DROPOFF": State.OUT_FOR_DELIVERY,
    "ARRIVED_AT_DROPOFF": State.OUT_FOR_DELIVERY,
    "COMPLETED": State.DELIVERED,
    "FAILED": State.FAILED,
}
FULFILLMENTS = {
    "PICK_UP": "pickup",
    "DINE_IN": "dine_in",
    "DELIVERY_BY_UBER": "delivery",
    "DELIVERY_BY_RESTAURANT": "delivery",
}


def read_order(
    order: dict[str, Any], noticed_at: datetime | None, status_map: Mapping[str, Mapping[str, str]]
) -> OrderUpdate:
    """The order as an update. Raises PayloadMalformed."""
    order_id = payloads.required_text(order.get("id"), "order.id")
    unknown: list[str] = []
    content = json.dumps(_told(order), sort_keys=True).encode()
    key = f"order:{order_id}:{ordering_key(noticed_at)}:{payloads.sha256(content)[:16]}"
    legs = [
        _leg(entry, key, noticed_at, status_map, unknown)
        for entry in payloads.objects(order.get("deliveries"))
        if payloads.text(entry.get("id"))
    ]
    native = payloads.text(order.get("current_state"), 120)
    state, known = _state(native, payloads.text(order.get("type")), status_map)
    if native and not known:
        unknown.append(f"{ORDER_STREAM} {native}")
    store = payloads.inner(order, "store")
    reference = payloads.text(order.get("external_reference_id"))
    return OrderUpdate(
        order_id=order_id,
        observations=(_order(order, key, noticed_at, native, state), *legs),
        display=_display(order),
        aliases=(
            (CHANNEL_ORDER_ID, order_id),
            *((("external_id", reference),) if reference else ()),
        ),
        customer=_customer(payloads.inner(order, "eater")),
        location_id=payloads.text(store.get("id")),
        unknown_states=tuple(dict.fromkeys(unknown)),
    )


def _told(order: Mapping[str, Any]) -> list[Any]:
    """What makes two reads of one order differ for us."""
    names = ("current_state", "type", "cart", "estimated_ready_for_pickup_at", "deliveries")
    return [order.get(name) for name in names]


def _state(
    native: str, kind: str, status_map: Mapping[str, Mapping[str, str]]
) -> tuple[str | None, bool]:
    added = status_map.get(ORDER_STREAM, {})
    typed = f"{native} {kind}"
    word = typed if typed in ORDER_STATES or typed in added else native
    return payloads.look_up(word, ORDER_STATES, added)


def _order(
    order: Mapping[str, Any],
    key: str,
    noticed_at: datetime | None,
    native: str,
    state: str | None,
) -> Observation:
    times = {
        "placed_at": payloads.time(order.get("placed_at"), "placed_at"),
        # a prediction that moves, so an estimate and no promise
        "est_ready_at": payloads.time(
            order.get("estimated_ready_for_pickup_at"), "estimated_ready_for_pickup_at"
        ),
    }
    data: dict[str, Any] = {
        "display": _display(order),
        "times": {name: payloads.iso(at) for name, at in times.items() if at},
        "customer_kind": "relay",
    }
    if isinstance(payloads.inner(order, "cart").get("items"), list):
        data["items"] = _items(order)
    if kind := FULFILLMENTS.get(payloads.text(order.get("type"))):
        data["fulfillment"] = {"type": kind}
    if native == "DENIED":
        data["reason"] = {"code": "rejected"}
    return Observation(
        event_key=payloads.key_within(key, 370),
        track="commercial",
        scope="order",
        ordering_class="ranked",
        ordering_key=ordering_key(noticed_at),
        kind="snapshot",
        native_state=native,
        state=state,
        occurred_at=noticed_at,
        occurred_at_basis="event" if noticed_at else "arrival",
        data=data,
    )


def _leg(
    entry: Mapping[str, Any],
    key: str,
    noticed_at: datetime | None,
    status_map: Mapping[str, Mapping[str, str]],
    unknown: list[str],
) -> Observation:
    native = payloads.text(entry.get("current_state"), 120)
    state, known = payloads.look_up(native, COURIER_STATES, status_map.get(COURIER_STREAM))
    if native and not known:
        unknown.append(f"{COURIER_STREAM} {native}")
    name = payloads.text(entry.get("first_name"), 100)
    return Observation(
        event_key=payloads.scoped_key(key, "leg", payloads.text(entry["id"])),
        track="courier",
        scope="leg",
        ref=payloads.text(entry["id"]),
        ordering_class="ranked",
        ordering_key=ordering_key(noticed_at),
        native_state=native,
        state=state,
        occurred_at=noticed_at,
        occurred_at_basis="event" if noticed_at else "arrival",
        data={"courier": {"name": name}} if name else {},
    )


def _display(order: Mapping[str, Any]) -> str:
    found = payloads.text(order.get("display_id"), 40)
    return found or payloads.text(order.get("id"))[-5:].upper()


def _items(order: Mapping[str, Any]) -> list[dict[str, Any]]:
    items = []
    for index, line in enumerate(payloads.objects(payloads.inner(order, "cart").get("items"))):
        ref = payloads.text(line.get("instance_id")) or payloads.text(line.get("id"))
        items.append(
            {
                "id": ref or f"line-{index}",
                "label": payloads.text(line.get("title")) or "Item",
                "quantity": payloads.number(line.get("quantity")),
                "modifiers": _modifiers(line),
            }
        )
    return items


def _modifiers(line: Mapping[str, Any]) -> list[str]:
    words = []
    for group in payloads.objects(line.get("selected_modifier_groups")):
        for chosen in payloads.objects(group.get("selected_items")):
            words.append(payloads.text(chosen.get("title")))
        for removed in payloads.objects(group.get("removed_items")):
            words.append(f"No {payloads.text(removed.get('title'))}"[:200])
    return [word for word in words if word]


def _customer(eater: Mapping[str, Any]) -> Customer:
    """A name for the board. The number is a relay with a PIN and is not even kept."""
    words = [payloads.text(eater.get(name), 80) for name in ("first_name", "last_name")]
    return Customer(name=" ".join(word for word in words if word), contact_kind="relay")
