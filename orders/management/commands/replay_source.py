"""manage.py replay_source: what the product makes of payloads somebody recorded."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, connection

from integrations.contracts import State
from integrations.registry import SOURCES
from orders.recordings import UnreadableRecording, load_recording
from orders.replay import Replay, open_house
from orders.replay_output import replayed_orders


class Command(BaseCommand):
    help = (
        "Apply recorded payloads of one source (webhook bodies, and the answers to the requests "
        "they cause) to an empty temporary database and print the resulting orders as one JSON "
        "list. Notes go to stderr. Exit code 1: a file could not be read; the orders of the "
        "others are printed all the same."
    )
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source", metavar="SOURCE", choices=sorted(SOURCES))
        parser.add_argument("files", metavar="FILE", nargs="+", help="in the order they came")
        parser.add_argument(
            "--setting",
            metavar="NAME=VALUE",
            action="append",
            default=[],
            help="a setting of the account, e.g. reserved_means=accepted",
        )

        parser.add_argument(
            "--map",
            metavar="STREAM:NATIVE=STATE",
            action="append",
            default=[],
            help="what a status of the source means, e.g. order:ready-for-pickup=ready",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        settings = dict(_pair("--setting", text) for text in options["setting"])
        status_map = _status_map(options["map"])
        try:
            # a file that cannot be opened is told before a database is made
            recordings = [load_recording(path) for path in options["files"]]
            with temporary_database():
                account = open_house(options["source"], settings, status_map)
                replay = Replay(account)
                replay.play(recordings)
                orders = replayed_orders(account)
        except UnreadableRecording as problem:
            raise CommandError(str(problem)) from None
        except LookupError as problem:
            raise CommandError(str(problem.args[0])) from None
        for note in replay.notes:
            self.stderr.write(note)
        self.stdout.write(json.dumps(orders, indent=2, ensure_ascii=False))
        if replay.problems:
            raise CommandError("\n".join(replay.problems))


def _pair(option: str, text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not (separator and name):
        raise CommandError(f"{option} {text}: expected NAME=VALUE")
    return name, value


def _status_map(given: Iterable[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for text in given:
        name, state = _pair("--map", text)
        stream, separator, native = name.partition(":")
        if not separator or state not in {"", *State}:
            raise CommandError(f"--map {text}: expected STREAM:NATIVE=STATE")
        found.setdefault(stream, {})[native] = state
    return found


@contextmanager
def temporary_database() -> Iterator[None]:
    """A new, migrated database on the configured server; dropped at the end, also after errors."""
    name = f"order_up_replay_{os.getpid()}"
    configured = connection.settings_dict["NAME"]
    connection.settings_dict["TEST"]["NAME"] = name
    try:
        try:
            connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
        except OperationalError as problem:
            raise CommandError(f"no temporary database could be made: {problem}") from None
        yield
    finally:
        # otherwise nothing was made, and what is configured is not ours to drop
        if connection.settings_dict["NAME"] == name:
            connection.creation.destroy_test_db(configured, verbosity=0)
