"""Take over a list of consents from another system."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from consents.import_rows import COLUMNS
from consents.importing import ListRefused, open_import, run_import
from consents.models import SenderGroup


class Command(BaseCommand):
    """The same file twice is one import; a run that was stopped goes on where it ended."""

    help = (
        "Reads a CSV file whose first line names its columns, of: "
        f"{', '.join(COLUMNS)} (address, action and occurred_at are needed). Each row becomes what "
        "the ledger makes of it; rows that cannot be taken are listed by number and code, without "
        "values."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--restaurant", type=int, required=True, help="id of the restaurant")
        parser.add_argument("--by", required=True, help="name of the person who answers for it")

    def handle(self, *_: Any, **options: Any) -> None:
        group = SenderGroup.objects.filter(restaurant=options["restaurant"]).first()
        if group is None:
            raise CommandError(f"there is no restaurant {options['restaurant']}")
        path: Path = options["file"]
        try:
            made = open_import(
                sender_group_id=group.pk,
                name=path.name,
                data=path.read_bytes(),
                by=options["by"],
                now=timezone.now(),
            )
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}") from None
        except ListRefused as error:
            raise CommandError(f"{path}: {error.code}; nothing was taken") from None
        made = run_import(import_id=made.pk, now=timezone.now())
        if made.finished_at is None:
            raise CommandError("another process is taking this list over right now")
        for number, code in made.problems:
            self.stdout.write(f"row {number}: {code}")
        for outcome, count in sorted(made.counts.items()):
            self.stdout.write(f"{count:>8} {outcome}")
