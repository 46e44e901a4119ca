"""Delete what is past its term, or say what would be deleted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from consents import retention


class Command(BaseCommand):
    """The nightly run by hand; the terms are the settings RETENTION_*."""

    help = "Clears data past its term, rule by rule. --dry-run only counts."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="count, delete nothing")

    def handle(self, *_: Any, **options: Any) -> None:
        done = retention.run(datetime.now(UTC), is_dry_run=options["dry_run"])
        if done is None:
            raise CommandError("another process is clearing right now; try again in a minute")
        for name, rows in sorted(done.counts.items()):
            self.stdout.write(f"{name:<20} {rows:>8}")
        verb = "would go" if done.is_dry_run else "gone"
        self.stdout.write(f"{sum(done.counts.values())} rows {verb}, {done.held} held")
        if failed := sorted({rule.name for rule in retention.rules()} - done.counts.keys()):
            raise CommandError(f"failed, see the log: {', '.join(failed)}")
