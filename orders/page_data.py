"""What the customer's page shows, read in four queries and computed once.

``OrderPage.version`` changes exactly when what the page shows changes, so a refresh can be
answered with "nothing new".
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Prefetch
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from integrations.contracts import TERMINAL, State
from orders import phrases, pieces
from orders.colours import PAPER_DARK, PAPER_LIGHT, readable
from orders.models import Order, OrderEvent, Restaurant
from orders.uniting import order_now

#: the link of an order opens its page for so long after the order ended
LINK_LIFE = timedelta(hours=72)


@dataclass(frozen=True, slots=True)
class OrderPage:
    """The customer's page. Of the person it knows the first name, nothing else."""

    public_id: uuid.UUID
    number: str
    restaurant: str
    location: str
    phone: str
    #: the phone number as a tel: link wants it
    phone_link: str
    first_name: str
    state: str
    headline: str
    #: "Ready about 18:42 (in 6 min)"
    time: str
    #: what the guest can do now, or ""
    next_step: str
    is_late: bool
    is_over: bool
    tone: str
    track: tuple[pieces.Step, ...]
    parts_sentence: str
    chips: tuple[pieces.Chip, ...]
    items: tuple[pieces.ItemLine, ...]
    courier: str
    tracking_url: str
    #: the brand's colour where it is readable on our paper, else ""
    accent_light: str
    accent_dark: str

    @property
    def version(self) -> str:
        """Changes when the page does."""
        return version_of(self)


def version_of(page: object) -> str:
    """A fingerprint of a page's data in the active language."""
    return hashlib.sha256(f"{get_language()} {page!r}".encode()).hexdigest()[:20]


def restaurant_ids_of(user: AbstractBaseUser | AnonymousUser) -> list[int]:
    """The restaurants a signed-in person manages; all of them for a superuser."""
    if not user.is_authenticated:
        return []
    rows = Restaurant.objects.order_by("pk")
    if not getattr(user, "is_superuser", False):
        rows = rows.filter(members__user_id=user.pk)
    return list(rows.values_list("pk", flat=True))


def order_page(public_id: uuid.UUID, now: datetime) -> OrderPage | None:
    """The page of one order, None when there is none or it ended long ago. 4 queries."""
    events = OrderEvent.objects.filter(kind="status_changed").order_by("recorded_at", "id")
    rows = Order.objects.select_related("restaurant", "location", "subject").prefetch_related(
        "parts", "items", Prefetch("events", events)
    )
    order = order_now(rows.filter(public_id=public_id).first(), rows)
    if order is None:
        return None
    times = pieces.state_times(order, order.events.all())
    if not order.is_open:
        ended_at = times.get(order.state) or order.updated_at or order.created_at
        if now - ended_at > LINK_LIFE:
            return None
    return _order_page(order, times, now)


def _order_page(order: Order, times: dict[str, datetime], now: datetime) -> OrderPage:
    tz = pieces.local_zone(order)
    due = pieces.due(order, now)
    parts = list(order.parts.all())
    courier = order.detail.get("courier")
    courier = courier if isinstance(courier, dict) else {}
    is_moving = order.state == State.OUT_FOR_DELIVERY
    link = str(courier.get("tracking_url") or "")
    accent = order.restaurant.accent
    return OrderPage(
        public_id=order.public_id,
        number=order.display or str(order.public_id)[:8],
        restaurant=order.restaurant.name,
        location=order.location.name if order.location else "",
        phone=order.restaurant.phone,
        phone_link="".join(c for c in order.restaurant.phone if c.isdecimal() or c == "+"),
        first_name=first_name(order),
        state=order.state,
        headline=phrases.headline(order.state, order.fulfillment),
        time=_page_time(order, due, times, tz, now),
        next_step=_next_step(order),
        is_late=due.standing == "late",
        is_over=order.state in TERMINAL,
        tone=_tone(order, due),
        track=tuple(pieces.track(order, times, tz, now)),
        parts_sentence="" if order.state in TERMINAL else pieces.parts_sentence(parts, now),
        chips=tuple(pieces.chips(parts, now)),
        items=tuple(pieces.item_lines(order.items.all())),
        courier=str(courier.get("name") or "").split(" ")[0] if is_moving else "",
        tracking_url=link if is_moving and link.startswith("https://") else "",
        accent_light=accent if readable(accent, PAPER_LIGHT) else "",
        accent_dark=accent if readable(accent, PAPER_DARK) else "",
    )


def first_name(order: Order) -> str:
    """The guest's first name, "" when nobody said."""
    return order.subject.name.strip().split(" ")[0] if order.subject else ""


def _page_time(
    order: Order, due: pieces.Due, times: dict[str, datetime], tz: ZoneInfo, now: datetime
) -> str:
    if due.standing != "over":
        return _expected(order, due, tz, now)
    since = times.get(order.state)
    if since is None:
        return ""
    words = {"time": phrases.clock(since, tz, now), "ago": phrases.ago(since, now)}
    if order.state in TERMINAL:
        return _("At %(time)s, %(ago)s") % words
    return _("Since %(time)s, %(ago)s") % words


def _expected(order: Order, due: pieces.Due, tz: ZoneInfo, now: datetime) -> str:
    if due.at is None:
        return _("The restaurant has not given a time yet.")
    says_window = order.promised_until and due.at == order.promised_at and due.at > now
    if says_window and order.promised_until and order.promised_at:
        words = {
            "start": phrases.clock(order.promised_at, tz, now),
            "end": phrases.clock(order.promised_until, tz, order.promised_at),
        }
        return _("Between %(start)s and %(end)s") % words
    return phrases.due_sentence(due.at, tz, now, travels=due.at_door)


def _next_step(order: Order) -> str:
    place = order.location.name if order.location else order.restaurant.name
    words = {"number": order.display or str(order.public_id)[:8], "place": place}
    if order.state == State.READY and order.fulfillment == "pickup":
        return _("Come to %(place)s and say number %(number)s.") % words
    if order.state == State.READY and order.fulfillment in ("curbside", "drive_through"):
        return _("We are at %(place)s. Your number is %(number)s.") % words
    if order.state in (State.CANCELLED, State.FAILED):
        return _("If you did not ask for this, please call us.")
    return ""


def _tone(order: Order, due: pieces.Due) -> str:
    if order.state in (State.CANCELLED, State.FAILED):
        return "off"
    if due.standing == "late":
        return "late"
    if order.state == State.OUT_FOR_DELIVERY:
        return "road"
    is_done = order.state in TERMINAL or order.state == State.READY
    return "done" if is_done else "work"
