"""Names of orders: how news of one system finds the order another system told us about.

Alias systems:

``account:<id>``          a source account's own id of the order; always identifies it
``external_delivery_id``  a courier platform's id of one delivery of the order
``external_id``           the id the restaurant's own system gave the order when it handed it on
anything else             a pair an integration sends in ``order.aliases``

Only the first kind is unique for ever: restaurants reuse the others ("42" comes every day). So a
shared name joins an order only while the order is open or young, and passes to a newer order
afterwards. An ``external_id`` may also be the id some source account calls the order by: a till
that was given the shop's order number joins the shop's order, whichever of them spoke first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import or_

from django.db import connection
from django.db.models import Q

from integrations.contracts import OrderUpdate
from orders.models import Order, OrderAlias, SourceAccount
from orders.selectors import House

#: how the systems of source accounts' own ids begin
OWN = "account:"
EXTERNAL_ID = "external_id"
EXTERNAL_DELIVERY_ID = "external_delivery_id"
#: how long after its last change an order may still be joined by a shared name
YOUNG = timedelta(hours=48)

#: an order may prove to be another one while we wait for it, and that one again
_TRIES = 3

Name = tuple[str, str]

_FIND = """
SELECT o.*, a.system AS alias_system, a.external_id AS alias_id
  FROM orders_orderalias a JOIN orders_order o ON o.id = a.order_id
 WHERE a.restaurant_id = %(restaurant)s AND (a.system, a.external_id) IN %(names)s
 ORDER BY o.id
   FOR UPDATE OF o
"""


@dataclass(frozen=True, slots=True)
class Found:
    """The order (locked) and which of the update's names nobody knew, or knew another order by.

    ``same`` are further orders (locked) that the update proves to be this one.
    """

    order: Order | None
    unknown: tuple[Name, ...]
    same: tuple[Order, ...] = ()


def names_of(update: OrderUpdate, account: SourceAccount) -> tuple[Name, ...]:
    """Every name ``update`` uses, the account's own first."""
    return tuple(dict.fromkeys([*_own_names(update, account), *update.aliases]))


def _own_names(update: OrderUpdate, account: SourceAccount) -> list[Name]:
    ids = [update.order_id, *([update.replaces] if update.replaces else [])]
    return [(f"{OWN}{account.pk}", value) for value in ids]


def find_and_lock(
    update: OrderUpdate, *, account: SourceAccount, home: House, received_at: datetime
) -> Found:
    """The order ``update`` is about, its row locked. One query unless a shared name decides."""
    for _ in range(_TRIES):
        found = _look_up(update, account, home, received_at)
        if found.order is None or found.order.same_as_id is None:
            break
        # while we waited for its lock it proved to be another one: its names lead there now
    return found


def _look_up(
    update: OrderUpdate, account: SourceAccount, home: House, received_at: datetime
) -> Found:
    names = names_of(update, account)
    # the id by which one system hands an order on is the id another one calls it by
    wanted = {*names, (EXTERNAL_ID, update.order_id)} | {
        (f"{OWN}{pk}", value)
        for system, value in names
        if system == EXTERNAL_ID
        for pk in home.account_ids
    }
    parameters = {"restaurant": account.restaurant_id, "names": tuple(sorted(wanted))}
    rows = [
        ((vars(row)["alias_system"], vars(row)["alias_id"]), row)
        for row in Order.objects.raw(_FIND, parameters)
    ]
    own = _own_names(update, account)
    order = _choose(rows, own, update, received_at)
    if order is None:
        return Found(None, names)
    same = () if update.courier_only else _same(order, rows, own, received_at)
    one = {order.pk, *(other.pk for other in same)}
    known = {name for name, row in rows if row.pk in one}
    return Found(order, tuple(name for name in names if name not in known), same)


def _same(
    order: Order,
    rows: Sequence[tuple[Name, Order]],
    own: Collection[Name],
    received_at: datetime,
) -> tuple[Order, ...]:
    """Orders that are ``order`` after all: one update knows both by their names.

    Both must be open, and no account may know them apart: two ids of one account are two orders,
    unless it says itself that one takes the place of the other.
    """
    others = {row.pk: row for _, row in rows if row.pk != order.pk}
    replaced = {row.pk for name, row in rows if name in own} & others.keys()
    others = {
        pk: row
        for pk, row in others.items()
        if pk in replaced or (order.is_open and row.is_open and is_joinable(row, received_at))
    }
    if not others:
        return ()
    knows: dict[int, set[str]] = {}
    named = OrderAlias.objects.filter(
        order__in=[order.pk, *others], system__startswith=OWN
    ).values_list("order_id", "system")
    for order_id, system in named:
        knows.setdefault(order_id, set()).add(system)
    taken = set(knows.get(order.pk, ()))
    same = []
    for pk, row in sorted(others.items()):
        accounts = knows.get(pk, set())
        if pk in replaced or not accounts & taken:
            taken |= accounts
            same.append(row)
    return tuple(same)


def _any_of(names: Iterable[Name]) -> Q:
    return reduce(or_, (Q(system=system, external_id=value) for system, value in sorted(names)))


def _choose(
    rows: Sequence[tuple[Name, Order]],
    own: Sequence[Name],
    update: OrderUpdate,
    received_at: datetime,
) -> Order | None:
    mine = [order for wanted in own for name, order in rows if name == wanted]
    if mine:
        return mine[0]
    young = [order for _, order in rows if is_joinable(order, received_at)]
    if not update.courier_only:
        # an account calls one order by one id: another id of the same account is another order
        taken = OrderAlias.objects.filter(
            order__in=[order.pk for order in young], system=own[0][0]
        ).values_list("order_id", flat=True)
        young = [order for order in young if order.pk not in set(taken)] if young else []
    return max(young, key=lambda order: order.pk, default=None)


def is_joinable(order: Order, at: datetime) -> bool:
    """Whether a shared name may still mean ``order``."""
    last = order.updated_at or order.created_at
    if order.is_open and order.promised_at is not None:
        last = max(last, order.promised_at)
    return last > at - YOUNG


def lock_names(restaurant_id: int, names: Iterable[Name]) -> None:
    """Hold the names until the transaction ends: two calls must not make two orders of one.

    By id only, because systems are compared across (see ``external_id`` above).
    """
    keys = sorted({_number(restaurant_id, value) for _, value in names})
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(key) FROM unnest(%s::bigint[]) key", [keys])


def _number(restaurant_id: int, value: str) -> int:
    digest = hashlib.sha256(f"{restaurant_id}|{value}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def add_names(order: Order, names: Sequence[Name], *, received_at: datetime) -> None:
    """Give ``order`` these names; a name of an order that is long over passes to this one."""
    rows = [
        OrderAlias(restaurant_id=order.restaurant_id, system=system, external_id=value, order=order)
        for system, value in names
    ]
    OrderAlias.objects.bulk_create(rows, ignore_conflicts=True)
    shared = [name for name in names if not name[0].startswith(OWN)]
    if not shared:
        return
    old = received_at - YOUNG
    OrderAlias.objects.filter(
        _any_of(shared),
        Q(order__is_open=False) | Q(order__promised_at=None) | Q(order__promised_at__lte=old),
        restaurant_id=order.restaurant_id,
        order__updated_at__lte=old,
    ).exclude(order=order).update(order=order)
