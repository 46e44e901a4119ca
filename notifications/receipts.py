"""What vendors say later: stored append-only, then folded into the delivery, forward only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from consents import known_as, vendor_news
from consents import services as consent_services
from consents.models import ContactAddress
from integrations import contracts
from integrations.contracts import ReceiptKind
from notifications import steps
from notifications.models import Attempt, Delivery, DeliveryState, ProviderAccount, Receipt

#: position of a delivery state; a receipt never moves a delivery back
_RANK = {
    DeliveryState.SENDING: 0,
    DeliveryState.UNKNOWN: 1,
    DeliveryState.ACCEPTED: 2,
    DeliveryState.DELIVERED: 4,
    DeliveryState.READ: 5,
}
_TO_STATE = {
    ReceiptKind.SENT: DeliveryState.ACCEPTED,
    ReceiptKind.DELIVERED: DeliveryState.DELIVERED,
    ReceiptKind.READ: DeliveryState.READ,
    ReceiptKind.CLICKED: DeliveryState.READ,
    ReceiptKind.FAILED: DeliveryState.FAILED,
    ReceiptKind.BOUNCED: DeliveryState.FAILED,
    ReceiptKind.EXPIRED: DeliveryState.EXPIRED,
}
_CHOICES = frozenset({ReceiptKind.UNSUBSCRIBED, ReceiptKind.RESUBSCRIBED})
#: what the manager must mend: a template that was refused, an account that may not send
_FOR_THE_MANAGER = frozenset({"rejected", "config"})
#: a watermark is not looked at further back than this, and their clock may be this much behind
WATERMARK_REACH = timedelta(days=2)
CLOCK_SLACK = timedelta(seconds=2)
#: a receipt can beat our own commit; unmatched ones are tried again for this long
KEEP_UNMATCHED = timedelta(hours=24)


def record_receipts(
    *, account_id: int, receipts: Sequence[contracts.Receipt], received_at: datetime
) -> int:
    """Store new receipts and fold them; returns how many were new."""
    new = 0
    for item in _each(account_id, receipts):
        with transaction.atomic():
            receipt, is_new = Receipt.objects.get_or_create(
                account_id=account_id,
                event_id=event_id(item),
                defaults={
                    "attempt_ref": _uuid(item.attempt_id),
                    "vendor_id": item.vendor_id[:200],
                    "kind": item.kind,
                    "vendor_code": item.vendor_code[:60],
                    "error": item.error[:20],
                    "vendor_time": item.vendor_time,
                    "received_at": received_at,
                },
            )
            if is_new:
                new += 1
                is_matched = _match(receipt, received_at)
                if not (is_matched or item.attempt_id or item.vendor_id):
                    _record_choice(account_id, item, receipt, received_at)
        if is_new and item.alias:
            _note_alias(account_id, item, receipt, received_at)
    return new


def _record_choice(
    account_id: int, item: contracts.Receipt, receipt: Receipt, now: datetime
) -> None:
    """What somebody chose in the vendor's own settings; it is about no message."""
    if not (item.recipient and item.purpose) or item.kind not in _CHOICES:
        return
    account = ProviderAccount.objects.select_related("restaurant").get(pk=account_id)
    vendor_news.record_choice_at_vendor(
        sender_group_id=account.restaurant.sender_group_id,
        channel=account.channel,
        value=item.recipient,
        region=account.restaurant.country,
        purpose=item.purpose,
        is_stopped=item.kind == ReceiptKind.UNSUBSCRIBED,
        at=item.vendor_time or now,
        now=now,
        idempotency_key=f"receipt:{account_id}:{receipt.event_id}",
    )


def _note_alias(account_id: int, item: contracts.Receipt, receipt: Receipt, now: datetime) -> None:
    """Whom the vendor means by another id; outside the transaction that holds the delivery."""
    address_id = receipt.delivery.address_id if receipt.delivery else None
    if address_id is None and item.recipient:
        found = _address_of(account_id, item.recipient)
        address_id = found.pk if found else None
    if address_id is not None:
        known_as.note_alias(address_id=address_id, alias=item.alias, at=now)


def _each(account_id: int, receipts: Sequence[contracts.Receipt]) -> Iterator[contracts.Receipt]:
    """The receipts, a watermark as one for each message of its recipient it covers."""
    for item in receipts:
        if item.up_to is None:
            yield item
            continue
        for delivery in _covered(account_id, item):
            if delivery.attempt is not None:
                # once a message, however many watermarks cover it
                event = f"watermark:{item.kind}:{delivery.attempt}"
                yield replace(item, attempt_id=str(delivery.attempt), event_id=event, up_to=None)


def _address_of(account_id: int, recipient: str) -> ContactAddress | None:
    account = ProviderAccount.objects.select_related("restaurant").get(pk=account_id)
    return vendor_news.find_address(
        sender_group_id=account.restaurant.sender_group_id,
        channel=account.channel,
        value=recipient,
        region=account.restaurant.country,
    )


def _covered(account_id: int, item: contracts.Receipt) -> Iterable[Delivery]:
    address = _address_of(account_id, item.recipient)
    if address is None or item.up_to is None:
        return ()
    behind = [DeliveryState.ACCEPTED]
    if item.kind == ReceiptKind.READ:
        behind.append(DeliveryState.DELIVERED)
    return Delivery.objects.filter(
        account_id=account_id,
        address__address_hash=address.address_hash,
        state__in=behind,
        settled_at__range=(item.up_to - WATERMARK_REACH, item.up_to + CLOCK_SLACK),
    ).order_by("pk")[:200]


def event_id(item: contracts.Receipt) -> str:
    """The vendor's event id, or one made of everything the statement says."""
    if item.event_id:
        return item.event_id[:200]
    words = [item.vendor_id, item.attempt_id, item.kind, item.vendor_code, str(item.vendor_time)]
    if not (item.vendor_id or item.attempt_id):
        # a choice is told apart by who made it
        words += [item.recipient, item.purpose]
    return "made:" + hashlib.sha256("|".join(words).encode()).hexdigest()


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


def _match(receipt: Receipt, now: datetime) -> bool:
    """Attach a receipt to its delivery and fold it; False when the delivery is not there yet."""
    delivery_id: int | None = None
    if receipt.attempt_ref is not None:
        delivery_id = (
            Attempt.objects.filter(pk=receipt.attempt_ref, account_id=receipt.account_id)
            .values_list("delivery_id", flat=True)
            .first()
        )
    if delivery_id is None and receipt.vendor_id:
        delivery_id = (
            Delivery.objects.filter(account_id=receipt.account_id, vendor_id=receipt.vendor_id)
            .values_list("pk", flat=True)
            .first()
        )
    if delivery_id is None:
        return False
    delivery = Delivery.objects.select_for_update().get(pk=delivery_id)
    receipt.delivery = delivery
    receipt.save(update_fields=["delivery"])
    _fold(receipt, delivery, now)
    return True


def _fold(receipt: Receipt, delivery: Delivery, now: datetime) -> None:
    kind = ReceiptKind(receipt.kind)
    if kind in (ReceiptKind.COMPLAINED, ReceiptKind.UNSUBSCRIBED):
        _withdraw(receipt, delivery, "complaint" if kind == ReceiptKind.COMPLAINED else "user", now)
        return
    if kind == ReceiptKind.RESUBSCRIBED:
        return
    state = _TO_STATE[kind]
    current = _RANK.get(DeliveryState(delivery.state))
    if current is None:
        return
    is_failure = state in (DeliveryState.FAILED, DeliveryState.EXPIRED)
    if is_failure:
        if current >= _RANK[DeliveryState.DELIVERED]:
            return
    elif _RANK[state] <= current:
        return
    values: dict[str, object] = {"state": state, "settled_at": now}
    if receipt.vendor_id and not delivery.vendor_id:
        values["vendor_id"] = receipt.vendor_id
    if is_failure:
        values["reason"] = receipt.error or "failed_by_vendor"
    Delivery.objects.filter(pk=delivery.pk).update(**values)
    if is_failure:
        _after_failure(receipt, delivery, now)


def _after_failure(receipt: Receipt, delivery: Delivery, now: datetime) -> None:
    if delivery.address_id is not None:
        if receipt.error == "opted_out":
            _withdraw(receipt, delivery, "carrier", now)
        elif receipt.error == "unreachable":
            consent_services.mark_unreachable(address_id=delivery.address_id, at=now)
    delivery_id, why = delivery.pk, f"{receipt.error}, code {receipt.vendor_code}"
    transaction.on_commit(lambda: steps.go_on(delivery_ids=[delivery_id], now=now))
    if receipt.error in _FOR_THE_MANAGER:
        transaction.on_commit(lambda: steps.alarm_refused_later(delivery_id, why, now))


def _withdraw(receipt: Receipt, delivery: Delivery, reason: str, now: datetime) -> None:
    if delivery.address_id is None:
        return
    vendor_news.record_vendor_opt_out(
        address_id=delivery.address_id,
        idempotency_key=f"receipt:{receipt.account_id}:{receipt.event_id}",
        at=receipt.vendor_time or now,
        reason=reason,
    )


def match_late_receipts(now: datetime) -> int:
    """Try unmatched receipts again: ours may have been committed after they came."""
    matched = 0
    waiting = Receipt.objects.filter(
        Q(delivery__isnull=True) & Q(received_at__gt=now - KEEP_UNMATCHED)
    ).order_by("received_at")[:500]
    for receipt in waiting:
        with transaction.atomic():
            matched += _match(receipt, now)
    return matched
