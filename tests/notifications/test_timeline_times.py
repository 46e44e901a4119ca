"""Who said what about when: on the timeline of an order, and on the page of its guest."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest

from notifications.history import history_of
from notifications.timeline import TimelineRow, rows
from orders import busy, intake
from orders.eta_watch import watch_estimates
from orders.models import Order, SourceAccount
from orders.page_data import order_page
from orders.phrases import zone
from orders.said_times import times_said
from tests.factories import make_source_account
from tests.orders.posting import Till, open_till
from tests.orders.updates import apply, at, says

pytestmark = pytest.mark.django_db
NEW_YORK = zone("America/New_York")


@pytest.fixture
def till() -> Till:
    return open_till()


def give(account: SourceAccount, minute: float, *, way: str = "pickup", **times: float) -> Order:
    data = {
        "times": {name: at(value).isoformat() for name, value in times.items()},
        "fulfillment": {"type": way},
    }
    state = "preparing" if minute == 0 else None
    end = apply(account, says("A1", state, kind="eta", minute=minute, data=data), minute)
    return Order.objects.select_related("restaurant", "location").get(pk=end.order_id)


def lines(order: Order, stage: str) -> list[TimelineRow]:
    return [row for row in rows(history_of(order)) if row.stage == stage]


def test_each_statement_says_who_gave_which_time(till: Till) -> None:
    # 18:00 UTC is 14:00 in New York
    give(till.account, 0, promised_at=30, est_ready_at=28)
    order = give(till.account, 5, est_ready_at=42)
    times = {"times": {"est_ready_at": at(50).isoformat()}}
    intake.add_manual_update(order=order, data=times, actor="maria", at=at(6))
    heard = lines(order, "heard")
    assert [row.actor for row in heard] == [till.account.name, till.account.name, "maria"]
    assert heard[0].details[0].endswith("promised for 14:30, ready about 14:28")
    assert heard[1].fact == "sends a new time: ready about 14:42"
    assert heard[2].fact == "sends a new time: ready about 14:50"


def test_a_moved_estimate_and_a_rescheduling_name_their_source(till: Till) -> None:
    give(till.account, 0, promised_at=30, est_ready_at=28)
    order = give(till.account, 5, promised_at=60, est_ready_at=58)
    changed = {row.fact: row for row in lines(order, "changed")}
    who = f"Said by {till.account.name}."
    assert who in changed["New estimate"].details
    assert who in changed["Rescheduled"].details
    assert "15:00 instead of 14:30." in changed["Rescheduled"].details


def test_the_words_of_times() -> None:
    tomorrow = datetime(2026, 3, 15, 23, 0, tzinfo=UTC).isoformat()
    data = {
        "times": {"promised_at": None, "promised_until": tomorrow, "est_delivery_at": None},
        "est_ready_at": at(10).isoformat(),
        "flags": {"delayed": True},
    }
    assert times_said(data, NEW_YORK, at(0)) == [
        "no promise any more",
        "at the latest tomorrow 19:00",
        "ready about 14:10",
        "nobody knows when it arrives",
        "it is delayed",
    ]
    assert times_said({"flags": {"delayed": False}}, NEW_YORK, at(0)) == ["it is not delayed"]
    assert times_said({"times": {"est_ready_at": "soon"}, "label": "x"}, NEW_YORK, at(0)) == []


# -- what the guest's page says ------------------------------------------------------------------


def page_time(public_id: uuid.UUID, minute: float) -> str:
    page = order_page(public_id, at(minute))
    assert page is not None
    return page.time


def test_a_delivery_page_says_when_it_is_at_the_door(till: Till) -> None:
    order = give(till.account, 0, way="delivery", promised_at=40, est_ready_at=20)
    assert page_time(order.public_id, 1) == "With you about 14:40 (in 39 min)"
    give(till.account, 2, way="delivery", est_ready_at=35)
    assert page_time(order.public_id, 3) == "With you about 14:55 (in 52 min)"
    drive = make_source_account(till.restaurant, source="uber_eats", location=till.location)
    leg = says(
        "del-1",
        scope="leg",
        ref="del-1",
        track="courier",
        minute=4,
        data={"est_delivery_at": at(50).isoformat()},
        aliases=((f"account:{till.account.pk}", "A1"),),
        courier_only=True,
    )
    apply(drive, leg, 4)
    assert page_time(order.public_id, 5) == "With you about 14:50 (in 45 min)"


def test_the_page_minds_a_busy_kitchen(till: Till) -> None:
    busy.start_busy(location_id=till.location.pk, actor="maria", now=at(0))
    order = give(till.account, 1, promised_at=30, est_ready_at=30)
    watch_estimates(now=at(3))
    assert page_time(order.public_id, 4) == "Ready about 14:45 (in 41 min)"
