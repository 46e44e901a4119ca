"""What the delay rules go by and what they remember. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from orders.drafts import EventDraft

#: have columns of their own; everything else lives in ``Order.watch``
_COLUMNS = frozenset({"baseline_at", "told_at", "delays_told", "last_delay_told_at"})


@dataclass(frozen=True, slots=True)
class EtaRules:
    """The figures of a location, minutes. ``busy_extra_min`` is 0 unless the kitchen is busy."""

    kitchen_floor_min: float = 5
    courier_floor_min: float = 10
    threshold_cap_min: float = 20
    grace_min: float = 5
    stalled_min: float = 45
    busy_extra_min: float = 0
    #: a busy kitchen says nothing about scheduled orders that are due later; None = no end known
    busy_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class EtaState:
    """What the delay rules remember about one order."""

    #: the first promise or estimate; a rescheduling replaces it
    baseline_at: datetime | None = None
    #: the time the customer believes
    told_at: datetime | None = None
    delays_told: int = 0
    last_delay_told_at: datetime | None = None
    #: the time the customer waits for as far as anybody knows; messages and pages say it
    estimate_at: datetime | None = None
    pending_since: datetime | None = None
    pending_estimate: datetime | None = None
    #: said once and not again: "explicit", "earlier", "overdue:<time>", "stalled:<state>:<epoch>"
    warned: tuple[str, ...] = ()
    promised_at: datetime | None = None
    #: the account that promised; another one's promise is no rescheduling
    promised_by: str = ""
    reschedulings: int = 0
    #: the kitchen's estimate that goes with ``anchor_at``: what it slips by delays a delivery
    first_ready_at: datetime | None = None
    #: what the customer believed when the courier was lost; None = the promise counts
    anchor_at: datetime | None = None
    had_courier: bool = False
    #: a lost courier's estimate: it counts again when it changes
    void_estimate: datetime | None = None
    #: the stated time a busy kitchen added ``busy_min`` to; both stay until it is stated anew
    busy_on: datetime | None = None
    busy_min: float = 0
    #: the time staff were last told beyond the customer's two messages
    staff_told_at: datetime | None = None
    is_late: bool = False
    #: the state staff must look at before the customer hears of anything; "" = none
    held_in: str = ""
    #: "<epoch>:<state>" once the order was ready, and since when it is no longer
    was_ready: str = ""
    fallen_since: datetime | None = None

    def watch(self) -> dict[str, Any]:
        """Everything without a column of its own, JSON-ready; ``restore`` reads it back."""
        stored: dict[str, Any] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name not in _COLUMNS and value != one.default:
                stored[one.name] = _plain(value)
        return stored

    @classmethod
    def restore(
        cls,
        watch: Mapping[str, Any],
        *,
        baseline_at: datetime | None,
        told_at: datetime | None,
        delays_told: int,
        last_delay_told_at: datetime | None,
    ) -> EtaState:
        """The state from an order's columns and its ``watch``; what is not in there is as new."""
        known = {one.name: str(one.type) for one in fields(cls) if one.name not in _COLUMNS}
        return cls(
            baseline_at=baseline_at,
            told_at=told_at,
            delays_told=delays_told,
            last_delay_told_at=last_delay_told_at,
            **{
                name: _read(value, known[name])
                for name, value in watch.items()
                if name in known and value is not None
            },
        )


@dataclass(frozen=True, slots=True)
class EtaDecision:
    """What to remember, whether the order is delayed, what to record, when to look again."""

    state: EtaState
    delayed: bool
    drafts: list[EventDraft] = field(default_factory=list)
    next_watch_at: datetime | None = None


def waited_for(watch: Mapping[str, Any]) -> datetime | None:
    """The time the customer waits for, from an order's ``watch``; None = nobody gave one."""
    return time(watch.get("estimate_at"))


def text(at: datetime | None) -> str | None:
    """ISO 8601, or None."""
    return at.isoformat() if at else None


def time(value: object) -> datetime | None:
    """What ``text`` wrote."""
    return datetime.fromisoformat(value) if isinstance(value, str) and value else None


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value


def _read(value: Any, kind: str) -> Any:
    if kind.startswith("datetime"):
        return time(value)
    return tuple(str(one) for one in value) if kind.startswith("tuple") else value
