"""Every word of couriers, marketplaces and aggregators that stands for a state.

One row a word: source, stream, the word, the kind of order where it decides ("*" = nobody says the
kind), our state. Nothing is a word that is known and moves nothing. What makes a payload say the
word is below the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest

from integrations.contracts import FollowUp, Observation, OrderUpdate
from integrations.registry import source_class
from orders.projection import project
from tests.integrations.sources.payload_files import NOW, answered, body_of, call, follow_up

Key = tuple[str, str]
#: source, stream -> (track, scope, ordering class)
PLACES: Mapping[Key, tuple[str, str, str]] = {
    ("olo", "order"): ("commercial", "order", "ranked"),
    ("uber_eats", "order.current_state"): ("commercial", "order", "ranked"),
    ("uber_eats", "notice"): ("commercial", "order", "ranked"),
    ("uber_eats", "deliveries[].current_state"): ("courier", "leg", "ranked"),
    ("uber_eats", "dapi"): ("courier", "leg", "ranked"),
    ("uber_eats", "dapi.order_status"): ("courier", "leg", "ranked"),
    ("uber_eats", "direct.status"): ("courier", "leg", "ranked"),
    ("doordash", "marketplace.order"): ("commercial", "order", "ranked"),
    ("doordash", "marketplace.dasher_status"): ("courier", "leg", "ranked"),
    ("doordash", "drive.event_name"): ("courier", "leg", "ranked"),
    ("doordash", "drive.delivery_status"): ("courier", "leg", "ranked"),
    ("deliverect", "order_status"): ("kitchen", "order", "sequenced"),
    ("deliverect", "courier_status"): ("courier", "leg", "ranked"),
    ("grubhub", "connect.delivery"): ("courier", "leg", "ranked"),
    ("grubhub", "marketplace.order"): ("commercial", "order", "ranked"),
    ("otter", "order.status"): ("commercial", "order", "sequenced"),
    ("otter", "orderStatusHistory"): ("commercial", "order", "sequenced"),
    ("otter", "event"): ("commercial", "order", "sequenced"),
    ("otter", "courierStatus"): ("courier", "leg", "ranked"),
    ("otter", "deliveryStatus"): ("courier", "leg", "ranked"),
    ("cloudevents", "order"): ("kitchen", "order", "sequenced"),
    ("cloudevents", "part"): ("kitchen", "part", "sequenced"),
    ("cloudevents", "leg"): ("courier", "leg", "sequenced"),
}


class Row(NamedTuple):
    source: str
    stream: str
    word: str
    kind: str
    state: str | None


TABLE = """\
olo|order|OrderPlaced||received
olo|order|OrderPickedUp||picked_up
uber_eats|order.current_state|CREATED||received
uber_eats|order.current_state|ACCEPTED||accepted
uber_eats|order.current_state|DENIED||cancelled
uber_eats|order.current_state|FINISHED|PICK_UP|picked_up
uber_eats|order.current_state|FINISHED|DINE_IN|
uber_eats|order.current_state|FINISHED|DELIVERY_BY_UBER|delivered
uber_eats|order.current_state|FINISHED|DELIVERY_BY_RESTAURANT|delivered
uber_eats|order.current_state|FINISHED|*|delivered
uber_eats|order.current_state|CANCELED||cancelled
uber_eats|order.current_state|UNKNOWN||
uber_eats|notice|orders.notification||received
uber_eats|notice|orders.scheduled.notification||received
uber_eats|notice|orders.cancel||cancelled
uber_eats|notice|orders.failure||cancelled
uber_eats|notice|orders.release||
uber_eats|notice|order.fulfillment_issues.resolved||
uber_eats|deliveries[].current_state|SCHEDULED||
uber_eats|deliveries[].current_state|EN_ROUTE_TO_PICKUP||
uber_eats|deliveries[].current_state|ARRIVED_AT_PICKUP||
uber_eats|deliveries[].current_state|EN_ROUTE_TO_DROPOFF||out_for_delivery
uber_eats|deliveries[].current_state|ARRIVED_AT_DROPOFF||out_for_delivery
uber_eats|deliveries[].current_state|COMPLETED||delivered
uber_eats|deliveries[].current_state|FAILED||failed
uber_eats|dapi|SCHEDULED||
uber_eats|dapi|EN_ROUTE_TO_DROPOFF||out_for_delivery
uber_eats|dapi|COMPLETED||delivered
uber_eats|dapi|FAILED||failed
uber_eats|dapi.order_status|ACTIVE||
uber_eats|dapi.order_status|COMPLETED||delivered
uber_eats|dapi.order_status|FAILED||failed
uber_eats|direct.status|pending||
uber_eats|direct.status|pickup||
uber_eats|direct.status|pickup_complete||out_for_delivery
uber_eats|direct.status|dropoff||out_for_delivery
uber_eats|direct.status|delivered||delivered
uber_eats|direct.status|canceled||failed
uber_eats|direct.status|returned||failed
doordash|marketplace.order|NEW||received
doordash|marketplace.order|(order cancelled)||cancelled
doordash|marketplace.order|(order release)||
doordash|marketplace.dasher_status|dasher_confirmed||
doordash|marketplace.dasher_status|arriving_at_store||
doordash|marketplace.dasher_status|arrived_at_store||
doordash|marketplace.dasher_status|dasher_out_for_delivery||out_for_delivery
doordash|marketplace.dasher_status|dropoff||delivered
doordash|drive.event_name|DASHER_CONFIRMED||
doordash|drive.event_name|DASHER_ENROUTE_TO_PICKUP||
doordash|drive.event_name|dasher_enroute_to_pickup||
doordash|drive.event_name|DASHER_CONFIRMED_PICKUP_ARRIVAL||
doordash|drive.event_name|DASHER_PICKED_UP||out_for_delivery
doordash|drive.event_name|DASHER_ENROUTE_TO_DROPOFF||out_for_delivery
doordash|drive.event_name|dasher_enroute_to_dropoff||out_for_delivery
doordash|drive.event_name|DASHER_CONFIRMED_DROPOFF_ARRIVAL||out_for_delivery
doordash|drive.event_name|DASHER_DROPPED_OFF||delivered
doordash|drive.event_name|DELIVERY_CANCELLED||failed
doordash|drive.event_name|DELIVERY_RETURN_INITIALIZED||failed
doordash|drive.event_name|DASHER_ENROUTE_TO_RETURN||failed
doordash|drive.event_name|dasher_enroute_to_return||failed
doordash|drive.event_name|DASHER_CONFIRMED_RETURN_ARRIVAL||failed
doordash|drive.event_name|DELIVERY_RETURNED||failed
doordash|drive.event_name|DELIVERY_BATCHED||
doordash|drive.event_name|DELIVERY_ATTEMPTED||
doordash|drive.delivery_status|quote||
doordash|drive.delivery_status|created||
doordash|drive.delivery_status|confirmed||
doordash|drive.delivery_status|enroute_to_pickup||
doordash|drive.delivery_status|arrived_at_pickup||
doordash|drive.delivery_status|picked_up||out_for_delivery
doordash|drive.delivery_status|enroute_to_dropoff||out_for_delivery
doordash|drive.delivery_status|arrived_at_dropoff||out_for_delivery
doordash|drive.delivery_status|delivered||delivered
doordash|drive.delivery_status|enroute_to_return||failed
doordash|drive.delivery_status|arrived_at_return||failed
doordash|drive.delivery_status|returned||failed
doordash|drive.delivery_status|cancelled||failed
deliverect|order_status|1||received
deliverect|order_status|2||received
deliverect|order_status|3||received
deliverect|order_status|4||received
deliverect|order_status|5||received
deliverect|order_status|6||received
deliverect|order_status|7||received
deliverect|order_status|10||received
deliverect|order_status|20||accepted
deliverect|order_status|25||received
deliverect|order_status|30||
deliverect|order_status|35||cancelled
deliverect|order_status|40||accepted
deliverect|order_status|50||preparing
deliverect|order_status|60||ready
deliverect|order_status|70||ready
deliverect|order_status|90||
deliverect|order_status|95||
deliverect|order_status|100||cancelled
deliverect|order_status|110||cancelled
deliverect|order_status|120||failed
deliverect|courier_status|80||
deliverect|courier_status|81||
deliverect|courier_status|83||
deliverect|courier_status|84||
deliverect|courier_status|85||
deliverect|courier_status|87||out_for_delivery
deliverect|courier_status|89||out_for_delivery
deliverect|courier_status|90||delivered
deliverect|courier_status|115||failed
grubhub|connect.delivery|CREATED||
grubhub|connect.delivery|ASSIGNED||
grubhub|connect.delivery|UNASSIGNED||
grubhub|connect.delivery|COURIER_AT_PICKUP||
grubhub|connect.delivery|PICKUP_VERIFICATION||
grubhub|connect.delivery|PICKED_UP||out_for_delivery
grubhub|connect.delivery|IN_TRANSIT||out_for_delivery
grubhub|connect.delivery|COURIER_AT_DROPOFF||out_for_delivery
grubhub|connect.delivery|DELIVERED||delivered
grubhub|connect.delivery|PROOF_OF_DELIVERY||
grubhub|connect.delivery|RETURN_INITIATED||failed
grubhub|connect.delivery|RETURN_COMPLETED||failed
grubhub|connect.delivery|CANCELED||failed
grubhub|marketplace.order|RESTAURANT_CONFIRMABLE||received
grubhub|marketplace.order|CONFIRMED||accepted
grubhub|marketplace.order|REJECTED||cancelled
otter|order.status|NEW_ORDER||received
otter|order.status|CONFIRMED||accepted
otter|order.status|PREPARED||ready
otter|order.status|PICKED_UP|PICKUP|picked_up
otter|order.status|PICKED_UP|DINE_IN|
otter|order.status|PICKED_UP|DRIVE_THROUGH|picked_up
otter|order.status|PICKED_UP|DELIVERY|out_for_delivery
otter|order.status|PICKED_UP|RESTAURANT_DELIVERY|out_for_delivery
otter|order.status|PICKED_UP|*|out_for_delivery
otter|order.status|FULFILLED|PICKUP|picked_up
otter|order.status|FULFILLED|DINE_IN|
otter|order.status|FULFILLED|DRIVE_THROUGH|picked_up
otter|order.status|FULFILLED|DELIVERY|delivered
otter|order.status|FULFILLED|*|delivered
otter|order.status|CANCELED||cancelled
otter|order.status|REJECTED||cancelled
otter|order.status|UNKNOWN||
otter|orderStatusHistory|ORDER_ACCEPTED||accepted
otter|orderStatusHistory|ORDER_READY_TO_PICKUP||ready
otter|orderStatusHistory|ORDER_HANDED_OFF|PICKUP|picked_up
otter|orderStatusHistory|ORDER_HANDED_OFF|DRIVE_THROUGH|picked_up
otter|orderStatusHistory|ORDER_HANDED_OFF|DINE_IN|
otter|orderStatusHistory|ORDER_HANDED_OFF|DELIVERY|out_for_delivery
otter|orderStatusHistory|ORDER_HANDED_OFF|*|out_for_delivery
otter|orderStatusHistory|ORDER_FULFILLED|PICKUP|picked_up
otter|orderStatusHistory|ORDER_FULFILLED|DELIVERY|delivered
otter|orderStatusHistory|ORDER_FULFILLED|*|delivered
otter|event|orders.confirm||accepted
otter|event|orders.order_ready||ready
otter|event|orders.order_handed_off|PICKUP|picked_up
otter|event|orders.order_handed_off|DRIVE_THROUGH|picked_up
otter|event|orders.order_handed_off|DINE_IN|
otter|event|orders.order_handed_off|DELIVERY|out_for_delivery
otter|event|orders.order_handed_off|*|out_for_delivery
otter|event|orders.order_fulfilled|PICKUP|picked_up
otter|event|orders.order_fulfilled|RESTAURANT_DELIVERY|delivered
otter|event|orders.order_fulfilled|*|delivered
otter|event|orders.cancel_order||cancelled
otter|courierStatus|COURIER_ASSIGNED||
otter|courierStatus|COURIER_ON_ROUTE_TO_PICKUP||
otter|courierStatus|COURIER_ARRIVED||
otter|courierStatus|COURIER_PICKED_UP_FOOD||out_for_delivery
otter|courierStatus|COURIER_COMPLETED||delivered
otter|deliveryStatus|REQUESTED||
otter|deliveryStatus|ALLOCATED||
otter|deliveryStatus|ARRIVED_AT_PICKUP||
otter|deliveryStatus|PICKED_UP||out_for_delivery
otter|deliveryStatus|ARRIVED_AT_DROP_OFF||out_for_delivery
otter|deliveryStatus|COMPLETED||delivered
otter|deliveryStatus|CANCELED||failed
cloudevents|order|received||received
cloudevents|order|accepted||accepted
cloudevents|order|preparing||preparing
cloudevents|order|ready||ready
cloudevents|order|out_for_delivery||out_for_delivery
cloudevents|order|delivered||delivered
cloudevents|order|picked_up||picked_up
cloudevents|order|cancelled||cancelled
cloudevents|order|failed||failed
cloudevents|part|received||received
cloudevents|part|accepted||accepted
cloudevents|part|preparing||preparing
cloudevents|part|ready||ready
cloudevents|part|out_for_delivery||out_for_delivery
cloudevents|part|delivered||delivered
cloudevents|part|picked_up||picked_up
cloudevents|part|cancelled||cancelled
cloudevents|part|failed||failed
cloudevents|leg|out_for_delivery||out_for_delivery
cloudevents|leg|delivered||delivered
cloudevents|leg|cancelled||cancelled
cloudevents|leg|failed||failed
"""
ROWS = [Row(*line.split("|")[:4], line.split("|")[4] or None) for line in TABLE.splitlines()]
#: words these streams are known by cannot be unknown: another event is no news
CLOSED = frozenset({("uber_eats", "notice"), ("otter", "event")})
Found = list[OrderUpdate]


def read(key: str, body: Any, **headers: str) -> Found:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    found = source_class(key)({}).parse(call(body, named))
    return [one for one in found if isinstance(one, OrderUpdate)]


def fetched(key: str, body: Any, **context: str) -> Found:
    asked: FollowUp = follow_up(**context)
    return source_class(key)({}).parse_resource(asked, answered(body), NOW)


# --- payloads that say the word ----------------------------------------------------------------


def olo(stream: str, word: str, kind: str) -> Found:
    body = body_of("olo", "order_placed_partial")
    return read("olo", body, X_Olo_Event_Type=word, X_Olo_Message_Id="m-1")


def uber_eats(stream: str, word: str, kind: str) -> Found:
    if stream == "notice":
        return read("uber_eats", body_of("uber_eats", "orders_cancel") | {"event_type": word})
    if stream == "dapi":
        event = body_of("uber_eats", "dapi_status_changed")
        event["meta"]["status"] = word
        return read("uber_eats", event)
    if stream == "dapi.order_status":
        return fetched("uber_eats", {"order_id": "o", "order_status": word})
    if stream == "direct.status":
        event = body_of("uber_eats", "direct_delivery_status_delivered") | {"status": word}
        return read("uber_eats", event)
    order = body_of("uber_eats", "get_order_courier_en_route")
    if stream == "order.current_state":
        order |= {"current_state": word, "type": None if kind == "*" else kind, "deliveries": []}
    else:
        order["deliveries"][0]["current_state"] = word
    return fetched("uber_eats", order)


def doordash(stream: str, word: str, kind: str) -> Found:
    if stream == "marketplace.order":
        notices = {"(order cancelled)": "cancel", "(order release)": "release"}
        if word in notices:
            return read("doordash", body_of("doordash", f"marketplace_order_{notices[word]}"))
        order = body_of("doordash", "marketplace_order_create")
        order["event"]["status"] = word
        return read("doordash", order)
    if stream == "marketplace.dasher_status":
        body = body_of("doordash", "marketplace_dasher_status_dropoff")
        body["delivery"]["dasher_status"] = word
        return read("doordash", body)
    if stream == "drive.event_name":
        body = body_of("doordash", "drive_dasher_confirmed") | {"event_name": word}
        return read("doordash", body)
    return fetched("doordash", {"external_delivery_id": "d", "delivery_status": word})


def deliverect(stream: str, word: str, kind: str) -> Found:
    code = int(word) if word.isdecimal() else word
    if stream == "order_status":
        return read(
            "deliverect", body_of("deliverect", "order_status_20_accepted") | {"status": code}
        )
    return read("deliverect", body_of("deliverect", "courier_update_87") | {"status": code})


def grubhub(stream: str, word: str, kind: str) -> Found:
    if stream == "marketplace.order":
        return read("grubhub", {"order_uuid": "u", "status": word})
    body = body_of("grubhub", "delivery_created")
    body["delivery"]["events"] = [{"type": word, "timestamp": "2024-05-28T00:00:00Z"}]
    return read("grubhub", body)


def otter(stream: str, word: str, kind: str) -> Found:
    if stream == "deliveryStatus":
        body = body_of("otter", "delivery_status_update_picked_up")
        body["metadata"]["payload"] |= {"deliveryStatus": word, "status": word}
        return read("otter", body)
    known = body_of("otter", "orders_new_order")
    payload = known["metadata"]["payload"]
    payload |= {"status": "UNKNOWN"}
    info = payload["fulfillmentInfo"]
    info["fulfillmentMode"] = None if kind == "*" else kind or "DELIVERY"
    if stream in ("order.status", "courierStatus"):
        holder = payload if stream == "order.status" else info
        holder["status" if stream == "order.status" else stream] = word
        return read("otter", known)
    # the event does not say of which kind the order is, the order that is known does
    if stream == "event":
        told = body_of("otter", "orders_order_ready") | {"eventType": word}
    else:
        told = body_of("otter", "orders_order_status_update")
        told["metadata"]["payload"]["orderStatusHistory"] = [{"status": word}]
    return [*read("otter", known), *read("otter", told)]


def cloudevents(stream: str, word: str, kind: str) -> Found:
    body = body_of("cloudevents", "structured_2_preparing")
    data = {"order": {"id": "WEB-1042"}}
    if stream == "order":
        body["data"] = {**data, "state": word}
    else:
        body["data"] = {**data, f"{stream}s": [{"id": "x", "state": word}]}
    return read("cloudevents", body, Content_Type="application/cloudevents+json")


SAY: Mapping[str, Callable[[str, str, str], Found]] = {
    "olo": olo,
    "uber_eats": uber_eats,
    "doordash": doordash,
    "deliverect": deliverect,
    "grubhub": grubhub,
    "otter": otter,
    "cloudevents": cloudevents,
}


# --- the rows ----------------------------------------------------------------------------------


def stated(updates: Found, place: tuple[str, str, str]) -> Observation:
    """The last statement at ``place``."""
    said = [o for update in updates for o in update.observations]
    return [o for o in said if (o.track, o.scope, o.ordering_class) == place][-1]


@pytest.mark.parametrize(
    "row", ROWS, ids=[f"{r.source}-{r.stream}-{r.word}-{r.kind}" for r in ROWS]
)
def test_a_word_means_its_state(row: Row) -> None:
    updates = SAY[row.source](row.stream, row.word, row.kind)
    assert [word for update in updates for word in update.unknown_states] == []
    one = stated(updates, PLACES[row.source, row.stream])
    if "state_by" not in one.data:
        assert one.state == row.state
    # a delivery that is merely going on hides no courier's own word
    assert one.native_state.casefold() == ("" if row.word == "ACTIVE" else row.word.casefold())
    if one.scope == "order":
        shown = project([o for update in updates for o in update.observations])
        assert shown.state == (row.state or "received")


def test_each_row_stands_once_and_each_stream_has_rows() -> None:
    assert len({row[:4] for row in ROWS}) == len(ROWS)
    assert {(row.source, row.stream) for row in ROWS} == set(PLACES)


@pytest.mark.parametrize(("source", "stream"), [key for key in PLACES if key not in CLOSED])
def test_a_word_nobody_knows_is_reported_and_moves_nothing(source: str, stream: str) -> None:
    updates = SAY[source](stream, "SIMMERING", "PICKUP")
    unknown = [word for update in updates for word in update.unknown_states]
    assert [word.rpartition(" ")[2] for word in unknown] == ["SIMMERING"]
    assert stated(updates, PLACES[source, stream]).state is None
