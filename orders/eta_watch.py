"""The watch: delays nobody announces, found by looking at every open order whose moment has come.

The moments are columns, so a restart loses none. Quiet orders of a batch are read and put off in
a handful of queries; only those with news are handled one by one, each in its own transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.db import Error, connection, transaction
from django.db.models import Q, QuerySet

from orders import intake, rows
from orders.changes import LONGEST_WAIT, Change, compute_change
from orders.history import History, load_histories
from orders.models import Order
from orders.news import at_home
from orders.selectors import house

logger = logging.getLogger(__name__)

#: an order that could not be handled is looked at again after this
WATCH_AGAIN = timedelta(minutes=5)
#: orders read at once; intake waits for them that long
BATCH = 100
#: nothing is put off for longer than ``LONGEST_WAIT``: later moments were set by a clock ahead
_ODD = LONGEST_WAIT + timedelta(minutes=1)

_PUT_OFF = """
UPDATE orders_order AS o SET next_watch_at = v.at, watch = coalesce(v.watch, o.watch)
  FROM unnest(%s::bigint[], %s::timestamptz[], %s::jsonb[]) AS v(id, at, watch)
 WHERE o.id = v.id
"""


#: order, its next moment, and what the rules remember (None = as it is)
PutOff = tuple[int, datetime | None, dict[str, object] | None]


@dataclass(slots=True)
class _Batch:
    """What became of one batch."""

    size: int = 0
    quiet: list[PutOff] = field(default_factory=list)
    #: orders that could not be read
    broken: list[PutOff] = field(default_factory=list)
    #: orders with news
    loud: list[int] = field(default_factory=list)


def watch_estimates(*, now: datetime, limit: int = 500) -> int:
    """Look at every open order whose moment has come. Returns how many.

    Orders another worker holds are left to it; one that fails does not stop the others.
    """
    handled = 0
    for _round in range(-(-limit // BATCH)):
        batch = _sort_out(now)
        handled += len(batch.quiet)
        for order_id in batch.loud:
            handled += _handle_alone(order_id, now)
        if batch.size < BATCH:
            break
    return handled


def _due(now: datetime) -> QuerySet[Order]:
    return Order.objects.filter(Q(next_watch_at__lte=now) | Q(next_watch_at__gt=now + _ODD))


@transaction.atomic
def _sort_out(now: datetime) -> _Batch:
    """Read a batch, put off what has no news, leave the rest for later."""
    locked = _due(now).select_for_update(skip_locked=True, no_key=True)
    orders = list(locked.order_by("next_watch_at")[:BATCH])
    batch = _Batch(size=len(orders))
    if not orders:
        return batch
    histories = load_histories([order.pk for order in orders])
    for order in orders:
        try:
            change = _change(order, histories[order.pk], now)
        except Error:
            raise
        except Exception:
            logger.exception("orders.watch_failed", extra={"order_id": order.pk})
            batch.broken.append((order.pk, now + WATCH_AGAIN, None))
            continue
        if _has_news(order, change):
            batch.loud.append(order.pk)
        else:
            watch = change.watch
            batch.quiet.append((order.pk, watch.next_watch_at, watch.state.watch()))
    _put_off([*batch.quiet, *batch.broken])
    return batch


def _change(order: Order, history: History, now: datetime) -> Change:
    home = house(order.restaurant_id)
    change = compute_change(order=at_home(order, home), history=history, home=home, now=now)
    again = change.watch.next_watch_at
    if again is not None and again <= now:
        change.watch = replace(change.watch, next_watch_at=now + WATCH_AGAIN)
    return change


def _has_news(order: Order, change: Change) -> bool:
    watched = rows.watch_columns(change.watch.state, change.watch.next_watch_at)
    moved: Collection[str] = rows.changed(order, watched).keys() - {"watch", "next_watch_at"}
    return bool(change.drafts or moved) or change.watch.delayed != ("delayed" in order.flags)


def _put_off(values: Sequence[PutOff]) -> None:
    if not values:
        return
    watch = Order._meta.get_field("watch")
    with connection.cursor() as cursor:
        cursor.execute(
            _PUT_OFF,
            [
                [pk for pk, _, _ in values],
                [at for _, at, _ in values],
                [None if w is None else watch.get_db_prep_save(w, connection) for *_, w in values],
            ],
        )


def _handle_alone(order_id: int, now: datetime) -> int:
    """Write and announce the news of one order; one that fails is put off."""
    try:
        with transaction.atomic():
            locked = _due(now).select_for_update(skip_locked=True, no_key=True)
            order = locked.filter(pk=order_id).first()
            if order is None:
                return 0
            change = _change(order, load_histories([order_id])[order_id], now)
            intake.apply_projection(order=order, change=change, now=now)
            return 1
    except Exception:
        logger.exception("orders.watch_failed", extra={"order_id": order_id})
        Order.objects.filter(pk=order_id).update(next_watch_at=now + WATCH_AGAIN)
        return 0
