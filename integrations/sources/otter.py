"""Otter, the order manager that merges marketplaces, tills and direct ordering.

New orders, updates and deliveries come whole; ready, handed off, fulfilled, confirmed and histories
name the order only. Where the account has a token those are checked against the order itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit

from integrations import payloads
from integrations.contracts import (
    FollowUp,
    HttpRequest,
    HttpResponse,
    InboundCall,
    OrderUpdate,
    Setting,
    Source,
    State,
    ordering_key,
)
from integrations.errors import EventIgnored, PayloadMalformed, SignatureInvalid
from integrations.redaction import without_members
from integrations.signatures import hmac_base64, hmac_hex, matches_any
from integrations.sources import otter_order as orders
from integrations.sources import otter_status as status
from integrations.sources.otter_delivery import read_delivery
from integrations.sources.otter_status import Said

WHOLE = frozenset({"orders.new_order", "orders.update"})
HISTORY = "orders.order_status_update"
DELIVERY = "delivery.delivery_status_update"
_PRIVATE = frozenset(
    {"location", "coordinates", "latitude", "longitude", "dropoffInfo", "customerPayments"}
)
_STORE = re.compile(r"[\w.:-]{1,100}", re.ASCII)
_PATH = re.compile(r"(/[\w.~%:-]+)+", re.ASCII)
_PAGE = 100
#: orders are listed by when they were placed, and an order placed this long ago may still change
COURSE = timedelta(hours=3)
#: a list is as old as this at most when it arrives; an event sent meanwhile is newer
LIST_AGE = timedelta(seconds=10)


class Otter(Source):
    """One application at Otter."""

    key = "otter"
    title = "Otter"
    settings = (
        Setting("webhook_secret", "Webhook secret", secret=True),
        Setting("previous_webhook_secret", "Previous secret", secret=True, required=False),
        Setting(
            "api_url",
            "API address",
            required=False,
            is_url=True,
            help="the host Otter gave to your application; orders are read there and nowhere else",
        ),
        Setting(
            "access_token",
            "Access token",
            secret=True,
            required=False,
            help="scope manager.orders",
        ),
        Setting("store_id", "Store id", required=False, help="X-Store-Id, to list orders"),
    )
    priority: ClassVar[Mapping[str, int]] = {"commercial": 20, "kitchen": 20, "courier": 20}
    can_state: ClassVar[frozenset[str]] = frozenset(
        {
            State.RECEIVED,
            State.ACCEPTED,
            State.READY,
            State.OUT_FOR_DELIVERY,
            State.PICKED_UP,
            State.DELIVERED,
            State.CANCELLED,
        }
    )

    def __init__(self, account: Any, **options: Any) -> None:
        super().__init__(account, **options)
        self.base_url = self.base_url or self._api

    @property
    def _api(self) -> str:
        return self.account.get("api_url", "").strip().rstrip("/")

    # --- before the call is believed -----------------------------------------------------------

    def verify(self, call: InboundCall) -> None:
        """HMAC-SHA256 over the raw body. The encoding is not public: hex or base64."""
        names = ("webhook_secret", "previous_webhook_secret")
        secrets = [secret for secret in (self.account.get(name, "") for name in names) if secret]
        if not secrets:
            raise SignatureInvalid("no signing key is set on the account")
        given = call.headers.get("x-hmac-sha256", "").strip()
        if not given:
            raise SignatureInvalid("header X-HMAC-SHA256 is missing")
        encodings = (hmac_hex, hmac_base64)
        if not matches_any(given, [f(s, call.body) for s in secrets for f in encodings]):
            raise SignatureInvalid(
                f"X-HMAC-SHA256 does not fit the body: got {len(given)} characters, expected 64 "
                "(hex) or 44 (base64); check the webhook secret"
            )

    def event_key(self, call: InboundCall) -> str:
        """Otter's event id."""
        try:
            found = payloads.text(payloads.load_object(call.body).get("eventId"), 400)
        except PayloadMalformed:
            found = ""
        return payloads.key_within(found) or f"body|{payloads.sha256(call.body)}"

    def fingerprint(self, call: InboundCall) -> str:
        """Without what is not kept."""
        return payloads.sha256(self.body_to_store(call))

    def body_to_store(self, call: InboundCall) -> bytes:
        """Positions, proofs of delivery and payments are left out."""
        return without_members(call.body, _PRIVATE)

    # --- reading -------------------------------------------------------------------------------

    def parse(self, call: InboundCall) -> list[OrderUpdate | FollowUp]:
        """What the event says; for events that name the order only, also the order to fetch."""
        event = payloads.load_object(call.body)
        kind = payloads.text(event.get("eventType"), 100)
        payload = payloads.inner(event, "metadata", "payload")
        said = self._said(event, call.received_at)
        if kind in WHOLE:
            return [orders.read_order(payload, said)]
        if kind == DELIVERY:
            return [read_delivery(payload, status.order_id_of(event), said)]
        if kind != HISTORY and kind not in status.NAMED:
            raise EventIgnored(f"event type {kind or 'missing'} says nothing about an order")
        order_id = status.order_id_of(event)
        asked = self._follow_up(event, order_id)
        if kind == HISTORY:
            update = status.read_history(payload, order_id, said)
        else:
            update = status.read_named(payload, kind, order_id, said)
        return [update, asked] if asked else [update]

    def _said(self, event: Mapping[str, Any], received_at: datetime) -> Said:
        at = status.lenient_time(event.get("eventTime"))
        return Said(
            key=payloads.key_within(payloads.required_text(event.get("eventId"), "eventId", 400)),
            at=at or received_at,
            basis="event" if at else "arrival",
            location_id=payloads.text(payloads.inner(event, "metadata").get("storeId")),
            status_map=self.status_map,
        )

    # --- fetching ------------------------------------------------------------------------------

    def _follow_up(self, event: Mapping[str, Any], order_id: str) -> FollowUp | None:
        meta = payloads.inner(event, "metadata")
        path = self._path(payloads.text(meta.get("resourceHref"), 1000))
        if not path or not self.account.get("access_token"):
            return None
        store = payloads.text(meta.get("storeId"))
        return FollowUp(
            request=HttpRequest.get(
                self.base_url + path, headers=self._headers(store), untrusted_url=True
            ),
            coalesce_key=f"order:{order_id}",
            order_id=order_id,
            context={"event_time": payloads.text(event.get("eventTime"), 60), "store": store},
        )

    def _path(self, href: str) -> str:
        """The path of a link to this account's API; "" for any other link.

        Only the path is used: our token never goes to a host somebody wrote into a body.
        """
        for base in (self.base_url, self._api):
            if base and href.startswith(base + "/"):
                path = urlsplit(href.removeprefix(base)).path
                return path if _PATH.fullmatch(path) and ".." not in path else ""
        return ""

    def _headers(self, store: str) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {self.account.get('access_token', '')}"}
        store = store or self.account.get("store_id", "")
        if _STORE.fullmatch(store):
            headers["X-Store-Id"] = store
        return headers

    def parse_resource(
        self, follow_up: FollowUp, response: HttpResponse, received_at: datetime
    ) -> list[OrderUpdate]:
        """The order of the answer, as of the event that asked for it."""
        at = status.lenient_time(follow_up.context.get("event_time"))
        order = orders.unwrapped(payloads.load_object(response.body))
        key = orders.fetched_key(order, ordering_key(at))
        store = follow_up.context.get("store", "")
        return [self._read(order, key, at, received_at, store)]

    def poll(self, since: datetime) -> HttpRequest | None:
        """The store's orders since ``since``; None without address, token and store."""
        store = self.account.get("store_id", "")
        if not (self.base_url and store and self.account.get("access_token")):
            return None
        since_text = (since - COURSE).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        query = urlencode({"limit": str(_PAGE), "minDateTime": since_text})
        return HttpRequest.get(
            f"{self.base_url}/manager/order/v1/orders?{query}",
            headers=self._headers(store),
            untrusted_url=True,
        )

    def parse_poll(self, response: HttpResponse, received_at: datetime) -> list[OrderUpdate]:
        """Every order of the answer, as of now."""
        found = payloads.load_object(response.body).get("orders")
        if not isinstance(found, list):
            raise PayloadMalformed("orders: expected a list")
        listed = [orders.unwrapped(entry) for entry in payloads.objects(found)]
        store = self.account.get("store_id", "")
        return [
            self._read(order, orders.fetched_key(order, ""), None, received_at - LIST_AGE, store)
            for order in listed
        ]

    def poll_next(self, request: HttpRequest, response: HttpResponse) -> HttpRequest | None:
        """The page its token leads to; the answer says none on the last one."""
        token = payloads.text(response.json_object().get("offsetToken"), 2000)
        if not token:
            return None
        base, _, query = request.url.partition("?")
        asked = {**dict(parse_qsl(query)), "token": token}
        return replace(request, url=f"{base}?{urlencode(asked)}")

    def _read(
        self,
        order: dict[str, Any],
        key: str,
        at: datetime | None,
        received_at: datetime,
        store: str,
    ) -> OrderUpdate:
        basis = "event" if at else "arrival"
        return orders.read_order(order, Said(key, at or received_at, basis, store, self.status_map))
