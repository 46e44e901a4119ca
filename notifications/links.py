"""The addresses of pages that messages carry."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.conf import settings

from consents import link_tokens, manage_links, opt_ins
from notifications.claims import Row

#: the kind of a message that only carries a link somebody asked for
KIND = "link"


class LinkGone(Exception):
    """What the link would open has ended: confirmed already, over, or erased."""


def order_url(public_id: UUID | None) -> str:
    """The customer's page of an order."""
    return f"{settings.PUBLIC_URL}/o/{public_id}/" if public_id else ""


def acknowledge_url(notification_id: UUID) -> str:
    """The page where staff say "seen"; its unguessable id can only ever acknowledge."""
    return f"{settings.PUBLIC_URL}/ack/{notification_id}/"


def manage_url(slug: str) -> str:
    """Where a customer asks for the link to all their choices. It names nobody."""
    return f"{settings.PUBLIC_URL}/preferences/{slug}/" if slug else ""


def unsubscribe_url(row: Row, attempt_id: UUID) -> str:
    """One press that stops what ``row`` is; "" for messages that reach no customer's address."""
    if row.address_public_id is None or row.audience != "customer":
        return ""
    purpose = link_tokens.stops(row.purpose)
    link = link_tokens.UnsubscribeLink(row.address_public_id, purpose, attempt_id)
    return f"{settings.PUBLIC_URL}/u/{link_tokens.sign(link)}/"


def confirm_url(row: Row, restaurant_id: int, now: datetime) -> str:
    """The secret link a message of kind "link" is about; "" for other kinds.

    Made here, when the message is put together, so that no token waits in a row. Raises LinkGone.
    """
    if row.kind != KIND or row.address_id is None:
        return ""
    what, ref, _ = row.milestone.split(":")
    if what == "manage":
        token = manage_links.issue(address_id=row.address_id, now=now)
        return f"{settings.PUBLIC_URL}/p/{restaurant_id}/{token}/"
    found = opt_ins.token_of(int(ref))
    if found is None:
        raise LinkGone(what)
    return f"{settings.PUBLIC_URL}/c/{restaurant_id}/{found}/"
