"""The life of one call of a source: stored before it is believed, then read and applied.

A call is stored in a commit of its own. Whatever happens afterwards (a crash included) it can be
read again from the row, and reading it twice changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import DataError, InterfaceError, OperationalError, transaction
from django.db.models import F

from integrations import contracts
from integrations.contracts import FollowUp, OrderUpdate
from integrations.errors import EventIgnored, PayloadMalformed
from integrations.payloads import key_within
from orders import follow_ups, intake
from orders.models import InboundCall, ParkedUpdate, SourceAccount
from orders.news import CAUSE_CHARS, sum_up
from orders.selectors import as_received, source_for
from orders.statements import insert_or_ignore, update_rows

logger = logging.getLogger(__name__)

#: never stored: credentials, and what proxies add
_DROPPED_HEADERS = frozenset(
    {
        *("authorization", "cookie", "proxy-authorization"),
        *("forwarded", "x-forwarded-for", "x-real-ip"),
    }
)
#: a call still unread after this was abandoned by its process
ABANDONED = timedelta(seconds=5)
#: how the cause of a call begins that no reading will ever help
UNREADABLE = "unreadable: "
_DEADLOCK = "40P01"


@dataclass(frozen=True, slots=True)
class Stored:
    """A call as it is in the database now."""

    row: InboundCall
    is_new: bool
    #: another body came under a key we already have; the first one counts
    is_conflict: bool = False


def store_call(*, account: SourceAccount, call: contracts.InboundCall, event_key: str) -> Stored:
    """Insert the verified ``call`` unless its key is known. Commits by itself."""
    source = source_for(account)
    key, fingerprint = key_within(event_key), source.fingerprint(call)
    row = InboundCall(
        account=account,
        event_key=key,
        body=source.body_to_store(call),
        headers={
            name: value for name, value in call.headers.items() if name not in _DROPPED_HEADERS
        },
        body_hash=fingerprint,
        state="received",
        received_at=call.received_at,
    )
    names = ("account", "event_key", "body", "headers", "body_hash", "state", "cause")
    values = {name: getattr(row, name) for name in (*names, "received_at", "conflicting_bodies")}
    row.pk = insert_or_ignore(InboundCall, values)
    if row.pk is not None:
        return Stored(row, is_new=True)
    known = InboundCall.objects.get(account=account, event_key=key)
    is_conflict = known.body_hash != fingerprint
    if is_conflict:
        InboundCall.objects.filter(pk=known.pk, conflicting_bodies__lt=32_000).update(
            conflicting_bodies=F("conflicting_bodies") + 1
        )
    return Stored(known, is_new=False, is_conflict=is_conflict)


def process_call(
    *, account: SourceAccount, row: InboundCall, call: contracts.InboundCall, now: datetime
) -> str:
    """Read a stored call and apply what it says; returns the state it ends in.

    Bad content ends as quarantined with its cause, our own bugs as failed and logged. Only a
    database that is gone (OperationalError, InterfaceError) is raised: the call stays received.
    """
    try:
        return _apply_call(account, row, call, now)
    except EventIgnored as ignored:
        return _settle(row, "ignored", str(ignored), now)
    except PayloadMalformed as problem:
        return _settle(row, "quarantined", UNREADABLE + str(problem), now)
    except DataError:
        logger.warning("orders.call_unstorable", extra={"call_id": row.pk}, exc_info=True)
        return _settle(row, "quarantined", "a value is too long or too large to keep", now)
    except (OperationalError, InterfaceError):
        raise
    except Exception as bug:
        logger.exception("orders.call_failed", extra={"call_id": row.pk})
        return _settle(row, "failed", f"our mistake: {type(bug).__name__}", now)


def _apply_call(
    account: SourceAccount, row: InboundCall, call: contracts.InboundCall, now: datetime
) -> str:
    found = source_for(account).parse(call)
    try:
        return _apply_found(account, row, found, now)
    except OperationalError as error:
        # two calls met in the wrong order; the database picked one, and once more is enough
        if getattr(error.__cause__, "pgcode", "") != _DEADLOCK:
            raise
        return _apply_found(account, row, found, now)


def _apply_found(
    account: SourceAccount,
    row: InboundCall,
    found: Sequence[OrderUpdate | FollowUp],
    now: datetime,
) -> str:
    updates = [entry for entry in found if isinstance(entry, OrderUpdate)]
    asked = [entry for entry in found if isinstance(entry, FollowUp)]
    is_single = len(updates) == 1 and not asked
    with transaction.atomic():
        # by order, so that two batches lock the same orders in the same sequence
        ends = [
            intake.apply_update(
                account=account,
                update=update,
                call=row,
                received_at=row.received_at,
                now=now,
                settle_call=is_single,
            )
            for update in sorted(updates, key=lambda update: update.order_id)
        ]
        for follow_up in asked:
            follow_ups.ask(account=account, call=row, follow_up=follow_up, now=now)
        if not is_single:
            update_rows((row, sum_up(ends, is_waiting=bool(asked), at=now)))
    return row.state


def _settle(row: InboundCall, state: str, cause: str, now: datetime) -> str:
    update_rows((row, {"state": state, "cause": cause[:CAUSE_CHARS], "settled_at": now}))
    return row.state


def replay_call(*, row: InboundCall, now: datetime) -> str:
    """Read a stored call again, for example after a manager mapped a state. Returns its state.

    What an earlier reading parked makes way for what this one finds.
    """
    account = SourceAccount.objects.select_related("restaurant").get(pk=row.account_id)
    with transaction.atomic():
        if row.state == "parked":
            ParkedUpdate.objects.filter(call=row).delete()
        return process_call(account=account, row=row, call=as_received(row, account), now=now)


def recover_calls(*, now: datetime, limit: int = 200) -> int:
    """Read calls whose process died between storing and applying. Returns how many."""
    abandoned = InboundCall.objects.filter(state="received", received_at__lt=now - ABANDONED)
    rows = list(abandoned.order_by("received_at")[:limit])
    for row in rows:
        replay_call(row=row, now=now)
    return len(rows)
