"""A new time from the people who know: what staff are asked for when an order is overdue.

It goes through the history and the delay rules like any source's estimate, so the guest is told
by the same rules.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from integrations.contracts import RANK, State
from orders import intake, phrases, pieces
from orders.models import Order

#: minutes from now the buttons offer
OFFERS = (5, 10, 15, 20, 30, 45)


def may_have_time(order: Order) -> bool:
    """Whether somebody still waits: not handed over, and not ready for who fetches it."""
    is_done = RANK[order.state] >= RANK[State.READY]
    return order.is_open and (order.fulfillment in phrases.TRAVELLING or not is_done)


def offered(text: str) -> int | None:
    """The minutes a button sent; None when no button sends that."""
    minutes = int(text) if text.isascii() and text.isdecimal() and len(text) < 4 else 0
    return minutes if minutes in OFFERS else None


def give_time(*, order: Order, minutes: int, actor: str, now: datetime) -> datetime:
    """State that ``order`` is ready, or at the door, in so many minutes. Returns when that is."""
    at = (now + timedelta(minutes=minutes)).replace(second=0, microsecond=0)
    name = "est_delivery_at" if order.fulfillment in phrases.TRAVELLING else "est_ready_at"
    data = {"times": {name: at.isoformat()}}
    intake.add_manual_update(order=order, data=data, actor=actor, at=now)
    return at


def in_words(order: Order, at: datetime, now: datetime) -> str:
    """What the person who pressed the button reads."""
    words = {"order": str(order), "time": phrases.clock(at, pieces.local_zone(order), now)}
    return _("%(order)s: new time %(time)s. The guest is told if it matters.") % words
