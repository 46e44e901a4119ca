"""Airship's event stream: what happened, line by line, from any offset, until the reader goes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from aiohttp import web

from integrations.sandbox.state import iso
from integrations.sandbox.vendors.base import json_reply, random_hex

FIRST_OFFSET = 1_000_059_326_000
EVENTS_KEPT = 5_000
CONTENT_TYPE = "application/vnd.urbanairship+x-ndjson;version=3"
#: without news, where it stands is said this often
QUIET_S = 2.0
COOKIE = "connect_node"


class _Event(NamedTuple):
    app: str
    offset: int
    body: dict[str, Any]
    #: called with 200 when the event is first read
    read: Callable[[int], None]


class EventLog:
    """The events of all apps in one row."""

    def __init__(self) -> None:
        self._events: list[_Event] = []
        self._next = FIRST_OFFSET
        self._news = asyncio.Condition()
        self._told: set[int] = set()
        #: a stream ends after so many events; 0 = it does not
        self.ends_after = 0
        #: statuses for the next streams instead of events
        self.refuses: list[int] = []
        self.opened = 0
        self._waking: set[asyncio.Task[None]] = set()

    def append(
        self,
        app: str,
        kind: str,
        push_id: str,
        to: str,
        push: Mapping[str, Any],
        read: Callable[[int], None],
    ) -> None:
        """Write down one event about a push."""
        self._next += 1
        now = iso(time.time())
        body = {
            "id": str(uuid.uuid4()),
            "type": kind,
            "offset": str(self._next),
            "occurred": now,
            "processed": now,
            "body": _body(kind, push_id, push),
        }
        if kind != "PUSH_BODY":
            body["device"] = _device(to)
        self._events.append(_Event(app, self._next, body, read))
        del self._events[:-EVENTS_KEPT]
        task = asyncio.ensure_future(self._wake())
        self._waking.add(task)
        task.add_done_callback(self._waking.discard)

    def bodies(self) -> list[dict[str, Any]]:
        """All events, oldest first."""
        return [event.body for event in self._events]

    async def serve(self, app: str, request: web.Request) -> web.StreamResponse:
        """The stream: a redirect to the right machine first, then lines."""
        try:
            wanted = json.loads(await request.read())
            types = {one for entry in wanted.get("filters", []) for one in entry.get("types", [])}
            start = self._start(wanted)
        except (ValueError, TypeError, AttributeError):
            return json_reply({"ok": False, "error": "invalid request"}, status=400)
        if self.refuses:
            return json_reply({"ok": False, "error": "refused"}, status=self.refuses.pop(0))
        if COOKIE not in request.cookies:
            answer = web.Response(status=307, headers={"Location": str(request.url)})
            answer.set_cookie(COOKIE, random_hex(4))
            return answer
        self.opened += 1
        response = web.StreamResponse(headers={"Content-Type": CONTENT_TYPE})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):  # the reader has gone
            await self._write(response, app, start, types)
        return response

    def _start(self, wanted: Mapping[str, Any]) -> int:
        if offset := wanted.get("resume_offset"):
            return int(offset)
        if wanted.get("start") == "EARLIEST":
            return FIRST_OFFSET
        if wanted.get("start") != "LATEST":
            raise ValueError("neither start nor resume_offset")
        return self._next

    async def _write(
        self, response: web.StreamResponse, app: str, last: int, types: set[str]
    ) -> None:
        written = 0
        while True:
            for event in [e for e in self._events if e.offset > last]:
                last = event.offset
                if event.app != app or (types and event.body["type"] not in types):
                    continue
                await response.write(json.dumps(event.body).encode() + b"\n")
                if event.offset not in self._told:
                    self._told.add(event.offset)
                    event.read(200)
                written += 1
                if written == self.ends_after:
                    return
            if not await self._wait(last):
                now = iso(time.time())
                update = {"id": str(uuid.uuid4()), "type": "OFFSET_UPDATE", "offset": str(last)}
                line = json.dumps({**update, "occurred": now, "processed": now}).encode()
                await response.write(line + b"\n")

    async def _wait(self, last: int) -> bool:
        """Until something happens; False when nothing does."""
        async with self._news:
            try:
                await asyncio.wait_for(
                    self._news.wait_for(lambda: self._next > last), timeout=QUIET_S
                )
            except TimeoutError:
                return False
        return True

    async def _wake(self) -> None:
        async with self._news:
            self._news.notify_all()


def _body(kind: str, push_id: str, push: Mapping[str, Any]) -> dict[str, Any]:
    if kind == "UNINSTALL":
        return {}
    if kind == "OPEN":
        return {"session_id": str(uuid.uuid4()), "triggering_push": {"push_id": push_id}}
    if kind == "PUSH_BODY":
        payload = base64.b64encode(json.dumps(push).encode()).decode()
        return {"push_id": push_id, "resource": "PUSH", "payload": payload}
    return {"push_id": push_id}


def _device(to: str) -> dict[str, str]:
    """A phone of whoever was addressed; a person's first one is made of their name."""
    kind, _, value = to.partition(":")
    if kind == "named_user":
        made = uuid.uuid5(uuid.NAMESPACE_OID, value)
        return {"channel": str(made), "device_type": "IOS", "named_user_id": value}
    device = {"ios_channel": "IOS", "android_channel": "ANDROID"}.get(kind, "IOS")
    return {"channel": value, "device_type": device}
