"""Every row of Zendesk's outcome table, what a message becomes, and the signed trigger."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from integrations.contracts import Accepted, Channel, HttpResponse, InboundCall, Message
from integrations.errors import (
    ConfigurationError,
    IntegrationError,
    MessageRejected,
    OutcomeUnknown,
    PayloadMalformed,
    RateLimited,
    RecipientUnreachable,
    SignatureInvalid,
    TransientError,
)
from integrations.providers.zendesk_webhook import PUBLIC_TEST_SECRET
from integrations.signatures import hmac_base64
from tests.integrations import fixture_files as files
from tests.integrations.providers.helpdesk_calls import answer, send
from tests.integrations.test_contract import BARE_STATUSES

HOOK = "https://alerts.example.com/hooks/messages/tok_1/"
NOW = datetime(2026, 3, 14, 22, 42, 5, tzinfo=UTC)
STAMP = "2026-03-14T22:42:00Z"
SECRET = files.settings("zendesk")["signing_secret"]
TOKEN = answer(200, {"access_token": "t-1", "token_type": "bearer", "expires_in": 1800})
CREATED = answer(201, {"ticket": {"id": 35437}, "audit": {"id": 9}})
UPDATED = answer(200, {"ticket": {"id": 35436}, "audit": {"id": 8}})
GONE = answer(404, {"error": "RecordNotFound", "description": "Not found"})


def invalid(field: str, words: str, error: str = "InvalidValue") -> dict[str, Any]:
    details = {field: [{"description": words, "error": error}]}
    return {"error": "RecordInvalid", "description": "Record validation errors", "details": details}


CLOSED = answer(422, invalid("status", "Status: closed prevents ticket update"))


def made(**changes: Any) -> Message:
    return files.message("zendesk", **changes)


def outcome(response: HttpResponse, **changes: Any) -> Accepted:
    return files.provider("zendesk").outcome(made(**changes), response)


def ticket(settings: dict[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    request = files.provider("zendesk", **(settings or {})).request(made(**changes))
    found: dict[str, Any] = json.loads(request.body)["ticket"]
    return found


# --- outcomes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "error", "code"),
    [
        (
            answer(400, {"error": "IdempotentRequestError"}),
            OutcomeUnknown,
            "IdempotentRequestError",
        ),
        (answer(400, invalid("email", "is invalid")), RecipientUnreachable, "RecordInvalid"),
        (answer(422, invalid("requester", "is invalid")), RecipientUnreachable, "RecordInvalid"),
        (answer(422, invalid("base", "Ana is suspended")), RecipientUnreachable, "RecordInvalid"),
        (answer(422, invalid("subject", "is too long")), MessageRejected, "RecordInvalid"),
        (answer(422, invalid("base", "5000 comments")), MessageRejected, "RecordInvalid"),
        (answer(400, {"error": {"title": "Invalid attribute"}}), MessageRejected, ""),
        (answer(401, {"error": "invalid_token"}), ConfigurationError, "invalid_token"),
        (answer(403, {"error": "Forbidden"}), ConfigurationError, "Forbidden"),
        (GONE, ConfigurationError, "RecordNotFound"),
        (answer(409, {"error": "UpdateConflict"}), TransientError, "UpdateConflict"),
        (
            answer(429, {"error": "TooManyRequests"}, retry_after="7"),
            RateLimited,
            "TooManyRequests",
        ),
        (answer(503, None, retry_after="30"), RateLimited, ""),
        (answer(503), TransientError, ""),
        (answer(500), TransientError, ""),
        (answer(502), OutcomeUnknown, ""),
    ],
)
def test_the_outcome_table(response: HttpResponse, error: type[Exception], code: str) -> None:
    with pytest.raises((IntegrationError, ConfigurationError)) as caught:
        outcome(response)
    raised: Any = caught.value
    assert (type(raised), raised.vendor_code) == (error, code)
    if isinstance(raised, RateLimited):
        assert raised.retry_after_s in (7.0, 30.0)


@pytest.mark.parametrize("status", BARE_STATUSES)
@pytest.mark.parametrize("body", [b"<html><h1>Sorry</h1></html>", b"", b'{"err', b"[]", b"null"])
def test_a_refusal_without_a_name_goes_by_its_status(status: int, body: bytes) -> None:
    with pytest.raises((IntegrationError, ConfigurationError)) as caught:
        outcome(HttpResponse(status, {}, body))
    assert type(caught.value) is BARE_STATUSES[status]


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"", b"[]", b"null", b'{"ticket":{}}', b'{"ticket":{"id":"x"}}', b'{"id":1}'],
)
def test_an_unreadable_acceptance_is_unknown(body: bytes) -> None:
    with pytest.raises(OutcomeUnknown):
        outcome(HttpResponse(201, {}, body))


@pytest.mark.parametrize(
    ("response", "ticket_id"),
    [(CREATED, "35437"), (UPDATED, "35436"), (answer(200, {"ticket": {"id": 7}}), "7")],
)
def test_the_ticket_is_the_vendors_id(response: HttpResponse, ticket_id: str) -> None:
    assert outcome(response).vendor_id == ticket_id


# --- one ticket per order -------------------------------------------------------------------------


def test_a_first_message_opens_a_ticket() -> None:
    result, seen = send("zendesk", [TOKEN, CREATED])
    assert result == Accepted(vendor_id="35437", detail="audit 9")
    assert [call["line"] for call in seen] == ["POST /oauth/tokens", "POST /api/v2/tickets"]
    assert seen[0]["body"] == {
        "grant_type": "client_credentials",
        "client_id": "order_up",
        "client_secret": "0123456789abcdef0123456789abcdef",
        "scope": "tickets:read tickets:write",
    }
    assert seen[1]["headers"]["authorization"] == "Bearer t-1"
    assert seen[1]["headers"]["idempotency-key"] == "6c1dadb708406cbe5c42"


def test_a_later_one_is_a_comment() -> None:
    result, seen = send("zendesk", [TOKEN, UPDATED], replaces_vendor_id="35436")
    assert result.vendor_id == "35436"
    assert seen[1]["line"] == "PUT /api/v2/tickets/35436"
    assert "idempotency-key" not in seen[1]["headers"]
    changes = seen[1]["body"]["ticket"]
    assert changes["comment"]["public"] is True
    assert changes["additional_tags"] == ["order_alert", "order_delayed"]
    assert not {"tags", "subject", "requester", "external_id"} & changes.keys()


@pytest.mark.parametrize(("refusal", "follows"), [(GONE, None), (CLOSED, 35436)])
def test_a_ticket_that_takes_no_comment_is_followed_by_a_new_one(
    refusal: HttpResponse, follows: int | None
) -> None:
    result, seen = send("zendesk", [TOKEN, refusal, CREATED], replaces_vendor_id="35436")
    assert result.vendor_id == "35437"
    assert [call["line"] for call in seen[1:]] == [
        "PUT /api/v2/tickets/35436",
        "POST /api/v2/tickets",
    ]
    opened = seen[2]["body"]["ticket"]
    assert opened.get("via_followup_source_id") == follows
    assert opened["comment"] == seen[1]["body"]["ticket"]["comment"]
    assert opened["requester"] == {"name": "Ana", "email": "ana@example.com"}


@pytest.mark.parametrize(
    ("answers", "error", "calls"),
    [
        ([TOKEN, None], OutcomeUnknown, 2),
        ([TOKEN, GONE, None], OutcomeUnknown, 3),
        ([TOKEN, GONE, GONE], ConfigurationError, 3),
        ([TOKEN, CLOSED, CLOSED], MessageRejected, 3),
        ([TOKEN, answer(409)], TransientError, 2),
        ([None], TransientError, 1),
        ([answer(401, {"error": "invalid_client"})], ConfigurationError, 1),
    ],
)
def test_nothing_else_is_sent_twice(
    answers: list[HttpResponse | None], error: type[Exception], calls: int
) -> None:
    result, seen = send("zendesk", answers, replaces_vendor_id="35436")
    assert type(result) is error
    assert len(seen) == calls


def test_a_refused_token_is_renewed_once() -> None:
    second = answer(200, {"access_token": "t-2", "expires_in": 1800})
    result, seen = send("zendesk", [TOKEN, answer(401), second, CREATED])
    assert result.vendor_id == "35437"
    assert [c["headers"].get("authorization") for c in seen] == [
        *(None, "Bearer t-1", None, "Bearer t-2")
    ]
    result, seen = send("zendesk", [TOKEN, answer(401), second, answer(401)])
    assert type(result) is ConfigurationError
    assert len(seen) == 4


# --- what a message becomes -----------------------------------------------------------------------


def test_news_is_no_work_for_agents_and_trouble_is() -> None:
    ready = ticket(event_kind="status_changed", milestone="ready")
    assert (ready["status"], ready["priority"], "type" in ready) == ("pending", "normal", False)
    late = ticket()
    assert (late["priority"], late["type"], "status" in late) == ("high", "incident", False)
    added = ticket(event_kind="status_changed", milestone="ready", replaces_vendor_id="1")
    assert (added["status"], added["additional_tags"][1]) == ("pending", "order_ready")
    assert ticket(replaces_vendor_id="1")["status"] == "open"


@pytest.mark.parametrize(
    ("kind", "milestone", "tags"),
    [
        ("status_changed", "out_for_delivery", ["order_alert", "order_out_for_delivery"]),
        ("order_delayed", "delayed:2", ["order_alert", "order_delayed"]),
        ("order_edited", "edited:1", ["order_alert", "order_edited"]),
        (
            "status_requested",
            "asked:0",
            ["order_alert", "order_status_requested", "auto_answered"],
        ),
        ("reply", "help:0", ["order_alert", "order_reply", "auto_answered"]),
    ],
)
def test_tags_say_what_happened(kind: str, milestone: str, tags: list[str]) -> None:
    found = ticket(event_kind=kind, milestone=milestone)["tags"]
    assert found[:-1] == tags
    assert found[-1].startswith("delivery_")


@pytest.mark.parametrize(
    ("changes", "public"),
    [
        ({"recipient": {"audience": "customer"}}, True),
        ({"recipient": {}}, True),
        ({"recipient": {"audience": "staff"}}, False),
        ({"recipient": {"audience": "partner"}}, False),
        ({"recipient": {"audience": "customer"}, "purpose": "staff_ops"}, False),
        ({"recipient": {"audience": "customer"}, "event_kind": "customer_message"}, False),
    ],
)
@pytest.mark.parametrize("earlier", ["", "35436"])
def test_only_guests_are_written_to_in_public(
    changes: dict[str, Any], public: bool, earlier: str
) -> None:
    assert ticket(**changes, replaces_vendor_id=earlier)["comment"]["public"] is public


def test_a_hand_over_brings_the_conversation() -> None:
    said = [
        {"from": "us", "text": "Ready", "at": "2026-03-14T22:30:00+00:00"},
        {"from": "customer", "text": "No\nsauce, please", "at": "2026-03-14T22:35:00+00:00"},
        {"from": "customer", "text": "Hello?", "at": "2026-03-14T22:40:00+00:00"},
    ]
    found = ticket(
        event_kind="customer_message",
        text="A guest wrote: Hello?",
        recipient={"audience": "staff"},
        event={"detail": "Hello?", "conversation": said},
    )
    assert found["comment"]["body"] == (
        "A guest wrote: Hello?\n\nBefore that (UTC):\n22:30 us: Ready\n"
        "22:35 customer: No sauce, please"
    )


def test_what_the_manager_set_up_for_tickets() -> None:
    settings = {"group_id": "360", "status_field_id": "900"}
    opened = ticket(settings)
    assert (opened["group_id"], opened["custom_fields"]) == (
        360,
        [{"id": 900, "value": "preparing"}],
    )
    added = ticket(settings, replaces_vendor_id="1")
    assert added["custom_fields"] == [{"id": 900, "value": "preparing"}]
    assert "group_id" not in added


def test_somebody_without_a_name_gets_one() -> None:
    assert ticket(recipient={})["requester"] == {"name": "Guest", "email": "ana@example.com"}


def test_a_guests_words_do_nothing_in_zendesk() -> None:
    found = ticket(
        text="{{ticket.requester.phone}} {% if x %} { {a} }\x07", subject="a\n{{b}}" * 99
    )
    assert "{{" not in found["comment"]["body"] + found["subject"]
    assert "{%" not in found["comment"]["body"]
    assert found["comment"]["body"].replace("\u200b", "") == (
        "{{ticket.requester.phone}} {% if x %} { {a} }"
    )
    assert (len(found["subject"]), "\n" in found["subject"]) == (150, False)


@pytest.mark.parametrize(
    "to", ["", "ana", "+12025550142", "a@b@c", "Ana <ana@example.com>", "a b@c"]
)
def test_what_is_no_mailbox_opens_no_ticket(to: str) -> None:
    with pytest.raises(RecipientUnreachable):
        ticket(to=to)
    assert ticket(to=to, replaces_vendor_id="35436")


def test_an_empty_text_never_leaves() -> None:
    with pytest.raises(MessageRejected):
        ticket(text=" \n\x00")


@pytest.mark.parametrize("earlier", ["x", "0", "-1", "12/../13", "٤٢", "1" * 21])
def test_what_is_no_ticket_opens_a_new_one(earlier: str) -> None:
    assert files.provider("zendesk").request(made(replaces_vendor_id=earlier)).method == "POST"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("subdomain", "a/b"),
        ("subdomain", "-x"),
        ("group_id", "kitchen"),
        ("status_field_id", "1.5"),
    ],
)
def test_settings_that_cannot_be(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        files.provider("zendesk", **{name: value})


def test_the_whole_host_may_be_pasted() -> None:
    provider = files.provider("zendesk", subdomain=" Lucky-Bowl.zendesk.com ")
    assert provider.request(made()).url == "https://lucky-bowl.zendesk.com/api/v2/tickets"


def test_one_key_for_every_try_and_none_for_two_deliveries() -> None:
    keys = {
        files.provider("zendesk").request(made(**changes)).headers["Idempotency-Key"]
        for changes in (
            {},
            {"attempt_id": "another", "text": "in 3 min"},
            {"delivery_key": "78"},
            {"event": {"id": "another"}},
            {"delivery_key": ""},
        )
    }
    assert len(keys) == 4


# --- look-up --------------------------------------------------------------------------------------


def looked_up(body: object, **changes: Any) -> Accepted | None:
    return files.provider("zendesk").looked_up(made(**changes), answer(200, body))


def test_a_ticket_is_found_by_its_tag_alone() -> None:
    request = files.provider("zendesk").look_up(made())
    assert request is not None
    assert request.url.endswith("?external_id=order-00000000-0000-4000-8000-000000001042")
    tag = ticket()["tags"][-1]
    other = {"id": 1, "external_id": made().thread_key, "tags": ["order_alert", "delivery_0"]}
    assert looked_up({"tickets": [other, {"id": 2, "tags": [tag]}]}) == Accepted(vendor_id="2")
    assert looked_up({"tickets": [other]}) is None
    assert looked_up({"tickets": []}) is None


def test_a_comment_is_found_by_its_words() -> None:
    request = files.provider("zendesk").look_up(made(replaces_vendor_id="35436"))
    assert request is not None
    assert request.url.endswith("/35436/comments?sort_order=desc")
    spoken = {"id": 6, "plain_body": f"  {made().text}\n", "public": True}
    note = {"id": 7, "body": made().text, "public": False}
    other = {"id": 8, "body": "Where is it?", "public": True}
    earlier = {"replaces_vendor_id": "35436"}
    found = Accepted("35436", detail="comment 6")
    assert looked_up({"comments": [other, note, spoken]}, **earlier) == found
    assert looked_up({"comments": [other, note]}, **earlier) is None
    assert looked_up({"comments": [other] * 20 + [spoken]}, **earlier) is None
    staff = {**earlier, "recipient": {"audience": "staff"}}
    assert looked_up({"comments": [spoken, note]}, **staff) == replace(found, detail="comment 7")


@pytest.mark.parametrize("body", [None, [], {}, {"tickets": {}}, {"comments": []}])
def test_an_unreadable_list_proves_nothing(body: object) -> None:
    with pytest.raises(OutcomeUnknown):
        looked_up(body)


# --- the trigger ----------------------------------------------------------------------------------

SAID = {
    "event": "customer_reply",
    "ticket_id": "35436",
    "requester_email": "ana@example.com",
    "author_email": "ana@example.com",
    "text": "Where is it?",
    "updated_at": "2026-03-14T22:41Z",
}


def call(body: object, stamp: str = STAMP, secret: str = SECRET, **headers: str) -> InboundCall:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    digest = hmac.new(secret.encode(), stamp.encode() + raw, hashlib.sha256).digest()
    found = {
        "content-type": "application/json",
        "x-zendesk-webhook-invocation-id": "8350205582",
        "x-zendesk-webhook-signature": base64.b64encode(digest).decode(),
        "x-zendesk-webhook-signature-timestamp": stamp,
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return InboundCall("POST", HOOK, found, raw, NOW)


def replies(made_call: InboundCall, **settings: str) -> Any:
    return files.provider("zendesk", **settings).replies(made_call)


def test_the_published_vector() -> None:
    body = b'{"ticket_id":"35436","event":"customer_reply"}'
    signature = hmac_base64(PUBLIC_TEST_SECRET, b"2026-01-15T10:00:00Z" + body)
    assert signature == "/n+TXl3PfY3sSzECd31FibGBhZVBQw871DvLPnSgedc="
    headers = {
        "x-zendesk-webhook-signature": signature,
        "x-zendesk-webhook-signature-timestamp": "2026-01-15T10:00:00Z",
    }
    at = datetime(2026, 1, 15, 10, tzinfo=UTC)
    shown = InboundCall("POST", HOOK, headers, body, at)
    # the vector's secret is the public one: it is known by its signature, and opens nothing
    with pytest.raises(SignatureInvalid, match="public test secret"):
        replies(shown)
    with pytest.raises(SignatureInvalid) as caught:
        replies(replace(shown, body=body + b" "))
    assert "public test secret" not in caught.value.hint


@pytest.mark.parametrize(
    "headers",
    [
        {"x_zendesk_webhook_signature": ""},
        {"x_zendesk_webhook_signature": "ü" * 44},
        {"x_zendesk_webhook_signature_timestamp": ""},
        {"x_zendesk_webhook_signature_timestamp": "2026-03-14T22:42:01Z"},
        {"x_zendesk_webhook_signature_timestamp": "٢٠٢٦"},
    ],
)
def test_headers_that_prove_nothing(headers: dict[str, str]) -> None:
    with pytest.raises(SignatureInvalid):
        replies(call(SAID, **headers))


def test_an_early_pages_order_of_timestamp_and_body_is_refused() -> None:
    raw = json.dumps(SAID).encode()
    turned = hmac_base64(SECRET, raw + STAMP.encode())
    with pytest.raises(SignatureInvalid):
        replies(call(raw, x_zendesk_webhook_signature=turned))


def test_the_budget_stays_below_a_hundred_updates_a_minute() -> None:
    assert 60 * files.provider("zendesk").capabilities.rate_per_s <= 100


def test_the_public_test_secret_opens_nothing() -> None:
    told = call(SAID, secret=PUBLIC_TEST_SECRET)
    with pytest.raises(SignatureInvalid, match="public test secret"):
        replies(told)
    with pytest.raises(SignatureInvalid, match="anybody knows"):
        replies(told, signing_secret=PUBLIC_TEST_SECRET)


def test_without_a_secret_nothing_is_believed() -> None:
    with pytest.raises(SignatureInvalid, match="no signing key"):
        replies(call(SAID, secret=""), signing_secret="")


def test_a_secret_is_rotated() -> None:
    told = call(SAID, secret="the old one")
    with pytest.raises(SignatureInvalid):
        replies(told)
    assert len(replies(told, previous_signing_secret="the old one")) == 1


@pytest.mark.parametrize(
    ("stamp", "is_taken"),
    [
        ("2026-03-14T22:37:06Z", True),
        ("2026-03-14T22:37:04Z", False),
        ("2026-03-14T22:47:04Z", True),
        ("2026-03-14T22:47:06Z", False),
        ("2026-03-14T17:42:00-05:00", True),
        ("1773528120", False),
        ("yesterday", False),
    ],
)
def test_the_age_of_a_signature(stamp: str, is_taken: bool) -> None:
    if is_taken:
        assert len(replies(call(SAID, stamp=stamp))) == 1
    else:
        with pytest.raises(SignatureInvalid):
            replies(call(SAID, stamp=stamp))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Where is it?", "Where is it?"),
        ("<p>Where <b>is</b> it?</p>", "Where is it?"),
        ("Where?\n\nOn Sat, 14 Mar 2026, Lucky Bowl wrote:\n> Order 1042", "Where?"),
        ("-" * 46 + "\n\nAna Silva, Mar 14, 2026, 22:41\n\nWhere?", "Where?"),
        (None, ""),
        (["x"], ""),
    ],
)
def test_only_a_guests_own_words_count(text: object, words: str) -> None:
    [reply] = replies(call({**SAID, "text": text}))
    assert (reply.text, reply.thread, reply.sender) == (words, "35436", "ana@example.com")


def test_line_breaks_the_template_left_bare_are_read() -> None:
    raw = json.dumps({**SAID, "text": "LINE"}).replace("LINE", "Where\nis it?").encode()
    assert replies(call(raw))[0].text == "Where\nis it?"


@pytest.mark.parametrize(
    "change",
    [
        {"author_email": "orders@lucky-bowl.example"},
        {"author_email": "agent@example.com"},
        {"author_email": ""},
        {"author_email": None},
        {"requester_email": "", "author_email": ""},
        {"event": "status_changed"},
    ],
)
def test_what_the_requester_did_not_say_is_no_reply(change: dict[str, Any]) -> None:
    """Our own comment fires their trigger, which calls us: nothing may come of it."""
    assert replies(call({**SAID, **change})) == []


@pytest.mark.parametrize("body", [b"", b"  \n"])
def test_an_empty_call_is_none_either(body: bytes) -> None:
    assert replies(call(body)) == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "not JSON"),
        (b"[]", "object"),
        ({**SAID, "ticket_id": "{{ticket.id}}"}, "ticket_id"),
        ({**SAID, "ticket_id": None}, "ticket_id"),
        ({name: value for name, value in SAID.items() if name != "author_email"}, "author_email"),
        ({"type": "zen:event-type:ticket.comment_added", "id": "01HN"}, "trigger"),
    ],
)
def test_a_trigger_set_up_wrongly_is_told_so(body: object, words: str) -> None:
    with pytest.raises(PayloadMalformed, match=words):
        replies(call(body))


def test_a_repeated_call_is_one_reply_and_the_same_words_later_another() -> None:
    first, again = replies(call(SAID)), replies(call(SAID, stamp="2026-03-14T22:42:03Z"))
    assert first[0].vendor_id == again[0].vendor_id
    later = replies(call({**SAID, "updated_at": "2026-03-14T22:44Z"}))
    assert later[0].vendor_id != first[0].vendor_id


def test_without_a_time_of_update_the_invocation_tells_calls_apart() -> None:
    said = {**SAID, "updated_at": ""}
    first = replies(call(said))
    assert replies(call(said)) == first
    other = replies(call(said, x_zendesk_webhook_invocation_id="8350205583"))
    assert other[0].vendor_id != first[0].vendor_id


def test_guests_are_known_by_their_mailbox() -> None:
    provider = type(files.provider("zendesk"))
    assert provider.address_channels({}) == (Channel.EMAIL,)


def test_nothing_private_shows() -> None:
    provider = files.provider("zendesk")
    shown = repr(provider.request(made())) + repr(provider.look_up(made())) + repr(provider)
    for private in ("ana@example.com", made().text, SECRET, provider.account["client_secret"]):
        assert private not in shown
