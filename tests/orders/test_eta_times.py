"""Which time the customer waits for: kitchen, courier, promise, busy kitchen, lost courier."""

from __future__ import annotations

from typing import Any

from orders.eta import EtaRules, estimate_of
from orders.projection import Projection
from tests.orders.said import at, iso
from tests.orders.watching import RULES, Kitchen, pickup

# ---------------------------------------------------------------------------- which estimate


def test_pickup_counts_the_kitchen_and_delivery_the_courier() -> None:
    times = {"est_ready_at": at(10), "est_delivery_at": at(30)}
    assert estimate_of(Projection("preparing", **times)) == at(10)  # type: ignore[arg-type]
    delivery = Projection("preparing", fulfillment="delivery", **times)  # type: ignore[arg-type]
    assert estimate_of(delivery) == at(30)


def test_delivery_without_a_courier_is_its_promise_plus_the_kitchens_slip() -> None:
    order = Projection("preparing", fulfillment="delivery", promised_at=at(40), est_ready_at=at(27))
    assert estimate_of(order) is None
    assert estimate_of(order, at(20)) == at(47)
    assert estimate_of(order, at(30)) == at(40)


def test_delivery_slips_with_its_kitchen() -> None:
    kitchen = Kitchen(pickup(40, fulfillment="delivery", est_ready_at=at(20)))
    kitchen.look(0)
    kitchen.look(2, est_ready_at=at(35))
    kitchen.look(4)
    assert kitchen.told() == ["delayed:1"]
    assert kitchen.state.told_at == at(55)


def test_a_busy_kitchen_moves_every_open_estimate() -> None:
    kitchen = Kitchen(pickup(20, est_ready_at=at(20)))
    kitchen.look(0)
    kitchen.rules = EtaRules(busy_extra_min=10)
    kitchen.look(2)
    kitchen.look(4)
    assert kitchen.told() == ["delayed:1"]
    assert kitchen.drafts[0].data == {
        "estimate": iso(30), "previous": iso(20), "late_min": 10,
    }  # fmt: skip


def test_the_busy_minutes_stay_until_a_time_is_stated_anew() -> None:
    kitchen = Kitchen(pickup(20), EtaRules(busy_extra_min=15))
    kitchen.look(0)
    kitchen.look(2)
    assert kitchen.state.told_at == at(35)
    kitchen.rules = RULES  # its hour is over; nobody cooks faster for that
    kitchen.look(5)
    kitchen.look(7)
    assert kitchen.told() == ["delayed:1"]
    assert kitchen.state.estimate_at == at(35)
    kitchen.look(8, est_ready_at=at(25))
    kitchen.look(10)
    assert kitchen.told() == ["delayed:1", "earlier:1"]
    assert kitchen.state.estimate_at == at(25)


def test_tomorrows_orders_do_not_mind_a_busy_kitchen() -> None:
    rules = EtaRules(busy_extra_min=15, busy_until=at(60))
    later = Kitchen(pickup(90, is_scheduled=True), rules)
    later.look(0)
    assert later.state.estimate_at is None
    soon = Kitchen(pickup(50, is_scheduled=True), rules)
    soon.look(0)
    assert soon.state.estimate_at == at(65)


# ---------------------------------------------------------------------------- couriers lost


def delivery(**more: Any) -> Kitchen:
    """A delivery promised at 40 whose courier says 60, told after a minute."""
    kitchen = Kitchen(pickup(40, fulfillment="delivery", est_ready_at=at(20), **more))
    kitchen.look(0)
    kitchen.look(1, has_live_leg=True, est_delivery_at=at(60))
    kitchen.look(3)
    assert kitchen.told() == ["delayed:1"]
    return kitchen


def test_a_lost_courier_is_no_good_news() -> None:
    kitchen = delivery()
    kitchen.look(4, has_live_leg=False, est_delivery_at=None)
    kitchen.look(30)
    assert kitchen.told() == ["delayed:1"]
    assert (kitchen.state.estimate_at, kitchen.delayed) == (at(60), True)


def test_what_the_shop_once_said_does_not_count_again_without_the_courier() -> None:
    kitchen = delivery()
    kitchen.look(4, has_live_leg=False, est_delivery_at=at(42))
    kitchen.look(30)
    assert kitchen.told() == ["delayed:1"]
    kitchen.look(31, est_delivery_at=at(43))  # said anew
    kitchen.look(33)
    assert kitchen.told() == ["delayed:1", "earlier:1"]


def test_a_lost_courier_starts_no_delay() -> None:
    kitchen = Kitchen(pickup(40, fulfillment="delivery", est_ready_at=at(20)))
    kitchen.look(0)
    kitchen.look(1, has_live_leg=True, est_delivery_at=at(41), est_ready_at=at(35))
    kitchen.look(3, has_live_leg=False, est_delivery_at=None)
    kitchen.look(30)
    assert (kitchen.told(), kitchen.delayed) == ([], False)
    kitchen.look(31, est_ready_at=at(50))  # now the kitchen slips
    kitchen.look(33)
    assert kitchen.told() == ["delayed:1"]
    assert kitchen.state.told_at == at(55)


def test_without_a_new_courier_the_clock_asks_staff() -> None:
    kitchen = delivery()
    kitchen.look(4, has_live_leg=False, est_delivery_at=None)
    kitchen.look(66)
    assert kitchen.staff()[-1] == "overdue:1"
    kitchen.look(67, has_live_leg=True, est_delivery_at=at(80))
    kitchen.look(69)
    assert kitchen.told() == ["delayed:1", "delayed:2"]
    assert kitchen.state.told_at == at(80)


# ---------------------------------------------------------------------------- promises


def test_a_changed_promise_starts_anew() -> None:
    kitchen = Kitchen(pickup(20))
    kitchen.look(0, est_ready_at=at(20))
    kitchen.look(1, est_ready_at=at(60))
    assert [d.milestone for d in kitchen.look(1.5, promised_at=at(60))] == ["rescheduled:1"]
    kitchen.look(5)
    assert kitchen.told() == ["rescheduled:1"]
    assert (kitchen.state.baseline_at, kitchen.state.told_at) == (at(60), at(60))
    assert kitchen.delayed is False
    told = kitchen.drafts[0]
    assert (told.kind, told.data) == (
        "eta_changed",
        {"estimate": iso(60), "previous": iso(20), "rescheduled": True},
    )


def test_each_rescheduling_is_told_even_back_to_the_first_time() -> None:
    kitchen = Kitchen(pickup(20))
    for minute, promised in ((0, 20), (1, 60), (2, 20), (3, 60)):
        kitchen.look(minute, promised_at=at(promised))
    assert kitchen.told() == ["rescheduled:1", "rescheduled:2", "rescheduled:3"]


def test_a_promise_that_creeps_adds_up_to_a_rescheduling() -> None:
    kitchen = Kitchen(pickup(20))
    for step in range(5):
        kitchen.look(step, promised_at=at(20 + step * 0.4))
    assert kitchen.told() == ["rescheduled:1"]
    assert kitchen.state.told_at == at(21.2)


def test_a_rescheduling_to_what_was_told_or_to_the_past_is_no_news() -> None:
    kitchen = Kitchen(pickup(20))
    kitchen.look(0)
    kitchen.look(1, est_ready_at=at(34))
    kitchen.look(3)
    kitchen.look(4, promised_at=at(34))
    assert kitchen.told() == ["delayed:1"]
    assert kitchen.state.baseline_at == at(34)
    kitchen.look(30, promised_at=at(25))
    assert kitchen.told() == ["delayed:1"]
    assert kitchen.state.baseline_at == at(25)


def test_a_rescheduling_during_a_conflict_is_told_when_staff_settled_it() -> None:
    kitchen = Kitchen(pickup(20))
    kitchen.look(0)
    kitchen.look(1, promised_at=at(60), flags=frozenset({"conflict"}))
    kitchen.look(3)
    assert kitchen.told() == []
    kitchen.look(4, flags=frozenset())
    assert kitchen.told() == ["rescheduled:1"]


def test_the_same_promise_in_another_sources_words_is_no_new_one() -> None:
    kitchen = Kitchen(pickup(20, origins={"promised_at": "pos"}))
    kitchen.look(0)
    kitchen.look(1, promised_at=at(22), origins={"promised_at": "shop"})
    assert kitchen.state.baseline_at == at(20)


def test_the_first_estimate_is_the_baseline_where_nobody_promised() -> None:
    kitchen = Kitchen(Projection("preparing", placed_at=at(0)))
    kitchen.look(0)
    kitchen.look(1, est_ready_at=at(20))
    assert kitchen.state.told_at == at(20)
    kitchen.look(2, est_ready_at=at(30))
    kitchen.look(4)
    assert kitchen.told() == ["delayed:1"]
