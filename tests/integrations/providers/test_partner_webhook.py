"""Partner webhooks: every answer, signatures by an independent verifier, endpoint rules."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from integrations.contracts import HttpRequest, HttpResponse
from integrations.errors import ConfigurationError, RateLimited, TransientError
from integrations.http import Http, HttpConfig, PinnedResolver
from integrations.providers.partner_webhook import PartnerWebhook
from tests.integrations import fixture_files as files
from tests.integrations.loopback import IMPATIENT, Names, Server, opened, say_ok, serving
from tests.integrations.sandbox.through import deliver

SECRET = "whsec_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
OTHER = "whsec_" + base64.b64encode(bytes(range(32, 64))).decode()
URL = "https://partner.example.com/hooks/orders"


def provider(**settings: str) -> PartnerWebhook:
    return PartnerWebhook({"url": URL, "secret": SECRET, **settings})


@pytest.mark.parametrize(
    ("status", "retry_after", "error", "wait_s"),
    [
        (301, None, TransientError, None),
        (302, "9", TransientError, None),
        (308, None, TransientError, None),
        (400, None, TransientError, None),
        (401, None, TransientError, None),
        (403, None, TransientError, None),
        (404, None, TransientError, None),
        (408, None, TransientError, None),
        (410, None, ConfigurationError, None),
        (422, None, TransientError, None),
        (429, "7", RateLimited, 7.0),
        (429, None, RateLimited, None),
        (500, "7", TransientError, None),
        (502, None, TransientError, None),
        (503, None, TransientError, None),
        (503, "7", RateLimited, 7.0),
        (504, None, TransientError, None),
    ],
)
def test_every_answer(
    status: int, retry_after: str | None, error: type[Exception], wait_s: float | None
) -> None:
    headers = {"retry-after": retry_after} if retry_after else {}
    with pytest.raises((error,)) as caught:
        provider().outcome(files.message("partner_webhook"), HttpResponse(status, headers, b"no"))
    raised: Any = caught.value
    assert type(raised) is error
    if error is RateLimited:
        assert raised.retry_after_s == wait_s
    if error is ConfigurationError:
        assert raised.endpoint_only


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
@pytest.mark.parametrize("body", [b"", b"<html>", b"{}"])
def test_any_2xx_is_an_acceptance(status: int, body: bytes) -> None:
    accepted = provider().outcome(files.message("partner_webhook"), HttpResponse(status, {}, body))
    assert accepted.detail == f"HTTP {status}"


# --- signatures -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("secret", "name", "at", "body", "signature"),
    [
        (
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1614265330,
            '{"test": 2432232314}',
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
        (
            SECRET,
            "evt_01JGZ0ORDER4711",
            1767225600,
            '{"type":"order.status_changed","timestamp":"2026-01-01T00:00:00Z","data":'
            '{"order_id":"4711","status":"ready_for_pickup","previous_status":"preparing"}}',
            "v1,H3Uc298PGfqnIIY3bVKg/3jPLJgRCc2jy+2rbJ61tJ8=",
        ),
    ],
)
def test_the_published_vectors(secret: str, name: str, at: int, body: str, signature: str) -> None:
    request = HttpRequest("POST", URL, {"webhook-id": name}, body.encode())
    made = provider(secret=secret).signed(request, datetime.fromtimestamp(at, UTC))
    assert made.headers["webhook-signature"] == signature
    assert made.headers["webhook-timestamp"] == str(at)
    assert made.body == request.body


def test_the_zone_of_the_clock_does_not_matter() -> None:
    request, at = provider().request(files.message("partner_webhook")), datetime.now(UTC)
    elsewhere = at.astimezone(timezone(timedelta(hours=-5)))
    assert provider().signed(request, at) == provider().signed(request, elsewhere)


def signed_now(**settings: str) -> HttpRequest:
    made = provider(**settings)
    return made.signed(made.request(files.message("partner_webhook")), datetime.now(UTC))


def verify(request: HttpRequest, secret: str) -> Any:
    return Webhook(secret).verify(request.body, dict(request.headers))


def test_a_consumer_can_verify_it() -> None:
    assert verify(signed_now(), SECRET)["data"]["status"] == "ready"


def test_both_secrets_sign_while_rotating() -> None:
    request = signed_now(secret=OTHER, previous_secret=SECRET)
    assert len(request.headers["webhook-signature"].split(" ")) == 2
    assert verify(request, SECRET) == verify(request, OTHER)


@pytest.mark.parametrize(
    "change",
    [
        {"body": b'{"type":"order.status_changed","data":{}}'},
        {"headers": {"webhook-id": "msg_other"}},
        {"headers": {"webhook-signature": ""}},
        {"headers": {"webhook-timestamp": ""}},
        {"headers": {"webhook-timestamp": "1614265330"}},
    ],
)
def test_a_consumer_refuses_what_was_altered_or_is_stale(change: dict[str, Any]) -> None:
    request = signed_now()
    headers = {**request.headers, **change.get("headers", {})}
    altered = replace(request, headers=headers, body=change.get("body", request.body))
    with pytest.raises(WebhookVerificationError):
        verify(altered, SECRET)


def test_a_consumer_with_another_secret_refuses_it() -> None:
    with pytest.raises(WebhookVerificationError):
        verify(signed_now(), OTHER)


# --- the event ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "type_"),
    [
        ("status_changed", "order.status_changed"),
        ("order_edited", "order.edited"),
        ("order_delayed", "order.delayed"),
        ("eta_changed", "order.eta_changed"),
        ("odd.kind!", "order.odd_kind_"),
        ("test", "webhook.test"),
    ],
)
def test_types(kind: str, type_: str) -> None:
    body = json.loads(provider().request(files.message("partner_webhook", event_kind=kind)).body)
    assert body["type"] == type_


def test_full_data_has_parts_and_no_guest() -> None:
    message = files.message(
        "partner_webhook",
        recipient={"first_name": "Ana"},
        order={
            **files.message("partner_webhook").order,
            "eta_in": "in 6 min",
            "url": "https://orders.example.com/o/1",
        },
    )
    request = provider(detail="full").request(message)
    data = json.loads(request.body)["data"]
    assert data["parts"] == [{"label": "Harvest Bowl", "status": "ready"}]
    assert data["est_ready_at"] == "2026-03-14T22:42:00+00:00"
    assert b"Ana" not in request.body
    assert b"in 6 min" not in request.body
    assert b"orders.example.com" not in request.body


def test_thin_data_is_ids_and_status() -> None:
    told = files.message("partner_webhook")
    body = json.loads(provider().request(told).body)
    assert set(body) == {"type", "timestamp", "data"}
    assert set(body["data"]) == {"order_id", "order_number", "status", "milestone", "part"}
    richer = replace(
        told,
        text="Ana, your order is ready",
        html="<p>Ana",
        to="+12025550143",
        recipient={"first_name": "Ana"},
        order={**told.order, "courier": {"name": "Sam"}, "reason": "Ana called"},
        restaurant={"phone": "+12025550100"},
        links={"order": "https://orders.example.com/o/1", "manage": "https://x.example.com/"},
    )
    assert provider().request(richer) == provider().request(told)


def test_too_much_data_becomes_thin() -> None:
    order = {**files.message("partner_webhook").order, "items": ["x" * 30_000]}
    message = files.message("partner_webhook", order=order)
    assert provider(detail="full").request(message) == provider().request(message)


def test_the_id_stays_through_retries_and_has_no_dot() -> None:
    first = files.message("partner_webhook", attempt_id="a.1")
    again = replace(first, attempt_id="a.2")
    assert provider().request(first).headers == provider().request(again).headers
    lone = provider().request(replace(first, event={}))
    assert lone.headers["webhook-id"] == "msg_a_1"
    assert b"timestamp" not in lone.body


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://partner.example.com/",
        "https://partner.example.com:8080/",
        "https://user:pass@partner.example.com/",
        "https://[",
        "https://partner.example.com:x/",
        "partner.example.com",
        "ftp://partner.example.com/",
    ],
)
def test_endpoints_that_are_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="'url'"):
        provider(url=url)


@pytest.mark.parametrize("url", [URL, "https://partner.example.com:8443/x"])
def test_endpoints_that_are_fine(url: str) -> None:
    assert provider(url=f"{url}#part").request(files.message("partner_webhook")).url == url


def test_http_is_a_setting() -> None:
    made = provider(url="http://partner.example.com:8080/x", allow_http="yes")
    assert made.request(files.message("partner_webhook")).untrusted_url


@pytest.mark.parametrize(
    "secret",
    ["whsec_", "whsec_AQID", "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=", "whsec_ä", "xwhsec_"],
)
@pytest.mark.parametrize("name", ["secret", "previous_secret"])
def test_secrets_that_are_refused(name: str, secret: str) -> None:
    with pytest.raises(ConfigurationError, match=f"'{name}'") as caught:
        provider(**{name: secret})
    assert "AQID" not in str(caught.value)


# --- through the door -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1", "127.1"]
)
def test_private_addresses_are_refused_for_good(host: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        deliver(provider(url=f"https://{host}/x"), files.message("partner_webhook"))
    assert caught.value.endpoint_only


@pytest.mark.parametrize(
    "answers",
    [
        [["127.0.0.1"]],
        [["203.0.113.9", "127.0.0.1"]],
        [["::ffff:127.0.0.1"]],
        [["93.184.215.14"], ["127.0.0.1"]],
    ],
)
def test_a_name_that_leads_home_is_refused(answers: list[list[str]]) -> None:
    """What the name said when it was typed, or a moment ago, does not count."""
    names, times = Names({"partner.example.com": [*answers]}), len(answers)

    async def go() -> tuple[ConfigurationError, Server]:
        async with serving(say_ok) as server, opened(IMPATIENT, lookup=names) as http:
            if times > 1:  # it was asked once before
                await PinnedResolver(names).resolve("partner.example.com")
            port = server.origin.rpartition(":")[2]
            made = provider(url=f"http://partner.example.com:{port}/x", allow_http="yes")
            with pytest.raises(ConfigurationError, match="private or local") as caught:
                await made.send(files.message("partner_webhook"), http)
            return caught.value, server

    error, server = asyncio.run(go())
    assert error.endpoint_only
    assert server.connections == 0
    assert names.asked == times


def test_no_answer_is_tried_again() -> None:
    async def go() -> None:
        async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(swallow, "127.0.0.1", 0)
        origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        http = Http(HttpConfig(1.0, 1.0, frozenset({origin})))
        try:
            made = PartnerWebhook({"url": URL, "secret": SECRET}, base_url=origin)
            with pytest.raises(TransientError) as caught:
                await made.send(files.message("partner_webhook"), http)
            assert type(caught.value) is TransientError
        finally:
            await http.close()
            server.close()

    asyncio.run(go())
