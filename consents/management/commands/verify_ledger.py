"""Prove that no row of the consent ledger was changed or removed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core import signing
from django.core.management.base import BaseCommand, CommandError, CommandParser

from consents import ledger
from consents.models import ConsentEvent

_SALT = "consents.ledger.checkpoint"


class Command(BaseCommand):
    """Chains show changed rows and gaps; a checkpoint kept elsewhere shows a cut-off end too."""

    help = (
        "Walks every chain of the consent ledger and names the rows that do not fit. "
        "--checkpoint writes the signed end of each chain to a file; --against compares with one."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--checkpoint", type=Path, help="file to write")
        parser.add_argument("--against", type=Path, help="file of an earlier --checkpoint")

    def handle(self, *_: Any, **options: Any) -> None:
        expected = _read(options["against"]) if options["against"] else {}
        walk = _Walk(expected)
        breaks = list(ledger.verify(walk.events()))
        for found in breaks:
            self.stderr.write(
                f"sender group {found.sender_group_id}, address {found.address_hash[:12]}, "
                f"row {found.sequence}: {found.what}"
            )
        for key in sorted(expected):
            group, digest = key.split("|")
            self.stderr.write(
                f"sender group {group}, address {digest[:12]}: the row that ended this chain at "
                "the checkpoint is gone"
            )
        if breaks or expected:
            raise CommandError(f"{len(breaks) + len(expected)} breaks in {walk.rows} rows")
        if options["checkpoint"]:
            options["checkpoint"].write_text(signing.dumps(walk.heads, salt=_SALT, compress=True))
        self.stdout.write(f"{walk.rows} rows in {len(walk.heads)} chains hold")


class _Walk:
    """The ledger passing by: counts rows, notes chain ends, strikes out the expected ones."""

    def __init__(self, expected: dict[str, str]) -> None:
        self.expected = expected
        self.heads: dict[str, str] = {}
        self.rows = 0

    def events(self) -> Iterator[ConsentEvent]:
        for event in ledger.all_events():
            key = f"{event.sender_group_id}|{event.address_hash}"
            self.rows += 1
            self.heads[key] = event.row_hash
            if self.expected.get(key) == event.row_hash:
                del self.expected[key]
            yield event


def _read(path: Path) -> dict[str, str]:
    try:
        heads: dict[str, str] = signing.loads(path.read_text(), salt=_SALT)
    except (OSError, signing.BadSignature) as error:
        raise CommandError(f"{path} is no checkpoint of this installation: {error}") from error
    return heads
