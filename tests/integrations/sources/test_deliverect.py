"""Deliverect: bodies without a type, two meanings of 90, the register call, hostile bodies."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations.contracts import Customer, FollowUp, Observation, OrderUpdate, ordering_key
from integrations.errors import EventIgnored, PayloadMalformed
from integrations.signatures import hmac_hex
from integrations.sources.deliverect import Deliverect
from orders.projection import project
from tests.integrations.sources import hostile
from tests.integrations.sources.payload_files import (
    NOW,
    URL,
    answered,
    body_of,
    call,
    follow_up,
    load,
    names,
    signed_call,
)

ORDER = "62a1b2c3d4e5f6a7b8c9d07c"
ALIAS = ("channelOrderId", "TEST000000004206")
LOCATION = "61a1b2c3d4e5f6a7b8c9d0b4"
#: sample -> (status, time, state)
STATUSES = {
    "order_status_110_canceled": ("110", "2026-03-14T18:07:00.000000Z", "cancelled"),
    "order_status_120_failed": ("120", "2026-03-14T18:01:40.000000Z", "failed"),
    "order_status_20_accepted": ("20", "2026-03-14T18:01:30.000000Z", "accepted"),
    "order_status_35_denied": ("35", "2026-03-14T18:01:10.000000Z", "cancelled"),
    "order_status_50_preparing": ("50", "2026-03-14T18:05:00.000000Z", "preparing"),
    "order_status_70_pickup_ready": ("70", "2026-03-14T18:19:00.000000Z", "ready"),
    "order_status_90_finalized": ("90", "2026-03-14T18:50:00.000000Z", None),
}
ORDERS = {
    "order_notification_new": ("1", "2026-03-14T18:00:06.000000Z", "received"),
    "order_notification_cancel": ("100", "2026-03-14T18:03:10.000000Z", "cancelled"),
}
COURIERS = {"courier_update_87", "reporting_courier_update"}
SECRET = "61a1b2c3d4e5f6a7b8c9d0c3"
FETCHING = {"access_token": "token-1", "order_path": "/orders/{id}"}


def source(status_map: Any = None, **settings: str) -> Deliverect:
    return Deliverect({"webhook_secret": SECRET, **settings}, status_map=status_map)


def sample(name: str) -> dict[str, Any]:
    found: dict[str, Any] = body_of("deliverect", name)
    return found


def read(body: Any, deliverect: Deliverect | None = None, at: datetime = NOW) -> OrderUpdate:
    update = (deliverect or source()).parse(call(body, at=at))[0]
    assert isinstance(update, OrderUpdate)
    return update


def said(body: Any, at: datetime = NOW) -> Observation:
    return read(body, at=at).observations[-1]


def status(code: Any, **changes: Any) -> dict[str, Any]:
    return {"orderId": ORDER, "status": code, "timeStamp": "2026-03-14T18:05:00Z", **changes}


def courier(code: Any, **changes: Any) -> dict[str, Any]:
    return {"orderId": ORDER, "status": code, "courierName": "Casey", **changes}


# --- samples ---------------------------------------------------------------------------------


def test_every_sample_is_covered() -> None:
    assert set(names("deliverect")) == {*STATUSES, *ORDERS, *COURIERS, "prep_time_update"}


@pytest.mark.parametrize("name", STATUSES)
def test_status_samples(name: str) -> None:
    native, at, state = STATUSES[name]
    update = read(sample(name))
    (observation,) = update.observations
    key = f"deliverect:status:{ORDER}:{native}:{at}"
    assert source().event_key(call(sample(name))) == observation.event_key == key
    assert (update.order_id, update.aliases, update.location_id) == (ORDER, (ALIAS,), LOCATION)
    assert (observation.native_state, observation.state) == (native, state)
    assert (observation.track, observation.scope) == ("kitchen", "order")
    assert observation.ordering_class == "sequenced"
    assert observation.occurred_at == datetime.fromisoformat(at)
    assert observation.ordering_key == ordering_key(observation.occurred_at)
    assert update.unknown_states == ()


@pytest.mark.parametrize("name", ORDERS)
def test_order_samples(name: str) -> None:
    native, at, state = ORDERS[name]
    update = read(sample(name))
    commercial, kitchen = update.observations
    key = f"deliverect:order:{ORDER}:{native}:{at}"
    assert source().event_key(call(sample(name))) == key
    assert kitchen.event_key == f"{key}#order:kitchen"
    assert (update.order_id, update.display) == (ORDER, "T4206")
    assert (update.aliases, update.location_id) == ((ALIAS,), LOCATION)
    assert update.timezone == "America/New_York"
    assert (kitchen.native_state, kitchen.state, kitchen.track) == (native, state, "kitchen")
    assert commercial.state is None
    assert kitchen.ordering_key == ordering_key(datetime.fromisoformat(at))
    assert kitchen.ordering_class == "sequenced"
    assert project(update.observations).state == state


def test_what_an_order_carries() -> None:
    update = read(sample("order_notification_new"))
    commercial, kitchen = update.observations
    assert commercial.data == {
        "display": "T4206",
        "items": [
            {
                "id": "P-BRGR",
                "label": "Burger Combo (Drink not Included)",
                "quantity": 1,
                "modifiers": ["Diet Soda", "Cheeseburger", "2 x Extra Gherkin"],
            }
        ],
        "times": {
            "placed_at": "2026-03-14T18:00:04+00:00",
            "est_delivery_at": "2026-03-14T18:45:00+00:00",
        },
        "fulfillment": {"type": "delivery", "scheduled": False},
        "customer_kind": "masked",
    }
    assert kitchen.data == {"times": {"est_ready_at": "2026-03-14T18:20:00+00:00"}}
    assert update.customer == Customer("Sample Customer", contact_kind="masked")


def test_courier_samples() -> None:
    channel, reporting = (read(sample(name)) for name in sorted(COURIERS))
    for update in (channel, reporting):
        (leg,) = update.observations
        assert (update.order_id, update.courier_only) == (ORDER, True)
        assert (leg.native_state, leg.state) == ("87", "out_for_delivery")
        assert (leg.track, leg.scope, leg.ref) == ("courier", "leg", ORDER)
        assert leg.ordering_class == "ranked"
        assert leg.data["est_delivery_at"] == "2026-03-14T18:52:46+00:00"
    assert channel.observations[0].data["courier"] == {"name": "SAMPLE"}
    leg = reporting.observations[0]
    assert leg.event_key == f"deliverect:courier:{ORDER}:87:2026-03-14T18:33:08.000000Z"
    assert leg.occurred_at == datetime(2026, 3, 14, 18, 33, 8, tzinfo=UTC)
    assert channel.observations[0].occurred_at is None


def test_a_preparation_time_is_an_estimate_and_no_state() -> None:
    update = read(sample("prep_time_update"))
    (observation,) = update.observations
    assert (update.order_id, update.courier_only) == (ORDER, True)
    assert (observation.kind, observation.native_state, observation.state) == ("eta", "20", None)
    assert observation.data == {"times": {"est_ready_at": "2026-03-14T18:32:00+00:00"}}
    assert observation.ordering_key == ordering_key(NOW)
    order = project([*read(sample("order_notification_new")).observations, observation])
    assert order.est_ready_at == datetime(2026, 3, 14, 18, 32, tzinfo=UTC)
    assert order.state == "received"


# --- states ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "state"),
    [
        *((code, "received") for code in (1, 2, 3, 4, 5, 6, 7, 10, 25)),
        (20, "accepted"),
        (30, None),
        (35, "cancelled"),
        (40, "accepted"),
        (50, "preparing"),
        (60, "ready"),
        (70, "ready"),
        (90, None),
        (95, None),
        (100, "cancelled"),
        (110, "cancelled"),
        (120, "failed"),
    ],
)
def test_order_states(code: int, state: str | None) -> None:
    for body in (status(code), status(str(code)), {"_id": ORDER, "items": [], "status": code}):
        update = read(body)
        assert update.observations[-1].state == state
        assert update.unknown_states == ()


@pytest.mark.parametrize(
    ("code", "state"),
    [
        (80, None),
        (81, None),
        (83, None),
        (84, None),
        (85, None),
        (87, "out_for_delivery"),
        (89, "out_for_delivery"),
        (90, "delivered"),
        (115, "failed"),
    ],
)
def test_courier_states(code: int, state: str | None) -> None:
    for body in (courier(code), {"orderId": ORDER, "courier": {"status": code}}):
        update = read(body)
        assert update.observations[0].state == state
        assert update.unknown_states == ()


def test_codes_nobody_knows_are_reported_and_can_be_mapped() -> None:
    for body, stream in ((status(71), "order_status"), (courier(71), "courier_status")):
        assert read(body).unknown_states == (f"{stream} 71",)
        mapped = read(body, source({stream: {"71": "failed"}}))
        assert (mapped.observations[0].state, mapped.unknown_states) == ("failed", ())


@pytest.mark.parametrize(
    ("code", "reason", "data"),
    [
        (35, "restaurant busy", {"reason": {"code": "rejected", "text": "restaurant busy"}}),
        (100, "", {"reason": {"code": "cancel_requested"}}),
        (110, "Out of stock", {"reason": {"code": "other", "text": "Out of stock"}}),
        (110, "", {}),
        (120, None, {"reason": {"code": "other", "staff_first": True}}),
        (120, "x", {"reason": {"code": "other", "text": "x", "staff_first": True}}),
        (50, "ignored", {}),
        (95, "", {"note": "closed by itself: the till sends no further news"}),
    ],
)
def test_reasons(code: int, reason: Any, data: dict[str, Any]) -> None:
    assert said(status(code, reason=reason)).data == data


def test_states_are_ordered_by_the_tills_time() -> None:
    told = [*read(sample("order_notification_new")).observations]
    told += [said(sample(f"order_status_{n}")) for n in ("70_pickup_ready", "50_preparing")]
    assert project(told, default_fulfillment="pickup").state == "ready"
    assert project(reversed(told), default_fulfillment="pickup").state == "ready"


def test_ninety_of_an_order_is_not_delivered_and_ninety_of_a_courier_is() -> None:
    told = [*read(sample("order_notification_new")).observations]
    told += [said(sample(f"order_status_{n}")) for n in ("70_pickup_ready", "90_finalized")]
    assert project(told).state == "ready"
    assert project([*told, said(courier(90))]).state == "delivered"


# --- orders ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order_type", "kind", "due"),
    [
        (1, "pickup", "18:20"),
        (2, "delivery", "18:45"),
        (3, "dine_in", "18:20"),
        (4, "curbside", "18:20"),
        (5, "drive_through", "18:20"),
    ],
)
def test_a_scheduled_order_is_a_promise(order_type: int, kind: str, due: str) -> None:
    body = sample("order_notification_new") | {"orderType": order_type, "deliveryIsAsap": False}
    data = read(body).observations[0].data
    assert data["fulfillment"] == {"type": kind, "scheduled": True}
    assert data["times"]["promised_at"] == f"2026-03-14T{due}:00+00:00"
    assert "est_delivery_at" not in data["times"]


@pytest.mark.parametrize(
    ("guest", "customer"),
    [
        (
            {"name": "Ana", "phoneNumber": "+12025550143", "email": "ana@example.com"},
            Customer("Ana", "+12025550143", "ana@example.com"),
        ),
        (
            {"name": "Ana", "phoneNumber": "+12025550143", "phoneAccessCode": 20},
            Customer("Ana", contact_kind="masked"),
        ),
        ({"name": "Ana", "phoneAccessCode": ""}, Customer("Ana", contact_kind="none")),
        ({}, None),
        (None, None),
    ],
)
def test_guests(guest: Any, customer: Customer | None) -> None:
    assert read(sample("order_notification_new") | {"customer": guest}).customer == customer


def test_the_form_for_kitchen_displays() -> None:
    body = {"orderId": "o-1", "items": [{"plu": "A"}, {"plu": "A"}, {}], "status": 1}
    update = read(body)
    assert update.order_id == "o-1"
    assert [i["id"] for i in update.observations[0].data["items"]] == ["A", "A#2", "line"]
    changed = {**body, "items": [{"plu": "B"}]}
    assert source().event_key(call(body)) != source().event_key(call(changed))
    assert source().event_key(call(body)).startswith("deliverect:order:o-1:1:")


# --- couriers ----------------------------------------------------------------------------------


def test_the_same_courier_news_counts_once_in_five_minutes() -> None:
    body = sample("courier_update_87")
    moved = body | {"coordinates": {"coordinates": [1, 2]}}
    key = source().event_key(call(body))
    assert source().event_key(call(moved)) == key
    assert source().fingerprint(call(moved)) == source().fingerprint(call(body))
    later = body | {"deliveryTime": "2026-03-14T18:59:00Z"}
    assert source().event_key(call(later)) != key
    assert source().event_key(call(body, at=NOW + timedelta(minutes=6))) != key


def test_an_estimate_that_comes_back_is_news() -> None:
    one = {"orderId": ORDER, "pickupTime": "2026-03-14T18:20:00Z", "status": 20}
    other = one | {"pickupTime": "2026-03-14T18:40:00Z"}
    told = [
        said(body, NOW + timedelta(minutes=minute))
        for body, minute in ((one, 0), (other, 6), (one, 12))
    ]
    assert len({o.event_key for o in told}) == 3
    assert project(told).est_ready_at == datetime(2026, 3, 14, 18, 20, tzinfo=UTC)


def test_an_order_shared_by_couriers_is_delivered_when_all_of_them_are() -> None:
    first = said(courier(90, courierId="a", multipleDrivers=True))
    second = said(courier(87, courierId="b", multipleDrivers=True))
    assert {first.ref, second.ref} == {f"{ORDER}:a", f"{ORDER}:b"}
    assert project([first, second], default_fulfillment="delivery").state == "out_for_delivery"
    done = said(courier(90, courierId="b", multipleDrivers=True))
    assert project([first, second, done], default_fulfillment="delivery").state == "delivered"


def test_another_courier_of_one_trip_is_the_same_leg() -> None:
    told = [said(courier(80, courierId="a")), said(courier(90, courierId="b"))]
    assert {o.ref for o in told} == {ORDER}
    assert project(told, default_fulfillment="delivery").state == "delivered"


def test_positions_are_not_kept() -> None:
    for name in names("deliverect"):
        kept = source().body_to_store(call(sample(name)))
        assert b"coordinates" not in kept
        assert source().parse(call(kept)) == source().parse(call(sample(name)))


@pytest.mark.parametrize(
    "sign", [{}, {"dispatchPartner": "x"}, {"pickupTime": "2026-03-14T18:20:00Z"}]
)
def test_a_position_may_be_the_only_sign_of_a_courier(sign: dict[str, str]) -> None:
    body = {"orderId": ORDER, "status": 87, "coordinates": {"coordinates": [1.5, 2.5]}, **sign}
    kept = source().body_to_store(call(body))
    assert b"1.5" not in kept
    assert said(kept).state == "out_for_delivery"
    assert source().parse(call(kept)) == source().parse(call(body))


def test_couriers_and_preparation_times_name_the_channels_order() -> None:
    for name in ("courier_update_87", "prep_time_update"):
        assert read(sample(name)).aliases == (ALIAS,)
    assert read(sample("reporting_courier_update")).aliases == ()


# --- registering and fetching ------------------------------------------------------------------


@pytest.mark.parametrize("word", ["register", "active", "inactive"])
def test_a_channel_that_registers_is_told_our_address(word: str) -> None:
    body = {
        "status": word,
        "channelLocationId": "store-1",
        "channelLinkId": SECRET,
        "locationId": LOCATION,
        "channelLinkName": "Example",
    }
    reply = source().handshake(call(body, url=f"{URL}?x=1"))
    assert reply is not None
    assert (reply.status, reply.content_type) == (200, "application/json")
    assert json.loads(reply.body) == {
        "statusUpdateURL": URL,
        "updatePrepTimeURL": URL,
        "courierUpdateURL": URL,
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"channelLinkId",
        b'["channelLinkId"]',
        {"status": "register"},
        {"status": "paused", "channelLinkId": "x"},
        {"status": "active", "channelLinkId": "x", "orderId": "o"},
        {"status": ["register"], "channelLinkId": "x"},
        *(load("deliverect", name)["body"] for name in names("deliverect")),
    ],
)
def test_nothing_else_is_a_registration(body: Any) -> None:
    assert source().handshake(call(body)) is None
    assert (
        source().handshake(call({"status": "active", "channelLinkId": "x"}, method="GET")) is None
    )


def test_a_status_is_checked_against_the_order() -> None:
    _, asked = source(**FETCHING).parse(call(status(50, orderId="a/b")))
    assert isinstance(asked, FollowUp)
    assert asked.request.url == "https://api.deliverect.com/orders/a%2Fb"
    assert asked.request.headers == {"Authorization": "Bearer token-1"}
    assert (asked.coalesce_key, asked.order_id) == ("order:a/b", "a/b")
    fetched = source().parse_resource(follow_up(), answered(sample("order_notification_new")), NOW)
    assert fetched == [read(sample("order_notification_new"))]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"access_token": "t"},
        {"order_path": "/orders/{id}"},
        {"access_token": "t", "order_path": "https://evil.example.com/{id}"},
        {"access_token": "t", "order_path": "/orders"},
    ],
)
def test_without_token_and_path_nothing_is_fetched(settings: dict[str, str]) -> None:
    assert len(source(**settings).parse(call(status(50)))) == 1


def test_a_silent_order_is_asked_about() -> None:
    asked = source(**FETCHING).check_up("o/1", NOW)
    assert asked is not None
    assert asked.request.url == "https://api.deliverect.com/orders/o%2F1"
    assert asked.order_id == "o/1"
    assert source().check_up("o/1", NOW) is None


def test_an_answer_may_be_a_list() -> None:
    deliverect, order = source(**FETCHING), sample("order_notification_new")
    asked = deliverect.check_up(ORDER, NOW)
    assert asked is not None
    other = order | {"_id": "other"}
    (alone,) = deliverect.parse_resource(asked, answered(order), NOW)
    (listed,) = deliverect.parse_resource(asked, answered({"_items": [5, other, order]}), NOW)
    assert listed == alone
    with pytest.raises(PayloadMalformed, match="not among them"):
        deliverect.parse_resource(asked, answered({"_items": [other]}), NOW)


# --- authenticity ------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["X-Server-Authorization-HMAC-SHA256", "x-deliverect-signature"])
def test_the_published_vector_passes_under_either_name(header: str) -> None:
    source().verify(signed_call("deliverect", header=header))
    rotated = source(webhook_secret="new", previous_webhook_secret=SECRET)
    rotated.verify(signed_call("deliverect", header=header))


@pytest.mark.parametrize("given", [*hostile.FORGED, hmac_hex("other", b"{}")])
@pytest.mark.parametrize("header", ["X-Server-Authorization-HMAC-SHA256", "x-deliverect-signature"])
def test_anything_else_is_refused(header: str, given: str) -> None:
    hostile.disbelieves(source(), {header: given}, SECRET)


def test_an_altered_body_and_an_account_without_a_secret() -> None:
    right = load("deliverect", "signature")
    headers = {right["header"]: right["signature"]}
    altered = right["body"].replace('"status":50', '"status":70').encode()
    hostile.disbelieves(source(), headers, SECRET, altered)
    hostile.disbelieves(Deliverect({}), headers, SECRET, right["body"].encode())
    hostile.disbelieves(source(), {}, SECRET)


# --- bodies nobody should send -------------------------------------------------------------------


@pytest.mark.parametrize("name", names("deliverect"))
def test_bent_samples_are_read_or_refused(name: str) -> None:
    assert hostile.survive_bending(source(**FETCHING), [name]) > 20


@pytest.mark.parametrize("body", hostile.UNREADABLE, ids=range(len(hostile.UNREADABLE)))
def test_unreadable_bodies(body: bytes) -> None:
    hostile.refuses(source(), body)
    assert source().handshake(call(body)) is None


def test_items_without_end() -> None:
    item: dict[str, Any] = {"name": "x"}
    for _ in range(400):
        item = {"name": "x", "subItems": [item]}
    body = {"_id": ORDER, "items": [item]}
    assert len(read(body).observations[0].data["items"][0]["modifiers"]) == 9


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"orderId": ORDER}, "no order, status, courier or preparation time"),
        (status(50, timeStamp=""), "timeStamp: missing"),
        (status(50, timeStamp="soon"), "timeStamp: expected a time"),
        (status(None), "status: missing"),
        (status(50, orderId=""), "orderId"),
        ({"orderId": ORDER, "pickupTime": None}, "pickupTime"),
        ({"_id": "", "items": []}, "_id"),
        (courier(87, deliveryTime="x"), "deliveryTime: expected a time"),
    ],
)
def test_unreadable_events_say_where(body: dict[str, Any], words: str) -> None:
    with pytest.raises(PayloadMalformed, match=words):
        source().parse(call(body))


@pytest.mark.parametrize("body", [{}, {"status": "closed"}, {"items": []}])
def test_other_bodies_are_ignored(body: dict[str, Any]) -> None:
    with pytest.raises(EventIgnored):
        source().parse(call(body))


def test_ten_megabytes() -> None:
    body = json.dumps(status(50, reason="y" * 10_000_000)).encode()
    assert len(body) > source().max_body_bytes
    assert said(body).state == "preparing"


@pytest.mark.parametrize("name", names("deliverect"))
def test_every_answer_is_an_empty_200(name: str) -> None:
    received = call(sample(name))
    for reply in (
        source().answer(received, duplicate=False),
        source().answer(received, duplicate=True),
        source().refuse(received, "unreadable"),
    ):
        assert (reply.status, reply.body) == (200, b"")
