"""Reads what a thin event of Square says by itself, before its order was fetched.

It is not much: that an order was made or called off, or which fulfilment moved. But it is dated by
the version it made, so an answer that is older (or never comes) does not take it back. Of an order
nobody knows yet it waits for the fetch, which brings the guest and the name.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from integrations import payloads
from integrations.contracts import Observation, OrderUpdate, State, ordering_key
from integrations.sources.square_states import Reading

CREATED = "order.created"


def version_key(version: Any, updated_at: datetime | None) -> tuple[str, str]:
    """(name of a change, ordering key): by version, else (orders of the POS app) by time."""
    if isinstance(version, int) and not isinstance(version, bool):
        return f"v{version}", ordering_key(version)
    key = ordering_key(updated_at)
    return f"t{key}", key


def read_event(
    event: Mapping[str, Any], notice: Mapping[str, Any], order_id: str, reading: Reading
) -> OrderUpdate | None:
    """What the event states; None when it states nothing. Raises PayloadMalformed."""
    created_at = payloads.time(event.get("created_at"), "created_at")
    updated_at = payloads.time(notice.get("updated_at"), "updated_at")
    change, key = version_key(notice.get("version"), updated_at or created_at)
    if not key:
        return None
    said = []
    if state := _order_state(event, notice, reading):
        said.append(("order", "", payloads.text(notice.get("state"), 60), state))
    for moved in payloads.objects(notice.get("fulfillment_update")):
        if (found := _fulfillment(moved, reading)) is not None:
            said.append(("part", *found))
    observations = {
        one.event_key: one
        for one in (
            Observation(
                event_key=payloads.scoped_key(
                    f"event:{order_id}:{change}:{native}", scope, ref or "commercial"
                ),
                track="kitchen" if scope == "part" else "commercial",
                scope=scope,
                ref=ref,
                ordering_key=key,
                native_state=native,
                state=state,
                occurred_at=created_at or updated_at,
                occurred_at_basis="event" if created_at else "resource_modified",
                data={"kind": "fulfillment"} if scope == "part" else {},
            )
            for scope, ref, native, state in said
        )
    }
    if not observations:
        return None
    return OrderUpdate(
        order_id=order_id,
        observations=tuple(observations.values()),
        location_id=payloads.text(notice.get("location_id")),
        courier_only=True,
    )


def _order_state(
    event: Mapping[str, Any], notice: Mapping[str, Any], reading: Reading
) -> str | None:
    state, _ = reading.order(payloads.text(notice.get("state"), 60))
    if state is None and event.get("type") == CREATED:
        return State.RECEIVED
    return state


def _fulfillment(moved: Mapping[str, Any], reading: Reading) -> tuple[str, str, str] | None:
    """(uid, native, ours) of a fulfilment that really moved.

    Equal states mean that something else changed; a fulfilment without an old state is new, and
    only the order says what is in it. What COMPLETED means depends on the type, not told here.
    """
    uid = payloads.text(moved.get("fulfillment_uid"), 101)
    old = payloads.text(moved.get("old_state"), 60)
    new = payloads.text(moved.get("new_state"), 60)
    if not (0 < len(uid) <= 100 and old and new) or old == new:
        return None
    state, _ = reading.fulfillment(new, "")
    return (uid, new, state) if state else None
