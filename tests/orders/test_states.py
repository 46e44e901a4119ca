"""The table of changes, the fold step, ranked streams and the roll-up of parts."""

from __future__ import annotations

import itertools

import pytest

from integrations.contracts import State
from orders.projection import PartView, roll_up
from orders.states import CHANGES, Effect, roll_up_states, settle_ranked, step

COLUMNS = [
    "received", "accepted", "preparing", "ready", "out_for_delivery", "picked_up", "delivered",
    "cancelled", "failed",
]  # fmt: skip
TABLE = {
    None: "F F F F Fh Fh Fh F F",
    "received": "- F F F F Fh Fh F F",
    "accepted": "R - F F F Fh Fh F F",
    "preparing": "R R - F F Fh Fh F F",
    "ready": "R R R - F F Fh F F",
    "out_for_delivery": "R R R R - Fh F Fs Fs",
    "picked_up": "O O O O x - C A A",
    "delivered": "O O O O x C - A A",
    "cancelled": "O O O O O C C - R",
    "failed": "O O O O O C C F -",
}
CELLS = [
    (old, new, cell)
    for old, row in TABLE.items()
    for new, cell in zip(COLUMNS, row.split(), strict=True)
]


@pytest.mark.parametrize(("old", "new", "cell"), CELLS)
def test_every_cell_of_the_table(old: str | None, new: str, cell: str) -> None:
    assert CHANGES[old][new] == cell
    state, effect = step(old, new)
    expected = {
        "F": (new, Effect.NONE),
        "R": (new, Effect.NONE),
        "-": (old, Effect.NONE),
        "x": (old, Effect.NONE),
        "O": (new, Effect.REOPENED),
        "A": (old, Effect.AFTER_SALE),
        "C": (old if old in ("picked_up", "delivered") else new, Effect.CONFLICT),
    }[cell[0]]
    assert (state, effect) == expected


@pytest.mark.parametrize(
    ("seen", "state", "contradicts"),
    [
        (["accepted", "ready", "preparing"], "ready", False),
        (["delivered", "out_for_delivery"], "delivered", False),
        (["ready", "failed"], "failed", False),
        (["failed", "cancelled"], "cancelled", True),
        (["picked_up", "cancelled", "failed"], "picked_up", True),
        (["picked_up", "delivered"], "delivered", True),
    ],
)
def test_ranked_streams(seen: list[str], state: str, contradicts: bool) -> None:
    for arrival in itertools.permutations(seen):
        assert settle_ranked(arrival) == (state, contradicts)


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        ([], "received"),
        (["ready"], "ready"),
        (["ready", "preparing"], "preparing"),
        (["ready", "accepted"], "preparing"),
        (["preparing", "received"], "preparing"),
        (["accepted", "received"], "received"),
        (["ready", "cancelled"], "ready"),
        (["ready", "removed", "failed"], "ready"),
        (["picked_up", "ready"], "ready"),
        (["cancelled", "cancelled"], "cancelled"),
        (["cancelled", "removed"], "cancelled"),
        (["cancelled", "failed"], "failed"),
        (["failed"], "failed"),
        (["removed"], "failed"),
    ],
)
def test_roll_up(parts: list[str], whole: str) -> None:
    for arrival in set(itertools.permutations(parts)):
        assert roll_up_states(arrival) == whole


def test_items_decide_where_fulfilments_state_something_too() -> None:
    parts = [
        PartView("f1", "ready", kind="fulfillment"),
        PartView("bowl-1", "ready"),
        PartView("bowl-2", "preparing"),
    ]
    assert roll_up(parts) == State.PREPARING
