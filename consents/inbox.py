"""What staff do with words people sent us that nothing could settle alone."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction

from consents.models import InboxItem
from consents.services import withdraw


def settle_items(*, item_ids: Iterable[int], actor: str, at: datetime) -> int:
    """Mark items as dealt with, in the person's name; marketing they held may go on.

    Settled ones keep their first settlement. Returns how many were open.
    """
    return InboxItem.objects.filter(pk__in=list(item_ids), settled_at=None).update(
        settled_at=at, settled_by=actor[:150], holds_marketing=False
    )


def withdraw_for_items(*, item_ids: Iterable[int], actor: str, at: datetime) -> int:
    """Staff read the words as "no more messages": stop the channel for each sender, and settle.

    Items without a known address stay open. Returns how many senders were stopped.
    """
    stopped = 0
    with transaction.atomic():
        rows = InboxItem.objects.filter(pk__in=list(item_ids), settled_at=None)
        for item in rows.exclude(address=None).select_for_update().order_by("pk"):
            withdraw(
                address_id=item.address_id or 0,
                source="staff",
                reason="staff",
                actor_type="staff",
                actor_id=actor[:80],
                occurred_at=item.received_at,
                now=at,
                idempotency_key=f"inbox:{item.pk}",
            )
            stopped += settle_items(item_ids=[item.pk], actor=actor, at=at)
    return stopped
