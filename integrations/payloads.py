"""Reading vendors' JSON without trusting it: every reader says what it found and where.

PostgreSQL stores neither NUL nor half a surrogate pair, so :func:`load_json` removes them once
for everybody.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

from integrations.errors import PayloadMalformed

_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:?\d\d)", re.ASCII)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def load_json(body: bytes, *, loose: bool = False) -> Any:
    """The JSON value in ``body``, which is UTF-8; raises PayloadMalformed.

    ``loose`` takes bare line breaks inside texts: template languages of vendors leave them there.
    """
    try:
        # given bytes, json lets half characters pass
        text = body.decode("utf-8-sig")
        value = json.loads(text, strict=not loose, parse_constant=_refuse_constant)
        if b"\x00" in body or rb"\u0000" in body or rb"\ud" in body.lower():
            return _storable(value)
    except (ValueError, RecursionError) as error:
        raise PayloadMalformed(f"the body is not JSON: {_short(error)}") from None
    return value


def load_object(body: bytes, *, loose: bool = False) -> dict[str, Any]:
    """The JSON object in ``body``; raises PayloadMalformed. ``loose`` as in :func:`load_json`."""
    return as_object(load_json(body, loose=loose), "the body")


def _short(error: Exception) -> str:
    # positions only: the text around them may be a person's name
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos}"
    return type(error).__name__


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return _UNSTORABLE.sub("", value)
    if isinstance(value, list):
        return [_storable(entry) for entry in value]
    if isinstance(value, dict):
        return {_UNSTORABLE.sub("", name): _storable(entry) for name, entry in value.items()}
    return value


def is_storable(value: str) -> bool:
    """Whether PostgreSQL can hold this text."""
    return _UNSTORABLE.search(value) is None


def storable(value: str, limit: int) -> str:
    """What PostgreSQL can hold of a text, cut to ``limit`` characters."""
    return _UNSTORABLE.sub("", value)[:limit]


def as_object(value: Any, path: str) -> dict[str, Any]:
    """``value`` if it is a JSON object; raises PayloadMalformed naming ``path``."""
    if not isinstance(value, dict):
        raise PayloadMalformed(f"{path}: expected an object, got {kind_of(value)}")
    return value


def inner(value: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The object under a chain of member names; {} where one is absent or something else."""
    found: Any = value
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, dict) else {}


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; [] for anything that is no list (vendors send null)."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def text(value: Any, limit: int = 200) -> str:
    """``value`` as text cut to ``limit``; whole numbers are accepted, anything else is ""."""
    if isinstance(value, str):
        return value.strip()[:limit]
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)[:limit]
    return ""


def required_text(value: Any, path: str, limit: int = 200) -> str:
    """Like :func:`text`, but absent or over-long ids raise PayloadMalformed naming ``path``.

    Ids are never cut: two orders must not become one.
    """
    found = text(value, limit + 1)
    if not found:
        raise PayloadMalformed(f"{path}: missing or not a text")
    if len(found) > limit:
        raise PayloadMalformed(f"{path}: longer than {limit} characters")
    return found


def time(value: Any, path: str) -> datetime | None:
    """An RFC 3339 time with offset, in UTC; None for null, absent and ""; else PayloadMalformed."""
    if value is None or value == "":
        return None
    if isinstance(value, str) and _TIME.fullmatch(value):
        try:
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise PayloadMalformed(f"{path}: expected a time with offset such as 2026-03-14T18:05:00Z")


def unix_time(value: Any, path: str) -> datetime | None:
    """Whole seconds since 1970 as UTC; None for null and absent; else PayloadMalformed."""
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return datetime.fromtimestamp(value, UTC)
        except (ValueError, OverflowError, OSError):
            pass
    raise PayloadMalformed(f"{path}: expected seconds since 1970")


def number(value: Any, default: float = 1) -> int | float:
    """A quantity above zero from a number or a decimal string, whole where it is whole."""
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return default
    if not 0 < found < 1_000_000:
        return default
    return int(found) if found.is_integer() else round(found, 3)


def iso(value: datetime | None) -> str | None:
    """The form times have inside ``Observation.data``: ISO 8601, UTC."""
    return None if value is None else value.astimezone(UTC).isoformat()


def kind_of(value: Any) -> str:
    """What a JSON value is, for people."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    names = {str: "text", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), "something else")


def sha256(body: bytes) -> str:
    """Hex SHA-256."""
    return hashlib.sha256(body).hexdigest()


def key_within(key: str, limit: int = 300) -> str:
    """``key``, its tail replaced by a hash of the whole where it is longer than ``limit``."""
    key = _UNSTORABLE.sub("", key)
    if len(key) <= limit:
        return key
    return f"{key[: limit - 33]}~{sha256(key.encode())[:32]}"


def scoped_key(key: str, scope: str, ref: str) -> str:
    """The event key of one of several observations read out of one payload."""
    return key_within(f"{key}#{scope}:{ref}", 370)


def look_up(
    native: str, table: Mapping[str, str | None], added: Mapping[str, str] | None = None
) -> tuple[str | None, bool]:
    """(canonical state or None, whether anybody knows ``native``).

    ``added`` are a manager's mappings; "" in them means "says nothing about the state".
    """
    if added and native in added:
        return added[native] or None, True
    if native in table:
        return table[native], True
    return None, False
