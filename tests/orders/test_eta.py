"""The delay rules: the worked cases first, then each rule and limit on its own."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orders.eta import threshold
from orders.projection import Projection
from tests.orders.said import at, iso
from tests.orders.watching import RULES, Kitchen, pickup

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent.parent / "fixtures/orders/merge_cases.json").read_text("utf-8")
)["eta"]


# ---------------------------------------------------------------------------- worked cases


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["name"])
def test_worked_case(case: dict[str, Any]) -> None:
    """Estimates come often enough apart for the limits and are confirmed by holding a minute."""
    by_courier = case["floor_min"] == 10
    order = pickup(case["first_told_min"], fulfillment="delivery" if by_courier else "pickup")
    kitchen = Kitchen(order)
    kitchen.look(0)
    # at most two messages within the lead time, never closer than ten minutes
    apart = 2 if len(case["estimates"]) > 4 else 10.5
    alerts: list[dict[str, Any]] = []
    for place, estimate in enumerate(case["estimates"]):
        minute = 0.1 + place * apart
        name = "est_delivery_at" if by_courier else "est_ready_at"
        if estimate.get("explicit"):
            changes: dict[str, Any] = {"flags": frozenset({estimate["explicit"]})}
        else:
            changes = {name: at(estimate["est_min"])}
        before = len(kitchen.told())
        kitchen.look(minute, **changes)
        kitchen.look(minute + 1.05)
        alerts += [
            {"seq": estimate["seq"], "kind": milestone.partition(":")[0]}
            for milestone in kitchen.told()[before:]
        ]
    expect = case["expect"]
    smallest = threshold(kitchen.order, at(case["lead_min"]), at(0), RULES)
    assert smallest == timedelta(minutes=expect["threshold_min"])
    assert alerts == expect["alerts"]
    assert kitchen.delayed is expect["delayed"]
    assert kitchen.state.told_at == at(expect["told_min"])


def test_all_cases_are_here() -> None:
    assert len(CASES) == 8


# ---------------------------------------------------------------------------- slip


def test_a_slip_must_hold_for_a_minute_or_be_confirmed() -> None:
    kitchen = Kitchen(pickup())
    kitchen.look(0, est_ready_at=at(20))
    assert kitchen.look(1, est_ready_at=at(34)) == []
    assert kitchen.next_watch_at == at(2)
    assert kitchen.look(1.5, est_ready_at=at(20)) == []  # it was a mistake
    kitchen.look(5)
    assert kitchen.told() == []
    kitchen.look(6, est_ready_at=at(34))
    assert [d.milestone for d in kitchen.look(6.2, est_ready_at=at(35))] == ["delayed:1"]
    assert kitchen.state.told_at == at(35)


def test_the_flag_has_hysteresis() -> None:
    kitchen = Kitchen(pickup())
    for minute, estimate, delayed in (
        (0, 24.9, False), (1, 25, True), (2, 23, True), (3, 22.4, False), (4, 24, False),
    ):  # fmt: skip
        kitchen.look(minute, est_ready_at=at(estimate))
        assert kitchen.delayed is delayed


def test_two_messages_are_ten_minutes_apart() -> None:
    kitchen = Kitchen(pickup(30))
    kitchen.look(0)
    kitchen.look(1, est_ready_at=at(40))
    kitchen.look(3)
    kitchen.look(4, est_ready_at=at(50))
    kitchen.look(6)
    assert kitchen.told() == ["delayed:1"]
    assert kitchen.next_watch_at == at(12)
    kitchen.look(13)
    assert kitchen.told() == ["delayed:1", "delayed:2"]
    assert kitchen.state.last_delay_told_at == at(12)


def test_further_slips_are_for_staff_once_per_threshold() -> None:
    kitchen = Kitchen(pickup(20))
    kitchen.look(0)
    for step, estimate in enumerate((30, 40, 50, 51, 52, 60)):
        kitchen.look(step * 11 + 1, est_ready_at=at(estimate + step * 11))
        kitchen.look(step * 11 + 3)
    assert kitchen.told() == ["delayed:1", "delayed:2"]
    slips = [m for m in kitchen.staff() if m.startswith("delayed")]
    assert slips == ["delayed:3", "delayed:4", "delayed:5", "delayed:6"]


def test_earlier_is_told_once_and_only_after_a_delay() -> None:
    kitchen = Kitchen(pickup())
    kitchen.look(0, est_ready_at=at(20))
    kitchen.look(1, est_ready_at=at(10))
    kitchen.look(3)
    assert kitchen.told() == []
    for minute, estimate in ((4, 34), (16, 24), (19, 40), (22, 30)):
        kitchen.look(minute, est_ready_at=at(estimate))
        kitchen.look(minute + 1.5)
    assert kitchen.told() == ["delayed:1", "earlier:1", "delayed:2"]


def test_earlier_than_now_is_no_good_news() -> None:
    kitchen = Kitchen(pickup())
    kitchen.look(0, est_ready_at=at(20))
    kitchen.look(1, est_ready_at=at(40))
    kitchen.look(3)
    kitchen.look(32, est_ready_at=at(22))
    kitchen.look(34)
    assert kitchen.told() == ["delayed:1"]


def test_an_estimate_in_the_past_is_no_news() -> None:
    kitchen = Kitchen(pickup(20))
    kitchen.look(0)
    kitchen.look(40, est_ready_at=at(30))
    kitchen.look(42)
    assert kitchen.told() == []


@pytest.mark.parametrize(
    ("state", "fulfillment", "told"),
    [
        ("ready", "pickup", []),
        ("ready", "delivery", ["delayed:1"]),
        ("out_for_delivery", "delivery", ["delayed:1"]),
        ("delivered", "delivery", []),
        ("cancelled", "pickup", []),
        ("failed", "delivery", []),
    ],
)
def test_nobody_hears_of_delays_of_what_is_done(
    state: str, fulfillment: str, told: list[str]
) -> None:
    kitchen = Kitchen(pickup(20, fulfillment=fulfillment))
    kitchen.look(0)
    late = {"est_ready_at": at(60), "est_delivery_at": at(60)}
    kitchen.look(1, state=state, **late)
    kitchen.look(3)
    assert kitchen.told() == told
    assert kitchen.delayed is bool(told)


def test_silent_while_staff_sort_out_a_conflict() -> None:
    kitchen = Kitchen(pickup(20))
    kitchen.look(0)
    kitchen.look(1, est_ready_at=at(60), flags=frozenset({"conflict"}))
    kitchen.look(30)
    assert kitchen.drafts == []


def test_silent_while_a_state_is_held_for_staff() -> None:
    kitchen = Kitchen(pickup(20, fulfillment="delivery", state="out_for_delivery"))
    kitchen.look(0, is_held=True)
    kitchen.look(1, est_delivery_at=at(60))
    kitchen.look(30)
    assert kitchen.told() == []
    kitchen.look(31, state="ready")
    kitchen.look(33)
    assert kitchen.told() == ["delayed:1"]


# ---------------------------------------------------------------------------- overdue


def test_overdue_asks_staff_first_and_tells_the_guest_once_there_is_a_time() -> None:
    kitchen = Kitchen(pickup(20))
    kitchen.look(0)
    assert kitchen.next_watch_at == at(25) + timedelta(seconds=1)
    kitchen.look(26)
    assert (kitchen.told(), kitchen.staff(), kitchen.delayed) == ([], ["overdue:1"], True)
    kitchen.look(28)
    assert kitchen.staff() == ["overdue:1"]
    kitchen.look(30, est_ready_at=at(33))
    assert kitchen.told() == ["delayed:1"]
    assert kitchen.drafts[-1].data["late_min"] == 13
    kitchen.look(39)
    assert kitchen.staff() == ["overdue:1", "overdue:2"]


def test_overdue_without_a_new_time_never_reaches_the_guest() -> None:
    kitchen = Kitchen(pickup(20, est_ready_at=at(20)))
    kitchen.look(0)
    kitchen.look(44)
    assert kitchen.told() == []


def test_a_scheduled_order_has_until_the_end_of_its_window() -> None:
    kitchen = Kitchen(pickup(600, is_scheduled=True, promised_until=at(630)))
    kitchen.look(0)
    kitchen.look(630)
    assert "overdue:1" not in kitchen.staff()
    kitchen.look(631)
    assert "overdue:1" in kitchen.staff()


def test_without_a_window_a_scheduled_order_has_the_usual_grace() -> None:
    kitchen = Kitchen(pickup(600, is_scheduled=True))
    kitchen.look(0)
    kitchen.look(604)
    assert "overdue:1" not in kitchen.staff()
    kitchen.look(606)
    assert "overdue:1" in kitchen.staff()


def test_a_forgotten_order_is_noted_and_told_to_nobody() -> None:
    kitchen = Kitchen(pickup(20))
    kitchen.look(600)
    assert {(d.milestone, d.is_stale) for d in kitchen.drafts} == {("overdue:1", True)}


# ---------------------------------------------------------------------------- explicit, stalled


def test_an_explicit_delay_is_told_once_with_the_estimate_if_there_is_one() -> None:
    kitchen = Kitchen(pickup(30, est_ready_at=at(33)))
    kitchen.look(0)
    kitchen.look(1, flags=frozenset({"delayed"}))
    kitchen.look(12)
    assert kitchen.told() == ["delayed:1"]
    assert kitchen.drafts[0].data["estimate"] == iso(33)
    assert kitchen.delayed is True


def test_a_stalled_state_is_for_staff_once() -> None:
    kitchen = Kitchen(Projection("accepted", state_since=at(0)))
    kitchen.look(0)
    assert kitchen.next_watch_at == at(45)
    kitchen.look(46)
    kitchen.look(90)
    assert (kitchen.staff(), kitchen.delayed) == (["stalled:accepted"], False)
    assert kitchen.drafts[0].data == {"audience": "staff", "minutes": 45}
    kitchen.look(91, state="preparing", state_since=at(91))
    kitchen.look(137)
    assert kitchen.staff() == ["stalled:accepted", "stalled:preparing"]


def test_a_scheduled_order_waits_for_its_hour_without_stalling() -> None:
    kitchen = Kitchen(pickup(600, is_scheduled=True, state="accepted", state_since=at(0)))
    kitchen.look(0)
    kitchen.look(500)
    assert kitchen.drafts == []


def test_ready_food_nobody_fetches_stalls_too() -> None:
    kitchen = Kitchen(pickup(20, state="ready", state_since=at(15)))
    kitchen.look(61)
    assert kitchen.staff() == ["stalled:ready"]


def test_a_closed_order_is_not_watched() -> None:
    kitchen = Kitchen(pickup(20, state="picked_up", state_since=at(0)))
    kitchen.look(500)
    assert (kitchen.drafts, kitchen.next_watch_at) == ([], None)
