"""Courier news about orders nobody has told us about yet: kept for 48 hours, then given up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from integrations.contracts import Customer, Observation, OrderUpdate
from orders.aliases import EXTERNAL_ID, Name, lock_names, names_of
from orders.models import InboundCall, ParkedUpdate, SourceAccount

KEPT = timedelta(hours=48)


@dataclass(frozen=True, slots=True)
class Parked:
    """A parked update and its row."""

    row: ParkedUpdate
    update: OrderUpdate


def serialize_update(update: OrderUpdate) -> dict[str, Any]:
    """``update`` as JSON; :func:`read_update` gives an equal one back."""
    values = asdict(update)
    for observation in values["observations"]:
        for name in ("occurred_at", "received_at"):
            if observation[name] is not None:
                observation[name] = observation[name].isoformat()
    return values


def read_update(values: dict[str, Any]) -> OrderUpdate:
    """The update :func:`serialize_update` wrote."""
    customer = values["customer"]
    return OrderUpdate(
        **{
            **values,
            "observations": tuple(_observation(one) for one in values["observations"]),
            "aliases": tuple((system, value) for system, value in values["aliases"]),
            "customer": None if customer is None else Customer(**customer),
            "unknown_states": tuple(values["unknown_states"]),
        }
    )


def _observation(values: dict[str, Any]) -> Observation:
    parts = values["snapshot_parts"]
    one = Observation(**{**values, "snapshot_parts": None if parts is None else tuple(parts)})
    return replace(one, occurred_at=_time(one.occurred_at), received_at=_time(one.received_at))


def _time(value: object) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else None


def park(
    update: OrderUpdate,
    *,
    account: SourceAccount,
    names: Sequence[Name],
    call: InboundCall | None,
    at: datetime,
) -> None:
    """Keep ``update`` until one of ``names`` belongs to an order. The names are locked."""
    ParkedUpdate.objects.create(
        account=account,
        restaurant_id=account.restaurant_id,
        call=call,
        alias_keys=[_key(name) for name in names],
        update=serialize_update(update),
        parked_at=at,
    )


def _key(name: Name) -> str:
    return f"{name[0]}|{name[1]}"


def claim_parked(
    restaurant_id: int, names: Sequence[Name]
) -> tuple[list[Parked], tuple[Name, ...]]:
    """(parked updates about an order called ``names``, all names it has by then).

    The names are locked, and so are the rows afterwards. A parked update may know the order by
    further names, and those lead to further updates.
    """
    found: dict[object, Parked] = {}
    known = dict.fromkeys(names)
    asked: Sequence[Name] = names
    while asked:
        fresh = [one for one in _parked_as(restaurant_id, asked) if one.row.pk not in found]
        found |= {one.row.pk: one for one in fresh}
        told = [name for one in fresh for name in names_of(one.update, one.row.account)]
        asked = [name for name in dict.fromkeys(told) if name not in known]
        known |= dict.fromkeys(asked)
        if asked:
            lock_names(restaurant_id, asked)
    return sorted(found.values(), key=lambda one: one.row.parked_at), tuple(known)


def _parked_as(restaurant_id: int, names: Iterable[Name]) -> list[Parked]:
    keys = set()
    for system, value in names:
        keys.add(_key((system, value)))
        if system.startswith("account:"):
            keys.add(_key((EXTERNAL_ID, value)))
    rows = (
        ParkedUpdate.objects.select_for_update(of=("self",))
        .select_related("account")
        .filter(restaurant_id=restaurant_id, alias_keys__has_any_keys=sorted(keys))
        .order_by("pk")
    )
    return [Parked(row, read_update(row.update)) for row in rows]


def release(parked: Sequence[Parked], *, order_id: int, at: datetime) -> None:
    """The parked updates were applied to an order."""
    for unknown in {one.update.unknown_states for one in parked}:
        rows = [one.row for one in parked if one.update.unknown_states == unknown]
        InboundCall.objects.filter(
            pk__in=[row.call_id for row in rows if row.call_id is not None], state="parked"
        ).update(
            state="quarantined" if unknown else "applied",
            cause=f"unknown state: {', '.join(unknown)}" if unknown else "",
            order_id=order_id,
            settled_at=at,
        )
    ParkedUpdate.objects.filter(pk__in=[one.row.pk for one in parked]).delete()


def drop_parked(*, now: datetime) -> int:
    """Give up updates parked longer than 48 hours; their calls tell the manager. How many."""
    with transaction.atomic():
        rows = list(
            ParkedUpdate.objects.select_for_update(skip_locked=True)
            .filter(parked_at__lt=now - KEPT)
            .only("pk", "call_id")[:1000]
        )
        InboundCall.objects.filter(
            pk__in=[row.call_id for row in rows if row.call_id is not None], state="parked"
        ).update(
            state="quarantined",
            cause="news about an order that no source told us about within 48 hours",
            settled_at=now,
        )
        ParkedUpdate.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return len(rows)
