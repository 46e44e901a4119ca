"""DoorDash, Grubhub, Deliverect and Otter through the real endpoint, beside a till."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from integrations.contracts import basic_auth
from integrations.signatures import hmac_base64, hmac_hex
from orders.models import InboundCall, Order, ParkedUpdate, SourceAccount
from tests.factories import make_source_account
from tests.integrations.sources.payload_files import body_of
from tests.orders.posting import Till

pytestmark = pytest.mark.django_db


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def today(source: str, name: str) -> Any:
    """A sample as if its evening were now: nobody believes a clock that is off by months."""
    moved = datetime.now(UTC) - datetime(2026, 3, 14, 18, 40, tzinfo=UTC)

    def shift(stamp: re.Match[str]) -> str:
        return f"{datetime.fromisoformat(stamp[0]) + moved:%Y-%m-%dT%H:%M:%S.%fZ}"

    text = json.dumps(body_of(source, name))
    return json.loads(re.sub(r"2026-03-14T[0-9:.]+Z", shift, text))


def post(account: SourceAccount, body: Any, **headers: str) -> HttpResponse:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    url = f"/hooks/orders/{account.token}/"
    answer: Any = Client().post(url, raw, content_type="application/json", headers=headers)
    return answer


def to_doordash(account: SourceAccount, body: Any) -> HttpResponse:
    return post(account, body, authorization="Bearer portal-token")


def to_deliverect(account: SourceAccount, body: Any) -> HttpResponse:
    raw = json.dumps(body).encode()
    return post(account, raw, **{"x-deliverect-signature": hmac_hex("dlv", raw)})


def to_otter(account: SourceAccount, body: Any) -> HttpResponse:
    raw = json.dumps(body).encode()
    return post(account, raw, **{"X-HMAC-SHA256": hmac_base64("ott", raw)})


def know_place(till: Till, *ids: str) -> None:
    till.location.external_ids = [*till.location.external_ids, *ids]
    till.location.save()


def drive(till: Till) -> None:
    till.post("WEB-1042", state="ready", fulfillment={"type": "delivery"})


@pytest.fixture
def doordash(till: Till) -> SourceAccount:
    settings = {"authorization": "Bearer portal-token"}
    return make_source_account(till.restaurant, source="doordash", settings=settings)


@pytest.fixture
def deliverect(till: Till) -> SourceAccount:
    settings = {"webhook_secret": "dlv"}
    return make_source_account(till.restaurant, source="deliverect", settings=settings)


@pytest.fixture
def otter(till: Till) -> SourceAccount:
    return make_source_account(till.restaurant, source="otter", settings={"webhook_secret": "ott"})


def test_a_drive_courier_brings_the_tills_order(till: Till, doordash: SourceAccount) -> None:
    drive(till)
    push = {"external_delivery_id": "WEB-1042", "created_at": now()}
    for event, state in (
        ("dasher_enroute_to_pickup", "ready"),
        ("DASHER_DROPPED_OFF", "delivered"),
        ("DASHER_PICKED_UP", "delivered"),
    ):
        answer = to_doordash(doordash, {**push, "event_name": event})
        assert (answer.status_code, answer.content) == (200, b"")
        assert till.order().state == state
    assert Order.objects.count() == 1


def test_a_marketplace_cancellation_waits_for_the_tills_order(
    till: Till, doordash: SourceAccount
) -> None:
    notice = {"external_order_id": "dd-1", "client_order_id": "WEB-1042", "is_asap": True}
    assert to_doordash(doordash, notice).status_code == 200
    assert InboundCall.objects.get().state == "parked"
    assert not Order.objects.exists()
    drive(till)
    assert till.order().state == "cancelled"
    assert to_doordash(doordash, notice).status_code == 200


def test_doordash_hears_200_whatever_it_sends(till: Till, doordash: SourceAccount) -> None:
    for body in (b"{", b"[]", {"event": {"type": "MenuStatus"}}, {"event_name": "X"}):
        answer = to_doordash(doordash, body)
        assert (answer.status_code, answer.content) == (200, b"")
    assert post(doordash, {}, authorization="Bearer other").status_code == 401
    # the announced length alone is enough to refuse it
    assert to_doordash(doordash, b"x" * 10_000_000).status_code == 413


def test_grubhub_brings_the_tills_order(till: Till) -> None:
    settings = {"username": "lucky-bowl", "password": "gh"}
    account = make_source_account(till.restaurant, source="grubhub", settings=settings)
    drive(till)
    body = body_of("grubhub", "delivery_in_transit")
    login = basic_auth("lucky-bowl", "gh")
    assert post(account, body, authorization=login).status_code == 200
    assert till.order().state == "out_for_delivery"
    stored = InboundCall.objects.get(account=account)
    assert b'"lat"' not in bytes(stored.body)
    assert login not in json.dumps(stored.headers)


def test_deliverect_registers_and_tells_the_course_of_an_order(
    till: Till, deliverect: SourceAccount
) -> None:
    answer = post(deliverect, {"status": "register", "channelLinkId": "link-1"})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    url = json.loads(answer.content)["statusUpdateURL"]
    assert url.endswith(f"/hooks/orders/{deliverect.token}/")
    assert not InboundCall.objects.exists()

    new = today("deliverect", "order_notification_new")
    know_place(till, new["location"])
    late = {"orderId": new["_id"], "pickupTime": now()}
    assert to_deliverect(deliverect, late).status_code == 200
    assert ParkedUpdate.objects.count() == 1
    assert to_deliverect(deliverect, new).status_code == 200
    order = Order.objects.get()
    assert (order.state, order.display) == ("received", "T4206")
    assert order.contact_kind == "masked"
    assert not ParkedUpdate.objects.exists()
    for name, state in (
        ("order_status_50_preparing", "preparing"),
        ("order_status_70_pickup_ready", "ready"),
        ("order_status_90_finalized", "ready"),
        ("reporting_courier_update", "out_for_delivery"),
    ):
        assert to_deliverect(deliverect, today("deliverect", name)).status_code == 200
        order.refresh_from_db()
        assert order.state == state


def test_otter_tells_the_course_of_an_order(till: Till, otter: SourceAccount) -> None:
    ready = today("otter", "orders_order_ready")
    know_place(till, ready["metadata"]["storeId"])
    assert to_otter(otter, ready).status_code == 200
    assert not Order.objects.exists()
    for name, state in (
        ("orders_new_order", "ready"),
        ("orders_update_prepared", "ready"),
        ("orders_order_status_update", "out_for_delivery"),
        ("delivery_status_update_picked_up", "out_for_delivery"),
    ):
        assert to_otter(otter, today("otter", name)).status_code == 200
        order = Order.objects.get()
        assert (order.state, order.display) == (state, "ABCDE")
    assert order.contact_kind == "masked"
    assert [leg["state"] for leg in order.detail["legs"]] == ["out_for_delivery"]
