"""The SQL of dispatch: claim, load, flip to sending, record. A handful of round trips a batch.

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
SET budget_tokens = GREATEST(0, tokens - wanted), budget_at = %(now)s
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
       o.promised_at, o.est_ready_at, o.est_delivery_at, o.told_at, o.detail, o.location_id,
       a.value, a.masked, a.address_hash, s.name, s.locale
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

_FLIP = """
WITH flips AS (
    SELECT * FROM unnest(%(ids)s::bigint[], %(attempts)s::uuid[], %(versions)s::bigint[],
                         %(basis)s::jsonb[]) AS f(id, attempt, version, basis)
), flipped AS (
    UPDATE notifications_delivery d
    SET state = 'sending', attempt = f.attempt, tries = d.tries + 1, lease_until = %(lease)s,
        template_version_id = f.version, consent_checked_at = %(now)s, consent_basis = f.basis
    FROM flips f
    WHERE d.id = f.id AND d.state = 'claimed'
    RETURNING d.id, d.attempt, d.account_id, d.tries
)
INSERT INTO notifications_attempt (id, delivery_id, account_id, number, started_at, outcome,
                                   vendor_code, vendor_id, detail, segments)
SELECT attempt, id, account_id, tries, %(now)s, '', '', '', '', 0 FROM flipped
RETURNING delivery_id
"""

_END = """
UPDATE notifications_delivery d
SET state = f.state, reason = f.reason, settled_at = %(now)s, lease_until = NULL
FROM unnest(%(ids)s::bigint[], %(states)s::text[], %(reasons)s::text[]) AS f(id, state, reason)
WHERE d.id = f.id AND d.state = 'claimed'
"""

_DEFER = """
UPDATE notifications_delivery d
SET state = 'queued', due_at = f.due, reason = f.reason, lease_until = NULL
FROM unnest(%(ids)s::bigint[], %(dues)s::timestamptz[], %(reasons)s::text[]) AS f(id, due, reason)
WHERE d.id = f.id AND d.state = 'claimed'
"""

# a receipt may have come before our own record: it only ever moves a row forward
_RECORD = """
WITH r AS (
    SELECT * FROM unnest(%(attempts)s::uuid[], %(outcomes)s::text[], %(statuses)s::int[],
        %(codes)s::text[], %(vendor_ids)s::text[], %(details)s::text[], %(durations)s::int[],
        %(segments)s::int[], %(states)s::text[], %(reasons)s::text[], %(dues)s::timestamptz[])
        AS r(attempt, outcome, status, code, vendor_id, detail, duration, segments, state,
             reason, due)
), tried AS (
    UPDATE notifications_attempt a
    SET outcome = r.outcome, http_status = r.status, vendor_code = r.code,
        vendor_id = r.vendor_id, detail = r.detail, duration_ms = r.duration,
        segments = r.segments, finished_at = %(now)s
    FROM r WHERE a.id = r.attempt
)
UPDATE notifications_delivery d
SET state = CASE WHEN d.state = 'sending' THEN r.state ELSE d.state END,
    reason = r.reason,
    vendor_id = CASE WHEN r.vendor_id <> '' THEN r.vendor_id ELSE d.vendor_id END,
    due_at = coalesce(r.due, d.due_at),
    lease_until = NULL,
    settled_at = CASE WHEN r.state = 'queued' THEN NULL ELSE %(now)s END
FROM r
WHERE d.attempt = r.attempt AND d.id = ANY(%(ids)s)
  AND d.state IN ('sending', 'delivered', 'read', 'unknown')
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
    told_at: datetime | None
    detail: dict[str, Any]
    location_id: int | None
    address_token: bytes | None
    masked: str
    address_hash: str
    name_token: bytes | None
    locale: str
    parts: tuple[PartFacts, ...] = ()
    items: tuple[str, ...] = ()


@dataclass(slots=True)
class Recorded:
    """What one finished attempt writes."""

    delivery_id: int
    attempt_id: UUID
    outcome: str
    state: str
    reason: str = ""
    status: int | None = None
    code: str = ""
    vendor_id: str = ""
    detail: str = ""
    duration_ms: int = 0
    segments: int = 0
    due_at: datetime | None = None


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
    so every worker draws from the same one.
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


def flip_to_sending(
    *,
    ids: Sequence[int],
    attempts: Sequence[UUID],
    versions: Sequence[int | None],
    basis: Sequence[str],
    now: datetime,
    lease_s: int,
) -> set[int]:
    """Flip claimed rows to sending and insert their attempts; returns the ids that flipped.

    A row that a withdrawal cancelled in between does not flip, and so is never sent.
    """
    if not ids:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            _FLIP,
            {
                "ids": list(ids),
                "attempts": [str(a) for a in attempts],
                "versions": list(versions),
                "basis": list(basis),
                "now": now,
                "lease": now + timedelta(seconds=lease_s),
            },
        )
        return {row[0] for row in cursor.fetchall()}


def end_claimed(ended: Sequence[tuple[int, str, str]], now: datetime) -> None:
    """End claimed rows unsent: (delivery id, state, reason)."""
    if ended:
        with connection.cursor() as cursor:
            cursor.execute(
                _END,
                {
                    "ids": [e[0] for e in ended],
                    "states": [e[1] for e in ended],
                    "reasons": [e[2][:60] for e in ended],
                    "now": now,
                },
            )


def defer_claimed(deferred: Sequence[tuple[int, datetime, str]]) -> None:
    """Put claimed rows back with a later due time: (delivery id, due, reason)."""
    if deferred:
        with connection.cursor() as cursor:
            cursor.execute(
                _DEFER,
                {
                    "ids": [d[0] for d in deferred],
                    "dues": [d[1] for d in deferred],
                    "reasons": [d[2][:60] for d in deferred],
                },
            )


def record(results: Sequence[Recorded], now: datetime) -> None:
    """Write finished attempts and their deliveries in one statement."""
    if not results:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            _RECORD,
            {
                "ids": [r.delivery_id for r in results],
                "attempts": [str(r.attempt_id) for r in results],
                "outcomes": [r.outcome for r in results],
                "statuses": [r.status for r in results],
                "codes": [r.code[:60] for r in results],
                "vendor_ids": [r.vendor_id[:200] for r in results],
                "details": [r.detail[:200] for r in results],
                "durations": [r.duration_ms for r in results],
                "segments": [r.segments for r in results],
                "states": [r.state for r in results],
                "reasons": [r.reason[:60] for r in results],
                "dues": [r.due_at for r in results],
                "now": now,
            },
        )
