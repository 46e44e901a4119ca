"""What settles, what leaves at once, and what is never told afterwards. End to end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from notifications.models import Delivery
from orders.eta_watch import watch_estimates
from orders.models import Order
from tests.stage import Stage

pytestmark = pytest.mark.django_db


def told(stage: Stage, audience: str = "customer") -> list[tuple[str, str, str]]:
    rows = Delivery.objects.filter(notification__audience=audience).order_by("pk")
    return list(rows.values_list("notification__milestone", "channel", "state"))


def in_minutes(minutes: float) -> str:
    return (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()


def test_the_highest_state_of_a_settle_window_is_told_and_no_other(stage: Stage) -> None:
    stage.open(state="received")
    for state in ("accepted", "preparing"):
        stage.post(state=state)
    assert stage.send() == 0  # nothing calm leaves before its window is over
    stage.settle_and_send()
    assert told(stage) == [
        ("received", "email", "superseded"),
        ("accepted", "email", "superseded"),
        ("preparing", "sms", "accepted"),
    ]


def test_what_was_skipped_is_told_on_no_channel_afterwards(stage: Stage) -> None:
    stage.open(state="received")
    stage.post(state="ready")
    stage.send()  # ready is urgent
    stage.settle_and_send()
    assert told(stage) == [("received", "email", "superseded"), ("ready", "sms", "accepted")]
    assert [message["vendor"] for message in stage.messages()].count("mailgun") == 0


def test_a_later_state_that_reaches_nobody_replaces_nothing(stage: Stage) -> None:
    stage.open(state="received", customer={"email": "ana@example.com", "contact_kind": "direct"})
    stage.settle_and_send()
    assert told(stage) == [("received", "email", "accepted")]
    stage.post(state="ready")
    assert told(stage)[1:] == [("ready", "email", "queued")]


def test_old_news_is_recorded_and_not_told(stage: Stage) -> None:
    stage.open(state="received")
    past = (datetime.now(UTC) - timedelta(minutes=21)).isoformat()
    stage.post(state="ready", time=past)
    assert [milestone for milestone, _, _ in told(stage)] == ["received"]
    event = stage.order().events.get(milestone="ready")
    assert event.is_stale


def test_a_regression_alerts_no_guest_and_offers_staff_a_correction(stage: Stage) -> None:
    stage.open(state="ready")
    stage.send()
    before = told(stage)
    stage.post(state="preparing")
    now = datetime.now(UTC)
    watch_estimates(now=now + timedelta(seconds=15))
    assert not stage.order().events.filter(milestone="recalled").exists()
    watch_estimates(now=now + timedelta(seconds=25))
    assert told(stage) == before
    assert told(stage, "staff")[-1] == ("recalled", "team_chat", "queued")
    stage.settle_and_send()
    assert "The guest still believes it is ready" in stage.texts("slack")[-1]


def test_ready_again_within_the_window_offers_nothing(stage: Stage) -> None:
    stage.open(state="ready")
    for state in ("preparing", "ready"):
        stage.post(state=state)
    watch_estimates(now=datetime.now(UTC) + timedelta(minutes=1))
    assert not stage.order().events.filter(milestone="recalled").exists()


def test_a_rescheduling_is_its_own_message_and_no_delay(stage: Stage) -> None:
    stage.open(state="received", times={"promised_at": in_minutes(40)})
    stage.settle_and_send()
    stage.post(times={"promised_at": in_minutes(90)})
    watch_estimates(now=datetime.now(UTC) + timedelta(minutes=2))
    stage.settle_and_send()
    assert [m for m, _, _ in told(stage)] == ["received", "rescheduled:1"]
    assert "has a new time: about" in stage.texts()[-1]
    assert "delayed" not in Order.objects.get().flags


def test_a_delay_names_the_time_at_the_door(stage: Stage) -> None:
    door = {"type": "delivery"}
    times = {"promised_at": in_minutes(40), "est_ready_at": in_minutes(20)}
    stage.open(state="preparing", fulfillment=door, times=times)
    stage.settle_and_send()
    stage.post(times={"est_ready_at": in_minutes(40)})
    watch_estimates(now=datetime.now(UTC) + timedelta(seconds=70))
    stage.settle_and_send()
    assert "is running late. New time: about" in stage.texts()[-1]
    event = stage.order().events.get(milestone="delayed:1")
    clock = datetime.fromisoformat(event.data["estimate"]) - datetime.now(UTC)
    assert timedelta(minutes=59) < clock <= timedelta(minutes=60)


def test_a_delay_without_a_time_names_none(stage: Stage) -> None:
    stage.open(state="preparing", times={"promised_at": in_minutes(40)})
    stage.settle_and_send()
    stage.post(flags={"delayed": True})
    stage.settle_and_send()
    assert "is running late. http" in stage.texts()[-1]
