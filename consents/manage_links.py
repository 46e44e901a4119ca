"""Links that open the preferences of one address: made when the message leaves, used up once."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.core import signing
from django.db import transaction
from django.db.models import QuerySet

from consents import services
from consents.models import ContactAddress, ManageLink
from consents.signals import link_wanted

LINK_LIFE = timedelta(minutes=20)
SESSION_LIFE = timedelta(minutes=30)
#: used and dead links are kept this long, so that a second press can be told from a forgery
KEPT = timedelta(hours=24)
_SALT = "consents.manage_links.session"


def issue(*, address_id: int, now: datetime) -> str:
    """A new link's token, 256 random bits; only its SHA-256 is stored."""
    token = secrets.token_urlsafe(32)
    ManageLink.objects.create(
        token_hash=_hash(token),
        address_id=address_id,
        created_at=now,
        expires_at=now + LINK_LIFE,
    )
    return token


def want_link(
    *, address_id: int, restaurant_ref: int, what: str, ref: int, language: str, at: datetime
) -> None:
    """Announce that a link may leave for the address. See ``signals.link_wanted``."""
    link_wanted.send(
        sender=ManageLink,
        restaurant_ref=restaurant_ref,
        address_id=address_id,
        what=what,
        ref=ref,
        language=language,
        at=at,
    )


def is_usable(token: str, now: datetime) -> bool:
    """Whether a press of the button would open anything. Changes nothing: scanners look too."""
    return _usable(token, now).exists()


@transaction.atomic
def use(token: str, now: datetime) -> ContactAddress | None:
    """Use the link up; whoever had it holds the address. None = wrong, used or too old."""
    link = _usable(token, now).select_for_update().first()
    if link is None:
        return None
    ManageLink.objects.filter(pk=link.pk).update(used_at=now)
    services.verify_address(address_id=link.address_id, at=now, by="portal")
    return ContactAddress.objects.get(pk=link.address_id)


def _usable(token: str, now: datetime) -> QuerySet[ManageLink]:
    return ManageLink.objects.filter(token_hash=_hash(token), used_at=None, expires_at__gt=now)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def forget_links(now: datetime) -> int:
    """Delete links a day after they ended; returns how many."""
    return ManageLink.objects.filter(expires_at__lt=now - KEPT).delete()[0]


@dataclass(frozen=True, slots=True)
class Session:
    """Half an hour in which one address is proven."""

    address: UUID
    until: datetime


def start_session(address: ContactAddress, now: datetime) -> str:
    """The value of the cookie: signed, without the address itself."""
    said = {
        "address": str(address.public_id),
        "until": (now + SESSION_LIFE).isoformat(),
    }
    return signing.dumps(json.dumps(said), salt=_SALT)


def read_session(cookie: str, now: datetime) -> Session | None:
    """The session a cookie of ours starts; None when it is forged or over."""
    try:
        said = json.loads(signing.loads(cookie, salt=_SALT))
        found = Session(UUID(said["address"]), datetime.fromisoformat(said["until"]))
    except (signing.BadSignature, ValueError, KeyError, TypeError):
        return None
    return found if now < found.until else None
