"""Policy packs: the rules of a jurisdiction as dated data, compiled once into lookups.

A pack is a ``PolicyPack`` row. Its rules overlay each other from general to specific: ``*``/``*``,
then a channel, then a purpose, then both. A rule with an ``area`` narrows hours and volume for
numbers (or orders) of that area. Of several plausible jurisdictions the strictest counts in each
respect. The packs under ``packs/`` are what a new installation starts with; a change of law is a
new row with its own dates, never an edit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from consents.hours import WeekHours

#: how much a basis proves; a requirement is met by the same or a higher level
LEVELS: Mapping[str, int] = {
    "none": 0,
    "legal_duty": 0,
    "legitimate_interest": 1,
    "contract": 1,
    "soft_opt_in": 2,
    "consent": 3,
    "written_consent": 4,
}
DEFAULT = "default"
#: the European Economic Area: the same rules
EU_MEMBERS = frozenset(
    (
        *("AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU"),
        *("IE", "IS", "IT", "LI", "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE"),
        *("SI", "SK"),
        # regions with numbers of their own inside a member
        *("AX", "GP", "GF", "MQ", "RE", "YT", "BL", "MF"),
    )
)
US_TERRITORIES = frozenset(("AS", "GU", "MP", "PR", "VI"))
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_RULE_KEYS = frozenset(
    (
        *("channel", "purpose", "required_basis", "needs_verified_address", "hours"),
        *("max_per_day", "optout_deadline_days", "area", "number_prefixes"),
    )
)


class PackInvalid(ValueError):
    """The rules of a pack cannot be read; the text says which rule and why."""


@dataclass(frozen=True, slots=True)
class AreaRule:
    """Narrower hours and volume inside one area."""

    area: str
    number_prefixes: frozenset[str]
    hours: WeekHours | None
    max_per_day: int | None


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the packs together demand of one channel and purpose."""

    version: str
    required_basis: str
    level: int
    needs_verified_address: bool = False
    hours: WeekHours | None = None
    max_per_day: int | None = None
    optout_deadline_days: int | None = None
    areas: tuple[AreaRule, ...] = ()

    def within(self, prefix: str, regions: tuple[str, ...]) -> Ruling:
        """This ruling narrowed by the areas a number prefix or the named regions lie in."""
        hours, most = self.hours, self.max_per_day
        for area in self.areas:
            if area.area in regions or (prefix and prefix in area.number_prefixes):
                hours = _narrower(hours, area.hours)
                most = _least(most, area.max_per_day)
        if hours is self.hours and most == self.max_per_day:
            return self
        return Ruling(
            self.version,
            self.required_basis,
            self.level,
            self.needs_verified_address,
            hours,
            most,
            self.optout_deadline_days,
            self.areas,
        )


@dataclass(frozen=True, slots=True)
class Pack:
    """One compiled policy pack."""

    jurisdiction: str
    version: str
    effective_from: datetime
    effective_to: datetime | None
    rules: tuple[Mapping[str, Any], ...]

    def is_effective(self, now: datetime) -> bool:
        """From its first instant, up to and excluding its last."""
        return self.effective_from <= now and (self.effective_to is None or now < self.effective_to)

    def ruling(self, channel: str, purpose: str) -> Ruling:
        """What this pack alone demands."""
        merged: dict[str, Any] = {}
        areas: list[AreaRule] = []
        for rule in sorted(self.rules, key=_specificity):
            if rule["channel"] in ("*", channel) and rule["purpose"] in ("*", purpose):
                if "area" in rule:
                    areas.append(_area_rule(rule))
                else:
                    merged.update(rule)
        basis = str(merged.get("required_basis", "written_consent"))
        return Ruling(
            version=f"{self.jurisdiction} {self.version}",
            required_basis=basis,
            level=LEVELS[basis],
            needs_verified_address=bool(merged.get("needs_verified_address", False)),
            hours=_week_hours(merged.get("hours")),
            max_per_day=merged.get("max_per_day"),
            optout_deadline_days=merged.get("optout_deadline_days"),
            areas=tuple(areas),
        )


#: used when no pack covers a country: nothing without a grant in writing, in narrow hours
_NO_PACK = Pack(
    "none",
    "0",
    datetime.min,  # noqa: DTZ901 - never compared: this pack is always in force
    None,
    (
        {
            "channel": "*",
            "purpose": "*",
            "required_basis": "written_consent",
            "needs_verified_address": True,
            "hours": {"daily": ["09:00", "18:00"]},
        },
        {"channel": "*", "purpose": "service_reply", "required_basis": "none", "hours": None},
    ),
)


@dataclass(frozen=True, slots=True)
class PackSet:
    """The packs in force at one instant. Rulings are computed once and remembered."""

    packs: Mapping[str, Pack]
    _known: dict[tuple[tuple[str, ...], str, str], Ruling] = field(
        default_factory=dict, repr=False, compare=False
    )

    @staticmethod
    def at(packs: Iterable[Pack], now: datetime) -> PackSet:
        """Of each jurisdiction the pack in force at ``now``; the latest where several are."""
        in_force = sorted(
            (pack for pack in packs if pack.is_effective(now)),
            key=lambda pack: (pack.effective_from, pack.version),
        )
        return PackSet({pack.jurisdiction: pack for pack in in_force})

    def ruling(self, countries: tuple[str, ...], channel: str, purpose: str) -> Ruling:
        """The strictest demands of all plausible ``countries`` (ISO codes, "" is skipped)."""
        key = (countries, channel, purpose)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._strictest(countries, channel, purpose)
        return known

    def pack_for(self, country: str) -> Pack:
        """The pack of a country: its own, its union's, the default, or the strictest of all."""
        name = country[:2]
        if name in EU_MEMBERS and name not in self.packs:
            name = "EU"
        elif name in US_TERRITORIES and name not in self.packs:
            name = "US"
        return self.packs.get(name) or self.packs.get(DEFAULT) or _NO_PACK

    def _strictest(self, countries: tuple[str, ...], channel: str, purpose: str) -> Ruling:
        packs = {p.jurisdiction: p for p in (self.pack_for(c) for c in countries if c)}
        if not packs:
            fallback = self.pack_for("")
            packs = {fallback.jurisdiction: fallback}
        rulings = [packs[name].ruling(channel, purpose) for name in sorted(packs)]
        strictest = max(rulings, key=lambda ruling: ruling.level)
        hours, most, deadline = None, None, None
        for ruling in rulings:
            hours = _narrower(hours, ruling.hours)
            most = _least(most, ruling.max_per_day)
            deadline = _least(deadline, ruling.optout_deadline_days)
        return Ruling(
            version="+".join(ruling.version for ruling in rulings),
            required_basis=strictest.required_basis,
            level=strictest.level,
            needs_verified_address=any(r.needs_verified_address for r in rulings),
            hours=hours,
            max_per_day=most,
            optout_deadline_days=deadline,
            areas=tuple(area for ruling in rulings for area in ruling.areas),
        )


def compile_pack(
    *,
    jurisdiction: str,
    version: str,
    effective_from: datetime,
    effective_to: datetime | None,
    rules: Iterable[Mapping[str, Any]],
) -> Pack:
    """A pack from the values of its row; raises PackInvalid."""
    listed = tuple(rules)
    for number, rule in enumerate(listed, 1):
        try:
            _check_rule(rule)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise PackInvalid(f"{jurisdiction} {version}, rule {number}: {error!r}") from error
    return Pack(jurisdiction, version, effective_from, effective_to, listed)


def _check_rule(rule: Mapping[str, Any]) -> None:
    if unknown := set(rule) - _RULE_KEYS:
        raise ValueError(f"unknown keys {sorted(unknown)}")
    if not (isinstance(rule["channel"], str) and isinstance(rule["purpose"], str)):
        raise TypeError("channel and purpose are texts")
    if "required_basis" in rule and rule["required_basis"] not in LEVELS:
        raise ValueError(f"unknown basis {rule['required_basis']!r}")
    if "max_per_day" in rule and not isinstance(rule["max_per_day"], int):
        raise TypeError("max_per_day is a number")
    _week_hours(rule.get("hours"))
    if "area" in rule:
        _area_rule(rule)


def _specificity(rule: Mapping[str, Any]) -> int:
    return int(rule["channel"] != "*") + 2 * int(rule["purpose"] != "*")


def _area_rule(rule: Mapping[str, Any]) -> AreaRule:
    return AreaRule(
        area=str(rule["area"]),
        number_prefixes=frozenset(rule.get("number_prefixes", ())),
        hours=_week_hours(rule.get("hours")),
        max_per_day=rule.get("max_per_day"),
    )


def _week_hours(raw: Mapping[str, Any] | None) -> WeekHours | None:
    """{"daily": ["08:00", "20:00"]} or {"mon-sat": [..], "sun": [..]}; days not named: closed."""
    if raw is None:
        return None
    days = [(0, 0)] * 7
    for name, (opens, closes) in raw.items():
        first, _, last = ("mon-sun" if name == "daily" else name).partition("-")
        for day in range(_DAYS.index(first), _DAYS.index(last or first) + 1):
            days[day] = (_minutes(opens), _minutes(closes))
    return WeekHours(tuple(days))


def _minutes(text: str) -> int:
    hour, minute = (int(part) for part in text.split(":"))
    total = hour * 60 + minute
    if not (0 <= minute < 60 and 0 <= total <= 24 * 60):
        raise ValueError(f"no time of day: {text!r}")
    return total


def _narrower(one: WeekHours | None, other: WeekHours | None) -> WeekHours | None:
    if one is None or other is None:
        return one or other
    return one.narrowed(other)


def _least(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
