"""Asking the sources what changed: a lost webhook must not leave an order where it was.

What a poll finds goes the way of a webhook: the same event keys, so what was already said says
nothing again. ``last_polled_at`` moves only when everything a poll found was applied; until then
the next round asks for the same window.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import DataError, InterfaceError, OperationalError, transaction
from django.db.models import CharField, Exists, OuterRef, Q, Value
from django.db.models.functions import Cast, Concat

from integrations.contracts import HttpRequest, HttpResponse, OrderUpdate, Source
from integrations.errors import ConfigurationError, IntegrationError, PayloadMalformed
from integrations.http import run
from integrations.registry import SOURCES, source_class
from orders import intake
from orders.follow_ups import origin_of, send_all
from orders.models import OrderAlias, SourceAccount
from orders.selectors import source_for

logger = logging.getLogger(__name__)

#: what changed while the last poll was under way, and clocks that differ
OVERLAP = timedelta(minutes=10)
#: how far back the first poll of an account looks
FIRST_LOOK = timedelta(hours=2)
#: how far back any poll looks: one order nobody can place must not make the window grow for ever
LONGEST_LOOK = timedelta(days=3)
#: between two polls of an account, unless its adapter says otherwise (``poll_every_s``)
EVERY_S = 180
#: a claimed account belongs to its worker this long
LEASE = timedelta(minutes=2)
BATCH = 32
ERROR_CHARS = 200


@dataclass(frozen=True, slots=True)
class _Job:
    account: SourceAccount
    source: Source
    request: HttpRequest


def poll_sources(*, now: datetime) -> int:
    """Poll every account whose moment has come, all at once. Returns how many were asked."""
    jobs = [job for account in _claim(now) if (job := _prepare(account, now)) is not None]
    if not jobs:
        return 0
    answers = run(send_all([(job.request, job.source.key) for job in jobs]))
    for job, answer in zip(jobs, answers, strict=True):
        _end(job.account, now, _take(job, answer, now), every_s=_every_s(job.source))
    return len(jobs)


def _claim(now: datetime) -> list[SourceAccount]:
    """Accounts that are due, theirs until the lease ends: another worker does not see them."""
    pollable = [key for key in SOURCES if source_class(key).poll is not Source.poll]
    own_name = Concat(Value("account:"), Cast(OuterRef("pk"), CharField()))
    open_orders = OrderAlias.objects.filter(
        restaurant=OuterRef("restaurant"), system=own_name, order__is_open=True
    )
    with transaction.atomic():
        accounts = list(
            # no key: calls that refer to the account are stored meanwhile
            SourceAccount.objects.select_for_update(skip_locked=True, no_key=True, of=("self",))
            .select_related("restaurant")
            .filter(Q(poll_due_at=None) | Q(poll_due_at__lte=now))
            .filter(Q(last_polled_at=None) | Exists(open_orders))
            .filter(enabled=True, source__in=pollable)
            .order_by("poll_due_at", "pk")[:BATCH]
        )
        SourceAccount.objects.filter(pk__in=[account.pk for account in accounts]).update(
            poll_due_at=now + LEASE
        )
    return accounts


def _prepare(account: SourceAccount, now: datetime) -> _Job | None:
    """The request of an account; None (and the account set aside) when it cannot be asked."""
    since = max(account.last_polled_at or now - FIRST_LOOK, now - LONGEST_LOOK)
    try:
        source = source_for(account)
        request = source.poll(since - OVERLAP)
        if request is not None and origin_of(request.url) != origin_of(source.base_url):
            raise ConfigurationError(source.key, "the address to poll is not at the vendor")
    except (ConfigurationError, PayloadMalformed) as problem:
        _end(account, now, str(problem))
        return None
    if request is None:
        rows = SourceAccount.objects.filter(pk=account.pk)
        rows.update(poll_due_at=now + timedelta(seconds=_every_s(source)), poll_error="")
        return None
    return _Job(account, source, request)


def _every_s(source: Source) -> int:
    return int(getattr(source, "poll_every_s", EVERY_S))


def _take(job: _Job, answer: HttpResponse | BaseException, now: datetime) -> str:
    """Apply what the vendor answered; "" when all of it was, else what went wrong."""
    if isinstance(answer, (IntegrationError, ConfigurationError)):
        return str(answer)
    if isinstance(answer, BaseException):
        raise answer
    if not 200 <= answer.status < 300:
        return f"{job.source.key} answered HTTP {answer.status}"
    at = now + timedelta(milliseconds=answer.duration_ms)
    try:
        updates = job.source.parse_poll(answer, at)
    except PayloadMalformed as problem:
        return f"the answer cannot be read: {problem}"
    except Exception as bug:
        logger.exception("orders.poll_failed", extra={"account_id": job.account.pk})
        return f"our mistake: {type(bug).__name__}"
    # by order, as calls do: two batches lock the same orders in the same sequence
    in_order = sorted(updates, key=lambda update: update.order_id)
    ends = [_apply(job.account, update, at) for update in in_order]
    return "; ".join(dict.fromkeys(end for end in ends if end))


def _apply(account: SourceAccount, update: OrderUpdate, at: datetime) -> str:
    """Apply one update in a transaction of its own: one bad order does not stop the others."""
    try:
        applied = intake.apply_update(account=account, update=update, call=None, received_at=at)
    except DataError:
        return "a value is too large"
    except (OperationalError, InterfaceError):
        raise
    except Exception as bug:
        logger.exception("orders.poll_failed", extra={"account_id": account.pk})
        return f"our mistake: {type(bug).__name__}"
    if applied.outcome == "quarantined":
        logger.warning("orders.poll_quarantined", extra={"account_id": account.pk})
        return applied.cause
    return ""


def _end(account: SourceAccount, now: datetime, problem: str, *, every_s: int = 0) -> None:
    """Note how a poll ended; one that failed is repeated in the next round."""
    rows = SourceAccount.objects.filter(pk=account.pk)
    if problem:
        logger.warning("orders.poll_incomplete", extra={"account_id": account.pk})
        rows.update(poll_due_at=now, poll_error=problem[:ERROR_CHARS])
    else:
        due = now + timedelta(seconds=every_s)
        rows.update(poll_due_at=due, poll_error="", last_polled_at=now)
