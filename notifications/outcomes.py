"""What each answer of a vendor means for the delivery, the address, the account and the order."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import F

from consents import known_as, vendor_news
from consents import services as consent_services
from consents.addresses import AddressInvalid
from integrations.contracts import Accepted
from integrations.errors import (
    ConfigurationError,
    IntegrationError,
    MessageRejected,
    OutcomeUnknown,
    RateLimited,
    RecipientOptedOut,
    RecipientUnreachable,
    TransientError,
)
from notifications import claims
from notifications.claims import Row
from notifications.flight import Job
from notifications.flips import Recorded
from notifications.models import DeliveryState, ProviderAccount
from notifications.selectors import AccountView, budget_of, clear_caches

logger = logging.getLogger(__name__)

#: seconds before try 2, 3, ...
BACKOFF_S = (5, 30, 120, 600, 3600)
#: transient failures in a row that open an account's circuit breaker
BREAKER_AFTER = 20
BREAKER_OPEN_S = 30


@dataclass(slots=True)
class Aftermath:
    """What is left to do after a batch of results was recorded."""

    recorded: list[Recorded] = field(default_factory=list)
    #: deliveries whose notification may go on with its next step
    next_step: list[int] = field(default_factory=list)
    accepted: int = 0
    transient: int = 0
    #: seconds for which the vendor wants nothing from this account
    pause_s: float = 0.0
    config_error: ConfigurationError | None = None
    opted_out: dict[int, RecipientOptedOut] = field(default_factory=dict)
    unreachable: list[int] = field(default_factory=list)
    #: delivery -> where its address is now
    moved: dict[int, str] = field(default_factory=dict)
    rejected: list[tuple[Row, str]] = field(default_factory=list)


def read(jobs: Sequence[Job], now: datetime) -> Aftermath:
    """Turn landed jobs into rows to write and things to do. No database."""
    after = Aftermath()
    for job in jobs:
        after.recorded.append(_recorded(job, now, after))
    return after


def _recorded(job: Job, now: datetime, after: Aftermath) -> Recorded:
    result = job.result
    row = job.row
    made = Recorded(
        delivery_id=row.id,
        attempt_id=UUID(job.message.attempt_id),
        outcome="accepted",
        state=DeliveryState.ACCEPTED,
        duration_ms=job.duration_ms,
    )
    if isinstance(result, Accepted):
        after.accepted += 1
        if result.moved_to:
            after.moved[row.id] = result.moved_to
        made.vendor_id, made.segments, made.detail = (
            result.vendor_id,
            result.segments,
            result.detail,
        )
        return made
    if isinstance(result, ConfigurationError):
        made.outcome, made.code, made.detail = "config", result.vendor_code, result.detail
        after.config_error = result
        # not the message's fault: it waits for another account or for the manager
        made.state, made.reason, made.due_at = DeliveryState.QUEUED, "account_stopped", now
        return _withdrawn(job, made)
    assert isinstance(result, IntegrationError)
    made.outcome, made.status, made.code = result.code, result.status, result.vendor_code
    made.detail = result.detail
    _classify(job, result, made, now, after)
    return _withdrawn(job, made)


def _withdrawn(job: Job, made: Recorded) -> Recorded:
    """A row overtaken by a withdrawal is never tried again (checked again by the flip)."""
    if job.row.is_overtaken and made.state == DeliveryState.QUEUED:
        made.state, made.reason, made.due_at = DeliveryState.FAILED, "consent_withdrawn", None
    return made


def _classify(
    job: Job, error: IntegrationError, made: Recorded, now: datetime, after: Aftermath
) -> None:
    row = job.row
    # a vendor that drops a repeated key makes an unknown outcome safe to repeat
    is_repeatable = isinstance(error, OutcomeUnknown) and job.provider.capabilities.idempotency_key
    if isinstance(error, TransientError) or is_repeatable:
        after.transient += isinstance(error, TransientError)
        if isinstance(error, RateLimited) and error.whole_account:
            after.pause_s = max(after.pause_s, error.retry_after_s or 0.0)
        waits = job.provider.capabilities.retry_s
        due_at = retry_at(error, tries=row.tries + 1, now=now, waits=waits)
        if due_at is not None and due_at < row.expires_at:
            made.state, made.reason, made.due_at = DeliveryState.QUEUED, error.code, due_at
            return
        made.state = DeliveryState.FAILED if due_at is None else DeliveryState.EXPIRED
        made.reason = error.code
    elif isinstance(error, OutcomeUnknown):
        made.state, made.reason = DeliveryState.UNKNOWN, "outcome_unknown"
        return
    else:
        made.state, made.reason = DeliveryState.FAILED, error.code
        if isinstance(error, RecipientOptedOut):
            after.opted_out[row.id] = error
        elif isinstance(error, RecipientUnreachable):
            after.unreachable.append(row.id)
        elif isinstance(error, MessageRejected):
            after.rejected.append((row, str(error)))
    after.next_step.append(row.id)


def retry_at(
    error: IntegrationError, *, tries: int, now: datetime, waits: Sequence[float] = ()
) -> datetime | None:
    """When to try again after ``tries`` tries; None = enough. Honours Retry-After, adds jitter.

    A vendor that says "in a second" again and again is not asked every second: from the third try
    on it is the usual wait at least. ``waits`` are a provider's own seconds before try 2, 3, ...,
    which no Retry-After shortens.
    """
    usual = waits or BACKOFF_S
    most = error.most_retries if isinstance(error, TransientError) else None
    if tries > (len(usual) if most is None else min(len(usual), most)):
        return None
    wait = float(usual[tries - 1])
    if isinstance(error, RateLimited) and error.retry_after_s is not None:
        wait = max(wait if waits or tries > 1 else 1.0, error.retry_after_s)
    return now + timedelta(seconds=wait * random.uniform(1.0, 1.25))  # noqa: S311 - jitter


def settle_account(account: AccountView, after: Aftermath, now: datetime) -> None:
    """Write what the batch says about the account: health, breaker, a stop."""
    rows = ProviderAccount.objects.filter(pk=account.id)
    if after.pause_s and account.rate_per_s:
        claims.pause_budget(
            account_id=budget_of(account),
            rate_per_s=account.rate_per_s,
            seconds=after.pause_s,
            now=now,
        )
    if after.config_error is not None:
        reason = str(after.config_error)[:300]
        rows.update(stopped_reason=reason, stopped_at=now, last_error=reason, last_error_at=now)
        clear_caches()
        logger.error("account.stopped", extra={"account_id": account.id, "reason": reason})
    elif after.transient and not after.accepted:
        rows.update(failures_in_row=F("failures_in_row") + after.transient, last_error_at=now)
        opened = rows.filter(failures_in_row__gte=BREAKER_AFTER).update(
            open_until=now + timedelta(seconds=BREAKER_OPEN_S), failures_in_row=0
        )
        if opened:
            clear_caches()
            logger.warning("account.breaker_open", extra={"account_id": account.id})
    elif after.accepted:
        # at most one write a second and account
        rows.exclude(last_accepted_at__gt=now - timedelta(seconds=1), failures_in_row=0).update(
            last_accepted_at=now, failures_in_row=0
        )


def settle_addresses(
    *,
    opted_out: Mapping[int, RecipientOptedOut],
    unreachable: Sequence[int],
    moved: Mapping[int, str],
    now: datetime,
) -> None:
    """Tell the ledger what a vendor said about addresses (by delivery id)."""
    from notifications.models import Delivery

    for delivery in Delivery.objects.filter(
        pk__in=[*opted_out, *unreachable, *moved], address__isnull=False
    ).select_related("address"):
        assert delivery.address is not None
        if delivery.pk in moved:
            _follow(delivery.address.pk, moved[delivery.pk], now)
        elif delivery.pk in opted_out:
            stop = opted_out[delivery.pk]
            vendor_news.record_vendor_opt_out(
                address_id=delivery.address.pk,
                idempotency_key=f"vendor-opt-out:{delivery.attempt}",
                at=now,
                reason=stop.reason,
                purpose=stop.purpose,
            )
        else:
            consent_services.mark_unreachable(address_id=delivery.address.pk, at=now)


def _follow(address_id: int, value: str, now: datetime) -> None:
    """An address has another id: what waits for it goes there too."""
    from notifications.models import Delivery

    try:
        moved_to = known_as.move_address(address_id=address_id, value=value, at=now)
    except AddressInvalid:
        return
    waiting = (DeliveryState.QUEUED, DeliveryState.WAITING)
    Delivery.objects.filter(address_id=address_id, state__in=waiting).update(address_id=moved_to)
