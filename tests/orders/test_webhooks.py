"""The endpoint: what is stored, what is answered, and that nothing a stranger sends is a 500."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from consents.models import ContactAddress
from integrations.signatures import hmac_base64
from orders import calls, selectors
from orders.models import InboundCall, Observation, Order, SourceAccount
from orders.selectors import webhook_url
from orders.signals import order_event_recorded
from tests.factories import make_location, make_source_account
from tests.orders.posting import PHONE, Till, later, post_square

pytestmark = pytest.mark.django_db


def nothing_happened() -> bool:
    return not (InboundCall.objects.exists() or Order.objects.exists())


# --- who is calling ---------------------------------------------------------------------------


def test_an_event_becomes_an_order(till: Till) -> None:
    answer = till.post(state="received", parts=[{"id": "p1", "label": "Bowl", "state": "received"}])
    assert (answer.status_code, answer.content) == (202, b"")
    order = till.order()
    assert (order.display, order.state, order.location) == ("A1", "received", till.location)
    assert [(part.ref, part.state) for part in order.parts.all()] == [("p1", "received")]
    assert till.milestones() == ["received"]
    call = till.call()
    assert (call.state, call.cause, call.order) == ("applied", "", order)
    assert call.settled_at is not None
    assert Observation.objects.filter(order=order, call=call, account=till.account).count() == 2


def test_the_body_is_encrypted_at_rest(till: Till) -> None:
    till.post(customer={"name": "Ana Silva", "phone": PHONE})
    with connection.cursor() as cursor:
        cursor.execute("SELECT body, headers FROM orders_inboundcall")
        body, headers = (bytes(value) for value in cursor.fetchone())
    assert b"Ana" not in body
    assert b"cloudevents" not in headers
    assert b"Ana Silva" in bytes(till.call().body)
    assert "authorization" not in till.call().headers


@pytest.mark.parametrize("method", ["post", "get", "options"])
def test_unknown_and_disabled_addresses_are_not_found(till: Till, method: str) -> None:
    assert getattr(Client(), method)("/hooks/orders/nobody/").status_code == 404
    till.account.enabled = False
    till.account.save()
    assert getattr(Client(), method)(f"/hooks/orders/{till.account.token}/").status_code == 404


def test_a_disabled_account_stops_within_seconds(till: Till) -> None:
    assert till.post(state="received").status_code == 202
    SourceAccount.objects.update(enabled=False)
    selectors.clear_caches()
    assert till.post(state="ready").status_code == 404


@pytest.mark.parametrize("method", ["get", "put", "delete", "patch", "head"])
def test_only_posts_carry_events(till: Till, method: str) -> None:
    answer = getattr(Client(), method)(f"/hooks/orders/{till.account.token}/")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert nothing_happened()


def test_a_bad_signature_leaves_a_count_and_a_hint(till: Till) -> None:
    body = json.dumps(till.event(state="ready")).encode()
    answer = till.post_raw(body, secret="somebody else's")
    assert (answer.status_code, answer.content) == (401, b"")
    till.post_raw(body, **{"X-Alert-Signature": "ž" * 5})
    assert nothing_happened()
    till.account.refresh_from_db()
    assert till.account.signature_failures == 2
    assert till.account.last_signature_failure_at is not None
    assert "X-Alert-Signature" in till.account.last_signature_hint
    assert till.account.last_call_at is None


def test_a_call_that_is_believed_again_is_noted_at_once(till: Till) -> None:
    till.post(state="received")
    body = json.dumps(till.event(state="ready")).encode()
    till.post_raw(body, secret="somebody else's")
    assert till.post(state="preparing").status_code == 202
    till.account.refresh_from_db()
    assert till.account.last_signature_failure_at is not None
    assert till.account.last_call_at is not None
    assert till.account.last_call_at > till.account.last_signature_failure_at


def test_a_missing_signature_says_so(till: Till) -> None:
    Client().post(
        f"/hooks/orders/{till.account.token}/",
        data=b"{}",
        content_type="application/cloudevents+json",
    )
    till.account.refresh_from_db()
    assert till.account.last_signature_hint == "header X-Alert-Signature is missing"
    assert nothing_happened()


# --- the address and proxies ------------------------------------------------------------------


def square_account(till: Till) -> SourceAccount:
    return make_source_account(
        till.restaurant, source="square", settings={"signature_key": "k", "access_token": "t"}
    )


def post_signed_over(url: str, account: SourceAccount, **extra: Any) -> Any:
    body = b'{"type": "order.updated", "event_id": "e1", "data": {"id": "sq-1"}}'
    signature = hmac_base64("k", url.encode() + body)
    headers = {"x-square-hmacsha256-signature": signature, **extra.pop("headers", {})}
    path = extra.pop("path", f"/hooks/orders/{account.token}/")
    return Client().post(path, body, "application/json", headers=headers)


def test_what_a_proxy_says_about_host_and_scheme_changes_nothing(till: Till) -> None:
    account = square_account(till)
    said = {
        "Host": "inner:8000",
        "X-Forwarded-Host": "evil.example.com",
        "X-Forwarded-Proto": "http",
        "Forwarded": "host=evil.example.com;proto=http",
    }
    assert post_signed_over(webhook_url(account), account, headers=said).status_code == 200
    assert till.call().state == "waiting"
    elsewhere = f"http://evil.example.com/hooks/orders/{account.token}/"
    assert post_signed_over(elsewhere, account, headers=said).status_code == 401
    account.refresh_from_db()
    assert account.signature_failures == 1


@pytest.mark.parametrize(
    ("signed", "words"),
    [
        ("http://alerts.example.com/hooks/orders/{}/", "the vendor has http://."),
        ("https://alerts.example.com/hooks/orders/{}", "the vendor has no slash at the end."),
        ("https://inner:8000/hooks/orders/{}/", "another host, the one it called."),
    ],
)
def test_a_signature_over_another_address_says_which(till: Till, signed: str, words: str) -> None:
    account = square_account(till)
    url = signed.format(account.token)
    answer = post_signed_over(url, account, headers={"Host": "inner:8000"})
    assert (answer.status_code, answer.content) == (401, b"")
    account.refresh_from_db()
    assert words in account.last_signature_hint
    assert account.token not in account.last_signature_hint
    assert not InboundCall.objects.exists()


def test_the_slash_at_the_end_may_be_missing(till: Till) -> None:
    account = square_account(till)
    path = f"/hooks/orders/{account.token}"
    assert post_signed_over(webhook_url(account), account, path=path).status_code == 200
    assert Client().get(path).status_code == 405
    assert Client().post("/hooks/orders/nobody").status_code == 404


def test_an_answered_test_of_the_address_is_noted(till: Till) -> None:
    shop = make_source_account(
        till.restaurant,
        source="woocommerce",
        settings={"site_url": "https://shop.example.com", "webhook_secret": "s"},
    )
    ping = "application/x-www-form-urlencoded"
    answer = Client().post(f"/hooks/orders/{shop.token}/", b"webhook_id=7", ping)
    assert answer.status_code == 200
    shop.refresh_from_db()
    assert shop.last_handshake_at is not None
    assert (shop.last_call_at, shop.signature_failures) == (None, 0)
    # refusing a test is no test
    assert Client().options(f"/hooks/orders/{till.account.token}/").status_code == 405
    till.account.refresh_from_db()
    assert till.account.last_handshake_at is None
    assert nothing_happened()


# --- what is sent -----------------------------------------------------------------------------


def test_malformed_json_is_stored_with_its_cause(till: Till) -> None:
    answer = till.post_raw(b'{"specversion": "1.0", ')
    assert answer.status_code == 400
    assert "not JSON" in json.loads(answer.content)["title"]
    call = till.call()
    assert call.state == "quarantined"
    assert call.cause.startswith("unreadable: the body is not JSON")
    assert bytes(call.body) == b'{"specversion": "1.0", '
    assert not Order.objects.exists()
    assert till.post_raw(b'{"specversion": "1.0", ').status_code == 400
    assert InboundCall.objects.count() == 1


def test_square_hears_200_for_what_we_cannot_read(till: Till) -> None:
    account = make_source_account(
        till.restaurant, source="square", settings={"signature_key": "k", "access_token": "t"}
    )
    answer = post_square(account, {"type": "order.updated", "event_id": "e1", "data": {}})
    assert (answer.status_code, answer.content) == (200, b"")
    assert till.call().cause == "unreadable: data.id: missing or not a text"
    assert post_square(account, {"type": "payment.updated", "event_id": "e2"}).status_code == 200
    assert till.call().state == "ignored"


def test_an_event_of_five_megabytes_is_too_large(till: Till) -> None:
    body = json.dumps(till.event(note="x" * 5 * 1024 * 1024)).encode()
    assert till.post_raw(body).status_code == 413
    assert nothing_happened()


def test_the_limit_is_the_sources_own(till: Till) -> None:
    assert till.post_raw(b"x" * (1024 * 1024 + 1)).status_code == 413
    assert till.post_raw(b"x" * (1024 * 1024)).status_code == 400
    account = make_source_account(
        till.restaurant, source="square", settings={"signature_key": "k", "access_token": "t"}
    )
    assert post_square(account, "x" * (2 * 1024 * 1024 - 2)).status_code == 200
    assert post_square(account, "x" * (2 * 1024 * 1024 - 1)).status_code == 413


def test_other_formats_are_415(till: Till) -> None:
    answer = till.post_raw(b"a=b", content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 415
    assert nothing_happened()


def test_an_unknown_location_waits_for_a_manager(till: Till) -> None:
    till.account.location = None
    till.account.save()
    assert till.post(state="ready", location={"id": "L9"}).status_code == 202
    call = till.call()
    assert call.state == "quarantined"
    assert "'L9'" in call.cause
    assert not Order.objects.exists()
    make_location(till.restaurant, external_ids=["L9"])
    assert calls.replay_call(row=call, now=datetime.now(UTC)) == "applied"
    assert till.order().state == "ready"


def test_a_default_location_takes_what_names_none(till: Till) -> None:
    till.post(state="ready")
    assert till.order().location == till.location


def test_a_location_nobody_knows_is_kept_for_a_manager(till: Till) -> None:
    till.post(state="ready", location={"id": "L9"})
    assert not Order.objects.exists()
    call = till.call()
    assert (call.state, "unknown location 'L9'" in call.cause) == ("quarantined", True)


def test_a_location_without_names_takes_every_name(till: Till) -> None:
    till.location.external_ids = []
    till.location.save()
    till.post(state="ready", location={"id": "L9"})
    assert till.order().location == till.location


def test_a_phone_number_that_is_none_is_refused_with_its_path(till: Till) -> None:
    answer = till.post(customer={"phone": "call me"})
    assert answer.status_code == 400
    assert "data.customer.phone" in json.loads(answer.content)["title"]


def test_an_impossible_phone_number_costs_the_contact_and_nothing_else(till: Till) -> None:
    answer = till.post(state="received", customer={"name": "Ana", "phone": "+10000000000"})
    assert answer.status_code == 202
    call = till.call()
    assert call.state == "applied"
    assert call.cause.startswith("contact phone")
    assert "+1000" not in call.cause
    assert till.order().state == "received"
    assert not ContactAddress.objects.exists()


def test_a_state_nobody_knows_is_mapped_and_read_again(till: Till) -> None:
    till.post(state="received")
    answer = till.post(state="on the grill", items=[{"id": "i1", "label": "Steak"}])
    assert answer.status_code == 202
    call = till.call()
    assert call.state == "quarantined"
    assert call.cause == "unknown state: order on the grill"
    order = till.order()
    assert (call.order, order.state) == (order, "received")
    assert [item.label for item in order.items.all()] == ["Steak"]
    SourceAccount.objects.filter(pk=till.account.pk).update(
        status_map={"order": {"on the grill": "preparing"}}, status_map_version=2
    )
    now = datetime.now(UTC)
    assert calls.replay_call(row=call, now=now) == "applied"
    assert till.order().state == "preparing"
    assert till.milestones() == ["received", "preparing"]
    before = Observation.objects.count()
    call.refresh_from_db()
    assert (call.state, call.cause) == ("applied", "")
    assert calls.replay_call(row=call, now=now) == "applied"
    assert Observation.objects.count() == before


@pytest.mark.parametrize("days", [365, -365])
def test_a_clock_a_year_off_moves_the_order_and_tells_nobody(till: Till, days: int) -> None:
    till.post(state="received", sequenced=False)
    answer = till.post(state="ready", time=later(days=days), sequenced=False)
    assert answer.status_code == 202
    call = till.call()
    assert call.state == "applied"
    assert "clock is 36" in call.cause
    order = till.order()
    assert order.state == "ready"
    event = order.events.get(milestone="ready")
    assert event.is_stale
    assert abs(event.occurred_at - datetime.now(UTC)) < timedelta(minutes=1)
    # later events of the mended clock still count
    till.post(state="picked_up", sequenced=False)
    assert till.order().state == "picked_up"
    assert not order.events.get(milestone="picked_up").is_stale


def test_a_clock_some_minutes_ahead_is_noted_and_told(till: Till) -> None:
    till.post(state="ready", time=later(minutes=30))
    assert "clock is 30 minutes ahead" in till.call().cause
    assert not till.order().events.get(milestone="ready").is_stale


def test_an_estimate_a_year_away_delays_nothing(till: Till) -> None:
    till.post(state="received", times={"est_ready_at": later(minutes=20)})
    till.post(times={"est_ready_at": later(days=366)})
    assert "est_ready_at is 365 days away" in till.call().cause
    assert not till.order().events.filter(kind="order_delayed").exists()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"0",
        b"\x00\xff",
        b"{" * 5000,
        b'{"specversion":"1.0"}',
        b'{"id":{"a":[1]},"source":7,"type":null,"time":[],"subject":true,"data":{}}',
        json.dumps({"data": {"order": {"id": "x" * 500}}}).encode(),
        json.dumps(
            {
                "specversion": "1.0",
                "id": "\ud800",
                "source": "s",
                "type": "t",
                "time": "2026-03-14T18:05:00Z",
                "subject": "orders/\x00",
                "data": {"order": {"id": "\x00"}},
            }
        ).encode(),
    ],
)
def test_nothing_verified_is_ever_a_500(till: Till, body: bytes) -> None:
    answer = till.post_raw(body)
    assert answer.status_code == (400 if body else 415)
    assert not Order.objects.exists()


def test_a_mistake_of_ours_is_kept_and_logged(
    till: Till, nobody_plans: None, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(**_: object) -> None:
        raise ZeroDivisionError("secret words")

    order_event_recorded.connect(broken)
    assert till.post(state="received").status_code == 202
    order_event_recorded.disconnect(broken)
    call = till.call()
    assert (call.state, call.cause) == ("failed", "our mistake: ZeroDivisionError")
    assert "orders.call_failed" in caplog.text
    assert not Order.objects.exists()
    assert calls.replay_call(row=call, now=datetime.now(UTC)) == "applied"
    assert till.order().state == "received"
