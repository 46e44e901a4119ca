"""Properties: any arrival order ends in one order, and the story told never goes backwards."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.contracts import RANK, Observation, State
from orders.projection import DONE, project, roll_up
from tests.orders.said import iso, live, say, staff

STATES = [str(s) for s in State]
OPEN = ["received", "accepted", "preparing", "ready", None]
LEG = [None, "out_for_delivery", "delivered", "failed", "cancelled"]
PRIORITIES = {
    "pos": {"kitchen": 30, "commercial": 10},
    "shop": {"kitchen": 10, "commercial": 30},
    "drive": {"courier": 20},
    "direct": {"courier": 10},
}
minutes = st.integers(0, 90)
fields: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.builds(lambda m: {"times": {"est_ready_at": iso(m)}}, minutes),
    st.builds(lambda m: {"times": {"promised_at": iso(m)}}, minutes),
    st.just({"times": {"est_ready_at": None}}),
    st.builds(
        lambda labels: {"items": [{"id": x, "label": x} for x in labels]},
        st.lists(st.sampled_from(["bowl", "soup", "tea"]), unique=True, max_size=3),
    ),
)


@st.composite
def statements(draw: st.DrawFn) -> list[Observation]:
    """A random life: tills, a shop, couriers, managers; ordered and unordered streams."""
    said: list[Observation] = []
    for number in range(draw(st.integers(1, 12))):
        who = draw(st.sampled_from(["order", "part", "shop", "ranked", "leg", "staff", "list"]))
        minute, seq = draw(minutes), draw(st.integers(0, 8))
        key, data = f"e{number}", draw(fields)
        if who == "order":
            said.append(say(key, draw(st.sampled_from([*STATES, None])), seq=seq, data=data))
        elif who == "part":
            state = draw(st.sampled_from([*OPEN, "picked_up", "cancelled", "failed"]))
            ref = draw(st.sampled_from(["bowl-1", "bowl-2", "bowl-3"]))
            kind = draw(st.sampled_from(["item", "item", "fulfillment"]))
            part_data = {"label": ref, "kind": kind}
            said.append(say(key, state, seq=seq, part=ref, data=part_data))
        elif who == "shop":
            state = draw(st.sampled_from([*STATES, None]))
            said.append(say(key, state, seq=seq, account="shop", track="commercial", data=data))
        elif who == "ranked":
            state = draw(st.sampled_from([*STATES, None]))
            said.append(say(key, state, account="middle", minute=minute, data=data))
        elif who == "leg":
            ref = draw(st.sampled_from(["leg-1", "leg-2"]))
            account = draw(st.sampled_from(["drive", "direct"]))
            leg_data = {"est_delivery_at": iso(draw(minutes))}
            state = draw(st.sampled_from(LEG))
            said.append(say(key, state, leg=ref, account=account, minute=minute, data=leg_data))
        elif who == "staff":
            said.append(staff(key, draw(st.sampled_from([*STATES, None])), minute, data=data))
        else:
            refs = draw(st.lists(st.sampled_from(["bowl-1", "bowl-2", "bowl-3"]), unique=True))
            said.append(say(key, seq=seq, listed=refs))
    return said


@settings(max_examples=400, deadline=None)
@given(said=statements(), dice=st.randoms(use_true_random=False))
def test_any_arrival_order_and_any_repetition_end_in_the_same_order(
    said: list[Observation], dice: Any
) -> None:
    first = project(said, priorities=PRIORITIES)
    repeated = [o for o in said for _ in range(dice.randint(1, 3))]
    dice.shuffle(repeated)
    assert project(repeated, priorities=PRIORITIES) == first


@settings(max_examples=400, deadline=None)
@given(said=statements(), dice=st.randoms(use_true_random=False), own_drivers=st.booleans())
def test_the_story_never_goes_backwards_and_never_repeats(
    said: list[Observation], dice: Any, own_drivers: bool
) -> None:
    arrivals = [o for o in said for _ in range(dice.randint(1, 2))]
    dice.shuffle(arrivals)
    order, story = live(arrivals, own_drivers=own_drivers, priorities=PRIORITIES)
    assert order == project(said, priorities=PRIORITIES)
    keys = [(d.part_ref, d.milestone, d.epoch) for d in story]
    assert len(keys) == len(set(keys))
    ranks: dict[int, list[int]] = defaultdict(list)
    for draft in story:
        if draft.kind == "status_changed" and draft.milestone in RANK:
            ranks[draft.epoch].append(RANK[draft.milestone])
    for told in ranks.values():
        assert told == sorted(set(told))
    epochs = [d.epoch for d in story]
    assert epochs == sorted(epochs)


@settings(max_examples=300, deadline=None)
@given(said=statements())
def test_what_always_holds_of_an_order(said: list[Observation]) -> None:
    order = project(said, priorities=PRIORITIES)
    assert order.parts
    assert order.state in STATES
    assert order.flags <= {
        "conflict", "after_sale", "reopened", "courier_failed", "delayed",
    }  # fmt: skip
    assert {p.state for p in order.parts} <= {*STATES, "removed"}
    assert (order.epoch > 0) or "reopened" not in order.flags
    assert [p.position for p in order.parts] == list(range(len(order.parts)))
    if order.state == "cancelled":
        assert not [p for p in order.counted_parts if p.state not in DONE - {"ready"}]


@settings(max_examples=200, deadline=None)
@given(
    lives=st.lists(
        st.tuples(st.sampled_from(["bowl-1", "bowl-2", "bowl-3"]), st.sampled_from(OPEN[:4])),
        min_size=1,
        max_size=12,
    )
)
def test_a_kitchen_that_speaks_of_parts_alone_is_their_roll_up(
    lives: list[tuple[str, str]],
) -> None:
    said = [say(f"e{i}", state, seq=i, part=ref) for i, (ref, state) in enumerate(lives)]
    order = project(said)
    assert {p.ref: p.state for p in order.parts} == dict(lives)
    assert order.state == roll_up(order.parts)
