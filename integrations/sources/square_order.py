"""Reads one order of Square's Orders API: fulfilments are parts, lines are items.

The fetched order is the truth whichever event asked for it. Its version orders the statements;
orders made in the POS app have none and are ordered by ``updated_at``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from integrations import payloads
from integrations.contracts import Customer, Observation, OrderUpdate
from integrations.sources import square_fulfillment as fulfillment
from integrations.sources.square_event import version_key
from integrations.sources.square_states import Reading


def read_order(order: Mapping[str, Any], reading: Reading) -> OrderUpdate:
    """An order of the Orders API as an update. Raises PayloadMalformed."""
    return _OrderReader(order, reading).update()


class _OrderReader:
    """Reads one fetched order. Made once per order, thrown away with it."""

    def __init__(self, order: Mapping[str, Any], reading: Reading) -> None:
        self.reading = reading
        self.order = order
        self.order_id = payloads.required_text(order.get("id"), "order.id")
        self.updated_at = payloads.time(order.get("updated_at"), "order.updated_at")
        change, self.ordering = version_key(order.get("version"), self.updated_at)
        self.event_key = f"order:{self.order_id}:{change}"
        self.fulfillments = fulfillment.listed(order)
        self.items = _items(order)
        self.unknown: list[str] = []

    def update(self) -> OrderUpdate:
        observations = [self._commercial(), self._kitchen(), *map(self._part, self.fulfillments)]
        observations += self._courier()
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
        state, known = self.reading.order(native)
        if native and not known:
            self.unknown.append(f"order {native}")
        data: dict[str, Any] = {"display": self._display(), "items": self.items}
        times: dict[str, str | None] = {
            "placed_at": payloads.iso(payloads.time(self.order.get("created_at"), "created_at"))
        }
        if self.fulfillments:
            first = next(filter(fulfillment.is_open, self.fulfillments), self.fulfillments[0])
            data["fulfillment"] = {
                "type": fulfillment.fulfillment_type(first),
                "scheduled": fulfillment.is_scheduled(first),
            }
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
        waiting = [e for e in self.fulfillments if fulfillment.is_open(e)]
        estimates = [fulfillment.due(e) for e in waiting if fulfillment.kind(e) == "PICKUP"]
        latest = max((at for at in estimates if at), default=None)
        return self._observe(
            "order",
            "kitchen",
            track="kitchen",
            kind="snapshot",
            snapshot_parts=tuple(fulfillment.uid(entry) for entry in self.fulfillments),
            data={"times": {"est_ready_at": payloads.iso(latest)}} if latest else {},
        )

    def _part(self, entry: fulfillment.Entry) -> Observation:
        kind, native = fulfillment.kind(entry), payloads.text(entry.get("state"), 60)
        state, known = self.reading.fulfillment(native, kind)
        if native and not known:
            self.unknown.append(f"fulfillment {native}")
        at = fulfillment.stage_time(entry)
        contents = fulfillment.contents(entry, self.items)
        data: dict[str, Any] = {"kind": "fulfillment", "label": self._label(contents)}
        if contents:
            data["contents"] = contents
        if kind == "PICKUP" and (due := fulfillment.due(entry)):
            data["est_ready_at"] = payloads.iso(due)
        return self._observe(
            "part",
            fulfillment.uid(entry),
            track="kitchen",
            kind="snapshot",
            native_state=native,
            state=state,
            occurred_at=at or self.updated_at,
            occurred_at_basis="event" if at else "resource_modified",
            data=data,
        )

    def _courier(self) -> list[Observation]:
        known = [found for e in self.fulfillments if (found := fulfillment.courier(e))]
        if not known:
            return []
        data = {"courier": known[-1]}
        return [self._observe("order", "courier", track="courier", kind="note", data=data)]

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
            if delivery := payloads.text(fulfillment.details(entry).get("external_delivery_id")):
                found.append(("external_delivery_id", delivery))
        return found

    def _label(self, contents: list[dict[str, Any]]) -> str:
        inside = {content["item_id"] for content in contents}
        labels = [item["label"] for item in self.items if not inside or item["id"] in inside]
        return ", ".join(labels)[:200]

    def _promise(self) -> dict[str, str | None]:
        """Square has one time per fulfilment: ASAP it is an estimate, SCHEDULED a promise."""
        latest: dict[str, datetime] = {}
        for entry in filter(fulfillment.is_open, self.fulfillments):
            due = fulfillment.due(entry)
            if due is None:
                continue
            if fulfillment.is_scheduled(entry):
                until = fulfillment.until(entry, due)
                latest["promised_at"] = max(due, latest.get("promised_at", due))
                latest["promised_until"] = max(until, latest.get("promised_until", until))
            elif fulfillment.kind(entry) == "DELIVERY":
                latest["est_delivery_at"] = max(due, latest.get("est_delivery_at", due))
        return {name: payloads.iso(at) for name, at in latest.items()}

    def _reason(self) -> dict[str, str]:
        for entry in self.fulfillments:
            if words := payloads.text(fulfillment.details(entry).get("cancel_reason"), 500):
                return {"code": "other", "text": words}
        return {}

    def _customer(self) -> Customer | None:
        """The first recipient who can be reached, else the first who has a name."""
        guests = [found for e in self.fulfillments if (found := fulfillment.guest(e))]
        reachable = (one for one in guests if one.contact_kind == "direct")
        return next(reachable, guests[0] if guests else None)


def _items(order: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "id": uid,
            "label": _line_label(line),
            "quantity": payloads.number(line.get("quantity")),
            "modifiers": _modifiers(line),
        }
        for line in payloads.objects(order.get("line_items"))
        if (uid := payloads.text(line.get("uid")))
    ]


def _modifiers(line: Mapping[str, Any]) -> list[str]:
    words = []
    for modifier in payloads.objects(line.get("modifiers")):
        if name := payloads.text(modifier.get("name")):
            quantity = payloads.number(modifier.get("quantity"))
            words.append(name if quantity == 1 else f"{quantity} x {name}"[:200])
    return words


def _line_label(line: Mapping[str, Any]) -> str:
    name = payloads.text(line.get("name")) or "Item"
    variation = payloads.text(line.get("variation_name"))
    if not variation or variation.lower() == "regular":
        return name
    return f"{name} ({variation})"[:200]
