"""Lightspeed's Order and Pay: endpoints are registered, notifications posted with HTTP Basic.

It has nothing to be asked about orders. An endpoint registered with
``PUT /o/wh/1/webhook`` decides whether notifications carry the account.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import web

from integrations.sandbox.callbacks import VendorCall
from integrations.sandbox.state import SandboxAccount
from integrations.sandbox.vendors.base import (
    Route,
    SandboxVendor,
    Trial,
    basic,
    json_reply,
    needed,
)

LOCATION = 247158188015618


class Lightspeed(SandboxVendor):
    """An order source: the till of a restaurant."""

    key = "lightspeed"
    title = "Lightspeed Restaurant"

    def routes(self) -> Iterable[Route]:
        return (
            Route("PUT", "/o/wh/1/webhook", self.register_endpoint),
            Route("GET", "/o/wh/1/webhook/{id}", self.read_endpoint),
        )

    def account_name(self, settings: Mapping[str, str]) -> str:
        return settings.get("endpoint_id") or needed(settings, "username")

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        return [basic(needed(settings, "username"), needed(settings, "password"))]

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        headers = {"Retry-After": f"{retry_after_s:g}"} if status == 429 else None
        return json_reply({"message": f"HTTP {status}"}, status=status, headers=headers)

    # --- the API --------------------------------------------------------------------------------

    async def register_endpoint(self, request: web.Request) -> web.StreamResponse:
        """PUT one endpoint; without Basic credentials none would be checked, so they are needed."""
        try:
            wanted = json.loads(await request.read())
            name = wanted["endpointId"]
        except (ValueError, KeyError, TypeError):
            return json_reply({"message": "endpointId is missing"}, status=400)
        if wanted.get("withBasicAuth") is not True or not wanted.get("password"):
            return json_reply({"message": "withBasicAuth needs a password"}, status=400)
        self.state.resources[(self.key, "endpoints", str(name))] = wanted
        return json_reply(_public(wanted))

    async def read_endpoint(self, request: web.Request) -> web.StreamResponse:
        """GET one endpoint, without its password."""
        found = self.state.resources.get((self.key, "endpoints", request.match_info["id"]))
        if found is None:
            return json_reply({"message": "no such endpoint"}, status=404)
        return json_reply(_public(found))

    # --- what Lightspeed posts to us --------------------------------------------------------------

    def event(self, account: SandboxAccount, wanted: Mapping[str, Any]) -> VendorCall:
        """``payload`` as it is, or a notification about ``order_id``.

        ``status`` (default SUCCESS), ``type`` (default ORDER), ``reason`` and ``location``.
        """
        payload = wanted.get("payload")
        if payload is None:
            payload = self._notice(account, wanted)
        return VendorCall(
            account.target(account.webhook_url),
            json.dumps(payload, separators=(",", ":")).encode(),
            {
                "Content-Type": "application/json",
                "Authorization": self.credentials(account.settings)[0],
            },
        )

    def trial(self, account: SandboxAccount, order: Trial) -> Mapping[str, Any]:
        """An order that reached the till; contents and guest stay with who placed it."""
        place = {"location": order.location_id} if order.location_id else {}
        return {"order_id": order.id, "status": "SUCCESS", **place}

    def _notice(self, account: SandboxAccount, wanted: Mapping[str, Any]) -> dict[str, Any]:
        reference = str(wanted.get("order_id") or "")
        if not reference:
            raise ValueError("'order_id' says which order the notification is about")
        notice: dict[str, Any] = {
            "thirdPartyReference": reference,
            "businessLocationId": wanted.get("location", LOCATION),
            "status": str(wanted.get("status", "SUCCESS")),
            "type": str(wanted.get("type", "ORDER")),
        }
        if wanted.get("reason"):
            notice["reason"] = str(wanted["reason"])
        name = account.settings.get("endpoint_id", "")
        endpoint = self.state.resources.get((self.key, "endpoints", name), {})
        if endpoint.get("provideAccount"):
            notice["account"] = {"uuid": f"account-{reference}", "name": f"Order {reference[-4:]}"}
        return notice


def _public(endpoint: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in endpoint.items() if name != "password"}
