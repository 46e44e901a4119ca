"""What planning decides, as plain values, and how a new message fits into its lane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from notifications import routing
from notifications.outbox import LaneRow
from notifications.routing import EventFacts
from notifications.selectors import AccountView, RestaurantConfig, RouteView
from orders.models import Order

#: an urgent message waits until this long after the previous one of its lane
BREATH = timedelta(seconds=20)


@dataclass(slots=True)
class PlannedDelivery:
    """One outbox row to be."""

    account: AccountView
    channel: str
    step: int
    lane: str
    due_at: datetime
    address_id: int | None = None
    is_waiting: bool = False


@dataclass(slots=True)
class PlannedNotification:
    """One decision to be, with its trace; no deliveries means: told nobody, and here is why."""

    audience: str
    route: RouteView
    recipient_key: str
    subject_id: UUID | None
    expires_at: datetime
    is_urgent: bool
    trace: list[dict[str, str]] = field(default_factory=list)
    deliveries: list[PlannedDelivery] = field(default_factory=list)
    supersedes: list[int] = field(default_factory=list)
    merged: list[dict[str, str]] = field(default_factory=list)

    def note(self, step: str, verdict: str, why: str) -> None:
        """Add one line to the trace."""
        self.trace.append({"step": step, "verdict": verdict, "why": why})


@dataclass(frozen=True, slots=True)
class Occasion:
    """One event of one order at one moment: what every step of planning looks at."""

    order: Order
    facts: EventFacts
    occurred_at: datetime
    now: datetime
    config: RestaurantConfig
    lane: Sequence[LaneRow] = ()

    @property
    def fulfil_at(self) -> datetime | None:
        """When the food is due, for the do-not-disturb exception of live orders."""
        order = self.order
        return order.est_delivery_at or order.est_ready_at or order.promised_at


def settle_with_lane(occasion: Occasion, note: PlannedNotification) -> None:
    """Replace what is unsent and says no more than this; keep a breath after what just left.

    An earlier state is replaced wherever it was to be told: who hears that it is ready must not
    read afterwards, in a mail, that the order was received.
    """
    new_weight = routing.weight(occasion.facts.kind, occasion.facts.milestone)
    lanes = {delivery.lane: delivery for delivery in note.deliveries}
    for row in occasion.lane:
        delivery = lanes.get(row.lane)
        if delivery is None:
            if _is_told_elsewhere(row, occasion, note):
                note.supersedes.append(row.delivery_id)
                note.note("lane", "merged", f"replaces the unsent message about {row.milestone}")
            continue
        if row.left_at is not None:
            if note.is_urgent and occasion.facts.kind != "status_requested":
                delivery.due_at = max(delivery.due_at, row.left_at + BREATH)
            continue
        old_weight = routing.weight(row.kind, row.milestone)
        if 0 < old_weight <= new_weight:
            note.supersedes.append(row.delivery_id)
            note.merged += _told_as_well(row, occasion.facts.kind)
            note.note("lane", "merged", f"replaces the unsent message about {row.milestone}")


def _is_told_elsewhere(row: LaneRow, occasion: Occasion, note: PlannedNotification) -> bool:
    """Whether ``note`` tells the same person a later state on another channel."""
    kind, milestone = occasion.facts.kind, occasion.facts.milestone
    return (
        row.kind == kind == "status_changed"
        and row.left_at is None
        and row.recipient_key == note.recipient_key
        and any(not delivery.is_waiting for delivery in note.deliveries)
        and routing.weight(row.kind, row.milestone) < routing.weight(kind, milestone)
    )


def _told_as_well(row: LaneRow, kind: str) -> list[dict[str, str]]:
    told = list(row.merged)
    if row.kind in ("order_edited", "order_split") and row.sentence:
        told.append({"event": str(row.event_id), "sentence": row.sentence})
    return [t for i, t in enumerate(told) if t not in told[:i]]
