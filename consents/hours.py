"""Opening windows and do-not-disturb, computed from local wall clocks. Pure; ``now`` is given.

Where a wall time happens twice or never (clock changes), the restrictive reading counts: a quiet
time ends at the later instant, a window closes at the earlier one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_DAY = timedelta(days=1)
#: nothing that opens later than this is worth waiting for
_HORIZON = timedelta(days=9)
_MINUTES_OF_DAY = 24 * 60


@cache
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def known_zones(names: Sequence[str]) -> tuple[ZoneInfo, ...] | None:
    """The zones called ``names``; None when there is none or one of them is unknown."""
    zones = [_zone(name) for name in names if name]
    found = tuple(zone for zone in zones if zone is not None)
    return found if found and len(found) == len(zones) else None


@dataclass(frozen=True, slots=True)
class WeekHours:
    """Minutes since midnight at which each weekday (Monday first) opens and closes.

    A day whose closing is not after its opening is closed.
    """

    days: tuple[tuple[int, int], ...]

    def narrowed(self, other: WeekHours) -> WeekHours:
        """Open only when both are."""
        pairs = zip(self.days, other.days, strict=True)
        return WeekHours(tuple((max(a[0], b[0]), min(a[1], b[1])) for a, b in pairs))


ALWAYS = WeekHours(((0, _MINUTES_OF_DAY),) * 7)


def _instant(zone: ZoneInfo, day: date, minutes: int, *, later: bool) -> datetime:
    """The UTC instant of a wall time; of two readings the later or the earlier one."""
    if minutes >= _MINUTES_OF_DAY:
        day, minutes = day + _DAY, minutes - _MINUTES_OF_DAY
    wall = datetime.combine(day, time(minutes // 60, minutes % 60))
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    second = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return max(first, second) if later else min(first, second)


def _opening(zone: ZoneInfo, hours: WeekHours, now: datetime) -> datetime | None:
    """``now`` when the window is open, else its next opening; None beyond the horizon."""
    day = now.astimezone(zone).date()
    for _ in range(_HORIZON.days):
        opens, closes = hours.days[day.weekday()]
        if closes > opens and now < _instant(zone, day, closes, later=False):
            return max(now, _instant(zone, day, opens, later=True))
        day += _DAY
    return None


def _end_of_quiet(zone: ZoneInfo, start: time, end: time, now: datetime) -> datetime:
    """``now`` outside the quiet time, else the instant it ends. Equal times: never quiet."""
    first, last = start.hour * 60 + start.minute, end.hour * 60 + end.minute
    if first == last:
        return now
    until = last if last > first else last + _MINUTES_OF_DAY
    today = now.astimezone(zone).date()
    for day in (today - _DAY, today):
        ends = _instant(zone, day, until, later=True)
        if _instant(zone, day, first, later=False) <= now < ends:
            return ends
    return now


Rule = Callable[[ZoneInfo, datetime], datetime | None]


def open_hours(hours: WeekHours) -> Rule:
    """Wait until ``hours`` are open."""
    return lambda zone, now: _opening(zone, hours, now)


def outside_quiet(start: time, end: time) -> Rule:
    """Wait until the quiet time from ``start`` to ``end`` (which may cross midnight) is over."""
    return lambda zone, now: _end_of_quiet(zone, start, end, now)


def next_allowed(
    zones: Sequence[ZoneInfo], rules: Sequence[Rule], now: datetime
) -> datetime | None:
    """The first instant from ``now`` that every rule allows in every zone; None if none soon.

    Each rule pushes the instant forward, never back, so a round in which nobody pushes is it.
    """
    candidate = now.astimezone(UTC)
    while candidate - now <= _HORIZON:
        moved = candidate
        for rule in rules:
            for zone in zones:
                pushed = rule(zone, moved)
                if pushed is None:
                    return None
                moved = pushed
        if moved == candidate:
            return candidate
        candidate = moved
    return None
