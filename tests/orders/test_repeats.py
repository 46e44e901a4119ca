"""The endpoint, called again: repeats, crashes, batches, and what a call costs."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from orders import calls, selectors
from orders.models import InboundCall, Observation, Order, OrderEvent, SourceAccount
from tests.factories import make_source_account
from tests.orders.posting import PHONE, Till, open_till, post_uber

pytestmark = pytest.mark.django_db


# --- again ------------------------------------------------------------------------------------


def test_a_repeat_changes_nothing(till: Till) -> None:
    body = json.dumps(till.event(state="ready")).encode()
    assert till.post_raw(body).status_code == 202
    rows = [list(model.objects.values()) for model in (Order, Observation, OrderEvent, InboundCall)]
    answer = till.post_raw(body)
    assert (answer.status_code, answer.content) == (200, b'{"duplicate":true}')
    assert rows == [
        list(model.objects.values()) for model in (Order, Observation, OrderEvent, InboundCall)
    ]


def test_the_first_body_wins_and_the_second_is_counted(till: Till) -> None:
    till.post(state="ready", id="same")
    assert till.post(state="cancelled", id="same").status_code == 200
    assert till.order().state == "ready"
    assert till.call().conflicting_bodies == 1


def test_the_same_event_in_another_mode_is_a_repeat(till: Till) -> None:
    event = till.event(state="ready")
    till.post_raw(json.dumps(event).encode())
    body = json.dumps(event["data"]).encode()
    names = ("specversion", "id", "source", "type", "time", "subject", "sequence")
    till.account.settings = {"secret": "x", "bearer_token": "token"}
    till.account.save()
    selectors.clear_caches()
    headers = {f"ce-{name}": event[name] for name in names}
    answer = Client().post(
        f"/hooks/orders/{till.account.token}/",
        data=body,
        content_type="application/json",
        headers={**headers, "Authorization": "Bearer token"},
    )
    assert (answer.status_code, answer.content) == (200, b'{"duplicate":true}')
    assert till.call().conflicting_bodies == 0


def test_what_a_crash_left_unread_is_read_when_it_comes_again(till: Till) -> None:
    body = json.dumps(till.event(state="ready")).encode()
    till.post_raw(body)
    Order.objects.all().delete()
    InboundCall.objects.update(state="received", settled_at=None, cause="", order=None)
    assert till.post_raw(body).status_code == 200
    assert till.order().state == "ready"
    assert till.call().state == "applied"


def test_what_a_crash_left_unread_is_read_by_the_sweep(till: Till) -> None:
    till.post(state="ready")
    Order.objects.all().delete()
    at = till.call().received_at
    InboundCall.objects.update(state="received", settled_at=None, order=None)
    assert calls.recover_calls(now=at + timedelta(seconds=4)) == 0
    assert calls.recover_calls(now=at + timedelta(seconds=6)) == 1
    assert till.order().state == "ready"
    assert calls.recover_calls(now=at + timedelta(seconds=60)) == 0


def test_a_batch_moves_several_orders_in_one_call(till: Till) -> None:
    till.account.settings = {"secret": "whsec-test", "allow_batch": "yes"}
    till.account.save()
    batch = [till.event("B2", state="received"), till.event("A1", state="received")]
    batch += [till.event("B2", state="ready")]
    answer = till.post_raw(
        json.dumps(batch).encode(), content_type="application/cloudevents-batch+json"
    )
    assert answer.status_code == 202
    states = {order.display: order.state for order in Order.objects.all()}
    assert states == {"A1": "received", "B2": "ready"}
    call = till.call()
    assert (call.state, call.order) == ("applied", None)


# --- what it costs ----------------------------------------------------------------------------


def statements(queries: CaptureQueriesContext) -> list[str]:
    """Without what opens and closes transactions."""
    control = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")
    return [q["sql"] for q in queries.captured_queries if not q["sql"].startswith(control)]


@pytest.mark.parametrize("parts", [[], [{"id": "p1", "label": "Bowl", "state": "received"}]])
def test_a_status_update_costs_seven_queries(
    till: Till, nobody_plans: None, parts: list[dict[str, Any]]
) -> None:
    till.post(state="received", parts=parts, customer={"phone": PHONE})
    till.post(state="accepted", customer={"phone": PHONE})
    with CaptureQueriesContext(connection) as queries:
        till.post(state="preparing", customer={"phone": PHONE})
    assert till.order().state == "preparing"
    found = statements(queries)
    assert len(found) <= 7, "\n".join(found)


def test_the_cost_does_not_grow_with_history(till: Till, nobody_plans: None) -> None:
    counts = []
    for order, history in (("A1", 0), ("B2", 200)):
        till.post(order, state="received")
        for _ in range(history):
            till.post(order, note="still going")
        with CaptureQueriesContext(connection) as queries:
            till.post(order, state="preparing")
        counts.append(len(statements(queries)))
    assert Observation.objects.count() == 204
    assert counts[0] == counts[1] <= 7


def test_a_repeat_costs_two_queries(till: Till) -> None:
    body = json.dumps(till.event(state="ready")).encode()
    till.post_raw(body)
    with CaptureQueriesContext(connection) as queries:
        till.post_raw(body)
    assert len(statements(queries)) == 2


def test_uber_is_answered_with_an_empty_200(till: Till) -> None:
    account = make_source_account(
        till.restaurant, source="uber_eats", settings={"direct_signing_key": "k"}
    )
    answer = post_uber(account, {"event_type": "store.provisioned", "event_id": "e"})
    assert (answer.status_code, answer.content) == (200, b"")


def test_restaurants_do_not_share_names(till: Till) -> None:
    other = open_till()
    till.post(state="ready")
    other.post(state="received")
    assert till.order().state == "ready"
    assert other.order().state == "received"


def test_the_states_a_source_ever_stated_are_remembered(
    till: Till, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        till.post(state="received")
        till.post(state="ready", parts=[{"id": "p1", "state": "preparing"}])
    till.account.refresh_from_db()
    assert till.account.seen_states == ["preparing", "ready", "received"]


def test_the_last_call_is_known_to_the_minute(till: Till) -> None:
    till.post(state="received")
    first = SourceAccount.objects.get(pk=till.account.pk).last_call_at
    assert first == till.call().received_at
    till.post(state="ready")
    assert SourceAccount.objects.get(pk=till.account.pk).last_call_at == first
