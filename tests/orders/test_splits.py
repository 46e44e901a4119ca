"""Orders in parts: divided, put together again, divided otherwise, finished one part at a time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from integrations.contracts import Observation
from orders.drafts import EventDraft
from orders.projection import Projection
from tests.orders.lives import Step, live_through
from tests.orders.said import at, iso, say

ORDERED = [
    {"id": "bowl", "label": "Poke bowl"},
    {"id": "soup", "label": "Miso soup"},
    {"id": "tea", "label": "Iced tea"},
]


def live(said: Sequence[Observation]) -> tuple[Projection, list[EventDraft]]:
    """Take in what was said, what has one sequence number as one update."""
    updates = [Step(tuple(some)) for _, some in groupby(said, lambda one: one.ordering_key)]
    lived = live_through(updates, {})
    return lived.order, lived.story


def ordered(seq: int = 1, state: str = "accepted") -> Observation:
    return say(f"o{seq}", state, seq=seq, data={"items": ORDERED})


def box(
    seq: int, ref: str, *items: str, state: str | None = "accepted", **data: Any
) -> Observation:
    """A fulfilment and what is in it."""
    held = [{"item_id": item, "quantity": 1} for item in items]
    data = {"kind": "fulfillment", "label": f"Box {ref}", "contents": held, **data}
    return say(f"{ref}@{seq}", state, seq=seq, part=ref, data=data)


def bowl(seq: int, ref: str, state: str | None, label: str = "", **data: Any) -> Observation:
    return say(f"{ref}@{seq}", state, seq=seq, part=ref, data={"label": label or ref, **data})


def listed(seq: int, *refs: str) -> Observation:
    return say(f"s{seq}", seq=seq, listed=refs)


def told_of(story: Sequence[EventDraft], kind: str) -> list[str]:
    return [str(d.data.get("sentence")) for d in story if d.kind == kind]


def splits(story: Sequence[EventDraft]) -> list[tuple[int, str]]:
    return [(d.data["total"], d.data["sentence"]) for d in story if d.kind == "order_split"]


def progress(story: Sequence[EventDraft]) -> list[tuple[str, int, int]]:
    return [
        (d.data["label"], d.data["ready"], d.data["total"])
        for d in story
        if d.kind == "part_status_changed"
    ]


def states(order: Projection) -> dict[str, str]:
    return {part.ref: part.state for part in order.named_parts}


# ---------------------------------------------------------------------------- dividing


def test_split_merged_and_split_again_is_told_each_time() -> None:
    order, story = live(
        [
            ordered(),
            box(2, "1", "bowl", "soup"), box(2, "2", "tea"), listed(2, "1", "2"),
            box(4, "1", "bowl", "soup", "tea"), listed(4, "1"),
            box(6, "1", "bowl", "soup"), box(6, "2", "tea"), listed(6, "1", "2"),
        ]
    )  # fmt: skip
    assert splits(story) == [(2, "Box 1 + Box 2"), (1, "Box 1"), (2, "Box 1 + Box 2")]
    assert told_of(story, "order_edited") == []
    assert states(order) == {"1": "accepted", "2": "accepted"}


def test_split_otherwise_is_told_and_the_old_parts_are_gone() -> None:
    order, story = live(
        [
            ordered(),
            box(2, "1", "bowl", "soup"), box(2, "2", "tea"), listed(2, "1", "2"),
            box(4, "3", "bowl"), box(4, "4", "soup", "tea"), listed(4, "3", "4"),
        ]
    )  # fmt: skip
    assert splits(story)[-1] == (2, "Box 3 + Box 4")
    assert states(order) == {"1": "removed", "2": "removed", "3": "accepted", "4": "accepted"}
    assert order.state == "accepted"


def test_an_item_that_moves_between_parts_is_told_by_name() -> None:
    order, story = live(
        [
            ordered(),
            box(2, "1", "bowl", "soup"), box(2, "2", "tea"), listed(2, "1", "2"),
            box(4, "1", "bowl"), box(4, "2", "tea", "soup"), listed(4, "1", "2"),
        ]
    )  # fmt: skip
    assert splits(story) == [(2, "Box 1 + Box 2"), (2, "Miso soup: Box 1 > Box 2")]
    assert told_of(story, "order_edited") == []
    assert [[held["item_id"] for held in part.contents] for part in order.named_parts] == [
        ["bowl"],
        ["tea", "soup"],
    ]


def test_some_of_an_item_can_move_and_come_back() -> None:
    pair = [{"id": "bun", "label": "Bun", "quantity": 3}]
    first = {"contents": [{"item_id": "bun", "quantity": 3}]}
    some = {"contents": [{"item_id": "bun", "quantity": 1}]}
    rest = {"contents": [{"item_id": "bun", "quantity": 2}]}
    none: dict[str, Any] = {"contents": []}
    _, story = live(
        [
            say("o", "accepted", seq=1, data={"items": pair}),
            box(2, "1", **first), box(2, "2", **none), listed(2, "1", "2"),
            box(4, "1", **some), box(4, "2", **rest), listed(4, "1", "2"),
            box(6, "1", **first), box(6, "2", **none), listed(6, "1", "2"),
        ]
    )  # fmt: skip
    assert splits(story)[1:] == [(2, "2 Bun: Box 1 > Box 2"), (2, "2 Bun: Box 2 > Box 1")]


def test_one_part_of_three_portions_is_divided_into_three() -> None:
    said = [bowl(1, "p", "preparing", "Bowl", quantity=3), listed(1, "p")]
    said += [bowl(3, f"p{n}", "preparing", f"Bowl {n}", replaces="p") for n in (1, 2, 3)]
    said.append(listed(3, "p1", "p2", "p3"))
    order, story = live(said)
    assert splits(story)[-1] == (3, "Bowl 1 + Bowl 2 + Bowl 3")
    assert (order.state, len(order.counted_parts)) == ("preparing", 3)


# ---------------------------------------------------------------------------- finishing


def test_each_part_is_told_once_with_how_many_and_when_the_next() -> None:
    eta = {"est_ready_at": iso(25)}
    late = {"est_ready_at": iso(40)}
    said = [
        bowl(1, "a", "preparing"), bowl(1, "b", "preparing", **eta),
        bowl(1, "c", "preparing", **late), listed(1, "a", "b", "c"),
        bowl(3, "a", "ready"), bowl(4, "a", "ready"), bowl(5, "b", "ready"), bowl(6, "c", "ready"),
    ]  # fmt: skip
    order, story = live(said)
    assert progress(story) == [("a", 1, 3), ("b", 2, 3)]
    first, second = (d.data for d in story if d.kind == "part_status_changed")
    assert (first["next_eta"], first["last_eta"]) == (iso(25), iso(40))
    assert (second["next_eta"], second["last_eta"]) == (iso(40), iso(40))
    assert [d.milestone for d in story if d.kind == "status_changed"] == ["preparing", "ready"]
    assert order.state == "ready"


def test_the_slowest_open_part_is_the_orders_estimate() -> None:
    said = [
        bowl(1, "a", "preparing", est_ready_at=iso(20)),
        bowl(1, "b", "preparing", est_ready_at=iso(35)),
        listed(1, "a", "b"),
    ]
    assert live(said)[0].est_ready_at == at(35)
    faster = bowl(2, "b", "preparing", est_ready_at=iso(15))
    assert live([*said, faster])[0].est_ready_at == at(20)
    done = bowl(3, "b", "ready")
    assert live([*said, done])[0].est_ready_at == at(20)


def test_a_cancelled_part_is_an_edit_and_no_longer_waited_for() -> None:
    said = [
        bowl(1, "a", "preparing", "Bowl"), bowl(1, "b", "preparing", "Soup"),
        bowl(1, "c", "preparing", "Tea"), listed(1, "a", "b", "c"),
        bowl(3, "a", "ready", "Bowl"), bowl(4, "c", "cancelled", "Tea"),
        bowl(5, "b", "ready", "Soup"),
    ]  # fmt: skip
    order, story = live(said)
    assert told_of(story, "order_edited") == ["-1 Tea"]
    assert progress(story) == [("Bowl", 1, 3)]
    assert (order.state, states(order)["c"]) == ("ready", "cancelled")


def test_the_last_open_part_cancelled_completes_the_order() -> None:
    said = [
        bowl(1, "a", "preparing"), bowl(1, "b", "preparing"), listed(1, "a", "b"),
        bowl(3, "a", "ready"), bowl(4, "b", "cancelled"),
    ]  # fmt: skip
    order, story = live(said)
    assert order.state == "ready"
    assert [d.milestone for d in story if d.kind == "status_changed"] == ["preparing", "ready"]


def test_a_part_fired_again_takes_the_order_back_and_repeats_nothing() -> None:
    said = [
        bowl(1, "a", "preparing"), bowl(1, "b", "preparing"), listed(1, "a", "b"),
        bowl(3, "a", "ready"), bowl(4, "b", "ready"),
        bowl(6, "a", "preparing"), bowl(8, "a", "ready"),
    ]  # fmt: skip
    order, story = live(said[:-1])
    assert (order.state, states(order)) == ("preparing", {"a": "preparing", "b": "ready"})
    order, story = live(said)
    assert order.state == "ready"
    assert progress(story) == [("a", 1, 2)]
    customers = [
        d.milestone for d in story if d.kind == "status_changed" and not d.data.get("audience")
    ]
    assert customers == ["preparing", "ready"]


def test_a_part_made_anew_counts_instead_of_the_old_one() -> None:
    said = [
        bowl(1, "a", "preparing", "Bowl"), bowl(1, "b", "preparing", "Soup"), listed(1, "a", "b"),
        bowl(3, "a", "ready", "Bowl"),
        bowl(5, "c", "preparing", "Bowl", replaces="a"), bowl(5, "a", "cancelled", "Bowl"),
        bowl(7, "b", "ready", "Soup"), bowl(9, "c", "ready", "Bowl"),
    ]  # fmt: skip
    order, story = live(said)
    assert told_of(story, "order_edited") == ["Bowl: replaced"]
    assert progress(story) == [("Bowl", 1, 2), ("Soup", 1, 2)]
    assert order.state == "ready"


def test_a_whole_story_ends_alike_in_any_order() -> None:
    said = [
        ordered(), box(2, "1", "bowl", "soup"), box(2, "2", "tea"), listed(2, "1", "2"),
        box(4, "1", "bowl", state="preparing"), box(4, "2", "tea", "soup"), listed(4, "1", "2"),
        box(6, "1", "bowl", state="ready"), box(8, "2", "tea", "soup", state="cancelled"),
    ]  # fmt: skip
    forward, _ = live(said)
    backward, story = live(said[::-1])
    assert backward == forward
    assert forward.state == "ready"
    assert forward.est_ready_at is None
    assert all(d.occurred_at <= at(8) for d in story)
