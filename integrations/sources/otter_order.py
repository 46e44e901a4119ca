"""Reads what Otter says about one order: whole, as a history, or as the name of an event.

PICKED_UP and FULFILLED mean another thing for each kind of order, and there is no preparing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from integrations import payloads
from integrations.contracts import Customer, Observation, OrderUpdate, State, ordering_key
from integrations.errors import PayloadMalformed

ORDER_STREAM = "order.status"
HISTORY_STREAM = "orderStatusHistory"
COURIER_STREAM = "courierStatus"
#: order status -> ours; with a mode where the mode decides
ORDER_STATES: Mapping[str, str | None] = {
    "NEW_ORDER": State.RECEIVED,
    "CONFIRMED": State.ACCEPTED,
    "PREPARED": State.READY,
    "PICKED_UP": State.OUT_FOR_DELIVERY,
    "PICKED_UP PICKUP": State.PICKED_UP,
    "PICKED_UP DRIVE_THROUGH": State.PICKED_UP,
    "PICKED_UP DINE_IN": None,
    "FULFILLED": State.DELIVERED,
    "FULFILLED PICKUP": State.PICKED_UP,
    "FULFILLED DRIVE_THROUGH": State.PICKED_UP,
    "FULFILLED DINE_IN": None,
    "CANCELED": State.CANCELLED,
    "REJECTED": State.CANCELLED,
    "UNKNOWN": None,
}
#: element of a history -> ours
HISTORY_STATES: Mapping[str, str | None] = {
    "ORDER_ACCEPTED": State.ACCEPTED,
    "ORDER_READY_TO_PICKUP": State.READY,
    "ORDER_HANDED_OFF": State.OUT_FOR_DELIVERY,
    "ORDER_HANDED_OFF PICKUP": State.PICKED_UP,
    "ORDER_HANDED_OFF DRIVE_THROUGH": State.PICKED_UP,
    "ORDER_FULFILLED": State.DELIVERED,
    "ORDER_FULFILLED PICKUP": State.PICKED_UP,
}
#: courier as the order shows it -> state of the leg
COURIER_STATES: Mapping[str, str | None] = {
    "COURIER_ASSIGNED": None,
    "COURIER_ON_ROUTE_TO_PICKUP": None,
    "COURIER_ARRIVED": None,
    "COURIER_PICKED_UP_FOOD": State.OUT_FOR_DELIVERY,
    "COURIER_COMPLETED": State.DELIVERED,
}
MODES = {
    "DELIVERY": "delivery",
    "RESTAURANT_DELIVERY": "delivery",
    "PICKUP": "pickup",
    "DINE_IN": "dine_in",
    "DRIVE_THROUGH": "drive_through",
}
DEEPEST = 8
LONGEST_PREPARATION_MIN = 24 * 60
LAST_YEAR = 9999
#: words that say nothing certain until the mode of the order is known
MODE_DECIDES = frozenset({"PICKED_UP", "FULFILLED", "ORDER_HANDED_OFF", "ORDER_FULFILLED"})
_COLON_FRACTION = re.compile(r"(T\d\d:\d\d:\d\d):(\d{1,9}(?:Z|[+-]\d\d:\d\d))\Z", re.ASCII)

StatusMap = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Said:
    """What stands around a payload: key, time and place of the statement, and a manager's words."""

    key: str
    at: datetime
    basis: str
    location_id: str
    status_map: StatusMap

    def observe(self, **values: Any) -> Observation:
        """An observation of this statement."""
        values.setdefault("event_key", self.key)
        values.setdefault("ordering_key", ordering_key(self.at))
        values.setdefault("occurred_at", None if self.basis == "arrival" else self.at)
        return Observation(occurred_at_basis=self.basis, **values)


def lenient_time(value: Any) -> datetime | None:
    """A time, also in the malformed form of Otter's own example (20:06:02:123Z); else None."""
    if isinstance(value, str):
        value = _COLON_FRACTION.sub(r"\1.\2", value)
    try:
        return payloads.time(value, "time")
    except PayloadMalformed:
        return None


def mode_of(payload: Mapping[str, Any]) -> str:
    """The fulfilment mode; "" where the payload does not say."""
    return payloads.text(payloads.inner(payload, "fulfillmentInfo").get("fulfillmentMode"), 60)


def typed_state(
    native: str,
    mode: str,
    stream: str,
    table: Mapping[str, str | None],
    status_map: StatusMap,
) -> tuple[str | None, bool]:
    """(state or None, known) of a word that may mean another thing for each mode."""
    added = status_map.get(stream, {})
    typed = f"{native} {mode}"
    word = typed if typed in added or (typed in table and native not in added) else native
    return payloads.look_up(word, table, added)


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
    times = {
        "placed_at": lenient_time(payload.get("orderedAt")),
        "est_ready_at": lenient_time(info.get("estimatedPickupTime")) or pickup,
        "est_delivery_at": None if is_fixed else due,
        "promised_at": (due or pickup) if is_fixed else None,
    }
    return {name: at.isoformat() for name, at in times.items() if at}


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


# --- histories -------------------------------------------------------------------------------


def read_history(
    payload: Mapping[str, Any], order_id: str, said: Said, *, is_fetched: bool
) -> OrderUpdate:
    """Every step of a history as its own statement: the next history repeats it.

    Where the order ``is_fetched`` next, steps that depend on its mode are left to that.
    """
    mode = mode_of(payload)
    steps: dict[str, Observation] = {}
    unknown: dict[str, None] = {}
    for entry in payloads.objects(payload.get("orderStatusHistory")):
        if native := payloads.text(entry.get("status"), 80):
            state, known = typed_state(
                native, mode, HISTORY_STREAM, HISTORY_STATES, said.status_map
            )
            if not known:
                unknown[f"{HISTORY_STREAM} {native}"] = None
            if is_fetched and not mode and native in MODE_DECIDES:
                state = None
            step = _step(entry, native, state, order_id, said, payload)
            steps.setdefault(step.event_key, step)
    if not steps:
        raise PayloadMalformed("payload.orderStatusHistory: no element with a status")
    return OrderUpdate(
        order_id=order_id,
        observations=tuple(steps.values()),
        aliases=(("external_id", order_id),),
        location_id=said.location_id,
        # a state alone is no order to show
        courier_only=True,
        unknown_states=tuple(unknown),
    )


def _step(
    entry: Mapping[str, Any],
    native: str,
    state: str | None,
    order_id: str,
    said: Said,
    payload: Mapping[str, Any],
) -> Observation:
    at = lenient_time(entry.get("eventTime")) or said.at
    data: dict[str, Any] = {}
    minutes = payloads.inner(payload, "orderAcceptedInfo").get("preparationTimeInMinutes")
    lead = payloads.number(minutes, 0)
    if native == "ORDER_ACCEPTED" and 0 < lead <= LONGEST_PREPARATION_MIN and at.year < LAST_YEAR:
        data["times"] = {"est_ready_at": payloads.iso(at + timedelta(minutes=lead))}
    return said.observe(
        event_key=payloads.key_within(f"history:{order_id}:{native}:{ordering_key(at)}"),
        track="commercial",
        scope="order",
        ordering_key=ordering_key(at),
        native_state=native,
        state=state,
        occurred_at=at,
        data=data,
    )


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
