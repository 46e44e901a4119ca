"""What vendors say later moves a delivery forward, never back, and is believed once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from integrations.contracts import Receipt, ReceiptKind
from notifications import receipts
from notifications.models import Delivery
from notifications.models import Receipt as ReceiptRow
from tests.stage import Stage

AT = datetime(2026, 3, 14, 18, 0, tzinfo=UTC)


@pytest.fixture
def sent(stage: Stage) -> Delivery:
    """An accepted text."""
    stage.open()
    stage.post(state="ready")
    stage.settle_and_send()
    return Delivery.objects.get(channel="sms")


def receive(delivery: Delivery, *kinds: ReceiptKind, **more: str) -> int:
    return receipts.record_receipts(
        account_id=delivery.account_id,
        receipts=[
            Receipt(kind=kind, attempt_id=str(delivery.attempt), vendor_time=AT, **more)
            for kind in kinds
        ],
        received_at=AT,
    )


def test_delivered(sent: Delivery) -> None:
    assert receive(sent, ReceiptKind.SENT, ReceiptKind.DELIVERED) == 2
    sent.refresh_from_db()
    assert sent.state == "delivered"


def test_out_of_order_and_twice(sent: Delivery) -> None:
    receive(sent, ReceiptKind.READ, ReceiptKind.DELIVERED, ReceiptKind.SENT)
    assert receive(sent, ReceiptKind.DELIVERED) == 0
    sent.refresh_from_db()
    assert sent.state == "read"
    assert ReceiptRow.objects.count() == 3


def test_a_failure_after_delivered_is_not_believed(sent: Delivery) -> None:
    receive(sent, ReceiptKind.DELIVERED, ReceiptKind.FAILED)
    sent.refresh_from_db()
    assert sent.state == "delivered"


def test_a_late_receipt_resolves_an_unknown_outcome(sent: Delivery) -> None:
    Delivery.objects.filter(pk=sent.pk).update(state="unknown", reason="outcome_unknown")
    receive(sent, ReceiptKind.DELIVERED)
    sent.refresh_from_db()
    assert sent.state == "delivered"


def test_a_receipt_for_nobody_is_kept_and_matched_later(sent: Delivery) -> None:
    early = Receipt(kind=ReceiptKind.DELIVERED, vendor_id="SM-early", vendor_time=AT)
    now = datetime.now(UTC)
    receipts.record_receipts(account_id=sent.account_id, receipts=[early], received_at=now)
    assert ReceiptRow.objects.get().delivery is None
    Delivery.objects.filter(pk=sent.pk).update(vendor_id="SM-early")
    assert receipts.match_late_receipts(now + timedelta(seconds=3)) == 1
    sent.refresh_from_db()
    assert sent.state == "delivered"


def test_another_accounts_receipt_moves_nothing(sent: Delivery, stage: Stage) -> None:
    other = stage.accounts["mailgun"]
    receipts.record_receipts(
        account_id=other.pk,
        receipts=[Receipt(kind=ReceiptKind.DELIVERED, attempt_id=str(sent.attempt))],
        received_at=AT,
    )
    sent.refresh_from_db()
    assert sent.state == "accepted"
