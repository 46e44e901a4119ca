"""Intake: names of orders, contacts, manual updates, questions, the clock, and one signal."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import pytest
from django.db import connection

from orders import intake
from orders.eta_watch import WATCH_AGAIN, watch_estimates
from orders.models import Order, OrderAlias, OrderEvent, SourceAccount
from orders.signals import order_event_recorded
from tests.orders.posting import Till, later, open_till
from tests.orders.updates import NOW, apply, at, says

pytestmark = pytest.mark.django_db

# --- one order, many names --------------------------------------------------------------------


def test_what_is_said_twice_changes_nothing(account: SourceAccount) -> None:
    first = apply(account, says("A1", "ready"))
    assert (first.outcome, [event.milestone for event in first.events]) == ("applied", ["ready"])
    second = apply(account, says("A1", "ready"), 5)
    assert (second.outcome, list(second.events)) == ("duplicate", [])
    assert second.order_id == first.order_id
    assert OrderEvent.objects.count() == 1


def test_a_shared_name_joins_two_sources(account: SourceAccount, pos: SourceAccount) -> None:
    shared = (("external_id", "WEB-1042"),)
    first = apply(account, says("A1", "accepted", aliases=shared))
    second = apply(pos, says("sq-9", "ready", aliases=shared, minute=1), 1)
    assert first.order_id == second.order_id
    # known by its own id from now on
    third = apply(pos, says("sq-9", "picked_up", minute=2), 2)
    assert third.order_id == first.order_id
    systems = set(OrderAlias.objects.values_list("system", "external_id"))
    assert systems == {
        (f"account:{account.pk}", "A1"),
        (f"account:{pos.pk}", "sq-9"),
        ("external_id", "WEB-1042"),
    }


def test_the_same_own_id_at_two_sources_is_two_orders(
    account: SourceAccount, pos: SourceAccount
) -> None:
    first, second = apply(account, says("42", "ready")), apply(pos, says("42", "ready"))
    assert first.order_id != second.order_id


def test_two_orders_of_one_source_stay_two(account: SourceAccount) -> None:
    shared = (("external_id", "table-4"),)
    first = apply(account, says("A1", "ready", aliases=shared))
    second = apply(account, says("A2", "ready", aliases=shared))
    assert first.order_id != second.order_id
    assert OrderAlias.objects.get(system="external_id").order_id == first.order_id


def test_a_name_used_again_passes_to_the_newer_order(
    account: SourceAccount, pos: SourceAccount
) -> None:
    shared = (("external_id", "42"),)
    old = apply(account, says("A1", "ready", aliases=shared))
    Order.objects.update(updated_at=at(-3000), promised_at=None)
    new = apply(pos, says("sq-1", "ready", aliases=shared))
    assert new.order_id != old.order_id
    assert OrderAlias.objects.get(system="external_id").order_id == new.order_id
    assert apply(account, says("A1", "picked_up", minute=1), 1).order_id == old.order_id


def test_an_order_promised_for_later_keeps_its_name(
    account: SourceAccount, pos: SourceAccount
) -> None:
    shared = (("external_id", "42"),)
    old = apply(account, says("A1", "received", aliases=shared))
    Order.objects.update(updated_at=at(-9000), promised_at=at(60))
    assert apply(pos, says("sq-1", "ready", aliases=shared)).order_id == old.order_id


def test_another_restaurant_may_use_the_same_names(account: SourceAccount) -> None:
    shared = (("external_id", "42"),)
    first = apply(account, says("A1", "ready", aliases=shared))
    second = apply(open_till().account, says("A1", "ready", aliases=shared))
    assert first.order_id != second.order_id


# --- old news ---------------------------------------------------------------------------------


def test_an_old_call_read_again_tells_nobody(account: SourceAccount) -> None:
    applied = apply(account, says("A1", "ready"), by=60)
    ready = next(event for event in applied.events if event.milestone == "ready")
    assert ready.is_stale
    assert ready.recorded_at == at(60)
    assert Order.objects.get().observations.get().received_at == NOW


def test_late_news_does_not_move_the_order(account: SourceAccount) -> None:
    apply(account, says("A1", "ready", minute=5), 5)
    applied = apply(account, says("A1", "preparing", minute=1), 6)
    assert (applied.outcome, list(applied.events)) == ("applied", [])
    assert Order.objects.get().state == "ready"


def test_any_order_of_arrival_ends_in_the_same_order(till: Till, account: SourceAccount) -> None:
    states = ["received", "preparing", "ready", "picked_up"]
    for order, turns in (("A1", states), ("B2", states[::-1]), ("C3", [*states[2:], *states[:2]])):
        for place, state in enumerate(turns):
            update = says(order, state, minute=states.index(state), data={"display": order})
            apply(account, update, 4 + place)
    found = Order.objects.values_list("display", "state", "epoch", "flags", "is_open")
    assert {row[1:3] for row in found} == {("picked_up", 0)}
    assert {row[4] for row in found} == {False}


# --- people and the clock ---------------------------------------------------------------------


def test_a_button_is_an_observation(account: SourceAccount) -> None:
    apply(account, says("A1", "preparing", minute=0))
    order = Order.objects.get()
    applied = intake.add_manual_update(order=order, state="ready", actor="maya", at=at(2))
    assert [(event.milestone, event.source) for event in applied.events] == [("ready", "manual")]
    said = order.observations.get(source="manual")
    assert (said.account_id, said.track, said.state) == (None, "kitchen", "ready")
    assert said.data == {"actor": "maya"}
    order.refresh_from_db()
    assert order.state == "ready"
    # what the source had said before does not undo it, and later news goes on from there
    apply(account, says("A1", "accepted", minute=-3), 3)
    order.refresh_from_db()
    assert order.state == "ready"
    apply(account, says("A1", "picked_up", minute=9), 9)
    order.refresh_from_db()
    assert order.state == "picked_up"


def test_a_button_of_one_part(account: SourceAccount) -> None:
    for ref in ("p1", "p2"):
        apply(account, says("A1", "preparing", scope="part", ref=ref, data={"label": ref}))
    order = Order.objects.get()
    applied = intake.add_manual_update(
        order=order, state="ready", part_ref="p1", actor="maya", at=at(2)
    )
    assert [event.kind for event in applied.events] == ["part_status_changed"]
    assert {part.ref: part.state for part in order.parts.all()} == {
        "p1": "ready",
        "p2": "preparing",
    }


def test_a_button_may_carry_an_estimate(account: SourceAccount) -> None:
    apply(account, says("A1", "preparing", data={"times": {"est_ready_at": at(20).isoformat()}}))
    order = Order.objects.get()
    data = {"times": {"est_ready_at": at(40).isoformat()}}
    intake.add_manual_update(order=order, data=data, actor="maya", at=at(2))
    order.refresh_from_db()
    assert (order.state, order.est_ready_at) == ("preparing", at(40))


def test_a_question_is_one_event(account: SourceAccount) -> None:
    apply(account, says("A1", "preparing"))
    order = Order.objects.get()
    asked: dict[str, Any] = {
        "order": order,
        "address_id": 7,
        "inbound_id": uuid.uuid4(),
        "channel": "sms",
        "account_id": 3,
    }
    first = intake.record_status_request(**asked, at=at(1))
    assert (first.kind, first.held, first.is_stale) == ("status_requested", "", False)
    assert first.data == {"address_id": 7, "channel": "sms", "account_id": 3}
    assert intake.record_status_request(**asked, at=at(2)) == first
    assert order.events.filter(kind="status_requested").count() == 1


def test_the_watch_raises_an_overdue_order(account: SourceAccount) -> None:
    times = {"times": {"placed_at": at(0).isoformat(), "promised_at": at(20).isoformat()}}
    apply(account, says("A1", "preparing", data=times))
    order = Order.objects.get()
    assert order.next_watch_at is not None
    assert watch_estimates(now=at(1)) == 0
    assert watch_estimates(now=at(26)) == 1
    order.refresh_from_db()
    assert "delayed" in order.flags
    late = order.events.exclude(kind="status_changed")
    assert [event.kind for event in late] == ["order_delayed"]
    assert order.next_watch_at is None or order.next_watch_at > at(26)
    assert watch_estimates(now=at(26)) == 0


def test_one_bad_order_does_not_stop_the_watch(
    account: SourceAccount, nobody_plans: None, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("A1", "B2"):
        promised = {"times": {"promised_at": at(20).isoformat()}}
        apply(account, says(name, "preparing", data=promised))
    bad = Order.objects.earliest("pk")

    def failing(order: Order, **_: Any) -> None:
        if order.pk == bad.pk:
            raise ZeroDivisionError

    order_event_recorded.connect(failing)
    assert watch_estimates(now=at(30)) == 1
    assert "orders.watch_failed" in caplog.text
    bad.refresh_from_db()
    assert bad.next_watch_at == at(30) + WATCH_AGAIN


# --- what others hear -------------------------------------------------------------------------


def test_each_event_is_announced_once_inside_the_transaction(
    account: SourceAccount, nobody_plans: None
) -> None:
    heard: list[tuple[str, bool, bool, str]] = []

    def listen(sender: Any, event: OrderEvent, order: Order, projection: Any, **_: Any) -> None:
        is_stored = OrderEvent.objects.filter(pk=event.pk).exists()
        state = Order.objects.get(pk=order.pk).state
        heard.append((event.milestone, connection.in_atomic_block, is_stored, state))
        assert projection.state == order.state

    order_event_recorded.connect(listen)
    apply(account, says("A1", "received"))
    apply(account, says("A1", "received"))
    apply(account, says("A1", "ready", minute=1), 1)
    assert heard == [("received", True, True, "received"), ("ready", True, True, "ready")]


def test_what_a_receiver_cannot_do_undoes_the_update(
    account: SourceAccount, nobody_plans: None
) -> None:
    from django.db import transaction

    def refuse(**_: Any) -> None:
        raise RuntimeError("no outbox")

    order_event_recorded.connect(refuse)
    with pytest.raises(RuntimeError), transaction.atomic():
        apply(account, says("A1", "received"))
    assert not Order.objects.exists()


def test_parts_and_items_follow_the_projection(till: Till) -> None:
    till.post(
        state="received",
        items=[{"id": "i1", "label": "Bowl"}, {"id": "i2", "label": "Soup", "quantity": 2}],
    )
    order = till.order()
    assert [part.ref for part in order.parts.all()] == ["order"]
    till.post(items=[{"id": "i2", "label": "Soup", "quantity": 3}, {"id": "i3", "label": "Tea"}])
    lines = {item.ref: (item.label, item.quantity, item.position) for item in order.items.all()}
    assert lines == {"i2": ("Soup", 3, 0), "i3": ("Tea", 1, 1)}
    till.post(parts=[{"id": "p1", "label": "Bowl", "state": "ready"}])
    assert [part.ref for part in order.parts.all()] == ["p1"]
    till.post(mode="snapshot", parts=[{"id": "p2", "label": "Box", "state": "preparing"}])
    assert {part.ref: part.state for part in order.parts.all()} == {
        "p1": "removed",
        "p2": "preparing",
    }


def test_legs_and_the_rest_are_kept_in_detail(till: Till) -> None:
    eta = later(minutes=20)
    till.post(
        state="ready",
        fulfillment={"type": "delivery", "table": "4"},
        reason={"code": "too_busy"},
        legs=[{"id": "l1", "state": "out_for_delivery", "est_delivery_at": eta}],
    )
    order = till.order()
    assert order.state == "out_for_delivery"
    assert order.detail["table"] == "4"
    assert order.detail["reason"] == {"code": "too_busy"}
    (leg,) = order.detail["legs"]
    assert (leg["ref"], leg["state"]) == ("l1", "out_for_delivery")
    assert datetime.fromisoformat(leg["est_delivery_at"]) == datetime.fromisoformat(eta)
