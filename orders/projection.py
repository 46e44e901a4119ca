"""The order as shown: a pure function of the set of its observations.

``project`` gives the same answer for every arrival order and every repetition. Three tracks
(commercial, kitchen, courier) are folded per source account, then joined: each track is owned by
one account per order, ordering keys are never compared between accounts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from integrations.contracts import HANDED_OVER, Observation, State
from orders import details, joining
from orders.book import Book, sort_out
from orders.legs import Leg
from orders.states import CALLED_OFF, Effect, is_live, roll_up_states
from orders.streams import STAFF_SOURCE

IMPLICIT_PART = "order"
DONE = frozenset({State.READY, State.OUT_FOR_DELIVERY, State.PICKED_UP, State.DELIVERED})


@dataclass(frozen=True, slots=True)
class ItemView:
    """A line of the order."""

    ref: str
    label: str
    quantity: Decimal = Decimal(1)
    modifiers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PartView:
    """A bowl, box or course. ``state`` is a State or "removed"."""

    ref: str
    state: str
    kind: str = "item"  # item | fulfillment | order (the one implicit part)
    label: str = ""
    quantity: Decimal = Decimal(1)
    modifiers: tuple[str, ...] = ()
    contents: tuple[Mapping[str, Any], ...] = ()
    replaces: str = ""
    est_ready_at: datetime | None = None
    state_since: datetime | None = None
    position: int = 0

    @property
    def is_live(self) -> bool:
        """Not cancelled, failed or removed."""
        return is_live(self.state)

    @property
    def is_done(self) -> bool:
        """Ready or further."""
        return self.state in DONE


@dataclass(frozen=True, slots=True)
class LegView:
    """One courier trip. ``state`` None = a courier is known, nothing has moved yet."""

    ref: str
    state: str | None
    native_state: str = ""
    est_delivery_at: datetime | None = None
    courier: Mapping[str, Any] = field(default_factory=dict)
    part_ids: tuple[str, ...] = ()
    #: why it failed, for staff
    reason: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_live(self) -> bool:
        """Neither failed nor cancelled."""
        return is_live(self.state)


@dataclass(frozen=True, slots=True)
class Projection:
    """One order, computed. Datetimes are aware."""

    state: str
    epoch: int = 0
    #: conflict, after_sale, reopened, courier_failed, delayed (only as stated by a source)
    flags: frozenset[str] = frozenset()
    parts: tuple[PartView, ...] = ()
    legs: tuple[LegView, ...] = ()
    items: tuple[ItemView, ...] = ()
    #: what was paid back so far, by line
    refunds: tuple[ItemView, ...] = ()
    display: str = ""
    fulfillment: str = "pickup"
    is_scheduled: bool = False
    table: str = ""
    placed_at: datetime | None = None
    promised_at: datetime | None = None
    promised_until: datetime | None = None
    est_ready_at: datetime | None = None
    est_delivery_at: datetime | None = None
    reason: Mapping[str, Any] = field(default_factory=dict)
    courier: Mapping[str, Any] = field(default_factory=dict)
    state_since: datetime | None = None
    #: the source account whose word the state is; "" = nobody's
    state_account: str = ""
    has_live_leg: bool = False
    #: False for a stub: only a courier spoke, and not about progress
    is_stated: bool = True
    #: a snapshot has listed the parts: one that appears later was added, not merely unmentioned
    lists_parts: bool = False
    #: source account of "items", "refunds", "parts" and "promised_at"; "" = nobody's or a
    #: manager's. A value that only came from another account than before is no edit, no refund
    #: and no rescheduling
    origins: Mapping[str, str] = field(default_factory=dict)
    #: which estimates are a person's word
    staff_estimates: frozenset[str] = frozenset()

    def same_origin(self, name: str, other: Projection) -> bool:
        """Whether ``name`` is the word of the same account in both; managers may overrule."""
        mine, theirs = self.origins.get(name, ""), other.origins.get(name, "")
        return mine == theirs or not mine or not theirs

    @property
    def named_parts(self) -> tuple[PartView, ...]:
        """The parts a source named; empty when the order is its one implicit part."""
        return tuple(p for p in self.parts if p.kind != "order")

    @property
    def counted_parts(self) -> tuple[PartView, ...]:
        """Live named parts people count: items where there are any, else fulfilments."""
        live = [p for p in self.named_parts if p.is_live]
        items = tuple(p for p in live if p.kind == "item")
        return items or tuple(live)

    @property
    def is_open(self) -> bool:
        """Not handed over and not called off."""
        return is_live(self.state) and self.state not in HANDED_OVER


def roll_up(parts: Iterable[PartView]) -> str:
    """The order's state as its parts make it; where items and fulfilments mix, items decide."""
    listed = list(parts)
    items = [p for p in listed if p.kind == "item"]
    return roll_up_states(p.state for p in (items or listed))


def project(
    observations: Iterable[Observation],
    *,
    priorities: Mapping[str, Mapping[str, int]] | None = None,
    default_fulfillment: str = "pickup",
) -> Projection:
    """The order that ``observations`` describe.

    ``priorities`` gives, per account and track, who speaks for the track when several do.
    """
    book = sort_out(observations, priorities or {})
    book.leave_replaced()
    commercial = book.fields_of("commercial")
    kind = _kind(book, commercial)
    book.settle_states(kind)
    facts = _facts(book, commercial, kind or default_fulfillment)
    joined = joining.join(book, facts["fulfillment"])
    parts = _part_views(joined)
    if facts["est_ready_at"] is None:
        open_times = [p.est_ready_at for p in parts if p.is_live and not p.is_done]
        facts["est_ready_at"] = max((t for t in open_times if t), default=None)
    facts |= _courier_facts(book, joined, facts["est_delivery_at"])
    if not parts:
        parts = (PartView(IMPLICIT_PART, str(joined.state), "order", state_since=joined.since),)
    return Projection(
        state=str(joined.state),
        epoch=joined.epoch + book.restarts,
        flags=frozenset(joined.flags),
        parts=parts,
        legs=tuple(_leg_view(leg) for leg in joined.legs),
        state_since=joined.since or facts["placed_at"],
        state_account=joined.account,
        reason=details.reason_for(_explained(joined), commercial),
        has_live_leg=joined.has_live_leg,
        is_stated=joined.is_stated,
        lists_parts=joined.lists_parts,
        origins={
            "items": details.origin("items", commercial),
            "refunds": details.origin("refunds", commercial),
            "promised_at": details.origin("promised_at", commercial),
            "parts": joined.parts_account,
        },
        staff_estimates=_staff_estimates(book, joined),
        **facts,
    )


def _kind(book: Book, commercial: Sequence[details.Fields]) -> str:
    """How the order reaches its guest; "" = nobody said, nor sent a courier."""
    stated = details.first_stated("type", commercial)
    # nobody sends a courier for what is fetched
    return str(stated or ("delivery" if book.has_courier else ""))


def _facts(book: Book, commercial: Sequence[details.Fields], fulfillment: str) -> dict[str, Any]:
    kitchen = book.fields_of("kitchen")

    def text(name: str) -> str:
        value = details.first_stated(name, commercial)
        return "" if value is None else str(value)

    def time(name: str, owners: Sequence[details.Fields] = commercial) -> datetime | None:
        return details.instant(details.first_stated(name, owners))

    return {
        "items": _items(details.first_stated("items", commercial)),
        "refunds": _items(details.first_stated("refunds", commercial)),
        "display": text("display"),
        "fulfillment": fulfillment,
        "is_scheduled": details.first_stated("scheduled", commercial) is True,
        "table": text("table"),
        "placed_at": time("placed_at"),
        "promised_at": time("promised_at"),
        "promised_until": time("promised_until"),
        "est_ready_at": time("est_ready_at", kitchen),
        "est_delivery_at": time("est_delivery_at", book.fields_of("courier")),
    }


def _explained(joined: joining.Joined) -> tuple[str, ...]:
    """The states whose reason is worth knowing: of a disputed end also the other one's."""
    disputed = joined.flags & {Effect.AFTER_SALE, Effect.CONFLICT}
    return (joined.state, *(sorted(CALLED_OFF) if disputed else ()))


def _staff_estimates(book: Book, joined: joining.Joined) -> frozenset[str]:
    """Estimates people gave; a live leg's own delivery estimate overrules theirs."""
    if not book.staff:
        return frozenset()
    names = {"est_ready_at": "kitchen", "est_delivery_at": "courier"}
    if joined.newest_leg is not None and _leg_view(joined.newest_leg).est_delivery_at:
        del names["est_delivery_at"]
    stated = {n: details.who_stated(n, book.fields_of(track)) for n, track in names.items()}
    return frozenset(n for n, one in stated.items() if one and one.by.source == STAFF_SOURCE)


def _courier_facts(book: Book, joined: joining.Joined, stated: datetime | None) -> dict[str, Any]:
    """Delivery estimate and courier: the newest live leg's, else what was said of the order."""
    courier = details.mapping(details.first_stated("courier", book.fields_of("courier")))
    if joined.newest_leg is not None:
        newest = _leg_view(joined.newest_leg)
        stated = newest.est_delivery_at or stated
        courier |= newest.courier
    return {"est_delivery_at": stated, "courier": courier}


def _items(value: object) -> tuple[ItemView, ...]:
    """The lines of an order; sources that name the product instead of the line repeat ids."""
    if not isinstance(value, list | tuple):
        return ()
    views: dict[str, ItemView] = {}
    seen: Counter[str] = Counter()
    for place, line in enumerate(value):
        if isinstance(line, Mapping):
            ref = str(line.get("id") or f"line-{place}")
            seen[ref] += 1
            ref = ref if ref not in views else f"{ref[:190]}#{seen[ref]}"
            views[ref] = ItemView(
                ref,
                str(line.get("label") or ""),
                details.quantity(line.get("quantity", 1)),
                details.words(line.get("modifiers")),
            )
    return tuple(views.values())


def _part_views(joined: joining.Joined) -> tuple[PartView, ...]:
    views = []
    for position, part in enumerate(joined.parts):
        said = {name: stated.value for name, stated in part.fields.items()}
        contents = said.get("contents")
        views.append(
            PartView(
                ref=part.ref,
                state=str(part.state),
                kind=str(said.get("kind") or "item"),
                label=str(said.get("label") or ""),
                quantity=details.quantity(said.get("quantity", 1)),
                modifiers=details.words(said.get("modifiers")),
                contents=tuple(contents) if isinstance(contents, list | tuple) else (),
                replaces=str(said.get("replaces") or ""),
                est_ready_at=details.instant(said.get("est_ready_at")),
                state_since=part.since,
                position=position,
            )
        )
    return tuple(views)


def _leg_view(leg: Leg) -> LegView:
    said = {name: stated.value for name, stated in leg.fields.items()}
    return LegView(
        ref=leg.ref,
        state=None if leg.state is None else str(leg.state),
        native_state=leg.native_state,
        est_delivery_at=details.instant(said.get("est_delivery_at")),
        courier=details.mapping(said.get("courier")),
        part_ids=details.words(said.get("part_ids")),
        reason=details.reason_for((str(leg.state),), (leg.fields,)) if leg.state else {},
    )
