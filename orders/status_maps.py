"""What a manager says the words of a source mean, who said so when, and reading calls again.

A status map changes by versions: the account holds what counts now, ``StatusMapChange`` how it
came to that. What was said under an older map is read again, never altered (orders.restated).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Length

from integrations.contracts import State
from orders.calls import replay_call
from orders.models import (
    InboundCall,
    Location,
    Observation,
    SourceAccount,
    StatusMapChange,
    UnknownWord,
)
from orders.news import CAUSE_CHARS
from orders.selectors import clear_caches
from orders.unknown_words import LOCATION, STATE

StatusMap = Mapping[str, Mapping[str, str]]
#: (stream, word)
Word = tuple[str, str]

#: states of calls that need a person
STUCK = ("quarantined", "failed")
#: calls read again at once: a page waits for them
AT_ONCE = 200
#: so much of a word is looked for in a cause
_NAMED = 200
_UNKNOWN_STATE, _UNKNOWN_LOCATION = "unknown state", "unknown location"


class MapChanged(Exception):
    """Somebody else changed the status map after this page was made."""


@dataclass(frozen=True, slots=True)
class Reread:
    """What came of reading calls again."""

    #: read, of those tried
    read: int = 0
    tried: int = 0
    #: not tried yet: more than can be read at once
    left: int = 0

    def __add__(self, other: Reread) -> Reread:
        return Reread(self.read + other.read, self.tried + other.tried, self.left + other.left)


def set_status_map(
    *,
    account_id: int,
    status_map: StatusMap,
    actor: str,
    now: datetime,
    known_version: int | None = None,
) -> list[Word]:
    """Make ``status_map`` the account's; returns the words whose meaning changed.

    Raises MapChanged when ``known_version`` is not the version it has by now.
    """
    with transaction.atomic():
        account = _locked(account_id)
        if known_version not in (None, account.status_map_version):
            raise MapChanged
        return _write(account, status_map, actor, now)


def map_words(
    *, account_id: int, meanings: Mapping[Word, str], actor: str, now: datetime
) -> list[Word]:
    """Add ``meanings`` (a State, or "" = says nothing about it) to the account's status map."""
    with transaction.atomic():
        account = _locked(account_id)
        merged = {stream: dict(words) for stream, words in account.status_map.items()}
        for (stream, word), meaning in meanings.items():
            merged.setdefault(stream, {})[word] = meaning
        return _write(account, merged, actor, now)


def name_location(*, account: SourceAccount, name: str, location_id: int) -> None:
    """Say that ``name`` is what this source calls a kitchen of its restaurant."""
    with transaction.atomic():
        place = Location.objects.select_for_update().get(
            pk=location_id, restaurant_id=account.restaurant_id
        )
        if name not in place.external_ids:
            place.external_ids = [*place.external_ids, name]
            place.save(update_fields=["external_ids"])
        UnknownWord.objects.filter(
            account__restaurant_id=account.restaurant_id, about=LOCATION, word=name
        ).delete()
        transaction.on_commit(clear_caches)


def _locked(account_id: int) -> SourceAccount:
    # no key: calls that refer to the account are stored meanwhile
    rows = SourceAccount.objects.select_for_update(no_key=True)
    return rows.only("status_map", "status_map_version").get(pk=account_id)


def _write(account: SourceAccount, wanted: StatusMap, actor: str, now: datetime) -> list[Word]:
    before, after = _flat(account.status_map), _flat(wanted)
    if unknown := set(after.values()) - {"", *State}:
        raise ValueError(f"no state of ours: {', '.join(sorted(unknown))}")
    changed = sorted(w for w in before.keys() | after.keys() if before.get(w) != after.get(w))
    # also what is confirmed as it was: a word may have come after the page was made
    _forget(account.pk, after)
    if not changed:
        return []
    account.status_map = {stream: dict(words) for stream, words in wanted.items() if words}
    account.status_map_version += 1
    account.save(update_fields=["status_map", "status_map_version"])
    StatusMapChange.objects.bulk_create(
        StatusMapChange(
            account=account,
            version=account.status_map_version,
            stream=stream,
            word=word,
            before=before.get((stream, word)),
            after=after.get((stream, word)),
            changed_by=actor[:150],
            changed_at=now,
        )
        for stream, word in changed
    )
    transaction.on_commit(clear_caches)
    return changed


def _flat(status_map: StatusMap) -> dict[Word, str]:
    return {
        (stream, word): meaning
        for stream, words in status_map.items()
        for word, meaning in words.items()
    }


def _forget(account_id: int, words: Iterable[Word]) -> None:
    known = set(words)
    rows = UnknownWord.objects.filter(account_id=account_id, about=STATE)
    gone = [row.pk for row in rows if (row.stream, row.word) in known]
    UnknownWord.objects.filter(pk__in=gone).delete()


# --- reading again ----------------------------------------------------------------------------


def calls_saying(
    account_id: int, *, words: Sequence[Word] = (), locations: Collection[str] = ()
) -> QuerySet[InboundCall]:
    """Calls that may mean something else now: those that got stuck or wait, and of open orders.

    An order that is over stays as it ended: nobody is served by a story told anew.
    """
    calls = InboundCall.objects.filter(account_id=account_id).annotate(length=Length("cause"))
    wanted = Q(pk__in=[])
    if words:
        native = {word for _, word in words}
        said = Observation.objects.filter(
            account_id=account_id, native_state__in=native, order__is_open=True
        )
        # of a cause that was cut off nobody knows what else it named
        named = Q(length__gte=CAUSE_CHARS)
        for stream, word in words:
            named |= Q(cause__contains=f"{stream} {word}"[:_NAMED])
        wanted |= Q(state__in=STUCK, cause__contains=_UNKNOWN_STATE) & named
        wanted |= Q(pk__in=said.exclude(call=None).values("call")) | Q(state="parked")
    for name in locations:
        wanted |= Q(state__in=STUCK, cause__contains=f"{_UNKNOWN_LOCATION} '{name}'")
    return calls.filter(wanted)


def read_again(calls: QuerySet[InboundCall], *, now: datetime) -> Reread:
    """Read ``calls`` again, the oldest first, as many as a page can wait for."""
    total = calls.count()
    wanted = list(calls.order_by("received_at", "pk")[:AT_ONCE])
    ends = [replay_call(row=call, now=now) for call in wanted]
    return Reread(sum(end not in STUCK for end in ends), len(ends), total - len(wanted))
