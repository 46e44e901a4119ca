"""Uber Direct: courier legs of the restaurant's own orders, as pushed and as fetched.

A delivery is known by Uber's delivery id (alias system ``external_delivery_id``) and by the id
the restaurant gave it (``external_id``); either joins it to the order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from integrations import payloads
from integrations.contracts import Customer, Observation, OrderUpdate, State, ordering_key
from integrations.errors import EventIgnored

#: every id of a delivery begins like this
ID_PREFIX = "del_"
DELIVERY_STATUS = "event.delivery_status"
COURIER_UPDATE = "event.courier_update"
#: Direct status -> state of the leg
STATUSES: Mapping[str, str | None] = {
    "pending": None,
    "pickup": None,
    "pickup_complete": State.OUT_FOR_DELIVERY,
    "dropoff": State.OUT_FOR_DELIVERY,
    "delivered": State.DELIVERED,
    "canceled": State.FAILED,
    "returned": State.FAILED,
}
#: positions, faces, signatures and door pictures
_PRIVATE = frozenset(
    {"location", "img_href", "verification", "verification_requirements", "picture_url"}
)


def courier_update_key(event: Mapping[str, Any], received_at: datetime) -> str:
    """One key per delivery, estimated minute and five minutes of ours: the rest is noise."""
    minute = payloads.text(payloads.inner(event, "data").get("dropoff_eta"), 16)
    bucket = int(received_at.timestamp()) // 300
    return payloads.key_within(f"{COURIER_UPDATE}|{_delivery_id(event)}|{minute}|{bucket}")


def without_positions(body: bytes) -> bytes:
    """``body`` without positions, pictures and proofs; raises PayloadMalformed."""
    event = payloads.load_object(body)
    if "kind" not in event:
        return body
    kept = _stripped(event)
    if event["kind"] == COURIER_UPDATE:
        data = payloads.inner(event, "data")
        kept = {name: event[name] for name in ("kind", "created", "delivery_id") if name in event}
        kept["data"] = {
            name: data[name] for name in ("id", "external_id", "dropoff_eta") if name in data
        }
    return json.dumps(kept, separators=(",", ":")).encode()


def _stripped(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _stripped(entry) for name, entry in value.items() if name not in _PRIVATE}
    if isinstance(value, list):
        return [_stripped(entry) for entry in value]
    return value


def _delivery_id(event: Mapping[str, Any]) -> str:
    return payloads.text(event.get("delivery_id")) or payloads.text(
        payloads.inner(event, "data").get("id")
    )


def read_event(
    event: dict[str, Any],
    key: str,
    received_at: datetime,
    status_map: Mapping[str, Mapping[str, str]],
) -> OrderUpdate:
    """A delivery event of Direct. Raises PayloadMalformed, or EventIgnored for other kinds."""
    kind = payloads.text(event.get("kind"))
    if kind not in (DELIVERY_STATUS, COURIER_UPDATE):
        raise EventIgnored(f"event kind {kind or 'missing'} says nothing about an order")
    data = payloads.inner(event, "data")
    estimate = payloads.time(data.get("dropoff_eta"), "data.dropoff_eta")
    unknown: tuple[str, ...] = ()
    if kind == COURIER_UPDATE:
        if estimate is None:
            raise EventIgnored("a courier position without an estimate")
        fragment: dict[str, Any] = {"est_delivery_at": payloads.iso(estimate)}
        native, state = "", None
    else:
        native = payloads.text(event.get("status") or data.get("status"), 120)
        state, unknown = _direct_state(native, data, status_map)
        if native and data.get("kind") == "return":
            native += " (return)"
        fragment = _leg_data(data, estimate)
    at = payloads.time(event.get("created"), "created")
    delivery = payloads.required_text(_delivery_id(event), "delivery_id")
    observation = Observation(
        event_key=key,
        track="courier",
        scope="leg",
        ref=delivery,
        ordering_class="ranked",
        ordering_key=ordering_key(at or received_at),
        kind="transition" if native else "eta",
        native_state=native,
        state=state,
        occurred_at=at,
        occurred_at_basis="event" if at else "arrival",
        data=fragment,
    )
    external_id = payloads.text(data.get("external_id")) or payloads.text(
        payloads.inner(data, "manifest").get("reference")
    )
    update = update_of(delivery, external_id, observation, unknown, _customer(data))
    return replace(update, aliases=(*update.aliases, *_brought_back(data)))


def _direct_state(
    native: str, data: Mapping[str, Any], status_map: Mapping[str, Mapping[str, str]]
) -> tuple[str | None, tuple[str, ...]]:
    state, known = payloads.look_up(native, STATUSES, status_map.get("direct.status"))
    if native and not known:
        return None, (f"direct.status {native}",)
    # the trip that brings an undeliverable order back reaches no guest, whatever becomes of it
    return (State.FAILED if data.get("kind") == "return" else state), ()


def _brought_back(data: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The delivery a return trip belongs to; it may come without the restaurant's own id."""
    if data.get("kind") != "return":
        return ()
    ids = [
        payloads.text(other.get("id")) for other in payloads.objects(data.get("related_deliveries"))
    ]
    return tuple(("external_delivery_id", name) for name in ids if name)


def _leg_data(data: Mapping[str, Any], estimate: datetime | None) -> dict[str, Any]:
    fragment: dict[str, Any] = {}
    if estimate:
        fragment["est_delivery_at"] = payloads.iso(estimate)
    courier: dict[str, str] = {}
    if name := payloads.text(payloads.inner(data, "courier").get("name"), 100):
        courier["name"] = name.split(" ")[0]
    if (link := payloads.text(data.get("tracking_url"), 2000)).startswith("https://"):
        courier["tracking_url"] = link
    if courier:
        fragment["courier"] = courier
    if why := payloads.text(data.get("undeliverable_reason"), 200):
        fragment["reason"] = {"code": "courier_failed", "text": why}
    return fragment


def _customer(data: Mapping[str, Any]) -> Customer | None:
    """The restaurant's own guest: Direct couriers carry our orders."""
    guest = payloads.inner(data, "dropoff")
    phone = payloads.text(guest.get("phone_number"), 40)
    return Customer(name=payloads.text(guest.get("name")), phone=phone) if phone else None


def read_delivery(
    delivery: dict[str, Any], received_at: datetime, status_map: Mapping[str, Mapping[str, str]]
) -> OrderUpdate:
    """The answer of GET /v1/customers/{id}/deliveries/{id}. Raises PayloadMalformed."""
    ref = payloads.required_text(delivery.get("id"), "id")
    told = [delivery.get(name) for name in ("status", "dropoff_eta", "updated", "courier")]
    digest = payloads.sha256(json.dumps(_stripped(told), sort_keys=True).encode())[:32]
    event = {
        "kind": DELIVERY_STATUS,
        "delivery_id": ref,
        "created": delivery.get("updated"),
        "data": delivery,
    }
    return read_event(event, f"direct:{ref}:read:{digest}", received_at, status_map)


def update_of(
    delivery: str,
    external_id: str,
    observation: Observation,
    unknown: tuple[str, ...],
    customer: Customer | None,
) -> OrderUpdate:
    """One leg, known by Uber's id of the delivery and by the restaurant's own."""
    aliases = [("external_delivery_id", delivery)]
    if external_id:
        aliases.append(("external_id", external_id))
    return OrderUpdate(
        order_id=delivery,
        observations=(observation,),
        aliases=tuple(aliases),
        customer=customer,
        courier_only=True,
        unknown_states=unknown,
    )
