"""Everything said about one order so far, in one query however much it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef
from django.db.models.functions import JSONObject

from integrations import contracts
from orders.models import Observation, Order, OrderEvent

_PLAIN = (
    *("event_key", "track", "scope", "ref", "ordering_class", "ordering_key", "kind"),
    *("native_state", "state", "occurred_at_basis", "source", "data"),
)
_READ = (*_PLAIN, "account_id", "snapshot_parts", "occurred_at", "received_at")


@dataclass(frozen=True, slots=True)
class History:
    """The observations of an order and the milestones already recorded."""

    observations: tuple[contracts.Observation, ...] = ()
    #: (part ref, milestone, epoch)
    recorded: frozenset[tuple[str, str, int]] = frozenset()
    #: (account, event key) -> observation
    by_key: dict[tuple[str, str], contracts.Observation] = field(default_factory=dict)


def load_history(order_id: int) -> History:
    """The history of an order whose row the caller holds locked. One query.

    It has to be a statement of its own after the lock: a subquery of the locking statement would
    see the tables as they were before it waited.
    """
    said = Observation.objects.filter(order=OuterRef("pk")).order_by("pk")
    recorded = OrderEvent.objects.filter(order=OuterRef("pk"))
    rows, marks = (
        Order.objects.filter(pk=order_id)
        .values_list(
            ArraySubquery(said.values(json=JSONObject(**{name: name for name in _READ}))),
            ArraySubquery(
                recorded.values(
                    json=JSONObject(part_ref="part_ref", milestone="milestone", epoch="epoch")
                )
            ),
        )
        .get()
    )
    observations = tuple(_observation(row) for row in rows)
    return History(
        observations=observations,
        recorded=frozenset((mark["part_ref"], mark["milestone"], mark["epoch"]) for mark in marks),
        by_key={(one.account, one.event_key): one for one in observations},
    )


def _observation(row: dict[str, Any]) -> contracts.Observation:
    parts = row["snapshot_parts"]
    account = row["account_id"]
    return contracts.Observation(
        **{name: row[name] for name in _PLAIN},
        account="" if account is None else str(account),
        snapshot_parts=None if parts is None else tuple(parts),
        occurred_at=_time(row["occurred_at"]),
        received_at=_time(row["received_at"]),
    )


def _time(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)
