"""What one source account says about an order: its statements put in order and folded. Pure.

A stream is account + track + scope + ref. *Sequenced* streams are sorted by (key, rank, event
key) and folded, so the last statement wins; *ranked* ones have no usable key and are reduced to
their strongest state first. Where neither a key nor the vendor's clock exists, the stored time of
arrival breaks ties of fields that are not states.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from integrations.contracts import RANK, TERMINAL, Observation
from orders.states import (
    CALLED_OFF,
    REMOVED,
    Effect,
    is_live,
    roll_up_states,
    settle_ranked,
    step,
)

#: managers' buttons: a source that has seen everything received before it spoke
STAFF_SOURCE = "manual"
BEGINNING = datetime.min.replace(tzinfo=UTC)
_PART, _ORDER = 0, 1


def moment(observation: Observation) -> datetime:
    """When it happened as far as anybody can tell: the vendor's clock, else our arrival."""
    return observation.occurred_at or observation.received_at or BEGINNING


def field_order(observation: Observation) -> tuple[str, datetime, int, str]:
    """Sort key of last-writer-wins inside one stream."""
    rank = RANK[observation.state] if observation.state else 0
    return observation.ordering_key, moment(observation), rank, observation.event_key


class Row(NamedTuple):
    """One statement at its place in the account's own order."""

    key: str
    #: 0, or how often staff had spoken before (even) or spoke here (odd)
    turn: int
    at: datetime
    scope: int
    rank: int
    event_key: str
    state: str | None
    said: Observation
    is_contradictory: bool = False


def _row(said: Observation, state: str | None, *, turn: int, at: datetime) -> Row:
    key = said.ordering_key if said.ordering_class == "sequenced" else ""
    scope = _PART if said.scope == "part" else _ORDER
    return Row(key, turn, at, scope, RANK[state] if state else 0, said.event_key, state, said)


def rows_of(said: Sequence[Observation], staff: Sequence[Observation] = ()) -> list[Row]:
    """The statements of one account about one order (or leg) in folding order.

    ``staff`` is folded in as if the account itself had said it right after everything it had
    told us by then: whoever pressed the button saw that, and later news comes after it.
    """
    spoken = sorted(s.received_at or BEGINNING for s in staff)
    rows: list[Row] = []
    ranked: dict[tuple[str, str, int], list[Observation]] = {}
    for one in said:
        keyed = one.ordering_class == "sequenced" and one.ordering_key != ""
        # news of the very moment staff spoke was on their screen
        turn = 0 if keyed or not spoken else 2 * _turns_before(spoken, one)
        if one.ordering_class == "ranked" and one.state:
            ranked.setdefault((one.scope, one.ref, turn), []).append(one)
            if one.snapshot_parts is None and one.scope != "part":
                continue
        # the state of a ranked stream is one row of its own, below
        state = None if one.ordering_class == "ranked" else one.state
        rows.append(_row(one, state, turn=turn, at=BEGINNING if keyed else moment(one)))
    for (_, _, turn), stream in ranked.items():
        state, contradictory = settle_ranked(o.state for o in stream if o.state)
        winner = min((o for o in stream if o.state == state), key=field_order)
        row = _row(winner, state, turn=turn, at=BEGINNING)
        rows.append(row._replace(is_contradictory=contradictory))
    if staff:
        rows.extend(_staff_rows(said, staff, spoken))
    rows.sort(key=lambda r: r[:6])
    return _without_echoes(rows) if staff else rows


def _without_echoes(rows: Iterable[Row]) -> list[Row]:
    """Mute what an account merely repeats after staff decided otherwise.

    Many sources resend their whole order on every save; the state in it is no answer to staff.
    """
    last: dict[tuple[int, str], str] = {}
    echoes: set[tuple[int, str]] = set()
    kept: list[Row] = []
    for row in rows:
        stream = (row.scope, row.said.ref)
        if row.said.source == STAFF_SOURCE:
            echoes = set(last)
        elif row.state is not None:
            if stream in echoes and last[stream] == row.state:
                kept.append(row._replace(state=None))
                continue
            echoes.discard(stream)
            last[stream] = row.state
        kept.append(row)
    return kept


def _turns_before(spoken: Sequence[datetime], one: Observation) -> int:
    """How many staff statements had been made when ``one`` arrived."""
    arrived = one.received_at or BEGINNING
    before = bisect_right(spoken, arrived)
    return before - (1 if before and spoken[before - 1] == arrived else 0)


def _staff_rows(
    said: Sequence[Observation], staff: Sequence[Observation], spoken: Sequence[datetime]
) -> Iterable[Row]:
    ordered = sorted(staff, key=lambda s: (s.received_at or BEGINNING, s.event_key))
    for place, one in enumerate(ordered):
        seen = [o for o in said if (o.received_at or BEGINNING) <= spoken[place]]
        key = max((o.ordering_key for o in seen if o.ordering_class == "sequenced"), default="")
        row = _row(one, one.state, turn=2 * place + 1, at=BEGINNING)
        yield row._replace(key=key)


@dataclass(slots=True)
class PartFold:
    """One part as its account's statements leave it."""

    ref: str
    #: (key, moment) of the first and the newest statement of its own
    first: tuple[str, datetime]
    newest: tuple[str, datetime]
    state: str | None = None
    since: datetime | None = None


@dataclass(slots=True)
class Fold:
    """An order as one account's statements leave it, parts included.

    ``counted`` names the parts whose states make the order's; empty = nobody states any.
    """

    counted: Collection[str] = frozenset()
    parts: dict[str, PartFold] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)
    epoch: int = 0
    since: datetime | None = None
    #: ordering key of the last statement that moved the order
    key: str = ""
    listed: tuple[str, ...] | None = None
    _listed_at: tuple[str, datetime] = ("", BEGINNING)
    _stated: str | None = None
    #: a terminal order state covers all parts until a later order statement reopens it
    _covered: str | None = None
    _before: str | None = None

    def run(self, rows: Iterable[Row]) -> Fold:
        """Fold ``rows``, which are sorted."""
        group: tuple[str, int] | None = None
        for row in rows:
            if self.counted and group is not None and group != (row.key, row.turn):
                self._close_group()
            group = (row.key, row.turn)
            if row.is_contradictory:
                self.flags.add(Effect.CONFLICT)
            if row.scope == _PART:
                self._part_says(row)
            else:
                self._order_says(row)
        if self.counted:
            self._close_group()
        return self

    def state(self) -> str | None:
        """The order's state as far as this account says; None = it never did."""
        if self._covered is not None:
            return self._covered
        if self.counted:
            states = [s for s in map(self.part_state, self._counted()) if s != REMOVED]
            if states:
                return roll_up_states(states)
        return self._stated

    def decided_at(self) -> datetime | None:
        """Since when ``state()`` has been so, as far as anybody said."""
        if self._covered is not None or not self._has_parts():
            return self.since
        state = self.state()
        live = [p for p in self._counted() if is_live(self.part_state(p)) and p.since]
        decisive = [p for p in live if p.state == state] or live
        return max((p.since for p in decisive if p.since), default=self.since)

    def part_state(self, part: PartFold) -> str:
        """What to show for one part: dropped, covered by the order, or its own."""
        if self._is_removed(part):
            return REMOVED
        own = part.state or "received"
        if self._covered is not None and own not in TERMINAL:
            return self._covered
        if part.state is None and not self.counted:
            return self.state() or own
        return own

    def _counted(self) -> list[PartFold]:
        return [p for p in self.parts.values() if p.ref in self.counted]

    def _is_removed(self, part: PartFold) -> bool:
        if self.listed is None or part.ref in self.listed:
            return False
        return part.newest < self._listed_at

    def _part_says(self, row: Row) -> None:
        ref, at = row.said.ref, (row.key, row.at)
        part = self.parts.get(ref)
        if part is None:
            part = self.parts[ref] = PartFold(ref, at, at)
        part.newest = max(part.newest, at)
        if row.state is None or _is_late(row, part.state):
            return
        new, effect = step(part.state, row.state)
        if effect in (Effect.AFTER_SALE, Effect.CONFLICT):
            self.flags.add(effect)
        if new != part.state:
            part.state, part.since = new, moment(row.said)

    def _order_says(self, row: Row) -> None:
        if row.said.snapshot_parts is not None:
            self.listed, self._listed_at = row.said.snapshot_parts, (row.key, row.at)
        current = self.state()
        if row.state is None or _is_late(row, current):
            return
        if self._covered is None and row.state not in TERMINAL and self._has_parts():
            self._stated = row.state
            self._lift(row)
            return
        new, effect = step(current, row.state)
        if effect == Effect.REOPENED:
            self._reopen()
        elif effect:
            self.flags.add(effect)
        if new == row.state and new != current:
            self.since, self.key, self._stated = moment(row.said), row.key, new
            self._covered = new if new in TERMINAL else None
            self._lift(row)

    def _has_parts(self) -> bool:
        return any(not self._is_removed(p) for p in self._counted())

    def _lift(self, row: Row) -> None:
        """A later order state pulls lagging parts up; it never lowers one."""
        if row.state is None or row.state in TERMINAL:
            return
        for part in self._counted():
            lags = part.state is None or RANK[part.state] < RANK[row.state]
            if lags and is_live(part.state) and not self._is_removed(part):
                part.state, part.since = row.state, moment(row.said)

    def _reopen(self) -> None:
        self.epoch += 1
        self.flags -= {Effect.AFTER_SALE, Effect.CONFLICT}
        self.flags.add(Effect.REOPENED)
        # counted once: the parts' way back must not count it again
        self._before = self._covered = None

    def _close_group(self) -> None:
        """Parts can call an order off and bring it back without any word about the order."""
        now = self.state()
        if self._before in CALLED_OFF and now is not None and now not in TERMINAL:
            self._reopen()
        self._before = now


def _is_late(row: Row, current: str | None) -> bool:
    """Unordered news that came after a staff statement may only move things forward."""
    if row.turn < 2 or row.turn % 2 or row.state is None or current is None:
        return False
    return RANK[row.state] <= RANK[current]
