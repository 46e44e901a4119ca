"""The watch: finds what nobody announces, whatever happened to the process or to the clock."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from orders import tasks
from orders.changes import LONGEST_WAIT
from orders.eta_watch import BATCH, WATCH_AGAIN, watch_estimates
from orders.models import Order, OrderEvent, SourceAccount
from tests.orders.posting import Till, open_till
from tests.orders.updates import apply, at, says

pytestmark = pytest.mark.django_db


def promise(account: SourceAccount, name: str, minute: float) -> Order:
    times = {"placed_at": at(0).isoformat(), "promised_at": at(minute).isoformat()}
    end = apply(account, says(name, "preparing", data={"times": times}))
    return Order.objects.get(pk=end.order_id)


def milestones() -> list[str]:
    rows = OrderEvent.objects.filter(kind="order_delayed").order_by("recorded_at")
    return list(rows.values_list("milestone", flat=True))


def test_an_order_is_looked_at_long_before_its_moment(till: Till) -> None:
    order = promise(till.account, "A1", 300)
    assert order.next_watch_at == at(0) + LONGEST_WAIT
    assert watch_estimates(now=at(14)) == 0
    assert watch_estimates(now=at(15)) == 1
    order.refresh_from_db()
    assert order.next_watch_at == at(15) + LONGEST_WAIT
    assert milestones() == []


def test_a_delay_that_came_while_nothing_ran_is_found(till: Till, nobody_plans: None) -> None:
    promise(till.account, "A1", 20)
    assert watch_estimates(now=at(100)) == 1  # the first look after a restart
    assert milestones() == ["overdue:1", "stalled:preparing"]
    assert watch_estimates(now=at(100)) == 0


def test_a_clock_put_back_leaves_no_order_waiting(till: Till, nobody_plans: None) -> None:
    order = promise(till.account, "A1", 60)
    ahead = at(24 * 60)
    Order.objects.update(next_watch_at=ahead)
    assert watch_estimates(now=at(10)) == 1
    order.refresh_from_db()
    assert order.next_watch_at == at(10) + LONGEST_WAIT
    watch_estimates(now=at(66))
    assert milestones() == ["overdue:1", "stalled:preparing"]


def quiet_orders(till: Till, count: int) -> int:
    """So many more orders that are due for a look and have nothing to tell; queries it takes."""
    for number in range(count):
        promise(till.account, f"{till.location.pk}-{count}-{number}", 2000)
    now = at(20)
    Order.objects.update(next_watch_at=now)
    with CaptureQueriesContext(connection) as queries:
        assert watch_estimates(now=now) == Order.objects.count()
    assert not OrderEvent.objects.filter(kind="order_delayed").exists()
    assert Order.objects.filter(next_watch_at=now + LONGEST_WAIT).count() == Order.objects.count()
    return len(queries)


def test_a_batch_of_quiet_orders_costs_the_same_however_many(
    till: Till, nobody_plans: None
) -> None:
    few = quiet_orders(till, 2)
    many = quiet_orders(till, 28)
    assert few == many
    assert few <= 9


def test_more_than_a_batch_is_done_in_one_round(till: Till, nobody_plans: None) -> None:
    order = promise(till.account, "A0", 2000)
    columns = {
        field.name: getattr(order, field.name)
        for field in Order._meta.fields
        if field.name not in ("id", "public_id")
    }
    Order.objects.bulk_create([Order(**columns) for _ in range(BATCH)])
    assert watch_estimates(now=at(20)) == BATCH + 1
    Order.objects.update(next_watch_at=at(30))
    assert watch_estimates(now=at(30), limit=1) == BATCH  # whole batches


def test_news_costs_the_same_however_long_the_history(till: Till, nobody_plans: None) -> None:
    counts = []
    for name, statements in (("A1", 1), ("B1", 40)):
        promise(till.account, name, 20)
        for number in range(statements):
            apply(till.account, says(name, key=f"{name}-{number}", data={"note": str(number)}))
        with CaptureQueriesContext(connection) as queries:
            assert watch_estimates(now=at(26)) == 1
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_an_order_that_cannot_be_read_stops_nothing(
    till: Till, nobody_plans: None, caplog: pytest.LogCaptureFixture
) -> None:
    bad = promise(till.account, "A1", 20)
    promise(till.account, "B2", 20)
    Order.objects.filter(pk=bad.pk).update(watch={"pending_since": "yesterday"})
    assert watch_estimates(now=at(26)) == 1
    assert caplog.text.count("orders.watch_failed") == 1
    bad.refresh_from_db()
    assert bad.next_watch_at == at(26) + WATCH_AGAIN
    assert bad.watch == {"pending_since": "yesterday"}
    assert watch_estimates(now=at(27)) == 0
    assert milestones() == ["overdue:1"]


def test_a_closed_order_is_left_alone(till: Till, nobody_plans: None) -> None:
    order = promise(till.account, "A1", 20)
    apply(till.account, says("A1", "picked_up", minute=10), 10)
    order.refresh_from_db()
    assert order.next_watch_at is None
    assert watch_estimates(now=at(100)) == 0


@pytest.mark.django_db(transaction=True)
def test_an_order_somebody_else_holds_is_left_to_him() -> None:
    till = open_till()
    held, free = promise(till.account, "A1", 20), promise(till.account, "B2", 20)
    found: list[int] = []

    def watch() -> None:
        found.append(watch_estimates(now=at(26)))
        connection.close()

    with transaction.atomic():
        Order.objects.select_for_update().get(pk=held.pk)
        thread = threading.Thread(target=watch)
        thread.start()
        thread.join(timeout=20)
    assert found == [1]
    assert OrderEvent.objects.get(kind="order_delayed").order == free
    assert watch_estimates(now=at(26)) == 1


def test_the_task_watches(till: Till, nobody_plans: None) -> None:
    promise(till.account, "A1", 20)
    Order.objects.update(next_watch_at=datetime.now(at(0).tzinfo) - timedelta(seconds=1))
    assert tasks.watch_estimates() == 1
