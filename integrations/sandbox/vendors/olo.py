"""Olo's webhooks: signed over address, body, message id and ticks. It has nothing to be asked."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from integrations.sandbox.callbacks import VendorCall
from integrations.sandbox.state import SandboxAccount
from integrations.sandbox.vendors.base import (
    TRIAL_ITEMS,
    TRIAL_MAIL,
    TRIAL_NAME,
    TRIAL_PHONE,
    SandboxVendor,
    Trial,
    json_reply,
    needed,
)
from integrations.signatures import hmac_base64

#: .NET counts 100 ns since the first day of year 1
EPOCH_TICKS = 621_355_968_000_000_000
TICKS_PER_NS = 100
TEST = {"message": "Olo webhook test!"}


class Olo(SandboxVendor):
    """An order source: a chain's online ordering."""

    key = "olo"
    title = "Olo"

    def account_name(self, settings: Mapping[str, str]) -> str:
        return settings.get("brand") or needed(settings, "shared_secret")[-6:]

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        needed(settings, "shared_secret")
        return []

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        return json_reply({"message": "Try again later."}, status=status)

    def event(self, account: SandboxAccount, wanted: Mapping[str, Any]) -> VendorCall:
        """An event of ``type`` (default OrderPlaced; Test needs nothing else).

        ``payload`` as it is, or a body for ``order_id`` with what ``data`` adds. ``event_id`` to
        repeat one, ``ticks`` to send it at another time.
        """
        kind = str(wanted.get("type", "OrderPlaced"))
        body = json.dumps(_payload(kind, wanted), separators=(",", ":")).encode()
        message_id = str(wanted.get("event_id") or uuid.uuid4())
        ticks = str(wanted.get("ticks") or EPOCH_TICKS + time.time_ns() // TICKS_PER_NS)
        signed = (account.webhook_url.encode(), body, message_id.encode(), ticks.encode())
        secret = needed(account.settings, "shared_secret")
        return VendorCall(
            account.target(account.webhook_url),
            body,
            {
                "Content-Type": "application/json",
                "X-Olo-Event-Type": kind,
                "X-Olo-Message-Id": message_id,
                "X-Olo-Timestamp": ticks,
                "X-Olo-Signature": hmac_base64(secret, b"\n".join(signed)),
            },
        )

    def trial(self, account: SandboxAccount, order: Trial) -> Mapping[str, Any]:
        """A placed order, its fields where the account expects them."""
        expects = account.settings
        name = expects.get("item_name_field") or "name"
        items: list[dict[str, Any]] = [{"productId": 1, "quantity": 1} for _ in TRIAL_ITEMS]
        for item, label in zip(items, TRIAL_ITEMS, strict=True):
            _put(item, name, label)
        payload: dict[str, Any] = {"deliveryMethod": "pickup", "items": items}
        if order.location_id:
            payload["location"] = {"name": order.location_id}
        _put(payload, expects.get("order_id_field") or "orderId", order.whole_number)
        told = {
            "display_field": order.number,
            "name_field": " ".join(TRIAL_NAME),
            "phone_field": TRIAL_PHONE,
            "email_field": TRIAL_MAIL,
        }
        for field, value in told.items():
            if expects.get(field):
                _put(payload, expects[field], value)
        return {"order_id": str(order.whole_number), "type": "OrderPlaced", "payload": payload}


def _put(payload: dict[str, Any], path: str, value: Any) -> None:
    """Set the member at ``path``, names joined by dots."""
    *outer, last = path.split(".")
    for name in outer:
        inside = payload.setdefault(name, {})
        if not isinstance(inside, dict):
            raise ValueError(f"'{path}' leads through '{name}', which holds no members")
        payload = inside
    payload[last] = value


def _payload(kind: str, wanted: Mapping[str, Any]) -> Any:
    if (payload := wanted.get("payload")) is not None:
        return payload
    if kind == "Test":
        return TEST
    order_id = str(wanted.get("order_id", ""))
    if not order_id:
        raise ValueError("'order_id' says what the event is about")
    data = wanted.get("data", {})
    if not isinstance(data, dict):
        raise ValueError("'data' is a JSON object")
    return {"orderId": int(order_id) if order_id.isdecimal() else order_id, **data}
