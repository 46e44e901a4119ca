"""Uber: Eats Marketplace orders (thin events, read by GET) and Direct deliveries (fat events).

Both sign the raw body; Marketplace with the app's client secret, Direct with the key of the
webhook.
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
    TRIAL_MINUTES,
    TRIAL_NAME,
    Route,
    SandboxVendor,
    Trial,
    json_reply,
    needed,
    random_hex,
)
from integrations.sandbox.vendors.planted import planting_routes
from integrations.signatures import hmac_hex

KINDS = ("orders", "deliveries")
LIVE_API = "https://api.uber.com"


class UberEats(SandboxVendor):
    """An order source: Uber's marketplace and its couriers."""

    key = "uber_eats"
    title = "Uber Eats and Direct"

    def routes(self) -> Iterable[Route]:
        return (
            Route("GET", "/v2/eats/order/{id}", self.read_order),
            Route("GET", "/v1/customers/{customer}/deliveries/{id}", self.read_delivery),
        )

    def control_routes(self) -> Iterable[Route]:
        return planting_routes(self, KINDS)

    def account_name(self, settings: Mapping[str, str]) -> str:
        return settings.get("store_id") or settings.get("customer_id") or "uber"

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        token = settings.get("access_token")
        return [f"Bearer {token}"] if token else []

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        code = {429: "rate_limited", 503: "service_unavailable"}.get(status, "internal_error")
        headers = {"Retry-After": f"{retry_after_s:g}"} if status == 429 else None
        return _error(status, code, "Please try again later.", headers)

    # --- the API --------------------------------------------------------------------------------

    async def read_order(self, request: web.Request) -> web.StreamResponse:
        """GET one Marketplace order."""
        return self._read(request, "orders")

    async def read_delivery(self, request: web.Request) -> web.StreamResponse:
        """GET one Direct delivery."""
        return self._read(request, "deliveries")

    def _read(self, request: web.Request, kind: str) -> web.StreamResponse:
        login = request.headers.get("Authorization", "")
        if self.state.find_account(self.key, login) is None:
            return _error(401, "unauthorized", "Invalid OAuth 2.0 credentials provided.")
        resource = self.state.resources.get((self.key, kind, request.match_info["id"]))
        if resource is None:
            return _error(404, "not_found", "The requested resource does not exist.")
        return json_reply(resource)

    # --- what Uber posts to us ------------------------------------------------------------------

    def event(self, account: SandboxAccount, wanted: Mapping[str, Any]) -> VendorCall:
        """``payload`` as it is, or an event made from the other values.

        With ``delivery_id``: a Direct delivery_status (``status``, ``data``). Else a Marketplace
        event (``type``, default orders.notification; ``order_id``).
        """
        payload = wanted.get("payload")
        if payload is None:
            make = _direct if wanted.get("delivery_id") else _marketplace
            payload = make(account, wanted)
        is_direct = "delivery_id" in payload
        key = needed(account.settings, "direct_signing_key" if is_direct else "client_secret")
        body = json.dumps(payload, separators=(",", ":")).encode()
        return VendorCall(
            account.target(account.webhook_url),
            body,
            {
                "Content-Type": "application/json",
                "X-Environment": "sandbox",
                "X-Uber-Signature": hmac_hex(key, body),
            },
        )

    def trial(self, account: SandboxAccount, order: Trial) -> Mapping[str, Any]:
        """A Marketplace order; for an account with a Direct key only, news of a courier."""
        if not account.settings.get("client_secret"):
            news = {"external_id": order.id, "dropoff_eta": order.time(TRIAL_MINUTES)}
            return {"delivery_id": f"del_{order.uid}", "status": "pickup", "data": news}
        store = order.location_id or account.settings.get("store_id") or "sandbox-store"
        self.plant(
            "orders",
            order.id,
            {
                "id": order.id,
                "display_id": order.number,
                "current_state": "CREATED",
                "type": "PICK_UP",
                "store": {"id": store},
                "eater": {"first_name": TRIAL_NAME[0], "last_name": TRIAL_NAME[1][0]},
                "cart": {
                    "items": [
                        {"id": f"I{n}", "instance_id": f"N{n}", "title": title, "quantity": 1}
                        for n, title in enumerate(TRIAL_ITEMS)
                    ]
                },
                "placed_at": order.time(),
                "estimated_ready_for_pickup_at": order.time(TRIAL_MINUTES),
            },
        )
        return {"order_id": order.id, "type": "orders.notification", "store_id": store}


def _marketplace(account: SandboxAccount, wanted: Mapping[str, Any]) -> dict[str, Any]:
    order_id = str(wanted.get("order_id", ""))
    if not order_id:
        raise ValueError("'order_id' or 'delivery_id' says what the event is about")
    return {
        "event_type": str(wanted.get("type", "orders.notification")),
        "event_id": str(wanted.get("event_id") or uuid.uuid4()),
        "event_time": int(time.time()),
        "meta": {
            "user_id": wanted.get("store_id")
            or account.settings.get("store_id")
            or "sandbox-store",
            "resource_id": order_id,
            "status": str(wanted.get("status", "pos")),
        },
        "resource_href": f"{LIVE_API}/v2/eats/order/{order_id}",
    }


def _direct(account: SandboxAccount, wanted: Mapping[str, Any]) -> dict[str, Any]:
    delivery_id, status = str(wanted["delivery_id"]), str(wanted.get("status", "pickup"))
    return {
        "id": str(wanted.get("event_id") or f"evt_{random_hex(12)}"),
        "kind": "event.delivery_status",
        "created": iso(time.time()),
        "delivery_id": delivery_id,
        "status": status,
        "live_mode": False,
        "data": {
            "id": delivery_id,
            "kind": "delivery",
            "status": status,
            "complete": status in ("delivered", "canceled", "returned"),
            **wanted.get("data", {}),
        },
    }


def _error(status: int, code: str, text: str, headers: Any = None) -> web.Response:
    return json_reply({"code": code, "message": text}, status=status, headers=headers)
