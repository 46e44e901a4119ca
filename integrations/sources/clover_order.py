"""Reads one order of Clover's REST API. It knows who and what, and nothing of the kitchen.

``modifiedTime`` orders the statements. ``locked`` and PAID are about money: an order may be paid
before anybody has begun to cook.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from integrations import payloads
from integrations.contracts import Customer, Observation, OrderUpdate, State, ordering_key
from integrations.errors import PayloadMalformed

STREAM = "order"
DELETED = "DELETE"
#: state -> ours
STATES: Mapping[str, str | None] = {
    "open": State.RECEIVED,
    "locked": State.ACCEPTED,
    DELETED: State.CANCELLED,
}
#: a line that went to the kitchen printer, for restaurants that cook what is printed
PRINTED_STATES: Mapping[str, str | None] = {
    "printed": State.PREPARING,
    "not printed": None,
}
#: words in an order type, which every restaurant names itself -> fulfilment type
TYPE_WORDS = (
    ("curbside", "curbside"),
    ("deliver", "delivery"),
    ("dine", "dine_in"),
    ("pick", "pickup"),
    ("take", "pickup"),
    ("to go", "pickup"),
)
MONEY_BACK = frozenset({"REFUNDED", "PARTIALLY_REFUNDED", "CREDITED"})


@dataclass(frozen=True, slots=True)
class Reading:
    """How one account wants Clover's words read. ``added`` are the manager's mappings."""

    added: Mapping[str, str] = field(default_factory=dict)
    printed_means_preparing: bool = False
    merchant: str = ""


def is_hidden(order: Mapping[str, Any]) -> bool:
    """An order the till has not placed yet: its state is null."""
    return not payloads.text(order.get("state"))


def instant(value: Any, path: str) -> datetime | None:
    """Whole milliseconds since 1970 as UTC; None for null and absent; else PayloadMalformed."""
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            whole = datetime.fromtimestamp(value // 1000, UTC)
            return whole.replace(microsecond=value % 1000 * 1000)
        except (ValueError, OverflowError, OSError):
            pass
    raise PayloadMalformed(f"{path}: expected milliseconds since 1970")


def elements(value: Any) -> list[dict[str, Any]]:
    """The objects of a list Clover wraps as {"elements": [...]}; an unexpanded one is empty."""
    return payloads.objects(value.get("elements")) if isinstance(value, dict) else []


def read_order(order: Mapping[str, Any], reading: Reading) -> OrderUpdate:
    """An order of a GET as an update. Raises PayloadMalformed."""
    return _OrderReader(order, reading).update()


class _OrderReader:
    """Reads one fetched order. Made once per order, thrown away with it."""

    def __init__(self, order: Mapping[str, Any], reading: Reading) -> None:
        self.order = order
        self.reading = reading
        self.order_id = payloads.required_text(order.get("id"), "id")
        modified = instant(order.get("modifiedTime"), "modifiedTime")
        if modified is None:
            raise PayloadMalformed("modifiedTime: missing")
        self.modified = modified
        self.lines: dict[str, dict[str, Any]] = {}
        for line in elements(order.get("lineItems")):
            if ref := payloads.text(line.get("id")):
                self.lines.setdefault(ref, line)

    def update(self) -> OrderUpdate:
        word = payloads.text(self.order.get("state"), 60)
        state, known = payloads.look_up(word, STATES, self.reading.added)
        observations = [self._commercial(word, state)]
        if self.reading.printed_means_preparing:
            observations.append(
                self._observe("order", "", track="kitchen", snapshot_parts=tuple(self.lines))
            )
            observations += [self._part(ref, line) for ref, line in self.lines.items()]
        reference = payloads.text(self.order.get("externalReferenceId"))
        return OrderUpdate(
            order_id=self.order_id,
            observations=tuple(observations),
            display=self._display(),
            aliases=(("external_id", reference),) if reference else (),
            customer=_customer(self.order),
            location_id=self.reading.merchant,
            unknown_states=() if known or not word else (f"{STREAM} {word}",),
        )

    def _observe(self, scope: str, ref: str, *, track: str, **values: Any) -> Observation:
        """An observation known by order, change and what it says, however it reached us."""
        said = [track, values.get("native_state"), values.get("data"), values.get("snapshot_parts")]
        digest = payloads.sha256(json.dumps(said, sort_keys=True).encode())[:16]
        key = f"order:{self.order_id}:{ordering_key(self.modified)}:{digest}"
        return Observation(
            event_key=payloads.scoped_key(key, scope, ref or track),
            track=track,
            scope=scope,
            ref=ref,
            ordering_key=ordering_key(self.modified),
            kind="snapshot",
            occurred_at=self.modified,
            occurred_at_basis="resource_modified",
            **values,
        )

    def _commercial(self, word: str, state: str | None) -> Observation:
        money = payloads.text(self.order.get("paymentState"), 40)
        data: dict[str, Any] = {
            "display": self._display(),
            "items": [{"id": ref, **_line(line)} for ref, line in self.lines.items()],
        }
        if paid_back := [
            {"id": ref, **_line(line)}
            for ref, line in self.lines.items()
            if line.get("refunded") is True
        ]:
            data["refunds"] = paid_back
        if placed := instant(self.order.get("createdTime"), "createdTime"):
            data["times"] = {"placed_at": payloads.iso(placed)}
        if kind := _type(self.order):
            data["fulfillment"] = {"type": kind}
        if money in MONEY_BACK:
            data["note"] = f"payment: {money.lower().replace('_', ' ')}"
        return self._observe(
            "order",
            "",
            track="commercial",
            native_state=f"{word}/{money}" if money not in ("", "OPEN") else word,
            state=state,
            data=data,
        )

    def _part(self, ref: str, line: Mapping[str, Any]) -> Observation:
        native = "printed" if line.get("printed") is True else "not printed"
        return self._observe(
            "part",
            ref,
            track="kitchen",
            native_state=native,
            state=PRINTED_STATES[native],
            data={"kind": "item", **_line(line)},
        )

    def _display(self) -> str:
        return payloads.text(self.order.get("title"), 40) or self.order_id[-4:]


def _line(line: Mapping[str, Any]) -> dict[str, Any]:
    names = (payloads.text(m.get("name")) for m in elements(line.get("modifications")))
    return {
        "label": payloads.text(line.get("name")) or "Item",
        # one line per unit: three soups are three lines
        "quantity": 1,
        "modifiers": [name for name in names if name],
    }


def _type(order: Mapping[str, Any]) -> str:
    """The fulfilment type a restaurant's own words stand for; "" where they say nothing."""
    kind = payloads.inner(order, "orderType")
    for name in ("systemOrderTypeId", "labelKey", "label"):
        words = payloads.text(kind.get(name), 80).casefold().replace("-", " ").replace("_", " ")
        for word, meaning in TYPE_WORDS:
            if word in words:
                return meaning
    return ""


def _customer(order: Mapping[str, Any]) -> Customer | None:
    """The first guest who can be reached, else the first who has a name.

    ``marketingAllowed`` is about advertising and says nothing about news of an order.
    """
    named: Customer | None = None
    for guest in elements(order.get("customers")):
        words = [payloads.text(guest.get(name), 80) for name in ("firstName", "lastName")]
        name = " ".join(word for word in words if word)
        phone = _first(guest, "phoneNumbers", "phoneNumber", 40)
        email = _first(guest, "emailAddresses", "emailAddress", 254)
        external_id = payloads.text(guest.get("id"))
        if phone or email:
            return Customer(name, phone, email, "direct", external_id=external_id)
        if name and named is None:
            named = Customer(name, contact_kind="none", external_id=external_id)
    return named


def _first(guest: Mapping[str, Any], group: str, name: str, limit: int) -> str:
    found = (payloads.text(entry.get(name), limit) for entry in elements(guest.get(group)))
    return next(filter(None, found), "")
