"""What we believe of other people's clocks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from integrations.contracts import Observation, ordering_key
from orders.clocks import judge, judge_all

NOW = datetime(2026, 3, 14, 18, 0, tzinfo=UTC)
SAID = Observation(event_key="e", track="kitchen", scope="order", occurred_at_basis="event")


def said(off: timedelta, key: str | None = None) -> Observation:
    at = NOW + off
    return replace(SAID, occurred_at=at, ordering_key=ordering_key(at) if key is None else key)


@pytest.mark.parametrize(
    "off",
    [timedelta(), timedelta(minutes=5), timedelta(hours=-5), timedelta(days=-180)],
)
def test_believable_times_stay(off: timedelta) -> None:
    one = said(off)
    judged = judge(one, NOW)
    assert judged.observation == replace(one, received_at=NOW)
    assert judged.problems == ()
    assert not judged.is_implausible


@pytest.mark.parametrize(
    ("off", "words", "is_implausible"),
    [
        (timedelta(minutes=5, seconds=1), "5 minutes ahead", False),
        (timedelta(hours=20), "20 hours ahead", False),
        (timedelta(days=2), "2 days ahead", True),
        (timedelta(days=365), "365 days ahead", True),
        (timedelta(days=-365), "365 days behind", True),
    ],
)
def test_other_times_become_the_arrival(off: timedelta, words: str, is_implausible: bool) -> None:
    judged = judge(said(off), NOW)
    assert judged.observation.occurred_at == NOW
    assert judged.observation.occurred_at_basis == "arrival"
    assert judged.observation.ordering_key == ordering_key(NOW)
    assert judged.problems == (f"the sender's clock is {words}",)
    assert judged.is_implausible is is_implausible


def test_a_sequence_is_no_clock() -> None:
    judged = judge(said(timedelta(days=365), key=ordering_key(7)), NOW)
    assert judged.observation.ordering_key == ordering_key(7)


def test_no_time_at_all_is_the_arrival() -> None:
    judged = judge(SAID, NOW)
    assert judged.observation.occurred_at is None
    assert judged.observation.occurred_at_basis == "arrival"
    assert not judged.is_implausible


def test_absurd_estimates_are_dropped() -> None:
    near, far = NOW + timedelta(hours=1), NOW + timedelta(days=400)
    data = {
        "est_ready_at": far.isoformat(),
        "times": {
            "est_ready_at": near.isoformat(),
            "est_delivery_at": far.isoformat(),
            "promised_at": far.isoformat(),
        },
    }
    judged = judge(replace(SAID, data=data), NOW)
    assert judged.observation.data == {
        "times": {"est_ready_at": near.isoformat(), "promised_at": far.isoformat()}
    }
    assert judged.problems == (
        "est_ready_at is 400 days away",
        "est_delivery_at is 400 days away",
    )
    kept = {"est_ready_at": None, "times": {"est_ready_at": near.isoformat()}}
    assert judge(replace(SAID, data=kept), NOW).observation.data is kept


def test_an_old_time_beside_a_believable_one_is_history() -> None:
    """A shop tells with every change when the order was made, however long ago."""
    created, cancelled = said(timedelta(days=-365)), said(timedelta(seconds=-1))
    judged = judge_all([created, cancelled], NOW)
    assert [one.observation for one in judged] == [
        replace(created, received_at=NOW),
        replace(cancelled, received_at=NOW),
    ]
    assert not any(one.is_implausible or one.problems for one in judged)


def test_a_clock_that_was_never_set_is_wrong_in_all_it_says() -> None:
    judged = judge_all([said(timedelta(days=-9000)), said(timedelta(days=-8999))], NOW)
    assert {one.observation.occurred_at for one in judged} == {NOW}
    assert all(one.is_implausible for one in judged)


@pytest.mark.parametrize("name", ["placed_at", "promised_at", "promised_until"])
def test_dates_of_no_year_of_ours_are_dropped(name: str) -> None:
    for value, words in (
        ("9999-12-31T23:59:59+00:00", f"{name} is in the year 9999"),
        ("0001-01-01T00:00:00+00:00", f"{name} is in the year 1"),
    ):
        judged = judge(replace(said(timedelta(0)), data={"times": {name: value}}), NOW)
        assert judged.observation.data == {"times": {}}
        assert judged.problems == (words,)
    soon = {"times": {name: "2027-06-05T12:00:00+00:00"}}
    assert judge(replace(said(timedelta(0)), data=soon), NOW).observation.data == soon
