"""Encrypt every stored secret and address again under the newest key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection, models, transaction

from consents import encryption


class Command(BaseCommand):
    """Every encrypted field of every installed model, in small transactions.

    Tokens are turned into tokens; nothing is decoded into values. Run it after putting a new key
    first in FIELD_ENCRYPTION_KEYS; when it ends without an error the old keys may go.
    """

    help = "Re-encrypts all encrypted fields under the first key of FIELD_ENCRYPTION_KEYS."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--batch", type=int, default=500, help="rows per transaction")

    def handle(self, *_: Any, **options: Any) -> None:
        total, unreadable = 0, 0
        for model, fields in encrypted_fields():
            changed, broken = _rotate_table(model, fields, options["batch"])
            total, unreadable = total + changed, unreadable + broken
            self.stdout.write(f"{model._meta.label}: {changed} rows, {broken} unreadable")
        if unreadable:
            raise CommandError(
                f"{unreadable} values open with no configured key; keep the old keys and look "
                "for the missing one"
            )
        self.stdout.write(f"{total} rows are under the newest key now")


def encrypted_fields() -> Iterator[tuple[type[models.Model], list[str]]]:
    """Every table of ours that holds encrypted columns, with their names."""
    for model in apps.get_models(include_auto_created=True):
        if model._meta.managed and not model._meta.proxy:
            columns = [
                str(field.column)
                for field in model._meta.local_concrete_fields
                if isinstance(field, encryption._EncryptedField)
            ]
            if columns:
                yield model, columns


def _rotate_table(model: type[models.Model], columns: list[str], batch: int) -> tuple[int, int]:
    """How many rows were encrypted again, and how many values no key opens."""
    newest = Fernet(settings.FIELD_ENCRYPTION_KEYS[0])
    changed, broken = 0, 0
    last: Any = None
    while True:
        with transaction.atomic():
            rows = _next_rows(model, columns, last, batch)
            if not rows:
                return changed, broken
            last = rows[-1][0]
            for pk, *tokens in rows:
                fresh, failed = _rotated(tokens, newest)
                broken += failed
                if fresh is not None:
                    changed += 1
                    _write(model, columns, pk, fresh)


def _next_rows(
    model: type[models.Model], columns: list[str], last: Any, batch: int
) -> list[tuple[Any, ...]]:
    quote = connection.ops.quote_name
    pk = quote(str(model._meta.pk.column))
    names = ", ".join(quote(column) for column in columns)
    after = "" if last is None else f"WHERE {pk} > %s"
    sql = (
        f"SELECT {pk}, {names} FROM {quote(model._meta.db_table)} {after} "  # noqa: S608
        f"ORDER BY {pk} LIMIT %s FOR UPDATE"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [batch] if last is None else [last, batch])
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _rotated(tokens: list[Any], newest: Fernet) -> tuple[list[bytes | None] | None, int]:
    """The tokens under the newest key, or None when they are already; and the unreadable ones."""
    fresh: list[bytes | None] = []
    has_changed, failed = False, 0
    for token in tokens:
        raw = None if token is None else bytes(token)
        if raw is not None and not _opens(newest, raw):
            try:
                raw, has_changed = encryption.rotate(raw), True
            except encryption.DecryptionFailed:
                failed += 1
        fresh.append(raw)
    return (fresh if has_changed else None), failed


def _opens(key: Fernet, token: bytes) -> bool:
    try:
        key.decrypt(token)
    except InvalidToken:
        return False
    return True


def _write(
    model: type[models.Model], columns: list[str], pk: Any, tokens: list[bytes | None]
) -> None:
    quote = connection.ops.quote_name
    pairs = ", ".join(f"{quote(column)} = %s" for column in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {quote(model._meta.db_table)} SET {pairs} "  # noqa: S608
            f"WHERE {quote(str(model._meta.pk.column))} = %s",
            [*tokens, pk],
        )
