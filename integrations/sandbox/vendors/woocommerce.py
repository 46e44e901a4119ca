"""A WooCommerce shop: its REST list of orders and its webhooks.

Orders are planted (``PUT /_sandbox/woocommerce/orders/{id}``), announced whole and signed
(``POST /_sandbox/emit``), never twice. ``POST /_sandbox/woocommerce/ping`` is what a shop sends
when somebody switches a webhook on.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import web

from integrations.sandbox.callbacks import VendorCall
from integrations.sandbox.state import SandboxAccount
from integrations.sandbox.vendors.base import (
    TRIAL_ITEMS,
    TRIAL_MAIL,
    TRIAL_NAME,
    TRIAL_PHONE,
    Route,
    SandboxVendor,
    Trial,
    basic,
    json_reply,
    needed,
)
from integrations.sandbox.vendors.planted import planting_routes
from integrations.signatures import hmac_base64

WEBHOOK_ID = "5"
MOST_PER_PAGE = 100


class WooCommerce(SandboxVendor):
    """An order source: a shop on WordPress."""

    key = "woocommerce"
    title = "WooCommerce"

    def routes(self) -> Iterable[Route]:
        return (
            Route("GET", "/wp-json/wc/v3/orders", self.list_orders),
            Route("GET", "/wp-json/wc/v3/orders/{id}", self.read_order),
        )

    def control_routes(self) -> Iterable[Route]:
        return [Route("POST", "/ping", self.ping), *planting_routes(self, ("orders",))]

    def account_name(self, settings: Mapping[str, str]) -> str:
        return needed(settings, "site_url")

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        key, secret = settings.get("consumer_key", ""), settings.get("consumer_secret", "")
        return [basic(key, secret)] if key and secret else []

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        headers = {"Retry-After": f"{retry_after_s:g}"} if status == 429 else None
        return _error(status, "internal_server_error", "There has been a critical error.", headers)

    # --- the API --------------------------------------------------------------------------------

    async def list_orders(self, request: web.Request) -> web.StreamResponse:
        """GET the orders modified after a time, newest order first unless asked otherwise."""
        if not self._is_authorized(request):
            return _unauthorized()
        since = request.query.get("modified_after", "")
        if since and request.query.get("dates_are_gmt") != "true":
            text = "The sandbox knows no site time: ask with dates_are_gmt=true."
            return _error(400, "rest_invalid_param", text)
        try:
            limit = min(int(request.query.get("per_page", "10")), MOST_PER_PAGE)
            first = (int(request.query.get("page", "1")) - 1) * limit
        except ValueError:
            return _error(400, "rest_invalid_param", "Invalid parameter(s): per_page")
        found = [
            order
            for (vendor, _, _), order in self.state.resources.items()
            if vendor == self.key and (not since or str(order.get("date_modified_gmt")) > since)
        ]
        if request.query.get("orderby") == "id":
            found.sort(key=lambda order: int(order.get("id", 0)))
        else:
            found.sort(key=lambda order: str(order.get("date_created_gmt")))
        if request.query.get("order", "desc") == "desc":
            found.reverse()
        names = [name for name in request.query.get("_fields", "").split(",") if name]
        if names:
            found = [{name: order[name] for name in names if name in order} for order in found]
        total = {"X-WP-Total": str(len(found))}
        return json_reply(found[first : first + limit], headers=total)

    async def read_order(self, request: web.Request) -> web.StreamResponse:
        """GET one order."""
        if not self._is_authorized(request):
            return _unauthorized()
        order = self.state.resources.get((self.key, "orders", request.match_info["id"]))
        if order is None:
            return _error(404, "woocommerce_rest_shop_order_invalid_id", "Invalid ID.")
        return json_reply(order)

    def _is_authorized(self, request: web.Request) -> bool:
        login = request.headers.get("Authorization", "")
        return self.state.find_account(self.key, login) is not None

    # --- what the shop posts to us ----------------------------------------------------------------

    async def ping(self, request: web.Request) -> web.StreamResponse:
        """Post the unsigned form of an activation; tells whether the webhook was switched on."""
        accounts = self.state.accounts(self.key)
        if not accounts:
            return json_reply({"error": "no account is registered"}, status=400)
        account = accounts[-1]
        answer = await self.callbacks.now(
            VendorCall(
                account.target(account.webhook_url),
                f"webhook_id={WEBHOOK_ID}".encode(),
                {"Content-Type": "application/x-www-form-urlencoded"},
            )
        )
        return json_reply({"status": answer.status, "active": answer.status == 200})

    def event(self, account: SandboxAccount, wanted: Mapping[str, Any]) -> VendorCall:
        """``payload`` as it is, or the planted order ``order_id`` as it is now.

        ``type``: order.created, order.updated (default), order.restored, or order.deleted, which
        carries the id only.
        """
        topic = str(wanted.get("type", "order.updated"))
        payload = wanted.get("payload")
        if payload is None:
            payload = self._order(str(wanted.get("order_id", "")), topic)
        # PHP escapes slashes and everything that is not ASCII
        body = json.dumps(payload, separators=(",", ":")).replace("/", "\\/").encode()
        second = f"{WEBHOOK_ID}{int(time.time())}".encode()
        return VendorCall(
            account.target(account.webhook_url),
            body,
            {
                "Content-Type": "application/json",
                "User-Agent": "WooCommerce/10.0 Hookshot (WordPress/6.8)",
                "X-WC-Webhook-Source": needed(account.settings, "site_url").rstrip("/") + "/",
                "X-WC-Webhook-Topic": topic,
                "X-WC-Webhook-Resource": "order",
                "X-WC-Webhook-Event": topic.partition(".")[2],
                "X-WC-Webhook-Signature": hmac_base64(
                    needed(account.settings, "webhook_secret"), body
                ),
                "X-WC-Webhook-ID": WEBHOOK_ID,
                # the same for everything delivered in one second, as the shop does it
                "X-WC-Webhook-Delivery-ID": hashlib.sha256(second).hexdigest()[:32],
            },
        )

    def trial(self, account: SandboxAccount, order: Trial) -> Mapping[str, Any]:
        """An order for local pickup that is paid on site."""
        number, at = order.whole_number, order.time().partition(".")[0]
        self.plant(
            "orders",
            number,
            {
                "id": number,
                "number": order.number,
                "status": "on-hold",
                "date_created_gmt": at,
                "date_modified_gmt": at,
                "billing": {
                    "first_name": TRIAL_NAME[0],
                    "last_name": TRIAL_NAME[1],
                    "phone": TRIAL_PHONE,
                    "email": TRIAL_MAIL,
                },
                "line_items": [
                    {"id": n, "name": name, "quantity": 1, "meta_data": []}
                    for n, name in enumerate(TRIAL_ITEMS, start=1)
                ],
                "shipping_lines": [{"id": 1, "method_id": "local_pickup"}],
                "meta_data": [],
            },
        )
        return {"order_id": str(number), "type": "order.created"}

    def _order(self, order_id: str, topic: str) -> dict[str, Any]:
        order = self.state.resources.get((self.key, "orders", order_id))
        if order is None:
            raise ValueError(
                f"order '{order_id}' is not planted: PUT /_sandbox/woocommerce/orders/{{id}}"
            )
        return {"id": order["id"]} if topic == "order.deleted" else order


def _error(status: int, code: str, text: str, headers: Any = None) -> web.Response:
    body = {"code": code, "message": text, "data": {"status": status}}
    return json_reply(body, status=status, headers=headers)


def _unauthorized() -> web.Response:
    text = "Sorry, you cannot list resources."
    return _error(401, "woocommerce_rest_cannot_view", text)
