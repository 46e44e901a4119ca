"""Asking the sources what changed: a lost webhook must not leave an order where it was.

What a poll finds goes the way of a webhook: the same event keys, so what was already said says
nothing again. ``last_polled_at`` moves only when everything a poll found was applied; until then
the next round asks for the same window. An account belongs to one worker at a time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from integrations.contracts import FollowUp, HttpRequest, HttpResponse, Source
from integrations.errors import ConfigurationError, PayloadMalformed
from integrations.http import run
from integrations.registry import SOURCES, source_class
from orders import check_ups, poll_answers
from orders.follow_ups import origin_of, send_all
from orders.models import OrderAlias, SourceAccount
from orders.selectors import source_for
from orders.vendor_answers import REFUSED, Trouble

#: what changed while the last poll was under way, and clocks that differ
OVERLAP = timedelta(minutes=10)
#: how far back the first poll of an account looks
FIRST_LOOK = timedelta(hours=2)
#: how far back any poll looks: one order nobody can place must not make the window grow for ever
LONGEST_LOOK = timedelta(days=3)
#: between two polls of an account, unless its adapter says otherwise (``poll_every_s``)
EVERY_S = 180
#: the same while none of its orders is open: only a lost first word can be found then
IDLE = timedelta(minutes=15)
#: a claimed account belongs to its worker this long after each page
LEASE = timedelta(minutes=5)
BATCH = 16
#: batches of one round
ROUNDS = 20
#: no account is put off for longer: a later moment was set by a clock that was ahead
_ODD = timedelta(hours=1, minutes=1)
#: three days of a busy kitchen, twenty orders a page
MOST_PAGES = 100


@dataclass(slots=True)
class Job:
    """One account while it is asked."""

    account: SourceAccount
    source: Source
    #: the end of our lease, as the row holds it
    lease: datetime
    #: the pages of a list are asked one after the other, single orders at once
    requests: list[HttpRequest]
    follow_ups: Sequence[FollowUp] = ()
    pages: int = 0
    troubles: list[Trouble] = field(default_factory=list)


class _Clock:
    """The moment the round believes in, moving on as it works."""

    def __init__(self, now: datetime) -> None:
        self.started_at = now
        self._began = time.monotonic()

    def now(self) -> datetime:
        return self.started_at + timedelta(seconds=time.monotonic() - self._began)


def poll_sources(*, now: datetime) -> int:
    """Poll every account whose moment has come. Returns how many were asked."""
    clock, asked = _Clock(now), 0
    for _round in range(ROUNDS):
        accounts = _claim(now)
        jobs = [job for account in accounts if (job := _prepare(account, now)) is not None]
        asked += len(jobs)
        _ask(jobs, clock)
        if len(accounts) < BATCH:
            break
    return asked


def _claim(now: datetime) -> list[SourceAccount]:
    """Accounts that are due, theirs until the lease ends: another worker does not see them."""
    listing = [key for key in SOURCES if source_class(key).poll is not Source.poll]
    answering = [key for key in SOURCES if source_class(key).check_up is not Source.check_up]
    open_orders = OrderAlias.objects.filter(
        restaurant=OuterRef("restaurant"),
        system=check_ups.account_name(OuterRef("pk")),
        order__is_open=True,
    )
    is_time = Q(last_polled_at=None) | Q(last_polled_at__lte=now - IDLE) | Exists(open_orders)
    with transaction.atomic():
        accounts = list(
            # no key: calls that refer to the account are stored meanwhile
            SourceAccount.objects.select_for_update(skip_locked=True, no_key=True, of=("self",))
            .select_related("restaurant")
            .filter(Q(poll_due_at=None) | Q(poll_due_at__lte=now) | Q(poll_due_at__gt=now + _ODD))
            .filter(
                Q(is_time, source__in=listing)
                | Q(check_ups.has_silent_orders(now), source__in=answering)
            )
            .filter(enabled=True)
            .order_by("poll_due_at", "pk")[:BATCH]
        )
        SourceAccount.objects.filter(pk__in=[account.pk for account in accounts]).update(
            poll_due_at=now + LEASE
        )
    return accounts


def _prepare(account: SourceAccount, now: datetime) -> Job | None:
    """What to ask an account; None (and the account set aside) when there is nothing to ask."""
    lease = now + LEASE
    try:
        source = source_for(account)
        job = _open(account, source, lease, now)
        _check_origins(job)
    except (ConfigurationError, PayloadMalformed) as problem:
        _set_aside(account, lease, now + REFUSED, str(problem))
        return None
    if not job.requests:
        _set_aside(account, lease, now + _every(source), "")
        return None
    return job


def _open(account: SourceAccount, source: Source, lease: datetime, now: datetime) -> Job:
    since = max(account.last_polled_at or now - FIRST_LOOK, now - LONGEST_LOOK)
    request = source.poll(since - OVERLAP)
    if request is not None:
        return Job(account, source, lease, [request])
    asked = check_ups.questions(account, source, now)
    return Job(account, source, lease, [one.request for one in asked], asked)


def _check_origins(job: Job) -> None:
    """Raises ConfigurationError when a request would take our key to a stranger."""
    home = origin_of(job.source.base_url)
    if any(origin_of(request.url) != home for request in job.requests):
        raise ConfigurationError(job.source.key, "the address to poll is not at the vendor")


def _set_aside(account: SourceAccount, lease: datetime, due: datetime, words: str) -> None:
    rows = SourceAccount.objects.filter(pk=account.pk, poll_due_at=lease)
    rows.update(poll_due_at=due, poll_error=words[: poll_answers.ERROR_CHARS])


def _every(source: Source) -> timedelta:
    return timedelta(seconds=int(getattr(source, "poll_every_s", EVERY_S)))


def _ask(jobs: Sequence[Job], clock: _Clock) -> None:
    """Send the questions of all jobs at once, page after page, until all are answered."""
    asking = list(jobs)
    while asking:
        wanted = [(request, job.source.key) for job in asking for request in job.requests]
        answers = iter(run(send_all(wanted)))
        again: list[Job] = []
        for job in asking:
            mine = [next(answers) for _ in job.requests]
            if not _renew(job, clock.now()):
                continue
            _take(job, mine, clock.now())
            if job.requests:
                again.append(job)
            else:
                _end(job, clock.started_at, *job.troubles)
        asking = again


def _take(job: Job, answers: Sequence[HttpResponse | BaseException], at: datetime) -> None:
    """Apply ``answers`` and see what is to be asked next."""
    asked, job.requests = job.requests, []
    job.pages += 1
    if job.follow_ups:
        job.troubles += poll_answers.take_orders(
            job.account, job.source, job.follow_ups, answers, at
        )
        return
    page = poll_answers.take_page(job.account, job.source, answers[0], at)
    job.troubles += page.troubles
    if isinstance(answers[0], BaseException) or not page.is_read:
        return
    try:
        following = job.source.poll_next(asked[0], answers[0])
        job.requests = [following] if following is not None else []
        _check_origins(job)
    except (ConfigurationError, PayloadMalformed, ValueError) as problem:
        job.requests = []
        job.troubles.append(Trouble(f"the next page cannot be asked for: {problem}"))
        return
    if job.requests and job.pages >= MOST_PAGES:
        job.requests = []
        job.troubles.append(Trouble(f"there are more than {MOST_PAGES} pages of changes"))


def _renew(job: Job, now: datetime) -> bool:
    """Keep the account for another while; False when it took too long and another worker has it."""
    lease = now + LEASE
    rows = SourceAccount.objects.filter(pk=job.account.pk, poll_due_at=job.lease)
    if rows.update(poll_due_at=lease):
        job.lease = lease
        return True
    return False


def _end(job: Job, now: datetime, *troubles: Trouble) -> None:
    """Note how a poll ended that began at ``now``: when to ask again, and what went wrong."""
    rows = SourceAccount.objects.filter(pk=job.account.pk, poll_due_at=job.lease)
    usual = _every(job.source)
    if not troubles:
        rows.update(poll_due_at=now + usual, poll_error="", last_polled_at=now)
        return
    poll_answers.log_incomplete(job.account)
    wait = max(trouble.wait or usual for trouble in troubles)
    words = "; ".join(dict.fromkeys(trouble.words for trouble in troubles))
    rows.update(poll_due_at=now + wait, poll_error=words[: poll_answers.ERROR_CHARS])
