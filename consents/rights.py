"""Requests people make about their data: opened, put on a clock, settled or refused.

What a request does at once it does when it is opened: a restriction is a veto from that moment and
an objection ends marketing, no questions asked. Exports (``consents.exports``) and erasure
(``consents.erasure``) are carried on by ``carry_on_requests``.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from consents import holders, locks, services
from consents.models import ConsentAction, ContactAddress, Purpose, RightsRequest, Subject

Kind = RightsRequest.Kind
State = RightsRequest.State
#: not settled, not refused
UNSETTLED = (State.OPEN, State.WORKING)
#: a data complaint is acknowledged within (UK, since 19 June 2026)
COMPLAINT_ACKNOWLEDGED = timedelta(days=30)
#: LGPD art. 19 gives fifteen days for the full answer; elsewhere it is a month, GDPR art. 12(3)
_SHORTER = {("BR", Kind.ACCESS): timedelta(days=15)}
#: what an objection ends: direct marketing, and what is handled as marketing
_OBJECTED = (Purpose.MARKETING, Purpose.FEEDBACK)


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
    has proved an address, so their erasure begins; one that staff or the API bring waits for
    ``begin``. Restrictions and objections only ever reduce contact: they are done when this
    returns. Complaints are one each. Raises Subject.DoesNotExist for somebody erased or unknown.
    """
    with transaction.atomic():
        _lock_addresses(subject_id)
        subject = (
            Subject.objects.select_for_update(of=("self",))
            .select_related("sender_group")
            .get(pk=subject_id)
        )
        if kind != Kind.COMPLAINT:
            same = RightsRequest.objects.filter(subject=subject, kind=kind, state__in=UNSETTLED)
            if found := same.order_by("received_at").first():
                return found
        request = RightsRequest.objects.create(
            sender_group=subject.sender_group,
            kind=Kind(kind),
            subject=subject,
            subject_ref=subject.pk,
            asked_via=asked_via,
            text=text[:4000],
            received_at=now,
            due_at=due_at(kind, now, subject.sender_group.country),
        )
        match request.kind:
            case Kind.RESTRICTION:
                cancelled = restrict(subject, now=now)
                return _settle(request, now=now, by="", outcome={"cancelled": cancelled})
            case Kind.OBJECTION:
                ended = _object(subject, request, now=now)
                return _settle(request, now=now, by="", outcome={"ended": ended})
            case Kind.ACCESS:
                _write(request, state=State.WORKING)
            case Kind.ERASURE if asked_via == "portal":
                _begin(request, subject, by="", now=now)
    return request


def _lock_addresses(subject_id: UUID) -> None:
    """Locks before rows, as everywhere: a sender holds the lock while it reads the subject."""
    hashes = ContactAddress.objects.filter(subjects=subject_id).values_list(
        "address_hash", flat=True
    )
    locks.lock_addresses(hashes)


def restrict(subject: Subject, *, now: datetime) -> int:
    """Veto every message to ``subject`` from now on; returns how many queued ones it ended.

    The data stays. The row of the subject and the locks of the addresses are held.
    """
    if subject.restricted_at is None:
        subject.restricted_at = now
        subject.save(update_fields=["restricted_at"])
    return sum(holder.cancel_queued(subject.pk, now) for holder in holders.holders())


def end_restriction(*, subject_id: UUID) -> None:
    """Messages may go again; the person must have been told before (GDPR art. 18(3)).

    Raises ValueError while their erasure is under way.
    """
    with transaction.atomic():
        subject = Subject.objects.select_for_update().get(pk=subject_id)
        erasures = RightsRequest.objects.filter(subject=subject, kind=Kind.ERASURE)
        if erasures.filter(state=State.WORKING).exists():
            raise ValueError("their erasure is under way")
        Subject.objects.filter(pk=subject_id).update(restricted_at=None)


def _object(subject: Subject, request: RightsRequest, *, now: datetime) -> int:
    """Record the end of marketing at every address; returns how many statements were new."""
    recorded = [
        services.record_consent(
            address_id=address.pk,
            purpose=purpose,
            action=ConsentAction.WITHDRAWN,
            source="rights_request",
            occurred_at=now,
            now=now,
            idempotency_key=f"rights:{request.public_id}:{address.public_id}:{purpose}",
            lawful_basis="legitimate_interest",
            subject_id=subject.pk,
        )
        for address in subject.addresses.defer("value").order_by("pk")
        for purpose in _OBJECTED
    ]
    return sum(one.is_new for one in recorded)


def begin(*, request_id: int, by: str, now: datetime) -> RightsRequest:
    """Somebody checked who is asking: an erasure staff or the API brought goes on its way.

    Beginning twice changes nothing. Raises RequestSettled.
    """
    with transaction.atomic():
        subject_id = RightsRequest.objects.values_list("subject_id", flat=True).get(pk=request_id)
        if subject_id is None:
            raise RequestSettled("the person is erased")
        _lock_addresses(subject_id)
        subject = Subject.objects.select_for_update().get(pk=subject_id)
        request = _unsettled(request_id)
        if request.state == State.OPEN:
            _begin(request, subject, by=by, now=now)
        return request


def _begin(request: RightsRequest, subject: Subject, *, by: str, now: datetime) -> None:
    outcome: dict[str, Any] = {"begun_at": now.isoformat(), "checked_by": by}
    if request.kind == Kind.ERASURE:
        outcome |= {"step": "waiting", "cancelled": restrict(subject, now=now)}
    _write(request, state=State.WORKING, outcome=outcome)


def acknowledge(*, request_id: int, by: str, now: datetime) -> RightsRequest:
    """The person was told that we have their request; the first time counts."""
    with transaction.atomic():
        request = _unsettled(request_id)
        if request.acknowledged_at is None:
            _write(request, acknowledged_at=now, outcome=request.outcome | {"acknowledged_by": by})
        return request


def settle(*, request_id: int, by: str, now: datetime, note: str = "") -> RightsRequest:
    """A complaint, or anything answered by hand, is answered. Raises RequestSettled.

    An erasure ends when the data is gone and not before: raises ValueError.
    """
    with transaction.atomic():
        request = _unsettled(request_id)
        if request.kind == Kind.ERASURE:
            raise ValueError("an erasure is settled by erasing")
        return _settle(request, now=now, by=by, outcome={"note": note[:300]} if note else {})


def refuse(*, request_id: int, by: str, now: datetime, reason: str) -> RightsRequest:
    """Say no, with the reason the person is given (GDPR art. 12(4)). Raises RequestSettled.

    A refused erasure leaves the restriction in place until somebody ends it.
    """
    if not reason.strip():
        raise ValueError("a refusal names its reason")
    with transaction.atomic():
        request = _unsettled(request_id)
        outcome = request.outcome | {"refused_because": reason[:300]}
        _write(request, state=State.REFUSED, settled_at=now, settled_by=by[:150], outcome=outcome)
        return request


def overdue(now: datetime, within: timedelta = timedelta(0)) -> QuerySet[RightsRequest]:
    """Requests whose clock has run out, or will ``within``, oldest due first.

    An acknowledged complaint has met its clock.
    """
    late = RightsRequest.objects.filter(state__in=UNSETTLED, due_at__lte=now + within)
    return late.exclude(kind=Kind.COMPLAINT, acknowledged_at__isnull=False).order_by("due_at")


def requests_of(subject_ids: Iterable[UUID]) -> QuerySet[RightsRequest]:
    """What these people asked for, newest first."""
    return RightsRequest.objects.filter(subject_id__in=list(subject_ids)).order_by("-received_at")


def _unsettled(request_id: int) -> RightsRequest:
    request = RightsRequest.objects.select_for_update(of=("self",)).get(pk=request_id)
    if request.state not in UNSETTLED:
        raise RequestSettled(f"the request is {request.state} already")
    return request


def _settle(
    request: RightsRequest, *, now: datetime, by: str, outcome: dict[str, Any]
) -> RightsRequest:
    _write(
        request,
        state=State.DONE,
        settled_at=now,
        settled_by=by[:150],
        acknowledged_at=request.acknowledged_at or now,
        outcome=request.outcome | outcome,
    )
    return request


def _write(request: RightsRequest, **values: Any) -> None:
    for name, value in values.items():
        setattr(request, name, value)
    request.save(update_fields=list(values))
