"""Reads one order of Toast's Orders API: selections are parts, ``deliveryInfo`` is a leg.

The body of a webhook, the answer of a GET and the entries of the list are one shape, except that
webhooks leave people out. ``modifiedDate`` orders the statements; the clock of the envelope only
breaks ties, because the two can be days apart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from integrations import payloads
from integrations.contracts import Observation, OrderUpdate, State, ordering_key
from integrations.errors import PayloadMalformed
from integrations.sources.toast_check import (
    checks,
    guest,
    is_food,
    is_refunded,
    is_voided,
    line,
    selections,
)

ORDER_STREAM = "order.approvalStatus"
PART_STREAM = "selection.fulfillmentStatus"
LEG_STREAM = "deliveryInfo.deliveryState"
#: approval, or what became of the whole order, -> ours
ORDER_STATES: Mapping[str, str | None] = {
    "NEEDS_APPROVAL": State.RECEIVED,
    "FUTURE": State.RECEIVED,
    "APPROVED": State.ACCEPTED,
    "NOT_APPROVED": State.CANCELLED,
    "voided": State.CANCELLED,
    # checks were merged into another order: tidying up, and no word to the guest
    "deleted": None,
}
#: a selection at the kitchen display -> state of the part
PART_STATES: Mapping[str, str | None] = {
    "NEW": State.ACCEPTED,
    "HOLD": State.ACCEPTED,
    "SENT": State.PREPARING,
    "READY": State.READY,
    "voided": State.CANCELLED,
}
#: the restaurant's own driver -> state of the leg
LEG_STATES: Mapping[str, str | None] = {
    "PENDING": None,
    "IN_PROGRESS": State.OUT_FOR_DELIVERY,
    "PICKED_UP": State.OUT_FOR_DELIVERY,
    "DELIVERED": State.DELIVERED,
}
#: nobody has taken the order on yet, so its selections are not accepted either
WAITING = frozenset({"NEEDS_APPROVAL", "FUTURE"})
LEG = "delivery"


@dataclass(frozen=True, slots=True)
class Reading:
    """How one account wants Toast's words read."""

    status_map: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    #: guid of a dining option -> fulfilment type
    dining_options: Mapping[str, str] = field(default_factory=dict)
    location_id: str = ""


def read_order(
    order: Mapping[str, Any], reading: Reading, sent_at: datetime | None = None
) -> OrderUpdate:
    """An order as an update; ``sent_at`` is the envelope's time. Raises PayloadMalformed."""
    return _OrderReader(order, reading, sent_at).update()


def needs_contact(order: Mapping[str, Any]) -> bool:
    """Whether it is worth fetching who placed the order: there is still something to tell him.

    Nobody here knows whether he is known already, and to be ready without him would be too late.
    """
    if order.get("deleted") is True or is_voided(order):
        return False
    delivery = payloads.text(payloads.inner(order, "deliveryInfo").get("deliveryState"))
    return LEG_STATES.get(delivery) is None


class _OrderReader:
    """Reads one order. Made once per order, thrown away with it."""

    def __init__(
        self, order: Mapping[str, Any], reading: Reading, sent_at: datetime | None
    ) -> None:
        self.order = order
        self.reading = reading
        self.order_id = payloads.required_text(order.get("guid"), "order.guid")
        modified = payloads.time(order.get("modifiedDate"), "order.modifiedDate")
        if modified is None:
            raise PayloadMalformed("order.modifiedDate: missing")
        self.modified = modified
        self.sent_at = sent_at
        self.ordering = tied(modified, sent_at)
        self.lines: dict[str, tuple[dict[str, Any], bool]] = {}
        for selection, is_void in selections(order):
            if ref := payloads.text(selection.get("guid")):
                self.lines.setdefault(ref, (selection, is_void))
        self.parts = {ref: entry for ref, entry in self.lines.items() if is_food(entry[0])}
        self.unknown: list[str] = []

    def update(self) -> OrderUpdate:
        observations = [self._commercial()]
        if self._native() != "deleted":
            observations.append(self._kitchen())
            observations += [self._part(ref, *entry) for ref, entry in self.parts.items()]
            if leg := self._leg():
                observations.append(leg)
        reference = payloads.text(self.order.get("externalId"))
        return OrderUpdate(
            order_id=self.order_id,
            observations=tuple(observations),
            display=self._display(),
            aliases=(("external_id", reference),) if reference else (),
            customer=guest(self.order),
            location_id=self.reading.location_id,
            unknown_states=tuple(dict.fromkeys(self.unknown)),
        )

    def _observe(self, scope: str, ref: str, *, track: str, **values: Any) -> Observation:
        """An observation known by order, change and what it says.

        What was fetched lacks the envelope and is a statement of its own: which of the two came
        first must not decide how they are ordered.
        """
        said = [track, values.get("native_state"), values.get("data"), values.get("snapshot_parts")]
        digest = payloads.sha256(json.dumps(said, sort_keys=True).encode())[:16]
        key = f"order:{self.order_id}:{self.ordering}:{digest}"
        return Observation(
            event_key=payloads.scoped_key(key, scope, ref or track),
            track=track,
            scope=scope,
            ref=ref,
            ordering_key=self.ordering,
            kind="snapshot",
            occurred_at=self.sent_at or self.modified,
            occurred_at_basis="sent" if self.sent_at else "resource_modified",
            **values,
        )

    def _state(self, stream: str, native: str, table: Mapping[str, str | None]) -> str | None:
        state, known = payloads.look_up(native, table, self.reading.status_map.get(stream))
        if native and not known:
            self.unknown.append(f"{stream} {native}")
        return state

    def _native(self) -> str:
        if self.order.get("deleted") is True:
            return "deleted"
        return "voided" if is_voided(self.order) else self._approval()

    def _approval(self) -> str:
        return payloads.text(self.order.get("approvalStatus"), 120)

    def _commercial(self) -> Observation:
        native = self._native()
        if native == "deleted":
            return self._observe(
                "order",
                "",
                track="commercial",
                native_state=native,
                data={"note": "deleted at the till, for example because checks were merged"},
            )
        promised = payloads.time(self.order.get("promisedDate"), "order.promisedDate")
        times = {"placed_at": self._placed(), "promised_at": promised}
        data: dict[str, Any] = {
            "display": self._display(),
            "items": self._items(),
            "times": {name: payloads.iso(at) for name, at in times.items() if at},
            "fulfillment": {"scheduled": promised is not None or native == "FUTURE"},
        }
        if kind := self._type():
            data["fulfillment"]["type"] = kind
        if paid_back := [
            {"id": ref, **line(one)} for ref, (one, _) in self.lines.items() if is_refunded(one)
        ]:
            data["refunds"] = paid_back
        if native == "NOT_APPROVED":
            data["reason"] = {"code": "rejected"}
        return self._observe(
            "order",
            "",
            track="commercial",
            native_state=native,
            state=self._state(ORDER_STREAM, native, ORDER_STATES),
            data=data,
        )

    def _placed(self) -> datetime | None:
        # not openedDate: of a scheduled order that is the time it was promised for
        return payloads.time(self.order.get("createdDate"), "order.createdDate")

    def _kitchen(self) -> Observation:
        due = payloads.time(
            self.order.get("estimatedFulfillmentDate"), "order.estimatedFulfillmentDate"
        )
        placed = self._placed()
        data: dict[str, Any] = {}
        # orders made at the till carry the moment they were opened, which estimates nothing
        if due and (placed is None or due > placed):
            name = "est_delivery_at" if self._type() == "delivery" else "est_ready_at"
            data["times"] = {name: payloads.iso(due)}
        return self._observe(
            "order", "", track="kitchen", snapshot_parts=tuple(self.parts), data=data
        )

    def _part(self, ref: str, selection: Mapping[str, Any], is_void: bool) -> Observation:
        native = "voided" if is_void else payloads.text(selection.get("fulfillmentStatus"), 120)
        state = self._state(PART_STREAM, native, PART_STATES)
        if state == State.ACCEPTED and self._approval() in WAITING:
            state = None
        return self._observe(
            "part",
            ref,
            track="kitchen",
            native_state=native,
            state=state,
            data={"kind": "item", **line(selection)},
        )

    def _leg(self) -> Observation | None:
        """The restaurant's own driver, once he moves; other couriers are other sources' news."""
        delivery = payloads.inner(self.order, "deliveryInfo")
        native = payloads.text(delivery.get("deliveryState"), 120)
        state = self._state(LEG_STREAM, native, LEG_STATES)
        if state is None and native in ("", "PENDING"):
            return None
        return self._observe("leg", LEG, track="courier", native_state=native, state=state)

    def _display(self) -> str:
        numbers = [self.order, *checks(self.order)]
        found = (payloads.text(entry.get("displayNumber"), 40) for entry in numbers)
        return next(filter(None, found), self.order_id[-4:])

    def _items(self) -> list[dict[str, Any]]:
        return [
            {"id": ref, **line(selection)}
            for ref, (selection, is_void) in self.lines.items()
            if not is_void
        ]

    def _type(self) -> str:
        option = payloads.text(payloads.inner(self.order, "diningOption").get("guid"))
        if known := self.reading.dining_options.get(option):
            return known
        if isinstance(self.order.get("curbsidePickupInfo"), dict):
            return "curbside"
        return "delivery" if isinstance(self.order.get("deliveryInfo"), dict) else ""


def tied(modified: datetime, sent_at: datetime | None) -> str:
    """The ordering key: the change, then the envelope where there is one."""
    key = ordering_key(modified)
    return f"{key}.{ordering_key(sent_at)}" if sent_at else key
