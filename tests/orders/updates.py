"""Order updates as adapters make them, minutes after an evening's start."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from integrations.contracts import Customer, Observation, OrderUpdate, ordering_key
from orders import intake
from orders.models import SourceAccount

NOW = datetime(2026, 3, 14, 18, 0, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def says(
    order: str,
    state: str | None = None,
    *,
    minute: float = 0,
    aliases: tuple[tuple[str, str], ...] = (),
    customer: Customer | None = None,
    data: dict[str, Any] | None = None,
    **values: Any,
) -> OrderUpdate:
    said = Observation(
        event_key=values.pop("key", f"{order}:{state}:{minute}:{data}"),
        track=values.pop("track", "kitchen"),
        scope=values.pop("scope", "order"),
        ref=values.pop("ref", ""),
        kind=values.pop("kind", "transition"),
        ordering_key=ordering_key(at(minute)),
        state=state,
        native_state=state or "",
        occurred_at=at(minute),
        occurred_at_basis="event",
        data=data or {},
    )
    return OrderUpdate(
        order_id=order, observations=(said,), aliases=aliases, customer=customer, **values
    )


def apply(
    account: SourceAccount, update: OrderUpdate, minute: float = 0, *, by: float = 0
) -> intake.Applied:
    when = at(minute)
    return intake.apply_update(
        account=account,
        update=update,
        call=None,
        received_at=when,
        now=when + timedelta(minutes=by),
    )
