"""A busy kitchen: everything open takes longer, said once for all of it.

Open orders get one manual statement each with their time moved, so it stands in their history and
goes through the delay rules like any other news. Orders that arrive meanwhile, and estimates a
system states meanwhile, are taken to be ``busy_extra_min`` later until ``busy_until``. Scheduled
orders that are due after that are left alone.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from integrations.contracts import RANK, State
from orders import intake, phrases
from orders.eta_state import waited_for
from orders.models import Location, Observation, Order
from orders.selectors import clear_caches

logger = logging.getLogger(__name__)

EXTRA_MIN = 15
#: how long a kitchen stays busy unless somebody ends it
LASTS = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Busy:
    """What became of the button."""

    until: datetime
    #: orders whose time moved
    moved: int = 0
    #: it was busy already: nothing was done
    is_repeat: bool = False


def is_busy(location: Location, now: datetime) -> bool:
    """Whether estimates at ``location`` are lengthened now."""
    return bool(location.busy_extra_min and location.busy_until and location.busy_until > now)


@dataclass(frozen=True, slots=True)
class Kitchen:
    """A kitchen as the board shows it."""

    id: int
    name: str
    #: local time at which it is no longer busy, "" = it is not
    until: str


def kitchens(restaurant_ids: Collection[int], now: datetime) -> list[Kitchen]:
    """The kitchens of these restaurants, by name. One query."""
    rows = Location.objects.filter(restaurant_id__in=restaurant_ids).select_related("restaurant")
    return [Kitchen(row.pk, row.name, until_word(row, now)) for row in rows.order_by("name", "pk")]


def until_word(location: Location, now: datetime) -> str:
    """The local time at which it is no longer busy; "" = it is not."""
    if location.busy_until is None or not is_busy(location, now):
        return ""
    zone = phrases.zone(location.timezone or location.restaurant.timezone)
    return phrases.clock(location.busy_until, zone, now)


def start_busy(*, location_id: int, actor: str, now: datetime, minutes: int = EXTRA_MIN) -> Busy:
    """Add ``minutes`` to everything open at the location. Pressing twice adds them once.

    So does ending it and pressing again: only orders that did not get them within the last hour
    move then.
    """
    until = now + LASTS
    with transaction.atomic():
        location = Location.objects.select_for_update(no_key=True).get(pk=location_id)
        if is_busy(location, now):
            return Busy(location.busy_until or until, is_repeat=True)
        location.busy_extra_min, location.busy_until = minutes, until
        location.save(update_fields=["busy_extra_min", "busy_until"])
    clear_caches()
    once = f"{_deeds(location)}{until.isoformat()}"
    moved = sum(
        _move(order, minutes, actor=actor, once=once, now=now)
        for order in _waiting(location, now)
        if not _is_for_later(order, until)
    )
    return Busy(until, moved)


def _deeds(location: Location) -> str:
    return f"busy:{location.pk}:"


def _waiting(location: Location, now: datetime) -> list[Order]:
    """The open orders that did not get their minutes lately."""
    recent = now - LASTS
    moved = Observation.objects.filter(
        order=OuterRef("pk"),
        event_key__startswith=f"manual:{_deeds(location)}",
        received_at__gt=recent,
    )
    rows = Order.objects.filter(~Exists(moved), location=location, is_open=True).order_by("pk")
    # what arrived while it was busy has them by the delay rules
    return [o for o in rows if not (o.watch.get("busy_min") and o.created_at > recent)]


def _is_for_later(order: Order, until: datetime) -> bool:
    return order.is_scheduled and order.promised_at is not None and order.promised_at > until


def in_words(said: Busy) -> str:
    """What the person who pressed the button reads."""
    if said.is_repeat:
        return _("It was marked as busy already; nothing was added twice.")
    text = ngettext("%(n)d order moved.", "%(n)d orders moved.", said.moved)
    return text % {"n": said.moved}


def end_busy(*, location_id: int) -> None:
    """Estimates count as stated again; times people were told stay as they are."""
    Location.objects.filter(pk=location_id).update(busy_extra_min=0, busy_until=None)
    clear_caches()


def _move(order: Order, minutes: int, *, actor: str, once: str, now: datetime) -> bool:
    """State the later time of one order; one that fails does not stop the others."""
    times = _later(order, timedelta(minutes=minutes))
    if not times:
        return False
    data = {"times": times}
    try:
        said = intake.add_manual_update(order=order, data=data, actor=actor, at=now, once=once)
    except Exception:
        logger.exception("orders.busy_failed", extra={"order_id": order.pk})
        return False
    return said.outcome == "applied"


def _later(order: Order, extra: timedelta) -> dict[str, Any]:
    """The times of ``order`` that depend on the kitchen, moved; {} when it is cooked."""
    if RANK[order.state] >= RANK[State.READY]:
        return {}
    # what the guest waits for, not what was promised: the kitchen may have slipped before
    expected = waited_for(order.watch)
    if order.fulfillment in phrases.TRAVELLING:
        delivery = expected or order.est_delivery_at or order.promised_at
        times = {"est_ready_at": order.est_ready_at, "est_delivery_at": delivery}
    else:
        times = {"est_ready_at": expected or order.est_ready_at or order.promised_at}
    return {name: (at + extra).isoformat() for name, at in times.items() if at}
