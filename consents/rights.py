"""Requests people make about their data: opened, put on a clock, settled or refused.

What a request does at once it does when it is opened: a restriction is a veto from that moment and
an objection ends marketing. Exports and erasure are carried on by their jobs.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from consents.models import RightsRequest, Subject

Kind = RightsRequest.Kind
State = RightsRequest.State
#: not settled, not refused
UNSETTLED = (State.OPEN, State.WORKING)
#: a data complaint is acknowledged within (UK, since 19 June 2026)
COMPLAINT_ACKNOWLEDGED = timedelta(days=30)
#: LGPD art. 19 gives fifteen days for the full answer; everywhere else the month of GDPR art. 12(3)
_SHORTER = {("BR", Kind.ACCESS): timedelta(days=15)}


class RequestSettled(Exception):
    """The request is done or refused already."""


def month_later(moment: datetime, months: int = 1) -> datetime:
    """The same day ``months`` later, or the month's last day where there is no such day."""
    count = moment.year * 12 + moment.month - 1 + months
    year, month = count // 12, count % 12 + 1
    day = min(moment.day, monthrange(year, month)[1])
    return moment.replace(year=year, month=month, day=day)


def due_at(kind: str, received_at: datetime, country: str = "") -> datetime:
    """When the law wants an answer: a complaint acknowledged, anything else answered."""
    if kind == Kind.COMPLAINT:
        return received_at + COMPLAINT_ACKNOWLEDGED
    shorter = _SHORTER.get((country, Kind(kind)))
    return received_at + shorter if shorter else month_later(received_at)


def open_request(
    subject_id: UUID, kind: str, asked_via: str, now: datetime, text: str = ""
) -> RightsRequest:
    """Note that somebody used a right; an unsettled request of the same kind is that request.

    ``kind`` is a ``RightsRequest.Kind``, ``asked_via`` portal | staff | api. Who asks on the portal
    has proved an address; a request staff or the API bring begins once ``begin`` names who checked.
    Complaints are one each. Raises Subject.DoesNotExist for somebody erased or unknown.
    """
    with transaction.atomic():
        subject = (
            Subject.objects.select_for_update().select_related("sender_group").get(pk=subject_id)
        )
        if kind != Kind.COMPLAINT:
            same = RightsRequest.objects.filter(subject=subject, kind=kind, state__in=UNSETTLED)
            if found := same.order_by("received_at").first():
                return found
        is_proven = asked_via == "portal" and kind != Kind.COMPLAINT
        return RightsRequest.objects.create(
            sender_group=subject.sender_group,
            kind=Kind(kind),
            state=State.WORKING if is_proven else State.OPEN,
            subject=subject,
            subject_ref=subject.pk,
            asked_via=asked_via,
            text=text[:4000],
            received_at=now,
            due_at=due_at(kind, now, subject.sender_group.country),
        )
