"""Every provider at once, as sandbox accounts: one order's whole life reaches all of them.

``manage.py demo_platforms`` runs it beside the running product, a test runs it on its own; both
talk real HTTP to the stand-ins and wait for what those send back.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.db import connection

from consents import chosen
from consents.models import SenderGroup
from integrations import http, registry
from integrations.contracts import Channel, HttpRequest, Provider
from integrations.errors import IntegrationError
from integrations.sandbox.vendors.sendgrid import PUBLIC_KEY
from notifications import defaults, examples, streams
from notifications.models import Delivery, InboundMessage, ProviderAccount, Receipt, Route
from notifications.selectors import clear_caches, webhook_url
from notifications.services import register_with_sandbox
from orders.models import Location, Order, Restaurant, SourceAccount
from orders.selectors import webhook_url as source_webhook_url

NAME = "Every platform"
SECRET = "whsec-every-platform"  # noqa: S105 - of a demonstration on loopback
PHONE, MAILBOX = "+12025550142", "ana@example.com"
SHOP_ORDER = "450789469"
#: what the stand-in signs with, as its vendor would show it
_KEYS = {
    "airship": {"stream_token": SECRET},
    "freshdesk": {"webhook_secret": SECRET},
    "hubspot": {"workflow_key": SECRET},
    "klaviyo": {"flow_key": SECRET},
    "mailgun": {"signing_key": SECRET},
    "sendgrid": {"event_public_key": PUBLIC_KEY, "parse_public_key": PUBLIC_KEY},
    "power_automate": {"flow_key": SECRET},
    "signalwire": {"signing_key": SECRET},
    "slack": {"signing_secret": SECRET, "acknowledge_buttons": "yes"},
    "teams": {"outgoing_token": base64.b64encode(SECRET.encode()).decode()},
    "telegram": {"secret_token": SECRET, "bot_username": "every_platform_bot"},
    "zendesk": {"signing_secret": SECRET},
}
#: the shop as a source; the provider of the same name writes into it
_SHOP = {
    "shop_domain": "lucky-bowl.myshopify.com",
    "client_secret": "shpss_0123456789abcdef",
    "access_token": "shpat_every_platform",
}
#: no vendor stands behind it
_LEFT_OUT = frozenset({"console"})
_TEAM = (Channel.TEAM_CHAT, Channel.AUTOMATION)
STATES = ("accepted", "preparing", "ready", "out_for_delivery", "delivered")


@dataclass
class Platforms:
    """The restaurant, its accounts by provider key, and where things are."""

    restaurant: Restaurant
    till: SourceAccount
    shop: SourceAccount
    accounts: dict[str, ProviderAccount]
    sandbox_url: str
    base_url: str
    #: lets the product work for a moment: dispatch in a test, a nap beside a running one
    work: Callable[[], None]
    say: Callable[[str], None] = field(default=lambda line: None)
    _sequence: int = 0

    # --- the sandbox and our own endpoints ------------------------------------------------------

    def control(self, path: str, body: Any, *, method: str = "POST") -> Any:
        """Call the sandbox's own endpoints; raises IntegrationError when nobody is there."""
        request = HttpRequest(
            method,
            f"{self.sandbox_url}/_sandbox/{path}",
            {"Content-Type": "application/json"},
            json.dumps(body).encode(),
        )
        return http.run(http.http_door().send(request, provider="sandbox")).json()

    def order_in_the_shop(self) -> None:
        """The guest orders; the shop says so, as Shopify posts it."""
        at = datetime.now(UTC).isoformat()
        line = {"id": 1, "title": "Salmon bowl", "quantity": 1, "current_quantity": 1}
        order = {
            "id": int(SHOP_ORDER),
            "name": "#1042",
            "created_at": at,
            "updated_at": at,
            "financial_status": "pending",
            "fulfillment_status": None,
            "phone": PHONE,
            "email": MAILBOX,
            "customer": {"id": 1, "first_name": "Ana", "phone": PHONE, "email": MAILBOX},
            "line_items": [line],
            "shipping_lines": [{"code": "Local delivery", "title": "Local delivery"}],
        }
        part = {
            "id": int(SHOP_ORDER) + 9,
            "order_id": int(SHOP_ORDER),
            "status": "open",
            "updated_at": at,
            "delivery_method": {"method_type": "local"},
            "line_items": [{"line_item_id": 1, "quantity": 1}],
        }
        self.control(f"shopify/orders/{SHOP_ORDER}", order, method="PUT")
        self.control(f"shopify/fulfillment_orders/{part['id']}", part, method="PUT")
        shop = {
            "vendor": "shopify",
            "settings": self.shop.settings,
            "webhook_url": source_webhook_url(self.shop),
            "deliver_to": f"{self.base_url}/hooks/orders/{self.shop.token}/",
        }
        self.control("accounts", shop)
        self.control("emit", {**shop, "type": "orders/create", "order_id": SHOP_ORDER})

    def post(self, **data: Any) -> int:
        """One signed event about the order, as the till posts it; returns the status."""
        self._sequence += 1
        now = datetime.now(UTC)
        order = {"id": "TILL-7", "aliases": [{"system": "shopify", "id": SHOP_ORDER}]}
        event = {
            "specversion": "1.0",
            "type": "com.example.order.transition",
            "source": f"https://till.example.com/{self.restaurant.pk}",
            "id": f"ev-{self._sequence}",
            "time": now.isoformat(),
            "subject": "orders/TILL-7",
            "sequence": str(self._sequence),
            "data": {"order": order, **data},
        }
        body = json.dumps(event).encode()
        stamp = str(int(now.timestamp()))
        mac = hmac.new(SECRET.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/cloudevents+json",
            "X-Alert-Signature": f"t={stamp},v1={mac}",
        }
        url = f"{self.base_url}/hooks/orders/{self.till.token}/"
        request = HttpRequest("POST", url, headers, body)
        return http.run(http.http_door().send(request, provider="ourselves")).status

    def order(self) -> Order:
        """The one order."""
        return Order.objects.get(restaurant=self.restaurant)

    # --- the life -------------------------------------------------------------------------------

    def live(self) -> None:
        """From the first event to the last receipt."""
        with self._streams():
            self._live()

    def _live(self) -> None:
        self.say("the guest orders in the shop")
        self.order_in_the_shop()
        self._give_addresses()
        self.say("the guest says hello everywhere, which opens the chats")
        self._everybody_says("Hello, please leave out the sesame")
        for state in STATES:
            self.say(f"the order is {state}")
            self.post(state=state)
            self.wait(partial(self._is_told, state), f"everybody heard {state}")
            if state == "ready":
                self.say("the guest asks everywhere where it is")
                self._everybody_says("where is my order?")
        self.say("the receipts come back")
        self.wait(self._are_receipts_in, "the receipts came back")

    @contextmanager
    def _streams(self) -> Iterator[None]:
        """Read the streams of vendors that call nobody, as ``airship_stream`` does beside us."""
        over = threading.Event()
        readers = [
            threading.Thread(target=self._read_stream, args=[account.pk, over])
            for key, account in self.accounts.items()
            if registry.provider_class(key).capabilities.stream
        ]
        for reader in readers:
            reader.start()
        try:
            yield
        finally:
            over.set()
            for reader in readers:
                reader.join()

    @staticmethod
    def _read_stream(account_id: int, over: threading.Event) -> None:
        patience = streams.Patience(report_s=0.3)
        try:
            streams.follow(account_id=account_id, is_over=over.is_set, patience=patience)
        finally:
            connection.close()

    def _give_addresses(self) -> None:
        subject = self.order().subject
        assert subject is not None
        for key, account in self.accounts.items():
            provider = registry.provider_class(key)
            kinds = provider.address_channels(account.settings)
            if provider.capabilities.account_is_address or set(kinds) & {"sms", "email"}:
                continue
            chosen.choose_way(
                sender_group_id=self.restaurant.sender_group_id,
                subject_id=subject.pk,
                channel=kinds[0],
                value=self._address(key, provider, kinds[0]),
                bound_to=account.token if provider.capabilities.own_addresses else "",
                at=datetime.now(UTC),
                idempotency_key=f"platforms:{account.token}",
            )

    def _address(self, key: str, provider: type[Provider], channel: str) -> str:
        if key == "web_push":
            return json.dumps(self.control("web_push/browsers", {"id": "anas-browser"}))
        return provider.example_address or examples.ADDRESSES[channel]

    def _everybody_says(self, words: str) -> None:
        for key, account in self.accounts.items():
            if not registry.provider_class(key).capabilities.replies:
                continue
            self.control("reply", self._words(key, account, words))
        self.work()

    def _words(self, key: str, account: ProviderAccount, words: str) -> dict[str, Any]:
        said: dict[str, Any] = {
            "vendor": key,
            "account": webhook_url(account.token),
            "text": words,
            "from": sender_of(key, account),
        }
        if key in ("slack", "teams"):
            last = Delivery.objects.filter(account=account).exclude(attempt=None).last()
            pressed = str(last.attempt) if last else "00000000-0000-4000-8000-000000000000"
            said |= {"from": "Sam", "text": f"@Order Up ack {pressed}"}
            said["action"] = {"action_id": "order_ack", "value": pressed}
        return said

    # --- waiting and looking --------------------------------------------------------------------

    def wait(self, is_done: Callable[[], bool], what: str, *, longest_s: float = 90) -> None:
        """Work until ``is_done``; raises TimeoutError naming what did not happen."""
        deadline = time.monotonic() + longest_s
        while not is_done():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}: not within {longest_s:.0f} s\n{self.table()}")
            self.work()

    def _is_told(self, state: str) -> bool:
        told = Delivery.objects.filter(
            account__in=self.accounts.values(), notification__milestone=state
        )
        return not told.filter(state__in=["queued", "claimed", "sending"]).exists()

    def _are_receipts_in(self) -> bool:
        can = {key: registry.provider_class(key).capabilities for key in self.accounts}
        return all(self.receipts(key) for key in can if can[key].receipts or can[key].stream)

    def receipts(self, key: str) -> int:
        """How many statements of this vendor found their message."""
        return Receipt.objects.filter(account=self.accounts[key], delivery__isnull=False).count()

    def rows(self) -> list[tuple[str, int, int, int, int]]:
        """(provider, told, failed, receipts, replies) for every account."""
        found = []
        for key, account in sorted(self.accounts.items()):
            mine = Delivery.objects.filter(account=account)
            told = mine.filter(state__in=["accepted", "delivered", "read"]).count()
            failed = mine.filter(state__in=["failed", "unknown"]).count()
            heard = InboundMessage.objects.filter(account=account).count()
            found.append((key, told, failed, self.receipts(key), heard))
        return found

    def table(self) -> str:
        """``rows`` for people."""
        lines = [f"{'provider':18}{'told':>6}{'failed':>8}{'receipts':>10}{'replies':>9}"]
        lines += [f"{k:18}{t:>6}{f:>8}{r:>10}{h:>9}" for k, t, f, r, h in self.rows()]
        return "\n".join(lines)


def sender_of(key: str, account: ProviderAccount) -> str:
    """The address the guest writes from at this provider."""
    provider = registry.provider_class(key)
    kinds = provider.address_channels(account.settings)
    if kinds and kinds[0] == Channel.EMAIL:
        return MAILBOX
    if kinds and kinds[0] == Channel.SMS:
        return PHONE
    return provider.example_address or examples.ADDRESSES.get(kinds[0] if kinds else "", "")


def set_up(*, sandbox_url: str, base_url: str, work: Callable[[], None]) -> Platforms:
    """A new restaurant with a sandbox account at every provider and routes that name them all."""
    group = SenderGroup.objects.create(name=NAME, country="US", phone="+1 202 555 0100")
    slug = f"every-platform-{group.pk}"
    restaurant = Restaurant.objects.create(
        name=NAME, slug=slug, sender_group=group, country="US", timezone="America/New_York"
    )
    location = Location.objects.create(restaurant=restaurant, name=NAME)
    till, shop = (
        SourceAccount.objects.create(
            restaurant=restaurant, location=location, source=key, name=name, settings=values
        )
        for key, name, values in (
            ("cloudevents", "Till", {"secret": SECRET}),
            ("shopify", "Shop", _SHOP),
        )
    )
    accounts = {
        key: ProviderAccount.objects.create(
            restaurant=restaurant,
            provider=key,
            channel=registry.provider_class(key).channel,
            name=registry.provider_class(key).title or key,
            settings=registry.provider_class(key).example_settings() | _KEYS.get(key, {}),
            rate_per_s=0,
        )
        for key in sorted(registry.PROVIDERS)
        if key not in _LEFT_OUT
    }
    defaults.install(restaurant)
    _name_all(restaurant, accounts)
    clear_caches()
    if register_with_sandbox(accounts.values()) < len(accounts):
        raise IntegrationError("sandbox", detail=f"not every account was taken by {sandbox_url}")
    return Platforms(restaurant, till, shop, accounts, sandbox_url, base_url, work)


def _name_all(restaurant: Restaurant, accounts: dict[str, ProviderAccount]) -> None:
    """Every route names every account of its audience, all at once."""
    audiences: dict[str, list[dict[str, Any]]] = {"customer": [], "staff": [], "partner": []}
    for account in accounts.values():
        who = "staff" if account.channel in _TEAM else "customer"
        who = "partner" if account.channel == Channel.WEBHOOK else who
        step = {"channel": account.channel, "account": account.pk, "when": "now"}
        audiences[who].append(step)
    for route in Route.objects.filter(restaurant=restaurant):
        if route.triggers != ["status_requested"]:
            route.steps = audiences[route.audience]
            if route.audience == "staff":
                states = [f"status_changed:{state}" for state in STATES]
                route.triggers = list(dict.fromkeys([*route.triggers, *states]))
            route.save()
