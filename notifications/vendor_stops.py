"""Reading vendors' lists of who wants nothing into the consent ledger, once a day an account.

The place is stored after every page, so a reading that broke off goes on where it was. What is
on a list because we put it there is no news; addresses nobody here has are counted and left.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction

from consents import services as consent_services
from consents import vendor_news
from consents.models import ContactAddress, Suppression
from integrations import registry
from integrations.contracts import Provider, Receipt, ReceiptKind
from integrations.errors import ConfigurationError, IntegrationError, RateLimited
from integrations.http import http_door, run
from notifications.models import ProviderAccount, PushState, VendorListPosition, VendorListPush
from notifications.selectors import AccountView, account_by_id, provider_for, restaurant_config
from notifications.sweep import beat

logger = logging.getLogger(__name__)

EVERY = timedelta(days=1)
#: how far back the first reading of a list goes
FIRST_REACH = timedelta(days=3650)
#: what a reading repeats of the one before it: vendors list with a delay
OVERLAP = timedelta(days=2)
#: the vendor's clock against ours
CLOCK_SLACK = timedelta(minutes=10)
AGAIN_AFTER = timedelta(hours=1)
#: pages of one account in one go; the rest is read the next time
MOST_PAGES = 200
_LONGEST_PAGE = 1000
_REASONS = {ReceiptKind.UNSUBSCRIBED: "user", ReceiptKind.COMPLAINED: "complaint"}


def has_stop_list(provider_key: str) -> bool:
    """Whether a provider lets us read whom its vendor stopped."""
    made = registry.provider_class(provider_key)
    return made.stop_list_request is not Provider.stop_list_request


def read_due_lists(now: datetime) -> dict[str, int]:
    """Read the lists of all accounts that were not read for a day; returns what was found."""
    found = {"accounts": 0, "recorded": 0, "unknown": 0, "failed": 0}
    rows = ProviderAccount.objects.filter(enabled=True, stopped_reason="")
    for account_id, provider in rows.order_by("pk").values_list("pk", "provider"):
        if not has_stop_list(provider):
            continue
        position = read_list(account_id=account_id, now=now)
        if position is not None:
            found["accounts"] += 1
            found["recorded"] += position.recorded
            found["unknown"] += position.unknown
            found["failed"] += bool(position.last_error)
    beat("vendor_lists", now, found)
    return found


def read_all_lists(now: datetime) -> dict[str, int]:
    """Read every list now, whenever it was read last: after a restore our dates are a backup's."""
    VendorListPosition.objects.update(next_at=now)
    return read_due_lists(now)


def read_list(*, account_id: int, now: datetime) -> VendorListPosition | None:
    """Read one account's list where it is due; None = not due, or another process reads it."""
    account = account_by_id(account_id)
    if account is None:
        return None
    VendorListPosition.objects.get_or_create(
        account_id=account_id, defaults={"since": now - FIRST_REACH, "next_at": now}
    )
    with transaction.atomic():
        position = (
            VendorListPosition.objects.select_for_update(skip_locked=True)
            .filter(account_id=account_id, next_at__lte=now)
            .first()
        )
        if position is None:
            return None
        # nobody else begins while this reading goes on; a killed one is taken up in an hour
        position.next_at = now + AGAIN_AFTER
        if not position.page:
            position.began_at, position.recorded, position.unknown = now, 0, 0
        position.save()
    try:
        _read(account, position, now)
        position.last_error = ""
    except (IntegrationError, ConfigurationError) as problem:
        facts = {"account_id": account_id, "why": str(problem)}
        logger.warning("vendor_list.not_read", extra=facts)
        position.last_error = str(problem)[:300]
        # a list the vendor will not show is asked for once a day
        position.next_at = now + (
            EVERY if isinstance(problem, ConfigurationError) else _pause(problem)
        )
    position.save()
    return position


def _pause(problem: IntegrationError) -> timedelta:
    wait_s = problem.retry_after_s if isinstance(problem, RateLimited) else None
    return max(AGAIN_AFTER, timedelta(seconds=wait_s or 0))


def _read(account: AccountView, position: VendorListPosition, now: datetime) -> None:
    """Page after page, each stored when its stops are in the ledger."""
    provider = provider_for(account)
    for _ in range(MOST_PAGES):
        request = provider.stop_list_request(position.since, position.page)
        if request is None:
            position.next_at = now + EVERY
            return
        response = run(provider.exchange(request, http_door()))
        found = provider.stop_list(response, position.page)
        _record(account, position, found.receipts, now)
        if not found.next_page:
            position.page, position.next_at = "", now + EVERY
            position.since = (position.began_at or now) - OVERLAP
            position.save()
            return
        if found.next_page == position.page or len(found.next_page) > _LONGEST_PAGE:
            position.page = ""
            raise ConfigurationError(provider.key, "the vendor's list does not go on")
        position.page = found.next_page
        position.save()


def _record(
    account: AccountView,
    position: VendorListPosition,
    receipts: Iterable[Receipt],
    now: datetime,
) -> None:
    config = restaurant_config(account.restaurant_id)
    for receipt in receipts:
        address = vendor_news.find_address(
            sender_group_id=config.sender_group_id,
            channel=account.address_channel(receipt.recipient),
            value=receipt.recipient,
            region=config.country,
        )
        if address is None:
            position.unknown += 1
        elif _apply(account, address, receipt, position.began_at or now):
            position.recorded += 1


def _apply(
    account: AccountView, address: ContactAddress, receipt: Receipt, began_at: datetime
) -> bool:
    """One entry of the list; False = no news."""
    if receipt.error == "unreachable":
        if address.unreachable_at is None:
            consent_services.mark_unreachable(address_id=address.pk, at=began_at)
        return address.unreachable_at is None
    reason = _REASONS.get(receipt.kind) or ("carrier" if receipt.error == "opted_out" else "")
    if not reason or _is_ours(account, address, receipt):
        return False
    if _is_stopped(address):
        return False
    stamp = receipt.vendor_time or began_at
    vendor_news.record_vendor_opt_out(
        address_id=address.pk,
        idempotency_key=f"list:{account.id}:{address.pk}:{receipt.kind}:{stamp.isoformat()}",
        at=stamp,
        reason=reason,
    )
    return True


def _is_stopped(address: ContactAddress) -> bool:
    return Suppression.objects.filter(
        sender_group_id=address.sender_group_id,
        channel=address.channel,
        address_hash=address.address_hash,
        generation=address.generation,
        scope__in=("channel", "all"),
    ).exists()


def _is_ours(account: AccountView, address: ContactAddress, receipt: Receipt) -> bool:
    """Whether we put the entry there, or took it away after the vendor wrote it."""
    told = VendorListPush.objects.filter(
        account_id=account.id, address_id=address.pk, state=PushState.TOLD
    ).order_by("-pk")
    last = told.values_list("is_stopped", "told_at").first()
    if last is None:
        return False
    is_stopped, told_at = last
    if receipt.vendor_time is None or told_at is None:
        return True
    # the vendor dates our stop by its own clock
    return receipt.vendor_time <= told_at + (CLOCK_SLACK if is_stopped else timedelta(0))
