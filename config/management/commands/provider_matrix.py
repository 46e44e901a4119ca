"""manage.py provider_matrix: renew the generated tables of the README."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from config.matrix import fill


class Command(BaseCommand):
    help = "Write the table of providers and the list of sources into README.md."

    def handle(self, *args: Any, **options: Any) -> None:
        path = Path(settings.BASE_DIR) / "README.md"
        path.write_text(fill(path.read_text()))
        print("README.md is up to date.")
