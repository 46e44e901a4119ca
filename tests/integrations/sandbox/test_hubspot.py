"""The HubSpot stand-in, and an order's life told through it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from consents.models import Suppression
from integrations import http
from integrations.contracts import Channel, Choice, HttpRequest, HttpResponse, Message, ReceiptKind
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    RateLimited,
    RecipientOptedOut,
    RecipientUnreachable,
    TransientError,
)
from integrations.providers.hubspot import HubSpot
from integrations.sandbox.server import SandboxServer
from notifications.models import Delivery, Notification
from tests.integrations.sandbox.calls import Client, Receiver
from tests.integrations.sandbox.life import MAILBOX, connect, until
from tests.integrations.sandbox.through import deliver
from tests.stage import Stage, build_stage

SETTINGS = {
    "access_token": "pat-na1-0001",
    "client_secret": "app-secret",
    "workflow_key": "a-key-the-manager-chose",
    "subscription_id": "77",
    "opt_out_property": "order_alerts_email",
    "portal_id": "33",
}
EVENT = {"method": "event", "event_name": "pe33_order_news"}
MAIL = {"method": "single_send", "email_id": "4126643121"}
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
    client.register("hubspot", SETTINGS)


def provider_of(client: Client, **settings: str) -> HubSpot:
    if settings:
        client.register("hubspot", {**SETTINGS, **settings})
    return HubSpot({**SETTINGS, **settings}, base_url=f"{client.url}/hubspot")


def answers(client: Client, requests: list[HttpRequest]) -> list[HttpResponse]:
    return [client.send(request) for request in requests]


def test_a_changed_property_starts_the_workflow_once(client: Client, receiver: Receiver) -> None:
    provider = provider_of(client)
    first = deliver(provider, MESSAGE, client.url)
    again = deliver(provider, replace(MESSAGE, attempt_id="attempt-2"), client.url)
    assert (first.vendor_id, first.detail, again.detail) == (again.vendor_id, "new contact", "")
    (kept,) = client.messages(vendor="hubspot", order="1042")
    assert (kept["channel"], kept["to"], kept["text"]) == ("crm", "ana@example.com", MESSAGE.text)
    assert kept["extra"]["event"] == "last_order_news = ready"
    assert kept["extra"]["properties"]["last_order_status_at"] == "2026-03-14T22:42:04Z"
    assert "pat-na1" not in str(kept)
    for kind in (ReceiptKind.SENT, ReceiptKind.DELIVERED):
        [receipt] = provider.receipts(receiver.next().as_call())
        assert (receipt.kind, receipt.attempt_id) == (kind, "attempt-1")


@pytest.mark.parametrize("settings", [EVENT, MAIL])
def test_events_and_mails_are_taken_once(
    client: Client, receiver: Receiver, settings: dict[str, str]
) -> None:
    provider = provider_of(client, **settings)
    assert deliver(provider, MESSAGE, client.url).vendor_id
    again = deliver(provider, replace(MESSAGE, attempt_id="attempt-2"), client.url)
    assert again.detail == ("IDEMPOTENT_IGNORE" if settings is MAIL else "")
    (kept,) = client.messages()
    assert (kept["order"], kept["attempt"]) == ("1042", "attempt-1")
    assert provider.receipts(receiver.next().as_call())[0].attempt_id == "attempt-1"


@pytest.mark.parametrize(
    ("local", "error"),
    [
        ("invalid", RecipientUnreachable),
        ("partial", MessageRejected),
        ("scope", ConfigurationError),
        ("locked", RateLimited),
        ("migrating", TransientError),
        ("throttled", RateLimited),
        ("daily", RateLimited),
        ("error", TransientError),
        ("unsubscribed", MessageRejected),
    ],
)
def test_fates(client: Client, local: str, error: type[Exception]) -> None:
    message = replace(MESSAGE, to=f"{local}@example.com")
    with pytest.raises(error):
        deliver(provider_of(client), message, client.url)
    assert client.messages() == []


@pytest.mark.parametrize(
    ("local", "error"),
    [
        ("bounced", RecipientUnreachable),
        ("optedout", RecipientOptedOut),
        ("spam", RecipientOptedOut),
        ("cold", MessageRejected),
        ("busy", TransientError),
    ],
)
def test_fates_of_single_sends(client: Client, local: str, error: type[Exception]) -> None:
    provider = provider_of(client, **MAIL)
    message = replace(MESSAGE, to=f"{local}@example.com")
    with pytest.raises(error):
        deliver(provider, message, client.url)
    assert client.messages() == []


def test_a_lost_race_is_repeated_as_an_update(client: Client) -> None:
    taken = deliver(provider_of(client), replace(MESSAGE, to="conflict@example.com"), client.url)
    (kept,) = client.messages()
    assert (kept["to"], kept["raw"]["method"]) == ("conflict@example.com", "PATCH")
    assert taken.vendor_id == kept["id"].partition("/")[0]


def test_what_nobody_created_stops_the_account(client: Client) -> None:
    client.control("DELETE", "hubspot/properties/last_order_eta")
    with pytest.raises(ConfigurationError) as caught:
        deliver(provider_of(client), MESSAGE, client.url)
    assert caught.value.vendor_code == "PROPERTY_DOESNT_EXIST"
    asked = provider_of(client).set_up_request()
    assert asked is not None
    assert provider_of(client).set_up_gaps(client.send(asked)) == [
        "HubSpot lacks the contact properties last_order_eta."
    ]
    provider = provider_of(client, **EVENT)
    with pytest.raises(ConfigurationError) as caught:
        deliver(provider, replace(MESSAGE, vendor_template="pe33_unknown"), client.url)
    assert caught.value.vendor_code == "OBJECT_NOT_FOUND"


def post(client: Client, path: str, body: Any, token: str = "pat-na1-0001") -> int:
    headers = {"Authorization": f"Bearer {token}"}
    url = f"/hubspot{path}"
    return client.send(HttpRequest.post(url, json_body=body, headers=headers)).status


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/crm/objects/2026-09/contacts/batch/upsert", {"inputs": []}),
        ("/crm/objects/2026-09/contacts/batch/upsert", {"inputs": [{"id": "a@example.com"}]}),
        (
            "/crm/objects/2026-09/contacts/batch/upsert",
            {
                "inputs": [
                    {"idProperty": "email", "id": "a@example.com", "properties": {"email": 5}}
                ]
            },
        ),
        ("/events/custom/2026-09/send", {"eventName": "order_news", "properties": {}}),
        ("/events/custom/2026-09/send", {"eventName": "pe33_order_news"}),
        (
            "/events/custom/2026-09/send",
            {
                "eventName": "pe33_order_news",
                "email": "a@example.com",
                "properties": {"x": "y" * 257},
            },
        ),
        ("/marketing/transactional/2026-09/single-email/send", {"emailId": "7", "message": {}}),
        ("/communication-preferences/2026-09/statuses/a@example.com", {"channel": "SMS"}),
        ("/crm/objects/2026-09/contacts/gdpr-delete", {"objectId": "a@example.com"}),
    ],
)
def test_checks_what_the_vendor_checks(client: Client, path: str, body: Any) -> None:
    assert post(client, path, body) == 400
    assert post(client, path, body, token="wrong") == 401
    assert client.messages() == []


def test_an_oauth_app_renews_its_token(client: Client) -> None:
    oauth = {"access_token": "", "refresh_token": "refresh-1", "client_id": "app-1"}
    provider = provider_of(client, **oauth)
    assert deliver(provider, MESSAGE, client.url).vendor_id
    client.control("DELETE", "hubspot/tokens")
    assert deliver(provider, replace(MESSAGE, delivery_key="2"), client.url).vendor_id
    assert len(client.messages()) == 2
    wrong = HubSpot(
        {**SETTINGS, **oauth, "client_secret": "wrong"}, base_url=f"{client.url}/hubspot"
    )
    with pytest.raises(ConfigurationError, match="no access token"):
        deliver(wrong, MESSAGE, client.url)


def test_stops_in_both_directions(client: Client, receiver: Receiver) -> None:
    provider = provider_of(client)
    deliver(provider, MESSAGE, client.url)
    receiver.next(), receiver.next()
    words = {"vendor": "hubspot", "from": "ana@example.com", "text": "stop"}
    assert client.control("POST", "reply", words)["status"] == 200
    [receipt] = provider.receipts(receiver.next().as_call())
    assert (receipt.kind, receipt.vendor_code) == (ReceiptKind.UNSUBSCRIBED, "order_alerts_email")
    page = provider.stop_list(client.send(provider.stop_list_request(hour_ago())))
    assert [(r.recipient, r.vendor_id) for r in page.receipts] == [
        ("ana@example.com", receipt.vendor_id)
    ]
    client.control("POST", "reply", {**words, "text": "START"})
    assert provider.receipts(receiver.next().as_call()) == []

    stop = Choice(Channel.EMAIL, "ana@example.com", True, "order_updates", hour_ago(), "c-1")
    [answer] = answers(client, provider.choice_requests(stop))
    provider.raise_for_status(answer)
    with pytest.raises(MessageRejected) as caught:
        deliver(provider, replace(MESSAGE, delivery_key="2"), client.url)
    assert caught.value.vendor_code == "UNSUBSCRIBED"
    [answer] = answers(client, provider.choice_requests(replace(stop, is_stopped=False)))
    assert answer.json_object()["results"][0]["status"] == "NOT_SPECIFIED"
    assert deliver(provider, replace(MESSAGE, delivery_key="2"), client.url).vendor_id
    everything = replace(stop, purpose="", to="joe@example.com")
    [answer] = answers(client, provider.choice_requests(everything))
    assert answer.json_object()["results"][0]["status"] == "UNSUBSCRIBED"


def hour_ago() -> datetime:
    return datetime.now(UTC) - timedelta(hours=1)


def test_erasure(client: Client) -> None:
    provider = provider_of(client)
    deliver(provider, MESSAGE, client.url)
    [answer] = answers(client, provider.erasure_requests(Channel.EMAIL, "ana@example.com"))
    assert answer.status == 204
    again = deliver(provider, replace(MESSAGE, delivery_key="2"), client.url)
    assert again.detail == "new contact"


# --- an order's life ----------------------------------------------------------------------------


@pytest.fixture
def stage(live_server: Any, sandbox: SandboxServer, settings: Any) -> Iterator[Stage]:
    """The restaurant behind a real web server that the sandbox can call."""
    settings.SANDBOX_URL, settings.PORT = sandbox.url, live_server.thread.port
    http.configure(connect_timeout_s=2, read_timeout_s=3, allowed_origins=[sandbox.url])
    yield build_stage(sandbox)
    http.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("way", [{}, EVENT, MAIL])
def test_an_orders_life(stage: Stage, client: Client, way: dict[str, str]) -> None:
    connect(stage, "hubspot", {**SETTINGS, **way})
    stage.open(parts=[{"id": "b1", "label": "Harvest Bowl"}, {"id": "b2", "label": "Tofu Bowl"}])
    for state in ("preparing", "ready", "picked_up"):
        stage.post(state=state)
        stage.settle_and_send()
    told = stage.messages("hubspot")
    number, news = (
        ("last_order_number", "last_order_news") if not way else ("order_number", "order_news")
    )
    assert [m["extra"]["properties"][news] for m in told] == ["preparing", "ready"]
    assert {(m["to"], m["extra"]["properties"][number]) for m in told} == {(MAILBOX, "1042")}
    deliveries = Delivery.objects.filter(channel="crm")
    until(lambda: {d.state for d in deliveries.all()} == {"delivered"})
    assert all(d.vendor_id for d in deliveries)


@pytest.mark.django_db(transaction=True)
def test_a_no_in_the_crm_ends_the_news(stage: Stage, client: Client) -> None:
    connect(stage, "hubspot", SETTINGS)
    stage.open()
    stage.post(state="preparing")
    stage.settle_and_send()
    words = {"vendor": "hubspot", "from": MAILBOX, "text": "STOP"}
    assert client.control("POST", "reply", words)["status"] == 200
    assert Suppression.objects.get().reason == "user"
    stage.post(state="ready")
    stage.settle_and_send()
    assert len(stage.messages("hubspot")) == 1
    trace = Notification.objects.get(milestone="ready", audience="customer").trace
    assert any(line["verdict"] == "dropped" and "suppressed" in line["why"] for line in trace)
