"""Statements that were read again with another status map: the newest reading stands. Pure.

Nothing said is ever changed or taken away. A second reading is an observation of its own, its
event key marked with the version of the map; of all readings of one statement the one with the
highest version counts, in whatever order they came.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from integrations.contracts import Observation

MARK = "@map"

Named = tuple[str, str, str, str]


def reading_key(event_key: str, version: int) -> str:
    """The event key of a reading made with ``version`` of the status map."""
    return f"{event_key}{MARK}{version}"


def standing(said: Sequence[Observation]) -> tuple[Observation, ...]:
    """``said`` without the readings that a later one replaced; nothing else changes."""
    if not any(MARK in one.event_key for one in said):
        return tuple(said)
    newest: dict[Named, int] = {}
    for one in said:
        name, version = _name(one)
        newest[name] = max(newest.get(name, 0), version)
    return tuple(one for one in said if newest[_name(one)[0]] == _name(one)[1])


def newest_reading(one: Observation, known: Iterable[Observation]) -> Observation | None:
    """The reading of ``one`` that stands among ``known``; None when it was never said."""
    name = _name(one)[0]
    found = [entry for entry in known if _name(entry)[0] == name]
    return max(found, key=lambda entry: _name(entry)[1], default=None)


def is_reread(
    one: Observation, known: Observation, status_map: Mapping[str, Mapping[str, str]]
) -> bool:
    """Whether ``one`` reads the statement ``known`` anew: a manager said what its word means."""
    if one.native_state != known.native_state or one.state == known.state:
        return False
    return known.state is None or any(one.native_state in words for words in status_map.values())


def _name(one: Observation) -> tuple[Named, int]:
    """(what all readings of one statement share, the version that made this one)."""
    base, mark, version = one.event_key.rpartition(MARK)
    if mark and version.isdecimal() and version.isascii() and len(version) < 10:
        return (one.account, base, one.native_state, one.ref), int(version)
    return (one.account, one.event_key, one.native_state, one.ref), 0
