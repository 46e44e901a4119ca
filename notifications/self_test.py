"""A word a week to quiet team chats: a dead webhook is found on a calm morning, not on Friday."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import uuid4

from django.db.models import Q

from integrations import registry
from integrations.contracts import Channel
from notifications import outbox, routing
from notifications.models import Delivery, Notification, ProviderAccount
from notifications.times import zone

#: a chat that took a message within this time has just proved itself
EVERY = timedelta(days=7)
#: the local hour in which somebody is there to mend it, before the first guests
HOUR = 9
_WORDS = "Weekly check: alerts reach this chat. Nothing to do."


def run_self_tests(now: datetime) -> int:
    """Queue the check to every team chat that was quiet for a week; returns how many.

    It leaves as any message does: a refusal stops the account and alarms the staff elsewhere.
    """
    week_ago = now - EVERY
    quiet = ProviderAccount.objects.filter(
        Q(last_accepted_at__isnull=True) | Q(last_accepted_at__lt=week_ago),
        channel=Channel.TEAM_CHAT,
        enabled=True,
        stopped_reason="",
        created_at__lt=week_ago,
    ).select_related("restaurant")
    return sum(_check(account, now) for account in quiet)


def _check(account: ProviderAccount, now: datetime) -> bool:
    if not registry.provider_class(account.provider).capabilities.account_is_address:
        return False
    if now.astimezone(zone(account.restaurant.timezone)).hour != HOUR:
        return False
    milestone = f"alarm:self_test:{account.pk}"
    known = Notification.objects.filter(
        restaurant=account.restaurant, kind="alarm", milestone=milestone
    )
    if known.filter(created_at__gt=now - EVERY + timedelta(hours=2)).exists():
        return False
    expires_at = now + routing.lifetime("alarm")
    notification = Notification.objects.create(
        id=uuid4(),
        restaurant=account.restaurant,
        audience="staff",
        recipient_key=f"account:{account.pk}",
        kind="alarm",
        milestone=milestone,
        purpose="staff_ops",
        trace=[{"step": "self-test", "verdict": "due", "why": "quiet for a week"}],
        merged_events=[{"event": "", "sentence": _WORDS}],
        expires_at=expires_at,
        created_at=now,
    )
    Delivery.objects.create(
        notification=notification,
        account=account,
        channel=account.channel,
        lane=f"alarm:{notification.pk}",
        due_at=now,
        expires_at=expires_at,
        created_at=now,
    )
    outbox.ring_on_commit([account.pk])
    return True
