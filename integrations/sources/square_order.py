"""Reads one order of Square's Orders API: fulfilments are parts, lines are items.

The fetched order is the truth whichever event asked for it. Its version orders the statements;
orders made in the POS app have none and are ordered by ``updated_at``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from integrations import payloads
from integrations.contracts import Customer, Observation, OrderUpdate, State, ordering_key

#: fulfilment state -> ours; COMPLETED depends on the fulfilment type
FULFILLMENT_STATES: Mapping[str, str | None] = {
    "PROPOSED": State.RECEIVED,
    "RESERVED": State.PREPARING,
    "PREPARED": State.READY,
    "COMPLETED": None,
    "COMPLETED PICKUP": State.PICKED_UP,
    "COMPLETED DELIVERY": State.DELIVERED,
    "CANCELED": State.CANCELLED,
    "FAILED": State.FAILED,
}
#: order state -> ours; COMPLETED means paid and closed, not handed over
ORDER_STATES: Mapping[str, str | None] = {
    "DRAFT": None,
    "OPEN": None,
    "COMPLETED": None,
    "CANCELED": State.CANCELLED,
}
FULFILLMENT_TYPES = {
    "PICKUP": "pickup",
    "DELIVERY": "delivery",
    "SHIPMENT": "shipping",
    "DINE_IN": "dine_in",
}
DETAILS = {
    "PICKUP": "pickup_details",
    "DELIVERY": "delivery_details",
    "SHIPMENT": "shipment_details",
}
#: which stage time says when a fulfilment reached its state, first that is set
STAGE_TIMES = {
    "PROPOSED": ("placed_at",),
    "RESERVED": ("accepted_at", "in_progress_at"),
    "PREPARED": ("ready_at",),
    "COMPLETED": ("picked_up_at", "delivered_at", "completed_at"),
    "CANCELED": ("canceled_at",),
    "FAILED": ("rejected_at", "expired_at"),
}
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.\d+)?S)?)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reading:
    """How one account wants Square's words read."""

    status_map: Mapping[str, Mapping[str, str]]
    reserved_means: str = "preparing"

    def fulfillment(self, native: str, kind: str) -> tuple[str | None, bool]:
        """(our state or None, known) of a fulfilment state of a fulfilment type."""
        if native == "RESERVED" and self.reserved_means == "accepted":
            return State.ACCEPTED, True
        added = self.status_map.get("fulfillment", {})
        typed = f"{native} {kind}"
        word = typed if typed in FULFILLMENT_STATES or typed in added else native
        return payloads.look_up(word, FULFILLMENT_STATES, added)


def read_order(order: dict[str, Any], reading: Reading) -> OrderUpdate:
    """An order of the Orders API as an update. Raises PayloadMalformed."""
    return _OrderReader(order, reading).update()


class _OrderReader:
    """Reads one fetched order. Made once per order, thrown away with it."""

    def __init__(self, order: dict[str, Any], reading: Reading) -> None:
        self.reading = reading
        self.order = order
        self.order_id = payloads.required_text(order.get("id"), "order.id")
        self.updated_at = payloads.time(order.get("updated_at"), "order.updated_at")
        version = order.get("version")
        # orders made in the POS app carry no version; their changes are told apart by time
        if isinstance(version, int) and not isinstance(version, bool):
            self.ordering = ordering_key(version)
            self.event_key = f"order:{self.order_id}:v{version}"
        else:
            self.ordering = ordering_key(self.updated_at)
            self.event_key = f"order:{self.order_id}:t{self.ordering}"
        self.fulfillments = [
            entry for entry in payloads.objects(order.get("fulfillments")) if entry.get("uid")
        ]
        self.unknown: list[str] = []

    def update(self) -> OrderUpdate:
        observations = [self._commercial(), self._kitchen(), *map(self._part, self.fulfillments)]
        return OrderUpdate(
            order_id=self.order_id,
            observations=tuple(observations),
            display=self._display(),
            aliases=tuple(dict.fromkeys(self._aliases())),
            customer=self._customer(),
            location_id=payloads.text(self.order.get("location_id")),
            unknown_states=tuple(dict.fromkeys(self.unknown)),
        )

    def _observe(self, scope: str, ref: str, **values: Any) -> Observation:
        values.setdefault("occurred_at", self.updated_at)
        values.setdefault("occurred_at_basis", "resource_modified")
        return Observation(
            event_key=payloads.scoped_key(self.event_key, scope, ref),
            scope="part" if scope == "part" else "order",
            ref=ref if scope == "part" else "",
            ordering_key=self.ordering,
            **values,
        )

    def _commercial(self) -> Observation:
        native = payloads.text(self.order.get("state"), 120)
        state, known = payloads.look_up(native, ORDER_STATES, self.reading.status_map.get("order"))
        if native and not known:
            self.unknown.append(f"order {native}")
        data: dict[str, Any] = {"display": self._display(), "items": self._items()}
        times: dict[str, str | None] = {
            "placed_at": payloads.iso(payloads.time(self.order.get("created_at"), "created_at"))
        }
        if self.fulfillments:
            data["fulfillment"] = self._fulfillment()
            times |= self._promise()
        data["times"] = {name: value for name, value in times.items() if value}
        if reason := self._reason():
            data["reason"] = reason
        return self._observe(
            "order",
            "commercial",
            track="commercial",
            kind="snapshot",
            native_state=native,
            state=state,
            data=data,
        )

    def _kitchen(self) -> Observation:
        estimates = [_due(entry) for entry in self.fulfillments if _is_open(entry, "PICKUP")]
        latest = max((at for at in estimates if at), default=None)
        return self._observe(
            "order",
            "kitchen",
            track="kitchen",
            kind="snapshot",
            snapshot_parts=tuple(_uid(entry) for entry in self.fulfillments),
            data={"times": {"est_ready_at": payloads.iso(latest)}} if latest else {},
        )

    def _part(self, entry: dict[str, Any]) -> Observation:
        kind, native = payloads.text(entry.get("type"), 40), payloads.text(entry.get("state"), 60)
        state, known = self.reading.fulfillment(native, kind)
        if native and not known:
            self.unknown.append(f"fulfillment {native}")
        at = self._stage_time(entry, native)
        data: dict[str, Any] = {"kind": "fulfillment", "label": self._label(entry)}
        if contents := _contents(entry):
            data["contents"] = contents
        if kind == "PICKUP" and (due := _due(entry)):
            data["est_ready_at"] = payloads.iso(due)
        return self._observe(
            "part",
            _uid(entry),
            track="kitchen",
            kind="snapshot",
            native_state=native,
            state=state,
            occurred_at=at or self.updated_at,
            occurred_at_basis="event" if at else "resource_modified",
            data=data,
        )

    def _stage_time(self, entry: dict[str, Any], native: str) -> datetime | None:
        details = _details(entry)
        for name in STAGE_TIMES.get(native, ()):
            if at := payloads.time(details.get(name), f"order.fulfillments.{name}"):
                return at
        return None

    def _display(self) -> str:
        for name in ("ticket_name", "reference_id"):
            if found := payloads.text(self.order.get(name), 40):
                return found
        return self.order_id[-4:]

    def _aliases(self) -> list[tuple[str, str]]:
        found = []
        if reference := payloads.text(self.order.get("reference_id")):
            found.append(("external_id", reference))
        for entry in self.fulfillments:
            if delivery := payloads.text(_details(entry).get("external_delivery_id")):
                found.append(("external_delivery_id", delivery))
        return found

    def _items(self) -> list[dict[str, Any]]:
        items = []
        for line in payloads.objects(self.order.get("line_items")):
            if uid := payloads.text(line.get("uid")):
                items.append(
                    {
                        "id": uid,
                        "label": _line_label(line),
                        "quantity": payloads.number(line.get("quantity")),
                        "modifiers": [
                            payloads.text(modifier.get("name"))
                            for modifier in payloads.objects(line.get("modifiers"))
                            if payloads.text(modifier.get("name"))
                        ],
                    }
                )
        return items

    def _label(self, entry: dict[str, Any]) -> str:
        inside = {content["item_id"] for content in _contents(entry)}
        lines = [
            _line_label(line)
            for line in payloads.objects(self.order.get("line_items"))
            if not inside or payloads.text(line.get("uid")) in inside
        ]
        return ", ".join(lines)[:200]

    def _fulfillment(self) -> dict[str, Any]:
        first = self.fulfillments[0]
        kind = FULFILLMENT_TYPES.get(payloads.text(first.get("type")), "pickup")
        details = _details(first)
        if kind == "pickup" and details.get("is_curbside_pickup") is True:
            kind = "curbside"
        return {"type": kind, "scheduled": details.get("schedule_type") == "SCHEDULED"}

    def _promise(self) -> dict[str, str | None]:
        """Square has one time per fulfilment: ASAP it is an estimate, SCHEDULED a promise."""
        latest: dict[str, datetime] = {}
        for entry in self.fulfillments:
            details, due = _details(entry), _due(entry)
            if due is None or not _is_open(entry):
                continue
            if details.get("schedule_type") == "SCHEDULED":
                latest["promised_at"] = max(due, latest.get("promised_at", due))
                window = details.get("pickup_window_duration", "") or details.get(
                    "delivery_window_duration", ""
                )
                until = due + _duration(window)
                latest["promised_until"] = max(until, latest.get("promised_until", until))
            elif entry.get("type") == "DELIVERY":
                latest["est_delivery_at"] = max(due, latest.get("est_delivery_at", due))
        return {name: payloads.iso(at) for name, at in latest.items()}

    def _reason(self) -> dict[str, str]:
        for entry in self.fulfillments:
            if words := payloads.text(_details(entry).get("cancel_reason"), 500):
                return {"code": "other", "text": words}
        return {}

    def _customer(self) -> Customer | None:
        for entry in self.fulfillments:
            recipient = payloads.inner(_details(entry), "recipient")
            phone = payloads.text(recipient.get("phone_number"), 40)
            email = payloads.text(recipient.get("email_address"), 254)
            name = payloads.text(recipient.get("display_name"))
            external_id = payloads.text(recipient.get("customer_id"))
            if phone or email or name:
                kind = "direct" if phone or email else "none"
                return Customer(name, phone, email, kind, external_id=external_id)
        return None


def _uid(entry: dict[str, Any]) -> str:
    return payloads.required_text(entry.get("uid"), "order.fulfillments.uid")


def _details(entry: dict[str, Any]) -> dict[str, Any]:
    return payloads.inner(entry, DETAILS.get(payloads.text(entry.get("type")), "pickup_details"))


def _is_open(entry: dict[str, Any], kind: str = "") -> bool:
    if kind and entry.get("type") != kind:
        return False
    return entry.get("state") not in ("CANCELED", "FAILED")


def _due(entry: dict[str, Any]) -> datetime | None:
    details = _details(entry)
    name = "deliver_at" if entry.get("type") == "DELIVERY" else "pickup_at"
    return payloads.time(details.get(name), f"order.fulfillments.{name}")


def _contents(entry: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "item_id": payloads.text(content.get("line_item_uid")),
            "quantity": payloads.number(content.get("quantity")),
        }
        for content in payloads.objects(entry.get("entries"))
        if payloads.text(content.get("line_item_uid"))
    ]


def _line_label(line: dict[str, Any]) -> str:
    name = payloads.text(line.get("name")) or "Item"
    variation = payloads.text(line.get("variation_name"))
    if not variation or variation.lower() == "regular":
        return name
    return f"{name} ({variation})"[:200]


def _duration(value: Any) -> timedelta:
    """An ISO 8601 duration; anything else is no time at all."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return timedelta()
    days, hours, minutes, seconds = (int(group or 0) for group in found.groups())
    if days > 400:
        return timedelta()
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
