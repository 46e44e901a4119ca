"""Posting events to the real endpoint, signed as their vendors sign."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.test import Client

from integrations.signatures import hmac_base64, hmac_hex
from orders.models import InboundCall, Location, Order, Restaurant, SourceAccount
from orders.selectors import webhook_url
from tests.factories import make_location, make_restaurant, make_source_account

SECRET = "whsec-test"
POS = "https://pos.example.com/stores/STORE-1"
PHONE = "+12025550143"


@dataclass
class Till:
    """A source account that speaks CloudEvents, and what came of its events."""

    restaurant: Restaurant
    location: Location
    account: SourceAccount
    client: Client = field(default_factory=Client)
    sequence: int = 0

    def event(self, order: str = "A1", **data: Any) -> dict[str, Any]:
        """The next event about ``order``; ``about`` adds members of data.order."""
        self.sequence += 1
        about = {"id": order, "display": order, **data.pop("about", {})}
        envelope = {
            "specversion": "1.0",
            "type": "com.example.order.transition",
            "source": POS,
            "id": data.pop("id", f"ev-{self.sequence}"),
            "time": data.pop("time", datetime.now(UTC).isoformat()),
            "subject": f"orders/{order}",
            "data": {"order": about, **data},
        }
        if data.pop("sequenced", True):
            envelope["sequence"] = str(self.sequence)
        envelope["data"].pop("sequenced", None)
        return envelope

    def post(self, order: str = "A1", **data: Any) -> Any:
        """Post the next event."""
        return self.post_raw(json.dumps(self.event(order, **data)).encode())

    def post_raw(self, body: bytes, *, secret: str = SECRET, **headers: str) -> Any:
        """Post ``body`` signed now."""
        stamp = str(int(time.time()))
        signature = f"t={stamp},v1={hmac_hex(secret, stamp.encode() + b'.' + body)}"
        return self.client.post(
            f"/hooks/orders/{self.account.token}/",
            data=body,
            content_type=headers.pop("content_type", "application/cloudevents+json"),
            headers={"X-Alert-Signature": signature, **headers},
        )

    def order(self) -> Order:
        """The only order."""
        return Order.objects.get(restaurant=self.restaurant)

    def call(self) -> InboundCall:
        """The newest call."""
        return InboundCall.objects.filter(account__restaurant=self.restaurant).latest("pk")

    def milestones(self) -> list[str]:
        """What was recorded about the only order, oldest first."""
        events = self.order().events.order_by("recorded_at", "milestone")
        return [event.milestone for event in events if event.kind == "status_changed"]


def open_till(**fields: Any) -> Till:
    """A restaurant, its location "L1" and a CloudEvents account that belongs there."""
    restaurant = make_restaurant()
    location = make_location(restaurant)
    fields.setdefault("settings", {"secret": SECRET})
    account = make_source_account(restaurant, location=location, **fields)
    return Till(restaurant, location, account)


def post_square(account: SourceAccount, body: Any) -> Any:
    """Post ``body`` signed with the account's key over its public address."""
    raw = json.dumps(body).encode()
    key = account.settings["signature_key"]
    signature = hmac_base64(key, webhook_url(account).encode() + raw)
    return Client().post(
        f"/hooks/orders/{account.token}/",
        data=raw,
        content_type="application/json",
        headers={"x-square-hmacsha256-signature": signature},
    )


def post_uber(account: SourceAccount, body: Any) -> Any:
    """Post ``body`` signed with the Direct key."""
    raw = json.dumps(body).encode()
    signature = hmac_hex(account.settings["direct_signing_key"], raw)
    return Client().post(
        f"/hooks/orders/{account.token}/",
        data=raw,
        content_type="application/json",
        headers={"X-Uber-Signature": signature},
    )


def delivery(status: str, *, delivery_id: str = "del_1", **data: Any) -> dict[str, Any]:
    """A Direct delivery event that happened now."""
    return {
        "kind": "event.delivery_status",
        "id": f"evt_{delivery_id}_{status}",
        "created": datetime.now(UTC).isoformat(),
        "delivery_id": delivery_id,
        "status": status,
        "data": {"id": delivery_id, "kind": "delivery", **data},
    }


def later(**amount: float) -> str:
    """A time from now as RFC 3339."""
    return (datetime.now(UTC) + timedelta(**amount)).isoformat()
