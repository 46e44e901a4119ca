"""Clover's REST API and the webhook of an app.

Orders are planted (``PUT /_sandbox/clover/orders/{id}``, their merchant in ``merchant``), read by
the product with that merchant's token, and named by pings (``POST /_sandbox/emit``).
``POST /_sandbox/clover/verify`` is what the dashboard sends to a new address.
"""

from __future__ import annotations

import json
import re
import time
import uuid
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
    json_reply,
    needed,
)
from integrations.sandbox.vendors.planted import planting_routes

APP = "DRKVJT2ZRRRSC"
MOST_PER_PAGE = 1000
#: members that come as a bare link unless they are asked for
EXPANDABLE = ("lineItems", "customers", "discounts")
_FILTER = re.compile(r"modifiedTime>=(\d+)")


class Clover(SandboxVendor):
    """An order source: a till."""

    key = "clover"
    title = "Clover"

    def routes(self) -> Iterable[Route]:
        return (
            Route("GET", "/v3/merchants/{merchant}/orders/{id}", self.read_order),
            Route("GET", "/v3/merchants/{merchant}/orders", self.list_orders),
        )

    def control_routes(self) -> Iterable[Route]:
        return [Route("POST", "/verify", self.verify), *planting_routes(self, ("orders",))]

    def account_name(self, settings: Mapping[str, str]) -> str:
        return next(iter(_tokens(settings)), "")

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        # a token opens its own merchant only
        return [f"{name} Bearer {token}" for name, token in _tokens(settings).items()]

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        headers = {"Retry-After": f"{retry_after_s:g}"} if status == 429 else None
        return json_reply({"message": f"{status}"}, status=status, headers=headers)

    # --- the API --------------------------------------------------------------------------------

    async def read_order(self, request: web.Request) -> web.StreamResponse:
        """GET one order of a merchant."""
        if not self._is_authorized(request):
            return _unauthorized()
        order = self.state.resources.get((self.key, "orders", request.match_info["id"]))
        if order is None or order.get("merchant") != request.match_info["merchant"]:
            return json_reply({"message": "Not Found"}, status=404)
        return json_reply(_shown(order, request))

    async def list_orders(self, request: web.Request) -> web.StreamResponse:
        """GET the orders of a merchant modified since a time, oldest first."""
        if not self._is_authorized(request):
            return _unauthorized()
        wanted = _FILTER.fullmatch(request.query.get("filter", ""))
        if wanted is None:
            return json_reply({"message": "filter: modifiedTime>=milliseconds"}, status=400)
        found = [
            _shown(order, request)
            for (vendor, _, _), order in self.state.resources.items()
            if vendor == self.key
            and order.get("merchant") == request.match_info["merchant"]
            and order.get("modifiedTime", 0) >= int(wanted[1])
        ]
        found.sort(key=lambda order: order.get("createdTime", 0))
        limit = request.query.get("limit", "100")
        most = min(int(limit), MOST_PER_PAGE) if limit.isdecimal() else 100
        offset = request.query.get("offset", "0")
        first = int(offset) if offset.isdecimal() else 0
        return json_reply({"elements": found[first : first + most], "href": str(request.url)})

    def _is_authorized(self, request: web.Request) -> bool:
        login = request.headers.get("Authorization", "")
        whose = f"{request.match_info['merchant']} {login}"
        return self.state.find_account(self.key, whose) is not None

    # --- what Clover posts to us ----------------------------------------------------------------

    async def verify(self, request: web.Request) -> web.StreamResponse:
        """Post a verification code to the newest account; tells the code and the answer."""
        accounts = self.state.accounts(self.key)
        if not accounts:
            return json_reply({"error": "no account is registered"}, status=400)
        code = str(uuid.uuid4())
        answer = await self.callbacks.now(
            VendorCall(
                accounts[-1].target(accounts[-1].webhook_url),
                json.dumps({"verificationCode": code}).encode(),
                {"Content-Type": "application/json"},
            )
        )
        return json_reply({"status": answer.status, "code": code})

    def event(self, account: SandboxAccount, wanted: Mapping[str, Any]) -> VendorCall:
        """``payload`` as it is, or a ping about the planted order ``order_id``.

        ``type``: CREATE, UPDATE (default) or DELETE, which also takes the order away.
        """
        payload = wanted.get("payload") or self._ping(wanted)
        return VendorCall(
            account.target(account.webhook_url),
            json.dumps(payload, separators=(",", ":")).encode(),
            {
                "Content-Type": "application/json",
                "X-Clover-Auth": needed(account.settings, "auth_code"),
            },
        )

    def trial(self, account: SandboxAccount, order: Trial) -> Mapping[str, Any]:
        """An open order of the merchant called like the kitchen, or of the first one."""
        tokens = _tokens(account.settings)
        named = (place for place in order.places if place in tokens)
        merchant = next(named, None) or next(iter(tokens), "")
        if not merchant:
            raise ValueError("'merchant_tokens' names no merchant: write MERCHANT=token")
        stamp = int(order.at * 1000)
        guest = {
            "id": "TRYCUSTOMER",
            "firstName": TRIAL_NAME[0],
            "lastName": TRIAL_NAME[1],
            "phoneNumbers": {"elements": [{"id": "P", "phoneNumber": TRIAL_PHONE}]},
            "emailAddresses": {"elements": [{"id": "E", "emailAddress": TRIAL_MAIL}]},
        }
        self.plant(
            "orders",
            order.id,
            {
                "id": order.id,
                "merchant": merchant,
                "title": order.number,
                "state": "open",
                "paymentState": "OPEN",
                "createdTime": stamp,
                "modifiedTime": stamp,
                "orderType": {"id": "TRY", "label": "Pick up"},
                "customers": {"elements": [guest]},
                "lineItems": {
                    "elements": [
                        {"id": f"L{n}", "name": name, "printed": False}
                        for n, name in enumerate(TRIAL_ITEMS)
                    ]
                },
            },
        )
        return {"order_id": order.id, "type": "CREATE"}

    def _ping(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        order_id = str(wanted.get("order_id", ""))
        place = (self.key, "orders", order_id)
        order = self.state.resources.get(place)
        if order is None:
            raise ValueError(
                f"order '{order_id}' is not planted: PUT /_sandbox/clover/orders/{{id}}"
            )
        change = str(wanted.get("type", "UPDATE"))
        if change == "DELETE":
            del self.state.resources[place]
        entry = {"objectId": f"O:{order_id}", "type": change, "ts": int(time.time() * 1000)}
        return {"appId": APP, "merchants": {str(order.get("merchant", "")): [entry]}}


def _tokens(settings: Mapping[str, str]) -> dict[str, str]:
    written = re.split(r"[\s,;]+", needed(settings, "merchant_tokens"))
    return {name: token for name, _, token in (pair.partition("=") for pair in written) if token}


def _shown(order: Mapping[str, Any], request: web.Request) -> dict[str, Any]:
    """An order without what was not asked for."""
    asked = request.query.get("expand", "").split(",")
    links = {
        name: {"href": f"{request.url.path}/{name}"}
        for name in EXPANDABLE
        if name in order and name not in asked
    }
    return {name: value for name, value in {**order, **links}.items() if name != "merchant"}


def _unauthorized() -> web.Response:
    return json_reply({"message": "401 Unauthorized"}, status=401)
