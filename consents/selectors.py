"""Reads the hot path does: snapshots for ``decide`` and the policy packs in force."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from time import monotonic
from typing import Any
from uuid import UUID

from django.db import connection

from consents import encryption
from consents.addresses import NOWHERE, PHONE_CHANNELS, NumberPlace, number_place
from consents.facts import nowhere
from consents.models import PolicyPack
from consents.packs import Pack, PackInvalid, PackSet, compile_pack
from consents.policy import AddressSnapshot, PreferenceView, StateView, SuppressionView

logger = logging.getLogger(__name__)

Key = tuple[UUID | None, int]

#: how long a process believes the packs it read
PACKS_TTL_S = 30.0

# One row per address; the derived rows come along as JSON. A suppression of scope "all" counts on
# every channel that shares the address, so both phone channels are read.
_ADDRESS_COLUMNS = """
       a.id, a.sender_group_id, g.country, a.channel, a.address_hash, a.generation, a.region,
       a.origin, a.verified_at, a.expires_at, a.unreachable_at, a.window_until,
       CASE WHEN a.channel = ANY(%(phones)s) THEN a.value END,
       (SELECT json_agg(json_build_array(s.purpose, s.state, s.event_id, s.is_customer_refusal,
                                         s.carrier_block, s.valid_until,
                                         coalesce(e.lawful_basis, ''),
                                         e.notice_version_id IS NOT NULL))
          FROM consents_consentstate s
          LEFT JOIN consents_consentevent e ON e.id = s.event_id
         WHERE s.sender_group_id = a.sender_group_id AND s.address_hash = a.address_hash
           AND s.generation = a.generation AND s.channel = a.channel),
       (SELECT json_agg(json_build_array(p.scope, p.channel, p.reason, p.event_id, p.since)
                        ORDER BY p.since, p.id)
          FROM consents_suppression p
         WHERE p.sender_group_id = a.sender_group_id AND p.address_hash = a.address_hash
           AND p.generation = a.generation
           AND p.channel = ANY(CASE WHEN a.channel = ANY(%(phones)s) THEN %(phones)s
                                    ELSE ARRAY[a.channel::text] END)
           AND (p.channel = a.channel OR p.scope = 'all')),
       EXISTS (SELECT 1 FROM consents_inboxitem i
                WHERE i.address_id = a.id AND i.holds_marketing AND i.settled_at IS NULL),
       a.masked, a.bound_to
"""

_SUBJECT_COLUMNS = """
       s.id, s.restricted_at, s.timezone, s.quiet_from, s.quiet_until,
       (SELECT json_agg(json_build_array(p.is_allowed, p.order_ref, p.purpose, p.event_kind,
                                         p.channel))
          FROM consents_preference p WHERE p.subject_id = s.id)
"""

# both queries are put together from the constants above alone; a pair whose address or subject is
# gone still gives a row
_PAIRS = f"""
SELECT k.subject_id, k.address_id, {_SUBJECT_COLUMNS}, {_ADDRESS_COLUMNS}
  FROM unnest(%(subjects)s::uuid[], %(addresses)s::bigint[]) AS k(subject_id, address_id)
  LEFT JOIN consents_subject s ON s.id = k.subject_id
  LEFT JOIN consents_contactaddress a ON a.id = k.address_id
  LEFT JOIN consents_sendergroup g ON g.id = a.sender_group_id
"""  # noqa: S608

# planning asks for whole audiences: every address of some subjects, in one round trip
_AUDIENCE = f"""
SELECT s.kind, {_SUBJECT_COLUMNS}, {_ADDRESS_COLUMNS}
  FROM consents_subject s
  JOIN consents_subjectaddress sa ON sa.subject_id = s.id
  JOIN consents_contactaddress a ON a.id = sa.address_id
  JOIN consents_sendergroup g ON g.id = a.sender_group_id
 WHERE s.id = ANY(%(ids)s::uuid[])
    OR (s.sender_group_id = %(group)s AND s.kind = ANY(%(kinds)s))
 ORDER BY sa.id
"""  # noqa: S608


def load_snapshots(keys: Iterable[Key]) -> dict[Key, AddressSnapshot]:
    """What ``decide`` needs about each (subject or None, address), in one query.

    Every key gets an answer: an address or a subject that is gone gives a snapshot that says so.
    The query sees the database as of its own start, so take the locks first.
    """
    wanted = list(set(keys))
    if not wanted:
        return {}
    values: dict[str, Any] = {
        "subjects": [str(subject_id) if subject_id else None for subject_id, _ in wanted],
        "addresses": [address_id for _, address_id in wanted],
        "phones": sorted(PHONE_CHANNELS),
    }
    with connection.cursor() as cursor:
        cursor.execute(_PAIRS, values)
        return {
            (row[0], row[1]): _snapshot(row[0], row[1], row[2:8], row[8:])
            for row in cursor.fetchall()
        }


def load_snapshot(subject_id: UUID | None, address_id: int) -> AddressSnapshot:
    """The snapshot of one pair."""
    return load_snapshots([(subject_id, address_id)])[subject_id, address_id]


def _snapshot(
    subject_id: UUID | None,
    address_id: int,
    subject: tuple[Any, ...],
    address: tuple[Any, ...],
) -> AddressSnapshot:
    """One snapshot, made once: dispatch makes hundreds of them under its locks."""
    is_known = address[0] is not None
    if not is_known:
        address = _GONE
    (_, group, country, channel, digest, generation, region, origin) = address[:8]
    (verified, expires, unreachable, window, token, states, suppressions, held) = address[8:16]
    (known_subject, restricted, zone, quiet_from, quiet_until, preferences) = subject
    return AddressSnapshot(
        channel=channel,
        address_id=address_id,
        address_hash=digest,
        generation=generation,
        sender_group_id=group,
        sender_country=country,
        region=region,
        is_known=is_known,
        origin=origin,
        verified_at=verified,
        expires_at=expires,
        unreachable_at=unreachable,
        window_until=window,
        subject_id=subject_id,
        is_subject_erased=subject_id is not None and known_subject is None,
        restricted_at=restricted,
        timezone=zone or "",
        quiet_from=quiet_from,
        quiet_until=quiet_until,
        states={s[0]: _state(s) for s in states} if states else {},
        suppressions=tuple(_suppression(s) for s in suppressions) if suppressions else (),
        preferences=_preferences(preferences) if preferences else (),
        holds_marketing=held,
        masked=address[16],
        bound_to=address[17],
        place=nowhere if token is None else _place_later(bytes(token)),
    )


#: the columns of an address that is gone
_GONE = (None, None, "", "", "", 1, "", "customer", *(None,) * 7, False, "", "")


def _place_later(token: bytes) -> Callable[[], NumberPlace]:
    """Decrypt and look the number up only when hours matter: order messages never pay for it."""
    return partial(_place, token)


def _place(token: bytes) -> NumberPlace:
    value = encryption.decrypt(token).decode()
    return number_place(value) if value else NOWHERE


def _state(values: list[Any]) -> StateView:
    _, state, event_id, is_refusal, carrier_block, valid_until, basis, has_notice = values
    return StateView(
        state=state,
        event_id=UUID(event_id),
        is_refusal=is_refusal,
        carrier_block=carrier_block,
        valid_until=datetime.fromisoformat(valid_until) if valid_until else None,
        lawful_basis=basis,
        has_notice=has_notice,
    )


def _suppression(values: list[Any]) -> SuppressionView:
    scope, channel, reason, event_id, since = values
    return SuppressionView(scope, channel, reason, UUID(event_id), datetime.fromisoformat(since))


def audience_snapshots(
    *, subject_ids: Iterable[UUID], sender_group_id: int, groups: Iterable[str] = ()
) -> dict[str, list[tuple[UUID, AddressSnapshot]]]:
    """Per kind of subject the (subject, snapshot) pairs of all their addresses, in one query.

    ``groups`` adds every staff or partner subject of the sender group.
    """
    values: dict[str, Any] = {
        "ids": [str(pk) for pk in subject_ids],
        "group": sender_group_id,
        "kinds": list(groups),
        "phones": sorted(PHONE_CHANNELS),
    }
    found: dict[str, list[tuple[UUID, AddressSnapshot]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_AUDIENCE, values)
        rows = cursor.fetchall()
    for row in rows:
        kind, subject, address = row[0], row[1:7], row[7:]
        snapshot = _snapshot(subject[0], address[0], subject, address)
        found.setdefault(kind, []).append((subject[0], snapshot))
    return found


def _preferences(rows: list[list[Any]]) -> tuple[PreferenceView, ...]:
    return tuple(
        PreferenceView(is_allowed, order_ref or "", purpose, event_kind, channel)
        for is_allowed, order_ref, purpose, event_kind, channel in rows
    )


class _PackCache:
    """The compiled packs of this process; the set in force is kept until a pack starts or ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        self._packs: tuple[Pack, ...] = ()
        self._read_at: float | None = None
        self._current: tuple[datetime, datetime, PackSet] | None = None

    def at(self, now: datetime) -> PackSet:
        with self._lock:
            if self._read_at is None or monotonic() - self._read_at > PACKS_TTL_S:
                self._packs, self._read_at, self._current = _read_packs(), monotonic(), None
            if self._current is None or not self._current[0] <= now < self._current[1]:
                self._current = (*_span(self._packs, now), PackSet.at(self._packs, now))
            return self._current[2]


def _read_packs() -> tuple[Pack, ...]:
    packs: list[Pack] = []
    for row in PolicyPack.objects.all():
        try:
            pack = compile_pack(
                jurisdiction=row.jurisdiction,
                version=row.version,
                effective_from=row.effective_from,
                effective_to=row.effective_to,
                rules=row.rules,
            )
        except PackInvalid:
            # without it the default pack or, failing that, the strictest rules apply
            logger.exception("policy_pack.unreadable", extra={"pack": str(row)})
        else:
            packs.append(pack)
    return tuple(packs)


def _span(packs: tuple[Pack, ...], now: datetime) -> tuple[datetime, datetime]:
    """The time around ``now`` in which no pack begins or ends."""
    edges = [at for pack in packs for at in (pack.effective_from, pack.effective_to) if at]
    year = timedelta(days=365)
    return (
        max((at for at in edges if at <= now), default=now - year),
        min((at for at in edges if at > now), default=now + year),
    )


_packs = _PackCache()


def active_packs(now: datetime) -> PackSet:
    """The policy packs in force at ``now``; read again from the database every 30 seconds."""
    return _packs.at(now)


def clear_caches() -> None:
    """Forget the packs, so that a change counts at once in this process."""
    _packs.clear()
