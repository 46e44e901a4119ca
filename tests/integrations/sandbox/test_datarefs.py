"""CloudEvents that point at their data: what the stand-in posts and answers, our side reads."""

from __future__ import annotations

from datetime import UTC, datetime

from integrations.contracts import FollowUp, OrderUpdate
from integrations.sources.cloudevents import CloudEvents
from tests.integrations.sandbox.calls import Client, Receiver

SETTINGS = {
    "secret": "shop-secret",
    "dataref_base": "https://pos.example.com",
    "dataref_token": "data-token",
}


def test_the_data_of_an_event_is_fetched(client: Client, receiver: Receiver) -> None:
    client.register("cloudevents", SETTINGS)
    data = {"order": {"id": "A1"}, "state": "ready"}
    client.control("PUT", "cloudevents/data/7", data)
    wanted = {"vendor": "cloudevents", "order_id": "A1", "dataref": "7"}
    assert client.control("POST", "emit", wanted)["status"] == 200
    call = receiver.next().as_call()
    source = CloudEvents(SETTINGS, base_url=f"{client.url}/cloudevents")
    source.verify(call)
    (asked,) = source.parse(call)
    assert isinstance(asked, FollowUp)
    (update,) = source.parse_resource(asked, client.send(asked.request), datetime.now(UTC))
    assert isinstance(update, OrderUpdate)
    assert (update.order_id, update.observations[0].state) == ("A1", "ready")
    login = {"Authorization": "Bearer data-token"}
    assert client.get("/cloudevents/data/7").status == 401
    assert client.get("/cloudevents/data/8", **login).status == 404
