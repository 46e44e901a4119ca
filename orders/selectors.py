"""What intake asks on every call and what hardly ever changes: accounts and locations.

Kept for two seconds per process, so a change by a manager takes effect at once for people and
costs nothing per call. ``clear_caches`` is for tests and for the code that just changed a row.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from cachetools import TTLCache, cached
from django.conf import settings
from django.db import connection
from django.utils import timezone

from integrations.contracts import InboundCall, Source
from integrations.registry import SOURCES, source_class
from orders.models import InboundCall as StoredCall
from orders.models import Location, Observation, Order, Restaurant, SourceAccount
from orders.models.source import AccountMode

CACHE_S = 2.0
#: managers' buttons speak louder than any system
MANUAL = "manual"
MANUAL_PRIORITY: Mapping[str, int] = {"commercial": 1000, "kitchen": 1000, "courier": 1000}


@dataclass(frozen=True, slots=True)
class House:
    """One restaurant as intake needs it."""

    restaurant: Restaurant
    locations: Mapping[int, Location]
    #: primary keys of its source accounts
    account_ids: tuple[int, ...]
    #: account (as text; "" and "manual" = a person) -> track -> who speaks when several do
    priorities: Mapping[str, Mapping[str, int]]

    def location_named(self, external_id: str) -> Location | None:
        """The location a source calls ``external_id``."""
        for location in self.locations.values():
            if external_id in location.external_ids:
                return location
        return None


#: with fewer orders than this nobody has learned which states arrive
LEARNED_AFTER = 20
LEARN_FROM = timedelta(days=14)

_accounts: TTLCache[str, SourceAccount | None] = TTLCache(maxsize=1024, ttl=CACHE_S)
_houses: TTLCache[int, House] = TTLCache(maxsize=512, ttl=CACHE_S)
_lock = threading.Lock()


def clear_caches() -> None:
    """Forget everything; the next call reads the database."""
    with _lock:
        _accounts.clear()
        _houses.clear()


def account_by_token(token: str) -> SourceAccount | None:
    """The enabled account behind a webhook address, its restaurant loaded; None = no such."""
    with _lock:
        known = _accounts.get(token)
    if known is not None:
        return known
    found = (
        SourceAccount.objects.select_related("restaurant").filter(token=token, enabled=True).first()
    )
    if found is not None and found.source in SOURCES:
        with _lock:
            _accounts[token] = found
        return found
    return None


@cached(_houses, key=int, lock=_lock)
def house(restaurant_id: int) -> House:
    """The restaurant with its locations and who speaks for which track."""
    accounts = SourceAccount.objects.filter(restaurant_id=restaurant_id).only(
        "pk", "source", "priority"
    )
    priorities = {str(a.pk): _priority(a) for a in accounts}
    return House(
        restaurant=Restaurant.objects.get(pk=restaurant_id),
        locations={
            location.pk: location
            for location in Location.objects.filter(restaurant_id=restaurant_id)
        },
        account_ids=tuple(account.pk for account in accounts),
        priorities=priorities | {"": MANUAL_PRIORITY, MANUAL: MANUAL_PRIORITY},
    )


def fresh_house(restaurant_id: int) -> House:
    """Like :func:`house`, read now: for a name the kept copy does not know."""
    with _lock:
        _houses.pop(restaurant_id, None)
    return house(restaurant_id)


def _priority(account: SourceAccount) -> dict[str, int]:
    if account.source not in SOURCES:
        return {}
    return {**source_class(account.source).priority, **account.priority}


def source_for(account: SourceAccount) -> Source:
    """The adapter of ``account``, talking to the vendor or to the sandbox."""
    sandbox = f"{settings.SANDBOX_URL}/{account.source}"
    return source_class(account.source)(
        account.settings,
        base_url=sandbox if account.mode == AccountMode.SANDBOX else "",
        status_map=account.status_map,
    )


def states_that_arrive(restaurant_id: int) -> frozenset[str]:
    """States somebody states for this restaurant's orders: its enabled sources, or a button.

    Until enough orders were seen: those its sources can state at all. Empty = nothing is known.
    3 queries.
    """
    accounts = list(
        SourceAccount.objects.filter(restaurant_id=restaurant_id, enabled=True).only(
            "source", "seen_states"
        )
    )
    recent = Order.objects.filter(
        restaurant_id=restaurant_id, created_at__gt=timezone.now() - LEARN_FROM
    )
    if len(recent.values("pk")[:LEARNED_AFTER]) < LEARNED_AFTER:
        keys = {account.source for account in accounts} & SOURCES.keys()
        return frozenset(str(state) for key in keys for state in source_class(key).can_state)
    pressed = Observation.objects.filter(order__in=recent, source=MANUAL).exclude(state=None)
    by_people = pressed.values_list("state", flat=True).distinct()
    return frozenset(str(state) for state in by_people).union(
        *(account.seen_states for account in accounts)
    )


def ways_out(restaurant_id: int) -> frozenset[str]:
    """How this restaurant's recent orders reach their guests (pickup, delivery ...)."""
    recent = Order.objects.filter(
        restaurant_id=restaurant_id, created_at__gt=timezone.now() - LEARN_FROM
    )
    return frozenset(recent.values_list("fulfillment", flat=True).distinct())


def sources_of(order: Order) -> dict[str, str]:
    """Source key -> the id that source gave the order. 1 query."""
    return sources_of_orders([order.pk]).get(order.pk, {})


def sources_of_orders(order_ids: Iterable[int]) -> dict[int, dict[str, str]]:
    """The same for many orders (primary keys). 1 query."""
    found: dict[int, dict[str, str]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_SOURCES_OF, [list(order_ids)])
        for order_id, source, external_id in cursor.fetchall():
            found.setdefault(order_id, {})[source] = external_id
    return found


_SOURCES_OF = """
SELECT a.order_id, s.source, a.external_id
  FROM orders_orderalias a JOIN orders_sourceaccount s ON a.system = 'account:' || s.id
 WHERE a.order_id = ANY(%s) ORDER BY a.id
"""


def webhook_url(account: SourceAccount) -> str:
    """The public address the vendor calls; some vendors sign it."""
    return f"{settings.PUBLIC_URL}/hooks/orders/{account.token}/"


def as_received(row: StoredCall, account: SourceAccount) -> InboundCall:
    """The stored call as the adapter saw it (without credentials)."""
    return InboundCall(
        method="POST",
        url=webhook_url(account),
        headers=row.headers,
        body=bytes(row.body),
        received_at=row.received_at,
    )
