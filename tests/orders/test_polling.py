"""Asking sources for what their webhooks lost. Over real HTTP, against the sandbox."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from integrations.contracts import HttpRequest
from integrations.sandbox.server import SandboxServer
from integrations.sources.square import _PAGE as SQUARE_PAGE
from integrations.sources.square import Square as SquareSource
from orders import polling, tasks
from orders.models import Observation, Order, SourceAccount
from orders.signals import order_event_recorded
from tests.factories import make_location, make_restaurant, make_source_account
from tests.orders.test_follow_ups import Square

pytestmark = pytest.mark.django_db
PLACE = "FPYCBCHYMXFK1"


@pytest.fixture
def square(db: None, sandbox: SandboxServer) -> Square:
    """A Square account that may be polled."""
    made = Square(sandbox)
    made.account.settings = {**made.account.settings, "location_ids": PLACE}
    made.account.save()
    return made


def now_plus(**amount: float) -> datetime:
    return datetime.now(UTC) + timedelta(**amount)


def stored(square: Square) -> SourceAccount:
    return SourceAccount.objects.get(pk=square.account.pk)


def test_a_lost_webhook_is_caught_up(square: Square) -> None:
    square.plant()
    now = now_plus()
    assert polling.poll_sources(now=now) == 1
    order = Order.objects.get()
    assert order.state == "preparing"
    account = stored(square)
    assert (account.last_polled_at, account.poll_error) == (now, "")
    assert account.poll_due_at == now + timedelta(seconds=polling.EVERY_S)


def test_what_a_webhook_said_is_not_said_again(square: Square) -> None:
    square.plant()
    square.post()
    square.fetch()
    said = Observation.objects.count()
    events = list(Order.objects.get().events.values())
    assert polling.poll_sources(now=now_plus(seconds=2)) == 1
    assert polling.poll_sources(now=now_plus(minutes=4)) == 1
    assert Observation.objects.count() == said
    assert list(Order.objects.get().events.values()) == events


def test_a_webhook_after_the_poll_says_nothing_new(square: Square) -> None:
    square.plant()
    polling.poll_sources(now=now_plus())
    events = list(Order.objects.get().events.values())
    square.post()
    square.fetch()
    assert list(Order.objects.get().events.values()) == events


def test_only_open_orders_are_worth_a_poll_every_few_minutes(square: Square) -> None:
    square.plant()
    polling.poll_sources(now=now_plus())
    assert polling.poll_sources(now=now_plus(minutes=2)) == 0  # not yet
    square.plant(version=9, state="CANCELED")
    assert polling.poll_sources(now=now_plus(minutes=4)) == 1
    assert Order.objects.get().state == "cancelled"
    assert polling.poll_sources(now=now_plus(minutes=8)) == 0


def test_a_lost_first_word_is_found_while_nothing_is_open(square: Square) -> None:
    assert polling.poll_sources(now=now_plus()) == 1
    square.plant()
    assert polling.poll_sources(now=now_plus(minutes=14)) == 0
    assert polling.poll_sources(now=now_plus(minutes=16)) == 1
    assert Order.objects.get().is_open


def test_a_clock_put_back_leaves_no_account_waiting(square: Square) -> None:
    polling.poll_sources(now=now_plus())
    square.plant()
    SourceAccount.objects.update(poll_due_at=now_plus(days=1))
    assert polling.poll_sources(now=now_plus(minutes=16)) == 1
    assert Order.objects.exists()


def test_a_failed_poll_is_repeated_for_the_same_window(square: Square) -> None:
    square.plant()
    first = now_plus()
    polling.poll_sources(now=first)
    square.plant(version=9, state="CANCELED")
    square.tell("faults", {"vendor": "square", "kind": "503", "times": 1})
    failed = first + timedelta(minutes=4)
    assert polling.poll_sources(now=failed) == 1
    account = stored(square)
    assert account.poll_error == "square answered HTTP 503"
    assert account.last_polled_at == first
    assert polling.poll_sources(now=failed + timedelta(minutes=1)) == 1
    assert stored(square).poll_error == ""
    assert Order.objects.get().state == "cancelled"


def test_an_order_nobody_can_place_keeps_the_window_open(square: Square) -> None:
    square.plant()
    location = square.account.restaurant.locations.get()
    location.external_ids = ["elsewhere"]
    location.save()
    polling.poll_sources(now=now_plus())
    account = stored(square)
    assert account.last_polled_at is None
    assert account.poll_error.startswith(f"unknown location '{PLACE}'")
    location.external_ids = [PLACE]
    location.save()
    assert polling.poll_sources(now=now_plus(minutes=1)) == 0  # asking again at once helps nobody
    assert polling.poll_sources(now=now_plus(minutes=4)) == 1
    assert Order.objects.exists()
    assert stored(square).poll_error == ""


def test_the_window_overlaps_the_last_poll_and_ends_somewhere(
    square: Square, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[datetime] = []

    def poll(self: SquareSource, since: datetime) -> HttpRequest | None:
        asked.append(since)
        return None

    monkeypatch.setattr(SquareSource, "poll", poll)
    now = now_plus()
    last = now - timedelta(minutes=3)
    for polled in (None, last, now - timedelta(days=9)):
        SourceAccount.objects.update(last_polled_at=polled, poll_due_at=None)
        # an account with nothing open is asked only when it never was
        Order.objects.all().delete()
        if polled is not None:
            square.plant()
            _open_order(square)
        assert polling.poll_sources(now=now) == 0
    assert asked == [
        now - polling.FIRST_LOOK - polling.OVERLAP,
        last - polling.OVERLAP,
        now - polling.LONGEST_LOOK - polling.OVERLAP,
    ]


def _open_order(square: Square) -> None:
    square.post()
    square.fetch()
    assert Order.objects.get().is_open


def test_every_page_is_read(square: Square) -> None:
    names = square.plant_many(SQUARE_PAGE + 3)
    assert polling.poll_sources(now=now_plus()) == 1
    assert Order.objects.count() == len(names) == SQUARE_PAGE + 3
    assert stored(square).poll_error == ""


def test_pages_have_an_end(square: Square, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "MOST_PAGES", 1)
    square.plant_many(SQUARE_PAGE + 3)
    polling.poll_sources(now=now_plus())
    account = stored(square)
    assert Order.objects.count() == SQUARE_PAGE
    assert account.poll_error == "there are more than 1 pages of changes"
    assert account.last_polled_at is None


def test_a_next_page_elsewhere_is_not_asked_for(
    square: Square, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poll_next(self: SquareSource, request: object, response: object) -> HttpRequest | None:
        return HttpRequest.get("https://evil.example.com/v2/orders")

    monkeypatch.setattr(SquareSource, "poll_next", poll_next)
    square.plant()
    assert polling.poll_sources(now=now_plus()) == 1
    assert "not at the vendor" in stored(square).poll_error
    assert Order.objects.exists()


def test_credentials_go_to_the_vendor_only(square: Square, monkeypatch: pytest.MonkeyPatch) -> None:
    def poll(self: SquareSource, since: datetime) -> HttpRequest | None:
        return HttpRequest.get("https://evil.example.com/v2/orders")

    monkeypatch.setattr(SquareSource, "poll", poll)
    assert polling.poll_sources(now=now_plus()) == 0
    assert "not at the vendor" in stored(square).poll_error


def test_an_adapter_may_ask_less_often(square: Square, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SquareSource, "poll_every_s", 900, raising=False)
    square.plant()
    now = now_plus()
    polling.poll_sources(now=now)
    assert stored(square).poll_due_at == now + timedelta(seconds=900)


def test_who_cannot_be_asked_is_not(db: None) -> None:
    restaurant = make_restaurant()
    make_location(restaurant)
    make_source_account(restaurant)  # pushes only
    make_source_account(
        restaurant,
        source="square",
        settings={"signature_key": "k", "access_token": "t", "location_ids": PLACE},
        enabled=False,
    )
    make_source_account(restaurant, source="square", settings={})  # not set up yet
    assert polling.poll_sources(now=now_plus()) == 0
    assert not SourceAccount.objects.exclude(poll_error="").exists()


def test_the_task_polls(square: Square) -> None:
    square.plant()
    assert tasks.poll_sources() == 1
    assert Order.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_workers_do_not_poll_the_same_account(sandbox: SandboxServer) -> None:
    made = Square(sandbox)
    made.account.settings = {**made.account.settings, "location_ids": PLACE}
    made.account.save()
    made.plant()
    now = now_plus()
    found: list[int] = []

    def other_worker() -> None:
        found.append(polling.poll_sources(now=now))
        connection.close()

    with transaction.atomic():
        assert [account.pk for account in polling._claim(now)] == [made.account.pk]
        thread = threading.Thread(target=other_worker)
        thread.start()
        thread.join(timeout=20)
    assert found == [0]  # while the claim is being made
    assert polling.poll_sources(now=now) == 0  # while its lease lasts
    assert polling.poll_sources(now=now + polling.LEASE) == 1  # its worker died


def test_a_worker_that_took_too_long_leaves_the_account_to_the_next(
    square: Square, nobody_plans: None
) -> None:
    square.plant()
    later = now_plus(minutes=6)

    def taken_over(**_: Any) -> None:
        # while the first page is applied the lease runs out and another worker claims
        SourceAccount.objects.update(poll_due_at=later)

    order_event_recorded.connect(taken_over)
    assert polling.poll_sources(now=now_plus()) == 1
    account = stored(square)
    assert (account.poll_due_at, account.last_polled_at) == (later, None)


def test_calls_are_stored_while_an_account_is_claimed(square: Square) -> None:
    locked: Any = SourceAccount.objects.select_for_update(no_key=True).filter(pk=square.account.pk)
    assert "FOR NO KEY UPDATE" in str(locked.query)
    with transaction.atomic():
        polling._claim(now_plus())
        assert square.post().status_code == 200
