"""The Pusher stand-in: signatures, limits, occupancy webhooks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations.contracts import HttpRequest
from integrations.errors import ConfigurationError, RateLimited
from integrations.providers.pusher import Pusher
from tests.integrations import fixture_files as files
from tests.integrations.sandbox.calls import Client, Receiver
from tests.integrations.sandbox.through import deliver

SETTINGS = files.settings("pusher")
MESSAGE = files.message("pusher")


@pytest.fixture(autouse=True)
def account(client: Client) -> None:
    client.register("pusher", SETTINGS)


def provider(client: Client, **settings: str) -> Pusher:
    return Pusher({**SETTINGS, **settings}, base_url=f"{client.url}/pusher")


def test_an_event_reaches_the_channel_of_its_order(client: Client) -> None:
    assert deliver(provider(client), MESSAGE, client.url).vendor_id == ""
    (kept,) = client.messages(order="1042")
    assert kept["to"] == "private-order-00000000-0000-4000-8000-000000001042"
    assert (kept["channel"], kept["text"]) == ("realtime", "Order 1042: ready")
    assert kept["extra"]["data"]["state"] == "ready"
    assert "auth_signature" not in str(kept)


@pytest.mark.parametrize("settings", [{"app_key": "x"}, {"secret": "x"}, {"app_id": "4"}])
def test_wrong_credentials(client: Client, settings: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        deliver(provider(client, **settings), MESSAGE, client.url)


def post(client: Client, body: Any, *, age_s: int = 0, altered: bytes = b"") -> Any:
    request = HttpRequest.post(f"{client.url}/pusher/apps/3/events", json_body=body)
    made = provider(client).signed(request, datetime.now(UTC) - timedelta(seconds=age_s))
    return client.send(replace(made, body=altered or made.body))


EVENT = {"name": "order-update", "channels": ["private-a"], "data": "{}"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({**EVENT, "name": "pusher:x"}, 400),
        ({**EVENT, "name": ""}, 400),
        ({**EVENT, "channels": []}, 400),
        ({**EVENT, "channels": ["a"] * 101}, 400),
        ({**EVENT, "channels": ["a:b"]}, 400),
        ({**EVENT, "data": {}}, 400),
        ({"name": "x"}, 400),
        ({**EVENT, "data": "x" * 10_241}, 413),
        ({**EVENT, "channels": ["private-over-quota"]}, 403),
        ({**EVENT, "data": "no json"}, 200),
    ],
)
def test_limits(client: Client, body: Any, status: int) -> None:
    assert post(client, body).status == status


def test_stale_altered_and_unsigned(client: Client) -> None:
    assert post(client, EVENT, age_s=601).text() == "Timestamp expired"
    assert post(client, EVENT, altered=b"{}").text() == "Invalid body_md5"
    bare = HttpRequest.post("/pusher/apps/3/events?auth_key=278d425bdf160c739803", json_body=EVENT)
    assert client.send(bare).status == 401
    assert client.messages() == []


def test_too_many_requests(client: Client) -> None:
    fault = {"vendor": "pusher", "kind": "429", "retry_after_s": 2}
    client.control("POST", "faults", fault)
    with pytest.raises(RateLimited) as caught:
        deliver(provider(client), MESSAGE, client.url)
    assert caught.value.retry_after_s == 2.0


def test_who_is_watching_is_signed(client: Client, receiver: Receiver) -> None:
    told = {"vendor": "pusher", "order_channel": "private-order-1"}
    assert client.control("POST", "emit", told)["status"] == 200
    call = receiver.next()
    assert call.json["events"][0]["name"] == "channel_occupied"
    assert provider(client).receipts(call.as_call()) == []
