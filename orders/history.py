"""Everything said about one order so far, in one query however much it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection

from integrations import contracts
from orders.restated import standing

_COLUMNS = (
    *("event_key", "track", "scope", "ref", "ordering_class", "ordering_key", "kind"),
    *("native_state", "state", "occurred_at_basis", "source", "data"),
    *("account_id", "snapshot_parts", "occurred_at", "received_at"),
)
# written by hand: the ORM needs longer to put this together than PostgreSQL to answer it
_HISTORIES = f"""
SELECT o.id,
       (SELECT coalesce(json_agg(json_build_array({", ".join(_COLUMNS)}) ORDER BY id), '[]')::text
          FROM orders_observation WHERE order_id = ANY(o.ids)),
       (SELECT coalesce(json_agg(json_build_array(part_ref, milestone, epoch)), '[]')::text
          FROM orders_orderevent WHERE order_id = ANY(o.ids))
  FROM (SELECT id, ARRAY(SELECT id UNION ALL
                         SELECT same.id FROM orders_order same WHERE same.same_as_id = w.id) ids
          FROM unnest(%(orders)s::bigint[]) AS w(id)) AS o
"""  # noqa: S608 - column names of our own


@dataclass(frozen=True, slots=True)
class History:
    """The observations of an order and the milestones already recorded."""

    #: without readings a later one replaced; those are in ``by_key`` as well
    observations: tuple[contracts.Observation, ...] = ()
    #: (part ref, milestone, epoch)
    recorded: frozenset[tuple[str, str, int]] = frozenset()
    #: (account, event key) -> observation
    by_key: dict[tuple[str, str], contracts.Observation] = field(default_factory=dict)


def load_history(order_id: int) -> History:
    """The history of an order whose row the caller holds locked. One query.

    What was said of orders that proved to be this one is part of it.

    It has to be a statement of its own after the lock: a subquery of the locking statement would
    see the tables as they were before it waited.
    """
    return load_histories([order_id])[order_id]


def load_histories(order_ids: Sequence[int]) -> dict[int, History]:
    """The same for several orders, still one query."""
    with connection.cursor() as cursor:
        cursor.execute(_HISTORIES, {"orders": list(order_ids)})
        return {order_id: _history(*found) for order_id, *found in cursor.fetchall()}


def _history(said: str, recorded: str) -> History:
    observations = tuple(
        _observation(dict(zip(_COLUMNS, row, strict=True))) for row in json.loads(said)
    )
    return History(
        observations=standing(observations),
        recorded=frozenset(
            (ref, milestone, epoch) for ref, milestone, epoch in json.loads(recorded)
        ),
        by_key={(one.account, one.event_key): one for one in observations},
    )


def _observation(row: dict[str, Any]) -> contracts.Observation:
    account, parts = row.pop("account_id"), row.pop("snapshot_parts")
    occurred_at, received_at = row.pop("occurred_at"), row.pop("received_at")
    return contracts.Observation(
        **row,
        account="" if account is None else str(account),
        snapshot_parts=None if parts is None else tuple(parts),
        occurred_at=None if occurred_at is None else datetime.fromisoformat(occurred_at),
        received_at=datetime.fromisoformat(received_at),
    )
