"""An order that is cancelled and placed anew is one order that was edited (Olo)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from orders.models import Observation, Order, OrderAlias, SourceAccount
from tests.orders.senders import clear_caches, open_account, post

pytestmark = pytest.mark.django_db

WORDS = {"OrderCancelled": "cancelled", "OrderAccepted": "accepted", "OrderReady": "ready"}
BOWL = {"productId": 1, "name": "Poke Bowl", "quantity": 1}
SOUP = {"productId": 2, "name": "Miso Soup", "quantity": 1}


@pytest.fixture
def olo() -> SourceAccount:
    account = open_account("olo", replaces_field="replacedOrderId", item_name_field="name")
    account.status_map = {"order": WORDS}
    account.save()
    clear_caches()
    return account


def tell(account: SourceAccount, kind: str, order_id: str, **body: Any) -> None:
    number = f"{kind}-{order_id}"
    headers = {"X-Olo-Event-Type": kind, "X-Olo-Message-Id": number}
    raw = json.dumps({"orderId": order_id, "deliveryMethod": "pickup", **body}).encode()
    assert post(account, raw, headers).status_code == 200


def placed(account: SourceAccount) -> None:
    tell(account, "OrderPlaced", "A", items=[BOWL])


def cancelled(account: SourceAccount) -> None:
    tell(account, "OrderCancelled", "A", items=[BOWL])


def placed_anew(account: SourceAccount) -> None:
    tell(account, "OrderPlaced", "B", items=[BOWL, SOUP], replacedOrderId="A")


def shown(account: SourceAccount) -> Order:
    """The one order of the account; both ids are its names."""
    order = Order.objects.get(restaurant=account.restaurant)
    names = OrderAlias.objects.filter(order=order, system=f"account:{account.pk}")
    assert set(names.values_list("external_id", flat=True)) == {"A", "B"}
    return order


def told(order: Order) -> list[tuple[str, str, int, bool]]:
    events = order.events.order_by("recorded_at", "kind", "milestone")
    return [(e.kind, e.milestone, e.epoch, e.is_stale) for e in events]


def test_placed_anew_before_the_cancellation_is_an_edit_and_nothing_else(
    olo: SourceAccount,
) -> None:
    for step in (placed, placed_anew, cancelled):
        step(olo)
    order = shown(olo)
    assert (order.state, order.flags) == ("received", [])
    assert sorted(item.label for item in order.items.all()) == ["Miso Soup", "Poke Bowl"]
    edit = order.events.get(kind="order_edited")
    assert edit.data["sentence"] == "+1 Miso Soup"
    # the way back from a cancellation nobody saw is noted, not told
    assert told(order) == [
        ("status_changed", "received", 0, False),
        ("order_edited", "edited:1", 0, False),
        ("status_changed", "received", 1, True),
    ]
    tell(olo, "OrderReady", "B")
    assert shown(olo).state == "ready"
    assert told(order)[-1] == ("status_changed", "ready", 1, False)


def test_after_a_cancellation_that_was_told_the_order_is_back(olo: SourceAccount) -> None:
    for step in (placed, cancelled):
        step(olo)
    assert Order.objects.get().state == "cancelled"
    heard = Observation.objects.filter(state="cancelled")
    heard.update(received_at=datetime.now(UTC) - timedelta(minutes=2))
    placed_anew(olo)
    order = shown(olo)
    assert (order.state, order.epoch, order.detail["reason"]) == ("received", 1, {})
    back = order.events.get(kind="status_changed", epoch=1)
    assert (back.milestone, back.data["reopened"], back.is_stale) == ("received", True, False)
    assert order.events.get(kind="order_edited").data["sentence"] == "+1 Miso Soup"


@pytest.mark.parametrize("steps", list(permutations([placed, cancelled, placed_anew])))
def test_any_order_of_arrival_ends_the_same(olo: SourceAccount, steps: Sequence[Any]) -> None:
    for step in steps:
        step(olo)
        step(olo)
    order = shown(olo)
    assert (order.state, order.epoch) == ("received", 1)
    assert sorted(item.label for item in order.items.all()) == ["Miso Soup", "Poke Bowl"]


def test_an_order_is_placed_anew_twice(olo: SourceAccount) -> None:
    for step in (placed, placed_anew, cancelled):
        step(olo)
    tell(olo, "OrderPlaced", "C", items=[SOUP], replacedOrderId="B")
    tell(olo, "OrderCancelled", "B")
    order = Order.objects.get(restaurant=olo.restaurant)
    assert (order.state, order.epoch) == ("received", 2)
    assert [item.label for item in order.items.all()] == ["Miso Soup"]


def test_without_the_name_of_the_field_two_orders_are_two() -> None:
    account = open_account("olo")
    for step in (placed, placed_anew):
        step(account)
    assert Order.objects.filter(restaurant=account.restaurant).count() == 2


@pytest.mark.parametrize("other", ["A", "", None, [], 0])
def test_an_order_that_replaces_itself_or_nothing_is_an_order(
    olo: SourceAccount, other: Any
) -> None:
    tell(olo, "OrderPlaced", "A", items=[BOWL], replacedOrderId=other)
    order = Order.objects.filter(restaurant=olo.restaurant).order_by("pk").first()
    assert order is not None
    assert (order.state, order.items.count()) == ("received", 1)


def test_two_orders_that_replace_each_other_are_still_one(olo: SourceAccount) -> None:
    tell(olo, "OrderPlaced", "A", items=[BOWL], replacedOrderId="B")
    tell(olo, "OrderPlaced", "B", items=[SOUP], replacedOrderId="A")
    assert shown(olo).state == "received"
