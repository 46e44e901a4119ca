"""A till that speaks CloudEvents: posts signed structured events, and answers for their data.

Data is planted (``PUT /_sandbox/cloudevents/data/{id}``) for events that only point at it.
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
from integrations.signatures import hmac_hex

SOURCE = "https://pos.example.com/stores/STORE-1"


class CloudEvents(SandboxVendor):
    """An order source without an adapter of its own."""

    key = "cloudevents"
    title = "CloudEvents"

    def routes(self) -> Iterable[Route]:
        return (Route("GET", "/data/{id}", self.read_data),)

    def control_routes(self) -> Iterable[Route]:
        return planting_routes(self, ("data",))

    def account_name(self, settings: Mapping[str, str]) -> str:
        return settings.get("source_prefix") or SOURCE

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        token = settings.get("dataref_token")
        return [f"Bearer {token}"] if token else []

    async def read_data(self, request: web.Request) -> web.StreamResponse:
        """GET the data of one event."""
        login = request.headers.get("Authorization", "")
        if self.state.find_account(self.key, login) is None:
            return json_reply({"title": "who are you?"}, status=401)
        planted = self.state.resources.get((self.key, "data", request.match_info["id"]))
        if planted is None:
            return json_reply({"title": "no such data"}, status=404)
        return json_reply({name: value for name, value in planted.items() if name != "id"})

    def event(self, account: SandboxAccount, wanted: Mapping[str, Any]) -> VendorCall:
        """``payload`` as it is (a list becomes a batch), or an event around ``data``.

        ``type`` (default com.example.order.transition), ``order_id``, ``event_id``, ``time``,
        ``sequence``, ``source`` and ``data``; or ``dataref``, the id of planted data.
        """
        payload = wanted.get("payload") or _event(account, wanted)
        body = json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()
        is_batch = isinstance(payload, list)
        stamp = str(int(time.time()))
        key = needed(account.settings, "secret")
        signature = hmac_hex(key, stamp.encode() + b"." + body)
        return VendorCall(
            account.target(account.webhook_url),
            body,
            {
                "Content-Type": f"application/cloudevents{'-batch' if is_batch else ''}+json",
                "X-Alert-Signature": f"t={stamp},v1={signature}",
            },
        )

    def trial(self, account: SandboxAccount, order: Trial) -> Mapping[str, Any]:
        """The first event of an order for pickup."""
        data: dict[str, Any] = {
            "order": {"id": order.id, "display": order.number},
            "state": "received",
            "fulfillment": {"type": "pickup", "scheduled": False},
            "customer": {
                "name": " ".join(TRIAL_NAME),
                "phone": TRIAL_PHONE,
                "email": TRIAL_MAIL,
                "contact_kind": "direct",
            },
            "items": [{"id": f"i{n}", "label": label} for n, label in enumerate(TRIAL_ITEMS)],
            "times": {"placed_at": order.time(), "promised_at": order.time(TRIAL_MINUTES)},
        }
        if order.location_id:
            data["location"] = {"id": order.location_id}
        source = account.settings.get("source_prefix") or SOURCE
        return {"order_id": order.id, "sequence": 1, "source": source, "data": data}


def _event(account: SandboxAccount, wanted: Mapping[str, Any]) -> dict[str, Any]:
    data = wanted.get("data", {} if wanted.get("dataref") else None)
    if not isinstance(data, Mapping):
        raise ValueError("'data' is the order update, 'payload' a whole event")
    order_id = str(wanted.get("order_id") or data.get("order", {}).get("id", ""))
    if not order_id:
        raise ValueError("'order_id' (or data.order.id) says which order")
    event = {
        "specversion": "1.0",
        "type": str(wanted.get("type", "com.example.order.transition")),
        "source": str(wanted.get("source") or SOURCE),
        "id": str(wanted.get("event_id") or uuid.uuid4()),
        "time": str(wanted.get("time") or iso(time.time())),
        "subject": f"orders/{order_id}",
        "datacontenttype": "application/json",
        "data": {**data, "order": {"id": order_id, **data.get("order", {})}},
    }
    if wanted.get("dataref"):
        base = needed(account.settings, "dataref_base").rstrip("/")
        event["dataref"] = f"{base}/data/{wanted['dataref']}"
    if wanted.get("sequence") is not None:
        event["sequence"] = str(wanted["sequence"])
    return event
