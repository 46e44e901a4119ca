"""Recorded payloads of one source, applied to an empty database: what would we have made of them?

Signatures are not checked (a recording has no secret) and nothing is fetched: the answers to the
requests of thin events are recordings too. Every recording arrives at a moment taken from the
payloads themselves, so that the result does not depend on the day of the replay. A replay has no
calendar: an id means one order however far apart its recordings are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from consents.models import SenderGroup
from integrations.contracts import OrderUpdate, Setting
from integrations.registry import source_class
from orders import intake, parking, selectors
from orders.models import Location, Order, ParkedUpdate, Restaurant, SourceAccount
from orders.models.source import AccountMode
from orders.news import Applied
from orders.recordings import UNKNOWN, Reader, Recording, Said

#: when the first recording came that says no time, when no recording says one
DAWN = datetime(2026, 1, 1, 12, tzinfo=UTC)
STEP = timedelta(minutes=1)
#: recordings this far apart are of different days: one says nothing about when another came
NEAR = timedelta(days=1)

#: switches that let calls in: what was recorded was taken
_LETS_IN = frozenset({"allow_batch"})

StatusMap = Mapping[str, Mapping[str, str]]


def open_house(
    key: str, values: Mapping[str, str], status_map: StatusMap | None = None
) -> SourceAccount:
    """An account at source ``key`` of a restaurant whose one location takes any order.

    ``values`` replace settings, ``status_map`` is what a manager would have added. Raises
    LookupError for an unknown source or setting.
    """
    declared = source_class(key).settings
    if unknown := values.keys() - {one.name for one in declared}:
        raise LookupError(f"{key} has no setting '{min(unknown)}'")
    group = SenderGroup.objects.create(name="Replay", country="US")
    restaurant = Restaurant.objects.create(name="Replay", slug="replay", sender_group=group)
    location = Location.objects.create(restaurant=restaurant, name="Replay")
    selectors.clear_caches()
    return SourceAccount.objects.create(
        restaurant=restaurant,
        location=location,
        source=key,
        name="Replay",
        mode=AccountMode.LIVE,
        settings={one.name: _dummy(one) for one in declared} | dict(values),
        status_map=status_map or {},
    )


def _dummy(setting: Setting) -> str:
    if setting.name in _LETS_IN:
        return "yes"
    if setting.default or not setting.required:
        return setting.default
    return "https://example.com" if setting.is_url else "replay"


@dataclass(frozen=True, slots=True)
class _Moment:
    """When a recording says it happened, or (not stated) the earliest time it mentions."""

    at: datetime | None
    is_stated: bool


class Replay:
    """Applies recordings in the order given.

    ``notes`` says what meant nothing and what was missing, ``problems`` what nobody could read.
    """

    def __init__(self, account: SourceAccount) -> None:
        self.account = account
        self.reader = Reader(selectors.source_for(account), selectors.webhook_url(account))
        self.notes: list[str] = []
        self.problems: list[str] = []
        self._clock = DAWN
        self._end = DAWN

    def play(self, recordings: Sequence[Recording]) -> None:
        """Apply ``recordings``; one that nobody can read does not stop the others."""
        said, missing = self.reader.sort_out(recordings)
        moments = [_moment(self.reader.updates(one, UNKNOWN)) for one in said]
        known = [one.at for one in moments if one.at is not None]
        self._clock = min(known, default=DAWN)
        self._end = max(known, default=DAWN) + STEP * (len(said) + 1)
        for one, moment in zip(said, moments, strict=True):
            self._apply(one, self._arrival(moment))
        self._unpark()
        for request in missing:
            about = f"order {request.order_id}" if request.order_id else request.coalesce_key
            self.notes.append(f"{about}: no file answers the question its event leads to")
        self.notes = list(dict.fromkeys(self.notes))
        self.problems = list(dict.fromkeys(self.problems))

    def _arrival(self, moment: _Moment) -> datetime:
        """When a recording arrives: when it happened, else a minute after what was before it."""
        at, following = moment.at, self._clock + STEP
        if at is None:
            at = following
        elif not moment.is_stated and abs(at - following) < NEAR:
            at = max(at, following)
        self._clock = max(self._clock, at)
        return at

    def _apply(self, said: Said, at: datetime) -> None:
        name = said.recording.name
        if said.problem:
            self.problems.append(f"{name}: {said.problem}")
        elif said.note:
            self.notes.append(f"{name}: {said.note}")
        for update in self.reader.updates(said, at):
            end = self._take(update, at)
            if end.cause and end.outcome != "parked":
                self.notes.append(f"{name}: {end.cause}")

    def _take(self, update: OrderUpdate, at: datetime) -> Applied:
        end = intake.apply_update(account=self.account, update=update, call=None, received_at=at)
        # no calendar: an order stays young enough to be joined by a shared name
        Order.objects.filter(restaurant_id=self.account.restaurant_id).update(updated_at=self._end)
        return end

    def _unpark(self) -> None:
        """News about orders nobody described: each order is shown as far as it is known."""
        while rows := list(ParkedUpdate.objects.filter(account=self.account)):
            row = min(rows, key=lambda one: (one.parked_at, json.dumps(one.update, sort_keys=True)))
            update = replace(parking.read_update(row.update), courier_only=False)
            row.delete()
            self._take(update, row.parked_at)
            self.notes.append(f"order {update.order_id}: only a courier's news or notices are here")


def _moment(found: Iterable[OrderUpdate]) -> _Moment:
    said = [one for update in found for one in update.observations]
    stated = [o.occurred_at for o in said if o.occurred_at and o.occurred_at != UNKNOWN]
    if stated:
        return _Moment(max(stated), is_stated=True)
    mentioned = [
        datetime.fromisoformat(value)
        for one in said
        for values in (one.data, one.data.get("times") or {})
        for name, value in values.items()
        if name.endswith(("_at", "_until")) and isinstance(value, str)
    ]
    return _Moment(min(mentioned, default=None), is_stated=False)
