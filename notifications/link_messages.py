"""Queueing the message with a link somebody asked for, on the restaurant's own accounts."""

from __future__ import annotations

import logging
from datetime import datetime

from consents.models import ContactAddress
from notifications import defaults, links, outbox, routing
from notifications.selectors import RestaurantConfig, restaurant_config
from orders.models import Restaurant

logger = logging.getLogger(__name__)

_PURPOSE = "security"


def queue_link(
    *, restaurant_ref: int, address_id: int, what: str, ref: int, language: str, at: datetime
) -> bool:
    """Queue one message of kind "link"; False when no account of the restaurant reaches there.

    Its milestone says "what:ref:language"; the secret is made when the message leaves.
    """
    address = ContactAddress.objects.defer("value").get(pk=address_id)
    config = restaurant_config(restaurant_ref)
    account = next(
        (
            account
            for account in config.accounts_for(address.channel, at)
            if account.reaches(address.channel, address.bound_to)
        ),
        None,
    )
    if account is None or config.sender_group_id != address.sender_group_id:
        logger.warning("link.no_account", extra={"restaurant_id": restaurant_ref, "what": what})
        return False
    _need_words(config, what, address.channel)
    outbox.queue_answer(
        restaurant_id=config.id,
        account_id=account.id,
        address=address,
        channel=account.channel,
        kind=links.KIND,
        milestone=f"{what}:{ref}:{language}",
        purpose=_PURPOSE,
        trace=[{"step": "link", "verdict": "asked for", "why": what}],
        expires_at=at + routing.lifetime(links.KIND),
        now=at,
    )
    return True


def _need_words(config: RestaurantConfig, what: str, channel: str) -> None:
    """A restaurant that began before there were such messages gets their words now."""
    trigger = f"{links.KIND}:{what}"
    found = config.template(
        trigger=trigger,
        audience="customer",
        channel=channel,
        language=config.language,
        location_id=None,
    )
    if found is None:
        defaults.install_words(Restaurant.objects.get(pk=config.id), trigger)
