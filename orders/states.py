"""The nine states: what a change from one to another means, and how parts roll up. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from integrations.contracts import HANDED_OVER, RANK, State

#: a part dropped by a snapshot; not a state of an order
REMOVED = "removed"
#: states in which a part or a leg no longer counts
CALLED_OFF = frozenset({State.CANCELLED, State.FAILED})
_NOT_LIVE = frozenset({State.CANCELLED, State.FAILED, REMOVED})

_COLUMNS = (
    State.RECEIVED, State.ACCEPTED, State.PREPARING, State.READY, State.OUT_FOR_DELIVERY,
    State.PICKED_UP, State.DELIVERED, State.CANCELLED, State.FAILED,
)  # fmt: skip

#: F forward, R regression, O reopening, A after sale, C conflict, x never, - no change;
#: h = held when the fulfilment contradicts it, s = staff see it first, goods are on the road
_ROWS: tuple[tuple[str | None, str], ...] = (
    (None,                   "F  F  F  F  Fh Fh Fh F  F "),
    (State.RECEIVED,         "-  F  F  F  F  Fh Fh F  F "),
    (State.ACCEPTED,         "R  -  F  F  F  Fh Fh F  F "),
    (State.PREPARING,        "R  R  -  F  F  Fh Fh F  F "),
    (State.READY,            "R  R  R  -  F  F  Fh F  F "),
    (State.OUT_FOR_DELIVERY, "R  R  R  R  -  Fh F  Fs Fs"),
    (State.PICKED_UP,        "O  O  O  O  x  -  C  A  A "),
    (State.DELIVERED,        "O  O  O  O  x  C  -  A  A "),
    (State.CANCELLED,        "O  O  O  O  O  C  C  -  R "),
    (State.FAILED,           "O  O  O  O  O  C  C  F  - "),
)  # fmt: skip

CHANGES: Mapping[str | None, Mapping[str, str]] = {
    old: dict(zip(_COLUMNS, cells.split(), strict=True)) for old, cells in _ROWS
}


class Effect(StrEnum):
    """What a change does besides moving the state."""

    NONE = ""
    REOPENED = "reopened"
    AFTER_SALE = "after_sale"
    CONFLICT = "conflict"


def step(current: str | None, stated: str) -> tuple[str, Effect]:
    """The state after a newer statement of the same stream, and its side effect.

    A hand-over never gives way to a cancellation; out_for_delivery after it is late news.
    """
    letter = CHANGES[current][stated][0]
    if letter in "FR":
        return stated, Effect.NONE
    if letter == "O":
        return stated, Effect.REOPENED
    kept = current or stated
    if letter == "A":
        return kept, Effect.AFTER_SALE
    if letter == "C":
        return (kept if kept in HANDED_OVER else stated), Effect.CONFLICT
    return kept, Effect.NONE


def settle_ranked(states: Iterable[str]) -> tuple[str, bool]:
    """The state of a stream without a usable order, and whether it contradicts itself.

    A hand-over beats cancelled beats failed beats the highest rank seen.
    """
    seen = set(states)
    kinds = bool(seen & HANDED_OVER) + (State.CANCELLED in seen) + (State.FAILED in seen)
    both_handed = seen >= HANDED_OVER
    for state in (State.DELIVERED, State.PICKED_UP, State.CANCELLED, State.FAILED):
        if state in seen:
            return state, kinds > 1 or both_handed
    return max(seen, key=lambda s: RANK[s]), False


def roll_up_states(states: Iterable[str]) -> str:
    """The state of a whole from the states of its parts.

    The lowest live state, lifted to preparing when one part has begun and another has not; all
    cancelled is cancelled; nothing live otherwise is failed. No parts at all is received.
    """
    listed = list(states)
    live = [s for s in listed if s not in _NOT_LIVE]
    if live:
        lowest = min(live, key=lambda s: (RANK[s], s))
        highest = max(RANK[s] for s in live)
        preparing = RANK[State.PREPARING]
        return State.PREPARING if RANK[lowest] < preparing <= highest else lowest
    if not listed:
        return State.RECEIVED
    rest = [s for s in listed if s != REMOVED]
    return State.CANCELLED if rest and set(rest) == {State.CANCELLED} else State.FAILED


def is_live(state: str | None) -> bool:
    """Whether a part (or leg) in ``state`` still counts; None = nothing said yet."""
    return state not in _NOT_LIVE
