"""The orders of one account as plain values that are the same wherever and whenever they are made.

Neither database ids nor times of arrival; "delayed" only where the source says so itself, because
our own watch looks at the clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from orders.aliases import EXTERNAL_DELIVERY_ID, EXTERNAL_ID
from orders.history import load_history
from orders.models import Order, OrderAlias, SourceAccount
from orders.projection import ItemView, LegView, PartView, project
from orders.selectors import House, house

_TIMES = ("placed_at", "promised_at", "promised_until", "est_ready_at", "est_delivery_at")


def replayed_orders(account: SourceAccount) -> list[dict[str, Any]]:
    """Every order ``account`` knows, sorted by the id it gave the order."""
    home = house(account.restaurant_id)
    names: dict[int, list[tuple[str, str]]] = {}
    aliases = OrderAlias.objects.filter(restaurant_id=account.restaurant_id)
    for order_id, system, name in aliases.values_list("order_id", "system", "external_id"):
        names.setdefault(order_id, []).append((system, name))
    own = f"account:{account.pk}"
    shown = [
        _order(_external_id(names[order.pk], own), order, account, home)
        for order in Order.objects.filter(pk__in=names)
    ]
    return sorted(shown, key=lambda order: str(order["external_id"]))


def _external_id(names: Iterable[tuple[str, str]], own: str) -> str:
    """The id the account gave the order; where only its couriers spoke, the restaurant's own.

    A courier's id of a delivery is the last resort: an order may have several deliveries.
    """
    known = sorted(names)
    deliveries = {name for system, name in known if system == EXTERNAL_DELIVERY_ID}
    given = [name for system, name in known if system == own and name not in deliveries]
    restaurants = [name for system, name in known if system == EXTERNAL_ID]
    return (given or restaurants or [name for system, name in known if system == own])[0]


def _order(name: str, order: Order, account: SourceAccount, home: House) -> dict[str, Any]:
    seen = project(load_history(order.pk).observations, priorities=home.priorities)
    return {
        "external_id": name,
        "display": seen.display,
        "source": account.source,
        "state": str(seen.state),
        "epoch": seen.epoch,
        "flags": sorted(seen.flags),
        "fulfillment": seen.fulfillment,
        "scheduled": seen.is_scheduled,
        "parts": [_part(part) for part in seen.named_parts],
        "legs": [_leg(leg) for leg in seen.legs],
        "items": [_item(item) for item in seen.items],
        "refunds": [_item(item) for item in seen.refunds],
        "times": {name: _time(getattr(seen, name)) for name in _TIMES},
        "reason": _plain(seen.reason),
    }


def _part(part: PartView) -> dict[str, Any]:
    return {
        "ref": part.ref,
        "kind": part.kind,
        "label": part.label,
        "quantity": _number(part.quantity),
        "state": str(part.state),
        "modifiers": list(part.modifiers),
        "contents": [_plain(content) for content in part.contents],
        "replaces": part.replaces,
        "est_ready_at": _time(part.est_ready_at),
    }


def _leg(leg: LegView) -> dict[str, Any]:
    return {
        "ref": leg.ref,
        "state": None if leg.state is None else str(leg.state),
        "native_state": leg.native_state,
        "est_delivery_at": _time(leg.est_delivery_at),
        "courier": _plain(leg.courier),
        "part_ids": list(leg.part_ids),
        "reason": _plain(leg.reason),
    }


def _item(item: ItemView) -> dict[str, Any]:
    return {
        "ref": item.ref,
        "label": item.label,
        "quantity": _number(item.quantity),
        "modifiers": list(item.modifiers),
    }


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _number(v) if isinstance(v, Decimal) else v for name, v in values.items()}


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def _time(value: datetime | None) -> str | None:
    return None if value is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")
