"""What headers a recorded call had, told from its body and from what the recording is called."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.recalled import recalled_headers
from tests.integrations.sources.payload_files import body_of, load, names

HEADER = {"shopify": "X-Shopify-Topic", "olo": "X-Olo-Event-Type"}
CALLS = [
    (source, name)
    for source, header in HEADER.items()
    for name in names(source)
    if header in load(source, name).get("headers", {})
]
#: both mean: read the order again, it is as the body says
SAME = {"fulfillments/create": "fulfillments/update"}


@pytest.mark.parametrize(("source", "name"), CALLS)
def test_every_recorded_topic_is_told_by_body_and_name(source: str, name: str) -> None:
    header = HEADER[source]
    topic = load(source, name)["headers"][header]
    (found,) = recalled_headers(source, body_of(source, name), name)
    assert found == {header.lower(): SAME.get(topic, topic)}


@pytest.mark.parametrize(
    ("source", "body", "expected"),
    [
        ("shopify", {"id": 1, "line_items": []}, {"x-shopify-topic": "orders/updated"}),
        ("shopify", {"fulfillment_order": {"id": 1}},
         {"x-shopify-topic": "fulfillment_orders/moved"}),
        ("shopify", {"fulfillment_order": {"delivery_method": {"method_type": "local"}}},
         {"x-shopify-topic": "fulfillment_orders/line_items_prepared_for_local_delivery"}),
        ("shopify", {"fulfillment_orders": []}, {}),
        ("shopify", {"data": {}}, {}),
        ("shopify", [1], {}),
        ("woocommerce", {"id": 7}, {"x-wc-webhook-topic": "order.deleted"}),
        ("woocommerce", {"id": 7, "status": "pending"}, {}),
        ("olo", {"orderId": 1, "items": []}, {"x-olo-event-type": "OrderPlaced"}),
        ("olo", {"message": "Olo webhook test!"}, {"x-olo-event-type": "Test"}),
        ("olo", {"orderId": 1}, {}),
        ("cloudevents", {"id": "1"}, {"content-type": "application/cloudevents+json"}),
        ("cloudevents", [], {"content-type": "application/cloudevents-batch+json"}),
        ("square", {"id": "1"}, {}),
        ("toast", None, {}),
    ],
)  # fmt: skip
def test_by_the_body_alone(source: str, body: Any, expected: dict[str, str]) -> None:
    assert recalled_headers(source, body, "capture-0001") == (expected,)
