"""manage.py prepare: what a deployment of separate processes needs once after migrate."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from config.schedule import ensure_schedule


class Command(BaseCommand):
    help = "Create missing periodic tasks. Safe to run at every deploy."

    def handle(self, *args: Any, **options: Any) -> None:
        ensure_schedule()
        print("The schedule is complete.")
