"""One lock per address: withdrawals take it alone, senders share it.

A row lock would miss the first event an address ever has, so these are PostgreSQL's advisory
locks. They end with the transaction. Several are always taken in ascending order of their keys,
so no two takers wait for each other.

The protocol: a withdrawal takes the exclusive form, appends to the ledger, refreshes what is
derived and cancels queued deliveries, all in one transaction. A sender takes the shared form in a
READ COMMITTED transaction and only then, in a new statement, reads the snapshot it decides on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from django.db import connection
from django.db.transaction import TransactionManagementError

#: shared by whoever takes numbers of the ledger, exclusive for a moment by a checkpoint: "gate"
LEDGER_GATE = 0x67617465


def lock_key(address_hash: str) -> int:
    """The signed 64-bit key of an address: the first eight bytes of its hash."""
    return int.from_bytes(bytes.fromhex(address_hash[:16]), "big", signed=True)


def lock_addresses_shared(address_hashes: Iterable[str]) -> None:
    """Wait until no withdrawal of these addresses is under way, then keep them out. One query."""
    _take("pg_advisory_xact_lock_shared", address_hashes)


def lock_addresses(address_hashes: Iterable[str]) -> None:
    """Be the only one who changes these addresses until the transaction ends. One query."""
    _take("pg_advisory_xact_lock", address_hashes)


def lock_address(address_hash: str) -> None:
    """Be the only one who changes this address until the transaction ends."""
    lock_addresses([address_hash])


def _take(function: str, address_hashes: Iterable[str]) -> None:
    if not connection.in_atomic_block:
        raise TransactionManagementError("an address lock outside a transaction ends at once")
    keys = sorted({lock_key(h) for h in address_hashes})
    if keys:
        with connection.cursor() as cursor:
            # one row back instead of one per key; the array keeps the order
            cursor.execute(
                f"SELECT count({function}(k)) FROM unnest(%s::bigint[]) AS k",  # noqa: S608
                [keys],
            )


@contextmanager
def alone(key: int) -> Iterator[bool]:
    """Whether this process is the only one inside, across transactions; nobody waits."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [key])
        row = cursor.fetchone()
    is_mine = bool(row and row[0])
    try:
        yield is_mine
    finally:
        if is_mine:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [key])
