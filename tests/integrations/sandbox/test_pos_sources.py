"""The stand-ins of tills, read by our own adapters over real HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from integrations.contracts import FollowUp, HttpRequest, OrderUpdate, Source
from integrations.errors import EventIgnored, SignatureInvalid
from integrations.sources.clover import Clover
from integrations.sources.lightspeed import Lightspeed
from integrations.sources.toast import Toast
from tests.integrations.sandbox.calls import Client, Receiver
from tests.integrations.sources.payload_files import body_of

LIGHTSPEED = {"username": "username", "password": "password", "endpoint_id": "MINE"}
TOAST = {
    "secret": "toast-secret",
    "access_token": "toast-token",
    "restaurant_guid": "0cd990c9-fd74-461d-8468-de2a0919ccbb",
}
CLOVER = {"auth_code": "clover-code", "merchant_tokens": "M1=clover-token"}
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


# --- lightspeed --------------------------------------------------------------------------------


def test_our_lightspeed_source_reads_notifications(client: Client, receiver: Receiver) -> None:
    client.register("lightspeed", LIGHTSPEED)
    emit(client, "lightspeed", order_id="WEB-1042", status="READY_FOR_PICKUP")
    update = read(Lightspeed(LIGHTSPEED), receiver)
    assert (update.order_id, update.observations[0].state) == ("WEB-1042", "ready")
    assert update.location_id == "247158188015618"
    emit(client, "lightspeed", order_id="WEB-1042")
    with pytest.raises(SignatureInvalid):
        Lightspeed({**LIGHTSPEED, "password": "other"}).verify(receiver.next().as_call())
    refused = client.try_control("POST", "emit", {"vendor": "lightspeed"})
    assert (refused.status, receiver.calls.empty()) == (400, True)


def test_a_lightspeed_endpoint_decides_what_it_is_told(client: Client, receiver: Receiver) -> None:
    client.register("lightspeed", LIGHTSPEED)
    path = "/lightspeed/o/wh/1/webhook"

    def put(body: Any) -> int:
        made = HttpRequest.post(path, json_body=body)
        return client.send(HttpRequest("PUT", made.url, made.headers, made.body)).status

    endpoint = body_of("lightspeed", "webhook_endpoint_registration") | {"endpointId": "MINE"}
    assert [put({}), put(endpoint | {"withBasicAuth": False}), put(endpoint)] == [400, 400, 200]
    assert client.get(f"{path}/other").status == 404
    assert "password" not in client.get(f"{path}/MINE").json_object()
    emit(client, "lightspeed", order_id="WEB-1042", status="FAILURE", reason="till is off")
    update = read(Lightspeed(LIGHTSPEED), receiver)
    assert update.display == "Order 1042"
    assert update.observations[0].data["reason"]["text"] == "till is off"


# --- toast -------------------------------------------------------------------------------------


def plant_toast(client: Client, **changes: Any) -> dict[str, Any]:
    order: dict[str, Any] = body_of("toast", "order_updated_3_first_bowl_ready")["details"]["order"]
    guest = body_of("toast", "get_order_customer_excerpt")
    order["checks"][0]["customer"] = guest["checks"][0]["customer"]
    order |= {"externalId": "WEB-1042", **changes}
    client.control("PUT", f"toast/orders/{order['guid']}", order)
    return order


def test_our_toast_source_reads_webhooks_and_fetches_guests(
    client: Client, receiver: Receiver
) -> None:
    client.register("toast", TOAST)
    source = Toast(TOAST, base_url=f"{client.url}/toast")
    order = plant_toast(client)
    emit(client, "toast", order_id=order["guid"])
    update = read(source, receiver)
    assert {o.state for o in update.observations if o.scope == "part"} == {"ready", "preparing"}
    assert update.aliases == ()
    assert update.customer is None

    waiting = {**order, "checks": [{**order["checks"][0], "selections": []}]}
    client.control("PUT", f"toast/orders/{order['guid']}", waiting)
    emit(client, "toast", order_id=order["guid"])
    call = receiver.next().as_call()
    with pytest.raises(SignatureInvalid):
        Toast({**TOAST, "secret": "other"}).verify(call)
    _, asked = source.parse(call)
    assert isinstance(asked, FollowUp)
    (fetched,) = source.parse_resource(asked, client.send(asked.request), NOW)
    assert fetched.customer is not None
    assert (fetched.customer.phone, fetched.customer.name) == ("+12025550143", "Sample Customer")
    assert fetched.aliases == (("external_id", "WEB-1042"),)


def test_toast_answers_like_toast(client: Client, receiver: Receiver) -> None:
    client.register("toast", TOAST)
    order = plant_toast(client)
    path = f"/toast/orders/v2/orders/{order['guid']}"
    login = {"Authorization": "Bearer toast-token"}
    whose = {"Toast-Restaurant-External-ID": TOAST["restaurant_guid"]}
    assert client.get(path, **whose).status == 401
    assert client.get(path, **login).status == 400
    assert client.get(f"{path}x", **login, **whose).status == 404
    assert client.get("/toast/orders/v2/ordersBulk", **login, **whose).status == 400
    source = Toast(TOAST, base_url=f"{client.url}/toast")
    for since, found in ((NOW, [order["guid"]]), (datetime(2026, 3, 15, tzinfo=UTC), [])):
        poll = source.poll(since)
        assert poll is not None
        assert [u.order_id for u in source.parse_poll(client.send(poll), NOW)] == found
    assert client.try_control("POST", "emit", {"vendor": "toast", "order_id": "x"}).status == 400


def test_toast_tells_a_channel_what_its_guest_sees(client: Client, receiver: Receiver) -> None:
    client.register("toast", TOAST)
    kind = "guest_order_fulfillment_status"
    emit(client, "toast", order_id="o-1", type=kind, status="READY_FOR_PICKUP")
    update = read(Toast(TOAST), receiver)
    assert (update.order_id, update.observations[0].state) == ("o-1", "ready")


# --- clover ------------------------------------------------------------------------------------


def plant_clover(client: Client, name: str = "get_order_open", **changes: Any) -> dict[str, Any]:
    order: dict[str, Any] = body_of("clover", name) | {"merchant": "M1", **changes}
    client.control("PUT", f"clover/orders/{order['id']}", order)
    return order


def test_our_clover_source_follows_a_ping(client: Client, receiver: Receiver) -> None:
    client.register("clover", CLOVER)
    source = Clover(CLOVER, base_url=f"{client.url}/clover")
    order = plant_clover(client)
    emit(client, "clover", order_id=order["id"], type="CREATE")
    call = receiver.next().as_call()
    source.verify(call)
    with pytest.raises(SignatureInvalid):
        Clover({**CLOVER, "auth_code": "other"}).verify(call)
    (asked,) = source.parse(call)
    assert isinstance(asked, FollowUp)
    (update,) = source.parse_resource(asked, client.send(asked.request), NOW)
    assert (update.order_id, update.location_id) == (order["id"], "M1")
    assert update.observations[0].state == "received"
    assert len(update.observations[0].data["items"]) == 2
    poll = source.poll(datetime(2018, 1, 1, tzinfo=UTC))
    assert poll is not None
    assert source.parse_poll(client.send(poll), NOW) == [update]

    emit(client, "clover", order_id=order["id"], type="DELETE")
    gone = read(source, receiver)
    assert gone.observations[0].state == "cancelled"
    assert client.send(asked.request).status == 404


def test_clover_answers_like_clover(client: Client, receiver: Receiver) -> None:
    client.register("clover", CLOVER)
    order = plant_clover(client)
    path = f"/clover/v3/merchants/M1/orders/{order['id']}"
    login = {"Authorization": "Bearer clover-token"}
    assert client.get(path).status == 401
    assert client.get(path.replace("M1", "M2"), **login).status == 401
    bare = client.get(path, **login).json_object()
    assert (list(bare["lineItems"]), "merchant" in bare) == (["href"], False)
    assert client.get("/clover/v3/merchants/M1/orders", **login).status == 400
    poll = Clover(CLOVER, base_url=f"{client.url}/clover").poll(NOW)
    assert poll is not None
    assert client.send(poll).json_object()["elements"] == []
    assert client.try_control("POST", "emit", {"vendor": "clover", "order_id": "x"}).status == 400


def test_clover_sends_its_verification_code(client: Client, receiver: Receiver) -> None:
    assert client.try_control("POST", "clover/verify").status == 400
    client.register("clover", CLOVER)
    sent = client.control("POST", "clover/verify")
    assert sent["status"] == 200
    call = receiver.next().as_call()
    Clover({**CLOVER, "auth_code": ""}).verify(call)
    with pytest.raises(EventIgnored, match=sent["code"]):
        Clover(CLOVER).parse(call)
