"""Inbound: what a source says about an order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from integrations.contracts.calls import HttpRequest


class State(StrEnum):
    """The nine order states."""

    RECEIVED = "received"
    ACCEPTED = "accepted"
    PREPARING = "preparing"
    READY = "ready"
    OUT_FOR_DELIVERY = "out_for_delivery"
    PICKED_UP = "picked_up"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"


#: position of a state in a ranked stream
RANK: Mapping[str, int] = {
    State.RECEIVED: 10,
    State.ACCEPTED: 20,
    State.PREPARING: 30,
    State.READY: 40,
    State.OUT_FOR_DELIVERY: 50,
    State.PICKED_UP: 60,
    State.DELIVERED: 60,
    State.FAILED: 80,
    State.CANCELLED: 90,
}
HANDED_OVER = frozenset({State.PICKED_UP, State.DELIVERED})
TERMINAL = frozenset({State.PICKED_UP, State.DELIVERED, State.FAILED, State.CANCELLED})


@dataclass(frozen=True, slots=True)
class Observation:
    """One append-only statement about one scope of one order.

    ``ordering_key`` is compared as text inside one (account, order, stream): integers are
    zero-padded to 20 digits by :func:`ordering_key`. ``data`` holds the fragment of the public
    shape (canonical order update) this statement carries: ``items``, ``times``, ``fulfillment``,
    ``reason``, ``courier``, ``flags`` for scope order; ``label``, ``quantity``, ``modifiers``,
    ``contents``, ``replaces``, ``kind``, ``est_ready_at`` for scope part; ``est_delivery_at``,
    ``courier``, ``part_ids`` for scope leg. Times in it are ISO 8601 text in UTC. A ``reason`` with
    ``staff_first`` true leaves it to staff whether the guest hears of the end. ``state_by`` holds
    other states than ``state`` for kinds of order ({"pickup": "picked_up", "dine_in": None}), where
    only the kind can tell what the source's word means. Where a source edits by placing an order
    anew, ``of`` is its id of the order and ``replaces`` the one this order takes the place of.
    """

    event_key: str
    track: str  # commercial | kitchen | courier
    scope: str  # order | part | leg
    ref: str = ""  # part or leg id, "" for the order
    ordering_class: str = "sequenced"  # sequenced | ranked
    ordering_key: str = ""
    kind: str = "transition"  # snapshot | transition | eta | contents | note
    native_state: str = ""
    state: str | None = None
    snapshot_parts: tuple[str, ...] | None = None
    occurred_at: datetime | None = None
    occurred_at_basis: str = "arrival"  # event | resource_modified | sent | arrival
    received_at: datetime | None = None
    source: str = ""
    account: str = ""  # filled by intake: primary key of the source account as text
    data: Mapping[str, Any] = field(default_factory=dict)


def ordering_key(value: int | str | datetime | None) -> str:
    """A sortable text for a vendor's ordering key; "" for None.

    Integers and digit strings are left-padded to 20 digits, datetimes become microseconds
    since 1970 UTC, other strings stay as they are.
    """
    if value is None:
        return ""
    if isinstance(value, datetime):
        value = int(value.timestamp() * 1_000_000)
    if isinstance(value, int):
        return f"{value:020d}"
    return value.zfill(20) if value.isdecimal() and value.isascii() else value


@dataclass(frozen=True, slots=True)
class Customer:
    """Who ordered. Only ``contact_kind`` direct may ever be messaged."""

    name: str = ""
    phone: str = ""  # E.164 where the adapter could tell, else as the vendor wrote it
    email: str = ""
    contact_kind: str = "direct"  # direct | masked | relay | none
    locale: str = ""
    external_id: str = ""
    #: consent the vendor's checkout collected, per channel ("sms": True); absent = not said
    consents: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OrderUpdate:
    """What one source says about one order in one call: the unit of intake."""

    order_id: str
    observations: tuple[Observation, ...]
    display: str = ""
    #: (system, id) pairs that join this order with other sources' words for it
    aliases: tuple[tuple[str, str], ...] = ()
    customer: Customer | None = None
    location_id: str = ""
    timezone: str = ""
    #: courier news about an order we may not know yet: park instead of creating a stub
    courier_only: bool = False
    #: the account's own id of the order this one takes the place of: an edit, both are one order
    replaces: str = ""
    #: vendor states no table knows: stored, shown, mapped by a manager, re-run
    unknown_states: tuple[str, ...] = ()

    def with_account(self, account: str, source: str, received_at: datetime) -> OrderUpdate:
        """The same update, its observations stamped with who said it and when it arrived."""
        return replace(
            self,
            observations=tuple(
                replace(o, account=account, source=source, received_at=received_at)
                for o in self.observations
            ),
        )


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A thin event: GET this resource, then call ``parse_resource`` with the answer.

    Several events with one ``coalesce_key`` need one GET. ``context`` is handed back.
    """

    request: HttpRequest
    coalesce_key: str
    order_id: str
    context: Mapping[str, str] = field(default_factory=dict)
