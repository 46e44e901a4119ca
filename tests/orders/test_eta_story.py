"""Properties of the delay rules over random histories of estimates, couriers, states and clocks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from orders.drafts import EventDraft
from orders.eta import EtaState, is_done, threshold
from tests.orders.said import at
from tests.orders.watching import RULES, Kitchen, pickup

MINUTE = timedelta(minutes=1)
WAY = ["received", "accepted", "preparing", "ready", "out_for_delivery", "delivered"]


@dataclass
class Look:
    """One assessment: what was known before, what it said."""

    now: datetime
    before: EtaState
    drafts: list[EventDraft]


class Witness(Kitchen):
    """A kitchen whose every look is checked against the rules, written down once more here."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.looks: list[Look] = []
        self.is_late = False
        #: since when, and with which estimate first, the slip has been big enough to tell
        self.since: tuple[datetime, datetime] | None = None

    def _assess(self, now: datetime, *, is_held: bool = False) -> None:
        before, count = self.state, len(self.drafts)
        super()._assess(now, is_held=is_held)
        look = Look(now, before, self.drafts[count:])
        self.looks.append(look)
        assert self.next_watch_at is None or self.next_watch_at > now
        silent = not self.order.is_open or is_done(self.order) or "conflict" in self.order.flags
        if silent:
            assert [d for d in look.drafts if "audience" not in d.data] == []
        if not self.order.is_open or is_done(self.order):
            assert not self.delayed
            self.since = None
        if not silent:
            self._check_messages(look)
            self._check_flag(look)

    def _told_before(self, look: Look) -> datetime | None:
        """What the customer believed when this look began to speak."""
        if look.before.baseline_at != self.state.baseline_at:
            return self.state.baseline_at  # rescheduled
        return look.before.told_at

    def _is_overdue(self, told: datetime | None, now: datetime) -> bool:
        return told is not None and now > told + RULES.grace_min * MINUTE

    def _check_messages(self, look: Look) -> None:
        told = self._told_before(look)
        estimate, baseline = self.state.estimate_at, self.state.baseline_at
        is_big = False
        if told and estimate and baseline:
            smallest = threshold(self.order, baseline, self.order.placed_at, RULES)
            is_big = estimate - told >= smallest and estimate > look.now
        is_confirmed = False
        if is_big and estimate:
            since, first = self.since = self.since or (look.now, estimate)
            is_confirmed = look.now - since >= MINUTE or estimate != first
        for draft in look.drafts:
            if draft.kind != "order_delayed" or "audience" in draft.data:
                continue
            stem, _sep, _number = draft.milestone.partition(":")
            if stem == "delayed" and told is not None:
                explicit = "delayed" in self.order.flags
                assert is_confirmed or explicit or self._is_overdue(told, look.now)
                if said := draft.data["estimate"]:
                    assert datetime.fromisoformat(said) > max(told, look.now)
                    assert self.state.told_at == datetime.fromisoformat(said)
            elif stem == "earlier" and told is not None:
                assert look.before.delays_told > 0
                assert estimate is not None
                assert self.state.told_at == estimate < told
        if not is_big or self.state.told_at != told:
            self.since = None

    def _check_flag(self, look: Look) -> None:
        estimate, baseline = self.state.estimate_at, self.state.baseline_at
        if look.before.baseline_at != baseline:
            self.is_late = False
        if estimate and baseline:
            smallest = threshold(self.order, baseline, self.order.placed_at, RULES)
            late_by = estimate - baseline
            self.is_late = late_by >= smallest or (self.is_late and late_by >= smallest / 2)
        told_late = any(d.milestone.startswith("delayed") for d in look.drafts)
        overdue = self._is_overdue(self.state.told_at, look.now)
        explicit = "delayed" in self.order.flags
        if not told_late:  # a message moves what counts as overdue
            assert self.delayed is (self.is_late or overdue or explicit)


@st.composite
def histories(draw: st.DrawFn) -> tuple[str, float, list[tuple[float, dict[str, Any]]]]:
    """A way to the guest, a promise, and what is said after so many minutes each."""
    fulfillment = draw(st.sampled_from(["pickup", "delivery"]))
    promised = draw(st.sampled_from([15, 30, 45, 90]))
    changes: list[tuple[float, dict[str, Any]]] = []
    legs = st.sampled_from(
        [{"has_live_leg": True}, {"has_live_leg": False, "est_delivery_at": None}]
    )
    times = st.integers(0, 150).map(at)
    said = st.one_of(
        st.builds(lambda t: {"est_ready_at": t}, times),
        st.builds(lambda t: {"est_ready_at": t}, times),
        st.builds(lambda t: {"est_delivery_at": t, "has_live_leg": True}, times),
        legs,
        st.builds(lambda t: {"promised_at": t}, times),
        st.builds(lambda s: {"state": s}, st.sampled_from(WAY[:5])),
        st.sampled_from([{"flags": frozenset({flag})} for flag in ("delayed", "conflict")]),
        st.just({"flags": frozenset()}),
        st.just({}),
    )
    for _ in range(draw(st.integers(1, 15))):
        pause = draw(st.sampled_from([0.2, 0.5, 1.1, 3, 7, 12, 30]))
        changes.append((pause, draw(said)))
    return fulfillment, promised, changes


def live(fulfillment: str, promised: float, changes: list[tuple[float, dict[str, Any]]]) -> Witness:
    kitchen = Witness(pickup(promised, fulfillment=fulfillment, state="received"))
    kitchen.look(0)
    minute = 0.0
    for pause, change in changes:
        minute += pause
        kitchen.look(minute, **change)
    kitchen.look(minute + 30)
    return kitchen


@settings(max_examples=500, deadline=None)
@given(history=histories())
def test_delays_are_told_by_the_rules_and_nothing_else(
    history: tuple[str, float, list[tuple[float, dict[str, Any]]]],
) -> None:
    kitchen = live(*history)
    told = [
        (look.now, draft)
        for look in kitchen.looks
        for draft in look.drafts
        if draft.kind == "order_delayed" and "audience" not in draft.data
    ]
    late = [(now, d) for now, d in told if d.milestone.startswith("delayed")]
    assert len(late) <= 2
    for (one, _), (other, _) in pairwise(late):
        assert other - one >= 10 * MINUTE
    assert sum(d.milestone.startswith("earlier") for _, d in told) <= 1
    names = [(d.milestone, d.epoch) for d in kitchen.drafts]
    assert len(names) == len(set(names))
    for draft in kitchen.drafts:
        if draft.milestone.partition(":")[0] in ("overdue", "stalled", "recalled"):
            assert draft.data["audience"] == "staff"


@settings(max_examples=150, deadline=None)
@given(history=histories())
def test_a_closed_order_says_nothing_more(
    history: tuple[str, float, list[tuple[float, dict[str, Any]]]],
) -> None:
    kitchen = live(*history)
    end = (kitchen.looks[-1].now - at(0)) / MINUTE + 1
    assert kitchen.look(end, state="delivered", est_ready_at=at(300)) == []
    assert (kitchen.delayed, kitchen.next_watch_at) == (False, None)
    assert kitchen.look(end + 60, flags=frozenset({"delayed"})) == []


@settings(max_examples=150, deadline=None)
@given(history=histories(), jump=st.sampled_from([-90, -15, -2, 45, 200]))
def test_a_jump_of_the_clock_repeats_nothing(
    history: tuple[str, float, list[tuple[float, dict[str, Any]]]], jump: float
) -> None:
    fulfillment, promised, changes = history
    kitchen = Kitchen(pickup(promised, fulfillment=fulfillment, state="received"))
    kitchen.look(0)
    minute = 0.0
    for place, (pause, change) in enumerate(changes):
        minute += pause
        if place == len(changes) // 2:
            minute += jump
            kitchen.next_watch_at = None
        kitchen.look(minute, **change)
    kitchen.look(minute + 30)
    names = [(d.milestone, d.epoch) for d in kitchen.drafts]
    assert len(names) == len(set(names))
    assert kitchen.state.delays_told <= 2
