"""The append-only ledger: adding rows, keeping what is derived in step, proving nothing is missing.

Every (sender group, address hash) has a chain of its own: each row carries the hash of the row
before it, so a changed or missing row shows, without one lock for all addresses. Appending takes
the exclusive lock of the address; after it, derived rows equal a replay of the whole chain.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from consents import derivation, locks
from consents.derivation import Derived, LedgerFact
from consents.models import ConsentEvent, ConsentEvidence, ConsentState, Suppression
from consents.signals import addresses_withdrawn, choices_recorded

#: evidence is personal data: kept with its consent, at most this long
EVIDENCE_KEPT = timedelta(days=5 * 365)
STATE_FIELDS = (
    *("state", "is_customer_refusal", "carrier_block", "event_id", "since", "valid_until"),
)
SUPPRESSION_FIELDS = ("reason", "event_id", "since")
_HASHED = tuple(f.attname for f in ConsentEvent._meta.concrete_fields if f.name != "row_hash")


@dataclass(frozen=True, slots=True)
class Target:
    """One address on one channel, as the ledger names it: no value, no name."""

    sender_group_id: int
    channel: str
    address_hash: str
    pepper_version: int = 1
    generation: int = 1


@dataclass(frozen=True, slots=True)
class Draft:
    """A ledger row about to be written."""

    target: Target
    action: str
    purpose: str
    source: str
    occurred_at: datetime
    idempotency_key: str
    scope: str = "category"
    lawful_basis: str = "consent"
    reason: str = "user"
    actor_type: str = "customer"
    actor_id: str = ""
    subject_ref: UUID | None = None
    notice_version_id: int | None = None
    language: str = ""
    jurisdiction: str = ""
    policy_version: str = ""
    valid_until: datetime | None = None
    supersedes: UUID | None = None
    #: the deletable proof: raw words, IP, form
    evidence: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """What an append did. ``events`` are the rows of the drafts, old or new, in their order."""

    events: tuple[ConsentEvent, ...]
    new_keys: frozenset[str]
    before: Derived
    after: Derived


@dataclass(frozen=True, slots=True)
class Break:
    """A place where a chain does not hold."""

    sender_group_id: int
    address_hash: str
    sequence: int
    what: str


def genesis(sender_group_id: int, address_hash: str) -> str:
    """What the first row of a chain names as its predecessor."""
    return hashlib.sha256(f"{sender_group_id}|{address_hash}".encode()).hexdigest()


def row_hash(event: ConsentEvent) -> str:
    """SHA-256 over every column but itself, in one canonical form."""
    values = {name: _plain(getattr(event, name)) for name in _HASHED}
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def fitting_key(key: str) -> str:
    """``key``, or a digest of it where the column is too short for a vendor's long ids."""
    return key if len(key) <= 200 else hashlib.sha256(key.encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return str(value) if isinstance(value, UUID) else value


def fact_of(event: ConsentEvent) -> LedgerFact:
    """The part of a row that decides about state."""
    return LedgerFact(
        id=event.id,
        sequence=event.sequence,
        channel=event.channel,
        generation=event.generation,
        purpose=event.purpose,
        action=event.action,
        scope=event.scope,
        reason=event.reason,
        source=event.source,
        actor_type=event.actor_type,
        occurred_at=event.occurred_at,
        recorded_at=event.recorded_at,
        valid_until=event.valid_until,
        has_notice=event.notice_version_id is not None,
        has_evidence=event.evidence_id is not None,
        supersedes=event.supersedes,
    )


def chain(sender_group_id: int, address_hash: str) -> list[ConsentEvent]:
    """All rows of one address, oldest first."""
    return list(
        ConsentEvent.objects.filter(
            sender_group_id=sender_group_id, address_hash=address_hash
        ).order_by("sequence")
    )


def append(
    drafts: Iterable[Draft],
    *,
    now: datetime,
    amend: Callable[[Draft, Derived], Draft] | None = None,
) -> Appended:
    """Write ``drafts`` (all of one address) and bring the derived rows up to date.

    One transaction under the exclusive lock of the address. A draft whose idempotency key is in
    the ledger writes nothing. ``amend`` sees each new draft with the state before it. Announces
    every new restriction before it returns.
    """
    wanted = list(drafts)
    first = wanted[0].target
    if any(
        (d.target.sender_group_id, d.target.address_hash)
        != (first.sender_group_id, first.address_hash)
        for d in wanted
    ):
        raise ValueError("one append is about one address")
    with transaction.atomic():
        locks.lock_address(first.address_hash)
        events = chain(first.sender_group_id, first.address_hash)
        before = derivation.derive(fact_of(e) for e in events)
        known = {event.idempotency_key: event for event in events}
        unsaid = [d for d in wanted if fitting_key(d.idempotency_key) not in known]
        new_keys = frozenset(draft.idempotency_key for draft in unsaid)
        if amend is not None:
            unsaid = [amend(draft, before) for draft in unsaid]
        new = _insert(unsaid, events, now)
        after = before
        if new:
            known |= {event.idempotency_key: event for event in new}
            after = refresh(first.sender_group_id, first.address_hash, [*events, *new])
            announce(new, after)
    return Appended(
        tuple(known[fitting_key(d.idempotency_key)] for d in wanted),
        new_keys,
        before,
        after,
    )


def _insert(drafts: list[Draft], events: list[ConsentEvent], now: datetime) -> list[ConsentEvent]:
    if not drafts:
        return []
    first = drafts[0].target
    head = events[-1].row_hash if events else genesis(first.sender_group_id, first.address_hash)
    rows: list[ConsentEvent] = []
    proofs: list[ConsentEvidence] = []
    for draft, sequence in zip(drafts, take_sequences(len(drafts)), strict=True):
        row = row_of(draft, sequence, now)
        if draft.evidence is not None:
            proof = ConsentEvidence(detail=dict(draft.evidence), delete_after=now + EVIDENCE_KEPT)
            proofs.append(proof)
            row.evidence_id = proof.id
        row.prev_hash = head
        head = row.row_hash = row_hash(row)
        rows.append(row)
    if proofs:
        ConsentEvidence.objects.bulk_create(proofs)
    ConsentEvent.objects.bulk_create(rows)
    return rows


def row_of(draft: Draft, sequence: int, now: datetime) -> ConsentEvent:
    """The row of ``draft``, without its proof and its place in the chain."""
    return ConsentEvent(
        sequence=sequence,
        sender_group_id=draft.target.sender_group_id,
        subject_ref=draft.subject_ref,
        address_hash=draft.target.address_hash,
        pepper_version=draft.target.pepper_version,
        generation=draft.target.generation,
        channel=draft.target.channel,
        purpose=str(draft.purpose),
        action=str(draft.action),
        scope=draft.scope,
        lawful_basis=draft.lawful_basis,
        reason=draft.reason,
        source=draft.source,
        notice_version_id=draft.notice_version_id,
        language=draft.language[:10],
        jurisdiction=draft.jurisdiction,
        policy_version=draft.policy_version[:40],
        actor_type=draft.actor_type,
        actor_id=draft.actor_id,
        occurred_at=draft.occurred_at,
        recorded_at=now,
        valid_until=draft.valid_until,
        idempotency_key=fitting_key(draft.idempotency_key),
        supersedes=draft.supersedes,
    )


def take_sequences(count: int) -> list[int]:
    """The next ``count`` numbers of the ledger, ascending.

    A checkpoint waits for everybody who has numbers and has not committed.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH gate AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared(%s))"
            " SELECT nextval('consents_consentevent_sequence') FROM gate, generate_series(1, %s)",
            [locks.LEDGER_GATE, count],
        )
        return sorted(row[0] for row in cursor.fetchall())


def announce(new: list[ConsentEvent], after: Derived) -> None:
    """Tell the apps above of new rows of one address: what was restricted, what was chosen."""
    for event in new:
        if event.action not in derivation.RESTRICTIVE or event.action == "erased":
            continue
        scope = derivation.suppression_scope(event.scope, event.purpose)
        state = after.states.get((event.generation, event.channel, event.purpose))
        is_refused = state is not None and state.state in ("withdrawn", "denied")
        if (event.generation, event.channel, scope) in after.suppressions or is_refused:
            addresses_withdrawn.send(
                sender=ConsentEvent,
                sender_group_id=event.sender_group_id,
                channel=event.channel,
                address_hash=event.address_hash,
                generation=event.generation,
                scope=scope,
                at=event.recorded_at,
            )
    if choices := tuple(event for event in new if derivation.is_choice(fact_of(event))):
        choices_recorded.send(sender=ConsentEvent, events=choices)


def state_rows(key: dict[str, Any], derived: Derived) -> dict[Any, ConsentState]:
    """What the states of one address are to be, by (generation, channel, purpose)."""
    return {
        (generation, channel, purpose): ConsentState(
            **key,
            generation=generation,
            channel=channel,
            purpose=purpose,
            **{name: getattr(state, name) for name in STATE_FIELDS},
        )
        for (generation, channel, purpose), state in derived.states.items()
    }


def suppression_rows(key: dict[str, Any], derived: Derived) -> dict[Any, Suppression]:
    """What the suppressions of one address are to be, by (generation, channel, scope)."""
    return {
        (generation, channel, scope): Suppression(
            **key,
            generation=generation,
            channel=channel,
            scope=scope,
            **{name: getattr(row, name) for name in SUPPRESSION_FIELDS},
        )
        for (generation, channel, scope), row in derived.suppressions.items()
    }


def differing(wanted: dict[Any, Any], stored: dict[Any, Any], fields: Iterable[str]) -> list[Any]:
    """The wanted rows that are not stored as they should be."""
    return [
        row
        for name, row in wanted.items()
        if name not in stored or any(getattr(row, f) != getattr(stored[name], f) for f in fields)
    ]


def save_states(rows: list[ConsentState]) -> None:
    """Insert or correct derived states; one statement, none for no rows."""
    if rows:
        ConsentState.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["sender_group", "address_hash", "generation", "channel", "purpose"],
            update_fields=STATE_FIELDS,
        )


def save_suppressions(rows: list[Suppression]) -> None:
    """Insert or correct derived suppressions; one statement, none for no rows."""
    if rows:
        Suppression.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["sender_group", "channel", "address_hash", "generation", "scope"],
            update_fields=SUPPRESSION_FIELDS,
        )


def refresh(
    sender_group_id: int, address_hash: str, events: Iterable[ConsentEvent] | None = None
) -> Derived:
    """Make the derived rows of one address equal a replay of its chain; the lock must be held."""
    if events is None:
        events = chain(sender_group_id, address_hash)
    derived = derivation.derive(fact_of(event) for event in events)
    key = {"sender_group_id": sender_group_id, "address_hash": address_hash}
    _sync_states(key, derived)
    _sync_suppressions(key, derived)
    return derived


def _sync_states(key: dict[str, Any], derived: Derived) -> None:
    stored = {
        (row.generation, row.channel, row.purpose): row
        for row in ConsentState.objects.filter(**key)
    }
    wanted = state_rows(key, derived)
    gone = [row.pk for name, row in stored.items() if name not in wanted]
    if gone:
        ConsentState.objects.filter(pk__in=gone).delete()
    save_states(differing(wanted, stored, STATE_FIELDS))


def _sync_suppressions(key: dict[str, Any], derived: Derived) -> None:
    stored = {
        (row.generation, row.channel, row.scope): row for row in Suppression.objects.filter(**key)
    }
    gone = [row.pk for name, row in stored.items() if name not in derived.suppressions]
    if gone:
        Suppression.objects.filter(pk__in=gone).delete()
    wanted = suppression_rows(key, derived)
    save_suppressions(differing(wanted, stored, SUPPRESSION_FIELDS))


def verify(events: Iterable[ConsentEvent]) -> Iterator[Break]:
    """Every place where the chains of ``events`` do not hold.

    ``events`` come ordered by sender group, address hash and sequence, whole chains each.
    """
    current: tuple[int, str] | None = None
    head = ""
    for event in events:
        key = (event.sender_group_id, event.address_hash)
        if key != current:
            current, head = key, genesis(*key)
        if event.prev_hash != head:
            yield Break(*key, event.sequence, "does not follow the row before it")
        if event.row_hash != row_hash(event):
            yield Break(*key, event.sequence, "was changed after it was written")
        head = event.row_hash


def all_events() -> Iterator[ConsentEvent]:
    """The whole ledger, chain by chain, in constant memory."""
    ordered = ConsentEvent.objects.order_by("sender_group_id", "address_hash", "sequence")
    return ordered.iterator(chunk_size=2000)
