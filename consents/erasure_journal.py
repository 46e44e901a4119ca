"""The list of everybody erased, kept outside the database: a restored backup must not bring them
back.

JSON lines in the file of setting ERASURE_JOURNAL, each written and synced before its erasure
commits. It holds the subject's uuid, keyed hashes and the time; no name, no address.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from django.conf import settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ErasedAddress:
    """One address as the ledger names it."""

    channel: str
    address_hash: str
    pepper_version: int
    generation: int
    #: (scope, reason) of what was stopped: a backup may be older than the stop
    stops: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Erased:
    """One line: who was erased, and when."""

    subject_id: UUID
    sender_group_id: int
    request_id: UUID
    erased_at: datetime
    addresses: tuple[ErasedAddress, ...]


def write(erased: Erased) -> None:
    """Add one line and wait until the disk has it. Raises OSError: then nothing may be erased."""
    path = Path(settings.ERASURE_JOURNAL)
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    line = json.dumps(
        {
            "subject": str(erased.subject_id),
            "sender_group": erased.sender_group_id,
            "request": str(erased.request_id),
            "erased_at": erased.erased_at.isoformat(),
            "addresses": [asdict(address) for address in erased.addresses],
        }
    ).encode()
    # a line a crash cut short must not swallow this one
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        written = os.write(file, b"\n" + line + b"\n")
        if written != len(line) + 2:
            raise OSError(f"{path.name} took {written} of {len(line) + 2} bytes")
        os.fsync(file)
    finally:
        os.close(file)
    if is_new:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read() -> Iterator[Erased]:
    """Every line, oldest first; the same person may be there twice.

    A line cut short belongs to an erasure that did not happen: it is logged and left.
    """
    path = Path(settings.ERASURE_JOURNAL)
    if not path.exists():
        return
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                yield _erased(json.loads(line))
            except (ValueError, KeyError, TypeError):
                logger.warning("erasure_journal.line_unreadable", extra={"line": number})


def _erased(values: dict[str, object]) -> Erased:
    addresses = values["addresses"]
    if not isinstance(addresses, list):
        raise TypeError("addresses are a list")
    return Erased(
        subject_id=UUID(str(values["subject"])),
        sender_group_id=int(str(values["sender_group"])),
        request_id=UUID(str(values["request"])),
        erased_at=datetime.fromisoformat(str(values["erased_at"])),
        addresses=tuple(
            ErasedAddress(
                channel=str(address["channel"]),
                address_hash=str(address["address_hash"]),
                pepper_version=int(address["pepper_version"]),
                generation=int(address["generation"]),
                stops=tuple((str(scope), str(reason)) for scope, reason in address["stops"]),
            )
            for address in addresses
        ),
    )
