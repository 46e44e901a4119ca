"""How pages say states and times. Pure: an instant, a zone and ``now`` in, words out.

Every word passes gettext and is in the language active when the function is called.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.utils import formats
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from integrations.contracts import State

#: fulfilments whose goods travel to the guest
TRAVELLING = frozenset({"delivery", "shipping"})


@lru_cache(maxsize=256)
def zone(name: str) -> ZoneInfo:
    """The zone of an IANA name; an unknown or empty name is UTC."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def minutes_between(start: datetime, end: datetime) -> int:
    """Whole minutes from ``start`` to ``end``, rounded down in size; negative when earlier."""
    return int((end - start).total_seconds() / 60)


def minutes_left(at: datetime, now: datetime) -> int:
    """Minutes until ``at``, rounded as in the messages; negative when passed."""
    return round((at - now).total_seconds() / 60)


def clock(at: datetime, tz: ZoneInfo, now: datetime) -> str:
    """Wall time in ``tz``: "18:42", else "tomorrow 18:42", "Fri 18:42", "14 Mar 18:42"."""
    local, today = at.astimezone(tz), now.astimezone(tz).date()
    time = f"{local:%H:%M}"
    days = (local.date() - today).days
    if days == 0:
        return time
    if days == 1:
        return _("tomorrow %(time)s") % {"time": time}
    if days == -1:
        return _("yesterday %(time)s") % {"time": time}
    pattern = "D H:i" if 1 < days < 7 else "j M H:i"
    return formats.date_format(local, pattern)


def span(minutes: int) -> str:
    """A length as people say it: "6 min", "1 h 05 min", "3 days"."""
    if minutes < 60:
        return _("%(n)d min") % {"n": minutes}
    hours, rest = divmod(minutes, 60)
    if hours < 24:
        text = _("%(h)d h %(m)02d min") if rest else _("%(h)d h")
        return text % {"h": hours, "m": rest}
    days = hours // 24
    return ngettext("%(n)d day", "%(n)d days", days) % {"n": days}


def clock_in(at: datetime, tz: ZoneInfo, now: datetime) -> str:
    """ "18:42 (in 6 min)"; within the running minute "18:42 (now)"; passed: only the clock."""
    time, left = clock(at, tz, now), minutes_left(at, now)
    if left > 12 * 60 or left < 0:
        return time
    if left == 0:
        return _("%(time)s (now)") % {"time": time}
    return _("%(time)s (in %(span)s)") % {"time": time, "span": span(left)}


def ago(at: datetime, now: datetime) -> str:
    """ "just now", "4 min ago"."""
    passed = minutes_between(at, now)
    if passed < 1:
        return _("just now")
    return _("%(span)s ago") % {"span": span(passed)}


def state_word(state: str, fulfillment: str = "pickup") -> str:
    """One or two words for a state, for tracks, tickets and timelines."""
    if state == State.PICKED_UP and fulfillment == "dine_in":
        return _("Served")
    words = {
        State.RECEIVED: _("Received"),
        State.ACCEPTED: _("Confirmed"),
        State.PREPARING: _("Preparing"),
        State.READY: _("Ready"),
        State.OUT_FOR_DELIVERY: _("On the way"),
        State.PICKED_UP: _("Picked up"),
        State.DELIVERED: _("Delivered"),
        State.CANCELLED: _("Cancelled"),
        State.FAILED: _("Not completed"),
        "removed": _("Removed"),
    }
    return str(words.get(state, state.replace("_", " ")))


def headline(state: str, fulfillment: str) -> str:
    """The big sentence of the customer's page."""
    if state == State.READY:
        return {
            "pickup": _("Ready for pickup"),
            "curbside": _("Ready, we bring it to your car"),
            "drive_through": _("Ready at the window"),
            "dine_in": _("Ready, coming to your table"),
            "delivery": _("Ready, waiting for the courier"),
            "shipping": _("Ready to be sent"),
        }.get(fulfillment, _("Ready"))
    words = {
        State.RECEIVED: _("We have your order"),
        State.ACCEPTED: _("The kitchen has your order"),
        State.PREPARING: _("Being prepared"),
        State.OUT_FOR_DELIVERY: _("On the way to you"),
        State.CANCELLED: _("Cancelled"),
        State.FAILED: _("We could not complete your order"),
    }
    return words.get(State(state), "") or state_word(state, fulfillment)


def fulfillment_word(fulfillment: str) -> str:
    """Pickup, Delivery, ... for tickets."""
    return {
        "pickup": _("Pickup"),
        "curbside": _("Curbside"),
        "drive_through": _("Drive-through"),
        "dine_in": _("Dine-in"),
        "delivery": _("Delivery"),
        "shipping": _("Shipping"),
    }.get(fulfillment, fulfillment.replace("_", " "))


def due_sentence(at: datetime, tz: ZoneInfo, now: datetime, *, travels: bool) -> str:
    """ "Ready about 18:42 (in 6 min)", or what is true once that time has passed."""
    if at + timedelta(minutes=1) <= now:
        words = {"time": clock(at, tz, now), "ago": ago(at, now)}
        return _("Was expected at %(time)s, %(ago)s") % words
    when = clock_in(at, tz, now)
    if travels:
        return _("With you about %(when)s") % {"when": when}
    return _("Ready about %(when)s") % {"when": when}
