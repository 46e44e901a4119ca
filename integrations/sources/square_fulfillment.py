"""Reads one fulfilment of a Square order: its times, its contents, its guest and its courier."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from integrations import payloads
from integrations.contracts import Customer

TYPES = {
    "PICKUP": "pickup",
    "DELIVERY": "delivery",
    "SHIPMENT": "shipping",
    "DINE_IN": "dine_in",
}
_DETAILS = {
    "PICKUP": "pickup_details",
    "DELIVERY": "delivery_details",
    "SHIPMENT": "shipment_details",
}
#: which stage time says when a fulfilment reached its state, first that is set
_STAGE_TIMES = {
    "PROPOSED": ("placed_at",),
    "RESERVED": ("accepted_at", "in_progress_at"),
    "PREPARED": ("ready_at", "packaged_at"),
    "COMPLETED": ("picked_up_at", "delivered_at", "shipped_at", "completed_at"),
    "CANCELED": ("canceled_at", "rejected_at"),
    "FAILED": ("failed_at", "rejected_at", "expired_at"),
}
_OVER = frozenset({"CANCELED", "FAILED"})
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.\d+)?S)?)?", re.ASCII)

Entry = Mapping[str, Any]


def listed(order: Mapping[str, Any]) -> list[Entry]:
    """The fulfilments of an order that have an id, each once."""
    found: dict[str, Entry] = {}
    for entry in payloads.objects(order.get("fulfillments")):
        if entry.get("uid"):
            found.setdefault(uid(entry), entry)
    return list(found.values())


def uid(entry: Entry) -> str:
    """Unique inside its order only. Raises PayloadMalformed."""
    return payloads.required_text(entry.get("uid"), "order.fulfillments.uid")


def kind(entry: Entry) -> str:
    """PICKUP, DELIVERY, SHIPMENT and what comes after them."""
    return payloads.text(entry.get("type"), 40)


def details(entry: Entry) -> dict[str, Any]:
    """The member that belongs to the fulfilment's type."""
    return payloads.inner(entry, _DETAILS.get(kind(entry), "pickup_details"))


def is_open(entry: Entry) -> bool:
    """Neither cancelled nor failed."""
    return payloads.text(entry.get("state"), 60) not in _OVER


def is_scheduled(entry: Entry) -> bool:
    """Whether the guest chose the time."""
    return details(entry).get("schedule_type") == "SCHEDULED"


def fulfillment_type(entry: Entry) -> str:
    """Ours."""
    found = TYPES.get(kind(entry), "pickup")
    is_curbside = details(entry).get("is_curbside_pickup") is True
    return "curbside" if found == "pickup" and is_curbside else found


def due(entry: Entry) -> datetime | None:
    """The one time Square knows. Raises PayloadMalformed."""
    name = "deliver_at" if kind(entry) == "DELIVERY" else "pickup_at"
    return payloads.time(details(entry).get(name), f"order.fulfillments.{name}")


def until(entry: Entry, due_at: datetime) -> datetime:
    """The end of the window that begins at ``due_at``."""
    found = details(entry)
    named = found.get("pickup_window_duration") or found.get("delivery_window_duration")
    try:
        return due_at + _duration(named)
    except OverflowError:
        return due_at


def stage_time(entry: Entry) -> datetime | None:
    """When it reached the state it is in. Raises PayloadMalformed."""
    found = details(entry)
    for name in _STAGE_TIMES.get(payloads.text(entry.get("state"), 60), ()):
        if at := payloads.time(found.get(name), f"order.fulfillments.{name}"):
            return at
    return None


def contents(entry: Entry, lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The lines inside: those it lists, or all where it says so."""
    if entry.get("line_item_application") == "ALL" and not entry.get("entries"):
        return [{"item_id": line["id"], "quantity": line["quantity"]} for line in lines]
    return [
        {"item_id": ref, "quantity": payloads.number(content.get("quantity"))}
        for content in payloads.objects(entry.get("entries"))
        if (ref := payloads.text(content.get("line_item_uid")))
    ]


def courier(entry: Entry) -> dict[str, str]:
    """Who brings it, where Square knows; his trip is another source's news."""
    name = payloads.text(details(entry).get("courier_provider_name"), 100)
    return {"name": name} if name else {}


def guest(entry: Entry) -> Customer | None:
    """The recipient; None when nothing is said of him."""
    recipient = payloads.inner(details(entry), "recipient")
    phone = payloads.text(recipient.get("phone_number"), 40)
    email = payloads.text(recipient.get("email_address"), 254)
    name = payloads.text(recipient.get("display_name"))
    if not (phone or email or name):
        return None
    return Customer(
        name=name,
        phone=phone,
        email=email,
        contact_kind="direct" if phone or email else "none",
        external_id=payloads.text(recipient.get("customer_id")),
    )


def _duration(value: Any) -> timedelta:
    """An ISO 8601 duration; anything else is no time at all."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) and len(value) < 40 else None
    if found is None:
        return timedelta()
    days, hours, minutes, seconds = (int(group or 0) for group in found.groups())
    try:
        length = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        return timedelta()
    return length if length <= timedelta(days=400) else timedelta()
