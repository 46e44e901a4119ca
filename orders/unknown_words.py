"""What sources say that nobody knows yet: kept with how often and since when, for a manager."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import connection

from orders.models import InboundCall, SourceAccount

STATE, LOCATION = "state", "location"
#: longest word kept, longest stream
_WORD, _STREAM = 200, 80

_NOTE = """
INSERT INTO orders_unknownword AS known
       (account_id, about, stream, word, times, first_seen_at, last_seen_at, call_id)
VALUES (%s, %s, %s, %s, 1, %s, %s, %s)
ON CONFLICT (account_id, about, stream, word) DO UPDATE SET
       times = known.times + %s,
       first_seen_at = least(known.first_seen_at, excluded.first_seen_at),
       last_seen_at = greatest(known.last_seen_at, excluded.last_seen_at),
       call_id = coalesce(excluded.call_id, known.call_id)
"""


def note_states(
    words: Iterable[str],
    *,
    account: SourceAccount,
    call: InboundCall | None,
    at: datetime,
    is_new: bool,
) -> None:
    """Note states as ``OrderUpdate.unknown_states`` names them ("stream word")."""
    pairs = {(stream, word) for stream, _, word in (one.partition(" ") for one in words)}
    # sorted: two calls must not wait for each other
    for stream, word in sorted(pairs):
        _note(STATE, stream, word, account=account, call=call, at=at, is_new=is_new)


def note_location(
    name: str, *, account: SourceAccount, call: InboundCall | None, at: datetime
) -> None:
    """Note the name of a kitchen; a call that is read again and a poll do not count again."""
    is_new = call is not None and call.settled_at is None
    _note(LOCATION, "", name, account=account, call=call, at=at, is_new=is_new)


def _note(
    about: str,
    stream: str,
    word: str,
    *,
    account: SourceAccount,
    call: InboundCall | None,
    at: datetime,
    is_new: bool,
) -> None:
    what = (account.pk, about, stream[:_STREAM], word[:_WORD])
    with connection.cursor() as cursor:
        cursor.execute(_NOTE, (*what, at, at, call.pk if call else None, int(is_new)))
