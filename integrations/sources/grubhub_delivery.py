"""Grubhub Connect: one delivery, whose every push holds the whole history.

A missed or reordered push loses nothing, because the next one repeats what it said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from integrations import payloads
from integrations.contracts import HANDED_OVER, RANK, Observation, OrderUpdate, State, ordering_key
from integrations.errors import EventIgnored, PayloadMalformed

DELIVERY_STREAM = "connect.delivery"
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
STATUS_UPDATE = "DELIVERY_STATUS_UPDATE"
ETA_UPDATE = "ETA_UPDATE"
LOCATION_UPDATE = "COURIER_LOCATION_UPDATE"

StatusMap = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class _Element:
    type: str
    stamp: str
    at: datetime | None
    raw: Mapping[str, Any]


def delivery_key(body: Mapping[str, Any]) -> str:
    """Delivery, kind and newest element. Raises PayloadMalformed or EventIgnored."""
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


def read_delivery(
    body: Mapping[str, Any], key: str, received_at: datetime, status_map: StatusMap
) -> OrderUpdate:
    """The leg with everything that happened to it so far. Raises PayloadMalformed."""
    delivery = payloads.inner(body, "delivery")
    ref = _delivery_id(delivery)
    history = _history(delivery)
    newest = history[-1]
    state, unknown = _state(history, status_map)
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


def _state(
    history: Iterable[_Element], status_map: StatusMap
) -> tuple[str | None, tuple[str, ...]]:
    """The strongest state of the history: its last element may be a photo."""
    states: list[str] = []
    unknown: dict[str, None] = {}
    for element in history:
        state, known = payloads.look_up(
            element.type, DELIVERY_STATES, status_map.get(DELIVERY_STREAM)
        )
        if state:
            states.append(state)
        if not known:
            unknown[f"{DELIVERY_STREAM} {element.type}"] = None
    return max(states, key=_strength, default=None), tuple(unknown)


def _strength(state: str) -> tuple[int, int]:
    """As for every ranked stream: a hand-over, then cancelled, then failed, then the furthest."""
    ends = {State.CANCELLED: 2, State.FAILED: 1}
    return 3 if state in HANDED_OVER else ends.get(State(state), 0), RANK[state]


def _delivery_id(delivery: Mapping[str, Any]) -> str:
    return payloads.required_text(delivery.get("delivery_id"), "delivery.delivery_id")


def _history(delivery: Mapping[str, Any]) -> list[_Element]:
    """What happened, oldest first; never empty.

    One unreadable time must not cost us every later push: it counts as not given.
    """
    found: list[_Element] = []
    problem = PayloadMalformed("delivery.events: no element with a type")
    for entry in payloads.objects(delivery.get("events")):
        if name := payloads.text(entry.get("type"), 120):
            at = None
            try:
                at = payloads.time(entry.get("timestamp"), "delivery.events.timestamp")
            except PayloadMalformed as unreadable:
                problem = unreadable
            found.append(_Element(name, payloads.text(entry.get("timestamp"), 40), at, entry))
    if not any(element.at or not element.stamp for element in found):
        raise problem
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
