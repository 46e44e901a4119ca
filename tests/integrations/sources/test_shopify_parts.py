"""Shopify's fulfilment orders: parts with contents, thin events about them, splits and merges."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from integrations.contracts import FollowUp, InboundCall, Observation, OrderUpdate, ordering_key
from integrations.errors import PayloadMalformed, TransientError
from integrations.sources.shopify import Shopify
from integrations.sources.shopify_graphql import number_of
from integrations.sources.shopify_parts import PREPARED, STATES
from orders.projection import project
from tests.integrations.sources.payload_files import (
    NOW,
    answered,
    body_of,
    call,
    follow_up,
    load,
)

SETTINGS = {
    "shop_domain": "sample-shop.myshopify.com",
    "client_secret": "secret",
    "access_token": "shpat_test",
}
PREPARED_FOR_PICKUP = "fulfillment_orders/line_items_prepared_for_pickup"
ORDER = "450789469"
BOWL, SOUP, MERGED = "1046000780", "1046000782", "1046000781"


def source(status_map: Any = None) -> Shopify:
    return Shopify(SETTINGS, status_map=status_map)


def entry(status: str = "open", method: str | None = "pick_up", **changes: Any) -> dict[str, Any]:
    """One fulfilment order as the REST API lists it."""
    found = copy.deepcopy(
        body_of("shopify", "get_order_fulfillment_orders")["fulfillment_orders"][0]
    )
    found |= {"status": status, "delivery_method": {"method_type": method} if method else None}
    if status == "closed":
        found["line_items"][0]["fulfillable_quantity"] = 0
    result: dict[str, Any] = found | changes
    return result


def listed(*entries: dict[str, Any], status_map: Any = None, **context: str) -> OrderUpdate:
    answer = answered({"fulfillment_orders": list(entries)})
    (update,) = source(status_map).parse_resource(follow_up(**context), answer, NOW)
    return update


def parts_of(update: OrderUpdate) -> dict[str, list[Observation]]:
    found: dict[str, list[Observation]] = {}
    for one in update.observations:
        if one.scope == "part":
            found.setdefault(one.ref, []).append(one)
    return found


def only_part(update: OrderUpdate) -> Observation:
    ((part,),) = parts_of(update).values()
    return part


def thin(topic: str, **body: Any) -> FollowUp:
    headers = {
        "X-Shopify-Topic": f"fulfillment_orders/{topic}",
        "X-Shopify-Triggered-At": "2025-07-02T16:40:00.123456789Z",
    }
    (asked,) = source().parse(call(body, headers))
    assert isinstance(asked, FollowUp)
    return asked


def gid(number: str) -> str:
    return f"gid://shopify/FulfillmentOrder/{number}"


def whole(asked: FollowUp, **changes: Any) -> OrderUpdate:
    """The answer about an order with two parts and one merged away; ``changes`` per part."""
    answer = body_of("shopify", "graphql_two_parts")
    for node in answer["data"]["node"]["order"]["fulfillmentOrders"]["nodes"]:
        node |= changes.get(f"_{number_of(node['id'])}", {})
    (update,) = source().parse_resource(asked, answered(answer), NOW)
    return update


# --- the list ---------------------------------------------------------------


def test_the_sample_is_one_accepted_part() -> None:
    update = listed(body_of("shopify", "get_order_fulfillment_orders")["fulfillment_orders"][0])
    snapshot, part = update.observations
    assert update.order_id == ORDER
    assert update.location_id == "24826418"
    assert snapshot.snapshot_parts == (BOWL,)
    assert (snapshot.track, snapshot.scope, snapshot.state) == ("kitchen", "order", None)
    assert (part.track, part.scope, part.ref) == ("kitchen", "part", BOWL)
    assert (part.native_state, part.state) == ("open", "accepted")
    assert part.ordering_key == ordering_key(datetime(2025, 7, 2, 16, 22, 25, tzinfo=UTC))
    assert part.data == {
        "kind": "fulfillment",
        "contents": [{"item_id": "518995019", "quantity": 1}],
    }


def test_lines_get_the_names_the_order_gave_them() -> None:
    labels = json.dumps({"518995019": "Poke Bowl"})
    assert only_part(listed(entry(), lines=labels)).data["label"] == "Poke Bowl"
    assert "label" not in only_part(listed(entry(), lines='{"518995019": 5.5}')).data


@pytest.mark.parametrize(
    ("status", "method", "state"),
    [
        ("scheduled", "pick_up", "accepted"),
        ("open", "pick_up", "accepted"),
        ("on_hold", "local", "accepted"),
        ("in_progress", "pick_up", "preparing"),
        ("closed", "pick_up", "picked_up"),
        ("closed", "local", None),
        ("closed", "shipping", None),
        ("closed", None, None),
        ("cancelled", "pick_up", "cancelled"),
        ("incomplete", "local", "failed"),
    ],
)
def test_part_states(status: str, method: str | None, state: str | None) -> None:
    update = listed(entry(status, method))
    assert only_part(update).state == state
    assert update.unknown_states == ()
    assert status in STATES


def test_an_unknown_status_is_reported_until_it_is_mapped() -> None:
    strange = listed(entry("simmering"))
    assert strange.unknown_states == ("fulfillment_order simmering",)
    assert only_part(strange).state is None
    mapped = listed(entry("simmering"), status_map={"fulfillment_order": {"simmering": "ready"}})
    assert only_part(mapped).state == "ready"
    assert mapped.unknown_states == ()


@pytest.mark.parametrize(
    ("method", "shipping", "kind"),
    [
        ("pick_up", "", "pickup"),
        ("local", "", "delivery"),
        ("shipping", "", "shipping"),
        (None, "pickup", "pickup"),
        ("none", "", None),
        (None, "", None),
    ],
)
def test_how_it_is_handed_over(method: str | None, shipping: str, kind: str | None) -> None:
    update = listed(entry("open", method), shipping=shipping)
    facts = [o.data["fulfillment"] for o in update.observations if "fulfillment" in o.data]
    assert facts == ([{"type": kind, "scheduled": False}] if kind else [])


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("Store Pickup", "pickup"),
        ("Click & collect", "pickup"),
        ("Local Delivery", "delivery"),
        ("Free Shipping", ""),
        (None, ""),
    ],
)
def test_shipping_lines_speak_where_parts_do_not(title: str | None, kind: str) -> None:
    body = body_of("shopify", "orders_create") | {"shipping_lines": [{"title": title}]}
    _, asked = source().parse(call(body, {"X-Shopify-Topic": "orders/create"}))
    assert isinstance(asked, FollowUp)
    assert asked.context["shipping"] == kind


def test_the_promise_is_the_latest_start_and_end_of_open_parts() -> None:
    soon = entry(
        "scheduled", fulfill_at="2025-07-02T18:00:00-05:00", fulfill_by="2025-07-02T18:30:00-05:00"
    )
    over = entry("cancelled", id=2, fulfill_at="2025-07-02T23:00:00-05:00")
    facts = next(o.data for o in listed(soon, over).observations if "times" in o.data)
    assert facts == {
        "fulfillment": {"type": "pickup", "scheduled": True},
        "times": {
            "promised_at": "2025-07-02T23:00:00+00:00",
            "promised_until": "2025-07-02T23:30:00+00:00",
        },
    }


def test_an_order_without_parts_says_nothing_yet() -> None:
    answer = answered({"fulfillment_orders": []})
    assert source().parse_resource(follow_up(), answer, NOW) == []


def test_reading_twice_gives_the_same_statements() -> None:
    assert listed(entry()) == listed(entry())
    keys = [o.event_key for o in listed(entry(), entry(id=2)).observations]
    assert len(set(keys)) == len(keys)


# --- thin events ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "word", "number"),
    [
        (
            "fulfillment_orders_line_items_prepared_for_pickup",
            "line_items_prepared_for_pickup",
            BOWL,
        ),
        (
            "fulfillment_orders_line_items_prepared_for_local_delivery",
            "line_items_prepared_for_local_delivery",
            MERGED,
        ),
    ],
)
def test_a_thin_event_asks_for_the_order_of_its_part(name: str, word: str, number: str) -> None:
    found = load("shopify", name)
    (asked,) = source().parse(call(found["body"], found["headers"]))
    assert isinstance(asked, FollowUp)
    assert asked.request.method == "POST"
    assert asked.request.url == ("https://sample-shop.myshopify.com/admin/api/2026-07/graphql.json")
    assert asked.request.headers["X-Shopify-Access-Token"] == "shpat_test"
    assert json.loads(asked.request.body)["variables"] == {"id": gid(number)}
    assert asked.coalesce_key == f"{word}:{number}"
    # a burst about one part must not lose that it was prepared
    other = thin("split", fulfillment_order={"id": gid(number)})
    assert other.coalesce_key != asked.coalesce_key


@pytest.mark.parametrize("word", [w for w in PREPARED if w.startswith("line_items")])
def test_prepared_is_ready_for_that_part_only(word: str) -> None:
    update = whole(thin(word, fulfillment_order={"id": gid(BOWL)}))
    cooking, ready = parts_of(update)[BOWL]
    assert update.order_id == ORDER
    assert (cooking.native_state, cooking.state) == ("in_progress", "preparing")
    assert (ready.native_state, ready.state) == (word, "ready")
    assert ready.ordering_key == cooking.ordering_key
    assert ready.occurred_at == datetime(2025, 7, 2, 16, 40, 0, 123456, tzinfo=UTC)
    assert [o.state for o in parts_of(update)[SOUP]] == ["accepted"]
    projection = project(update.observations)
    assert {p.ref: p.state for p in projection.named_parts} == {BOWL: "ready", SOUP: "accepted"}
    assert projection.state == "preparing"


def test_the_answer_names_parts_and_their_contents() -> None:
    update = whole(thin("split", fulfillment_order={"id": gid(BOWL)}))
    bowl, soup = parts_of(update)[BOWL][0], parts_of(update)[SOUP][0]
    assert bowl.data == {
        "kind": "fulfillment",
        "label": "Poke Bowl (Large)",
        "contents": [{"item_id": "518995019", "quantity": 1}],
    }
    assert soup.data["label"] == "Miso Soup"
    assert soup.data["contents"] == [{"item_id": "703073504", "quantity": 2}]
    facts = next(o.data for o in update.observations if "times" in o.data)
    assert facts["times"] == {
        "promised_at": "2025-07-02T16:45:00+00:00",
        "promised_until": "2025-07-02T17:00:00+00:00",
    }


def test_a_part_that_went_on_meanwhile_is_not_called_back_to_ready() -> None:
    asked = thin("line_items_prepared_for_pickup", fulfillment_order={"id": gid(BOWL)})
    lines = {"nodes": [{"totalQuantity": 1, "remainingQuantity": 0}]}
    taken = whole(asked, _1046000780={"status": "CLOSED", "lineItems": lines})
    assert [o.state for o in parts_of(taken)[BOWL]] == ["picked_up"]
    off = whole(asked, _1046000780={"status": "CANCELLED"})
    assert [o.state for o in parts_of(off)[BOWL]] == ["cancelled"]


def test_a_reopened_part_is_no_longer_ready() -> None:
    asked = thin("line_items_prepared_for_pickup", fulfillment_order={"id": gid(BOWL)})
    ready = whole(asked)
    again = thin("manually_reported_progress_stopped", fulfillment_order={"id": gid(BOWL)})
    back = whole(again, _1046000780={"status": "OPEN", "updatedAt": "2025-07-02T16:50:00Z"})
    for said in ([ready, back], [back, ready]):
        projection = project(o for update in said for o in update.observations)
        assert {p.ref: p.state for p in projection.named_parts}[BOWL] == "accepted"


def test_merged_away_is_removed_and_not_picked_up() -> None:
    before = listed(entry(id=int(BOWL)), entry(id=int(MERGED)), entry(id=int(SOUP)), lines="{}")
    after = whole(
        thin(
            "merged",
            fulfillment_order_merges={"fulfillment_order": {"id": gid(BOWL)}},
            merge_intents=[{"fulfillment_order_id": int(MERGED)}],
        )
    )
    assert MERGED not in parts_of(after)
    assert after.observations[0].snapshot_parts == (BOWL, SOUP)
    for said in ([before, after], [after, before]):
        states = {
            p.ref: p.state
            for p in project(o for update in said for o in update.observations).named_parts
        }
        assert states == {BOWL: "preparing", SOUP: "accepted", MERGED: "removed"}


def test_a_list_that_goes_on_elsewhere_removes_nothing() -> None:
    answer = body_of("shopify", "graphql_two_parts")
    order = answer["data"]["node"]["order"]
    order["fulfillmentOrders"]["pageInfo"]["hasNextPage"] = True
    lines = order["fulfillmentOrders"]["nodes"][0]["lineItems"]
    lines["pageInfo"]["hasNextPage"] = True
    asked = thin("split", fulfillment_order={"id": gid(BOWL)})
    (update,) = source().parse_resource(asked, answered(answer), NOW)
    assert update.observations[0].snapshot_parts is None
    assert "contents" not in parts_of(update)[BOWL][0].data
    assert "contents" in parts_of(update)[SOUP][0].data


def test_a_cancelled_part_is_replaced_and_not_lost() -> None:
    asked = thin(
        "cancelled",
        fulfillment_order={"id": gid(BOWL)},
        replacement_fulfillment_order={"id": gid(SOUP)},
    )
    update = whole(asked, _1046000780={"status": "CANCELLED"})
    assert parts_of(update)[SOUP][0].data["replaces"] == BOWL
    assert "replaces" not in parts_of(update)[BOWL][0].data


@pytest.mark.parametrize(
    ("topic", "body", "number"),
    [
        ("moved", {"original_fulfillment_order": {"id": gid("1")}}, "1"),
        (
            "moved",
            {
                "original_fulfillment_order": {"id": gid("1")},
                "moved_fulfillment_order": {"id": gid("2")},
            },
            "2",
        ),
        ("split", {"fulfillment_order": {"id": gid("1")}}, "1"),
        (
            "split",
            {
                "fulfillment_order": {"id": gid("1")},
                "remaining_fulfillment_order": {"id": gid("3")},
            },
            "3",
        ),
        ("merged", {"fulfillment_order_merges": {"fulfillment_order": {"id": gid("4")}}}, "4"),
        ("merged", {"fulfillment_order_merges": [{"fulfillment_order": {"id": 5}}]}, "5"),
        ("merged", {"merge_intents": [{"fulfillment_order_id": 6}]}, "6"),
        ("rescheduled", {"fulfillment_order": {"id": 7}}, "7"),
        ("placed_on_hold", {"fulfillment_order": {"id": gid("8")}}, "8"),
        ("hold_released", {"fulfillment_order": {"id": gid("8")}}, "8"),
        ("order_routing_complete", {"fulfillment_order": {"id": gid("9")}}, "9"),
    ],
)
def test_where_events_name_a_part(topic: str, body: dict[str, Any], number: str) -> None:
    asked = thin(topic, **body)
    assert json.loads(asked.request.body)["variables"]["id"] == gid(number)


def test_global_and_plain_ids_are_one_id() -> None:
    assert number_of("gid://shopify/Order/450789469?x=1") == number_of(450789469) == ORDER
    assert number_of(9223372036854775807) == "9223372036854775807"
    assert number_of(None) == number_of("gid://shopify/Order/") == ""


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"errors": [{"message": "x", "extensions": {"code": "ACCESS_DENIED"}}]}, "ACCESS_DENIED"),
        ({"errors": "Not Found"}, "unnamed"),
        ({"data": {"node": None}}, r"data\.node\.order\.id: missing"),
        ({"fulfillment_orders": [{"id": 1}]}, "updated_at: missing"),
        ({"fulfillment_orders": [{}]}, "id: missing"),
        ({"order": None}, "order: expected an object"),
        ([], "expected an object"),
    ],
)
def test_answers_that_cannot_be_read_say_why(answer: Any, words: str) -> None:
    with pytest.raises(PayloadMalformed, match=words):
        source().parse_resource(follow_up(), answered(answer), NOW)


@pytest.mark.parametrize("code", ["THROTTLED", "INTERNAL_SERVER_ERROR", "TIMEOUT"])
def test_what_passes_by_itself_is_asked_again(code: str) -> None:
    answer = {"errors": [{"message": "x", "extensions": {"code": code}}]}
    with pytest.raises(TransientError, match=code):
        source().parse_resource(follow_up(), answered(answer), NOW)
    with pytest.raises(TransientError, match=code):
        source().parse_poll(answered(answer), NOW)
    mixed = {"errors": [*answer["errors"], {"extensions": {"code": "ACCESS_DENIED"}}]}
    with pytest.raises(PayloadMalformed, match="ACCESS_DENIED"):
        source().parse_poll(answered(mixed), NOW)


def test_a_part_taken_back_since_is_not_called_ready() -> None:
    asked = thin("line_items_prepared_for_pickup", fulfillment_order={"id": gid(BOWL)})
    back = whole(asked, _1046000780={"status": "OPEN", "updatedAt": "2025-07-02T16:50:00Z"})
    assert [o.state for o in parts_of(back)[BOWL]] == ["accepted"]
    # the same status from before the event: prepared without having been begun
    still = whole(asked, _1046000780={"status": "OPEN", "updatedAt": "2025-07-02T16:30:00Z"})
    assert [o.state for o in parts_of(still)[BOWL]] == ["accepted", "ready"]


def test_half_a_label_is_none() -> None:
    lines = [{"line_item_id": number, "quantity": 1} for number in (1, 2)]
    both = json.dumps({"1": "Poke Bowl", "2": "Miso Soup"})
    assert only_part(listed(entry(line_items=lines), lines=both)).data["label"] == (
        "Poke Bowl, Miso Soup"
    )
    assert (
        "label" not in only_part(listed(entry(line_items=lines), lines='{"1": "Poke Bowl"}')).data
    )


# --- polled ---------------------------------------------------------------


def changed(*nodes: dict[str, Any]) -> list[OrderUpdate]:
    answer = {"data": {"fulfillmentOrders": {"nodes": list(nodes)}}}
    return source().parse_poll(answered(answer), NOW)


def node(order: str, place: int, **changes: Any) -> dict[str, Any]:
    nodes = body_of("shopify", "graphql_two_parts")["data"]["node"]["order"]["fulfillmentOrders"]
    return {**nodes["nodes"][place], "order": {"id": f"gid://shopify/Order/{order}"}, **changes}


def test_parts_that_changed_are_read_by_order_and_remove_nothing() -> None:
    first, other = changed(node("1", 0), node("2", 1), node("1", 1))
    assert (first.order_id, other.order_id) == ("1", "2")
    assert [o.ref for o in first.observations if o.scope == "part"] == [BOWL, SOUP]
    assert [o.snapshot_parts for o in first.observations if o.kind == "snapshot"] == [None] * 3
    # half the parts of an order promise nothing for all of it
    assert not any("times" in o.data for o in first.observations)


def test_a_polled_part_says_what_a_fetched_one_said() -> None:
    fetched = whole(thin("split", fulfillment_order={"id": gid(BOWL)}))
    (polled,) = changed(node(ORDER, 0), node(ORDER, 1))
    parts = {o.event_key for o in fetched.observations if o.scope == "part"}
    assert {o.event_key for o in polled.observations if o.scope == "part"} == parts
    told = project(fetched.observations)
    again = project([*fetched.observations, *polled.observations])
    assert (again.parts, again.promised_at) == (told.parts, told.promised_at)


def test_changes_without_an_order_are_left_out() -> None:
    nobodys = [node(ORDER, 0) | {"order": order} for order in (None, {}, {"id": 5.5}, "x")]
    assert changed(*nobodys) == []


# --- ready by a courier's event ---------------------------------------------------------------


def _ready(topic: str) -> InboundCall:
    if topic == "fulfillments/update":
        body = body_of("shopify", "fulfillments_create") | {"shipment_status": "ready_for_pickup"}
    else:
        body = body_of("shopify", "fulfillment_events_create_in_transit")
        body |= {"status": "ready_for_pickup"}
    return call(body, {"X-Shopify-Topic": topic})


@pytest.mark.parametrize(
    ("topic", "number", "stamp"),
    [
        ("fulfillment_events/create", "255858046", "2025-07-02T11:39:28-05:00"),
        ("fulfillments/update", "1069019878", "2025-07-02T11:38:43-05:00"),
    ],
)
def test_ready_for_pickup_is_the_kitchens_word(topic: str, number: str, stamp: str) -> None:
    note, asked, *_ = source().parse(_ready(topic))
    assert isinstance(note, OrderUpdate)
    assert [(o.scope, o.state) for o in note.observations] == [("order", None)]
    assert isinstance(asked, FollowUp)
    assert asked.coalesce_key == f"ready_for_pickup:{number}"
    variables = json.loads(asked.request.body)["variables"]
    assert variables == {"id": f"gid://shopify/Fulfillment/{number}"}
    answer = body_of("shopify", "graphql_two_parts")
    answer["data"]["node"]["fulfillmentOrders"] = {"nodes": [{"id": gid(SOUP)}]}
    (update,) = source().parse_resource(asked, answered(answer), NOW)
    ready = parts_of(update)[SOUP][1]
    assert (ready.track, ready.scope, ready.state) == ("kitchen", "part", "ready")
    assert ready.native_state == "ready_for_pickup"
    assert ready.ordering_key == ordering_key(datetime.fromisoformat(stamp))
    assert len(parts_of(update)[BOWL]) == 1
