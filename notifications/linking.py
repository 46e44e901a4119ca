"""How a guest chooses a way of being told, from the page of an order: chats and browsers."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID

from django.db import transaction
from django.utils.crypto import constant_time_compare, salted_hmac

from consents import chosen
from consents.chosen import Chosen
from integrations.contracts import Channel
from integrations.errors import ConfigurationError
from integrations.providers.pusher import Pusher
from integrations.providers.web_push import WebPush
from notifications.selectors import (
    AccountView,
    RestaurantConfig,
    provider_for,
    restaurant_config,
    webhook_url,
)
from orders import contacts
from orders.models import Order

#: an order older than this links nothing any more: its page may lie in anybody's history
LINKABLE_FOR = timedelta(days=2)
_ID_CHARS, _PROOF_CHARS = 22, 16


@dataclass(frozen=True, slots=True)
class Way:
    """A way the page offers: a chat to open, or the browser itself."""

    channel: str
    #: the deep link of a chat; "" for the browser
    url: str = ""
    #: what a browser subscribes with; "" for chats
    public_key: str = ""


def link_token(public_id: UUID) -> str:
    """What a deep link carries: the order, and proof that we made it. 38 of A-Z a-z 0-9 - _."""
    name = base64.urlsafe_b64encode(public_id.bytes).decode().rstrip("=")
    return name + _proof(name)


def read_link_token(token: str) -> UUID | None:
    """The order a token of ours names; None for anything else."""
    name, proof = token[:_ID_CHARS], token[_ID_CHARS:]
    if not constant_time_compare(proof, _proof(name)):
        return None
    try:
        return UUID(bytes=base64.urlsafe_b64decode(name + "=="))
    except (ValueError, binascii.Error):
        return None


def _proof(name: str) -> str:
    digest = salted_hmac("notifications.linking", name, algorithm="sha256").digest()
    return base64.urlsafe_b64encode(digest).decode()[:_PROOF_CHARS]


def ways(order: Order, now: datetime) -> list[Way]:
    """What the order's page can offer, one way a channel. Accounts come from the cache."""
    config = restaurant_config(order.restaurant_id)
    found: dict[str, Way] = {}
    for account in config.accounts:
        if not account.is_usable(now) or account.channel in found:
            continue
        if (way := _way(account, order.public_id)) is not None:
            found[account.channel] = way
    return list(found.values())


def _way(account: AccountView, public_id: UUID) -> Way | None:
    try:
        provider = provider_for(account)
    except ConfigurationError:
        return None
    if isinstance(provider, WebPush):
        return Way(account.channel, public_key=provider.public_key)
    url = provider.link_url(link_token(public_id))
    return Way(account.channel, url=url) if url else None


@dataclass(frozen=True, slots=True)
class LiveLine:
    """Where an open page hears at once that its order changed."""

    socket_url: str
    channel: str
    auth_url: str


def live_line(order: Order, now: datetime) -> LiveLine | None:
    """The order's private channel, where the restaurant has a realtime account."""
    config = restaurant_config(order.restaurant_id)
    for account in config.accounts_for(Channel.REALTIME, now):
        provider = provider_for(account)
        if isinstance(provider, Pusher):
            channel = f"private-order-{order.public_id}"
            # the page's own host: a browser on another name of ours must not be refused
            auth_url = urlsplit(webhook_url(account.token)).path
            return LiveLine(provider.socket_url, channel, auth_url)
    return None


def browser_account(config: RestaurantConfig, now: datetime) -> AccountView | None:
    """The account whose key the page's browsers subscribe with."""
    return next(iter(config.accounts_for(Channel.WEB_PUSH, now)), None)


@transaction.atomic
def choose(
    *, order: Order, account: AccountView, value: str, key: str, now: datetime
) -> Chosen | None:
    """The guest of ``order`` wants news at ``value``; None when the order is too old for it.

    ``key`` names the act (a message, a subscription): the same again changes nothing. Raises
    AddressInvalid.
    """
    order = Order.objects.select_for_update().get(pk=order.pk)
    if not order.is_open and now - order.created_at > LINKABLE_FOR:
        return None
    found = chosen.choose_way(
        sender_group_id=restaurant_config(order.restaurant_id).sender_group_id,
        subject_id=order.subject_id,
        channel=account.channel,
        value=value,
        bound_to=account.token,
        at=now,
        idempotency_key=f"way:{account.id}:{key}"[:200],
        evidence={"order": str(order.public_id), "way": account.channel},
    )
    contacts.settle_chosen(order, found.subject_id)
    return found
