"""Partners are told by signed webhooks: each endpoint by itself, whatever becomes of the others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from notifications.models import Delivery, ProviderAccount
from notifications.selectors import clear_caches
from notifications.services import register_with_sandbox
from tests.factories import make_provider_account
from tests.integrations import fixture_files as files
from tests.stage import Stage


def endpoint(stage: Stage, ending: str) -> ProviderAccount:
    """One partner's endpoint; the sandbox's answer depends on the end of its path."""
    account = make_provider_account(
        stage.restaurant,
        provider="partner_webhook",
        name=f"partner {ending}",
        settings={
            **files.settings("partner_webhook"),
            "url": f"https://partner.example.com/hooks/{ending}",
        },
        rate_per_s=0,
    )
    register_with_sandbox([account])
    clear_caches()
    return account


def states(account: ProviderAccount) -> list[tuple[str, str]]:
    """State and reason of what is for it, oldest first."""
    rows = Delivery.objects.filter(account=account).order_by("pk")
    return [(row.state, row.reason) for row in rows]


def told(stage: Stage) -> list[str]:
    """The states partners heard of."""
    events = [message["extra"]["event"] for message in stage.messages("partner_webhook")]
    return [event["data"]["status"] for event in events]


def test_a_dead_endpoint_stops_itself_only(stage: Stage) -> None:
    dead, well = endpoint(stage, "gone"), endpoint(stage, "orders")
    stage.open()
    stage.settle_and_send()
    dead.refresh_from_db()
    well.refresh_from_db()
    assert dead.stopped_reason == "partner_webhook: the endpoint is gone (HTTP 410)"
    assert (well.stopped_reason, told(stage)) == ("", ["received"])
    assert states(dead) == [("queued", "account_stopped")]
    stage.post(state="ready")
    stage.settle_and_send()
    assert told(stage) == ["received", "ready"]
    assert states(dead) == [("queued", "account_stopped")]  # nothing more is planned for it


@pytest.mark.parametrize("ending", ["moved", "broken"])
def test_an_endpoint_that_does_not_take_it_is_asked_again(stage: Stage, ending: str) -> None:
    """A redirect is no other address of the partner's: nobody follows it."""
    account, well = endpoint(stage, ending), endpoint(stage, "orders")
    stage.open()
    before = datetime.now(UTC)
    stage.settle_and_send()
    (row,) = Delivery.objects.filter(account=account)
    assert (row.state, row.reason, row.tries) == ("queued", "transient", 1)
    assert row.due_at is not None
    assert timedelta(seconds=4) < row.due_at - before < timedelta(seconds=10)
    account.refresh_from_db()
    assert account.stopped_reason == ""
    assert states(well) == [("accepted", "")]


def test_ten_tries_in_three_days(stage: Stage) -> None:
    """The schedule of Standard Webhooks: what a partner missed is still wanted when it is stale."""
    account = endpoint(stage, "broken")
    stage.open()
    (row,) = Delivery.objects.filter(account=account)
    assert row.due_at is not None
    days = (row.expires_at - row.due_at).total_seconds() / 86_400
    assert 3.9 < days < 4.2
    waits = []
    for tries in range(1, 11):
        before = datetime.now(UTC)
        stage.settle_and_send()
        row.refresh_from_db()
        assert row.tries == tries
        if row.state == "queued" and row.due_at is not None:
            waits.append((row.due_at - before).total_seconds())
    assert (row.state, row.reason, told(stage)) == ("failed", "transient", [])
    schedule = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]
    assert len(waits) == len(schedule)
    for wait, planned in zip(waits, schedule, strict=True):
        assert planned <= wait <= 1.25 * planned + 2
    stage.settle_and_send()
    row.refresh_from_db()
    assert row.tries == 10


def test_no_header_hurries_the_schedule_and_a_longer_wait_is_kept(stage: Stage) -> None:
    account = endpoint(stage, "orders")
    waits = []
    stage.open()
    for retry_after_s in (1, 1, 3_600):
        stage.fault(vendor="partner_webhook", kind="429", times=1, retry_after_s=retry_after_s)
        before = datetime.now(UTC)
        stage.settle_and_send()
        (row,) = Delivery.objects.filter(account=account)
        assert (row.state, row.reason) == ("queued", "rate_limited")
        assert row.due_at is not None
        waits.append((row.due_at - before).total_seconds())
    for wait, planned in zip(waits, (5, 300, 3_600), strict=True):
        assert planned <= wait <= 1.25 * planned + 2


def test_what_happens_while_an_endpoint_pauses_is_told_afterwards(stage: Stage) -> None:
    """Its breaker is open: there is nobody else to tell instead."""
    account = endpoint(stage, "orders")
    now = datetime.now(UTC)
    rows = ProviderAccount.objects.filter(pk=account.pk)
    rows.update(open_until=now + timedelta(seconds=30))
    clear_caches()
    stage.open()
    stage.settle_and_send()
    assert (states(account), told(stage)) == ([("queued", "")], [])
    rows.update(open_until=now)
    stage.settle_and_send()
    assert (states(account), told(stage)) == ([("accepted", "")], ["received"])


def test_partners_learn_nothing_about_the_guest(stage: Stage) -> None:
    endpoint(stage, "orders")
    account = ProviderAccount.objects.get(provider="partner_webhook")
    account.settings = {**account.settings, "detail": "full"}
    account.save(update_fields=["settings"])
    clear_caches()
    stage.open()
    stage.settle_and_send()
    (message,) = stage.messages("partner_webhook")
    said = str(message["extra"]["event"]) + str(message["raw"])
    assert "received" in said
    for private in ("Ana", "Silva", "2025550143", "ana@example.com", "/o/"):
        assert private not in said
