"""What the outbox keeps, and for how long. Texts of our own are made on leaving and not kept."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q, QuerySet

from consents import retention
from consents.retention import Rows
from consents.rights import month_later
from notifications.models import InboundMessage, Notification, Receipt


def _months_before(now: datetime) -> datetime:
    return month_later(now, -settings.RETENTION_DELIVERIES_MONTHS)


def _texts(now: datetime) -> QuerySet[InboundMessage]:
    over = now - timedelta(days=settings.RETENTION_TEXTS_DAYS)
    return InboundMessage.objects.filter(received_at__lte=over, text_removed_at=None)


def _without_text(rows: QuerySet[InboundMessage], now: datetime) -> int:
    return rows.update(text="", text_removed_at=now)


def _deliveries(now: datetime) -> QuerySet[Notification]:
    return Notification.objects.filter(created_at__lte=_months_before(now))


def _inbound(now: datetime) -> QuerySet[InboundMessage]:
    return InboundMessage.objects.filter(received_at__lte=_months_before(now))


def _receipts(now: datetime) -> QuerySet[Receipt]:
    """Those that never found a delivery; the others go with theirs."""
    return Receipt.objects.filter(received_at__lte=_months_before(now), delivery=None)


def register() -> None:
    """Called once from AppConfig.ready."""
    said_by_held = Q(address__subjects__legal_hold=True)
    retention.register(
        Rows("inbound_texts", _texts, said_by_held, _without_text),
        Rows("inbound_messages", _inbound, said_by_held),
        Rows("deliveries", _deliveries, Q(subject__legal_hold=True)),
        Rows("unmatched_receipts", _receipts),
    )
