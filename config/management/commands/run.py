"""manage.py run: the whole product in one process."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config.runner import PortTaken, run


class Command(BaseCommand):
    help = "Run web, worker, beat and sandbox in one process. Ctrl-C stops it."
    requires_migrations_checks = False

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            run(say=lambda line: print(line, flush=True))
        except PortTaken as error:
            raise CommandError(str(error)) from error
