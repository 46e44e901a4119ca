"""The shop as one that is written to, and an order's life in it, told by a till."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings as django_settings

from integrations import http
from integrations.contracts import Channel, HttpRequest, Message
from integrations.errors import ConfigurationError, MessageRejected, RateLimited, TransientError
from integrations.providers import shopify_calls as calls
from integrations.providers.shopify import TOKEN_HEADER, Shopify
from integrations.sandbox.server import SandboxServer
from notifications.models import Delivery, Notification, Route
from notifications.selectors import clear_caches
from notifications.services import register_with_sandbox
from orders import follow_ups
from orders.models import InboundCall as StoredCall
from orders.models import Order, OrderEvent
from orders.selectors import webhook_url
from tests.factories import make_provider_account, make_source_account
from tests.integrations.sandbox.calls import Client
from tests.integrations.sandbox.life import until
from tests.integrations.sandbox.through import deliver
from tests.integrations.sources.payload_files import body_of
from tests.stage import PHONE, Stage, build_stage

SHOP = "lucky-bowl.myshopify.com"
SETTINGS = {"shop_domain": SHOP, "client_id": "app-1", "client_secret": "app-secret"}
SOURCE = {"shop_domain": SHOP, "client_secret": "app-secret", "access_token": "shpat_source"}
NOTIFY = {"notify_customer": "yes"}
ORDER, PART = "450789469", "1046000780"
MESSAGE = Message(
    attempt_id="attempt-1",
    channel=Channel.COMMERCE,
    to="",
    text="Order 1001 is on its way 🍜",
    milestone="out_for_delivery",
    event={"occurred_at": "2026-03-14T22:42:04+00:00"},
    order={"courier": {"name": "Sam", "tracking_url": "https://track.example.com/1"}},
    restaurant={"name": "Lucky Bowl"},
    links={"order": "https://orders.example.com/o/1/"},
    source_order_id=ORDER,
)


def plant(client: Client, method: str = "local", *, order: str = ORDER, part: str = PART) -> None:
    made = body_of("shopify", "orders_create") | {"id": int(order), "financial_status": "paid"}
    made |= {"phone": PHONE, "cancelled_at": None, "cancel_reason": None}
    client.control("PUT", f"shopify/orders/{order}", made)
    entry = body_of("shopify", "get_order_fulfillment_orders")["fulfillment_orders"][0]
    entry |= {"id": int(part), "order_id": int(order), "delivery_method": {"method_type": method}}
    entry["updated_at"] = "2026-03-14T22:00:00Z"
    client.control("PUT", f"shopify/fulfillment_orders/{part}", entry)


def provider_of(client: Client, **settings: str) -> Shopify:
    values = {**SETTINGS, **settings}
    client.register("shopify", values)
    return Shopify(values, base_url=f"{client.url}/shopify")


def written(client: Client) -> list[tuple[str, bool]]:
    return [
        (one["extra"]["what"], one["extra"]["guest_is_mailed"])
        for one in client.messages(vendor="shopify")
    ]


def test_goods_leave_once_and_then_they_are_on_their_way(client: Client) -> None:
    provider = provider_of(client, **NOTIFY)
    plant(client)
    first = deliver(provider, MESSAGE, client.url)
    assert first.vendor_id.startswith("gid://shopify/FulfillmentEvent/")
    assert written(client) == [("fulfilled", True), ("out for delivery", True)]
    again = deliver(provider, replace(MESSAGE, attempt_id="attempt-2"), client.url)
    assert (again.vendor_id, again.detail) == ("", "the shop knows it already")
    kept = client.messages(vendor="shopify", order="1001")
    assert [one["channel"] for one in kept] == ["commerce", "commerce"]
    assert "app-secret" not in str(kept)
    late = replace(MESSAGE, milestone="delivered")
    deliver(provider, late, client.url)
    assert written(client)[2:] == [("delivered", True)]
    old = deliver(provider, replace(MESSAGE, event_kind="order_delayed"), client.url)
    assert old.detail == "the shop knows it already"


def test_what_was_left_half_done_is_completed(client: Client) -> None:
    """The goods left, the event did not come through: the next try does not fulfil again."""
    provider = provider_of(client)
    plant(client)
    half = calls.create(calls.gid("FulfillmentOrder", PART), MESSAGE, notify=False)
    token = client.send(provider._ask_for_token(datetime.now(UTC))).json_object()["access_token"]
    client.send(replace(provider._post(half), headers={TOKEN_HEADER: token}))
    deliver(provider, MESSAGE, client.url)
    assert written(client) == [("fulfilled", False), ("out for delivery", True)]


def test_a_pickup(client: Client) -> None:
    provider = provider_of(client, ready_mail_is_off="yes")
    plant(client, "pick_up")
    for milestone in ("preparing", "preparing", "ready", "ready", "picked_up", "picked_up"):
        deliver(provider, replace(MESSAGE, milestone=milestone, order={}), client.url)
    told = [("in progress", False), ("ready for pickup", True), ("fulfilled", False)]
    assert written(client) == told


def test_ready_is_not_written_where_shopify_would_tell_the_guest_too(client: Client) -> None:
    plant(client, "pick_up")
    message = replace(MESSAGE, milestone="ready", order={})
    accepted = deliver(provider_of(client), message, client.url)
    assert (accepted.detail, written(client)) == ("Shopify has no word for this", [])
    deliver(provider_of(client, **NOTIFY), message, client.url)
    assert written(client) == [("ready for pickup", True)]


def test_each_part_is_fulfilled_and_followed_on_its_own(client: Client) -> None:
    provider = provider_of(client)
    plant(client)
    plant(client, part="1046000781")
    deliver(provider, MESSAGE, client.url)
    assert sorted(what for what, _ in written(client)) == [
        *["fulfilled"] * 2,
        *["out for delivery"] * 2,
    ]


def test_other_carriers_are_left_alone_and_untracked_goods_become_ours(client: Client) -> None:
    provider = provider_of(client)
    plant(client)
    closed = client.control("GET", f"shopify/fulfillment_orders/{PART}") | {"status": "closed"}
    client.control("PUT", f"shopify/fulfillment_orders/{PART}", closed)
    left = body_of("shopify", "fulfillments_create") | {"id": 7, "order_id": int(ORDER)}
    client.control("PUT", "shopify/fulfillments/7", left | {"tracking_number": "1Z0001"})
    accepted = deliver(provider, MESSAGE, client.url)
    assert (accepted.detail, written(client)) == ("another carrier tells about it", [])
    bare = dict.fromkeys(("tracking_company", "tracking_number", "tracking_url"))
    client.control("PUT", "shopify/fulfillments/7", left | bare)
    deliver(provider, MESSAGE, client.url)
    assert [what for what, _ in written(client)] == ["tracking", "out for delivery"]
    found = client.control("GET", "shopify/fulfillments/7")
    assert (found["tracking_number"], found["tracking_company"]) == (f"OU-{ORDER}", "Sam")


def test_cancelling_is_the_managers_choice(client: Client) -> None:
    plant(client)
    message = replace(MESSAGE, milestone="cancelled")
    assert deliver(provider_of(client), message, client.url).detail
    assert written(client) == []
    provider = provider_of(client, cancel_orders="yes", **NOTIFY)
    assert deliver(provider, message, client.url).vendor_id.startswith("gid://shopify/Job/")
    again = deliver(provider, message, client.url)
    assert again.detail == "the order is cancelled in the shop"
    assert written(client) == [("cancelled", True)]


@pytest.mark.parametrize(
    ("order", "error"),
    [
        ("4290000001", RateLimited),
        ("4030000001", ConfigurationError),
        ("5000000001", TransientError),
        ("4010000001", ConfigurationError),
        ("4020000001", ConfigurationError),
        ("4300000001", ConfigurationError),
        ("9", MessageRejected),
    ],
)
def test_fates(client: Client, order: str, error: type[Exception]) -> None:
    provider = provider_of(client)
    if order != "9":
        plant(client, order=order)
    with pytest.raises(error):
        deliver(provider, replace(MESSAGE, source_order_id=order), client.url)
    assert written(client) == []


def test_the_points_of_an_app_run_out(client: Client) -> None:
    provider = provider_of(client, access_token="shpat_old", client_id="")
    plant(client)
    question = provider._post(calls.read_order(MESSAGE))
    for _ in range(400):
        answer = client.send(question).json_object()
        if "errors" in answer:
            break
    assert answer["errors"][0]["extensions"]["code"] == "THROTTLED"
    assert answer["extensions"]["cost"]["actualQueryCost"] is None
    with pytest.raises(RateLimited) as caught:
        deliver(provider, MESSAGE, client.url)
    assert 0 < (caught.value.retry_after_s or 0) < 1


def test_tokens_are_checked_and_a_refused_one_is_renewed(client: Client) -> None:
    provider = provider_of(client)
    plant(client)
    accepted = deliver(
        provider, replace(MESSAGE, event_kind="test", source_order_id=""), client.url
    )
    assert accepted.detail == "the shop answered"
    provider._token._value = "shpat_gone"
    assert deliver(provider, MESSAGE, client.url).vendor_id
    stranger = Shopify({**SETTINGS, "client_secret": "wrong"}, base_url=f"{client.url}/shopify")
    with pytest.raises(ConfigurationError) as caught:
        deliver(stranger, MESSAGE, client.url)
    assert caught.value.vendor_code == "invalid_client"
    url = f"{client.url}/shopify/admin/oauth/access_token"
    refused = client.send(HttpRequest.post(url, form={"grant_type": "password"}))
    assert (refused.status, refused.json_object()["error"]) == (400, "unsupported_grant_type")


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (calls.progress("gid://shopify/FulfillmentOrder/0", MESSAGE), "id"),
        (calls.prepared(["gid://shopify/FulfillmentOrder/0"]), "lineItemsByFulfillmentOrder"),
        (calls.prepared([calls.gid("FulfillmentOrder", PART)]), "lineItemsByFulfillmentOrder"),
        (calls.create("gid://shopify/Fulfillment/1", MESSAGE, notify=True), "fulfillment"),
        (calls.event("gid://shopify/Fulfillment/0", "DELIVERED", MESSAGE), "fulfillmentId"),
        (calls.tracking("gid://shopify/Fulfillment/0", MESSAGE, notify=True), "fulfillmentId"),
    ],
)
def test_the_shop_refuses_what_it_cannot_do(client: Client, body: Any, place: str) -> None:
    provider = provider_of(client, access_token="shpat_old", client_id="")
    plant(client)
    (payload,) = client.send(provider._post(body)).json_object()["data"].values()
    assert place in payload["userErrors"][0]["field"]
    assert written(client) == []


# --- an order's life ----------------------------------------------------------------------------


@pytest.fixture
def stage(live_server: Any, sandbox: SandboxServer, settings: Any) -> Iterator[Stage]:
    """The restaurant behind a real web server that the sandbox can call."""
    settings.SANDBOX_URL, settings.PORT = sandbox.url, live_server.thread.port
    http.configure(connect_timeout_s=2, read_timeout_s=3, allowed_origins=[sandbox.url])
    yield build_stage(sandbox)
    http.close()


#: how many webhooks the shop posts for what is written
POSTED = {"out for delivery": 2, "delivered": 2, "delayed": 2}


class House:
    """A restaurant with a shop, whose till tells how far the shop's orders are."""

    def __init__(self, stage: Stage, client: Client, method: str, **settings: str) -> None:
        self.stage, self.client, self.words = stage, client, 0
        account = make_provider_account(
            stage.restaurant, provider="shopify", settings={**SETTINGS, **settings}, rate_per_s=0
        )
        register_with_sandbox([account])
        Route.objects.create(
            restaurant=stage.restaurant,
            name="Shop",
            audience="customer",
            triggers=["status_changed", "order_delayed"],
            steps=[{"channel": "commerce", "when": "now"}],
        )
        clear_caches()
        self.source = make_source_account(
            stage.restaurant, source="shopify", settings=SOURCE, location=stage.location
        )
        path = urlsplit(webhook_url(self.source)).path
        shop = {
            "vendor": "shopify",
            "settings": SOURCE,
            "webhook_url": webhook_url(self.source),
            "deliver_to": f"http://127.0.0.1:{django_settings.PORT}{path}",
        }
        client.control("POST", "accounts", shop)
        plant(client, method)
        wanted = {**shop, "order_id": ORDER, "type": "orders/create"}
        assert client.control("POST", "emit", wanted)["status"] == 200
        self.settle()

    def till(self, state: str, **data: Any) -> None:
        """The till's word, what becomes of it, and everything the shop says to that."""
        self.words += 1
        said = json.loads(
            self.stage.event("TILL-7", f"till-{self.words}", self.words, state=state, **data)
        )
        said["data"]["order"]["aliases"] = [{"system": "shopify", "id": ORDER}]
        posted = self.stage.post_raw(json.dumps(said).encode())
        assert posted.status_code in (200, 202), posted.content
        self.settle()

    def settle(self) -> None:
        """Until there is nothing more to send and to fetch."""
        for _ in range(3):
            self.stage.settle_and_send()
            until(self._is_heard)
            follow_ups.fetch_due(now=datetime.now(UTC) + timedelta(minutes=5))

    def _is_heard(self) -> bool:
        wanted = sum(POSTED.get(what, 1) for what, _ in written(self.client))
        health = self.client.control("GET", "health")["callbacks"]
        return bool(health["posted"] == wanted)

    @property
    def order(self) -> Order:
        """The one order there is."""
        return Order.objects.get(restaurant=self.stage.restaurant)

    @property
    def events(self) -> list[str]:
        """What happened to the order."""
        found = OrderEvent.objects.filter(kind="status_changed").order_by("recorded_at")
        return list(found.values_list("milestone", flat=True))


@pytest.mark.django_db(transaction=True)
def test_a_delivery_told_by_the_till_is_written_back_and_told_once(
    stage: Stage, client: Client
) -> None:
    house = House(stage, client, "local")
    states = ["preparing", "out_for_delivery", "delivered"]
    for state in states:
        house.till(state)
        assert house.order.state == state
    what = ["in progress", "fulfilled", "out for delivery", "delivered"]
    assert [one for one, _ in written(client)] == what
    assert [event for event in house.events if event in states] == states
    assert not house.order.flags
    calls_back = StoredCall.objects.filter(account=house.source)
    assert calls_back.filter(state="ignored").count() == 2  # both events are ours
    assert not calls_back.exclude(state__in=("ignored", "applied")).exists()
    deliveries = Delivery.objects.filter(channel="commerce")
    assert {d.state for d in deliveries} == {"accepted"}
    assert len(stage.texts()) == len(set(stage.texts()))
    sent = Notification.objects.filter(audience="customer", recipient_key__startswith="subject:")
    told = [note.milestone for note in sent if note.milestone in states]
    assert len(told) == len(set(told))


@pytest.mark.django_db(transaction=True)
def test_a_pickup_is_written_back_and_told_once(stage: Stage, client: Client) -> None:
    house = House(stage, client, "pick_up", ready_mail_is_off="yes")
    for state in ("preparing", "ready", "picked_up"):
        house.till(state)
        assert house.order.state == state
    assert [one for one, _ in written(client)] == ["in progress", "ready for pickup", "fulfilled"]
    assert house.events.count("ready") == house.events.count("picked_up") == 1


@pytest.mark.django_db(transaction=True)
def test_what_the_merchant_says_in_the_shop_counts(stage: Stage, client: Client) -> None:
    """An event without our mark, on a fulfilment of ours, is the shop's own news."""
    house = House(stage, client, "local")
    for state in ("preparing", "out_for_delivery"):
        house.till(state)
    left = client.messages(vendor="shopify")[1]["id"].rpartition("/")[2]
    shop = {"vendor": "shopify", "settings": SOURCE, "webhook_url": webhook_url(house.source)}
    port = django_settings.PORT
    shop["deliver_to"] = f"http://127.0.0.1:{port}/hooks/orders/{house.source.token}/"
    event = {"type": "fulfillment_events/create", "order_id": ORDER, "fulfillment_id": left}
    assert client.control("POST", "emit", {**shop, **event, "status": "delivered"})["status"] == 200
    house.settle()
    assert house.order.state == "delivered"
    assert house.events.count("delivered") == 1
