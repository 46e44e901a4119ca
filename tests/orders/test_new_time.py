"""Staff are asked for a time when an order is overdue: here they give it, and the guest hears."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse

from orders import new_time
from orders.eta_watch import watch_estimates
from orders.models import Observation, Order
from tests.factories import make_manager, make_order, make_restaurant
from tests.stage import Stage

pytestmark = pytest.mark.django_db


def overdue(stage: Stage, **more: object) -> Order:
    """An order that should have been ready six minutes ago; staff were asked."""
    past = (datetime.now(UTC) - timedelta(minutes=6)).isoformat()
    stage.open(state="preparing", times={"promised_at": past}, **more)
    watch_estimates(now=datetime.now(UTC) + timedelta(seconds=1))
    stage.settle_and_send()
    stage.client.force_login(make_manager(stage.restaurant, is_superuser=True))
    return stage.order()


def test_staff_are_asked_and_their_answer_reaches_the_guest(stage: Stage) -> None:
    order = overdue(stage)
    assert "Set one on the order page so that the guest can be told" in stage.texts("slack")[-1]
    assert not any("late" in text for text in stage.texts())
    url = reverse("board-update", args=[order.public_id])
    board = stage.client.get("/board/").content.decode()
    assert 'name="in_minutes" value="10"' in board
    answer = stage.client.post(url, {"in_minutes": "10"}, follow=True).content.decode()
    assert "new time" in answer
    stage.settle_and_send()
    assert "is running late. New time: about" in stage.texts()[-1]
    [said] = Observation.objects.filter(source="manual")
    at = datetime.fromisoformat(said.data["times"]["est_ready_at"])
    assert at.second == 0
    assert timedelta(minutes=8) < at - datetime.now(UTC) <= timedelta(minutes=10)
    assert stage.order().told_at == at


def test_a_delivery_gets_a_time_at_the_door(stage: Stage) -> None:
    order = overdue(stage, fulfillment={"type": "delivery"})
    stage.client.post(reverse("board-update", args=[order.public_id]), {"in_minutes": "30"})
    [said] = Observation.objects.filter(source="manual")
    assert list(said.data["times"]) == ["est_delivery_at"]


def test_the_console_has_the_buttons_too(stage: Stage) -> None:
    order = overdue(stage)
    page = reverse("admin:orders_order_change", args=[order.pk])
    assert "How long does it still take?" in stage.client.get(page).content.decode()
    url = reverse("admin:orders_order_time", args=[order.pk])
    assert stage.client.post(url, {"in_minutes": "15"}).status_code == 302
    assert Observation.objects.filter(source="manual").count() == 1
    assert stage.client.post(url, {"in_minutes": "7"}).status_code == 404


@pytest.mark.parametrize("minutes", ["", "7", "-5", "99999999999", "ten", "٥"])
def test_a_wrong_time_changes_nothing(stage: Stage, minutes: str) -> None:
    order = overdue(stage)
    url = reverse("board-update", args=[order.public_id])
    answer = stage.client.post(url, {"in_minutes": minutes}, follow=True)
    assert "That button does not exist" in answer.content.decode()
    assert not Observation.objects.filter(source="manual").exists()


def test_a_finished_order_needs_no_time(stage: Stage) -> None:
    order = overdue(stage)
    stage.post(state="ready")
    assert 'name="in_minutes"' not in stage.client.get("/board/").content.decode()
    url = reverse("board-update", args=[order.public_id])
    answer = stage.client.post(url, {"in_minutes": "5"}, follow=True).content.decode()
    assert "is already ready" in answer
    assert not Observation.objects.filter(source="manual").exists()


@pytest.mark.parametrize(
    ("state", "fulfillment", "expected"),
    [
        ("preparing", "pickup", True),
        ("ready", "pickup", False),
        ("ready", "delivery", True),
        ("out_for_delivery", "delivery", True),
        ("delivered", "delivery", False),
        ("cancelled", "pickup", False),
    ],
)
def test_who_still_waits(state: str, fulfillment: str, expected: bool) -> None:
    order = make_order(make_restaurant(), state=state, fulfillment=fulfillment)
    assert new_time.may_have_time(order) is expected
