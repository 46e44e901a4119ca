"""Slack by a bot instead of a webhook: one thread per order, and every word of the Web API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema.validators import validator_for

from integrations.contracts import Accepted, HttpResponse, Message, Provider
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    RateLimited,
    TransientError,
)
from tests.conformance.check import OWN
from tests.integrations import fixture_files as files

TOKEN = "xoxb-0123456789-example"
CHANNEL = "C0KITCHEN"
ROOT = "1773528125.000100"
DEAD = """
    channel_not_found not_in_channel is_archived restricted_action
    restricted_action_read_only_channel restricted_action_thread_only_channel
    not_authed invalid_auth account_inactive token_revoked
    token_expired missing_scope no_permission not_allowed_token_type org_login_required
    ekm_access_denied access_denied team_access_not_granted
"""
REFUSED = """
    invalid_blocks invalid_blocks_format no_text too_many_attachments msg_too_long
    msg_blocks_too_long invalid_arguments invalid_json json_not_object
"""


def bot(**changes: str) -> Provider:
    settings = {"webhook_url": "", "bot_token": TOKEN, "channel_id": CHANNEL, **changes}
    return files.provider("slack", **settings)


def message(**changes: Any) -> Message:
    return files.message("slack", **changes)


def body_of(**changes: Any) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(bot().request(message(**changes)).body)
    return loaded


def outcome(answer: object, status: int = 200, earlier: str = "", **headers: str) -> Accepted:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    response = HttpResponse(status, given, json.dumps(answer).encode())
    return bot().outcome(message(replaces_vendor_id=earlier), response)


def test_a_bot_posts_what_the_webhook_would() -> None:
    request = bot().request(message())
    assert (request.method, request.url) == ("POST", "https://slack.com/api/chat.postMessage")
    assert request.headers == {
        "Authorization": f"Bearer {TOKEN}",
        "Content-Type": "application/json; charset=utf-8",
    }
    webhook = json.loads(files.provider("slack").request(message()).body)
    assert json.loads(request.body) == {"channel": CHANNEL, **webhook}
    assert not request.untrusted_url  # nobody typed this address


def test_a_sandbox_bot_talks_to_the_sandbox() -> None:
    provider = files.provider(
        "slack", base_url="http://127.0.0.1:8001/slack", bot_token=TOKEN, channel_id=CHANNEL
    )
    assert provider.request(message()).url == "http://127.0.0.1:8001/slack/api/chat.postMessage"


def test_the_first_message_of_an_order_begins_its_thread() -> None:
    assert "thread_ts" not in body_of()
    assert outcome({"ok": True, "channel": CHANNEL, "ts": ROOT}).vendor_id == f"{CHANNEL}/{ROOT}"


@pytest.mark.parametrize("urgent", [True, False])
def test_the_next_ones_hang_on_it(urgent: bool) -> None:
    earlier = f"{CHANNEL}/{ROOT}"
    body = body_of(replaces_vendor_id=earlier, urgent=urgent)
    # who follows no thread hears of urgent ones all the same
    assert (body["thread_ts"], body["reply_broadcast"]) == (ROOT, urgent)
    answer = {"ok": True, "channel": CHANNEL, "ts": "1773528200.000200"}
    # the next one hangs on the first one too, never on a reply
    assert outcome(answer, earlier=earlier).vendor_id == earlier


@pytest.mark.parametrize("earlier", [f"C0OTHER/{ROOT}", ROOT, "35436", "x/y", f"{CHANNEL}/"])
def test_what_is_no_message_of_this_channel_begins_anew(earlier: str) -> None:
    assert "thread_ts" not in body_of(replaces_vendor_id=earlier)


@pytest.mark.parametrize(
    "word",
    [
        "thread_not_found",
        "cannot_reply_to_message",
        "restricted_action_thread_locked",
        "restricted_action_non_threadable_channel",
    ],
)
def test_a_thread_that_is_gone_is_left_once(word: str) -> None:
    told = message(replaces_vendor_id=f"{CHANNEL}/{ROOT}")
    with pytest.raises(MessageRejected) as caught:
        bot().outcome(told, HttpResponse(200, {}, b'{"ok":false,"error":"%s"}' % word.encode()))
    other: Any = bot().instead(told, caught.value)
    assert "thread_ts" not in json.loads(bot().request(other).body)
    assert bot().instead(other, caught.value) is None


def test_nothing_is_said_instead_of_what_is_refused_for_itself() -> None:
    told = message(replaces_vendor_id=f"{CHANNEL}/{ROOT}")
    refusal = MessageRejected("slack", vendor_code="invalid_blocks")
    assert bot().instead(told, refusal) is None


@pytest.mark.parametrize(
    ("word", "error"),
    [
        *((word, ConfigurationError) for word in DEAD.split()),
        *((word, MessageRejected) for word in REFUSED.split()),
        ("service_unavailable", TransientError),
        ("request_timeout", TransientError),
        ("team_added_to_org", TransientError),
        ("ratelimited", RateLimited),
        ("rate_limited", RateLimited),
        ("fatal_error", OutcomeUnknown),
        ("internal_error", OutcomeUnknown),
        ("something_new", MessageRejected),
    ],
)
def test_every_word_of_the_api(word: str, error: type[Exception]) -> None:
    with pytest.raises((error,)) as caught:
        outcome({"ok": False, "error": word}, retry_after="30")
    raised: Any = caught.value
    assert type(raised) is error
    assert raised.vendor_code == ("" if word == "something_new" else word)
    assert "something_new" not in str(raised)
    if error is ConfigurationError:
        assert raised.endpoint_only
    if error is RateLimited:
        assert raised.retry_after_s == 30.0


@pytest.mark.parametrize(
    ("status", "answer", "error"),
    [
        (429, {"ok": False, "error": "ratelimited"}, RateLimited),
        (429, "", RateLimited),
        (200, {"ok": True}, OutcomeUnknown),
        (200, {"ok": "true", "ts": ROOT}, OutcomeUnknown),
        (200, "ok", OutcomeUnknown),
        (200, [], OutcomeUnknown),
        (302, "", ConfigurationError),
        (403, "", ConfigurationError),
        (404, "", ConfigurationError),
        (408, "", TransientError),
        (500, "", TransientError),
        (502, "", OutcomeUnknown),
        (503, "", TransientError),
        (504, "", OutcomeUnknown),
    ],
)
def test_every_status_of_the_api(status: int, answer: object, error: type[Exception]) -> None:
    with pytest.raises((error,)) as caught:
        outcome(answer, status)
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"channel_id": ""}, "channel_id"),
        ({"channel_id": "#kitchen"}, "channel_id"),
        ({"channel_id": "kitchen"}, "channel_id"),
        ({"bot_token": "xoxb-1\nX: y"}, "bot_token"),
        ({"bot_token": "xoxb-é"}, "bot_token"),
        ({"bot_token": ""}, "webhook_url"),
    ],
)
def test_settings_that_cannot_work(changes: dict[str, str], name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"'{name}'") as caught:
        bot(**changes)
    assert "xoxb" not in str(caught.value)


def test_a_bots_messages_keep_slacks_limits() -> None:
    schema = json.loads((OWN / "slack.json").read_text())
    for text in ("Late", "x" * 10_000, "&" * 10_000, "🍜" * 5_000, ""):
        body = body_of(text=text, subject=text, replaces_vendor_id=f"{CHANNEL}/{ROOT}")
        assert body.pop("channel") == CHANNEL
        assert body.pop("reply_broadcast") is False
        assert [e.message for e in validator_for(schema)(schema).iter_errors(body)] == []
