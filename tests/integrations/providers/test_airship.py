"""Airship beyond the common contract: addresses, limits, every answer, lists, the stream."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from integrations.contracts import Channel, Choice, HttpResponse, Receipt, ReceiptKind, basic_auth
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    PayloadMalformed,
    RateLimited,
    RecipientUnreachable,
    TransientError,
)
from integrations.providers.airship import Airship
from tests.integrations import fixture_files as files

CHANNEL = "9c36e8c7-5a73-47c0-9716-99fd3d4197d5"
PUSH = "0b4b5180-b990-11f0-a452-000a1acef8dc"
WHEN = datetime(2026, 1, 15, 18, 40, 2, 924000, tzinfo=UTC)


def provider(**settings: str) -> Airship:
    made = files.provider("airship", **settings)
    assert isinstance(made, Airship)
    return made


def sent(settings: dict[str, str] | None = None, **changes: Any) -> Any:
    request = provider(**(settings or {})).request(files.message("airship", **changes))
    return json.loads(request.body)


# --- whom -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "audience", "kinds"),
    [
        ("named_user:cust-77", {"named_user": "cust-77"}, ["ios", "android", "web"]),
        ("named_user:Cust:7 7", {"named_user": "Cust:7 7"}, ["ios", "android", "web"]),
        (f"channel:{CHANNEL.upper()}", {"channel": CHANNEL}, ["ios", "android", "web"]),
        (f"ios_channel:{CHANNEL}", {"ios_channel": CHANNEL}, ["ios"]),
        (f"android_channel:{CHANNEL}", {"android_channel": CHANNEL}, ["android"]),
        (f"amazon_channel:{CHANNEL}", {"amazon_channel": CHANNEL}, ["amazon"]),
    ],
)
def test_addresses(to: str, audience: dict[str, str], kinds: list[str]) -> None:
    made = sent(to=to)
    assert (made["audience"], made["device_types"]) == (audience, kinds)
    shown = made["notification"].keys() - {"alert", "actions"}
    assert shown == set(kinds)


@pytest.mark.parametrize(
    "to",
    [
        "",
        "all",
        "cust-77",
        CHANNEL,
        "named_user:",
        "named_user: x",
        "named_user:a\nb",
        "named_user:" + "x" * 129,
        "channel:cust-77",
        "tag:vip",
        "fid:cW9xAbCdEfGhIjKlMnOpQr",
        "token:" + "d" * 22 + ":APA91b",
    ],
)
def test_addresses_that_are_none(to: str) -> None:
    """Neither another vendor's devices nor everybody with the app."""
    with pytest.raises(RecipientUnreachable) as caught:
        sent(to=to)
    assert to not in str(caught.value) or not to


def test_only_who_is_on_the_list() -> None:
    made = sent({"subscription_list": "order_alerts"}, to="named_user:a")
    assert made["audience"] == {
        "and": [{"named_user": "a"}, {"subscription_lists": "order_alerts"}]
    }


# --- what -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["x" * 9000, "🍜" * 9000, '"\\\x1b' * 900, "\ud83c\x00" * 900])
def test_a_payload_never_exceeds_2048_bytes(text: str) -> None:
    order = {"id": text, "number": text, "state": text}
    links = {"order": "https://orders.example.com/" + "x" * 200}
    made = sent(
        {"device_types": "ios,android,amazon,web"},
        text=text, subject=text, order=order, links=links, event={"id": text}, milestone=text,
        thread_key=text,
    )  # fmt: skip
    shown = made["notification"]
    for kind in ("ios", "android", "amazon", "web"):
        whole = {"alert": shown["alert"], "actions": shown["actions"], **shown[kind]}
        assert len(json.dumps(whole, ensure_ascii=False).encode()) <= 2048
        assert all(isinstance(value, str) for value in shown[kind]["extra"].values())
    assert len(shown["ios"].get("collapse_id", "").encode()) <= 64
    assert all(len(one.encode()) <= 64 for one in made["campaigns"]["categories"])


@pytest.mark.parametrize(("valid_s", "expiry"), [(1800, 1800), (-5, 0), (10**9, 2_592_000)])
def test_a_phone_that_was_off_shows_nothing_stale(valid_s: int, expiry: int) -> None:
    assert sent(valid_for_s=valid_s)["options"]["expiry"] == expiry


def test_one_order_replaces_itself() -> None:
    shown = sent({"device_types": "ios,android,amazon"})["notification"]
    key = files.message("airship").thread_key
    assert shown["ios"]["collapse_id"] == shown["ios"]["thread_id"] == key
    assert shown["android"]["notification_tag"] == shown["android"]["collapse_key"] == key
    assert shown["amazon"]["consolidation_key"] == key
    lone = sent(thread_key="")["notification"]
    assert "collapse_id" not in lone["ios"]
    assert "notification_tag" not in lone["android"]


def test_calm_news_does_not_wake_a_phone() -> None:
    made = sent(urgent=False)
    ios, android = made["notification"]["ios"], made["notification"]["android"]
    assert (ios["priority"], ios["interruption_level"]) == (5, "active")
    assert android["delivery_priority"] == "normal"
    assert made["options"]["no_throttle"] is False


def test_offers_stay_under_the_apps_own_limits() -> None:
    assert sent(purpose="marketing")["options"]["bypass_frequency_limits"] is False


def test_a_tap_opens_the_order_page_or_the_app() -> None:
    page = sent()["notification"]["actions"]["open"]
    assert page == {"type": "url", "content": "https://orders.example.com/o/1/"}
    settings = {"deep_link": "bowls://orders/{number}?o={id}"}
    app = sent(settings, order={"number": "A 1/2", "id": "x&y"})["notification"]["actions"]
    assert app["open"] == {"type": "deep_link", "content": "bowls://orders/A%201%2F2?o=x%26y"}
    assert "actions" not in sent(links={})["notification"]
    assert (
        "actions" not in sent(links={"order": "https://example.com/" + "x" * 300})["notification"]
    )


def test_settings_of_the_account() -> None:
    made = provider(region="eu", access_token="", master_secret="m" * 22)
    request = made.request(files.message("airship"))
    assert request.url == "https://go.airship.eu/api/push"
    assert request.headers["Authorization"] == basic_auth("AbCdEfGhIjKlMnOpQrStUv", "m" * 22)
    assert "X-UA-Appkey" not in request.headers
    assert request.headers["Accept"] == "application/vnd.urbanairship+json; version=3;"
    stream = made.stream_request()
    assert stream.url == "https://connect.asnapieu.com/api/events/"


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"access_token": ""}, "master_secret"),
        ({"app_key": "short"}, "app_key"),
        ({"app_key": "AbCdEfGhIjKlMnOpQrStU\n"}, "app_key"),
        ({"region": "mars"}, "region"),
        ({"device_types": "ios,wns"}, "device_types"),
        ({"device_types": ","}, "device_types"),
    ],
)
def test_settings_that_are_none(change: dict[str, str], name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"'{name}'"):
        provider(**change)


# --- every answer ---------------------------------------------------------------------------------


def answer(status: int, code: int = 0, path: str = "", **headers: str) -> HttpResponse:
    body: dict[str, Any] = {"ok": False, "error": "words", "error_code": code}
    if path:
        body["details"] = {"error": "words", "path": path}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status, named, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("response", "to", "error", "code"),
    [
        (answer(400, 40202, "audience.named_user"), "named_user:a", RecipientUnreachable, "40202"),
        (answer(400, 40202, "audience"), "named_user:a", RecipientUnreachable, "40202"),
        (answer(400, 40202, "notification.alert1"), "named_user:a", MessageRejected, "40202"),
        (answer(400, 40000), "named_user:a", MessageRejected, "40000"),
        (answer(400), "named_user:a", MessageRejected, "0"),
        (answer(401, 40101), "named_user:a", ConfigurationError, "40101"),
        (answer(403, 40301), "named_user:a", ConfigurationError, "40301"),
        (answer(404, 40401), "named_user:a", ConfigurationError, "40401"),
        (answer(404, 40401), f"channel:{CHANNEL}", RecipientUnreachable, "40401"),
        (answer(404, 40400), f"channel:{CHANNEL}", ConfigurationError, "40400"),
        (answer(406, 40600), "named_user:a", ConfigurationError, "40600"),
        (answer(413, 41300), "named_user:a", MessageRejected, "41300"),
        (answer(429, 42900), "named_user:a", RateLimited, "42900"),
        (answer(500, 50000), "named_user:a", TransientError, "50000"),
        (answer(503, 50300), "named_user:a", TransientError, "50300"),
        (answer(502, 50200), "named_user:a", OutcomeUnknown, "50200"),
        (answer(504, 50400), "named_user:a", OutcomeUnknown, "50400"),
        (answer(408, 40800), "named_user:a", TransientError, "40800"),
        (answer(307), "named_user:a", ConfigurationError, "0"),
    ],
)
def test_every_refusal(response: HttpResponse, to: str, error: type[Exception], code: str) -> None:
    with pytest.raises((error,)) as caught:
        provider().outcome(files.message("airship", to=to), response)
    raised: Any = caught.value
    assert (type(raised), raised.vendor_code) == (error, code)
    assert "words" not in str(raised)


@pytest.mark.parametrize(("headers", "wait_s"), [({}, 60.0), ({"retry_after": "7"}, 7.0)])
def test_how_long_to_wait(headers: dict[str, str], wait_s: float) -> None:
    with pytest.raises(RateLimited) as caught:
        provider().outcome(files.message("airship"), answer(429, **headers))
    assert caught.value.retry_after_s == wait_s


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"ok": True, "push_ids": []}, RecipientUnreachable),
        ({"ok": True, "push_ids": [None]}, RecipientUnreachable),
        ({"ok": True}, OutcomeUnknown),
        ({"ok": True, "push_ids": PUSH}, OutcomeUnknown),
        ({"push_ids": [PUSH]}, OutcomeUnknown),
        ({"ok": False, "push_ids": [PUSH]}, OutcomeUnknown),
    ],
)
def test_taken_without_a_push(body: Any, error: type[Exception]) -> None:
    with pytest.raises((error,)) as caught:
        provider().outcome(
            files.message("airship"), HttpResponse(202, {}, json.dumps(body).encode())
        )
    assert type(caught.value) is error


# --- lists, people, devices -----------------------------------------------------------------------


def choice(to: str, *, is_stopped: bool = True) -> Choice:
    return Choice(Channel.PUSH, to, is_stopped, "order_updates", WHEN, "ledger-1")


def test_a_stop_takes_a_device_off_the_list() -> None:
    made = provider(subscription_list="order_alerts")
    (request,) = made.choice_requests(choice(f"ios_channel:{CHANNEL}"))
    assert request.url == "https://go.urbanairship.com/api/channels/subscription_lists"
    assert json.loads(request.body) == {
        "audience": {"ios_channel": CHANNEL},
        "subscription_lists": {"action": "unsubscribe", "list_id": "order_alerts"},
    }


def test_nothing_is_lifted_and_nobody_is_put_on_a_list() -> None:
    made = provider(subscription_list="order_alerts")
    assert made.choice_requests(choice(f"channel:{CHANNEL}", is_stopped=False)) == []
    assert made.choice_requests(choice("named_user:a")) == []
    assert provider().choice_requests(choice(f"channel:{CHANNEL}")) == []


def test_erasure() -> None:
    (person,) = provider().erasure_requests(Channel.PUSH, "named_user:a")
    assert person.url == "https://go.urbanairship.com/api/named_users/uninstall"
    assert json.loads(person.body) == {"named_user_id": ["a"]}
    (device,) = provider().erasure_requests(Channel.PUSH, f"android_channel:{CHANNEL}")
    assert device.url == "https://go.urbanairship.com/api/channels/uninstall"
    assert json.loads(device.body) == [{"channel_id": CHANNEL, "device_type": "android"}]
    assert provider().erasure_requests(Channel.PUSH, f"channel:{CHANNEL}") == []


def test_a_device_is_tied_to_a_person() -> None:
    request = provider().association_request("a", CHANNEL, "ios")
    assert request.url == "https://go.urbanairship.com/api/named_users/associate"
    body = {"named_user_id": "a", "channel_id": CHANNEL, "device_type": "ios"}
    assert json.loads(request.body) == body
    web = provider().association_request("a", CHANNEL, is_undone=True)
    assert web.url.endswith("/disassociate")
    assert json.loads(web.body) == {"named_user_id": "a", "channel_id": CHANNEL}


# --- the stream -----------------------------------------------------------------------------------


def event(kind: str, body: Any = None, **more: Any) -> bytes:
    found = {
        "id": "00000173-bb88-8804-b6ec-a40f4ae36648",
        "offset": "1000059326194",
        "type": kind,
        "occurred": "2026-01-15T18:40:02.924Z",
        "processed": "2026-01-15T18:40:03.672Z",
        "body": body,
        **more,
    }
    return json.dumps(found).encode()


def receipt(kind: ReceiptKind, code: str, **more: str) -> Receipt:
    event_id = "00000173-bb88-8804-b6ec-a40f4ae36648"
    fields = {"vendor_id": PUSH, **more}
    return Receipt(kind, vendor_time=WHEN, vendor_code=code, event_id=event_id, **fields)


def test_the_stream_is_asked_for_from_a_place() -> None:
    first = provider().stream_request()
    assert first.url == "https://connect.urbanairship.com/api/events/"
    assert first.headers["Authorization"] == "Bearer c3RyZWFtLXRlc3QtdG9rZW4"
    assert first.headers["X-UA-Appkey"] == "AbCdEfGhIjKlMnOpQrStUv"
    assert first.headers["Accept"] == "application/vnd.urbanairship+x-ndjson; version=3;"
    asked = json.loads(first.body)
    assert (asked["start"], asked["enable_offset_updates"]) == ("LATEST", True)
    assert {"SEND", "OPEN", "UNINSTALL"} <= set(asked["filters"][0]["types"])
    again = provider().stream_request("1000059326194", "node=7")
    assert again.headers["Cookie"] == "node=7"
    resumed = json.loads(again.body)
    assert (resumed["resume_offset"], "start" in resumed) == ("1000059326194", False)
    with pytest.raises(ConfigurationError, match="stream_token"):
        provider(stream_token="").stream_request()


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("SEND", {"push_id": PUSH}, receipt(ReceiptKind.SENT, "SEND")),
        ("SEND_REJECTED", {"push_id": PUSH}, receipt(ReceiptKind.FAILED, "SEND_REJECTED")),
        ("SEND_ABORTED", {"push_id": PUSH}, receipt(ReceiptKind.FAILED, "SEND_ABORTED")),
        ("PUSH_BODY", {"push_id": PUSH}, receipt(ReceiptKind.SENT, "PUSH_BODY")),
        ("OPEN", {"triggering_push": {"push_id": PUSH}}, receipt(ReceiptKind.READ, "OPEN")),
    ],
)
def test_what_events_say(kind: str, body: Any, expected: Receipt) -> None:
    read = provider().stream_event(event(kind, body))
    assert (read.offset, read.receipts, read.gone) == ("1000059326194", (expected,), ())


@pytest.mark.parametrize("is_list", [False, True])
def test_the_echo_of_a_push_names_our_attempt(is_list: bool) -> None:
    """It answers for a push whose own answer never came, and so has no push id with us."""
    push = json.loads(provider().request(files.message("airship")).body)
    payload = base64.b64encode(json.dumps([push] if is_list else push).encode()).decode()
    read = provider().stream_event(event("PUSH_BODY", {"push_id": PUSH, "payload": payload}))
    attempt = files.message("airship").attempt_id
    assert read.receipts == (receipt(ReceiptKind.SENT, "PUSH_BODY", attempt_id=attempt),)


@pytest.mark.parametrize(
    "payload", ["%%%", "bm90IGpzb24=", "WzFd", "bnVsbA==", 7, {"notification": []}]
)
def test_an_echo_nobody_can_read_is_still_an_echo(payload: Any) -> None:
    read = provider().stream_event(event("PUSH_BODY", {"push_id": PUSH, "payload": payload}))
    assert [one.attempt_id for one in read.receipts] == [""]


@pytest.mark.parametrize(
    "line",
    [
        event("OFFSET_UPDATE"),
        event("OPEN", {"session_id": "x"}),
        event("OPEN", {"triggering_push": None}),
        event("SEND"),
        event("SEND", []),
        event("CUSTOM", {"push_id": PUSH}),
        event("TAG_CHANGE", {}),
    ],
)
def test_events_that_only_move_the_place(line: bytes) -> None:
    read = provider().stream_event(line)
    assert (read.offset, read.receipts, read.gone) == ("1000059326194", (), ())


@pytest.mark.parametrize("name", ["channel", "ios_channel", "android_channel"])
def test_an_app_was_removed(name: str) -> None:
    device = {name: CHANNEL.upper(), "named_user_id": "a"}
    read = provider().stream_event(event("UNINSTALL", {}, device=device))
    assert read.receipts == ()
    assert set(read.gone) == {
        f"{kind}:{CHANNEL}"
        for kind in ("channel", "ios_channel", "android_channel", "amazon_channel")
    }
    assert provider().stream_event(event("UNINSTALL", {}, device=None)).gone == ()


def test_keys_may_be_missing_and_times_may_be_none() -> None:
    read = provider().stream_event(
        json.dumps({"type": "SEND", "body": {"push_id": PUSH}, "occurred": "soon"}).encode()
    )
    assert read.offset == ""
    assert read.receipts == (Receipt(ReceiptKind.SENT, vendor_id=PUSH, vendor_code="SEND"),)


@pytest.mark.parametrize("line", [b"", b"<html>", b"[]", b'{"id": "x', b"\xff"])
def test_lines_that_are_no_event(line: bytes) -> None:
    with pytest.raises(PayloadMalformed):
        provider().stream_event(line)
