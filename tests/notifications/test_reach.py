"""Which account reaches which address, and who takes over when one does not work."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from consents.models import ContactAddress, SubjectAddress
from notifications.models import Delivery, Notification, ProviderAccount, Route
from notifications.selectors import clear_caches
from notifications.services import register_with_sandbox
from tests.factories import make_address, make_provider_account
from tests.stage import PROVIDERS, Stage

TELEGRAM = {"bot_token": "1:a", "secret_token": "s"}


def chat_of_the_guest(stage: Stage, bound_to: str) -> ContactAddress:
    """A Telegram chat of the guest of order 1042, known to one bot."""
    subject = stage.order().subject
    assert subject is not None
    address = make_address(
        stage.restaurant, channel="telegram", value="4711", region="", bound_to=bound_to
    )
    SubjectAddress.objects.create(subject=subject, address=address)
    return address


@pytest.mark.parametrize("is_known", [True, False])
def test_a_chat_is_reached_by_its_own_bot_only(stage: Stage, is_known: bool) -> None:
    other = make_provider_account(
        stage.restaurant, provider="telegram", settings=TELEGRAM, priority=1
    )
    mine = make_provider_account(
        stage.restaurant, provider="telegram", settings={**TELEGRAM, "bot_token": "2:b"}
    )
    Route.objects.filter(name="Guest: progress").update(
        steps=[{"channel": "telegram", "when": "now"}]
    )
    clear_caches()
    stage.open()
    chat_of_the_guest(stage, mine.token if is_known else "of-a-bot-that-is-gone")
    stage.post(state="ready")
    note = Notification.objects.get(milestone="ready", audience="customer")
    assert list(note.deliveries.values_list("account_id", flat=True)) == [mine.pk] * is_known
    if not is_known:
        assert {"step": "step 1", "verdict": "dropped", "why": "no telegram address"} in note.trace
    assert not Delivery.objects.filter(account=other).exists()


def second_twilio(stage: Stage) -> ProviderAccount:
    account = make_provider_account(
        stage.restaurant,
        provider="twilio",
        settings={**PROVIDERS["twilio"], "account_sid": "AC" + "3" * 32},
        priority=20,
        rate_per_s=0,
    )
    register_with_sandbox([account])
    clear_caches()
    return account


def test_an_open_breaker_hands_its_rows_to_the_next_account(stage: Stage) -> None:
    second = second_twilio(stage)
    stage.open()
    stage.post(state="ready")
    first = stage.accounts["twilio"]
    assert Delivery.objects.filter(account=first, state="queued").exists()
    ProviderAccount.objects.filter(pk=first.pk).update(
        open_until=datetime.now(UTC) + timedelta(seconds=30)
    )
    stage.settle_and_send()
    ready = Delivery.objects.get(notification__milestone="ready", channel="sms")
    assert (ready.account_id, ready.state) == (second.pk, "accepted")


def test_what_only_one_account_knows_stays_there(stage: Stage) -> None:
    second_twilio(stage)
    stage.open()
    stage.post(state="ready")
    first = stage.accounts["twilio"]
    ContactAddress.objects.filter(channel="sms").update(bound_to=first.token)
    ProviderAccount.objects.filter(pk=first.pk).update(
        open_until=datetime.now(UTC) + timedelta(seconds=30)
    )
    stage.settle_and_send()
    ready = Delivery.objects.get(notification__milestone="ready", channel="sms")
    assert (ready.account_id, ready.state) == (first.pk, "queued")


def test_planning_goes_round_an_open_breaker(stage: Stage) -> None:
    second = second_twilio(stage)
    stage.open()
    ProviderAccount.objects.filter(pk=stage.accounts["twilio"].pk).update(
        open_until=datetime.now(UTC) + timedelta(seconds=30)
    )
    clear_caches()
    stage.post(state="ready")
    ready = Delivery.objects.get(notification__milestone="ready", channel="sms")
    assert ready.account_id == second.pk
