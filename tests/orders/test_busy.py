"""A busy kitchen: everything open moves once, through history and the delay rules."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from orders import busy, intake
from orders.eta_state import waited_for
from orders.eta_watch import watch_estimates
from orders.models import Location, Observation, Order, OrderEvent
from tests.factories import make_location, make_manager, make_restaurant
from tests.orders.posting import Till
from tests.orders.updates import apply, at, says

pytestmark = pytest.mark.django_db


def open_order(till: Till, name: str, *, minute: float = 0, **times: Any) -> Order:
    """An accepted pickup order promised half an hour after it was placed."""
    times = times or {"promised_at": at(30).isoformat(), "est_ready_at": at(30).isoformat()}
    data = {
        "times": {"placed_at": at(0).isoformat(), **times},
        "fulfillment": {"type": "pickup"},
        "display": name,
    }
    end = apply(till.account, says(name, "accepted", data=data, minute=minute), minute)
    return Order.objects.get(pk=end.order_id)


def press(till: Till, now: datetime) -> busy.Busy:
    return busy.start_busy(location_id=till.location.pk, actor="maria", now=now)


def manual() -> list[Observation]:
    return list(Observation.objects.filter(source="manual"))


def delays() -> list[str]:
    rows = OrderEvent.objects.filter(kind="order_delayed").order_by("pk")
    return list(rows.values_list("milestone", flat=True))


def test_every_open_order_moves_once(till: Till, nobody_plans: None) -> None:
    orders = [open_order(till, name) for name in ("A1", "A2")]
    done = open_order(till, "A3")
    intake.add_manual_update(order=done, state="picked_up", actor="maria", at=at(1))
    Observation.objects.filter(source="manual").delete()
    said = press(till, at(2))
    assert (said.moved, said.is_repeat) == (2, False)
    assert press(till, at(3)).is_repeat
    for order in orders:
        order.refresh_from_db()
        assert order.est_ready_at == at(45)
        assert order.promised_at == at(30)
    assert len(manual()) == 2
    assert {one.data["actor"] for one in manual()} == {"maria"}
    location = Location.objects.get(pk=till.location.pk)
    assert (location.busy_extra_min, location.busy_until) == (15, at(2) + busy.LASTS)


def test_the_same_deed_is_noted_once_per_order(till: Till, nobody_plans: None) -> None:
    order = open_order(till, "A1")
    said = [
        intake.add_manual_update(
            order=order,
            data={"times": {"est_ready_at": at(45).isoformat()}},
            actor="maria",
            at=at(2),
            once="busy:1",
        ).outcome
        for _ in range(2)
    ]
    assert said == ["applied", "duplicate"]
    assert len(manual()) == 1


def test_the_guest_is_told_once_and_fifteen_minutes(till: Till, nobody_plans: None) -> None:
    order = open_order(till, "A1")
    press(till, at(2))
    for minute in (4, 5, 6, 10, 14):
        watch_estimates(now=at(minute))
    assert delays() == ["delayed:1"]
    event = OrderEvent.objects.get(kind="order_delayed")
    # moved by the statement, and not a second time by the rule for a busy kitchen
    assert event.data["estimate"] == at(45).isoformat()
    assert event.data["late_min"] == 15
    order.refresh_from_db()
    assert order.delays_told == 1


def test_the_till_repeating_its_own_time_changes_nothing(till: Till, nobody_plans: None) -> None:
    open_order(till, "A1")
    press(till, at(2))
    watch_estimates(now=at(4))
    open_order(till, "A1", minute=6)
    for minute in (7, 9, 11):
        watch_estimates(now=at(minute))
    assert delays() == ["delayed:1"]


def test_an_order_that_arrives_meanwhile_takes_longer(till: Till, nobody_plans: None) -> None:
    press(till, at(2))
    open_order(till, "A1", minute=3)
    watch_estimates(now=at(5))
    assert delays() == ["delayed:1"]
    assert manual() == []


def test_orders_without_a_time_and_cooked_ones_stay(till: Till, nobody_plans: None) -> None:
    open_order(till, "A1", promised_until=at(60).isoformat())
    ready = open_order(till, "A2")
    intake.add_manual_update(order=ready, state="ready", actor="maria", at=at(1))
    assert press(till, at(2)).moved == 0


def test_other_kitchens_are_not_busy(till: Till, nobody_plans: None) -> None:
    open_order(till, "A1")
    other = make_location(till.restaurant, external_ids=["L2"])
    assert busy.start_busy(location_id=other.pk, actor="maria", now=at(2)).moved == 0


def test_it_ends_when_somebody_says_so(till: Till, nobody_plans: None) -> None:
    order = open_order(till, "A1")
    press(till, at(2))
    watch_estimates(now=at(4))
    busy.end_busy(location_id=till.location.pk)
    location = Location.objects.get(pk=till.location.pk)
    assert not busy.is_busy(location, at(5))
    for minute in (5, 7, 9):
        watch_estimates(now=at(minute))
    order.refresh_from_db()
    assert order.est_ready_at == at(45)
    assert delays() == ["delayed:1"]


def test_ending_it_and_pressing_again_adds_nothing_twice(till: Till, nobody_plans: None) -> None:
    order = open_order(till, "A1")
    press(till, at(2))
    arrived = open_order(till, "A2", minute=3)
    busy.end_busy(location_id=till.location.pk)
    fresh = open_order(till, "A3", minute=5)
    assert press(till, at(6)).moved == 1
    for row, ready in ((order, 45), (arrived, 30), (fresh, 45)):
        row.refresh_from_db()
        assert row.est_ready_at == at(ready)
        assert waited_for(row.watch) == at(45)


def test_an_hour_later_whoever_still_waits_waits_longer(till: Till, nobody_plans: None) -> None:
    times = {"promised_at": at(100).isoformat(), "est_ready_at": at(100).isoformat()}
    order = open_order(till, "A1", **times)
    press(till, at(2))
    assert not busy.is_busy(Location.objects.get(pk=till.location.pk), at(63))  # by itself
    assert press(till, at(63)).moved == 1
    order.refresh_from_db()
    assert order.est_ready_at == at(130)


def test_tomorrows_orders_stay(till: Till, nobody_plans: None) -> None:
    for name, minute in (("A1", 24 * 60), ("A2", 40)):
        data = {
            "times": {"placed_at": at(0).isoformat(), "promised_at": at(minute).isoformat()},
            "fulfillment": {"type": "pickup", "scheduled": True},
        }
        apply(till.account, says(name, "accepted", data=data))
    assert press(till, at(2)).moved == 1
    assert manual()[0].data["times"] == {"est_ready_at": at(55).isoformat()}


def test_a_delivery_that_slipped_moves_from_where_it_is(till: Till, nobody_plans: None) -> None:
    order = open_order(till, "A1", promised_at=at(40).isoformat(), est_ready_at=at(20).isoformat())
    apply(till.account, says("A1", data={"fulfillment": {"type": "delivery"}}, minute=1), 1)
    slipped = {"times": {"est_ready_at": at(30).isoformat()}}
    apply(till.account, says("A1", data=slipped, minute=2), 2)
    press(till, at(3))
    order.refresh_from_db()
    assert (order.est_ready_at, order.est_delivery_at) == (at(45), at(65))


def test_one_that_fails_does_not_stop_the_others(
    till: Till, nobody_plans: None, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = open_order(till, "A1"), open_order(till, "A2")
    Order.objects.filter(pk=bad.pk).update(watch={"pending_since": "yesterday"})
    assert press(till, at(2)).moved == 1
    assert "orders.busy_failed" in caplog.text
    good.refresh_from_db()
    assert good.est_ready_at == at(45)


def test_a_delivery_moves_its_arrival(till: Till, nobody_plans: None) -> None:
    order = open_order(till, "A1")
    apply(till.account, says("A1", data={"fulfillment": {"type": "delivery"}}, minute=1), 1)
    press(till, at(2))
    order.refresh_from_db()
    assert (order.est_ready_at, order.est_delivery_at) == (at(45), at(45))
    watch_estimates(now=at(4))
    assert OrderEvent.objects.get(kind="order_delayed").data["late_min"] == 15


# -- the buttons ---------------------------------------------------------------------------------


def test_the_board_has_the_button(till: Till, client: Client) -> None:
    client.force_login(make_manager(till.restaurant))
    url = reverse("board-busy", args=[till.location.pk])
    assert f'action="{url}"' in client.get("/board/").content.decode()
    answer = client.post(url, {"deed": "start"}, follow=True)
    assert "0 orders moved." in answer.content.decode()
    assert "Back to normal" in answer.content.decode()
    again = client.post(url, {"deed": "start"}, follow=True).content.decode()
    assert "nothing was added twice" in again
    client.post(url, {"deed": "end"})
    assert not busy.is_busy(Location.objects.get(pk=till.location.pk), timezone.now())


def test_nobody_moves_the_orders_of_others(till: Till, client: Client) -> None:
    client.force_login(make_manager(make_restaurant()))
    url = reverse("board-busy", args=[till.location.pk])
    assert client.post(url, {"deed": "start"}).status_code == 404
    assert client.get(url).status_code == 405
    assert Location.objects.get(pk=till.location.pk).busy_until is None


def test_the_console_has_the_button(till: Till, client: Client) -> None:
    client.force_login(make_manager(till.restaurant))
    page = reverse("admin:orders_location_change", args=[till.location.pk])
    assert "Add 15 minutes to everything open" in client.get(page).content.decode()
    client.post(reverse("admin:orders_location_busy", args=[till.location.pk]))
    until = Location.objects.get(pk=till.location.pk).busy_until
    assert until is not None
    clock = f"{until.astimezone(ZoneInfo('America/New_York')):%H:%M}"
    # around midnight the page names the day as well
    shown = client.get(page).content.decode()
    assert re.search(rf"15 minutes longer until (?:[\w. ]+ )?{clock}", shown)
    client.post(reverse("admin:orders_location_calm", args=[till.location.pk]))
    left = Location.objects.get(pk=till.location.pk).busy_until
    assert left is None or left < timezone.now() + timedelta(0)
