"""What a call said in its headers, where a recording kept only the body.

Three systems name their event in a header alone. A recording's name often tells which it was
(captures are saved as ``orders_create.json``), and the shape of the body tells the rest. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from integrations import payloads
from integrations.sources import olo
from integrations.sources.shopify import COURIER_EVENT, EDITED, FULFILLMENT_TOPICS, ORDER_TOPICS
from integrations.sources.shopify_parts import PREPARED

Headers = Mapping[str, str]

_PARTS = tuple(f"fulfillment_orders/{word}" for word in PREPARED)
_SHOPIFY = (*ORDER_TOPICS, *FULFILLMENT_TOPICS, EDITED, COURIER_EVENT, *_PARTS)
_PREPARED_BY = {"pick_up": _PARTS[0], "local": _PARTS[1]}
#: an event that says no more than that the parts are others now
_PARTS_CHANGED = "fulfillment_orders/moved"
#: only these events of Shopify name a part and no order
_ABOUT_PARTS = re.compile(r"(\w+_)?fulfillment_orders?(_merges?)?|merge_intents")
_STRUCTURED = "application/cloudevents+json"
_BATCH = "application/cloudevents-batch+json"


def recalled_headers(source: str, body: Any, name: str) -> tuple[Headers, ...]:
    """Headers a call of ``source`` with this JSON ``body`` may have had, the likeliest first.

    ``name`` is what the recording is called, without its folder and ending.
    """
    recall = _RECALLED.get(source)
    return recall(body, _letters(name)) if recall else ({},)


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _named(name: str, known: tuple[str, ...]) -> str:
    """The longest of ``known`` that ``name`` contains; "" = none."""
    found = [one for one in known if _letters(one) in name]
    return max(found, key=len, default="")


def _shopify(body: Any, name: str) -> tuple[Headers, ...]:
    topic = _shopify_topic(body, name) if isinstance(body, dict) else ""
    return ({"x-shopify-topic": topic},) if topic else ({},)


def _shopify_topic(body: Mapping[str, Any], name: str) -> str:
    if "order_edit" in body:
        return EDITED
    if "happened_at" in body and "fulfillment_id" in body:
        return COURIER_EVENT
    if any(_ABOUT_PARTS.fullmatch(member) for member in body):
        method = payloads.inner(body, "fulfillment_order", "delivery_method").get("method_type")
        if isinstance(body.get("fulfillment_orders"), list):
            return ""  # the answer to a GET
        return _named(name, _PARTS) or _PREPARED_BY.get(str(method), _PARTS_CHANGED)
    if "order_id" in body and "line_items" in body:
        return "fulfillments/update"
    if "line_items" in body and "id" in body:
        return _named(name, tuple(sorted(ORDER_TOPICS))) or "orders/updated"
    return _named(name, _SHOPIFY)


def _woocommerce(body: Any, name: str) -> tuple[Headers, ...]:
    if isinstance(body, dict) and set(body) == {"id"}:
        return ({"x-wc-webhook-topic": "order.deleted"},)
    return ({},)


def _olo(body: Any, name: str) -> tuple[Headers, ...]:
    event = _named(name, tuple(olo.EVENTS))
    if not event and isinstance(body, dict):
        if set(body) == {"message"}:
            event = "Test"
        elif "items" in body:
            event = "OrderPlaced"
    return ({"x-olo-event-type": event},) if event else ({},)


def _cloudevents(body: Any, name: str) -> tuple[Headers, ...]:
    return ({"content-type": _BATCH if isinstance(body, list) else _STRUCTURED},)


_RECALLED: Mapping[str, Callable[[Any, str], tuple[Headers, ...]]] = {
    "cloudevents": _cloudevents,
    "olo": _olo,
    "shopify": _shopify,
    "woocommerce": _woocommerce,
}
