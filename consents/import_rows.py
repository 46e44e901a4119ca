"""Lists of consents, line by line. Pure: bytes in, what a line says or what is wrong with it out.

A line is a row: a broken one spoils no other. Nothing here ever repeats a value in an error.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from consents.addresses import AddressInvalid, Normalized, normalize
from consents.models import ConsentAction, Purpose

COLUMNS = (
    *("address", "channel", "purpose", "action", "occurred_at", "notice", "language", "origin"),
)
CHANNELS = frozenset({"sms", "whatsapp", "email"})
#: what a list may say; a list never lifts and never confirms
ACTIONS = frozenset(
    {
        ConsentAction.GRANTED,
        ConsentAction.DENIED,
        ConsentAction.WITHDRAWN,
        ConsentAction.SUPPRESSED,
        ConsentAction.PENDING,
    }
)
MAX_BYTES = 32 * 1024 * 1024
MAX_ROWS = 250_000
_LONGEST_LINE = 4000
_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
#: clocks differ; what is further ahead is nonsense
_AHEAD = timedelta(days=1)


class ListRefused(Exception):
    """The file as a whole cannot be read; ``code`` says why, nothing was taken.

    Codes: empty, too_large, too_many_rows, no_header, no_address_column, no_action_column,
    unknown_column.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class RowInvalid(ValueError):
    """A row cannot be taken; ``code`` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Row:
    """What one line says."""

    number: int
    channel: str
    normalized: Normalized
    purpose: str
    action: str
    occurred_at: datetime
    #: "" or "key:version"
    notice: str
    language: str
    origin: str


def read_rows(data: bytes) -> Iterator[tuple[int, list[str] | RowInvalid]]:
    """(line number, cells in the order of COLUMNS or what is wrong), after checking the header.

    Line 1 is the header: names of COLUMNS, split by comma, semicolon or tab. Raises ListRefused
    at the first step.
    """
    if len(data) > MAX_BYTES:
        raise ListRefused("too_large")
    if data.count(b"\n") > MAX_ROWS + 1:
        raise ListRefused("too_many_rows")
    lines = io.BytesIO(data.removeprefix(b"\xef\xbb\xbf"))
    places, delimiter = _header(lines.readline())
    for number, line in enumerate(lines, start=2):
        if not line.strip(b"\r\n ,;\t"):
            continue
        try:
            cells = _cells(line, delimiter)
            if len(cells) != len(places):
                raise RowInvalid("wrong_columns")
        except RowInvalid as error:
            yield number, error
            continue
        named = dict(zip(places, cells, strict=True))
        yield number, [named.get(name, "").strip() for name in COLUMNS]


def _header(line: bytes) -> tuple[list[str], str]:
    if not line.strip():
        raise ListRefused("empty")
    delimiter = max(",;\t", key=lambda mark: line.count(mark.encode()))
    try:
        names = [cell.strip().lower() for cell in _cells(line, delimiter)]
    except RowInvalid:
        raise ListRefused("no_header") from None
    if "address" not in names:
        raise ListRefused("no_address_column")
    if "action" not in names:
        raise ListRefused("no_action_column")
    if len(set(names)) != len(names) or not set(names) <= set(COLUMNS):
        raise ListRefused("unknown_column")
    return names, delimiter


def _cells(line: bytes, delimiter: str) -> list[str]:
    if len(line) > _LONGEST_LINE:
        raise RowInvalid("too_long")
    try:
        text = line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise RowInvalid("not_utf8") from None
    if "\x00" in text:
        raise RowInvalid("unreadable")
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True), [])
    except csv.Error:
        raise RowInvalid("unreadable") from None


def parse_row(
    number: int, cells: list[str], *, country: str, notices: Collection[str], now: datetime
) -> Row:
    """What the line says; raises RowInvalid.

    ``notices`` are the known "key:version"; ``country`` completes national numbers. Codes:
    those of AddressInvalid and unknown_channel, unknown_purpose, unknown_action, no_time,
    bad_time, time_ahead, unknown_notice.
    """
    said: Mapping[str, str] = dict(zip(COLUMNS, cells, strict=True))
    channel = said["channel"].lower() or ("email" if "@" in said["address"] else "sms")
    if channel not in CHANNELS:
        raise RowInvalid("unknown_channel")
    purpose = said["purpose"].lower() or str(Purpose.ORDER_UPDATES)
    if purpose not in Purpose.values:
        raise RowInvalid("unknown_purpose")
    action = said["action"].lower()
    if action not in ACTIONS:
        raise RowInvalid("unknown_action")
    occurred_at = _moment(said["occurred_at"], now)
    if said["notice"] and said["notice"] not in notices:
        raise RowInvalid("unknown_notice")
    try:
        normalized = normalize(channel, said["address"], country)
    except AddressInvalid as error:
        raise RowInvalid(error.reason) from None
    return Row(
        number=number,
        channel=channel,
        normalized=normalized,
        purpose=purpose,
        action=action,
        occurred_at=occurred_at,
        notice=said["notice"],
        language=said["language"][:10],
        origin=said["origin"][:200],
    )


def _moment(text: str, now: datetime) -> datetime:
    """When the person said it: a time with its offset, or a day (then its first moment, UTC)."""
    if not text:
        raise RowInvalid("no_time")
    try:
        if len(text) == 10:
            day = date.fromisoformat(text)
            moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
        else:
            moment = datetime.fromisoformat(text)
    except ValueError:
        raise RowInvalid("bad_time") from None
    if moment.tzinfo is None or moment < _EARLIEST:
        raise RowInvalid("bad_time")
    if moment > now + _AHEAD:
        raise RowInvalid("time_ahead")
    return moment
