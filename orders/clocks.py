"""Clocks of other people: what we believe of them, and what we do instead. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from integrations.contracts import Observation, ordering_key

#: a sender's clock may run ahead this much
SKEW = timedelta(minutes=5)
#: beyond these a clock is wrong, not late or early: such news is recorded and never told
AHEAD = timedelta(days=1)
BEHIND = timedelta(days=180)
_ESTIMATES = ("est_ready_at", "est_delivery_at")
#: a wedding is promised long ahead; what nobody can mean would not even let us add a minute
_DATES = ("placed_at", "promised_at", "promised_until")
_YEARS = range(1971, 2200)


@dataclass(frozen=True, slots=True)
class Judged:
    """An observation with a believable time, what was wrong, and whether it may be told."""

    observation: Observation
    problems: tuple[str, ...] = ()
    is_implausible: bool = False


def judge_all(observations: Iterable[Observation], received_at: datetime) -> list[Judged]:
    """What one update says, as it enters the order.

    An old time beside a believable one is history (when an order was made), not a wrong clock.
    """
    said = list(observations)
    times = [one.occurred_at for one in said if one.occurred_at is not None]
    is_clock_right = any(received_at - BEHIND <= at <= received_at + SKEW for at in times)
    return [judge(one, received_at, may_be_old=is_clock_right) for one in said]


def judge(observation: Observation, received_at: datetime, *, may_be_old: bool = False) -> Judged:
    """``observation`` as it enters the order.

    A time in the future becomes the moment we heard of it, and so does one that is half a year
    old or older. An ordering key made from the wrong time follows it, else one event with a
    clock a year ahead would silence every later one. Estimates half a year away are dropped, and so
    are dates of no year of ours.
    """
    data, problems = _without_absurd(observation.data, received_at)
    observation = replace(observation, data=data, received_at=received_at)
    at = observation.occurred_at
    if at is None:
        return Judged(replace(observation, occurred_at_basis="arrival"), problems)
    if (may_be_old or received_at - BEHIND <= at) and at <= received_at + SKEW:
        return Judged(observation, problems)
    key = observation.ordering_key
    if key == ordering_key(at):
        key = ordering_key(received_at)
    off = "ahead" if at > received_at else "behind"
    return Judged(
        replace(
            observation, occurred_at=received_at, occurred_at_basis="arrival", ordering_key=key
        ),
        (*problems, f"the sender's clock is {_distance(at, received_at)} {off}"),
        is_implausible=at > received_at + AHEAD or at < received_at - BEHIND,
    )


def _distance(one: datetime, other: datetime) -> str:
    seconds = abs((one - other).total_seconds())
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def _without_absurd(
    data: Mapping[str, Any], received_at: datetime
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    problems: list[str] = []

    def kept(values: Mapping[str, Any]) -> dict[str, Any]:
        found = dict(values)
        for name in _ESTIMATES:
            value = found.get(name)
            if isinstance(value, str):
                away = abs(datetime.fromisoformat(value) - received_at)
                if away > BEHIND:
                    del found[name]
                    problems.append(f"{name} is {away.days} days away")
        for name in _DATES:
            value = found.get(name)
            if (
                isinstance(value, str)
                and (year := datetime.fromisoformat(value).year) not in _YEARS
            ):
                del found[name]
                problems.append(f"{name} is in the year {year}")
        return found

    found = kept(data)
    if isinstance(found.get("times"), Mapping):
        found["times"] = kept(found["times"])
    return (found, tuple(problems)) if problems else (data, ())
