"""Writing the outbox: rows in, rows superseded, rows cancelled, bells rung."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from django.db import connection, transaction

from integrations import registry
from notifications.models import Delivery, DeliveryState, Notification

if TYPE_CHECKING:
    from consents.models import ContactAddress
    from notifications.plans import PlannedNotification
    from orders.models import Order, OrderEvent


@dataclass(frozen=True, slots=True)
class LaneRow:
    """A delivery of an order that is unsent, or left a moment ago (``left_at``)."""

    delivery_id: int
    lane: str
    recipient_key: str
    kind: str
    milestone: str
    event_id: UUID | None
    sentence: str
    merged: Sequence[dict[str, str]]
    left_at: datetime | None


_LANE_ROWS = """
SELECT d.id, d.lane, n.recipient_key, n.kind, n.milestone, n.event_id,
       coalesce(e.data->>'sentence', ''), n.merged_events,
       CASE WHEN d.state IN ('waiting', 'queued') THEN NULL
                             ELSE coalesce(d.settled_at, %(now)s) END
FROM notifications_notification n
JOIN notifications_delivery d ON d.notification_id = n.id
LEFT JOIN orders_orderevent e ON e.id = n.event_id
WHERE n.order_id = %(order)s AND (
    d.state IN ('waiting', 'queued', 'claimed', 'sending')
    OR (d.state IN ('accepted', 'delivered', 'read')
        AND d.settled_at > %(now)s - interval '20 seconds'))
ORDER BY d.id
"""


def lane_rows(order_id: int, now: datetime) -> list[LaneRow]:
    """What of this order is unsent or has just left, in one query."""
    with connection.cursor() as cursor:
        cursor.execute(_LANE_ROWS, {"order": order_id, "now": now})
        rows = cursor.fetchall()
    return [
        LaneRow(row[0], row[1], row[2], row[3], row[4], row[5], row[6], _json(row[7]), row[8])
        for row in rows
    ]


def _json(value: object) -> list[dict[str, str]]:
    if isinstance(value, str):
        import json

        value = json.loads(value)
    return value if isinstance(value, list) else []


def _given_up_at(provider: str, stale_at: datetime, now: datetime) -> datetime:
    """When the news is stale, or when a provider that wants old news had all its tries."""
    tries_s = sum(registry.provider_class(provider).capabilities.retry_s)
    # each wait may be a quarter longer, and the first try may wait too
    return max(stale_at, now + timedelta(seconds=1.3 * tries_s))


def insert(
    planned: Sequence[PlannedNotification], *, event: OrderEvent, order: Order, now: datetime
) -> set[int]:
    """Write what was planned; returns the ids of accounts with something due now.

    Two inserts however many recipients; one update more when something unsent is replaced.
    """
    if not planned:
        return set()
    notifications = [
        Notification(
            id=uuid4(),
            event=event,
            order=order,
            restaurant_id=order.restaurant_id,
            route_id=note.route.id or None,
            audience=note.audience,
            subject_id=note.subject_id,
            recipient_key=note.recipient_key,
            kind=event.kind,
            milestone=event.milestone,
            purpose=note.route.purpose,
            is_critical=note.route.critical,
            is_urgent=note.is_urgent,
            trace=note.trace,
            merged_events=note.merged,
            expires_at=note.expires_at,
            created_at=now,
        )
        for note in planned
    ]
    Notification.objects.bulk_create(notifications)
    superseded = [row for note in planned for row in note.supersedes]
    if superseded:
        supersede(superseded, event_id=event.pk, now=now)
    rows = [
        Delivery(
            notification=notification,
            address_id=delivery.address_id,
            account_id=delivery.account.id,
            channel=delivery.channel,
            step=delivery.step,
            state=DeliveryState.WAITING if delivery.is_waiting else DeliveryState.QUEUED,
            lane=delivery.lane,
            due_at=delivery.due_at,
            expires_at=_given_up_at(delivery.account.provider, notification.expires_at, now),
            created_at=now,
        )
        for note, notification in zip(planned, notifications, strict=True)
        for delivery in note.deliveries
    ]
    if rows:
        Delivery.objects.bulk_create(rows)
    return {
        row.account_id for row in rows if row.state == DeliveryState.QUEUED and row.due_at <= now
    }


def queue_answer(
    *,
    restaurant_id: int,
    account_id: int,
    address: ContactAddress,
    kind: str,
    milestone: str,
    purpose: str,
    trace: Sequence[Mapping[str, str]],
    expires_at: datetime,
    now: datetime,
    channel: str = "",
    order_id: int | None = None,
    subject_id: UUID | None = None,
) -> None:
    """Queue one message a person asked for, to their address on one account; it leaves at once.

    ``channel`` is how it is sent where that is not the address's own kind.
    """
    notification = Notification.objects.create(
        id=uuid4(),
        restaurant_id=restaurant_id,
        order_id=order_id,
        audience="customer",
        subject_id=subject_id,
        recipient_key=f"address:{address.pk}",
        kind=kind,
        milestone=milestone[:120],
        purpose=purpose,
        is_urgent=True,
        trace=list(trace),
        expires_at=expires_at,
        created_at=now,
    )
    Delivery.objects.create(
        notification=notification,
        address=address,
        account_id=account_id,
        channel=channel or address.channel,
        lane=f"{kind}:{notification.pk}",
        due_at=now,
        expires_at=expires_at,
        created_at=now,
    )
    ring_on_commit([account_id])


def supersede(delivery_ids: Iterable[int], *, event_id: UUID, now: datetime) -> int:
    """End unsent rows that a newer message replaces; returns how many."""
    return Delivery.objects.filter(
        pk__in=list(delivery_ids), state__in=[DeliveryState.WAITING, DeliveryState.QUEUED]
    ).update(state=DeliveryState.SUPERSEDED, reason=f"superseded_by:{event_id}", settled_at=now)


_CANCEL_WITHDRAWN = """
UPDATE notifications_delivery d
SET state = 'cancelled', reason = 'consent_withdrawn', settled_at = %(now)s
FROM consents_contactaddress a, notifications_notification n
WHERE a.id = d.address_id AND n.id = d.notification_id
  AND a.sender_group_id = %(group)s AND a.address_hash = %(hash)s AND a.channel = %(channel)s
  AND a.generation <= %(generation)s
  AND d.state IN ('waiting', 'queued', 'claimed')
  AND NOT (n.kind = 'reply')
  AND (%(purpose)s = '' OR n.purpose = %(purpose)s)
  AND (%(order)s = '' OR n.order_id = (
      SELECT id FROM orders_order WHERE public_id::text = %(order)s))
"""
_FLAG_OVERTAKEN = """
UPDATE notifications_delivery d SET overtaken_by_withdrawal = true
FROM consents_contactaddress a, notifications_notification n
WHERE a.id = d.address_id AND n.id = d.notification_id AND d.state = 'sending'
  AND a.sender_group_id = %(group)s AND a.address_hash = %(hash)s AND a.channel = %(channel)s
  AND (%(purpose)s = '' OR n.purpose = %(purpose)s)
"""


def cancel_withdrawn(
    *,
    sender_group_id: int,
    channel: str,
    address_hash: str,
    generation: int,
    scope: str,
    at: datetime,
) -> None:
    """End what is queued for an address that just withdrew, inside its transaction.

    Rows already ``sending`` may leave once; they are flagged and never retried.
    """
    kind, _, detail = scope.partition(":")
    values: dict[str, int | str | datetime] = {
        "group": sender_group_id,
        "hash": address_hash,
        "channel": channel,
        "generation": generation,
        "purpose": detail if kind == "category" else "",
        "order": detail if kind == "order" else "",
        "now": at,
    }
    with connection.cursor() as cursor:
        cursor.execute(_CANCEL_WITHDRAWN, values)
        cursor.execute(_FLAG_OVERTAKEN, values)


def ring_on_commit(account_ids: Iterable[int]) -> None:
    """Ring the bell of each account once the rows are committed."""
    ids = sorted(set(account_ids))
    if ids:
        transaction.on_commit(lambda: ring(ids))


def ring(account_ids: Iterable[int]) -> None:
    """Ask a worker to look at these accounts. A lost bell is rung again by the sweep."""
    from kombu.exceptions import OperationalError

    from notifications.tasks import dispatch

    for account_id in account_ids:
        try:
            dispatch.apply_async(kwargs={"account_id": account_id}, retry=False)
        except (OperationalError, OSError):
            # the broker is away: the rows are committed and the sweep rings again
            return


def ring_later(account_id: int, *, seconds: float) -> None:
    """Ask a worker to look again soon: the rate budget was empty. The sweep is the safety net."""
    from kombu.exceptions import OperationalError

    from notifications.tasks import dispatch

    with suppress(OperationalError, OSError):
        dispatch.apply_async(kwargs={"account_id": account_id}, countdown=seconds, retry=False)
