"""Everything we hold about a person in one file: JSON for machines, a page for the person.

Built by ``build_exports`` for access and portability (GDPR art. 15 and 20), kept encrypted in the
request for seven days, handed out by ``read_export`` alone.
"""

from __future__ import annotations

import io
import json
import logging
import zipfile
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.template.loader import render_to_string
from django.utils import translation

from consents import holders, locks
from consents.consent_receipts import consent_receipts
from consents.export_page import page_of
from consents.holders import Person
from consents.models import (
    ConsentEvent,
    ContactAddress,
    Preference,
    RightsRequest,
    Subject,
    SubjectAddress,
)

logger = logging.getLogger(__name__)

#: how long the file can be fetched
KEPT = timedelta(days=7)
FILE_NAME = "your-data.zip"
#: the advisory lock of the one who builds: "expo"
_LOCK = 0x6578706F


class ExportUnavailable(Exception):
    """There is no such file, not any more, or not for this address."""


def build_exports(now: datetime) -> int:
    """Build the file of every access request that waits for one; returns how many."""
    built = 0
    with locks.alone(_LOCK) as is_mine:
        waiting = RightsRequest.objects.filter(
            kind=RightsRequest.Kind.ACCESS, state=RightsRequest.State.WORKING
        )
        for pk in list(waiting.order_by("received_at").values_list("pk", flat=True)[:100]):
            if not is_mine:
                break
            try:
                built += build_export(request_id=pk, now=now)
            except Exception:
                # a mistake of ours; the others get their files
                logger.exception("export.failed", extra={"request_id": pk})
    return built


def build_export(*, request_id: int, now: datetime) -> bool:
    """Build one file and settle its request; False when it is settled or the person is gone."""
    with transaction.atomic():
        request = RightsRequest.objects.select_for_update(of=("self",)).get(pk=request_id)
        if request.state != RightsRequest.State.WORKING or request.subject_id is None:
            return False
        subject = Subject.objects.select_related("sender_group").get(pk=request.subject_id)
        data = export_of(subject, now)
        request.file = pack(data, locale=subject.locale)
        request.file_until = now + KEPT
        request.state = RightsRequest.State.DONE
        request.settled_at = now
        request.acknowledged_at = request.acknowledged_at or now
        request.outcome = {"sections": {k: len(v) for k, v in data.items() if isinstance(v, list)}}
        request.save()
    return True


def read_export(*, public_id: UUID, address_id: int, now: datetime) -> bytes:
    """The zip of a request, for the holder of a manage session of ``address_id``. No view of ours
    hands it out any other way; answer 404 to ExportUnavailable, with ``Cache-Control: no-store``.

    The address must be the person's and nobody else's: who shares a phone proves the phone and
    not which of its people they are. Raises ExportUnavailable.
    """
    request = RightsRequest.objects.filter(
        public_id=public_id, kind=RightsRequest.Kind.ACCESS, file_until__gt=now
    ).first()
    if request is None or request.subject_id is None or not request.file:
        raise ExportUnavailable("no such file, or not any more")
    links = SubjectAddress.objects.filter(address_id=address_id)
    people = set(links.values_list("subject_id", flat=True))
    if people != {request.subject_id}:
        raise ExportUnavailable("not for this address")
    return bytes(request.file)


def forget_files(now: datetime, limit: int = 1000) -> int:
    """Delete files whose seven days are over; returns how many."""
    over = RightsRequest.objects.filter(file_until__lte=now).values("pk")[:limit]
    return RightsRequest.objects.filter(pk__in=over).update(file=None, file_until=None)


def export_of(subject: Subject, now: datetime) -> dict[str, Any]:
    """Everything, as JSON values. What others said on a shared address is not in it."""
    person = holders.person_of(subject)
    held = [holder.export(person) for holder in holders.holders()]
    sections: dict[str, Any] = {
        "made_at": now.isoformat(),
        "controller": {
            "name": subject.sender_group.name,
            "postal_address": subject.sender_group.postal_address,
            "phone": subject.sender_group.phone,
            "privacy_policy": subject.sender_group.privacy_url,
        },
        "profile": {
            "id": str(subject.pk),
            "kind": subject.kind,
            "name": subject.name,
            "language": subject.locale,
            "timezone": subject.timezone,
            "quiet_from": str(subject.quiet_from or ""),
            "quiet_until": str(subject.quiet_until or ""),
            "restricted_since": _iso(subject.restricted_at),
            "known_since": _iso(subject.created_at),
        },
        "addresses": [_address(row, person) for row in _addresses(person)],
        "preferences": [
            {
                "order": str(row.order_ref or ""),
                "purpose": row.purpose,
                "about": row.event_kind,
                "channel": row.channel,
                "wanted": row.is_allowed,
            }
            for row in Preference.objects.filter(subject=subject).order_by("pk")
        ],
        "consent_receipts": consent_receipts(_events(person)),
    }
    for one in held:
        sections |= one.sections
    sections["recipients"] = [recipient for one in held for recipient in one.recipients]
    return sections


def pack(data: dict[str, Any], *, locale: str) -> bytes:
    """One zip with the JSON and the page."""
    with translation.override((locale or "en").partition("-")[0]):
        page = render_to_string("consents/export.html", page_of(data))
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("your-data.json", json.dumps(data, indent=1, ensure_ascii=False))
        archive.writestr("your-data.html", page)
    return made.getvalue()


def _addresses(person: Person) -> list[ContactAddress]:
    return list(ContactAddress.objects.filter(pk__in=person.address_ids).order_by("pk"))


def _address(row: ContactAddress, person: Person) -> dict[str, Any]:
    is_shared = row.pk in person.shared_address_ids
    return {
        "channel": row.channel,
        # a mistyped address is somebody else's: in full only once it is proven
        "address": row.value if row.verified_at else row.masked,
        "shared_with_others": is_shared,
        "proven_at": _iso(row.verified_at),
        "unreachable_since": _iso(row.unreachable_at),
        "known_since": _iso(row.created_at),
    }


def _events(person: Person) -> list[ConsentEvent]:
    """What they said, and what was said at addresses of their own, oldest first."""
    theirs = Q(subject_ref=person.subject_id)
    for row in ContactAddress.objects.defer("value").filter(pk__in=person.own_address_ids):
        theirs |= Q(
            sender_group_id=row.sender_group_id,
            address_hash=row.address_hash,
            generation=row.generation,
        )
    return list(ConsentEvent.objects.filter(theirs).order_by("sequence"))


def _iso(at: datetime | None) -> str:
    return at.isoformat() if at else ""
