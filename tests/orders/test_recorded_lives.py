"""Properties of the recorded lives of every source, alone and together, in any arrival order.

Lives are prolonged by made-up updates: what was said once may be said again, earlier or later, in
any state. However it arrives, repeated or not, it ends in one order; and what is told on the way
goes forward, says nothing twice and ends where the order ends.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.contracts import RANK, State
from orders.projection import project
from tests.orders.lives import (
    LUNCH,
    Life,
    Lived,
    Step,
    arriving,
    later,
    live_through,
    priorities,
    recorded_lives,
)
from tests.orders.said import say
from tests.orders.senders import SOURCES

#: who sells or cooks, and who sells or carries
KITCHENS = ["square", "toast", "clover", "lightspeed", "cloudevents", "woocommerce", "shopify"]
CARRIERS = ["uber_eats", "doordash", "grubhub", "deliverect", "otter"]
STATES = [str(state) for state in State]
QUICK = settings(max_examples=15, deadline=None)


@st.composite
def arrivals(draw: st.DrawFn, lives: Sequence[Life]) -> list[Step]:
    """The steps of ``lives`` and some made-up ones, shuffled, some of them twice."""
    steps = [step for life in lives for step in life.steps]
    for number in range(draw(st.integers(0, 4))):
        model = draw(st.sampled_from(steps))
        state = draw(st.sampled_from(STATES))
        steps.append(later(model, number, state=state, minutes=draw(st.integers(-30, 90))))
    again = draw(st.lists(st.sampled_from(steps), max_size=4))
    return draw(st.permutations([*steps, *again]))


def check_story(lived: Lived) -> None:
    """Forward only, nothing twice, and it ends where the order ends."""
    keys = [(d.part_ref, d.milestone, d.epoch) for d in lived.story]
    assert len(keys) == len(set(keys))
    told: dict[int, list[int]] = defaultdict(list)
    for draft in lived.story:
        if draft.kind == "status_changed" and draft.milestone in RANK:
            told[draft.epoch].append(RANK[State(draft.milestone)])
    for ranks in told.values():
        assert ranks == sorted(set(ranks))
    # the delay watch tells of the order as it is, also when late news shows it was never away
    epochs = [d.epoch for d in lived.story if d.kind != "order_delayed"]
    assert epochs == sorted(epochs)
    if lived.order.is_stated:
        last = max(told)
        assert last >= lived.order.epoch
        assert max(told[last]) >= RANK[State(lived.order.state)]


def check(lives: Sequence[Life], steps: Sequence[Step]) -> None:
    said = [one for step in steps for one in step.said]
    known = priorities(lives)
    expected = project(sorted(said, key=lambda one: one.event_key), priorities=known)
    assert project(said, priorities=known) == expected
    lived = live_through(steps, known)
    assert lived.order == expected
    check_story(lived)


@pytest.mark.parametrize("key", SOURCES)
def test_any_arrival_of_what_one_source_said(key: str) -> None:
    lives = recorded_lives(key)
    assert lives

    @QUICK
    @given(data=st.data())
    def property_holds(data: st.DataObject) -> None:
        life = data.draw(st.sampled_from(lives))
        check([life], data.draw(arrivals([life])))

    property_holds()


@pytest.mark.parametrize("carrier", CARRIERS)
def test_any_interleaving_of_a_kitchen_and_a_carrier(carrier: str) -> None:
    carried = recorded_lives(carrier, "2")

    @QUICK
    @given(data=st.data())
    def property_holds(data: st.DataObject) -> None:
        kitchen = data.draw(st.sampled_from(KITCHENS))
        lives = [
            data.draw(st.sampled_from(recorded_lives(kitchen))),
            data.draw(st.sampled_from(carried)),
        ]
        check(lives, data.draw(arrivals(lives)))

    property_holds()


@pytest.mark.parametrize("key", SOURCES)
def test_the_moment_of_arrival_does_not_matter_where_the_source_tells_its_own(key: str) -> None:
    timed = [life for one in recorded_lives(key) if (life := with_its_own_clock(one)).steps]
    if not timed:
        assert key in {"lightspeed", "olo"}
        return

    @QUICK
    @given(data=st.data())
    def property_holds(data: st.DataObject) -> None:
        life = data.draw(st.sampled_from(timed))
        steps = data.draw(arrivals([life]))
        known = priorities([life])
        expected = project([one for step in steps for one in step.said], priorities=known)
        late = LUNCH + timedelta(days=1)
        said = [arriving(step, late + timedelta(minutes=n)) for n, step in enumerate(steps)]
        assert project([one for step in said for one in step.said], priorities=known) == expected

    property_holds()


def with_its_own_clock(life: Life) -> Life:
    """What of ``life`` tells when it happened."""
    timed = (step for step in life.steps if all(o.occurred_at is not None for o in step.said))
    return replace(life, steps=tuple(timed))


def test_late_news_that_takes_a_reopening_back_does_not_take_the_story_back() -> None:
    """One of two bowls seemed the whole order: called off, back again. The other was there."""
    only = [
        say("1", "cancelled", part="a", seq=5),
        say("2", "preparing", part="a", seq=6),
        say("3", "accepted", part="b", seq=4, arrives=180),
    ]
    lived = live_through([Step((one,)) for one in only], {"pos": {}})
    assert lived.order.epoch == 0
    told = [(d.milestone, d.epoch) for d in lived.story]
    assert told[:2] == [("cancelled", 0), ("preparing", 1)]
    assert ("stalled:preparing", 1) in told
    check_story(lived)
