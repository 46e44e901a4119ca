"""The delay rules while our own clock jumps: nobody is told twice, nobody is forgotten."""

from __future__ import annotations

from datetime import timedelta

from tests.orders.said import at
from tests.orders.watching import Kitchen, pickup


def back_to(kitchen: Kitchen, minute: float) -> None:
    """The clock was ahead and is put right: what it asked for lies in the future."""
    kitchen.next_watch_at = None
    kitchen.look(minute)


def test_a_delay_told_by_a_clock_ahead_holds_back_the_next_one_ten_minutes() -> None:
    kitchen = Kitchen(pickup(200))
    kitchen.look(0)
    kitchen.look(100, est_ready_at=at(230))
    kitchen.look(102)
    assert kitchen.told() == ["delayed:1"]
    back_to(kitchen, 5)
    kitchen.look(6, est_ready_at=at(260))
    kitchen.look(8)
    assert kitchen.told() == ["delayed:1"]
    kitchen.look(16)
    assert kitchen.told() == ["delayed:1", "delayed:2"]
    assert kitchen.state.last_delay_told_at == at(15)


def test_a_slip_noticed_by_a_clock_ahead_is_confirmed_within_a_minute() -> None:
    kitchen = Kitchen(pickup(200))
    kitchen.look(0)
    kitchen.look(100, est_ready_at=at(230))
    back_to(kitchen, 5)
    assert kitchen.next_watch_at == at(6)
    kitchen.look(7)
    assert kitchen.told() == ["delayed:1"]


def test_a_regression_noticed_by_a_clock_ahead_settles() -> None:
    kitchen = Kitchen(pickup(200, state="ready"))
    kitchen.look(0)
    kitchen.look(100, state="preparing")
    back_to(kitchen, 5)
    assert kitchen.next_watch_at == at(5) + timedelta(seconds=20)


def test_a_leap_forward_says_everything_once() -> None:
    kitchen = Kitchen(pickup(20, state_since=at(0)))
    kitchen.look(0)
    kitchen.next_watch_at = None
    kitchen.look(70)
    assert sorted(kitchen.staff()) == ["overdue:1", "stalled:preparing"]
    back_to(kitchen, 1)
    kitchen.look(80)
    assert sorted(kitchen.staff()) == ["overdue:1", "stalled:preparing"]
