"""Track, chips, due times: computed from unsaved rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations.contracts import State
from orders import phrases, pieces
from orders.models import Location, Order, Part, Restaurant

NOW = datetime(2026, 11, 24, 23, 36, tzinfo=UTC)
TZ = phrases.zone("America/New_York")


def minutes(count: float) -> datetime:
    return NOW + timedelta(minutes=count)


def order(**fields: Any) -> Order:
    restaurant = Restaurant(name="Lucky Bowl", timezone="America/New_York")
    fields.setdefault("location", Location(name="Main Street", restaurant=restaurant))
    return Order(restaurant=restaurant, display="114", **fields)


def part(label: str, state: str, **fields: Any) -> Part:
    return Part(ref=fields.pop("ref", label), label=label, state=state, **fields)


def shape(steps: list[pieces.Step]) -> list[tuple[str, str]]:
    return [(step.word, step.stage) for step in steps]


def test_track_of_a_pickup() -> None:
    times = {"received": minutes(-9), "preparing": minutes(-5)}
    steps = pieces.track(order(state="preparing"), times, TZ, NOW)
    assert shape(steps) == [
        ("Received", "done"),
        ("Preparing", "now"),
        ("Ready", "todo"),
        ("Picked up", "todo"),
    ]
    assert [step.time for step in steps] == ["18:27", "18:31", "", ""]


def test_track_of_a_finished_delivery() -> None:
    steps = pieces.track(order(state="delivered", fulfillment="delivery"), {}, TZ, NOW)
    assert shape(steps)[-2:] == [("On the way", "done"), ("Delivered", "done")]
    assert {step.stage for step in steps} == {"done"}


def test_track_ends_where_the_order_was_cancelled() -> None:
    times = {"received": minutes(-9), "preparing": minutes(-5), "cancelled": minutes(-1)}
    steps = pieces.track(order(state="cancelled"), times, TZ, NOW)
    assert shape(steps) == [("Received", "done"), ("Preparing", "done"), ("Cancelled", "off")]


def test_track_hides_the_times_of_states_that_were_taken_back() -> None:
    times = {"received": minutes(-9), "preparing": minutes(-5), "ready": minutes(-2)}
    steps = pieces.track(order(state="preparing"), times, TZ, NOW)
    assert ("Ready", "todo") in shape(steps)
    assert steps[2].time == ""


def test_times_come_from_the_present_epoch_and_the_projection() -> None:
    reopened = order(
        state="preparing", epoch=1, detail={"state_since": "2026-11-24T23:30:00+00:00"}
    )
    assert pieces.state_times(reopened, []) == {"preparing": minutes(-6)}
    assert pieces.state_times(order(state="ready", detail={"state_since": "?"}), []) == {}


def test_chips_say_what_each_part_waits_for() -> None:
    chips = pieces.chips(
        [
            part("Miso ramen", "ready"),
            part("Tofu bowl", "preparing", est_ready_at=minutes(6)),
            part("Tea", "preparing", est_ready_at=minutes(-9)),
            part("Udon", "received"),
            part("Mochi", "cancelled"),
            part("Gone", "removed"),
        ],
        NOW,
    )
    assert [(c.label, c.word, c.tone) for c in chips] == [
        ("Miso ramen", "ready", "done"),
        ("Tofu bowl", "6 min", "work"),
        ("Tea", "late", "work"),
        ("Udon", "received", "todo"),
        ("Mochi", "cancelled", "off"),
    ]


def test_chips_of_the_same_name_are_numbered() -> None:
    chips = pieces.chips([part("Bowl", "ready", ref=str(n)) for n in range(3)], NOW)
    assert [chip.label for chip in chips] == ["Bowl 1 of 3", "Bowl 2 of 3", "Bowl 3 of 3"]


@pytest.mark.parametrize(
    "parts", [[part("", "preparing", ref="order")], [part("Bowl", "ready")], []]
)
def test_one_part_is_the_order_itself(parts: list[Part]) -> None:
    assert pieces.chips(parts, NOW) == []
    assert pieces.parts_sentence(parts, NOW) == ""


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (
            [
                part("a", "ready"),
                part("b", "ready"),
                part("c", "preparing", est_ready_at=minutes(6)),
            ],
            "2 of 3 ready, the last one in about 6 min",
        ),
        ([part("a", "ready"), part("b", "preparing")], "1 of 2 ready"),
        (
            [part("a", "ready"), part("b", "preparing", est_ready_at=minutes(-1))],
            "1 of 2 ready",
        ),
        ([part("a", "preparing"), part("b", "preparing")], ""),
        ([part("a", "ready"), part("b", "ready")], ""),
        ([part("a", "ready"), part("b", "cancelled"), part("c", "preparing")], "1 of 2 ready"),
    ],
)
def test_parts_sentence(parts: list[Part], expected: str) -> None:
    assert pieces.parts_sentence(parts, NOW) == expected


@pytest.mark.parametrize(
    ("fields", "standing", "word"),
    [
        ({"state": "preparing", "est_ready_at": minutes(9)}, "fine", ""),
        ({"state": "preparing", "est_ready_at": minutes(4)}, "risk", "due in 4 min"),
        ({"state": "preparing", "est_ready_at": minutes(0)}, "risk", "due now"),
        ({"state": "preparing", "est_ready_at": minutes(-8)}, "late", "8 min late"),
        ({"state": "accepted", "promised_at": minutes(-8)}, "late", "8 min late"),
        (
            {
                "state": "preparing",
                "promised_at": minutes(-2),
                "est_ready_at": minutes(10),
                "flags": ["delayed"],
            },
            "late",
            "delayed 12 min",
        ),
        ({"state": "preparing", "flags": ["delayed"]}, "late", "delayed"),
        ({"state": "preparing"}, "fine", ""),
        ({"state": "ready", "est_ready_at": minutes(-8)}, "over", ""),
        ({"state": "delivered", "fulfillment": "delivery"}, "over", ""),
        (
            {"state": "ready", "fulfillment": "delivery", "promised_at": minutes(-3)},
            "late",
            "3 min late",
        ),
        (
            {
                "state": "out_for_delivery",
                "fulfillment": "delivery",
                "est_delivery_at": minutes(3),
            },
            "fine",
            "",
        ),
    ],
)
def test_due(fields: dict[str, Any], standing: str, word: str) -> None:
    due = pieces.due(order(**fields), NOW)
    assert (due.standing, due.word) == (standing, word)


def test_due_of_a_delivery_is_the_door() -> None:
    both = order(
        state="preparing",
        fulfillment="delivery",
        est_ready_at=minutes(5),
        est_delivery_at=minutes(30),
    )
    assert (pieces.due(both, NOW).at, pieces.due(both, NOW).at_door) == (minutes(30), True)
    kitchen_only = order(state="preparing", fulfillment="delivery", est_ready_at=minutes(5))
    assert pieces.due(kitchen_only, NOW).at_door is False


def test_the_location_decides_the_zone() -> None:
    there = order(state=State.READY)
    assert pieces.local_zone(there).key == "America/New_York"
    assert there.location is not None
    there.location.timezone = "America/Los_Angeles"
    assert pieces.local_zone(there).key == "America/Los_Angeles"
