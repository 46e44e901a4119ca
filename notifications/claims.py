"""The SQL of dispatch, first half: claim rows of the outbox and load what their messages need.

Two transactions on purpose: the claim commits before the flip takes the address locks. Held
together they would deadlock with a withdrawal, which takes the lock first and the rows second.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection

from notifications.context import PartFacts

# materialized: as a plain subquery the planner may run it again for every row it updates, and two
# workers then chase each other's locks for seconds
_CLAIM = """
WITH due AS MATERIALIZED (
    SELECT c.id FROM notifications_delivery c
    WHERE c.account_id = %(account)s AND c.state = 'queued' AND c.due_at <= %(now)s
      AND NOT c.is_erased
      AND NOT EXISTS (
          SELECT 1 FROM notifications_delivery e
          WHERE e.lane = c.lane AND e.id < c.id AND e.state IN ('queued', 'claimed', 'sending'))
    ORDER BY c.due_at LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
UPDATE notifications_delivery d
SET state = 'claimed', lease_until = %(lease)s
WHERE d.id IN (SELECT id FROM due) AND d.state = 'queued'
RETURNING d.id
"""

_BUDGET = """
UPDATE notifications_provideraccount
SET budget_tokens = GREATEST(LEAST(tokens, 0), tokens - wanted), budget_at = %(now)s
FROM (
    SELECT id AS account, LEAST(%(burst)s, CASE WHEN budget_at IS NULL THEN %(burst)s
        ELSE budget_tokens + %(rate)s * EXTRACT(EPOCH FROM %(now)s - budget_at) END) AS tokens,
        %(wanted)s::float AS wanted
    FROM notifications_provideraccount WHERE id = %(account)s FOR UPDATE
) b
WHERE id = b.account
RETURNING LEAST(b.wanted, floor(b.tokens))
"""

_LOAD = """
SELECT d.id, d.channel, d.step, d.tries, d.address_id, d.expires_at, d.overtaken_by_withdrawal,
       d.created_at,
       n.id, n.kind, n.milestone, n.purpose, n.is_critical, n.is_urgent, n.audience,
       n.subject_id, n.merged_events,
       e.data, e.part_ref, coalesce(e.held, ''),
       o.id, o.public_id, o.display, o.state, o.flags, o.fulfillment, o.is_scheduled,
       o.promised_at, o.est_ready_at, o.est_delivery_at,
       coalesce((o.watch->>'estimate_at')::timestamptz, o.told_at), o.detail, o.location_id,
       a.value, a.masked, a.address_hash, s.name, s.locale,
       d.lane, coalesce(a.channel, ''), a.window_until, e.occurred_at,
       a.public_id
FROM notifications_delivery d
JOIN notifications_notification n ON n.id = d.notification_id
LEFT JOIN orders_orderevent e ON e.id = n.event_id
LEFT JOIN orders_order o ON o.id = n.order_id
LEFT JOIN consents_contactaddress a ON a.id = d.address_id
LEFT JOIN consents_subject s ON s.id = n.subject_id
WHERE d.id = ANY(%s) ORDER BY d.id
"""

_PARTS = """
SELECT order_id, label, state, est_ready_at FROM orders_part
WHERE order_id = ANY(%s) AND state <> 'removed' ORDER BY order_id, position, id
"""
_ITEMS = """
SELECT order_id, quantity, label FROM orders_item WHERE order_id = ANY(%s)
ORDER BY order_id, position, id
"""


@dataclass(slots=True)
class Row:
    """One claimed delivery with everything its message needs."""

    id: int
    channel: str
    step: int
    tries: int
    address_id: int | None
    expires_at: datetime
    is_overtaken: bool
    created_at: datetime
    notification_id: UUID
    kind: str
    milestone: str
    purpose: str
    is_critical: bool
    is_urgent: bool
    audience: str
    subject_id: UUID | None
    merged: list[dict[str, str]]
    event_data: dict[str, Any]
    part_ref: str
    held: str
    order_id: int | None
    order_public_id: UUID | None
    display: str
    order_state: str
    flags: list[str]
    fulfillment: str
    is_scheduled: bool
    promised_at: datetime | None
    est_ready_at: datetime | None
    est_delivery_at: datetime | None
    expected_at: datetime | None
    detail: dict[str, Any]
    location_id: int | None
    address_token: bytes | None
    masked: str
    address_hash: str
    name_token: bytes | None
    locale: str
    lane: str
    #: the kind of the address: a CRM's message goes to a mailbox
    address_channel: str
    window_until: datetime | None
    #: when the event happened; None for messages about no event
    occurred_at: datetime | None = None
    #: what links name the address by; None where no person's address is written to
    address_public_id: UUID | None = None
    parts: tuple[PartFacts, ...] = ()
    items: tuple[str, ...] = ()
    #: vendor id of what this message adds to or changes, where the vendor can
    earlier_id: str = ""
    #: the id the account's own source gave the order
    source_order_id: str = ""


def claim(*, account_id: int, limit: int, now: datetime, lease_s: int) -> list[int]:
    """Take up to ``limit`` due rows of one account, heads of their lanes only."""
    with connection.cursor() as cursor:
        cursor.execute(
            _CLAIM,
            {
                "account": account_id,
                "now": now,
                "limit": limit,
                "lease": now + timedelta(seconds=lease_s),
            },
        )
        return [row[0] for row in cursor.fetchall()]


def take_budget(*, account_id: int, rate_per_s: float, wanted: int, now: datetime) -> int:
    """Tokens of the account's shared bucket we may use now, at most ``wanted``.

    The bucket holds one second of the rate (at least one token) and lives in the account row,
    so every worker draws from the same one. Below zero = what is owed: the vendor wants a pause.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _BUDGET,
            {
                "account": account_id,
                "rate": rate_per_s,
                "burst": max(1.0, rate_per_s),
                "wanted": wanted,
                "now": now,
            },
        )
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def pause_budget(*, account_id: int, rate_per_s: float, seconds: float, now: datetime) -> None:
    """Owe so many tokens that nothing leaves for ``seconds``; a longer pause stays."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE notifications_provideraccount SET budget_at = %(now)s, budget_tokens = LEAST("
            " -%(rate)s * %(seconds)s, CASE WHEN budget_at IS NULL THEN 0 ELSE budget_tokens"
            " + %(rate)s * EXTRACT(EPOCH FROM %(now)s - budget_at) END) WHERE id = %(account)s",
            {"account": account_id, "rate": rate_per_s, "seconds": seconds, "now": now},
        )


def give_back_budget(*, account_id: int, tokens: int) -> None:
    """Return tokens for which nothing was due."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE notifications_provideraccount SET budget_tokens = budget_tokens + %s"
            " WHERE id = %s",
            [tokens, account_id],
        )


def load(ids: Sequence[int]) -> list[Row]:
    """The claimed rows with their orders, parts and items: three queries."""
    with connection.cursor() as cursor:
        cursor.execute(_LOAD, [list(ids)])
        rows = [_row(values) for values in cursor.fetchall()]
        orders = list({row.order_id for row in rows if row.order_id is not None})
        if not orders:
            return rows
        parts: dict[int, list[PartFacts]] = {}
        cursor.execute(_PARTS, [orders])
        for order_id, label, state, est_ready_at in cursor.fetchall():
            parts.setdefault(order_id, []).append(PartFacts(label, state, est_ready_at))
        items: dict[int, list[str]] = {}
        cursor.execute(_ITEMS, [orders])
        for order_id, quantity, label in cursor.fetchall():
            items.setdefault(order_id, []).append(f"{plain(quantity)} x {label}")
    for row in rows:
        if row.order_id is not None:
            row.parts = tuple(parts.get(row.order_id, ()))
            row.items = tuple(items.get(row.order_id, ()))
    return rows


_EARLIER = """
SELECT DISTINCT ON (d.lane) d.lane, d.vendor_id
FROM notifications_notification n JOIN notifications_delivery d ON d.notification_id = n.id
WHERE n.order_id = ANY(%s) AND d.account_id = %s AND d.lane = ANY(%s) AND d.vendor_id <> ''
ORDER BY d.lane, d.id DESC
"""


_SAID_IN = """
SELECT id, thread FROM notifications_inboundmessage
WHERE id = ANY(%s::uuid[]) AND account_id = %s AND thread <> ''
"""
#: kinds whose milestone ends with the id of the words they are about
_ABOUT_WORDS = frozenset({"status_requested", "reply", "customer_message"})


def earlier_ids(rows: Sequence[Row], *, account_id: int) -> dict[int, str]:
    """Row -> vendor id of what its message adds to or changes, at this account.

    What answers a person goes into the conversation they wrote in; anything else to the newest
    message that left in its lane. At most two queries.
    """
    newest = _newest_in_lanes(rows, account_id)
    found = {row.id: newest[row.lane] for row in rows if row.lane in newest}
    return found | _said_in(rows, account_id)


def _newest_in_lanes(rows: Sequence[Row], account_id: int) -> dict[str, str]:
    orders = list({row.order_id for row in rows if row.order_id is not None})
    if not orders:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_EARLIER, [orders, account_id, list({row.lane for row in rows})])
        return dict(cursor.fetchall())


def _said_in(rows: Sequence[Row], account_id: int) -> dict[int, str]:
    asked = {row.id: said for row in rows if (said := _words_of(row)) is not None}
    if not asked:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_SAID_IN, [[str(said) for said in asked.values()], account_id])
        threads: dict[UUID, str] = dict(cursor.fetchall())
    return {row_id: threads[said] for row_id, said in asked.items() if said in threads}


def _words_of(row: Row) -> UUID | None:
    """The inbound message ``row`` is about."""
    if row.kind not in _ABOUT_WORDS:
        return None
    try:
        return UUID(row.milestone.rpartition(":")[2])
    except ValueError:
        return None


def plain(quantity: Decimal) -> str:
    """2, 1.5: a quantity without trailing zeros."""
    return f"{quantity.normalize():f}"


def _row(values: Sequence[Any]) -> Row:
    row = Row(*values)
    row.merged = _loads(row.merged, [])
    row.event_data = _loads(row.event_data, {})
    row.detail = _loads(row.detail, {})
    row.display = row.display or ""
    row.flags = row.flags or []
    row.masked = row.masked or ""
    row.address_hash = row.address_hash or ""
    row.locale = row.locale or ""
    return row


def _loads(value: Any, empty: Any) -> Any:
    if value is None:
        return empty
    return json.loads(value) if isinstance(value, str) else value
