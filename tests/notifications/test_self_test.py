"""The weekly check of team chats."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from notifications.models import Delivery, ProviderAccount
from notifications.selectors import clear_caches
from notifications.self_test import run_self_tests
from notifications.services import register_with_sandbox
from notifications.steps import raise_alarm
from tests.factories import make_provider_account
from tests.integrations import fixture_files as files
from tests.stage import Stage

#: 9:30 in New York
MORNING = datetime(2026, 11, 27, 14, 30, tzinfo=UTC)


@pytest.fixture
def quiet(stage: Stage) -> Stage:
    ProviderAccount.objects.update(created_at=MORNING - timedelta(days=30))
    return stage


def test_a_quiet_chat_gets_one_word_a_week(quiet: Stage) -> None:
    assert run_self_tests(MORNING) == 1
    assert run_self_tests(MORNING + timedelta(minutes=20)) == 0
    assert Delivery.objects.get().account == quiet.accounts["slack"]
    assert run_self_tests(MORNING + timedelta(days=1)) == 0
    assert run_self_tests(MORNING + timedelta(days=7)) == 1


@pytest.mark.parametrize("hours", [-2, 2, 12])
def test_only_in_the_morning(quiet: Stage, hours: int) -> None:
    assert run_self_tests(MORNING + timedelta(hours=hours)) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"last_accepted_at": MORNING - timedelta(days=2)},
        {"enabled": False},
        {"stopped_reason": "refused"},
        {"created_at": MORNING - timedelta(days=1)},
    ],
)
def test_who_needs_no_check_gets_none(quiet: Stage, change: dict[str, object]) -> None:
    ProviderAccount.objects.filter(provider="slack").update(**change)
    assert run_self_tests(MORNING) == 0


def test_a_dead_chat_is_found_and_told_elsewhere(quiet: Stage) -> None:
    other = make_provider_account(
        quiet.restaurant, provider="google_chat", settings=files.settings("google_chat")
    )
    register_with_sandbox([other])
    clear_caches()
    quiet.fault(vendor="slack", kind="html", status=404, count=1)
    ProviderAccount.objects.filter(pk=other.pk).update(last_accepted_at=MORNING)
    assert run_self_tests(MORNING) == 1
    Delivery.objects.update(expires_at=datetime.now(UTC) + timedelta(hours=1))
    quiet.settle_and_send()
    slack = ProviderAccount.objects.get(provider="slack")
    assert slack.stopped_reason
    quiet.settle_and_send()
    assert any("slack was stopped" in m["text"] for m in quiet.messages("google_chat"))


def test_alarms_go_to_team_chats_and_to_nobody_else(quiet: Stage) -> None:
    partner = make_provider_account(
        quiet.restaurant, provider="partner_webhook", settings=files.settings("partner_webhook")
    )
    clear_caches()
    assert raise_alarm(
        restaurant_id=quiet.restaurant.pk, key="x", detail="The kitchen printer is off", now=MORNING
    ) == 1  # fmt: skip
    assert not Delivery.objects.filter(account=partner).exists()
