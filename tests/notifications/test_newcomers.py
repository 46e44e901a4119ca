"""Guests who become known after the first news of their order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from notifications.models import Notification
from orders.models import InboundCall
from tests.stage import GUEST, Stage


def told(stage: Stage) -> list[tuple[str, str]]:
    """(milestone, recipient) of everything planned for guests, in order."""
    rows = Notification.objects.filter(audience="customer").order_by("created_at")
    return [(row.milestone, "guest" if row.subject_id else "nobody") for row in rows]


def test_a_guest_named_after_the_news_is_told_it_once(stage: Stage) -> None:
    stage.post(state="accepted", location={"id": "L1"})
    assert told(stage) == [("accepted", "nobody")]
    stage.post(customer=GUEST)
    stage.post(customer={**GUEST, "name": "Ana S."})
    assert told(stage) == [("accepted", "nobody"), ("accepted", "guest")]
    stage.settle_and_send()
    assert len(stage.messages("mailgun")) == 1
    team = [message["text"] for message in stage.messages("slack")]
    assert len(team) == 1


def test_news_that_comes_with_the_guest_is_told_once(stage: Stage) -> None:
    stage.post(state="accepted", location={"id": "L1"})
    stage.post(state="ready", customer=GUEST)
    assert told(stage) == [("accepted", "nobody"), ("ready", "guest")]


def test_a_guest_known_from_the_start_is_told_once(stage: Stage) -> None:
    stage.open()
    stage.post(customer={**GUEST, "phone": "+12025550144"})
    assert told(stage) == [("received", "guest")]


def test_old_news_is_not_told_to_a_newcomer(stage: Stage) -> None:
    long_ago = datetime.now(UTC) - timedelta(minutes=30)
    stage.post(state="ready", location={"id": "L1"}, time=long_ago.isoformat())
    stage.post(customer=GUEST)
    assert ("ready", "guest") not in told(stage)


def test_what_staff_must_see_first_is_left_to_them(stage: Stage) -> None:
    stage.post(state="picked_up", location={"id": "L1"})
    event = stage.order().events.get(milestone="picked_up")
    assert event.held
    stage.post(customer=GUEST)
    assert ("picked_up", "guest") not in told(stage)


def test_a_masked_contact_is_no_newcomer(stage: Stage) -> None:
    stage.post(state="accepted", location={"id": "L1"})
    stage.post(customer={**GUEST, "contact_kind": "masked"})
    assert ("accepted", "guest") not in told(stage)


@pytest.mark.parametrize("kind", ["direct", "masked", "relay"])
def test_a_guest_nobody_can_reach_changes_nothing(stage: Stage, kind: str) -> None:
    stage.post(state="accepted", location={"id": "L1"})
    stage.post(customer={"name": "Ana", "contact_kind": kind}, items=[{"id": "1", "label": "Tea"}])
    assert InboundCall.objects.exclude(state="applied").count() == 0
    assert stage.order().items.get().label == "Tea"
    assert told(stage) == [("accepted", "nobody")]
