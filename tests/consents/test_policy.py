"""decide(): who wins when several things speak about one message."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consents.facts import PreferenceView, StateView
from consents.hours import WeekHours, next_allowed, open_hours, outside_quiet
from tests.consents.factories import (
    NOW,
    ask,
    granted,
    marketing,
    message,
    snapshot,
    stopped,
)

GRANT = {"order_updates": granted()}


def choice(allowed: bool, **fields: Any) -> PreferenceView:
    return PreferenceView(is_allowed=allowed, **fields)


@pytest.mark.parametrize(
    ("preferences", "code"),
    [
        ([], "allowed"),
        ([choice(False)], "muted"),
        ([choice(False), choice(True, channel="sms")], "allowed"),
        ([choice(False, channel="email")], "allowed"),
        ([choice(True, channel="sms"), choice(False, purpose="order_updates")], "muted"),
        (
            [
                choice(False, purpose="order_updates", channel="sms"),
                choice(True, event_kind="status_changed"),
            ],
            "allowed",
        ),
        (
            [
                choice(True, event_kind="status_changed"),
                choice(False, event_kind="status_changed:ready"),
            ],
            "muted",
        ),
        ([choice(False, event_kind="status_changed:cancelled")], "allowed"),
        (
            [
                choice(True, order_ref="1001"),
                choice(False, event_kind="status_changed:ready", channel="sms"),
            ],
            "allowed",
        ),
        ([choice(False, order_ref="1001"), choice(True, channel="sms")], "muted"),
        ([choice(False, order_ref="1002")], "allowed"),
        ([choice(True, channel="sms"), choice(False, channel="sms")], "muted"),
        ([choice(False, channel="sms"), choice(True, channel="sms")], "muted"),
    ],
)
def test_the_most_specific_choice_wins(preferences: list[PreferenceView], code: str) -> None:
    assert ask(message(), snapshot(states=GRANT, preferences=tuple(preferences))).code == code


def test_a_choice_overrules_the_default_and_never_the_law() -> None:
    off = message(default_allowed=False)
    assert ask(off, snapshot(states=GRANT)).code == "default_off"
    wanted = (choice(True, channel="sms"),)
    assert ask(off, snapshot(states=GRANT, preferences=wanted)).code == "allowed"
    assert ask(message(), snapshot(preferences=wanted)).code == "no_consent"
    assert ask(message(), snapshot(preferences=wanted, suppressions=(stopped(),))).code == (
        "suppressed"
    )


def test_who_asks_is_answered_although_the_rest_is_muted() -> None:
    answer = message(purpose="service_reply", event_kind="status_requested")
    muted = snapshot(preferences=(choice(False),), quiet_from=time(0), quiet_until=time(23, 59))
    assert ask(answer, muted).code == "allowed"
    assert ask(answer, snapshot(suppressions=(stopped(),))).code == "suppressed"
    own = snapshot(preferences=(choice(False, purpose="service_reply"),))
    assert ask(answer, own).code == "muted"


def test_critical_skips_choice_default_and_time_only() -> None:
    facts = message(is_critical=True, default_allowed=False, due_at=NOW + timedelta(days=1))
    quiet = {"quiet_from": time(0), "quiet_until": time(23, 59), "preferences": (choice(False),)}
    assert ask(facts, snapshot(states=GRANT, **quiet)).code == "allowed"
    assert ask(facts, snapshot(**quiet)).code == "no_consent"
    assert ask(facts, snapshot(states=GRANT, unreachable_at=NOW)).code == "unreachable"


@pytest.mark.parametrize(
    ("scope", "channel", "facts", "code"),
    [
        ("channel", "sms", message(), "suppressed"),
        ("channel", "whatsapp", message(), "allowed"),
        ("all", "whatsapp", message(), "suppressed"),
        ("category:order_updates", "sms", message(), "suppressed"),
        ("category:marketing", "sms", message(), "allowed"),
        ("order:1001", "sms", message(), "suppressed"),
        ("order:1002", "sms", message(), "allowed"),
    ],
)
def test_how_far_a_suppression_reaches(scope: str, channel: str, facts: Any, code: str) -> None:
    seen = snapshot(states=GRANT, suppressions=(stopped(scope=scope, channel=channel),))
    assert ask(facts, seen).code == code


def test_muted_marketing_mutes_surveys_too() -> None:
    seen = snapshot(
        states={"feedback": granted(has_notice=True)},
        verified_at=NOW,
        suppressions=(stopped(scope="category:marketing"),),
    )
    assert ask(marketing(purpose="feedback"), seen).code == "suppressed"


def test_confirmations_are_owed_after_a_stop_and_after_nothing_worse() -> None:
    confirm = message(purpose="service_reply", event_kind="stop_confirmation", order_ref="")
    helping = message(purpose="service_reply", event_kind="help", order_ref="")
    user = snapshot(suppressions=(stopped(since=NOW - timedelta(minutes=5)),))
    assert ask(confirm, user).code == "allowed"
    assert ask(confirm, user).basis == "legal_duty"
    older = snapshot(suppressions=(stopped(since=NOW - timedelta(minutes=6)),))
    assert ask(confirm, older).code == "confirmation_too_late"
    assert ask(helping, older).code == "allowed"
    for reason in ("complaint", "reassigned", "hard_bounce", "carrier", "legal"):
        assert ask(confirm, snapshot(suppressions=(stopped(reason=reason),))).code == "suppressed"
    # nothing else rides along as a confirmation
    posing = message(purpose="marketing", event_kind="stop_confirmation", order_ref="")
    assert ask(posing, user).code == "suppressed"


@pytest.mark.parametrize(
    ("basis", "has_notice", "country", "channel", "code"),
    [
        ("consent", True, "US", "sms", "allowed"),
        ("consent", False, "US", "sms", "no_consent"),
        ("consent", False, "US", "email", "allowed"),
        ("soft_opt_in", True, "US", "sms", "no_consent"),
        ("consent", False, "DE", "sms", "allowed"),
        ("soft_opt_in", False, "DE", "email", "allowed"),
        ("soft_opt_in", False, "DE", "sms", "no_consent"),
        ("contract", False, "DE", "email", "no_consent"),
        ("legitimate_interest", True, "DE", "email", "no_consent"),
    ],
)
def test_what_a_grant_is_worth(
    basis: str, has_notice: bool, country: str, channel: str, code: str
) -> None:
    states = {"marketing": granted(lawful_basis=basis, has_notice=has_notice)}
    seen = snapshot("", channel=channel, states=states, verified_at=NOW)
    facts = marketing(country=country, channel=channel, timezone="America/New_York")
    assert ask(facts, seen).code == code


@pytest.mark.parametrize("state", ["withdrawn", "denied"])
def test_a_no_counts_where_no_consent_is_needed_too(state: str) -> None:
    view = StateView(state=state, event_id=UUID(int=3), is_refusal=True)
    decision = ask(message(channel="email"), snapshot("", states={"order_updates": view}))
    assert (decision.code, decision.event_ids) == (state, (UUID(int=3),))


def test_a_closed_window_needs_a_template() -> None:
    seen = snapshot("", channel="messenger")
    assert ask(message(channel="messenger"), seen).code == "allowed"
    assert ask(message(channel="messenger", has_template=False), seen).code == "window_closed"
    inside = snapshot("", channel="messenger", window_until=NOW + timedelta(seconds=1))
    assert ask(message(channel="messenger", has_template=False), inside).code == "allowed"


def test_volume_waits_for_room_and_for_the_morning() -> None:
    seen = snapshot("+13055550142", states={"marketing": granted(has_notice=True)}, verified_at=NOW)
    assert ask(marketing(sent_last_day=2), seen).code == "allowed"
    assert ask(marketing(sent_last_day=3), seen).code == "volume_cap"
    frees = NOW + timedelta(hours=9)  # 22:00 in Miami
    held = ask(marketing(sent_last_day=3, cap_frees_at=frees), seen)
    assert (held.verdict, held.code) == ("delay", "volume_cap")
    assert held.until == datetime(2026, 11, 26, 13, 0, tzinfo=UTC)


def test_the_trace_tells_every_step_and_lists_are_not_shared() -> None:
    decision = ask(message(), snapshot(states=GRANT))
    assert [(row["rule"], row["verdict"]) for row in decision.rules] == [
        *(("veto", "pass"), ("consent", "pass"), ("choice", "pass"), ("default", "pass")),
        ("time", "pass"),
    ]
    assert ask(message(), snapshot(states=GRANT)) == decision


NEW_YORK = ZoneInfo("America/New_York")
ZONES = [ZoneInfo(n) for n in ("America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC")]
instants = st.datetimes(datetime(2026, 1, 1), datetime(2028, 12, 31)).map(  # noqa: DTZ001
    lambda at: at.replace(tzinfo=UTC)
)
minutes = st.integers(0, 24 * 60 - 1)


@given(instants, st.lists(st.sampled_from(ZONES), min_size=1, max_size=3), minutes, minutes)
def test_an_opening_is_open_everywhere_and_the_first(
    now: datetime, zones: list[ZoneInfo], first: int, second: int
) -> None:
    hours = WeekHours(((min(first, second), max(first, second) + 1),) * 7)
    opening = next_allowed(zones, [open_hours(hours)], now)
    if opening is None:
        return  # windows that never overlap
    assert opening >= now
    assert next_allowed(zones, [open_hours(hours)], opening) == opening
    if opening > now:
        just_before = opening - timedelta(seconds=1)
        assert next_allowed(zones, [open_hours(hours)], max(now, just_before)) == opening


@given(instants, st.sampled_from(ZONES), minutes, minutes)
def test_quiet_ends_within_a_day_and_then_it_is_not_quiet(
    now: datetime, zone: ZoneInfo, first: int, last: int
) -> None:
    rule = outside_quiet(time(first // 60, first % 60), time(last // 60, last % 60))
    end = next_allowed([zone], [rule], now)
    assert end is not None
    assert now <= end <= now + timedelta(hours=26)
    assert next_allowed([zone], [rule], end) == end
    if end > now:
        wall = end.astimezone(zone)
        # the wall clock shows the end, or the first minute after a gap that swallowed it
        assert (wall.hour * 60 + wall.minute - last) % (24 * 60) <= 60


def test_a_window_that_never_opens_drops() -> None:
    closed = WeekHours(((0, 0),) * 7)
    assert next_allowed([NEW_YORK], [open_hours(closed)], NOW) is None
    weekdays = WeekHours(((540, 600),) * 5 + ((0, 0),) * 2)
    friday = datetime(2026, 11, 27, 20, 0, tzinfo=UTC)
    assert next_allowed([NEW_YORK], [open_hours(weekdays)], friday) == datetime(
        2026, 11, 30, 14, 0, tzinfo=UTC
    )
