"""Otter, the order manager that merges marketplaces, tills and direct ordering.

New orders, updates and deliveries come whole; ready, handed off, fulfilled, confirmed and histories
name the order only. Where the account has a token those are checked against the order itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit

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
from integrations.sources.otter_order import Said

DELIVERY_STREAM = "deliveryStatus"
#: status of a delivery -> state of the leg; PICKED_UP is a status of orders as well
DELIVERY_STATES: Mapping[str, str | None] = {
    "REQUESTED": None,
    "ALLOCATED": None,
    "ARRIVED_AT_PICKUP": None,
    "PICKED_UP": State.OUT_FOR_DELIVERY,
    "ARRIVED_AT_DROP_OFF": State.OUT_FOR_DELIVERY,
    "COMPLETED": State.DELIVERED,
    "CANCELED": State.FAILED,
}
WHOLE = frozenset({"orders.new_order", "orders.update"})
HISTORY = "orders.order_status_update"
CANCEL = "orders.cancel_order"
DELIVERY = "delivery.delivery_status_update"
#: events that say a status by their own name
NAMED: Mapping[str, str] = {
    "orders.confirm": "CONFIRMED",
    "orders.order_ready": "PREPARED",
    "orders.order_handed_off": "PICKED_UP",
    "orders.order_fulfilled": "FULFILLED",
    # an intention; the update that follows confirms it
    CANCEL: "CANCELED",
}
_PRIVATE = frozenset(
    {"location", "coordinates", "latitude", "longitude", "dropoffInfo", "customerPayments"}
)
_STORE = re.compile(r"[\w.:-]{1,100}", re.ASCII)
_PATH = re.compile(r"(/[\w.~%:-]+)+", re.ASCII)
_PAGE = 100
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
            return [self._delivery(payload, _order_id(event), said)]
        if kind != HISTORY and kind not in NAMED:
            raise EventIgnored(f"event type {kind or 'missing'} says nothing about an order")
        order_id = _order_id(event)
        asked = self._follow_up(event, order_id)
        if kind == HISTORY:
            update = orders.read_history(payload, order_id, said, is_fetched=asked is not None)
        else:
            update = self._named(payload, kind, order_id, said, is_fetched=asked is not None)
        return [update, asked] if asked else [update]

    def _said(self, event: Mapping[str, Any], received_at: datetime) -> Said:
        at = orders.lenient_time(event.get("eventTime"))
        return Said(
            key=payloads.key_within(payloads.required_text(event.get("eventId"), "eventId", 400)),
            at=at or received_at,
            basis="event" if at else "arrival",
            location_id=payloads.text(payloads.inner(event, "metadata").get("storeId")),
            status_map=self.status_map,
        )

    def _named(
        self,
        payload: Mapping[str, Any],
        kind: str,
        order_id: str,
        said: Said,
        *,
        is_fetched: bool,
    ) -> OrderUpdate:
        word, mode = NAMED[kind], orders.mode_of(payload)
        state, _ = orders.typed_state(
            word, mode, orders.ORDER_STREAM, orders.ORDER_STATES, self.status_map
        )
        if is_fetched and not mode and word in orders.MODE_DECIDES:
            state = None  # on its way, picked up or eaten here: the order will say
        why = payloads.text(payload.get("cancellationReason"), 200) if kind == CANCEL else ""
        observation = said.observe(
            track="commercial",
            scope="order",
            native_state=kind,
            state=state,
            data={"reason": {"code": "other", "text": why}} if why else {},
        )
        return OrderUpdate(
            order_id=order_id,
            observations=(observation,),
            aliases=(("external_id", order_id),),
            location_id=said.location_id,
            # a state alone is no order to show
            courier_only=True,
        )

    def _delivery(self, payload: Mapping[str, Any], order_id: str, said: Said) -> OrderUpdate:
        native = payloads.text(payload.get("deliveryStatus"), 80) or payloads.text(
            payload.get("status"), 80
        )
        state, known = payloads.look_up(
            native, DELIVERY_STATES, self.status_map.get(DELIVERY_STREAM)
        )
        at = orders.lenient_time(payload.get("updatedTime"))
        leg = said.observe(
            track="courier",
            scope="leg",
            # the courier an order shows and the one of its delivery are the same trip
            ref=order_id,
            ordering_class="ranked",
            ordering_key=ordering_key(at or said.at),
            native_state=native,
            state=state,
            data=_leg_data(payload),
        )
        return OrderUpdate(
            order_id=order_id,
            observations=(leg,),
            aliases=(("external_id", order_id),),
            location_id=said.location_id,
            courier_only=True,
            unknown_states=() if known or not native else (f"{DELIVERY_STREAM} {native}",),
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
        at = orders.lenient_time(follow_up.context.get("event_time"))
        order = _unwrapped(payloads.load_object(response.body))
        key = orders.fetched_key(order, ordering_key(at))
        store = follow_up.context.get("store", "")
        return [self._read(order, key, at, received_at, store)]

    def poll(self, since: datetime) -> HttpRequest | None:
        """The store's orders since ``since``; None without address, token and store."""
        store = self.account.get("store_id", "")
        if not (self.base_url and store and self.account.get("access_token")):
            return None
        since_text = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
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
        listed = [_unwrapped(entry) for entry in payloads.objects(found)]
        store = self.account.get("store_id", "")
        return [
            self._read(order, orders.fetched_key(order, ""), None, received_at - LIST_AGE, store)
            for order in listed
        ]

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


def _unwrapped(value: dict[str, Any]) -> dict[str, Any]:
    """The order itself: the manager's view puts it beside other things."""
    inside = value.get("order")
    return inside if isinstance(inside, dict) and "externalIdentifiers" not in value else value


def _order_id(event: Mapping[str, Any]) -> str:
    """Raises PayloadMalformed."""
    meta = payloads.inner(event, "metadata")
    payload = payloads.inner(meta, "payload")
    named = payloads.inner(payload, "externalIdentifiers").get("id") or payload.get("orderId")
    return payloads.required_text(named or meta.get("resourceId"), "metadata.resourceId")


def _leg_data(payload: Mapping[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    # the courier's own pickup time is nothing to promise
    if estimate := orders.lenient_time(payload.get("estimatedDeliveryTime")):
        data["est_delivery_at"] = payloads.iso(estimate)
    courier: dict[str, str] = {}
    if name := payloads.text(payloads.inner(payload, "courier").get("name"), 100):
        courier["name"] = name.split()[0]
    link = payloads.text(payload.get("deliveryTrackingUrl"), 2000)
    if link.startswith("https://"):
        courier["tracking_url"] = link
    if courier:
        data["courier"] = courier
    return data
