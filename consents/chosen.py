"""Ways of being told that a person chose themselves: a chat, a browser, an app on their phone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from consents import locks, services
from consents.addresses import address_hashes, normalize
from consents.identity import create_address, current_address
from consents.models import (
    AddressOrigin,
    ConsentAction,
    ConsentState,
    ContactAddress,
    Purpose,
    Subject,
    SubjectAddress,
    SubjectKind,
    Suppression,
)

#: the page and the deep link prove possession: whoever acts holds the browser or the chat
SOURCE = "portal"


@dataclass(frozen=True, slots=True)
class Chosen:
    """The address somebody chose, and whose it is."""

    address_id: int
    subject_id: UUID
    is_new: bool


def choose_way(
    *,
    sender_group_id: int,
    subject_id: UUID | None,
    channel: str,
    value: str,
    bound_to: str,
    at: datetime,
    idempotency_key: str,
    evidence: Mapping[str, Any] | None = None,
) -> Chosen:
    """Attach the address to the person and grant order updates there.

    A stop of that same chat or browser ends: the person asks for news again, by their own hand.
    Without ``subject_id`` a person without a name is made. What was granted already is not written
    again. Raises AddressInvalid.
    """
    normalized = normalize(channel, value)
    hashes = address_hashes(channel, normalized.value)
    with transaction.atomic():
        locks.lock_addresses(hashes)
        known = current_address(
            sender_group_id=sender_group_id, channel=channel, hashes=hashes, at=at
        )
        address = known or create_address(
            sender_group_id=sender_group_id,
            channel=channel,
            normalized=normalized,
            hashes=hashes,
            origin=AddressOrigin.CUSTOMER,
        )
        ContactAddress.objects.filter(pk=address.pk).update(bound_to=bound_to, unreachable_at=None)
        services.verify_address(address_id=address.pk, at=at, by=SOURCE)
        owner = _owner(sender_group_id, subject_id, address.pk)
        _grant(address, owner, at, idempotency_key, evidence)
    return Chosen(address.pk, owner, is_new=known is None)


def _owner(sender_group_id: int, subject_id: UUID | None, address_id: int) -> UUID:
    if subject_id is None:
        link = SubjectAddress.objects.filter(
            address_id=address_id, subject__kind=SubjectKind.CUSTOMER
        ).order_by("-pk")
        found = link.values_list("subject_id", flat=True).first()
        subject_id = found or Subject.objects.create(sender_group_id=sender_group_id).pk
    SubjectAddress.objects.get_or_create(subject_id=subject_id, address_id=address_id)
    return subject_id


def _grant(
    address: ContactAddress,
    subject_id: UUID,
    at: datetime,
    idempotency_key: str,
    evidence: Mapping[str, Any] | None,
) -> None:
    common: dict[str, Any] = {
        "address_id": address.pk,
        "source": SOURCE,
        "occurred_at": at,
        "now": at,
        "subject_id": subject_id,
        "evidence": evidence,
    }
    is_stopped = Suppression.objects.filter(
        sender_group_id=address.sender_group_id,
        address_hash=address.address_hash,
        generation=address.generation,
        channel=address.channel,
    ).exists()
    if is_stopped:
        services.lift(**common, idempotency_key=idempotency_key)
        return
    if ConsentState.objects.filter(
        sender_group_id=address.sender_group_id,
        address_hash=address.address_hash,
        generation=address.generation,
        channel=address.channel,
        purpose=Purpose.ORDER_UPDATES,
        state="granted",
    ).exists():
        return
    services.record_consent(
        **common,
        purpose=Purpose.ORDER_UPDATES,
        action=ConsentAction.GRANTED,
        idempotency_key=idempotency_key,
    )


def leave_way(
    *, sender_group_id: int, channel: str, value: str, at: datetime, idempotency_key: str
) -> bool:
    """The person switched a chat or browser off; what is queued there ends. False = unknown."""
    hashes = address_hashes(channel, normalize(channel, value).value)
    address = current_address(
        sender_group_id=sender_group_id, channel=channel, hashes=hashes, at=at
    )
    if address is None:
        return False
    services.withdraw(
        address_id=address.pk,
        source=SOURCE,
        occurred_at=at,
        now=at,
        idempotency_key=idempotency_key,
    )
    return True
