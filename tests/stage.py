"""A whole restaurant for end-to-end tests: real endpoints, real dispatch, the sandbox as vendor."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.test import Client

from integrations.sandbox.server import SandboxServer
from notifications import defaults, dispatch
from notifications.models import Delivery, ProviderAccount
from notifications.selectors import clear_caches
from notifications.services import register_with_sandbox
from orders.models import Location, Order, Restaurant, SourceAccount
from tests.factories import make_location, make_restaurant

SECRET = "whsec-test"
PHONE = "+12025550143"
GUEST = {
    "name": "Ana Silva",
    "phone": PHONE,
    "email": "ana@example.com",
    "contact_kind": "direct",
}
PROVIDERS: dict[str, dict[str, str]] = {
    "twilio": {
        "account_sid": "AC" + "1" * 32,
        "auth_token": "2" * 32,
        "sender": "+12025550100",
    },
    "mailgun": {
        "domain": "mg.example.com",
        "api_key": "key-test",
        "from_address": "orders@mg.example.com",
        "signing_key": "webhook-signing-key",
    },
    "slack": {"webhook_url": "https://hooks.slack.com/services/T0/B0/xyz"},
}


@dataclass
class Stage:
    """Handles of the restaurant, and the few verbs the tests speak."""

    sandbox: SandboxServer
    restaurant: Restaurant
    location: Location
    source: SourceAccount
    accounts: dict[str, ProviderAccount]
    client: Client = field(default_factory=Client)
    sequence: int = 0

    def post(self, order: str = "WEB-1042", *, event_id: str = "", **data: Any) -> Any:
        """Post one signed CloudEvent about ``order`` to the real endpoint."""
        self.sequence += 1
        body = self.event(order, event_id or f"ev-{self.sequence}", self.sequence, **data)
        return self.post_raw(body)

    def event(self, order: str, event_id: str, sequence: int, **data: Any) -> bytes:
        """The bytes of one structured CloudEvent."""
        about = {"id": order, "display": order.rpartition("-")[2], **data.pop("order", {})}
        return json.dumps(
            {
                "specversion": "1.0",
                "type": "com.example.order.transition",
                "source": "https://pos.example.com/stores/STORE-1",
                "id": event_id,
                "time": data.pop("time", None) or datetime.now(UTC).isoformat(),
                "subject": f"orders/{order}",
                "sequence": str(sequence),
                "data": {"order": about, **data},
            }
        ).encode()

    def post_raw(self, body: bytes, *, secret: str = SECRET, **headers: str) -> Any:
        """Post ``body`` with a signature made now."""
        stamp = str(int(time.time()))
        mac = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        return self.client.post(
            f"/hooks/orders/{self.source.token}/",
            data=body,
            content_type="application/cloudevents+json",
            headers={"X-Alert-Signature": f"t={stamp},v1={mac}", **headers},
        )

    def open(self, order: str = "WEB-1042", **data: Any) -> Any:
        """The first event of an order, with a guest who may be told."""
        data.setdefault("customer", GUEST)
        data.setdefault("state", "received")
        return self.post(order, location={"id": "L1"}, **data)

    def order(self, number: str = "1042") -> Order:
        """The order as it stands."""
        return Order.objects.get(restaurant=self.restaurant, display=number)

    def settle(self) -> None:
        """Let the settle windows pass: everything queued is due now."""
        Delivery.objects.filter(state="queued").update(
            due_at=datetime.now(UTC) - timedelta(seconds=1)
        )

    def send(self) -> int:
        """Dispatch every account; returns how many tries were made."""
        clear_caches()
        return sum(
            dispatch.dispatch_account(account_id=account.pk)
            for account in ProviderAccount.objects.filter(restaurant=self.restaurant)
        )

    def settle_and_send(self) -> int:
        """Both."""
        self.settle()
        return self.send()

    def messages(self, vendor: str = "", order: str = "") -> list[dict[str, Any]]:
        """What the vendors got, oldest first."""
        url = f"{self.sandbox.url}/_sandbox/messages?vendor={vendor}&order={order}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            found: list[dict[str, Any]] = json.load(answer)["messages"]
        return found

    def texts(self, vendor: str = "twilio") -> list[str]:
        """The texts one vendor got."""
        return [message["text"] for message in self.messages(vendor)]

    def fault(self, **plan: Any) -> None:
        """Plan a fault in the sandbox."""
        request = urllib.request.Request(
            f"{self.sandbox.url}/_sandbox/faults",
            data=json.dumps(plan).encode(),
            headers={"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=5).close()


def build_stage(sandbox: SandboxServer) -> Stage:
    """Insert the restaurant and register its accounts with the sandbox."""
    restaurant = make_restaurant(name="Lucky Bowl", slug="lucky-bowl-stage")
    location = make_location(restaurant)
    source = SourceAccount.objects.create(
        restaurant=restaurant,
        location=location,
        source="cloudevents",
        name="Web shop",
        settings={"secret": SECRET},
    )
    channels = {"twilio": "sms", "mailgun": "email", "slack": "team_chat"}
    accounts = {
        key: ProviderAccount.objects.create(
            restaurant=restaurant,
            provider=key,
            channel=channels[key],
            name=key,
            settings=values,
            rate_per_s=0,
        )
        for key, values in PROVIDERS.items()
    }
    defaults.install(restaurant)
    register_with_sandbox(accounts.values())
    clear_caches()
    return Stage(sandbox, restaurant, location, source, accounts)
