"""Every word of tills and shops that stands for a state, said by the adapter that reads it.

One row a word: source, stream, the word (and the fulfilment type where it matters), our state. None
is a word that is known and moves nothing. What makes a payload say the word is below the table.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, NamedTuple

import pytest

from integrations.contracts import FollowUp, Observation, OrderUpdate, Source
from integrations.errors import EventIgnored
from integrations.registry import source_class
from orders.projection import project
from tests.integrations.sources.payload_files import NOW, answered, body_of, call, follow_up

Key = tuple[str, str]
#: source, stream -> (track, scope, ordering class)
PLACES: Mapping[Key, tuple[str, str, str]] = {
    ("square", "fulfillment"): ("kitchen", "part", "sequenced"),
    ("square", "order"): ("commercial", "order", "sequenced"),
    ("toast", "order.approvalStatus"): ("commercial", "order", "sequenced"),
    ("toast", "order.voided"): ("commercial", "order", "sequenced"),
    ("toast", "selection.fulfillmentStatus"): ("kitchen", "part", "sequenced"),
    ("toast", "selection.voided"): ("kitchen", "part", "sequenced"),
    ("toast", "deliveryInfo.deliveryState"): ("courier", "leg", "sequenced"),
    ("toast", "guestOrderStatus"): ("kitchen", "order", "sequenced"),
    ("clover", "order"): ("commercial", "order", "sequenced"),
    ("clover", "change"): ("commercial", "order", "sequenced"),
    ("clover", "lineItem.printed"): ("kitchen", "part", "sequenced"),
    ("lightspeed", "order"): ("kitchen", "order", "ranked"),
    ("shopify", "order"): ("commercial", "order", "sequenced"),
    ("shopify", "fulfillment_order"): ("kitchen", "part", "sequenced"),
    ("shopify", "prepared"): ("kitchen", "part", "sequenced"),
    ("shopify", "fulfillment_event"): ("courier", "leg", "sequenced"),
    ("shopify", "ready_event"): ("kitchen", "part", "sequenced"),
    ("woocommerce", "order"): ("commercial", "order", "sequenced"),
}


class Row(NamedTuple):
    source: str
    stream: str
    word: str
    kind: str
    state: str | None


TABLE = """\
square|fulfillment|PROPOSED|PICKUP|received
square|fulfillment|RESERVED|PICKUP|preparing
square|fulfillment|PREPARED|DELIVERY|ready
square|fulfillment|COMPLETED|PICKUP|picked_up
square|fulfillment|COMPLETED|DELIVERY|delivered
square|fulfillment|COMPLETED|SHIPMENT|
square|fulfillment|CANCELED|PICKUP|cancelled
square|fulfillment|FAILED|DELIVERY|failed
square|order|OPEN||
square|order|COMPLETED||
square|order|CANCELED||cancelled
toast|order.approvalStatus|NEEDS_APPROVAL||received
toast|order.approvalStatus|FUTURE||received
toast|order.approvalStatus|APPROVED||accepted
toast|order.approvalStatus|NOT_APPROVED||cancelled
toast|order.voided|true||cancelled
toast|selection.fulfillmentStatus|NEW||accepted
toast|selection.fulfillmentStatus|HOLD||accepted
toast|selection.fulfillmentStatus|SENT||preparing
toast|selection.fulfillmentStatus|READY||ready
toast|selection.voided|true||cancelled
toast|deliveryInfo.deliveryState|PENDING||
toast|deliveryInfo.deliveryState|IN_PROGRESS||out_for_delivery
toast|deliveryInfo.deliveryState|PICKED_UP||out_for_delivery
toast|deliveryInfo.deliveryState|DELIVERED||delivered
toast|guestOrderStatus|RECEIVED||received
toast|guestOrderStatus|IN_PREPARATION||preparing
toast|guestOrderStatus|READY_FOR_PICKUP||ready
toast|guestOrderStatus|CLOSED||
toast|guestOrderStatus|VOIDED||cancelled
clover|order|open||received
clover|order|locked||accepted
clover|change|DELETE||cancelled
clover|lineItem.printed|true||preparing
clover|lineItem.printed|false||
lightspeed|order|SUCCESS||accepted
lightspeed|order|FAILURE||failed
lightspeed|order|READY_FOR_PICKUP||ready
lightspeed|order|IN_DELIVERY||
lightspeed|order|DELIVERED||
lightspeed|order|CLOSED||
lightspeed|order|ABANDONED||cancelled
lightspeed|order|CANCELLED||cancelled
shopify|order|created||received
shopify|order|financial_status=paid||accepted
shopify|order|financial_status=pending||
shopify|order|financial_status=refunded||
shopify|order|cancelled_at||cancelled
shopify|order|fulfillment_status=partial||
shopify|order|fulfillment_status=fulfilled||
shopify|fulfillment_order|scheduled|pick_up|accepted
shopify|fulfillment_order|open|local|accepted
shopify|fulfillment_order|on_hold|pick_up|accepted
shopify|fulfillment_order|in_progress|local|preparing
shopify|fulfillment_order|closed|pick_up|picked_up
shopify|fulfillment_order|closed|local|
shopify|fulfillment_order|closed|shipping|
shopify|fulfillment_order|cancelled|pick_up|cancelled
shopify|fulfillment_order|incomplete|local|failed
shopify|prepared|line_items_prepared_for_pickup|pick_up|ready
shopify|prepared|line_items_prepared_for_local_delivery|local|ready
shopify|fulfillment_event|label_purchased||
shopify|fulfillment_event|label_printed||
shopify|fulfillment_event|confirmed||
shopify|fulfillment_event|carrier_picked_up||out_for_delivery
shopify|fulfillment_event|in_transit||out_for_delivery
shopify|fulfillment_event|out_for_delivery||out_for_delivery
shopify|fulfillment_event|attempted_delivery||
shopify|fulfillment_event|delayed||
shopify|fulfillment_event|delivered||delivered
shopify|fulfillment_event|failure||failed
shopify|ready_event|ready_for_pickup||ready
woocommerce|order|pending|flat_rate|received
woocommerce|order|on-hold|flat_rate|received
woocommerce|order|processing|flat_rate|accepted
woocommerce|order|completed|local_pickup|picked_up
woocommerce|order|completed|flat_rate|delivered
woocommerce|order|cancelled|flat_rate|cancelled
woocommerce|order|refunded|flat_rate|cancelled
woocommerce|order|failed|flat_rate|failed
woocommerce|order|trash|flat_rate|
"""
ROWS = [
    Row(*words[:4], words[4] or None)  # type: ignore[call-arg]
    for words in (line.split("|") for line in TABLE.splitlines())
]
#: source, stream, word of what is no order yet
HIDDEN = [
    ("square", "order", "DRAFT"),
    ("clover", "order", ""),
    ("woocommerce", "order", "checkout-draft"),
    ("woocommerce", "order", "auto-draft"),
]
#: true or false, or the name of the event itself: there is no other word
CLOSED = frozenset(
    {"order.voided", "selection.voided", "lineItem.printed", "change", "prepared", "ready_event"}
)
SETTINGS = {
    "clover": {"merchant_tokens": "M=t", "printed_means": "preparing"},
    "shopify": {"shop_domain": "sample-shop.myshopify.com", "access_token": "t"},
}


def adapter(key: str) -> Source:
    return source_class(key)(SETTINGS.get(key, {}))


def parsed(key: str, body: Any, **headers: str) -> list[OrderUpdate | FollowUp]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return adapter(key).parse(call(body, named))


def fetched(key: str, body: Any, asked: FollowUp | None = None) -> list[OrderUpdate | FollowUp]:
    about = asked or follow_up(merchant="M", restaurant="R")
    return list(adapter(key).parse_resource(about, answered(body), NOW))


# --- payloads that say the word ----------------------------------------------------------------


def square(stream: str, word: str, kind: str) -> list[OrderUpdate | FollowUp]:
    order = copy.deepcopy(body_of("square", "get_order_two_pickups")["order"])
    if stream == "order":
        order |= {"state": word, "fulfillments": []}
    else:
        order["fulfillments"] = [{"uid": "f1", "type": kind, "state": word}]
    return fetched("square", {"order": order})


def toast(stream: str, word: str, kind: str) -> list[OrderUpdate | FollowUp]:
    if stream == "guestOrderStatus":
        body = body_of("toast", "guest_order_fulfillment_status_ready")
        body["details"]["guestOrderStatus"] = word
        return parsed("toast", body)
    body = body_of("toast", "order_updated_2_sent_to_kitchen")
    order = body["details"]["order"]
    place, _, member = stream.rpartition(".")
    value = True if word == "true" else word
    if place == "order":
        order[member] = value
    elif place == "deliveryInfo":
        order["deliveryInfo"] = {member: value}
    else:
        order["checks"][0]["selections"] = order["checks"][0]["selections"][:1]
        order["checks"][0]["selections"][0][member] = value
    return parsed("toast", body)


def clover(stream: str, word: str, kind: str) -> list[OrderUpdate | FollowUp]:
    if stream == "change":
        change = {"objectId": "O:1", "type": word, "ts": 1537971999000}
        return parsed("clover", {"merchants": {"M": [change]}})
    order = body_of("clover", "get_order_open")
    if stream == "order":
        order |= {"state": word or None, "lineItems": None}
    else:
        order["lineItems"] = {"elements": [{"id": "L1", "printed": word == "true"}]}
    return fetched("clover", order)


def lightspeed(stream: str, word: str, kind: str) -> list[OrderUpdate | FollowUp]:
    return parsed("lightspeed", {"thirdPartyReference": "WEB-1042", "status": word})


def shopify(stream: str, word: str, kind: str) -> list[OrderUpdate | FollowUp]:
    if stream == "order":
        order = body_of("shopify", "orders_create")
        order |= {"financial_status": None, "fulfillment_status": None, "created_at": None}
        name, _, value = word.partition("=")
        if word == "created":
            order["created_at"] = order["updated_at"]
        else:
            order[name] = value or order["updated_at"]
        return parsed("shopify", order, X_Shopify_Topic="orders/updated")
    if stream == "fulfillment_event":
        event = body_of("shopify", "fulfillment_events_create_in_transit") | {"status": word}
        return parsed("shopify", event, X_Shopify_Topic="fulfillment_events/create")
    if stream == "fulfillment_order":
        part = body_of("shopify", "get_order_fulfillment_orders")["fulfillment_orders"][0]
        part |= {"status": word, "delivery_method": {"method_type": kind}}
        part["line_items"][0]["fulfillable_quantity"] = 0 if word == "closed" else 1
        return fetched("shopify", {"fulfillment_orders": [part]})
    answer = body_of("shopify", "graphql_two_parts")
    node = answer["data"]["node"]
    nodes = node["order"]["fulfillmentOrders"]["nodes"]
    nodes[:] = [nodes[0] | {"deliveryMethod": {"methodType": kind.upper() or "PICK_UP"}}]
    if stream == "prepared":
        thin = {"fulfillment_order": {"id": nodes[0]["id"]}}
        (asked,) = parsed("shopify", thin, X_Shopify_Topic=f"fulfillment_orders/{word}")
    else:
        node["fulfillmentOrders"] = {"nodes": [{"id": nodes[0]["id"]}]}
        event = body_of("shopify", "fulfillment_events_create_in_transit") | {"status": word}
        _, asked = parsed("shopify", event, X_Shopify_Topic="fulfillment_events/create")
    assert isinstance(asked, FollowUp)
    return fetched("shopify", answer, asked)


def woocommerce(stream: str, word: str, kind: str) -> list[OrderUpdate | FollowUp]:
    order = body_of("woocommerce", "order_created_processing")
    order |= {"status": word, "shipping_lines": [{"method_id": kind}]}
    return parsed("woocommerce", order, X_WC_Webhook_Topic="order.updated")


SAY: Mapping[str, Callable[[str, str, str], list[OrderUpdate | FollowUp]]] = {
    "square": square,
    "toast": toast,
    "clover": clover,
    "lightspeed": lightspeed,
    "shopify": shopify,
    "woocommerce": woocommerce,
}


# --- the rows ----------------------------------------------------------------------------------


def updates(source: str, stream: str, word: str, kind: str) -> list[OrderUpdate]:
    return [one for one in SAY[source](stream, word, kind) if isinstance(one, OrderUpdate)]


def at_place(update: OrderUpdate, place: tuple[str, str, str]) -> list[Observation]:
    return [o for o in update.observations if (o.track, o.scope, o.ordering_class) == place]


@pytest.mark.parametrize(
    "row", ROWS, ids=[f"{r.source}-{r.stream}-{r.word}-{r.kind}" for r in ROWS]
)
def test_a_word_means_its_state(row: Row) -> None:
    (update,) = updates(row.source, row.stream, row.word, row.kind)
    assert update.unknown_states == ()
    stated = at_place(update, PLACES[row.source, row.stream])
    assert row.state in {o.state for o in stated} | ({None} if row.state is None else set())
    if row.state is None:
        assert {o.state for o in stated} <= {None}
    if row.word == "delayed":
        assert [o.data["flags"] for o in stated] == [{"delayed": True}]
        assert "delayed" in project(update.observations).flags


@pytest.mark.parametrize(("source", "stream", "word"), HIDDEN)
def test_what_is_no_order_yet_says_nothing(source: str, stream: str, word: str) -> None:
    ignoring = pytest.raises(EventIgnored, match="no order yet")
    with ignoring if source == "woocommerce" else nullcontext():
        assert updates(source, stream, word, "") == []


@pytest.mark.parametrize(("source", "stream"), [key for key in PLACES if key[1] not in CLOSED])
def test_a_word_nobody_knows_is_reported(source: str, stream: str) -> None:
    word = "financial_status=bartered" if (source, stream) == ("shopify", "order") else "SIMMERING"
    (update,) = updates(source, stream, word, "PICKUP")
    assert [one.rpartition(" ")[2] for one in update.unknown_states] == [word]
    assert {o.state for o in at_place(update, PLACES[source, stream])} <= {None}
