"""Every answer of a vendor has a consequence, and none of them loses or repeats a message."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from consents.models import ContactAddress, Suppression
from notifications import flips, lookups, sweep
from notifications.models import (
    Attempt,
    Delivery,
    MessageTemplateVersion,
    Notification,
    ProviderAccount,
)
from tests.stage import GUEST, Stage


def ready_order(stage: Stage) -> Delivery:
    """An order whose guest is about to be told that it is ready."""
    stage.open()
    stage.settle_and_send()
    stage.post(state="ready")
    return Delivery.objects.get(channel="sms", state="queued")


@pytest.mark.parametrize(("kind", "outcome"), [("429", "rate_limited"), ("500", "transient")])
def test_what_was_not_processed_is_tried_again(stage: Stage, kind: str, outcome: str) -> None:
    delivery = ready_order(stage)
    stage.fault(vendor="twilio", kind=kind, times=1)
    stage.send()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.reason, delivery.tries) == ("queued", outcome, 1)
    assert delivery.due_at > datetime.now(UTC)
    stage.settle_and_send()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.tries) == ("accepted", 2)
    assert [a.outcome for a in delivery.attempts.order_by("number")] == [outcome, "accepted"]
    assert len(stage.texts()) == 1


def test_an_accepted_message_without_an_answer_is_unknown_and_not_repeated(stage: Stage) -> None:
    delivery = ready_order(stage)
    stage.fault(vendor="twilio", kind="drop_after_accept", times=1)
    stage.send()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.reason) == ("unknown", "outcome_unknown")
    stage.settle_and_send()
    assert len(stage.texts()) == 1
    assert delivery.attempts.get().outcome == "unknown"


def test_an_id_that_cannot_be_stored_spoils_nothing(stage: Stage) -> None:
    """One answer with a NUL or half an emoji in it is recorded, and so are all of its batch."""
    delivery = ready_order(stage)
    stage.send()
    Delivery.objects.filter(pk=delivery.pk).update(state="sending")
    odd = "\x00" + "a" * 300 + "\ud83c"
    result = flips.Recorded(
        delivery_id=delivery.pk,
        attempt_id=delivery.attempts.get().pk,
        outcome="accepted",
        state="accepted",
        code=odd,
        vendor_id=odd,
        detail=odd,
    )
    flips.record([result], datetime.now(UTC))
    attempt = delivery.attempts.get()
    assert (attempt.vendor_id, attempt.detail) == ("a" * 200, "a" * 200)
    assert attempt.vendor_code == "a" * 60
    delivery.refresh_from_db()
    assert (delivery.state, delivery.vendor_id) == ("accepted", "a" * 200)


def test_an_unknown_urgent_message_is_sent_once_more_and_only_once(stage: Stage) -> None:
    delivery = ready_order(stage)
    for _ in range(3):
        stage.fault(vendor="twilio", kind="drop_after_accept", times=1)
        stage.send()
        Delivery.objects.filter(pk=delivery.pk, state="unknown").update(
            settled_at=datetime.now(UTC) - timedelta(minutes=2)
        )
        sweep.resend_unknown(datetime.now(UTC))
    delivery.refresh_from_db()
    assert (delivery.state, delivery.reason) == ("unknown", "needs_decision")
    assert [a.outcome for a in delivery.attempts.order_by("number")] == ["unknown", "unknown"]


def test_a_calm_unknown_message_waits_for_a_person(stage: Stage) -> None:
    stage.open()
    stage.post(state="preparing")
    stage.settle()
    stage.fault(vendor="twilio", kind="drop_after_accept", times=1)
    stage.send()
    delivery = Delivery.objects.get(channel="sms")
    Delivery.objects.update(settled_at=datetime.now(UTC) - timedelta(minutes=2))
    sweep.resend_unknown(datetime.now(UTC))
    delivery.refresh_from_db()
    assert (delivery.state, delivery.reason) == ("unknown", "needs_decision")


def magic_order(stage: Stage, phone: str) -> Delivery:
    """A ready order of a guest whose number provokes an outcome at the vendor."""
    stage.open(customer={**GUEST, "phone": phone})
    stage.settle_and_send()
    stage.post(state="ready")
    return Delivery.objects.get(channel="sms", state="queued")


def test_an_unreachable_number_goes_on_by_mail(stage: Stage) -> None:
    delivery = magic_order(stage, "+15005550009")
    stage.send()
    stage.settle_and_send()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.reason) == ("failed", "unreachable")
    notification = delivery.notification
    notification.refresh_from_db()
    assert notification.deliveries.get(channel="email").state == "accepted"
    assert any(line["step"] == "fallback" for line in notification.trace)
    assert ContactAddress.objects.get(channel="sms").unreachable_at is not None


def test_a_blocked_pair_is_an_opt_out_in_the_ledger(stage: Stage) -> None:
    delivery = magic_order(stage, "+15005550004")
    stage.send()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.reason) == ("failed", "opted_out")
    address = ContactAddress.objects.get(channel="sms")
    assert Suppression.objects.get(address_hash=address.address_hash).reason == "carrier"


def test_refused_credentials_stop_the_account_and_keep_the_message(stage: Stage) -> None:
    delivery = ready_order(stage)
    account = stage.accounts["twilio"]
    account.settings = {**account.settings, "auth_token": "wrong"}
    account.save()
    stage.send()
    account.refresh_from_db()
    delivery.refresh_from_db()
    assert account.stopped_reason
    assert (delivery.state, delivery.reason) == ("queued", "account_stopped")
    alarm = Notification.objects.get(kind="alarm")
    assert "wrong" not in str(alarm.trace)
    stage.settle_and_send()
    assert any("was stopped" in m["text"] for m in stage.messages("slack"))


def test_a_stopped_account_hands_over_to_the_next_of_its_channel(stage: Stage) -> None:
    spare = ProviderAccount.objects.create(
        restaurant=stage.restaurant,
        provider="twilio",
        channel="sms",
        name="Spare",
        priority=20,
        settings=stage.accounts["twilio"].settings,
        rate_per_s=0,
    )
    delivery = ready_order(stage)
    account = stage.accounts["twilio"]
    account.settings = {**account.settings, "account_sid": "AC" + "9" * 32}
    account.save()
    stage.send()
    stage.settle_and_send()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.account_id) == ("accepted", spare.pk)
    assert len(stage.texts()) == 1


def test_news_that_is_too_old_is_not_sent(stage: Stage) -> None:
    delivery = ready_order(stage)
    Delivery.objects.filter(pk=delivery.pk).update(
        expires_at=datetime.now(UTC) - timedelta(seconds=1)
    )
    sweep.expire_unsent(datetime.now(UTC))
    stage.send()
    delivery.refresh_from_db()
    assert delivery.state == "expired"
    assert stage.texts() == []


def test_a_dead_worker_before_sending_loses_nothing(stage: Stage) -> None:
    delivery = ready_order(stage)
    past = datetime.now(UTC) - timedelta(seconds=1)
    Delivery.objects.filter(pk=delivery.pk).update(state="claimed", lease_until=past)
    assert sweep.release_dead_claims(datetime.now(UTC)) == 1
    stage.send()
    assert len(stage.texts()) == 1


def test_a_dead_worker_while_sending_leaves_an_unknown_row(stage: Stage) -> None:
    delivery = ready_order(stage)
    attempt = Attempt.objects.create(
        delivery=delivery,
        account=delivery.account,
        number=1,
        started_at=datetime.now(UTC),
    )
    Delivery.objects.filter(pk=delivery.pk).update(
        state="sending",
        attempt=attempt.pk,
        lease_until=datetime.now(UTC) - timedelta(seconds=1),
    )
    assert sweep.mark_unknown(datetime.now(UTC)) == 1
    delivery.refresh_from_db()
    attempt.refresh_from_db()
    assert (delivery.state, attempt.outcome) == ("unknown", "unknown")
    stage.send()
    assert stage.texts() == []


def test_one_lane_leaves_in_order(stage: Stage) -> None:
    stage.open()
    stage.post(state="cancelled")
    first = Delivery.objects.filter(channel="sms").latest("pk")
    Delivery.objects.filter(pk=first.pk).update(due_at=datetime.now(UTC) + timedelta(minutes=1))
    later = Delivery.objects.get(pk=first.pk)
    later.pk = None
    later.step = 7
    later.due_at = datetime.now(UTC)
    later.save()
    stage.send()
    later.refresh_from_db()
    assert later.state == "queued", "the second of a lane waits for the first"
    assert stage.texts() == []


def test_the_vendor_is_asked_about_an_unknown_outcome(stage: Stage) -> None:
    delivery = ready_order(stage)
    stage.fault(vendor="twilio", kind="drop_after_accept", times=1)
    stage.send()
    Delivery.objects.filter(pk=delivery.pk).update(
        settled_at=datetime.now(UTC) - timedelta(seconds=10)
    )
    assert lookups.resolve_unknown(datetime.now(UTC)) == 1
    delivery.refresh_from_db()
    assert (delivery.state, delivery.reason) == ("accepted", "found_at_vendor")
    assert delivery.vendor_id == stage.messages("twilio")[0]["id"]


def test_what_never_arrived_is_not_found(stage: Stage) -> None:
    delivery = ready_order(stage)
    stage.fault(vendor="twilio", kind="disconnect", times=1)
    stage.send()
    Delivery.objects.filter(pk=delivery.pk).update(
        settled_at=datetime.now(UTC) - timedelta(seconds=10)
    )
    assert lookups.resolve_unknown(datetime.now(UTC)) == 0
    delivery.refresh_from_db()
    assert delivery.state == "unknown"


def test_words_that_cannot_be_rendered_fail_and_alarm_their_owner(stage: Stage) -> None:
    delivery = ready_order(stage)
    MessageTemplateVersion.objects.filter(template__trigger="status_changed:ready").update(
        text="{{ order.nope }}"
    )
    stage.send()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.reason) == ("failed", "template_error")
    assert Notification.objects.filter(kind="alarm", milestone__contains="words:").exists()


def test_a_rate_budget_is_shared_and_refilled(stage: Stage) -> None:
    account = stage.accounts["twilio"]
    account.rate_per_s = 2
    account.save()
    for number in range(5):
        caller = {**GUEST, "phone": f"+1202555{110 + number:04d}"}
        stage.open(f"WEB-{3000 + number}", state="ready", customer=caller)
    assert stage.texts() == []
    stage.send()
    assert len(stage.texts()) == 2
    ProviderAccount.objects.update(budget_at=datetime.now(UTC) - timedelta(seconds=1))
    stage.send()
    assert len(stage.texts()) == 4
