"""The two reads every new order does about its customer, in plain SQL: they are the hot part."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from consents import encryption
from consents.ledger import Target

# The highest generation of each channel, with what the ledger says about order updates. A stop of
# "all" counts on every channel that shares the hash.
_ADDRESSES = """
SELECT DISTINCT ON (a.channel)
       a.id, a.channel, a.address_hash, a.pepper_version, a.generation, a.expires_at, g.country,
       s.state, s.valid_until,
       EXISTS (SELECT 1 FROM consents_suppression p
                WHERE p.sender_group_id = a.sender_group_id AND p.address_hash = a.address_hash
                  AND p.generation = a.generation AND p.reason IN ('user', 'complaint')
                  AND p.channel = ANY(CASE WHEN a.channel IN ('sms', 'whatsapp')
                                           THEN ARRAY['sms', 'whatsapp']
                                           ELSE ARRAY[a.channel::text] END)
                  AND (p.scope = 'all' OR (p.scope = 'channel' AND p.channel = a.channel)))
  FROM consents_contactaddress a
  JOIN consents_sendergroup g ON g.id = a.sender_group_id
  LEFT JOIN consents_consentstate s
         ON s.sender_group_id = a.sender_group_id AND s.address_hash = a.address_hash
        AND s.generation = a.generation AND s.channel = a.channel
        AND s.purpose = 'order_updates'
 WHERE a.sender_group_id = %(group)s
   AND (a.channel, a.address_hash) IN (SELECT * FROM unnest(%(channels)s, %(hashes)s))
 ORDER BY a.channel, a.generation DESC
"""

_PEOPLE = """
SELECT l.subject_id, l.address_id, s.name
  FROM consents_subjectaddress l JOIN consents_subject s ON s.id = l.subject_id
 WHERE l.address_id = ANY(%s) AND s.kind = 'customer'
 ORDER BY l.id DESC LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class AddressRow:
    """A current address row and what counts for order updates there."""

    id: int
    target: Target
    expires_at: datetime | None
    sender_country: str
    #: of ConsentState; None = nobody said anything
    state: str | None
    state_until: datetime | None
    #: the customer stopped the channel or everything
    is_stopped: bool


def current_rows(
    *, sender_group_id: int, filed: Iterable[tuple[str, str]], at: datetime
) -> dict[str, AddressRow]:
    """channel -> the row in force at ``at`` among (channel, hash) pairs. One query."""
    pairs = list(filed)
    values: dict[str, Any] = {
        "group": sender_group_id,
        "channels": [channel for channel, _ in pairs],
        "hashes": [digest for _, digest in pairs],
    }
    with connection.cursor() as cursor:
        cursor.execute(_ADDRESSES, values)
        rows = cursor.fetchall()
    found: dict[str, AddressRow] = {}
    for pk, channel, digest, pepper, generation, expires_at, country, state, until, stopped in rows:
        if expires_at is None or expires_at > at:
            target = Target(sender_group_id, channel, digest, pepper, generation)
            found[channel] = AddressRow(pk, target, expires_at, country, state, until, stopped)
    return found


def people_at(address_ids: list[int], *, limit: int) -> list[tuple[UUID, int, str]]:
    """(subject, address, name) of the latest customers linked to these addresses. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_PEOPLE, [address_ids, limit])
        return [
            (subject_id, address_id, encryption.decrypt(bytes(name)).decode())
            for subject_id, address_id, name in cursor.fetchall()
        ]
