"""Pusher beyond the common contract: every answer, signatures, page authorization, webhooks."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from integrations.contracts import HttpRequest, HttpResponse, InboundCall
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    PayloadMalformed,
    RateLimited,
    SignatureInvalid,
    TransientError,
)
from integrations.providers.pusher import Pusher
from tests.integrations import fixture_files as files
from tests.integrations.sandbox.through import deliver

SECRET = "7ad3773142a6692b25b8"
HOOK = "https://alerts.example.com/hooks/messages/tok_1/"
WHEN = datetime.fromtimestamp(1767225600, UTC)
ORDER = "private-order-00000000-0000-4000-8000-000000001042"


def provider(**settings: str) -> Pusher:
    return Pusher({**files.settings("pusher"), **settings})


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, MessageRejected),
        (413, MessageRejected),
        (401, ConfigurationError),
        (403, ConfigurationError),
        (404, ConfigurationError),
        (301, ConfigurationError),
        (429, RateLimited),
        (408, TransientError),
        (500, TransientError),
        (502, TransientError),
        (503, TransientError),
        (504, TransientError),
        (201, OutcomeUnknown),
        (204, OutcomeUnknown),
    ],
)
@pytest.mark.parametrize("body", [b"Some words", b"", b"{}", b"<html>"])
def test_every_answer(status: int, error: type[Exception], body: bytes) -> None:
    with pytest.raises((error,)) as caught:
        provider().outcome(files.message("pusher"), HttpResponse(status, {}, body))
    assert type(caught.value) is error
    assert "words" not in str(caught.value)


@pytest.mark.parametrize("status", [200, 202])
@pytest.mark.parametrize("body", [b"{}", b'{"channels":{}}'])
def test_taken(status: int, body: bytes) -> None:
    answer = HttpResponse(status, {}, body)
    assert provider().outcome(files.message("pusher"), answer).vendor_id == ""


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b"{"])
def test_an_unreadable_acceptance_is_unknown(body: bytes) -> None:
    with pytest.raises(OutcomeUnknown):
        provider().outcome(files.message("pusher"), HttpResponse(200, {}, body))


# --- signing --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "at", "md5", "signature"),
    [
        (
            r'{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}',
            1353088179,
            "ec365a775a4cd0599faeb73354201b6f",
            "da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c",
        ),
        (
            r'{"name":"order-update","channels":["private-order-4711"],'
            r'"data":"{\"status\":\"ready\"}"}',
            1767225600,
            "c9039a5f2ee3d846008eec044474d6fa",
            "6bade5724b943b4266186a0777722cf69045aa94c1ec36da579128dffe29da43",
        ),
    ],
)
@pytest.mark.parametrize("base", ["https://api-us2.pusher.com", "http://127.0.0.1:8001/pusher"])
def test_the_published_vectors(body: str, at: int, md5: str, signature: str, base: str) -> None:
    request = HttpRequest("POST", f"{base}/apps/3/events", {}, body.encode())
    made = provider().signed(request, datetime.fromtimestamp(at, UTC))
    query = parse_qs(urlsplit(made.url).query)
    assert query["body_md5"] == [md5]
    assert query["auth_signature"] == [signature]
    assert query["auth_timestamp"] == [str(at)]
    assert made.body == request.body


def data_of(**changes: Any) -> Any:
    request = provider().request(files.message("pusher", **changes))
    body = json.loads(request.body)
    assert isinstance(body["data"], str)
    return json.loads(body["data"])


def test_nothing_about_the_guest_leaves() -> None:
    """Neither what a template made of them nor what the message knows besides."""
    told = files.message("pusher")
    request = provider().request(
        replace(
            told,
            text="Ana, order 1042 is ready: https://orders.example.com/o/1",
            subject="Ana",
            recipient={"first_name": "Ana"},
            links={"order": "https://orders.example.com/o/1"},
            order={**told.order, "items": ["1 x Harvest Bowl"], "reason": "Ana called"},
        )
    )
    assert request == provider().request(told)
    assert set(data_of()) == {
        "event_id", "order", "kind", "milestone", "state", "state_label", "part", "parts_ready",
        "parts_total",
    }  # fmt: skip


@pytest.mark.parametrize("word", ["x", "🍜", "\x00", '"'])
def test_an_event_stays_below_ten_kilobytes(word: str) -> None:
    names = ("number", "state", "state_label", "eta_time", "eta_in", "est_ready_at")
    order = {"id": "1", "est_delivery_at": word * 20_000, **dict.fromkeys(names, word * 20_000)}
    event = {"id": word * 20_000, "part": word * 20_000}
    changes = {"order": order, "event": event, "milestone": word * 999, "event_kind": word * 999}
    request = provider().request(files.message("pusher", **changes))
    assert 500 < len(json.loads(request.body)["data"].encode()) < 10_240


def test_a_channel_of_its_own() -> None:
    request = provider().request(files.message("pusher", to="private-location-7"))
    assert json.loads(request.body)["channels"] == ["private-location-7"]


@pytest.mark.parametrize("channel", ["private order", "a:b", "x" * 165, "ü", "a#b"])
def test_channel_names_pusher_would_refuse(channel: str) -> None:
    with pytest.raises(MessageRejected):
        provider().request(files.message("pusher", to=channel))


@pytest.mark.parametrize("name", ["order:update", "pusher-x", "pusher:x", "", "x" * 201, "a b"])
def test_event_names_pusher_would_refuse(name: str) -> None:
    if not name:
        assert b"order-update" in provider(event_name=name).request(files.message("pusher")).body
        return
    with pytest.raises(ConfigurationError, match="event_name"):
        provider(event_name=name)


@pytest.mark.parametrize("cluster", ["us2.evil.example/", "eu@x", "EU"])
def test_clusters_that_are_none(cluster: str) -> None:
    with pytest.raises(ConfigurationError, match="cluster"):
        provider(cluster=cluster)


def test_no_answer_is_tried_again() -> None:
    async def go() -> None:
        async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(swallow, "127.0.0.1", 0)
        origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        made = Pusher(files.settings("pusher"), base_url=origin)
        try:
            with pytest.raises(TransientError) as caught:
                await asyncio.to_thread(deliver, made, files.message("pusher"), origin)
            assert type(caught.value) is TransientError
        finally:
            server.close()

    asyncio.run(go())


# --- pages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channel", "signature"),
    [
        ("private-foobar", "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4"),
        ("private-order-4711", "09decb707c62b31060aa3a557be0233ced33db92debd51c55bda63a551aef669"),
    ],
)
def test_the_authorization_vectors(channel: str, signature: str) -> None:
    made = provider().authorization("1234.1234", channel)
    assert made == f"278d425bdf160c739803:{signature}"


def ask(body: bytes, content_type: str = "application/x-www-form-urlencoded") -> Any:
    call = InboundCall("POST", HOOK, {"content-type": content_type}, body, WHEN)
    return provider().handshake(call)


def test_a_page_that_knows_the_order_may_listen() -> None:
    answer = ask(urlencode({"socket_id": "1234.1234", "channel_name": ORDER}).encode())
    assert answer.status == 200
    assert json.loads(answer.body) == {"auth": provider().authorization("1234.1234", ORDER)}


@pytest.mark.parametrize(
    ("socket", "channel"),
    [
        ("1234.1234", "private-location-7"),
        ("1234.1234", "private-order-4711"),
        ("1234.1234", f"{ORDER}\n"),
        ("1234.1234:x", ORDER),
        ("١.٢", ORDER),
        ("", ORDER),
        ("1234.1234", ""),
    ],
)
def test_other_channels_are_refused(socket: str, channel: str) -> None:
    answer = ask(urlencode({"socket_id": socket, "channel_name": channel}).encode())
    assert (answer.status, answer.body) == (403, b"")


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"&".join([b"a=1"] * 50)])
def test_forms_that_are_none(body: bytes) -> None:
    assert ask(body).status == 403


def test_a_webhook_is_no_handshake() -> None:
    assert ask(b"{}", "application/json") is None


# --- webhooks -------------------------------------------------------------------------------------

BODY = (
    b'{"time_ms":1767225600000,"events":'
    b'[{"name":"channel_occupied","channel":"private-order-4711"}]}'
)
VECTOR = "a7337bf9076e372660ee332546a5cc98c1a57ce4f1f38aff771e1e91ff1b67d9"


def webhook(body: bytes = BODY, at: datetime = WHEN, **headers: str | None) -> InboundCall:
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    made = {"x-pusher-key": "278d425bdf160c739803", "x-pusher-signature": digest, **headers}
    return InboundCall("POST", HOOK, {k: v for k, v in made.items() if v is not None}, body, at)


def test_a_true_webhook_is_taken_and_says_nothing() -> None:
    call = webhook()
    assert call.headers["x-pusher-signature"] == VECTOR
    assert provider().receipts(call) == []
    assert provider().replies(call) == []


@pytest.mark.parametrize("read", ["receipts", "replies"])
@pytest.mark.parametrize(
    "call",
    [
        webhook(BODY.replace(b"occupied", b"vacated"), **{"x-pusher-signature": VECTOR}),
        webhook(**{"x-pusher-signature": None}),
        webhook(**{"x-pusher-signature": "ü"}),
        webhook(**{"x-pusher-key": None}),
        webhook(**{"x-pusher-key": "another"}),
        webhook(at=WHEN + timedelta(seconds=301)),
        webhook(at=WHEN - timedelta(seconds=301)),
        webhook(b'{"time_ms":"soon"}'),
        webhook(b'{"time_ms":1' + b"0" * 1000 + b"}"),
        webhook(b'{"time_ms":-1' + b"0" * 1000 + b"}"),
        webhook(b'{"time_ms":true}'),
        webhook(b"{}"),
    ],
)
def test_forged_and_stale_webhooks(read: str, call: InboundCall) -> None:
    with pytest.raises(SignatureInvalid) as caught:
        getattr(provider(), read)(call)
    assert SECRET not in caught.value.hint


@pytest.mark.parametrize("seconds", [-300, 300])
def test_five_minutes_are_allowed(seconds: int) -> None:
    assert provider().receipts(webhook(at=WHEN + timedelta(seconds=seconds))) == []


def test_a_signed_body_that_is_not_json() -> None:
    with pytest.raises(PayloadMalformed):
        provider().receipts(webhook(b"{"))
