"""The order sources: planted orders behind the vendors' APIs, and signed events about them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from integrations.contracts import FollowUp, HttpRequest, OrderUpdate
from integrations.errors import SignatureInvalid
from integrations.sources.cloudevents import CloudEvents
from integrations.sources.square import Square
from integrations.sources.uber_eats import UberEats
from tests.integrations.sandbox.calls import Client, Receiver

SQUARE = {"signature_key": "square-key", "access_token": "square-token", "location_ids": "L1"}
UBER = {
    "client_secret": "uber-secret",
    "direct_signing_key": "direct-key",
    "access_token": "uber-token",
}
SHOP = {"secret": "shop-secret"}
ORDER = {
    "id": "sq-1042",
    "location_id": "L1",
    "version": 3,
    "state": "OPEN",
    "created_at": "2026-03-14T18:00:00.000Z",
    "updated_at": "2026-03-14T18:05:00.000Z",
    "ticket_name": "1042",
    "line_items": [{"uid": "li-1", "name": "Harvest Bowl", "quantity": "1"}],
    "fulfillments": [{"uid": "f-1", "type": "PICKUP", "state": "PREPARED"}],
}


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_square_reads_planted_orders(client: Client) -> None:
    client.register("square", SQUARE)
    client.control("PUT", "square/orders/sq-1042", ORDER)
    path = "/square/v2/orders/sq-1042"
    assert client.get(path, **_bearer("square-token")).json_object() == {"order": ORDER}
    refused = client.get(path, **_bearer("wrong"))
    assert refused.status == 401
    assert refused.json_object()["errors"][0]["code"] == "UNAUTHORIZED"
    missing = client.get("/square/v2/orders/none", **_bearer("square-token"))
    assert missing.status == 404
    assert missing.json_object()["errors"][0]["code"] == "NOT_FOUND"


def test_square_searches_by_location_and_window(client: Client) -> None:
    client.register("square", SQUARE)
    for number, (place, at) in enumerate([("L1", "17:00"), ("L1", "18:00"), ("L2", "18:30")]):
        stamp = f"2026-03-14T{at}:00.000Z"
        order = {"location_id": place, "state": "OPEN", "updated_at": stamp}
        client.control("PUT", f"square/orders/o{number}", order)
    window = {"updated_at": {"start_at": "2026-03-14T17:30:00.000Z"}}
    wanted = {"location_ids": ["L1"], "query": {"filter": {"date_time_filter": window}}}
    url, headers = "/square/v2/orders/search", _bearer("square-token")
    found = client.send(HttpRequest.post(url, json_body=wanted, headers=headers))
    assert [order["id"] for order in found.json_object()["orders"]] == ["o1"]
    refused = client.send(HttpRequest.post(url, json_body={}, headers=headers))
    assert refused.status == 400


def test_our_square_source_follows_an_emitted_event(client: Client, receiver: Receiver) -> None:
    client.register("square", SQUARE)
    client.control("PUT", "square/orders/sq-1042", ORDER)
    wanted = {
        "vendor": "square",
        "type": "order.fulfillment.updated",
        "order_id": "sq-1042",
        "fulfillment_uid": "f-1",
        "old_state": "RESERVED",
        "new_state": "PREPARED",
    }
    assert client.control("POST", "emit", wanted)["status"] == 200
    call = receiver.next().as_call()
    source = Square(SQUARE, base_url=f"{client.url}/square")
    source.verify(call)
    with pytest.raises(SignatureInvalid):
        Square({**SQUARE, "signature_key": "other"}).verify(call)
    told, follow_up = source.parse(call)
    assert isinstance(told, OrderUpdate)
    assert [o.state for o in told.observations] == ["ready"]
    assert isinstance(follow_up, FollowUp)
    now = datetime.now(UTC)
    (update,) = source.parse_resource(follow_up, client.send(follow_up.request), now)
    assert update.order_id == "sq-1042"
    assert "ready" in {observation.state for observation in update.observations}
    poll = source.poll(datetime(2026, 3, 14, tzinfo=UTC))
    assert poll is not None
    assert [u.order_id for u in source.parse_poll(client.send(poll), now)] == ["sq-1042"]


def test_copies_of_one_event_are_identical(client: Client, receiver: Receiver) -> None:
    client.register("square", SQUARE)
    client.control("PUT", "square/orders/sq-1042", ORDER)
    wanted = {"vendor": "square", "order_id": "sq-1042", "copies": 3}
    assert client.control("POST", "emit", wanted)["statuses"] == [200, 200, 200]
    assert len({receiver.next().body for _ in range(3)}) == 1


def test_our_uber_source_reads_both_products(client: Client, receiver: Receiver) -> None:
    client.register("uber_eats", UBER)
    source = UberEats(UBER, base_url=f"{client.url}/uber_eats")
    order = {"id": "ub-1", "display_id": "7AB12", "current_state": "ACCEPTED", "type": "PICK_UP"}
    client.control("PUT", "uber_eats/orders/ub-1", order)
    client.control("POST", "emit", {"vendor": "uber_eats", "order_id": "ub-1"})
    notice = receiver.next().as_call()
    UberEats({"client_secret": "uber-secret"}).verify(notice)
    *_, follow_up = source.parse(notice)
    assert isinstance(follow_up, FollowUp)
    assert client.send(follow_up.request).json_object() == order
    assert client.get("/uber_eats/v2/eats/order/ub-1", **_bearer("no")).status == 401

    data: dict[str, Any] = {"external_id": "WEB-1042", "manifest": {"reference": "WEB-1042"}}
    direct = {"vendor": "uber_eats", "delivery_id": "del_1", "status": "pickup_complete"}
    client.control("POST", "emit", {**direct, "data": data})
    event = receiver.next().as_call()
    UberEats({"direct_signing_key": "direct-key"}).verify(event)
    (update,) = source.parse(event)
    assert isinstance(update, OrderUpdate)
    assert "out_for_delivery" in {observation.state for observation in update.observations}


def test_our_cloudevents_source_reads_emitted_events(client: Client, receiver: Receiver) -> None:
    client.register("cloudevents", SHOP)
    wanted = {
        "vendor": "cloudevents",
        "order_id": "WEB-1042",
        "event_id": "ev-1",
        "sequence": "2",
        "data": {"mode": "partial", "state": "preparing"},
    }
    client.control("POST", "emit", wanted)
    call = receiver.next().as_call()
    source = CloudEvents(SHOP)
    source.verify(call)
    (update,) = source.parse(call)
    assert isinstance(update, OrderUpdate)
    assert update.order_id == "WEB-1042"
    assert source.event_key(call).endswith("ev-1")


def test_a_payload_is_sent_as_it_is(client: Client, receiver: Receiver) -> None:
    client.register("cloudevents", SHOP)
    payload = [{"specversion": "1.0", "id": "ü"}]
    client.control("POST", "emit", {"vendor": "cloudevents", "payload": payload})
    received = receiver.next()
    assert json.loads(received.body) == payload
    assert received.headers["content-type"] == "application/cloudevents-batch+json"


@pytest.mark.parametrize(
    "wanted",
    [
        {"vendor": "square", "order_id": "never-planted"},
        {"vendor": "uber_eats"},
        {"vendor": "cloudevents", "data": "no object"},
        {"vendor": "twilio"},
        {"vendor": "square", "copies": 0},
        {"vendor": "nobody"},
    ],
)
def test_impossible_events_are_refused(
    client: Client, receiver: Receiver, wanted: dict[str, Any]
) -> None:
    accounts = {"square": SQUARE, "uber_eats": UBER, "cloudevents": SHOP}
    for vendor, settings in accounts.items():
        client.register(vendor, settings)
    assert client.try_control("POST", "emit", wanted).status == 400
    assert receiver.calls.empty()
