"""What a shop knows about an order, read from the answer to ``shopify_calls.ORDER``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from integrations.errors import PayloadMalformed
from integrations.payloads import inner, objects, text, time

_OVER = frozenset({"DELIVERED", "FAILURE"})


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a fulfilment."""

    status: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Fulfillment:
    """Goods that left."""

    id: str
    status: str = "SUCCESS"
    numbers: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """A fulfilment order."""

    id: str
    status: str
    method: str = ""


@dataclass(frozen=True, slots=True)
class ShopOrder:
    """The order in the shop."""

    parts: tuple[Part, ...] = ()
    fulfillments: tuple[Fulfillment, ...] = ()
    is_cancelled: bool = False


def is_told(fulfillment: Fulfillment, status: str, at: datetime | None) -> bool:
    """Whether the shop knows this already, or newer news."""
    newest = max(fulfillment.events, key=lambda event: event.at, default=None)
    if newest is None:
        return False
    if Event(status, at or newest.at) in fulfillment.events or (at and newest.at > at):
        return True
    stands = [event for event in fulfillment.events if event.status != "DELAYED"]
    last = max(stands, key=lambda event: event.at, default=None)
    if last is None:
        return False
    return last.status in _OVER if status == "DELAYED" else last.status == status


def read(order: Mapping[str, Any]) -> ShopOrder:
    """The answer to ``calls.ORDER``. Raises PayloadMalformed for a time that is none."""
    return ShopOrder(
        parts=tuple(
            Part(
                text(part.get("id")),
                text(part.get("status")),
                text(inner(part, "deliveryMethod").get("methodType")),
            )
            for part in objects(inner(order, "fulfillmentOrders").get("nodes"))
        ),
        fulfillments=tuple(_fulfillment(one) for one in objects(order.get("fulfillments"))),
        is_cancelled=bool(order.get("cancelledAt")),
    )


def _fulfillment(one: Mapping[str, Any]) -> Fulfillment:
    listed = objects(one.get("trackingInfo"))
    return Fulfillment(
        id=text(one.get("id")),
        status=text(one.get("status")),
        numbers=tuple(filter(None, (text(each.get("number")) for each in listed))),
        urls=tuple(filter(None, (text(each.get("url"), 2000) for each in listed))),
        events=tuple(
            Event(text(event.get("status")), _time(event.get("happenedAt")))
            for event in objects(inner(one, "events").get("nodes"))
        ),
    )


def _time(value: Any) -> datetime:
    at = time(value, "happenedAt")
    if at is None:
        raise PayloadMalformed("happenedAt: missing")
    return at.replace(microsecond=0)
