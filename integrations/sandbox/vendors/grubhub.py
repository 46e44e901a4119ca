"""Grubhub Connect's pushes: HTTP Basic, the whole history of the delivery each time.

It remembers what happened to a delivery, so ``POST /_sandbox/emit`` names only what is new. It
has nothing to be asked.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from integrations.sandbox.callbacks import VendorCall
from integrations.sandbox.state import SandboxAccount, iso
from integrations.sandbox.vendors.base import SandboxVendor, Trial, basic, json_reply, needed


class Grubhub(SandboxVendor):
    """An order source: Grubhub's couriers."""

    key = "grubhub"
    title = "Grubhub Connect"

    def account_name(self, settings: Mapping[str, str]) -> str:
        return needed(settings, "username")

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        return [basic(needed(settings, "username"), needed(settings, "password"))]

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        headers = {"Retry-After": f"{retry_after_s:g}"} if status == 429 else None
        return json_reply({"message": f"HTTP {status}"}, status=status, headers=headers)

    def event(self, account: SandboxAccount, wanted: Mapping[str, Any]) -> VendorCall:
        """``payload`` as it is, or a push about ``delivery_id``.

        ``status`` adds an element to the history, ``dropped_off`` is the estimate, ``order_id``
        the restaurant's own id of the order. ``type``: DELIVERY_STATUS_UPDATE (default),
        ETA_UPDATE or COURIER_LOCATION_UPDATE.
        """
        payload = wanted.get("payload")
        if payload is None:
            payload = self._push(wanted)
        login = self.credentials(account.settings)[0]
        return VendorCall(
            account.target(account.webhook_url),
            json.dumps(payload, separators=(",", ":")).encode(),
            {"Content-Type": "application/json", "Authorization": login},
        )

    def trial(self, account: SandboxAccount, order: Trial) -> Mapping[str, Any]:
        """A Marketplace order; what else stands in one, Grubhub tells its partners only."""
        return {
            "order_id": order.id,
            "payload": {
                "order_uuid": order.id,
                "merchant_id": order.location_id or "sandbox-merchant",
                "status": "RESTAURANT_CONFIRMABLE",
            },
        }

    def _push(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        delivery_id = str(wanted.get("delivery_id") or "")
        if not delivery_id:
            raise ValueError("'delivery_id' says what the push is about")
        delivery = self.state.resources.setdefault(
            (self.key, "deliveries", delivery_id),
            {
                "delivery_id": delivery_id,
                "events": [{"type": "CREATED", "timestamp": iso(time.time())}],
                "estimated_event_times": {},
                "client_data": {"external_source": "sandbox"},
            },
        )
        if wanted.get("order_id"):
            delivery["client_data"]["external_id"] = str(wanted["order_id"])
        if wanted.get("dropped_off"):
            delivery["estimated_event_times"]["dropped_off"] = str(wanted["dropped_off"])
        if wanted.get("status"):
            element = {"type": str(wanted["status"]), "timestamp": iso(time.time())}
            delivery["events"].append(element)
        return {
            "update_type": str(wanted.get("type", "DELIVERY_STATUS_UPDATE")),
            "delivery": delivery,
            "tracking_url": f"https://track.example.com/{delivery_id}",
            "courier": {
                "name": "Casey",
                "delivery_method": "BIKE",
                "location": {"lat": 41.88, "lng": -87.63},
            },
        }
