"""What this app keeps, and for how long (settings RETENTION_*)."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q, QuerySet

from consents import retention
from consents.ledger_terms import LedgerChains
from consents.models import (
    AddressReveal,
    ConsentEvent,
    ConsentEvidence,
    ContactAddress,
    InboxItem,
    ManageLink,
    RightsRequest,
    Subject,
)
from consents.retention import Rows
from consents.rights import month_later


def years_before(now: datetime, years: int) -> datetime:
    """The same day, ``years`` earlier."""
    return month_later(now, -12 * years)


def _evidence(now: datetime) -> QuerySet[ConsentEvidence]:
    oldest = years_before(now, settings.RETENTION_EVIDENCE_YEARS)
    return ConsentEvidence.objects.filter(Q(delete_after__lte=now) | Q(created_at__lte=oldest))


def _held_evidence() -> Q:
    """Proof of what held people said, and of what was said at their addresses."""
    held = Subject.objects.filter(legal_hold=True)
    hashes = ContactAddress.objects.filter(subjects__in=held).values("address_hash")
    events = ConsentEvent.objects.filter(
        Q(subject_ref__in=held.values("pk")) | Q(address_hash__in=hashes), evidence__isnull=False
    )
    return Q(pk__in=events.values("evidence_id"))


def _links(now: datetime) -> QuerySet[ManageLink]:
    over = now - timedelta(hours=settings.RETENTION_PORTAL_HOURS)
    return ManageLink.objects.filter(created_at__lte=over, expires_at__lte=now)


def _inbox(now: datetime) -> QuerySet[InboxItem]:
    over = now - timedelta(days=settings.RETENTION_TEXTS_DAYS)
    return InboxItem.objects.filter(received_at__lte=over, text_removed_at=None)


def _without_text(rows: QuerySet[InboxItem], now: datetime) -> int:
    return rows.update(text="", text_removed_at=now)


def _files(now: datetime) -> QuerySet[RightsRequest]:
    return RightsRequest.objects.filter(file_until__lte=now)


def _without_file(rows: QuerySet[RightsRequest], now: datetime) -> int:
    return rows.update(file=None, file_until=None)


def _requests(now: datetime) -> QuerySet[RightsRequest]:
    over = years_before(now, settings.RETENTION_RIGHTS_YEARS)
    return RightsRequest.objects.filter(settled_at__lte=over)


def _reveals(now: datetime) -> QuerySet[AddressReveal]:
    over = years_before(now, settings.RETENTION_RIGHTS_YEARS)
    return AddressReveal.objects.filter(seen_at__lte=over)


def register() -> None:
    """Called once from AppConfig.ready."""
    retention.register(
        Rows("evidence", _evidence, hold=_held_evidence()),
        Rows("portal_links", _links),
        Rows("inbox_texts", _inbox, Q(address__subjects__legal_hold=True), _without_text),
        Rows("export_files", _files, clear=_without_file),
        Rows("rights_requests", _requests, Q(subject__legal_hold=True)),
        Rows("address_reveals", _reveals),
        LedgerChains(),
    )
