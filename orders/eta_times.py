"""Which time the customer waits for: promise, kitchen, courier, busy kitchen. Pure.

Pickup, curbside and dine-in wait for the kitchen. A delivery waits for its newest live courier;
without one it is the promise plus what the kitchen slipped. A courier that is lost takes his
estimate along, and that alone is neither a delay nor good news: what the customer was told stands
until somebody says more.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from integrations.contracts import RANK, State
from orders.drafts import EventDraft
from orders.eta_state import EtaRules, EtaState, text
from orders.projection import Projection

BROUGHT = frozenset({"delivery", "shipping"})
#: times closer than this are one and the same on a clock that shows minutes
SAME = timedelta(minutes=1)


class Taken(NamedTuple):
    """The times of one look."""

    state: EtaState
    #: the time the customer waits for; None = nobody gave one
    estimate: datetime | None
    drafts: list[EventDraft]


def estimate_of(projection: Projection, first_ready_at: datetime | None = None) -> datetime | None:
    """The estimate that counts for the customer; a courier's pickup time never does.

    A delivery without an estimate of its own is its promise plus the slip of the kitchen since
    ``first_ready_at``.
    """
    if projection.fulfillment not in BROUGHT:
        return projection.est_ready_at
    if projection.est_delivery_at is not None:
        return projection.est_delivery_at
    promised, ready = projection.promised_at, projection.est_ready_at
    if promised is None or ready is None or first_ready_at is None:
        return None
    return promised + max(ready - first_ready_at, timedelta(0))


def counted_estimate(projection: Projection) -> str:
    """Which of the two estimates the customer's time is made of."""
    is_brought = projection.fulfillment in BROUGHT and projection.est_delivery_at is not None
    return "est_delivery_at" if is_brought else "est_ready_at"


def take_times(
    projection: Projection, state: EtaState, rules: EtaRules, now: datetime, *, is_held: bool
) -> Taken:
    """Take over first times and reschedulings, and work out the time the customer waits for.

    While ``is_held`` a new promise waits until staff have looked at the order.
    """
    drafts: list[EventDraft] = []
    state = _mind_courier(projection, state)
    if state.first_ready_at is None and projection.est_ready_at is not None:
        state = replace(state, first_ready_at=projection.est_ready_at)
    if not is_held:
        state, drafts = _take_promise(projection, state, now)
    counting = _without_lost(projection, state)
    stated = estimate_of(counting, state.first_ready_at)
    first = state.baseline_at or projection.promised_at or stated
    state = replace(state, baseline_at=first, told_at=state.told_at or first)
    state, estimate = _lengthen(counting, state, rules, stated)
    return Taken(replace(state, estimate_at=estimate), estimate, drafts)


# ---------------------------------------------------------------------------- couriers


def _mind_courier(projection: Projection, state: EtaState) -> EtaState:
    """Notice that the courier was lost: his estimate counts no more."""
    if projection.has_live_leg:
        return replace(state, had_courier=True)
    if not state.had_courier:
        return state
    is_staffs = "est_delivery_at" in projection.staff_estimates
    return replace(
        state,
        had_courier=False,
        void_estimate=None if is_staffs else projection.est_delivery_at,
        anchor_at=state.told_at,
        first_ready_at=projection.est_ready_at,
    )


def _without_lost(projection: Projection, state: EtaState) -> Projection:
    """``projection`` with the times that count."""
    if projection.fulfillment not in BROUGHT:
        return projection
    if projection.est_delivery_at == state.void_estimate:
        projection = replace(projection, est_delivery_at=None)
    if projection.est_delivery_at is None and state.anchor_at is not None:
        projection = replace(projection, promised_at=state.anchor_at)
    return projection


# ---------------------------------------------------------------------------- promises


def _take_promise(
    projection: Projection, state: EtaState, now: datetime
) -> tuple[EtaState, list[EventDraft]]:
    """A first promise, a rescheduling, or the same promise in another source's words."""
    promised, speaker = projection.promised_at, projection.origins.get("promised_at", "")
    if promised is None:
        return state, []
    known = state.promised_at
    if known is not None and abs(promised - known) < SAME:
        return replace(state, promised_by=speaker), []  # what creeps adds up to a rescheduling
    noted = replace(state, promised_at=promised, promised_by=speaker)
    if known is None:
        return (noted if state.delays_told else _anew(projection, noted, promised)), []
    if speaker and state.promised_by and speaker != state.promised_by:
        return noted, []
    drafts: list[EventDraft] = []
    is_known = state.told_at is not None and abs(promised - state.told_at) < SAME
    if promised > now and not is_known:
        noted = replace(noted, reschedulings=state.reschedulings + 1)
        drafts.append(_rescheduling(projection, noted, promised, now))
    return _anew(projection, noted, promised), drafts


def _anew(projection: Projection, state: EtaState, promised: datetime) -> EtaState:
    """Everything is measured from ``promised``."""
    return replace(
        state,
        baseline_at=promised,
        told_at=promised,
        staff_told_at=None,
        is_late=False,
        first_ready_at=projection.est_ready_at,
        anchor_at=None,
        pending_since=None,
        pending_estimate=None,
    )


def _rescheduling(
    projection: Projection, state: EtaState, promised: datetime, now: datetime
) -> EventDraft:
    return EventDraft(
        kind="eta_changed",
        milestone=f"rescheduled:{state.reschedulings}",
        part_ref="",
        epoch=projection.epoch,
        data={
            "estimate": promised.isoformat(),
            "previous": text(state.told_at) or "",
            "rescheduled": True,
        },
        held="",
        is_stale=False,
        occurred_at=now,
    )


# ---------------------------------------------------------------------------- busy kitchens


def _lengthen(
    projection: Projection, state: EtaState, rules: EtaRules, estimate: datetime | None
) -> tuple[EtaState, datetime | None]:
    """Add what a busy kitchen takes longer. It stays added to what was stated before the end."""
    calm = replace(state, busy_on=None, busy_min=0)
    base = estimate or projection.promised_at
    if base is None or RANK[projection.state] >= RANK[State.READY]:
        return calm, estimate
    if counted_estimate(projection) in projection.staff_estimates:
        return calm, estimate  # who gave it knew how busy it is
    if rules.busy_extra_min and not _is_for_later(projection, rules):
        state = replace(state, busy_on=base, busy_min=rules.busy_extra_min)
    if state.busy_on != base:
        return calm, estimate
    return state, base + timedelta(minutes=state.busy_min)


def _is_for_later(projection: Projection, rules: EtaRules) -> bool:
    """Tomorrow's order does not mind how busy the kitchen is now."""
    promised, until = projection.promised_at, rules.busy_until
    return (
        projection.is_scheduled and promised is not None and until is not None and promised > until
    )
