"""Records of a system we have no adapter for, told by a flow of Microsoft Power Automate.

The flow's author fills in the body, so it is read generously: unknown members are ignored, and
words for states are compared without regard to capitals, blanks, hyphens and underscores.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from integrations import payloads
from integrations.contracts import (
    Customer,
    FollowUp,
    InboundCall,
    Observation,
    OrderUpdate,
    Reply200,
    Setting,
    Source,
    State,
    ordering_key,
)
from integrations.errors import EventIgnored, PayloadMalformed
from integrations.redaction import without_members
from integrations.signatures import require_value

ORDER_STREAM = "order"
#: words people use for states; a manager maps the rest
STATES: Mapping[str, str] = {
    "new": State.RECEIVED,
    "created": State.RECEIVED,
    "received": State.RECEIVED,
    "placed": State.RECEIVED,
    "accepted": State.ACCEPTED,
    "confirmed": State.ACCEPTED,
    "preparing": State.PREPARING,
    "in preparation": State.PREPARING,
    "in progress": State.PREPARING,
    "in the kitchen": State.PREPARING,
    "cooking": State.PREPARING,
    "ready": State.READY,
    "ready for pickup": State.READY,
    "ready for pick up": State.READY,
    "ready for collection": State.READY,
    "out for delivery": State.OUT_FOR_DELIVERY,
    "on its way": State.OUT_FOR_DELIVERY,
    "on the way": State.OUT_FOR_DELIVERY,
    "picked up": State.PICKED_UP,
    "collected": State.PICKED_UP,
    "delivered": State.DELIVERED,
    "failed": State.FAILED,
    "cancelled": State.CANCELLED,
    "canceled": State.CANCELLED,
}
_FULFILLMENTS = frozenset(
    {"pickup", "delivery", "dine_in", "curbside", "drive_through", "shipping"}
)
_TIMES: Mapping[str, str] = {"promised_at": "promised_at", "ready_at": "est_ready_at"}
_BETWEEN_WORDS = re.compile(r"[\s_-]+")


class PowerAutomate(Source):
    """One POST of a flow's HTTP action per new or changed record.

    Flows cannot sign a body, so a key in the Authorization header is what proves them.
    """

    key = "power_automate"
    title = "Microsoft Power Automate"
    settings = (
        Setting(
            "secret",
            "Key",
            secret=True,
            help="the flow sends it as Authorization: Bearer <key>",
        ),
        Setting("previous_secret", "Previous key", secret=True, required=False),
    )
    max_body_bytes = 1024 * 1024
    can_state: ClassVar[frozenset[str]] = frozenset(State)

    def verify(self, call: InboundCall) -> None:
        """``Authorization: Bearer`` with this account's key, or the one before it."""
        keys = (self.account.get(name, "").strip() for name in ("secret", "previous_secret"))
        require_value(
            header="Authorization",
            given=call.headers.get("authorization", ""),
            allowed=[f"Bearer {key}" for key in keys if key],
            what="key",
        )

    def event_key(self, call: InboundCall) -> str:
        """Record, moment and state: both of a pair of flows, and every repetition, say the same.

        A body we refuse is known by its bytes, so that it can be corrected and sent again.
        """
        try:
            body = payloads.load_object(call.body)
            record, at = _record(body), _modified_at(body)
        except PayloadMalformed:
            return f"refused|{payloads.sha256(call.body)}"
        if at is None:
            run = payloads.text(call.headers.get("idempotency-key"))
            return payloads.key_within(
                f"{record}|{run or payloads.sha256(self.body_to_store(call))}"
            )
        return payloads.key_within(f"{record}|{payloads.iso(at)}|{_folded(_status(body))}")

    def fingerprint(self, call: InboundCall) -> str:
        """Over what is read, so that "created" and "updated" of one change are equal."""
        try:
            body = payloads.load_object(call.body)
        except PayloadMalformed:
            return super().fingerprint(call)
        names = ("record_id", "status", "modified_at", "number", "items")
        said = [body.get(name) for name in names]
        return payloads.sha256(json.dumps(said, sort_keys=True).encode())

    def body_to_store(self, call: InboundCall) -> bytes:
        """Without ``raw``, the whole row of the other system."""
        return without_members(call.body, {"raw"})

    def parse(self, call: InboundCall) -> list[OrderUpdate | FollowUp]:
        """One update about one record."""
        body = payloads.load_object(call.body)
        record, at = _record(body), _modified_at(body)
        change = payloads.text(body.get("change")).casefold()
        if change in ("deleted", "removed"):
            raise EventIgnored("a deleted record says nothing about its order")
        kind = payloads.text(body.get("record_type")).casefold()
        if kind and not kind.startswith("order"):
            raise EventIgnored("the record is no order")
        native = _status(body)
        state, is_known = self._state(native)
        data = _data(body, record)
        observation = Observation(
            event_key=self.event_key(call),
            track="kitchen",
            scope="order",
            ordering_class="ranked" if at is None else "sequenced",
            ordering_key=ordering_key(at),
            kind="snapshot" if "items" in data else "transition" if state else "note",
            native_state=native,
            state=state,
            occurred_at=at,
            occurred_at_basis="arrival" if at is None else "resource_modified",
            data=data,
        )
        return [
            OrderUpdate(
                order_id=record,
                observations=(observation,),
                display=data["display"],
                customer=_customer(body.get("customer")),
                location_id=payloads.text(body.get("location")),
                unknown_states=() if is_known else (f"{ORDER_STREAM} {native}",),
            )
        ]

    def answer(self, call: InboundCall, *, duplicate: bool) -> Reply200:
        """202 at once: a flow repeats what it hears nothing about."""
        if duplicate:
            return Reply200(body=b'{"duplicate":true}', content_type="application/json")
        return Reply200(status=202)

    def refuse(self, call: InboundCall, problem: str) -> Reply200:
        """400 with the member that is wrong: its author sees it, repeating would not help."""
        body = json.dumps({"title": problem, "status": 400}).encode()
        return Reply200(status=400, body=body, content_type="application/problem+json")

    def _state(self, native: str) -> tuple[str | None, bool]:
        if not native:
            return None, True
        added = self.status_map.get(ORDER_STREAM, {})
        mapped = {_folded(word): state for word, state in added.items()}
        return payloads.look_up(_folded(native), STATES, mapped)


def _record(body: Mapping[str, Any]) -> str:
    return payloads.required_text(body.get("record_id"), "record_id")


def _modified_at(body: Mapping[str, Any]) -> datetime | None:
    return payloads.time(body.get("modified_at"), "modified_at")


def _status(body: Mapping[str, Any]) -> str:
    """The record's word for its state; a new record without one was created."""
    found = payloads.text(body.get("status"), 100)
    if found:
        return found
    return "created" if payloads.text(body.get("change")).casefold() == "created" else ""


def _folded(word: str) -> str:
    return _BETWEEN_WORDS.sub(" ", word).strip().casefold()


def _data(body: Mapping[str, Any], record: str) -> dict[str, Any]:
    data: dict[str, Any] = {"display": payloads.text(body.get("number"), 40) or record[:40]}
    if isinstance(body.get("items"), list):
        lines = payloads.objects(body["items"])
        data["items"] = [_item(line, place) for place, line in enumerate(lines, 1)]
    method = payloads.text(body.get("fulfillment")).casefold()
    if method in _FULFILLMENTS:
        data["fulfillment"] = {"type": method}
    times = {
        ours: payloads.iso(payloads.time(body.get(name), name)) for name, ours in _TIMES.items()
    }
    if known := {name: at for name, at in times.items() if at is not None}:
        data["times"] = known
    if reason := payloads.text(body.get("reason"), 500):
        data["reason"] = {"text": reason}
    return data


def _item(line: Mapping[str, Any], place: int) -> dict[str, Any]:
    return {
        "id": f"line-{place}",
        "label": payloads.text(line.get("name")) or "Item",
        "quantity": payloads.number(line.get("quantity")),
        "modifiers": [],
    }


def _customer(value: Any) -> Customer | None:
    if not isinstance(value, dict):
        return None
    name, phone = payloads.text(value.get("name")), payloads.text(value.get("phone"), 40)
    email = payloads.text(value.get("email"), 254)
    if not (name or phone or email):
        return None
    return Customer(name, phone, email, "direct" if phone or email else "none")
