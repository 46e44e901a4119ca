"""The Klaviyo stand-in, and an order's life told through it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from consents.models import ContactAddress, Suppression
from integrations import http
from integrations.contracts import Channel, Choice, HttpRequest, Message, ReceiptKind
from integrations.errors import (
    ConfigurationError,
    RateLimited,
    RecipientUnreachable,
    TransientError,
)
from integrations.providers.klaviyo import Klaviyo
from integrations.sandbox.server import SandboxServer
from notifications.models import Delivery, Notification
from tests.integrations.sandbox.calls import Client, Receiver
from tests.integrations.sandbox.life import MAILBOX, connect, until
from tests.integrations.sandbox.through import deliver
from tests.stage import PHONE, Stage, build_stage

SETTINGS = {"api_key": "pk_sandbox_0001", "flow_key": "a-key-the-manager-chose"}
SYSTEM = {"flow_key": "", "webhook_secret": "a-secret-of-at-least-16"}
MESSAGE = Message(
    attempt_id="attempt-1",
    channel=Channel.CRM,
    to="ana@example.com",
    text="Order #1042 is ready 🍜",
    subject="Order 1042",
    milestone="ready",
    order={"number": "1042", "state": "ready"},
    event={"id": "n-1", "occurred_at": "2026-03-14T22:42:04+00:00"},
    delivery_key="1",
)


@pytest.fixture(autouse=True)
def account(client: Client) -> None:
    client.register("klaviyo", SETTINGS)


def provider_of(client: Client, **settings: str) -> Klaviyo:
    if settings:
        client.register("klaviyo", {**SETTINGS, **settings})
    return Klaviyo({**SETTINGS, **settings}, base_url=f"{client.url}/klaviyo")


def test_an_event_starts_the_flow_once(client: Client, receiver: Receiver) -> None:
    provider = provider_of(client)
    first = deliver(provider, MESSAGE, client.url)
    again = deliver(provider, replace(MESSAGE, attempt_id="attempt-2"), client.url)
    assert first.vendor_id == again.vendor_id
    (kept,) = client.messages(vendor="klaviyo", order="1042")
    assert (kept["id"], kept["channel"], kept["to"]) == (first.vendor_id, "crm", "ana@example.com")
    assert kept["extra"]["event"] == "Order Status Changed"
    assert kept["extra"]["properties"]["status"] == "ready"
    assert "pk_sandbox" not in str(kept)
    for kind in (ReceiptKind.SENT, ReceiptKind.DELIVERED):
        [receipt] = provider.receipts(receiver.next().as_call())
        assert (receipt.kind, receipt.attempt_id) == (kind, "attempt-1")


@pytest.mark.parametrize(
    ("to", "kinds"),
    [
        ("ana@example.com", ["delivered"]),
        ("opened@example.com", ["delivered", "read"]),
        ("bounced@example.com", ["bounced"]),
        ("dropped@example.com", ["failed"]),
        ("spam@example.com", ["delivered", "complained"]),
        ("leaver@example.com", ["delivered", "unsubscribed"]),
    ],
)
def test_a_system_webhook_says_what_became_of_it(
    client: Client, receiver: Receiver, to: str, kinds: list[str]
) -> None:
    provider = provider_of(client, **SYSTEM)
    deliver(provider, replace(MESSAGE, to=to), client.url)
    found = [provider.receipts(receiver.next().as_call())[0] for _ in kinds]
    assert sorted(receipt.kind.value for receipt in found) == sorted(kinds)
    assert {receipt.attempt_id for receipt in found} == {"attempt-1"}


@pytest.mark.parametrize(
    ("to", "error"),
    [
        ("invalid@example.com", RecipientUnreachable),
        ("disabled@example.com", ConfigurationError),
        ("throttled@example.com", RateLimited),
        ("error@example.com", TransientError),
        ("slow@example.com", TransientError),
    ],
)
def test_fates(client: Client, to: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        deliver(provider_of(client), replace(MESSAGE, to=to), client.url)
    assert client.messages() == []


@pytest.mark.parametrize(
    ("to", "error"),
    [("+15005550001", RecipientUnreachable), ("+15005550012", RateLimited)],
)
def test_fates_of_numbers(client: Client, to: str, error: type[Exception]) -> None:
    provider = provider_of(client, speaks="sms")
    with pytest.raises(error):
        deliver(provider, replace(MESSAGE, to=to), client.url)


def changed(client: Client, headers: dict[str, str], **attributes: Any) -> HttpRequest:
    made = provider_of(client).request(MESSAGE)
    body = json.loads(made.body)
    body["data"]["attributes"] |= attributes
    return HttpRequest("POST", made.url, {**made.headers, **headers}, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("headers", "attributes", "status"),
    [
        ({"Authorization": "Klaviyo-API-Key pk_other"}, {}, 401),
        ({"Authorization": "Bearer pk_sandbox_0001"}, {}, 401),
        ({"revision": ""}, {}, 400),
        ({"revision": "latest"}, {}, 400),
        ({"Content-Type": "application/json"}, {}, 415),
        ({}, {"metric": {"data": {"type": "metric", "attributes": {"name": "x" * 128}}}}, 400),
        ({}, {"properties": {f"p{i}": "" for i in range(401)}}, 400),
        ({}, {"properties": {"text": "x" * 100_001}}, 400),
        ({}, {"properties": "text"}, 400),
        ({}, {"profile": {"data": {"type": "profile", "attributes": {}}}}, 400),
        ({}, {"time": "soon"}, 400),
        ({}, {"time": "2036-01-01T00:00:00Z"}, 400),
    ],
)
def test_checks_what_the_vendor_checks(
    client: Client, headers: dict[str, str], attributes: dict[str, Any], status: int
) -> None:
    response = client.send(changed(client, headers, **attributes))
    assert response.status == status
    [problem] = response.json_object()["errors"]
    assert problem["code"]
    assert client.messages() == []


def test_imports_start_no_flow(client: Client) -> None:
    assert client.send(changed(client, {}, backfill=True)).status == 202
    assert client.messages() == []


def hour_ago() -> datetime:
    return datetime.now(UTC) - timedelta(hours=1)


def test_stops_are_pushed_and_pulled(client: Client) -> None:
    provider = provider_of(client)
    deliver(provider, MESSAGE, client.url)
    client.control(
        "POST", "klaviyo/suppress", {"person": "ana@example.com", "reason": "HARD_BOUNCE"}
    )
    stop = Choice(Channel.EMAIL, "joe@example.com", True, "", hour_ago(), "c-1")
    [request] = provider.choice_requests(stop)
    provider.raise_for_status(client.send(request))
    request_of_page = provider.stop_list_request(hour_ago())
    assert request_of_page is not None
    page = provider.stop_list(client.send(request_of_page))
    assert [(r.recipient, r.kind.value) for r in page.receipts] == [("ana@example.com", "bounced")]
    counting = provider_of(client, unsubscribes_count="yes")
    page = counting.stop_list(client.send(request_of_page))
    assert [r.vendor_code for r in page.receipts] == ["HARD_BOUNCE", "UNSUBSCRIBE"]


def test_texts_have_their_own_consents(client: Client) -> None:
    provider = provider_of(client, speaks="sms")
    stop = Choice(Channel.SMS, "+12025550142", True, "order_updates", hour_ago(), "c-1")
    [request] = provider.choice_requests(stop)
    provider.raise_for_status(client.send(request))
    request_of_page = provider.stop_list_request(hour_ago())
    assert request_of_page is not None
    [receipt] = provider.stop_list(client.send(request_of_page)).receipts
    assert (receipt.recipient, receipt.vendor_code) == ("+12025550142", "sms.transactional")


def test_a_list_in_an_unsubscription_is_refused(client: Client) -> None:
    provider = provider_of(client)
    stop = Choice(Channel.EMAIL, "joe@example.com", True, "", hour_ago(), "c-1")
    [request] = provider.choice_requests(stop)
    body = json.loads(request.body)
    body["data"]["relationships"] = {"list": {"data": {"type": "list", "id": "Y6nRLr"}}}
    wider = HttpRequest("POST", request.url, request.headers, json.dumps(body).encode())
    assert client.send(wider).status == 400


def test_an_event_no_flow_listens_to_is_taken_all_the_same(client: Client) -> None:
    provider = provider_of(client)

    def gaps() -> list[str]:
        return provider.set_up_gaps(client.send(provider.set_up_request()))

    assert "does not know the metric" in gaps()[0]
    deliver(provider, MESSAGE, client.url)
    assert gaps() == []
    client.control("DELETE", "klaviyo/flows")
    assert deliver(provider, replace(MESSAGE, delivery_key="2"), client.url).vendor_id
    assert gaps()[0].startswith("No live flow")
    assert client.messages()[-1]["receipts"] == []


def test_erasure(client: Client) -> None:
    provider = provider_of(client)
    client.control(
        "POST", "klaviyo/suppress", {"person": "ana@example.com", "reason": "HARD_BOUNCE"}
    )
    [request] = provider.erasure_requests(Channel.EMAIL, "ana@example.com")
    assert client.send(request).status == 202
    request_of_page = provider.stop_list_request(hour_ago())
    assert request_of_page is not None
    assert provider.stop_list(client.send(request_of_page)).receipts == ()


# --- an order's life ----------------------------------------------------------------------------


@pytest.fixture
def stage(live_server: Any, sandbox: SandboxServer, settings: Any) -> Iterator[Stage]:
    """The restaurant behind a real web server that the sandbox can call."""
    settings.SANDBOX_URL, settings.PORT = sandbox.url, live_server.thread.port
    http.configure(connect_timeout_s=2, read_timeout_s=3, allowed_origins=[sandbox.url])
    yield build_stage(sandbox)
    http.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("settings_of_account", "person"),
    [
        ({}, MAILBOX),
        (SYSTEM, MAILBOX),
        ({"speaks": "sms"}, PHONE),
        ({"speaks": "push", **SYSTEM}, MAILBOX),
    ],
)
def test_an_orders_life(
    stage: Stage, client: Client, settings_of_account: dict[str, str], person: str
) -> None:
    connect(stage, "klaviyo", {**SETTINGS, **settings_of_account})
    stage.open(parts=[{"id": "b1", "label": "Harvest Bowl"}, {"id": "b2", "label": "Tofu Bowl"}])
    for state in ("preparing", "ready", "picked_up"):
        stage.post(state=state)
        stage.settle_and_send()
    told = stage.messages("klaviyo")
    assert [m["extra"]["properties"]["news"] for m in told] == ["preparing", "ready"]
    assert {(m["to"], m["order"]) for m in told} == {(person, "1042")}
    deliveries = Delivery.objects.filter(channel="crm")
    until(lambda: {d.state for d in deliveries.all()} == {"delivered"})
    assert {d.vendor_id for d in deliveries} == {m["id"] for m in told}


@pytest.mark.django_db(transaction=True)
def test_who_leaves_because_of_our_message_is_told_no_more(stage: Stage, client: Client) -> None:
    connect(stage, "klaviyo", {**SETTINGS, **SYSTEM})
    guest = {"name": "Leo", "email": "leaver@example.com", "contact_kind": "direct"}
    stage.open(customer=guest)
    stage.post(state="preparing")
    stage.settle_and_send()
    until(lambda: Suppression.objects.filter(reason="user").exists())
    stage.post(state="ready")
    stage.settle_and_send()
    assert len(stage.messages("klaviyo")) == 1
    trace = Notification.objects.get(milestone="ready", audience="customer").trace
    assert any(line["verdict"] == "dropped" and "suppressed" in line["why"] for line in trace)


@pytest.mark.django_db(transaction=True)
def test_a_hard_bounce_ends_the_mailbox(stage: Stage, client: Client) -> None:
    connect(stage, "klaviyo", SETTINGS)
    guest = {"name": "Bo", "email": "bounced@example.com", "contact_kind": "direct"}
    stage.open(customer=guest)
    stage.post(state="preparing")
    stage.settle_and_send()
    mailboxes = ContactAddress.objects.filter(channel="email", unreachable_at__isnull=False)
    until(mailboxes.exists)
    assert Delivery.objects.get(channel="crm").state == "failed"
