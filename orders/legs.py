"""Courier trips: one fold per leg, and which legs count. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from integrations.contracts import Observation, State
from orders.book import Book
from orders.details import Fields, merge_fields
from orders.states import Effect, is_live
from orders.streams import Fold, field_order, moment, rows_of

#: the goods have left with the courier
MOVING = frozenset({State.OUT_FOR_DELIVERY, State.DELIVERED})


@dataclass(slots=True)
class Leg:
    """One courier trip as its account reports it."""

    ref: str
    account: str
    state: str | None
    fields: Fields
    began: datetime
    since: datetime | None
    flags: set[str]
    native_state: str = ""


def legs_of(book: Book) -> list[Leg]:
    streams: dict[tuple[str, str], list[Observation]] = {}
    for account, said in book.said.items():
        for one in said:
            if one.scope == "leg":
                streams.setdefault((one.ref, account), []).append(one)
            elif one.track == "courier" and one.scope == "order" and one.state:
                streams.setdefault(("courier", account), []).append(one)
    staff: dict[str, list[Observation]] = {}
    for one in book.staff:
        if one.scope == "leg":
            staff.setdefault(one.ref, []).append(one)
    for ref, pressed in staff.items():
        if not any(known == ref for known, _ in streams):
            streams[ref, pressed[0].account] = []
    return [
        _leg(ref, account, said, staff.get(ref, []))
        for (ref, account), said in sorted(streams.items())
    ]


def _leg(ref: str, account: str, said: Sequence[Observation], staff: Sequence[Observation]) -> Leg:
    fold = Fold().run(rows_of(said, staff))
    everything = [*said, *staff]
    # late news of an earlier stretch is no word for where the courier is now
    fitting = (fold.state(), None)
    named = [o for o in everything if o.native_state and o.state in fitting]
    return Leg(
        ref=ref,
        account=account,
        state=fold.state(),
        fields=merge_fields(o for o in everything if o.scope == "leg"),
        began=min(moment(o) for o in everything),
        since=fold.since,
        # a leg that comes back to life reopens nothing
        flags=fold.flags - {Effect.REOPENED},
        native_state=max(named, key=field_order).native_state if named else "",
    )


def counted_legs(book: Book, legs: Sequence[Leg]) -> list[Leg]:
    """The legs of the loudest accounts that have a courier on the job; all when none has."""
    live = [leg for leg in legs if is_live(leg.state)]
    if not live:
        return list(legs)
    loudest = max(book.priority(leg.account, "courier") for leg in live)
    return [leg for leg in legs if book.priority(leg.account, "courier") == loudest]


def legs_state(live: Sequence[Leg]) -> str | None:
    if not live:
        return None
    if all(leg.state == State.DELIVERED for leg in live):
        return State.DELIVERED
    return State.OUT_FOR_DELIVERY if any(leg.state in MOVING for leg in live) else None


def carried_by(leg: Leg) -> list[str]:
    stated = leg.fields.get("part_ids")
    return [str(r) for r in stated.value] if stated and isinstance(stated.value, list) else []
