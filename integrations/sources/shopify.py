"""Shopify: the restaurant's own online shop. Orders and courier news are fat, parts are fetched.

Shopify calls a part a fulfilment order. Its events name only the part, so they are answered with
one question for the order behind it and all parts of that order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import quote

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
)
from integrations.errors import EventIgnored, PayloadMalformed, SignatureInvalid
from integrations.signatures import hmac_base64, require_hmac
from integrations.sources import shopify_courier as courier
from integrations.sources import shopify_graphql as graphql
from integrations.sources.shopify_api import Api
from integrations.sources.shopify_lines import line_labels
from integrations.sources.shopify_order import read_edit, read_order, shipping_type
from integrations.sources.shopify_parts import PREPARED, Fetched, Statement, read_parts

ORDER_TOPICS = frozenset(
    {
        "orders/create",
        "orders/updated",
        "orders/paid",
        "orders/cancelled",
        "orders/fulfilled",
        "orders/partially_fulfilled",
    }
)
FULFILLMENT_TOPICS = frozenset({"fulfillments/create", "fulfillments/update"})
EDITED = "orders/edited"
COURIER_EVENT = "fulfillment_events/create"
PARTS = "fulfillment_orders/"
API_VERSION = "2026-07"


class Shopify(Source):
    """The webhooks of one shop, its orders and their parts."""

    key = "shopify"
    title = "Shopify"
    settings = (
        Setting("shop_domain", "Shop", help="the permanent name, e.g. lucky-bowl.myshopify.com"),
        Setting("client_secret", "App client secret", secret=True),
        Setting("previous_client_secret", "Previous secret", secret=True, required=False),
        Setting(
            "access_token",
            "Admin API access token",
            secret=True,
            help="scopes read_orders and read_merchant_managed_fulfillment_orders",
        ),
        Setting("api_version", "API version", required=False, default=API_VERSION),
        Setting(
            "promise_attribute",
            "Order attribute of the promised time",
            required=False,
            help="set by a time slot app, as a time with offset",
        ),
    )
    priority: ClassVar[dict[str, int]] = {"commercial": 20, "kitchen": 20, "courier": 20}
    can_state: ClassVar[frozenset[str]] = frozenset(state.value for state in State)
    #: a webhook is repeated for four hours
    poll_every_s: ClassVar[int] = 900

    def __init__(self, account: Mapping[str, str], **options: Any) -> None:
        super().__init__(account, **options)
        self.base_url = self.base_url or f"https://{self._shop}"

    @property
    def _shop(self) -> str:
        typed = self.account.get("shop_domain", "").strip().casefold()
        return typed.removeprefix("https://").rstrip("/")

    # --- before the call is believed -----------------------------------------------------------

    def verify(self, call: InboundCall) -> None:
        """Base64 HMAC-SHA256 over the raw body; an app's secret is the same for all its shops."""
        require_hmac(
            header="X-Shopify-Hmac-Sha256",
            given=_header(call, "hmac-sha256"),
            secrets=(
                self.account.get("client_secret", ""),
                self.account.get("previous_client_secret", ""),
            ),
            message=call.body,
            encode=hmac_base64,
        )
        sender = _header(call, "shop-domain").casefold()
        if sender and self._shop and sender != self._shop:
            raise SignatureInvalid("X-Shopify-Shop-Domain is not the shop of this account")

    def event_key(self, call: InboundCall) -> str:
        """Shop, topic and event: one deed of a merchant may be several topics of one event."""
        found = _header(call, "event-id") or _header(call, "webhook-id")
        if not found:
            return f"body|{payloads.sha256(call.body)}"
        shop = _header(call, "shop-domain") or self._shop
        return payloads.key_within(f"{shop}|{_header(call, 'topic')}|{found}")

    # --- reading ---------------------------------------------------------------------------------

    def parse(self, call: InboundCall) -> list[OrderUpdate | FollowUp]:
        """What the event says, and what has to be asked for the rest."""
        topic = _header(call, "topic")
        if not topic:
            raise PayloadMalformed("header X-Shopify-Topic: missing")
        if topic in ORDER_TOPICS:
            order = payloads.load_object(call.body)
            update = read_order(order, self.status_map, self._promise_attribute)
            context = {"lines": line_labels(order), "shipping": shipping_type(order)}
            return [update, self._api.parts(update.order_id, context)]
        if topic == EDITED:
            update = read_edit(payloads.load_object(call.body))
            asked = (self._api.order(update.order_id), self._api.parts(update.order_id, {}))
            return [update, *asked]
        if topic in FULFILLMENT_TOPICS:
            return self._fulfillment(payloads.load_object(call.body))
        if topic == COURIER_EVENT:
            return self._courier_event(payloads.load_object(call.body))
        if topic.startswith(PARTS):
            return [self._ask_whole(payloads.load_object(call.body), topic, call)]
        raise EventIgnored(f"topic {topic} says nothing about an order")

    def _fulfillment(self, body: dict[str, Any]) -> list[OrderUpdate | FollowUp]:
        update = courier.read_fulfillment(body, self.status_map)
        found: list[OrderUpdate | FollowUp] = [update]
        if body.get("shipment_status") == courier.READY:
            found.append(self._ask_ready(body.get("id"), body.get("updated_at"), update.order_id))
        found.append(self._api.parts(update.order_id, {"lines": line_labels(body)}))
        return found

    def _courier_event(self, body: dict[str, Any]) -> list[OrderUpdate | FollowUp]:
        update = courier.read_event(body, self.status_map)
        if body.get("status") != courier.READY:
            return [update]
        at = body.get("happened_at")
        return [update, self._ask_ready(body.get("fulfillment_id"), at, update.order_id)]

    # --- asking ----------------------------------------------------------------------------------

    @property
    def _api(self) -> Api:
        version = quote(self.account.get("api_version") or API_VERSION, safe="")
        return Api(self.base_url, version, self.account.get("access_token", ""))

    def _ask_whole(self, body: dict[str, Any], topic: str, call: InboundCall) -> FollowUp:
        """The order of a part and all its parts; the event itself names no order."""
        part = graphql.part_named(body)
        word = topic.removeprefix(PARTS)
        context = {"word": word if word in PREPARED else "", "at": _header(call, "triggered-at")}
        replacement = payloads.inner(body, "replacement_fulfillment_order").get("id")
        if word == "cancelled" and payloads.text(replacement):
            gone = payloads.inner(body, "fulfillment_order").get("id")
            context |= {"replaced": graphql.number_of(gone), "by": graphql.number_of(replacement)}
        return self._api.node("FulfillmentOrder", part, f"{word}:{part}", "", context)

    def _ask_ready(self, fulfillment: Any, at: Any, order_id: str) -> FollowUp:
        number = graphql.number_of(payloads.required_text(fulfillment, "fulfillment_id"))
        context = {"word": courier.READY, "at": payloads.text(at), "keyed": "yes"}
        key = f"{courier.READY}:{number}"
        return self._api.node("Fulfillment", number, key, order_id, context)

    @property
    def _promise_attribute(self) -> str:
        return self.account.get("promise_attribute", "")

    # --- reading what was asked for --------------------------------------------------------------

    def parse_resource(
        self, follow_up: FollowUp, response: HttpResponse, received_at: datetime
    ) -> list[OrderUpdate]:
        """An order, the list of its parts, or both as GraphQL tells them."""
        answer = payloads.load_object(response.body)
        if "order" in answer:
            order = payloads.as_object(answer["order"], "order")
            return [read_order(order, self.status_map, self._promise_attribute)]
        if "fulfillment_orders" in answer:
            return self._read_parts(_listed(answer, follow_up))
        return self._read_parts(graphql.read_answer(answer, _statement(follow_up)))

    def _read_parts(self, fetched: Fetched) -> list[OrderUpdate]:
        update = read_parts(fetched, self.status_map)
        return [update] if update is not None else []

    # --- polling ---------------------------------------------------------------------------------

    def poll(self, since: datetime) -> HttpRequest | None:
        """Orders updated since ``since``, closed ones included; their parts come after them."""
        if not (self._shop and self.account.get("access_token")):
            return None
        return self._api.changed_orders(since)

    def poll_next(self, request: HttpRequest, response: HttpResponse) -> HttpRequest | None:
        """The next page, and after the orders the fulfilment orders that changed."""
        return self._api.next_page(request, response)

    def parse_poll(self, response: HttpResponse, received_at: datetime) -> list[OrderUpdate]:
        """Every order of the answer with the courier news it carries, or every part."""
        answer = payloads.load_object(response.body)
        if "orders" in answer:
            return [
                read_order(order, self.status_map, self._promise_attribute)
                for order in payloads.objects(answer["orders"])
            ]
        changed = graphql.read_changes(answer)
        return [update for fetched in changed for update in self._read_parts(fetched)]


def _header(call: InboundCall, name: str) -> str:
    """A header of the established family (x-shopify-) or of the newer one (shopify-)."""
    found = call.headers.get(f"x-shopify-{name}") or call.headers.get(f"shopify-{name}", "")
    return payloads.text(found)


def _listed(answer: Mapping[str, Any], follow_up: FollowUp) -> Fetched:
    entries = payloads.objects(answer.get("fulfillment_orders"))
    try:
        labels = json.loads(follow_up.context.get("lines") or "{}")
    except ValueError:
        labels = {}
    told = next((text for e in entries if (text := payloads.text(e.get("order_id")))), "")
    return Fetched(
        order_id=told or follow_up.order_id,
        entries=entries,
        labels=labels if isinstance(labels, dict) else {},
        shipping=follow_up.context.get("shipping", ""),
        statement=_statement(follow_up),
    )


def _statement(follow_up: FollowUp) -> Statement:
    context = follow_up.context
    return Statement(
        word=context.get("word", ""),
        at=courier.lenient_time(context.get("at", "")),
        # a courier event has a time of its own to be ordered by, a thin one only the fetched part's
        is_keyed=context.get("keyed") == "yes",
        parts=(context["number"],) if context.get("kind") == "FulfillmentOrder" else (),
        replaced={context["by"]: context["replaced"]} if context.get("by") else {},
    )
