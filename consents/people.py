"""Who is behind a proven address, and which other addresses are theirs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from consents.addresses import shared_channels
from consents.models import ContactAddress, Subject, SubjectAddress, SubjectKind


@dataclass(frozen=True, slots=True)
class Person:
    """Whoever holds one proven address.

    ``proven``: its rows, one a channel that reaches the same number or mailbox. ``subject``: the
    customer, the latest to have given the address where several share it. ``others``: further
    addresses of that customer, which need a proof of their own; none where the address is shared.
    """

    address: ContactAddress
    proven: tuple[ContactAddress, ...]
    subject: Subject | None
    is_shared: bool
    others: tuple[ContactAddress, ...]


def person_at(public_id: UUID, now: datetime) -> Person | None:
    """The person of a proven address; None when the row was erased or has ended."""
    address = ContactAddress.objects.defer("value").filter(public_id=public_id).first()
    if address is None or (address.expires_at is not None and address.expires_at <= now):
        return None
    proven = ContactAddress.objects.defer("value").filter(
        sender_group_id=address.sender_group_id,
        address_hash=address.address_hash,
        generation=address.generation,
        channel__in=shared_channels(address.channel),
    )
    links = SubjectAddress.objects.filter(
        address__in=proven, subject__kind=SubjectKind.CUSTOMER
    ).select_related("subject")
    customers = list({link.subject_id: link.subject for link in links.order_by("-pk")}.values())
    subject = customers[0] if customers else None
    is_shared = len(customers) > 1
    others: tuple[ContactAddress, ...] = ()
    if subject is not None and not is_shared:
        rows = subject.addresses.defer("value").exclude(pk__in=[row.pk for row in proven])
        others = tuple(rows.filter(channel__in=("sms", "email"), expires_at=None))
    return Person(
        address,
        tuple(sorted(proven, key=lambda row: row.channel)),
        subject,
        is_shared,
        others,
    )
