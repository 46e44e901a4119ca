"""How messages say a moment: by the location's clock, with the day where it is not near. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

#: within this time a clock alone says enough
NEAR = timedelta(hours=12)

_TOMORROW: Mapping[str, str] = {"en": "tomorrow", "es": "mañana"}
_NOW: Mapping[str, str] = {"en": "now", "es": "ahora"}
_IN: Mapping[str, str] = {"en": "in", "es": "en"}
_DAYS: Mapping[str, tuple[str, str]] = {"en": ("day", "days"), "es": ("día", "días")}
_WEEKDAYS: Mapping[str, tuple[str, ...]] = {
    "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
    "es": ("lun", "mar", "mié", "jue", "vie", "sáb", "dom"),
}
_MONTHS: Mapping[str, tuple[str, ...]] = {
    "en": (*("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
           *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec")),
    "es": (*("ene", "feb", "mar", "abr", "may", "jun"),
           *("jul", "ago", "sep", "oct", "nov", "dic")),
}  # fmt: skip


@lru_cache(maxsize=256)
def zone(name: str) -> ZoneInfo:
    """The zone of an IANA name; an unknown one is UTC."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def clock(at: datetime | None, tz: ZoneInfo, now: datetime, language: str) -> str:
    """ "18:42", or "tomorrow 18:42", "Fri 20 Mar 18:42" where that could be misread; "" for None.

    ``language`` other than Spanish is English.
    """
    if at is None:
        return ""
    local = at.astimezone(tz)
    time = f"{local:%H:%M}"
    days = (local.date() - now.astimezone(tz).date()).days
    if days == 0 or abs(at - now) < NEAR:
        return time
    known = _known(language)
    if days == 1:
        return f"{_TOMORROW[known]} {time}"
    weekday, month = _WEEKDAYS[known][local.weekday()], _MONTHS[known][local.month - 1]
    return f"{weekday} {local.day} {month} {time}"


def minutes_until(at: datetime | None, now: datetime) -> int:
    """Whole minutes from now, never negative; 0 for None."""
    return max(0, round((at - now).total_seconds() / 60)) if at else 0


def until(at: datetime | None, now: datetime, language: str) -> str:
    """ "in 6 min", "in 2 h 10 min", "in 3 days", "now"; "" for None."""
    if at is None:
        return ""
    known = _known(language)
    minutes = minutes_until(at, now)
    if minutes == 0:
        return _NOW[known]
    hours, rest = divmod(minutes, 60)
    if minutes < 100:
        length = f"{minutes} min"
    elif hours < 24:
        length = f"{hours} h {rest:02d} min" if rest else f"{hours} h"
    else:
        days = round(minutes / 1440)
        length = f"{days} {_DAYS[known][days != 1]}"
    return f"{_IN[known]} {length}"


def _known(language: str) -> str:
    return language if language in _NOW else "en"
