"""Everything that happened around one order, read in eight queries, no secret among it.

Bodies of calls and plain addresses stay encrypted in the database: nothing here loads them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q

from notifications.models import Attempt, Delivery, InboundMessage, Notification, Receipt
from orders.models import InboundCall, Observation, Order, OrderEvent


@dataclass(frozen=True, slots=True)
class History:
    """The rows of one order, each list in the order things happened."""

    order: Order
    calls: Sequence[InboundCall]
    #: by call id; None holds what came without a call (buttons, API, polls)
    observations: Mapping[int | None, Sequence[Observation]]
    events: Sequence[OrderEvent]
    notifications: Sequence[Notification]
    #: by notification id
    deliveries: Mapping[UUID, Sequence[Delivery]]
    #: by delivery id
    attempts: Mapping[int, Sequence[Attempt]]
    receipts: Mapping[int, Sequence[Receipt]]
    messages: Sequence[InboundMessage]


def history_of(order: Order) -> History:
    """Read the history of ``order`` (with restaurant and location already selected).

    What was heard and told of orders that proved to be this one belongs to it.
    """
    one = Order.objects.filter(Q(pk=order.pk) | Q(same_as=order)).values("pk")
    observations = list(
        Observation.objects.filter(order__in=one)
        .select_related("account")
        .order_by("received_at", "id")
    )
    call_ids = {row.call_id for row in observations if row.call_id}
    calls = (
        InboundCall.objects.filter(Q(order__in=one) | Q(pk__in=call_ids))
        .select_related("account")
        .defer("body", "headers", "account__settings")
        .order_by("received_at", "id")
    )
    events = OrderEvent.objects.filter(order__in=one).select_related("account")
    notifications = list(
        Notification.objects.filter(order__in=one)
        .select_related("route")
        .order_by("created_at", "audience", "id")
    )
    deliveries = list(
        Delivery.objects.filter(notification__in=notifications)
        .select_related("account", "address")
        .defer("account__settings", "address__value")
        .order_by("id")
    )
    return History(
        order=order,
        calls=list(calls),
        observations=_grouped(observations, "call_id"),
        events=list(events.defer("account__settings").order_by("recorded_at", "id")),
        notifications=notifications,
        deliveries=_grouped(deliveries, "notification_id"),
        attempts=_grouped(
            Attempt.objects.filter(delivery__in=deliveries).order_by("started_at"), "delivery_id"
        ),
        receipts=_grouped(
            Receipt.objects.filter(delivery__in=deliveries).order_by("received_at", "id"),
            "delivery_id",
        ),
        messages=list(
            InboundMessage.objects.filter(order__in=one)
            .select_related("account", "address")
            .defer("account__settings", "address__value")
            .order_by("received_at")
        ),
    )


def _grouped(rows: Iterable[Any], field: str) -> dict[Any, list[Any]]:
    groups: dict[Any, list[Any]] = defaultdict(list)
    for row in rows:
        groups[getattr(row, field)].append(row)
    return dict(groups)
