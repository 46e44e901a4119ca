"""After a backup was restored: nobody who was erased comes back, and no stop is lost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from consents import erasure
from notifications import vendor_stops


class Command(BaseCommand):
    """Run it before the service starts again; running it once more changes nothing."""

    help = (
        "Reads again whom the vendors stopped since the backup, then erases everybody in the "
        "erasure journal (setting ERASURE_JOURNAL). Run it after every restore, before the "
        "service sends."
    )

    def handle(self, *_: Any, **__: Any) -> None:
        now = datetime.now(UTC)
        # first the stops: an erased address cannot be found on a vendor's list any more
        lists = vendor_stops.read_all_lists(now)
        self.stdout.write(
            f"{lists['recorded']} stops read back from the lists of {lists['accounts']} accounts"
        )
        found = erasure.replay(now)
        self.stdout.write(
            f"{found['lines']} erasures in the journal, {found['erased_again']} people had come "
            "back and are erased again"
        )
        if lists["failed"]:
            raise CommandError(
                f"{lists['failed']} lists could not be read: see the accounts' pages, mend them "
                "and run this again before anything is sent"
            )
