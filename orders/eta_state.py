"""What the delay rules go by and what they remember. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orders.drafts import EventDraft


@dataclass(frozen=True, slots=True)
class EtaRules:
    """The figures of a location, minutes. ``busy_extra_min`` is 0 unless the kitchen is busy."""

    kitchen_floor_min: float = 5
    courier_floor_min: float = 10
    threshold_cap_min: float = 20
    grace_min: float = 5
    stalled_min: float = 45
    busy_extra_min: float = 0


@dataclass(frozen=True, slots=True)
class EtaState:
    """What the delay rules remember about one order."""

    #: the first promise or estimate; a rescheduling replaces it
    baseline_at: datetime | None = None
    #: the time the customer believes
    told_at: datetime | None = None
    delays_told: int = 0
    last_delay_told_at: datetime | None = None
    pending_since: datetime | None = None
    pending_estimate: datetime | None = None
    #: said once and not again: "explicit", "earlier", "overdue:<time>", "stalled:<state>:<epoch>"
    warned: tuple[str, ...] = ()
    promised_at: datetime | None = None
    #: the account that promised; another one's promise is no rescheduling
    promised_by: str = ""
    first_ready_at: datetime | None = None
    #: the time staff were last told beyond the customer's two messages
    staff_told_at: datetime | None = None
    is_late: bool = False

    def watch(self) -> dict[str, Any]:
        """Everything without a column of its own, JSON-ready; ``restore`` reads it back."""
        return {
            "pending_since": text(self.pending_since),
            "pending_estimate": text(self.pending_estimate),
            "warned": list(self.warned),
            "promised_at": text(self.promised_at),
            "promised_by": self.promised_by,
            "first_ready_at": text(self.first_ready_at),
            "staff_told_at": text(self.staff_told_at),
            "is_late": self.is_late,
        }

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
        """The state from an order's columns and its ``watch``."""
        return cls(
            baseline_at=baseline_at,
            told_at=told_at,
            delays_told=delays_told,
            last_delay_told_at=last_delay_told_at,
            pending_since=time(watch.get("pending_since")),
            pending_estimate=time(watch.get("pending_estimate")),
            warned=tuple(str(w) for w in watch.get("warned", ())),
            promised_at=time(watch.get("promised_at")),
            promised_by=str(watch.get("promised_by") or ""),
            first_ready_at=time(watch.get("first_ready_at")),
            staff_told_at=time(watch.get("staff_told_at")),
            is_late=bool(watch.get("is_late")),
        )


@dataclass(frozen=True, slots=True)
class EtaDecision:
    """What to remember, whether the order is delayed, what to record, when to look again."""

    state: EtaState
    delayed: bool
    drafts: list[EventDraft] = field(default_factory=list)
    next_watch_at: datetime | None = None


def text(at: datetime | None) -> str | None:
    """ISO 8601, or None."""
    return at.isoformat() if at else None


def time(value: object) -> datetime | None:
    """What ``text`` wrote."""
    return datetime.fromisoformat(value) if isinstance(value, str) and value else None
