"""When an order is delayed, and whom to tell. Pure.

Four ways: the estimate slips, the time passes, a source says so, a state lasts too long. Each
customer is told at most twice and never twice within ten minutes; what goes beyond is for staff.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from integrations.contracts import RANK, State
from orders import recall
from orders.drafts import EventDraft
from orders.eta_state import EtaDecision, EtaRules, EtaState, text
from orders.eta_times import BROUGHT, counted_estimate, estimate_of, take_times
from orders.projection import Projection

CONFIRM = timedelta(seconds=60)
MIN_APART = timedelta(minutes=10)
MOST_TOLD = 2
#: an order overdue for longer was forgotten by its source; nobody wants that message now
FORGOTTEN = timedelta(hours=2)
__all__ = ["EtaDecision", "EtaRules", "EtaState", "assess", "estimate_of", "is_done", "threshold"]


def threshold(
    projection: Projection, baseline_at: datetime, placed_at: datetime | None, rules: EtaRules
) -> timedelta:
    """The smallest slip that counts: a quarter of the lead time between floor and cap."""
    from_courier = counted_estimate(projection) == "est_delivery_at"
    floor = rules.courier_floor_min if from_courier else rules.kitchen_floor_min
    lead = (baseline_at - placed_at) if placed_at else timedelta(0)
    quarter = min(lead * 0.25, timedelta(minutes=rules.threshold_cap_min))
    return max(timedelta(minutes=floor), quarter)


def is_done(projection: Projection) -> bool:
    """Nothing can be late any more: ready for who fetches it, handed over, or called off."""
    if not projection.is_open:
        return True
    fetched = projection.fulfillment not in BROUGHT
    return fetched and RANK[projection.state] >= RANK[State.READY]


def assess(
    projection: Projection,
    eta_state: EtaState,
    rules: EtaRules,
    now: datetime,
    placed_at: datetime | None,
    *,
    is_held: bool = False,
) -> EtaDecision:
    """Apply the delay rules at ``now``; calling it again with its own result repeats nothing.

    ``is_held``: the state just reached must be seen by staff before the customer hears of it.
    """
    if not projection.is_open:
        over = replace(eta_state, pending_since=None, pending_estimate=None, fallen_since=None)
        return EtaDecision(over, False)
    state = _mind_hold(projection, _believable(eta_state, now), is_held)
    watch = _Watch(projection, state, rules, now, placed_at)
    if not is_done(projection) and projection.is_stated:
        is_silent = bool("conflict" in projection.flags or state.held_in)
        watch.note_times(is_held=is_silent)
        if is_silent:  # staff sort it out first
            watch.delayed = watch.state.is_late
        else:
            watch.explicit()
            watch.slip()
            watch.overdue()
    else:
        watch.forget_pending()
    watch.stalled()
    watch.recalled()
    return EtaDecision(watch.state, watch.delayed, watch.drafts, watch.next_watch_at())


def _believable(state: EtaState, now: datetime) -> EtaState:
    """``state`` without moments that have not come yet: our own clock was ahead."""
    last, pending, fallen = state.last_delay_told_at, state.pending_since, state.fallen_since
    return replace(
        state,
        last_delay_told_at=last and min(last, now),
        pending_since=pending and min(pending, now),
        fallen_since=fallen and min(fallen, now),
    )


def _mind_hold(projection: Projection, state: EtaState, is_held: bool) -> EtaState:
    """A hold lasts until the order moves on."""
    if is_held:
        return replace(state, held_in=projection.state)
    return state if state.held_in == projection.state else replace(state, held_in="")


class _Watch:
    """One assessment in progress."""

    def __init__(
        self,
        projection: Projection,
        state: EtaState,
        rules: EtaRules,
        now: datetime,
        placed_at: datetime | None,
    ) -> None:
        self.projection = projection
        self.state = state
        self.rules = rules
        self.now = now
        self.placed_at = placed_at
        self.drafts: list[EventDraft] = []
        self.delayed = False
        self._again: list[datetime] = []
        self.estimate: datetime | None = None

    # ------------------------------------------------------------------ times

    def note_times(self, *, is_held: bool) -> None:
        """Take over first times and reschedulings, and work out the estimate that counts."""
        taken = take_times(self.projection, self.state, self.rules, self.now, is_held=is_held)
        self.state, self.estimate = taken.state, taken.estimate
        self.drafts += taken.drafts

    def forget_pending(self) -> None:
        self.state = replace(self.state, pending_since=None, pending_estimate=None)

    # ------------------------------------------------------------------ the four ways

    def explicit(self) -> None:
        """A source said "delayed" without a time: told once, and nothing new is believed."""
        if "delayed" not in self.projection.flags:
            return
        self.delayed = True
        if "explicit" in self.state.warned:
            return
        if not self._may_tell():
            if self.state.delays_told < MOST_TOLD:
                return
            self._tell_staff(self._ahead())
        else:
            self._tell_customer(self._ahead())
        self._warn("explicit")

    def _ahead(self) -> datetime | None:
        """The estimate, when it is news: later than what the customer believes."""
        told = self.state.told_at
        if self.estimate and self.estimate > self.now and (told is None or self.estimate > told):
            return self.estimate
        return None

    def slip(self) -> None:
        """The estimate moved by the threshold and the move was confirmed."""
        baseline, told, estimate = self.state.baseline_at, self.state.told_at, self.estimate
        if baseline is None or told is None or estimate is None:
            self.forget_pending()
            self.delayed = self.delayed or self.state.is_late
            return
        smallest = threshold(self.projection, baseline, self.placed_at, self.rules)
        late_by = estimate - baseline
        late = late_by >= smallest or (self.state.is_late and late_by >= smallest / 2)
        self.state = replace(self.state, is_late=late)
        self.delayed = self.delayed or late
        if estimate - told >= smallest and estimate > self.now:
            if self._is_confirmed(estimate):
                self._tell_delay(estimate, smallest)
        elif told - estimate >= smallest and self._owes_good_news(estimate):
            if self._is_confirmed(estimate):
                self._tell_earlier(estimate)
        else:
            self.forget_pending()

    def _is_confirmed(self, estimate: datetime) -> bool:
        """It has held for a minute, or a second estimate says the same."""
        since, first = self.state.pending_since, self.state.pending_estimate
        told = self.state.told_at or estimate
        turned = first is not None and (first > told) != (estimate > told)
        if since is None or first is None or turned:
            self.state = replace(self.state, pending_since=self.now, pending_estimate=estimate)
            self._again.append(self.now + CONFIRM)
            return False
        if self.now - since >= CONFIRM or estimate != first:
            return True
        self._again.append(since + CONFIRM)
        return False

    def _tell_delay(self, estimate: datetime, smallest: timedelta) -> None:
        if self.state.delays_told >= MOST_TOLD:
            last = self.state.staff_told_at
            if last is None or estimate - last >= smallest:
                self._tell_staff(estimate)
            self.forget_pending()
        elif self._may_tell():
            self._tell_customer(estimate)

    def _owes_good_news(self, estimate: datetime) -> bool:
        """A time that has just come is good news still, one that is long over is none."""
        is_over = self.now > estimate + timedelta(minutes=self.rules.grace_min)
        return self.state.delays_told > 0 and "earlier" not in self.state.warned and not is_over

    def _tell_earlier(self, estimate: datetime) -> None:
        self._draft("earlier:1", {"estimate": estimate.isoformat()})
        self._warn("earlier")
        self.state = replace(self.state, told_at=estimate)
        self.forget_pending()

    def overdue(self) -> None:
        """The time passed: the customer hears a new one, or staff are asked for it first."""
        due = self._due()
        if due is None:
            return
        if self.now <= due:
            self._again.append(due + timedelta(seconds=1))
            return
        self.delayed = True
        ahead = self._ahead()
        if ahead is not None and self.state.delays_told < MOST_TOLD:
            if self._may_tell():
                self._tell_customer(ahead)
            return
        key = f"overdue:{due.isoformat()}"
        if key in self.state.warned:
            return
        number = 1 + sum(1 for w in self.state.warned if w.startswith("overdue:"))
        data = {"audience": "staff", "due": due.isoformat()}
        if ahead is not None:
            data["estimate"] = ahead.isoformat()
        late = self.now - due > FORGOTTEN
        self._draft(f"overdue:{number}", data, is_stale=late)
        self._warn(key)

    def _due(self) -> datetime | None:
        told = self.state.told_at
        if told is None:
            return None
        until = self.projection.promised_until
        if self.projection.is_scheduled and until is not None and not self.state.delays_told:
            return max(told, until)  # the window is the grace
        return told + timedelta(minutes=self.rules.grace_min)

    def stalled(self) -> None:
        """A state lasts longer than is usual here: staff look, the customer hears nothing."""
        since = self.projection.state_since
        if since is None or not self.rules.stalled_min:
            return
        longest = timedelta(minutes=self.rules.stalled_min)
        promised = self.projection.promised_at
        if self.projection.is_scheduled and promised is not None:
            # waiting for its hour is what a scheduled order does
            since = max(since, promised - longest)
        key = f"stalled:{self.projection.state}:{self.projection.epoch}"
        if key in self.state.warned:
            return
        if self.now < since + longest:
            self._again.append(since + longest)
            return
        minutes = int((self.now - since).total_seconds() // 60)
        late = self.now - since - longest > FORGOTTEN
        self._draft(
            f"stalled:{self.projection.state}",
            {"audience": "staff", "minutes": minutes},
            is_stale=late,
        )
        self._warn(key)

    def recalled(self) -> None:
        """What was ready is not: staff are offered a correction once it has lasted."""
        seen = recall.watch(self.projection, self.state, self.now)
        self.state = seen.state
        self.drafts += seen.drafts
        if seen.again_at is not None:
            self._again.append(seen.again_at)

    # ------------------------------------------------------------------ telling

    def _may_tell(self) -> bool:
        """Two messages at most, ten minutes apart; a slip that is too early waits its turn."""
        if self.state.delays_told >= MOST_TOLD:
            return False
        last = self.state.last_delay_told_at
        if last is not None and self.now - last < MIN_APART:
            self._again.append(last + MIN_APART)
            return False
        return True

    def _tell_customer(self, estimate: datetime | None) -> None:
        number = self.state.delays_told + 1
        self._draft(f"delayed:{number}", self._delay_data(estimate))
        self.state = replace(
            self.state,
            told_at=estimate or self.state.told_at,
            delays_told=number,
            last_delay_told_at=self.now,
        )
        self.forget_pending()

    def _tell_staff(self, estimate: datetime | None) -> None:
        extra = 1 + sum(1 for w in self.state.warned if w.startswith("staff:"))
        data = {**self._delay_data(estimate), "audience": "staff"}
        self._draft(f"delayed:{MOST_TOLD + extra}", data)
        self._warn(f"staff:{extra}")
        self.state = replace(self.state, staff_told_at=estimate or self.state.staff_told_at)

    def _delay_data(self, estimate: datetime | None) -> dict[str, Any]:
        baseline = self.state.baseline_at
        reference = estimate or self.now
        late = (reference - baseline) if baseline else timedelta(0)
        return {
            "estimate": text(estimate) or "",
            "previous": text(self.state.told_at) or "",
            "late_min": max(0, round(late.total_seconds() / 60)),
        }

    def _draft(self, milestone: str, data: dict[str, Any], *, is_stale: bool = False) -> None:
        self.drafts.append(
            EventDraft(
                kind="order_delayed",
                milestone=milestone,
                part_ref="",
                epoch=self.projection.epoch,
                data=data,
                held="",
                is_stale=is_stale,
                occurred_at=self.now,
            )
        )

    def _warn(self, key: str) -> None:
        self.state = replace(self.state, warned=(*self.state.warned, key))

    def next_watch_at(self) -> datetime | None:
        """The next moment at which time alone can change the answer."""
        return min((t for t in self._again if t > self.now), default=None)
