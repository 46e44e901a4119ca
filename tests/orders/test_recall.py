"""Ready, and then not: nobody hears of a slip of the finger, staff of a real regression."""

from __future__ import annotations

from datetime import timedelta

from orders.projection import Projection
from tests.orders.said import at
from tests.orders.watching import Kitchen

SECOND = 1 / 60


def ready_order() -> Kitchen:
    kitchen = Kitchen(Projection("ready"))
    kitchen.look(0)
    return kitchen


def test_staff_are_offered_a_correction_when_it_lasts() -> None:
    kitchen = ready_order()
    assert kitchen.look(1, state="preparing") == []
    assert kitchen.next_watch_at == at(1) + timedelta(seconds=20)
    kitchen.look(2)
    (draft,) = kitchen.drafts
    assert (draft.kind, draft.milestone) == ("status_changed", "recalled")
    assert draft.data == {"state": "preparing", "previous": "ready", "audience": "staff"}
    kitchen.look(5)
    assert len(kitchen.drafts) == 1


def test_a_ticket_bumped_by_mistake_is_nobodys_news() -> None:
    kitchen = ready_order()
    kitchen.look(1, state="preparing")
    kitchen.look(1 + 19 * SECOND, state="ready")
    kitchen.look(10)
    assert kitchen.drafts == []
    kitchen.look(11, state="preparing")  # and this time it is real
    kitchen.look(12)
    assert [d.milestone for d in kitchen.drafts] == ["recalled"]


def test_once_per_epoch_and_not_for_a_reopened_order() -> None:
    kitchen = ready_order()
    kitchen.look(1, state="preparing", epoch=1)
    kitchen.look(3)
    assert kitchen.drafts == []
    kitchen.look(4, state="ready")
    kitchen.look(5, state="preparing")
    kitchen.look(6)
    assert [(d.milestone, d.epoch) for d in kitchen.drafts] == [("recalled", 1)]
    kitchen.look(7, state="ready")
    kitchen.look(8, state="accepted")
    kitchen.look(10)
    assert len(kitchen.drafts) == 1


def test_an_order_that_never_was_ready_falls_from_nowhere() -> None:
    kitchen = Kitchen(Projection("preparing"))
    kitchen.look(0)
    kitchen.look(1, state="accepted")
    kitchen.look(3)
    assert kitchen.drafts == []


def test_a_closed_order_is_not_recalled() -> None:
    kitchen = ready_order()
    kitchen.look(1, state="preparing")
    kitchen.look(1.1, state="cancelled")
    kitchen.look(5)
    assert (kitchen.drafts, kitchen.next_watch_at) == ([], None)
