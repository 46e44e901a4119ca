"""What vendors tell us about addresses: blocked, unsubscribed, complained, nobody there."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from consents import known_as, ledger, locks
from consents.addresses import AddressInvalid, address_hashes, normalize_sender
from consents.contacts import target_of
from consents.identity import create_address
from consents.ledger import Draft
from consents.models import AddressOrigin, ConsentAction, ContactAddress, Purpose


def find_address(
    *, sender_group_id: int, channel: str, value: str, region: str = ""
) -> ContactAddress | None:
    """The newest generation of an address as a vendor writes it; None when it is unknown.

    Of an alias it is the address of the person the vendor means by it.
    """
    try:
        normalized = normalize_sender(channel, value, region)
    except AddressInvalid:
        return None
    hashes = address_hashes(channel, normalized.value)
    meant = known_as.address_known_as(
        sender_group_id=sender_group_id, channel=channel, hashes=hashes
    )
    return meant or (
        ContactAddress.objects.filter(
            sender_group_id=sender_group_id, channel=channel, address_hash__in=list(hashes)
        )
        .order_by("-generation")
        .first()
    )


def record_vendor_opt_out(
    *,
    address_id: int,
    idempotency_key: str,
    at: datetime,
    reason: str = "carrier",
    purpose: str = "",
) -> None:
    """A vendor or carrier says this address stopped us: suppress ``purpose`` ("" = the channel).

    ``reason``: carrier (it blocks), user (the person unsubscribed there) or complaint. The same
    key again changes nothing.
    """
    address = ContactAddress.objects.get(pk=address_id)
    ledger.append(
        [
            Draft(
                target=target_of(address),
                action=ConsentAction.SUPPRESSED,
                purpose=purpose or Purpose.ORDER_UPDATES,
                source="provider_webhook",
                occurred_at=at,
                idempotency_key=idempotency_key[:200],
                scope="category" if purpose else "channel",
                reason=reason,
                actor_type="customer" if reason in ("user", "complaint") else "vendor",
            )
        ],
        now=at,
    )


def record_choice_at_vendor(
    *,
    sender_group_id: int,
    channel: str,
    value: str,
    region: str,
    purpose: str,
    is_stopped: bool,
    at: datetime,
    now: datetime,
    idempotency_key: str,
) -> None:
    """What a person chose about one purpose in the vendor's own settings, known to us or not.

    Taking such a stop back ends what the vendor told us of it and nothing they said elsewhere; it
    grants nothing.
    """
    address = find_address(
        sender_group_id=sender_group_id, channel=channel, value=value, region=region
    )
    with transaction.atomic():
        if address is None:
            if not is_stopped:
                return
            address = _new_address(sender_group_id, channel, value, region)
        if is_stopped:
            record_vendor_opt_out(
                address_id=address.pk,
                idempotency_key=idempotency_key,
                at=at,
                reason="user",
                purpose=purpose,
            )
            return
        lifted = Draft(
            target=target_of(address),
            action=ConsentAction.LIFTED,
            purpose=purpose,
            source="provider_webhook",
            occurred_at=at,
            idempotency_key=idempotency_key[:200],
            scope="category",
        )
        ledger.append([lifted], now=now)


def _new_address(sender_group_id: int, channel: str, value: str, region: str) -> ContactAddress:
    """A row for somebody we have not written to yet: their no counts from the first message."""
    normalized = normalize_sender(channel, value, region)
    hashes = address_hashes(channel, normalized.value)
    locks.lock_addresses(hashes)
    return create_address(
        sender_group_id=sender_group_id,
        channel=channel,
        normalized=normalized,
        hashes=hashes,
        origin=AddressOrigin.CUSTOMER,
    )


def mark_unreachable(*, address_id: int, at: datetime) -> None:
    """Nobody is there (a dead number or token): a fact about reachability, not about consent."""
    ContactAddress.objects.filter(pk=address_id, unreachable_at__isnull=True).update(
        unreachable_at=at
    )
