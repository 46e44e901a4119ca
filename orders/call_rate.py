"""How many calls of a source a manager takes: a sender run wild must not drown the others.

Counted in each process, so the figure is per process; the accounts that set one are the
restaurant's own systems, and a rough bound is all they need.
"""

from __future__ import annotations

import threading
from collections import deque
from datetime import datetime, timedelta

WINDOW = timedelta(minutes=1)

_lock = threading.Lock()
_taken: dict[int, deque[datetime]] = {}


def wait_s(account_id: int, *, most: int, now: datetime) -> int:
    """Take one call, or say in how many seconds the next one is taken; 0 = it was taken now.

    ``most`` calls are taken within a minute, 0 = any number.
    """
    if most <= 0:
        return 0
    with _lock:
        taken = _taken.setdefault(account_id, deque())
        while taken and taken[0] <= now - WINDOW:
            taken.popleft()
        if len(taken) < most:
            taken.append(now)
            return 0
        return max(1, round((taken[0] + WINDOW - now).total_seconds()))
