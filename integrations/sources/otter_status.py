"""Otter's words for where an order stands, as a status, an event's name or a step of a history.

PICKED_UP and FULFILLED mean another thing for each kind of order, and events that only name the
order do not say its kind: those leave the meaning to the order. There is no preparing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from integrations import payloads
from integrations.contracts import Observation, OrderUpdate, State, ordering_key
from integrations.errors import PayloadMalformed

ORDER_STREAM = "order.status"
HISTORY_STREAM = "orderStatusHistory"
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
    "ORDER_HANDED_OFF DINE_IN": None,
    "ORDER_FULFILLED": State.DELIVERED,
    "ORDER_FULFILLED PICKUP": State.PICKED_UP,
    "ORDER_FULFILLED DRIVE_THROUGH": State.PICKED_UP,
    "ORDER_FULFILLED DINE_IN": None,
}
MODES = {
    "DELIVERY": "delivery",
    "RESTAURANT_DELIVERY": "delivery",
    "PICKUP": "pickup",
    "DINE_IN": "dine_in",
    "DRIVE_THROUGH": "drive_through",
}
CANCEL = "orders.cancel_order"
#: events that say a status by their own name
NAMED: Mapping[str, str] = {
    "orders.confirm": "CONFIRMED",
    "orders.order_ready": "PREPARED",
    "orders.order_handed_off": "PICKED_UP",
    "orders.order_fulfilled": "FULFILLED",
    # an intention; the update that follows confirms it
    CANCEL: "CANCELED",
}
#: why an order was called off -> our code; any other is kept as text
REASONS: Mapping[str, str] = {
    "DUPLICATE_ORDER": "duplicate",
    "UNAVAILABLE_ITEM": "item_unavailable",
    "FRAUDULENT_EATER": "fraud",
    "KITCHEN_CLOSED": "closed",
    "CUSTOMER_CALLED_TO_CANCEL": "customer_request",
    "RESTAURANT_TOO_BUSY": "too_busy",
    "UNACCEPTED_ORDER": "rejected",
    "COURIER_NOT_FOUND": "courier_unavailable",
    "UNABLE_TO_DELIVER": "courier_failed",
}
LONGEST_PREPARATION_MIN = 24 * 60
LAST_YEAR = 9999
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


def order_id_of(event: Mapping[str, Any]) -> str:
    """The order an event is about. Raises PayloadMalformed."""
    meta = payloads.inner(event, "metadata")
    payload = payloads.inner(meta, "payload")
    named = payloads.inner(payload, "externalIdentifiers").get("id") or payload.get("orderId")
    return payloads.required_text(named or meta.get("resourceId"), "metadata.resourceId")


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


def _meaning(
    native: str,
    mode: str,
    stream: str,
    table: Mapping[str, str | None],
    status_map: StatusMap,
) -> tuple[str | None, dict[str, Any], bool]:
    """(state, what it is for other kinds of order where ``mode`` is "", known)."""
    state, known = typed_state(native, mode, stream, table, status_map)
    other = {
        kind: typed_state(native, name, stream, table, status_map)[0]
        for name, kind in MODES.items()
        if not mode
    }
    differing = {kind: found for kind, found in other.items() if found != state}
    return state, {"state_by": differing} if differing else {}, known


def read_named(payload: Mapping[str, Any], kind: str, order_id: str, said: Said) -> OrderUpdate:
    """An event that says by its name what became of an order."""
    mode = mode_of(payload)
    state, data, _ = _meaning(NAMED[kind], mode, ORDER_STREAM, ORDER_STATES, said.status_map)
    why = payloads.text(payload.get("cancellationReason"), 200) if kind == CANCEL else ""
    if why:
        data["reason"] = {"code": REASONS.get(why, "other"), "text": why}
    observation = said.observe(
        track="commercial", scope="order", native_state=kind, state=state, data=data
    )
    return _update(order_id, said, (observation,), ())


def _update(
    order_id: str, said: Said, observations: tuple[Observation, ...], unknown: tuple[str, ...]
) -> OrderUpdate:
    return OrderUpdate(
        order_id=order_id,
        observations=observations,
        aliases=(("external_id", order_id),),
        location_id=said.location_id,
        # a state alone is no order to show
        courier_only=True,
        unknown_states=unknown,
    )


def read_history(payload: Mapping[str, Any], order_id: str, said: Said) -> OrderUpdate:
    """Every step of a history as its own statement: the next history repeats it.

    Raises PayloadMalformed.
    """
    mode = mode_of(payload)
    steps: dict[str, Observation] = {}
    unknown: dict[str, None] = {}
    for entry in payloads.objects(payload.get("orderStatusHistory")):
        if native := payloads.text(entry.get("status"), 80):
            state, data, known = _meaning(
                native, mode, HISTORY_STREAM, HISTORY_STATES, said.status_map
            )
            if not known:
                unknown[f"{HISTORY_STREAM} {native}"] = None
            at = lenient_time(entry.get("eventTime")) or said.at
            if native == "ORDER_ACCEPTED":
                data |= _accepted_data(payload, at)
            step = said.observe(
                event_key=payloads.key_within(f"history:{order_id}:{native}:{ordering_key(at)}"),
                track="commercial",
                scope="order",
                ordering_key=ordering_key(at),
                native_state=native,
                state=state,
                occurred_at=at,
                data=data,
            )
            steps.setdefault(step.event_key, step)
    if not steps:
        raise PayloadMalformed("payload.orderStatusHistory: no element with a status")
    return _update(order_id, said, tuple(steps.values()), tuple(unknown))


def _accepted_data(payload: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """When the kitchen that accepted an order at ``at`` says it will be ready."""
    minutes = payloads.inner(payload, "orderAcceptedInfo").get("preparationTimeInMinutes")
    lead = payloads.number(minutes, 0)
    if not 0 < lead <= LONGEST_PREPARATION_MIN or at.year >= LAST_YEAR:
        return {}
    return {"times": {"est_ready_at": payloads.iso(at + timedelta(minutes=lead))}}
