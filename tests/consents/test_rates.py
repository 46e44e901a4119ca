"""Limits hold in every window, whoever asks at once, and a flood shuts nobody out for good."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from consents import rates
from consents.models import RateCount
from consents.rates import Limit

NOW = datetime(2026, 11, 25, 18, 0, 40, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.django_db
def test_no_window_sees_more_than_its_limit() -> None:
    limit = [Limit(3, 15 * MINUTE)]
    taken = [
        minute
        for minute in range(240)
        for _ in range(2)
        if rates.take("a", limit, NOW + minute * MINUTE)
    ]
    for start in range(240):
        assert sum(start <= minute < start + 15 for minute in taken) <= 3
    # what was refused does not count: whoever waits may ask again
    assert len(taken) >= 3 * 240 // 18


@pytest.mark.django_db
def test_the_stricter_of_two_limits_decides_and_refusals_count_nothing() -> None:
    limits = [Limit(3, 15 * MINUTE), Limit(10, timedelta(days=1))]
    hours = [rates.take("b", limits, NOW + timedelta(hours=n)) for n in range(14)]
    assert hours == [True] * 10 + [False] * 4
    assert sum(row.count for row in RateCount.objects.all()) == 10
    assert rates.take("b", limits, NOW + timedelta(hours=25))
    assert rates.take("c", limits, NOW)


@pytest.mark.django_db
def test_rows_hold_no_address_and_are_forgotten() -> None:
    rates.take("address|1|+12125550142", [Limit(1, MINUTE)], NOW)
    row = RateCount.objects.get()
    assert len(row.key) == 64
    assert "0142" not in row.key
    assert rates.forget_counts(NOW + timedelta(hours=24)) == 0
    assert rates.forget_counts(NOW + timedelta(hours=25)) == 1


@pytest.mark.django_db(transaction=True)
def test_many_at_once_get_the_limit_and_no_more() -> None:
    got: list[bool] = []

    def ask() -> None:
        try:
            got.append(rates.take("d", [Limit(3, 15 * MINUTE)], NOW))
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False] * 9 + [True] * 3


@pytest.mark.parametrize(
    ("address", "caller"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::9", "2001:db8:1:3::/64"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("not an address", "unknown"),
    ],
)
def test_a_caller_is_a_household(address: str, caller: str) -> None:
    assert rates.caller(address) == caller


@pytest.mark.django_db
def test_the_whole_installation_has_a_limit() -> None:
    sent = sum(
        rates.take("all", rates.GLOBAL, NOW + n * timedelta(milliseconds=50)) for n in range(300)
    )
    assert sent == 100
    hour = sum(
        rates.take("all", rates.GLOBAL, NOW + n * MINUTE) for n in range(3, 60) for _ in range(60)
    )
    assert sent + hour == 2_000
