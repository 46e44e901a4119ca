"""Recorded payloads of one source: how they are kept in files, and what each of them says.

Pure but for reading the files. A recording is the body of a webhook call, or the answer to the
request a thin event caused; nothing says which, so the source is asked. An event and its answer
find each other whichever comes first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from integrations import canonical, payloads
from integrations.contracts import (
    FollowUp,
    HttpRequest,
    HttpResponse,
    InboundCall,
    OrderUpdate,
    Source,
    ordering_key,
)
from integrations.errors import EventIgnored, PayloadMalformed
from integrations.recalled import recalled_headers
from orders.rest import SOURCE as REST

#: a moment no payload means: what carries it was given the time of its arrival
UNKNOWN = datetime(2000, 1, 1, tzinfo=UTC)
_BLANK = FollowUp(HttpRequest.get(""), coalesce_key="", order_id="")
_BODIES = ("http_body", "body", "message")
_HEADERS = ("http_headers", "headers")
_NOT_READ = (PayloadMalformed, EventIgnored, NotImplementedError)


class UnreadableRecording(Exception):
    """A file that cannot be opened; the text names it and says why."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One payload as it came: the body of a webhook call, or of the answer to a GET."""

    name: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Said:
    """What one recording says, as far as its source can tell."""

    recording: Recording
    #: the call it is, None for an answer or for nothing readable
    call: InboundCall | None = None
    #: as an answer: the requests it answers, the one that knows most first
    asked: Sequence[FollowUp] = ()
    is_poll: bool = False
    #: why it means nothing for any order; "" = it does
    note: str = ""
    #: why nobody can read it; "" = it was read
    problem: str = ""


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
    except PayloadMalformed:
        return Recording(path, raw)  # the source says what it thinks of such a body
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
    is_alone = len(held) == 1 and name.endswith("body")
    return is_alone or "source" in held or any(key in held for key in _HEADERS)


class Reader:
    """Reads the recordings of one account at ``source``, whose webhooks go to ``url``."""

    def __init__(self, source: Source, url: str) -> None:
        self.source = source
        self.url = url

    def sort_out(self, recordings: Sequence[Recording]) -> tuple[list[Said], list[FollowUp]]:
        """(what each recording is, the requests whose answers are not among them)."""
        said = [self._as_call(one) for one in recordings]
        asked: list[tuple[int, FollowUp]] = []
        for place, one in enumerate(said):
            if one.call is None:
                continue
            for follow_up in self._parsed(one.call):
                if isinstance(follow_up, FollowUp) and not any(follow_up == f for _, f in asked):
                    asked.append((place, follow_up))
        bodies: dict[bytes, int] = {}
        for place, one in enumerate(said):
            if one.call is None:
                bodies.setdefault(one.recording.body, place)
        missing = self._pair(said, bodies, asked)
        for place, one in enumerate(said):
            first = bodies.get(one.recording.body)
            if one.call is None and first is not None and first != place:
                twin = said[first]
                one.asked, one.is_poll = twin.asked, twin.is_poll
                one.note, one.problem = twin.note, twin.problem
        return said, missing

    def updates(self, said: Said, at: datetime) -> list[OrderUpdate]:
        """What ``said`` says when it arrives at ``at``, by order."""
        found: list[OrderUpdate] = []
        if said.call is not None:
            call = InboundCall("POST", self.url, said.call.headers, said.call.body, at)
            found = [one for one in self._parsed(call) if isinstance(one, OrderUpdate)]
        elif not (said.note or said.problem):
            response = HttpResponse(200, {}, said.recording.body)
            for follow_up in said.asked:
                found += self.source.parse_resource(follow_up, response, at)
            if said.is_poll:
                found += self.source.parse_poll(response, at)
        return sorted(found, key=lambda one: one.order_id)

    # --- calls --------------------------------------------------------------------------------

    def _as_call(self, recording: Recording) -> Said:
        said = Said(recording, problem="nothing the source can read")
        for call in self._calls(recording):
            try:
                reply = self.source.handshake(call) if self.source.key != REST else None
                if reply is not None and reply.status < 300:
                    raise EventIgnored("only tests the address")
                self._parsed(call)
            except PayloadMalformed as problem:
                if not said.note:
                    said.problem = str(problem)
            except EventIgnored as refusal:
                said.note, said.problem = str(refusal), ""
            else:
                return Said(recording, call=call)
        return said

    def _calls(self, recording: Recording) -> Iterator[InboundCall]:
        """The call as it was, or the calls it may have been when headers were not recorded."""
        try:
            body = payloads.load_json(recording.body)
        except PayloadMalformed:
            body = None
        name = Path(recording.name).stem
        for recalled in recalled_headers(self.source.key, body, name):
            headers = {"content-type": "application/json", **recalled, **recording.headers}
            yield InboundCall("POST", self.url, headers, recording.body, UNKNOWN)

    def _parsed(self, call: InboundCall) -> Sequence[OrderUpdate | FollowUp]:
        return [_rest_update(call)] if self.source.key == REST else self.source.parse(call)

    # --- answers --------------------------------------------------------------------------------

    def _pair(
        self,
        said: Sequence[Said],
        bodies: Mapping[bytes, int],
        asked: Sequence[tuple[int, FollowUp]],
    ) -> list[FollowUp]:
        """Give each answer its requests; the requests without an answer.

        A request is answered by the first fitting answer after it, else by the last before it:
        with one answer per order it does not matter which of them was recorded first.
        """
        fitting = {place: self._fitting(body, asked) for body, place in bodies.items()}
        chosen: dict[int, list[FollowUp]] = {}
        missing = []
        for at, one in asked:
            places = sorted(p for p, found in fitting.items() if any(one == f for _, f in found))
            after = [place for place in places if place > at]
            if not places:
                missing.append(one)
                continue
            chosen.setdefault(after[0] if after else places[-1], []).append(one)
        for body, place in bodies.items():
            found = chosen.get(place) or [
                one for _, one in sorted(fitting[place], key=lambda f: abs(f[0] - place))[:1]
            ]
            self._answer(said[place], body, found)
        return missing

    def _fitting(
        self, body: bytes, asked: Sequence[tuple[int, FollowUp]]
    ) -> list[tuple[int, FollowUp]]:
        """The requests ``body`` may answer."""
        alone = self._resource(_BLANK, body)
        about = {update.order_id for update in alone}
        found = []
        for place, one in asked:
            if alone and one.order_id and one.order_id not in about:
                continue
            with_it = self._resource(one, body)
            if one.order_id:
                fits = {update.order_id for update in with_it} == {one.order_id}
            else:  # an event that names only a part: the answer about its order says more with it
                fits = bool(with_it) and with_it != alone
            if fits:
                found.append((place, one))
        return found

    def _resource(self, one: FollowUp, body: bytes) -> list[OrderUpdate]:
        try:
            return self.source.parse_resource(one, HttpResponse(200, {}, body), UNKNOWN)
        except _NOT_READ:
            return []

    def _answer(self, said: Said, body: bytes, asked: Sequence[FollowUp]) -> None:
        if not asked and self._resource(_BLANK, body):
            asked = [_BLANK]
        # who knows most speaks first: the first body of a statement counts
        said.asked = sorted(asked, key=_knowledge)
        if not asked:
            try:
                said.is_poll = bool(self.source.parse_poll(HttpResponse(200, {}, body), UNKNOWN))
            except _NOT_READ:
                said.is_poll = False
        if said.asked or said.is_poll:
            said.note = said.problem = ""


def _knowledge(one: FollowUp) -> tuple[int, str]:
    told = json.dumps(dict(one.context), sort_keys=True)
    return -len(told), told


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
