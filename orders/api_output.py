"""The order as the API shows it.

No names, numbers or mailboxes: an order says whether there is a contact, the consents API says
more to keys that may know it.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from rest_framework import serializers

from orders.api_fields import MomentField, QuantityField
from orders.api_pages import PageOut
from orders.api_serializers import FULFILLMENTS, LEG_STATES, PART_KINDS, STATES
from orders.models import Item, Order, OrderAlias, Part, Restaurant, SourceAccount

Out = serializers.Serializer[Any]

_TIMES = ("placed_at", "promised_at", "promised_until", "est_ready_at", "est_delivery_at")
_COURIER = ("name", "tracking_url", "phone_kind")


class AliasOut(Out):
    """One system's name for the order; ``system`` is a source, or what the sender called it."""

    system = serializers.CharField()
    id = serializers.CharField()


class ItemOut(Out):
    """One line."""

    id = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # the member is called so
    quantity = QuantityField()
    modifiers = serializers.ListField(child=serializers.CharField())


class ContentOut(Out):
    """How many of which item a part holds."""

    item_id = serializers.CharField()
    quantity = serializers.FloatField()


class PartOut(Out):
    """A bowl, box or course; an order nobody split has one, called "order"."""

    id = serializers.CharField()
    kind = serializers.ChoiceField(choices=[*PART_KINDS, "order"])
    label = serializers.CharField()  # type: ignore[assignment]  # the member is called so
    quantity = QuantityField()
    state = serializers.ChoiceField(choices=STATES)
    state_since = MomentField(allow_null=True)
    est_ready_at = MomentField(allow_null=True)
    modifiers = serializers.ListField(child=serializers.CharField())
    contents = ContentOut(many=True)
    replaces = serializers.CharField(help_text="id of the part it took the place of, or empty")


class CourierOut(Out):
    """Who brings it; empty texts where nobody said."""

    name = serializers.CharField()
    tracking_url = serializers.CharField()
    phone_kind = serializers.CharField()


class LegOut(Out):
    """One courier trip."""

    id = serializers.CharField()
    state = serializers.ChoiceField(choices=LEG_STATES, allow_null=True)
    native_state = serializers.CharField()
    est_delivery_at = serializers.CharField(allow_null=True)
    courier = CourierOut()
    part_ids = serializers.ListField(child=serializers.CharField())


class FulfillmentOut(Out):
    """How the order reaches the guest."""

    type = serializers.ChoiceField(choices=FULFILLMENTS)
    scheduled = serializers.BooleanField()
    table = serializers.CharField()


class TimesOut(Out):
    """Promises and estimates, null where nobody gave one."""

    placed_at = MomentField(allow_null=True)
    promised_at = MomentField(allow_null=True)
    promised_until = MomentField(allow_null=True)
    est_ready_at = MomentField(allow_null=True)
    est_delivery_at = MomentField(allow_null=True)


class LocationOut(Out):
    """The kitchen, with the ids its sources use."""

    name = serializers.CharField()
    ids = serializers.ListField(child=serializers.CharField())


class ReasonOut(Out):
    """Why, as far as a source said."""

    code = serializers.CharField()
    text = serializers.CharField()


class OrderCustomerOut(Out):
    """Whether there is somebody to tell; only the contact kind direct is ever messaged."""

    is_known = serializers.BooleanField()
    contact_kind = serializers.CharField(help_text="empty: nobody said yet")


class OrderLinksOut(Out):
    """Where to go from here: this order, the customer's page, what was told about it."""

    self = serializers.URLField()
    page = serializers.URLField()
    notifications = serializers.URLField()


class OrderOut(Out):
    """An order: the projection of everything its sources said."""

    id = serializers.UUIDField()
    object = serializers.CharField(help_text="always 'order'")
    display = serializers.CharField(help_text="what people call it; not unique")
    state = serializers.ChoiceField(choices=STATES)
    state_since = serializers.CharField(allow_null=True)
    is_open = serializers.BooleanField()
    epoch = serializers.IntegerField(help_text="goes up when an ended order is reopened")
    flags = serializers.ListField(child=serializers.CharField())
    fulfillment = FulfillmentOut()
    times = TimesOut()
    items = ItemOut(many=True)
    refunds = ItemOut(many=True, help_text="what was paid back so far")
    parts = PartOut(many=True)
    legs = LegOut(many=True)
    courier = CourierOut()
    reason = ReasonOut(allow_null=True)
    customer = OrderCustomerOut()
    location = LocationOut(allow_null=True)
    external_ids = AliasOut(many=True)
    created_at = MomentField()
    updated_at = MomentField(allow_null=True)
    links = OrderLinksOut()
    warnings = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        help_text="answers of writes only: what of the update could not be used",
    )


class OrderPageOut(PageOut):
    """A page of orders, newest first."""

    data = OrderOut(many=True)  # type: ignore[assignment]  # the member is called so


def shown_orders() -> QuerySet[Order]:
    """Orders with everything ``order_shape`` reads, in a fixed number of queries."""
    return Order.objects.select_related("location").prefetch_related("items", "parts", "aliases")


def source_names(restaurant: Restaurant) -> dict[str, str]:
    """Alias system of a source account -> the source people know it by."""
    rows = SourceAccount.objects.filter(restaurant=restaurant).values_list("pk", "source")
    return {f"account:{pk}": source for pk, source in rows}


def order_shape(order: Order, sources: Mapping[str, str]) -> dict[str, Any]:
    """The values of OrderOut for an order of ``shown_orders``; ``sources`` as source_names."""
    detail: dict[str, Any] = order.detail
    return {
        "id": order.public_id,
        "object": "order",
        "display": order.display,
        "state": order.state,
        "state_since": detail.get("state_since"),
        "is_open": order.is_open,
        "epoch": order.epoch,
        "flags": sorted(order.flags),
        "fulfillment": {
            "type": order.fulfillment,
            "scheduled": order.is_scheduled,
            "table": detail.get("table") or "",
        },
        "times": {name: getattr(order, name) for name in _TIMES},
        "items": [_line(item) | {"modifiers": list(item.modifiers)} for item in order.items.all()],
        "refunds": [_refund(line) for line in detail.get("refunds") or ()],
        "parts": [_part(part) for part in order.parts.all() if part.state != "removed"],
        "legs": [_leg(leg) for leg in detail.get("legs") or []],
        "courier": _courier(detail.get("courier")),
        "reason": _reason(detail.get("reason")),
        "customer": {
            "is_known": order.subject_id is not None,
            "contact_kind": order.contact_kind,
        },
        "location": _location(order),
        "external_ids": [_alias(alias, sources) for alias in order.aliases.all()],
        "created_at": order.created_at,
        "updated_at": order.updated_at,
        "links": _links(order),
    }


def _line(row: Item | Part) -> dict[str, Any]:
    return {"id": row.ref, "label": row.label, "quantity": row.quantity}


def _refund(line: Mapping[str, Any]) -> dict[str, Any]:
    return {**line, "quantity": Decimal(line["quantity"])}


def _part(part: Part) -> dict[str, Any]:
    contents: list[dict[str, Any]] = part.contents
    return _line(part) | {
        "kind": part.kind,
        "state": part.state,
        "state_since": part.state_since,
        "est_ready_at": part.est_ready_at,
        "modifiers": list(part.modifiers),
        "contents": [
            {"item_id": held.get("item_id", ""), "quantity": held.get("quantity", 1)}
            for held in contents
        ],
        "replaces": part.replaces,
    }


def _leg(leg: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": leg.get("ref", ""),
        "state": leg.get("state"),
        "native_state": leg.get("native_state") or "",
        "est_delivery_at": leg.get("est_delivery_at"),
        "courier": _courier(leg.get("courier")),
        "part_ids": list(leg.get("part_ids") or ()),
    }


def _courier(courier: Mapping[str, Any] | None) -> dict[str, str]:
    return {name: str((courier or {}).get(name) or "") for name in _COURIER}


def _reason(reason: Mapping[str, Any] | None) -> dict[str, str] | None:
    if not reason:
        return None
    return {"code": str(reason.get("code") or ""), "text": str(reason.get("text") or "")}


def _location(order: Order) -> dict[str, Any] | None:
    if order.location is None:
        return None
    return {"name": order.location.name, "ids": list(order.location.external_ids)}


def _alias(alias: OrderAlias, sources: Mapping[str, str]) -> dict[str, str]:
    return {"system": sources.get(alias.system, alias.system), "id": alias.external_id}


def _links(order: Order) -> dict[str, str]:
    here = settings.PUBLIC_URL
    return {
        "self": f"{here}/api/v1/orders/{order.public_id}",
        "page": f"{here}/o/{order.public_id}/",
        "notifications": f"{here}/api/v1/notifications?order={order.public_id}",
    }
