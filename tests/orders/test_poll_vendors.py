"""A poll after a webhook says nothing again: every vendor that lists its orders, one row each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from integrations import http
from integrations.contracts import Source
from integrations.registry import SOURCES, source_class
from orders import follow_ups, polling
from orders.models import Observation, Order, OrderEvent, SourceAccount
from tests.orders import senders

pytestmark = pytest.mark.django_db


class Row(NamedTuple):
    """One vendor: what its account needs, what it posts, what it has and how it lists that."""

    settings: Mapping[str, str]
    posted: str
    #: the order from the fixture named second, or from what was posted
    resource: str
    order_in: Callable[[Any], Any]
    listed: Callable[[Any], Any]
    fetched: Callable[[Any], Any] = lambda order: order


ROWS: Mapping[str, Row] = {
    "clover": Row(
        {"merchant_tokens": "XYZVJT2ZRRRSC=token"},
        "orders_create_update",
        "get_order_open",
        lambda body: body | {"id": "GHIVJT2ABCRSC"},
        lambda order: {"elements": [order]},
    ),
    "otter": Row(
        {"api_url": "https://otter.example.com", "access_token": "t", "store_id": "store"},
        "orders_new_order",
        "orders_new_order",
        lambda body: body["metadata"]["payload"],
        lambda order: {"orders": [order]},
    ),
    "shopify": Row(
        {},
        "orders_create",
        "orders_create",
        lambda body: body,
        lambda order: {"orders": [order]},
        lambda order: {"order": order},
    ),
    "square": Row(
        {"location_ids": "FPYCBCHYMXFK1"},
        "order_updated",
        "get_order_two_pickups",
        lambda body: body["order"],
        lambda order: {"orders": [order]},
        lambda order: {"order": order},
    ),
    "toast": Row(
        {"access_token": "t", "restaurant_guid": "0cd990c9-fd74-461d-8468-de2a0919ccbb"},
        "order_updated_2_sent_to_kitchen",
        "order_updated_2_sent_to_kitchen",
        lambda body: body["details"]["order"],
        lambda order: [order],
    ),
    "woocommerce": Row(
        {"site_url": "https://example.com", "consumer_key": "k", "consumer_secret": "s"},
        "order_created_processing",
        "order_created_processing",
        lambda body: body,
        lambda order: [order],
    ),
}


def test_every_vendor_that_lists_orders_is_here() -> None:
    listing = {key for key in SOURCES if source_class(key).poll is not Source.poll}
    assert set(ROWS) == listing


@pytest.fixture
def vendor(settings: Any) -> Any:
    """The API behind every account of the test."""
    with senders.answering() as made:
        settings.SANDBOX_URL = made.url
        http.configure(allowed_origins=[made.url])
        yield made
        http.close()


def said_so_far() -> tuple[list[Any], list[Any]]:
    statements = Observation.objects.order_by("pk").values_list("event_key", "state")
    return list(statements), list(OrderEvent.objects.order_by("pk").values())


@pytest.mark.parametrize("key", sorted(ROWS))
def test_a_poll_repeats_nothing(key: str, vendor: senders.Vendor) -> None:
    row = ROWS[key]
    account = senders.open_account(key, **row.settings)
    body, headers = senders.recorded(key, row.posted)
    order = row.order_in(json.loads(senders.recorded(key, row.resource)[0]))
    vendor.body = json.dumps(row.fetched(order)).encode()
    now = datetime.now(UTC)
    assert senders.post(account, body, headers).status_code == 200
    follow_ups.fetch_due(now=now + timedelta(seconds=2))
    known = said_so_far()
    assert Order.objects.count() == 1
    assert known[0]

    vendor.body = json.dumps(row.listed(order)).encode()
    polled = []
    for minutes in (1, 20):
        asked = len(vendor.asked)
        assert polling.poll_sources(now=now + timedelta(minutes=minutes)) == 1
        assert len(vendor.asked) > asked
        assert SourceAccount.objects.get().poll_error == ""
        polled.append(said_so_far())
    # some vendors give a listed order another version than an event; it says nothing new
    assert polled[0][1] == known[1]
    assert polled[1] == polled[0]


@pytest.mark.parametrize("key", sorted(ROWS))
def test_what_only_a_poll_found_is_told_by_no_webhook_again(
    key: str, vendor: senders.Vendor
) -> None:
    row = ROWS[key]
    account = senders.open_account(key, **row.settings)
    body, headers = senders.recorded(key, row.posted)
    order = row.order_in(json.loads(senders.recorded(key, row.resource)[0]))
    vendor.body = json.dumps(row.listed(order)).encode()
    now = datetime.now(UTC)
    assert polling.poll_sources(now=now) == 1
    assert Order.objects.count() == 1
    milestones = list(OrderEvent.objects.values_list("milestone", flat=True))
    vendor.body = json.dumps(row.fetched(order)).encode()
    assert senders.post(account, body, headers).status_code == 200
    follow_ups.fetch_due(now=now + timedelta(seconds=2))
    assert Order.objects.count() == 1
    assert list(OrderEvent.objects.values_list("milestone", flat=True)) == milestones
