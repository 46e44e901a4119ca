"""The nightly clearing out: what each app keeps, for how long, and what a legal hold keeps longer.

Apps register their rules in ``AppConfig.ready``. A run is idempotent, works in small transactions
and may be killed anywhere; the next one goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from consents import locks
from consents.models import RetentionRun

logger = logging.getLogger(__name__)

#: rows of one transaction
BATCH = 500
#: an hourly look starts a run as soon as the last is this old
NIGHTLY = timedelta(hours=23)
#: the advisory lock of the one who clears: "rete"
_LOCK = 0x72657465


class Rule:
    """One kind of data and its term."""

    name: str

    def count(self, now: datetime) -> int:
        """How many rows are past their term and may go."""
        raise NotImplementedError

    def held(self, now: datetime) -> int:
        """How many are past their term and stay because of a legal hold."""
        return 0

    def clear_batch(self, now: datetime, limit: int) -> int:
        """Clear up to ``limit`` of them in one transaction; 0 = there are none left."""
        raise NotImplementedError


@dataclass(frozen=True)
class Rows(Rule):
    """Rows of one table, older than their term."""

    name: str
    #: the rows past their term at a moment, holds not looked at
    over: Callable[[datetime], QuerySet[Any]]
    #: which of them a legal hold keeps; None = none can be held
    hold: Q | None = None
    #: what is done with a batch: (rows, moment) -> how many; None = they are deleted
    clear: Callable[[QuerySet[Any], datetime], int] | None = None

    def count(self, now: datetime) -> int:
        return self._free(now).count()

    def held(self, now: datetime) -> int:
        if self.hold is None:
            return 0
        rows = self.over(now)
        return rows.filter(pk__in=self._holding(rows)).count()

    def clear_batch(self, now: datetime, limit: int) -> int:
        with transaction.atomic():
            rows = self._free(now).select_for_update(skip_locked=True, of=("self",))
            ids = list(rows.order_by("pk").values_list("pk", flat=True)[:limit])
            if not ids:
                return 0
            batch = rows.model._base_manager.filter(pk__in=ids)
            if self.clear is not None:
                self.clear(batch, now)
            else:
                batch.delete()
        return len(ids)

    def _free(self, now: datetime) -> QuerySet[Any]:
        rows = self.over(now)
        return rows if self.hold is None else rows.exclude(pk__in=self._holding(rows))

    def _holding(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        assert self.hold is not None
        held: QuerySet[Any] = rows.model._base_manager.filter(self.hold)
        return held.values("pk")


_rules: dict[str, Rule] = {}


def register(*rules: Rule) -> None:
    """Apply ``rules`` every night; called from AppConfig.ready."""
    for rule in rules:
        _rules[rule.name] = rule


def rules() -> Iterator[Rule]:
    """All of them, by name."""
    return iter([_rules[name] for name in sorted(_rules)])


def run_due(now: datetime) -> RetentionRun | None:
    """One run a night, however often asked and however often the service restarts."""
    last = RetentionRun.objects.filter(is_dry_run=False).order_by("-ran_at").first()
    if last is not None and now - last.ran_at < NIGHTLY:
        return None
    return run(now)


def run(now: datetime, *, is_dry_run: bool = False) -> RetentionRun | None:
    """Clear what is past its term, or only count it; None while another process does.

    A rule that fails is logged and missing from the counts; the others are applied.
    """
    with locks.alone(_LOCK) as is_mine:
        if not is_mine:
            return None
        counts: dict[str, int] = {}
        held = 0
        for rule in rules():
            try:
                held += rule.held(now)
                counts[rule.name] = rule.count(now) if is_dry_run else _clear(rule, now)
            except Exception:
                logger.exception("retention.rule_failed", extra={"rule": rule.name})
        return RetentionRun.objects.create(
            ran_at=now, is_dry_run=is_dry_run, counts=counts, held=held
        )


def _clear(rule: Rule, now: datetime) -> int:
    cleared = 0
    while found := rule.clear_batch(now, BATCH):
        cleared += found
    return cleared
