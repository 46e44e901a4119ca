"""manage.py airship_stream: read what became of Airship's pushes, until stopped."""

from __future__ import annotations

import signal
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from integrations.errors import OutcomeUnknown, TransientError
from notifications import streams
from notifications.models import ProviderAccount


class Command(BaseCommand):
    help = (
        "Read Airship's Real-Time Data Streaming for one account and record receipts. It runs "
        "until it is stopped: keep it under a supervisor that starts it again, one process per "
        "account. It goes on where it ended, for up to seven days."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--account", metavar="ID", type=int, help="needed where are several")
        parser.add_argument(
            "--from-now", action="store_true", help="forget the stored place, skip what was missed"
        )
        parser.add_argument(
            "--for", dest="seconds", metavar="SECONDS", type=float, help="end after so long"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        account_id = options["account"] or _only_account()
        until = time.monotonic() + options["seconds"] if options["seconds"] else None
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        self.stdout.write(f"Reading Airship's stream of account {account_id}. Ctrl-C stops it.")
        try:
            read = streams.follow(
                account_id=account_id,
                is_over=lambda: until is not None and time.monotonic() > until,
                from_now=options["from_now"],
            )
        except streams.StreamRefused as problem:
            raise CommandError(f"account {account_id}: {problem}") from None
        except (TransientError, OutcomeUnknown) as problem:
            raise CommandError(f"account {account_id}: given up for now: {problem}") from None
        except KeyboardInterrupt:
            self.stdout.write("Stopped; the place is kept.")
            return
        self.stdout.write(f"{read} events read.")


def _only_account() -> int:
    accounts = ProviderAccount.objects.filter(provider="airship", enabled=True)
    found = list(accounts.values_list("pk", "name")[:20])
    if len(found) != 1:
        known = ", ".join(f"{pk} ({name})" for pk, name in found) or "none"
        raise CommandError(f"name one account with --account ID; known: {known}")
    return int(found[0][0])
