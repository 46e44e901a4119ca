"""Deliverect: an order to read, signed bodies without a type, and the register call of a channel.

Orders are planted (``PUT /_sandbox/deliverect/orders/{id}``). ``POST /register`` below
``/_sandbox/deliverect`` registers a channel link and tells which URLs it was given.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from integrations.sandbox.callbacks import VendorCall
from integrations.sandbox.state import SandboxAccount
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
from integrations.signatures import hmac_hex

HEADER = "X-Server-Authorization-HMAC-SHA256"
LINK = "sandbox-channel-link"
KINDS = ("orders",)


class Deliverect(SandboxVendor):
    """An order source: many channels behind one till."""

    key = "deliverect"
    title = "Deliverect"

    def routes(self) -> Iterable[Route]:
        return (Route("GET", "/orders/{id}", self.read_order),)

    def control_routes(self) -> Iterable[Route]:
        return [Route("POST", "/register", self.register_channel), *planting_routes(self, KINDS)]

    def account_name(self, settings: Mapping[str, str]) -> str:
        return settings.get("account") or "deliverect"

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        token = settings.get("access_token")
        return [f"Bearer {token}"] if token else []

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        headers = {"Retry-After": f"{retry_after_s:g}"} if status == 429 else None
        return _error(status, f"HTTP {status}", headers)

    async def read_order(self, request: web.Request) -> web.StreamResponse:
        """GET one order."""
        login = request.headers.get("Authorization", "")
        if self.state.find_account(self.key, login) is None:
            return _error(401, "Please provide proper credentials")
        order = self.state.resources.get((self.key, "orders", request.match_info["id"]))
        if order is None:
            return _error(404, "The requested URL was not found on the server.")
        return json_reply(order)

    async def register_channel(self, request: web.Request) -> web.StreamResponse:
        """Post the register call, signed with the id of the link it is about."""
        accounts = self.state.accounts(self.key)
        if not accounts:
            return json_reply({"error": "no account is registered"}, status=400)
        body = {
            "status": "register",
            "channelLocationId": "sandbox-store",
            "channelLinkId": LINK,
            "locationId": "sandbox-location",
            "channelLinkName": "Sandbox channel",
        }
        answer = await self.callbacks.now(_signed(accounts[-1], body, LINK))
        try:
            urls = json.loads(answer.body)
        except ValueError:
            urls = None
        return json_reply({"status": answer.status, "urls": urls})

    def event(self, account: SandboxAccount, wanted: Mapping[str, Any]) -> VendorCall:
        """``payload`` as it is, or a body about ``order_id``.

        ``type``: status (default; ``status``, ``reason``), order (the planted one), courier
        (``status``, ``deliveryTime``) or preparation (``pickupTime``).
        """
        payload = wanted.get("payload")
        if payload is None:
            payload = self._body(wanted)
        return _signed(account, payload, needed(account.settings, "webhook_secret"))

    def trial(self, account: SandboxAccount, order: Trial) -> Mapping[str, Any]:
        """A new order of a channel of the restaurant's own, whose guests are not masked."""
        self.plant(
            "orders",
            order.id,
            {
                "_id": order.id,
                "_created": order.time(),
                "_updated": order.time(),
                "channelOrderId": order.id,
                "channelOrderDisplayId": order.number,
                "location": order.location_id,
                "status": 4,
                "statusHistory": [{"timeStamp": order.time(), "status": 4, "source": 2}],
                "orderType": 1,
                "channel": 10000,
                "pickupTime": order.time(TRIAL_MINUTES),
                "deliveryIsAsap": True,
                "customer": {
                    "name": " ".join(TRIAL_NAME),
                    "phoneNumber": TRIAL_PHONE,
                    "phoneAccessCode": "",
                    "email": TRIAL_MAIL,
                },
                "items": [
                    {"plu": f"P-{n}", "name": name, "quantity": 1, "subItems": []}
                    for n, name in enumerate(TRIAL_ITEMS)
                ],
                "testOrder": True,
            },
        )
        return {"order_id": order.id, "type": "order"}

    def _body(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        order_id, kind = str(wanted.get("order_id") or ""), wanted.get("type", "status")
        order = self.state.resources.get((self.key, "orders", order_id))
        if kind == "order":
            if order is None:
                raise ValueError(f"order '{order_id}' is not planted")
            return order
        if not order_id:
            raise ValueError("'order_id' says what the event is about")
        status = wanted.get("status")
        about = {"orderId": order_id, "location": (order or {}).get("location", "")}
        if kind == "status":
            reason = str(wanted.get("reason", ""))
            return {**about, "status": status, "timeStamp": _now(), "reason": reason}
        if kind == "courier":
            courier = {"firstName": "Casey", "status": status, "deliveryBy": "platform"}
            due = {n: wanted[n] for n in ("deliveryTime", "pickupTime") if n in wanted}
            return {**about, **due, "received": _now(), "courier": courier, "rawDriverUpdate": []}
        if kind == "preparation":
            return {**about, "status": status or 20, "pickupTime": wanted.get("pickupTime")}
        raise ValueError("'type' is status, order, courier or preparation")


def _signed(account: SandboxAccount, payload: Any, secret: str) -> VendorCall:
    body = json.dumps(payload, separators=(",", ":")).encode()
    headers = {"Content-Type": "application/json", HEADER: hmac_hex(secret, body)}
    return VendorCall(account.target(account.webhook_url), body, headers)


def _now() -> str:
    return datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _error(status: int, text: str, headers: Any = None) -> web.Response:
    body = {"_status": "ERR", "_error": {"code": status, "message": text}}
    return json_reply(body, status=status, headers=headers)
