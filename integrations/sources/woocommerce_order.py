"""Reads one order of WooCommerce's REST API, which is also the body of its webhooks.

``date_modified_gmt`` orders the statements. It has steps of one second; of two statements of one
second the one with the higher rank wins, which is how sequenced streams settle a tie.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from integrations import payloads
from integrations.contracts import Customer, Observation, OrderUpdate, State, ordering_key
from integrations.errors import PayloadMalformed

#: status -> ours; completed depends on the shipping method
STATES: Mapping[str, str | None] = {
    "checkout-draft": None,
    "auto-draft": None,
    "pending": State.RECEIVED,
    "on-hold": State.RECEIVED,
    "processing": State.ACCEPTED,
    "completed": State.DELIVERED,
    "completed local_pickup": State.PICKED_UP,
    "cancelled": State.CANCELLED,
    "refunded": State.CANCELLED,
    "failed": State.FAILED,
    "trash": None,
}
DRAFTS = frozenset({"checkout-draft", "auto-draft"})
#: the classic method and the one of the block checkout
PICKUP_METHODS = frozenset({"local_pickup", "pickup_location"})
PROMISE_FORMATS = ("iso", "local", "unix")
REASONS = {"failed": "payment_failed", "refunded": "refunded"}
_UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?", re.ASCII)
_TAG = re.compile(r"<[^<>]*>")


@dataclass(frozen=True, slots=True)
class Reading:
    """How one shop wants its words read. ``added`` are the manager's status mappings."""

    added: Mapping[str, str] = field(default_factory=dict)
    completed_means: str = "by method"
    promise_key: str = ""
    promise_format: str = "iso"
    timezone: str = ""


def is_draft(order: Mapping[str, Any]) -> bool:
    """A cart somebody is still filling."""
    return payloads.text(order.get("status")).removeprefix("wc-") in DRAFTS


def read_order(order: Mapping[str, Any], reading: Reading) -> OrderUpdate:
    """One order as an update. Raises PayloadMalformed."""
    order_id = payloads.required_text(order.get("id"), "id")
    native = payloads.required_text(order.get("status"), "status", 120).removeprefix("wc-")
    modified = _utc(order.get("date_modified_gmt"), "date_modified_gmt")
    if modified is None:
        raise PayloadMalformed("date_modified_gmt: missing")
    state, known = _state(native, order, reading)
    data = _data(order, native, reading)
    # without the state: the same words read with another status map are the same statement
    content = json.dumps([native, data], sort_keys=True).encode()
    key = f"order:{order_id}:{ordering_key(modified)}:{payloads.sha256(content)[:16]}"
    reached = _utc(order.get("date_completed_gmt"), "date_completed_gmt")
    is_dated = native == "completed" and reached is not None
    observation = Observation(
        event_key=payloads.key_within(key, 370),
        track="commercial",
        scope="order",
        ordering_key=ordering_key(modified),
        kind="snapshot",
        native_state=native,
        state=state,
        occurred_at=reached if is_dated else modified,
        occurred_at_basis="event" if is_dated else "resource_modified",
        data=data,
    )
    return OrderUpdate(
        order_id=order_id,
        observations=(observation,),
        display=str(data["display"]),
        customer=_customer(order),
        unknown_states=() if known else (f"order {native}",),
    )


def _state(native: str, order: Mapping[str, Any], reading: Reading) -> tuple[str | None, bool]:
    if native in reading.added:
        return payloads.look_up(native, STATES, reading.added)
    word = f"{native} local_pickup" if _is_pickup(order) else native
    state, known = payloads.look_up(word if word in STATES else native, STATES)
    if native == "completed" and reading.completed_means != "by method":
        means = {"picked_up": State.PICKED_UP, "delivered": State.DELIVERED}
        return means.get(reading.completed_means), True
    if native == "refunded" and order.get("date_completed_gmt"):
        return None, True  # money came back for goods that were handed over
    return state, known


def _data(order: Mapping[str, Any], native: str, reading: Reading) -> dict[str, Any]:
    number = payloads.text(order.get("number"), 40)
    data: dict[str, Any] = {
        "display": number or payloads.text(order.get("id"), 40),
        "items": _items(order),
    }
    times = {
        "placed_at": _utc(order.get("date_created_gmt"), "date_created_gmt"),
        "promised_at": _promise(order, reading),
    }
    data["times"] = {name: payloads.iso(at) for name, at in times.items() if at}
    if _is_pickup(order):
        data["fulfillment"] = {"type": "pickup"}
    elif _methods(order):
        data["fulfillment"] = {"type": "delivery"}
    if code := REASONS.get(native):
        data["reason"] = {"code": code}
        if native == "failed":
            # the shop has told the guest who was paying; what it means for the food is for staff
            data["reason"]["staff_first"] = True
    return data


def _methods(order: Mapping[str, Any]) -> list[str]:
    lines = payloads.objects(order.get("shipping_lines"))
    # "local_pickup:3" names the instance of a zone
    found = [payloads.text(line.get("method_id")).partition(":")[0] for line in lines]
    return [method for method in found if method]


def _is_pickup(order: Mapping[str, Any]) -> bool:
    return any(method in PICKUP_METHODS for method in _methods(order))


def _items(order: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "id": payloads.text(line.get("id")) or f"line-{place}",
            "label": _plain(line.get("name")) or "Item",
            "quantity": payloads.number(line.get("quantity")),
            "modifiers": _modifiers(line),
        }
        for place, line in enumerate(payloads.objects(order.get("line_items")))
    ]


def _modifiers(line: Mapping[str, Any]) -> list[str]:
    words = []
    for entry in payloads.objects(line.get("meta_data")):
        name = _plain(entry.get("display_key")) or _plain(entry.get("key"))
        value = _plain(entry.get("display_value")) or _plain(entry.get("value"))
        # a leading underscore marks what the shop hides from people
        if name and value and not payloads.text(entry.get("key")).startswith("_"):
            words.append(f"{name}: {value}"[:200])
    return words


def _plain(value: Any) -> str:
    """Text without the markup and entities WordPress puts into names."""
    return html.unescape(_TAG.sub("", payloads.text(value, 400))).strip()[:200]


def _customer(order: Mapping[str, Any]) -> Customer | None:
    billing, shipping = payloads.inner(order, "billing"), payloads.inner(order, "shipping")
    words = [payloads.text(billing.get(name), 80) for name in ("first_name", "last_name")]
    name = " ".join(word for word in words if word)
    phone = payloads.text(billing.get("phone"), 40) or payloads.text(shipping.get("phone"), 40)
    email = payloads.text(billing.get("email"), 254)
    if not (name or phone or email):
        return None
    number = payloads.text(order.get("customer_id"))
    return Customer(
        name=name,
        phone=phone,
        email=email,
        contact_kind="direct" if phone or email else "none",
        external_id="" if number == "0" else number,
    )


# --- times -----------------------------------------------------------------------------------


def _utc(value: Any, path: str) -> datetime | None:
    """A ``_gmt`` time: UTC written without Z. Raises PayloadMalformed."""
    if isinstance(value, str) and _UTC_TIME.fullmatch(value):
        value += "Z"
    return payloads.time(value, path)


def _promise(order: Mapping[str, Any], reading: Reading) -> datetime | None:
    """The time a slot plugin keeps; one in another form says nothing, it was typed by people."""
    if not reading.promise_key:
        return None
    for entry in payloads.objects(order.get("meta_data")):
        if payloads.text(entry.get("key")) == reading.promise_key:
            return _instant(payloads.text(entry.get("value"), 60), reading)
    return None


def _instant(written: str, reading: Reading) -> datetime | None:
    try:
        if reading.promise_format == "unix":
            return datetime.fromtimestamp(int(written), UTC)
        found = datetime.fromisoformat(written)
        if reading.promise_format == "local" and found.tzinfo is None:
            found = found.replace(tzinfo=ZoneInfo(reading.timezone or "UTC"))
        return found.astimezone(UTC) if found.tzinfo else None
    except (ValueError, OverflowError, OSError, LookupError):
        return None
