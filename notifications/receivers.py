"""The receivers of other apps' signals. At most ten lines each, rows only, never HTTP."""

from __future__ import annotations

from datetime import datetime

from consents.signals import addresses_withdrawn
from notifications import outbox, planning
from orders.models import Order, OrderEvent
from orders.signals import order_event_recorded


def connect() -> None:
    """Connect the receivers; called once from AppConfig.ready."""
    order_event_recorded.connect(
        plan_notifications, dispatch_uid="notifications.plan_notifications"
    )
    addresses_withdrawn.connect(cancel_withdrawn, dispatch_uid="notifications.cancel_withdrawn")


def plan_notifications(sender: object, *, event: OrderEvent, order: Order, **_: object) -> None:
    """An order event was recorded: decide and queue, inside its transaction."""
    now = event.recorded_at
    planned = planning.plan_event(event=event, order=order, now=now)
    outbox.ring_on_commit(outbox.insert(planned, event=event, order=order, now=now))


def cancel_withdrawn(
    sender: object,
    *,
    sender_group_id: int,
    channel: str,
    address_hash: str,
    generation: int,
    scope: str,
    at: datetime,
    **_: object,
) -> None:
    """An address withdrew: end what is queued for it, inside the withdrawing transaction."""
    outbox.cancel_withdrawn(
        sender_group_id=sender_group_id,
        channel=channel,
        address_hash=address_hash,
        generation=generation,
        scope=scope,
        at=at,
    )
