"""Square: thin events, and everything the fetched order says."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from integrations.contracts import Customer, FollowUp, OrderUpdate
from integrations.errors import EventIgnored, PayloadMalformed
from integrations.sources.square import Square
from integrations.sources.square_states import FULFILLMENT_STATES, ORDER_STATES
from orders.projection import project
from tests.integrations.sources.payload_files import (
    NOW,
    answered,
    body_of,
    call,
    follow_up,
    names,
)

ORDER = "eA3vssLHKJrv9H0IdJCM3gNqfdcZY"
EVENT_KEYS = {
    "order_created": "116038d3-2948-439f-8679-fc86dbf80f69",
    "order_updated": "4b8e5c91-9f17-4cf1-900a-4a0629f81add",
    "order_fulfillment_updated_reserved": "b3adf364-4937-436e-a833-49c72b4baee8",
    "order_fulfillment_updated_prepared": "0d1b6d0e-0000-4000-8000-000000000007",
    "order_fulfillment_updated_canceled": "0d1b6d0e-0000-4000-8000-000000000008",
    "order_fulfillment_updated_completed": "0d1b6d0e-0000-4000-8000-000000000009",
}


def source(**values: Any) -> Square:
    settings = {"signature_key": "k", "access_token": "EAAA-test"}
    return Square({**settings, **values.pop("settings", {})}, **values)


def order(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = copy.deepcopy(body_of("square", "get_order_two_pickups")["order"])
    return found | changes


def read(body: dict[str, Any], square: Square | None = None) -> OrderUpdate:
    updates = (square or source()).parse_resource(follow_up(), answered({"order": body}), NOW)
    return updates[0]


def one_fulfillment(state: str, kind: str = "PICKUP", **details: Any) -> dict[str, Any]:
    name = {"PICKUP": "pickup_details", "DELIVERY": "delivery_details"}.get(kind, "x")
    return {"uid": "f1", "type": kind, "state": state, name: details}


def test_every_sample_is_covered() -> None:
    assert set(names("square", "order_*")) == set(EVENT_KEYS)


@pytest.mark.parametrize("name", EVENT_KEYS)
def test_an_event_asks_for_its_order(name: str) -> None:
    event = call(body_of("square", name))
    assert source().event_key(event) == EVENT_KEYS[name]
    *_, asked = found = source().parse(event)
    assert isinstance(asked, FollowUp)
    assert asked.coalesce_key == f"order:{ORDER}"
    assert asked.order_id == ORDER
    assert asked.request.method == "GET"
    assert asked.request.url == f"https://connect.squareup.com/v2/orders/{ORDER}"
    assert asked.request.headers["Authorization"] == "Bearer EAAA-test"
    assert source().parse(event) == found


def test_an_order_id_cannot_lead_elsewhere() -> None:
    event = body_of("square", "order_updated")
    event["data"]["object"]["order_updated"]["order_id"] = "../locations?x=1#"
    (asked,) = source().parse(call(event))
    assert isinstance(asked, FollowUp)
    assert asked.request.url.endswith("/v2/orders/..%2Flocations%3Fx%3D1%23")


def test_two_fulfilments_are_two_parts() -> None:
    update = read(order())
    parts = {o.ref: o for o in update.observations if o.scope == "part"}
    ready, cooking = parts["VWJ1N9leLqjSDLvF2hvYjD"], parts["k2QeM7sTq1aZb9Yx0000Aa"]
    assert (ready.state, ready.native_state, ready.track) == ("ready", "PREPARED", "kitchen")
    assert (cooking.state, cooking.native_state) == ("preparing", "RESERVED")
    assert ready.occurred_at == datetime(2020, 4, 16, 23, 31, 2, 114000, UTC)
    assert ready.ordering_key == "00000000000000000007"
    assert ready.data == {
        "kind": "fulfillment",
        "label": "Harvest Bowl",
        "contents": [{"item_id": "li-harvest", "quantity": 1}],
        "est_ready_at": "2020-04-16T23:30:00+00:00",
    }
    assert update.order_id == ORDER
    assert update.display == "Sample 42"
    assert update.location_id == "FPYCBCHYMXFK1"
    assert update.aliases == (("external_id", "WEB-1042"),)
    assert not update.courier_only


def test_the_commercial_side_carries_lines_and_no_promise_for_an_asap_order() -> None:
    commercial, kitchen = read(order()).observations[:2]
    assert commercial.track == "commercial"
    assert commercial.state is None
    assert commercial.native_state == "OPEN"
    assert commercial.data["items"] == [
        {
            "id": "li-harvest",
            "label": "Harvest Bowl",
            "quantity": 1,
            "modifiers": ["No onion", "Extra tahini"],
        },
        {
            "id": "li-miso",
            "label": "Miso Salmon Bowl",
            "quantity": 1,
            "modifiers": ["Brown rice"],
        },
    ]
    assert commercial.data["times"] == {"placed_at": "2020-04-16T23:14:26.129000+00:00"}
    assert commercial.data["fulfillment"] == {"type": "pickup", "scheduled": False}
    assert kitchen.track == "kitchen"
    assert kitchen.snapshot_parts == ("VWJ1N9leLqjSDLvF2hvYjD", "k2QeM7sTq1aZb9Yx0000Aa")
    assert kitchen.data["times"] == {"est_ready_at": "2020-04-16T23:40:00+00:00"}


def test_a_scheduled_order_is_promised_with_its_window() -> None:
    entry = one_fulfillment(
        "PROPOSED",
        schedule_type="SCHEDULED",
        pickup_at="2026-03-15T12:00:00-04:00",
        pickup_window_duration="PT1H30M",
    )
    commercial = read(order(fulfillments=[entry])).observations[0]
    assert commercial.data["times"]["promised_at"] == "2026-03-15T16:00:00+00:00"
    assert commercial.data["times"]["promised_until"] == "2026-03-15T17:30:00+00:00"
    assert commercial.data["fulfillment"]["scheduled"] is True


def test_the_contact_is_direct() -> None:
    assert read(order()).customer == Customer(
        name="Sample Customer",
        phone="+12025550143",
        email="sample.customer@example.com",
        contact_kind="direct",
        external_id="CUST000000000001",
    )


def test_a_name_alone_is_nobody_to_message() -> None:
    entry = one_fulfillment("PROPOSED", recipient={"display_name": "Ana"})
    customer = read(order(fulfillments=[entry])).customer
    assert customer is not None
    assert (customer.name, customer.contact_kind) == ("Ana", "none")


@pytest.mark.parametrize(
    ("native", "kind", "state"),
    [
        ("PROPOSED", "PICKUP", "received"),
        ("RESERVED", "PICKUP", "preparing"),
        ("PREPARED", "PICKUP", "ready"),
        ("COMPLETED", "PICKUP", "picked_up"),
        ("COMPLETED", "DELIVERY", "delivered"),
        ("COMPLETED", "SHIPMENT", None),
        ("COMPLETED", "SOMETHING_NEW", None),
        ("CANCELED", "PICKUP", "cancelled"),
        ("FAILED", "DELIVERY", "failed"),
    ],
)
def test_fulfilment_states(native: str, kind: str, state: str | None) -> None:
    update = read(order(fulfillments=[one_fulfillment(native, kind)]))
    assert update.observations[-1].state == state
    assert update.unknown_states == ()


@pytest.mark.parametrize(
    ("native", "state"),
    [("OPEN", None), ("COMPLETED", None), ("CANCELED", "cancelled")],
)
def test_order_states(native: str, state: str | None) -> None:
    assert read(order(state=native)).observations[0].state == state


def test_a_draft_is_no_order() -> None:
    body = {"order": order(state="DRAFT")}
    assert source().parse_resource(follow_up(), answered(body), NOW) == []
    event = body_of("square", "order_created")
    event["data"]["object"]["order_created"]["state"] = "DRAFT"
    with pytest.raises(EventIgnored):
        source().parse(call(event))


def test_a_state_nobody_knows_is_reported_and_says_nothing() -> None:
    update = read(order(state="PAUSED", fulfillments=[one_fulfillment("SIMMERING")]))
    assert update.unknown_states == ("order PAUSED", "fulfillment SIMMERING")
    assert [o.state for o in update.observations] == [None, None, None]
    assert update.observations[-1].native_state == "SIMMERING"


def test_a_manager_maps_it() -> None:
    mapped = source(status_map={"fulfillment": {"SIMMERING": "preparing"}})
    update = read(order(fulfillments=[one_fulfillment("SIMMERING")]), mapped)
    assert update.observations[-1].state == "preparing"
    assert update.unknown_states == ()


def test_reserved_may_mean_accepted() -> None:
    square = source(settings={"reserved_means": "accepted"})
    update = read(order(fulfillments=[one_fulfillment("RESERVED")]), square)
    assert update.observations[-1].state == "accepted"
    mapped = source(
        settings={"reserved_means": "accepted"},
        status_map={"fulfillment": {"RESERVED": "preparing"}},
    )
    update = read(order(fulfillments=[one_fulfillment("RESERVED")]), mapped)
    assert update.observations[-1].state == "preparing"


def test_nothing_is_stated_that_was_not_declared() -> None:
    stated = {s for table in (FULFILLMENT_STATES, ORDER_STATES) for s in table.values() if s}
    assert stated | {"accepted"} == Square.can_state


def test_an_order_of_the_pos_app_is_ordered_by_its_time() -> None:
    without = order()
    del without["version"]
    earlier = read(without | {"updated_at": "2020-04-16T23:20:00Z"})
    later = read(without)
    assert earlier.observations[0].ordering_key < later.observations[0].ordering_key
    assert earlier.observations[0].event_key != later.observations[0].event_key


def test_two_reads_of_one_version_are_one_statement() -> None:
    keys = [[o.event_key for o in read(order()).observations] for _ in range(2)]
    assert keys[0] == keys[1]
    assert len(set(keys[0])) == len(keys[0])


def test_a_delivery_is_joined_by_its_courier_id() -> None:
    entry = one_fulfillment(
        "RESERVED",
        "DELIVERY",
        external_delivery_id="del_1",
        schedule_type="ASAP",
        deliver_at="2026-03-14T19:00:00Z",
        cancel_reason="guest called",
    )
    update = read(order(fulfillments=[entry]))
    assert ("external_delivery_id", "del_1") in update.aliases
    data = update.observations[0].data
    assert data["times"]["est_delivery_at"] == "2026-03-14T19:00:00+00:00"
    assert data["fulfillment"]["type"] == "delivery"
    assert data["reason"] == {"code": "other", "text": "guest called"}


@pytest.mark.parametrize(
    ("state", "kind", "details", "at"),
    [
        ("PROPOSED", "PICKUP", {"placed_at": "2026-03-14T18:00:00Z"}, 0),
        ("RESERVED", "PICKUP", {"accepted_at": "2026-03-14T18:01:00Z"}, 1),
        ("RESERVED", "DELIVERY", {"in_progress_at": "2026-03-14T18:02:00Z"}, 2),
        ("PREPARED", "DELIVERY", {"ready_at": "2026-03-14T18:03:00Z"}, 3),
        ("COMPLETED", "PICKUP", {"picked_up_at": "2026-03-14T18:04:00Z"}, 4),
        ("COMPLETED", "DELIVERY", {"delivered_at": "2026-03-14T18:05:00Z"}, 5),
        ("COMPLETED", "DELIVERY", {"completed_at": "2026-03-14T18:06:00Z"}, 6),
        ("CANCELED", "PICKUP", {"canceled_at": "2026-03-14T18:07:00Z"}, 7),
        ("CANCELED", "PICKUP", {"rejected_at": "2026-03-14T18:08:00Z"}, 8),
        ("FAILED", "PICKUP", {"expired_at": "2026-03-14T18:09:00Z"}, 9),
    ],
)
def test_stage_times_say_when(state: str, kind: str, details: dict[str, str], at: int) -> None:
    part = read(order(fulfillments=[one_fulfillment(state, kind, **details)])).observations[2]
    assert part.occurred_at == datetime(2026, 3, 14, 18, at, tzinfo=UTC)
    assert part.occurred_at_basis == "event"


def test_a_fulfilment_of_everything_contains_everything() -> None:
    entry = one_fulfillment("RESERVED") | {"line_item_application": "ALL"}
    part = read(order(fulfillments=[entry])).observations[2]
    assert part.data["label"] == "Harvest Bowl, Miso Salmon Bowl"
    assert part.data["contents"] == [
        {"item_id": "li-harvest", "quantity": 1},
        {"item_id": "li-miso", "quantity": 1},
    ]


def test_a_known_courier_is_named_and_makes_no_trip() -> None:
    entry = one_fulfillment("PREPARED", "DELIVERY", courier_provider_name="DoorDash")
    update = read(order(fulfillments=[entry]))
    shown = project(update.observations)
    assert (shown.courier, shown.legs, shown.state) == ({"name": "DoorDash"}, (), "ready")


def test_a_modifier_may_come_more_than_once() -> None:
    line = {
        "uid": "1",
        "name": "Ramen",
        "quantity": "2.5",
        "modifiers": [{"name": "Egg", "quantity": "2"}, {"name": "No onion", "quantity": "1"}, {}],
    }
    assert read(order(line_items=[line])).observations[0].data["items"] == [
        {"id": "1", "label": "Ramen", "quantity": 2.5, "modifiers": ["2 x Egg", "No onion"]}
    ]


def test_one_fulfilment_listed_twice_is_one_part() -> None:
    entry = one_fulfillment("RESERVED")
    update = read(order(fulfillments=[entry, entry]))
    assert len([o for o in update.observations if o.scope == "part"]) == 1


def test_the_guest_is_the_one_who_can_be_reached() -> None:
    named = one_fulfillment("PROPOSED", recipient={"display_name": "Ana"})
    known = one_fulfillment("PROPOSED", recipient={"phone_number": "+12025550143"})
    customer = read(order(fulfillments=[named, known | {"uid": "f2"}])).customer
    assert customer == Customer(phone="+12025550143")


def test_a_window_beyond_the_end_of_time_ends_where_it_begins() -> None:
    entry = one_fulfillment(
        "PROPOSED",
        schedule_type="SCHEDULED",
        pickup_at="9999-12-31T23:30:00Z",
        pickup_window_duration="PT1H",
    )
    times = read(order(fulfillments=[entry])).observations[0].data["times"]
    assert times["promised_until"] == times["promised_at"] == "9999-12-31T23:30:00+00:00"


@pytest.mark.parametrize("length", ["P401D", "PT" + "9" * 30 + "H", "PT", "1 hour", 60, None, [1]])
def test_what_is_no_length_of_time_is_none(length: Any) -> None:
    entry = one_fulfillment(
        "PROPOSED",
        schedule_type="SCHEDULED",
        pickup_at="2026-03-15T16:00:00Z",
        pickup_window_duration=length,
    )
    times = read(order(fulfillments=[entry])).observations[0].data["times"]
    assert times["promised_until"] == times["promised_at"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"[1]", "expected an object, got a list"),
        (b'{"type": "order.updated"}', "data.id: missing"),
        (b'{"type": "order.updated", "data": {"id": "' + b"x" * 201 + b'"}}', "longer than 200"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a": NaN}', "not JSON"),
        (b"\xff\xfe", "not JSON"),
    ],
    ids=["empty", "list", "no id", "long id", "deep", "NaN", "bytes"],
)
def test_unreadable_bodies_say_what_is_wrong(body: bytes, words: str) -> None:
    with pytest.raises(PayloadMalformed, match=words):
        source().parse(call(body))
    assert source().event_key(call(body)).startswith("body|")


def test_other_events_are_ignored() -> None:
    with pytest.raises(EventIgnored, match=r"payment\.updated"):
        source().parse(call({"type": "payment.updated", "event_id": "e"}))


def test_unstorable_characters_are_dropped() -> None:
    body = order(ticket_name="4\x002\ud800")
    raw = json.dumps({"order": body}).encode()
    answer = answered({})
    updates = source().parse_resource(follow_up(), type(answer)(200, {}, raw), NOW)
    assert updates[0].display == "42"


def test_polling_lists_orders_of_the_configured_locations() -> None:
    since = datetime(2026, 3, 14, 18, tzinfo=UTC)
    assert source().poll(since) is None
    request = source(settings={"location_ids": "L1, L2"}).poll(since)
    assert request is not None
    asked = json.loads(request.body)
    assert asked["location_ids"] == ["L1", "L2"]
    assert asked["query"]["sort"] == {"sort_field": "UPDATED_AT", "sort_order": "ASC"}
    assert asked["query"]["filter"]["date_time_filter"]["updated_at"] == {
        "start_at": "2026-03-14T18:00:00+00:00"
    }
    polled = source().parse_poll(answered({"orders": [order(), order(state="DRAFT")]}), NOW)
    assert polled == [read(order())]


def test_a_long_answer_goes_on_where_it_ended() -> None:
    square = source(settings={"location_ids": "L1"})
    first = square.poll(datetime(2026, 3, 14, 18, tzinfo=UTC))
    assert first is not None
    second = square.poll_next(first, answered({"orders": [], "cursor": "c-1"}))
    assert second is not None
    assert json.loads(second.body) == {**json.loads(first.body), "cursor": "c-1"}
    assert (second.method, second.url, second.headers) == (first.method, first.url, first.headers)
    assert square.poll_next(second, answered({"orders": []})) is None
    # a cursor that leads nowhere else would be asked for ever
    assert square.poll_next(second, answered({"orders": [], "cursor": "c-1"})) is None
    assert square.poll_next(second, answered({"orders": [], "cursor": {}})) is None
