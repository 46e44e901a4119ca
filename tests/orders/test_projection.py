"""Details of the merge the worked cases leave open: owners, fields, snapshots, staff, couriers."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from integrations.contracts import Observation
from orders.projection import ItemView, Projection, project, roll_up
from tests.orders.said import at, iso, say, staff


def settled(said: Sequence[Observation], **more: object) -> Projection:
    """The order, after checking that no arrival order changes it."""
    first = project(said, **more)  # type: ignore[arg-type]
    for arrival in itertools.islice(itertools.permutations(said), 720):
        assert project([*arrival, arrival[0]], **more) == first  # type: ignore[arg-type]
    return first


def states(order: Projection) -> dict[str, str]:
    return {p.ref: p.state for p in order.named_parts}


# ---------------------------------------------------------------------------- one account


def test_order_without_named_parts_has_one_implicit_part() -> None:
    order = settled([say("a", "preparing", seq=1)])
    assert [(p.ref, p.state, p.kind) for p in order.parts] == [("order", "preparing", "order")]
    assert order.named_parts == ()
    assert roll_up(order.parts) == order.state


def test_nothing_but_an_idle_courier_is_not_yet_an_order() -> None:
    order = settled([say("x", leg="leg-1")])
    assert (order.state, order.is_stated) == ("received", False)


def test_an_order_described_without_a_state_is_received() -> None:
    order = settled([say("a", seq=1, data={"items": [{"id": "1", "label": "Bowl"}]})])
    assert (order.state, order.is_stated) == ("received", True)


def test_first_body_of_an_event_key_wins() -> None:
    first = say("a", "accepted", seq=1, arrives=1)
    second = replace(first, state="ready", received_at=at(2))
    assert project([second, first]) == project([first, second]) == project([first])


def test_reopening_an_order_gives_its_parts_back_their_own_states() -> None:
    order = settled(
        [
            say("a", "ready", seq=1, part="bowl-1"),
            say("b", "preparing", seq=1, part="bowl-2"),
            say("c", "cancelled", seq=2),
            say("d", "accepted", seq=3),
        ]
    )
    assert (order.state, order.epoch, order.flags) == ("preparing", 1, {"reopened"})
    assert states(order) == {"bowl-1": "ready", "bowl-2": "preparing"}


def test_parts_that_come_back_after_all_were_called_off_reopen_the_order() -> None:
    order = settled(
        [
            say("a", "cancelled", seq=1, part="bowl-1"),
            say("b", "preparing", seq=2, part="bowl-1"),
        ]
    )
    assert (order.state, order.epoch) == ("preparing", 1)


def test_swapping_the_only_part_in_one_statement_reopens_nothing() -> None:
    order = settled(
        [
            say("a", "preparing", seq=1, part="bowl-1"),
            say("b", "cancelled", seq=2, part="bowl-1"),
            say("c", "preparing", seq=2, part="bowl-2", data={"replaces": "bowl-1"}),
        ]
    )
    assert (order.state, order.epoch) == ("preparing", 0)


def test_second_reopening_counts_again() -> None:
    lives = ["accepted", "cancelled", "accepted", "failed", "preparing"]
    order = settled([say(s + str(i), s, seq=i) for i, s in enumerate(lives)])
    assert (order.state, order.epoch) == ("preparing", 2)


def test_refund_after_hand_over_then_reopened_forgets_the_refund() -> None:
    lives = ["picked_up", "cancelled", "preparing"]
    order = settled([say(s, s, seq=i) for i, s in enumerate(lives)])
    assert (order.state, order.epoch, order.flags) == ("preparing", 1, {"reopened"})


def test_hand_over_after_cancellation_is_for_staff() -> None:
    order = settled([say("a", "cancelled", seq=1), say("b", "picked_up", seq=2)])
    assert (order.state, order.epoch, order.flags) == ("picked_up", 0, {"conflict"})


def test_on_its_way_after_delivered_is_late_news() -> None:
    order = settled([say("a", "delivered", seq=1), say("b", "out_for_delivery", seq=2)])
    assert (order.state, order.flags) == ("delivered", frozenset())


def test_part_added_after_ready_takes_the_order_back_to_the_kitchen() -> None:
    order = settled(
        [
            say("a", "ready", seq=1, part="bowl-1"),
            say("b", "ready", seq=2),
            say("c", "received", seq=3, part="bowl-2"),
        ]
    )
    assert order.state == "preparing"


def test_late_older_part_news_is_lifted_by_the_order() -> None:
    order = settled([say("a", "ready", seq=5), say("b", "accepted", seq=2, part="bowl-1")])
    assert (order.state, states(order)) == ("ready", {"bowl-1": "ready"})


def test_order_and_part_states_of_one_statement_agree_upwards() -> None:
    order = settled([say("a", "ready", seq=1), say("a#1", "accepted", seq=1, part="bowl-1")])
    assert (order.state, states(order)) == ("ready", {"bowl-1": "ready"})


def test_parts_nobody_states_follow_the_order() -> None:
    said = [say("a", "ready", seq=1), say("b", seq=2, part="bowl-1", data={"label": "Bowl"})]
    order = settled(said)
    assert (order.state, states(order)) == ("ready", {"bowl-1": "ready"})


def test_newest_snapshot_decides_and_a_relisted_part_is_back() -> None:
    said = [
        say("a", "ready", seq=1, part="bowl-1"),
        say("b", "preparing", seq=1, part="bowl-2"),
        say("s", seq=2, listed=["bowl-1"]),
        say("t", seq=3, listed=["bowl-2", "bowl-1"]),
    ]
    order = settled(said)
    assert (order.state, states(order)) == ("preparing", {"bowl-2": "preparing", "bowl-1": "ready"})
    assert [p.position for p in order.parts] == [0, 1]


def test_snapshot_without_any_part_leaves_the_order_its_own_state() -> None:
    said = [
        say("a", "preparing", seq=1, part="bowl-1"),
        say("o", "preparing", seq=1),
        say("s", seq=2, listed=[]),
    ]
    order = settled(said)
    assert (order.state, states(order)) == ("preparing", {"bowl-1": "removed"})


def test_snapshot_of_the_commercial_track_lists_the_parts_but_states_no_kitchen() -> None:
    said = [
        say("a", "ready", seq=1, part="bowl-1"),
        say("b", "preparing", seq=1, part="bowl-2"),
        say("s", "accepted", seq=2, track="commercial", listed=["bowl-1"]),
    ]
    order = settled(said)
    assert (order.state, states(order)) == ("ready", {"bowl-1": "ready", "bowl-2": "removed"})


def test_fulfilment_is_the_roll_up_of_its_items_when_items_state_something() -> None:
    contents = [{"item_id": "bowl-1"}, {"item_id": "bowl-2"}]
    said = [
        say("f", "ready", seq=3, part="f1", data={"kind": "fulfillment", "contents": contents}),
        say("a", "ready", seq=1, part="bowl-1"),
        say("b", "preparing", seq=1, part="bowl-2"),
    ]
    order = settled(said)
    assert order.state == "preparing"
    assert states(order) == {"f1": "preparing", "bowl-1": "ready", "bowl-2": "preparing"}
    assert [p.ref for p in order.counted_parts] == ["bowl-1", "bowl-2"]


def test_described_items_follow_the_fulfilment_that_contains_them() -> None:
    said = [
        say("f", "ready", seq=1, part="f1",
            data={"kind": "fulfillment", "contents": [{"item_id": "bowl-1"}]}),
        say("g", "preparing", seq=1, part="f2",
            data={"kind": "fulfillment", "contents": [{"item_id": "bowl-2"}]}),
        say("a", seq=2, part="bowl-1"),
        say("b", seq=2, part="bowl-2"),
    ]  # fmt: skip
    order = settled(said)
    assert order.state == "preparing"
    assert states(order)["bowl-1"] == "ready"
    assert states(order)["bowl-2"] == "preparing"


# ---------------------------------------------------------------------------- fields


def test_last_writer_by_key_wins_and_absent_clears_nothing() -> None:
    said = [
        say("a", seq=1, data={"display": "42", "fulfillment": {"type": "delivery", "table": "7"}}),
        say("b", seq=3, data={"items": [{"id": "1", "label": "Soup", "quantity": 0.5}]}),
        say("c", seq=2, data={"items": [{"id": "1", "label": "Bowl"}], "display": "43"}),
        say("d", seq=4, data={"fulfillment": {"scheduled": True}}),
    ]
    order = settled(said)
    assert order.items == (ItemView("1", "Soup", Decimal("0.5")),)
    assert (order.display, order.fulfillment, order.table) == ("43", "delivery", "7")
    assert order.is_scheduled is True


def test_null_clears_times_and_nothing_else() -> None:
    said = [
        say("a", seq=1, data={"display": "42", "times": {"est_ready_at": iso(20)}}),
        say("b", seq=2, data={"display": None, "times": {"est_ready_at": None}}),
    ]
    order = settled(said)
    assert (order.display, order.est_ready_at) == ("42", None)


def test_an_older_estimate_that_arrives_late_changes_nothing() -> None:
    said = [
        say("a", seq=2, data={"times": {"est_ready_at": iso(30)}}, arrives=1),
        say("b", seq=1, data={"times": {"est_ready_at": iso(20)}}, arrives=2),
    ]
    assert settled(said).est_ready_at == at(30)


def test_unordered_fields_follow_the_vendors_clock() -> None:
    said = [
        say("z", leg="leg-1", minute=1, data={"est_delivery_at": iso(30)}),
        say("a", leg="leg-1", minute=2, data={"est_delivery_at": iso(40)}),
    ]
    assert settled(said).est_delivery_at == at(40)


def test_ready_estimate_is_the_slowest_open_part_when_the_kitchen_gives_none() -> None:
    said = [
        say("a", "ready", seq=1, part="bowl-1", data={"est_ready_at": iso(40)}),
        say("b", "preparing", seq=1, part="bowl-2", data={"est_ready_at": iso(20)}),
        say("c", "preparing", seq=1, part="bowl-3", data={"est_ready_at": iso(25)}),
    ]
    assert settled(said).est_ready_at == at(25)


def because(code: str) -> dict[str, object]:
    return {"reason": {"code": code}}


def test_the_reason_is_that_of_the_state_and_goes_with_it() -> None:
    said = [
        say("a", "failed", data=because("till_offline")),
        say("b", "cancelled", data=because("sold_out")),
        say("c", "accepted"),
    ]
    assert settled(said).reason == {"code": "sold_out"}
    assert settled([said[0], said[2]]).reason == {"code": "till_offline"}
    back = [
        say("a", "cancelled", seq=1, data=because("sold_out")),
        say("b", "preparing", seq=2),
    ]
    assert settled(back[:1]).reason == {"code": "sold_out"}
    assert settled(back).reason == {}


def test_a_disputed_end_keeps_the_other_ones_reason() -> None:
    said = [say("a", "picked_up", seq=1), say("b", "cancelled", seq=2, data=because("refunded"))]
    order = settled(said)
    assert (order.state, order.flags, order.reason) == (
        "picked_up",
        {"after_sale"},
        {"code": "refunded"},
    )


def test_what_a_courier_carries_is_a_delivery_unless_somebody_says_otherwise() -> None:
    leg = say("x", None, leg="leg-1", account="drive")
    assert settled([leg]).fulfillment == "delivery"
    assert settled([say("a", "ready", seq=1)]).fulfillment == "pickup"
    stated = say("b", seq=1, data={"fulfillment": {"type": "curbside"}})
    assert settled([leg, stated]).fulfillment == "curbside"


# ---------------------------------------------------------------------------- several accounts

PRIORITIES = {"pos": {"kitchen": 30, "commercial": 10}, "shop": {"kitchen": 10, "commercial": 30}}


def test_each_field_comes_from_the_owner_of_its_track() -> None:
    shop = {"display": "S1", "items": [{"id": "1", "label": "Bowl"}],
            "times": {"promised_at": iso(30), "est_ready_at": iso(99)}}  # fmt: skip
    pos = {"display": "P1", "items": [{"id": "9", "label": "BOWL 32OZ"}],
           "times": {"promised_at": iso(31)}, "reason": {"code": "other"}}  # fmt: skip
    said = [
        say("s", "accepted", seq=99, account="shop", track="commercial", data=shop),
        say("p", "preparing", seq=1, track="commercial", data=pos),
        say("k", seq=1, data={"times": {"est_ready_at": iso(26)}}),
    ]
    order = settled(said, priorities=PRIORITIES)
    assert (order.display, order.items[0].label, order.promised_at) == ("S1", "Bowl", at(30))
    assert order.est_ready_at == at(26)
    assert order.reason == {"code": "other"}


def test_only_the_owner_speaks_for_a_track_and_keys_are_not_compared() -> None:
    said = [
        say("p", "preparing", seq=1),
        say("s", "cancelled", seq=999, account="shop"),
    ]
    order = settled(said, priorities=PRIORITIES)
    assert (order.state, order.state_account) == ("preparing", "pos")


def test_an_owner_that_has_not_stated_anything_leaves_the_track_to_others() -> None:
    said = [say("p", None, seq=1), say("s", "ready", seq=1, account="shop")]
    assert settled(said, priorities=PRIORITIES).state == "ready"


def test_furthest_track_holds() -> None:
    said = [
        say("s", "accepted", seq=9, account="shop", track="commercial"),
        say("p", "ready", seq=2),
    ]
    order = settled(said, priorities=PRIORITIES)
    assert (order.state, order.state_account, order.state_since) == ("ready", "pos", at(2))


def test_cancelled_in_the_shop_and_handed_over_at_the_till_is_a_conflict() -> None:
    said = [
        say("s", "cancelled", seq=9, account="shop", track="commercial"),
        say("p", "picked_up", seq=2),
    ]
    assert settled(said).flags == {"conflict"}
    assert settled(said).state == "picked_up"


def test_refund_booked_by_the_same_account_after_the_hand_over_is_after_sale() -> None:
    said = [say("s", "cancelled", seq=9, track="commercial"), say("p", "picked_up", seq=2)]
    order = settled(said)
    assert (order.state, order.flags) == ("picked_up", {"after_sale"})


def test_cancelled_order_covers_its_parts_whichever_track_said_so() -> None:
    said = [
        say("s", "cancelled", seq=9, account="shop", track="commercial"),
        say("p", "ready", seq=2, part="bowl-1"),
    ]
    assert states(settled(said)) == {"bowl-1": "cancelled"}


# ---------------------------------------------------------------------------- couriers


def drive(key: str, state: str | None, minute: float, leg: str = "leg-1", **more: object):  # type: ignore[no-untyped-def]
    return say(key, state, leg=leg, account="drive", minute=minute, **more)  # type: ignore[arg-type]


def test_estimate_and_courier_come_from_the_newest_live_leg() -> None:
    said = [
        say("k", "ready", seq=1, data={"times": {"est_delivery_at": iso(99)}}),
        drive("x", "failed", 2, data={"est_delivery_at": iso(20), "courier": {"name": "Al"}}),
        drive("y", None, 3, "leg-2", data={"est_delivery_at": iso(40), "courier": {"name": "Bo"}}),
    ]
    order = settled(said, default_fulfillment="delivery")
    assert (order.est_delivery_at, order.courier) == (at(40), {"name": "Bo"})
    assert (order.state, order.has_live_leg, order.flags) == ("ready", True, frozenset())


def test_one_of_two_couriers_done_is_still_on_its_way() -> None:
    said = [say("k", "ready", seq=1), drive("x", "delivered", 2), drive("y", None, 3, "leg-2")]
    assert settled(said).state == "out_for_delivery"


def test_a_failed_run_keeps_the_food_in_the_kitchen_until_the_order_ends() -> None:
    said = [say("k", "ready", seq=1), drive("x", "failed", 2)]
    assert settled(said).flags == {"courier_failed"}
    assert settled([*said, say("l", "cancelled", seq=3)]).flags == frozenset()


def test_replacement_by_a_second_courier_company() -> None:
    said = [
        say("k", "ready", seq=1),
        drive("x", "failed", 2),
        say("y", "delivered", leg="run-7", account="direct", minute=9),
    ]
    order = settled(said, priorities={"drive": {"courier": 20}, "direct": {"courier": 10}})
    assert order.state == "delivered"


def test_parts_travel_with_the_courier_that_carries_them() -> None:
    said = [
        say("a", "ready", seq=1, part="bowl-1"),
        say("b", "ready", seq=1, part="bowl-2"),
        drive("x", "delivered", 2, data={"part_ids": ["bowl-1"]}),
        drive("y", None, 2, "leg-2", data={"part_ids": ["bowl-2"]}),
    ]
    assert states(settled(said)) == {"bowl-1": "delivered", "bowl-2": "ready"}


def test_courier_news_at_order_level_is_a_leg() -> None:
    order = settled([say("k", "ready", seq=1), say("x", "out_for_delivery", track="courier")])
    assert (order.state, [leg.ref for leg in order.legs]) == ("out_for_delivery", ["courier"])


def test_cancelled_on_the_road_is_cancelled() -> None:
    said = [drive("x", "out_for_delivery", 1), say("k", "cancelled", seq=3)]
    assert settled(said).state == "cancelled"


def test_explicit_delay_of_the_order_or_a_leg() -> None:
    explicit = {"flags": {"delayed": True}}
    assert settled([say("k", "ready", seq=1, data=explicit)]).flags == {"delayed"}
    assert settled([say("k", "ready", seq=1), drive("x", None, 1, data=explicit)]).flags == {
        "delayed"
    }


# ---------------------------------------------------------------------------- managers' buttons


def test_a_button_moves_an_order_whose_till_cannot() -> None:
    said = [say("p", "accepted", seq=1), staff("m", "ready", 5)]
    assert settled(said).state == "ready"


@pytest.mark.parametrize("track", ["kitchen", "commercial"])
def test_a_till_that_repeats_itself_does_not_undo_a_button(track: str) -> None:
    said = [
        say("p", "accepted", seq=1, track=track),
        staff("m", "picked_up", 5),
        say("q", "accepted", seq=9, track=track),
    ]
    order = settled(said)
    assert (order.state, order.epoch) == ("picked_up", 0)


def test_later_news_goes_on_from_a_button() -> None:
    said = [
        say("p", "ready", seq=1),
        staff("m", "preparing", 5),
        say("q", "ready", seq=9),
        say("r", "picked_up", seq=12),
    ]
    assert settled(said[:2]).state == "preparing"
    assert settled(said).state == "picked_up"


def test_staff_reopen_what_a_source_cancelled() -> None:
    said = [
        say("s", "cancelled", seq=3, account="shop", track="commercial"),
        say("p", "preparing", seq=1),
        staff("m", "preparing", 5),
    ]
    order = settled(said)
    assert (order.state, order.epoch, order.flags) == ("preparing", 1, {"reopened"})


def test_unordered_old_news_does_not_undo_a_button() -> None:
    said = [
        say("p", "accepted", minute=1),
        staff("m", "ready", 5),
        say("q", "preparing", minute=2, arrives=7),
    ]
    assert settled(said).state == "ready"


def test_staff_settle_a_conflict_and_new_news_opens_it_again() -> None:
    said = [
        say("s", "cancelled", seq=9, account="shop", track="commercial"),
        say("p", "picked_up", seq=2),
        staff("m", "cancelled", 20),
    ]
    order = settled(said)
    assert (order.state, "conflict" in order.flags) == ("cancelled", False)
    assert "conflict" in settled([*said, say("q", "picked_up", seq=30)]).flags


def test_staff_hand_over_for_a_silent_courier() -> None:
    said = [say("k", "ready", seq=1), drive("x", "out_for_delivery", 2), staff("m", "delivered", 9)]
    assert settled(said).state == "delivered"


def test_a_managers_time_holds_until_the_kitchen_gives_a_newer_one() -> None:
    said = [
        say("k", seq=1, data={"times": {"est_ready_at": iso(20)}}),
        staff("m", None, 5, data={"times": {"est_ready_at": iso(35)}}),
    ]
    assert settled(said).est_ready_at == at(35)
    newer = say("l", seq=9, data={"times": {"est_ready_at": iso(30)}})
    assert settled([*said, newer]).est_ready_at == at(30)


def test_a_button_on_a_part() -> None:
    said = [
        say("a", "preparing", seq=1, part="bowl-1"),
        say("b", "preparing", seq=1, part="bowl-2"),
        staff("m", "ready", 5, part="bowl-1"),
    ]
    assert states(settled(said)) == {"bowl-1": "ready", "bowl-2": "preparing"}


def test_thirty_observations_take_less_than_a_millisecond_to_project() -> None:
    import time

    said = [say(f"o{i}", "preparing", seq=i) for i in range(10)]
    said += [say(f"p{i}", "ready", seq=i, part=f"bowl-{i % 4}") for i in range(15)]
    said += [drive(f"x{i}", "out_for_delivery", i) for i in range(5)]
    best = min(_timed(said, time.perf_counter) for _ in range(30))
    assert best < timedelta(milliseconds=1).total_seconds()


def _timed(said: Sequence[Observation], clock) -> float:  # type: ignore[no-untyped-def]
    began = clock()
    project(said)
    return float(clock() - began)
