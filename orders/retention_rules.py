"""How long the raw calls of sources are kept. Orders stay, for the tax office."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q, QuerySet

from consents import retention
from consents.retention import Rows
from orders.models import InboundCall


def _calls(now: datetime) -> QuerySet[InboundCall]:
    """Whatever became of them: one that nobody could read in all that time will not be."""
    over = now - timedelta(days=settings.RETENTION_CALLS_DAYS)
    return InboundCall.objects.filter(received_at__lte=over)


def register() -> None:
    """Called once from AppConfig.ready."""
    retention.register(Rows("raw_calls", _calls, Q(order__subject__legal_hold=True)))
