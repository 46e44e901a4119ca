"""An order cancelled and placed anew: the guest reads of one edit, and of no cancellation."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notifications.models import Delivery
from orders.models import InboundCall, Observation, Order, OrderEvent, SourceAccount
from orders.selectors import clear_caches
from tests.factories import make_source_account
from tests.orders.senders import post
from tests.stage import PHONE, Stage

pytestmark = pytest.mark.django_db

BOWL = {"productId": 1, "name": "Poke Bowl", "quantity": 1}
SOUP = {"productId": 2, "name": "Miso Soup", "quantity": 1}
WORDS = {"OrderCancelled": "cancelled", "OrderAccepted": "accepted", "OrderReady": "ready"}


@pytest.fixture
def olo(stage: Stage) -> SourceAccount:
    """The stage's orders come from Olo, whose brand edits by placing anew."""
    account = make_source_account(
        stage.restaurant,
        source="olo",
        location=stage.location,
        settings={
            "shared_secret": "key",
            "replaces_field": "replacedOrderId",
            "item_name_field": "name",
            "phone_field": "customer.phone",
        },
        status_map={"order": WORDS},
    )
    clear_caches()
    return account


def tell(account: SourceAccount, kind: str, order: str, **body: Any) -> None:
    headers = {"X-Olo-Event-Type": kind, "X-Olo-Message-Id": f"{kind}-{order}"}
    about = {"orderId": order, "deliveryMethod": "pickup", "customer": {"phone": PHONE}, **body}
    assert post(account, json.dumps(about).encode(), headers).status_code == 200


def begin(account: SourceAccount, stage: Stage) -> None:
    tell(account, "OrderPlaced", "1001", items=[BOWL])
    stage.settle_and_send()


def pass_time(seconds: int) -> None:
    """All that was said and planned so far is older now."""
    for row in Observation.objects.all():
        Observation.objects.filter(pk=row.pk).update(
            received_at=row.received_at - timedelta(seconds=seconds)
        )
    for delivery in Delivery.objects.filter(state="queued"):
        Delivery.objects.filter(pk=delivery.pk).update(
            due_at=delivery.due_at - timedelta(seconds=seconds)
        )


def edits() -> list[tuple[str, str]]:
    rows = OrderEvent.objects.filter(kind="order_edited").order_by("recorded_at")
    return [(row.milestone, row.data["sentence"]) for row in rows]


def test_cancelled_first_is_told_as_an_edit_alone(stage: Stage, olo: SourceAccount) -> None:
    begin(olo, stage)
    tell(olo, "OrderCancelled", "1001", items=[BOWL])
    pass_time(30)
    assert stage.send() == 0
    tell(olo, "OrderPlaced", "1002", items=[BOWL, SOUP], replacedOrderId="1001")
    stage.settle_and_send()
    assert edits() == [("replaced:1", "#1001 > #1002: +1 Miso Soup")]
    received, changed = stage.texts()
    assert "we have your order 1001" in received
    assert "was changed: #1001 > #1002: +1 Miso Soup." in changed
    told = OrderEvent.objects.get(kind="order_edited")
    assert (told.data["replaces"], told.data["replaced_by"]) == ("1001", "1002")
    assert not [m for m in stage.messages() if "cancelled" in m["text"].lower()]
    order = Order.objects.get(restaurant=stage.restaurant)
    assert (order.state, order.display) == ("received", "1002")


def test_its_way_is_not_told_twice_and_goes_on(stage: Stage, olo: SourceAccount) -> None:
    begin(olo, stage)
    tell(olo, "OrderAccepted", "1001", items=[BOWL])
    stage.settle_and_send()
    tell(olo, "OrderCancelled", "1001", items=[BOWL])
    tell(olo, "OrderPlaced", "1002", items=[SOUP], replacedOrderId="1001")
    stage.settle_and_send()
    before = len(stage.messages())
    tell(olo, "OrderAccepted", "1002", items=[SOUP])
    stage.settle_and_send()
    assert len(stage.messages()) == before
    tell(olo, "OrderReady", "1002", items=[SOUP])
    stage.settle_and_send()
    assert "order 1002 is ready" in stage.texts()[-1]


def test_only_another_number_is_told_as_well(stage: Stage, olo: SourceAccount) -> None:
    begin(olo, stage)
    tell(olo, "OrderCancelled", "1001", items=[BOWL])
    tell(olo, "OrderPlaced", "1002", items=[BOWL], replacedOrderId="1001")
    stage.settle_and_send()
    assert edits() == [("replaced:1", "#1001 > #1002")]
    assert len(stage.texts()) == 2


def test_a_cancellation_that_nothing_follows_is_told_late(stage: Stage, olo: SourceAccount) -> None:
    begin(olo, stage)
    tell(olo, "OrderCancelled", "1001", items=[BOWL])
    due = Delivery.objects.filter(notification__milestone="cancelled").first()
    assert due is not None
    assert timedelta(seconds=80) < due.due_at - datetime.now(UTC) <= timedelta(seconds=90)
    pass_time(91)
    stage.send()
    assert "order 1001 was cancelled" in stage.texts()[-1]
    tell(olo, "OrderPlaced", "1002", items=[BOWL, SOUP], replacedOrderId="1001")
    stage.settle_and_send()
    assert edits() == [("edited:1", "+1 Miso Soup")]
    back = OrderEvent.objects.get(milestone="received", epoch=1)
    assert (back.is_stale, back.data["reopened"]) == (False, True)


def test_placed_anew_first_is_an_edit_with_its_link(stage: Stage, olo: SourceAccount) -> None:
    begin(olo, stage)
    tell(olo, "OrderPlaced", "1002", items=[SOUP], replacedOrderId="1001")
    tell(olo, "OrderCancelled", "1001", items=[BOWL])
    stage.settle_and_send()
    received, changed = stage.texts()
    assert "we have your order 1001" in received
    assert "was changed: +1 Miso Soup, -1 Poke Bowl." in changed
    told = OrderEvent.objects.get(kind="order_edited")
    assert (told.data["replaces"], told.data["replaced_by"]) == ("1001", "1002")


def test_a_source_that_edits_in_place_cancels_at_once(stage: Stage) -> None:
    stage.open()
    stage.settle_and_send()
    stage.post(state="cancelled")
    assert stage.send() > 0
    assert "was cancelled" in stage.texts()[-1]
    assert InboundCall.objects.filter(state="applied").count() == 2
