"""Which row an address is: one per channel, hash and generation, continued across erasure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from django.db import transaction
from django.db.models import Max

from consents import locks
from consents.addresses import Normalized, address_hashes, normalize
from consents.ledger import Target
from consents.models import ConsentEvent, ContactAddress, Suppression


def target_of(address: ContactAddress) -> Target:
    """The ledger's name of an address row."""
    return Target(
        sender_group_id=address.sender_group_id,
        channel=address.channel,
        address_hash=address.address_hash,
        pepper_version=address.pepper_version,
        generation=address.generation,
    )


def create_address(
    *,
    sender_group_id: int,
    channel: str,
    normalized: Normalized,
    hashes: Mapping[str, int],
    origin: str,
) -> ContactAddress:
    """A new current row of an address whose lock is held.

    It continues what the ledger knows: an address whose row was erased keeps its hash, its
    generation and so its suppressions; one that changed hands or expired starts a new generation.
    """
    digest, version, generation = _identity(sender_group_id, channel, hashes)
    address, _ = ContactAddress.objects.get_or_create(
        sender_group_id=sender_group_id,
        channel=channel,
        address_hash=digest,
        generation=generation,
        defaults={
            "value": normalized.value,
            "masked": normalized.masked,
            "pepper_version": version,
            "region": normalized.region,
            "origin": origin,
        },
    )
    return address


def _identity(
    sender_group_id: int, channel: str, hashes: Mapping[str, int]
) -> tuple[str, int, int]:
    """Hash, pepper version and generation of the next row of an address."""
    same = {"sender_group_id": sender_group_id, "address_hash__in": list(hashes)}
    rows = ContactAddress.objects.filter(**same, channel=channel)
    last = rows.order_by("-generation").first()
    event = ConsentEvent.objects.filter(**same).order_by("-generation", "-sequence").first()
    digest = last.address_hash if last else event.address_hash if event else next(iter(hashes))
    in_ledger = ConsentEvent.objects.filter(**same).aggregate(top=Max("generation"))["top"]
    generation = max(last.generation + 1 if last else 1, in_ledger or 1)
    changed_hands = Suppression.objects.filter(
        **same, generation=generation, reason="reassigned"
    ).exists()
    return digest, hashes[digest], generation + (1 if changed_hands else 0)


def current_address(
    *, sender_group_id: int, channel: str, hashes: Iterable[str], at: datetime
) -> ContactAddress | None:
    """The row of the address as it is now; None when there is none or it ended."""
    last = (
        ContactAddress.objects.filter(
            sender_group_id=sender_group_id, channel=channel, address_hash__in=list(hashes)
        )
        .order_by("-generation")
        .first()
    )
    if last is None or (last.expires_at is not None and last.expires_at <= at):
        return None
    return last


def find_or_create_address(
    *, sender_group_id: int, channel: str, value: str, region: str, origin: str, at: datetime
) -> ContactAddress:
    """The row of an address somebody typed, made when there is none; raises AddressInvalid.

    ``region`` completes national numbers.
    """
    normalized = normalize(channel, value, region)
    hashes = address_hashes(channel, normalized.value)
    with transaction.atomic():
        locks.lock_addresses(hashes)
        known = current_address(
            sender_group_id=sender_group_id, channel=channel, hashes=hashes, at=at
        )
        return known or create_address(
            sender_group_id=sender_group_id,
            channel=channel,
            normalized=normalized,
            hashes=hashes,
            origin=origin,
        )
