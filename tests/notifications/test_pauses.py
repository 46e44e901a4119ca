"""A vendor that wants a pause gets one; what it refuses afterwards reaches the manager."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations.contracts import Receipt, ReceiptKind
from integrations.errors import RateLimited, TransientError
from integrations.providers.fcm import Fcm
from notifications import claims, linking, outcomes
from notifications.models import Delivery, Notification, ProviderAccount
from notifications.receipts import record_receipts
from notifications.selectors import clear_caches
from notifications.services import register_with_sandbox
from tests.factories import make_provider_account
from tests.notifications.test_vendor_ids import BOT, update
from tests.stage import Stage

NOW = datetime(2026, 3, 14, 22, 42, 5, tzinfo=UTC)
#: the jitter is at most a quarter
JITTER = 1.25


@pytest.mark.parametrize(
    ("error", "waits"),
    [
        (TransientError("x"), [5, 30, 120, 600, 3600, None]),
        (TransientError("x", most_retries=2), [5, 30, None]),
        (RateLimited("x"), [5, 30, 120, 600, 3600, None]),
        (RateLimited("x", retry_after_s=0), [1, 30, 120, 600, 3600, None]),
        (RateLimited("x", retry_after_s=6), [6, 30, 120, 600, 3600, None]),
        (RateLimited("x", retry_after_s=900), [900, 900, 900, 900, 3600, None]),
    ],
)
def test_when_a_try_is_repeated(error: TransientError, waits: list[float | None]) -> None:
    for tries, wait in enumerate(waits, start=1):
        due_at = outcomes.retry_at(error, tries=tries, now=NOW)
        if wait is None:
            assert due_at is None
        else:
            assert due_at is not None
            assert wait <= (due_at - NOW).total_seconds() <= wait * JITTER


@pytest.mark.parametrize(
    ("error", "waits"),
    [
        (TransientError("x"), [10, 30, 120, 600, 3600]),
        (RateLimited("x", retry_after_s=4), [10, 30, 120, 600, 3600]),
        (RateLimited("x", retry_after_s=60), [60, 60, 120, 600, 3600]),
    ],
)
def test_firebase_is_left_alone_for_ten_seconds_at_least(
    error: TransientError, waits: list[float]
) -> None:
    slow = Fcm.capabilities.retry_s
    for tries, wait in enumerate(waits, start=1):
        due_at = outcomes.retry_at(error, tries=tries, now=NOW, waits=slow)
        assert due_at is not None
        assert wait <= (due_at - NOW).total_seconds() <= wait * JITTER
    assert outcomes.retry_at(error, tries=len(waits) + 1, now=NOW, waits=slow) is None


def tokens(account: ProviderAccount, after_s: float, wanted: int = 5) -> int:
    now = NOW + timedelta(seconds=after_s)
    return claims.take_budget(account_id=account.pk, rate_per_s=10.0, wanted=wanted, now=now)


@pytest.mark.django_db
def test_a_pause_is_owed_until_it_is_over() -> None:
    account = make_provider_account(provider="console")
    assert tokens(account, 0) == 5
    claims.pause_budget(account_id=account.pk, rate_per_s=10.0, seconds=8, now=NOW)
    assert tokens(account, 0) == -80
    assert tokens(account, 3) == -50
    claims.pause_budget(
        account_id=account.pk, rate_per_s=10.0, seconds=1, now=NOW + timedelta(seconds=4)
    )
    assert tokens(account, 7) == -10  # asking and a shorter pause make it no shorter
    assert tokens(account, 8) == 0
    assert tokens(account, 8.5) == 5


def test_a_throttled_bot_says_nothing_to_anybody_until_it_may(stage: Stage) -> None:
    bot = make_provider_account(
        stage.restaurant, provider="telegram", settings=BOT, rate_per_s=30.0
    )
    register_with_sandbox([bot])
    clear_caches()
    for number, (order, chat) in enumerate((("1042", "429000001"), ("1043", "990011")), start=1):
        stage.open(f"WEB-{order}")
        token = linking.link_token(stage.order(order).public_id)
        update(stage, bot, number, f"/start {token}", chat)
    throttled, other = Delivery.objects.filter(channel="telegram").order_by("pk")
    stage.settle()
    Delivery.objects.filter(pk=other.pk).update(state="waiting")
    stage.send()
    throttled.refresh_from_db()
    assert (throttled.state, throttled.reason) == ("queued", "rate_limited")
    Delivery.objects.filter(pk=other.pk).update(state="queued")
    ProviderAccount.objects.filter(pk=bot.pk).update(budget_at=datetime.now(UTC))
    stage.send()
    other.refresh_from_db()
    assert (other.state, other.attempts.count()) == ("queued", 0)
    ProviderAccount.objects.filter(pk=bot.pk).update(
        budget_at=datetime.now(UTC) - timedelta(seconds=2)
    )
    stage.send()
    other.refresh_from_db()
    assert other.state == "accepted"


@pytest.mark.parametrize(
    ("error", "alarms"), [("rejected", 1), ("config", 1), ("unreachable", 0), ("transient", 0)]
)
def test_what_is_refused_after_it_was_accepted_reaches_the_staff(
    stage: Stage, error: str, alarms: int, django_capture_on_commit_callbacks: Any
) -> None:
    stage.open()
    stage.post(state="ready")
    stage.settle_and_send()
    delivery = Delivery.objects.get(channel="sms", notification__milestone="ready")
    assert delivery.account_id is not None
    for event_id in ("1", "2"):
        receipt = Receipt(
            kind=ReceiptKind.FAILED,
            attempt_id=str(delivery.attempt),
            vendor_code="132015",
            error=error,
            event_id=event_id,
        )
        with django_capture_on_commit_callbacks(execute=True):
            record_receipts(
                account_id=delivery.account_id, receipts=[receipt], received_at=datetime.now(UTC)
            )
    delivery.refresh_from_db()
    assert (delivery.state, delivery.reason) == ("failed", error)
    found = Notification.objects.filter(kind="alarm")
    assert found.count() == alarms
    stage.settle_and_send()
    told = [m["text"] for m in stage.messages("slack") if "132015" in m["text"]]
    assert len(told) == alarms
