"""A sender a manager bounds is answered 429 beyond that, and nothing of it is stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orders import call_rate
from orders.models import InboundCall
from orders.selectors import clear_caches
from tests.orders.posting import SECRET, Till

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)


def test_a_window_of_a_minute() -> None:
    def take(second: float, account: int = -1) -> int:
        return call_rate.wait_s(account, most=2, now=NOON + timedelta(seconds=second))

    assert [take(0), take(10), take(20), take(59.9)] == [0, 0, 40, 1]
    assert take(20, account=-2) == 0
    # what was refused was not counted
    assert [take(60), take(60), take(70)] == [0, 10, 0]


def test_no_bound_is_no_bound() -> None:
    assert {call_rate.wait_s(-3, most=0, now=NOON) for _ in range(1000)} == {0}


@pytest.mark.django_db
def test_too_many_calls_are_told_when_to_come_again(till: Till) -> None:
    till.account.settings = {"secret": SECRET, "calls_per_minute": "2"}
    till.account.save()
    clear_caches()
    assert [till.post(state="received").status_code for _ in range(2)] == [202, 202]
    refused = till.post(state="ready")
    assert (refused.status_code, refused.content) == (429, b"")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert InboundCall.objects.count() == 2
    # a stranger uses nothing up
    assert till.post_raw(b"{}", secret="other").status_code == 401
