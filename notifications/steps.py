"""What happens after a step ended badly or was not answered: fallbacks, escalation, alarms."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import uuid4

from django.db import transaction

from integrations.contracts import Channel
from notifications import outbox, planning, routing
from notifications.models import Delivery, DeliveryState, Notification
from notifications.selectors import restaurant_config

logger = logging.getLogger(__name__)

#: an alarm about the same thing is not repeated within this time
ALARM_PAUSE = timedelta(minutes=15)

_ALIVE = (
    DeliveryState.QUEUED,
    DeliveryState.CLAIMED,
    DeliveryState.SENDING,
    DeliveryState.ACCEPTED,
    DeliveryState.DELIVERED,
    DeliveryState.READ,
    DeliveryState.UNKNOWN,
)


def go_on(*, delivery_ids: Sequence[int], now: datetime) -> None:
    """Try the next step of each notification whose delivery just ended without success."""
    known = Delivery.objects.filter(pk__in=list(delivery_ids), is_erased=False)
    rows = known.select_related("notification__event", "notification__order")
    for delivery in rows:
        _go_on(delivery, now)


def _go_on(delivery: Delivery, now: datetime) -> None:
    with transaction.atomic():
        notification = (
            Notification.objects.select_for_update(of=("self",))
            .select_related("event", "order")
            .get(pk=delivery.notification_id)
        )
        siblings = notification.deliveries.all()
        if notification.expires_at <= now or siblings.filter(state__in=_ALIVE).exists():
            return
        if siblings.filter(state=DeliveryState.WAITING).update(
            state=DeliveryState.QUEUED, due_at=now
        ):
            outbox.ring_on_commit(siblings.values_list("account_id", flat=True))
            return
        if notification.event is None or notification.order is None:
            return
        config = restaurant_config(notification.restaurant_id)
        route = next((r for r in config.routes if r.id == notification.route_id), None)
        if route is None:
            return
        planned = planning.plan_next_step(
            order=notification.order,
            event=notification.event,
            route=route,
            subject_id=notification.subject_id,
            audience=notification.audience,
            expires_at=notification.expires_at,
            after_step=delivery.step,
            now=now,
        )
        why = {"step": "fallback", "verdict": "next step", "why": f"{delivery.channel}: "
               f"{delivery.reason or delivery.state}"}  # fmt: skip
        notification.trace = [*notification.trace, why, *planned.trace]
        notification.save(update_fields=["trace"])
        rows = [
            Delivery(
                notification=notification,
                address_id=item.address_id,
                account_id=item.account.id,
                channel=item.channel,
                step=item.step,
                lane=item.lane,
                due_at=now,
                expires_at=notification.expires_at,
                created_at=now,
            )
            for item in planned.deliveries
        ]
        Delivery.objects.bulk_create(rows)
        outbox.ring_on_commit(row.account_id for row in rows)


def activate_waiting(now: datetime) -> int:
    """Start timed steps whose moment came, or end them when they are not needed any more."""
    started = 0
    due = (
        Delivery.objects.filter(state=DeliveryState.WAITING, due_at__lte=now)
        .select_related("notification__route")
        .order_by("due_at")[:500]
    )
    for delivery in due:
        notification = delivery.notification
        steps = notification.route.steps if notification.route else []
        when = steps[delivery.step].get("when") if delivery.step < len(steps) else ""
        arrived = notification.deliveries.filter(
            state__in=[DeliveryState.DELIVERED, DeliveryState.READ]
        ).exists()
        is_done = notification.acknowledged_at is not None or (
            when == "if_not_delivered" and arrived
        )
        rows = Delivery.objects.filter(pk=delivery.pk, state=DeliveryState.WAITING)
        if is_done:
            rows.update(state=DeliveryState.CANCELLED, reason="not_needed", settled_at=now)
        elif rows.update(state=DeliveryState.QUEUED):
            started += 1
            outbox.ring([delivery.account_id])
    return started


def acknowledge(*, notification: Notification, actor: str, now: datetime) -> bool:
    """Somebody saw it: stop the nagging everywhere. False when somebody had before."""
    with transaction.atomic():
        changed = Notification.objects.filter(
            event=notification.event_id,
            audience=notification.audience,
            acknowledged_at__isnull=True,
        )
        if notification.event_id is None:
            changed = Notification.objects.filter(pk=notification.pk, acknowledged_at=None)
        done = changed.update(acknowledged_at=now, acknowledged_by=actor[:150])
        Delivery.objects.filter(
            notification__event=notification.event_id,
            notification__audience=notification.audience,
            state=DeliveryState.WAITING,
        ).exclude(notification__event=None).update(
            state=DeliveryState.CANCELLED, reason="acknowledged", settled_at=now
        )
    return bool(done)


def alarm_account_stopped(*, account_id: int, reason: str, now: datetime) -> None:
    """Tell staff, on a channel that is not the broken one, that an account was stopped."""
    from notifications.models import ProviderAccount

    account = ProviderAccount.objects.get(pk=account_id)
    raise_alarm(
        restaurant_id=account.restaurant_id,
        key=f"account_stopped:{account_id}",
        detail=f"{account.name} was stopped: {reason}",
        without_account=account_id,
        now=now,
    )


def alarm_refused_later(delivery_id: int, why: str, now: datetime) -> None:
    """Tell staff of a message the vendor accepted and refused afterwards."""
    delivery = Delivery.objects.select_related("notification", "account").get(pk=delivery_id)
    notification = delivery.notification
    if notification.kind == "alarm":
        return
    trigger = routing.trigger_of(notification.kind, notification.milestone)
    raise_alarm(
        restaurant_id=notification.restaurant_id,
        key=f"words:{trigger}:{delivery.channel}",
        detail=f"{delivery.account.name} did not deliver the message for {trigger}: {why}",
        without_account=delivery.account_id,
        now=now,
    )


def raise_alarm(
    *, restaurant_id: int, key: str, detail: str, now: datetime, without_account: int | None = None
) -> int:
    """Queue one alarm to each working team chat; repeated alarms pause. Returns rows queued."""
    milestone = f"alarm:{key}"[:120]
    if Notification.objects.filter(
        restaurant_id=restaurant_id, kind="alarm", milestone=milestone,
        created_at__gt=now - ALARM_PAUSE,
    ).exists():  # fmt: skip
        return 0
    config = restaurant_config(restaurant_id)
    chats = [
        account
        for account in config.accounts
        if account.channel == Channel.TEAM_CHAT
        and account.account_is_address
        and account.id != without_account
        and account.is_usable(now)
    ]
    expires_at = now + routing.lifetime("alarm")
    for account in chats:
        notification = Notification.objects.create(
            id=uuid4(),
            restaurant_id=restaurant_id,
            audience="staff",
            recipient_key=f"account:{account.id}",
            kind="alarm",
            milestone=milestone,
            purpose="staff_ops",
            is_urgent=True,
            trace=[{"step": "alarm", "verdict": "raised", "why": detail}],
            merged_events=[{"event": "", "sentence": detail}],
            expires_at=expires_at,
            created_at=now,
        )
        Delivery.objects.create(
            notification=notification,
            account_id=account.id,
            channel=account.channel,
            lane=f"alarm:{notification.pk}",
            due_at=now,
            expires_at=expires_at,
            created_at=now,
        )
    outbox.ring_on_commit(account.id for account in chats)
    logger.warning("alarm.raised", extra={"restaurant_id": restaurant_id, "alarm": key})
    return len(chats)
