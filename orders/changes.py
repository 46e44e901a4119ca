"""One step of an order, computed before anything is written: projection, events, delay watch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from integrations import contracts
from orders import anew, eta, rows
from orders.history import History
from orders.lifecycle import EventDraft, diff_events
from orders.models import InboundCall, Location, Observation, Order, SourceAccount
from orders.projection import Projection, project
from orders.restated import standing
from orders.selectors import MANUAL, House

#: every order that time alone can change is looked at this often, however far its moment is
LONGEST_WAIT = timedelta(minutes=15)


@dataclass(slots=True)
class Change:
    """What ``intake.apply_projection`` writes."""

    new: Projection
    placed_at: datetime
    watch: eta.EtaDecision
    drafts: Sequence[EventDraft]
    #: None = the order is made now
    old: Projection | None = None
    observations: Sequence[Observation] = ()
    #: columns that are not projected: who ordered, where
    columns: Mapping[str, Any] = field(default_factory=dict)
    #: who speaks, for the events
    source: str = ""
    account: SourceAccount | None = None
    call: InboundCall | None = None


def compute_change(
    *,
    order: Order,
    history: History,
    home: House,
    now: datetime,
    fresh: Sequence[contracts.Observation] = (),
    is_mute: bool = False,
) -> Change:
    """The step ``fresh`` makes, or (without it) the one the clock makes. Reads no rows.

    ``is_mute``: whatever it means is recorded as stale, so that nobody is told.
    """
    said = history.observations
    now_said = standing((*said, *fresh))
    old = project(said, priorities=home.priorities) if said else None
    new = project(now_said, priorities=home.priorities) if fresh or old is None else old
    placed_at = _placed_at(order, new, now_said, now)
    drafts: list[EventDraft] = []
    if fresh:
        trigger = _trigger(fresh, new)
        # a manager who presses "delivered" knows who drove
        is_known = trigger.source == MANUAL
        drafts = diff_events(
            old,
            new,
            recorded=history.recorded,
            trigger=trigger,
            now=now,
            own_drivers=is_known or (order.location is not None and order.location.has_own_drivers),
        )
        drafts = anew.told_as_edit(
            drafts, said=said, fresh=fresh, recorded=history.recorded, old=old, new=new, now=now
        )
    watch = eta.assess(
        new,
        rows.watch_state(order),
        rules_of(order.location, now),
        now,
        placed_at,
        is_held=any(d.held and d.milestone == new.state for d in drafts),
    )
    watch = replace(watch, next_watch_at=_soon(watch.next_watch_at, now))
    # very late news can show that an order was never away; its story goes on where it was
    told = max((epoch for _, _, epoch in history.recorded), default=0)
    watched = [replace(draft, epoch=max(draft.epoch, told)) for draft in watch.drafts]
    drafts = _unrecorded([*drafts, *watched], history.recorded)
    if is_mute:
        drafts = [replace(draft, is_stale=True) for draft in drafts]
    return Change(new=new, old=old, placed_at=placed_at, watch=watch, drafts=drafts)


def _soon(at: datetime | None, now: datetime) -> datetime | None:
    """``at``, or a look before it: our clock may jump meanwhile."""
    return at and min(at, now + LONGEST_WAIT)


def rules_of(location: Location | None, now: datetime) -> eta.EtaRules:
    """The figures of the delay rules at ``location``; the defaults where there is none."""
    place = location or Location()
    is_busy = place.busy_until is not None and place.busy_until > now
    return eta.EtaRules(
        kitchen_floor_min=place.kitchen_floor_min,
        courier_floor_min=place.courier_floor_min,
        threshold_cap_min=place.threshold_cap_min,
        grace_min=place.grace_min,
        stalled_min=place.stalled_min,
        busy_extra_min=place.busy_extra_min if is_busy else 0,
        busy_until=place.busy_until,
    )


def _placed_at(
    order: Order, new: Projection, said: Sequence[contracts.Observation], now: datetime
) -> datetime:
    arrivals = [one.received_at for one in said if one.received_at is not None]
    return new.placed_at or min(arrivals, default=order.placed_at or now)


def _trigger(fresh: Sequence[contracts.Observation], new: Projection) -> contracts.Observation:
    """The statement that explains the change: its moment decides what is stale."""
    explaining = [one for one in fresh if one.state == new.state]
    stating = [one for one in fresh if one.state is not None]
    return max(explaining or stating or fresh, key=_moment)


def _moment(one: contracts.Observation) -> tuple[float, str]:
    at = one.occurred_at or one.received_at
    return (at.timestamp() if at else 0.0, one.event_key)


def _unrecorded(
    drafts: Sequence[EventDraft], recorded: Collection[tuple[str, str, int]]
) -> list[EventDraft]:
    found: dict[tuple[str, str, int], EventDraft] = {}
    for draft in drafts:
        key = (draft.part_ref, draft.milestone, draft.epoch)
        if key not in recorded:
            found.setdefault(key, draft)
    return list(found.values())
