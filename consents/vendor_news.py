"""What vendors tell us about addresses: blocked, unsubscribed, complained, nobody there."""

from __future__ import annotations

from datetime import datetime

from consents import ledger
from consents.addresses import AddressInvalid, address_hashes, normalize_sender
from consents.contacts import target_of
from consents.ledger import Draft
from consents.models import ConsentAction, ContactAddress, Purpose


def find_address(
    *, sender_group_id: int, channel: str, value: str, region: str = ""
) -> ContactAddress | None:
    """The newest generation of an address as a vendor writes it; None when it is unknown."""
    try:
        normalized = normalize_sender(channel, value, region)
    except AddressInvalid:
        return None
    return (
        ContactAddress.objects.filter(
            sender_group_id=sender_group_id,
            channel=channel,
            address_hash__in=list(address_hashes(channel, normalized.value)),
        )
        .order_by("-generation")
        .first()
    )


def record_vendor_opt_out(
    *, address_id: int, idempotency_key: str, at: datetime, reason: str = "carrier"
) -> None:
    """A vendor or carrier says this address stopped us: suppress the whole channel.

    ``reason``: carrier (it blocks), user (the person unsubscribed there) or complaint. The same
    key again changes nothing.
    """
    address = ContactAddress.objects.get(pk=address_id)
    ledger.append(
        [
            Draft(
                target=target_of(address),
                action=ConsentAction.SUPPRESSED,
                purpose=Purpose.ORDER_UPDATES,
                source="provider_webhook",
                occurred_at=at,
                idempotency_key=idempotency_key[:200],
                scope="channel",
                reason=reason,
                actor_type="customer" if reason in ("user", "complaint") else "vendor",
            )
        ],
        now=at,
    )


def mark_unreachable(*, address_id: int, at: datetime) -> None:
    """Nobody is there (a dead number or token): a fact about reachability, not about consent."""
    ContactAddress.objects.filter(pk=address_id, unreachable_at__isnull=True).update(
        unreachable_at=at
    )
