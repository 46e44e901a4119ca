"""Taking over a list of consents: what each row becomes is what the ledger makes of it.

A list is hearsay: a grant without its wording or origin is pending, one against a customer's own
no is pending, and nothing in a list lifts anything. Rows land in batches, each one transaction; a
row's idempotency key is the file and its line, so a run that was killed is begun again and writes
only what is missing. The same file twice is one import.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any

from django.db import transaction
from django.db.models import Q

from consents import identity, locks
from consents.addresses import address_hashes
from consents.identity import target_of
from consents.import_rows import ListRefused, Row, RowInvalid, parse_row, read_rows
from consents.ledger import Draft
from consents.ledger_batch import append_all
from consents.models import (
    AddressOrigin,
    ConsentAction,
    ConsentEvent,
    ConsentImport,
    ContactAddress,
    NoticeVersion,
    SenderGroup,
)
from consents.recording import amend

__all__ = ["ListRefused", "open_import", "run_import", "unfinished_imports"]

BATCH = 500
#: first half of the advisory lock's key: "impo"
_LOCK = 0x696D706F
_CHANNEL_WIDE = frozenset({ConsentAction.SUPPRESSED})


def open_import(
    *, sender_group_id: int, name: str, data: bytes, by: str, now: datetime
) -> ConsentImport:
    """The import of this file for this sender group: the known one, or a new one to be run.

    The file is kept, encrypted, until every row of it was taken. Raises ListRefused.
    """
    next(read_rows(data), None)  # the header is checked before anything is stored
    made, _ = ConsentImport.objects.get_or_create(
        sender_group_id=sender_group_id,
        sha256=hashlib.sha256(data).hexdigest(),
        defaults={"name": name[:200], "made_by": by[:150], "started_at": now, "file": data},
    )
    return made


def unfinished_imports() -> list[int]:
    """Imports whose run has not ended, oldest first."""
    rows = ConsentImport.objects.filter(finished_at=None).order_by("started_at")
    return list(rows.values_list("pk", flat=True))


def run_import(*, import_id: int, now: datetime) -> ConsentImport:
    """Take every row that was not taken yet; safe to run twice, and by two at once.

    One batch is about ten round trips and one transaction. ``counts`` grows as batches land.
    """
    with locks.alone(_LOCK << 32 | import_id) as is_mine:
        made = ConsentImport.objects.get(pk=import_id)
        if not is_mine or made.finished_at is not None or made.file is None:
            return made
        data, made.file = bytes(made.file), None  # saved as gone only at the end
        counts: Counter[str] = Counter()
        problems: list[tuple[int, str]] = []
        group = SenderGroup.objects.get(pk=made.sender_group_id)
        notices = _notices(group.pk)
        rows = _parsed(data, group.country, notices, now, problems)
        for batch in _batches(rows):
            counts.update(_take(batch, made, notices, now))
            made.counts = {**counts, "problems": len(problems)}
            made.save(update_fields=["counts"])
        made.counts = {**counts, "problems": len(problems)}
        made.problems = problems
        made.finished_at = now
        made.save(update_fields=["counts", "problems", "finished_at", "file"])
    return made


def _batches(rows: Iterator[Row]) -> Iterator[tuple[Row, ...]]:
    while batch := tuple(islice(rows, BATCH)):
        yield batch


def _notices(group_id: int) -> dict[str, int]:
    """ "key:version" -> primary key; the group's own words before the shipped ones."""
    rows = NoticeVersion.objects.filter(Q(sender_group_id=group_id) | Q(sender_group=None))
    named = rows.order_by("-sender_group_id", "-pk").values_list("key", "version", "pk")
    return {f"{key}:{version}": pk for key, version, pk in reversed(list(named))}


def _parsed(
    data: bytes,
    country: str,
    notices: Mapping[str, int],
    now: datetime,
    problems: list[tuple[int, str]],
) -> Iterator[Row]:
    for number, cells in read_rows(data):
        try:
            if isinstance(cells, RowInvalid):
                raise cells
            yield parse_row(number, cells, country=country, notices=notices, now=now)
        except RowInvalid as error:
            problems.append((number, error.code))


def _take(
    rows: tuple[Row, ...], made: ConsentImport, notices: Mapping[str, int], now: datetime
) -> Counter[str]:
    """One batch, all or nothing; returns what its rows became."""
    with transaction.atomic():
        addresses = _addresses(rows, made.sender_group_id, now)
        drafts = [
            Draft(
                target=target_of(address),
                action=row.action,
                purpose=row.purpose,
                source="pos_import",
                occurred_at=row.occurred_at,
                idempotency_key=f"import:{made.sender_group_id}:{made.sha256}:{row.number}",
                scope="channel" if row.action in _CHANNEL_WIDE else "category",
                actor_type="staff",
                actor_id=made.made_by[:80],
                notice_version_id=notices.get(row.notice),
                language=row.language,
                evidence=_evidence(row, made),
            )
            for row, address in zip(rows, addresses, strict=True)
        ]
        return Counter(str(event.action) for event in append_all(drafts, now=now, amend=amend))


def _evidence(row: Row, made: ConsentImport) -> dict[str, Any] | None:
    if not row.origin:
        return None
    return {"origin": row.origin, "file": made.sha256, "row": row.number}


def _addresses(rows: tuple[Row, ...], group_id: int, now: datetime) -> list[ContactAddress]:
    """The current address row of each line, made where there is none. 3 queries, 4 with new ones.

    Addresses that are known to the ledger only, or that ended, are continued one by one.
    """
    filed = [address_hashes(row.channel, row.normalized.value) for row in rows]
    digests = {digest for hashes in filed for digest in hashes}
    locks.lock_addresses(digests)
    about: dict[str, Any] = {"sender_group_id": group_id, "address_hash__in": digests}
    last: dict[tuple[str, str], ContactAddress] = {}
    known = ContactAddress.objects.filter(**about).defer("value").order_by("generation")
    for one in known:
        last[one.channel, one.address_hash] = one
    in_ledger = set(
        ConsentEvent.objects.filter(**about).values_list("address_hash", flat=True).distinct()
    )
    fresh: list[ContactAddress] = []
    found: list[ContactAddress] = []
    for row, hashes in zip(rows, filed, strict=True):
        named = [last[row.channel, digest] for digest in hashes if (row.channel, digest) in last]
        address: ContactAddress | None = max(named, key=lambda one: one.generation, default=None)
        if address is None and not in_ledger.intersection(hashes):
            address = _new(row, hashes, group_id)
            fresh.append(address)
        elif address is None or (address.expires_at is not None and address.expires_at <= now):
            address = identity.create_address(
                sender_group_id=group_id,
                channel=row.channel,
                normalized=row.normalized,
                hashes=hashes,
                origin=AddressOrigin.STAFF,
            )
        last[row.channel, address.address_hash] = address
        found.append(address)
    ContactAddress.objects.bulk_create(fresh)
    return found


def _new(row: Row, hashes: Mapping[str, int], group_id: int) -> ContactAddress:
    digest, version = next(iter(hashes.items()))
    return ContactAddress(
        sender_group_id=group_id,
        channel=row.channel,
        value=row.normalized.value,
        masked=row.normalized.masked,
        address_hash=digest,
        pepper_version=version,
        region=row.normalized.region,
        origin=AddressOrigin.STAFF,
    )
