"""Two orders that prove to be one, and names that join from the start."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from integrations.contracts import Customer, OrderUpdate
from orders import board, eta_watch, intake, page_data
from orders.history import load_history
from orders.models import Observation, Order, OrderEvent, SourceAccount
from orders.projection import project
from orders.selectors import clear_caches, house
from tests.factories import make_source_account
from tests.orders.posting import PHONE
from tests.orders.updates import apply, at, says

pytestmark = pytest.mark.django_db

SHARED = (("external_id", "WEB-7"),)
GUEST = Customer(name="Ana", phone=PHONE)


def shop(state: str | None, minute: float, **more: Any) -> OrderUpdate:
    """The shop calls it WEB-7."""
    return says("WEB-7", state, minute=minute, track="commercial", **more)


def till(state: str | None, minute: float, *, knows: bool = False, **more: Any) -> OrderUpdate:
    """The till calls it T1, and knows the shop's number or not."""
    return says("T1", state, minute=minute, aliases=SHARED if knows else (), **more)


def shown(order: Order) -> Any:
    return project(
        load_history(order.pk).observations, priorities=house(order.restaurant_id).priorities
    )


def milestones() -> list[str]:
    """What was recorded of any order, without what only the timeline shows."""
    events = OrderEvent.objects.filter(kind="status_changed").order_by("recorded_at", "milestone")
    return [e.milestone for e in events if e.data.get("audience") != "internal"]


@pytest.fixture(autouse=True)
def alone(nobody_plans: None) -> None:
    """Intake without alerts."""


# ---------------------------------------------------------------------------- joined at once


@pytest.mark.parametrize("is_shop_first", [True, False])
def test_a_till_that_was_given_the_shops_number_joins_the_shops_order(
    account: SourceAccount, pos: SourceAccount, is_shop_first: bool
) -> None:
    said = [(account, shop("received", 0)), (pos, till("preparing", 1, knows=True))]
    for who, update in said if is_shop_first else said[::-1]:
        apply(who, update, 2)
    order = Order.objects.get()
    assert order.state == "preparing"
    assert {alias.external_id for alias in order.aliases.all()} == {"WEB-7", "T1"}


def test_two_orders_of_one_account_stay_two(account: SourceAccount, pos: SourceAccount) -> None:
    apply(account, shop("received", 0))
    apply(pos, till("preparing", 1, knows=True), 1)
    apply(pos, says("T2", "received", minute=2, aliases=SHARED), 2)
    assert [order.state for order in Order.objects.order_by("pk")] == ["preparing", "received"]


# ---------------------------------------------------------------------------- proven later


def test_the_older_order_goes_on_with_all_that_was_said(
    account: SourceAccount, pos: SourceAccount
) -> None:
    apply(account, shop("accepted", 0, customer=GUEST))
    apply(pos, till("preparing", 1), 1)
    older, younger = Order.objects.order_by("pk")
    before = (older.state, younger.state)
    done = apply(pos, till("ready", 2, knows=True), 2)
    older.refresh_from_db()
    younger.refresh_from_db()
    assert (before, done.order_id) == (("accepted", "preparing"), older.pk)
    assert (older.state, older.is_open, older.same_as) == ("ready", True, None)
    assert (younger.same_as, younger.is_open, younger.next_watch_at) == (older, False, None)
    assert {alias.order_id for alias in older.aliases.all()} == {older.pk}
    assert older.aliases.count() == 3
    # nothing said was moved, and nothing told is told again
    assert Observation.objects.filter(order=younger).count() == 1
    assert milestones() == ["accepted", "preparing", "ready"]
    for who, update in ((account, shop("picked_up", 5)), (pos, till("picked_up", 6))):
        apply(who, update, 6)
    assert Order.objects.filter(is_open=True).count() == 0
    assert older.events.filter(milestone="picked_up").count() == 1


def test_what_was_told_of_the_younger_is_not_told_of_the_older(
    account: SourceAccount, pos: SourceAccount
) -> None:
    apply(account, shop("accepted", 0))
    apply(pos, till("ready", 1), 1)
    apply(pos, till("ready", 2, knows=True), 2)
    older = Order.objects.get(same_as=None)
    assert older.state == "ready"
    assert milestones() == ["accepted", "ready"]
    (note,) = older.events.filter(milestone__startswith="united:")
    assert note.data["audience"] == "internal"


@pytest.mark.parametrize("arrival", list(permutations(range(4))))
def test_any_arrival_ends_in_one_order(
    account: SourceAccount, pos: SourceAccount, arrival: tuple[int, ...]
) -> None:
    items = {"items": [{"id": "1", "label": "Bowl"}]}
    said = [
        (account, shop("accepted", 0, data=items)),
        (account, shop(None, 3, data={"times": {"promised_at": at(40).isoformat()}})),
        (pos, till("preparing", 1)),
        (pos, till("ready", 2, knows=True)),
    ]
    for minute, place in enumerate(arrival):
        who, update = said[place]
        apply(who, update, 10 + minute)
    (order,) = Order.objects.filter(same_as=None)
    assert order.is_open
    assert (order.state, order.promised_at) == ("ready", at(40))
    assert [item.label for item in order.items.all()] == ["Bowl"]
    assert shown(order).state == "ready"
    told = milestones()
    assert len(told) == len(set(told))


def test_a_third_name_brings_all_together(account: SourceAccount, pos: SourceAccount) -> None:
    middle = make_source_account(account.restaurant, source="deliverect", location=pos.location)
    clear_caches()
    apply(account, shop("accepted", 0))
    apply(pos, till("preparing", 1), 1)
    both = (("external_id", "WEB-7"), ("external_id", "T1"))
    apply(middle, says("M1", None, minute=2, aliases=both), 2)
    (order,) = Order.objects.filter(same_as=None)
    assert (order.state, order.united.count()) == ("preparing", 1)
    apply(pos, till("ready", 3), 3)
    order.refresh_from_db()
    assert order.state == "ready"


def test_the_guest_of_either_is_the_guest(account: SourceAccount, pos: SourceAccount) -> None:
    apply(pos, till("preparing", 0))
    apply(account, shop("accepted", 1, customer=GUEST), 1)
    apply(pos, till("ready", 2, knows=True), 2)
    order = Order.objects.get(same_as=None)
    assert order.contact_kind == "direct"
    assert order.subject_id == Order.objects.exclude(pk=order.pk).get().subject_id is not None


def test_an_order_that_takes_the_place_of_another_is_the_other(pos: SourceAccount) -> None:
    apply(pos, till("cancelled", 0, data={"of": "T1"}))
    apply(pos, says("T2", "accepted", minute=1, data={"of": "T2"}), 1)
    assert Order.objects.count() == 2
    apply(pos, says("T2", None, minute=2, replaces="T1", data={"of": "T2", "replaces": "T1"}), 2)
    order = Order.objects.get(same_as=None)
    assert (order.state, order.united.count()) == ("accepted", 1)
    assert {alias.external_id for alias in order.aliases.all()} == {"T1", "T2"}


# ---------------------------------------------------------------------------- not one after all


def test_an_order_that_is_over_is_left_alone(account: SourceAccount, pos: SourceAccount) -> None:
    apply(account, shop("picked_up", 0))
    apply(pos, till("preparing", 1), 1)
    apply(pos, till("ready", 2, knows=True), 2)
    assert Order.objects.filter(same_as=None).count() == 2


def test_orders_an_account_knows_apart_are_two(account: SourceAccount, pos: SourceAccount) -> None:
    apply(account, shop("accepted", 0))
    apply(pos, says("T0", "accepted", minute=0, aliases=SHARED))
    apply(pos, till("preparing", 1), 1)
    apply(pos, till("ready", 2, knows=True), 2)
    assert Order.objects.filter(same_as=None).count() == 2
    assert sorted(o.state for o in Order.objects.all()) == ["accepted", "ready"]


def test_a_courier_with_two_bags_unites_nothing(account: SourceAccount, pos: SourceAccount) -> None:
    apply(account, shop("accepted", 0))
    apply(pos, till("preparing", 1), 1)
    both = (("external_id", "WEB-7"), ("external_id", "T1"))
    bags = says("D1", None, minute=2, aliases=both, scope="leg", ref="D1", track="courier",
                courier_only=True)  # fmt: skip
    apply(make_source_account(account.restaurant, source="uber_eats"), bags, 2)
    assert Order.objects.filter(same_as=None).count() == 2


# ---------------------------------------------------------------------------- those who still ask


@pytest.fixture
def pair(account: SourceAccount, pos: SourceAccount) -> tuple[Order, Order]:
    """The order that goes on, and the one that proved to be it."""
    apply(account, shop("accepted", 0))
    apply(pos, till("preparing", 1), 1)
    apply(pos, till(None, 2, knows=True), 2)
    older, younger = Order.objects.order_by("pk")
    return older, younger


def test_pages_and_buttons_of_the_younger_lead_to_the_older(pair: tuple[Order, Order]) -> None:
    older, younger = pair
    mine = [older.restaurant_id]
    page = page_data.order_page(younger.public_id, at(3))
    ticket = board.staff_order(younger.public_id, mine, at(3))
    assert page is not None
    assert ticket is not None
    assert (page.public_id, ticket.order.pk) == (older.public_id, older.pk)
    assert board.order_of(younger.public_id, mine) == older
    done = intake.add_manual_update(order=younger, state="ready", actor="sam", at=at(4))
    assert done.order_id == older.pk
    older.refresh_from_db()
    younger.refresh_from_db()
    assert (older.state, younger.state, younger.is_open) == ("ready", "preparing", False)


def test_a_question_about_the_younger_is_answered_once(pair: tuple[Order, Order]) -> None:
    older, younger = pair
    asked = {"address_id": 1, "inbound_id": "m1", "channel": "sms", "account_id": 1}
    first = intake.record_status_request(order=younger, at=at(3), **asked)  # type: ignore[arg-type]
    again = intake.record_status_request(order=older, at=at(3), **asked)  # type: ignore[arg-type]
    assert first == again
    assert first.order == older


def test_the_watch_leaves_the_younger_alone(pair: tuple[Order, Order]) -> None:
    older, younger = pair
    Order.objects.filter(pk__in=[older.pk, younger.pk]).update(next_watch_at=at(5))
    eta_watch.watch_estimates(now=at(600))
    younger.refresh_from_db()
    assert (younger.is_open, younger.next_watch_at) == (False, None)


def test_uniting_takes_few_statements(account: SourceAccount, pos: SourceAccount) -> None:
    apply(account, shop("accepted", 0))
    apply(pos, till("preparing", 1), 1)
    update = till("ready", 2, knows=True)
    with (
        CaptureQueriesContext(
            connection,
        ) as said,
        transaction.atomic(),
    ):
        apply(pos, update, 2)
    assert len(said) <= 25
