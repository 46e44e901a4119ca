"""The raw call a manager may look at: its shape and states, nothing about a person."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from orders.masked_calls import MOST_ENTRIES, MOST_LINES, masked_body, masked_headers
from tests.orders.senders import SOURCES, recorded, samples

#: what the made-up people of the fixtures are called, and where they live
PEOPLE = ("Sample", "Customer", "Casey", "Example Street", "Springfield", "Louisville", "Gate code")


@pytest.mark.parametrize("key", SOURCES)
def test_no_sample_shows_a_person(key: str) -> None:
    for name in samples(key):
        body, headers = recorded(key, name)
        shown = masked_body(body) + json.dumps(masked_headers(headers), ensure_ascii=False)
        assert "@" not in shown
        assert not re.search(r"202\W{0,2}555", shown)
        for word in PEOPLE:
            assert not re.search(rf"\b{word}\b", shown.replace("customer", "")), (name, word)


@pytest.mark.parametrize(
    ("key", "name", "words"),
    [
        ("square", "order_updated", ['type: "order.updated"', 'state: "OPEN"', "event_id: "]),
        ("deliverect", "order_status_50_preparing", ["status: 50", "orderId: "]),
        ("woocommerce", "order_updated_custom_status", ["status: ", "line_items: ["]),
        ("toast", "order_updated_5_all_ready", ['fulfillmentStatus: "READY"']),
        ("uber_eats", "orders_notification", ['event_type: "orders.notification"']),
    ],
)
def test_what_a_fault_is_found_by_is_shown(key: str, name: str, words: list[str]) -> None:
    shown = masked_body(recorded(key, name)[0])
    for word in words:
        assert word in shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"state": "PLATED"}, 'state: "PLATED"'),
        ({"state": "call +1 202 555 0143"}, "state: ••• 20 characters"),
        ({"status": "ana@example.com"}, "status: ••• 15 characters"),
        ({"status": "(202) 555-0143"}, "status: ••• 14 characters"),
        ({"code": "2025550143"}, "code: ••• 10 characters"),
        ({"code": 2025550143}, "code: ••• a number"),
        ({"order_id": 450789469}, "order_id: 450789469"),
        ({"customer_id": 450789469}, "customer_id: ••• a number"),
        ({"customer": {"id": "7", "vip": True}}, "vip: true"),
        ({"phone_type": "mobile"}, "phone_type: ••• 6 characters"),
        ({"title": "Ana's birthday"}, "title: ••• 14 characters"),
        ({"latitude": 41.88}, "latitude: ••• a number"),
        ({"+12025550143": {"state": "x"}}, "•••: {"),
        ({"Ana Silva": 1}, "•••: ••• a number"),
        ({"ids": ["a1", "b2"]}, '"a1"'),
        ({"names": ["Ana"]}, "••• 3 characters"),
        ({"note": None, "empty": ""}, "note: null"),
    ],
)
def test_values(value: Any, shown: str) -> None:
    text = masked_body(json.dumps(value).encode())
    assert shown in text
    for secret in ("2025550143", "555 0143", "555-0143", "ana@", "Ana"):
        assert secret not in text


def test_large_and_odd_bodies_stay_readable() -> None:
    many = masked_body(json.dumps({"ids": list(range(MOST_ENTRIES + 5))}).encode())
    assert "… 5 more" in many
    assert len(masked_body(json.dumps([{"id": i} for i in range(20)] * 200).encode())) < 20_000
    deep = masked_body(b'{"a":' * 50 + b"1" + b"}" * 50)
    assert "…" in deep
    wide = {f"member_{n}": {f"m{k}": {"id": k} for k in range(50)} for n in range(50)}
    lines = masked_body(json.dumps(wide).encode()).splitlines()
    assert (len(lines), lines[-1]) == (MOST_LINES + 1, "…")
    assert masked_body(b"") == "0 bytes, text, not JSON"
    assert masked_body(b"\xff\xfe Ana") == "6 bytes, bytes that are no UTF-8 text, not JSON"
    assert masked_body(b'{"name": "Ana"') == "14 bytes, text, not JSON"
    assert masked_body(b'"Ana"') == "••• 3 characters"


def test_headers_that_prove_something_are_hidden() -> None:
    shown = dict(
        masked_headers(
            {
                "content-type": "application/json",
                "x-shopify-topic": "orders/updated",
                "x-shopify-hmac-sha256": "c2VjcmV0",
                "x-shopify-shop-domain": "lucky-bowl.myshopify.com",
                "toast-event-category": "order_updated",
                "x-olo-signature": "s",
                "webhook-token-id": "t",
                "ce-id": "ev-1",
                "ce-subject": "orders/Ana",
            }
        )
    )
    assert shown["content-type"] == "application/json"
    assert shown["x-shopify-topic"] == "orders/updated"
    assert shown["toast-event-category"] == "order_updated"
    assert shown["ce-id"] == "ev-1"
    hidden = set(shown) - {"content-type", "x-shopify-topic", "toast-event-category", "ce-id"}
    assert all(shown[name].startswith("•••") for name in hidden)
