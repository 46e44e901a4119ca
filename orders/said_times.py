"""The times a statement gives, in words: who said what about when. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from orders import phrases
from orders.details import instant


def times_said(data: Mapping[str, Any], tz: ZoneInfo, now: datetime) -> list[str]:
    """What ``data`` of an observation says about times, e.g. "ready about 18:42".

    ``now`` is the moment it was said: times of other days carry their day.
    """
    nested = data.get("times")
    times = {**data, **(nested if isinstance(nested, Mapping) else {})}
    said = [
        text
        for name, (word, gone) in _words().items()
        if name in times and (text := _said(times[name], word, gone, tz, now))
    ]
    flags = data.get("flags")
    delayed = flags.get("delayed") if isinstance(flags, Mapping) else None
    if delayed is not None:
        said.append(_("it is delayed") if delayed else _("it is not delayed"))
    return said


def _words() -> dict[str, tuple[str, str]]:
    return {
        "promised_at": (_("promised for %(time)s"), _("no promise any more")),
        "promised_until": (_("at the latest %(time)s"), ""),
        "est_ready_at": (_("ready about %(time)s"), _("nobody knows when it is ready")),
        "est_delivery_at": (_("at the door about %(time)s"), _("nobody knows when it arrives")),
    }


def _said(value: object, word: str, gone: str, tz: ZoneInfo, now: datetime) -> str:
    if value is None:
        return gone
    at = instant(value)
    return word % {"time": phrases.clock(at, tz, now)} if at else ""
