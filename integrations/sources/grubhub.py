"""Grubhub Connect: couriers for the restaurant's own orders. Every push holds the whole history.

A missed or reordered push loses nothing, because the next one repeats what it said. Of Marketplace
orders only the documented status is read; this product never confirms or rejects one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from integrations import payloads
from integrations.contracts import (
    HANDED_OVER,
    RANK,
    FollowUp,
    InboundCall,
    Observation,
    OrderUpdate,
    Setting,
    Source,
    State,
    ordering_key,
)
from integrations.errors import EventIgnored, PayloadMalformed
from integrations.redaction import without_members
from integrations.signatures import require_basic

DELIVERY_STREAM = "connect.delivery"
ORDER_STREAM = "marketplace.order"
#: element of the history -> state of the leg; None = known, and nothing has moved
DELIVERY_STATES: Mapping[str, str | None] = {
    "CREATED": None,
    "ASSIGNED": None,
    # no failure: another driver may follow
    "UNASSIGNED": None,
    "COURIER_AT_PICKUP": None,
    "PICKUP_VERIFICATION": None,
    "PICKED_UP": State.OUT_FOR_DELIVERY,
    "IN_TRANSIT": State.OUT_FOR_DELIVERY,
    "COURIER_AT_DROPOFF": State.OUT_FOR_DELIVERY,
    "DELIVERED": State.DELIVERED,
    "PROOF_OF_DELIVERY": None,
    "RETURN_INITIATED": State.FAILED,
    "RETURN_COMPLETED": State.FAILED,
    "CANCELED": State.FAILED,
}
ORDER_STATES: Mapping[str, str | None] = {
    "RESTAURANT_CONFIRMABLE": State.RECEIVED,
    "CONFIRMED": State.ACCEPTED,
    "REJECTED": State.CANCELLED,
}
STATUS_UPDATE = "DELIVERY_STATUS_UPDATE"
ETA_UPDATE = "ETA_UPDATE"
LOCATION_UPDATE = "COURIER_LOCATION_UPDATE"
#: where the courier is and what the door looks like
_PRIVATE = frozenset({"location", "photo_url", "photo_capture_location", "dropoff_image_details"})


@dataclass(frozen=True, slots=True)
class _Element:
    type: str
    stamp: str
    at: datetime | None
    raw: Mapping[str, Any]


class Grubhub(Source):
    """The Connect webhook of one partner, with HTTP Basic."""

    key = "grubhub"
    title = "Grubhub"
    settings = (
        Setting("username", "User", help="the Basic user agreed with Grubhub at signup"),
        Setting("password", "Password", secret=True),
        Setting("previous_password", "Previous password", secret=True, required=False),
    )
    priority: ClassVar[Mapping[str, int]] = {"commercial": 20, "kitchen": 10, "courier": 30}
    can_state: ClassVar[frozenset[str]] = frozenset(
        {
            State.RECEIVED,
            State.ACCEPTED,
            State.OUT_FOR_DELIVERY,
            State.DELIVERED,
            State.CANCELLED,
        }
    )

    # --- before the call is believed -----------------------------------------------------------

    def verify(self, call: InboundCall) -> None:
        """HTTP Basic, as chosen at signup."""
        names = ("password", "previous_password")
        require_basic(
            given=call.headers.get("authorization", ""),
            user=self.account.get("username", ""),
            passwords=(self.account.get(name, "") for name in names),
        )

    def event_key(self, call: InboundCall) -> str:
        """Delivery, kind and newest element of the history; estimates also by their value."""
        try:
            return _event_key(payloads.load_object(call.body))
        except (PayloadMalformed, EventIgnored):
            return f"body|{payloads.sha256(call.body)}"

    def fingerprint(self, call: InboundCall) -> str:
        """Positions differ all the time without saying anything new."""
        key = self.event_key(call)
        if f":{LOCATION_UPDATE}:" in key:
            return payloads.sha256(key.encode())
        return payloads.sha256(self.body_to_store(call))

    def body_to_store(self, call: InboundCall) -> bytes:
        """Positions and door pictures (which expire) are left out."""
        return without_members(call.body, _PRIVATE)

    # --- reading -------------------------------------------------------------------------------

    def parse(self, call: InboundCall) -> list[OrderUpdate | FollowUp]:
        """The leg with everything that happened to it so far."""
        body = payloads.load_object(call.body)
        key = _event_key(body)
        if "update_type" in body:
            return [self._delivery(body, key, call.received_at)]
        return [self._order(body, key)]

    def _delivery(self, body: dict[str, Any], key: str, received_at: datetime) -> OrderUpdate:
        delivery = payloads.inner(body, "delivery")
        ref = _delivery_id(delivery)
        history = _history(delivery)
        newest = history[-1]
        state, unknown = self._state(history)
        is_estimate = body.get("update_type") == ETA_UPDATE
        place = ordering_key(newest.at)
        observation = Observation(
            event_key=key,
            track="courier",
            scope="leg",
            ref=ref,
            ordering_class="ranked",
            # estimates come while the history stands still: among them the last to arrive counts
            ordering_key=f"{place}.{ordering_key(received_at)}" if is_estimate else place,
            kind="eta" if is_estimate else "transition",
            native_state=newest.type,
            state=state,
            occurred_at=newest.at,
            occurred_at_basis="event" if newest.at else "arrival",
            data=_leg_data(body, delivery, history, state),
        )
        client = payloads.inner(delivery, "client_data")
        external_id = payloads.text(client.get("external_id"))
        aliases = [("external_delivery_id", ref)]
        if external_id:
            aliases.append(("external_id", external_id))
        return OrderUpdate(
            order_id=ref,
            observations=(observation,),
            aliases=tuple(aliases),
            location_id=payloads.text(client.get("external_merchant_id")),
            courier_only=True,
            unknown_states=unknown,
        )

    def _state(self, history: Iterable[_Element]) -> tuple[str | None, tuple[str, ...]]:
        """The strongest state of the history: its last element may be a photo."""
        states: list[str] = []
        unknown: dict[str, None] = {}
        for element in history:
            state, known = payloads.look_up(
                element.type, DELIVERY_STATES, self.status_map.get(DELIVERY_STREAM)
            )
            if state:
                states.append(state)
            if not known:
                unknown[f"{DELIVERY_STREAM} {element.type}"] = None
        return max(states, key=_strength, default=None), tuple(unknown)

    def _order(self, body: dict[str, Any], key: str) -> OrderUpdate:
        native = payloads.required_text(body.get("status"), "status", 120)
        state, known = payloads.look_up(native, ORDER_STATES, self.status_map.get(ORDER_STREAM))
        observation = Observation(
            event_key=key,
            track="commercial",
            scope="order",
            ordering_class="ranked",
            native_state=native,
            state=state,
            data={"reason": {"code": "rejected"}} if native == "REJECTED" else {},
        )
        return OrderUpdate(
            order_id=payloads.required_text(body.get("order_uuid"), "order_uuid"),
            observations=(observation,),
            location_id=payloads.text(body.get("merchant_id")),
            unknown_states=() if known else (f"{ORDER_STREAM} {native}",),
        )


def _strength(state: str) -> tuple[int, int]:
    """As for every ranked stream: a hand-over, then cancelled, then failed, then the furthest."""
    ends = {State.CANCELLED: 2, State.FAILED: 1}
    return 3 if state in HANDED_OVER else ends.get(State(state), 0), RANK[state]


def _event_key(body: Mapping[str, Any]) -> str:
    """Raises PayloadMalformed, or EventIgnored for bodies that are about no order."""
    if "update_type" not in body:
        if "order_uuid" not in body:
            raise EventIgnored("the body names neither a delivery nor an order")
        order = payloads.required_text(body["order_uuid"], "order_uuid")
        native = payloads.required_text(body.get("status"), "status", 120)
        return payloads.key_within(f"grubhub:order:{order}:{native}")
    kind = payloads.text(body["update_type"], 60)
    if kind not in (STATUS_UPDATE, ETA_UPDATE, LOCATION_UPDATE):
        raise EventIgnored(f"update type {kind or 'missing'} says nothing about an order")
    delivery = payloads.inner(body, "delivery")
    ref = _delivery_id(delivery)
    newest = _history(delivery)[-1]
    words = ["grubhub", ref, kind, newest.type, newest.stamp]
    if kind == ETA_UPDATE:
        estimates = payloads.inner(delivery, "estimated_event_times")
        words.append(payloads.text(estimates.get("dropped_off"), 40))
    return payloads.key_within(":".join(words))


def _delivery_id(delivery: Mapping[str, Any]) -> str:
    return payloads.required_text(delivery.get("delivery_id"), "delivery.delivery_id")


def _history(delivery: Mapping[str, Any]) -> list[_Element]:
    """What happened, oldest first; never empty."""
    found = []
    for entry in payloads.objects(delivery.get("events")):
        if name := payloads.text(entry.get("type"), 120):
            at = payloads.time(entry.get("timestamp"), "delivery.events.timestamp")
            found.append(_Element(name, payloads.text(entry.get("timestamp"), 40), at, entry))
    if not found:
        raise PayloadMalformed("delivery.events: no element with a type")
    # sorting is stable: elements of one moment stay as they were sent
    return sorted(found, key=lambda element: ordering_key(element.at))


def _leg_data(
    body: Mapping[str, Any],
    delivery: Mapping[str, Any],
    history: Iterable[_Element],
    state: str | None,
) -> dict[str, Any]:
    data: dict[str, Any] = {}
    times = payloads.inner(delivery, "estimated_event_times")
    estimate = payloads.time(times.get("dropped_off"), "estimated_event_times.dropped_off")
    # once reached it is no estimate any more; a position report may carry an old one
    is_news = state != State.DELIVERED and body.get("update_type") != LOCATION_UPDATE
    if estimate and is_news:
        data["est_delivery_at"] = payloads.iso(estimate)
    courier: dict[str, str] = {}
    if name := payloads.text(payloads.inner(body, "courier").get("name"), 100):
        courier["name"] = name.split()[0]
    if (link := payloads.text(body.get("tracking_url"), 2000)).startswith("https://"):
        courier["tracking_url"] = link
    if courier:
        data["courier"] = courier
    if state == State.FAILED and (why := _why(history)):
        data["reason"] = {"code": "courier_failed", "text": why}
    return data


def _why(history: Iterable[_Element]) -> str:
    """Code and comment of a cancellation; codes outside the published list occur."""
    for element in history:
        if element.type == "CANCELED":
            words = [payloads.text(element.raw.get(n), 200) for n in ("reason_code", "source")]
            comment = payloads.text(element.raw.get("reason_comment"), 200)
            return ": ".join(filter(None, [" by ".join(filter(None, words)), comment]))
    return ""
