"""What staff do about one address: look at it, and write down what somebody said.

Staff relay; they never lift. A grant becomes what the ledger makes of it: ``pending`` without a
scan, or against the person's own no; a mailbox is asked itself (double opt-in).
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import QuerySet

from consents import opt_ins, services
from consents.models import (
    AddressReveal,
    ConsentAction,
    ConsentEvent,
    ConsentEvidence,
    ContactAddress,
    Purpose,
    SenderGroup,
    Subject,
)
from consents.scans import kind_of

#: what a person of the staff may write down
SAYABLE = (
    ConsentAction.DENIED,
    ConsentAction.WITHDRAWN,
    ConsentAction.SUPPRESSED,
    ConsentAction.GRANTED,
)
SOURCE = "staff"


def reveal_address(*, address_id: int, by: str, why: str, now: datetime) -> str:
    """The whole number or mailbox, once, with who looked and why on record.

    Raises ValueError without a reason.
    """
    if len(why.strip()) < 3:
        raise ValueError("a reason is needed")
    address = ContactAddress.objects.get(pk=address_id)
    _note_look(address, by, why, now)
    return str(address.value)


def _note_look(address: ContactAddress | None, by: str, why: str, now: datetime) -> None:
    AddressReveal.objects.create(
        address=address,
        masked=address.masked if address else "",
        seen_by=by[:150],
        seen_at=now,
        why=why.strip()[:200],
    )


def record_by_staff(
    *,
    address_id: int,
    action: str,
    purpose: str,
    by: str,
    note: str,
    occurred_at: datetime,
    now: datetime,
    scan: bytes | None = None,
    nonce: str = "",
) -> ConsentEvent | None:
    """Write down what somebody said to the staff; the row it became, None when a mailbox is asked.

    ``nonce`` names the form, so that pressing twice records once. Raises ScanRefused, and
    ValueError for an action that is not staff's to say. ``withdrawn`` and ``denied`` are about
    ``purpose``; ``suppressed`` is about the whole channel.
    """
    if action not in SAYABLE:
        raise ValueError(f"staff do not say {action}")
    if scan is not None:
        kind_of(scan)
    address = ContactAddress.objects.defer("value").get(pk=address_id)
    if action == ConsentAction.GRANTED and address.channel == "email":
        _ask_mailbox(address, purpose, note, now)
        return None
    key = f"staff:{address.public_id}:{nonce or uuid4().hex}"
    has_proof = scan is not None
    with transaction.atomic():
        recorded = services.record_consent(
            address_id=address.pk,
            purpose=purpose,
            action=action,
            source=SOURCE,
            occurred_at=occurred_at,
            now=now,
            idempotency_key=key,
            scope="channel" if action == ConsentAction.SUPPRESSED else "category",
            reason="staff" if action == ConsentAction.SUPPRESSED else "user",
            actor_type="staff",
            actor_id=by[:80],
            # words without paper are no proof of a grant; they are no proof against a refusal
            evidence={"note": note[:500]} if has_proof or action != "granted" else None,
        )
        if scan is not None and recorded.is_new and recorded.event.evidence_id:
            ConsentEvidence.objects.filter(pk=recorded.event.evidence_id).update(scan=scan)
    return recorded.event


def _ask_mailbox(address: ContactAddress, purpose: str, note: str, now: datetime) -> None:
    groups = SenderGroup.objects.filter(pk=address.sender_group_id).exclude(restaurant=None)
    restaurant = groups.values_list("restaurant__pk", "restaurant__language").first()
    if restaurant is None:
        raise ValueError("this seller has no restaurant that could ask")
    opt_ins.open_opt_in(
        address_id=address.pk,
        restaurant_ref=restaurant[0],
        purposes=[purpose],
        source=SOURCE,
        language=restaurant[1],
        now=now,
        evidence={"note": note[:500]},
    )


def scans_behind(event: ConsentEvent) -> QuerySet[ConsentEvidence]:
    """The proof of a row, where it has a scan."""
    rows = ConsentEvidence.objects.exclude(scan=None)
    return rows.filter(pk=event.evidence_id) if event.evidence_id else rows.none()


def scan_of(*, event: ConsentEvent, by: str, now: datetime) -> tuple[bytes, str, str] | None:
    """(bytes, media type, file name) of the paper behind a row, the look on record; None = none."""
    proof = scans_behind(event).first()
    if proof is None or proof.scan is None:
        return None
    data = bytes(proof.scan)
    kind, ending = kind_of(data)
    address = ContactAddress.objects.filter(
        sender_group=event.sender_group_id,
        channel=event.channel,
        address_hash=event.address_hash,
        generation=event.generation,
    )
    _note_look(address.defer("value").first(), by, "the scanned consent", now)
    return data, kind, f"consent-{event.sequence}.{ending}"


def require_reach(*, subject_id: UUID, required: bool) -> None:
    """Whether somebody of the staff holds a role that must be reached (shift lead)."""
    Subject.objects.filter(pk=subject_id, kind="staff").update(must_be_reached=required)


def purposes() -> list[str]:
    """What staff may write consents about."""
    return [str(p) for p in (Purpose.ORDER_UPDATES, Purpose.MARKETING, Purpose.FEEDBACK)]
