"""Otter: whole orders, events that only name one, two encodings of a signature, hostile bodies."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import pytest

from integrations.contracts import Customer, FollowUp, Observation, OrderUpdate, ordering_key
from integrations.errors import EventIgnored, PayloadMalformed
from integrations.signatures import hmac_base64, hmac_hex
from integrations.sources.otter import Otter
from orders.projection import project
from tests.integrations.sources import hostile
from tests.integrations.sources.payload_files import (
    NOW,
    answered,
    body_of,
    call,
    follow_up,
    load,
    names,
    signed_call,
)

ORDER = "69f60a06-c335-46d9-b5a1-97f1a211c514"
STORE = "755fd19a-7562-487a-b615-171a9f89d669"
EVENT = "c75d9460-5d48-423d-8d01-f825fd5b16"
#: sample -> (end of the event id, native, state, time)
WHOLE = {
    "orders_new_order": ("72", "NEW_ORDER", "received", "18:00:05"),
    "orders_update_confirmed_eta_slip": ("73", "CONFIRMED", "accepted", "18:06:00"),
    "orders_update_prepared": ("74", "PREPARED", "ready", "18:31:00"),
    "orders_update_picked_up": ("75", "PICKED_UP", "out_for_delivery", "18:36:00"),
}
NAMED = {
    "orders_order_ready": ("77", "orders.order_ready", "ready", "18:31:01"),
    "orders_cancel_order": ("78", "orders.cancel_order", "cancelled", "18:07:00"),
}
HISTORY, DELIVERY = "orders_order_status_update", "delivery_status_update_picked_up"
SECRET = "otter-test-secret"
API = "https://public-api.example.com"
FETCHING = {"api_url": f"{API}/", "access_token": "token-1"}


def source(status_map: Any = None, **settings: str) -> Otter:
    return Otter({"webhook_secret": SECRET, **settings}, status_map=status_map)


def sample(name: str) -> dict[str, Any]:
    found: dict[str, Any] = body_of("otter", name)
    return found


def read(body: Any, otter: Otter | None = None) -> OrderUpdate:
    update = (otter or source()).parse(call(body))[0]
    assert isinstance(update, OrderUpdate)
    return update


def said(body: Any, otter: Otter | None = None) -> Observation:
    return read(body, otter).observations[0]


def event(kind: str, payload: Any = None, **changes: Any) -> dict[str, Any]:
    meta = {"storeId": STORE, "resourceId": ORDER, "payload": payload or {}}
    found = {"eventId": "e-1", "eventTime": "2026-03-14T18:05:00Z", "eventType": kind}
    return {**found, "metadata": meta, **changes}


def order(status: str, mode: str = "DELIVERY", **changes: Any) -> dict[str, Any]:
    info = {"fulfillmentMode": mode, **changes}
    names_ = {"id": ORDER, "friendlyId": "ABCDE"}
    payload = {"externalIdentifiers": names_, "status": status, "fulfillmentInfo": info}
    return event("orders.update", payload)


def moment(clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-14T{clock}+00:00")


# --- samples ---------------------------------------------------------------------------------


def test_every_sample_is_covered() -> None:
    assert set(names("otter")) == {*WHOLE, *NAMED, HISTORY, DELIVERY}


@pytest.mark.parametrize("name", [*WHOLE, *NAMED])
def test_order_samples(name: str) -> None:
    number, native, state, clock = {**WHOLE, **NAMED}[name]
    update = read(sample(name))
    first = update.observations[0]
    assert source().event_key(call(sample(name))) == EVENT + number
    assert first.event_key.startswith(EVENT + number)
    assert (first.native_state, first.state) == (native, state)
    assert (first.track, first.scope) == ("commercial", "order")
    assert first.ordering_class == "sequenced"
    assert first.occurred_at == moment(clock)
    assert first.ordering_key == ordering_key(moment(clock))
    assert (update.order_id, update.location_id) == (ORDER, STORE)
    assert update.display == ("ABCDE" if name in WHOLE else "")
    assert update.courier_only == (name in NAMED)
    assert update.unknown_states == ()


def test_what_an_order_carries() -> None:
    update = read(sample("orders_new_order"))
    assert update.customer == Customer("Sample Customer", contact_kind="masked")
    assert update.observations[0].data == {
        "display": "ABCDE",
        "items": [
            {
                "id": "2f91f9f3-2d7e-4898-ae81-00fe06ed7dbf",
                "label": "Harvest Bowl",
                "quantity": 1,
                "modifiers": ["Avocado"],
            },
            {
                "id": "2f91f9f3-2d7e-4898-ae81-00fe06ed7dc1",
                "label": "Miso Salmon Bowl",
                "quantity": 1,
                "modifiers": [],
            },
        ],
        "times": {
            "placed_at": "2026-03-14T18:00:04+00:00",
            "est_ready_at": "2026-03-14T18:20:00+00:00",
            "est_delivery_at": "2026-03-14T18:45:00+00:00",
        },
        "customer_kind": "masked",
        "fulfillment": {"type": "delivery", "scheduled": False},
    }


def test_a_slip_moves_the_estimate_and_is_no_new_promise() -> None:
    told = [*read(sample("orders_new_order")).observations]
    told += read(sample("orders_update_confirmed_eta_slip")).observations
    shown = project(told)
    assert shown.est_ready_at == moment("18:34:00")
    assert shown.promised_at is None


def test_the_courier_of_an_order_and_of_its_delivery_are_one_leg() -> None:
    _, shown = read(sample("orders_update_picked_up")).observations
    assert (shown.native_state, shown.state) == ("COURIER_PICKED_UP_FOOD", "out_for_delivery")
    assert shown.data == {"courier": {"name": "Casey"}}
    update = read(sample(DELIVERY))
    (leg,) = update.observations
    assert source().event_key(call(sample(DELIVERY))) == leg.event_key == EVENT + "79"
    assert (leg.native_state, leg.state) == ("PICKED_UP", "out_for_delivery")
    assert (leg.track, leg.scope, leg.ref) == ("courier", "leg", ORDER)
    assert (leg.ref, leg.ordering_class) == (shown.ref, "ranked")
    assert leg.occurred_at == moment("18:36:05")
    assert leg.ordering_key == ordering_key(moment("18:36:03"))
    assert leg.data == {
        "est_delivery_at": "2026-03-14T18:58:00+00:00",
        "courier": {"name": "Casey", "tracking_url": "https://track.example.com/1234567890"},
    }
    assert (update.order_id, update.location_id, update.courier_only) == (ORDER, STORE, True)


def test_a_history_is_read_whole() -> None:
    update = read(sample(HISTORY))
    assert source().event_key(call(sample(HISTORY))) == EVENT + "76"
    steps = [(o.native_state, o.state, o.occurred_at) for o in update.observations]
    assert steps == [
        ("ORDER_ACCEPTED", "accepted", moment("18:01:30")),
        ("ORDER_READY_TO_PICKUP", "ready", moment("18:31:00")),
        ("ORDER_HANDED_OFF", "out_for_delivery", moment("18:36:00")),
    ]
    times = update.observations[0].data["times"]
    assert times == {"est_ready_at": "2026-03-14T18:21:30+00:00"}
    assert (update.order_id, update.courier_only) == (ORDER, True)
    assert project(update.observations, default_fulfillment="delivery").state == "out_for_delivery"
    again = read(sample(HISTORY) | {"eventId": "other"})
    assert again.observations == update.observations


def test_any_order_of_arrival_ends_the_same() -> None:
    told = [o for name in WHOLE for o in read(sample(name)).observations]
    for heard in permutations(told):
        shown = project(heard)
        assert shown.state == "out_for_delivery"
        assert shown.est_ready_at == moment("18:20:00")


# --- states ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("native", "mode", "state"),
    [
        ("NEW_ORDER", "DELIVERY", "received"),
        ("CONFIRMED", "DELIVERY", "accepted"),
        ("PREPARED", "DELIVERY", "ready"),
        ("PICKED_UP", "PICKUP", "picked_up"),
        ("PICKED_UP", "DINE_IN", None),
        ("PICKED_UP", "DRIVE_THROUGH", "picked_up"),
        ("PICKED_UP", "DELIVERY", "out_for_delivery"),
        ("PICKED_UP", "RESTAURANT_DELIVERY", "out_for_delivery"),
        ("PICKED_UP", "", "out_for_delivery"),
        ("FULFILLED", "PICKUP", "picked_up"),
        ("FULFILLED", "DINE_IN", None),
        ("FULFILLED", "DRIVE_THROUGH", "picked_up"),
        ("FULFILLED", "RESTAURANT_DELIVERY", "delivered"),
        ("CANCELED", "PICKUP", "cancelled"),
        ("REJECTED", "PICKUP", "cancelled"),
        ("UNKNOWN", "PICKUP", None),
    ],
)
def test_order_states(native: str, mode: str, state: str | None) -> None:
    update = read(order(native, mode))
    assert update.observations[0].state == state
    assert update.unknown_states == ()
    reason = update.observations[0].data.get("reason")
    assert reason == ({"code": "rejected"} if native == "REJECTED" else None)


@pytest.mark.parametrize(
    ("native", "mode", "state"),
    [
        ("ORDER_ACCEPTED", "", "accepted"),
        ("ORDER_READY_TO_PICKUP", "", "ready"),
        ("ORDER_HANDED_OFF", "PICKUP", "picked_up"),
        ("ORDER_HANDED_OFF", "DRIVE_THROUGH", "picked_up"),
        ("ORDER_HANDED_OFF", "", "out_for_delivery"),
        ("ORDER_HANDED_OFF", "DINE_IN", None),
        ("ORDER_FULFILLED", "DRIVE_THROUGH", "picked_up"),
        ("ORDER_FULFILLED", "DINE_IN", None),
        ("ORDER_FULFILLED", "RESTAURANT_DELIVERY", "delivered"),
        ("ORDER_FULFILLED", "PICKUP", "picked_up"),
        ("ORDER_FULFILLED", "", "delivered"),
    ],
)
def test_history_states(native: str, mode: str, state: str | None) -> None:
    payload = {
        "orderStatusHistory": [{"status": native}],
        "fulfillmentInfo": {"fulfillmentMode": mode},
    }
    update = read(event("orders.order_status_update", payload))
    assert update.observations[0].state == state
    assert update.unknown_states == ()


@pytest.mark.parametrize(
    ("native", "state"),
    [
        ("COURIER_ASSIGNED", None),
        ("COURIER_ON_ROUTE_TO_PICKUP", None),
        ("COURIER_ARRIVED", None),
        ("COURIER_PICKED_UP_FOOD", "out_for_delivery"),
        ("COURIER_COMPLETED", "delivered"),
    ],
)
def test_courier_states(native: str, state: str | None) -> None:
    update = read(order("PREPARED", courierStatus=native))
    assert update.observations[1].state == state
    assert update.unknown_states == ()


@pytest.mark.parametrize(
    ("native", "state"),
    [
        ("REQUESTED", None),
        ("ALLOCATED", None),
        ("ARRIVED_AT_PICKUP", None),
        ("PICKED_UP", "out_for_delivery"),
        ("ARRIVED_AT_DROP_OFF", "out_for_delivery"),
        ("COMPLETED", "delivered"),
        ("CANCELED", "failed"),
    ],
)
def test_delivery_states(native: str, state: str | None) -> None:
    for member in ("deliveryStatus", "status"):
        update = read(event("delivery.delivery_status_update", {member: native}))
        assert update.observations[0].state == state
        assert update.unknown_states == ()


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("orders.confirm", "accepted"),
        ("orders.order_ready", "ready"),
        ("orders.order_handed_off", "out_for_delivery"),
        ("orders.order_fulfilled", "delivered"),
        ("orders.cancel_order", "cancelled"),
    ],
)
def test_states_said_by_the_name_of_an_event(kind: str, state: str) -> None:
    assert said(event(kind, {"orderId": "o-2"})).state == state
    assert read(event(kind, {"orderId": "o-2"})).order_id == "o-2"


def test_words_nobody_knows_are_reported_and_can_be_mapped() -> None:
    cases = [
        (order("BURNT"), "order.status", "BURNT", 0),
        (order("PREPARED", courierStatus="LOST"), "courierStatus", "LOST", 1),
        (event("delivery.delivery_status_update", {"status": "LOST"}), "deliveryStatus", "LOST", 0),
        (
            event("orders.order_status_update", {"orderStatusHistory": [{"status": "BURNT"}]}),
            "orderStatusHistory",
            "BURNT",
            0,
        ),
    ]
    for body, stream, native, place in cases:
        assert read(body).unknown_states == (f"{stream} {native}",)
        assert read(body).observations[place].state is None
        mapped = read(body, source({stream: {native: "failed"}}))
        assert (mapped.observations[place].state, mapped.unknown_states) == ("failed", ())


def test_a_managers_mapping_may_name_the_mode() -> None:
    mapped = source({"order.status": {"PICKED_UP DINE_IN": "picked_up"}})
    assert said(order("PICKED_UP", "DINE_IN"), mapped).state == "picked_up"
    plain = source({"order.status": {"PICKED_UP": "ready"}})
    assert said(order("PICKED_UP", "PICKUP"), plain).state == "ready"


# --- times and people ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stamp", "at"),
    [
        ("2007-12-03T20:06:02:123Z", datetime(2007, 12, 3, 20, 6, 2, 123000, tzinfo=UTC)),
        ("2026-03-14T14:05:00-04:00", datetime(2026, 3, 14, 18, 5, tzinfo=UTC)),
        ("soon", None),
        (None, None),
        (5, None),
    ],
)
def test_event_times(stamp: Any, at: datetime | None) -> None:
    observation = said(event("orders.order_ready", eventTime=stamp))
    assert observation.occurred_at == at
    assert observation.occurred_at_basis == ("event" if at else "arrival")
    assert observation.ordering_key == ordering_key(at or NOW)


@pytest.mark.parametrize(
    ("mode", "promised"), [("DELIVERY", "18:45"), ("PICKUP", "18:20"), ("DINE_IN", "18:20")]
)
def test_a_fixed_time_is_a_promise(mode: str, promised: str) -> None:
    body = sample("orders_new_order")
    info = body["metadata"]["payload"]["fulfillmentInfo"]
    info |= {"schedulingType": "FIXED_TIME", "fulfillmentMode": mode, "tableIdentifier": "7"}
    data = said(body).data
    assert data["times"]["promised_at"] == f"2026-03-14T{promised}:00+00:00"
    assert "est_delivery_at" not in data["times"]
    assert data["fulfillment"]["scheduled"] is True
    assert data["fulfillment"]["table"] == "7"


@pytest.mark.parametrize(
    ("told", "ready"),
    [
        ("PT20M", "18:20:04"),
        ("PT1H30M", "19:30:04"),
        ("PT1H", "19:00:04"),
        ("PT0M", None),
        ("PT9999H", None),
        ("PT", None),
        ("20", None),
        ("P1D", None),
        (20, None),
        (None, None),
    ],
)
def test_a_preparation_time_stands_in_for_an_estimate(told: Any, ready: str | None) -> None:
    body = sample("orders_new_order")
    payload = body["metadata"]["payload"]
    payload["preparationTime"] = {"estimatedPreparationTime": told}
    assert said(body).data["times"]["est_ready_at"] == "2026-03-14T18:20:00+00:00"
    del payload["fulfillmentInfo"]["pickupTime"], payload["fulfillmentInfo"]["estimatedPickupTime"]
    expected = ready and f"2026-03-14T{ready}+00:00"
    assert said(body).data["times"].get("est_ready_at") == expected
    payload["orderedAt"] = "9999-12-31T23:59:00Z"
    assert "est_ready_at" not in said(body).data["times"]


def test_null_deletes_nothing() -> None:
    body = event("orders.update", {"externalIdentifiers": {"id": ORDER}, "items": None})
    assert said(body).data == {"display": "11c514"[-6:], "times": {}}
    told = [*read(sample("orders_new_order")).observations, *read(body).observations]
    assert len(project(told).items) == 2


@pytest.mark.parametrize(
    ("guest", "customer"),
    [
        ({"name": "Ana", "phone": "+12025550143"}, Customer("Ana", "+12025550143")),
        (
            {"name": "Ana", "phone": "+12025550143", "phoneCode": 7},
            Customer("Ana", contact_kind="masked"),
        ),
        ({"name": "Ana"}, Customer("Ana", contact_kind="none")),
        (None, None),
    ],
)
def test_guests(guest: Any, customer: Customer | None) -> None:
    body = order("CONFIRMED")
    body["metadata"]["payload"]["customer"] = guest
    assert read(body).customer == customer


def test_the_chain_of_names() -> None:
    body = order("CONFIRMED")
    till = {"id": "T-9", "sourceType": "POS"}
    channel = {"id": "UE-1", "sourceType": "ORDERING_MARKETPLACE"}
    channel["sourceExternalIdentifiers"] = till  # type: ignore[assignment]
    names_ = body["metadata"]["payload"]["externalIdentifiers"]
    names_["sourceExternalIdentifiers"] = channel
    assert read(body).aliases == (("channelOrderId", "UE-1"), ("external_id", "T-9"))


@pytest.mark.parametrize(
    ("why", "code"),
    [
        ("CUSTOMER_CALLED_TO_CANCEL", "customer_request"),
        ("UNAVAILABLE_ITEM", "item_unavailable"),
        ("RESTAURANT_TOO_BUSY", "too_busy"),
        ("KITCHEN_CLOSED", "closed"),
        ("COURIER_NOT_FOUND", "courier_unavailable"),
        ("UNABLE_TO_DELIVER", "courier_failed"),
        ("FRAUDULENT_EATER", "fraud"),
        ("DUPLICATE_ORDER", "duplicate"),
        ("UNACCEPTED_ORDER", "rejected"),
        ("LATE_DELIVERY", "other"),
        ("SOMETHING_NEW", "other"),
    ],
)
def test_why_an_order_was_cancelled(why: str, code: str) -> None:
    body = event("orders.cancel_order", {"orderId": ORDER, "cancellationReason": why})
    assert said(body).data["reason"] == {"code": code, "text": why}


def test_payments_and_positions_are_not_kept() -> None:
    for name in names("otter"):
        kept = source().body_to_store(call(sample(name)))
        assert b"customerPayments" not in kept
        assert source().parse(call(kept)) == source().parse(call(sample(name)))


# --- fetching and listing ------------------------------------------------------------------------


def test_an_event_that_names_the_order_fetches_it() -> None:
    update, asked = source(**FETCHING).parse(call(sample("orders_order_ready")))
    assert isinstance(update, OrderUpdate)
    assert update.observations[0].state == "ready"
    assert isinstance(asked, FollowUp)
    assert asked.request.url == f"{API}/v1/orders/{ORDER}"
    assert asked.request.headers == {"Authorization": "Bearer token-1", "X-Store-Id": STORE}
    assert asked.request.untrusted_url
    assert asked.coalesce_key == f"order:{ORDER}"


def test_the_kind_of_the_order_decides_what_a_hand_over_is() -> None:
    fulfilled = event("orders.order_fulfilled", {"orderId": ORDER}, eventId="e-2")
    steps = [{"status": "ORDER_HANDED_OFF"}, {"status": "ORDER_FULFILLED"}]
    history = event("orders.order_status_update", {"orderStatusHistory": steps}, eventId="e-3")
    for mode, kind, state in (
        ("PICKUP", "pickup", "picked_up"),
        ("DRIVE_THROUGH", "drive_through", "picked_up"),
        ("DINE_IN", "dine_in", "ready"),
        ("DELIVERY", "delivery", "delivered"),
    ):
        known = read(order("PREPARED", mode)).observations
        for thin in (fulfilled, history):
            shown = project([*known, *read(thin).observations])
            assert (shown.fulfillment, shown.state, shown.flags) == (kind, state, frozenset())
    # nobody said of which kind the order is
    assert project(read(history).observations).state == "delivered"


def test_the_order_behind_a_name_is_read_as_of_the_event() -> None:
    otter = source(**FETCHING)
    body = event("orders.order_fulfilled", {"orderId": ORDER})
    body["metadata"]["resourceHref"] = f"{API}/v1/orders/{ORDER}"
    update, asked = otter.parse(call(body))
    assert isinstance(update, OrderUpdate)
    assert isinstance(asked, FollowUp)
    payload = order("FULFILLED", "PICKUP")["metadata"]["payload"]
    for answer in (payload, {"order": payload, "injectionState": "OK"}):
        (fetched,) = otter.parse_resource(asked, answered(answer), NOW)
        told = [*update.observations, *fetched.observations]
        assert project(told).state == project(reversed(told)).state == "picked_up"
        assert fetched.location_id == STORE
        assert fetched.observations[0].ordering_key == update.observations[0].ordering_key


@pytest.mark.parametrize(
    "href",
    [
        None,
        "",
        "https://evil.example.com/v1/orders/1",
        f"{API}.evil.example.com/v1/orders/1",
        f"{API}@evil.example.com/v1/orders/1",
        f"{API}/v1/../admin",
        f"{API}//evil.example.com/",
        f"{API}/v1/ord ers/\r\n1",
        "http://169.254.169.254/v1/",
    ],
)
def test_links_lead_to_the_accounts_api_or_nowhere(href: Any) -> None:
    body = sample("orders_order_ready")
    body["metadata"]["resourceHref"] = href
    (update,) = source(**FETCHING).parse(call(body))
    assert isinstance(update, OrderUpdate)


@pytest.mark.parametrize("settings", [{}, {"api_url": API}, {"access_token": "t"}])
def test_without_address_and_token_nothing_is_fetched(settings: dict[str, str]) -> None:
    assert len(source(**settings).parse(call(sample("orders_order_ready")))) == 1
    assert source(**settings).poll(NOW) is None


def test_a_sandbox_account_fetches_from_the_sandbox() -> None:
    account = {"webhook_secret": SECRET, **FETCHING}
    otter = Otter(account, base_url="http://127.0.0.1:8001/otter")
    _, asked = otter.parse(call(sample("orders_order_ready")))
    assert isinstance(asked, FollowUp)
    assert asked.request.url == f"http://127.0.0.1:8001/otter/v1/orders/{ORDER}"


def test_a_store_id_nobody_would_have_is_not_sent() -> None:
    body = sample("orders_order_ready")
    body["metadata"]["storeId"] = "a\r\nX-Evil: 1"
    _, asked = source(**FETCHING).parse(call(body))
    assert isinstance(asked, FollowUp)
    assert "X-Store-Id" not in asked.request.headers


def test_orders_can_be_listed() -> None:
    otter = source(**FETCHING, store_id="store-1")
    request = otter.poll(datetime(2026, 3, 14, 18, tzinfo=UTC))
    assert request is not None
    assert request.url == (
        f"{API}/manager/order/v1/orders?limit=100&minDateTime=2026-03-14T15%3A00%3A00Z"
    )
    assert request.headers["X-Store-Id"] == "store-1"
    payload = sample("orders_update_prepared")["metadata"]["payload"]
    answer = answered({"orders": [payload, {"order": payload}, 5]})
    first, second = otter.parse_poll(answer, NOW)
    assert first == second
    assert (first.order_id, first.observations[0].state) == (ORDER, "ready")
    (again,) = otter.parse_poll(answered({"orders": [payload]}), moment("19:00:00"))
    assert [o.event_key for o in again.observations] == [o.event_key for o in first.observations]


def test_a_list_goes_on_while_it_gives_a_token() -> None:
    otter = source(**FETCHING, store_id="store-1")
    first = otter.poll(NOW)
    assert first is not None
    second = otter.poll_next(first, answered({"orders": [], "offsetToken": "CgwI09+k="}))
    assert second is not None
    assert second.url == f"{first.url}&token=CgwI09%2Bk%3D"
    assert (second.headers, second.untrusted_url) == (first.headers, True)
    third = otter.poll_next(second, answered({"orders": [], "offsetToken": "x"}))
    assert third is not None
    assert third.url == f"{first.url}&token=x"
    for last in ({"orders": []}, {"offsetToken": None}, {"offsetToken": ["x"]}, [], "x"):
        assert otter.poll_next(first, answered(last)) is None


@pytest.mark.parametrize("body", [{}, {"orders": None}, {"orders": {}}, []])
def test_a_list_that_is_none_is_refused(body: Any) -> None:
    with pytest.raises(PayloadMalformed):
        source().parse_poll(answered(body), NOW)


def test_an_event_is_newer_than_a_list_that_arrives_with_it() -> None:
    payload = sample("orders_new_order")["metadata"]["payload"]
    (listed,) = source().parse_poll(answered({"orders": [payload]}), moment("18:06:02"))
    event_said = read(sample("orders_update_confirmed_eta_slip"))
    assert project([*listed.observations, *event_said.observations]).state == "accepted"


def test_bent_answers_are_read_or_refused() -> None:
    otter = source()
    payload = sample("orders_update_picked_up")["metadata"]["payload"]

    def fetched(body: bytes) -> list[OrderUpdate]:
        return otter.parse_resource(follow_up(), answered(json.loads(body)), NOW)

    def listed(body: bytes) -> list[OrderUpdate]:
        return otter.parse_poll(answered(json.loads(body)), NOW)

    assert hostile.survive(hostile.bent(payload), fetched) > 100
    assert hostile.survive(hostile.bent({"orders": [payload]}), listed) > 100


# --- authenticity ------------------------------------------------------------------------------


@pytest.mark.parametrize("member", ["signature", "signature_base64"])
def test_either_encoding_passes(member: str) -> None:
    right = load("otter", "signature")[member]
    source().verify(signed_call("otter", signature=right))
    rotated = source(webhook_secret="new", previous_webhook_secret=SECRET)
    rotated.verify(signed_call("otter", signature=right))


@pytest.mark.parametrize(
    "given", [*hostile.FORGED, hmac_hex("other", b"{}"), hmac_base64("other", b"{}")]
)
def test_anything_else_is_refused(given: str) -> None:
    hostile.disbelieves(source(), {"X-HMAC-SHA256": given}, SECRET)


def test_an_altered_body_and_an_account_without_a_secret() -> None:
    right = load("otter", "signature")
    for member in ("signature", "signature_base64"):
        headers = {right["header"]: right[member]}
        altered = right["body"].replace("order_ready", "order_fulfilled").encode()
        hostile.disbelieves(source(), headers, SECRET, altered)
        hostile.disbelieves(Otter({}), headers, SECRET, right["body"].encode())
    hostile.disbelieves(source(), {}, SECRET)
    empty = {"X-HMAC-SHA256": hmac_hex("", b"{}")}
    hostile.disbelieves(Otter({"webhook_secret": ""}), empty, SECRET)


# --- bodies nobody should send -------------------------------------------------------------------


@pytest.mark.parametrize("name", names("otter"))
def test_bent_samples_are_read_or_refused(name: str) -> None:
    assert hostile.survive_bending(source(**FETCHING), [name]) > 20


@pytest.mark.parametrize("body", hostile.UNREADABLE, ids=range(len(hostile.UNREADABLE)))
def test_unreadable_bodies(body: bytes) -> None:
    hostile.refuses(source(), body)


def test_modifiers_without_end() -> None:
    line: dict[str, Any] = {"name": "x"}
    for _ in range(400):
        line = {"name": "x", "modifiers": [line]}
    body = order("CONFIRMED")
    body["metadata"]["payload"]["items"] = [line]
    assert len(said(body).data["items"][0]["modifiers"]) == 9


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (event("orders.update", {}), "externalIdentifiers.id"),
        (event("orders.order_status_update", {}), "orderStatusHistory"),
        (event("orders.order_ready", eventId=None), "eventId"),
        (event("orders.order_ready", metadata=None), "metadata.resourceId"),
    ],
)
def test_unreadable_events_say_where(body: dict[str, Any], words: str) -> None:
    with pytest.raises(PayloadMalformed, match=words):
        source().parse(call(body))


@pytest.mark.parametrize("kind", ["ping", "menus.publish", "delivery.request_quote", ""])
def test_other_events_are_ignored(kind: str) -> None:
    with pytest.raises(EventIgnored):
        source().parse(call(event(kind)))


def test_ten_megabytes() -> None:
    body = json.dumps(event("orders.order_ready", {"x": "y" * 10_000_000})).encode()
    assert len(body) > source().max_body_bytes
    assert said(body).state == "ready"


@pytest.mark.parametrize("name", names("otter"))
def test_every_answer_is_an_empty_200(name: str) -> None:
    received = call(sample(name))
    assert source().handshake(received) is None
    for reply in (
        source().answer(received, duplicate=False),
        source().answer(received, duplicate=True),
        source().refuse(received, "unreadable"),
    ):
        assert (reply.status, reply.body) == (200, b"")
