"""A guest who becomes known after the first news of the order: he is told where it stands.

Tills tell of an order first and who placed it afterwards, and a shop may name the guest of an order
the kitchen announced. What was recorded meanwhile reached nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from orders.lifecycle import freshness
from orders.models import Order, OrderEvent
from orders.signals import guest_known


def introduce(
    order: Order, knew: UUID | None, events: Iterable[OrderEvent], *, at: datetime
) -> None:
    """Announce the guest of ``order`` unless he was known before (``knew``), or is told anyway.

    ``events`` are those of this step: a new status among them is planned with the guest in it.
    Older news of the state counts while it is fresh; what staff must see first is left to them.
    """
    if knew is not None or order.subject_id is None:
        return
    if any(event.kind == "status_changed" for event in events):
        return
    event = order.events.filter(
        kind="status_changed", milestone=order.state, epoch=order.epoch, held="", is_stale=False
    ).first()
    if event is not None and event.occurred_at >= at - freshness(event.milestone):
        guest_known.send(sender=Order, event=event, order=order, at=at)
