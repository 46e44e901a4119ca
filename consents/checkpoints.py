"""Signed ends of all chains, night after night, and what does not fit them.

Chains prove that no row inside was changed. They cannot show that a chain was written anew from
its first row, or that its end was cut off; a checkpoint can: it names the end of every chain that
grew since the one before it and is signed with a key the database does not hold. Each carries the
signature of its predecessor, so one that is missing shows as well. The last signature goes to the
log: kept elsewhere, it proves that nothing was cut off after it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from consents import locks
from consents.models import CheckpointHead, LedgerCheckpoint, RemovedChain

logger = logging.getLogger(__name__)

#: an hourly look makes one as soon as the last is this old
NIGHTLY = timedelta(hours=23)
#: the advisory lock of the one who makes checkpoints: "chec"
_LOCK = 0x63686563
#: ``ledger.genesis`` of a row, in SQL
CHAIN_SQL = (
    "encode(sha256(convert_to({0}.sender_group_id || '|' || {0}.address_hash, 'UTF8')), 'hex')"
)

_HEADS = f"""
INSERT INTO consents_checkpointhead
    (checkpoint_id, sender_group_ref, chain, sequence, row_hash)
SELECT %(id)s, h.sender_group_id, {CHAIN_SQL.format("h")}, h.sequence, h.row_hash
FROM (SELECT DISTINCT ON (sender_group_id, address_hash)
             sender_group_id, address_hash, sequence, row_hash
        FROM consents_consentevent
       WHERE sequence > %(after)s AND sequence <= %(until)s
       ORDER BY sender_group_id, address_hash, sequence DESC) h
"""  # noqa: S608 - an expression of our own

_REMOVED = (
    "EXISTS (SELECT 1 FROM consents_removedchain r"
    " WHERE r.chain = h.chain AND r.last_sequence >= h.sequence)"
)
#: ends that a checkpoint names and the ledger does not have, or has with another hash
_LOST = f"""
SELECT h.sender_group_ref, h.chain, h.sequence, e.sequence IS NOT NULL
FROM consents_checkpointhead h
LEFT JOIN consents_consentevent e ON e.sequence = h.sequence
WHERE (e.sequence IS NULL OR e.row_hash <> h.row_hash OR {CHAIN_SQL.format("e")} <> h.chain)
  AND NOT {_REMOVED}
ORDER BY h.sequence
"""  # noqa: S608
#: ends the ledger had by then and no checkpoint knows: rows smuggled in under an old number
_UNKNOWN = f"""
SELECT l.sender_group_id, {CHAIN_SQL.format("l")}, l.sequence
FROM (SELECT DISTINCT ON (sender_group_id, address_hash)
             sender_group_id, address_hash, sequence, row_hash
        FROM consents_consentevent WHERE sequence <= %s
       ORDER BY sender_group_id, address_hash, sequence DESC) l
LEFT JOIN consents_checkpointhead h ON h.sequence = l.sequence
WHERE h.sequence IS NULL
ORDER BY l.sequence
"""  # noqa: S608
_OTHER_ROWS = f"""
SELECT EXISTS (SELECT 1 FROM consents_consentevent e
                WHERE e.sender_group_id = %s AND {CHAIN_SQL.format("e")} = %s)
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that does not fit the signed books, in words."""

    where: str
    what: str


def key_version() -> int:
    """The version new signatures are made with."""
    return len(settings.LEDGER_KEYS)


def sign(values: object, version: int) -> str:
    """HMAC-SHA256 over ``values`` in one canonical form, with the key of ``version``."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    key = settings.LEDGER_KEYS[version - 1]
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def is_signed(values: object, version: int, signature: str) -> bool | None:
    """Whether the signature is ours; None = the ring does not have its key any more."""
    if not 1 <= version <= len(settings.LEDGER_KEYS):
        return None
    return hmac.compare_digest(sign(values, version).encode(), signature.encode())


# --- making ---------------------------------------------------------------------------------------


def make_checkpoint(now: datetime) -> LedgerCheckpoint | None:
    """Sign the ends of all chains as they are now; None while another process does."""
    with locks.alone(_LOCK) as is_mine:
        if not is_mine:
            return None
        until = _last_committed()
        with transaction.atomic():
            checkpoint = _write(until, now)
    facts = {"last_sequence": until, "signature": checkpoint.signature}
    # no problem, and yet it must be in the log whatever its level
    logger.warning("ledger.checkpoint", extra={"checkpoint_id": checkpoint.pk, **facts})
    return checkpoint


def make_due_checkpoint(now: datetime) -> LedgerCheckpoint | None:
    """One a night, however often asked and however often the service restarts."""
    last = last_checkpoint()
    if last is not None and now - last.made_at < NIGHTLY:
        return None
    return make_checkpoint(now)


def _last_committed() -> int:
    """A number below which no row is still under way."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [locks.LEDGER_GATE])
        cursor.execute("SELECT coalesce(max(sequence), 0) FROM consents_consentevent")
        return int(cursor.fetchone()[0])


def _write(until: int, now: datetime) -> LedgerCheckpoint:
    previous = LedgerCheckpoint.objects.order_by("-pk").first()
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('consents_ledgercheckpoint', 'id'))")
        number = int(cursor.fetchone()[0])
        after = previous.last_sequence if previous else 0
        # where rows were removed the highest number may be lower than it was
        until = max(until, after)
        cursor.execute(_HEADS, {"id": number, "after": after, "until": until})
        cursor.execute("SELECT count(DISTINCT chain) FROM consents_checkpointhead")
        chains = int(cursor.fetchone()[0])
    checkpoint = LedgerCheckpoint(
        id=number,
        made_at=now,
        chains=chains,
        last_sequence=until,
        heads_hash=heads_hash(number),
        previous=previous.signature if previous else "",
        key_version=key_version(),
    )
    checkpoint.signature = sign(_signed(checkpoint), checkpoint.key_version)
    checkpoint.save(force_insert=True)
    return checkpoint


def heads_hash(checkpoint_id: int) -> str:
    """SHA-256 over the ends a checkpoint names, by number; in constant memory."""
    digest = hashlib.sha256()
    heads = CheckpointHead.objects.filter(checkpoint_id=checkpoint_id).order_by("sequence")
    columns = heads.values_list("sender_group_ref", "chain", "sequence", "row_hash")
    for head in columns.iterator(chunk_size=2000):
        digest.update(("|".join(map(str, head)) + "\n").encode())
    return digest.hexdigest()


def _signed(checkpoint: LedgerCheckpoint) -> list[object]:
    return [
        checkpoint.pk,
        checkpoint.made_at.astimezone(UTC).isoformat(timespec="microseconds"),
        checkpoint.chains,
        checkpoint.last_sequence,
        checkpoint.heads_hash,
        checkpoint.previous,
        checkpoint.key_version,
    ]


def signed_removal(removed: RemovedChain) -> list[object]:
    """What the signature of a removal covers."""
    return [
        removed.sender_group_ref,
        removed.chain,
        removed.rows,
        removed.last_sequence,
        removed.head_hash,
        removed.older_than.astimezone(UTC).isoformat(timespec="microseconds"),
        removed.removed_at.astimezone(UTC).isoformat(timespec="microseconds"),
        removed.key_version,
    ]


# --- proving --------------------------------------------------------------------------------------


def verify() -> Iterator[Problem]:
    """Everything that does not fit the checkpoints, in constant memory."""
    yield from _verify_checkpoints()
    yield from _verify_removals()
    yield from _verify_heads()


def _verify_checkpoints() -> Iterator[Problem]:
    signature = ""
    for row in LedgerCheckpoint.objects.order_by("pk").iterator(chunk_size=500):
        where = f"checkpoint {row.pk} of {row.made_at:%Y-%m-%d}"
        match is_signed(_signed(row), row.key_version, row.signature):
            case None:
                yield Problem(where, f"its key (version {row.key_version}) is not in LEDGER_KEYS")
            case False:
                yield Problem(where, "is forged: its signature is not ours")
        if row.previous != signature:
            yield Problem(where, "does not follow the checkpoint before it: one is missing")
        if heads_hash(row.pk) != row.heads_hash:
            yield Problem(where, "the ends of chains it names were changed")
        signature = row.signature


def _verify_removals() -> Iterator[Problem]:
    for row in RemovedChain.objects.order_by("pk").iterator(chunk_size=500):
        if is_signed(signed_removal(row), row.key_version, row.signature) is not True:
            where = f"sender group {row.sender_group_ref}, chain {row.chain[:12]}"
            yield Problem(where, "its removal is forged: the signature is not ours")


def _verify_heads() -> Iterator[Problem]:
    for group, chain, sequence, is_there in _streamed("lost_heads", _LOST, []):
        where = f"sender group {group}, chain {chain[:12]}, row {sequence}"
        if is_there:
            yield Problem(where, "the chain was written anew since the checkpoint")
        elif _has_rows(group, chain):
            yield Problem(where, "the row that ended the chain at the checkpoint is missing")
        else:
            yield Problem(where, "the whole chain is missing")
    if (last := last_checkpoint()) is not None:
        for group, chain, sequence in _streamed("unknown_heads", _UNKNOWN, [last.last_sequence]):
            where = f"sender group {group}, chain {chain[:12]}, row {sequence}"
            yield Problem(where, "no checkpoint knows this end of the chain")


def _streamed(name: str, sql: str, values: list[int]) -> Iterator[tuple[Any, ...]]:
    """Rows of a query through a cursor of the database, a few at a time."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"DECLARE {name} NO SCROLL CURSOR FOR {sql}", values)
        try:
            while True:
                with connection.cursor() as page:
                    page.execute(f"FETCH 1000 FROM {name}")
                    rows = page.fetchall()
                if not rows:
                    return
                yield from rows
        finally:
            cursor.execute(f"CLOSE {name}")


def _has_rows(group: int, chain: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_OTHER_ROWS, [group, chain])
        return bool(cursor.fetchone()[0])


def last_checkpoint() -> LedgerCheckpoint | None:
    """The newest one."""
    return LedgerCheckpoint.objects.order_by("-pk").first()


def has_left(chain: str) -> bool:
    """Whether a chain was removed at the end of its term, on a record that is ours."""
    rows = RemovedChain.objects.filter(chain=chain)
    return any(is_signed(signed_removal(row), row.key_version, row.signature) for row in rows)
