"""Recorded payloads of one source, applied to an empty database: what would we have made of them?

Signatures are not checked (a recording has no secret) and nothing is fetched: the answers to the
requests of thin events are recordings too. Every call arrives at a moment taken from the payloads
themselves, so that the result does not depend on the day of the replay.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from consents.models import SenderGroup
from integrations import canonical, payloads
from integrations.contracts import (
    FollowUp,
    HttpRequest,
    HttpResponse,
    InboundCall,
    OrderUpdate,
    Setting,
    ordering_key,
)
from integrations.errors import EventIgnored, PayloadMalformed
from integrations.registry import source_class
from orders import intake, parking, selectors
from orders.models import Location, ParkedUpdate, Restaurant, SourceAccount
from orders.models.source import AccountMode
from orders.rest import SOURCE as REST

#: how old the first recording is that says no time, when no recording says one
DAWN = datetime(2026, 1, 1, 12, tzinfo=UTC)
STEP = timedelta(minutes=1)
#: recordings this far apart are of different days: one says nothing about when another came
NEAR = timedelta(days=1)
#: a moment no payload means: what carries it was given the time of its arrival
_UNKNOWN = datetime(2000, 1, 1, tzinfo=UTC)
_BLANK = FollowUp(HttpRequest.get(""), coalesce_key="", order_id="")
_BODIES = ("http_body", "body", "message")
_HEADERS = ("http_headers", "headers")


class UnreadableRecording(Exception):
    """A recording nobody can read; the text names it and says why."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One payload as it came: the body of a webhook call, or of the answer to a GET."""

    name: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request a thin event would have made, and which recording (by number) was that event."""

    place: int
    follow_up: FollowUp


def load_recording(path: str) -> Recording:
    """The payload in a file: the body as it came, or an object that holds body and headers.

    Raises UnreadableRecording.
    """
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise UnreadableRecording(f"{path}: {error.strerror}") from None
    try:
        held = payloads.load_json(raw)
    except PayloadMalformed as problem:
        raise UnreadableRecording(f"{path}: {problem}") from None
    name = next((name for name in _BODIES if _is_wrapper(held, name)), None)
    if name is None:
        return Recording(path, raw)
    body = held[name]
    headers: Mapping[str, Any] = next(
        (held[key] for key in _HEADERS if isinstance(held.get(key), dict)), {}
    )
    return Recording(
        path,
        body.encode() if isinstance(body, str) else json.dumps(body).encode(),
        {str(key).lower(): str(value) for key, value in headers.items()},
    )


def _is_wrapper(held: Any, name: str) -> bool:
    if not isinstance(held, dict) or name not in held or "specversion" in held:
        return False
    return "source" in held or any(key in held for key in _HEADERS)


def open_house(key: str, values: Mapping[str, str]) -> SourceAccount:
    """An account at source ``key`` of a restaurant whose one location takes any order.

    ``values`` replace settings. Raises LookupError for an unknown source or setting.
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
    )


def _dummy(setting: Setting) -> str:
    if setting.default or not setting.required:
        return setting.default
    return "https://example.com" if setting.is_url else "replay"


@dataclass(frozen=True, slots=True)
class _Moment:
    """When a recording says it happened, or (not stated) the earliest time it mentions."""

    at: datetime | None
    is_stated: bool


class Replay:
    """Applies recordings in the order given. ``notes`` says what meant nothing, and why."""

    def __init__(self, account: SourceAccount) -> None:
        self.account = account
        self.source = selectors.source_for(account)
        self.notes: list[str] = []
        self._asked: list[Asked] = []
        self._clock = DAWN

    def play(self, recordings: Sequence[Recording]) -> None:
        """Apply ``recordings``. Raises UnreadableRecording at the first nobody can read."""
        moments: list[_Moment] = []
        for place, recording in enumerate(recordings):
            found = self._read(recording, place, _UNKNOWN)
            self._asked += [Asked(place, one) for one in found if isinstance(one, FollowUp)]
            moments.append(_moment(found))
        self._clock = min((one.at for one in moments if one.at is not None), default=DAWN)
        for place, recording in enumerate(recordings):
            self._apply(recording, place, self._arrival(moments[place]))
        self._unpark()

    def _arrival(self, moment: _Moment) -> datetime:
        """When a recording arrives: when it happened, else a minute after what was before it."""
        at, following = moment.at, self._clock + STEP
        if at is None:
            at = following
        elif not moment.is_stated and abs(at - following) < NEAR:
            at = max(at, following)
        self._clock = max(self._clock, at)
        return at

    def _apply(self, recording: Recording, place: int, at: datetime) -> None:
        found = self._read(recording, place, at, is_noting=True)
        updates = [one for one in found if isinstance(one, OrderUpdate)]
        for update in sorted(updates, key=lambda one: one.order_id):
            end = intake.apply_update(
                account=self.account, update=update, call=None, received_at=at
            )
            if end.cause and end.outcome != "parked":
                self.notes.append(f"{recording.name}: {end.cause}")

    def _unpark(self) -> None:
        """Courier news about orders nobody described: each shown as an order of its own."""
        while rows := list(ParkedUpdate.objects.filter(account=self.account)):
            row = min(rows, key=lambda one: (one.parked_at, json.dumps(one.update, sort_keys=True)))
            update = replace(parking.read_update(row.update), courier_only=False)
            row.delete()
            intake.apply_update(
                account=self.account, update=update, call=None, received_at=row.parked_at
            )
            self.notes.append(f"{update.order_id}: only a courier spoke of this order")

    # --- what a recording is ------------------------------------------------------------------

    def _read(
        self, recording: Recording, place: int, at: datetime, *, is_noting: bool = False
    ) -> Sequence[OrderUpdate | FollowUp]:
        """A webhook call if the source takes it for one, else the answer to a GET."""
        problem: Exception = PayloadMalformed("nothing the source can read")
        for call in _calls(recording, selectors.webhook_url(self.account), at):
            try:
                return self._webhook(call)
            except (PayloadMalformed, EventIgnored) as refusal:
                problem = refusal
        answered = self._answer(recording.body, place, at)
        if answered:
            return answered
        if isinstance(problem, PayloadMalformed):
            raise UnreadableRecording(f"{recording.name}: {problem}") from None
        if is_noting:
            self.notes.append(f"{recording.name}: {problem}")
        return ()

    def _webhook(self, call: InboundCall) -> Sequence[OrderUpdate | FollowUp]:
        if self.account.source == REST:
            return [_rest_update(call)]
        reply = self.source.handshake(call)
        if reply is not None and reply.status < 300:
            raise EventIgnored("only tests the address")
        return self.source.parse(call)

    def _answer(self, body: bytes, place: int, at: datetime) -> Sequence[OrderUpdate]:
        """What ``body`` says as the answer to a GET, or to the request of a poll."""
        response = HttpResponse(200, {}, body)
        for follow_up in self._candidates(place):
            try:
                found = self.source.parse_resource(follow_up, response, at)
            except (PayloadMalformed, EventIgnored, NotImplementedError):
                continue
            names = {one.order_id for one in found}
            # some events name only a part of an order, and the answer says of which
            if found and (not follow_up.order_id or names == {follow_up.order_id}):
                return found
        try:
            return self.source.parse_poll(response, at)
        except (PayloadMalformed, EventIgnored):
            return ()

    def _candidates(self, place: int) -> Iterator[FollowUp]:
        """Who may have asked: the nearest event before the answer, else one after it, or nobody."""
        before = [one.follow_up for one in self._asked if one.place < place]
        yield from reversed(before)
        yield from (one.follow_up for one in self._asked if one.place > place)
        yield _BLANK


def _calls(recording: Recording, url: str, at: datetime) -> Iterator[InboundCall]:
    """The call as it was, or the calls it may have been when the headers were not recorded."""
    types: Iterable[str] = ("application/json",)
    if "content-type" in recording.headers:
        types = (recording.headers["content-type"],)
    elif not recording.headers:
        is_list = recording.body.lstrip().startswith(b"[")
        types = (*types, f"application/cloudevents{'-batch' if is_list else ''}+json")
    for kind in types:
        headers = {**recording.headers, "content-type": kind}
        yield InboundCall("POST", url, headers, recording.body, at)


def _rest_update(call: InboundCall) -> OrderUpdate:
    """A body of the REST API; such updates are ordered by their arrival."""
    statement = canonical.Statement(
        event_key=f"recording:{payloads.sha256(call.body)}",
        ordering_key=ordering_key(call.received_at),
        occurred_at=call.received_at,
        occurred_at_basis="arrival",
    )
    checked = canonical.check_update(payloads.load_json(call.body), path="body")
    return canonical.read_update(checked, statement)


def _moment(found: Iterable[OrderUpdate | FollowUp]) -> _Moment:
    said = [
        one for update in found if isinstance(update, OrderUpdate) for one in update.observations
    ]
    stated = [o.occurred_at for o in said if o.occurred_at and o.occurred_at != _UNKNOWN]
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
