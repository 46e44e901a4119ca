"""Stopping by link: no login, no question, and nothing but less contact."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction

from consents import locks, services
from consents.derivation import CHANNEL_WIDE, CUSTOMER_REASONS
from consents.link_tokens import UnsubscribeLink
from consents.models import ConsentState, ContactAddress, Suppression

#: the sources a link's stop may come from: a mail program's button, our page
ONE_CLICK, PORTAL = "one_click", "portal"


def address_of(link: UnsubscribeLink) -> ContactAddress | None:
    """The address a link is about; None when it was erased."""
    rows = ContactAddress.objects.defer("value").select_related("sender_group")
    return rows.filter(public_id=link.address).first()


@transaction.atomic
def unsubscribe(link: UnsubscribeLink, *, everything: bool, source: str, now: datetime) -> bool:
    """Stop the link's purpose at its address, or everything there. False = it was stopped already.

    Pressed again it writes nothing; pressed after the person had come back, it stops again.
    """
    address = address_of(link)
    if address is None:
        return False
    proof = {"how": source, "attempt": str(link.attempt_id)}
    if everything:
        return stop_everything(address=address, source=source, now=now, evidence=proof)
    locks.lock_address(address.address_hash)
    if _stopped(address, CHANNEL_WIDE) or _is_refused(address, link.purpose):
        return False
    services.withdraw(
        address_id=address.pk,
        source=source,
        occurred_at=now,
        now=now,
        idempotency_key=f"unsubscribe:{uuid4()}",
        scope="category",
        purpose=link.purpose,
        evidence=proof,
    )
    return True


@transaction.atomic
def stop_everything(
    *,
    address: ContactAddress,
    source: str,
    now: datetime,
    subject_id: UUID | None = None,
    evidence: Mapping[str, Any] | None = None,
) -> bool:
    """Stop all purposes on every channel that reaches the address. False = stopped already."""
    locks.lock_address(address.address_hash)
    if _stopped(address, {"all"}):
        return False
    services.withdraw(
        address_id=address.pk,
        source=source,
        occurred_at=now,
        now=now,
        idempotency_key=f"stop-everything:{uuid4()}",
        scope="all",
        subject_id=subject_id,
        evidence=evidence,
    )
    return True


def _stopped(address: ContactAddress, scopes: frozenset[str] | set[str]) -> bool:
    return Suppression.objects.filter(
        sender_group_id=address.sender_group_id,
        address_hash=address.address_hash,
        generation=address.generation,
        channel=address.channel,
        scope__in=scopes,
        reason__in=CUSTOMER_REASONS,
    ).exists()


def _is_refused(address: ContactAddress, purpose: str) -> bool:
    return ConsentState.objects.filter(
        sender_group_id=address.sender_group_id,
        address_hash=address.address_hash,
        generation=address.generation,
        channel=address.channel,
        purpose=purpose,
        is_customer_refusal=True,
        state__in=("withdrawn", "denied"),
    ).exists()
