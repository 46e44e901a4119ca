"""Which events a change makes, who sees them first, and what is too old to tell."""

from __future__ import annotations

from datetime import timedelta

import pytest

from integrations.contracts import RANK
from orders.lifecycle import diff_events, freshness, held_because
from orders.projection import LegView, Projection, project
from tests.orders.said import at, iso, live, say, staff, told
from tests.orders.test_states import CELLS


def a_order(state: str, **more: object) -> Projection:
    return Projection(state=state, **more)  # type: ignore[arg-type]


def changes(old: Projection | None, new: Projection, **more: object):  # type: ignore[no-untyped-def]
    arguments = {"recorded": set(), "trigger": say("t", new.state, minute=0), "now": at(0)}
    return diff_events(old, new, own_drivers=False, **(arguments | more))  # type: ignore[arg-type]


# ---------------------------------------------------------------------------- the table


@pytest.mark.parametrize(("old", "new", "cell"), CELLS)
def test_every_cell_on_an_order_that_its_fulfilment_fits(
    old: str | None, new: str, cell: str
) -> None:
    """A plain F is told at once, s and C are held, R tells the customer nothing."""
    fulfillment = "delivery" if new in ("out_for_delivery", "delivered") else "pickup"
    leg = (LegView("leg-1", "delivered"),) if fulfillment == "delivery" else ()
    after = a_order(new, fulfillment=fulfillment, legs=leg, has_live_leg=bool(leg),
                    epoch=1 if cell == "O" else 0)  # fmt: skip
    before = a_order(old, fulfillment=fulfillment) if old else None
    recorded = {("", old, 0)} if old else set()
    drafts = changes(before, after, recorded=recorded)
    milestones = [(d.milestone, d.held) for d in drafts]
    if cell in ("-", "R", "x", "A") or (cell == "C" and old in ("delivered", "picked_up")):
        assert told(drafts) == []
    elif cell == "C":
        assert told(drafts) == []  # cancelled was told; a hand-over afterwards is for staff
    elif cell.endswith("s"):
        assert milestones == [(new, "goods_on_the_road")]
    elif old is None and new in ("picked_up", "delivered"):
        assert milestones == [(new, "contradicts_fulfillment")]
    else:
        assert milestones == [(new, "")]


@pytest.mark.parametrize(
    ("old", "new", "fulfillment", "courier", "own_drivers", "held"),
    [
        ("preparing", "picked_up", "delivery", False, False, True),
        ("ready", "picked_up", "delivery", False, True, True),
        ("preparing", "picked_up", "pickup", False, False, False),
        ("ready", "delivered", "delivery", False, False, True),
        ("ready", "delivered", "delivery", False, True, False),
        ("ready", "delivered", "delivery", True, False, False),
        ("ready", "delivered", "pickup", False, True, True),
        ("ready", "delivered", "dine_in", False, False, False),
        ("out_for_delivery", "delivered", "delivery", False, False, False),
        ("ready", "out_for_delivery", "delivery", False, False, False),
        (None, "out_for_delivery", "pickup", False, False, True),
        (None, "out_for_delivery", "delivery", True, False, False),
        (None, "delivered", "delivery", True, True, True),
    ],
)
def test_held_when_the_fulfilment_contradicts_it(
    old: str | None, new: str, fulfillment: str, courier: bool, own_drivers: bool, held: bool
) -> None:
    before = a_order(old, fulfillment=fulfillment) if old else None
    after = a_order(new, fulfillment=fulfillment, has_live_leg=courier)
    reason = held_because(before, after, own_drivers=own_drivers)
    assert reason == ("contradicts_fulfillment" if held else "")


def test_cancelled_while_a_courier_drives_is_held() -> None:
    leg = (LegView("leg-1", "out_for_delivery"),)
    after = a_order("cancelled", fulfillment="delivery", legs=leg)
    assert held_because(a_order("preparing"), after, own_drivers=False) == "goods_on_the_road"


# ---------------------------------------------------------------------------- status


def test_a_plain_life() -> None:
    lives = ["received", "accepted", "preparing", "ready", "picked_up"]
    order, story = live([say(s, s, seq=i) for i, s in enumerate(lives)])
    assert told(story) == lives
    assert story[3].data["previous"] == "preparing"
    assert [d.kind for d in story] == ["status_changed"] * 5
    assert order.state == "picked_up"


def test_what_was_skipped_is_not_told_afterwards() -> None:
    said = [say("a", "received", seq=1), say("c", "ready", seq=3), say("b", "preparing", seq=2)]
    assert told(live(said)[1]) == ["received", "ready"]


def test_a_regression_is_no_news_and_ready_is_not_told_twice() -> None:
    lives = ["preparing", "ready", "preparing", "ready", "preparing", "picked_up"]
    _, story = live([say(f"{i}{s}", s, seq=i) for i, s in enumerate(lives)])
    assert [d.milestone for d in story] == ["preparing", "ready", "picked_up"]


def test_a_reopened_order_is_told_again_in_its_new_epoch() -> None:
    lives = ["preparing", "cancelled", "preparing", "ready"]
    _, story = live([say(f"{i}{s}", s, seq=i) for i, s in enumerate(lives)])
    assert [(d.milestone, d.epoch) for d in story] == [
        ("preparing", 0), ("cancelled", 0), ("preparing", 1), ("ready", 1),
    ]  # fmt: skip
    assert story[2].data["reopened"] is True


def test_an_absence_nobody_saw_is_noted_and_not_told() -> None:
    said = [say("a", "ready", seq=1), say("c", "ready", seq=3), say("b", "cancelled", seq=2)]
    _, story = live(said)
    assert [(d.milestone, d.epoch, d.is_stale) for d in story] == [
        ("ready", 0, False), ("ready", 1, True),
    ]  # fmt: skip


def test_the_story_goes_on_in_the_last_epoch_told() -> None:
    """A late hand-over shows the order was never away; what was told then is not told again."""
    said = [
        say("a", "cancelled", seq=1, part="bowl-1"),
        say("b", "received", seq=2, part="bowl-1"),
        say("c", "picked_up", seq=1),
    ]
    order, story = live(said)
    assert (order.state, order.epoch) == ("picked_up", 0)
    assert [(d.milestone, d.epoch) for d in story if d.milestone in RANK] == [
        ("cancelled", 0), ("received", 1), ("picked_up", 1),
    ]  # fmt: skip


def test_after_sale_news_reaches_staff_only() -> None:
    _, story = live([say("a", "picked_up", seq=1), say("b", "cancelled", seq=2)])
    assert [(d.milestone, d.data.get("audience")) for d in story] == [
        ("picked_up", None), ("after_sale", "staff"),
    ]  # fmt: skip


def test_conflict_is_for_staff_whichever_news_comes_first() -> None:
    shop = say("s", "cancelled", seq=9, account="shop", track="commercial", minute=1)
    till = say("p", "picked_up", seq=2, minute=2)
    start = say("o", "ready", seq=1, minute=0)
    _, story = live([start, shop, till])
    assert [(d.milestone, d.held) for d in story][-1] == ("conflict", "conflict")
    assert told(story) == ["ready", "cancelled"]
    _, story = live([start, till, shop])
    assert told(story) == ["ready", "picked_up"]
    assert [(d.milestone, d.held) for d in story][-1] == ("conflict", "conflict")


def test_both_words_of_a_conflict_at_once_are_one_held_event() -> None:
    said = [say("a", "delivered"), say("b", "cancelled")]
    drafts = changes(a_order("ready"), project(said))
    assert [(d.milestone, d.held) for d in drafts] == [("delivered", "conflict")]


def test_failed_courier_is_news_for_staff() -> None:
    said = [
        say("k", "ready", seq=1),
        say("x", "out_for_delivery", leg="leg-1", account="drive", minute=2),
        say("y", "failed", leg="leg-1", account="drive", minute=3),
    ]
    _, story = live(said, fulfillment="delivery")
    assert told(story) == ["ready", "out_for_delivery"]
    assert {(d.milestone, d.held) for d in story} >= {("courier_failed", "courier_failed")}


def test_a_stub_tells_nothing_until_somebody_describes_the_order() -> None:
    _, story = live([say("x", leg="leg-1", minute=0), say("a", "accepted", seq=1)])
    assert told(story) == ["accepted"]


def test_a_staff_button_moves_the_story_on() -> None:
    _, story = live([say("p", "accepted", seq=1), staff("m", "ready", 5)])
    assert told(story) == ["accepted", "ready"]


def test_the_reason_code_travels_and_the_text_stays() -> None:
    reason = {"code": "too_busy", "text": "chef is ill"}
    _, story = live([say("a", "cancelled", seq=1, data={"reason": reason})])
    assert story[0].data["reason"] == "too_busy"
    assert "chef" not in str(story[0].data)


# ---------------------------------------------------------------------------- freshness


@pytest.mark.parametrize(
    ("milestone", "minutes"),
    [("received", 10), ("preparing", 10), ("ready", 20), ("out_for_delivery", 20),
     ("delivered", 30), ("picked_up", 30), ("cancelled", 120), ("failed", 120)],
)  # fmt: skip
def test_news_is_stale_past_its_window(milestone: str, minutes: int) -> None:
    assert freshness(milestone) == timedelta(minutes=minutes)
    for late, stale in ((minutes, False), (minutes + 0.1, True)):
        drafts = changes(
            a_order("received") if milestone != "received" else None,
            a_order(milestone),
            trigger=say("t", milestone, minute=0),
            now=at(late),
        )
        assert [d.is_stale for d in drafts if d.milestone == milestone] == [stale]


def test_arrival_counts_where_the_source_gives_no_time() -> None:
    from dataclasses import replace

    trigger = replace(say("t", "ready", arrives=0), occurred_at=None)
    drafts = changes(a_order("preparing"), a_order("ready"), trigger=trigger, now=at(21))
    assert [(d.is_stale, d.occurred_at) for d in drafts] == [(True, at(0))]


def test_a_clock_that_runs_ahead_is_not_believed() -> None:
    drafts = changes(None, a_order("ready"), trigger=say("t", minute=500), now=at(1))
    assert drafts[0].occurred_at == at(1)


# ---------------------------------------------------------------------------- parts


def bowl(number: int, state: str, seq: int, **data: object):  # type: ignore[no-untyped-def]
    label = {"label": f"Bowl {number}", **data}
    return say(f"b{number}-{seq}", state, seq=seq, part=f"bowl-{number}", data=label)


THREE = [bowl(1, "preparing", 1), bowl(2, "preparing", 1), bowl(3, "preparing", 1)]


def test_staggered_completion_counts_up_and_the_last_one_is_the_order() -> None:
    said = [
        *THREE,
        bowl(1, "ready", 5),
        bowl(3, "preparing", 6, est_ready_at=iso(12)),
        bowl(2, "ready", 6),
        bowl(3, "ready", 12),
    ]
    _, story = live(said)
    assert told(story) == ["preparing", "bowl-1 part_ready", "bowl-2 part_ready", "ready"]
    assert story[2].data == {
        "label": "Bowl 2", "ready": 2, "total": 3, "next_eta": iso(12), "last_eta": iso(12),
    }  # fmt: skip
    assert story[2].kind == "part_status_changed"


def test_an_order_with_one_part_has_no_part_news() -> None:
    assert told(live([bowl(1, "preparing", 1), bowl(1, "ready", 2)])[1]) == ["preparing", "ready"]


def test_a_recalled_part_is_ready_only_once() -> None:
    said = [*THREE, bowl(1, "ready", 5), bowl(1, "preparing", 6), bowl(1, "ready", 7)]
    assert told(live(said)[1]) == ["preparing", "bowl-1 part_ready"]


def test_a_bowl_added_after_ready_is_told_when_it_is_done() -> None:
    said = [bowl(1, "ready", 1), bowl(2, "accepted", 5), bowl(2, "ready", 9)]
    assert told(live(said)[1]) == ["ready", "edited:1", "bowl-2 part_ready"]


def test_removing_the_slow_bowl_makes_the_order_ready() -> None:
    said = [bowl(1, "ready", 1), bowl(2, "preparing", 1), say("s", seq=4, listed=["bowl-1"])]
    _, story = live([say("o", "preparing", seq=1), *said])
    assert told(story)[-2:] == ["ready", "edited:1"]
    assert story[-1].data["sentence"] == "-1 Bowl 2"


# ---------------------------------------------------------------------------- estimates


def promise(key: str, seq: int, **times: float):  # type: ignore[no-untyped-def]
    return say(key, "preparing", seq=seq,
               data={"times": {name: iso(value) for name, value in times.items()}})  # fmt: skip


def test_a_moved_estimate_is_for_the_timeline() -> None:
    said = [promise("a", 1, est_ready_at=30), promise("b", 2, est_ready_at=34)]
    _, story = live(said)
    assert (story[-1].kind, story[-1].data["audience"]) == ("eta_changed", "internal")
    _, story = live([said[0], promise("b", 2, est_ready_at=30.5)])
    assert [d.kind for d in story] == ["status_changed"]


def test_another_sources_promise_is_no_rescheduling() -> None:
    shop = say("s", seq=1, account="shop", track="commercial", minute=2,
               data={"times": {"promised_at": iso(32)}})  # fmt: skip
    order, story = live(
        [promise("a", 1, promised_at=30), shop],
        priorities={"shop": {"commercial": 30}},
    )
    assert order.promised_at == at(32)
    assert [d.kind for d in story] == ["status_changed"]
