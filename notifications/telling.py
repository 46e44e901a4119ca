"""Who tells the guest: some sources message their guests themselves."""

from __future__ import annotations

from threading import RLock

from cachetools import TTLCache, cached

from orders.models import SourceAccount


@cached(TTLCache(maxsize=1024, ttl=2.0), lock=RLock())
def told_by_source(account_id: int) -> frozenset[str]:
    """The milestones this source account tells the guest itself."""
    rows = SourceAccount.objects.filter(pk=account_id).values_list("told_by_source", flat=True)
    return frozenset(next(iter(rows), None) or ())
