"""How often something may be asked for: sliding windows, counted in minutes, shared by everybody.

Only what was let through counts: whoever floods somebody's address cannot shut its owner out for
longer than the window.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address

from django.db import connection, transaction
from django.db.models import Sum

from consents import encryption, locks
from consents.models import RateCount

_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)
_QUARTER = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``count`` within any ``span``."""

    count: int
    span: timedelta


#: links sent to one address
PER_ADDRESS = (Limit(3, _QUARTER), Limit(10, _DAY))
#: requests from one IPv4 address or one IPv6 /64: a household, an office, a café
PER_CALLER = (Limit(30, _QUARTER), Limit(120, _DAY))
#: links sent by the whole installation
GLOBAL = (Limit(100, _MINUTE), Limit(2_000, timedelta(hours=1)))

_COUNT = """
INSERT INTO consents_ratecount (key, window_from, count) VALUES (%s, %s, 1)
ON CONFLICT (key, window_from) DO UPDATE SET count = consents_ratecount.count + 1
"""


def take(what: str, limits: Iterable[Limit], now: datetime) -> bool:
    """Count one ``what`` and say True, or say False and count nothing. One transaction.

    A count is kept by the minute and held against the caller until its whole minute has passed
    out of the window, so no window ever sees more than its limit.
    """
    key = encryption.keyed_hash(f"rate|{what}")
    minute = now.replace(second=0, microsecond=0)
    with transaction.atomic():
        locks.lock_address(key)
        rows = RateCount.objects.filter(key=key)
        for limit in limits:
            since = rows.filter(window_from__gt=minute - limit.span - _MINUTE)
            if (since.aggregate(n=Sum("count"))["n"] or 0) >= limit.count:
                return False
        with connection.cursor() as cursor:
            cursor.execute(_COUNT, [key, minute])
    return True


def caller(remote_address: str) -> str:
    """Who calls, as far as limits go: an IPv4 address, the /64 of an IPv6 one, or "unknown"."""
    try:
        found = ip_address(remote_address.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(found, IPv6Address):
        mapped = found.ipv4_mapped
        return str(mapped) if mapped else f"{IPv6Address(int(found) >> 64 << 64)}/64"
    return str(found)


def forget_counts(now: datetime) -> int:
    """Delete counts no window can see any more; returns how many."""
    return RateCount.objects.filter(window_from__lt=now - _DAY - _QUARTER).delete()[0]
