"""The GraphQL documents of Shopify's Admin API, 2026-10, and the bodies made of them. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from integrations import crm_values, shopify_marks
from integrations.contracts import Message
from integrations.payloads import text

#: longest note or event message; Shopify names no limit, its short texts hold 255
_LONGEST = 255
#: what no name in GraphQL may hold
_NOT_NAMED = re.compile(r"[^0-9A-Za-z_]")
_FULFILLMENT = """fragment facts on Fulfillment {
  id status
  trackingInfo(first: 5) { number url }
  events(first: 10, sortKey: HAPPENED_AT, reverse: true) { nodes { id status happenedAt } }
}"""
ORDER = f"""query Order%s($id: ID!) {{
  order(id: $id) {{
    id cancelledAt
    fulfillmentOrders(first: 10) {{ nodes {{ id status deliveryMethod {{ methodType }} }} }}
    fulfillments(first: 10) {{ ...facts }}
  }}
}}
{_FULFILLMENT}"""
SHOP = "query { shop { id } }"
PROGRESS = """mutation ($id: ID!, $report: FulfillmentOrderReportProgressInput) {
  fulfillmentOrderReportProgress(id: $id, progressReport: $report) {
    fulfillmentOrder { id status }
    userErrors { field message code }
  }
}"""
PREPARED = """mutation ($input: FulfillmentOrderLineItemsPreparedForPickupInput!) {
  fulfillmentOrderLineItemsPreparedForPickup(input: $input) {
    userErrors { field message code }
  }
}"""
CREATE = f"""mutation ($fulfillment: FulfillmentInput!) {{
  fulfillmentCreate(fulfillment: $fulfillment) {{
    fulfillment {{ ...facts }}
    userErrors {{ field message }}
  }}
}}
{_FULFILLMENT}"""
TRACKING = """mutation ($id: ID!, $tracking: FulfillmentTrackingInput!, $notify: Boolean) {
  fulfillmentTrackingInfoUpdate(
    fulfillmentId: $id, trackingInfoInput: $tracking, notifyCustomer: $notify
  ) {
    fulfillment { id }
    userErrors { field message }
  }
}"""
EVENT = """mutation ($event: FulfillmentEventInput!) {
  fulfillmentEventCreate(fulfillmentEvent: $event) {
    fulfillmentEvent { id }
    userErrors { field message }
  }
}"""
CANCEL = """mutation ($id: ID!, $notify: Boolean, $note: String) {
  orderCancel(
    orderId: $id, reason: OTHER, restock: false, notifyCustomer: $notify, staffNote: $note
  ) {
    job { id }
    orderCancelUserErrors { field message code }
  }
}"""


def gid(kind: str, number: str) -> str:
    """A global id; "0" stands for one that only the shop's answer to ``ORDER`` will tell."""
    return f"gid://shopify/{kind}/{number or '0'}"


def read_order(message: Message) -> dict[str, Any]:
    """What the shop knows about the order. People find the order by the operation's name."""
    number = _NOT_NAMED.sub("", text(message.order.get("number"), 40))
    return _body(ORDER % number, {"id": gid("Order", message.source_order_id)})


def read_shop() -> dict[str, Any]:
    """Nothing but whether the account works."""
    return _body(SHOP, {})


def progress(part_id: str, message: Message) -> dict[str, Any]:
    """The kitchen has begun with one fulfilment order."""
    return _body(PROGRESS, {"id": part_id, "report": {"reasonNotes": words(message, _LONGEST)}})


def prepared(part_ids: Sequence[str]) -> dict[str, Any]:
    """Fulfilment orders wait at the counter. Shopify mails the guest, whatever we say."""
    listed = [{"fulfillmentOrderId": part_id} for part_id in part_ids]
    return _body(PREPARED, {"input": {"lineItemsByFulfillmentOrder": listed}})


def create(
    part_id: str, message: Message, *, notify: bool, is_carried: bool = True
) -> dict[str, Any]:
    """One fulfilment order leaves as a whole; without tracking where the guest takes it along."""
    made: dict[str, Any] = {
        "lineItemsByFulfillmentOrder": [{"fulfillmentOrderId": part_id}],
        "notifyCustomer": notify,
    }
    if is_carried:
        made["trackingInfo"] = tracking_info(message)
    return _body(CREATE, {"fulfillment": made})


def tracking(fulfillment_id: str, message: Message, *, notify: bool) -> dict[str, Any]:
    """Who carries a fulfilment, and where to look for them."""
    values = {"id": fulfillment_id, "tracking": tracking_info(message), "notify": notify}
    return _body(TRACKING, values)


def event(fulfillment_id: str, status: str, message: Message) -> dict[str, Any]:
    """What happened to a fulfilment, and the time the guest may expect it now."""
    said: dict[str, Any] = {
        "fulfillmentId": fulfillment_id,
        "status": status,
        "message": shopify_marks.marked(words(message, 2000), message.source_order_id, _LONGEST),
    }
    if at := crm_values.occurred_at(message):
        said["happenedAt"] = _instant(at)
    if expected := _expected(message):
        said["estimatedDeliveryAt"] = _instant(expected)
    return _body(EVENT, {"event": said})


def cancel(message: Message, *, notify: bool) -> dict[str, Any]:
    """The order is off. Money and stock stay the merchant's."""
    note = text(message.order.get("reason")) or words(message, _LONGEST)
    values = {
        "id": gid("Order", message.source_order_id),
        "notify": notify,
        "note": crm_values.sendable(note)[:_LONGEST],
    }
    return _body(CANCEL, values)


def tracking_info(message: Message) -> dict[str, str]:
    """Company, our own number, and the courier's page or else the order's."""
    found = {"number": shopify_marks.tracking_number(message.source_order_id)}
    company = text(_courier(message).get("name"), 100) or text(message.restaurant.get("name"), 100)
    if company:
        found["company"] = crm_values.sendable(company)
    url = courier_url(message) or crm_values.sendable(text(message.links.get("order"), 2000))
    if _is_url(url):
        found["url"] = url
    return found


def courier_url(message: Message) -> str:
    """The courier's own page; "" = none."""
    url = crm_values.sendable(text(_courier(message).get("tracking_url"), 2000))
    return url if _is_url(url) else ""


def words(message: Message, limit: int) -> str:
    """The message's text, cut."""
    return crm_values.sendable(message.text).strip()[:limit]


def _is_url(url: str) -> bool:
    return url.startswith(("https://", "http://")) and not any(c.isspace() for c in url)


def _courier(message: Message) -> Mapping[str, Any]:
    found = message.order.get("courier")
    return found if isinstance(found, Mapping) else {}


def _expected(message: Message) -> datetime | None:
    """When the guest may expect a delivery; None once it has ended, or where nobody said."""
    if message.milestone.partition(":")[0] in ("delivered", "failed"):
        return None
    try:
        found = datetime.fromisoformat(str(message.order.get("est_delivery_at") or ""))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _body(query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    return {"query": query, "variables": dict(variables)}
