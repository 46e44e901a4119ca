"""Otter: orders to read and to list, and signed events, whole or naming the order only.

Orders are planted (``PUT /_sandbox/otter/orders/{id}``) in the form of an event's payload.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import web

from integrations.sandbox.callbacks import VendorCall
from integrations.sandbox.state import SandboxAccount, iso
from integrations.sandbox.vendors.base import (
    TRIAL_ITEMS,
    TRIAL_MAIL,
    TRIAL_MINUTES,
    TRIAL_NAME,
    TRIAL_PHONE,
    Route,
    SandboxVendor,
    Trial,
    json_reply,
    needed,
)
from integrations.sandbox.vendors.planted import planting_routes
from integrations.signatures import hmac_base64, hmac_hex

KINDS = ("orders",)
HOST = "https://public-api.example.com"
WHOLE = ("orders.new_order", "orders.update")
MOST_PER_PAGE = 100


class Otter(SandboxVendor):
    """An order source: Otter's order manager."""

    key = "otter"
    title = "Otter"

    def routes(self) -> Iterable[Route]:
        return (
            Route("GET", "/v1/orders/{id}", self.read_order),
            Route("GET", "/manager/order/v1/orders", self.list_orders),
        )

    def control_routes(self) -> Iterable[Route]:
        return planting_routes(self, KINDS)

    def account_name(self, settings: Mapping[str, str]) -> str:
        return settings.get("store_id") or "otter"

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        token = settings.get("access_token")
        return [f"Bearer {token}"] if token else []

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        headers = {"Retry-After": f"{retry_after_s:g}"} if status == 429 else None
        return _error(status, f"HTTP {status}", headers)

    # --- the API --------------------------------------------------------------------------------

    async def read_order(self, request: web.Request) -> web.StreamResponse:
        """GET one order."""
        if problem := self._problem(request):
            return problem
        order = self.state.resources.get((self.key, "orders", request.match_info["id"]))
        return json_reply(order) if order is not None else _error(404, "Order not found")

    async def list_orders(self, request: web.Request) -> web.StreamResponse:
        """GET the orders of a store placed at or after a time; ``offsetToken`` leads on."""
        if problem := self._problem(request):
            return problem
        since = request.query.get("minDateTime", "")
        try:
            limit = min(int(request.query["limit"]), MOST_PER_PAGE)
            start = int(request.query.get("token", "0"))
        except (KeyError, ValueError):
            return _error(400, "limit is required, and a token is one of ours")
        found = [
            order
            for (vendor, _, _), order in self.state.resources.items()
            if vendor == self.key and str(order.get("orderedAt") or "9999") >= since
        ]
        page: dict[str, Any] = {"orders": found[start : start + limit]}
        if start + limit < len(found):
            page["offsetToken"] = str(start + limit)
        return json_reply(page)

    def _problem(self, request: web.Request) -> web.Response | None:
        login = request.headers.get("Authorization", "")
        if self.state.find_account(self.key, login) is None:
            return _error(401, "Unauthorized")
        if not request.headers.get("X-Store-Id"):
            return _error(400, "X-Store-Id is required")
        return None

    # --- what Otter posts to us -------------------------------------------------------------------

    def event(self, account: SandboxAccount, wanted: Mapping[str, Any]) -> VendorCall:
        """``payload`` as it is, or an event about ``order_id``.

        ``type``: orders.update (default) and orders.new_order hold the planted order; others name
        it only, with ``data`` beside the name. ``encoding``: hex (default) or base64.
        """
        payload = wanted.get("payload")
        if payload is None:
            payload = self._event(account, wanted)
        body = json.dumps(payload, separators=(",", ":")).encode()
        encode = hmac_base64 if wanted.get("encoding") == "base64" else hmac_hex
        return VendorCall(
            account.target(account.webhook_url),
            body,
            {
                "Content-Type": "application/json",
                "X-HMAC-SHA256": encode(needed(account.settings, "webhook_secret"), body),
            },
        )

    def trial(self, account: SandboxAccount, order: Trial) -> Mapping[str, Any]:
        """A new order of the restaurant's own site, whose guests are not masked."""
        self.plant(
            "orders",
            order.id,
            {
                "externalIdentifiers": {
                    "id": order.id,
                    "friendlyId": order.number,
                    "source": "own-site",
                    "sourceType": "ORDERING_WEBSITE",
                },
                "status": "NEW_ORDER",
                "orderedAt": order.time(),
                "customer": {
                    "name": " ".join(TRIAL_NAME),
                    "phone": TRIAL_PHONE,
                    "phoneCode": None,
                    "email": TRIAL_MAIL,
                },
                "items": [
                    {"id": f"I{n}", "lineItemId": f"L{n}", "name": name, "quantity": 1}
                    for n, name in enumerate(TRIAL_ITEMS)
                ],
                "fulfillmentInfo": {
                    "fulfillmentMode": "PICKUP",
                    "schedulingType": "ASAP",
                    "pickupTime": order.time(TRIAL_MINUTES),
                },
            },
        )
        place = {"store_id": order.location_id} if order.location_id else {}
        return {"order_id": order.id, "type": "orders.new_order", **place}

    def _event(self, account: SandboxAccount, wanted: Mapping[str, Any]) -> dict[str, Any]:
        order_id, kind = str(wanted.get("order_id") or ""), str(wanted.get("type", WHOLE[1]))
        if not order_id:
            raise ValueError("'order_id' says what the event is about")
        inside: dict[str, Any] = {"orderId": order_id, **wanted.get("data", {})}
        if kind in WHOLE:
            planted = self.state.resources.get((self.key, "orders", order_id))
            if planted is None:
                raise ValueError(f"order '{order_id}' is not planted")
            inside = planted
        host = account.settings.get("api_url", "").rstrip("/") or HOST
        return {
            "eventId": str(wanted.get("event_id") or uuid.uuid4()),
            "eventTime": iso(time.time()),
            "eventType": kind,
            "metadata": {
                "storeId": wanted.get("store_id")
                or account.settings.get("store_id")
                or "sandbox-store",
                "applicationId": "sandbox-application",
                "resourceId": order_id,
                "resourceHref": f"{host}/v1/orders/{order_id}",
                "payload": inside,
            },
        }


def _error(status: int, text: str, headers: Any = None) -> web.Response:
    return json_reply({"message": text, "details": []}, status=status, headers=headers)
