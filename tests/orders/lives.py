"""The recorded lives of orders: every fixture of a source, read by its real adapter.

A life is what one source said about one order, in the order it was recorded; each step is one
update. ``live_through`` takes steps in as intake would, without a database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache

from integrations.contracts import Observation, OrderUpdate, ordering_key
from integrations.registry import source_class
from orders import rows
from orders.changes import compute_change
from orders.clocks import judge_all
from orders.drafts import EventDraft
from orders.history import History
from orders.models import Order, Restaurant
from orders.projection import Projection
from orders.recordings import UNKNOWN, Reader, load_recording
from orders.selectors import House
from tests.integrations.sources.payload_files import FIXTURES
from tests.orders.senders import MAPPED, samples

#: when an update arrives that gives no time
LUNCH = datetime(2026, 3, 14, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True, repr=False)
class Step:
    """What one update says: it arrives whole or not at all."""

    said: tuple[Observation, ...]

    def __repr__(self) -> str:
        words = (f"{o.event_key[-24:]}={o.state}@{o.ordering_key[-9:]}" for o in self.said)
        return f"<{', '.join(words)}>"


@dataclass(frozen=True, slots=True)
class Life:
    """What the account numbered ``account`` at ``source`` said about one order."""

    source: str
    account: str
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return f"{self.source} ({len(self.steps)} steps)"


@cache
def recorded_lives(key: str, account: str = "1") -> tuple[Life, ...]:
    """Every order in the fixtures of a source, the longest life first."""
    orders: list[tuple[set[str], list[Step]]] = []
    for place, update in enumerate(_updates(key)):
        names = {update.order_id, *(value for _, value in update.aliases)}
        step = _step(update, account, key, LUNCH + timedelta(minutes=place))
        same = [one for one in orders if one[0] & names]
        for one in same[1:]:
            same[0][0].update(one[0])
            same[0][1].extend(one[1])
            orders.remove(one)
        if same:
            same[0][0].update(names)
            same[0][1].append(step)
        else:
            orders.append((names, [step]))
    lives = [Life(key, account, tuple(steps)) for _, steps in orders]
    return tuple(sorted(lives, key=lambda life: -len(life.steps)))


def _updates(key: str) -> list[OrderUpdate]:
    declared = source_class(key)
    given = {one.name: "https://example.com" for one in declared.settings if one.required}
    given |= {one.name: one.default for one in declared.settings if one.default}
    source = declared(given, status_map=MAPPED.get(key, {}))
    reader = Reader(source, "https://alerts.example.com/hooks/orders/token/")
    files = [str(FIXTURES / key / f"{name}.json") for name in samples(key)]
    said, _ = reader.sort_out([load_recording(path) for path in files])
    assert [one.problem for one in said if one.problem] == []
    return [update for one in said for update in reader.updates(one, UNKNOWN)]


def _step(update: OrderUpdate, account: str, source: str, arrives: datetime) -> Step:
    said = [
        replace(one, occurred_at=None if one.occurred_at == UNKNOWN else one.occurred_at)
        for one in update.observations
    ]
    stated = [one.occurred_at for one in said if one.occurred_at is not None]
    arrives = max(stated, default=arrives)
    stamped = replace(update, observations=tuple(said)).with_account(account, source, arrives)
    return Step(tuple(one.observation for one in judge_all(stamped.observations, arrives)))


def later(step: Step, number: int, *, state: str | None, minutes: int) -> Step:
    """A made-up update that says what ``step`` said again, ``minutes`` later, in ``state``."""
    off = timedelta(minutes=minutes)
    said = (
        replace(
            one,
            event_key=f"{one.event_key}+{number}",
            state=state if one.state is not None else None,
            ordering_key=_moved(one.ordering_key, minutes),
            occurred_at=None if one.occurred_at is None else one.occurred_at + off,
            received_at=None if one.received_at is None else one.received_at + off,
        )
        for one in step.said
    )
    return Step(tuple(said))


def _moved(key: str, minutes: int) -> str:
    if not key.isdecimal():
        return key
    # versions count one by one, times in microseconds
    unit = 1 if int(key) < 1_000_000 else 60_000_000
    return ordering_key(max(0, int(key) + minutes * unit))


def arriving(step: Step, at: datetime) -> Step:
    """``step`` as if it had arrived at ``at``."""
    return Step(tuple(replace(one, received_at=at) for one in step.said))


def priorities(lives: Iterable[Life]) -> dict[str, Mapping[str, int]]:
    """Who speaks for which track, as the sources declare it."""
    return {life.account: source_class(life.source).priority for life in lives}


@dataclass(slots=True)
class Lived:
    """An order after a life: how it is shown, and every event on the way."""

    order: Projection
    story: list[EventDraft] = field(default_factory=list)


def live_through(
    steps: Sequence[Step], priorities: Mapping[str, Mapping[str, int]], *, fulfillment: str = ""
) -> Lived:
    """Take ``steps`` in one at a time with the rules of intake."""
    home = House(Restaurant(), {}, (), {**priorities, "": {}})
    order, history = Order(), History()
    lived: Lived | None = None
    now = min(one.received_at for step in steps for one in step.said if one.received_at)
    for step in steps:
        now = max(now, *(one.received_at for one in step.said if one.received_at))
        fresh = _fresh(step, history)
        if not fresh:
            continue
        change = compute_change(order=order, history=history, home=home, now=now, fresh=fresh)
        state = rows.watch_columns(change.watch.state, change.watch.next_watch_at)
        for name, value in state.items():
            setattr(order, name, value)
        keys = {(d.part_ref, d.milestone, d.epoch) for d in change.drafts}
        history = History(
            (*history.observations, *fresh),
            history.recorded | keys,
            history.by_key | {(o.account, o.event_key): o for o in fresh},
        )
        story = [*(lived.story if lived else []), *change.drafts]
        lived = Lived(change.new, story)
    assert lived is not None
    return lived


def _fresh(step: Step, history: History) -> list[Observation]:
    fresh: dict[tuple[str, str], Observation] = {}
    for one in step.said:
        key = (one.account, one.event_key)
        if key not in history.by_key:
            fresh.setdefault(key, one)
    return list(fresh.values())
