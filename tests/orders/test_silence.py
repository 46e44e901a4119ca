"""A feed that stopped: what is usual at an hour, and one alarm per silence."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.urls import reverse

from notifications.models import Delivery, Notification
from orders import silence, tasks
from orders.models import InboundCall, SourceAccount
from orders.signals import feed_silent
from tests.factories import make_call, make_manager, make_order, make_source_account
from tests.stage import Stage

ZONE = ZoneInfo("America/New_York")
#: a Wednesday, 18:30 in New York
NOW = datetime(2026, 11, 25, 23, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def evenings(*, days: range, every_min: int = 10, hours: tuple[int, int] = (17, 22)) -> list[Any]:
    """Calls every few minutes from opening to closing, so many days ago."""
    calls = []
    for day in days:
        date = (NOW - timedelta(days=day)).astimezone(ZONE).replace(minute=0)
        at, end = date.replace(hour=hours[0]), date.replace(hour=hours[1])
        while at < end:
            calls.append(at.astimezone(UTC))
            at += every_min * MINUTE
    return calls


def find(calls: list[datetime], now: datetime = NOW, *, is_open: bool = False) -> Any:
    return silence.find_silence(calls, now=now, zone=ZONE, has_open_orders=is_open)


def heard(minutes: float, **span: Any) -> list[datetime]:
    """Two weeks of evenings; today's last call came so many minutes ago."""
    return [*evenings(days=range(1, 16), **span), NOW - minutes * MINUTE]


def test_a_gap_longer_than_usual_is_a_silence() -> None:
    found = find(heard(16))
    assert found == silence.Silence(NOW - 16 * MINUTE, silence.SHORTEST)


def test_a_usual_gap_is_none() -> None:
    assert find(heard(14)) is None


def test_quiet_feeds_are_given_more_time() -> None:
    calls = heard(35, every_min=40)
    assert silence.usual_gap(calls, now=NOW, zone=ZONE) == 40 * MINUTE
    assert find(calls, is_open=True) is None
    assert find(heard(45, every_min=40)) is not None


def test_one_odd_gap_in_a_hundred_does_not_count() -> None:
    calls = heard(20, every_min=5)
    del calls[20:28]  # one evening with a hole of 45 minutes
    assert silence.usual_gap(calls, now=NOW, zone=ZONE) == silence.SHORTEST


def test_too_few_calls_to_know() -> None:
    assert (
        find([*evenings(days=range(1, 2), every_min=15), NOW - 60 * MINUTE], is_open=True) is None
    )
    assert find([], is_open=True) is None


def test_a_closed_kitchen_is_not_silent() -> None:
    night = NOW + timedelta(hours=4)  # 22:30, half an hour after closing
    calls = [*heard(0), *(night - m * MINUTE for m in range(35, 200, 10))]
    assert find(calls, night) is None
    assert find(calls, night, is_open=True) is not None


def test_an_order_forgotten_overnight_is_no_silence() -> None:
    calls = evenings(days=range(1, 16))
    opening = NOW - timedelta(hours=1)  # 17:30, nothing yet today
    assert find(calls, opening, is_open=True) is None


def test_an_evening_that_never_begins_is_a_silence() -> None:
    calls = evenings(days=range(1, 16))
    assert find(calls, NOW) is not None


def test_the_day_off_is_not_silent() -> None:
    calls = evenings(days=range(1, 16))
    open_days = [c for c in calls if (NOW - c).days % 7 != 0 and c.weekday() != NOW.weekday()]
    assert find(open_days, NOW) is None


# -- the round -----------------------------------------------------------------------------------


@pytest.fixture
def told() -> Iterator[list[dict[str, Any]]]:
    """What the signal said."""
    said: list[dict[str, Any]] = []

    def listen(**values: Any) -> None:
        said.append(values)

    feed_silent.connect(listen, weak=False, dispatch_uid="test")
    yield said
    feed_silent.disconnect(dispatch_uid="test")


def store(account: SourceAccount, calls: list[datetime]) -> None:
    for at in calls:
        make_call(account, at=at)
    SourceAccount.objects.filter(pk=account.pk).update(last_call_at=max(calls))


def recent(now: datetime, *, last_min: float) -> list[datetime]:
    """A busy stretch on each of the days before at this hour, and a last call."""
    calls = [
        now - timedelta(days=day) - minute * MINUTE
        for day in (7, 14)
        for minute in range(-60, 120, 5)
    ]
    calls = [at for at in calls if at > now - silence.LEARN_FROM]
    return [*calls, now - last_min * MINUTE]


def test_staff_hear_once_per_silence(stage: Stage, told: list[dict[str, Any]]) -> None:
    make_order(account=stage.source)
    now = NOW + 15 * MINUTE  # 18:45: the hours around it are in one band
    store(stage.source, recent(now, last_min=40))
    assert silence.watch_feeds(now=now) == 1
    assert silence.watch_feeds(now=now + 5 * MINUTE) == 0
    assert silence.watch_feeds(now=now + 30 * MINUTE) == 0
    (said,) = told
    assert said["account"] == stage.source
    assert said["last_call_at"] == now - 40 * MINUTE
    assert said["usual_gap"] == silence.SHORTEST
    note = Notification.objects.get(kind="alarm")
    assert note.milestone == f"alarm:feed_silent:{stage.source.pk}"
    assert "has been silent for 40 min" in note.merged_events[0]["sentence"]
    assert Delivery.objects.get(notification=note).channel == "team_chat"


def test_the_next_silence_is_another_one(stage: Stage, told: list[dict[str, Any]]) -> None:
    make_order(account=stage.source)
    now = NOW
    store(stage.source, recent(now, last_min=40))
    silence.watch_feeds(now=now)
    store(stage.source, [now + MINUTE])
    assert silence.watch_feeds(now=now + 10 * MINUTE) == 0
    assert silence.watch_feeds(now=now + 20 * MINUTE) == 1
    assert len(told) == 2


def test_orders_of_other_feeds_are_no_reason(stage: Stage, told: list[dict[str, Any]]) -> None:
    # yesterday and the day before; it is no hour at which it speaks on this weekday
    calls = [NOW - timedelta(days=day, minutes=m) for day in (1, 2) for m in range(-90, 30, 5)]
    store(stage.source, [*calls, NOW - 40 * MINUTE])
    other = make_source_account(stage.restaurant)
    make_order(account=other)
    assert silence.watch_feeds(now=NOW) == 0
    make_order(account=stage.source)
    assert silence.watch_feeds(now=NOW) == 1


def test_a_silence_is_shown_until_the_feed_speaks_again(stage: Stage, client: Client) -> None:
    make_order(account=stage.source)
    store(stage.source, recent(NOW, last_min=40))
    silence.watch_feeds(now=NOW)
    client.force_login(make_manager(stage.restaurant))
    listed = reverse("admin:orders_sourceaccount_changelist")
    assert ">silent<" in client.get(listed).content.decode()
    stage.open()
    assert ">silent<" not in client.get(listed).content.decode()


def test_two_watchers_alarm_once(stage: Stage) -> None:
    make_order(account=stage.source)
    store(stage.source, recent(NOW, last_min=40))
    seen = SourceAccount.objects.select_related("restaurant").get(pk=stage.source.pk)
    assert silence.watch_feeds(now=NOW) == 1
    assert silence._watch(seen, NOW) is False  # read before the other one noted it
    assert Notification.objects.filter(kind="alarm").count() == 1


def test_disabled_and_new_accounts_are_not_watched(stage: Stage) -> None:
    make_order(account=stage.source)
    assert silence.watch_feeds(now=NOW) == 0
    store(stage.source, recent(NOW, last_min=40))
    SourceAccount.objects.update(enabled=False)
    assert silence.watch_feeds(now=NOW) == 0
    assert InboundCall.objects.exists()


def test_the_task_watches(db: None) -> None:
    assert tasks.watch_feeds() == 0
