"""Late and silent: vendors that list nothing are asked about single orders. Over real HTTP."""

from __future__ import annotations

import json
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations.contracts import Observation as Said
from integrations.contracts import OrderUpdate, ordering_key
from integrations.sandbox.server import SandboxServer
from orders import intake, polling
from orders.models import Observation, Order, SourceAccount
from orders.selectors import webhook_url
from tests.factories import make_location, make_restaurant, make_source_account
from tests.orders.posting import delivery, later, post_uber

pytestmark = pytest.mark.django_db
SETTINGS = {
    "direct_signing_key": "k",
    "access_token": "t",
    "direct_access_token": "t",
    "customer_id": "cus-1",
}
TRIP = "del_1"


class Courier:
    """An Uber Direct account and its vendor."""

    def __init__(self, server: SandboxServer) -> None:
        self.server = server
        restaurant = make_restaurant()
        self.shop = make_source_account(restaurant, location=make_location(restaurant))
        self.account: SourceAccount = make_source_account(
            restaurant, source="uber_eats", location=self.shop.location, settings=SETTINGS
        )
        registered = {
            "vendor": "uber_eats",
            "settings": SETTINGS,
            "webhook_url": webhook_url(self.account),
            "deliver_to": "http://127.0.0.1:9/",
        }
        self.tell("accounts", registered)

    def tell(self, path: str, body: Any, method: str = "POST") -> None:
        request = urllib.request.Request(
            f"{self.server.url}/_sandbox/{path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            method=method,
        )
        urllib.request.urlopen(request, timeout=5).close()

    def sends(self, status: str, **data: Any) -> Any:
        """A webhook about the trip; the order is known by it."""
        about = {"external_id": "A1", **data}
        return post_uber(self.account, delivery(status, delivery_id=TRIP, **about))

    def plant(self, status: str, **data: Any) -> None:
        """The trip as Uber has it now."""
        trip = {"id": TRIP, "kind": "delivery", "status": status, "external_id": "A1", **data}
        self.tell(f"uber_eats/deliveries/{TRIP}", trip, "PUT")

    def stored(self) -> SourceAccount:
        return SourceAccount.objects.get(pk=self.account.pk)


@pytest.fixture
def courier(db: None, sandbox: SandboxServer) -> Courier:
    """A trip that should be at the door in ten minutes."""
    made = Courier(sandbox)
    now = datetime.now(UTC)
    said = Said(
        event_key="shop-1",
        track="kitchen",
        scope="order",
        ordering_key=ordering_key(now),
        state="preparing",
        occurred_at=now,
        data={"times": {"promised_at": later(minutes=10)}, "fulfillment": {"type": "delivery"}},
    )
    update = OrderUpdate(order_id="A1", observations=(said,))
    intake.apply_update(account=made.shop, update=update, call=None, received_at=now)
    made.sends("pickup_complete", dropoff_eta=later(minutes=10))
    order = Order.objects.get()
    assert order.state == "out_for_delivery"
    return made


def now_plus(**amount: float) -> datetime:
    return datetime.now(UTC) + timedelta(**amount)


def test_a_silent_courier_is_asked(courier: Courier) -> None:
    courier.plant("delivered", dropoff_eta=later(minutes=10))
    assert polling.poll_sources(now=now_plus(minutes=11)) == 0  # barely late
    now = now_plus(minutes=13)
    assert polling.poll_sources(now=now) == 1
    assert Order.objects.get().state == "delivered"
    account = courier.stored()
    assert (account.last_polled_at, account.poll_error) == (now, "")
    assert polling.poll_sources(now=now_plus(minutes=30)) == 0  # nothing is open


def test_asking_again_says_nothing_twice(courier: Courier) -> None:
    courier.plant("pickup_complete", dropoff_eta=later(minutes=25))
    assert polling.poll_sources(now=now_plus(minutes=13)) == 1
    said = Observation.objects.count()
    events = list(Order.objects.get().events.values())
    assert polling.poll_sources(now=now_plus(minutes=28)) == 1
    assert Observation.objects.count() == said
    assert list(Order.objects.get().events.values()) == events


def test_who_just_spoke_is_not_asked(courier: Courier) -> None:
    now = now_plus(minutes=13)
    Observation.objects.update(received_at=now - timedelta(minutes=3))
    assert polling.poll_sources(now=now) == 0
    account = courier.stored()
    assert account.poll_due_at == now + timedelta(seconds=polling.EVERY_S)


def test_a_trip_the_vendor_forgot_is_no_trouble(courier: Courier) -> None:
    assert polling.poll_sources(now=now_plus(minutes=13)) == 1  # 404
    assert courier.stored().poll_error == ""
    assert Order.objects.get().state == "out_for_delivery"


def test_trouble_of_the_vendor_is_shown(courier: Courier) -> None:
    courier.plant("delivered")
    courier.tell("faults", {"vendor": "uber_eats", "kind": "503", "times": 1})
    now = now_plus(minutes=13)
    assert polling.poll_sources(now=now) == 1
    assert courier.stored().poll_error == "uber_eats answered HTTP 503"
    assert polling.poll_sources(now=now + timedelta(minutes=1)) == 1
    assert courier.stored().poll_error == ""
    assert Order.objects.get().state == "delivered"


def test_what_everybody_forgot_is_not_asked_about_for_ever(courier: Courier) -> None:
    assert polling.poll_sources(now=now_plus(hours=4)) == 0


def test_without_a_key_nobody_is_asked(courier: Courier) -> None:
    left = {name: value for name, value in SETTINGS.items() if name != "direct_access_token"}
    courier.account.settings = left
    courier.account.save()
    assert polling.poll_sources(now=now_plus(minutes=13)) == 0
    assert courier.stored().poll_error == ""
