"""Calls the vendor makes to us: receipts, inbound messages, order webhooks.

They share the server's event loop but never its request handlers: a call waits on a timer, then
in a queue read by a few workers. A call is built (and signed) when its turn comes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import aiohttp

#: calls in flight at once
WORKERS = 8
#: waiting calls; beyond it new ones are dropped and counted
QUEUE_LIMIT = 200_000
#: pauses before the second and third try when our server cannot be reached or answers 5xx
RETRY_AFTER_S = (0.5, 2.0)
TIMEOUT = aiohttp.ClientTimeout(total=15)


@dataclass(frozen=True, slots=True)
class VendorCall:
    """One signed HTTP call to our endpoint, complete."""

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class CallAnswer:
    """What our endpoint answered; status 0 when it could not be reached."""

    status: int
    body: str = ""


Build = Callable[[], VendorCall | None]
Done = Callable[[CallAnswer], None]


@dataclass(slots=True)
class _Waiting:
    build: Build
    done: Done | None
    tries: int = 0


class Callbacks:
    """The vendor's outgoing side. Lives between ``start`` and ``stop`` on one event loop."""

    def __init__(self) -> None:
        self.posted = 0
        self.failed = 0
        self.dropped = 0
        self._unanswered = 0
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue(QUEUE_LIMIT)
        self._timers: set[asyncio.TimerHandle] = set()
        self._workers: list[asyncio.Task[None]] = []
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Open the session and start the workers on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._session = aiohttp.ClientSession(
            timeout=TIMEOUT,
            connector=aiohttp.TCPConnector(limit=WORKERS * 2),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self._workers = [asyncio.create_task(self._work()) for _ in range(WORKERS)]

    async def stop(self) -> None:
        """Forget what waits and close the connections."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        for worker in self._workers:
            worker.cancel()
        for worker in self._workers:
            with contextlib.suppress(asyncio.CancelledError):
                await worker
        if self._session is not None:
            await self._session.close()

    @property
    def waiting(self) -> int:
        """Calls that wait for their time, for a worker or for an answer."""
        return self._queue.qsize() + len(self._timers) + self._unanswered

    def later(self, delay_s: float, build: Build, done: Done | None = None) -> None:
        """Make the call ``build`` returns after ``delay_s``; None from ``build`` skips it."""
        self._at(delay_s, _Waiting(build, done))

    async def now(self, call: VendorCall) -> CallAnswer:
        """Make ``call`` at once and hand back the answer; one try."""
        assert self._session is not None, "the sandbox is not running"
        try:
            async with self._session.request(
                call.method,
                call.url,
                data=call.body,
                headers=dict(call.headers),
                allow_redirects=False,
            ) as response:
                return CallAnswer(response.status, (await response.text(errors="replace"))[:4096])
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return CallAnswer(0, type(error).__name__)

    def _at(self, delay_s: float, waiting: _Waiting) -> None:
        assert self._loop is not None, "the sandbox is not running"
        if len(self._timers) >= QUEUE_LIMIT:
            self.dropped += 1
            return

        def due() -> None:
            self._timers.discard(timer)
            try:
                self._queue.put_nowait(waiting)
            except asyncio.QueueFull:
                self.dropped += 1

        timer = self._loop.call_later(delay_s, due)
        self._timers.add(timer)

    async def _work(self) -> None:
        while True:
            waiting = await self._queue.get()
            call = waiting.build()
            if call is None:
                continue
            self._unanswered += 1
            try:
                answer = await self.now(call)
            finally:
                self._unanswered -= 1
            if (answer.status == 0 or answer.status >= 500) and waiting.tries < len(RETRY_AFTER_S):
                # the very same call again, as a vendor repeats it
                pause = RETRY_AFTER_S[waiting.tries]
                again = _Waiting(partial(_same, call), waiting.done, waiting.tries + 1)
                self._at(pause, again)
                continue
            self.posted += 1
            if not 200 <= answer.status < 300:
                self.failed += 1
            if waiting.done is not None:
                waiting.done(answer)


def _same(call: VendorCall) -> VendorCall:
    return call
