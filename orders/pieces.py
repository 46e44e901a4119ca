"""The pieces pages are made of, computed from loaded rows: track, chips, item lines, due time.

Pure: no query is made here (callers prefetch), ``now`` is an argument, words come from
phrases.py. Each dataclass is what one partial under templates/pieces/ shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from integrations.contracts import RANK, TERMINAL, State
from orders import phrases
from orders.eta_state import waited_for
from orders.models import Item, Order, OrderEvent, Part

#: a ticket is at risk when its time is this close and the kitchen is not done
AT_RISK_MIN = 5
_NOT_DONE = frozenset({State.RECEIVED, State.ACCEPTED, State.PREPARING})
_GONE = frozenset({State.CANCELLED, State.FAILED, "removed"})


@dataclass(frozen=True, slots=True)
class Step:
    """One state of the track."""

    key: str
    word: str
    #: done | now | todo | off
    stage: str
    time: str = ""


@dataclass(frozen=True, slots=True)
class Chip:
    """One part."""

    ref: str
    label: str
    #: "ready", "6 min", "preparing"
    word: str
    #: done | road | work | todo | off
    tone: str
    state: str


@dataclass(frozen=True, slots=True)
class ItemLine:
    """One line of the order."""

    quantity: str
    label: str
    modifiers: str


@dataclass(frozen=True, slots=True)
class Due:
    """When the guest gets it, as far as anybody said, and how that stands."""

    at: datetime | None
    #: the time is the door's, not the kitchen's
    at_door: bool
    #: late | risk | fine | over (nothing to wait for)
    standing: str
    #: "12 min late", "due in 4 min" or ""
    word: str


def local_zone(order: Order) -> ZoneInfo:
    """The zone of the order's location, else of its restaurant."""
    name = order.location.timezone if order.location else ""
    return phrases.zone(name or order.restaurant.timezone)


def state_times(order: Order, events: Iterable[OrderEvent]) -> dict[str, datetime]:
    """State -> when the order reached it, in the present epoch."""
    times = {
        event.milestone: event.occurred_at
        for event in events
        if event.kind == "status_changed" and event.epoch == order.epoch
    }
    since = order.detail.get("state_since")
    if order.state not in times and isinstance(since, str):
        try:
            times[order.state] = datetime.fromisoformat(since)
        except ValueError:
            return times
    return times


def track(order: Order, times: Mapping[str, datetime], tz: ZoneInfo, now: datetime) -> list[Step]:
    """The way of the order as steps; a cancelled order ends where it was cancelled."""
    travels = order.fulfillment in phrases.TRAVELLING
    first = State.RECEIVED if State.ACCEPTED not in times else State.ACCEPTED
    if order.state in (State.RECEIVED, State.ACCEPTED):
        first = State(order.state)
    way = [first, State.PREPARING, State.READY]
    way += [State.OUT_FOR_DELIVERY, State.DELIVERED] if travels else [State.PICKED_UP]
    ended = order.state in _GONE
    reached = RANK[order.state]
    if ended:
        told = [RANK[state] for state in times if state in RANK and state not in _GONE]
        reached = max(told, default=RANK[first])
        way = [state for state in way if RANK[state] <= reached] + [State(order.state)]
    steps = []
    for position, state in enumerate(way):
        is_last = position == len(way) - 1
        stage = "todo"
        if ended:
            stage = "off" if is_last else "done"
        elif RANK[state] == reached:
            stage = "done" if order.state in TERMINAL else "now"
        elif RANK[state] < reached:
            stage = "done"
        at = times.get(state)
        shown = phrases.clock(at, tz, now) if at and stage != "todo" else ""
        steps.append(Step(state, phrases.state_word(state, order.fulfillment), stage, shown))
    return steps


def live_parts(parts: Iterable[Part]) -> list[Part]:
    """The parts people may see: named by a source and not dropped."""
    return [part for part in parts if part.ref != "order" and part.state != "removed"]


def chips(parts: Sequence[Part], now: datetime) -> list[Chip]:
    """One chip per part when there are at least two; a single part is the order itself."""
    shown = live_parts(parts)
    if len(shown) < 2:
        return []
    labels = [part.label or _("Part") for part in shown]
    made = []
    for number, (part, label) in enumerate(zip(shown, labels, strict=True), start=1):
        if labels.count(label) > 1:
            words = {"label": label, "n": number, "total": len(shown)}
            label = _("%(label)s %(n)d of %(total)d") % words
        made.append(
            Chip(part.ref, label, _chip_word(part, now), _chip_tone(part.state), part.state)
        )
    return made


def _chip_word(part: Part, now: datetime) -> str:
    if part.state in _NOT_DONE and part.est_ready_at:
        left = phrases.minutes_left(part.est_ready_at, now)
        if left >= 1:
            return phrases.span(left)
        return _("any moment") if left > -AT_RISK_MIN else _("late")
    return phrases.state_word(part.state).lower()


def _chip_tone(state: str) -> str:
    if state in _GONE:
        return "off"
    if state == State.OUT_FOR_DELIVERY:
        return "road"
    if RANK[state] >= RANK[State.READY]:
        return "done"
    return "work" if state == State.PREPARING else "todo"


def parts_sentence(parts: Sequence[Part], now: datetime) -> str:
    """ "2 of 3 ready, the last one in about 6 min"; "" when there is nothing to count."""
    live = [part for part in live_parts(parts) if part.state not in _GONE]
    done = [part for part in live if RANK[part.state] >= RANK[State.READY]]
    if len(live) < 2 or not done or len(done) == len(live):
        return ""
    words: dict[str, object] = {"ready": len(done), "total": len(live)}
    left = [part.est_ready_at for part in live if part not in done]
    known = [at for at in left if at is not None]
    if len(known) < len(left):
        return _("%(ready)d of %(total)d ready") % words
    minutes = phrases.minutes_left(max(known), now)
    if minutes < 1:
        return _("%(ready)d of %(total)d ready") % words
    words["span"] = phrases.span(minutes)
    return _("%(ready)d of %(total)d ready, the last one in about %(span)s") % words


def item_lines(items: Iterable[Item]) -> list[ItemLine]:
    """The lines of the order; quantities without trailing zeros."""
    return [
        ItemLine(f"{item.quantity.normalize():f}", item.label, ", ".join(item.modifiers))
        for item in items
    ]


def due(order: Order, now: datetime) -> Due:
    """When the guest gets the order and whether that is in danger."""
    travels = order.fulfillment in phrases.TRAVELLING
    stated = order.est_delivery_at if travels else order.est_ready_at
    at = waited_for(order.watch) or stated or order.promised_at
    at_door = travels and at is not None
    at = at or order.est_ready_at
    waiting = order.state in _NOT_DONE or (travels and order.state not in TERMINAL)
    if not waiting:
        return Due(at, at_door, "over", "")
    if at is not None:
        passed = phrases.minutes_between(at, now)
        if passed >= 1:
            return Due(at, at_door, "late", _("%(span)s late") % {"span": phrases.span(passed)})
    if "delayed" in order.flags:
        return Due(at, at_door, "late", _delay_word(order, at))
    if at is not None and order.state in _NOT_DONE and at - now <= timedelta(minutes=AT_RISK_MIN):
        left = max(0, phrases.minutes_left(at, now))
        word = _("due in %(span)s") % {"span": phrases.span(left)} if left else _("due now")
        return Due(at, at_door, "risk", word)
    return Due(at, at_door, "fine", "")


def _delay_word(order: Order, at: datetime | None) -> str:
    first = order.promised_at or order.baseline_at
    slip = phrases.minutes_between(first, at) if first and at else 0
    if slip < 1:
        return _("delayed")
    return _("delayed %(span)s") % {"span": phrases.span(slip)}
