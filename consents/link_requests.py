"""What somebody typed on a public page, answered behind it.

The page stores the request and says the same words whoever it is about; a job looks the address
up, and only an address that may be written to hears of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from consents import locks, manage_links, opt_ins, rates, selectors
from consents.addresses import AddressInvalid, Normalized, address_hashes, normalize
from consents.identity import create_address, current_address
from consents.models import AddressOrigin, ContactAddress, LinkRequest, SenderGroup

#: a request nobody could answer for so long is answered no more: its asker has gone
STALE_AFTER = timedelta(minutes=20)
_MOST_PER_RUN = 2_000
#: the channels a message with a link can be sent by, for what was typed
_WAYS = {"sms": ("sms", "whatsapp"), "email": ("email",)}


def read_typed(typed: str, region: str) -> tuple[str, Normalized]:
    """(channel, value) of a phone number or mailbox as people type it; raises AddressInvalid."""
    channel = "email" if "@" in typed else "sms"
    return channel, normalize(channel, typed, region)


def ask(
    *,
    kind: str,
    sender_group: SenderGroup,
    restaurant_ref: int,
    typed: str,
    region: str,
    caller: str,
    language: str,
    now: datetime,
    notice_version_id: int | None = None,
    evidence: Mapping[str, Any] | None = None,
) -> None:
    """Note that somebody wants a link at the address they typed; raises AddressInvalid.

    ``region`` completes national numbers; ``caller`` is the IP address the request came from.
    Whether the address is known changes nothing here. Over the caller's limit nothing is noted.
    """
    channel, normalized = read_typed(typed, region)
    with transaction.atomic():
        if not rates.take(f"caller|{rates.caller(caller)}", rates.PER_CALLER, now):
            return
        LinkRequest.objects.create(
            kind=kind,
            sender_group=sender_group,
            restaurant_ref=restaurant_ref,
            channel=channel,
            value=normalized.value,
            language=language[:10],
            notice_version_id=notice_version_id,
            evidence=dict(evidence or {}),
            created_at=now,
        )
        transaction.on_commit(_ring)


def _ring() -> None:
    """Ask a worker to look. A lost bell is rung again by the schedule."""
    from kombu.exceptions import OperationalError

    from consents.tasks import answer_link_requests

    try:
        answer_link_requests.apply_async(retry=False)
    except (OperationalError, OSError):
        return


def answer_all(now: datetime) -> int:
    """Answer and delete what is waiting; returns how many messages that made."""
    made = 0
    for _ in range(_MOST_PER_RUN):
        with transaction.atomic():
            request = LinkRequest.objects.select_for_update(skip_locked=True).order_by("pk").first()
            if request is None:
                break
            if now - request.created_at < STALE_AFTER:
                made += _answer(request, now)
            request.delete()
    return made


def _answer(request: LinkRequest, now: datetime) -> bool:
    if request.kind == LinkRequest.Kind.OPT_IN:
        address = _address_to_ask(request, now)
        return (
            address is not None
            and may_write(address, now)
            and opt_ins.open_opt_in(
                address_id=address.pk,
                restaurant_ref=request.restaurant_ref,
                purposes=[opt_ins.ORDER_UPDATES],
                source="portal",
                language=request.language,
                notice_version_id=request.notice_version_id,
                evidence=request.evidence,
                now=now,
            )
        )
    address = _known(request, now)
    if address is None or not may_write(address, now):
        return False
    manage_links.want_link(
        restaurant_ref=request.restaurant_ref,
        address_id=address.pk,
        what="manage",
        ref=0,
        language=request.language,
        at=now,
    )
    return True


def may_write(address: ContactAddress, now: datetime) -> bool:
    """Whether a link may go to the address: not stopped, and within its and everybody's limits."""
    snapshot = selectors.load_snapshot(None, address.pk)
    if any(row.scope in ("channel", "all") for row in snapshot.suppressions):
        return False
    name = f"address|{address.sender_group_id}|{address.address_hash}"
    return rates.take(name, rates.PER_ADDRESS, now) and rates.take("all", rates.GLOBAL, now)


def _known(request: LinkRequest, now: datetime) -> ContactAddress | None:
    for channel in _WAYS[request.channel]:
        hashes = address_hashes(channel, request.value)
        found = current_address(
            sender_group_id=request.sender_group_id, channel=channel, hashes=hashes, at=now
        )
        if found is not None and found.origin != AddressOrigin.MARKETPLACE_RELAY:
            return found
    return None


def _address_to_ask(request: LinkRequest, now: datetime) -> ContactAddress | None:
    """The address that is asked whether it wants to be told; a new row when nobody knows it."""
    try:
        normalized = normalize(request.channel, request.value)
    except AddressInvalid:
        return None
    hashes = address_hashes(request.channel, normalized.value)
    locks.lock_addresses(hashes)
    group, channel = request.sender_group_id, request.channel
    return current_address(
        sender_group_id=group, channel=channel, hashes=hashes, at=now
    ) or create_address(
        sender_group_id=group,
        channel=channel,
        normalized=normalized,
        hashes=hashes,
        origin=AddressOrigin.CUSTOMER,
    )
