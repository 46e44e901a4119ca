"""The stand-ins of shops and ordering sites, read by our own adapters over real HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from integrations.contracts import FollowUp, HttpRequest, OrderUpdate, Source
from integrations.errors import EventIgnored, SignatureInvalid
from integrations.sources.olo import Olo
from integrations.sources.shopify import Shopify
from integrations.sources.woocommerce import WooCommerce
from tests.integrations.sandbox.calls import Client, Receiver, login
from tests.integrations.sources.payload_files import body_of

WOO = {
    "site_url": "https://shop.example.com",
    "webhook_secret": "woo-secret",
    "consumer_key": "ck_1",
    "consumer_secret": "cs_1",
}
SHOPIFY = {
    "shop_domain": "lucky-bowl.myshopify.com",
    "client_secret": "shopify-secret",
    "access_token": "shpat_1",
}
SHOPIFY_API = "/shopify/admin/api/2026-07"
TOKEN = {"X-Shopify-Access-Token": "shpat_1"}
OLO = {"shared_secret": "olo-secret"}
WOO_ORDERS = "/woocommerce/wp-json/wc/v3/orders"
NOW = datetime(2026, 3, 14, 18, 5, tzinfo=UTC)


def read(source: Source, receiver: Receiver) -> OrderUpdate:
    """The next call as our adapter sees it: verified, read, one update first."""
    call = receiver.next().as_call()
    source.verify(call)
    update = source.parse(call)[0]
    assert isinstance(update, OrderUpdate)
    return update


def emit(client: Client, vendor: str, **wanted: Any) -> None:
    assert client.control("POST", "emit", {"vendor": vendor, **wanted})["status"] == 200


# --- woocommerce -------------------------------------------------------------------------------


def plant_woo(client: Client, number: str = "727", **changes: Any) -> dict[str, Any]:
    order: dict[str, Any] = body_of("woocommerce", "order_created_processing")
    order |= {"id": int(number), **changes}
    client.control("PUT", f"woocommerce/orders/{number}", order)
    return order


def test_our_woocommerce_source_reads_emitted_orders(client: Client, receiver: Receiver) -> None:
    client.register("woocommerce", WOO)
    plant_woo(client, billing={"first_name": "Zoë", "email": "zoe@example.com"})
    emit(client, "woocommerce", order_id="727", type="order.created")
    call = receiver.next().as_call()
    source = WooCommerce(WOO, base_url=f"{client.url}/woocommerce")
    source.verify(call)
    with pytest.raises(SignatureInvalid):
        WooCommerce({**WOO, "webhook_secret": "other"}).verify(call)
    (update,) = source.parse(call)
    assert isinstance(update, OrderUpdate)
    assert update.observations[0].state == "accepted"
    assert update.customer is not None
    assert update.customer.name == "Zoë"


def test_a_deleted_woocommerce_order_comes_as_its_id(client: Client, receiver: Receiver) -> None:
    client.register("woocommerce", WOO)
    plant_woo(client)
    emit(client, "woocommerce", order_id="727", type="order.deleted")
    received = receiver.next()
    assert received.json == {"id": 727}
    (update,) = WooCommerce(WOO).parse(received.as_call())
    assert isinstance(update, OrderUpdate)
    assert update.observations[0].state is None


def test_woocommerce_pings_before_it_sends(client: Client, receiver: Receiver) -> None:
    client.register("woocommerce", WOO)
    assert client.control("POST", "woocommerce/ping") == {"status": 200, "active": True}
    ping = receiver.next()
    assert ping.form == {"webhook_id": "5"}
    assert "x-wc-webhook-signature" not in ping.headers
    reply = WooCommerce(WOO).handshake(ping.as_call())
    assert reply is not None
    assert reply.status == 200
    receiver.statuses = [202]
    assert client.control("POST", "woocommerce/ping") == {"status": 202, "active": False}


def test_woocommerce_lists_what_changed(client: Client) -> None:
    client.register("woocommerce", WOO)
    plant_woo(client, "1", date_modified_gmt="2026-03-14T17:00:00")
    plant_woo(client, "2", date_modified_gmt="2026-03-14T18:00:01")
    source = WooCommerce(WOO, base_url=f"{client.url}/woocommerce")
    request = source.poll(datetime(2026, 3, 14, 18, tzinfo=UTC))
    assert request is not None
    polled = source.parse_poll(client.send(request), NOW)
    assert [update.order_id for update in polled] == ["2"]


def test_woocommerce_checks_keys_and_ids(client: Client) -> None:
    client.register("woocommerce", WOO)
    order = plant_woo(client)
    assert client.get(f"{WOO_ORDERS}/727", **login("ck_1", "cs_1")).json_object() == order
    refused = client.get(f"{WOO_ORDERS}/727", **login("ck_1", "no"))
    assert (refused.status, refused.json_object()["code"]) == (401, "woocommerce_rest_cannot_view")
    assert client.get(f"{WOO_ORDERS}/9", **login("ck_1", "cs_1")).status == 404
    query = f"{WOO_ORDERS}?modified_after=2026-03-14T18:00:00"
    assert client.get(query, **login("ck_1", "cs_1")).status == 400
    never = {"vendor": "woocommerce", "order_id": "9"}
    assert client.try_control("POST", "emit", never).status == 400


# --- olo -----------------------------------------------------------------------------------------


def test_our_olo_source_reads_emitted_events(client: Client, receiver: Receiver) -> None:
    client.register("olo", OLO)
    data = {"items": [{"productId": 1, "quantity": 2}], "deliveryMethod": "pickup"}
    emit(client, "olo", order_id="123", data=data)
    update = read(Olo(OLO), receiver)
    assert (update.order_id, update.observations[0].state) == ("123", "received")
    emit(client, "olo", order_id="123", type="OrderPickedUp", event_id="m-9")
    call = receiver.next().as_call()
    with pytest.raises(SignatureInvalid):
        Olo({"shared_secret": "other"}).verify(call)
    assert Olo(OLO).event_key(call) == "m-9"


def test_an_olo_test_event_is_signed_and_ignored(client: Client, receiver: Receiver) -> None:
    client.register("olo", OLO)
    emit(client, "olo", type="Test")
    call = receiver.next().as_call()
    Olo(OLO).verify(call)
    with pytest.raises(EventIgnored):
        Olo(OLO).parse(call)


def test_an_old_olo_event_is_stale(client: Client, receiver: Receiver) -> None:
    client.register("olo", OLO)
    emit(client, "olo", order_id="123", ticks="635616089149791951")
    with pytest.raises(SignatureInvalid, match="s old"):
        Olo(OLO).verify(receiver.next().as_call())


@pytest.mark.parametrize("wanted", [{}, {"order_id": "1", "data": "none"}])
def test_impossible_olo_events_are_refused(
    client: Client, receiver: Receiver, wanted: dict[str, Any]
) -> None:
    client.register("olo", OLO)
    assert client.try_control("POST", "emit", {"vendor": "olo", **wanted}).status == 400
    assert receiver.calls.empty()


# --- shopify -------------------------------------------------------------------------------------


def plant_shopify(client: Client) -> None:
    """Order 450789469 with one part in the making, and a fulfilment of that part."""
    order = body_of("shopify", "orders_create")
    client.control("PUT", "shopify/orders/450789469", order)
    part = body_of("shopify", "get_order_fulfillment_orders")["fulfillment_orders"][0]
    part |= {"status": "in_progress", "delivery_method": {"method_type": "pick_up"}}
    client.control("PUT", "shopify/fulfillment_orders/1046000780", part)
    fulfillment = body_of("shopify", "fulfillments_create")
    fulfillment["fulfillment_order_ids"] = [1046000780]
    client.control("PUT", "shopify/fulfillments/1069019878", fulfillment)


def follow(client: Client, receiver: Receiver) -> list[OrderUpdate]:
    """The next call read by our adapter, and everything it asks for fetched."""
    source = Shopify(SHOPIFY, base_url=f"{client.url}/shopify")
    call = receiver.next().as_call()
    source.verify(call)
    updates: list[OrderUpdate] = []
    for entry in source.parse(call):
        if isinstance(entry, FollowUp):
            updates += source.parse_resource(entry, client.send(entry.request), NOW)
        else:
            updates.append(entry)
    return updates


def part_states(updates: list[OrderUpdate]) -> list[str | None]:
    return [o.state for update in updates for o in update.observations if o.scope == "part"]


def test_our_shopify_source_follows_an_order_to_its_parts(
    client: Client, receiver: Receiver
) -> None:
    client.register("shopify", SHOPIFY)
    plant_shopify(client)
    emit(client, "shopify", order_id="450789469", type="orders/create")
    order, parts = follow(client, receiver)
    assert order.order_id == parts.order_id == "450789469"
    assert part_states([order, parts]) == ["preparing"]
    emit(client, "shopify", order_id="450789469", type="orders/edited")
    note, fetched, parts = follow(client, receiver)
    assert note.observations[0].kind == "contents"
    assert len(fetched.observations[0].data["items"]) == 1


def test_our_shopify_source_finds_the_order_of_a_part(client: Client, receiver: Receiver) -> None:
    client.register("shopify", SHOPIFY)
    plant_shopify(client)
    topic = "fulfillment_orders/line_items_prepared_for_pickup"
    emit(client, "shopify", part_id="1046000780", type=topic)
    (update,) = follow(client, receiver)
    assert update.order_id == "450789469"
    assert part_states([update]) == ["preparing", "ready"]


def test_our_shopify_source_reads_couriers(client: Client, receiver: Receiver) -> None:
    client.register("shopify", SHOPIFY)
    plant_shopify(client)
    about = {"order_id": 450789469, "fulfillment_id": 1069019878}
    event = {"type": "fulfillment_events/create", **about}
    emit(client, "shopify", **event, status="out_for_delivery")
    (update,) = follow(client, receiver)
    assert [o.state for o in update.observations] == ["out_for_delivery"]
    emit(client, "shopify", **event, status="ready_for_pickup")
    note, parts = follow(client, receiver)
    assert part_states([note, parts]) == ["preparing", "ready"]
    emit(client, "shopify", type="fulfillments/create", fulfillment_id="1069019878")
    assert len(follow(client, receiver)) == 2


def test_shopify_lists_what_changed(client: Client) -> None:
    client.register("shopify", SHOPIFY)
    plant_shopify(client)
    source = Shopify(SHOPIFY, base_url=f"{client.url}/shopify")
    for since, ids in ((2008, ["450789469"]), (2020, [])):
        request = source.poll(datetime(since, 1, 1, tzinfo=UTC))
        assert request is not None
        assert [u.order_id for u in source.parse_poll(client.send(request), NOW)] == ids


def test_shopify_checks_tokens_and_ids(client: Client) -> None:
    client.register("shopify", SHOPIFY)
    plant_shopify(client)
    for path in ("orders.json", "orders/450789469.json", "orders/1/fulfillment_orders.json"):
        assert client.get(f"{SHOPIFY_API}/{path}").status == 401
        assert client.get(f"{SHOPIFY_API}/{path}", **TOKEN).status == 200
    assert client.get(f"{SHOPIFY_API}/orders/9.json", **TOKEN).status == 404
    url = f"{SHOPIFY_API}/graphql.json"
    assert client.send(HttpRequest.post(url, json_body={})).status == 401
    bad = client.send(HttpRequest.post(url, json_body={}, headers=TOKEN)).json_object()
    assert bad["errors"][0]["extensions"]["code"] == "INVALID_VARIABLE"
    unknown = {"variables": {"id": "gid://shopify/FulfillmentOrder/9"}}
    answer = client.send(HttpRequest.post(url, json_body=unknown, headers=TOKEN)).json_object()
    assert answer == {"data": {"node": None}}


@pytest.mark.parametrize(
    "wanted",
    [
        {"order_id": "9"},
        {"type": "fulfillment_orders/split", "part_id": "9"},
        {"type": "fulfillments/create"},
        {"type": "fulfillment_events/create", "order_id": 1},
    ],
)
def test_impossible_shopify_events_are_refused(
    client: Client, receiver: Receiver, wanted: dict[str, Any]
) -> None:
    client.register("shopify", SHOPIFY)
    assert client.try_control("POST", "emit", {"vendor": "shopify", **wanted}).status == 400
    assert receiver.calls.empty()
