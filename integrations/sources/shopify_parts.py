"""Reads the fulfilment orders of one Shopify order: each is a part with its contents.

The list is a snapshot. A fulfilment order whose lines were merged or moved away stays in it,
closed, and is left out here: it is no part any more, and above all it was not picked up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from integrations import payloads
from integrations.contracts import Observation, OrderUpdate, State, ordering_key
from integrations.errors import PayloadMalformed
from integrations.sources.shopify_lines import titled

STREAM = "fulfillment_order"
#: status -> ours; closed depends on the delivery method
STATES: Mapping[str, str | None] = {
    "scheduled": State.ACCEPTED,
    "open": State.ACCEPTED,
    "on_hold": State.ACCEPTED,
    "in_progress": State.PREPARING,
    "closed": None,
    "closed pick_up": State.PICKED_UP,
    "cancelled": State.CANCELLED,
    "incomplete": State.FAILED,
}
#: events that say more than the status of the part they are about
PREPARED: Mapping[str, str | None] = {
    "line_items_prepared_for_pickup": State.READY,
    "line_items_prepared_for_local_delivery": State.READY,
    "ready_for_pickup": State.READY,
}
METHODS = {"pick_up": "pickup", "local": "delivery", "shipping": "shipping"}
#: no part is prepared in these: it was, and then the work was taken back
_WAITING = frozenset({"open", "scheduled", "on_hold"})
_OVER = frozenset({"closed", "cancelled", "incomplete"})

StatusMap = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Statement:
    """What the event that made us ask says by itself about ``parts``."""

    word: str = ""
    at: datetime | None = None
    #: order it by its own time instead of the part's last change
    is_keyed: bool = False
    parts: tuple[str, ...] = ()
    #: new part -> the part it stands in for
    replaced: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fetched:
    """The fulfilment orders of one order, in the words of the REST API."""

    order_id: str
    entries: Sequence[Mapping[str, Any]]
    #: line id -> what people call it, where the answer has no titles
    labels: Mapping[str, Any] = field(default_factory=dict)
    #: fulfilment type by the order's shipping lines, for entries without a method
    shipping: str = ""
    is_whole: bool = True
    #: some of the parts: what they have in common says nothing about the order
    is_excerpt: bool = False
    statement: Statement = field(default_factory=Statement)


def read_parts(fetched: Fetched, status_map: StatusMap) -> OrderUpdate | None:
    """The parts as an update; None while an order has none. Raises PayloadMalformed."""
    parts = [_Part(entry) for entry in fetched.entries]
    if not parts:
        return None
    order_id = payloads.required_text(fetched.order_id, "order_id")
    added = status_map.get(STREAM, {})
    kept = [part for part in parts if not part.is_away]
    unknown = [f"{STREAM} {part.native}" for part in kept if not part.state(added)[1]]
    newest = max(part.updated_at for part in parts)
    observations = [_snapshot(order_id, kept, newest, fetched.is_whole)]
    if not fetched.is_excerpt and (facts := _facts(kept, fetched.shipping)):
        observations.append(_commercial(order_id, facts, newest))
    for part in kept:
        observations.append(_part(part, fetched, added))
        if part.ref in fetched.statement.parts and (said := _said(part, fetched.statement, added)):
            observations.append(said)
    return OrderUpdate(
        order_id=order_id,
        observations=tuple(observations),
        location_id=next((part.location for part in kept if part.location), ""),
        unknown_states=tuple(dict.fromkeys(unknown)),
    )


class _Part:
    """One fulfilment order, checked."""

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self.entry = entry
        self.ref = payloads.required_text(entry.get("id"), "fulfillment_orders.id", 100)
        self.native = payloads.text(entry.get("status"), 60)
        updated = payloads.time(entry.get("updated_at"), "fulfillment_orders.updated_at")
        if updated is None:
            raise PayloadMalformed("fulfillment_orders.updated_at: missing")
        self.updated_at = updated
        method = payloads.inner(entry, "delivery_method").get("method_type")
        self.method = payloads.text(method, 40)
        self.location = payloads.text(entry.get("assigned_location_id"))
        lines = payloads.objects(entry.get("line_items"))
        self.lines = [line for line in lines if _count(line.get("quantity")) > 0]

    @property
    def is_away(self) -> bool:
        """Closed without anything done: what was in it went to another fulfilment order."""
        left = [_count(line.get("fulfillable_quantity")) > 0 for line in self.lines]
        return self.native == "closed" and all(left)

    def state(self, added: Mapping[str, str]) -> tuple[str | None, bool]:
        """(ours or None, known)."""
        typed = f"{self.native} {self.method}"
        word = typed if typed in STATES or typed in added else self.native
        return payloads.look_up(word, STATES, added) if self.native else (None, True)

    def time(self, name: str) -> datetime | None:
        """A time of the fulfilment order. Raises PayloadMalformed."""
        return payloads.time(self.entry.get(name), f"fulfillment_orders.{name}")


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _snapshot(
    order_id: str, kept: Sequence[_Part], newest: datetime, is_whole: bool
) -> Observation:
    refs = tuple(part.ref for part in kept)
    digest = payloads.sha256("|".join(refs).encode())[:16]
    return Observation(
        event_key=payloads.key_within(f"parts:{order_id}:{ordering_key(newest)}:{digest}", 370),
        track="kitchen",
        scope="order",
        ordering_key=ordering_key(newest),
        kind="snapshot",
        # a list that goes on elsewhere removes nothing
        snapshot_parts=refs if is_whole else None,
        occurred_at=newest,
        occurred_at_basis="resource_modified",
    )


def _facts(kept: Sequence[_Part], shipping: str) -> dict[str, Any]:
    """What the parts say about the whole order: how it is handed over, and by when."""
    facts: dict[str, Any] = {}
    kinds = [METHODS[part.method] for part in kept if part.method in METHODS]
    if kind := next(iter(kinds), shipping):
        is_scheduled = any(part.native == "scheduled" for part in kept)
        facts["fulfillment"] = {"type": kind, "scheduled": is_scheduled}
    waiting = [part for part in kept if part.native not in _OVER]
    starts = [at for part in waiting if (at := part.time("fulfill_at"))]
    ends = [at for part in waiting if (at := part.time("fulfill_by"))]
    times: dict[str, str | None] = {}
    if promised := max(starts or ends, default=None):
        times["promised_at"] = payloads.iso(promised)
    if starts and ends and max(ends) > max(starts):
        times["promised_until"] = payloads.iso(max(ends))
    if times:
        facts["times"] = times
    return facts


def _commercial(order_id: str, facts: Mapping[str, Any], newest: datetime) -> Observation:
    digest = payloads.sha256(json.dumps(facts, sort_keys=True).encode())[:16]
    return Observation(
        event_key=payloads.key_within(f"terms:{order_id}:{ordering_key(newest)}:{digest}", 370),
        track="commercial",
        scope="order",
        ordering_key=ordering_key(newest),
        kind="note",
        occurred_at=newest,
        occurred_at_basis="resource_modified",
        data=facts,
    )


def _part(part: _Part, fetched: Fetched, added: Mapping[str, str]) -> Observation:
    state, _ = part.state(added)
    data: dict[str, Any] = {"kind": "fulfillment"}
    if label := _label(part, fetched.labels):
        data["label"] = label
    # half a list would look like an edit
    if (contents := _contents(part)) and part.entry.get("has_more_lines") is not True:
        data["contents"] = contents
    if stands_in_for := fetched.statement.replaced.get(part.ref):
        data["replaces"] = stands_in_for
    content = json.dumps([part.native, part.method, data], sort_keys=True).encode()
    key = f"part:{part.ref}:{ordering_key(part.updated_at)}:{payloads.sha256(content)[:16]}"
    return Observation(
        event_key=key,
        track="kitchen",
        scope="part",
        ref=part.ref,
        ordering_key=ordering_key(part.updated_at),
        kind="snapshot",
        native_state=part.native,
        state=state,
        occurred_at=part.updated_at,
        occurred_at_basis="resource_modified",
        data=data,
    )


def _said(part: _Part, statement: Statement, added: Mapping[str, str]) -> Observation | None:
    """What the event says about the part, unless the part is past it or went back since."""
    if statement.word not in PREPARED or part.native in ("cancelled", "incomplete"):
        return None
    if part.native == "closed" and part.method == "pick_up":
        return None
    if part.native in _WAITING and statement.at and part.updated_at > statement.at:
        return None
    state, _ = payloads.look_up(statement.word, PREPARED, added)
    keyed = statement.at if statement.is_keyed and statement.at else part.updated_at
    return Observation(
        event_key=f"said:{part.ref}:{ordering_key(keyed)}:{statement.word}",
        track="kitchen",
        scope="part",
        ref=part.ref,
        ordering_key=ordering_key(keyed),
        native_state=statement.word,
        state=state,
        occurred_at=statement.at or part.updated_at,
        occurred_at_basis="event" if statement.at else "resource_modified",
    )


def _label(part: _Part, labels: Mapping[str, Any]) -> str:
    words = [
        titled(line) or payloads.text(labels.get(payloads.text(line.get("line_item_id"))))
        for line in part.lines
    ]
    # half a label would take the place of a whole one
    return ", ".join(words)[:200] if all(words) else ""


def _contents(part: _Part) -> list[dict[str, Any]]:
    return [
        {"item_id": ref, "quantity": payloads.number(line.get("quantity"))}
        for line in part.lines
        if (ref := payloads.text(line.get("line_item_id")))
    ]
