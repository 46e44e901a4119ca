"""Tills end to end: signed calls, stored and fetched from their stand-ins, become orders."""

from __future__ import annotations

import json
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations.sandbox.server import SandboxServer
from orders import follow_ups, polling
from orders.models import InboundCall, Order, ParkedUpdate, SourceAccount
from orders.selectors import webhook_url
from tests.factories import make_location, make_restaurant, make_source_account
from tests.integrations.sources.payload_files import body_of
from tests.orders.posting import post_square
from tests.orders.senders import post
from tests.orders.test_follow_ups import Square

pytestmark = pytest.mark.django_db
SECOND_BOWL = "k2QeM7sTq1aZb9Yx0000Aa"


class Vendor:
    """One vendor's stand-in, told what it has."""

    def __init__(self, server: SandboxServer, key: str) -> None:
        self.server, self.key = server, key

    def tell(self, path: str, body: Any, method: str = "POST") -> None:
        request = urllib.request.Request(
            f"{self.server.url}/_sandbox/{path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            method=method,
        )
        urllib.request.urlopen(request, timeout=5).close()

    def register(self, account: SourceAccount) -> None:
        registered = {
            "vendor": self.key,
            "settings": account.settings,
            "webhook_url": webhook_url(account),
            "deliver_to": "http://127.0.0.1:9/",
        }
        self.tell("accounts", registered)

    def plant(self, kind: str, name: str, body: Any) -> None:
        self.tell(f"{self.key}/{kind}/{name}", body, "PUT")


# --- Square -----------------------------------------------------------------------------------


@pytest.fixture
def square(db: None, sandbox: SandboxServer) -> Square:
    return Square(sandbox)


def moved(uid: str, old: str, new: str, version: int) -> dict[str, Any]:
    """An event of this moment about one fulfilment of the order."""
    event = body_of("square", "order_fulfillment_updated_prepared")
    now = datetime.now(UTC).isoformat()
    event |= {"event_id": f"{uid}-{version}", "created_at": now}
    notice = event["data"]["object"]["order_fulfillment_updated"]
    notice |= {"version": version, "updated_at": now}
    notice["fulfillment_update"] = [{"fulfillment_uid": uid, "old_state": old, "new_state": new}]
    return event


def test_a_known_square_order_moves_before_it_is_fetched(square: Square) -> None:
    square.plant()
    square.post("order_created")
    square.fetch()
    assert Order.objects.get().state == "preparing"
    post_square(square.account, moved(SECOND_BOWL, "RESERVED", "PREPARED", 8))
    order = Order.objects.get()
    assert order.state == "ready"
    milestones = [e.milestone for e in order.events.order_by("recorded_at")]
    assert milestones.count("ready") == 1
    # the vendor still gives the version before: what it said itself stands
    assert square.fetch() == 1
    order.refresh_from_db()
    assert order.state == "ready"
    assert {p.label: p.state for p in order.parts.all()} == {
        "Harvest Bowl": "ready",
        "Miso Salmon Bowl": "ready",
    }
    assert [e.milestone for e in order.events.order_by("recorded_at")] == milestones


def test_an_unknown_square_order_waits_for_its_fetch(square: Square) -> None:
    square.plant()
    post_square(square.account, moved(SECOND_BOWL, "RESERVED", "PREPARED", 8))
    assert not Order.objects.exists()
    assert square.states() == ["waiting"]
    square.fetch()
    order = Order.objects.get()
    # the event's word is newer than the answer, and no news came without a guest to tell
    assert (order.state, order.contact_kind) == ("ready", "direct")
    assert [e.milestone for e in order.events.all()] == ["ready"]
    assert square.states() == ["applied"]
    assert not ParkedUpdate.objects.exists()


# --- Toast ------------------------------------------------------------------------------------

RESTAURANT_GUID = "0cd990c9-fd74-461d-8468-de2a0919ccbb"


class Toast:
    """A Toast account whose vendor is the sandbox, and the one order it has."""

    def __init__(self, server: SandboxServer, **settings: str) -> None:
        self.vendor = Vendor(server, "toast")
        kitchen = make_location(make_restaurant(), external_ids=[RESTAURANT_GUID])
        chosen = {"secret": "toast-key", "access_token": "toast-token", **settings}
        self.account = make_source_account(
            kitchen.restaurant, source="toast", settings=chosen, location=kitchen
        )
        self.vendor.register(self.account)
        self.events = 0

    def order(self, name: str = "2_sent_to_kitchen", **changes: Any) -> dict[str, Any]:
        """The order of a sample as if it had changed now, its guest included."""
        found: dict[str, Any] = body_of("toast", f"order_updated_{name}")["details"]["order"]
        now = datetime.now(UTC)
        found |= {"modifiedDate": now.isoformat(), "createdDate": now.isoformat()}
        found["estimatedFulfillmentDate"] = (now + timedelta(minutes=20)).isoformat()
        return found | changes

    def post(self, order: dict[str, Any]) -> None:
        """A webhook about ``order``, which leaves people out."""
        self.events += 1
        event = body_of("toast", "order_updated_2_sent_to_kitchen")
        event |= {"guid": f"event-{self.events}", "timestamp": datetime.now(UTC).isoformat()}
        event["details"]["order"] = order
        assert post(self.account, json.dumps(event).encode()).status_code == 200

    def plant(self, order: dict[str, Any]) -> None:
        """The order as the API has it: with the guest."""
        guest = body_of("toast", "get_order_customer_excerpt")["checks"][0]["customer"]
        checks = [{**check, "customer": guest} for check in order["checks"]]
        self.vendor.plant("orders", str(order["guid"]), {**order, "checks": checks})


@pytest.fixture
def toast(db: None, sandbox: SandboxServer) -> Toast:
    return Toast(sandbox, restaurant_guid=RESTAURANT_GUID)


def test_a_toast_order_gets_its_guest_from_the_fetch(toast: Toast) -> None:
    order = toast.order()
    toast.plant(order)
    toast.post(order)
    made = Order.objects.get()
    assert (made.state, made.subject) == ("preparing", None)
    assert follow_ups.fetch_due(now=datetime.now(UTC) + timedelta(seconds=1)) == 1
    made.refresh_from_db()
    assert made.contact_kind == "direct"
    assert made.subject is not None
    # nobody else is told twice: the fetch says what the webhook said
    assert [e.milestone for e in made.events.all()] == ["preparing"]


def test_a_lost_toast_webhook_is_caught_up(toast: Toast) -> None:
    order = toast.order()
    toast.post(order)
    ready = toast.order("5_all_ready", createdDate=order["createdDate"])
    toast.plant(ready)
    events = list(Order.objects.get().events.values())
    assert polling.poll_sources(now=datetime.now(UTC) + timedelta(seconds=5)) == 1
    made = Order.objects.get()
    assert made.state == "ready"
    assert [e["milestone"] for e in events] == ["preparing"]
    assert {e.milestone for e in made.events.all()} == {"preparing", "ready"}
    # and the webhook, when it comes after all, says nothing new
    told = list(made.events.values())
    toast.post(ready)
    assert list(made.events.values()) == told


# --- Clover -----------------------------------------------------------------------------------

MERCHANT, CLOVER_ORDER = "XYZVJT2ZRRRSC", "GHIVJT2ABCRSC"


class Clover:
    """A Clover account whose vendor is the sandbox, and the one order it has."""

    def __init__(self, server: SandboxServer) -> None:
        self.vendor = Vendor(server, "clover")
        kitchen = make_location(make_restaurant(), external_ids=[MERCHANT])
        chosen = {"auth_code": "clover-code", "merchant_tokens": f"{MERCHANT}=clover-token"}
        self.account = make_source_account(
            kitchen.restaurant, source="clover", settings=chosen, location=kitchen
        )
        self.vendor.register(self.account)
        self.at = datetime.now(UTC)

    def plant(self, **changes: Any) -> None:
        stamp = int(self.at.timestamp() * 1000)
        found = body_of("clover", "get_order_open") | {"merchant": MERCHANT, **changes}
        found |= {"modifiedTime": stamp, "createdTime": stamp}
        self.vendor.plant("orders", CLOVER_ORDER, found)

    def ping(self, change: str = "UPDATE") -> None:
        self.at += timedelta(milliseconds=5)
        stamp = int(self.at.timestamp() * 1000)
        entry = {"objectId": f"O:{CLOVER_ORDER}", "type": change, "ts": stamp}
        body = {"appId": "APP", "merchants": {MERCHANT: [entry]}}
        assert post(self.account, json.dumps(body).encode()).status_code == 200

    def fetch(self, after_s: float = 1) -> int:
        return follow_ups.fetch_due(now=datetime.now(UTC) + timedelta(seconds=after_s))


@pytest.fixture
def clover(db: None, sandbox: SandboxServer) -> Clover:
    return Clover(sandbox)


def test_a_clover_order_that_is_gone_is_cancelled_by_staff(clover: Clover) -> None:
    clover.plant()
    clover.ping("CREATE")
    clover.fetch()
    assert Order.objects.get().state == "received"
    clover.vendor.tell(f"clover/orders/{CLOVER_ORDER}", {}, "DELETE")
    clover.ping()
    # it may only be late: asked again after five and thirty seconds
    assert [clover.fetch(after_s=s) for s in (1, 7)] == [1, 1]
    assert Order.objects.get().state == "received"
    assert clover.fetch(after_s=60) == 1
    order = Order.objects.get()
    assert order.state == "cancelled"
    assert order.events.get(milestone="cancelled").held == "staff_first"
    call = InboundCall.objects.latest("pk")
    assert (call.state, call.order) == ("applied", order)


def test_a_clover_order_nobody_ever_saw_is_not_invented(clover: Clover) -> None:
    clover.ping()
    assert [clover.fetch(after_s=s) for s in (1, 7, 60)] == [1, 1, 1]
    assert not Order.objects.exists()
    assert InboundCall.objects.get().state == "parked"


def test_a_deleted_clover_order_is_cancelled_by_staff(clover: Clover) -> None:
    clover.plant()
    clover.ping("CREATE")
    clover.fetch()
    clover.ping("DELETE")
    order = Order.objects.get()
    assert order.state == "cancelled"
    assert order.events.get(milestone="cancelled").held == "staff_first"


def test_a_lost_clover_ping_is_caught_up(clover: Clover) -> None:
    clover.plant()
    clover.ping("CREATE")
    clover.fetch()
    clover.at += timedelta(seconds=1)
    clover.plant(state="locked", paymentState="PAID")
    assert polling.poll_sources(now=datetime.now(UTC)) == 1
    order = Order.objects.get()
    assert order.state == "accepted"
    told = list(order.events.values())
    clover.ping()
    clover.fetch()
    assert list(order.events.values()) == told
