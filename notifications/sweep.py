"""The safety net, every few seconds: rings again, frees dead leases, resolves the unknown."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import connection

from notifications import lookups, outbox, receipts, routing, steps
from notifications.models import Delivery, DeliveryState, Heartbeat

logger = logging.getLogger(__name__)

#: how long an unknown outcome waits for a late receipt before its kind's policy decides
UNKNOWN_PATIENCE = timedelta(seconds=45)


def sweep(now: datetime) -> dict[str, int]:
    """One round; returns what was found, also kept as the heartbeat's detail."""
    found = {
        "released": release_dead_claims(now),
        "unknown": mark_unknown(now),
        "expired": expire_unsent(now),
        "matched": receipts.match_late_receipts(now),
        "waiting": steps.activate_waiting(now),
        "found": lookups.resolve_unknown(now),
        "resent": resend_unknown(now),
        "rung": ring_due(now),
    }
    beat("sweep", now, found)
    return found


def beat(name: str, now: datetime, detail: dict[str, int] | None = None) -> None:
    """Write the proof of life of one moving part."""
    Heartbeat.objects.update_or_create(name=name, defaults={"at": now, "detail": detail or {}})


def release_dead_claims(now: datetime) -> int:
    """A claimed row whose worker died was never sent: back to the queue."""
    return Delivery.objects.filter(state=DeliveryState.CLAIMED, lease_until__lt=now).update(
        state=DeliveryState.QUEUED, lease_until=None
    )


_UNKNOWN = """
WITH dead AS (
    UPDATE notifications_delivery SET state = 'unknown', reason = 'outcome_unknown',
        settled_at = %(now)s, lease_until = NULL
    WHERE state = 'sending' AND lease_until < %(now)s
    RETURNING attempt
)
UPDATE notifications_attempt a SET outcome = 'unknown', finished_at = %(now)s,
    detail = 'the worker ended before the answer was recorded'
FROM dead WHERE a.id = dead.attempt AND a.outcome = ''
"""


def mark_unknown(now: datetime) -> int:
    """A sending row whose worker died may have left: unknown, never silently repeated."""
    with connection.cursor() as cursor:
        cursor.execute(_UNKNOWN, {"now": now})
        return int(cursor.rowcount)


def expire_unsent(now: datetime) -> int:
    """News too old to be useful is not sent."""
    return Delivery.objects.filter(
        state__in=[DeliveryState.QUEUED, DeliveryState.WAITING], expires_at__lte=now
    ).update(state=DeliveryState.EXPIRED, reason="too late to be useful", settled_at=now)


def resend_unknown(now: datetime) -> int:
    """Send again, once, what costs more to miss than to hear twice; the rest needs a decision.

    The first try stays in the history as unknown, so every possible duplicate is a visible row.
    """
    resent = 0
    rows = Delivery.objects.filter(
        state=DeliveryState.UNKNOWN,
        reason="outcome_unknown",
        settled_at__lt=now - UNKNOWN_PATIENCE,
    ).select_related("notification")[:200]
    for delivery in rows:
        notification = delivery.notification
        trigger = routing.trigger_of(notification.kind, notification.milestone)
        may_resend = (
            routing.resend_when_unknown(trigger)
            and delivery.expires_at > now
            and not delivery.overtaken_by_withdrawal
            and not newer_exists(delivery)
            and delivery.attempts.filter(outcome="unknown").count() < 2
        )
        mine = Delivery.objects.filter(pk=delivery.pk, state=DeliveryState.UNKNOWN)
        if may_resend:
            resent += mine.update(
                state=DeliveryState.QUEUED,
                reason="resent_after_unknown",
                due_at=now,
                settled_at=None,
            )
        else:
            mine.update(reason="needs_decision")
    return resent


def newer_exists(delivery: Delivery) -> bool:
    """Whether the person was told something later about this order on the same lane."""
    return Delivery.objects.filter(
        notification__order=delivery.notification.order_id, lane=delivery.lane, pk__gt=delivery.pk
    ).exists()


def ring_due(now: datetime) -> int:
    """Ring for every account that has something due."""
    accounts = list(
        Delivery.objects.filter(state=DeliveryState.QUEUED, due_at__lte=now)
        .order_by()
        .values_list("account_id", flat=True)
        .distinct()
    )
    outbox.ring(accounts)
    return len(accounts)
