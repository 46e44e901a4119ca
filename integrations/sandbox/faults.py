"""The fault plan: which requests go wrong, and how.

A fault matches one vendor or all of them ("*"). Of the requests it matches, it lets the first
``after`` pass, then hits every ``every``-th one, ``times`` times in all (0 = without end). The
first fault of the plan that hits a request decides; the later ones do not count it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: what happens to a request, with the words the wall shows
REQUEST_FAULTS: Mapping[str, str] = {
    "429": "refused: too many requests, with Retry-After",
    "500": "refused: server error",
    "502": "bad gateway, in the vendor's own shape",
    "503": "refused: service unavailable",
    "html": "an HTML error page of a proxy instead of JSON",
    "timeout": "no answer; nothing accepted",
    "slow": "answered late",
    "disconnect": "connection closed at once; nothing accepted",
    "drop_after_accept": "accepted, then the connection closed without an answer",
}
#: what happens to the receipts of a message
RECEIPT_FAULTS: Mapping[str, str] = {
    "duplicate_receipts": "every receipt is posted twice",
    "out_of_order_receipts": "the last receipt comes first",
    "lost_receipts": "no receipt is posted",
}
ANY_VENDOR = "*"

_serial = itertools.count(1)


@dataclass(slots=True)
class Fault:
    """One line of the plan, with its counters."""

    vendor: str
    kind: str
    times: int = 0
    after: int = 0
    every: int = 1
    retry_after_s: float = 1.0
    #: how long "slow" and "timeout" take, milliseconds
    delay_ms: float = 0.0
    #: HTTP status of "html"
    status: int = 502
    seen: int = 0
    hits: int = 0
    id: int = field(default_factory=lambda: next(_serial))

    @staticmethod
    def from_json(wanted: Mapping[str, Any], *, vendors: frozenset[str]) -> Fault:
        """Read one fault. Raises ValueError saying which value is wrong and what is allowed."""
        kind = str(wanted.get("kind", ""))
        if kind not in REQUEST_FAULTS and kind not in RECEIPT_FAULTS:
            known = ", ".join([*REQUEST_FAULTS, *RECEIPT_FAULTS])
            raise ValueError(f"unknown fault kind '{kind}'; known: {known}")
        vendor = str(wanted.get("vendor") or ANY_VENDOR)
        if vendor != ANY_VENDOR and vendor not in vendors:
            raise ValueError(f"unknown vendor '{vendor}'; known: {', '.join(sorted(vendors))}")
        default_delay = {"slow": 5_000.0, "timeout": 60_000.0}.get(kind, 0.0)
        return Fault(
            vendor=vendor,
            kind=kind,
            times=_count(wanted, "times", 0),
            after=_count(wanted, "after", 0),
            every=max(_count(wanted, "every", 1), 1),
            retry_after_s=_amount(wanted, "retry_after_s", 1.0),
            delay_ms=_amount(wanted, "delay_ms", default_delay),
            status=_count(wanted, "status", 502),
        )

    @property
    def is_used_up(self) -> bool:
        """Whether this fault will never hit again."""
        return bool(self.times) and self.hits >= self.times

    def hit(self) -> bool:
        """Count one matching request; True if this one goes wrong."""
        if self.is_used_up:
            return False
        self.seen += 1
        if self.seen <= self.after or (self.seen - self.after) % self.every:
            return False
        self.hits += 1
        return True

    def as_json(self) -> dict[str, Any]:
        """The public shape of a fault."""
        return {name: getattr(self, name) for name in self.__slots__}


class FaultPlan:
    """The faults in force, in the order they were added."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def __len__(self) -> int:
        return len(self._faults)

    def add(self, fault: Fault) -> None:
        """Append ``fault`` to the plan."""
        self._faults.append(fault)

    def clear(self, fault_id: int | None = None) -> None:
        """Take one fault, or all of them, out of the plan."""
        self._faults = [f for f in self._faults if fault_id is not None and f.id != fault_id]

    def for_request(self, vendor: str) -> Fault | None:
        """The fault that hits the next request to ``vendor``, if any."""
        return self._next(vendor, REQUEST_FAULTS)

    def for_receipts(self, vendor: str) -> Fault | None:
        """The fault that hits the receipts of the next accepted message, if any."""
        return self._next(vendor, RECEIPT_FAULTS)

    def as_json(self) -> list[dict[str, Any]]:
        """The plan, with counters; used-up faults stay visible until cleared."""
        return [fault.as_json() for fault in self._faults]

    def _next(self, vendor: str, kinds: Mapping[str, str]) -> Fault | None:
        for fault in self._faults:
            if fault.kind in kinds and fault.vendor in (vendor, ANY_VENDOR) and fault.hit():
                return fault
        return None


def _count(wanted: Mapping[str, Any], name: str, default: int) -> int:
    value = wanted.get(name, default)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"'{name}' is a whole number, 0 or more")
    return value


def _amount(wanted: Mapping[str, Any], name: str, default: float) -> float:
    value = wanted.get(name, default)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ValueError(f"'{name}' is a number, 0 or more")
    return float(value)
