"""SendGrid's request and every answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from integrations.contracts import HttpResponse
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    RateLimited,
    RecipientUnreachable,
    TransientError,
)
from tests.integrations import fixture_files as files


def body_of(changes: dict[str, Any] | None = None, **settings: str) -> dict[str, Any]:
    message = files.message("sendgrid", **(changes or {}))
    body = files.provider("sendgrid", **settings).request(message).body
    loaded: dict[str, Any] = json.loads(body)
    return loaded


# --- the request ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("region", "host"),
    [("us", "api.sendgrid.com"), ("eu", "api.eu.sendgrid.com"), ("", "api.sendgrid.com")],
)
def test_each_region_has_its_host(region: str, host: str) -> None:
    request = files.provider("sendgrid", region=region).request(files.message("sendgrid"))
    assert request.url == f"https://{host}/v3/mail/send"


@pytest.mark.parametrize(
    "settings",
    [
        {"region": "mars"},
        {"from_address": "not an address"},
        {"from_address": "@example.com"},
        {"from_address": "bowlbar@gmail.com"},
        {"from_address": "Bowl Bar <bowlbar@Yahoo.com>"},
        {"unsubscribe_group": "x"},
        {"unsubscribe_group": "٣"},
    ],
)
def test_settings_that_cannot_work(settings: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        files.provider("sendgrid", **settings)


@pytest.mark.parametrize(
    "to",
    ["", "ana", "ana@", "a b@example.com", "ana@example.com\r\nBcc: x@y.z", "a@x.com,b@x.com"],
)
def test_what_is_no_address_never_leaves(to: str) -> None:
    with pytest.raises(RecipientUnreachable):
        body_of({"to": to})


def test_one_recipient_and_nothing_personal_in_what_sendgrid_keeps() -> None:
    body = body_of({"milestone": "delayed:2"})
    [recipient] = body["personalizations"]
    assert recipient["to"] == [{"email": "ana@example.com"}]
    assert recipient["custom_args"] == {"attempt_id": files.message("sendgrid").attempt_id}
    assert body["categories"] == ["delayed"]
    assert "custom_args" not in body


def test_optional_settings_leave_no_empty_fields() -> None:
    body = body_of(reply_to="", unsubscribe_group="", from_name="")
    assert body["from"] == {"email": "orders@example.com"}
    assert {"reply_to", "asm"}.isdisjoint(body)


def test_a_name_inside_the_from_address_is_kept() -> None:
    body = body_of(from_address='"Bowl, Bar" <orders@example.com>', from_name="")
    assert body["from"] == {"email": "orders@example.com", "name": "Bowl, Bar"}


def test_one_click_unsubscribe_needs_https() -> None:
    def headers(links: dict[str, str]) -> Any:
        return body_of({"links": links})["personalizations"][0].get("headers")

    link = "http://127.0.0.1:8000/u/tok/"
    assert headers({"unsubscribe": link}) == {"List-Unsubscribe": f"<{link}>"}
    assert headers({}) is None


@pytest.mark.parametrize(
    ("subject", "sent"),
    [
        ("", "Order 1042 is ready for pickup."),
        ("a\r\n b\n\tc", "a b c"),
        ("x" * 300, "x" * 200),
    ],
)
def test_the_subject_is_one_line(subject: str, sent: str) -> None:
    assert body_of({"subject": subject})["subject"] == sent


def test_no_part_is_empty() -> None:
    assert body_of({"html": ""})["content"] == [
        {"type": "text/plain", "value": "Order 1042 is ready for pickup.\n"}
    ]
    assert body_of({"html": "", "text": " ", "subject": ""})["content"] == [
        {"type": "text/plain", "value": "Your order"}
    ]


def test_a_dynamic_template_gets_data_instead_of_words() -> None:
    body = body_of({"vendor_template": " d-01 ", "variables": {"order": "1042", "eta": "18:40"}})
    assert body["template_id"] == "d-01"
    assert {"subject", "content"}.isdisjoint(body)
    data = body["personalizations"][0]["dynamic_template_data"]
    assert (data["order"], data["eta"], data["text"]) == (
        "1042",
        "18:40",
        "Order 1042 is ready for pickup.\n",
    )


@pytest.mark.parametrize("name", ["order-status", "d-", "d-xyz", "8a2c", "d-01 d-02"])
def test_another_vendors_template_is_not_asked_for(name: str) -> None:
    body = body_of({"vendor_template": name})
    assert "template_id" not in body
    assert "dynamic_template_data" not in body["personalizations"][0]
    assert body["content"][0]["value"] == "Order 1042 is ready for pickup.\n"


def test_nothing_bypasses_the_vendors_lists() -> None:
    assert "mail_settings" not in body_of()


# --- the answer -----------------------------------------------------------------------------------


def outcome(status: int, words: str = "", field: str | None = None, **headers: str) -> Any:
    body = json.dumps({"errors": [{"message": words, "field": field, "help": None}]}).encode()
    answer = HttpResponse(status, headers, b"" if status == 202 else body)
    return files.provider("sendgrid").outcome(files.message("sendgrid"), answer)


@pytest.mark.parametrize(
    ("status", "words", "field", "error"),
    [
        (400, "not valid", "personalizations.0.to.0.email", RecipientUnreachable),
        (400, "not valid", "personalizations.3.to.12.email", RecipientUnreachable),
        (400, "not valid", "from.email", MessageRejected),
        (400, "not valid", "reply_to.email", MessageRejected),
        (400, "subject is required", "subject", MessageRejected),
        (400, "bad", None, MessageRejected),
        (413, "too large", None, MessageRejected),
        (415, "type", None, MessageRejected),
        (401, "The provided authorization grant is invalid", None, ConfigurationError),
        (401, "Maximum credits exceeded", None, ConfigurationError),
        (403, "not a verified Sender Identity", "from", ConfigurationError),
        (403, "blocked for a while", None, ConfigurationError),
        (404, "", None, ConfigurationError),
        (405, "", None, ConfigurationError),
        (406, "", None, ConfigurationError),
        (429, "too many requests", None, RateLimited),
        (500, "", None, TransientError),
        (502, "", None, OutcomeUnknown),
        (503, "", None, TransientError),
        (504, "", None, OutcomeUnknown),
        (200, "", None, OutcomeUnknown),
        (202, "", None, OutcomeUnknown),
    ],
)
def test_every_answer(status: int, words: str, field: str | None, error: type[Exception]) -> None:
    with pytest.raises((error,)) as caught:
        outcome(status, words, field)
    assert type(caught.value) is error
    assert not words or words not in str(caught.value)


def test_accepted_is_202_with_an_id() -> None:
    assert outcome(202, **{"x-message-id": "abc "}).vendor_id == "abc"
    with pytest.raises(OutcomeUnknown):  # sandbox mode sends nothing
        outcome(200, **{"x-message-id": "abc"})


DATE = "Sat, 14 Mar 2026 22:42:15 GMT"


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"x-ratelimit-reset": "1773528180", "date": DATE}, 45.0),
        ({"x-ratelimit-reset": "1773520000", "date": DATE}, 0.0),
        ({"x-ratelimit-reset": "1999999999", "date": DATE}, 3600.0),
        ({"x-ratelimit-reset": "nan", "date": DATE}, None),
        ({"x-ratelimit-reset": "soon", "date": DATE}, None),
        ({"x-ratelimit-reset": "1773528180"}, None),
        ({"retry-after": "9"}, 9.0),
        ({}, None),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], wait_s: float | None) -> None:
    with pytest.raises(RateLimited) as caught:
        outcome(429, **headers)
    assert (caught.value.retry_after_s, caught.value.whole_account) == (wait_s, True)


@pytest.mark.parametrize("errors", [None, [], ["x"], {"field": "to.0.email"}, [{"field": 3}]])
def test_errors_of_odd_shape(errors: Any) -> None:
    answer = HttpResponse(400, {}, json.dumps({"errors": errors}).encode())
    with pytest.raises(MessageRejected):
        files.provider("sendgrid").outcome(files.message("sendgrid"), answer)
