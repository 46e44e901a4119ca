"""What orders know about people, for their rights: shown, and forgotten where it is not the books.

Orders themselves stay, for the tax office; whose they were goes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Q

from consents.holders import Held, Holder, Person
from orders.contacts import MARK
from orders.models import InboundCall, Order

#: rows of one statement
BATCH = 500


class OrdersHolder(Holder):
    """Orders, and the raw calls they were read from."""

    name = "orders"

    def export(self, person: Person) -> Held:
        """Every order with its lines, and which systems told us of it."""
        orders = (
            Order.objects.filter(subject_id=person.subject_id)
            .select_related("restaurant", "location")
            .prefetch_related("items", "calls__account")
            .order_by("created_at")
        )
        made: list[dict[str, Any]] = []
        told: dict[tuple[str, str], dict[str, str]] = {}
        for order in orders:
            made.append(_order(order))
            for call in order.calls.all():
                key = (order.restaurant.name, call.account.name)
                what = f"told us about orders at {order.restaurant.name}"
                told[key] = {"name": f"{call.account.name} ({call.account.source})", "what": what}
        return Held({"orders": made}, [told[key] for key in sorted(told)])

    def forget(self, person: Person, now: datetime) -> dict[str, int]:
        """Orders keep what was sold; who bought it and the calls that say so go."""
        orders = list(Order.objects.select_for_update().filter(subject_id=person.subject_id))
        ids = [order.pk for order in orders]
        theirs = Q(order_id__in=ids) | Q(observation__order_id__in=ids)
        calls = InboundCall.objects.filter(theirs).values_list("pk", flat=True).distinct()
        deleted = InboundCall.objects.filter(pk__in=list(calls)).delete()[1]
        for order in orders:
            # the mark keeps sources that repeat the contact from bringing the person back
            known = order.detail.get(MARK)
            mark = known if isinstance(known, dict) else {"account": None, "kind": "none"}
            kept = {name: mark[name] for name in ("account", "kind") if name in mark}
            order.detail = {**order.detail, MARK: kept | {"rank": 0, "hash": "", "erased": True}}
            order.subject = None
        Order.objects.bulk_update(orders, ["detail", "subject"], batch_size=BATCH)
        return {"orders_unnamed": len(orders), "calls": deleted.get(InboundCall._meta.label, 0)}


def _order(order: Order) -> dict[str, Any]:
    return {
        "restaurant": order.restaurant.name,
        "location": order.location.name if order.location else "",
        "number": order.display,
        "id": str(order.public_id),
        "placed_at": _iso(order.placed_at or order.created_at),
        "fulfillment": order.fulfillment,
        "state": order.state,
        "items": [str(item) for item in order.items.all()],
    }


def _iso(at: datetime | None) -> str:
    return at.isoformat() if at else ""
