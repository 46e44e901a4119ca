"""What pages show of our messages: the guest's own list and the latest alerts for staff."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min, Q
from django.utils.translation import gettext as _

from notifications import words
from notifications.models import Delivery, DeliveryState, Heartbeat, ProviderAccount
from orders import phrases
from orders.board import StripItem

#: deliveries a guest may see: they left, or surely will not
_SHOWN = (
    DeliveryState.ACCEPTED,
    DeliveryState.DELIVERED,
    DeliveryState.READ,
    DeliveryState.UNKNOWN,
    DeliveryState.FAILED,
)
#: a heartbeat older than this is a problem
SILENT_AFTER = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class ToldLine:
    """One message the guest got."""

    time: str
    what: str
    #: "text message, delivered"
    how: str


@dataclass(frozen=True, slots=True)
class AlertLine:
    """One message of a restaurant, for staff eyes: the address is masked."""

    time: str
    order: str
    order_id: uuid.UUID | None
    what: str
    #: "text message to +1•••0142"
    where: str
    state: str
    tone: str


def told_lines(public_id: uuid.UUID, now: datetime) -> list[ToldLine]:
    """What we told the guest of one order, oldest first; no address in it. 1 query."""
    deliveries = (
        Delivery.objects.filter(
            Q(notification__order__public_id=public_id)
            | Q(notification__order__same_as__public_id=public_id),
            notification__audience="customer",
            state__in=_SHOWN,
            # an open page or a shop system that heard of it told the guest nothing
            address__isnull=False,
        )
        .select_related(
            "notification__event",
            "notification__order__restaurant",
            "notification__order__location",
        )
        .annotate(left_at=Min("attempts__started_at"))
        .order_by("created_at", "id")
    )
    lines = []
    for delivery in deliveries:
        note = delivery.notification
        order = note.order
        assert order is not None
        place = order.location.timezone if order.location else ""
        at: datetime = delivery.left_at or delivery.created_at
        how = {
            "channel": words.channel_word(delivery.channel),
            "state": words.delivery_word(delivery.state),
        }
        lines.append(
            ToldLine(
                time=phrases.clock(at, phrases.zone(place or order.restaurant.timezone), now),
                what=words.event_words(
                    note.kind,
                    note.milestone,
                    note.event.data if note.event else {},
                    order.fulfillment,
                ),
                how=_("%(channel)s, %(state)s") % how,
            )
        )
    return lines


def latest_alerts(
    restaurant_ids: Collection[int], now: datetime, *, limit: int = 8
) -> list[AlertLine]:
    """The newest messages of these restaurants, newest first. 1 query."""
    deliveries = (
        Delivery.objects.filter(notification__restaurant_id__in=restaurant_ids)
        .select_related(
            "account",
            "address",
            "notification__event",
            "notification__order",
            "notification__restaurant",
        )
        .defer("account__settings", "address__value")
        .order_by("-created_at", "-id")[:limit]
    )
    lines = []
    for delivery in deliveries:
        note = delivery.notification
        where = delivery.address.masked if delivery.address else delivery.account.name
        target = {"channel": words.channel_word(delivery.channel), "address": where}
        lines.append(
            AlertLine(
                time=phrases.clock(
                    delivery.created_at, phrases.zone(note.restaurant.timezone), now
                ),
                order=str(note.order) if note.order else "",
                order_id=note.order.public_id if note.order else None,
                what=words.event_words(
                    note.kind, note.milestone, note.event.data if note.event else {}
                ),
                where=_("%(channel)s to %(address)s") % target,
                state=words.delivery_word(delivery.state),
                tone=words.delivery_tone(delivery.state),
            )
        )
    return lines


def health_strip(restaurant_ids: Collection[int], now: datetime) -> list[StripItem]:
    """How alerts stand: sent today, overdue, undecided, stopped accounts, heartbeats. 3 queries."""
    day_ago = now - timedelta(hours=24)
    sent = Q(state__in=["accepted", "delivered", "read"], created_at__gte=day_ago)
    counts = Delivery.objects.filter(notification__restaurant_id__in=restaurant_ids).aggregate(
        sent=Count("id", filter=sent),
        failed=Count("id", filter=Q(state__in=["failed", "unknown"], created_at__gte=day_ago)),
        oldest=Min("due_at", filter=Q(state="queued")),
    )
    strip = [StripItem(_("alerts sent in 24 h"), str(counts["sent"]))]
    failed = counts["failed"]
    strip.append(StripItem(_("failed"), str(failed), "bad" if failed else "fine"))
    oldest: datetime | None = counts["oldest"]
    waiting_min = phrases.minutes_between(oldest, now) if oldest else 0
    if waiting_min >= 1:
        strip.append(StripItem(_("oldest waiting alert"), phrases.span(waiting_min), "bad"))
    else:
        strip.append(StripItem(_("oldest waiting alert"), _("none")))
    for name in (
        ProviderAccount.objects.filter(restaurant_id__in=restaurant_ids, enabled=True)
        .exclude(stopped_reason="")
        .values_list("name", flat=True)
    ):
        strip.append(StripItem(name, _("stopped"), "bad"))
    for beat in Heartbeat.objects.order_by("name"):
        silent = now - beat.at > SILENT_AFTER
        label = beat.name.replace("_", " ")
        strip.append(StripItem(label, phrases.ago(beat.at, now), "bad" if silent else "fine"))
    return strip
