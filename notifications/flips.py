"""The SQL of dispatch, second half: claimed rows change state, a whole batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection

from integrations.payloads import storable

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
                "codes": [storable(r.code, 60) for r in results],
                "vendor_ids": [storable(r.vendor_id, 200) for r in results],
                "details": [storable(r.detail, 200) for r in results],
                "durations": [r.duration_ms for r in results],
                "segments": [r.segments for r in results],
                "states": [r.state for r in results],
                "reasons": [r.reason[:60] for r in results],
                "dues": [r.due_at for r in results],
                "now": now,
            },
        )
