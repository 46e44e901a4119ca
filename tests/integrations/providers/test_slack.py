"""Slack beyond the common contract: every word it answers, limits, buttons."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime
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


def test_limits_hold_for_any_length() -> None:
    long = "x" * 10_000
    payload = payload_of({"text": long, "subject": long, "order": {"number": long}})
    header, section, fields = payload["blocks"][:3]
    assert len(header["text"]["text"]) == 150
    assert len(section["text"]["text"]) == 3000
    assert section["text"]["text"].endswith("…")
    assert [len(field["text"]) for field in fields["fields"]] == [2000]


def test_a_message_of_one_line_says_it_once() -> None:
    payload = payload_of({"text": "Order 7 is late", "subject": "", "order": {}, "links": {}})
    assert [block["type"] for block in payload["blocks"]] == ["header", "context"]


@pytest.mark.parametrize("setting", ["no", ""])
def test_no_acknowledge_button_unless_switched_on(setting: str) -> None:
    payload = payload_of(acknowledge_buttons=setting)
    [actions] = [block for block in payload["blocks"] if block["type"] == "actions"]
    assert [button["action_id"] for button in actions["elements"]] == ["order_open"]


def test_no_acknowledge_button_where_nothing_waits_for_it() -> None:
    payload = payload_of({"links": {}})
    assert not [block for block in payload["blocks"] if block["type"] == "actions"]


@pytest.mark.parametrize("link", ["javascript:alert(1)", "", "https://x/" + "a" * 3000])
def test_links_slack_would_refuse_are_left_out(link: str) -> None:
    payload = payload_of({"links": {"order": link}})
    assert not [block for block in payload["blocks"] if block["type"] == "actions"]


@pytest.mark.parametrize(
    "url", ["http://hooks.slack.com/services/T/B/X", "hooks.slack.com", "x", "https://["]
)
def test_the_webhook_must_be_https(url: str) -> None:
    with pytest.raises(ConfigurationError, match="webhook_url") as caught:
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


def test_the_vendors_signature_vector() -> None:
    body = b"payload=%7B%22type%22%3A%22block_actions%22%7D"
    made = call(body, at=datetime.fromtimestamp(1767225600, tz=UTC))
    assert made.headers["x-slack-signature"] == (
        "v0=a946fbbcb68a49b64d646e1c36fcc3f7a380b7cefb1dcd5bd0f0b702c6ff79ea"
    )
    assert files.provider("slack").replies(made) == []


def test_without_a_signing_secret_nothing_is_believed() -> None:
    with pytest.raises(SignatureInvalid, match="no signing secret"):
        files.provider("slack", signing_secret="").replies(call(b"", secret=""))


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
