"""Mailgun's request as Anymail builds it, and every answer."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import pytest

from integrations.contracts import HttpResponse, basic_auth
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    RateLimited,
    RecipientUnreachable,
)
from tests.integrations import fixture_files as files


def form_of(changes: dict[str, Any] | None = None, **settings: str) -> dict[str, list[str]]:
    message = files.message("mailgun", **(changes or {}))
    body = files.provider("mailgun", **settings).request(message).body.decode()
    return parse_qs(body, strict_parsing=True, keep_blank_values=True)


# --- the request ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("region", "host"),
    [("us", "api.mailgun.net"), ("eu", "api.eu.mailgun.net"), ("", "api.mailgun.net")],
)
def test_each_region_has_its_host(region: str, host: str) -> None:
    request = files.provider("mailgun", region=region).request(files.message("mailgun"))
    assert request.url == f"https://{host}/v3/mg.example.com/messages"


@pytest.mark.parametrize(
    "settings",
    [
        {"region": "mars"},
        {"from_address": "not an address"},
        {"from_address": "a@example.com, b@example.com"},
        {"from_address": "bowlbar@gmail.com"},
        {"from_address": "Bowl Bar <bowlbar@Outlook.com>"},
    ],
)
def test_settings_that_cannot_work(settings: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        files.provider("mailgun", **settings)


def test_a_domain_with_a_slash_is_a_configuration_error() -> None:
    provider = files.provider("mailgun", domain="mg.example.com/v3")
    with pytest.raises(ConfigurationError):
        provider.request(files.message("mailgun"))


@pytest.mark.parametrize(
    "to", ["", "ana", "ana@", "a b@example.com", "ana@example.com\r\nBcc: x@y.z"]
)
def test_what_is_no_address_never_leaves(to: str) -> None:
    with pytest.raises(RecipientUnreachable):
        files.provider("mailgun").request(files.message("mailgun", to=to))


def test_one_recipient_only() -> None:
    form = form_of({"to": "ana@example.com"})
    assert (form["to"], "cc" in form, "bcc" in form) == (["ana@example.com"], False, False)


@pytest.mark.parametrize(
    ("seconds", "within"),
    [(0, "5m"), (60, "5m"), (1800, "30m"), (1801, "31m"), (86400, "1440m"), (999999, "1440m")],
)
def test_deliver_within_stays_inside_mailguns_range(seconds: int, within: str) -> None:
    assert form_of({"valid_for_s": seconds})["o:deliver-within"] == [within]


def test_one_click_unsubscribe_needs_https() -> None:
    form = form_of({"links": {"unsubscribe": "http://127.0.0.1:8000/u/tok/"}})
    assert form["h:List-Unsubscribe"] == ["<http://127.0.0.1:8000/u/tok/>"]
    assert "h:List-Unsubscribe-Post" not in form
    assert not [name for name in form_of({"links": {}}) if name.startswith("h:")]


def test_reply_to() -> None:
    assert form_of(reply_to="r.tok@in.example.com")["h:Reply-To"] == ["r.tok@in.example.com"]


@pytest.mark.parametrize(
    ("subject", "sent"),
    [
        ("", "Order 1042 is ready for pickup."),
        ("a\r\n b\n\tc", "a b c"),
        ("x" * 300, "x" * 200),
    ],
)
def test_the_subject_is_one_line(subject: str, sent: str) -> None:
    assert form_of({"subject": subject})["subject"] == [sent]


def test_names_are_quoted() -> None:
    form = form_of(from_name='José "Pepe", Cantina\r\nBcc: x@y.z')
    assert form["from"] == ['"José \\"Pepe\\", Cantina Bcc: x@y.z" <orders@mg.example.com>']


def test_without_html_and_with_a_numbered_milestone() -> None:
    form = form_of({"html": "", "milestone": "delayed:2"})
    assert "html" not in form
    assert form["o:tag"] == ["delayed"]


def test_a_stored_template_gets_data_instead_of_words() -> None:
    variables = {"order": "1042", "eta": "18:40"}
    form = form_of({"vendor_template": " order-status.es ", "variables": variables})
    assert (form["template"], form["t:text"]) == (["order-status.es"], ["yes"])
    assert {"text", "html"}.isdisjoint(form)
    assert json.loads(form["t:variables"][0]) == {
        "order": "1042",
        "eta": "18:40",
        "subject": "Order 1042 is ready Bcc: everybody@example.com",
        "text": "Order 1042 is ready for pickup.\n",
    }
    assert form["subject"] == ["Order 1042 is ready Bcc: everybody@example.com"]
    assert form["v:attempt_id"] == [files.message("mailgun").attempt_id]
    assert form["h:List-Unsubscribe-Post"] == ["List-Unsubscribe=One-Click"]


@pytest.mark.parametrize("name", ["", " ", "d-0123456789abcdef", "order status", "a\r\nb", "ä"])
def test_another_vendors_template_is_not_asked_for(name: str) -> None:
    assert form_of({"vendor_template": name}) == form_of()


def test_more_data_than_mailgun_takes_never_leave() -> None:
    fits = {"vendor_template": "order-status", "text": "é" * 7000}
    form = form_of(fits)
    options = [(n, v) for n, [v] in form.items() if n[:2] in ("o:", "h:", "v:", "t:")]
    assert sum(len(f"{name}{value}".encode()) for name, value in options) <= 16_000
    with pytest.raises(MessageRejected):
        form_of({**fits, "text": "é" * 7500})


# --- the answer -----------------------------------------------------------------------------------


def outcome(status: int, body: object, **headers: str) -> Any:
    return files.provider("mailgun").outcome(
        files.message("mailgun"), HttpResponse(status, headers, json.dumps(body).encode())
    )


@pytest.mark.parametrize(
    ("status", "words", "error"),
    [
        (
            400,
            "to parameter is not a valid address. please check documentation",
            RecipientUnreachable,
        ),
        (400, "'to' parameter is not a valid address", RecipientUnreachable),
        (
            400,
            "Domain sandbox1.mailgun.org is not allowed to send: Free accounts",
            ConfigurationError,
        ),
        *(
            (400, f"Domain mg.example.com is not allowed to send: {why}", ConfigurationError)
            for why in (
                *("Sandbox subdomains are for test purposes only.", "The domain is unverified"),
                *("Your account is inactive", "Free accounts are for test purposes only."),
            )
        ),
        (400, "from parameter is missing", MessageRejected),
        (403, "Large batches are not allowed", ConfigurationError),
        (413, "too large", MessageRejected),
        (401, "Forbidden", ConfigurationError),
        (402, "Payment required", ConfigurationError),
        (403, "IP not allowed", ConfigurationError),
        (404, "Domain not found: mg.example.com", ConfigurationError),
        (200, "Something else", OutcomeUnknown),
    ],
)
def test_refusals_by_their_words(status: int, words: str, error: type[Exception]) -> None:
    with pytest.raises((error,)) as caught:
        outcome(status, {"message": words})
    assert type(caught.value) is error
    assert words not in str(caught.value)


def test_the_bare_words_of_a_refused_key() -> None:
    with pytest.raises(ConfigurationError):
        files.provider("mailgun").outcome(
            files.message("mailgun"), HttpResponse(401, {}, b"Forbidden")
        )


@pytest.mark.parametrize("key", ["", "key-account"])
def test_events_are_read_with_the_key_that_may(key: str) -> None:
    provider = files.provider("mailgun", lists_key=key)
    request = provider.look_up(files.message("mailgun"))
    assert request is not None
    assert request.url == (
        "https://api.mailgun.net/v3/mg.example.com/events?recipient=ana%40example.com&limit=25"
    )
    expected = key or provider.account["api_key"]
    assert request.headers["Authorization"] == basic_auth("api", expected)


DATE = "Sat, 14 Mar 2026 22:42:15 GMT"


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"x-ratelimit-reset": "1773528180", "date": DATE}, 45.0),
        ({"x-ratelimit-reset": "1773520000", "date": DATE}, 0.0),
        ({"x-ratelimit-reset": "1999999999", "date": DATE}, 3600.0),
        ({"x-ratelimit-reset": "nan", "date": DATE}, None),
        ({"x-ratelimit-reset": "soon", "date": DATE}, None),
        ({"x-ratelimit-reset": "1773528180", "date": "yesterday"}, None),
        ({"x-ratelimit-reset": "1773528180"}, None),
        ({"retry-after": "9"}, 9.0),
        ({}, None),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], wait_s: float | None) -> None:
    with pytest.raises(RateLimited) as caught:
        outcome(429, {"message": "slow down"}, **headers)
    assert (caught.value.retry_after_s, caught.value.whole_account) == (wait_s, True)


def test_look_up_finds_this_attempt_and_proves_no_absence() -> None:
    provider, message = files.provider("mailgun"), files.message("mailgun")
    item = {
        "event": "accepted",
        "user-variables": {"attempt_id": message.attempt_id},
        "message": {"headers": {"message-id": "<7@mg.example.com>"}},
    }
    other = {**item, "user-variables": {"attempt_id": "another"}}

    def listed(*items: object) -> HttpResponse:
        return HttpResponse(200, {}, json.dumps({"items": items}).encode())

    found = provider.looked_up(message, listed(None, {"user-variables": []}, other, item))
    assert found is not None
    assert found.vendor_id == "7@mg.example.com"
    for answer in (listed(), listed(other), HttpResponse(401, {}, b"Forbidden")):
        with pytest.raises(OutcomeUnknown):
            provider.looked_up(message, answer)
