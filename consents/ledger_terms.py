"""The end of a ledger chain: whole, when its term is over, with a signed record left behind.

A chain stays while the relationship lasts (an address row exists), while anything is suppressed
(a stop is kept until it is lifted), and for the years of the settings after its last row: more
for opt-outs from solicitations in the US. Inside its term no path deletes a row.
"""

from __future__ import annotations

import logging
from datetime import datetime

from django.conf import settings
from django.db import connection, transaction

from consents import checkpoints, ledger, locks
from consents.models import (
    ConsentEvent,
    ConsentEvidence,
    ConsentState,
    ContactAddress,
    RemovedChain,
    Suppression,
)
from consents.retention import Rule
from consents.rights import month_later

logger = logging.getLogger(__name__)

_OVER = """
SELECT e.sender_group_id, e.address_hash,
       coalesce(bool_or(e.subject_ref IN (
           SELECT id FROM consents_subject WHERE legal_hold)), false) AS is_held
FROM consents_consentevent e JOIN consents_sendergroup g ON g.id = e.sender_group_id
WHERE NOT EXISTS (SELECT 1 FROM consents_contactaddress a
                   WHERE a.sender_group_id = e.sender_group_id
                     AND a.address_hash = e.address_hash)
  AND NOT EXISTS (SELECT 1 FROM consents_suppression s
                   WHERE s.sender_group_id = e.sender_group_id
                     AND s.address_hash = e.address_hash)
GROUP BY e.sender_group_id, e.address_hash
HAVING max(e.recorded_at) < %(term)s
   AND NOT coalesce(bool_or(e.recorded_at >= %(us_term)s
        AND e.action IN ('withdrawn', 'denied', 'suppressed')
        AND (e.scope IN ('channel', 'all') OR e.purpose IN ('marketing', 'feedback'))
        AND (g.country = 'US' OR e.jurisdiction LIKE 'US%%')), false)
ORDER BY e.sender_group_id, e.address_hash
"""


class LedgerChains(Rule):
    """Whole chains past their term."""

    name = "ledger_chains"

    def __init__(self) -> None:
        #: chains that do not hold: they are evidence, and nobody clears them away
        self._broken: set[tuple[int, str]] = set()

    def count(self, now: datetime) -> int:
        return sum(not is_held for _, _, is_held in _over(now))

    def held(self, now: datetime) -> int:
        self._broken.clear()
        return sum(is_held for _, _, is_held in _over(now))

    def clear_batch(self, now: datetime, limit: int) -> int:
        removed = 0
        for sender_group_id, address_hash, is_held in _over(now):
            key = (sender_group_id, address_hash)
            if is_held or key in self._broken or removed == limit:
                continue
            if remove_chain(sender_group_id=key[0], address_hash=key[1], now=now):
                removed += 1
            else:
                self._broken.add(key)
        return removed


def _over(now: datetime) -> list[tuple[int, str, bool]]:
    """(sender group, address hash, is held) of every chain past its term."""
    with connection.cursor() as cursor:
        cursor.execute(_OVER, {"term": _term(now), "us_term": _us_term(now)})
        return [(row[0], row[1], row[2]) for row in cursor.fetchall()]


def _term(now: datetime) -> datetime:
    return month_later(now, -12 * settings.RETENTION_LEDGER_YEARS)


def _us_term(now: datetime) -> datetime:
    return month_later(now, -12 * settings.RETENTION_US_OPT_OUT_YEARS)


def remove_chain(*, sender_group_id: int, address_hash: str, now: datetime) -> bool:
    """Delete one chain past its term and leave its signed end; False = it may not go.

    The database lets only the transaction that wrote the record delete the rows it covers.
    """
    key = {"sender_group_id": sender_group_id, "address_hash": address_hash}
    with transaction.atomic():
        locks.lock_address(address_hash)
        events = ledger.chain(sender_group_id, address_hash)
        is_in_use = (
            ContactAddress.objects.filter(**key).exists()
            or Suppression.objects.filter(**key).exists()
        )
        older_than = _term(now)
        if not events or is_in_use or max(e.recorded_at for e in events) >= older_than:
            return False
        if list(ledger.verify(events)):
            logger.error("ledger.chain_kept", extra={"address_hash": address_hash})
            return False
        removed = RemovedChain(
            sender_group_ref=sender_group_id,
            chain=ledger.genesis(sender_group_id, address_hash),
            rows=len(events),
            last_sequence=events[-1].sequence,
            head_hash=events[-1].row_hash,
            older_than=older_than,
            removed_at=now,
            key_version=checkpoints.key_version(),
        )
        removed.signature = checkpoints.sign(
            checkpoints.signed_removal(removed), removed.key_version
        )
        removed.save(force_insert=True)
        proofs = [event.evidence_id for event in events if event.evidence_id]
        ConsentEvidence.objects.filter(pk__in=proofs).delete()
        ConsentState.objects.filter(**key).delete()
        ConsentEvent.objects.filter(**key).delete()
    return True
