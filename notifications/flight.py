"""Messages in the air: many requests at once on the one event loop of the process.

The dispatch thread starts jobs and takes results; everything between happens on the loop of
integrations.http, so one warm session serves all accounts.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from integrations.contracts import Accepted, Message, Provider
from integrations.errors import ConfigurationError, IntegrationError, OutcomeUnknown
from integrations.http import background_loop, http_door
from notifications.claims import Row


@dataclass(slots=True)
class Job:
    """One message about to leave, and how it ended."""

    row: Row
    message: Message
    provider: Provider
    result: Accepted | IntegrationError | ConfigurationError | None = None
    duration_ms: int = 0


class Flight:
    """A bounded number of requests in flight to one account."""

    def __init__(self, limit: int) -> None:
        self._limit = asyncio.Semaphore(limit)
        self._landed: deque[Job] = deque()
        self._news = threading.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.pending = 0

    def start(self, jobs: Sequence[Job]) -> None:
        """Let these messages leave, in order, as places get free."""
        if jobs:
            self.pending += len(jobs)
            background_loop().call_soon_threadsafe(self._launch, list(jobs))

    def take(self, *, timeout_s: float) -> list[Job]:
        """What has landed; waits up to ``timeout_s`` for the first."""
        if not self._landed and self.pending:
            self._news.wait(timeout_s)
        self._news.clear()
        landed = []
        while self._landed:
            landed.append(self._landed.popleft())
        self.pending -= len(landed)
        return landed

    def _launch(self, jobs: list[Job]) -> None:
        for job in jobs:
            task = asyncio.get_running_loop().create_task(self._fly(job))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _fly(self, job: Job) -> None:
        async with self._limit:
            began = time.perf_counter()
            try:
                job.result = await job.provider.send(job.message, http_door())
            except (IntegrationError, ConfigurationError) as error:
                job.result = error
            finally:
                if job.result is None:
                    # a bug in an adapter: the request may have left, and the row must not hang
                    job.result = OutcomeUnknown(job.provider.key, detail="adapter failed")
                job.duration_ms = round((time.perf_counter() - began) * 1000)
                self._landed.append(job)
                self._news.set()
