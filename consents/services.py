"""Everything that changes consent. Each function is one transaction; the ledger comes first.

Who may say what: the customer's own no ends only by the customer's own hand. What staff, a POS or
the API say against it is written down as ``pending`` (so that it can be shown) and refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from consents import derivation, ledger, locks
from consents.addresses import shared_channels
from consents.contacts import ASK, GIVEN_WITH_ORDER, Contacts, resolve_customer
from consents.identity import target_of
from consents.inbound import WordsOutcome, handle_inbound_words
from consents.ledger import Draft
from consents.models import ConsentAction, ContactAddress, InboxItem, Purpose
from consents.recording import Recorded, record

__all__ = [
    "ASK",
    "GIVEN_WITH_ORDER",
    "Contacts",
    "NotTheirsToSay",
    "Recorded",
    "WordsOutcome",
    "bind_address",
    "confirm_carrier",
    "expire_addresses",
    "handle_inbound_words",
    "lift",
    "mark_reachable",
    "mark_unreachable",
    "open_window",
    "raise_phone_customer",
    "reassign_number",
    "record_consent",
    "resolve_customer",
    "verify_address",
    "withdraw",
    "withdraw_everything",
]


class NotTheirsToSay(Exception):
    """The speaker may not make this statement about an address that refused us."""


def record_consent(
    *,
    address_id: int,
    purpose: str,
    action: str,
    source: str,
    occurred_at: datetime,
    now: datetime,
    idempotency_key: str,
    scope: str = "category",
    lawful_basis: str = "consent",
    reason: str = "user",
    actor_type: str = "customer",
    actor_id: str = "",
    subject_id: UUID | None = None,
    notice_version_id: int | None = None,
    language: str = "",
    jurisdiction: str = "",
    policy_version: str = "",
    valid_until: datetime | None = None,
    supersedes: UUID | None = None,
    evidence: Mapping[str, Any] | None = None,
) -> Recorded:
    """Record one statement about one address. See ``Recorded`` for what may become of it.

    ``source`` and ``actor_type`` come from the interface that was used, never from its caller:
    they decide whether the statement counts as the customer's own hand.
    """
    address = ContactAddress.objects.defer("value").get(pk=address_id)
    draft = Draft(
        target=target_of(address),
        action=action,
        purpose=purpose,
        source=source,
        occurred_at=occurred_at,
        idempotency_key=idempotency_key,
        scope=scope,
        lawful_basis=lawful_basis,
        reason=reason,
        actor_type=actor_type,
        actor_id=actor_id,
        subject_ref=subject_id,
        notice_version_id=notice_version_id,
        language=language,
        jurisdiction=jurisdiction,
        policy_version=policy_version,
        valid_until=valid_until,
        supersedes=supersedes,
        evidence=evidence,
    )
    with transaction.atomic():
        recorded = record(draft, now=now)
        if recorded.is_new and recorded.event.action == ConsentAction.CONFIRMED:
            verify_address(address_id=address_id, at=now, by=source)
    return recorded


def withdraw(
    *,
    address_id: int,
    source: str,
    occurred_at: datetime,
    now: datetime,
    idempotency_key: str,
    scope: str = "channel",
    purpose: str = Purpose.ORDER_UPDATES,
    reason: str = "user",
    actor_type: str = "customer",
    actor_id: str = "",
    subject_id: UUID | None = None,
    evidence: Mapping[str, Any] | None = None,
) -> Recorded:
    """End contact in ``scope``: "category" (of ``purpose``), "channel", "order:<uuid>" or "all".

    "all" covers every channel that dials the same address. Reason user or staff is a withdrawal;
    the others (complaint, hard_bounce, carrier, unreachable, legal) are suppressions. Queued
    messages are cancelled by the receivers of ``addresses_withdrawn`` in the same transaction.
    """
    address = ContactAddress.objects.defer("value").get(pk=address_id)
    is_said = reason in ("user", "staff")
    drafts = [
        Draft(
            target=target_of(row),
            action=ConsentAction.WITHDRAWN if is_said else ConsentAction.SUPPRESSED,
            purpose=purpose,
            source=source,
            occurred_at=occurred_at,
            idempotency_key=idempotency_key
            if row == address
            else f"{idempotency_key}:{row.channel}",
            scope=scope,
            reason=reason,
            actor_type=actor_type,
            actor_id=actor_id,
            subject_ref=subject_id,
            evidence=evidence if row == address else None,
        )
        for row in ([address, *_siblings(address)] if scope == "all" else [address])
    ]
    appended = ledger.append(drafts, now=now)
    return Recorded(appended.events[0], idempotency_key in appended.new_keys, is_refused=False)


def _siblings(address: ContactAddress) -> list[ContactAddress]:
    """The same number on its other channels."""
    others = [c for c in shared_channels(address.channel) if c != address.channel]
    return list(
        ContactAddress.objects.defer("value").filter(
            sender_group_id=address.sender_group_id,
            address_hash=address.address_hash,
            generation=address.generation,
            channel__in=others,
        )
    )


def withdraw_everything(
    *,
    address_ids: Iterable[int],
    source: str,
    occurred_at: datetime,
    now: datetime,
    idempotency_key: str,
    subject_id: UUID | None = None,
) -> list[Recorded]:
    """Stop everything at several addresses of one person, all or none."""
    addresses = list(ContactAddress.objects.defer("value").filter(pk__in=set(address_ids)))
    with transaction.atomic():
        locks.lock_addresses(address.address_hash for address in addresses)
        return [
            withdraw(
                address_id=address.pk,
                source=source,
                occurred_at=occurred_at,
                now=now,
                idempotency_key=f"{idempotency_key}:{address.public_id}",
                scope="all",
                subject_id=subject_id,
            )
            for address in addresses
        ]


def lift(
    *,
    address_id: int,
    source: str,
    occurred_at: datetime,
    now: datetime,
    idempotency_key: str,
    purposes: Iterable[str] = (Purpose.ORDER_UPDATES,),
    actor_type: str = "customer",
    actor_id: str = "",
    subject_id: UUID | None = None,
    notice_version_id: int | None = None,
    evidence: Mapping[str, Any] | None = None,
) -> Recorded:
    """End the suppression of a channel and grant ``purposes`` again.

    Refused (with an audit row, and no grants) unless the speaker may lift it. After a lift on the
    portal the carrier may still block SMS: states then carry carrier_block "pending" until
    ``confirm_carrier`` or a START from the handset.
    """
    address = ContactAddress.objects.defer("value").get(pk=address_id)
    common: dict[str, Any] = {
        "target": target_of(address),
        "source": source,
        "occurred_at": occurred_at,
        "actor_type": actor_type,
        "actor_id": actor_id,
        "subject_ref": subject_id,
        "notice_version_id": notice_version_id,
        "evidence": evidence,
    }
    with transaction.atomic():
        recorded = record(
            Draft(
                **common,
                action=ConsentAction.LIFTED,
                purpose=Purpose.ORDER_UPDATES,
                scope="channel",
                idempotency_key=idempotency_key,
            ),
            now=now,
        )
        if not recorded.is_refused:
            for purpose in purposes:
                record(
                    Draft(
                        **common,
                        action=ConsentAction.GRANTED,
                        purpose=purpose,
                        idempotency_key=f"{idempotency_key}:{purpose}",
                    ),
                    now=now,
                )
    return recorded


def confirm_carrier(*, address_id: int, now: datetime, idempotency_key: str) -> Recorded:
    """The carrier lets messages through again (it accepted the opt-in we pushed)."""
    return record_consent(
        address_id=address_id,
        purpose=Purpose.ORDER_UPDATES,
        action=ConsentAction.LIFTED,
        scope="channel",
        reason="carrier",
        source="provider_webhook",
        actor_type="provider",
        occurred_at=now,
        now=now,
        idempotency_key=idempotency_key,
    )


def reassign_number(
    *,
    address_id: int,
    source: str,
    occurred_at: datetime,
    now: datetime,
    idempotency_key: str,
    actor_type: str = "system",
    actor_id: str = "",
    evidence: Mapping[str, Any] | None = None,
) -> None:
    """The number has a new holder: what the old one said no longer counts for or against them.

    The old generation is suppressed for good and its rows end; the next contact starts a new
    generation with nothing. People cannot use this to get around a customer's no: only a
    registry's or the new holder's own signal may be recorded then, else raises NotTheirsToSay.
    """
    address = ContactAddress.objects.defer("value").get(pk=address_id)
    rows = [address, *_siblings(address)]
    with transaction.atomic():
        locks.lock_address(address.address_hash)
        events = ledger.chain(address.sender_group_id, address.address_hash)
        before = derivation.derive(ledger.fact_of(event) for event in events)
        if source in ("staff", "api", "pos_import") and any(
            generation == address.generation and row.reason in derivation.CUSTOMER_REASONS
            for (generation, _, _), row in before.suppressions.items()
        ):
            raise NotTheirsToSay("a customer's stop ends only by the customer's own hand")
        ledger.append(
            [
                Draft(
                    target=target_of(row),
                    action=ConsentAction.SUPPRESSED,
                    purpose=Purpose.ORDER_UPDATES,
                    source=source,
                    occurred_at=occurred_at,
                    idempotency_key=f"{idempotency_key}:{row.channel}",
                    scope="all",
                    reason="reassigned",
                    actor_type=actor_type,
                    actor_id=actor_id,
                    evidence=evidence if row == address else None,
                )
                for row in rows
            ],
            now=now,
        )
        expire_addresses(address_ids=[row.pk for row in rows], at=now)


def expire_addresses(*, address_ids: Iterable[int], at: datetime) -> None:
    """These rows end (a relay's order closed, a number changed hands); they inherit nothing on."""
    ContactAddress.objects.filter(pk__in=list(address_ids), expires_at=None).update(expires_at=at)


def mark_unreachable(*, address_id: int, at: datetime) -> None:
    """The vendor says nobody is there (dead token, blocked bot). Not a consent matter."""
    ContactAddress.objects.filter(pk=address_id, unreachable_at=None).update(unreachable_at=at)


def mark_reachable(*, address_id: int) -> None:
    """Somebody is there again; what they consented to is as it was."""
    ContactAddress.objects.filter(pk=address_id).update(unreachable_at=None)


def open_window(*, address_id: int, until: datetime) -> None:
    """The person wrote to us: a chat app lets us answer freely until then. Never shortened."""
    rows = ContactAddress.objects.filter(pk=address_id)
    rows.exclude(window_until__gte=until).update(window_until=until)


def bind_address(*, address_id: int, to: str) -> None:
    """Only this provider account (its token) knows the address: a bot's chat, an app's device."""
    ContactAddress.objects.filter(pk=address_id).exclude(bound_to=to).update(bound_to=to)


def verify_address(*, address_id: int, at: datetime, by: str) -> None:
    """Whoever uses this address has proved it; the first proof counts."""
    ContactAddress.objects.filter(pk=address_id, verified_at=None).update(
        verified_at=at, verified_by=by[:40]
    )


def raise_phone_customer(
    *,
    sender_group_id: int,
    channel: str,
    order_ref: UUID,
    at: datetime,
    address_id: int | None = None,
) -> InboxItem:
    """No channel is left for a critical message: staff must phone. Once per order while open."""
    item, _ = InboxItem.objects.get_or_create(
        sender_group_id=sender_group_id,
        order_ref=order_ref,
        topic="phone_customer",
        settled_at=None,
        defaults={"channel": channel, "address_id": address_id, "received_at": at},
    )
    return item
