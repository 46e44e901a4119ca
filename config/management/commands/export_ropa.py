"""Write the records of processing activities as JSON and Markdown."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from config import ropa


class Command(BaseCommand):
    """Two files, from configuration alone: no personal data is read."""

    help = "Writes ropa.json and ropa.md (GDPR art. 30) into a folder."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, nargs="?", default=Path())

    def handle(self, *_: Any, **options: Any) -> None:
        folder: Path = options["folder"]
        folder.mkdir(parents=True, exist_ok=True)
        found = ropa.records(datetime.now(UTC))
        (folder / "ropa.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
        (folder / "ropa.md").write_text(ropa.in_markdown(found))
        self.stdout.write(f"{len(found)} controllers: {folder / 'ropa.json'}, {folder / 'ropa.md'}")
