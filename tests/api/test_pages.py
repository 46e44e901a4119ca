"""Lists: filters, pages, and how many queries they cost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orders.models import Location, Order, Restaurant
from tests.api.bodies import bowls
from tests.api.conftest import Caller
from tests.factories import make_order

NOW = datetime(2026, 3, 14, 18, 0, tzinfo=UTC)


@pytest.fixture
def seven(restaurant: Restaurant, location: Location) -> list[str]:
    """Ids of seven orders, newest first; three of them made in one moment."""
    ids = []
    for number in range(7):
        order = make_order(restaurant, state="ready" if number % 2 else "delivered")
        moment = NOW + timedelta(minutes=min(number, 4))
        Order.objects.filter(pk=order.pk).update(created_at=moment, updated_at=moment)
        ids.append(str(order.public_id))
    return ids[::-1]


def ids_of(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [row["id"] for row in answer.json()["data"]]


def test_pages_neither_skip_nor_repeat(api: Caller, seven: list[str]) -> None:
    found: list[str] = []
    path = "orders?limit=2"
    while path:
        page = api.get(path).json()
        assert page["object"] == "list"
        assert len(page["data"]) <= 2
        found += [row["id"] for row in page["data"]]
        assert page["has_more"] == (page["next"] is not None) == (page["next_cursor"] is not None)
        path = (page["next"] or "").removeprefix("https://alerts.example.com/api/v1/")
    assert found == seven


def test_a_new_order_does_not_move_a_page(
    api: Caller, seven: list[str], restaurant: Restaurant
) -> None:
    first = api.get("orders?limit=3").json()
    make_order(restaurant)
    rest = api.get(f"orders?limit=100&cursor={first['next_cursor']}")
    assert ids_of(rest) == seven[3:]


def test_the_next_page_keeps_the_filters(api: Caller, seven: list[str]) -> None:
    page = api.get("orders?limit=2&state=ready").json()
    rest = api.get(page["next"].removeprefix("https://alerts.example.com/api/v1/"))
    assert {row["state"] for row in page["data"] + rest.json()["data"]} == {"ready"}
    assert len(page["data"]) + len(rest.json()["data"]) == 3


def test_filters(api: Caller, seven: list[str]) -> None:
    assert len(ids_of(api.get("orders?state=delivered"))) == 4
    assert len(ids_of(api.get("orders?open=true"))) == 3
    assert len(ids_of(api.get("orders?open=false"))) == 4
    assert ids_of(api.get("orders?open=true&state=delivered")) == []
    since = "2026-03-14T18:03:00Z"
    assert ids_of(api.get(f"orders?updated_since={since}")) == seven[:4]
    assert ids_of(api.get("orders?updated_since=2026-03-14T19:03:00%2B01:00")) == seven[:4]


def test_an_order_is_found_by_any_systems_id(api: Caller) -> None:
    body = bowls("WEB-1")
    body["order"]["aliases"] = [{"system": "drive", "id": "d-1"}]
    made = api.post("orders", body).json()
    assert ids_of(api.get("orders?external_id=WEB-1")) == [made["id"]]
    assert ids_of(api.get("orders?external_id=d-1")) == [made["id"]]
    assert ids_of(api.get("orders?external_id=web-1")) == []


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("state=done", "state"),
        ("open=perhaps", "open"),
        ("updated_since=yesterday", "updated_since"),
        ("updated_since=2026-03-14T18:03:00", "updated_since"),
        ("external_id=", "external_id"),
        ("external_id=%00", "external_id"),
        ("external_id=" + "x" * 201, "external_id"),
        ("cursor=", "cursor"),
        ("cursor=x", "cursor"),
        ("cursor=%F0%9F%8D%9C", "cursor"),
        ("cursor=MjAyNi0wMy0xNFQxODowMDowMHwx", "cursor"),
        ("cursor=MjAyNi0wMy0xNFQxODowMDowMCswMDowMHw5OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "cursor"),
        ("page=2", "page"),
    ],
)
def test_a_wrong_parameter_is_named(api: Caller, query: str, parameter: str) -> None:
    answer = api.get(f"orders?{query}")
    assert answer.status_code == 422
    assert [entry["parameter"] for entry in answer.json()["errors"]] == [parameter]


def test_a_page_costs_the_same_however_long_it_is(
    api: Caller, seven: list[str], restaurant: Restaurant
) -> None:
    api.get("orders")  # notes the use of the key, once a minute
    with CaptureQueriesContext(connection) as few:
        api.get("orders?limit=1")
    for _ in range(5):
        make_order(restaurant, items=["Soup"], parts=[{}, {}])
    with CaptureQueriesContext(connection) as many:
        api.get("orders?limit=100")
    assert len(many) <= len(few)
    assert len(many) <= 8
