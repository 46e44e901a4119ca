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
from integrations.sandbox.vendors.base import SandboxVendor, json_reply, needed
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
