"""DoorDash Marketplace: couriers, cancellations and (as a forwarded copy) orders of its app.

Numbers of guests and couriers are DoorDash's support line or masked; they are never kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from integrations import payloads
from integrations.contracts import Customer, Observation, OrderUpdate, State, ordering_key
from integrations.errors import EventIgnored, PayloadMalformed

ORDER_STREAM = "marketplace.order"
DASHER_STREAM = "marketplace.dasher_status"
CANCELLED, RELEASED = "(order cancelled)", "(order release)"
#: what happened to an order -> ours
ORDER_STATES: Mapping[str, str | None] = {
    "NEW": State.RECEIVED,
    CANCELLED: State.CANCELLED,
    RELEASED: None,
}
#: courier of an order -> state of the leg
DASHER_STATES: Mapping[str, str | None] = {
    "dasher_confirmed": None,
    "arriving_at_store": None,
    "arrived_at_store": None,
    "dasher_out_for_delivery": State.OUT_FOR_DELIVERY,
    "dropoff": State.DELIVERED,
}
FULFILLMENTS = {"dx_delivery": "delivery", "mx_fleet_delivery": "delivery", "pickup": "pickup"}
#: the shared name by which an aggregator or a till knows an order of a marketplace
CHANNEL_ORDER_ID = "channelOrderId"
#: options inside options inside options
DEEPEST = 8

StatusMap = Mapping[str, Mapping[str, str]]


def kind_of(body: Mapping[str, Any]) -> str:
    """order, dasher, cancel or release; raises PayloadMalformed or EventIgnored.

    Cancellations and releases carry no type: both are known by what else they hold.
    """
    event = payloads.inner(body, "event")
    kind = payloads.text(event.get("type"), 60)
    if kind == "OrderCreate":
        return "order"
    if kind == "dasher_status_update":
        return "dasher"
    if kind:
        raise EventIgnored(f"event type {kind} says nothing about the course of an order")
    if "external_order_id" not in body:
        raise EventIgnored("the body names no order")
    if "dasher" in body:
        return "release"
    if "is_asap" in body and "event" not in body:
        return "cancel"
    # a guess could tell a guest that the order is off
    raise PayloadMalformed("the body: neither a cancellation nor a release, and without a type")


def event_key(body: Mapping[str, Any]) -> str:
    """Raises PayloadMalformed or EventIgnored."""
    kind = kind_of(body)
    if kind == "order":
        key = f"OrderCreate:{_order_id(payloads.inner(body, 'order'), 'id')}"
    elif kind == "dasher":
        delivery = payloads.inner(body, "delivery")
        order = _order_id(delivery, "external_order_id")
        stamp = payloads.text(body.get("created_at"), 40)
        key = f"dasher_status:{order}:{_dasher_status(delivery)}:{stamp}"
    else:
        key = f"{kind}:{_order_id(body, 'external_order_id')}"
    return payloads.key_within(f"doordash_mkt:{key}")


def read(body: dict[str, Any], status_map: StatusMap) -> OrderUpdate:
    """Any Marketplace body as an update. Raises PayloadMalformed or EventIgnored."""
    kind = kind_of(body)
    if kind == "order":
        return _order(body, status_map)
    if kind == "dasher":
        return _dasher(body, status_map)
    return _notice(body, CANCELLED if kind == "cancel" else RELEASED, status_map)


def _order_id(body: Mapping[str, Any], name: str) -> str:
    return payloads.required_text(body.get(name), name)


def _dasher_status(delivery: Mapping[str, Any]) -> str:
    return payloads.required_text(delivery.get("dasher_status"), "delivery.dasher_status", 120)


def _state(
    native: str, stream: str, table: Mapping[str, str | None], status_map: StatusMap
) -> tuple[str | None, tuple[str, ...]]:
    state, known = payloads.look_up(native, table, status_map.get(stream))
    return state, () if known else (f"{stream} {native}",)


def _order(body: Mapping[str, Any], status_map: StatusMap) -> OrderUpdate:
    order = payloads.inner(body, "order")
    native = payloads.required_text(
        payloads.inner(body, "event").get("status"), "event.status", 120
    )
    state, unknown = _state(native, ORDER_STREAM, ORDER_STATES, status_map)
    order_id = _order_id(order, "id")
    display = payloads.text(order.get("delivery_short_code"), 40) or order_id[-6:]
    guest = payloads.inner(order, "consumer")
    words = [payloads.text(guest.get(name), 80) for name in ("first_name", "last_name")]
    data: dict[str, Any] = {"display": display, "customer_kind": "masked"}
    if isinstance(order.get("categories"), list):
        data["items"] = _items(order)
    fulfillment = FULFILLMENTS.get(payloads.text(order.get("fulfillment_type")))
    if fulfillment is None and isinstance(order.get("is_pickup"), bool):
        fulfillment = "pickup" if order["is_pickup"] else "delivery"
    if fulfillment:
        data["fulfillment"] = {"type": fulfillment}
    observation = Observation(
        event_key=event_key(body),
        track="commercial",
        scope="order",
        ordering_class="ranked",
        kind="snapshot",
        native_state=native,
        state=state,
        data=data,
    )
    return OrderUpdate(
        order_id=order_id,
        observations=(observation,),
        display=display,
        aliases=((CHANNEL_ORDER_ID, order_id),),
        customer=Customer(name=" ".join(filter(None, words)), contact_kind="masked"),
        location_id=_store(order),
        unknown_states=unknown,
    )


def _store(body: Mapping[str, Any]) -> str:
    return payloads.text(payloads.inner(body, "store").get("merchant_supplied_id"))


def _items(order: Mapping[str, Any]) -> list[dict[str, Any]]:
    lines = [
        line
        for category in payloads.objects(order.get("categories"))
        for line in payloads.objects(category.get("items"))
    ]
    return [
        {
            "id": payloads.text(line.get("line_item_id")) or f"line-{place}",
            "label": payloads.text(line.get("name")) or "Item",
            "quantity": payloads.number(line.get("quantity")),
            "modifiers": list(_options(line.get("extras"))),
        }
        for place, line in enumerate(lines)
    ]


def _options(groups: Any, depth: int = 0) -> Iterator[str]:
    for group in payloads.objects(groups):
        for option in payloads.objects(group.get("options")):
            if name := payloads.text(option.get("name"), 150):
                count = payloads.number(option.get("quantity"))
                yield name if count == 1 else f"{count} x {name}"
            if depth < DEEPEST:
                yield from _options(option.get("extra"), depth + 1)


def _dasher(body: Mapping[str, Any], status_map: StatusMap) -> OrderUpdate:
    delivery = payloads.inner(body, "delivery")
    order_id = _order_id(delivery, "external_order_id")
    native = _dasher_status(delivery)
    state, unknown = _state(native, DASHER_STREAM, DASHER_STATES, status_map)
    at = payloads.time(body.get("created_at"), "created_at")
    name = payloads.text(payloads.inner(delivery, "dasher").get("first_name"), 100)
    observation = Observation(
        event_key=event_key(body),
        track="courier",
        scope="leg",
        # one leg however often it is given to another courier, who repeats the earlier steps
        ref=order_id,
        ordering_class="ranked",
        ordering_key=ordering_key(at),
        native_state=native,
        state=state,
        occurred_at=at,
        occurred_at_basis="event" if at else "arrival",
        data={"courier": {"name": name}} if name else {},
    )
    return OrderUpdate(
        order_id=order_id,
        observations=(observation,),
        aliases=_aliases(order_id, delivery),
        location_id=payloads.text(delivery.get("location_id")),
        courier_only=True,
        unknown_states=unknown,
    )


def _notice(body: Mapping[str, Any], native: str, status_map: StatusMap) -> OrderUpdate:
    state, _ = _state(native, ORDER_STREAM, ORDER_STATES, status_map)
    is_hint = native == RELEASED
    observation = Observation(
        event_key=event_key(body),
        track="commercial",
        scope="order",
        ordering_class="ranked",
        kind="note" if is_hint else "transition",
        native_state=native,
        state=state,
        data={"note": "courier is near, start preparing"} if is_hint else {},
    )
    order_id = _order_id(body, "external_order_id")
    return OrderUpdate(
        order_id=order_id,
        observations=(observation,),
        aliases=_aliases(order_id, body),
        location_id=_store(body),
        # no word about what was ordered: without the order itself there is nothing to show
        courier_only=True,
    )


def _aliases(order_id: str, body: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """DoorDash's own id, and the one the till gave the order when it confirmed it (often null)."""
    reference = payloads.text(body.get("client_order_id"))
    tills = (("client_order_id", reference), ("external_id", reference)) if reference else ()
    return ((CHANNEL_ORDER_ID, order_id), *tills)
