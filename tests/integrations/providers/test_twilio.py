"""Twilio beyond the common contract: every code, status and signature variant."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import parse_qs

import pytest

from integrations.contracts import HttpResponse
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    RateLimited,
    RecipientOptedOut,
    RecipientUnreachable,
    TransientError,
)
from tests.integrations import fixture_files as files
from tests.integrations.providers.twilio_calls import HOOK, signed

#: every row of Twilio's outcome table: code, HTTP status of the answer -> error, wait in seconds
CODES: list[tuple[str, int, type[Exception], float | None]] = [
    ("20429", 429, RateLimited, None),
    ("20503", 503, TransientError, None),
    ("21611", 400, RateLimited, 600),
    ("30001", 400, RateLimited, 60),
    ("30017", 400, RateLimited, 120),
    ("30022", 400, RateLimited, 60),
    ("30023", 400, RateLimited, 86400),
    ("30027", 400, RateLimited, 86400),
    ("30410", 400, RateLimited, 120),
    ("30047", 400, RateLimited, 300),
    ("30610", 400, RateLimited, 3600),
    ("30003", 400, TransientError, None),
    ("30008", 400, TransientError, None),
    ("21211", 400, RecipientUnreachable, None),
    ("21217", 400, RecipientUnreachable, None),
    ("21401", 400, RecipientUnreachable, None),
    ("21614", 400, RecipientUnreachable, None),
    ("21612", 400, RecipientUnreachable, None),
    ("30005", 400, RecipientUnreachable, None),
    ("30006", 400, RecipientUnreachable, None),
    ("30640", 400, RecipientUnreachable, None),
    ("21610", 400, RecipientOptedOut, None),
    ("30004", 400, RecipientOptedOut, None),
    ("30007", 400, MessageRejected, None),
    ("21602", 400, MessageRejected, None),
    ("21619", 400, MessageRejected, None),
    ("21617", 400, MessageRejected, None),
    ("21620", 400, MessageRejected, None),
    ("21623", 400, MessageRejected, None),
    ("30019", 400, MessageRejected, None),
    ("30036", 400, MessageRejected, None),
    ("20003", 401, ConfigurationError, None),
    ("20404", 404, ConfigurationError, None),
    ("20005", 400, ConfigurationError, None),
    ("21212", 400, ConfigurationError, None),
    ("21603", 400, ConfigurationError, None),
    ("21606", 400, ConfigurationError, None),
    ("21609", 400, ConfigurationError, None),
    ("21701", 400, ConfigurationError, None),
    ("21702", 400, ConfigurationError, None),
    ("21703", 400, ConfigurationError, None),
    ("21704", 400, ConfigurationError, None),
    ("21705", 400, ConfigurationError, None),
    ("21408", 400, ConfigurationError, None),
    ("21608", 400, ConfigurationError, None),
    ("21219", 400, ConfigurationError, None),
    ("30002", 400, ConfigurationError, None),
    ("30032", 400, ConfigurationError, None),
    ("30033", 400, ConfigurationError, None),
    ("30034", 400, ConfigurationError, None),
    ("30035", 400, ConfigurationError, None),
    ("30450", 400, ConfigurationError, None),
    ("90007", 400, ConfigurationError, None),
]


def answer(status: int, body: object, **headers: str) -> HttpResponse:
    return HttpResponse(status, headers, json.dumps(body).encode())


def outcome(response: HttpResponse) -> Any:
    return files.provider("twilio").outcome(files.message("twilio"), response)


@pytest.mark.parametrize(("code", "status", "error", "wait_s"), CODES)
def test_every_code_of_a_create_answer(
    code: str, status: int, error: type[Exception], wait_s: float | None
) -> None:
    with pytest.raises((error,)) as caught:
        outcome(answer(status, {"code": int(code), "message": "words", "status": status}))
    raised: Any = caught.value
    assert type(raised) is error
    assert raised.vendor_code == code
    assert "words" not in str(raised)
    if error is RateLimited:
        assert raised.retry_after_s == wait_s
    if error is TransientError:  # a handset that is off, and what nobody knows: once more
        assert raised.most_retries == (1 if code in ("30003", "30008") else None)


@pytest.mark.parametrize(("code", "_status", "error", "_wait"), CODES)
def test_every_code_of_a_status_callback(
    code: str, _status: int, error: type[Exception], _wait: float | None
) -> None:
    [receipt] = receipts({"MessageStatus": "undelivered", "ErrorCode": code})
    if code == "30036":
        assert (receipt.kind.value, receipt.error) == ("expired", "")
    else:
        word = "config" if error is ConfigurationError else getattr(error, "code")  # noqa: B009
        assert (receipt.kind.value, receipt.error) == ("failed", word)
    assert receipt.vendor_code == code


def test_the_code_decides_before_the_status() -> None:
    with pytest.raises(RecipientOptedOut):
        outcome(answer(503, {"code": 21610}))


@pytest.mark.parametrize("code", [None, "", 0, True, [], {}, 1.5, 99999])
def test_an_unknown_code_goes_by_the_status(code: object) -> None:
    with pytest.raises(MessageRejected):
        outcome(answer(400, {"code": code}))
    with pytest.raises(OutcomeUnknown):
        outcome(answer(502, {"code": code}))


def test_retry_after_wins_over_our_own_figure() -> None:
    for code in (21611, 20503):
        with pytest.raises(RateLimited) as caught:
            outcome(answer(503, {"code": code}, **{"retry-after": "7"}))
        assert caught.value.retry_after_s == 7.0


@pytest.mark.parametrize("status", [500, 503])
@pytest.mark.parametrize("body", [{}, {"code": 20500}])
def test_retry_after_counts_with_every_server_error(status: int, body: object) -> None:
    with pytest.raises(RateLimited) as caught:
        outcome(answer(status, body, **{"retry-after": "7"}))
    assert caught.value.retry_after_s == 7.0
    with pytest.raises(TransientError) as plain:
        outcome(answer(status, body))
    assert type(plain.value) is TransientError


def test_a_message_created_as_failed_is_no_acceptance() -> None:
    created = {"sid": "SM1", "status": "failed", "error_code": 30005, "num_segments": "1"}
    with pytest.raises(RecipientUnreachable):
        outcome(answer(201, created))


@pytest.mark.parametrize(("given", "segments"), [("0", 0), ("3", 3), (2, 2), (None, 0), ("x", 0)])
def test_segments_come_as_text(given: object, segments: int) -> None:
    assert outcome(answer(201, {"sid": "SM1", "num_segments": given})).segments == segments


# --- the request ----------------------------------------------------------------------------------


def form_of(settings: dict[str, str] | None = None, **changes: Any) -> dict[str, str]:
    provider = files.provider("twilio", **(settings or {}))
    body = provider.request(files.message("twilio", **changes)).body.decode()
    return {name: values[0] for name, values in parse_qs(body, strict_parsing=True).items()}


def test_a_sender_instead_of_a_messaging_service() -> None:
    form = form_of({"messaging_service_sid": "", "sender": "+15005550006"})
    assert form["From"] == "+15005550006"
    assert "MessagingServiceSid" not in form


def test_an_api_key_signs_in_and_the_path_keeps_the_account() -> None:
    provider = files.provider("twilio", api_key_sid="SK1", api_key_secret="s3")
    request = provider.request(files.message("twilio"))
    assert request.headers["Authorization"] == "Basic " + base64.b64encode(b"SK1:s3").decode()
    assert f"/Accounts/{provider.account['account_sid']}/" in request.url


@pytest.mark.parametrize(
    "changes",
    [
        {"messaging_service_sid": ""},
        {"api_key_sid": "SK1"},
        {"api_key_secret": "s"},
    ],
)
def test_settings_that_do_not_fit_together(changes: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        files.provider("twilio", **changes)


@pytest.mark.parametrize(("given", "sent"), [(-5, "1"), (0, "1"), (600, "600"), (90000, "36000")])
def test_validity_stays_inside_twilios_range(given: int, sent: str) -> None:
    assert form_of(valid_for_s=given)["ValidityPeriod"] == sent


def test_intent_follows_the_purpose() -> None:
    assert form_of(purpose="marketing")["MessageIntent"] == "marketing"
    assert form_of(purpose="staff_ops")["MessageIntent"] == "notifications"


def test_the_body_is_normalized_so_that_it_costs_what_the_preview_said() -> None:
    assert form_of(text="Your order’s ready…")["Body"] == "Your order's ready..."


def test_no_callback_no_field() -> None:
    assert "StatusCallback" not in form_of(callback_url="")


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_an_empty_text_never_leaves(text: str) -> None:
    with pytest.raises(MessageRejected):
        files.provider("twilio").request(files.message("twilio", text=text))


# --- look-up --------------------------------------------------------------------------------------


def test_look_up_finds_the_text_it_sent() -> None:
    provider, message = files.provider("twilio"), files.message("twilio", text="It’s ready")
    listed = [{"sid": "SM8", "body": "other"}, {"sid": "SM9", "body": "It's ready"}]
    found = provider.looked_up(message, answer(200, {"messages": listed}))
    assert found is not None
    assert found.vendor_id == "SM9"
    assert provider.looked_up(message, answer(200, {"messages": listed[:1]})) is None
    request = provider.look_up(message)
    assert request is not None
    assert request.url.endswith("/Messages.json?To=%2B12025550142&PageSize=20")


@pytest.mark.parametrize("body", [{}, {"messages": None}, [], "x"])
def test_a_look_up_that_cannot_tell_is_unknown(body: object) -> None:
    with pytest.raises(OutcomeUnknown):
        files.provider("twilio").looked_up(files.message("twilio"), answer(200, body))


# --- receipts and replies -------------------------------------------------------------------------


def receipts(form: dict[str, str], **changes: Any) -> Any:
    call = signed({"MessageSid": "SM1", "To": "+12025550142", **form}, url=HOOK + "?a=at-1")
    return files.provider("twilio", **changes).receipts(call)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("accepted", None),
        ("scheduled", None),
        ("queued", None),
        ("sending", None),
        ("receiving", None),
        ("brand_new_status", None),
        ("", None),
        ("sent", "sent"),
        ("delivered", "delivered"),
        ("read", "read"),
        ("undelivered", "failed"),
        ("failed", "failed"),
        ("canceled", "failed"),
    ],
)
def test_every_status(status: str, kind: str | None) -> None:
    read = receipts({"MessageStatus": status})
    assert [(r.kind.value, r.attempt_id, r.vendor_id) for r in read] == (
        [(kind, "at-1", "SM1")] if kind else []
    )


@pytest.mark.parametrize("code", ["", "0", "None"])
def test_a_failure_without_a_code(code: str) -> None:
    [receipt] = receipts({"MessageStatus": "failed", "ErrorCode": code})
    assert (receipt.kind.value, receipt.error, receipt.vendor_code) == ("failed", "", "")
    [receipt] = receipts({"MessageStatus": "canceled", "ErrorCode": code})
    assert receipt.vendor_code == "canceled"


def test_nothing_is_said_back_in_the_answer() -> None:
    answered = files.provider("twilio").answer(signed({"Body": "STOP", "From": "+12025550142"}))
    assert (answered.status, answered.body) == (200, b"")


def test_a_picture_without_words_is_a_reply() -> None:
    reply = reply_to({"Body": "", "NumMedia": "1", "MediaUrl0": "https://api.twilio.com/x"})
    assert (reply.text, reply.vendor_id, reply.vendor_handled) == ("", "SM2", "")


def test_an_unknown_failure_code_names_no_error() -> None:
    [receipt] = receipts({"MessageStatus": "failed", "ErrorCode": "63999"})
    assert (receipt.error, receipt.vendor_code) == ("", "63999")


def reply_to(words: dict[str, str], **changes: str) -> Any:
    form = {"MessageSid": "SM2", "From": "+12025550142", "To": "+15005550006", **words}
    [reply] = files.provider("twilio", **changes).replies(signed(form))
    return reply


@pytest.mark.parametrize(
    ("text", "handled"),
    [
        ("STOP", "stop"),
        ("UNSUBSCRIBE", "stop"),
        ("END", "stop"),
        ("QUIT", "stop"),
        ("STOPALL", "stop"),
        ("REVOKE", "stop"),
        ("OPTOUT", "stop"),
        ("CANCEL", "stop"),
        ("Stop", "stop"),
        (" stop\n", "stop"),
        ("START", "start"),
        ("UNSTOP", "start"),
        ("HELP", "help"),
        ("info", "help"),
        ("STOP ALL", ""),
        ("please stop", ""),
        ("YES", ""),
        ("STATUS", ""),
        ("", ""),
    ],
)
def test_words_twilio_answers_itself(text: str, handled: str) -> None:
    reply = reply_to({"Body": text})
    assert (reply.vendor_handled, reply.vendor_confirmed) == (handled, bool(handled))
    reply = reply_to({"Body": text}, vendor_answers_stop="no")
    assert (reply.vendor_handled, reply.vendor_confirmed) == ("", False)


@pytest.mark.parametrize("setting", ["yes", "no"])
@pytest.mark.parametrize(
    ("given", "handled"), [("STOP", "stop"), ("START", "start"), ("HELP", "help")]
)
def test_advanced_opt_out_says_what_it_did(given: str, handled: str, setting: str) -> None:
    """With Advanced Opt-Out the words are the restaurant's own."""
    reply = reply_to({"Body": "basta", "OptOutType": given}, vendor_answers_stop=setting)
    assert (reply.vendor_handled, reply.vendor_confirmed) == (handled, True)
