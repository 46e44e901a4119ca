"""A Shopify shop's Admin API as far as it is written to: fulfilments, events, cancellations.

Reads and changes what was planted. Errors come with HTTP 200, as GraphQL has them; every request
costs points of a bucket that fills up again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any

from integrations.payloads import inner, objects
from integrations.sandbox.state import iso

BUCKET, RESTORED_PER_S = 2000.0, 100.0
COSTS: Mapping[str, float] = {"order": 14.0, "shop": 1.0}
MUTATION_COST = 10.0
EVENT_STATUSES = frozenset(
    {
        "ATTEMPTED_DELIVERY",
        "CARRIER_PICKED_UP",
        "CONFIRMED",
        "DELAYED",
        "DELIVERED",
        "FAILURE",
        "IN_TRANSIT",
        "LABEL_PRINTED",
        "LABEL_PURCHASED",
        "OUT_FOR_DELIVERY",
        "READY_FOR_PICKUP",
    }
)
#: orders with a fate: what is written to them is refused with this code
FATES: Mapping[str, str] = {
    "4290000001": "THROTTLED",
    "4030000001": "ACCESS_DENIED",
    "5000000001": "INTERNAL_SERVER_ERROR",
}
_OPEN = frozenset({"open", "in_progress"})
_NUMBERS = count(time.time_ns() // 1000)

Resources = dict[tuple[str, str, str], dict[str, Any]]
Result = tuple[dict[str, Any], "Change | None"]


class Refused(Exception):
    """A userError: what is wrong, where, and its code where the mutation has codes."""

    def __init__(self, message: str, *where: str, code: str = "") -> None:
        super().__init__(message)
        self.error = {"field": list(where) or None, "message": message}
        if code:
            self.error["code"] = code


@dataclass(frozen=True)
class Change:
    """What a mutation changed: the order, whether the guest is mailed, and what is posted."""

    order_id: str
    what: str
    text: str = ""
    is_told: bool = False
    id: str = ""
    #: what ``Shopify.event`` makes webhooks of
    events: tuple[Mapping[str, Any], ...] = ()


@dataclass
class Bucket:
    """Points one app may still spend at one shop."""

    left: float = BUCKET
    at: float = field(default_factory=time.monotonic)

    def take(self, cost: float, *, is_empty: bool = False) -> dict[str, Any]:
        """The cost extension of an answer; its actual cost is None where points do not suffice."""
        now = time.monotonic()
        self.left = min(BUCKET, self.left + (now - self.at) * RESTORED_PER_S)
        self.at = now
        left = 0.0 if is_empty else self.left
        is_enough = left >= cost
        if is_enough:
            self.left = left = left - cost
        return {
            "requestedQueryCost": cost,
            "actualQueryCost": cost if is_enough else None,
            "throttleStatus": {
                "maximumAvailable": BUCKET,
                "currentlyAvailable": round(left, 1),
                "restoreRate": RESTORED_PER_S,
            },
        }


class Admin:
    """The orders of all shops; GraphQL's root fields by name."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self.fields: Mapping[str, Callable[[Mapping[str, Any]], Result]] = {
            "shop": self._shop,
            "order": self._order,
            "fulfillmentOrderReportProgress": self._progress,
            "fulfillmentOrderLineItemsPreparedForPickup": self._prepared,
            "fulfillmentCreate": self._create,
            "fulfillmentTrackingInfoUpdate": self._tracking,
            "fulfillmentEventCreate": self._event,
            "orderCancel": self._cancel,
        }

    def answer(self, name: str, variables: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
        """``data`` and what changed; a refusal is a userError inside ``data``."""
        errors = "orderCancelUserErrors" if name == "orderCancel" else "userErrors"
        try:
            found, change = self.fields[name](variables)
        except Refused as refusal:
            return {name: {errors: [refusal.error]}}, None
        if name in ("shop", "order"):
            return {name: found or None}, None
        return {name: {**found, errors: []}}, change

    def order_in(self, variables: Mapping[str, Any]) -> str:
        """The number of the order a request is about; "" where none of it is planted."""
        for gid in _gids(variables):
            kind, number = split(gid)
            if kind == "Order":
                return number
            place = {"FulfillmentOrder": "fulfillment_orders", "Fulfillment": "fulfillments"}
            found = self._resources.get(("shopify", place.get(kind, ""), number))
            if found is not None:
                return str(found.get("order_id", ""))
        return ""

    # --- questions -------------------------------------------------------------------------------

    def _shop(self, variables: Mapping[str, Any]) -> Result:
        return {"id": "gid://shopify/Shop/548380009"}, None

    def _order(self, variables: Mapping[str, Any]) -> Result:
        number = split(variables.get("id"))[1]
        order = self._resources.get(("shopify", "orders", number))
        if order is None:
            return {}, None
        parts = [
            {
                "id": f"gid://shopify/FulfillmentOrder/{part['id']}",
                "status": str(part.get("status", "open")).upper(),
                "deliveryMethod": _method(part),
            }
            for part in self._of(number, "fulfillment_orders")
        ]
        return {
            "id": f"gid://shopify/Order/{number}",
            "cancelledAt": order.get("cancelled_at"),
            "fulfillmentOrders": {"nodes": parts},
            "fulfillments": [_facts(one) for one in self._of(number, "fulfillments")],
        }, None

    # --- mutations -------------------------------------------------------------------------------

    def _progress(self, variables: Mapping[str, Any]) -> Result:
        part = self._part(variables.get("id"), "id")
        if part.get("status", "open") not in _OPEN:
            raise Refused(
                "Fulfillment order status is invalid.",
                "id",
                code="FULFILLMENT_ORDER_STATUS_INVALID",
            )
        self._touch(part, status="in_progress")
        said = str(inner(variables, "report").get("reasonNotes") or "")
        gid = f"gid://shopify/FulfillmentOrder/{part['id']}"
        event = {"type": "fulfillment_orders/progress_reported", "part_id": str(part["id"])}
        change = Change(str(part["order_id"]), "in progress", said, id=gid, events=(event,))
        return {"fulfillmentOrder": {"id": gid, "status": "IN_PROGRESS"}}, change

    def _prepared(self, variables: Mapping[str, Any]) -> Result:
        where = ("input", "lineItemsByFulfillmentOrder")
        listed = objects(inner(variables, "input").get("lineItemsByFulfillmentOrder"))
        parts = [self._part(one.get("fulfillmentOrderId"), *where) for one in listed]
        for part in parts:
            if part.get("prepared") or part.get("status", "open") not in _OPEN:
                raise Refused(
                    "There are no line items to prepare for the fulfillment order.",
                    *where,
                    code="NO_LINE_ITEMS_TO_PREPARE_FOR_FULFILLMENT_ORDER",
                )
            if (_method(part) or {}).get("methodType") != "PICK_UP":
                raise Refused("Invalid order.", *where, code="FULFILLMENT_ORDER_INVALID")
        if not parts:
            raise Refused("No fulfillment order is named.", *where)
        for part in parts:
            self._touch(part, status="in_progress", prepared=True)
        topic = "fulfillment_orders/line_items_prepared_for_pickup"
        events = tuple({"type": topic, "part_id": str(part["id"])} for part in parts)
        order = str(parts[0]["order_id"])
        return {}, Change(order, "ready for pickup", is_told=True, events=events)

    def _create(self, variables: Mapping[str, Any]) -> Result:
        wanted = inner(variables, "fulfillment")
        where = ("fulfillment", "lineItemsByFulfillmentOrder")
        listed = objects(wanted.get("lineItemsByFulfillmentOrder"))
        parts = [self._part(one.get("fulfillmentOrderId"), *where) for one in listed]
        if not parts or any(part.get("status", "open") not in _OPEN for part in parts):
            raise Refused("Fulfillment order is not in a fulfillable state.", *where)
        number, order_id = next(_NUMBERS), str(parts[0]["order_id"])
        made: dict[str, Any] = {
            "id": number,
            "order_id": int(order_id),
            "status": "success",
            "created_at": iso(time.time()),
            "fulfillment_order_ids": [part["id"] for part in parts],
            "shipment_status": None,
        }
        made |= _carried_by(inner(wanted, "trackingInfo"))
        self._resources["shopify", "fulfillments", str(number)] = made
        self._touch(made)
        for part in parts:
            closed = [{**line, "fulfillable_quantity": 0} for line in part.get("line_items", [])]
            self._touch(part, status="closed", line_items=closed)
        facts = _facts(made)
        event = {"type": "fulfillments/create", "fulfillment_id": str(number)}
        is_told = wanted.get("notifyCustomer") is True
        change = Change(order_id, "fulfilled", "", is_told, facts["id"], (event,))
        return {"fulfillment": facts}, change

    def _tracking(self, variables: Mapping[str, Any]) -> Result:
        left = self._left(variables.get("id"), "fulfillmentId")
        self._touch(left, **_carried_by(inner(variables, "tracking")))
        facts = _facts(left)
        event = {"type": "fulfillments/update", "fulfillment_id": str(left["id"])}
        is_told = variables.get("notify") is True
        change = Change(str(left["order_id"]), "tracking", "", is_told, facts["id"], (event,))
        return {"fulfillment": {"id": facts["id"]}}, change

    def _event(self, variables: Mapping[str, Any]) -> Result:
        wanted = inner(variables, "event")
        left = self._left(wanted.get("fulfillmentId"), "fulfillmentEvent", "fulfillmentId")
        status = str(wanted.get("status"))
        if status not in EVENT_STATUSES:
            raise Refused("Status is invalid.", "fulfillmentEvent", "status")
        number, at = next(_NUMBERS), str(wanted.get("happenedAt") or iso(time.time()))
        datetime.fromisoformat(at)
        said = {"id": number, "status": status, "happened_at": at, "message": wanted.get("message")}
        events = [*left.get("events", []), said]
        self._touch(left, events=events, shipment_status=status.lower())
        about = {"order_id": left["order_id"], "fulfillment_id": left["id"]}
        told = {
            **about,
            "type": "fulfillment_events/create",
            **said,
            "status": status.lower(),
            "estimated_delivery_at": wanted.get("estimatedDeliveryAt"),
        }
        whole = {"type": "fulfillments/update", "fulfillment_id": str(left["id"])}
        gid = f"gid://shopify/FulfillmentEvent/{number}"
        change = Change(
            str(left["order_id"]),
            status.lower().replace("_", " "),
            str(wanted.get("message") or ""),
            status in ("OUT_FOR_DELIVERY", "DELIVERED"),
            gid,
            (told, whole),
        )
        return {"fulfillmentEvent": {"id": gid}}, change

    def _cancel(self, variables: Mapping[str, Any]) -> Result:
        number = split(variables.get("id"))[1]
        order = self._resources.get(("shopify", "orders", number))
        if order is None or order.get("cancelled_at"):
            code = "NOT_FOUND" if order is None else "INVALID"
            raise Refused("Order cannot be cancelled.", "orderId", code=code)
        self._touch(order, cancelled_at=iso(time.time()), cancel_reason="other")
        gid = f"gid://shopify/Job/{next(_NUMBERS)}"
        event = {"type": "orders/cancelled", "order_id": number}
        is_told, said = variables.get("notify") is True, str(variables.get("note") or "")
        return {"job": {"id": gid}}, Change(number, "cancelled", said, is_told, gid, (event,))

    # --- what is planted -------------------------------------------------------------------------

    def _of(self, order_id: str, kind: str) -> list[dict[str, Any]]:
        return [
            found
            for (vendor, other, _), found in self._resources.items()
            if (vendor, other) == ("shopify", kind) and str(found.get("order_id")) == order_id
        ]

    def _part(self, gid: Any, *where: str) -> dict[str, Any]:
        kind, number = split(gid)
        found = self._resources.get(("shopify", "fulfillment_orders", number))
        if kind != "FulfillmentOrder" or found is None:
            raise Refused("Fulfillment order does not exist.", *where)
        return found

    def _left(self, gid: Any, *where: str) -> dict[str, Any]:
        kind, number = split(gid)
        found = self._resources.get(("shopify", "fulfillments", number))
        if kind != "Fulfillment" or found is None:
            raise Refused("Fulfillment does not exist.", *where)
        return found

    @staticmethod
    def _touch(resource: dict[str, Any], **changes: Any) -> None:
        resource.update(changes, updated_at=iso(time.time()))


def split(gid: Any) -> tuple[str, str]:
    """(kind, number) of a global id."""
    kind, _, number = str(gid).removeprefix("gid://shopify/").partition("/")
    return kind, number


def root_field(query: str) -> str:
    """The first field of a document's operation."""
    found = re.search(r"\{\s*(\w+)", query)
    return found[1] if found else ""


def _gids(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value.startswith("gid://shopify/") else []
    if isinstance(value, Mapping):
        value = list(value.values())
    return [gid for one in value for gid in _gids(one)] if isinstance(value, list) else []


def _method(part: Mapping[str, Any]) -> dict[str, str] | None:
    method = (part.get("delivery_method") or {}).get("method_type")
    return {"methodType": method.upper()} if method else None


def _carried_by(tracking: Mapping[str, Any]) -> dict[str, Any]:
    number, url = tracking.get("number"), tracking.get("url")
    return {
        "tracking_company": tracking.get("company"),
        "tracking_number": number,
        "tracking_numbers": [number] if number else [],
        "tracking_url": url,
        "tracking_urls": [url] if url else [],
    }


def _facts(left: Mapping[str, Any]) -> dict[str, Any]:
    number, url = left.get("tracking_number"), left.get("tracking_url")
    events = [
        {
            "id": f"gid://shopify/FulfillmentEvent/{event['id']}",
            "status": event["status"],
            "happenedAt": event["happened_at"],
        }
        for event in reversed(left.get("events", []))
    ]
    return {
        "id": f"gid://shopify/Fulfillment/{left['id']}",
        "status": str(left.get("status") or "success").upper(),
        "trackingInfo": [{"number": number, "url": url}] if number or url else [],
        "events": {"nodes": events},
    }
