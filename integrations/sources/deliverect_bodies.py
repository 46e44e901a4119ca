"""Tells bodies of Deliverect apart: none has a type, each is known by its members.

Positions are not kept, so a courier's body has to be known by the rest of it as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from integrations import payloads
from integrations.errors import EventIgnored, PayloadMalformed
from integrations.sources.deliverect_order import order_key

#: what makes two bodies without a time of their own differ
_TOLD = ("pickupTime", "deliveryTime", "courierId", "courierName", "multipleDrivers")
#: bodies without a time: the same one within this time is a repeat, later it is news again
REPEAT_S = 300


def kind_of(body: Mapping[str, Any]) -> str:
    """order, status, courier or preparation; raises PayloadMalformed or EventIgnored."""
    if isinstance(body.get("items"), list) and ("_id" in body or "orderId" in body):
        return "order"
    if "orderId" not in body:
        raise EventIgnored("the body names no order")
    if "timeStamp" in body and "status" in body:
        return "status"
    if is_courier(body):
        return "courier"
    if "pickupTime" in body:
        return "preparation"
    raise PayloadMalformed("the body: no order, status, courier or preparation time")


def is_courier(body: Mapping[str, Any]) -> bool:
    """Whether a body that is no status has a member only couriers have."""
    names = ("courierName", "coordinates", "dispatchPartner", "courierId")
    return isinstance(body.get("courier"), dict) or any(name in body for name in names)


def event_key(body: Mapping[str, Any], received_at: datetime) -> str:
    """Kind, order, status and time. Raises PayloadMalformed or EventIgnored."""
    kind = kind_of(body)
    if kind == "order":
        return order_key(body)
    order_id = order_id_of(body)
    if kind == "status":
        native = payloads.required_text(body.get("status"), "status", 20)
        stamp = payloads.required_text(body.get("timeStamp"), "timeStamp", 40)
    else:
        is_courier = kind == "courier"
        native = courier_status(body) if is_courier else payloads.text(body.get("status"), 20)
        stamp = payloads.text(body.get("received"), 40) if is_courier else ""
    if not stamp:
        told = [payloads.text(value) for value in (*map(body.get, _TOLD), first_name(body))]
        digest = payloads.sha256(json.dumps(told).encode())[:32]
        stamp = f"{digest}:{int(received_at.timestamp()) // REPEAT_S}"
    return payloads.key_within(f"deliverect:{kind}:{order_id}:{native}:{stamp}")


def order_id_of(body: Mapping[str, Any]) -> str:
    """The order a status or courier is about. Raises PayloadMalformed."""
    return payloads.required_text(body.get("orderId"), "orderId")


def courier_status(body: Mapping[str, Any]) -> str:
    """The courier's status code; "" where none is sent."""
    inside = payloads.inner(body, "courier").get("status")
    return payloads.text(body.get("status"), 20) or payloads.text(inside, 20)


def first_name(body: Mapping[str, Any]) -> str:
    """The courier's first name in the reporting form."""
    return payloads.text(payloads.inner(body, "courier").get("firstName"), 100)
