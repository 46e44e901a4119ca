"""One person under several ids of a vendor, and addresses a vendor gave another id."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from uuid import UUID

from django.db import transaction

from consents import ledger, locks
from consents.addresses import address_hashes, normalize, normalize_sender
from consents.identity import create_address, current_address, target_of
from consents.ledger import Draft
from consents.models import (
    AddressAlias,
    ConsentEvent,
    ConsentState,
    ContactAddress,
    SubjectAddress,
    Suppression,
)


def address_known_as(
    *, sender_group_id: int, channel: str, hashes: Collection[str]
) -> ContactAddress | None:
    """The address whose holder the vendor knows by an alias with one of these hashes."""
    alias = (
        AddressAlias.objects.filter(
            sender_group_id=sender_group_id, channel=channel, alias_hash__in=list(hashes)
        )
        .select_related("address")
        .order_by("-pk")
        .first()
    )
    return alias.address if alias else None


def note_alias(*, address_id: int, alias: str, at: datetime) -> bool:
    """The vendor knows whoever is behind an address by ``alias`` too; False = that is no news.

    What they stopped under the alias counts for the address from now on, and so does the time
    for which they may be answered. Nothing is granted.
    """
    address = ContactAddress.objects.get(pk=address_id)
    normalized = normalize_sender(address.channel, alias)
    hashes = address_hashes(address.channel, normalized.value)
    known = AddressAlias.objects.filter(
        sender_group_id=address.sender_group_id,
        channel=address.channel,
        alias_hash__in=list(hashes),
    )
    if address.address_hash in hashes or known.filter(address=address).exists():
        return False
    with transaction.atomic():
        locks.lock_addresses([*hashes, address.address_hash])
        known.delete()
        AddressAlias.objects.create(
            sender_group_id=address.sender_group_id,
            channel=address.channel,
            alias_hash=next(iter(hashes)),
            address=address,
        )
        for before in _rows(address, hashes):
            _carry(_standing(before, only_refusals=True), address, at)
            if before.window_until is not None:
                rows = ContactAddress.objects.filter(pk=address.pk)
                rows.exclude(window_until__gte=before.window_until).update(
                    window_until=before.window_until
                )
    return True


def move_address(*, address_id: int, value: str, at: datetime) -> int:
    """The vendor gave an address another id (a group that grew); returns the row that it is now.

    The same people are behind it: who it belongs to, what was consented to and the account that
    knows it go along, and the old row ends. Raises AddressInvalid.
    """
    old = ContactAddress.objects.get(pk=address_id)
    normalized = normalize(old.channel, value)
    hashes = address_hashes(old.channel, normalized.value)
    if old.address_hash in hashes:
        return old.pk
    with transaction.atomic():
        locks.lock_addresses([*hashes, old.address_hash])
        new = current_address(
            sender_group_id=old.sender_group_id, channel=old.channel, hashes=hashes, at=at
        ) or create_address(
            sender_group_id=old.sender_group_id,
            channel=old.channel,
            normalized=normalized,
            hashes=hashes,
            origin=old.origin,
        )
        ContactAddress.objects.filter(pk=new.pk).update(
            bound_to=old.bound_to, verified_at=old.verified_at, verified_by=old.verified_by
        )
        _carry(_standing(old), new, at)
        links = SubjectAddress.objects.filter(address=old)
        for subject_id in links.values_list("subject_id", flat=True):
            SubjectAddress.objects.get_or_create(subject_id=subject_id, address=new)
        links.delete()
        ContactAddress.objects.filter(pk=old.pk, expires_at=None).update(expires_at=at)
    return new.pk


def _rows(address: ContactAddress, hashes: Iterable[str]) -> list[ContactAddress]:
    return list(
        ContactAddress.objects.filter(
            sender_group_id=address.sender_group_id,
            channel=address.channel,
            address_hash__in=list(hashes),
        )
    )


def _standing(address: ContactAddress, *, only_refusals: bool = False) -> set[UUID]:
    """The ledger rows that decide what may go to an address now."""
    same = {
        "sender_group_id": address.sender_group_id,
        "channel": address.channel,
        "address_hash": address.address_hash,
        "generation": address.generation,
    }
    states = ConsentState.objects.filter(**same)
    if only_refusals:
        states = states.filter(is_customer_refusal=True)
    stops = Suppression.objects.filter(**same)
    return {*states.values_list("event_id", flat=True), *stops.values_list("event_id", flat=True)}


def _carry(event_ids: Collection[UUID], address: ContactAddress, at: datetime) -> None:
    """Say for ``address`` what these ledger rows say."""
    target = target_of(address)
    drafts = [
        Draft(
            target=target,
            action=event.action,
            purpose=event.purpose,
            source=event.source,
            occurred_at=event.occurred_at,
            idempotency_key=f"carried:{address.pk}:{event.pk}",
            scope=event.scope,
            lawful_basis=event.lawful_basis,
            reason=event.reason,
            actor_type=event.actor_type,
            actor_id=event.actor_id,
            subject_ref=event.subject_ref,
            notice_version_id=event.notice_version_id,
            language=event.language,
            jurisdiction=event.jurisdiction,
            policy_version=event.policy_version,
            valid_until=event.valid_until,
            # a grant nobody could show before is no better proved for being carried
            evidence={"carried_from": str(event.pk)} if event.evidence_id else None,
        )
        for event in ConsentEvent.objects.filter(pk__in=list(event_ids)).order_by("sequence")
    ]
    if drafts:
        ledger.append(drafts, now=at)
