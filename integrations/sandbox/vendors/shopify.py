"""A Shopify shop: its Admin API as far as orders go, and its webhooks.

What is written into it (shopify_admin.py) is posted back to the order sources of the same shop.

Planted with ``PUT /_sandbox/shopify/{kind}/{id}``: ``orders``, ``fulfillment_orders`` (each with
its ``order_id``) and ``fulfillments`` (with ``order_id`` and ``fulfillment_order_ids``). Announced
with ``POST /_sandbox/emit``.
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from integrations.sandbox.callbacks import Callbacks, VendorCall
from integrations.sandbox.state import SandboxAccount, SandboxState, iso
from integrations.sandbox.vendors.base import (
    TRIAL_ITEMS,
    TRIAL_MAIL,
    TRIAL_NAME,
    TRIAL_PHONE,
    Route,
    SandboxVendor,
    Trial,
    json_reply,
    needed,
)
from integrations.sandbox.vendors.planted import planting_routes
from integrations.sandbox.vendors.shopify_api import MAGIC, AdminApi, app_key, parsed
from integrations.signatures import hmac_base64

API_VERSION = "2026-07"
KINDS = ("orders", "fulfillment_orders", "fulfillments")
MOST_PER_PAGE = 250
PARTS_PER_PAGE = 20
API = "/admin/api/{version}"


class Shopify(SandboxVendor):
    """The restaurant's online shop: an order source, and orders that are written to."""

    key = "shopify"
    title = "Shopify"
    channel = "commerce"
    magic = MAGIC

    def __init__(self, state: SandboxState, callbacks: Callbacks) -> None:
        super().__init__(state, callbacks)
        self._admin_api = AdminApi(self)

    def routes(self) -> Iterable[Route]:
        return (
            Route("GET", f"{API}/orders.json", self.list_orders),
            Route("GET", f"{API}/orders/{{id}}.json", self.read_order),
            Route("GET", f"{API}/orders/{{id}}/fulfillment_orders.json", self.list_parts),
            Route("POST", f"{API}/graphql.json", self.graphql),
            Route("POST", "/admin/oauth/access_token", self._admin_api.token),
        )

    def control_routes(self) -> Iterable[Route]:
        return planting_routes(self, KINDS)

    def account_name(self, settings: Mapping[str, str]) -> str:
        return needed(settings, "shop_domain")

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        if key := app_key(settings):
            return [key]
        return [needed(settings, "access_token")]

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        if status == 429:
            text = "Exceeded 2 calls per second for api client."
            return _error(429, text, {"Retry-After": f"{retry_after_s:g}"})
        return _error(status, "Internal Server Error")

    # --- the API --------------------------------------------------------------------------------

    async def list_orders(self, request: web.Request) -> web.StreamResponse:
        """GET the orders updated since a time; without ``status=any`` the open ones only.

        A Link header leads to the next page, which takes no filter but ``limit`` and ``fields``.
        """
        if not self._is_authorized(request):
            return _unauthorized()
        query: Mapping[str, str] = request.query
        try:
            if token := query.get("page_info"):
                if set(query) - {"page_info", "limit", "fields"}:
                    return _error(400, "page_info: cannot be combined with other filters")
                query = {**json.loads(base64.urlsafe_b64decode(token)), **query}
            since = _time(query.get("updated_at_min", ""))
            first, limit = int(query.get("first", "0")), int(query.get("limit", "50"))
        except ValueError:
            return _error(400, "Bad Request")
        limit = min(limit, MOST_PER_PAGE)
        found = [
            order
            for (vendor, kind, _), order in self.state.resources.items()
            if (vendor, kind) == (self.key, "orders")
            and (query.get("status") == "any" or not order.get("closed_at"))
            and _time(str(order.get("updated_at", ""))) >= since
        ]
        headers = {}
        if found[first + limit :]:
            kept = {n: query[n] for n in ("updated_at_min", "status") if n in query}
            more = json.dumps({**kept, "first": str(first + limit)}).encode()
            page = {"limit": str(limit), "page_info": base64.urlsafe_b64encode(more).decode()}
            headers["Link"] = f'<{request.url.with_query(page)}>; rel="next"'
        if names := [name for name in query.get("fields", "").split(",") if name]:
            found = [{name: order[name] for name in names if name in order} for order in found]
        return json_reply({"orders": found[first : first + limit]}, headers=headers)

    async def read_order(self, request: web.Request) -> web.StreamResponse:
        """GET one order."""
        if not self._is_authorized(request):
            return _unauthorized()
        order = self._planted("orders", request.match_info["id"])
        return _error(404, "Not Found") if order is None else json_reply({"order": order})

    async def list_parts(self, request: web.Request) -> web.StreamResponse:
        """GET the fulfilment orders of an order."""
        if not self._is_authorized(request):
            return _unauthorized()
        return json_reply({"fulfillment_orders": self._parts(request.match_info["id"])})

    async def graphql(self, request: web.Request) -> web.StreamResponse:
        """Answers one question: the node ``id`` with its order and that order's parts, or (asked
        with ``query``) the parts that changed since a time, with the ids of their orders.

        Reads the variables, and of the document its first field only. Errors come with HTTP 200, as
        GraphQL has them.
        """
        account, body = self._admin_api.account_of(request), await request.read()
        if account is None:
            return _unauthorized()
        if self._admin_api.knows(document := parsed(body)):
            return self._admin_api.answer(request, account, document)
        try:
            asked = json.loads(body)["variables"]
            if "query" in asked:
                return json_reply({"data": {"fulfillmentOrders": self._changes(asked)}})
            gid = str(asked["id"])
        except (ValueError, KeyError, TypeError):
            text = "Variable $id of type ID! was provided invalid value"
            code = {"code": "INVALID_VARIABLE"}
            return json_reply({"errors": [{"message": text, "extensions": code}]})
        kind, _, number = gid.removeprefix("gid://shopify/").partition("/")
        return json_reply({"data": {"node": self._node(gid, kind, number)}})

    def _changes(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        since = _time(str(asked["query"]).removeprefix("updated_at:>=").strip("'"))
        first = int(asked.get("after") or 0)
        found = [
            part
            for (vendor, kind, _), part in self.state.resources.items()
            if (vendor, kind) == (self.key, "fulfillment_orders")
            and _time(str(part.get("updated_at", ""))) >= since
        ]
        nodes = [
            {**_camel(part), "order": {"id": f"gid://shopify/Order/{part.get('order_id')}"}}
            for part in found[first : first + PARTS_PER_PAGE]
        ]
        more = bool(found[first + PARTS_PER_PAGE :])
        page = {"hasNextPage": more, "endCursor": str(first + PARTS_PER_PAGE)}
        return {"pageInfo": page, "nodes": nodes}

    def _node(self, gid: str, kind: str, number: str) -> dict[str, Any] | None:
        places = {"FulfillmentOrder": "fulfillment_orders", "Fulfillment": "fulfillments"}
        found = self._planted(places.get(kind, ""), number)
        if found is None:
            return None
        order_id = str(found.get("order_id", ""))
        nodes = [_camel(part) for part in self._parts(order_id)]
        listed = {"pageInfo": {"hasNextPage": False}, "nodes": nodes}
        order = {"id": f"gid://shopify/Order/{order_id}", "fulfillmentOrders": listed}
        node: dict[str, Any] = {"id": gid, "order": order}
        if kind == "Fulfillment":
            inside = found.get("fulfillment_order_ids", [])
            ids = [{"id": f"gid://shopify/FulfillmentOrder/{part}"} for part in inside]
            node["fulfillmentOrders"] = {"nodes": ids}
        return node

    def _planted(self, kind: str, number: str) -> dict[str, Any] | None:
        return self.state.resources.get((self.key, kind, number))

    def _parts(self, order_id: str) -> list[dict[str, Any]]:
        return [
            part
            for (vendor, kind, _), part in self.state.resources.items()
            if (vendor, kind) == (self.key, "fulfillment_orders")
            and str(part.get("order_id")) == order_id
        ]

    def _is_authorized(self, request: web.Request) -> bool:
        return self._admin_api.account_of(request) is not None

    # --- what Shopify posts to us -----------------------------------------------------------------

    def event(self, account: SandboxAccount, wanted: Mapping[str, Any]) -> VendorCall:
        """``payload`` as it is, or the body of ``type`` (default orders/updated).

        orders/*: the planted ``order_id`` (orders/edited: thin). fulfillment_orders/*: thin, about
        ``part_id``. fulfillments/*: the planted ``fulfillment_id``. fulfillment_events/create:
        ``order_id``, ``fulfillment_id``, ``status``, ``message``. ``event_id`` to repeat one.
        """
        topic = str(wanted.get("type", "orders/updated"))
        payload = wanted.get("payload")
        if payload is None:
            payload = self._body(topic, wanted)
        body = json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()
        return VendorCall(
            account.target(account.webhook_url),
            body,
            {
                "Content-Type": "application/json",
                "User-Agent": "Shopify-Captain-Hook",
                "X-Shopify-Topic": topic,
                "X-Shopify-Shop-Domain": needed(account.settings, "shop_domain"),
                "X-Shopify-API-Version": API_VERSION,
                "X-Shopify-Event-Id": str(wanted.get("event_id") or uuid.uuid4()),
                "X-Shopify-Webhook-Id": str(uuid.uuid4()),
                "X-Shopify-Triggered-At": iso(time.time()),
                "X-Shopify-Hmac-Sha256": hmac_base64(
                    needed(account.settings, "client_secret"), body
                ),
            },
        )

    def trial(self, account: SandboxAccount, order: Trial) -> Mapping[str, Any]:
        """A paid order for local pickup, with one part."""
        number, place = order.whole_number, order.location_id or None
        lines = [
            {"id": number + n, "title": title, "quantity": 1, "current_quantity": 1}
            for n, title in enumerate(TRIAL_ITEMS, start=1)
        ]
        guest = {
            "id": number,
            "first_name": TRIAL_NAME[0],
            "last_name": TRIAL_NAME[1],
            "phone": TRIAL_PHONE,
            "email": TRIAL_MAIL,
        }
        self.plant(
            "orders",
            number,
            {
                "id": number,
                "name": f"#{order.number}",
                "created_at": order.time(),
                "updated_at": order.time(),
                "financial_status": "paid",
                "fulfillment_status": None,
                "test": True,
                "phone": TRIAL_PHONE,
                "email": TRIAL_MAIL,
                "customer": guest,
                "location_id": place,
                "line_items": lines,
                "shipping_lines": [{"code": "Local pickup", "title": "Local pickup"}],
            },
        )
        self.plant(
            "fulfillment_orders",
            number + 9,
            {
                "id": number + 9,
                "order_id": number,
                "status": "open",
                "updated_at": order.time(),
                "assigned_location_id": place,
                "delivery_method": {"method_type": "pick_up"},
                "line_items": [{"line_item_id": line["id"], "quantity": 1} for line in lines],
            },
        )
        return {"order_id": str(number), "type": "orders/create"}

    def _body(self, topic: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
        family = topic.partition("/")[0]
        if family == "fulfillment_orders":
            part = self._needed("fulfillment_orders", wanted.get("part_id"))
            return {"fulfillment_order": _thin(part)}
        if family == "fulfillments":
            return self._needed("fulfillments", wanted.get("fulfillment_id"))
        if family == "fulfillment_events":
            return _courier_event(wanted)
        order = self._needed("orders", wanted.get("order_id"))
        return _edit(order) if topic == "orders/edited" else order

    def _needed(self, kind: str, number: Any) -> dict[str, Any]:
        found = self._planted(kind, str(number or ""))
        if found is None:
            raise ValueError(f"'{number}' is not planted: PUT /_sandbox/shopify/{kind}/{{id}}")
        return found


def _thin(part: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": f"gid://shopify/FulfillmentOrder/{part['id']}",
        "status": part.get("status", "open"),
        "preparable": True,
        "delivery_method": part.get("delivery_method"),
    }


def _edit(order: Mapping[str, Any]) -> dict[str, Any]:
    edit = {
        "id": time.time_ns(),
        "created_at": iso(time.time()),
        "order_id": order["id"],
        "line_items": {"additions": [], "removals": []},
    }
    return {"order_edit": edit}


def _courier_event(wanted: Mapping[str, Any]) -> dict[str, Any]:
    names = ("order_id", "fulfillment_id", "status")
    if missing := [name for name in names if not wanted.get(name)]:
        raise ValueError(f"'{missing[0]}' says what the event is about")
    return {
        "id": wanted.get("id") or time.time_ns(),
        "happened_at": wanted.get("happened_at") or iso(time.time()),
        "estimated_delivery_at": wanted.get("estimated_delivery_at"),
        "message": wanted.get("message"),
        **{name: wanted[name] for name in names},
    }


def _camel(part: Mapping[str, Any]) -> dict[str, Any]:
    """A planted fulfilment order (REST's words) in GraphQL's."""
    method = (part.get("delivery_method") or {}).get("method_type")
    place = part.get("assigned_location_id")
    lines = [
        {
            "totalQuantity": line.get("quantity"),
            "remainingQuantity": line.get("fulfillable_quantity", line.get("quantity")),
            "productTitle": line.get("title"),
            "variantTitle": line.get("variant_title"),
            "lineItem": {"id": f"gid://shopify/LineItem/{line.get('line_item_id')}"},
        }
        for line in part.get("line_items", [])
    ]
    return {
        "id": f"gid://shopify/FulfillmentOrder/{part['id']}",
        "status": str(part.get("status", "open")).upper(),
        "updatedAt": part.get("updated_at"),
        "fulfillAt": part.get("fulfill_at"),
        "fulfillBy": part.get("fulfill_by"),
        "deliveryMethod": {"methodType": method.upper()} if method else None,
        "assignedLocation": {"location": {"id": f"gid://shopify/Location/{place}"}},
        "lineItems": {"pageInfo": {"hasNextPage": False}, "nodes": lines},
    }


def _time(text: str) -> datetime:
    """A time with offset; the beginning of time for none. Raises ValueError."""
    return datetime.fromisoformat(text) if text else datetime.min.replace(tzinfo=UTC)


def _error(status: int, text: str, headers: Any = None) -> web.Response:
    return json_reply({"errors": text}, status=status, headers=headers)


def _unauthorized() -> web.Response:
    text = "[API] Invalid API key or access token (unrecognized login or wrong password)"
    return _error(401, text)
