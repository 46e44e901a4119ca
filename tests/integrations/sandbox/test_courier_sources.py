"""DoorDash, Grubhub, Deliverect and Otter: what their stand-ins post and answer, our side reads."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations.contracts import FollowUp, InboundCall, OrderUpdate, Source
from integrations.errors import SignatureInvalid
from integrations.sources.deliverect import Deliverect
from integrations.sources.doordash import DoorDash
from integrations.sources.grubhub import Grubhub
from integrations.sources.otter import Otter
from tests.integrations.sandbox.calls import Client, Receiver
from tests.integrations.sources.payload_files import body_of

DOORDASH = {
    "authorization": "Bearer portal-token",
    "developer_id": "dev-1",
    "key_id": "key-1",
    "signing_secret": "c2VjcmV0LWJ5dGVz",
}
GRUBHUB = {"username": "lucky-bowl", "password": "gh-secret"}
DELIVERECT = {
    "webhook_secret": "dlv-secret",
    "access_token": "dlv-token",
    "order_path": "/orders/{id}",
}
OTTER = {
    "webhook_secret": "otter-secret",
    "api_url": "https://public-api.example.com",
    "access_token": "otter-token",
    "store_id": "store-1",
}
NOW = datetime.now(UTC)


def emitted(client: Client, receiver: Receiver, source: Source, **wanted: Any) -> InboundCall:
    """The call the stand-in posts; it must be believed, and not by somebody else's account."""
    assert client.control("POST", "emit", {"vendor": source.key, **wanted})["status"] == 200
    call = receiver.next().as_call()
    source.verify(call)
    other = type(source)({name: f"other-{value}" for name, value in source.account.items()})
    with pytest.raises(SignatureInvalid):
        other.verify(call)
    return call


def update_of(source: Source, call: InboundCall) -> OrderUpdate:
    update = source.parse(call)[0]
    assert isinstance(update, OrderUpdate)
    return update


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_doordash_pushes_deliveries_and_notices(client: Client, receiver: Receiver) -> None:
    client.register("doordash", DOORDASH)
    source = DoorDash(DOORDASH, base_url=f"{client.url}/doordash")
    wanted = {"delivery_id": "WEB-1042", "status": "DASHER_PICKED_UP"}
    drive = update_of(source, emitted(client, receiver, source, **wanted))
    assert ("external_id", "WEB-1042") in drive.aliases
    assert drive.observations[0].state == "out_for_delivery"
    wanted = {"order_id": "dd-1", "status": "dropoff", "reference": "WEB-1042"}
    dasher = update_of(source, emitted(client, receiver, source, **wanted))
    assert dasher.observations[0].state == "delivered"
    assert ("external_id", "WEB-1042") in dasher.aliases
    wanted = {"order_id": "dd-1", "type": "cancel"}
    cancel = update_of(source, emitted(client, receiver, source, **wanted))
    assert cancel.observations[0].state == "cancelled"


def test_doordash_answers_a_delivery_to_a_jwt(client: Client, receiver: Receiver) -> None:
    client.register("doordash", DOORDASH)
    delivery = {"external_delivery_id": "WEB-1042", "delivery_status": "delivered"}
    client.control("PUT", "doordash/deliveries/WEB-1042", delivery)
    source = DoorDash(DOORDASH, base_url=f"{client.url}/doordash")
    wanted = {"delivery_id": "WEB-1042", "status": "DELIVERY_BATCHED"}
    call = emitted(client, receiver, source, **wanted)
    asked = source.parse(call)[1]
    assert isinstance(asked, FollowUp)
    (update,) = source.parse_resource(asked, client.send(asked.request), NOW)
    assert update.observations[0].state == "delivered"
    path = "/doordash/drive/v2/deliveries/WEB-1042"
    old = InboundCall("POST", call.url, {}, call.body, call.received_at - timedelta(hours=2))
    stale = source.parse(old)[1]
    assert isinstance(stale, FollowUp)
    assert client.send(stale.request).status == 401
    other = DoorDash({**DOORDASH, "signing_secret": "b3RoZXI"}, base_url=source.base_url)
    forged = other.parse(call)[1]
    assert isinstance(forged, FollowUp)
    assert client.send(forged.request).status == 401
    for token in ("", "a.b.c", "portal-token", "..", "e30.e30.e30"):
        assert client.get(path, **bearer(token)).status == 401
    missing = asked.request.url.replace("WEB-1042", "none")
    assert client.get(missing, **asked.request.headers).status == 404


def test_grubhub_repeats_the_history(client: Client, receiver: Receiver) -> None:
    client.register("grubhub", GRUBHUB)
    source = Grubhub(GRUBHUB)
    about = {"delivery_id": "gh-1", "order_id": "WEB-1042"}
    created = update_of(source, emitted(client, receiver, source, **about))
    assert created.observations[0].state is None
    assert created.aliases == (("external_delivery_id", "gh-1"), ("external_id", "WEB-1042"))
    emitted(client, receiver, source, **about, status="PICKED_UP")
    wanted = {**about, "type": "ETA_UPDATE", "dropped_off": "2026-03-14T18:49:00Z"}
    moved = update_of(source, emitted(client, receiver, source, **wanted))
    assert moved.observations[0].data["est_delivery_at"] == "2026-03-14T18:49:00+00:00"
    emitted(client, receiver, source, **about, status="DELIVERED")
    last = emitted(client, receiver, source, **about, status="PROOF_OF_DELIVERY")
    assert update_of(source, last).observations[0].state == "delivered"
    assert len(json.loads(last.body)["delivery"]["events"]) == 4


def test_deliverect_registers_posts_and_answers(client: Client, receiver: Receiver) -> None:
    client.register("deliverect", DELIVERECT)
    source = Deliverect(DELIVERECT, base_url=f"{client.url}/deliverect")
    assert client.control("POST", "deliverect/register") == {"status": 200, "urls": None}
    call = receiver.next().as_call()
    reply = source.handshake(call)
    assert reply is not None
    assert set(json.loads(reply.body).values()) == {call.url}

    order = body_of("deliverect", "order_notification_new")
    client.control("PUT", f"deliverect/orders/{order['_id']}", order)
    about = {"order_id": order["_id"]}
    whole = update_of(source, emitted(client, receiver, source, **about, type="order"))
    assert whole.display == "T4206"
    call = emitted(client, receiver, source, **about, status=70)
    assert update_of(source, call).observations[0].state == "ready"
    asked = source.parse(call)[1]
    assert isinstance(asked, FollowUp)
    assert source.parse_resource(asked, client.send(asked.request), NOW) == [whole]
    path = f"/deliverect/orders/{order['_id']}"
    assert client.get(path, **bearer("no")).status == 401
    assert client.get("/deliverect/orders/none", **bearer("dlv-token")).status == 404
    wanted = {**about, "type": "courier", "status": 90, "deliveryTime": "2026-03-14T18:52:46Z"}
    courier = update_of(source, emitted(client, receiver, source, **wanted))
    assert (courier.observations[0].state, courier.courier_only) == ("delivered", True)
    wanted = {**about, "type": "preparation", "pickupTime": "2026-03-14T18:32:00Z"}
    preparation = update_of(source, emitted(client, receiver, source, **wanted))
    assert preparation.observations[0].kind == "eta"


def test_otter_posts_and_answers(client: Client, receiver: Receiver) -> None:
    client.register("otter", OTTER)
    source = Otter(OTTER, base_url=f"{client.url}/otter")
    payload = body_of("otter", "orders_update_prepared")["metadata"]["payload"]
    order_id = payload["externalIdentifiers"]["id"]
    client.control("PUT", f"otter/orders/{order_id}", payload)
    for encoding in ("hex", "base64"):
        call = emitted(client, receiver, source, order_id=order_id, encoding=encoding)
        assert update_of(source, call).observations[0].state == "ready"
    wanted = {"order_id": order_id, "type": "orders.order_fulfilled"}
    call = emitted(client, receiver, source, **wanted)
    asked = source.parse(call)[1]
    assert isinstance(asked, FollowUp)
    (fetched,) = source.parse_resource(asked, client.send(asked.request), NOW)
    assert (fetched.order_id, fetched.display) == (order_id, "ABCDE")
    assert client.get(f"/otter/v1/orders/{order_id}", **bearer("no")).status == 401
    assert client.get(f"/otter/v1/orders/{order_id}", **bearer("otter-token")).status == 400
    store = {**bearer("otter-token"), "X-Store-Id": "store-1"}
    assert client.get("/otter/v1/orders/none", **store).status == 404
    assert client.get("/otter/manager/order/v1/orders", **store).status == 400
    for since, count in ((datetime(2026, 3, 14, tzinfo=UTC), 1), (NOW + timedelta(days=1), 0)):
        request = source.poll(since)
        assert request is not None
        answer = client.send(request)
        assert len(source.parse_poll(answer, NOW)) == count
        assert source.poll_next(request, answer) is None
    other = {**payload, "externalIdentifiers": {"id": "second", "friendlyId": "ZZ"}}
    client.control("PUT", "otter/orders/second", other)
    first = source.poll(datetime(2026, 3, 14, tzinfo=UTC))
    assert first is not None
    short = replace(first, url=first.url.replace("limit=100", "limit=1"))
    page = client.send(short)
    following = source.poll_next(short, page)
    assert following is not None
    rest = client.send(following)
    listed = [*source.parse_poll(page, NOW), *source.parse_poll(rest, NOW)]
    assert {update.order_id for update in listed} == {order_id, "second"}
    assert source.poll_next(following, rest) is None


@pytest.mark.parametrize(
    "wanted",
    [
        {"vendor": "doordash"},
        {"vendor": "doordash", "order_id": "1", "type": "OrderCreate"},
        {"vendor": "grubhub"},
        {"vendor": "deliverect"},
        {"vendor": "deliverect", "order_id": "never-planted", "type": "order"},
        {"vendor": "deliverect", "order_id": "1", "type": "other"},
        {"vendor": "otter"},
        {"vendor": "otter", "order_id": "never-planted"},
    ],
)
def test_impossible_events_are_refused(
    client: Client, receiver: Receiver, wanted: dict[str, Any]
) -> None:
    accounts = {
        "doordash": DOORDASH,
        "grubhub": GRUBHUB,
        "deliverect": DELIVERECT,
        "otter": OTTER,
    }
    for vendor, settings in accounts.items():
        client.register(vendor, settings)
    assert client.try_control("POST", "emit", wanted).status == 400
    assert receiver.calls.empty()


def test_a_register_call_needs_an_account(client: Client, receiver: Receiver) -> None:
    assert client.try_control("POST", "deliverect/register").status == 400
