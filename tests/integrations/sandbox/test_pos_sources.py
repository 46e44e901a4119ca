"""The stand-ins of tills, read by our own adapters over real HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.contracts import HttpRequest, OrderUpdate, Source
from integrations.errors import SignatureInvalid
from integrations.sources.lightspeed import Lightspeed
from tests.integrations.sandbox.calls import Client, Receiver
from tests.integrations.sources.payload_files import body_of

LIGHTSPEED = {"username": "username", "password": "password", "endpoint_id": "MINE"}


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
