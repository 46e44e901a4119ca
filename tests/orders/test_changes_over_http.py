"""Splits, edits and refunds from the endpoint to what the guest reads."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orders.models import Order, OrderEvent
from orders.selectors import clear_caches
from tests.factories import make_source_account
from tests.stage import GUEST, SECRET, Stage

pytestmark = pytest.mark.django_db

BOWL = {"id": "bowl", "label": "Poke bowl"}
SOUP = {"id": "soup", "label": "Miso soup"}
TEA = {"id": "tea", "label": "Iced tea"}


def box(ref: str, *items: dict[str, Any], state: str = "accepted", **more: Any) -> dict[str, Any]:
    """A fulfilment and what is in it."""
    held = [{"item_id": item["id"], "quantity": 1} for item in items]
    about = {"kind": "fulfillment", "label": f"Box {ref}", "contents": held}
    return {"id": ref, "state": state, **about, **more}


def events(kind: str) -> list[dict[str, Any]]:
    rows = OrderEvent.objects.filter(kind=kind).order_by("recorded_at", "milestone")
    return [row.data for row in rows]


def last_text(stage: Stage) -> str:
    stage.settle_and_send()
    return stage.texts()[-1]


def in_minutes(minutes: int) -> str:
    return (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()


def test_an_order_split_moved_merged_and_finished_part_by_part(stage: Stage) -> None:
    stage.open(state="accepted", items=[BOWL, SOUP, TEA])
    stage.settle_and_send()
    stage.post(mode="snapshot", parts=[box("1", BOWL, SOUP), box("2", TEA)])
    assert "will be ready in 2 parts" in last_text(stage)
    stage.post(mode="snapshot", parts=[box("1", BOWL), box("2", TEA, SOUP)])
    stage.post(mode="snapshot", parts=[box("1", BOWL, SOUP, TEA)])
    stage.post(mode="snapshot", parts=[box("1", BOWL), box("2", TEA, SOUP)])
    assert [(data["total"], data["sentence"]) for data in events("order_split")] == [
        (2, "Box 1 + Box 2"),
        (2, "Miso soup: Box 1 > Box 2"),
        (1, "Box 1"),
        (2, "Box 1 + Box 2"),
    ]
    late = {"est_ready_at": in_minutes(12)}
    stage.post(parts=[box("1", BOWL, state="preparing"), box("2", TEA, SOUP, **late)])
    assert stage.order().state == "preparing"
    stage.post(parts=[{"id": "1", "state": "ready"}])
    assert "1 of 2 parts of order 1042 are ready. Last one about" in last_text(stage)
    (done,) = events("part_status_changed")
    assert (done["label"], done["ready"], done["total"]) == ("Box 1", 1, 2)
    stage.post(parts=[{"id": "2", "state": "ready"}])
    assert "order 1042 is ready for pickup" in last_text(stage)
    assert "All 2 parts are done" in last_text(stage)
    assert events("order_edited") == []


def test_a_part_called_off_and_one_made_again(stage: Stage) -> None:
    bowls = [{"id": ref, "label": f"Bowl {ref}", "state": "preparing"} for ref in "abc"]
    stage.open(state="preparing", mode="snapshot", parts=bowls)
    stage.settle_and_send()
    stage.post(parts=[{"id": "a", "state": "ready"}])
    stage.settle_and_send()
    stage.post(parts=[{"id": "c", "state": "cancelled"}])
    assert "order 1042 was changed: -1 Bowl c" in last_text(stage)
    again = {"id": "a2", "label": "Bowl a", "state": "preparing", "replaces": "a"}
    stage.post(parts=[{"id": "a", "state": "cancelled"}, again])
    assert "order 1042 was changed: Bowl a: replaced" in last_text(stage)
    stage.post(parts=[{"id": "b", "state": "ready"}])
    assert "1 of 2 parts of order 1042" in last_text(stage)
    stage.post(parts=[{"id": "b", "state": "preparing"}])
    stage.post(parts=[{"id": "b", "state": "ready"}])
    told = len(stage.texts())
    stage.settle_and_send()
    assert len(stage.texts()) == told
    stage.post(parts=[{"id": "a2", "state": "ready"}])
    assert "order 1042 is ready" in last_text(stage)


def test_edits_of_things_quantities_and_wishes(stage: Stage) -> None:
    stage.open(state="preparing", items=[BOWL, {**TEA, "quantity": 3}])
    stage.settle_and_send()
    stage.post(items=[SOUP, {**TEA, "quantity": 3}])
    assert "order 1042 was changed: +1 Miso soup, -1 Poke bowl." in last_text(stage)
    stage.post(items=[SOUP, {**TEA, "quantity": 1, "modifiers": ["no ice"]}])
    assert "was changed: -2 Iced tea (no ice), Iced tea: +no ice." in last_text(stage)
    stage.post(items=[{**TEA, "modifiers": ["no ice"]}, SOUP])
    stage.settle_and_send()
    assert len(events("order_edited")) == 2


def test_money_back_is_told_as_money_back(stage: Stage) -> None:
    stage.open(state="preparing", items=[BOWL, SOUP, TEA])
    stage.settle_and_send()
    stage.post(items=[SOUP], refunds=[BOWL])
    stage.post(state="ready")
    stage.settle_and_send()
    stage.settle_and_send()
    # what was changed is told with the news that follows, money is told by itself
    texts = stage.texts()[1:]
    assert sum("we refunded 1 Poke bowl of order 1042" in text for text in texts) == 1
    assert sum("order 1042 is ready" in text for text in texts) == 1
    assert len(texts) == 2
    stage.post(state="picked_up")
    stage.post(refunds=[BOWL, {**SOUP, "quantity": 2}])
    assert "we refunded 2 Miso soup of order 1042" in last_text(stage)
    assert [data["sentence"] for data in events("order_edited")] == [
        "-1 Iced tea",
        "1 Poke bowl",
        "2 Miso soup",
    ]
    assert [line["label"] for line in stage.order().detail["refunds"]] == ["Poke bowl", "Miso soup"]


def test_two_orders_that_prove_to_be_one_are_told_as_one(stage: Stage) -> None:
    """The till's first words and the shop's made two orders; the till's next words join them."""
    shop = stage.source
    stage.post("WEB-7", state="accepted", customer=GUEST, location={"id": "L1"})
    stage.source = make_source_account(
        stage.restaurant, location=stage.location, settings={"secret": SECRET}
    )
    clear_caches()
    stage.post("T1", state="ready", customer=GUEST, location={"id": "L1"})
    assert "is ready" in last_text(stage)
    knowing = json.loads(stage.event("T1", "ev-knowing", 8, state="ready"))
    knowing["data"]["order"]["aliases"] = [{"system": "external_id", "id": "WEB-7"}]
    assert stage.post_raw(json.dumps(knowing).encode()).status_code == 202
    stage.source = shop
    stage.post("WEB-7", state="ready")
    stage.settle_and_send()
    assert sum("is ready" in text for text in stage.texts()) == 1
    order = Order.objects.get(same_as=None)
    assert order.state == "ready"
    page = stage.client.get(f"/o/{order.united.get().public_id}/").content.decode()
    assert f"/o/{order.public_id}/" in page
