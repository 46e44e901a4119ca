"""The projection as rows: which columns, parts and items differ from what is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from integrations import payloads
from integrations.contracts import TERMINAL
from orders import edits
from orders.eta import EtaState
from orders.models import Item, Order, Part
from orders.projection import ItemView, PartView, Projection

_PART_COLUMNS = (
    *("position", "kind", "label", "quantity", "state", "modifiers", "contents", "replaces"),
    *("est_ready_at", "state_since"),
)
_ITEM_COLUMNS = ("position", "label", "quantity", "modifiers")
_SAME = (
    *("state", "epoch", "is_scheduled", "promised_at", "promised_until", "est_ready_at"),
    *("est_delivery_at",),
)


def order_columns(
    projection: Projection, *, delayed: bool, placed_at: datetime, detail: Mapping[str, Any]
) -> dict[str, Any]:
    """The projected columns. ``detail`` is what is stored now; members we do not own stay."""
    columns = {name: getattr(projection, name) for name in _SAME}
    flags = set(projection.flags) - {"delayed"} | ({"delayed"} if delayed else set())
    return columns | {
        "display": projection.display[:40],
        "fulfillment": projection.fulfillment[:16],
        "flags": sorted(flags),
        "placed_at": placed_at,
        "is_open": projection.state not in TERMINAL,
        "detail": {**detail, **_detail(projection)},
    }


def _detail(projection: Projection) -> dict[str, Any]:
    return {
        "table": projection.table,
        "reason": dict(projection.reason),
        "courier": dict(projection.courier),
        "refunds": [
            {
                "id": line.ref,
                "label": line.label,
                "quantity": edits.plain(line.quantity),
                "modifiers": list(line.modifiers),
            }
            for line in projection.refunds
        ],
        "state_since": payloads.iso(projection.state_since),
        "state_account": projection.state_account,
        "legs": [
            {
                "ref": leg.ref,
                "state": leg.state,
                "native_state": leg.native_state,
                "est_delivery_at": payloads.iso(leg.est_delivery_at),
                "courier": dict(leg.courier),
                "part_ids": list(leg.part_ids),
                "reason": dict(leg.reason),
            }
            for leg in projection.legs
        ],
    }


def watch_columns(state: EtaState, next_watch_at: datetime | None) -> dict[str, Any]:
    """The delay watch's memory as columns."""
    return {
        "baseline_at": state.baseline_at,
        "told_at": state.told_at,
        "delays_told": state.delays_told,
        "last_delay_told_at": state.last_delay_told_at,
        "watch": state.watch(),
        "next_watch_at": next_watch_at,
    }


def watch_state(order: Order) -> EtaState:
    """The delay watch's memory of ``order``."""
    return EtaState.restore(
        order.watch,
        baseline_at=order.baseline_at,
        told_at=order.told_at,
        delays_told=order.delays_told,
        last_delay_told_at=order.last_delay_told_at,
    )


def changed(order: Order, columns: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``columns`` that differ from what ``order`` holds."""
    return {name: value for name, value in columns.items() if getattr(order, name) != value}


def write_parts(order: Order, old: Sequence[PartView], new: Sequence[PartView]) -> None:
    """Bring the part rows from ``old`` to ``new``: one upsert when any differ."""
    before = {part.ref: part for part in old}
    rows = [
        Part(
            order=order,
            ref=part.ref,
            position=part.position,
            kind=part.kind[:12],
            label=part.label[:200],
            quantity=part.quantity,
            state=part.state,
            modifiers=[word[:200] for word in part.modifiers],
            contents=[dict(content) for content in part.contents],
            replaces=part.replaces[:200],
            est_ready_at=part.est_ready_at,
            state_since=part.state_since,
        )
        for part in new
        if before.get(part.ref) != part
    ]
    if rows:
        Part.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["order", "ref"],
            update_fields=_PART_COLUMNS,
        )
    gone = set(before) - {part.ref for part in new}
    if gone:
        Part.objects.filter(order=order, ref__in=gone).delete()


def write_items(order: Order, old: Sequence[ItemView], new: Sequence[ItemView]) -> None:
    """Bring the item rows from ``old`` to ``new``: one upsert when any differ."""
    before = {item.ref: (position, item) for position, item in enumerate(old)}
    rows = [
        Item(
            order=order,
            ref=item.ref[:200],
            position=position,
            label=item.label[:200],
            quantity=item.quantity,
            modifiers=[word[:200] for word in item.modifiers],
        )
        for position, item in enumerate(new)
        if before.get(item.ref) != (position, item)
    ]
    if rows:
        Item.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["order", "ref"],
            update_fields=_ITEM_COLUMNS,
        )
    gone = set(before) - {item.ref for item in new}
    if gone:
        Item.objects.filter(order=order, ref__in=gone).delete()
