"""FCM beyond the common contract: every answer, addresses, limits, the access token's life."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from integrations.contracts import HttpResponse
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    RateLimited,
    RecipientUnreachable,
    TransientError,
)
from integrations.providers.fcm import Fcm
from tests.integrations import fixture_files as files

KEY_FILE: dict[str, str] = json.loads(files.settings("fcm")["service_account"])
WHEN = datetime(2026, 3, 14, 22, 42, 5, tzinfo=UTC)
FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"


def answer(
    status: int, word: str = "", code: str = "", details: Any = None, **headers: str
) -> HttpResponse:
    error: dict[str, Any] = {"code": status, "message": "words", "status": word}
    if code:
        details = [{"@type": FCM_ERROR, "errorCode": code}]
    if details is not None:
        error["details"] = details
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status, named, json.dumps({"error": error}).encode())


def violation(field: str) -> list[dict[str, Any]]:
    kind = "type.googleapis.com/google.rpc.BadRequest"
    return [{"@type": kind, "fieldViolations": [{"field": field, "description": "bad"}]}]


def outcome(response: HttpResponse) -> Any:
    return files.provider("fcm").outcome(files.message("fcm"), response)


@pytest.mark.parametrize(
    ("response", "error", "wait_s"),
    [
        (
            answer(400, "INVALID_ARGUMENT", details=violation("message.token")),
            RecipientUnreachable,
            0,
        ),
        (
            answer(400, "INVALID_ARGUMENT", details=violation("message.fid")),
            RecipientUnreachable,
            0,
        ),
        (answer(400, "INVALID_ARGUMENT", details=violation("message.data")), MessageRejected, 0),
        (answer(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"), MessageRejected, 0),
        (answer(400, "INVALID_ARGUMENT"), MessageRejected, 0),
        (answer(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"), ConfigurationError, 0),
        (answer(401, "UNAUTHENTICATED"), ConfigurationError, 0),
        (answer(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"), RecipientUnreachable, 0),
        (answer(403, "PERMISSION_DENIED"), ConfigurationError, 0),
        (answer(404, "NOT_FOUND", "UNREGISTERED"), RecipientUnreachable, 0),
        (answer(404, "NOT_FOUND"), ConfigurationError, 0),
        (answer(404, "UNREGISTERED"), RecipientUnreachable, 0),
        (answer(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"), RateLimited, 60),
        (answer(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", retry_after="7"), RateLimited, 7),
        (answer(429, "RESOURCE_EXHAUSTED"), RateLimited, 60),
        (answer(429), RateLimited, 60),
        (answer(500, "INTERNAL", "INTERNAL"), TransientError, 0),
        (answer(500, "INTERNAL"), TransientError, 0),
        (answer(503, "UNAVAILABLE", "UNAVAILABLE"), TransientError, 0),
        (answer(503, "UNAVAILABLE", "UNAVAILABLE", retry_after="7"), RateLimited, 7),
        (answer(503, "UNAVAILABLE"), TransientError, 0),
        (answer(503, "UNAVAILABLE", retry_after="7"), RateLimited, 7),
        (HttpResponse(502, {"retry-after": "7"}, b"<html>"), RateLimited, 7),
        (HttpResponse(503, {"retry-after": "7"}, b"<html>"), RateLimited, 7),
        (answer(400, "FAILED_PRECONDITION"), MessageRejected, 0),
        (answer(400, "odd words", "more odd words"), MessageRejected, 0),
    ],
)
def test_every_answer(response: HttpResponse, error: type[Exception], wait_s: float) -> None:
    with pytest.raises((error,)) as caught:
        outcome(response)
    raised: Any = caught.value
    assert type(raised) is error
    assert "words" not in str(raised)
    if error is RateLimited:
        assert raised.retry_after_s == wait_s


def test_one_project_may_send_600_000_a_minute() -> None:
    assert Fcm.capabilities.rate_per_s * 60 == 600_000


def test_words_about_the_token_are_enough() -> None:
    words = "The registration token is not a valid FCM registration token"
    body = json.dumps({"error": {"message": words, "status": "INVALID_ARGUMENT"}}).encode()
    with pytest.raises(RecipientUnreachable):
        outcome(HttpResponse(400, {}, body))


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (301, ConfigurationError),
        (400, MessageRejected),
        (401, ConfigurationError),
        (403, ConfigurationError),
        (404, ConfigurationError),
        (408, TransientError),
        (429, RateLimited),
        (500, TransientError),
        (502, TransientError),
        (503, TransientError),
        (504, OutcomeUnknown),
        (200, OutcomeUnknown),
        (204, OutcomeUnknown),
    ],
)
@pytest.mark.parametrize("body", [b"<html>", b"", b"{", b"[]", b"null", b'{"error":[]}'])
def test_an_answer_without_a_code_goes_by_its_status(
    status: int, error: type[Exception], body: bytes
) -> None:
    with pytest.raises((error,)) as caught:
        outcome(HttpResponse(status, {}, body))
    assert type(caught.value) is error


# --- the request ----------------------------------------------------------------------------------


def sent(settings: dict[str, str] | None = None, **changes: Any) -> Any:
    provider = files.provider("fcm", **(settings or {}))
    return json.loads(provider.request(files.message("fcm", **changes)).body)["message"]


@pytest.mark.parametrize(
    ("to", "address"),
    [
        ("fid:abc", {"fid": "abc"}),
        ("token:abc:APA91bX", {"token": "abc:APA91bX"}),
        ("cW9xAbCdEfGhIjKlMnOpQr", {"fid": "cW9xAbCdEfGhIjKlMnOpQr"}),
        ("abc:APA91bX", {"token": "abc:APA91bX"}),
        ("x" * 160, {"token": "x" * 160}),
    ],
)
def test_installations_and_tokens(to: str, address: dict[str, str]) -> None:
    made = sent(to=to)
    assert {name: made[name] for name in ("fid", "token") if name in made} == address


@pytest.mark.parametrize("to", ["", "fid:", "token:", "token:ä", "token:a\nb", "x" * 4097])
def test_addresses_that_are_none(to: str) -> None:
    with pytest.raises(RecipientUnreachable):
        sent(to=to)


@pytest.mark.parametrize("text", ["x" * 9000, "🍜" * 9000, "\ud83c\x00" * 900])
def test_a_payload_never_exceeds_4096_bytes(text: str) -> None:
    order = {"id": text, "number": text, "state": text}
    made = sent(text=text, subject=text, order=order, links={"order": text}, event={"id": text})
    parts = [*made["notification"].items(), *made["data"].items()]
    assert sum(len(f"{name}{value}".encode()) for name, value in parts) <= 4096
    assert all(isinstance(value, str) for value in made["data"].values())


@pytest.mark.parametrize(("valid_s", "ttl"), [(1800, 1800), (-5, 0), (10**9, 2419200)])
def test_validity_goes_to_every_platform(valid_s: int, ttl: int) -> None:
    made = sent(valid_for_s=valid_s)
    assert made["android"]["ttl"] == f"{ttl}s"
    assert made["webpush"]["headers"]["TTL"] == str(ttl)


def test_one_order_replaces_itself() -> None:
    made = sent()
    key = files.message("fcm").thread_key
    assert made["android"]["collapseKey"] == made["android"]["notification"]["tag"] == key
    assert made["apns"]["headers"]["apns-collapse-id"] == key
    lone = sent(thread_key="")
    assert "collapseKey" not in lone["android"]
    assert "apns-collapse-id" not in lone["apns"]["headers"]


def test_no_data_name_is_one_of_googles_own() -> None:
    names = list(sent()["data"])
    assert not {"from", "message_type"} & set(names)
    assert not [name for name in names if name.startswith(("google", "gcm"))]


def test_calm_news_does_not_wake_a_phone() -> None:
    made = sent(urgent=False)
    assert made["android"]["priority"] == "NORMAL"
    assert made["apns"]["headers"]["apns-priority"] == "5"


def test_labels_and_channels() -> None:
    made = sent({"android_channel": "kitchen"}, milestone="delayed:1" + "x" * 99)
    assert made["fcmOptions"]["analyticsLabel"] == ("delayed_1" + "x" * 99)[:50]
    assert made["android"]["notification"]["channelId"] == "kitchen"


@pytest.mark.parametrize(
    "change",
    [
        {"type": "authorized_user"},
        {"project_id": ""},
        {"client_email": None},
        {"private_key_id": 7},
        {"private_key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"},
        {"private_key": None},
    ],
)
def test_key_files_that_are_none(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="service_account"):
        Fcm({"service_account": json.dumps({**KEY_FILE, **change})})


@pytest.mark.parametrize("text", ["x", "[]", "null", "{}", '"x"'])
def test_json_that_is_no_key_file(text: str) -> None:
    with pytest.raises(ConfigurationError, match="service_account"):
        Fcm({"service_account": text})


def test_a_key_of_another_kind() -> None:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    with pytest.raises(ConfigurationError, match="service_account"):
        Fcm({"service_account": json.dumps({**KEY_FILE, "private_key": pem.decode()})})
