"""Courier news: joined by name, parked until the order appears, given up after 48 hours."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations.contracts import Customer, Observation, OrderUpdate
from orders import parking, tasks
from orders.models import InboundCall, Order, ParkedUpdate, SourceAccount
from tests.factories import make_source_account
from tests.orders.posting import PHONE, Till, delivery, later, post_uber

pytestmark = pytest.mark.django_db


@pytest.fixture
def uber(till: Till) -> SourceAccount:
    return make_source_account(
        till.restaurant, source="uber_eats", settings={"direct_signing_key": "k"}
    )


def drive(till: Till, **about: Any) -> Any:
    return till.post("WEB-1042", state="ready", fulfillment={"type": "delivery"}, about=about)


def legs(order: Order) -> dict[str, str | None]:
    return {leg["ref"]: leg["state"] for leg in order.detail["legs"]}


def test_a_courier_finds_the_order_by_its_own_id(till: Till, uber: SourceAccount) -> None:
    drive(till)
    answer = post_uber(uber, delivery("pickup_complete", external_id="WEB-1042"))
    assert (answer.status_code, answer.content) == (200, b"")
    order = till.order()
    assert (order.state, legs(order)) == ("out_for_delivery", {"del_1": "out_for_delivery"})
    # the delivery id is a name of the order from now on
    post_uber(uber, delivery("delivered"))
    assert till.order().state == "delivered"
    assert not ParkedUpdate.objects.exists()


def test_a_courier_finds_the_order_by_its_delivery(till: Till, uber: SourceAccount) -> None:
    drive(till, aliases=[{"system": "external_delivery_id", "id": "del_1"}])
    post_uber(uber, delivery("pickup_complete"))
    assert till.order().state == "out_for_delivery"


def test_two_couriers_carry_one_order(till: Till, uber: SourceAccount) -> None:
    drive(till)
    post_uber(uber, delivery("canceled", external_id="WEB-1042"))
    assert "courier_failed" in till.order().flags
    post_uber(uber, delivery("delivered", delivery_id="del_2", external_id="WEB-1042"))
    order = till.order()
    assert (order.state, legs(order)) == ("delivered", {"del_1": "failed", "del_2": "delivered"})


@pytest.mark.parametrize("by", ["own id", "alias", "alias later"])
def test_news_before_the_order_waits_for_it(till: Till, uber: SourceAccount, by: str) -> None:
    external = {"external_id": "WEB-1042"} if by == "own id" else {}
    post_uber(uber, delivery("pickup_complete", dropoff_eta=later(minutes=15), **external))
    call = InboundCall.objects.get()
    assert (call.state, call.order) == ("parked", None)
    assert not Order.objects.exists()
    names = [{"system": "external_delivery_id", "id": "del_1"}] if by != "own id" else []
    if by == "alias later":
        drive(till)
        assert till.order().state == "ready"
    drive(till, aliases=names)
    order = till.order()
    assert (order.state, legs(order)) == ("out_for_delivery", {"del_1": "out_for_delivery"})
    assert order.est_delivery_at is not None
    assert not ParkedUpdate.objects.exists()
    call.refresh_from_db()
    assert (call.state, call.cause, call.order) == ("applied", "", order)
    post_uber(uber, delivery("delivered"))
    assert till.order().state == "delivered"


def test_one_parked_update_leads_to_another(till: Till, uber: SourceAccount) -> None:
    post_uber(uber, delivery("pickup"))
    post_uber(uber, delivery("dropoff", external_id="WEB-1042"))
    post_uber(uber, delivery("returned", delivery_id="del_2"))
    drive(till)
    assert legs(till.order()) == {"del_1": "out_for_delivery"}
    assert ParkedUpdate.objects.count() == 1


def test_a_parked_state_nobody_knows_stays_in_sight(till: Till, uber: SourceAccount) -> None:
    post_uber(uber, delivery("vanished", external_id="WEB-1042"))
    drive(till)
    call = InboundCall.objects.get(account=uber)
    assert (call.state, call.order) == ("quarantined", till.order())
    assert call.cause == "unknown state: direct.status vanished"


def test_old_parked_news_tells_nobody(till: Till, uber: SourceAccount) -> None:
    past = datetime.now(UTC) - timedelta(hours=2)
    post_uber(uber, {**delivery("delivered", external_id="WEB-1042"), "created": past.isoformat()})
    ParkedUpdate.objects.update(parked_at=past)
    drive(till)
    event = till.order().events.get(milestone="delivered")
    assert event.is_stale


def test_the_courier_may_know_the_guest(till: Till, uber: SourceAccount) -> None:
    drive(till)
    dropoff = {"name": "Ana S.", "phone_number": PHONE}
    post_uber(uber, delivery("pickup", external_id="WEB-1042", dropoff=dropoff))
    order = till.order()
    assert order.contact_kind == "direct"
    assert order.subject is not None


def test_the_courier_does_not_replace_the_guest(till: Till, uber: SourceAccount) -> None:
    till.post("WEB-1042", state="ready", customer={"name": "Ana", "phone": PHONE})
    known = till.order().subject
    dropoff = {"name": "Front desk", "phone_number": "+12025550177"}
    post_uber(uber, delivery("pickup", external_id="WEB-1042", dropoff=dropoff))
    assert till.order().subject == known


def test_after_two_days_the_manager_is_told(till: Till, uber: SourceAccount) -> None:
    post_uber(uber, delivery("pickup", external_id="nobody"))
    parked_at = ParkedUpdate.objects.get().parked_at
    assert parking.drop_parked(now=parked_at + timedelta(hours=48)) == 0
    assert parking.drop_parked(now=parked_at + timedelta(hours=48, seconds=1)) == 1
    assert not ParkedUpdate.objects.exists()
    call = InboundCall.objects.get()
    assert call.state == "quarantined"
    assert "48 hours" in call.cause
    assert tasks.drop_parked_updates() == 0


def test_a_parked_update_comes_back_as_it_was() -> None:
    at = datetime(2026, 3, 14, 18, tzinfo=UTC)
    said = Observation(
        event_key="e",
        track="courier",
        scope="leg",
        ref="l",
        snapshot_parts=("a", "b"),
        occurred_at=at,
        data={"courier": {"name": "Casey"}},
    )
    update = OrderUpdate(
        order_id="1",
        observations=(said, replace(said, event_key="f", occurred_at=None, snapshot_parts=None)),
        aliases=(("external_id", "x"),),
        customer=Customer("Ana", PHONE, consents={"sms": True}),
        courier_only=True,
        unknown_states=("direct.status lost",),
    )
    assert parking.read_update(parking.serialize_update(update)) == update
