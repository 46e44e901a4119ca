"""Slack beyond the common contract: every word it answers, limits, buttons."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote_plus

import pytest

from integrations.contracts import HttpResponse, InboundCall
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    PayloadMalformed,
    RateLimited,
    SignatureInvalid,
    TransientError,
)
from tests.integrations import fixture_files as files

HOOK = "https://alerts.example.com/hooks/messages/tok_1/"
SECRET = "0123456789abcdef0123456789abcdef"
ATTEMPT = "5f0c6f1e-2f6a-4d6a-9a52-0a4e6b1d1042"
NOW = datetime(2026, 3, 14, 22, 42, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "word", "error"),
    [
        (400, "invalid_payload", MessageRejected),
        (400, "invalid_blocks", MessageRejected),
        (400, "invalid_blocks_format", MessageRejected),
        (400, "no_text", MessageRejected),
        (400, "missing_text_or_fallback_or_attachments", MessageRejected),
        (400, "too_many_attachments", MessageRejected),
        (400, "invalid_token", ConfigurationError),
        (403, "invalid_token", ConfigurationError),
        (400, "user_not_found", ConfigurationError),
        (403, "action_prohibited", ConfigurationError),
        (403, "posting_to_general_channel_denied", ConfigurationError),
        (403, "team_disabled", ConfigurationError),
        (404, "no_service", ConfigurationError),
        (404, "no_service_id", ConfigurationError),
        (404, "no_active_hooks", ConfigurationError),
        (404, "no_team", ConfigurationError),
        (404, "channel_not_found", ConfigurationError),
        (410, "channel_is_archived", ConfigurationError),
        (429, "rate_limited", RateLimited),
        (429, "slow down please", RateLimited),
        (500, "rollup_error", TransientError),
        (500, "", TransientError),
        (502, "", OutcomeUnknown),
        (503, "", TransientError),
        (504, "", OutcomeUnknown),
        (408, "", TransientError),
        (400, "something_new", ConfigurationError),
        (405, "", ConfigurationError),
        (302, "", ConfigurationError),
        (200, "no_service", OutcomeUnknown),
        (204, "", OutcomeUnknown),
        (200, '{"ok":true}', OutcomeUnknown),
        (409, "", ConfigurationError),
        (521, "", TransientError),
        # the word decides, whatever the status
        (500, "no_service", ConfigurationError),
        (200, "channel_is_archived", OutcomeUnknown),
    ],
)
def test_every_answer(status: int, word: str, error: type[Exception]) -> None:
    response = HttpResponse(status, {"retry-after": "30"}, f"{word}\n".encode())
    with pytest.raises((error,)) as caught:
        files.provider("slack").outcome(files.message("slack"), response)
    raised: Any = caught.value
    assert type(raised) is error
    if error is ConfigurationError:
        assert raised.endpoint_only  # one channel is dead, not the restaurant's Slack
    if error is RateLimited:
        assert raised.retry_after_s == 30.0
    assert "slow down" not in str(raised)
    assert "something_new" not in str(raised)


def payload_of(changes: dict[str, Any] | None = None, **settings: str) -> dict[str, Any]:
    request = files.provider("slack", **settings).request(files.message("slack", **(changes or {})))
    assert request.untrusted_url
    loaded: dict[str, Any] = json.loads(request.body)
    return loaded


def every_text(value: Any) -> list[dict[str, Any]]:
    """All text objects of a payload, however deep."""
    if isinstance(value, dict):
        own = [value] if value.get("type") in ("plain_text", "mrkdwn") else []
        return own + [text for inner in value.values() for text in every_text(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in every_text(inner)]
    return []


def test_nothing_a_customer_typed_is_markup() -> None:
    attack = "<!channel> <https://evil.example|click> *x*"
    payload = payload_of(
        {"text": attack, "subject": attack, "order": {"number": attack, "reason": attack}}
    )
    assert {text["type"] for text in every_text(payload["blocks"])} == {"plain_text"}
    assert "<" not in payload["text"]
    assert payload["text"] == "&lt;!channel&gt; &lt;https://evil.example|click&gt; *x*"


def test_a_message_without_words_still_says_something() -> None:
    payload = payload_of({"text": "\x00 \x1b", "subject": "", "order": {}, "links": {}})
    assert payload["text"] == "Order Up"
    assert next(text["text"] for text in every_text(payload["blocks"])) == "Order Up"


def test_control_characters_are_left_out() -> None:
    payload = payload_of({"text": "a\x00b\r\nc", "order": {"number": "\x1b7\ud800"}})
    assert payload["text"] == "ab\nc"
    assert "Order\n7" in [text["text"] for text in every_text(payload["blocks"])]


def test_limits_hold_for_any_length() -> None:
    long = "x" * 10_000
    assert len(payload_of({"text": "&" * 10_000})["text"]) < 40_000
    payload = payload_of({"text": long, "subject": long, "order": {"number": long}})
    header, section, fields = payload["blocks"][:3]
    assert len(header["text"]["text"]) == 150
    assert len(section["text"]["text"]) == 3000
    assert section["text"]["text"].endswith("…")
    assert [len(field["text"]) for field in fields["fields"]] == [2000]


def test_a_message_of_one_line_says_it_once() -> None:
    payload = payload_of({"text": "Order 7 is late", "subject": "", "order": {}, "links": {}})
    assert [block["type"] for block in payload["blocks"]] == ["header", "context"]


def buttons_of(changes: dict[str, Any] | None = None, **settings: str) -> list[dict[str, Any]]:
    blocks = payload_of(changes, **settings)["blocks"]
    [elements] = [block["elements"] for block in blocks if block["type"] == "actions"]
    found: list[dict[str, Any]] = elements
    return found


def test_a_press_of_acknowledge_carries_the_attempt() -> None:
    press, link = buttons_of()
    assert (press["action_id"], press["value"]) == ("order_ack", ATTEMPT)
    assert "url" not in press
    assert (link["action_id"], link["url"]) == (
        "order_open",
        "https://alerts.example.com/board/1042/",
    )


@pytest.mark.parametrize("setting", ["no", ""])
def test_without_an_app_that_hears_presses_acknowledge_opens_our_page(setting: str) -> None:
    seen, link = buttons_of(acknowledge_buttons=setting)
    assert (seen["text"]["text"], seen["url"]) == (
        "Acknowledge",
        "https://alerts.example.com/a/tok/",
    )
    assert "value" not in seen
    assert link["action_id"] == "order_open"
    # Slack tells of these presses too: they say nothing
    for button in (seen, link):
        told = {"type": "block_actions", "actions": [{**button, "action_ts": "1"}]}
        assert files.provider("slack").replies(press(told)) == []


def test_no_acknowledge_button_where_nothing_waits_for_it() -> None:
    payload = payload_of({"links": {}})
    assert not [block for block in payload["blocks"] if block["type"] == "actions"]


@pytest.mark.parametrize("link", ["javascript:alert(1)", "", "https://x/" + "a" * 3000])
def test_links_slack_would_refuse_are_left_out(link: str) -> None:
    for setting in ("no", "yes"):
        links = {"order": link, "acknowledge": link}
        payload = payload_of({"links": links}, acknowledge_buttons=setting)
        assert not [block for block in payload["blocks"] if block["type"] == "actions"]


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.slack-gov.com/services/T00000000/B00000000/X",
        " https://hooks.slack.com/services/T00000000/B00000000/X\n",
    ],
)
def test_the_url_is_used_as_it_was_copied(url: str) -> None:
    made = files.provider("slack", webhook_url=url).request(files.message("slack"))
    assert (made.url, made.untrusted_url) == (url.strip(), True)


def test_nobody_is_asked_for_another_name_channel_or_picture() -> None:
    assert set(payload_of()) == {"text", "blocks", "unfurl_links", "unfurl_media"}


@pytest.mark.parametrize(
    "url", ["http://hooks.slack.com/services/T/B/X", "hooks.slack.com", "x", "https://["]
)
def test_the_webhook_must_be_https(url: str) -> None:
    with pytest.raises(ConfigurationError, match="webhook_url") as caught:
        files.provider("slack", webhook_url=url)
    assert url not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.slack.com/triggers/T00000000/1042/0123456789abcdef",
        "https://hooks.slack.com/workflows/T00000000/A0/1042/x",
        "https://hooks.slack.com/services/T00000000/B00000000",
        "https://hooks.slack.com/T00000000",
        "https://example.slack.com/archives/C00000000",
        "https://hooks.slack-gov.com/triggers/T/1/x",
    ],
)
def test_an_address_of_slack_that_is_no_incoming_webhook(url: str) -> None:
    with pytest.raises(ConfigurationError, match="is not an incoming webhook") as caught:
        files.provider("slack", webhook_url=url)
    assert url not in str(caught.value)


def test_a_sandbox_account_keeps_the_path() -> None:
    request = files.provider("slack", base_url="http://127.0.0.1:8001/slack").request(
        files.message("slack")
    )
    assert request.url == (
        "http://127.0.0.1:8001/slack/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"
    )


# --- button presses -------------------------------------------------------------------------------


def call(body: bytes, *, secret: str = SECRET, at: datetime = NOW) -> InboundCall:
    stamp = str(int(at.timestamp()))
    mac = hmac.new(secret.encode(), b"v0:" + stamp.encode() + b":" + body, hashlib.sha256)
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "x-slack-request-timestamp": stamp,
        "x-slack-signature": f"v0={mac.hexdigest()}",
    }
    return InboundCall("POST", HOOK, headers, body, at)


def press(payload: object) -> InboundCall:
    return call(b"payload=" + quote_plus(json.dumps(payload)).encode())


PRESS = {
    "type": "block_actions",
    "user": {"id": "U00000042"},
    "actions": [{"action_id": "order_ack", "value": "at-1", "action_ts": "1773528125.000100"}],
}


def test_the_vendors_signature_vector() -> None:
    body = b"payload=%7B%22type%22%3A%22block_actions%22%7D"
    made = call(body, at=datetime.fromtimestamp(1767225600, tz=UTC))
    assert made.headers["x-slack-signature"] == (
        "v0=a946fbbcb68a49b64d646e1c36fcc3f7a380b7cefb1dcd5bd0f0b702c6ff79ea"
    )
    assert files.provider("slack").replies(made) == []


#: the example of the vendor's page about verifying requests
EXAMPLE = (
    "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    "&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    "&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F"
    "96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
EXAMPLE_MAC = "a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"


@pytest.mark.parametrize(
    ("change", "is_right"),
    [
        ({}, True),
        ({"body": EXAMPLE.replace("foobar", "fooba2")}, False),
        ({"signing_secret": "8f742231b10e8888abcd99yyyzzz85a6"}, False),
        ({"x-slack-request-timestamp": "1531420619"}, False),
        ({"x-slack-signature": EXAMPLE_MAC}, False),
        ({"x-slack-signature": f"v1={EXAMPLE_MAC}"}, False),
        ({"x-slack-signature": "v0="}, False),
    ],
)
def test_the_published_example(change: dict[str, str], is_right: bool) -> None:
    headers = {
        "x-slack-request-timestamp": "1531420618",
        "x-slack-signature": f"v0={EXAMPLE_MAC}",
    }
    headers |= {name: change[name] for name in headers if name in change}
    secret = change.get("signing_secret", "8f742231b10e8888abcd99yyyzzz85a5")
    provider = files.provider("slack", signing_secret=secret)
    at = datetime.fromtimestamp(1531420618, tz=UTC)
    made = InboundCall("POST", HOOK, headers, change.get("body", EXAMPLE).encode(), at)
    if is_right:
        assert provider.replies(made) == []
        return
    with pytest.raises(SignatureInvalid):
        provider.replies(made)


@pytest.mark.parametrize(
    ("age_s", "is_fresh"),
    [(0, True), (300, True), (-300, True), (301, False), (-301, False), (86_400, False)],
)
def test_a_signature_is_worth_five_minutes(age_s: int, is_fresh: bool) -> None:
    made = replace(press(PRESS), received_at=NOW + timedelta(seconds=age_s))
    if is_fresh:
        assert len(files.provider("slack").replies(made)) == 1
        return
    with pytest.raises(SignatureInvalid, match="s old"):
        files.provider("slack").replies(made)


@pytest.mark.parametrize("stamp", ["", "soon", "-1773528125", "1773528125.0", "²", "9" * 400])
def test_a_time_that_is_none(stamp: str) -> None:
    made = press(PRESS)
    bent = replace(made, headers={**made.headers, "x-slack-request-timestamp": stamp})
    with pytest.raises(SignatureInvalid):
        files.provider("slack").replies(bent)


def test_without_a_signing_secret_nothing_is_believed() -> None:
    with pytest.raises(SignatureInvalid, match="no signing key"):
        files.provider("slack", signing_secret="").replies(call(b"", secret=""))


def test_the_previous_secret_counts_while_it_is_set() -> None:
    old = call(b"payload=" + quote_plus(json.dumps(PRESS)).encode(), secret="the old one")
    with pytest.raises(SignatureInvalid):
        files.provider("slack").replies(old)
    both = files.provider("slack", previous_signing_secret="the old one")
    assert len(both.replies(old)) == len(both.replies(press(PRESS))) == 1


@pytest.mark.parametrize(
    "payload",
    [
        {"type": "view_submission"},
        {"type": "block_actions"},
        {"type": "block_actions", "actions": None},
        {"type": "block_actions", "actions": ["x", None]},
        {"type": "block_actions", "actions": [{"action_id": "order_open", "action_ts": "1"}]},
        [],
        "x",
        None,
    ],
)
def test_other_interactions_are_none_of_our_business(payload: object) -> None:
    assert files.provider("slack").replies(press(payload)) == []


def test_a_slash_command_is_none_either() -> None:
    assert files.provider("slack").replies(call(b"command=%2Forder&text=1042")) == []


@pytest.mark.parametrize("when", ["soon", None, "1e400", "nan"])
def test_a_press_without_a_usable_time(when: object) -> None:
    action = {"action_id": "order_ack", "value": "at-1", "action_ts": when}
    [reply] = files.provider("slack").replies(press({"type": "block_actions", "actions": [action]}))
    assert reply.occurred_at is None
    assert reply.action == {"type": "acknowledge", "value": "at-1"}


@pytest.mark.parametrize(
    "body", [b"payload=%7B", b"payload=" + b"%5B" * 100_000, b"&".join([b"a=1"] * 99)]
)
def test_a_signed_body_that_is_not_json(body: bytes) -> None:
    with pytest.raises(PayloadMalformed):
        files.provider("slack").replies(call(body))
