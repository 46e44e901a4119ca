"""Payloads bent in every place: each member removed, emptied and given another type."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from integrations.contracts import FollowUp, OrderUpdate, State
from integrations.errors import EventIgnored, PayloadMalformed

#: what stands in a member's place
STRANGE: tuple[Any, ...] = (
    None,
    True,
    -1,
    1.5,
    10**400,
    "",
    "x",
    "x" * 5000,
    "\x00\ud800",
    "9999-12-31T23:59:59-23:59",
    "2026-03-14T18:05:02",
    [],
    [None, 1, "x", [], {}],
    {},
    {"id": [], "x": None},
)
TRACKS = frozenset({"commercial", "kitchen", "courier"})
STATES = frozenset(state.value for state in State)


def bent(body: Any) -> Iterator[Any]:
    """``body`` with one member removed or replaced at a time, at every depth."""
    whole = copy.deepcopy(body)
    yield from _replaced(whole, whole)
    yield from STRANGE


def _replaced(whole: Any, node: Any) -> Iterator[Any]:
    places: Sequence[Any] = list(node) if isinstance(node, dict) else range(len(node))
    for place in places:
        value = node[place]
        for strange in STRANGE:
            node[place] = strange
            yield whole
        node[place] = value
        if isinstance(node, dict):
            del node[place]
            yield whole
            node[place] = value
        if isinstance(value, dict | list):
            yield from _replaced(whole, value)


def survive(
    bodies: Iterator[Any], read: Callable[[bytes], Sequence[OrderUpdate | FollowUp]]
) -> int:
    """Read every body: a valid result or a refusal, never anything else. Counts the results."""
    valid = 0
    for body in bodies:
        try:
            found = read(json.dumps(body).encode())
        except (PayloadMalformed, EventIgnored):
            continue
        for entry in found:
            if isinstance(entry, OrderUpdate):
                check(entry)
        valid += 1
    return valid


def check(update: OrderUpdate) -> None:
    """What intake relies on, whatever a vendor sent."""
    assert 0 < len(update.order_id) <= 200
    assert len(update.display) <= 40
    keys = [one.event_key for one in update.observations]
    assert len(set(keys)) == len(keys)
    for one in update.observations:
        assert 0 < len(one.event_key) <= 370
        assert one.track in TRACKS
        assert one.state is None or one.state in STATES
        assert bool(one.ref) == (one.scope in ("part", "leg"))
        assert len(one.native_state) <= 120
        assert one.occurred_at is None or one.occurred_at.tzinfo is not None
        assert json.loads(json.dumps(one.data)) == one.data
        for value in one.data.get("times", {}).values():
            assert value is None or datetime.fromisoformat(value).tzinfo is not None
        for line in one.data.get("items", []):
            assert line["id"]
            assert line["label"]
            assert line["quantity"] > 0
    storable = json.dumps([update.order_id, update.display, keys, str(update.customer)])
    assert "\\u0000" not in storable
    assert "\\ud800" not in storable
