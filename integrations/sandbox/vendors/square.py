"""Square's orders API and its webhooks.

Orders are planted (``PUT /_sandbox/square/orders/{id}``), read by the product with a bearer
token, and announced by thin signed events (``POST /_sandbox/emit``).
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
from integrations.signatures import hmac_base64

API_VERSION = "2026-10-15"
SEARCH_LIMIT = 500
KINDS = ("orders", "customers", "locations")


class Square(SandboxVendor):
    """An order source: the seller's POS and online store."""

    key = "square"
    title = "Square"

    def routes(self) -> Iterable[Route]:
        return (
            Route("GET", "/v2/orders/{id}", self.read_order),
            Route("POST", "/v2/orders/search", self.search),
            Route("GET", "/v2/customers/{id}", self.read_customer),
            Route("GET", "/v2/locations/{id}", self.read_location),
        )

    def control_routes(self) -> Iterable[Route]:
        return planting_routes(self, KINDS)

    def account_name(self, settings: Mapping[str, str]) -> str:
        return settings.get("merchant_id") or needed(settings, "access_token")[-6:]

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        return [f"Bearer {needed(settings, 'access_token')}"]

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        code = {429: "RATE_LIMITED", 503: "SERVICE_UNAVAILABLE"}.get(status, "GATEWAY_TIMEOUT")
        category = "RATE_LIMIT_ERROR" if status == 429 else "API_ERROR"
        headers = {"Retry-After": f"{retry_after_s:g}"} if status == 429 else None
        return _error(status, category, code, "Try again later.", headers)

    # --- the API --------------------------------------------------------------------------------

    async def read_order(self, request: web.Request) -> web.StreamResponse:
        """GET one order."""
        return self._read(request, "orders", "order")

    async def read_customer(self, request: web.Request) -> web.StreamResponse:
        """GET one customer."""
        return self._read(request, "customers", "customer")

    async def read_location(self, request: web.Request) -> web.StreamResponse:
        """GET one location."""
        return self._read(request, "locations", "location")

    async def search(self, request: web.Request) -> web.StreamResponse:
        """POST search: by locations, updated_at window and states, newest change first."""
        if not self._is_authorized(request):
            return _unauthorized()
        try:
            wanted = json.loads(await request.read() or b"{}")
            locations = wanted.get("location_ids") or []
            filters = wanted.get("query", {}).get("filter", {})
            window = filters.get("date_time_filter", {}).get("updated_at", {})
            states = filters.get("state_filter", {}).get("states")
            is_ascending = wanted.get("query", {}).get("sort", {}).get("sort_order") == "ASC"
            limit = min(int(wanted.get("limit", SEARCH_LIMIT)), SEARCH_LIMIT)
            first = int(wanted.get("cursor") or 0)
        except (ValueError, AttributeError):
            return _error(400, "INVALID_REQUEST_ERROR", "BAD_REQUEST", "The body is not valid.")
        if not locations:
            text = "Missing required parameter: location_ids"
            return _error(400, "INVALID_REQUEST_ERROR", "MISSING_REQUIRED_PARAMETER", text)
        start, end = window.get("start_at", ""), window.get("end_at", "")
        found = [
            order
            for (vendor, kind, _), order in self.state.resources.items()
            if (vendor, kind) == (self.key, "orders")
            and order.get("location_id") in locations
            and (not start or order.get("updated_at", "") >= start)
            and (not end or order.get("updated_at", "") <= end)
            and (not states or order.get("state") in states)
        ]
        found.sort(key=lambda order: order.get("updated_at", ""), reverse=not is_ascending)
        answer = {"orders": found[first : first + limit]} if found[first:] else {}
        more = {"cursor": str(first + limit)} if found[first + limit :] else {}
        return json_reply({**answer, **more})

    def _read(self, request: web.Request, kind: str, name: str) -> web.StreamResponse:
        if not self._is_authorized(request):
            return _unauthorized()
        key = request.match_info["id"]
        resource = self.state.resources.get((self.key, kind, key))
        if resource is None:
            text = f"{name.title()} not found for id {key}"
            return _error(404, "INVALID_REQUEST_ERROR", "NOT_FOUND", text)
        return json_reply({name: resource}, headers={"Square-Version": API_VERSION})

    def _is_authorized(self, request: web.Request) -> bool:
        login = request.headers.get("Authorization", "")
        return self.state.find_account(self.key, login) is not None

    # --- what Square posts to us ------------------------------------------------------------------

    def event(self, account: SandboxAccount, wanted: Mapping[str, Any]) -> VendorCall:
        """``payload`` as it is, or a thin event about a planted order.

        ``type``: order.created, order.updated (default) or order.fulfillment.updated, the last
        with ``fulfillment_uid``, ``old_state``, ``new_state``. ``event_id`` to repeat one.
        """
        payload = wanted.get("payload") or self._thin(account, wanted)
        body = json.dumps(payload, separators=(",", ":")).encode()
        key = needed(account.settings, "signature_key")
        return VendorCall(
            account.target(account.webhook_url),
            body,
            {
                "Content-Type": "application/json",
                "User-Agent": "Square Connect v2",
                "Square-Environment": "Sandbox",
                "x-square-hmacsha256-signature": hmac_base64(
                    key, account.webhook_url.encode() + body
                ),
            },
        )

    def trial(self, account: SandboxAccount, order: Trial) -> Mapping[str, Any]:
        """An order for pickup that the kitchen has not begun."""
        pickup = {
            "recipient": {
                "display_name": " ".join(TRIAL_NAME),
                "phone_number": TRIAL_PHONE,
                "email_address": TRIAL_MAIL,
            },
            "schedule_type": "ASAP",
            "placed_at": order.time(),
            "pickup_at": order.time(TRIAL_MINUTES),
        }
        self.plant(
            "orders",
            order.id,
            {
                "id": order.id,
                "location_id": order.location_id or "LSANDBOX",
                "ticket_name": order.number,
                "source": {"name": "Square Online"},
                "state": "OPEN",
                "version": 1,
                "created_at": order.time(),
                "updated_at": order.time(),
                "line_items": [
                    {"uid": f"L{n}", "name": name, "quantity": "1"}
                    for n, name in enumerate(TRIAL_ITEMS)
                ],
                "fulfillments": [
                    {
                        "uid": f"F-{order.uid}",
                        "type": "PICKUP",
                        "state": "PROPOSED",
                        "line_item_application": "ALL",
                        "pickup_details": pickup,
                    }
                ],
            },
        )
        return {"order_id": order.id, "type": "order.created"}

    def _thin(self, account: SandboxAccount, wanted: Mapping[str, Any]) -> dict[str, Any]:
        order_id = str(wanted.get("order_id", ""))
        order = self.state.resources.get((self.key, "orders", order_id))
        if order is None:
            raise ValueError(
                f"order '{order_id}' is not planted: PUT /_sandbox/square/orders/{{id}}"
            )
        event_type = str(wanted.get("type", "order.updated"))
        name = event_type.replace(".", "_")
        now = iso(time.time())
        facts: dict[str, Any] = {
            "order_id": order_id,
            "version": order.get("version", 1),
            "location_id": order.get("location_id", ""),
            "state": order.get("state", "OPEN"),
            "created_at": order.get("created_at", now),
        }
        if event_type != "order.created":
            facts["updated_at"] = order.get("updated_at", now)
        if event_type == "order.fulfillment.updated":
            facts["fulfillment_update"] = [
                {n: wanted.get(n, "") for n in ("fulfillment_uid", "old_state", "new_state")}
            ]
        return {
            "merchant_id": account.settings.get("merchant_id", "SANDBOX"),
            "type": event_type,
            "event_id": str(wanted.get("event_id") or uuid.uuid4()),
            "created_at": now,
            "data": {"type": name, "id": order_id, "object": {name: facts}},
        }


def _error(status: int, category: str, code: str, detail: str, headers: Any = None) -> web.Response:
    error = {"category": category, "code": code, "detail": detail}
    return json_reply({"errors": [error]}, status=status, headers=headers)


def _unauthorized() -> web.Response:
    text = "This request could not be authorized."
    return _error(401, "AUTHENTICATION_ERROR", "UNAUTHORIZED", text)
