"""Prove that no row of the consent ledger was changed or removed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core import signing
from django.core.management.base import BaseCommand, CommandError, CommandParser

from consents import checkpoints, ledger
from consents.models import ConsentEvent

_SALT = "consents.ledger.checkpoint"


class Command(BaseCommand):
    """Chains show changed rows and gaps; the signed checkpoints of every night show chains that
    are gone or were written anew; a file kept elsewhere shows what was cut off with them."""

    help = (
        "Walks every chain of the consent ledger, compares it with the signed checkpoints and "
        "names what does not fit. "
        "--checkpoint writes the signed end of each chain to a file; --against compares with one."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--checkpoint", type=Path, help="file to write")
        parser.add_argument("--against", type=Path, help="file of an earlier --checkpoint")

    def handle(self, *_: Any, **options: Any) -> None:
        expected = _read(options["against"]) if options["against"] else {}
        walk = _Walk(expected, keeps_heads=options["checkpoint"] is not None)
        breaks = 0
        for found in ledger.verify(walk.events()):
            breaks += 1
            self.stderr.write(
                f"sender group {found.sender_group_id}, address {found.address_hash[:12]}, "
                f"row {found.sequence}: {found.what}"
            )
        for key in sorted(expected):
            group, digest = key.split("|")
            if checkpoints.has_left(ledger.genesis(int(group), digest)):
                del expected[key]
                continue
            self.stderr.write(
                f"sender group {group}, address {digest[:12]}: the row that ended this chain at "
                "the checkpoint is gone"
            )
        unfit = 0
        for problem in checkpoints.verify():
            unfit += 1
            self.stderr.write(f"{problem.where}: {problem.what}")
        if breaks or expected or unfit:
            raise CommandError(f"{breaks + len(expected) + unfit} breaks in {walk.rows} rows")
        if options["checkpoint"]:
            options["checkpoint"].write_text(signing.dumps(walk.heads, salt=_SALT, compress=True))
        self.stdout.write(f"{walk.rows} rows in {walk.chains} chains hold")
        last = checkpoints.last_checkpoint()
        until = f"{last.made_at:%Y-%m-%d %H:%M}" if last else "never"
        self.stdout.write(f"last signed checkpoint: {until}")


class _Walk:
    """The ledger passing by: counts rows, notes chain ends, strikes out the expected ones."""

    def __init__(self, expected: dict[str, str], *, keeps_heads: bool) -> None:
        self.expected = expected
        self.heads: dict[str, str] = {}
        self.keeps_heads = keeps_heads
        self.rows = self.chains = 0

    def events(self) -> Iterator[ConsentEvent]:
        last = ""
        for event in ledger.all_events():
            key = f"{event.sender_group_id}|{event.address_hash}"
            self.rows += 1
            self.chains += key != last
            last = key
            if self.keeps_heads:
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
