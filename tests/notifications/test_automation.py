"""A flow is started by everything that happens to an order, once each, and never told of guests."""

from __future__ import annotations

import json

import pytest

from notifications.models import Delivery, ProviderAccount
from notifications.selectors import clear_caches
from notifications.services import register_with_sandbox, test_account
from tests.factories import make_provider_account
from tests.integrations import fixture_files as files
from tests.stage import PHONE, Stage

URL = files.settings("power_automate")["trigger_url"]
WORKFLOW = "4f2d0c1ab5e84c0c9b1d0a7c31e51042"


def flow(stage: Stage, **settings: str) -> ProviderAccount:
    """A flow of the restaurant."""
    account = make_provider_account(
        stage.restaurant,
        provider="power_automate",
        settings={**files.settings("power_automate"), **settings},
        rate_per_s=0,
    )
    register_with_sandbox([account])
    clear_caches()
    return account


def events(stage: Stage) -> list[dict[str, object]]:
    return [message["extra"]["event"] for message in stage.messages("power_automate")]


def test_a_whole_order(stage: Stage) -> None:
    account = flow(stage)
    parts = [{"id": "b1", "label": "Harvest Bowl"}, {"id": "b2", "label": "Tofu Bowl"}]
    stage.open(parts=parts, fulfillment={"type": "delivery"})
    stage.settle_and_send()
    for state in ("preparing", "ready", "out_for_delivery", "delivered"):
        stage.post(state=state)
        stage.settle_and_send()
    said = [event["event_type"] for event in events(stage)]
    assert said.count("order.created") == 1
    told = [
        event["order"]["status"]  # type: ignore[index]
        for event in events(stage)
        if event["event_type"] == "order.status_changed"
    ]
    assert told == ["preparing", "ready_for_pickup", "out_for_delivery", "delivered"]
    deliveries = Delivery.objects.filter(account=account)
    assert {one.state for one in deliveries} == {"accepted"}
    assert {one.vendor_id for one in deliveries} == {
        message["id"] for message in stage.messages("power_automate")
    }
    first = events(stage)[0]
    assert first["restaurant"] == {
        "id": str(stage.restaurant.pk),
        "name": "Lucky Bowl",
        "location": "Main Street",
        "timezone": "America/New_York",
    }
    assert len({event["event_id"] for event in events(stage)}) == len(said)
    everything = json.dumps(events(stage))
    assert PHONE not in everything
    assert "Ana" not in everything


@pytest.mark.parametrize("ending", ["-silent", "-late"])
def test_a_slow_response_action_starts_no_second_run(stage: Stage, ending: str) -> None:
    account = flow(stage, trigger_url=URL.replace(WORKFLOW, f"a{ending}"))
    stage.open()
    for _ in range(3):
        stage.settle_and_send()
    delivery = Delivery.objects.get(account=account)
    attempt = delivery.attempts.get()
    assert (delivery.state, attempt.outcome) == ("accepted", "accepted")
    assert attempt.detail == "the flow runs; its Response action did not answer"
    assert len(stage.messages("power_automate")) == 1


def test_a_flow_that_is_off_stops_its_account_only(stage: Stage) -> None:
    off, on = flow(stage, trigger_url=URL.replace(WORKFLOW, "a-off")), flow(stage)
    stage.open()
    stage.settle_and_send()
    off.refresh_from_db()
    assert "WorkflowTriggerIsNotEnabled" in off.stopped_reason
    news = Delivery.objects.filter(notification__kind="status_changed")
    assert news.get(account=on).state == "accepted"
    assert news.get(account=off).state == "queued"


def test_the_test_button_says_that_it_is_a_test(stage: Stage) -> None:
    account = flow(stage)
    assert test_account(account=account, to="").vendor_id
    (event,) = events(stage)
    assert (event["event_type"], event["test"]) == ("test", True)
    assert event["occurred_at"]
