"""Thin events: one GET per order, retried, never off the vendor's host. Over real HTTP."""

from __future__ import annotations

import copy
import json
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations.sandbox.server import SandboxServer
from orders import calls, follow_ups, tasks
from orders.models import InboundCall, Order, PendingFollowUp, SourceAccount
from orders.selectors import webhook_url
from orders.signals import order_event_recorded
from tests.factories import make_location, make_restaurant, make_source_account
from tests.integrations.sources.payload_files import body_of
from tests.orders.posting import post_square, post_uber

pytestmark = pytest.mark.django_db

ORDER = "eA3vssLHKJrv9H0IdJCM3gNqfdcZY"
SETTINGS = {"signature_key": "sq-key", "access_token": "EAAA-token"}


class Square:
    """A Square account whose vendor is the sandbox."""

    def __init__(self, server: SandboxServer) -> None:
        self.server = server
        restaurant = make_restaurant()
        make_location(restaurant, external_ids=["FPYCBCHYMXFK1"])
        self.account: SourceAccount = make_source_account(
            restaurant, source="square", settings=SETTINGS
        )
        registered = {
            "vendor": "square",
            "settings": SETTINGS,
            "webhook_url": webhook_url(self.account),
            "deliver_to": "http://127.0.0.1:9/",
        }
        self.tell("accounts", registered)
        self.events = 0

    def tell(self, path: str, body: Any, method: str = "POST") -> None:
        request = urllib.request.Request(
            f"{self.server.url}/_sandbox/{path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            method=method,
        )
        urllib.request.urlopen(request, timeout=5).close()

    def plant_many(self, count: int) -> list[str]:
        """So many orders of their own."""
        names = [f"order-{number}" for number in range(count)]
        for name in names:
            self.plant(name, id=name, reference_id=name)
        return names

    def plant(self, name: str = ORDER, **changes: Any) -> None:
        """The order as Square has it now."""
        order = copy.deepcopy(body_of("square", "get_order_two_pickups")["order"])
        now = datetime.now(UTC).isoformat()
        order |= {"created_at": now, "updated_at": now, **changes}
        for entry in order["fulfillments"]:
            details = entry["pickup_details"]
            times = [name for name in details if name.endswith("_at")]
            details |= dict.fromkeys(times, now)
        self.tell(f"square/orders/{name}", order, "PUT")

    def post(self, name: str = "order_updated") -> Any:
        """The next event about the order."""
        self.events += 1
        event = body_of("square", name) | {"event_id": f"event-{self.events}"}
        return post_square(self.account, event)

    def fetch(self, after_s: float = 1) -> int:
        """What the worker does so many seconds after the last event."""
        return follow_ups.fetch_due(now=datetime.now(UTC) + timedelta(seconds=after_s))

    def states(self) -> list[str]:
        """States of all calls, oldest first."""
        return list(InboundCall.objects.order_by("pk").values_list("state", flat=True))


@pytest.fixture
def square(db: None, sandbox: SandboxServer) -> Square:
    return Square(sandbox)


def test_an_event_becomes_an_order_once_it_was_fetched(square: Square) -> None:
    square.plant()
    answer = square.post("order_created")
    assert (answer.status_code, answer.content) == (200, b"")
    assert square.states() == ["waiting"]
    assert not Order.objects.exists()
    assert square.fetch() == 1
    order = Order.objects.get()
    assert (order.display, order.state, order.fulfillment) == ("Sample 42", "preparing", "pickup")
    assert {part.label: part.state for part in order.parts.all()} == {
        "Harvest Bowl": "ready",
        "Miso Salmon Bowl": "preparing",
    }
    assert order.contact_kind == "direct"
    assert order.subject is not None
    call = InboundCall.objects.get()
    assert (call.state, call.order, call.settled_at is None) == ("applied", order, False)
    assert not PendingFollowUp.objects.exists()
    assert square.fetch() == 0


def test_events_of_one_order_share_a_fetch(square: Square) -> None:
    square.plant()
    for _ in range(3):
        square.post()
    pending = PendingFollowUp.objects.get()
    assert pending.asked == 3
    first = InboundCall.objects.earliest("pk").received_at
    assert pending.due_at == first + follow_ups.COALESCE
    assert "EAAA" not in json.dumps([pending.context, pending.url])
    assert follow_ups.fetch_due(now=first + timedelta(milliseconds=200)) == 0
    assert square.fetch() == 1
    assert square.states() == ["applied"] * 3
    assert InboundCall.objects.exclude(order=None).count() == 3


def test_the_same_version_again_says_nothing(square: Square) -> None:
    square.plant()
    square.post()
    square.fetch()
    events = list(Order.objects.get().events.values())
    square.post()
    assert square.fetch() == 1
    assert list(Order.objects.get().events.values()) == events
    assert square.states() == ["applied", "applied"]


def test_an_older_version_changes_nothing(square: Square) -> None:
    square.plant(version=9, state="CANCELED")
    square.post()
    square.fetch()
    square.plant(version=8)
    square.post()
    square.fetch()
    assert Order.objects.get().state == "cancelled"


def test_a_vendor_in_trouble_is_asked_again(square: Square) -> None:
    square.plant()
    square.tell("faults", {"vendor": "square", "kind": "503", "times": 1})
    square.post()
    assert square.fetch() == 1
    pending = PendingFollowUp.objects.get()
    assert (pending.tries, pending.last_error) == (1, "square answered HTTP 503")
    assert square.states() == ["waiting"]
    assert square.fetch(after_s=4) == 0
    assert square.fetch(after_s=8) == 1
    assert square.states() == ["applied"]


@pytest.mark.parametrize(
    ("fault", "words", "wait_s"),
    [
        ({"kind": "429", "retry_after_s": 90}, "square answered HTTP 429: ", 90),
        ({"kind": "html", "status": 200}, "square answered with a page, no order", 5),
        ({"kind": "html", "status": 502}, "square answered HTTP 502", 5),
        ({"kind": "500"}, "square answered HTTP 500", 5),
        ({"kind": "disconnect"}, "square · ", 5),
        ({"kind": "timeout", "delay_ms": 5000}, "square · unknown · no answer in time", 5),
    ],
    ids=lambda value: value.get("kind") if isinstance(value, dict) else None,
)
def test_trouble_that_passes_is_waited_for(
    square: Square, fault: dict[str, Any], words: str, wait_s: float
) -> None:
    square.plant()
    square.tell("faults", {"vendor": "square", "times": 1, **fault})
    square.post()
    now = datetime.now(UTC) + timedelta(seconds=1)
    assert follow_ups.fetch_due(now=now) == 1
    pending = PendingFollowUp.objects.get()
    assert pending.last_error.startswith(words)
    assert pending.due_at == now + timedelta(seconds=wait_s)
    assert square.states() == ["waiting"]
    assert follow_ups.fetch_due(now=pending.due_at) == 1
    assert square.states() == ["applied"]


def test_a_refused_key_is_said_in_words(square: Square) -> None:
    square.account.settings = {**square.account.settings, "access_token": "revoked"}
    square.account.save()
    square.post()
    square.fetch()
    words = "square answered HTTP 401: it does not accept our key"
    assert PendingFollowUp.objects.get().last_error == words


def test_a_rush_is_worked_off_in_one_run(square: Square, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow_ups, "BATCH", 2)
    for name in square.plant_many(5):
        event = body_of("square", "order_updated") | {"event_id": f"event-{name}"}
        event["data"]["object"]["order_updated"]["order_id"] = name
        event["data"]["id"] = name
        post_square(square.account, event)
    assert square.fetch() == 5
    assert Order.objects.count() == 5


def test_after_the_last_try_a_manager_is_shown_the_calls(square: Square) -> None:
    square.post()
    square.post()
    now = datetime.now(UTC) + timedelta(seconds=1)
    for wait in (*follow_ups.RETRIES, timedelta()):
        assert follow_ups.fetch_due(now=now) == 1
        pending = PendingFollowUp.objects.first()
        if pending is not None:
            assert pending.due_at == now + wait
            now = pending.due_at
    assert not PendingFollowUp.objects.exists()
    assert square.states() == ["quarantined", "quarantined"]
    assert InboundCall.objects.first().cause == (  # type: ignore[union-attr]
        "the order could not be fetched: square answered HTTP 404: there is nothing at this address"
    )
    square.plant()
    row = InboundCall.objects.latest("pk")
    assert calls.replay_call(row=row, now=now) == "waiting"
    assert follow_ups.fetch_due(now=now + timedelta(seconds=1)) == 1
    row.refresh_from_db()
    assert (row.state, row.cause) == ("applied", "")


def test_a_new_event_during_the_fetch_asks_again(square: Square, nobody_plans: None) -> None:
    square.plant()
    square.post()

    def meanwhile(**_: Any) -> None:
        if square.events == 1:
            square.plant(version=8)
            square.post()

    order_event_recorded.connect(meanwhile)
    assert square.fetch() == 1
    assert square.states() == ["applied", "waiting"]
    assert square.fetch(after_s=3) == 1
    assert square.states() == ["applied", "applied"]
    keys = {o.ordering_key for o in Order.objects.get().observations.all()}
    assert keys == {"00000000000000000007", "00000000000000000008"}


def test_what_the_vendor_answers_may_be_unreadable(square: Square) -> None:
    square.plant(id="")
    square.post()
    square.fetch()
    call = InboundCall.objects.get()
    assert call.state == "quarantined"
    assert call.cause == "the fetched order cannot be read: order.id: missing or not a text"
    assert not PendingFollowUp.objects.exists()


def test_a_fetched_state_nobody_knows(square: Square) -> None:
    square.plant(state="PAUSED")
    square.post()
    square.fetch()
    call = InboundCall.objects.get()
    assert (call.state, call.cause) == ("quarantined", "unknown state: order PAUSED")
    assert call.order == Order.objects.get()


def test_a_draft_that_was_fetched_is_ignored(square: Square) -> None:
    square.plant(state="DRAFT")
    square.post()
    square.fetch()
    assert square.states() == ["ignored"]
    assert not Order.objects.exists()


def test_a_row_whose_call_is_gone_is_given_up(square: Square) -> None:
    square.post()
    InboundCall.objects.all().delete()
    assert square.fetch() == 0
    assert not PendingFollowUp.objects.exists()


def test_nothing_is_fetched_for_a_disabled_account(square: Square) -> None:
    square.post()
    SourceAccount.objects.update(enabled=False)
    assert square.fetch() == 0
    assert PendingFollowUp.objects.exists()


def test_an_uber_order_is_fetched_from_uber_only(db: None, sandbox: SandboxServer) -> None:
    restaurant = make_restaurant()
    location = make_location(restaurant)
    account = make_source_account(
        restaurant,
        source="uber_eats",
        location=location,
        settings={"direct_signing_key": "k", "access_token": "t"},
    )
    event = body_of("uber_eats", "orders_notification")
    event["resource_href"] = "https://evil.example.com/v2/eats/order/1"
    post_uber(account, event)
    call = InboundCall.objects.get()
    assert call.state == "quarantined"
    assert "resource_href" in call.cause
    assert not PendingFollowUp.objects.exists()


def test_a_cancelled_uber_order_is_cancelled_before_it_was_read(
    db: None, sandbox: SandboxServer
) -> None:
    restaurant = make_restaurant()
    location = make_location(restaurant, external_ids=[])
    account = make_source_account(
        restaurant, source="uber_eats", location=location, settings={"direct_signing_key": "k"}
    )
    event = body_of("uber_eats", "orders_cancel")
    event["event_time"] = int(datetime.now(UTC).timestamp())
    post_uber(account, event)
    order = Order.objects.get()
    assert order.state == "cancelled"
    call = InboundCall.objects.get()
    assert (call.state, call.order) == ("waiting", order)
    assert PendingFollowUp.objects.get().context["event_time"] == str(event["event_time"])


def test_the_task_fetches_what_is_due(square: Square) -> None:
    square.plant()
    square.post()
    PendingFollowUp.objects.update(due_at=datetime.now(UTC))
    assert tasks.fetch_follow_ups() == 1
    assert Order.objects.exists()
