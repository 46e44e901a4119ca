"""How messages say a moment, and which moment they say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from notifications.context import OrderFacts, build, sample_facts
from notifications.times import clock, until, zone

NEW_YORK = zone("America/New_York")
#: a Saturday, 18:00 in New York
NOW = datetime(2026, 3, 14, 22, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("hours", "en", "es"),
    [
        (0.7, "18:42", "18:42"),
        (6.5, "00:30", "00:30"),  # after midnight, and nobody could mean another night
        (-3, "15:00", "15:00"),
        (17, "tomorrow 11:00", "mañana 11:00"),
        (24 * 6, "Fri 20 Mar 18:00", "vie 20 mar 18:00"),
        (-24 * 6, "Sun 8 Mar 18:00", "dom 8 mar 18:00"),
    ],
)
def test_the_day_is_said_where_it_could_be_misread(hours: float, en: str, es: str) -> None:
    at = NOW + timedelta(hours=hours)
    assert clock(at, NEW_YORK, NOW, "en") == en
    assert clock(at, NEW_YORK, NOW, "es") == es
    assert clock(at, NEW_YORK, NOW, "fi") == en


@pytest.mark.parametrize(
    ("minutes", "en", "es"),
    [
        (-5, "now", "ahora"),
        (0.4, "now", "ahora"),
        (6, "in 6 min", "en 6 min"),
        (99, "in 99 min", "en 99 min"),
        (130, "in 2 h 10 min", "en 2 h 10 min"),
        (180, "in 3 h", "en 3 h"),
        (1440, "in 1 day", "en 1 día"),
        (3 * 1440 + 30, "in 3 days", "en 3 días"),
    ],
)
def test_how_long_it_takes(minutes: float, en: str, es: str) -> None:
    at = NOW + timedelta(minutes=minutes)
    assert (until(at, NOW, "en"), until(at, NOW, "es")) == (en, es)


def test_no_time_is_no_word() -> None:
    assert clock(None, NEW_YORK, NOW, "en") == until(None, NOW, "en") == ""
    assert zone("Nowhere/At_All") == zone("UTC")


def eta_time(**order: object) -> str:
    facts = OrderFacts(id="1", number="1042", state="preparing", **order)  # type: ignore[arg-type]
    made = build(replace(sample_facts("order_delayed", "delayed:1"), order=facts), NOW)
    return str(made["order"]["eta_time"])


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def test_which_time_a_message_says() -> None:
    ready, promised = {"est_ready_at": at(20)}, {"promised_at": at(40)}
    assert eta_time(**ready, **promised) == "18:20"
    assert eta_time(**promised) == "18:40"
    assert eta_time(expected_at=at(35), **ready, **promised) == "18:35"
    door = {"fulfillment": "delivery"}
    assert eta_time(**door, **ready) == ""  # the kitchen's time is not the door's
    assert eta_time(**door, **ready, **promised) == "18:40"
    assert eta_time(**door, **ready, **promised, est_delivery_at=at(45)) == "18:45"
    assert eta_time(**door, **ready, **promised, expected_at=at(55)) == "18:55"
