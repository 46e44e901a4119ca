"""Asks Shopify's GraphQL API for the order behind a part, and puts the answer into REST's words.

REST can list the parts of an order but cannot say which order a part belongs to together with the
other parts; GraphQL tells both at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from integrations import payloads
from integrations.errors import PayloadMalformed, TransientError
from integrations.sources.shopify_parts import Fetched, Statement

#: so many parts and lines keep the question below the 1,000 points one question may cost
QUERY = """query ($id: ID!) {
  node(id: $id) {
    ... on FulfillmentOrder { id order { ...parts } }
    ... on Fulfillment { id order { ...parts } fulfillmentOrders(first: 10) { nodes { id } } }
  }
}
fragment parts on Order {
  id
  fulfillmentOrders(first: 10) { pageInfo { hasNextPage } nodes { ...part } }
}
%s"""
_PART = """fragment part on FulfillmentOrder {
  id status updatedAt fulfillAt fulfillBy
  deliveryMethod { methodType }
  assignedLocation { location { id } }
  lineItems(first: %d) {
    pageInfo { hasNextPage }
    nodes { totalQuantity remainingQuantity productTitle variantTitle lineItem { id } }
  }
}"""
#: which parts changed; what else their orders consist of would cost too much to ask for
CHANGES = """query ($query: String!, $after: String) {
  fulfillmentOrders(first: 20, after: $after, query: $query, includeClosed: true, sortKey: ID) {
    pageInfo { hasNextPage endCursor }
    nodes { ...part order { id } }
  }
}
%s"""
#: asking again later helps
_PASSING = frozenset({"THROTTLED", "INTERNAL_SERVER_ERROR", "TIMEOUT"})
#: where an event names a part that certainly still exists, the likeliest first
NAMED = (
    "moved_fulfillment_order",
    "remaining_fulfillment_order",
    "replacement_fulfillment_order",
    "submitted_fulfillment_order",
    "fulfillment_order",
    "original_fulfillment_order",
)


def question(kind: str, number: str) -> dict[str, Any]:
    """The body of the POST about one fulfilment order or fulfilment."""
    variables = {"id": f"gid://shopify/{kind}/{number}"}
    return {"query": QUERY % (_PART % 25), "variables": variables}


def question_of_changes(since: str, cursor: str = "") -> dict[str, Any]:
    """The body of the POST about the fulfilment orders ``since`` (a search) finds."""
    return {"query": CHANGES % (_PART % 10), "variables": {"query": since, "after": cursor or None}}


def next_cursor(answer: Mapping[str, Any]) -> str:
    """Where the answer about changes goes on; "" on its last page."""
    page = payloads.inner(answer, "data", "fulfillmentOrders", "pageInfo")
    return payloads.text(page.get("endCursor"), 500) if page.get("hasNextPage") is True else ""


def number_of(gid: Any) -> str:
    """The number in a global id (gid://shopify/Order/1); other ids as they are, never cut."""
    found = payloads.text(gid, 300)
    return found.rpartition("/")[2].partition("?")[0] if found.startswith("gid://") else found


def part_named(body: Mapping[str, Any]) -> str:
    """The number of a part the event names. Raises PayloadMalformed when it names none."""
    merges = body.get("fulfillment_order_merges")
    merged = payloads.objects(merges if isinstance(merges, list) else [merges])
    found = [payloads.inner(body, name).get("id") for name in NAMED]
    found += [payloads.inner(merge, "fulfillment_order").get("id") for merge in merged]
    found += [e.get("fulfillment_order_id") for e in payloads.objects(body.get("merge_intents"))]
    for value in found:
        if number := number_of(value):
            return payloads.required_text(number, "fulfillment_order.id")
    raise PayloadMalformed("fulfillment_order.id: missing")


def read_answer(answer: Mapping[str, Any], statement: Statement) -> Fetched:
    """The order and its parts. Raises PayloadMalformed or TransientError."""
    _refuse_errors(answer)
    node = payloads.inner(answer, "data", "node")
    order = payloads.inner(node, "order")
    listed = payloads.inner(order, "fulfillmentOrders")
    order_id = payloads.required_text(number_of(order.get("id")), "data.node.order.id")
    inside = payloads.objects(payloads.inner(node, "fulfillmentOrders").get("nodes"))
    if numbers := tuple(number for entry in inside if (number := number_of(entry.get("id")))):
        statement = replace(statement, parts=numbers)
    return Fetched(
        order_id=order_id,
        entries=[_in_rest_words(entry) for entry in payloads.objects(listed.get("nodes"))],
        is_whole=payloads.inner(listed, "pageInfo").get("hasNextPage") is not True,
        statement=statement,
    )


def read_changes(answer: Mapping[str, Any]) -> list[Fetched]:
    """Parts that changed, by order. Raises PayloadMalformed or TransientError."""
    _refuse_errors(answer)
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in payloads.objects(payloads.inner(answer, "data", "fulfillmentOrders").get("nodes")):
        if order_id := number_of(payloads.inner(entry, "order").get("id")):
            found.setdefault(order_id, []).append(_in_rest_words(entry))
    return [
        Fetched(order_id=order_id, entries=entries, is_whole=False, is_excerpt=True)
        for order_id, entries in found.items()
    ]


def _refuse_errors(answer: Mapping[str, Any]) -> None:
    """GraphQL says with HTTP 200 what went wrong; some of it passes by itself."""
    errors = answer.get("errors")
    if not errors:
        return
    codes = [
        payloads.text(payloads.inner(error, "extensions").get("code"), 60) or "unnamed"
        for error in payloads.objects(errors)
    ]
    words = ", ".join(dict.fromkeys(codes))[:200] or "unnamed"
    if codes and set(codes) <= _PASSING:
        raise TransientError("shopify", vendor_code=words)
    raise PayloadMalformed(f"Shopify answered with errors: {words}")


def _in_rest_words(entry: Mapping[str, Any]) -> dict[str, Any]:
    method = payloads.text(payloads.inner(entry, "deliveryMethod").get("methodType"))
    place = payloads.inner(entry, "assignedLocation", "location")
    goes_on = payloads.inner(entry, "lineItems", "pageInfo").get("hasNextPage")
    return {
        "id": number_of(entry.get("id")),
        "status": payloads.text(entry.get("status"), 60).lower(),
        "updated_at": entry.get("updatedAt"),
        "fulfill_at": entry.get("fulfillAt"),
        "fulfill_by": entry.get("fulfillBy"),
        "delivery_method": {"method_type": method.lower()},
        "assigned_location_id": number_of(place.get("id")),
        "has_more_lines": goes_on is True,
        "line_items": [
            {
                "line_item_id": number_of(payloads.inner(line, "lineItem").get("id")),
                "quantity": line.get("totalQuantity"),
                "fulfillable_quantity": line.get("remainingQuantity"),
                "title": line.get("productTitle"),
                "variant_title": line.get("variantTitle"),
            }
            for line in payloads.objects(payloads.inner(entry, "lineItems").get("nodes"))
        ],
    }
