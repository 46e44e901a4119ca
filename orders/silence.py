"""When a source that should be talking is not. Pure decision, then the round that asks it.

A feed is silent when nothing came for longer than almost every gap at this time of day in the
last two weeks. Closed kitchens are silent too: it counts only while orders of the feed are open
or at an hour at which calls came on the same weekday one and two weeks ago.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import ceil
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils.translation import gettext as _

from orders import phrases
from orders.models import InboundCall, OrderAlias, SourceAccount
from orders.signals import feed_silent

BAND_H = 3
LEARN_FROM = timedelta(days=14)
#: calls that tell which hours are usual: the same weekday two weeks ago, all of that hour
KEPT = LEARN_FROM + timedelta(hours=1)
LEAST_GAPS = 20
#: one gap in a hundred is longer than usual
SHARE = 0.99
SHORTEST = timedelta(minutes=15)
#: a longer gap is a closed kitchen, not a quiet one
LONGEST = timedelta(hours=BAND_H)
SLOW_START = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Silence:
    """A feed that stopped."""

    last_call_at: datetime
    usual_gap: timedelta


def usual_gap(calls: Sequence[datetime], *, now: datetime, zone: ZoneInfo) -> timedelta | None:
    """The longest gap between calls that is still usual at this time of day; None = unknown."""
    band = now.astimezone(zone).hour // BAND_H
    gaps = sorted(
        later - earlier
        for earlier, later in pairwise(sorted(calls))
        if earlier >= now - LEARN_FROM
        and later - earlier < LONGEST
        and earlier.astimezone(zone).hour // BAND_H == band
    )
    if len(gaps) < LEAST_GAPS:
        return None
    return max(SHORTEST, gaps[ceil(SHARE * len(gaps)) - 1])


def find_silence(
    calls: Sequence[datetime], *, now: datetime, zone: ZoneInfo, has_open_orders: bool
) -> Silence | None:
    """The silence of a feed whose calls of the last two weeks are ``calls``; None = none."""
    gap = usual_gap(calls, now=now, zone=zone)
    last = max(calls, default=None)
    if gap is None or last is None or now - last <= gap:
        return None
    opened = _usual_since(calls, now=now, zone=zone)
    if opened is not None:
        # a day begins slowly: without a call today its first hour passes before any is missed
        expected_from = last if last >= opened else opened + SLOW_START
        if now - expected_from > gap:
            return Silence(last, gap)
    # an order forgotten overnight does not make the morning a silence
    if has_open_orders and now - last < LONGEST:
        return Silence(last, gap)
    return None


def _usual_since(calls: Sequence[datetime], *, now: datetime, zone: ZoneInfo) -> datetime | None:
    """When the usual hours around ``now`` began; None at an unusual hour."""
    heard = {(at.date(), at.hour) for at in (call.astimezone(zone) for call in calls)}

    def is_usual(hour: datetime) -> bool:
        at = hour.astimezone(zone)
        return all((at.date() - timedelta(weeks=w), at.hour) in heard for w in (1, 2))

    hour = now.astimezone(zone).replace(minute=0, second=0, microsecond=0).astimezone(UTC)
    if not is_usual(hour):
        return None
    for _hour in range(24):
        if not is_usual(hour - timedelta(hours=1)):
            break
        hour -= timedelta(hours=1)
    return hour


def in_words(name: str, last_call_at: datetime, usual: timedelta, now: datetime) -> str:
    """What staff read about a silence."""
    words = {
        "name": name,
        "span": phrases.span(phrases.minutes_between(last_call_at, now)),
        "usual": phrases.span(round(usual.total_seconds() / 60)),
    }
    return (
        _(
            "%(name)s has been silent for %(span)s; at this hour it usually speaks at least every "
            "%(usual)s. Open orders may be further than they look: check the connection."
        )
        % words
    )


def watch_feeds(*, now: datetime) -> int:
    """Announce each feed that fell silent, once per silence. Returns how many."""
    accounts = (
        SourceAccount.objects.filter(enabled=True, last_call_at__lt=now - SHORTEST)
        .filter(last_call_at__gt=now - KEPT)
        .select_related("restaurant", "location")
        .defer("settings", "status_map")
    )
    return sum(_watch(account, now) for account in accounts)


def _watch(account: SourceAccount, now: datetime) -> bool:
    if account.silent_since is not None and account.silent_since == account.last_call_at:
        return False
    calls = InboundCall.objects.filter(account=account, received_at__gt=now - KEPT)
    place = account.location.timezone if account.location else ""
    silence = find_silence(
        list(calls.order_by("received_at").values_list("received_at", flat=True)),
        now=now,
        zone=phrases.zone(place or account.restaurant.timezone),
        has_open_orders=_has_open_orders(account),
    )
    if silence is None:
        return False
    with transaction.atomic():
        # whoever notes it announces it; a call that came meanwhile has ended the silence
        noted = (
            SourceAccount.objects.filter(pk=account.pk, last_call_at=account.last_call_at)
            .exclude(silent_since=account.last_call_at)
            .update(silent_since=account.last_call_at)
        )
        if noted:
            feed_silent.send(
                sender=SourceAccount,
                account=account,
                last_call_at=silence.last_call_at,
                usual_gap=silence.usual_gap,
                now=now,
            )
    return bool(noted)


def _has_open_orders(account: SourceAccount) -> bool:
    """Orders this account knows: others are no reason to miss its words."""
    names = OrderAlias.objects.filter(
        restaurant=account.restaurant_id, system=f"account:{account.pk}", order__is_open=True
    )
    return names.exists()
