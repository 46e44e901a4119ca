"""The observations of one order, sorted out by who said them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from integrations.contracts import Observation
from orders.details import Fields, merge_fields
from orders.states import CALLED_OFF
from orders.streams import BEGINNING, STAFF_SOURCE

#: whose word counts first for the fields a track owns
_TRACKS = {
    "commercial": ("commercial", "kitchen", "courier"),
    "kitchen": ("kitchen", "commercial", "courier"),
    "courier": ("courier", "commercial", "kitchen"),
}


@dataclass(slots=True)
class Book:
    """The observations of one order, sorted out by who said them."""

    priorities: Mapping[str, Mapping[str, int]]
    said: dict[str, list[Observation]] = field(default_factory=dict)
    staff: list[Observation] = field(default_factory=list)
    #: how often the order was called off to be placed anew
    restarts: int = 0
    _fields: dict[str, list[tuple[str, Fields]]] = field(default_factory=dict)

    @property
    def has_courier(self) -> bool:
        """Whether anybody spoke of a courier's trip."""
        return any(
            o.scope == "leg" or (o.track == "courier" and o.scope == "order" and o.state)
            for said in (*self.said.values(), self.staff)
            for o in said
        )

    def leave_replaced(self) -> None:
        """Forget what an account said of an order it placed anew: the new one is the order."""
        for account, said in self.said.items():
            gone = {o.data["replaces"] for o in said if "of" in o.data and o.data.get("replaces")}
            kept = [o for o in said if o.data.get("of") not in gone]
            if gone and kept:
                ended = {o.data["of"] for o in said if _is_end_of(gone, o)}
                self.restarts += len(ended)
                self.said[account] = kept

    def settle_states(self, kind: str) -> None:
        """Read words that mean another thing for orders of this ``kind`` ("" = nobody said)."""
        for account, said in self.said.items():
            self.said[account] = [_meant(one, kind) for one in said]

    def priority(self, account: str, track: str) -> int:
        """How loud an account speaks for a track."""
        return self.priorities.get(account, {}).get(track, 0)

    def fields_of(self, track: str) -> list[Fields]:
        """Order-level fields, the owner of ``track`` first, staff last."""
        found = [
            fields
            for name in _TRACKS[track]
            for account, fields in sorted(
                self._track_fields(name),
                key=lambda pair: (-self.priority(pair[0], name), pair[0]),
            )
        ]
        if self.staff:
            found.append(merge_fields(o for o in self.staff if o.scope == "order"))
        return found

    def _track_fields(self, track: str) -> list[tuple[str, Fields]]:
        if track not in self._fields:
            self._fields[track] = [
                (account, fields)
                for account, said in self.said.items()
                if (fields := merge_fields(
                    o for o in said if o.scope == "order" and o.track == track
                ))
            ]  # fmt: skip
        return self._fields[track]


def sort_out(
    observations: Iterable[Observation], priorities: Mapping[str, Mapping[str, int]]
) -> Book:
    """Drop repetitions (the first body of an event key wins) and group by account."""
    unique: dict[tuple[str, str], Observation] = {}
    for one in observations:
        known = unique.setdefault((one.account, one.event_key), one)
        if known is not one and known != one:
            unique[one.account, one.event_key] = min(known, one, key=_arrival)
    book = Book(priorities)
    for one in unique.values():
        if one.source == STAFF_SOURCE:
            book.staff.append(one)
        else:
            book.said.setdefault(one.account, []).append(one)
    return book


def _is_end_of(gone: Collection[str], one: Observation) -> bool:
    return one.data.get("of") in gone and one.state in CALLED_OFF


def _meant(one: Observation, kind: str) -> Observation:
    by_kind = one.data.get("state_by")
    if not isinstance(by_kind, Mapping) or kind not in by_kind:
        return one
    return replace(one, state=by_kind[kind])


def _arrival(one: Observation) -> tuple[datetime, str]:
    return one.received_at or BEGINNING, repr(one)
