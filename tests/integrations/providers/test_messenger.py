"""Messenger beyond the common contract: every code, windows, templates, receipts, messages."""

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
    RecipientUnreachable,
    SignatureInvalid,
    TransientError,
)
from tests.integrations import fixture_files as files
from tests.integrations.providers.meta_calls import challenge, error_body, posted, signed

PAGE, PERSON = files.settings("messenger")["page_id"], files.message("messenger").to

#: every row of Meta's table: code, subcode -> error
CODES: list[tuple[int, int | None, type[Exception]]] = [
    (1, None, TransientError),
    (2, None, TransientError),
    (1200, None, TransientError),
    (4, None, RateLimited),
    (17, None, RateLimited),
    (32, None, RateLimited),
    (613, None, RateLimited),
    (80006, None, RateLimited),
    (10, 2018278, MessageRejected),
    (10, 2534022, MessageRejected),
    (10, 2018065, MessageRejected),
    (10, 2018300, MessageRejected),
    (10, 2018108, RecipientUnreachable),
    (551, None, RecipientUnreachable),
    (551, 1545041, RecipientUnreachable),
    (200, 1545041, RecipientUnreachable),
    (100, 2018001, RecipientUnreachable),
    (100, None, MessageRejected),
    (100, 2018109, MessageRejected),
    (190, None, ConfigurationError),
    (190, 460, ConfigurationError),
    (10, None, ConfigurationError),
    (10, 1893063, ConfigurationError),
    (200, None, ConfigurationError),
    (200, 2018028, ConfigurationError),
    (230, None, ConfigurationError),
    (368, None, ConfigurationError),
]


def outcome(response: HttpResponse) -> Any:
    return files.provider("messenger").outcome(files.message("messenger"), response)


@pytest.mark.parametrize("status", [400, 500])
@pytest.mark.parametrize(("code", "subcode", "error"), CODES)
def test_every_code_of_an_answer(
    code: int, subcode: int | None, error: type[Exception], status: int
) -> None:
    with pytest.raises((error,)) as caught:
        outcome(HttpResponse(status, {}, error_body(code, subcode)))
    raised: Any = caught.value
    assert type(raised) is error
    assert raised.vendor_code == (f"{code}/{subcode}" if subcode else str(code))
    assert "words" not in str(raised)
    if error is RateLimited:
        assert (raised.retry_after_s, raised.whole_account) == (60.0, True)
    if error is TransientError:
        assert raised.most_retries == 2  # 2 may mean that the person blocked the Page


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_error_is_repeated_twice_at_most(status: int) -> None:
    with pytest.raises(TransientError) as caught:
        outcome(HttpResponse(status, {}, b"<html>"))
    assert caught.value.most_retries == 2


def test_retry_after_wins_over_our_own_figure() -> None:
    with pytest.raises(RateLimited) as caught:
        outcome(HttpResponse(400, {"retry-after": "9"}, error_body(613)))
    assert caught.value.retry_after_s == 9.0


@pytest.mark.parametrize("code", [None, "190", True, [], 1.5, 999999])
def test_an_unknown_code_goes_by_the_status(code: object) -> None:
    with pytest.raises(MessageRejected):
        outcome(HttpResponse(400, {}, error_body(code)))
    with pytest.raises(OutcomeUnknown):
        outcome(HttpResponse(502, {}, error_body(code)))


@pytest.mark.parametrize(
    "body", [b'{"recipient_id":"1"}', b'{"message_id":""}', b'{"message_id":[]}', error_body(None)]
)
def test_a_200_without_an_id_is_unknown(body: bytes) -> None:
    with pytest.raises(OutcomeUnknown):
        outcome(HttpResponse(200, {}, body))


# --- the request ----------------------------------------------------------------------------------


def sent(settings: dict[str, str] | None = None, **changes: Any) -> Any:
    provider = files.provider("messenger", **(settings or {}))
    return json.loads(provider.request(files.message("messenger", **changes)).body)


def test_news_inside_the_window() -> None:
    body = sent(vendor_template="", text="On its way")
    assert body["messaging_type"] == "UPDATE"
    assert body["message"]["text"] == "On its way"
    assert body["message"]["metadata"] == files.message("messenger").attempt_id
    buttons = [(b["title"], b["payload"]) for b in body["message"]["quick_replies"]]
    assert buttons == [("Order status", "status:1042"), ("Stop", "stop")]


def test_an_answer_carries_a_button() -> None:
    body = sent(vendor_template="", purpose="service_reply")
    assert body["messaging_type"] == "RESPONSE"
    [button] = body["message"]["quick_replies"]
    assert (button["title"], button["payload"]) == ("Order status", "status:1042")


def test_inside_the_window_our_own_words_go_out_instead_of_a_template() -> None:
    assert sent(window_open=False)["messaging_type"] == "UTILITY"
    body = sent(window_open=True)
    assert (body["messaging_type"], "template" in body["message"]) == ("UPDATE", False)


@pytest.mark.parametrize("code", ["10/2018278", "10/2534022", "10/2018065"])
def test_a_closed_window_is_answered_with_the_template_once(code: str) -> None:
    provider = files.provider("messenger")
    message = files.message("messenger", window_open=True)
    closed = MessageRejected("messenger", vendor_code=code)
    assert provider.instead(message, closed) == files.message("messenger", window_open=False)
    assert provider.instead(files.message("messenger"), closed) is None
    without = files.message("messenger", window_open=True, vendor_template="")
    assert provider.instead(without, closed) is None
    assert files.provider("messenger", utility_messages="no").instead(message, closed) is None
    assert provider.instead(message, MessageRejected("messenger", vendor_code="100")) is None


@pytest.mark.parametrize("setting", ["no", ""])
def test_no_template_before_meta_approved_them(setting: str) -> None:
    assert sent({"utility_messages": setting})["messaging_type"] == "UPDATE"


def test_templates() -> None:
    settings = {"template_variables": "status, name", "template_url_button": "no"}
    made = sent(settings, vendor_template="ready", language="pt-BR", variables={"status": "a\nb"})
    template = made["message"]["template"]
    assert (template["name"], template["language"]) == ("ready", {"code": "pt_BR"})
    [body] = template["components"]
    assert [p["text"] for p in body["parameters"]] == ["a b", "-"]


@pytest.mark.parametrize("name", ["Ready", "ready:english", "ready now"])
def test_template_names_meta_would_refuse(name: str) -> None:
    with pytest.raises(MessageRejected):
        sent(vendor_template=name)


@pytest.mark.parametrize("words", ["", "  ", "\x00"])
def test_no_words_no_message(words: str) -> None:
    with pytest.raises(MessageRejected):
        sent(text=words)


@pytest.mark.parametrize("to", ["", "+12025550142", "ana", "١٢٣٤", "1" * 41, "12\n34"])
def test_addresses_that_are_no_page_scoped_id(to: str) -> None:
    with pytest.raises(RecipientUnreachable):
        sent(to=to)


# --- challenge and signature ----------------------------------------------------------------------


def test_the_challenge() -> None:
    provider = files.provider("messenger")
    asked = {"mode": "subscribe", "challenge": "115842"}
    good = provider.handshake(challenge(**asked, verify_token="order-up-verify-1"))
    assert good is not None
    assert (good.status, good.body) == (200, b"115842")
    bad = provider.handshake(challenge(**asked, verify_token="x"))
    assert bad is not None
    assert (bad.status, bad.body) == (403, b"")
    assert provider.handshake(posted({})) is None


def test_the_secret_before_this_one_is_believed_while_it_is_set() -> None:
    call = signed(b"{}", secret="old-secret")
    assert files.provider("messenger", previous_app_secret="old-secret").receipts(call) == []
    with pytest.raises(SignatureInvalid):
        files.provider("messenger").receipts(call)
    with pytest.raises(SignatureInvalid):
        files.provider("messenger").replies(call)


def test_the_proof_is_made_with_the_present_secret() -> None:
    provider = files.provider("messenger", previous_app_secret="old-secret")
    assert provider.request(files.message("messenger")).url.endswith(
        "?appsecret_proof=bea1fdca8e39f485df253b3057afbb6654483f1c75dd824dc8c8b55242e35f39"
    )


def test_escaped_characters_are_signed_as_sent() -> None:
    true = signed(rb'{"object":"page","entry":[],"t":"caf\u00e9 \ud83d\ude00"}')
    assert files.provider("messenger").replies(true) == []
    again = json.dumps(json.loads(true.body), ensure_ascii=False).encode()
    with pytest.raises(SignatureInvalid):
        files.provider("messenger").replies(
            InboundCall("POST", true.url, true.headers, again, true.received_at)
        )


@pytest.mark.parametrize("body", [b"{", b"[]", b"null"])
def test_a_signed_body_that_is_not_an_object(body: bytes) -> None:
    with pytest.raises(PayloadMalformed):
        files.provider("messenger").receipts(signed(body))


# --- what comes back ------------------------------------------------------------------------------


def call_with(*events: object, page: str = PAGE, kind: str = "page") -> InboundCall:
    return posted({"object": kind, "entry": [{"id": page, "messaging": list(events)}]})


def from_person(**event: object) -> dict[str, object]:
    ends = {"sender": {"id": PERSON}, "recipient": {"id": PAGE}}
    return {**ends, "timestamp": 1773528122000, **event}


def receipts(*events: object) -> Any:
    return files.provider("messenger").receipts(call_with(*events))


def replies(*events: object) -> Any:
    return files.provider("messenger").replies(call_with(*events))


def test_a_delivery_of_many() -> None:
    found = receipts(from_person(delivery={"mids": ["m_1", "m_2", None], "watermark": 1}))
    assert [(r.kind.value, r.vendor_id) for r in found] == [
        ("delivered", "m_1"),
        ("delivered", "m_2"),
    ]


@pytest.mark.parametrize(
    "event",
    [
        from_person(delivery={"mids": None}),
        from_person(delivery=None),
        from_person(message={"is_echo": True, "mid": "m_1", "app_id": 2}),
        from_person(message={"is_echo": True, "metadata": "a"}),
        "x",
        None,
    ],
)
def test_what_names_no_message_of_ours(event: object) -> None:
    assert receipts(event) == []
    assert replies(event) == []


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"delivery": {"watermark": 1773528122000}}, "delivered"),
        ({"delivery": {"mids": [], "watermark": 1773528122000}}, "delivered"),
        ({"read": {"watermark": 1773528122000}}, "read"),
    ],
)
def test_a_watermark_covers_what_the_person_got_before(said: Any, kind: str) -> None:
    event = from_person(**said)
    [found] = receipts(event)
    assert found.kind.value == kind
    assert found.recipient == event["sender"]["id"]
    assert found.up_to is not None
    assert found.up_to.isoformat() == "2026-03-14T22:42:02+00:00"
    assert replies(event) == []


def test_other_pages_and_objects_are_not_ours() -> None:
    event = from_person(message={"mid": "m_1", "text": "hi"})
    provider = files.provider("messenger")
    assert provider.replies(call_with(event, page="1")) == []
    assert provider.replies(call_with(event, kind="instagram")) == []
    assert len(provider.replies(call_with(event, event))) == 2


def test_a_conversation_another_app_has_is_only_overheard() -> None:
    """A person at the Page's inbox answers: what is said there comes as "standby"."""
    said = from_person(message={"mid": "m_1", "text": "where is it?"})
    pressed = from_person(postback={"payload": "p"})
    theirs = from_person(message={"mid": "m_2", "text": "soon", "is_echo": True, "app_id": 7})
    seen = from_person(read={"watermark": 1773528122000})
    passed = from_person(pass_thread_control={"new_owner_app_id": "263902037430900"})
    standby = [said, pressed, theirs, seen, None]
    entry = {"id": PAGE, "standby": standby, "messaging": [passed]}
    call = posted({"object": "page", "entry": [entry]})
    provider = files.provider("messenger")
    [reply] = provider.replies(call)
    assert (reply.text, reply.action, reply.vendor_confirmed) == (
        *("where is it?", {"type": "overheard"}, True),
    )
    assert [receipt.kind.value for receipt in provider.receipts(call)] == ["read"]


REFERRAL = {"ref": "tok-1", "source": "SHORTLINK", "type": "OPEN_THREAD"}


@pytest.mark.parametrize(
    ("event", "words", "vendor_id", "action"),
    [
        ({"message": {"mid": "m_1", "text": "where is it?"}}, "where is it?", "m_1", {}),
        (
            {"message": {"mid": "m_1", "attachments": [{"type": "image"}]}},
            "[image]",
            "m_1",
            {},
        ),
        (
            {"postback": {"mid": "m_2", "title": "Track", "payload": "p"}},
            "Track",
            "m_2",
            {"type": "button", "value": "p"},
        ),
        (
            {"postback": {"title": "Get Started", "payload": "p", "referral": REFERRAL}},
            "Get Started",
            f"{PERSON}:1773528122000",
            {"type": "link", "value": "tok-1"},
        ),
        (
            {"referral": REFERRAL},
            "",
            f"{PERSON}:1773528122000",
            {"type": "link", "value": "tok-1"},
        ),
    ],
)
def test_every_kind_of_answer(
    event: dict[str, Any], words: str, vendor_id: str, action: dict[str, str]
) -> None:
    [reply] = replies(from_person(**event))
    assert (reply.text, reply.vendor_id, reply.action) == (words, vendor_id, action)
    assert reply.sender == PERSON


@pytest.mark.parametrize(
    "event",
    [
        {"message": {"mid": "m_1"}},
        {"message": {"mid": "m_1", "attachments": []}},
        {"sender": None, "message": {"mid": "m_1", "text": "hi"}},
        {"referral": {"source": "ADS"}},
        {"optin": {}},
    ],
)
def test_what_nobody_said(event: dict[str, Any]) -> None:
    assert replies(from_person(**event)) == []
