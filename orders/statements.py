"""The three SQL statements the ORM cannot say in one round trip.

Everything interpolated is a table or column name of our own models; values are parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import connection, models


def insert_or_ignore(model: type[models.Model], values: Mapping[str, Any]) -> Any:
    """Insert one row unless a unique key is taken; its primary key, or None when it was.

    ``values`` holds every column without a database default. Outside a transaction it commits.
    """
    fields = [model._meta.get_field(name) for name in values]
    columns = ", ".join(_name(field) for field in fields)
    marks = ", ".join(_mark(field) for field in fields)
    sql = (
        f"INSERT INTO {_table(model)} ({columns}) VALUES ({marks}) "  # noqa: S608
        "ON CONFLICT DO NOTHING RETURNING id"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, _parameters(fields, values))
        row = cursor.fetchone()
    return row[0] if row else None


def update_rows(*changes: tuple[models.Model, Mapping[str, Any]]) -> None:
    """Set columns of up to a few rows of different models in one statement.

    The instances carry the new values afterwards. An empty change is left out.
    """
    parts: list[str] = []
    parameters: list[Any] = []
    for row, values in changes:
        if not values:
            continue
        fields = [row._meta.get_field(name) for name in values]
        settings = ", ".join(f"{_name(field)} = {_mark(field)}" for field in fields)
        parts.append(f"UPDATE {_table(type(row))} SET {settings} WHERE id = %s")  # noqa: S608
        parameters += [*_parameters(fields, values), row.pk]
        for name, value in values.items():
            setattr(row, name, value)
    if not parts:
        return
    *first, last = parts
    with_ = ", ".join(f"change_{index} AS ({part})" for index, part in enumerate(first))
    with connection.cursor() as cursor:
        cursor.execute(f"WITH {with_} {last}" if with_ else last, parameters)


def _table(model: type[models.Model]) -> str:
    return connection.ops.quote_name(model._meta.db_table)


def _name(field: Any) -> str:
    return connection.ops.quote_name(field.column)


def _mark(field: Any) -> str:
    # an array parameter is text[] to PostgreSQL unless told otherwise
    return f"%s::{field.db_type(connection)}" if isinstance(field, ArrayField) else "%s"


def _parameters(fields: Sequence[Any], values: Mapping[str, Any]) -> list[Any]:
    return [
        field.get_db_prep_save(_plain(value), connection)
        for field, value in zip(fields, values.values(), strict=True)
    ]


def _plain(value: Any) -> Any:
    return value.pk if isinstance(value, models.Model) else value
