"""DoorDash: Drive deliveries (pushed, and read with a JWT) and Marketplace notices.

Deliveries are planted (``PUT /_sandbox/doordash/deliveries/{id}``). Nothing it posts is signed: it
sends back the Authorization value of the account, as the real one does.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
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
    TRIAL_NAME,
    Route,
    SandboxVendor,
    Trial,
    json_reply,
    needed,
)
from integrations.sandbox.vendors.planted import planting_routes

KINDS = ("deliveries",)
TOKEN_LIFE_S = 1800


class DoorDash(SandboxVendor):
    """An order source: DoorDash's couriers and its app."""

    key = "doordash"
    title = "DoorDash"

    def routes(self) -> Iterable[Route]:
        return (Route("GET", "/drive/v2/deliveries/{id}", self.read_delivery),)

    def control_routes(self) -> Iterable[Route]:
        return planting_routes(self, KINDS)

    def account_name(self, settings: Mapping[str, str]) -> str:
        return settings.get("developer_id") or "doordash"

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        return [needed(settings, "authorization")]

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        headers = {"Retry-After": f"{retry_after_s:g}"} if status == 429 else None
        return _error(status, "unknown_error" if status >= 500 else "request_rate_limited", headers)

    async def read_delivery(self, request: web.Request) -> web.StreamResponse:
        """GET one Drive delivery."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not any(_is_signed(token, a.settings) for a in self.state.accounts(self.key)):
            return _error(401, "authentication_error")
        found = self.state.resources.get((self.key, "deliveries", request.match_info["id"]))
        if found is None:
            return _error(404, "unknown_delivery_id")
        return json_reply(found)

    def event(self, account: SandboxAccount, wanted: Mapping[str, Any]) -> VendorCall:
        """``payload`` as it is, or an event made from the other values.

        With ``delivery_id``: a Drive event (``status``, default DASHER_CONFIRMED; ``data``). Else
        Marketplace, about ``order_id``: ``type`` dasher_status_update (default; ``status``) or
        cancel; ``reference`` is the till's id.
        """
        payload = wanted.get("payload")
        if payload is None:
            payload = _drive(wanted) if wanted.get("delivery_id") else _marketplace(wanted)
        return VendorCall(
            account.target(account.webhook_url),
            json.dumps(payload, separators=(",", ":")).encode(),
            {
                "Content-Type": "application/json",
                "Authorization": needed(account.settings, "authorization"),
            },
        )

    def trial(self, account: SandboxAccount, order: Trial) -> Mapping[str, Any]:
        """A Marketplace order, as somebody who may answer it forwards a copy."""
        items = [
            {"line_item_id": f"L{n}", "name": name, "quantity": 1, "extras": []}
            for n, name in enumerate(TRIAL_ITEMS)
        ]
        return {
            "order_id": order.id,
            "payload": {
                "event": {"type": "OrderCreate", "status": "NEW"},
                "order": {
                    "id": order.id,
                    "delivery_short_code": order.number,
                    "fulfillment_type": "dx_delivery",
                    "is_pickup": False,
                    "consumer": {"first_name": TRIAL_NAME[0], "last_name": TRIAL_NAME[1][0]},
                    "store": {"merchant_supplied_id": order.location_id or "sandbox-store"},
                    "categories": [{"name": "Bowls", "items": items}],
                },
            },
        }


def _drive(wanted: Mapping[str, Any]) -> dict[str, Any]:
    delivery_id = str(wanted["delivery_id"])
    return {
        "created_at": iso(time.time()),
        "event_name": str(wanted.get("status", "DASHER_CONFIRMED")),
        "external_delivery_id": delivery_id,
        "dasher_id": 123212,
        "dasher_name": "Casey D.",
        "dasher_location": {"lat": 43.33, "lng": -79.33},
        "tracking_url": f"https://track.example.com/{delivery_id}",
        **wanted.get("data", {}),
    }


def _marketplace(wanted: Mapping[str, Any]) -> dict[str, Any]:
    order_id, kind = str(wanted.get("order_id") or ""), wanted.get("type", "dasher_status_update")
    if not order_id:
        raise ValueError("'order_id' or 'delivery_id' says what the event is about")
    about = {"external_order_id": order_id, "client_order_id": wanted.get("reference")}
    store = str(wanted.get("location_id", "sandbox-store"))
    if kind == "cancel":
        return {**about, "store": {"merchant_supplied_id": store}, "is_asap": True}
    if kind != "dasher_status_update":
        raise ValueError("'type' is dasher_status_update or cancel")
    return {
        "event": {"type": kind, "status": "SUCCESS", "reference": str(uuid.uuid4())},
        "created_at": iso(time.time()),
        "delivery": {
            **about,
            "location_id": store,
            "dasher_status": str(wanted.get("status", "dasher_confirmed")),
            "dasher": {"first_name": "Casey", "last_name": "D.", "phone_number": "2025550144"},
        },
    }


def _is_signed(token: str, settings: Mapping[str, str]) -> bool:
    """Whether ``token`` is a JWT of this account that DoorDash would take now."""
    try:
        head, claims, signature = token.split(".")
        if _decoded(head) != {"alg": "HS256", "typ": "JWT", "dd-ver": "DD-JWT-V1"}:
            return False
        said = _decoded(claims)
        secret = _unpadded(settings.get("signing_secret", ""))
        expected = hmac.new(secret, f"{head}.{claims}".encode(), hashlib.sha256).digest()
        issued, until = int(said["iat"]), int(said["exp"])
        right = (said["aud"], said["iss"], said["kid"]) == (
            "doordash",
            settings.get("developer_id"),
            settings.get("key_id"),
        )
        return (
            bool(secret)
            and right
            and hmac.compare_digest(expected, _unpadded(signature))
            and until - issued <= TOKEN_LIFE_S
            and until > time.time()
        )
    except (ValueError, KeyError, TypeError):
        return False


def _decoded(part: str) -> Any:
    return json.loads(_unpadded(part))


def _unpadded(value: str) -> bytes:
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))


def _error(status: int, code: str, headers: Any = None) -> web.Response:
    body = {"code": code, "message": f"HTTP {status}", "field_errors": []}
    return json_reply(body, status=status, headers=headers)
