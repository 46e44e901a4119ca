"""How pages say times and states."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import translation

from integrations.contracts import State
from orders import phrases

NOW = datetime(2026, 11, 24, 23, 36, tzinfo=UTC)
NEW_YORK = phrases.zone("America/New_York")


def at(**delta: float) -> datetime:
    return NOW + timedelta(**delta)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (at(minutes=6), "18:42 (in 6 min)"),
        (at(seconds=20), "18:36 (now)"),
        (at(minutes=65), "19:41 (in 1 h 05 min)"),
        (at(hours=2), "20:36 (in 2 h)"),
        (at(minutes=-6), "18:30"),
        (at(hours=18), "tomorrow 12:36"),
        (at(days=3), "Fri 18:36"),
        (at(days=30), "24 Dec 18:36"),
        (at(days=-1), "yesterday 18:36"),
    ],
)
def test_clock_in(moment: datetime, expected: str) -> None:
    assert phrases.clock_in(moment, NEW_YORK, NOW) == expected


def test_clock_follows_the_zone_over_midnight() -> None:
    late = datetime(2026, 11, 25, 4, 30, tzinfo=UTC)  # 23:30 of the same evening there
    assert phrases.clock(late, NEW_YORK, NOW) == "23:30"
    assert phrases.clock(late, phrases.zone("Europe/Madrid"), NOW) == "05:30"
    assert phrases.clock(late, phrases.zone("UTC"), NOW) == "tomorrow 04:30"


def test_unknown_zone_is_utc() -> None:
    assert phrases.zone("Mars/Olympus").key == "UTC"
    assert phrases.zone("").key == "UTC"


@pytest.mark.parametrize(
    ("moment", "travels", "expected"),
    [
        (at(minutes=6), False, "Ready about 18:42 (in 6 min)"),
        (at(minutes=6), True, "With you about 18:42 (in 6 min)"),
        (at(seconds=-30), False, "Ready about 18:35 (now)"),
        (at(minutes=-4), False, "Was expected at 18:32, 4 min ago"),
    ],
)
def test_due_sentence(moment: datetime, travels: bool, expected: str) -> None:
    assert phrases.due_sentence(moment, NEW_YORK, NOW, travels=travels) == expected


@pytest.mark.parametrize(("minutes", "expected"), [(0, "just now"), (4, "4 min ago")])
def test_ago(minutes: int, expected: str) -> None:
    assert phrases.ago(at(minutes=-minutes), NOW) == expected


def test_days_are_counted() -> None:
    assert [phrases.span(24 * 60), phrases.span(3 * 24 * 60)] == ["1 day", "3 days"]


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("fulfillment", ["pickup", "delivery", "dine_in", "curbside", "shipping"])
def test_every_state_has_words(state: State, fulfillment: str) -> None:
    assert phrases.headline(state, fulfillment)
    assert "_" not in phrases.state_word(state, fulfillment)


def test_words_follow_the_reader() -> None:
    with translation.override("es"):
        assert phrases.headline("ready", "pickup") == "Listo para recoger"
        assert phrases.clock_in(at(minutes=6), NEW_YORK, NOW) == "18:42 (en 6 min)"
