"""Double opt-in: nothing is granted until whoever holds the address says so from there.

An opt-in is open for a day, reminds once and ends without a word. Its token is made from a key and
the row, so that the reminder carries the same link and no readable token is stored.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from consents import manage_links, services
from consents.models import ConsentAction, ContactAddress, OptIn, Purpose
from consents.selectors import load_snapshot

ORDER_UPDATES = Purpose.ORDER_UPDATES
OPEN_FOR = timedelta(hours=24)
#: one reminder, this long after the request
REMIND_AFTER = timedelta(hours=18)
_BATCH = 500


@transaction.atomic
def open_opt_in(
    *,
    address_id: int,
    restaurant_ref: int,
    purposes: Iterable[str],
    source: str,
    language: str,
    now: datetime,
    subject_id: UUID | None = None,
    notice_version_id: int | None = None,
    evidence: Mapping[str, Any] | None = None,
) -> bool:
    """Ask at the address whether it wants ``purposes``; True when a message goes out for it.

    Records ``pending`` and announces the request. A stopped address is not asked, and one that is
    being asked is not asked twice.
    """
    address = ContactAddress.objects.get(pk=address_id)
    wanted = sorted({str(purpose) for purpose in purposes})
    if is_stopped(address) or _open(now).filter(address=address, purposes=wanted).exists():
        return False
    nonce = uuid4().hex
    opt_in = OptIn.objects.create(
        token_hash=nonce,
        address=address,
        subject_ref=subject_id,
        purposes=wanted,
        notice_version_id=notice_version_id,
        language=language[:10],
        restaurant_ref=restaurant_ref,
        source=source,
        created_at=now,
        expires_at=now + OPEN_FOR,
    )
    opt_in.token_hash = _hash(_token(opt_in, settings.LINK_SIGNING_KEYS[0]))
    opt_in.save(update_fields=["token_hash"])
    for purpose in wanted:
        services.record_consent(
            address_id=address.pk,
            purpose=purpose,
            action=ConsentAction.PENDING,
            source=source,
            occurred_at=now,
            now=now,
            idempotency_key=f"opt-in:{nonce}:{purpose}:pending",
            subject_id=subject_id,
            notice_version_id=notice_version_id,
            language=language,
            valid_until=opt_in.expires_at,
            evidence=evidence,
        )
    _announce(opt_in, "opt_in", now)
    return True


def is_stopped(address: ContactAddress) -> bool:
    """The whole channel is stopped: nothing goes there, not even a question."""
    stops = load_snapshot(None, address.pk).suppressions
    return any(row.scope in ("channel", "all") for row in stops)


def token_of(opt_in_id: int) -> str | None:
    """The token of an opt-in that is still open; None when its key or the row is gone."""
    opt_in = OptIn.objects.filter(pk=opt_in_id, confirmed_at=None).first()
    if opt_in is None:
        return None
    tokens = (_token(opt_in, key) for key in settings.LINK_SIGNING_KEYS)
    return next((token for token in tokens if _hash(token) == opt_in.token_hash), None)


def find_open(token: str, now: datetime) -> OptIn | None:
    """The open opt-in a token belongs to."""
    rows = _open(now).select_related("address__sender_group", "notice_version")
    return rows.filter(token_hash=_hash(token)).first()


@transaction.atomic
def confirm(token: str, now: datetime, evidence: Mapping[str, Any] | None = None) -> OptIn | None:
    """Whoever holds the address says yes: ``confirmed`` and ``granted``. None = no open opt-in.

    A stop said in between stands: it ends by START, not by an older question.
    """
    rows = _open(now).select_related("address").select_for_update(of=("self",))
    opt_in = rows.filter(token_hash=_hash(token)).first()
    if opt_in is None or is_stopped(opt_in.address):
        return None
    for purpose in opt_in.purposes:
        for action in (ConsentAction.CONFIRMED, ConsentAction.GRANTED):
            services.record_consent(
                address_id=opt_in.address_id,
                purpose=purpose,
                action=action,
                source="portal",
                occurred_at=now,
                now=now,
                idempotency_key=f"opt-in:{opt_in.token_hash}:{purpose}:{action}",
                subject_id=opt_in.subject_ref,
                notice_version_id=opt_in.notice_version_id,
                language=opt_in.language,
                evidence=evidence if action == ConsentAction.CONFIRMED else None,
            )
    opt_in.confirmed_at = now
    opt_in.save(update_fields=["confirmed_at"])
    return opt_in


def remind_and_expire(now: datetime) -> dict[str, int]:
    """Remind those nobody answered, once, and end those whose day is over, silently."""
    reminded = expired = 0
    due = _open(now).filter(reminded_at=None, created_at__lte=now - REMIND_AFTER)
    for pk in list(due.values_list("pk", flat=True)[:_BATCH]):
        with transaction.atomic():
            opt_in = due.select_for_update(skip_locked=True, of=("self",)).filter(pk=pk).first()
            if opt_in is None:
                continue
            OptIn.objects.filter(pk=pk).update(reminded_at=now)
            if not is_stopped(opt_in.address):
                _announce(opt_in, "opt_in_reminder", now)
                reminded += 1
    over = OptIn.objects.filter(confirmed_at=None, expires_at__lte=now)
    for pk in list(over.values_list("pk", flat=True)[:_BATCH]):
        with transaction.atomic():
            opt_in = over.select_for_update(skip_locked=True, of=("self",)).filter(pk=pk).first()
            if opt_in is not None:
                _expire(opt_in, now)
                expired += 1
    return {"reminded": reminded, "expired": expired}


def _expire(opt_in: OptIn, now: datetime) -> None:
    states = load_snapshot(None, opt_in.address_id).states
    # what was granted in another way meanwhile does not end with the question
    for purpose in (p for p in opt_in.purposes if p in states and states[p].state == "pending"):
        services.record_consent(
            address_id=opt_in.address_id,
            purpose=purpose,
            action=ConsentAction.EXPIRED,
            source="policy",
            actor_type="system",
            reason="user",
            occurred_at=opt_in.expires_at,
            now=now,
            idempotency_key=f"opt-in:{opt_in.token_hash}:{purpose}:expired",
            subject_id=opt_in.subject_ref,
        )
    # the ledger keeps what happened; the question itself is personal data without a use
    opt_in.delete()


def _announce(opt_in: OptIn, what: str, now: datetime) -> None:
    if opt_in.restaurant_ref is None:
        return
    manage_links.want_link(
        restaurant_ref=opt_in.restaurant_ref,
        address_id=opt_in.address_id,
        what=what,
        ref=opt_in.pk,
        language=opt_in.language,
        at=now,
    )


def _open(now: datetime) -> QuerySet[OptIn]:
    return OptIn.objects.filter(confirmed_at=None, expires_at__gt=now)


def _token(opt_in: OptIn, key: str) -> str:
    """256 bits that only a holder of the key can make."""
    said = f"opt-in|{opt_in.pk}|{opt_in.created_at.timestamp():.6f}"
    digest = hmac.new(key.encode(), said.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
