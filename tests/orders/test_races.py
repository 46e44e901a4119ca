"""Calls that arrive in the same moment, on real connections."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client

from integrations.contracts import State
from orders.models import InboundCall, Observation, Order, OrderAlias, OrderEvent, ParkedUpdate
from tests.factories import make_source_account
from tests.orders.posting import Till, delivery, open_till, post_uber

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(actions: Sequence[Callable[[], Any]]) -> list[int]:
    """Run ``actions`` in threads that start together; the status codes of their answers."""
    gate = threading.Barrier(len(actions))
    codes: list[int] = []

    def run(action: Callable[[], Any]) -> None:
        try:
            gate.wait(timeout=10)
            codes.append(action().status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert not any(thread.is_alive() for thread in threads)
    return sorted(codes)


def posting(till: Till, order: str = "A1", **data: Any) -> Callable[[], Any]:
    """Posting the next event; its number is taken now, it is sent when called."""
    body = json.dumps(till.event(order, **data)).encode()
    own = Till(till.restaurant, till.location, till.account, Client())
    return lambda: own.post_raw(body)


@pytest.mark.parametrize("is_known", [False, True])
def test_the_same_event_twice_at_once_counts_once(is_known: bool) -> None:
    till = open_till()
    if is_known:
        till.post(state="received")
    action = posting(till, state="ready")
    assert at_once([action] * 4) == [200, 200, 200, 202]
    order = till.order()
    assert order.state == "ready"
    assert order.observations.filter(state="ready").count() == 1
    assert order.events.filter(milestone="ready").count() == 1
    assert InboundCall.objects.filter(state="applied").count() == 1 + is_known


@pytest.mark.parametrize("is_known", [False, True])
def test_different_events_of_one_order_at_once_all_count(is_known: bool) -> None:
    till = open_till()
    if is_known:
        till.post(state="received")
    states = [State.ACCEPTED, State.PREPARING, State.READY, State.PICKED_UP]
    actions = [posting(till, state=state) for state in states]
    actions.append(posting(till, parts=[{"id": "p1", "label": "Bowl"}]))
    assert at_once(actions) == [202] * 5
    order = till.order()
    assert order.state == "picked_up"
    # the part is an observation of its own beside the one about the order
    assert Observation.objects.filter(order=order).count() == 6 + is_known
    assert OrderAlias.objects.count() == 1
    milestones = list(OrderEvent.objects.values_list("milestone", flat=True))
    assert len(milestones) == len(set(milestones))
    assert "picked_up" in milestones
    assert set(InboundCall.objects.values_list("state", flat=True)) == {"applied"}


def test_without_its_database_the_endpoint_asks_to_come_again() -> None:
    till = open_till()
    till.post(state="received")
    event = posting(till, state="ready")
    with connection.cursor() as cursor, contextlib.suppress(OperationalError):
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    answer = event()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    connection.close()
    assert event().status_code == 202
    assert till.order().state == "ready"


def test_many_orders_at_once_do_not_hinder_each_other() -> None:
    till = open_till()
    names = [f"A{number}" for number in range(6)]
    assert at_once([posting(till, name, state="received") for name in names]) == [202] * 6
    assert set(Order.objects.values_list("display", flat=True)) == set(names)


@pytest.mark.parametrize("turn", range(5))
def test_an_order_and_its_courier_at_once_meet(turn: int) -> None:
    till = open_till()
    uber = make_source_account(
        till.restaurant, source="uber_eats", settings={"direct_signing_key": "k"}
    )
    names = [{"system": "external_delivery_id", "id": "del_1"}]
    delivering = {"type": "delivery"}
    codes = at_once(
        [
            posting(till, state="ready", fulfillment=delivering, about={"aliases": names}),
            lambda: post_uber(uber, delivery("pickup_complete")),
        ]
    )
    assert codes == [200, 202]
    assert till.order().state == "out_for_delivery"
    assert not ParkedUpdate.objects.exists()
    assert set(InboundCall.objects.values_list("state", flat=True)) == {"applied"}


def test_two_sources_of_one_order_at_once_make_one() -> None:
    till = open_till()
    other = make_source_account(
        till.restaurant, location=till.location, settings=till.account.settings
    )
    second = Till(till.restaurant, till.location, other)
    shared = {"aliases": [{"system": "external_id", "id": "WEB-7"}]}
    actions = [
        posting(till, "A1", state="accepted", about=shared),
        posting(second, "B1", state="ready", about=shared),
    ]
    assert at_once(actions) == [202, 202]
    assert till.order().state in ("accepted", "ready")
    assert OrderAlias.objects.count() == 3


@pytest.mark.parametrize("turn", range(5))
def test_orders_that_prove_to_be_one_while_both_have_news(turn: int) -> None:
    till = open_till()
    other = make_source_account(
        till.restaurant, location=till.location, settings=till.account.settings
    )
    second = Till(till.restaurant, till.location, other)
    till.post("A1", state="accepted")
    second.post("B1", state="preparing")
    shop_number = {"aliases": [{"system": "external_id", "id": "A1"}]}
    actions = [
        posting(second, "B1", about=shop_number, parts=[{"id": "p1", "label": "Bowl"}]),
        posting(second, "B1", state="ready"),
        posting(till, "A1", times={"promised_at": "2026-03-14T18:45:00Z"}),
    ]
    assert at_once(actions) == [202] * 3
    order = Order.objects.get(same_as=None)
    # no word that was said of the younger one in that moment is lost
    assert till.post("A1", note="look").status_code == 202
    order.refresh_from_db()
    assert (order.state, order.united.count()) == ("ready", 1)
    assert order.promised_at is not None
    assert [part.ref for part in order.parts.all()] == ["p1"]
    milestones = list(OrderEvent.objects.values_list("milestone", flat=True))
    assert len(milestones) == len(set(milestones))
