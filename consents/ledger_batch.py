"""Adding rows about many addresses at once: the same ledger, a fixed number of round trips.

What ``ledger.append`` does for one address, said for a whole batch: one lock statement, one read
of all chains, one insert. The result is the same as appending the drafts one after the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction

from consents import derivation, ledger, locks
from consents.derivation import Derived
from consents.ledger import EVIDENCE_KEPT, Draft, fact_of, fitting_key
from consents.models import ConsentEvent, ConsentEvidence, ConsentState, Suppression

Amend = Callable[[Draft, Derived], Draft]


@dataclass(slots=True)
class _Chain:
    """One address while its rows are added."""

    address_hash: str
    head: str
    derived: Derived
    known: dict[str, ConsentEvent]
    events: list[ConsentEvent]
    new: list[ConsentEvent] = field(default_factory=list)


def append_all(
    drafts: Iterable[Draft], *, now: datetime, amend: Amend | None = None
) -> list[ConsentEvent]:
    """Write ``drafts`` (all of one sender group) and return their rows, old or new, in order.

    One transaction under the exclusive locks of all addresses. A draft whose idempotency key is in
    the ledger writes nothing; ``amend`` sees each new draft with the state before it, counting the
    drafts in front of it. Announces every address's new rows before it returns.
    """
    wanted = list(drafts)
    if not wanted:
        return []
    group_id = wanted[0].target.sender_group_id
    if any(draft.target.sender_group_id != group_id for draft in wanted):
        raise ValueError("one batch is about one sender group")
    hashes = {draft.target.address_hash for draft in wanted}
    with transaction.atomic():
        locks.lock_addresses(hashes)
        chains = _chains(group_id, hashes)
        proofs = _extend(wanted, chains, now, amend)
        if proofs:
            ConsentEvidence.objects.bulk_create(proofs)
        changed = [chain for chain in chains.values() if chain.new]
        if changed:
            # the numbers of the ledger go up in the order of the list
            new = sorted((e for c in changed for e in c.new), key=lambda event: event.sequence)
            ConsentEvent.objects.bulk_create(new)
            _refresh(group_id, changed)
            for chain in changed:
                ledger.announce(chain.new, chain.derived)
        return [
            chains[draft.target.address_hash].known[fitting_key(draft.idempotency_key)]
            for draft in wanted
        ]


def _chains(group_id: int, hashes: set[str]) -> dict[str, _Chain]:
    rows: dict[str, list[ConsentEvent]] = defaultdict(list)
    found = ConsentEvent.objects.filter(sender_group_id=group_id, address_hash__in=hashes)
    for event in found.order_by("sequence"):
        rows[event.address_hash].append(event)
    return {
        digest: _Chain(
            digest,
            head=rows[digest][-1].row_hash if rows[digest] else ledger.genesis(group_id, digest),
            derived=derivation.derive(fact_of(event) for event in rows[digest]),
            known={event.idempotency_key: event for event in rows[digest]},
            events=rows[digest],
        )
        for digest in hashes
    }


def _extend(
    wanted: list[Draft], chains: dict[str, _Chain], now: datetime, amend: Amend | None
) -> list[ConsentEvidence]:
    """Put what is new at the end of its chain; returns the proofs to store."""
    unsaid = [
        draft
        for draft in wanted
        if fitting_key(draft.idempotency_key) not in chains[draft.target.address_hash].known
    ]
    proofs: list[ConsentEvidence] = []
    sequences = iter(ledger.take_sequences(len(unsaid)) if unsaid else ())
    for draft in unsaid:
        chain = chains[draft.target.address_hash]
        key = fitting_key(draft.idempotency_key)
        if key in chain.known:  # twice in one batch
            continue
        row = ledger.row_of(amend(draft, chain.derived) if amend else draft, next(sequences), now)
        if draft.evidence is not None:
            proof = ConsentEvidence(detail=dict(draft.evidence), delete_after=now + EVIDENCE_KEPT)
            proofs.append(proof)
            row.evidence_id = proof.id
        row.prev_hash = chain.head
        chain.head = row.row_hash = ledger.row_hash(row)
        chain.events.append(row)
        chain.new.append(row)
        chain.known[key] = row
        chain.derived = derivation.derive(fact_of(event) for event in chain.events)
    return proofs


def _refresh(group_id: int, chains: list[_Chain]) -> None:
    """Make the derived rows of these addresses equal a replay of their chains. 2 to 6 queries."""
    about: dict[str, Any] = {
        "sender_group_id": group_id,
        "address_hash__in": [chain.address_hash for chain in chains],
    }
    states: dict[str, dict[Any, ConsentState]] = defaultdict(dict)
    for state in ConsentState.objects.filter(**about):
        states[state.address_hash][state.generation, state.channel, state.purpose] = state
    holds: dict[str, dict[Any, Suppression]] = defaultdict(dict)
    for hold in Suppression.objects.filter(**about):
        holds[hold.address_hash][hold.generation, hold.channel, hold.scope] = hold
    new_states: list[ConsentState] = []
    new_holds: list[Suppression] = []
    gone_states: list[int] = []
    gone_holds: list[int] = []
    for chain in chains:
        key = {"sender_group_id": group_id, "address_hash": chain.address_hash}
        stored, wanted = states[chain.address_hash], ledger.state_rows(key, chain.derived)
        gone_states += [row.pk for name, row in stored.items() if name not in wanted]
        new_states += ledger.differing(wanted, stored, ledger.STATE_FIELDS)
        held, holding = holds[chain.address_hash], ledger.suppression_rows(key, chain.derived)
        gone_holds += [row.pk for name, row in held.items() if name not in holding]
        new_holds += ledger.differing(holding, held, ledger.SUPPRESSION_FIELDS)
    if gone_states:
        ConsentState.objects.filter(pk__in=gone_states).delete()
    if gone_holds:
        Suppression.objects.filter(pk__in=gone_holds).delete()
    ledger.save_states(new_states)
    ledger.save_suppressions(new_holds)
