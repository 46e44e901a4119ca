"""Uber Eats Marketplace notices and orders, Uber Direct deliveries, the older dapi form."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations.contracts import Customer, FollowUp, OrderUpdate
from integrations.errors import EventIgnored, PayloadMalformed
from integrations.sources.uber_eats import UberEats
from tests.integrations.sources.mutations import bent, survive
from tests.integrations.sources.payload_files import (
    NOW,
    answered,
    body_of,
    call,
    follow_up,
    names,
)

ORDER = "153dd7f1-339d-4619-940c-418943c14636"
STORE = "89dd9741-66b5-4bb4-b216-a813f3b21b4f"
DELIVERY = "del_SAMPLE0000000000000001"
NOTICES = {
    "orders_notification": "c4d2261e-2779-4eb6-beb0-cb41235c751e",
    "orders_cancel": "c4d2261e-2779-4eb6-beb0-cb41235c712c",
    "orders_release": "c4d2261e-2779-4eb6-beb0-cb41235c7258",
    "order_fulfillment_issues_resolved": "c4d2261e-2779-4eb6-beb0-cb41235c70f0",
}
DIRECT = {
    "direct_delivery_status_pickup_complete": ("pickup_complete", "out_for_delivery"),
    "direct_delivery_status_delivered": ("delivered", "delivered"),
    "direct_delivery_status_canceled": ("canceled", "failed"),
}


def source(**values: Any) -> UberEats:
    return UberEats({"client_secret": "k", "access_token": "token"}, **values)


def parse(name: str) -> list[OrderUpdate | FollowUp]:
    return source().parse(call(body_of("uber_eats", name)))


def read(body: dict[str, Any], **values: Any) -> OrderUpdate:
    asked = follow_up(event_time="1773511500")
    return source(**values).parse_resource(asked, answered(body), NOW)[0]


def update_of(body: dict[str, Any], **values: Any) -> OrderUpdate:
    (found,) = source(**values).parse(call(body))
    assert isinstance(found, OrderUpdate)
    return found


def test_every_sample_is_covered() -> None:
    covered = {*NOTICES, *DIRECT, "dapi_status_changed"}
    covered |= {"get_order_created", "get_order_courier_en_route"}
    assert set(names("uber_eats")) == covered


@pytest.mark.parametrize("name", NOTICES)
def test_a_notice_asks_for_its_order(name: str) -> None:
    assert source().event_key(call(body_of("uber_eats", name))) == NOTICES[name]
    asked = parse(name)[-1]
    assert isinstance(asked, FollowUp)
    assert asked.order_id == ORDER
    assert asked.coalesce_key == f"order:{ORDER}"
    assert asked.request.url == f"https://api.uber.com/v2/eats/order/{ORDER}"
    assert asked.request.headers == {"Authorization": "Bearer token"}


def test_a_cancellation_is_known_before_the_order_is_read() -> None:
    update = parse("orders_cancel")[0]
    assert isinstance(update, OrderUpdate)
    (said,) = update.observations
    assert (said.state, said.track, said.scope) == ("cancelled", "commercial", "order")
    assert said.native_state == "orders.cancel"
    assert said.ordering_class == "ranked"
    assert said.occurred_at == datetime.fromtimestamp(1427344290, UTC)
    assert update.location_id == STORE


def test_an_order_is_known_before_it_is_read() -> None:
    event = body_of("uber_eats", "orders_notification")
    for kind in ("orders.notification", "orders.scheduled.notification"):
        update = source().parse(call(event | {"event_type": kind}))[0]
        assert isinstance(update, OrderUpdate)
        (said,) = update.observations
        assert (said.state, said.native_state) == ("received", kind)
        assert (said.track, said.ordering_class) == ("commercial", "ranked")
        assert said.occurred_at == datetime.fromtimestamp(1427343990, UTC)
        assert (update.order_id, update.location_id) == (ORDER, STORE)
        assert update.aliases == (("channelOrderId", ORDER),)


@pytest.mark.parametrize("stamp", ["1427343990", 10**40, None, [], "yesterday"])
def test_an_unreadable_time_does_not_cost_the_order(stamp: Any) -> None:
    event = body_of("uber_eats", "orders_cancel") | {"event_time": stamp}
    update, asked = source().parse(call(event))
    assert isinstance(update, OrderUpdate)
    assert isinstance(asked, FollowUp)
    (said,) = update.observations
    assert (said.state, said.occurred_at, said.occurred_at_basis) == ("cancelled", None, "arrival")
    assert read({"id": ORDER, "current_state": "CANCELED"}).order_id == asked.order_id


@pytest.mark.parametrize("name", ["orders_release", "order_fulfillment_issues_resolved"])
def test_other_notices_are_hints_and_no_state(name: str) -> None:
    update = parse(name)[0]
    assert isinstance(update, OrderUpdate)
    assert update.observations[0].state is None
    assert update.observations[0].kind == "note"
    assert update.observations[0].data["note"]


@pytest.mark.parametrize(
    "href",
    [
        "https://evil.example.com/v2/eats/order/1",
        "https://api.uber.com.evil.example.com/v2/eats/order/1",
        "https://api.uber.com@evil.example.com/v2/eats/order/1",
        "http://169.254.169.254/v2/",
        "https://api.uber.com/v2/../admin",
        "https://api.uber.com/oauth/token",
    ],
)
def test_links_lead_to_uber_or_nowhere(href: str) -> None:
    event = body_of("uber_eats", "orders_notification") | {"resource_href": href}
    with pytest.raises(PayloadMalformed, match="resource_href"):
        source().parse(call(event))


def test_a_sandbox_account_fetches_from_the_sandbox() -> None:
    sandbox = source(base_url="http://127.0.0.1:8001/uber_eats")
    asked = sandbox.parse(call(body_of("uber_eats", "orders_notification")))[-1]
    assert isinstance(asked, FollowUp)
    assert asked.request.url == f"http://127.0.0.1:8001/uber_eats/v2/eats/order/{ORDER}"


def test_the_official_order() -> None:
    update = read(body_of("uber_eats", "get_order_created"))
    said = update.observations[0]
    assert (said.state, said.native_state) == ("received", "CREATED")
    assert update.display == "BC953"
    assert update.aliases == (
        ("channelOrderId", "f9f363d1-e1c2-4595-b477-c649845bc953"),
        ("external_id", "Order-123"),
    )
    assert update.location_id == "c7f1dc2f-fabe-4997-845c-cad26fdcb894"
    assert said.data["items"][:2] == [
        {
            "id": "Muffin-Instance",
            "label": "Fresh-baked muffin",
            "quantity": 1,
            "modifiers": ["Chocolate deluxe"],
        },
        {
            "id": "CoffeeInstance",
            "label": "Coffee",
            "quantity": 1,
            "modifiers": ["Milk", "No Sugar"],
        },
    ]
    assert said.data["times"]["placed_at"] == "2019-05-14T20:16:54+00:00"
    assert said.data["times"]["est_ready_at"] == "2019-05-14T20:36:54+00:00"


def test_an_order_without_a_cart_keeps_its_lines() -> None:
    body = body_of("uber_eats", "get_order_created")
    for cart in (None, {}, {"items": None}, "x"):
        assert "items" not in read(body | {"cart": cart}).observations[0].data
    assert read(body | {"cart": {"items": []}}).observations[0].data["items"] == []


def test_the_number_of_a_marketplace_guest_is_not_even_read() -> None:
    update = read(body_of("uber_eats", "get_order_courier_en_route"))
    assert update.customer == Customer(name="Sample C", contact_kind="relay")
    assert "555-0143" not in repr(update)
    assert "555 55 555" not in repr(update)


def test_couriers_of_an_order_are_legs() -> None:
    order, leg = read(body_of("uber_eats", "get_order_courier_en_route")).observations
    assert order.state == "accepted"
    assert order.data["fulfillment"] == {"type": "delivery"}
    assert (leg.scope, leg.track, leg.state) == ("leg", "courier", "out_for_delivery")
    assert leg.ref == "22222222-0000-4000-8000-000000000001"
    assert leg.data == {"courier": {"name": "Casey"}}


@pytest.mark.parametrize(
    ("native", "kind", "state"),
    [
        ("CREATED", "PICK_UP", "received"),
        ("ACCEPTED", "PICK_UP", "accepted"),
        ("DENIED", "PICK_UP", "cancelled"),
        ("FINISHED", "PICK_UP", "picked_up"),
        ("FINISHED", "DINE_IN", None),
        ("FINISHED", "DELIVERY_BY_UBER", "delivered"),
        ("CANCELED", "PICK_UP", "cancelled"),
        ("UNKNOWN", "PICK_UP", None),
    ],
)
def test_order_states(native: str, kind: str, state: str | None) -> None:
    update = read({"id": ORDER, "current_state": native, "type": kind})
    assert update.observations[0].state == state
    assert update.unknown_states == ()


def test_a_denied_order_says_why() -> None:
    update = read({"id": ORDER, "current_state": "DENIED"})
    assert update.observations[0].data["reason"] == {"code": "rejected"}


@pytest.mark.parametrize(
    ("native", "state"),
    [
        ("SCHEDULED", None),
        ("EN_ROUTE_TO_PICKUP", None),
        ("ARRIVED_AT_PICKUP", None),
        ("EN_ROUTE_TO_DROPOFF", "out_for_delivery"),
        ("ARRIVED_AT_DROPOFF", "out_for_delivery"),
        ("COMPLETED", "delivered"),
        ("FAILED", "failed"),
    ],
)
def test_courier_states(native: str, state: str | None) -> None:
    legs = [{"id": "d1", "current_state": native}]
    update = read({"id": ORDER, "current_state": "ACCEPTED", "deliveries": legs})
    assert update.observations[1].state == state


def test_states_nobody_knows() -> None:
    legs = [{"id": "d1", "current_state": "TELEPORTED"}]
    update = read({"id": ORDER, "current_state": "PONDERED", "deliveries": legs})
    assert [o.state for o in update.observations] == [None, None]
    assert set(update.unknown_states) == {
        "order.current_state PONDERED",
        "deliveries[].current_state TELEPORTED",
    }
    status_map = {"order.current_state": {"PONDERED": "accepted"}}
    mapped = read({"id": ORDER, "current_state": "PONDERED"}, status_map=status_map)
    assert mapped.observations[0].state == "accepted"


def test_reading_the_same_order_twice_is_one_statement() -> None:
    body = body_of("uber_eats", "get_order_courier_en_route")
    assert read(body) == read(body)
    changed = read(body | {"current_state": "FINISHED"})
    assert changed.observations[0].event_key != read(body).observations[0].event_key


@pytest.mark.parametrize("name", DIRECT)
def test_direct_deliveries(name: str) -> None:
    native, state = DIRECT[name]
    event = body_of("uber_eats", name)
    assert source().event_key(call(event)) == event["id"]
    update = update_of(event)
    (said,) = update.observations
    assert (said.native_state, said.state) == (native, state)
    assert (said.scope, said.track, said.ref) == ("leg", "courier", DELIVERY)
    assert said.ordering_class == "ranked"
    assert said.occurred_at == datetime.fromisoformat(event["created"])
    assert said.data["est_delivery_at"] == "2022-04-14T18:03:30.572000+00:00"
    assert said.data["courier"] == {
        "name": "Casey",
        "tracking_url": "https://www.ubereats.com/orders/SAMPLE",
    }
    assert update.courier_only
    assert update.aliases == (
        ("external_delivery_id", DELIVERY),
        ("external_id", "WEB-1042"),
    )


def test_an_undeliverable_order_says_why() -> None:
    update = update_of(body_of("uber_eats", "direct_delivery_status_canceled"))
    assert update.observations[0].data["reason"] == {
        "code": "courier_failed",
        "text": "customer_unavailable",
    }


@pytest.mark.parametrize(
    ("native", "state"),
    [
        ("pending", None),
        ("pickup", None),
        ("pickup_complete", "out_for_delivery"),
        ("dropoff", "out_for_delivery"),
        ("delivered", "delivered"),
        ("canceled", "failed"),
        ("returned", "failed"),
    ],
)
def test_direct_states(native: str, state: str | None) -> None:
    event = {"kind": "event.delivery_status", "id": "e", "delivery_id": "d", "status": native}
    update = update_of(event)
    assert update.observations[0].state == state
    assert update.unknown_states == ()


def test_a_direct_state_nobody_knows() -> None:
    event = {"kind": "event.delivery_status", "id": "e", "delivery_id": "d", "status": "lost"}
    assert update_of(event).unknown_states == ("direct.status lost",)
    mapped = update_of(event, status_map={"direct.status": {"lost": "failed"}})
    assert mapped.observations[0].state == "failed"


@pytest.mark.parametrize("status", ["pending", "pickup_complete", "delivered"])
def test_the_trip_back_reaches_no_guest(status: str) -> None:
    related = [{"id": "del_1", "relationship": "original"}, {"id": None}, 5]
    data = {"id": "del_2", "kind": "return", "related_deliveries": related}
    event = {"kind": "event.delivery_status", "id": "e", "status": status, "data": data}
    update = update_of(event)
    assert update.observations[0].state == "failed"
    assert update.aliases == (("external_delivery_id", "del_2"), ("external_delivery_id", "del_1"))


def test_the_reference_of_the_manifest_stands_in_for_the_external_id() -> None:
    event = body_of("uber_eats", "direct_delivery_status_delivered")
    event["data"]["external_id"] = ""
    assert ("external_id", "SAMPLE-1") in update_of(event).aliases


def test_a_position_report_is_an_estimate_and_nothing_else() -> None:
    event = {
        "kind": "event.courier_update",
        "delivery_id": DELIVERY,
        "created": "2026-03-14T18:05:00Z",
        "location": {"lat": 42.1, "lng": -72.5},
        "data": {"dropoff_eta": "2026-03-14T18:20:10Z", "courier": {"location": {"lat": 1}}},
    }
    first, second = call(event), call({**event, "location": {"lat": 43.0, "lng": -72.6}})
    assert source().event_key(first) == source().event_key(second)
    assert source().fingerprint(first) == source().fingerprint(second)
    kept = json.loads(source().body_to_store(first))
    assert "lat" not in json.dumps(kept)
    assert source().parse(call(kept)) == source().parse(first)
    (said,) = update_of(event).observations
    assert (said.kind, said.state) == ("eta", None)
    assert said.data == {"est_delivery_at": "2026-03-14T18:20:10+00:00"}
    later = call(event, at=NOW + timedelta(minutes=6))
    assert source().event_key(later) != source().event_key(first)


def test_a_position_without_an_estimate_is_ignored() -> None:
    event = {"kind": "event.courier_update", "delivery_id": DELIVERY, "data": {}}
    with pytest.raises(EventIgnored):
        source().parse(call(event))


def test_positions_and_pictures_of_a_delivery_are_not_kept() -> None:
    event = body_of("uber_eats", "direct_delivery_status_delivered")
    kept = source().body_to_store(call(event)).decode()
    for word in ('"lat"', "courier.jpg", "pod.jpg", "barcodes"):
        assert word in json.dumps(event) or word == "barcodes"
        assert word not in kept
    assert source().parse(call(json.loads(kept))) == source().parse(call(event))


def test_the_older_form() -> None:
    event = body_of("uber_eats", "dapi_status_changed")
    update = update_of(event)
    (said,) = update.observations
    assert (said.native_state, said.state) == ("EN_ROUTE_TO_DROPOFF", "out_for_delivery")
    assert said.occurred_at == datetime.fromtimestamp(1649957958, UTC)
    assert ("external_id", "WEB-1042") in update.aliases
    assert update.courier_only
    event["meta"]["is_returning"] = True
    assert update_of(event).observations[0].state == "failed"
    assert said.ref == "759de859-9000-4000-8000-000000000001"
    del event["meta"]["courier_trip_id"]
    assert update_of(event).observations[0].ref == "8a8972cf-2331-4f77-85c0-d84fbed6bf53"


# --- deliveries that are fetched -----------------------------------------------------------------


def direct(**settings: str) -> UberEats:
    return UberEats({"direct_access_token": "d-token", "customer_id": "cus/1", **settings})


def test_the_delivery_behind_the_older_form() -> None:
    event = body_of("uber_eats", "dapi_status_changed")
    update, asked = direct().parse(call(event))
    assert isinstance(update, OrderUpdate)
    assert isinstance(asked, FollowUp)
    assert asked.request.url == event["resource_href"]
    assert asked.request.headers == {"Authorization": "Bearer d-token"}
    assert asked.order_id == update.order_id
    delivery = {
        "order_id": update.order_id,
        "order_status": "COMPLETED",
        "external_order_id": "WEB-1042",
        "order_tracking_url": "https://www.ubereats.com/orders/x",
    }
    (fetched,) = direct().parse_resource(asked, answered(delivery), NOW)
    (said,) = fetched.observations
    assert (said.state, said.ref) == ("delivered", update.observations[0].ref)
    assert said.data["courier"] == {"tracking_url": "https://www.ubereats.com/orders/x"}
    assert fetched.aliases == update.aliases


@pytest.mark.parametrize(
    ("status", "returning", "state"),
    [
        ("ACTIVE", None, None),
        ("COMPLETED", "", "delivered"),
        ("FAILED", None, "failed"),
        ("ACTIVE", "IN_PROGRESS", "failed"),
        ("PUZZLED", None, None),
    ],
)
def test_a_delivery_as_a_whole(status: str, returning: Any, state: str | None) -> None:
    asked = follow_up(reads="dapi.status_changed", leg="trip-1")
    body = {"order_id": "o", "order_status": status, "return_status": returning}
    (update,) = direct().parse_resource(asked, answered(body), NOW)
    (said,) = update.observations
    assert (said.state, said.ref) == (state, "trip-1")
    expected = ("dapi.order_status PUZZLED",) if status == "PUZZLED" else ()
    assert update.unknown_states == expected


@pytest.mark.parametrize("href", [None, "", 7, "https://evil.example.com/v1/x"])
def test_the_older_form_is_enough_where_nobody_may_ask(href: Any) -> None:
    event = body_of("uber_eats", "dapi_status_changed")
    assert len(source().parse(call(event))) == 1
    assert len(direct().parse(call(event | {"resource_href": href}))) == 1


def test_a_silent_delivery_is_asked_about() -> None:
    asked = direct().check_up("del_1/2", NOW)
    assert asked is not None
    assert asked.request.url == "https://api.uber.com/v1/customers/cus%2F1/deliveries/del_1%2F2"
    assert asked.request.headers == {"Authorization": "Bearer d-token"}
    data = body_of("uber_eats", "direct_delivery_status_delivered")["data"]
    (update,) = direct().parse_resource(asked, answered(data), NOW)
    (said,) = update.observations
    assert (said.state, said.ref, update.order_id) == ("delivered", DELIVERY, DELIVERY)
    assert said.occurred_at == datetime(2022, 4, 14, 18, 4, 1, 100000, tzinfo=UTC)
    assert ("external_id", "WEB-1042") in update.aliases
    moved = data | {"courier": {**data["courier"], "location": {"lat": 1, "lng": 2}}}
    (again,) = direct().parse_resource(asked, answered(moved), NOW + timedelta(minutes=3))
    assert again.observations[0].event_key == said.event_key


@pytest.mark.parametrize(
    ("order_id", "settings"),
    [
        (ORDER, {}),
        ("del_1", {"customer_id": ""}),
        ("del_1", {"direct_access_token": ""}),
    ],
)
def test_nothing_else_is_asked_about(order_id: str, settings: dict[str, str]) -> None:
    assert direct(**settings).check_up(order_id, NOW) is None


def test_bent_answers_are_read_or_refused() -> None:
    data = body_of("uber_eats", "direct_delivery_status_delivered")["data"]
    whole = {"order_id": "o", "order_status": "FAILED", "order_tracking_url": "https://x"}
    order = body_of("uber_eats", "get_order_courier_en_route")
    for reads, body in (
        ("event.delivery_status", data),
        ("dapi.status_changed", whole),
        ("", order),
    ):
        asked = follow_up(reads=reads)

        def fetched(raw: bytes, asked: FollowUp = asked) -> list[OrderUpdate]:
            return direct().parse_resource(asked, answered(json.loads(raw)), NOW)

        assert survive(bent(body), fetched) > 10


@pytest.mark.parametrize(
    "event",
    [
        {"event_type": "store.provisioned", "event_id": "e"},
        {"kind": "event.refund_request", "id": "e"},
        {"event_id": "e"},
    ],
)
def test_other_events_are_ignored(event: dict[str, Any]) -> None:
    with pytest.raises(EventIgnored):
        source().parse(call(event))


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"event_type": "orders.notification", "event_id": "e"}, "meta.resource_id"),
        ({"kind": "event.delivery_status", "id": "e", "status": "pickup"}, "delivery_id"),
        (
            {
                "kind": "event.delivery_status",
                "delivery_id": "d",
                "created": "yesterday",
                "status": "pickup",
            },
            "created: expected a time",
        ),
        ({"event_type": "dapi.status_changed", "event_id": "e", "meta": []}, "meta.order_id"),
    ],
)
def test_unreadable_events_say_where(event: dict[str, Any], words: str) -> None:
    with pytest.raises(PayloadMalformed, match=words):
        source().parse(call(event))
