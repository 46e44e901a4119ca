"""Two orders that prove to be one: sources told of it under different names, then one knew both.

The older order goes on and shows what was said of both; the younger one stays as it was told, is
closed, and leads to the older. Nothing said is moved or changed, and what was told of either is
not told again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Coalesce

from integrations import contracts
from orders import contacts
from orders.drafts import EventDraft
from orders.history import History, load_histories
from orders.models import Order, OrderAlias

#: columns of an order that is another one now
CLOSED: Mapping[str, Any] = {"is_open": False, "next_watch_at": None}


@dataclass(frozen=True, slots=True)
class United:
    """The order that goes on, and what the others bring into it."""

    order: Order
    #: said of the order that goes on; told of any of them
    history: History
    #: said of the others
    joining: tuple[contracts.Observation, ...]
    others: tuple[Order, ...]

    def notes(self, at: datetime) -> list[EventDraft]:
        """For the timeline: which order proved to be this one."""
        return [
            EventDraft(
                kind="status_changed",
                milestone=f"united:{other.public_id}",
                part_ref="",
                epoch=self.order.epoch,
                data={"number": other.display, "audience": "internal"},
                held="",
                is_stale=False,
                occurred_at=at,
            )
            for other in self.others
        ]


def unite(orders: Sequence[Order]) -> United:
    """Make one order of ``orders``, whose rows the caller holds locked. Writes no projection."""
    order, *others = sorted(orders, key=lambda one: one.pk)
    histories = load_histories([one.pk for one in (order, *others)])
    own, joining = histories[order.pk], [histories[other.pk] for other in others]
    for other in others:
        contacts.take_over(order, other)
    Order.objects.filter(pk__in=[other.pk for other in others]).update(same_as=order, **CLOSED)
    Order.objects.filter(same_as__in=others).update(same_as=order)
    OrderAlias.objects.filter(order__in=others).update(order=order)
    return United(
        order=order,
        history=replace(
            own,
            recorded=own.recorded.union(*(one.recorded for one in joining)),
            by_key=own.by_key | {key: o for one in joining for key, o in one.by_key.items()},
        ),
        joining=tuple(o for one in joining for o in one.observations),
        others=tuple(others),
    )


def lock_order(order_id: int) -> Order:
    """The order of that primary key, or the one it proved to be; locked."""
    while True:
        now = Order.objects.filter(pk=order_id).values(now=Coalesce("same_as_id", "pk"))[:1]
        # the younger one is not locked on the way: others lock the older one first
        order = Order.objects.select_for_update(of=("self",)).get(pk=now)
        if order.same_as_id is None:
            return order


def order_now(order: Order | None, rows: QuerySet[Order]) -> Order | None:
    """``order``, or the one of ``rows`` it proved to be."""
    if order is None or order.same_as_id is None:
        return order
    return rows.filter(pk=order.same_as_id).first()
