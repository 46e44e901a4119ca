"""WhatsApp beyond the common contract: every code, templates, challenge, statuses, messages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from integrations.contracts import HttpResponse, InboundCall
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    PayloadMalformed,
    RateLimited,
    RecipientOptedOut,
    RecipientUnreachable,
    SignatureInvalid,
    TransientError,
)
from tests.integrations import fixture_files as files
from tests.integrations.providers.meta_calls import challenge, error_body, posted, signed

#: every row of Meta's table: code -> error, wait in seconds
CODES: list[tuple[int, type[Exception], float | None]] = [
    (1, TransientError, None),
    (2, TransientError, None),
    (131000, TransientError, None),
    (131016, TransientError, None),
    (135000, TransientError, None),
    (131057, TransientError, None),
    (4, RateLimited, 60),
    (80007, RateLimited, 60),
    (130429, RateLimited, 60),
    (133016, RateLimited, 60),
    (131056, RateLimited, 6),
    (131026, RecipientUnreachable, None),
    (131021, RecipientUnreachable, None),
    (131050, MessageRejected, None),
    (131047, MessageRejected, None),
    (131049, MessageRejected, None),
    (130472, MessageRejected, None),
    (100, MessageRejected, None),
    (131008, MessageRejected, None),
    (131009, MessageRejected, None),
    (131051, MessageRejected, None),
    (131052, MessageRejected, None),
    (131053, MessageRejected, None),
    (132000, MessageRejected, None),
    (132005, MessageRejected, None),
    (132008, MessageRejected, None),
    (132012, MessageRejected, None),
    (132018, MessageRejected, None),
    (131062, MessageRejected, None),
    (132001, MessageRejected, None),
    (132007, MessageRejected, None),
    (132015, MessageRejected, None),
    (132016, MessageRejected, None),
    (190, ConfigurationError, None),
    (3, ConfigurationError, None),
    (10, ConfigurationError, None),
    (200, ConfigurationError, None),
    (299, ConfigurationError, None),
    (131005, ConfigurationError, None),
    (33, ConfigurationError, None),
    (133010, ConfigurationError, None),
    (131045, ConfigurationError, None),
    (131037, ConfigurationError, None),
    (131030, ConfigurationError, None),
    (131042, ConfigurationError, None),
    (368, ConfigurationError, None),
    (131031, ConfigurationError, None),
    (130497, ConfigurationError, None),
    (131048, ConfigurationError, None),
    (131064, ConfigurationError, None),
]


def outcome(response: HttpResponse, **changes: Any) -> Any:
    message = files.message("whatsapp", **changes)
    return files.provider("whatsapp").outcome(message, response)


@pytest.mark.parametrize("status", [400, 500])
@pytest.mark.parametrize(("code", "error", "wait_s"), CODES)
def test_every_code_of_an_answer(
    code: int, error: type[Exception], wait_s: float | None, status: int
) -> None:
    with pytest.raises((error,)) as caught:
        outcome(HttpResponse(status, {}, error_body(code)))
    raised: Any = caught.value
    assert type(raised) is error
    assert raised.vendor_code == str(code)
    assert "words" not in str(raised)
    if error is RateLimited:
        # too many to one person is that person's wait alone
        assert (raised.retry_after_s, raised.whole_account) == (wait_s, code != 131056)


@pytest.mark.parametrize(("code", "error", "_wait"), CODES)
def test_every_code_of_a_failed_status(
    code: int, error: type[Exception], _wait: float | None
) -> None:
    [receipt] = statuses({"id": "wamid.1", "status": "failed", "errors": [{"code": code}]})
    word = "config" if error is ConfigurationError else getattr(error, "code")  # noqa: B009
    assert (receipt.kind.value, receipt.error, receipt.vendor_code) == ("failed", word, str(code))


def test_code_zero_is_a_dead_token() -> None:
    with pytest.raises(ConfigurationError):
        outcome(HttpResponse(401, {}, error_body(0)))


def test_stopped_marketing_is_an_opt_out_of_marketing_only() -> None:
    response = HttpResponse(400, {}, error_body(131050))
    with pytest.raises(RecipientOptedOut) as caught:
        outcome(response, purpose="marketing")
    assert (caught.value.purpose, caught.value.reason) == ("marketing", "user")


@pytest.mark.parametrize("status", ["accepted", "held_for_quality_assessment", "paused"])
def test_what_meta_does_with_an_accepted_message_is_kept(status: str) -> None:
    body = json.dumps({"messages": [{"id": "wamid.1", "message_status": status}]}).encode()
    accepted = outcome(HttpResponse(200, {}, body))
    assert (accepted.vendor_id, accepted.detail) == ("wamid.1", status)


def test_retry_after_wins_over_our_own_figure() -> None:
    with pytest.raises(RateLimited) as caught:
        outcome(HttpResponse(429, {"retry-after": "9"}, error_body(130429)))
    assert caught.value.retry_after_s == 9.0


@pytest.mark.parametrize("code", [None, "190", True, [], {}, 1.5, 999999])
def test_an_unknown_code_goes_by_the_status(code: object) -> None:
    with pytest.raises(MessageRejected):
        outcome(HttpResponse(400, {}, error_body(code)))
    with pytest.raises(OutcomeUnknown):
        outcome(HttpResponse(502, {}, error_body(code)))


@pytest.mark.parametrize(
    "body",
    [b'{"messages":[]}', b'{"messages":[{"id":""}]}', b'{"messages":{}}', error_body(None)],
)
def test_a_200_without_an_id_is_unknown(body: bytes) -> None:
    with pytest.raises(OutcomeUnknown):
        outcome(HttpResponse(200, {}, body))


# --- the request ----------------------------------------------------------------------------------


def sent(settings: dict[str, str] | None = None, **changes: Any) -> Any:
    provider = files.provider("whatsapp", **(settings or {}))
    return json.loads(provider.request(files.message("whatsapp", **changes)).body)


@pytest.mark.parametrize(
    ("to", "field", "value"),
    [
        ("+12025550142", "to", "12025550142"),
        ("12025550142", "to", "12025550142"),
        ("US.13491208655302741918", "recipient", "US.13491208655302741918"),
    ],
)
def test_numbers_and_user_ids(to: str, field: str, value: str) -> None:
    body = sent(to=to)
    assert body[field] == value
    assert {"to", "recipient"} & body.keys() == {field}


def test_without_a_template_it_is_plain_text() -> None:
    body = sent(vendor_template="", text="Hi")
    assert (body["type"], body["text"]) == ("text", {"preview_url": False, "body": "Hi"})


def test_an_answer_carries_a_button() -> None:
    body = sent(vendor_template="", purpose="service_reply")
    [button] = body["interactive"]["action"]["buttons"]
    assert button["reply"] == {"id": "status:1042", "title": "Order status"}
    assert len(button["reply"]["title"]) <= 20


def test_inside_the_window_our_own_words_go_out_with_buttons() -> None:
    body = sent(window_open=True, milestone="ready")
    assert body["type"] == "interactive"
    titles = [b["reply"]["title"] for b in body["interactive"]["action"]["buttons"]]
    assert titles == ["Order status", "On my way", "Stop"]
    body = sent(window_open=True, milestone="preparing")
    ids = [b["reply"]["id"] for b in body["interactive"]["action"]["buttons"]]
    assert ids == ["status:1042", "stop"]
    assert sent(window_open=False)["type"] == "template"


def test_an_answer_too_long_for_a_button_is_plain() -> None:
    assert sent(vendor_template="", purpose="service_reply", text="x" * 1025)["type"] == "text"


@pytest.mark.parametrize(
    ("vendor_template", "language", "code"),
    [("ready:es", "en", "es"), ("ready", "es", "es"), ("ready", "pt-BR", "pt_BR")],
)
def test_the_language_of_a_template(vendor_template: str, language: str, code: str) -> None:
    template = sent(vendor_template=vendor_template, language=language)["template"]
    assert (template["name"], template["language"]) == ("ready", {"code": code})


@pytest.mark.parametrize("name", ["Ready", "ready:english", "ready now", "a" * 513])
def test_template_names_meta_would_refuse(name: str) -> None:
    with pytest.raises(MessageRejected):
        sent(vendor_template=name)


def test_named_parameters() -> None:
    settings = {"template_parameters": "named", "template_variables": "order, status"}
    [body, *_] = sent(settings)["template"]["components"]
    assert [p["parameter_name"] for p in body["parameters"]] == ["order", "status"]


def test_variables_are_one_line_and_never_empty() -> None:
    variables = {"name": "", "order": "10\n42\t     x", "status": "\ud83c"}
    [body, *_] = sent(variables=variables)["template"]["components"]
    assert [p["text"] for p in body["parameters"]] == ["-", "10 42 x", "-"]


@pytest.mark.parametrize(("setting", "count"), [("none", 0), ("", 0), ("url", 1), ("status", 1)])
def test_template_buttons(setting: str, count: int) -> None:
    components = sent({"template_buttons": setting})["template"]["components"]
    assert len(components) == 1 + count


@pytest.mark.parametrize("words", ["", "  ", "\x00"])
def test_no_words_no_message(words: str) -> None:
    with pytest.raises(MessageRejected):
        sent(text=words)


def test_a_closed_window_is_answered_with_the_template_once() -> None:
    provider = files.provider("whatsapp")
    closed = MessageRejected("whatsapp", vendor_code="131047")
    message = files.message("whatsapp", window_open=True)
    other = provider.instead(message, closed)
    assert other == files.message("whatsapp", window_open=False)
    assert provider.instead(files.message("whatsapp"), closed) is None
    without = files.message("whatsapp", window_open=True, vendor_template="")
    assert provider.instead(without, closed) is None
    assert provider.instead(message, MessageRejected("whatsapp", vendor_code="131049")) is None


# --- the challenge --------------------------------------------------------------------------------


def answer(call: InboundCall) -> Any:
    return files.provider("whatsapp").handshake(call)


def test_the_challenge_is_answered() -> None:
    made = answer(challenge(mode="subscribe", verify_token="order-up-verify-1", challenge="115842"))
    assert (made.status, made.body) == (200, b"115842")


@pytest.mark.parametrize(
    "query",
    [
        {"mode": "subscribe", "verify_token": "wrong", "challenge": "1"},
        {"mode": "subscribe", "verify_token": "ü", "challenge": "1"},
        {"mode": "subscribe", "challenge": "1"},
        {"mode": "unsubscribe", "verify_token": "order-up-verify-1", "challenge": "1"},
    ],
)
def test_a_wrong_challenge_is_refused(query: dict[str, str]) -> None:
    made = answer(challenge(**query))
    assert (made.status, made.body) == (403, b"")


def test_an_ordinary_call_is_no_challenge() -> None:
    assert answer(challenge()) is None
    assert answer(posted({})) is None


# --- signatures -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "digest"),
    [
        (
            rb'{"object":"whatsapp_business_account","entry":[]}',
            "1f1ddaf60129a405dae511085a1277c94455b2d955e1986bf5048cac89765e87",
        ),
        (
            rb'{"t":"caf\u00e9 \ud83d\ude00"}',
            "841a3dc52cc5db8f11fe9602d0248d16011273355ad3a0efd675ded6883a0c31",
        ),
    ],
)
def test_the_signature_vectors(body: bytes, digest: str) -> None:
    call = signed(body)
    assert call.headers["x-hub-signature-256"] == f"sha256={digest}"
    assert files.provider("whatsapp").receipts(call) == []


def test_json_written_again_does_not_fit() -> None:
    true = signed(rb'{"t":"caf\u00e9 \ud83d\ude00"}')
    again = json.dumps(json.loads(true.body), ensure_ascii=False).encode()
    with pytest.raises(SignatureInvalid):
        files.provider("whatsapp").receipts(
            InboundCall("POST", true.url, true.headers, again, true.received_at)
        )


def test_the_secret_before_this_one_is_believed_while_it_is_set() -> None:
    call = signed(b"{}", secret="old-secret")
    assert files.provider("whatsapp", previous_app_secret="old-secret").receipts(call) == []
    for provider in (files.provider("whatsapp"), files.provider("whatsapp", app_secret="new")):
        with pytest.raises(SignatureInvalid):
            provider.receipts(call)
        with pytest.raises(SignatureInvalid):
            provider.replies(call)


def test_the_verify_token_signs_nothing() -> None:
    with pytest.raises(SignatureInvalid):
        files.provider("whatsapp").receipts(signed(b"{}", secret="order-up-verify-1"))


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b"[" * 100_000])
def test_a_signed_body_that_is_not_an_object(body: bytes) -> None:
    with pytest.raises(PayloadMalformed):
        files.provider("whatsapp").receipts(signed(body))


# --- what comes back ------------------------------------------------------------------------------


def envelope(*values: object, field: str = "messages") -> InboundCall:
    change = [{"field": field, "value": value} for value in values]
    return posted({"object": "whatsapp_business_account", "entry": [{"changes": change}]})


def statuses(*found: object) -> Any:
    return files.provider("whatsapp").receipts(envelope({"statuses": list(found)}))


def messages(*found: object, **value: object) -> Any:
    return files.provider("whatsapp").replies(envelope({"messages": list(found), **value}))


@pytest.mark.parametrize(
    ("status", "kind"),
    [("sent", "sent"), ("delivered", "delivered"), ("read", "read"), ("played", "read")],
)
def test_every_status(status: str, kind: str) -> None:
    [receipt] = statuses({"id": "wamid.1", "status": status, "recipient_user_id": "US.1"})
    assert (receipt.kind.value, receipt.error, receipt.recipient) == (kind, "", "US.1")


PERSON, ALIAS = "12025550142", "US.13491208655302741918"
BOTH = {"wa_id": PERSON, "user_id": ALIAS}


@pytest.mark.parametrize(
    ("ids", "contacts", "recipient", "alias"),
    [
        ({"recipient_id": PERSON}, [BOTH], PERSON, ALIAS),
        ({"recipient_id": PERSON, "recipient_user_id": ALIAS}, None, PERSON, ALIAS),
        ({"recipient_user_id": ALIAS}, None, ALIAS, ALIAS),
        ({"recipient_id": PERSON}, [{"wa_id": "1", "user_id": "US.1"}], PERSON, ""),
        ({"recipient_id": PERSON}, ["x", None], PERSON, ""),
        ({}, [{"user_id": ALIAS}], "", ""),
    ],
)
def test_both_ids_of_whom_a_status_is_about(
    ids: dict[str, str], contacts: object, recipient: str, alias: str
) -> None:
    status = {"id": "wamid.1", "status": "sent", **ids}
    value = {"statuses": [status], "contacts": contacts}
    [receipt] = files.provider("whatsapp").receipts(envelope(value))
    assert (receipt.recipient, receipt.alias) == (recipient, alias)


def test_a_refusal_of_marketing_is_that_persons_choice() -> None:
    errors = [{"code": 131050}]
    status = {"id": "wamid.1", "status": "failed", "errors": errors, "timestamp": "1773528122"}
    failed, choice = statuses({**status, "recipient_id": PERSON})
    assert (failed.kind.value, failed.error) == ("failed", "rejected")
    assert (choice.kind.value, choice.recipient, choice.purpose) == (
        *("unsubscribed", PERSON, "marketing"),
    )
    assert (choice.vendor_id, choice.attempt_id) == ("", "")


def preferences(*found: object, **value: object) -> Any:
    call = envelope({"user_preferences": list(found), **value}, field="user_preferences")
    assert files.provider("whatsapp").replies(call) == []
    return files.provider("whatsapp").receipts(call)


CHOICE = {"category": "marketing_messages", "timestamp": 1773528122}


@pytest.mark.parametrize(("value", "kind"), [("stop", "unsubscribed"), ("resume", "resubscribed")])
@pytest.mark.parametrize(
    ("ids", "contacts", "recipient", "alias"),
    [
        ({"wa_id": PERSON}, [BOTH], PERSON, ALIAS),
        (BOTH, None, PERSON, ALIAS),
        ({"user_id": ALIAS}, None, ALIAS, ALIAS),
    ],
)
def test_a_choice_about_marketing(
    ids: dict[str, str], contacts: object, recipient: str, alias: str, value: str, kind: str
) -> None:
    [receipt] = preferences({**CHOICE, **ids, "value": value}, contacts=contacts)
    assert (receipt.kind.value, receipt.purpose) == (kind, "marketing")
    assert (receipt.recipient, receipt.alias) == (recipient, alias)
    assert receipt.vendor_time is not None
    assert receipt.vendor_time.isoformat() == "2026-03-14T22:42:02+00:00"


@pytest.mark.parametrize(
    "choice",
    [
        {**CHOICE, "value": "stop"},
        {**CHOICE, "wa_id": PERSON, "value": "interested"},
        {**CHOICE, "wa_id": PERSON},
        {**CHOICE, "wa_id": PERSON, "value": "stop", "category": "calls"},
        "x",
        None,
    ],
)
def test_choices_that_say_nothing(choice: object) -> None:
    assert preferences(choice) == []


def test_many_statuses_in_many_changes() -> None:
    one = {"statuses": [{"id": "a", "status": "sent"}, {"id": "a", "status": "read"}]}
    found = files.provider("whatsapp").receipts(envelope(one, {"statuses": None}, one))
    assert [r.kind.value for r in found] == ["sent", "read"] * 2


@pytest.mark.parametrize(
    "status",
    [{"status": "sent"}, {"id": "a", "status": "deleted"}, {"id": "a"}, {"id": 1.5}, "x", None],
)
def test_statuses_that_say_nothing(status: object) -> None:
    assert statuses(status) == []


@pytest.mark.parametrize("errors", [None, [], ["x"], [{}], [{"code": "131026"}]])
def test_a_failure_without_a_usable_code(errors: object) -> None:
    [receipt] = statuses({"id": "a", "status": "failed", "errors": errors, "timestamp": "soon"})
    assert (receipt.kind.value, receipt.error, receipt.vendor_code) == ("failed", "", "")
    assert receipt.vendor_time is None


def test_an_unknown_code_is_kept() -> None:
    [receipt] = statuses({"id": "a", "status": "failed", "errors": [{"code": 999999}]})
    assert (receipt.error, receipt.vendor_code) == ("", "999999")


def test_news_of_another_number_or_field_is_not_ours() -> None:
    provider = files.provider("whatsapp")
    value = {"metadata": {"phone_number_id": "1"}, "statuses": [{"id": "a", "status": "sent"}]}
    assert provider.receipts(envelope(value)) == []
    assert provider.receipts(envelope({**value, "metadata": None}, field="account_update")) == []
    assert provider.receipts(posted({"object": "page", "entry": [{"changes": [value]}]})) == []


@pytest.mark.parametrize(
    ("found", "words", "payload"),
    [
        ({"type": "text", "text": {"body": " where is it? "}}, "where is it?", ""),
        (
            {"type": "button", "button": {"text": "Order status", "payload": "p"}},
            "Order status",
            "p",
        ),
        (
            {"type": "interactive", "interactive": {"button_reply": {"id": "i", "title": "Yes"}}},
            "Yes",
            "i",
        ),
        (
            {"type": "interactive", "interactive": {"list_reply": {"id": "i", "title": "Yes"}}},
            "Yes",
            "i",
        ),
        ({"type": "image", "image": {"caption": "look"}}, "look", ""),
        ({"type": "audio", "audio": {}}, "[audio]", ""),
    ],
)
def test_every_kind_of_answer(found: dict[str, Any], words: str, payload: str) -> None:
    [reply] = messages({"from": "12025550142", "id": "wamid.IN", **found})
    assert (reply.text, reply.action.get("value", "")) == (words, payload)


def test_a_person_without_a_number() -> None:
    said = {"id": "wamid.IN", "type": "text", "text": {"body": "STOP"}}
    [reply] = messages({**said, "from_user_id": "US.1349"})
    assert (reply.sender, reply.alias) == ("US.1349", "")


@pytest.mark.parametrize(
    ("ids", "contacts", "alias"),
    [
        ({"from_user_id": ALIAS}, [], ALIAS),
        ({}, [BOTH], ALIAS),
        ({}, [{"wa_id": PERSON}], ""),
        ({}, [{"wa_id": "1", "user_id": "US.1"}], ""),
    ],
)
def test_a_person_with_a_number_and_an_id(
    ids: dict[str, str], contacts: object, alias: str
) -> None:
    said = {"from": PERSON, "id": "wamid.IN", "type": "text", "text": {"body": "hi"}}
    [reply] = messages({**said, **ids}, contacts=contacts)
    assert (reply.sender, reply.alias) == (PERSON, alias)


@pytest.mark.parametrize(
    "found",
    [
        {"type": "reaction", "reaction": {"emoji": "x"}},
        {"type": "system", "system": {"type": "user_changed_number"}},
        {"type": "unsupported"},
        {"type": None},
        {"type": "text", "text": {"body": "x"}, "id": ""},
        {"type": "text", "text": {"body": "x"}, "from": None},
    ],
)
def test_what_nobody_said(found: dict[str, Any]) -> None:
    assert messages({"from": "12025550142", "id": "wamid.IN", **found}, contacts=None) == []


# --- what is set up -------------------------------------------------------------------------------

NOTHING = "Meta has no approved template"


@pytest.mark.parametrize(
    ("states", "words"),
    [
        (["APPROVED"], []),
        (["APPROVED", "PENDING", "REJECTED", "PAUSED", "DISABLED"], list("1234")),
        (["REJECTED"], ["t0:en as rejected", NOTHING]),
        ([], [NOTHING]),
    ],
)
@pytest.mark.parametrize("key", ["whatsapp", "messenger"])
def test_templates_meta_does_not_send(key: str, states: list[str], words: list[str]) -> None:
    listed: list[Any] = [
        {"name": f"t{number}", "language": "en", "status": status, "category": "UTILITY"}
        for number, status in enumerate(states)
    ]
    offer = {"name": "offer", "language": "en", "status": "PAUSED", "category": "MARKETING"}
    body = json.dumps({"data": [*listed, offer]}).encode()
    gaps = files.provider(key).set_up_gaps(HttpResponse(200, {}, body))
    assert len(gaps) == len(words)
    assert all(word in gap for word, gap in zip(words, gaps, strict=True))
