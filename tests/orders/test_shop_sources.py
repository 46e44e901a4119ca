"""Shops end to end: signed calls, stored and fetched from their stand-ins, become orders."""

from __future__ import annotations

import json
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client

from integrations import http
from integrations.sandbox.server import SandboxServer
from integrations.signatures import hmac_base64
from orders import follow_ups
from orders.models import InboundCall, Order, PendingFollowUp, SourceAccount
from orders.selectors import webhook_url
from tests.factories import make_location, make_restaurant, make_source_account
from tests.integrations.sources.payload_files import body_of
from tests.orders.senders import answering, open_account, recorded
from tests.orders.senders import post as posted

pytestmark = pytest.mark.django_db

SHOP = "lucky-bowl.myshopify.com"
SHOPIFY = {"shop_domain": SHOP, "client_secret": "shopify-secret", "access_token": "shpat_1"}
WOO = {"site_url": "https://example.com", "webhook_secret": "woo-secret"}
PART = "1046000780"


def post(account: SourceAccount, body: bytes, headers: dict[str, str]) -> Any:
    path, kind = urlsplit(webhook_url(account)).path, headers.pop("Content-Type", "")
    return Client().post(path, data=body, content_type=kind or "application/json", headers=headers)


class Shopify:
    """A Shopify account whose shop is the sandbox."""

    def __init__(self, server: SandboxServer) -> None:
        self.server = server
        kitchen = make_location(make_restaurant(), external_ids=["24826418"])
        self.account = make_source_account(
            kitchen.restaurant, source="shopify", settings=SHOPIFY, location=kitchen
        )
        registered = {
            "vendor": "shopify",
            "settings": SHOPIFY,
            "webhook_url": webhook_url(self.account),
            "deliver_to": "http://127.0.0.1:9/",
        }
        self.tell("accounts", registered, "POST")
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.events = 0

    def tell(self, path: str, body: Any, method: str = "PUT") -> None:
        request = urllib.request.Request(
            f"{self.server.url}/_sandbox/{path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            method=method,
        )
        urllib.request.urlopen(request, timeout=5).close()

    def at(self, minutes: int) -> str:
        return (self.now + timedelta(minutes=minutes)).isoformat()

    def part(self, status: str, minutes: int, *, left: int = 1) -> None:
        part = body_of("shopify", "get_order_fulfillment_orders")["fulfillment_orders"][0]
        part |= {"status": status, "updated_at": self.at(minutes)}
        part["delivery_method"] = {"method_type": "pick_up"}
        part["line_items"][0]["fulfillable_quantity"] = left
        self.tell(f"shopify/fulfillment_orders/{PART}", part)

    def order(self, minutes: int, **changes: Any) -> dict[str, Any]:
        times = {"created_at": self.at(-10), "updated_at": self.at(minutes)}
        found: dict[str, Any] = body_of("shopify", "orders_create") | times | changes
        return found

    def post(self, topic: str, body: Any) -> None:
        """An event, and what the worker fetches because of it."""
        self.events += 1
        raw = json.dumps(body).encode()
        headers = {
            "X-Shopify-Topic": topic,
            "X-Shopify-Shop-Domain": SHOP,
            "X-Shopify-Event-Id": f"event-{self.events}",
            "X-Shopify-Triggered-At": datetime.now(UTC).isoformat(),
            "X-Shopify-Hmac-Sha256": hmac_base64(SHOPIFY["client_secret"], raw),
        }
        assert post(self.account, raw, headers).status_code == 200
        follow_ups.fetch_due(now=datetime.now(UTC) + timedelta(seconds=1))


def test_a_shopify_pickup_from_order_to_counter(sandbox: SandboxServer) -> None:
    shop = Shopify(sandbox)
    shop.part("open", -9)
    shop.post("orders/create", shop.order(-10))
    order = Order.objects.get()
    assert (order.display, order.state, order.fulfillment) == ("1001", "accepted", "pickup")
    assert order.contact_kind == "direct"
    assert [(p.ref, p.label) for p in order.parts.all()] == [(PART, "IPod Nano - 8gb (red)")]
    shop.part("in_progress", -5)
    shop.post("orders/updated", shop.order(-5))
    order.refresh_from_db()
    assert order.state == "preparing"
    thin = {"fulfillment_order": {"id": f"gid://shopify/FulfillmentOrder/{PART}"}}
    shop.post("fulfillment_orders/line_items_prepared_for_pickup", thin)
    order.refresh_from_db()
    assert order.state == "ready"
    # the shop says it again, as it does: the part's status still reads in_progress
    shop.post("orders/updated", shop.order(-4))
    order.refresh_from_db()
    assert order.state == "ready"
    shop.part("closed", -1, left=0)
    shop.post("orders/fulfilled", shop.order(-1, fulfillment_status="fulfilled"))
    order.refresh_from_db()
    assert order.state == "picked_up"
    assert set(InboundCall.objects.values_list("state", flat=True)) == {"applied"}
    assert Order.objects.count() == 1


def test_a_woocommerce_shop_pings_then_sells() -> None:
    kitchen = make_location(make_restaurant())
    account = make_source_account(
        kitchen.restaurant, source="woocommerce", settings=WOO, location=kitchen
    )
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    ping = post(account, b"webhook_id=5", form)
    assert (ping.status_code, ping.content) == (200, b"")
    assert not InboundCall.objects.exists()
    now = datetime.now(UTC)
    stamps = {"date_created_gmt": now.strftime("%Y-%m-%dT%H:%M:%S")}
    stamps["date_modified_gmt"] = stamps["date_created_gmt"]
    body = json.dumps(body_of("woocommerce", "order_created_processing") | stamps).encode()
    headers = {
        "X-WC-Webhook-Topic": "order.created",
        "X-WC-Webhook-Source": "https://example.com/",
        "X-WC-Webhook-Signature": hmac_base64(WOO["webhook_secret"], body),
    }
    assert post(account, body, dict(headers)).status_code == 200
    assert post(account, body, dict(headers)).status_code == 200
    order = Order.objects.get()
    assert (order.display, order.state, order.fulfillment) == ("727", "accepted", "delivery")
    assert InboundCall.objects.count() == 1
    assert post(account, body + b" ", dict(headers)).status_code == 401
    assert post(account, b" " * 10_000_000, dict(headers)).status_code == 413


def test_a_throttled_question_is_asked_again(settings: Any) -> None:
    """GraphQL refuses with HTTP 200: the call must wait, not be given up as unreadable."""
    with answering() as vendor:
        settings.SANDBOX_URL = vendor.url
        http.configure(connect_timeout_s=2, read_timeout_s=3, allowed_origins=[vendor.url])
        account = open_account("shopify")
        body, headers = recorded("shopify", "fulfillment_orders_line_items_prepared_for_pickup")
        vendor.body = json.dumps({"errors": [{"extensions": {"code": "THROTTLED"}}]}).encode()
        assert posted(account, body, headers).status_code == 200
        now = datetime.now(UTC) + timedelta(seconds=1)
        assert follow_ups.fetch_due(now=now) == 1
        pending = PendingFollowUp.objects.get()
        assert (pending.tries, pending.last_error) == (1, "shopify · transient · code THROTTLED")
        assert InboundCall.objects.get().state == "waiting"
        vendor.body, _ = recorded("shopify", "graphql_two_parts")
        assert follow_ups.fetch_due(now=now + timedelta(seconds=6)) == 1
        http.close()
    assert InboundCall.objects.get().state == "applied"
    assert Order.objects.get().parts.count() == 2
