"""Telling vendors that keep lists of their own what people chose: stops, and stops taken back.

Our ledger decides about every message whatever a vendor's list says. The list matters where
other software sends through the same vendor, and where a vendor's block outlives a stop that was
taken back. Rows are inserted with the ledger row; telling comes after the commit, is repeated
until the vendor took it, and says only what is still true by then. What a person grants is told
only to an account that was told of the stop before: no other block is ours to lift.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from consents import locks
from consents import services as consent_services
from consents.encryption import DecryptionFailed
from consents.models import ConsentAction, ConsentEvent, ConsentState, ContactAddress, Suppression
from integrations import registry
from integrations.contracts import Channel, Choice, HttpRequest, Provider
from integrations.errors import (
    ConfigurationError,
    IntegrationError,
    OutcomeUnknown,
    RateLimited,
    TransientError,
)
from integrations.http import http_door, run
from notifications.models import ProviderAccount, PushState, VendorListPush
from notifications.selectors import (
    AccountView,
    account_by_id,
    account_view,
    provider_for,
    restaurant_config,
)
from orders.models import Restaurant

logger = logging.getLogger(__name__)

#: seconds between tries; after the last one the vendor is not asked again
PAUSES_S = (60, 300, 1800, 7200, 21600, 43200, 86400, 86400)
BATCH = 100
#: requests in the air at once
AT_ONCE = 8
_CHANNEL_WIDE = ("channel", "all")
_STOPS = (ConsentAction.WITHDRAWN, ConsentAction.DENIED, ConsentAction.SUPPRESSED)
#: the advisory lock of the one who tells: "list"
_LOCK = 0x6C697374


def keeps_list(provider_key: str) -> bool:
    """Whether a provider has anywhere to put a person's choice."""
    made = registry.provider_class(provider_key)
    return made.choice_requests is not Provider.choice_requests


# --- noting ---------------------------------------------------------------------------------------


def note_choices(events: Iterable[ConsentEvent]) -> None:
    """Insert what is to be told about ledger rows of one address, once however often asked."""
    listed = list(events)
    first = listed[0]
    accounts = _accounts(first.sender_group_id, first.channel)
    if not accounts:
        return
    address = (
        ContactAddress.objects.filter(
            sender_group_id=first.sender_group_id,
            channel=first.channel,
            address_hash=first.address_hash,
            generation=first.generation,
        )
        .defer("value")
        .first()
    )
    if address is None:
        return
    rows = [
        VendorListPush(
            account_id=account.id,
            event_ref=event.id,
            address=address,
            purpose="" if event.scope in _CHANNEL_WIDE else event.purpose,
            is_stopped=event.action in _STOPS,
            occurred_at=event.occurred_at,
            next_at=event.recorded_at,
        )
        for event in listed
        for account in accounts
        if account.reaches(address.channel, address.bound_to)
    ]
    VendorListPush.objects.bulk_create(rows, ignore_conflicts=True)


def _accounts(sender_group_id: int, channel: str) -> list[AccountView]:
    """Accounts of a sender group whose vendor keeps a list of addresses of this kind."""
    restaurants = Restaurant.objects.filter(sender_group_id=sender_group_id)
    return [
        account
        for restaurant_id in restaurants.values_list("pk", flat=True)
        for account in restaurant_config(restaurant_id).accounts
        if channel in account.address_channels and keeps_list(account.provider)
    ]


# --- telling --------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Telling:
    """One row on its way to the vendor."""

    push: VendorListPush
    provider: Provider
    requests: Sequence[HttpRequest]
    problem: IntegrationError | ConfigurationError | None = None


def push_choices(now: datetime) -> int:
    """Tell what is due, one process at a time; returns how many choices vendors took."""
    with locks.alone(_LOCK) as is_mine:
        # two tellers could bring a stop and its end to the vendor in the wrong order
        if not is_mine:
            return 0
        tellings = [telling for push in _due(now) if (telling := _prepare(push, now)) is not None]
        if tellings:
            run(_tell_all(tellings))
        return sum(_settle(telling, now) for telling in tellings)


def _due(now: datetime) -> list[VendorListPush]:
    """The oldest waiting row of each account and address, where its time has come."""
    first = (
        VendorListPush.objects.filter(state=PushState.WAITING)
        .order_by("account_id", "address_id", "pk")
        .distinct("account_id", "address_id")
    )
    rows = VendorListPush.objects.filter(pk__in=first.values("pk"), next_at__lte=now)
    return list(rows.select_related("address").defer("address__value").order_by("pk")[:BATCH])


def _prepare(push: VendorListPush, now: datetime) -> _Telling | None:
    """The requests of a row; None = there is nothing to ask of the vendor, and the row says why."""
    account = account_by_id(push.account_id)
    if account is None or account.is_stopped:
        # nobody counts the tries of an account a manager has to mend first
        _put_off(push, now + timedelta(hours=1), "the account is off or stopped")
        return None
    if not _is_still_true(push):
        _end(push, PushState.OVERTAKEN)
        return None
    if not push.is_stopped and not _was_stop_told(push):
        _end(push, PushState.NOTHING)
        return None
    try:
        provider = provider_for(account)
        choice = Choice(
            channel=Channel(push.address.channel),
            to=push.address.value,
            is_stopped=push.is_stopped,
            purpose=push.purpose,
            occurred_at=push.occurred_at,
            event_id=str(push.event_ref),
        )
        requests = provider.choice_requests(choice)
    except (ConfigurationError, IntegrationError, DecryptionFailed) as error:
        _end(push, PushState.REFUSED, str(error))
        return None
    if not requests:
        _end(push, PushState.NOTHING)
        return None
    return _Telling(push, provider, requests)


def _is_still_true(push: VendorListPush) -> bool:
    """Whether the person still wants this: a choice they took back since is not told."""
    address = push.address
    key = {
        "sender_group_id": address.sender_group_id,
        "address_hash": address.address_hash,
        "generation": address.generation,
        "channel": address.channel,
    }
    held = set(Suppression.objects.filter(**key).values_list("scope", flat=True))
    if not push.purpose:
        return push.is_stopped == bool(held.intersection(_CHANNEL_WIDE))
    states = ConsentState.objects.filter(**key, purpose=push.purpose)
    state = states.values_list("state", flat=True).first()
    is_held = not held.isdisjoint((*_CHANNEL_WIDE, f"category:{push.purpose}"))
    if push.is_stopped:
        return is_held or state in ("withdrawn", "denied")
    return not is_held and state == "granted"


def _was_stop_told(push: VendorListPush) -> bool:
    """Whether the last thing this account was told about address and purpose is a stop of ours."""
    told = VendorListPush.objects.filter(
        account_id=push.account_id,
        address_id=push.address_id,
        purpose=push.purpose,
        state=PushState.TOLD,
    )
    return bool(told.order_by("-pk").values_list("is_stopped", flat=True).first())


async def _tell_all(tellings: Sequence[_Telling]) -> None:
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(telling: _Telling) -> None:
        async with limit:
            try:
                await tell(telling.provider, telling.requests)
            except (IntegrationError, ConfigurationError) as problem:
                telling.problem = problem

    await asyncio.gather(*(one(telling) for telling in tellings))


async def tell(provider: Provider, requests: Iterable[HttpRequest]) -> None:
    """Send requests about a vendor's list; raises the errors of errors.py."""
    for request in requests:
        response = await provider.exchange(request, http_door())
        is_page = "html" in response.headers.get("content-type", "")
        if request.method == "DELETE" and response.status in (404, 410) and not is_page:
            continue  # it is gone already
        provider.raise_for_status(response)
        if is_page:  # of something in between: the vendor itself was not told
            raise OutcomeUnknown(provider.key, response, detail="a page instead of an answer")


def _settle(telling: _Telling, now: datetime) -> bool:
    push, problem = telling.push, telling.problem
    if problem is None:
        push.state, push.told_at, push.last_error = PushState.TOLD, now, ""
        push.save(update_fields=["state", "told_at", "last_error"])
        if push.address.channel == Channel.SMS and not (push.is_stopped or push.purpose):
            # texts waited: the block of the vendor ends later than ours
            consent_services.confirm_carrier(
                address_id=push.address_id, now=now, idempotency_key=f"vendor_list:{push.pk}"
            )
        return True
    push.tries += 1
    facts = {"push_id": push.pk, "account_id": push.account_id, "tries": push.tries}
    logger.warning("vendor_list.not_told", extra={**facts, "why": str(problem)})
    # a stop repeated is the same stop; a missing permission may be mended by a manager
    is_passing = isinstance(problem, (TransientError, OutcomeUnknown, ConfigurationError))
    if not is_passing or push.tries > len(PAUSES_S):
        _end(push, PushState.REFUSED, str(problem))
        return False
    wait_s: float = PAUSES_S[push.tries - 1]
    if isinstance(problem, RateLimited) and problem.retry_after_s is not None:
        wait_s = max(wait_s, problem.retry_after_s)
    _put_off(push, now + timedelta(seconds=wait_s), str(problem))
    return False


def _put_off(push: VendorListPush, until: datetime, why: str) -> None:
    push.next_at, push.last_error = until, why[:300]
    push.save(update_fields=["tries", "next_at", "last_error"])


def _end(push: VendorListPush, state: PushState, why: str = "") -> None:
    push.state, push.last_error = state, why[:300]
    push.save(update_fields=["state", "tries", "last_error"])


# --- forgetting -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Erasure:
    """What became of one account's part in forgetting a person."""

    account_id: int
    #: "erased", "nothing" (the vendor keeps nothing we could have erased) or "failed"
    state: str
    problem: str = ""


def erase_at_vendors(address: ContactAddress) -> list[Erasure]:
    """Ask every account that could reach this address to forget it; may be repeated.

    To be called while the address can still be read. Disabled accounts are asked too: their
    vendor holds the person all the same. The caller repeats while anything has failed.
    """
    return [_erase(account, address) for account in _all_accounts(address)]


def _all_accounts(address: ContactAddress) -> list[AccountView]:
    rows = ProviderAccount.objects.filter(
        restaurant__sender_group_id=address.sender_group_id
    ).order_by("pk")
    views = [account_view(row) for row in rows]
    return [view for view in views if view.reaches(address.channel, address.bound_to)]


def _erase(account: AccountView, address: ContactAddress) -> Erasure:
    try:
        provider = provider_for(account)
        requests = provider.erasure_requests(Channel(address.channel), address.value)
        if not requests:
            return Erasure(account.id, "nothing")
        run(tell(provider, requests))
    except (IntegrationError, ConfigurationError) as problem:
        facts = {"account_id": account.id, "address_id": address.pk, "why": str(problem)}
        logger.warning("vendor_list.not_erased", extra=facts)
        return Erasure(account.id, "failed", str(problem)[:300])
    return Erasure(account.id, "erased")
