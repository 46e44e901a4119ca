"""Thin events: which resources to fetch, one row per order however many events asked.

Nothing secret is kept: the request is made anew from the stored call each time. A fetch that
fails is repeated after 5 s, 30 s, 2 min, 10 min and 1 h; then the calls behind it are shown to a
manager.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from celery import current_app
from django.db import DataError, InterfaceError, OperationalError, connection, transaction

from integrations.contracts import FollowUp, HttpRequest, HttpResponse, OrderUpdate, Source
from integrations.errors import (
    ConfigurationError,
    EventIgnored,
    PayloadMalformed,
    TransientError,
)
from integrations.http import http_door, run
from orders import intake
from orders.models import InboundCall, PendingFollowUp, SourceAccount
from orders.news import CAUSE_CHARS, Applied, sum_up
from orders.selectors import as_received, source_for
from orders.vendor_answers import trouble_in

logger = logging.getLogger(__name__)

#: events of one order within this time share a fetch
COALESCE = timedelta(milliseconds=300)
RETRIES = tuple(timedelta(seconds=s) for s in (5, 30, 120, 600, 3600))
_GONE = frozenset({404, 410})
#: an order may be announced before it can be fetched: so many tries until its absence means it
SURELY_GONE = 2
#: a claimed row belongs to its worker this long
LEASE = timedelta(seconds=60)
BATCH = 32
#: batches of one run: a rush is worked off, and still a run has an end
ROUNDS = 20
TASK = "orders.fetch_follow_ups"

# the earliest moment asked for wins: a busy order must not put its fetch off for ever
_ASK = """
INSERT INTO orders_pendingfollowup AS known
       (account_id, coalesce_key, order_external_id, url, context, call_id, due_at,
        asked, tries, last_error)
VALUES (%s, %s, %s, %s, %s::jsonb, %s, %s, 1, 0, '')
ON CONFLICT (account_id, coalesce_key) DO UPDATE SET
       url = excluded.url, call_id = excluded.call_id,
       context = excluded.context || jsonb_build_object('calls',
           coalesce(known.context->'calls', '[]'::jsonb) || (excluded.context->'calls')),
       due_at = least(known.due_at, excluded.due_at), asked = known.asked + 1, tries = 0
RETURNING xmax = 0
"""


class _Unfetchable(Exception):
    """Fetching again would not help; the text says why."""


@dataclass(frozen=True, slots=True)
class _Job:
    row: PendingFollowUp
    source: Source
    follow_up: FollowUp


def ask(*, account: SourceAccount, call: InboundCall, follow_up: FollowUp, now: datetime) -> None:
    """Note that the resource must be fetched; runs in the transaction that reads ``call``."""
    context = {**follow_up.context, "calls": [call.pk]}
    with connection.cursor() as cursor:
        cursor.execute(
            _ASK,
            [
                account.pk,
                follow_up.coalesce_key,
                follow_up.order_id,
                follow_up.request.url,
                json.dumps(context),
                call.pk,
                now + COALESCE,
            ],
        )
        is_first = cursor.fetchone()[0]
    if is_first:
        transaction.on_commit(ring, robust=True)


def ring() -> None:
    """Wake a worker just after the fetch is due. Losing the message costs one sweep."""
    current_app.send_task(TASK, countdown=COALESCE.total_seconds() + 0.02, retry=False)


def fetch_due(*, now: datetime) -> int:
    """Fetch what is due at ``now``, a batch at once, and apply the answers. Returns how many."""
    fetched = 0
    for _round in range(ROUNDS):
        rows = _claim(now)
        jobs = [job for row in rows if (job := _prepare(row, now)) is not None]
        wanted = [(job.follow_up.request, job.source.key) for job in jobs]
        answers = run(send_all(wanted)) if wanted else []
        for job, answer in zip(jobs, answers, strict=True):
            _take(job, answer, now)
        fetched += len(jobs)
        if len(rows) < BATCH:
            break
    return fetched


def _claim(now: datetime) -> list[PendingFollowUp]:
    with transaction.atomic():
        rows = list(
            PendingFollowUp.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("account__restaurant", "call")
            .filter(due_at__lte=now, account__enabled=True)
            .order_by("due_at")[:BATCH]
        )
        PendingFollowUp.objects.filter(pk__in=[row.pk for row in rows]).update(due_at=now + LEASE)
    return rows


def _prepare(row: PendingFollowUp, now: datetime) -> _Job | None:
    try:
        source = source_for(row.account)
        return _Job(row, source, _follow_up(row, source))
    except (_Unfetchable, PayloadMalformed, EventIgnored, ConfigurationError) as problem:
        _give_up(row, str(problem), now)
    return None


def _follow_up(row: PendingFollowUp, source: Source) -> FollowUp:
    if row.call is None:
        raise _Unfetchable("the call that asked for the order is gone")
    for entry in source.parse(as_received(row.call, row.account)):
        if isinstance(entry, FollowUp) and entry.coalesce_key == row.coalesce_key:
            if origin_of(entry.request.url) != origin_of(source.base_url):
                raise _Unfetchable("the order's address is not at the vendor")
            return entry
    raise _Unfetchable("the call no longer asks for an order")


def origin_of(url: str) -> tuple[str, str]:
    """Scheme, host and port: requests with an account's credentials go to the vendor only."""
    parts = urlsplit(url)
    return parts.scheme.lower(), parts.netloc.lower()


async def send_all(
    requests: Sequence[tuple[HttpRequest, str]],
) -> list[HttpResponse | BaseException]:
    """All ``requests`` (with their vendor's key) at once; the answers in the same order."""
    door = http_door()
    return await asyncio.gather(
        *(door.send(request, provider=key) for request, key in requests), return_exceptions=True
    )


def _take(job: _Job, answer: HttpResponse | BaseException, now: datetime) -> None:
    at = now
    try:
        trouble = trouble_in(answer, job.source.key)
        if isinstance(answer, BaseException):
            return _try_later(job.row, trouble.words if trouble else "", now)
        at += timedelta(milliseconds=answer.duration_ms)
        if (updates := _read(job, answer, at)) is None:
            words = trouble.words if trouble else f"{job.source.key} answered with a page, no order"
            return _try_later(job.row, words, now, asked_s=answer.retry_after_s() or 0)
        _apply(job, updates, at)
    except TransientError as problem:
        return _try_later(job.row, str(problem), now)
    except (PayloadMalformed, DataError) as problem:
        words = str(problem) if isinstance(problem, PayloadMalformed) else "a value is too large"
        _give_up(job.row, f"the fetched order cannot be read: {words}", now)
    except (OperationalError, InterfaceError):
        raise
    except Exception as bug:
        logger.exception("orders.follow_up_failed", extra={"follow_up_id": job.row.pk})
        _give_up(job.row, f"our mistake: {type(bug).__name__}", now, state="failed")
    return None


def _read(job: _Job, answer: HttpResponse, at: datetime) -> list[OrderUpdate] | None:
    """What the answer says; None when it says nothing and may say more later."""
    if 200 <= answer.status < 300:
        # a proxy or a maintenance page answers for the vendor now and then
        is_page = "html" in answer.headers.get("content-type", "") and answer.json() is None
        return None if is_page else job.source.parse_resource(job.follow_up, answer, at)
    if answer.status in _GONE and job.row.tries >= SURELY_GONE:
        return job.source.parse_gone(job.follow_up, at) or None
    return None


def _apply(job: _Job, updates: Sequence[OrderUpdate], at: datetime) -> None:
    with transaction.atomic():
        ends = [
            intake.apply_update(
                account=job.row.account,
                update=update,
                call=job.row.call,
                received_at=at,
                settle_call=False,
            )
            for update in updates
        ]
        if not ends:
            ends = [Applied(None, (), "ignored", "the fetched order is not placed yet")]
        _close(job.row, sum_up(ends, is_waiting=False, at=at), at)


def _close(row: PendingFollowUp, settlement: Any, at: datetime) -> None:
    """Settle the calls this fetch answered; events that came meanwhile need another one."""
    current = PendingFollowUp.objects.select_for_update().filter(pk=row.pk).first()
    answered = set(row.context.get("calls", ()))
    if current is not None and current.asked == row.asked:
        current.delete()
    elif current is not None:
        left = [pk for pk in current.context.get("calls", ()) if pk not in answered]
        current.context = {**current.context, "calls": left}
        current.due_at, current.tries = at, 0
        current.save(update_fields=["context", "due_at", "tries"])
        transaction.on_commit(ring, robust=True)
    InboundCall.objects.filter(pk__in=answered).exclude(state="received").update(**settlement)


def _try_later(row: PendingFollowUp, problem: str, now: datetime, *, asked_s: float = 0) -> None:
    """Repeat the fetch; not before ``asked_s`` seconds when the vendor asked us to wait."""
    if row.tries >= len(RETRIES):
        return _give_up(row, f"the order could not be fetched: {problem}", now)
    logger.warning(
        "orders.follow_up_delayed", extra={"follow_up_id": row.pk, "tries": row.tries + 1}
    )
    # events that came while we asked have set the row to an earlier moment; leave that alone
    PendingFollowUp.objects.filter(pk=row.pk, asked=row.asked).update(
        due_at=now + max(RETRIES[row.tries], timedelta(seconds=asked_s)),
        tries=row.tries + 1,
        last_error=problem[:200],
    )
    return None


def _give_up(
    row: PendingFollowUp, problem: str, now: datetime, *, state: str = "quarantined"
) -> None:
    with transaction.atomic():
        _close(row, {"state": state, "cause": problem[:CAUSE_CHARS], "settled_at": now}, now)
