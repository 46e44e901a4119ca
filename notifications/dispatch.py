"""Sending: claim, ask consent again under lock, write the attempt, and only then call the vendor.

Nothing reaches a provider except through ``dispatch_account``; there is no "send anyway".
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction

from consents import locks, policy
from consents import selectors as consent_selectors
from integrations.contracts import Accepted, Message
from integrations.errors import ConfigurationError
from notifications import claims, compose, flips, outcomes, to_staff
from notifications.asking import consent_facts
from notifications.claims import Row
from notifications.flight import Flight, Job
from notifications.links import LinkGone
from notifications.models import Delivery, DeliveryState, ProviderAccount
from notifications.outbox import ring, ring_later
from notifications.rendering import TemplateInvalid
from notifications.selectors import (
    AccountView,
    RestaurantConfig,
    account_by_id,
    budget_of,
    provider_for,
    restaurant_config,
)
from orders.selectors import sources_of_orders

logger = logging.getLogger(__name__)

#: results wait at most this long for company before they are written, seconds
RECORD_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class Sent:
    """One finished try, for the terminal line of the one-process mode."""

    row: Row
    account: AccountView
    outcome: str
    duration_ms: int


#: called with every recorded batch; the one-process runner prints a line per alert
listeners: list[Callable[[Sequence[Sent]], None]] = []

_running: dict[int, bool] = {}
_running_lock = threading.Lock()


def dispatch_account(*, account_id: int) -> int:
    """Send everything due at one account; returns how many tries were made.

    One run per account and process: a bell that rings during a run makes that run look again.
    Other processes may run at the same time; rows are claimed with SKIP LOCKED.
    """
    with _running_lock:
        if account_id in _running:
            _running[account_id] = True
            return 0
        _running[account_id] = False
    tries = 0
    try:
        while True:
            tries += _drain(account_id)
            with _running_lock:
                if not _running[account_id]:
                    del _running[account_id]
                    return tries
                _running[account_id] = False
    except BaseException:
        with _running_lock:
            _running.pop(account_id, None)
        raise


def _drain(account_id: int) -> int:
    account = account_by_id(account_id)
    now = datetime.now(UTC)
    if account is None or not account.is_usable(now):
        if account is not None:
            pass_on(account, now)
        return 0
    flight = Flight(settings.DISPATCH_IN_FLIGHT)
    tries = 0
    may_claim = True
    while may_claim or flight.pending:
        room = settings.DISPATCH_BATCH * 2 - flight.pending
        if may_claim and room >= settings.DISPATCH_BATCH:
            jobs, claimed = _next_batch(account)
            flight.start(jobs)
            tries += len(jobs)
            may_claim = claimed > 0
        if flight.pending:
            landed = flight.take(timeout_s=RECORD_EVERY_S)
            if landed and not _record(account, landed):
                may_claim = False
    return tries


def _next_batch(account: AccountView) -> tuple[list[Job], int]:
    """Claim and prepare one batch: the jobs to fly, and how many rows were claimed."""
    now = datetime.now(UTC)
    wanted = settings.DISPATCH_BATCH
    budget = budget_of(account)
    if account.rate_per_s:
        wanted = claims.take_budget(
            account_id=budget, rate_per_s=account.rate_per_s, wanted=wanted, now=now
        )
    if wanted < 1:
        ring_later(account.id, seconds=(1.0 - wanted) / account.rate_per_s)
        return [], 0
    ids = claims.claim(
        account_id=account.id, limit=wanted, now=now, lease_s=settings.DISPATCH_LEASE_S
    )
    if account.rate_per_s and len(ids) < wanted:
        claims.give_back_budget(account_id=budget, tokens=wanted - len(ids))
    if not ids:
        return [], 0
    config = restaurant_config(account.restaurant_id)
    rows = load_rows(ids, account)
    try:
        jobs, versions = _compose(rows, config, account, now)
    except ConfigurationError as error:
        _stop(account, error, ids, now)
        return [], 0
    return _flip(jobs, versions, config, account, now), len(ids)


def load_rows(ids: Sequence[int], account: AccountView) -> list[Row]:
    """The claimed rows, with what this account's vendor needs besides."""
    rows = claims.load(ids)
    to_staff.fill_in(rows)
    if account.edits:
        earlier = claims.earlier_ids(rows, account_id=account.id)
        for row in rows:
            row.earlier_id = earlier.get(row.id, "")
    if account.of_source:
        known = sources_of_orders({row.order_id for row in rows if row.order_id is not None})
        for row in rows:
            row.source_order_id = known.get(row.order_id or 0, {}).get(account.of_source, "")
    return rows


def _compose(
    rows: Sequence[Row], config: RestaurantConfig, account: AccountView, now: datetime
) -> tuple[list[Job], dict[int, int]]:
    provider = provider_for(account)
    jobs: list[Job] = []
    versions: dict[int, int] = {}
    ended: list[tuple[int, str, str]] = []
    for row in rows:
        if row.expires_at <= now:
            ended.append((row.id, DeliveryState.EXPIRED, "too late to be useful"))
            continue
        try:
            message, template = compose.message(
                row, config=config, account=account, attempt_id=uuid4(), now=now
            )
        except LinkGone:
            ended.append((row.id, DeliveryState.CANCELLED, "link_gone"))
            continue
        except (compose.NoWords, TemplateInvalid) as error:
            ended.append((row.id, DeliveryState.FAILED, "template_error"))
            _blame_words(row, account, str(error), now)
            continue
        versions[row.id] = template.version_id
        jobs.append(Job(row, message, provider))
    flips.end_claimed(ended, now)
    return jobs, versions


def _blame_words(row: Row, account: AccountView, why: str, now: datetime) -> None:
    """Words that cannot be rendered or that the vendor refused: their owner must change them."""
    from notifications import routing, steps

    trigger = routing.trigger_of(row.kind, row.milestone)
    logger.error(
        "message.words_refused", extra={"notification_id": str(row.notification_id), "why": why}
    )
    if row.kind != "alarm":
        steps.raise_alarm(
            restaurant_id=account.restaurant_id,
            key=f"words:{trigger}:{row.channel}",
            detail=f"the message for {trigger} by {row.channel} could not be sent: {why}",
            now=now,
        )


@dataclass(slots=True)
class Asked:
    """What consent says of a batch of claimed rows."""

    allowed: list[Job] = field(default_factory=list)
    #: of each allowed one: what it rests on, as JSON
    basis: list[str] = field(default_factory=list)
    #: (delivery id, state, reason)
    ended: list[tuple[int, str, str]] = field(default_factory=list)
    #: (delivery id, due, reason)
    deferred: list[tuple[int, datetime, str]] = field(default_factory=list)


def _flip(
    jobs: Sequence[Job],
    versions: dict[int, int],
    config: RestaurantConfig,
    account: AccountView,
    now: datetime,
) -> list[Job]:
    """Ask consent again under the shared address locks and flip what may go to sending."""
    with transaction.atomic():
        asked = _ask(jobs, config, account, now)
        flips.end_claimed(asked.ended, now)
        flips.defer_claimed(asked.deferred)
        flipped = flips.flip_to_sending(
            ids=[job.row.id for job in asked.allowed],
            attempts=[UUID(job.message.attempt_id) for job in asked.allowed],
            versions=[versions[job.row.id] for job in asked.allowed],
            basis=asked.basis,
            now=now,
            lease_s=settings.DISPATCH_LEASE_S,
        )
    return [job for job in asked.allowed if job.row.id in flipped]


def _ask(
    jobs: Sequence[Job], config: RestaurantConfig, account: AccountView, now: datetime
) -> Asked:
    """Lock the addresses, read what holds for them now and decide. Two statements a batch."""
    hashes = sorted({job.row.address_hash for job in jobs if job.row.address_hash})
    keys = [(j.row.subject_id, j.row.address_id) for j in jobs if j.row.address_id is not None]
    locks.lock_addresses_shared(hashes)
    snapshots = consent_selectors.load_snapshots(keys) if keys else {}
    packs = consent_selectors.active_packs(now)
    asked = Asked()
    for job in jobs:
        row = job.row
        if row.address_id is None or row.kind == to_staff.KIND:
            # nobody is written to: a chat of ours, or a note about whoever wrote
            asked.allowed.append(job)
            asked.basis.append('{"basis": "work_tool"}')
            continue
        snapshot = snapshots.get((row.subject_id, row.address_id))
        if snapshot is None:
            asked.ended.append((row.id, DeliveryState.CANCELLED, "address_gone"))
            continue
        decision = policy.decide(_facts(job, config, account), snapshot, packs, now)
        if decision.verdict == "drop":
            asked.ended.append((row.id, DeliveryState.CANCELLED, decision.code))
        elif decision.verdict == "delay" and decision.until is not None:
            asked.deferred.append((row.id, decision.until, decision.code))
        else:
            asked.allowed.append(job)
            asked.basis.append(_basis(decision))
    return asked


def _facts(job: Job, config: RestaurantConfig, account: AccountView) -> policy.MessageFacts:
    row = job.row
    return consent_facts(
        config,
        channel=row.address_channel,
        purpose=row.purpose,
        kind=row.kind,
        milestone=row.milestone,
        order_ref=str(row.order_public_id or ""),
        is_critical=row.is_critical,
        audience=row.audience,
        expires_at=row.expires_at,
        fulfil_at=row.est_delivery_at or row.est_ready_at or row.promised_at,
        location_id=row.location_id,
        has_template=account.can_begin and bool(job.message.vendor_template),
    )


def _basis(decision: policy.Decision) -> str:
    events = ", ".join(f'"{event}"' for event in decision.event_ids)
    return f"{_rests_on(decision.basis, decision.policy_version)}[{events}]}}"


@cache
def _rests_on(basis: str, policy_version: str) -> str:
    """The beginning of the JSON, which a batch shares: up to the list of events."""
    known = json.dumps({"basis": basis, "policy": policy_version})
    return f'{known[:-1]}, "events": '


def _record(account: AccountView, landed: Sequence[Job]) -> bool:
    """Write what landed; False when the account must not be used further now."""
    from notifications import steps

    now = datetime.now(UTC)
    after = outcomes.read(landed, now)
    flips.record(after.recorded, now)
    outcomes.settle_account(account, after, now)
    outcomes.settle_addresses(
        opted_out=after.opted_out, unreachable=after.unreachable, moved=after.moved, now=now
    )
    for row, why in after.rejected:
        _blame_words(row, account, why, now)
    if after.next_step:
        steps.go_on(delivery_ids=after.next_step, now=now)
    if after.config_error is not None:
        pass_on(account, now)
        steps.alarm_account_stopped(account_id=account.id, reason=str(after.config_error), now=now)
    if listeners:
        sent = [
            Sent(job.row, account, record.outcome, job.duration_ms)
            for job, record in zip(landed, after.recorded, strict=True)
        ]
        for listener in listeners:
            listener(sent)
    return after.config_error is None


def _stop(
    account: AccountView, error: ConfigurationError, ids: Sequence[int], now: datetime
) -> None:
    """The account cannot even build a request: stop it and put its rows back."""
    from notifications import steps

    flips.defer_claimed([(delivery_id, now, "account_stopped") for delivery_id in ids])
    after = outcomes.Aftermath(config_error=error)
    outcomes.settle_account(account, after, now)
    pass_on(account, now)
    steps.alarm_account_stopped(account_id=account.id, reason=str(error), now=now)


def pass_on(account: AccountView, now: datetime) -> int:
    """Give queued rows of an account that does not work to the next one; returns how many.

    Without another one they stay queued until the breaker closes, the manager mends the account
    or they expire. What only this account can reach (a bot's chat) stays too.
    """
    if account.account_is_address:
        return 0
    config = restaurant_config(account.restaurant_id)
    others = [a for a in config.accounts_for(account.channel, now) if a.id != account.id]
    if not others:
        return 0
    moved = Delivery.objects.filter(
        account_id=account.id,
        state=DeliveryState.QUEUED,
        address__bound_to="",
        address__channel__in=others[0].address_channels,
    ).update(account_id=others[0].id)
    if moved:
        logger.warning(
            "account.failover",
            extra={"from_account": account.id, "to_account": others[0].id, "deliveries": moved},
        )
        ring([others[0].id])
    return moved


def send_directly(account: AccountView, message: Message) -> Accepted:
    """The test button: one message outside the outbox, to an address a manager typed.

    Raises the errors of integrations.errors. Nothing about an order can pass here.
    """
    from integrations.http import http_door, run

    accepted = run(provider_for(account).send(message, http_door()))
    ProviderAccount.objects.filter(pk=account.id).update(
        stopped_reason="", stopped_at=None, open_until=None, failures_in_row=0,
        last_accepted_at=datetime.now(UTC),
    )  # fmt: skip
    return accepted
