"""Tills end to end: signed calls, stored and fetched from their stand-ins, become orders."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from integrations.sandbox.server import SandboxServer
from orders.models import Order, ParkedUpdate
from tests.integrations.sources.payload_files import body_of
from tests.orders.posting import post_square
from tests.orders.test_follow_ups import Square

pytestmark = pytest.mark.django_db
SECOND_BOWL = "k2QeM7sTq1aZb9Yx0000Aa"


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
