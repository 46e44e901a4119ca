"""What was told to whom, and why."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from notifications.models import Notification
from orders.models import Location, Restaurant
from tests.api.conftest import Caller
from tests.factories import (
    make_address,
    make_attempt,
    make_customer,
    make_delivery,
    make_event,
    make_notification,
    make_order,
    make_provider_account,
    make_receipt,
)

NOW = datetime(2026, 3, 14, 18, 0, tzinfo=UTC)
TRACE = [
    {"step": "route", "verdict": "matched", "why": "Ready for pickup"},
    {"step": "consent", "verdict": "allow", "why": "us-2026-01 order_updates"},
]


@pytest.fixture
def told(restaurant: Restaurant, location: Location) -> Notification:
    """A delivered text message that needed two tries."""
    customer = make_customer(restaurant)
    address = make_address(restaurant, value="+12125550143")
    account = make_provider_account(restaurant, name="Our texts", settings={"secret": "hush"})
    order = make_order(restaurant, subject=customer, state="ready")
    event = make_event(order, at=NOW)
    notification = make_notification(event, at=NOW, trace=TRACE, is_urgent=True)
    delivery = make_delivery(
        notification, account, at=NOW, address=address, state="delivered", vendor_id="SM1"
    )
    make_attempt(delivery, at=NOW, outcome="transient", http_status=503, vendor_code="20500")
    late = NOW + timedelta(seconds=5)
    make_attempt(delivery, at=late, outcome="accepted", http_status=201, vendor_id="SM1")
    make_receipt(delivery, at=late + timedelta(seconds=2), vendor_time=late)
    return notification


def test_a_notification_explains_itself(api: Caller, told: Notification) -> None:
    answer = api.get(f"notifications/{told.pk}")
    body = answer.json()
    assert answer.status_code == 200
    assert body["object"] == "notification"
    assert body["order"] == str(told.order.public_id)
    assert (body["audience"], body["kind"], body["milestone"]) == (
        "customer",
        "status_changed",
        "ready",
    )
    assert [(line["step"], line["verdict"]) for line in body["trace"]] == [
        ("route", "matched"),
        ("consent", "allow"),
    ]
    assert body["event"]["milestone"] == "ready"
    assert body["event"]["occurred_at"] == "2026-03-14T18:00:00Z"
    (delivery,) = body["deliveries"]
    assert (delivery["state"], delivery["channel"]) == ("delivered", told.deliveries.get().channel)
    assert delivery["address"] == "+1•••0143"
    assert (delivery["account"], delivery["provider"]) == ("Our texts", "console")
    assert [(a["number"], a["outcome"], a["http_status"]) for a in delivery["attempts"]] == [
        (1, "transient", 503),
        (2, "accepted", 201),
    ]
    assert [(r["kind"], r["vendor_time"]) for r in delivery["receipts"]] == [
        ("delivered", "2026-03-14T18:00:05Z")
    ]


def test_no_address_and_no_secret_leaves(api: Caller, told: Notification) -> None:
    for path in ("notifications", f"notifications/{told.pk}"):
        text = api.get(path).content.decode()
        assert "12125550143" not in text
        assert "hush" not in text
        assert "Maya" not in text


def test_a_team_chat_has_no_address(
    api: Caller, restaurant: Restaurant, location: Location
) -> None:
    event = make_event(make_order(restaurant), at=NOW)
    notification = make_notification(event, at=NOW, audience="staff")
    make_delivery(notification, make_provider_account(restaurant), at=NOW)
    body = api.get(f"notifications/{notification.pk}").json()
    assert body["deliveries"][0]["address"] == ""


def test_a_notification_that_told_nobody_says_why(
    api: Caller, restaurant: Restaurant, location: Location
) -> None:
    event = make_event(make_order(restaurant), at=NOW)
    why = [{"step": "consent", "verdict": "drop", "why": "withdrawn"}]
    notification = make_notification(event, at=NOW, trace=why)
    body = api.get(f"notifications/{notification.pk}").json()
    assert body["deliveries"] == []
    assert body["trace"][0]["why"] == "withdrawn"


def test_filters(
    api: Caller, told: Notification, restaurant: Restaurant, location: Location
) -> None:
    event = make_event(make_order(restaurant), at=NOW)
    account = make_provider_account(restaurant)
    staff = make_notification(event, at=NOW + timedelta(minutes=1), audience="staff")
    make_delivery(staff, account, at=NOW, state="failed")
    make_delivery(staff, account, at=NOW, state="queued", step=1)

    def found(query: str) -> list[str]:
        return [row["id"] for row in api.get(f"notifications?{query}").json()["data"]]

    assert found("") == [str(staff.pk), str(told.pk)]
    assert found(f"order={told.order.public_id}") == [str(told.pk)]
    assert found("audience=staff") == [str(staff.pk)]
    assert found("state=failed") == found("state=queued") == [str(staff.pk)]
    assert found("state=delivered&audience=staff") == []
    assert found(f"order={uuid.uuid4()}") == []


def test_pages(api: Caller, told: Notification) -> None:
    for number in range(3):  # one moment: told apart by id
        event = make_event(told.order, f"edited:{number}", at=NOW, kind="order_edited")
        make_notification(event, at=NOW)
    found = []
    path = "notifications?limit=1"
    while path:
        page = api.get(path).json()
        found += [row["id"] for row in page["data"]]
        path = (page["next"] or "").removeprefix("https://alerts.example.com/api/v1/")
    expected = Notification.objects.order_by("-created_at", "-pk").values_list("pk", flat=True)
    assert found == [str(pk) for pk in expected]
    assert len(found) == 4


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("order=7", "order"),
        ("audience=everyone", "audience"),
        ("state=lost", "state"),
        ("cursor=MjAyNi0wMy0xNFQxODowMDowMCswMDowMHwx", "cursor"),
        ("kind=x", "kind"),
    ],
)
def test_a_wrong_parameter_is_named(api: Caller, query: str, parameter: str) -> None:
    answer = api.get(f"notifications?{query}")
    assert answer.status_code == 422
    assert [entry["parameter"] for entry in answer.json()["errors"]] == [parameter]


def test_notifications_of_other_restaurants_do_not_exist(
    stranger: Caller, told: Notification
) -> None:
    assert stranger.get(f"notifications/{told.pk}").status_code == 404
    assert stranger.get("notifications").json()["data"] == []
    assert stranger.get(f"notifications?order={told.order.public_id}").json()["data"] == []


def test_a_list_costs_the_same_however_long_it_is(api: Caller, told: Notification) -> None:
    api.get("notifications")  # notes the use of the key, once a minute
    with CaptureQueriesContext(connection) as few:
        api.get("notifications")
    for number in range(5):
        event = make_event(told.order, f"edited:{number}", at=NOW, kind="order_edited")
        more = make_notification(event, at=NOW)
        make_delivery(more, told.deliveries.get().account, at=NOW)
    with CaptureQueriesContext(connection) as many:
        assert len(api.get("notifications").json()["data"]) == 6
    assert len(many) == len(few)
