"""Reads one Shopify order as webhooks, the GET and the list of orders carry it, and edits of it.

``updated_at`` orders the statements. That an order exists is a statement of its own, made at its
creation: ``orders/updated`` often comes before ``orders/create``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from integrations import payloads
from integrations.contracts import Customer, Observation, OrderUpdate, State, ordering_key
from integrations.errors import PayloadMalformed
from integrations.sources.shopify_courier import fulfillment_observation, lenient_time
from integrations.sources.shopify_lines import items, refunds

STREAM = "order"
#: what the order says -> ours. Money that moves later says nothing about the food
STATES: Mapping[str, str | None] = {
    "created": State.RECEIVED,
    "cancelled_at set": State.CANCELLED,
    "fulfillment_status=partial": None,
    "fulfillment_status=fulfilled": None,
    "fulfillment_status=restocked": None,
    "financial_status=pending": None,
    "financial_status=authorized": None,
    "financial_status=partially_paid": None,
    "financial_status=paid": State.ACCEPTED,
    "financial_status=partially_refunded": None,
    "financial_status=refunded": None,
    "financial_status=voided": None,
    "financial_status=expired": None,
}
_REASON = re.compile(r"[a-z0-9_]{1,60}", re.ASCII)
_PICKUP = re.compile(r"pick[\s_-]?up|collect", re.IGNORECASE)
_LOCAL = re.compile(r"local[\s_-]?delivery", re.IGNORECASE)
_PHONES = ((), ("shipping_address",), ("customer",), ("billing_address",))

StatusMap = Mapping[str, Mapping[str, str]]


def read_order(
    order: Mapping[str, Any], status_map: StatusMap, promise_attribute: str = ""
) -> OrderUpdate:
    """One order as an update. Raises PayloadMalformed."""
    order_id = payloads.required_text(order.get("id"), "id")
    updated_at = payloads.time(order.get("updated_at"), "updated_at")
    if updated_at is None:
        raise PayloadMalformed("updated_at: missing")
    native = _native(order)
    state, known = payloads.look_up(native, STATES, status_map.get(STREAM))
    cancelled_at = payloads.time(order.get("cancelled_at"), "cancelled_at")
    data = _data(order, promise_attribute)
    # without the state: the same words read with another status map are the same statement
    content = json.dumps([native, data], sort_keys=True).encode()
    observations = [
        Observation(
            event_key=f"order:{order_id}:{ordering_key(updated_at)}:{payloads.sha256(content)[:16]}",
            track="commercial",
            scope="order",
            ordering_key=ordering_key(updated_at),
            kind="snapshot",
            native_state=native,
            state=state,
            occurred_at=cancelled_at or updated_at,
            occurred_at_basis="event" if cancelled_at else "resource_modified",
            data=data,
        )
    ]
    if created := _created(order, order_id, status_map):
        observations.append(created)
    unknown = [] if known or not native else [f"{STREAM} {native}"]
    legs, strange = _legs(order, status_map)
    return OrderUpdate(
        order_id=order_id,
        observations=(*observations, *legs),
        display=payloads.text(order.get("name"), 40) or order_id[:40],
        # a till that took the order over from the shop may name it by the shop's id
        aliases=(("shopify", order_id),),
        customer=_customer(order),
        location_id=payloads.text(order.get("location_id")),
        unknown_states=tuple(dict.fromkeys([*unknown, *strange])),
    )


def read_edit(body: Mapping[str, Any]) -> OrderUpdate:
    """``orders/edited``: only which lines changed by how much, so the order has to be fetched."""
    edit = payloads.as_object(body.get("order_edit"), "order_edit")
    edit_id = payloads.required_text(edit.get("id"), "order_edit.id")
    at = payloads.time(edit.get("created_at"), "order_edit.created_at")
    note = Observation(
        event_key=f"order_edit:{edit_id}",
        track="commercial",
        scope="order",
        ordering_key=ordering_key(at),
        kind="contents",
        native_state="orders/edited",
        occurred_at=at,
        occurred_at_basis="event" if at else "arrival",
    )
    order_id = payloads.required_text(edit.get("order_id"), "order_edit.order_id")
    return OrderUpdate(order_id=order_id, observations=(note,))


def shipping_type(order: Mapping[str, Any]) -> str:
    """pickup or delivery by the words of the shipping lines; "" when they say neither."""
    for line in payloads.objects(order.get("shipping_lines")):
        words = f"{payloads.text(line.get('code'))} {payloads.text(line.get('title'))}"
        if _PICKUP.search(words):
            return "pickup"
        if _LOCAL.search(words):
            return "delivery"
    return ""


def _native(order: Mapping[str, Any]) -> str:
    if order.get("cancelled_at"):
        return "cancelled_at set"
    if done := payloads.text(order.get("fulfillment_status"), 60):
        # handed to the courier leg: paid or not no longer matters
        return f"fulfillment_status={done}"
    paid = payloads.text(order.get("financial_status"), 60)
    return f"financial_status={paid}" if paid else ""


def _created(order: Mapping[str, Any], order_id: str, status_map: StatusMap) -> Observation | None:
    at = payloads.time(order.get("created_at"), "created_at")
    if at is None:
        return None
    state, _ = payloads.look_up("created", STATES, status_map.get(STREAM))
    return Observation(
        event_key=f"order:{order_id}:created",
        track="commercial",
        scope="order",
        ordering_key=ordering_key(at),
        native_state="created",
        state=state,
        occurred_at=at,
        occurred_at_basis="event",
    )


def _data(order: Mapping[str, Any], promise_attribute: str) -> dict[str, Any]:
    # the texts put their own # before a number
    name = payloads.text(order.get("name"), 41).removeprefix("#")
    number = name or payloads.text(order.get("order_number"), 40)
    data: dict[str, Any] = {
        "display": (number or payloads.text(order.get("id")))[:40],
        "items": items(order),
    }
    if paid_back := refunds(order):
        data["refunds"] = paid_back
    times = {
        "placed_at": payloads.time(order.get("created_at"), "created_at"),
        "promised_at": _promise(order, promise_attribute),
    }
    data["times"] = {name: payloads.iso(at) for name, at in times.items() if at}
    reason = payloads.text(order.get("cancel_reason"), 80)
    if order.get("cancelled_at") and _REASON.fullmatch(reason):
        data["reason"] = {"code": reason}
    return data


def _promise(order: Mapping[str, Any], attribute: str) -> Any:
    """The time a slot app keeps with the order; in another form it promises nothing."""
    for entry in payloads.objects(order.get("note_attributes")) if attribute else []:
        if payloads.text(entry.get("name")) == attribute:
            return lenient_time(payloads.text(entry.get("value")))
    return None


def _legs(order: Mapping[str, Any], status_map: StatusMap) -> tuple[list[Observation], list[str]]:
    """Courier news the order repeats: the way to it when an event was lost."""
    legs: dict[str, Observation] = {}
    strange: list[str] = []
    for entry in payloads.objects(order.get("fulfillments")):
        if not payloads.text(entry.get("shipment_status")):
            continue
        found, unknown = fulfillment_observation(entry, status_map)
        legs.setdefault(found.event_key, found)
        strange += unknown
    return list(legs.values()), strange


def _customer(order: Mapping[str, Any]) -> Customer | None:
    """The guest; a shop without approval for protected data gets null everywhere."""
    person = payloads.inner(order, "customer")
    phone = next(
        (p for path in _PHONES if (p := payloads.text(_at(order, path).get("phone"), 40))), ""
    )
    emails = (order.get("email"), order.get("contact_email"), person.get("email"))
    email = next((found for e in emails if (found := payloads.text(e, 254))), "")
    name = _name(person) or _name(payloads.inner(order, "shipping_address"))
    number = payloads.text(person.get("id"))
    if not (name or phone or email or number):
        return None
    return Customer(
        name=name,
        phone=phone,
        email=email,
        contact_kind="direct" if phone or email else "none",
        locale=payloads.text(order.get("customer_locale"), 20),
        external_id=number,
    )


def _at(order: Mapping[str, Any], path: tuple[str, ...]) -> Mapping[str, Any]:
    return payloads.inner(order, *path) if path else order


def _name(person: Mapping[str, Any]) -> str:
    words = [payloads.text(person.get(name), 80) for name in ("first_name", "last_name")]
    return " ".join(word for word in words if word)
