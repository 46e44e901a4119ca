"""The public order update, turned into observations.

CloudEvents data, the REST API and manual entry share it. A partial update leaves out what did
not change; null clears a time and nothing else; a snapshot removes the parts it does not list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from integrations import payloads
from integrations.canonical_shape import LEG_STATES, STATES, check_update
from integrations.contracts import Customer, Observation, OrderUpdate

__all__ = ["Statement", "check_update", "read_update", "utc"]


@dataclass(frozen=True, slots=True)
class Statement:
    """What is the same for every observation of one update: who orders it, and when it was."""

    event_key: str
    ordering_key: str
    occurred_at: datetime | None
    occurred_at_basis: str = "event"
    ordering_class: str = "sequenced"
    track: str = "kitchen"


class _States:
    """Maps the sender's words and remembers those nobody knows."""

    def __init__(self, added: Mapping[str, Mapping[str, str]]) -> None:
        self.added = added
        self.unknown: list[str] = []

    def read(self, native: str, stream: str, allowed: frozenset[str]) -> str | None:
        if not native:
            return None
        table: dict[str, str | None] = {state: state for state in allowed}
        state, known = payloads.look_up(native, table, self.added.get(stream))
        if not known:
            self.unknown.append(f"{stream} {native}")
        return state


def read_update(
    data: Mapping[str, Any],
    statement: Statement,
    *,
    status_map: Mapping[str, Mapping[str, str]] | None = None,
) -> OrderUpdate:
    """A checked update (see :func:`check_update`) as observations. Pure."""
    states = _States(status_map or {})
    observations = [
        *_order_observation(data, statement, states),
        *(_part_observation(part, statement, states) for part in data.get("parts", ())),
        *(_leg_observation(leg, statement, states) for leg in data.get("legs", ())),
    ]
    order, location = data["order"], data.get("location", {})
    return OrderUpdate(
        order_id=order["id"],
        observations=tuple(observations),
        display=order.get("display", ""),
        aliases=tuple((alias["system"], alias["id"]) for alias in order.get("aliases", ())),
        customer=_customer(data.get("customer")),
        location_id=location.get("id", ""),
        timezone=location.get("timezone", ""),
        unknown_states=tuple(dict.fromkeys(states.unknown)),
    )


def _customer(data: Mapping[str, str] | None) -> Customer | None:
    if data is None:
        return None
    return Customer(
        name=data.get("name", ""),
        phone=data.get("phone", ""),
        email=data.get("email", ""),
        contact_kind=data.get("contact_kind", "direct"),
        locale=data.get("locale", ""),
        external_id=data.get("external_id", ""),
    )


def _observe(statement: Statement, **values: Any) -> Observation:
    values.setdefault("event_key", statement.event_key)
    values.setdefault("track", statement.track)
    return Observation(
        ordering_class=statement.ordering_class,
        ordering_key=statement.ordering_key,
        occurred_at=statement.occurred_at,
        occurred_at_basis=statement.occurred_at_basis,
        **values,
    )


def _order_observation(
    data: Mapping[str, Any], statement: Statement, states: _States
) -> list[Observation]:
    fragment = {
        name: data[name]
        for name in ("items", "refunds", "fulfillment", "reason", "courier", "flags", "note")
        if name in data
    }
    if "times" in data:
        fragment["times"] = {name: utc(value) for name, value in data["times"].items()}
    if "display" in data["order"]:
        fragment["display"] = data["order"]["display"]
    if "customer" in data:
        fragment["customer_kind"] = data["customer"].get("contact_kind", "direct")
    native = data.get("state", "")
    is_snapshot = data.get("mode") == "snapshot"
    if not (native or fragment or is_snapshot) and (data.get("parts") or data.get("legs")):
        return []  # only its parts or legs have news
    return [
        _observe(
            statement,
            scope="order",
            kind=_kind(data, is_snapshot=is_snapshot),
            native_state=native,
            state=states.read(native, "order", STATES),
            snapshot_parts=(
                tuple(part["id"] for part in data["parts"])
                if is_snapshot and "parts" in data
                else None
            ),
            data=fragment,
        )
    ]


def _kind(data: Mapping[str, Any], *, is_snapshot: bool) -> str:
    if is_snapshot:
        return "snapshot"
    if "state" in data:
        return "transition"
    if "times" in data:
        return "eta"
    return "contents" if "items" in data else "note"


def _part_observation(
    part: Mapping[str, Any], statement: Statement, states: _States
) -> Observation:
    native = part.get("state", "")
    fragment = {name: value for name, value in part.items() if name not in ("id", "state")}
    if "est_ready_at" in fragment:
        fragment["est_ready_at"] = utc(fragment["est_ready_at"])
    return _observe(
        statement,
        event_key=payloads.scoped_key(statement.event_key, "part", part["id"]),
        scope="part",
        ref=part["id"],
        kind="transition" if native else "contents",
        native_state=native,
        state=states.read(native, "part", STATES),
        data=fragment,
    )


def _leg_observation(leg: Mapping[str, Any], statement: Statement, states: _States) -> Observation:
    stated = leg.get("state", "")
    fragment = {
        name: leg[name] for name in ("est_delivery_at", "courier", "part_ids") if name in leg
    }
    if "est_delivery_at" in fragment:
        fragment["est_delivery_at"] = utc(fragment["est_delivery_at"])
    return _observe(
        statement,
        event_key=payloads.scoped_key(statement.event_key, "leg", leg["id"]),
        track="courier",
        scope="leg",
        ref=leg["id"],
        kind="transition" if stated else "eta",
        native_state=leg.get("native_state", "") or stated,
        state=states.read(stated, "leg", LEG_STATES),
        data=fragment,
    )


def utc(value: str | None) -> str | None:
    """A checked time of the public shape in the form of ``Observation.data``."""
    return payloads.iso(payloads.time(value, "time"))
