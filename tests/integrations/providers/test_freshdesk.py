"""Every row of Freshdesk's outcome table, what a message becomes, and the unsigned webhook."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from integrations.contracts import (
    Accepted,
    Channel,
    HttpRequest,
    HttpResponse,
    InboundCall,
    Message,
    basic_auth,
)
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
from tests.integrations import fixture_files as files
from tests.integrations.providers.helpdesk_calls import answer, send
from tests.integrations.test_contract import BARE_STATUSES

HOOK = "https://alerts.example.com/hooks/messages/tok_1/"
NOW = datetime(2026, 3, 14, 22, 42, 5, tzinfo=UTC)
SECRET = files.settings("freshdesk")["webhook_secret"]
CREATED = answer(201, {"id": 43, "status": 2, "priority": 3})
REPLIED = answer(201, {"id": 7001, "ticket_id": 42, "incoming": False, "private": False})
GONE = HttpResponse(404)


def invalid(*fields: str, code: str = "invalid_value") -> dict[str, Any]:
    errors = [{"field": field, "message": "wrong", "code": code} for field in fields]
    return {"description": "Validation failed", "errors": errors}


def made(**changes: Any) -> Message:
    return files.message("freshdesk", **changes)


def request(settings: dict[str, str] | None = None, **changes: Any) -> HttpRequest:
    return files.provider("freshdesk", **(settings or {})).request(made(**changes))


def body(settings: dict[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(request(settings, **changes).body)
    return found


def outcome(response: HttpResponse, **changes: Any) -> Accepted:
    return files.provider("freshdesk").outcome(made(**changes), response)


# --- outcomes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "error", "code"),
    [
        (answer(400, invalid("email")), RecipientUnreachable, "invalid_value"),
        (answer(400, invalid("phone")), RecipientUnreachable, "invalid_value"),
        (answer(400, invalid("subject", "email")), RecipientUnreachable, "invalid_value"),
        (answer(400, invalid("subject", code="missing_field")), MessageRejected, "missing_field"),
        (
            answer(400, invalid("tags", code="datatype_mismatch")),
            MessageRejected,
            "datatype_mismatch",
        ),
        (answer(400, invalid("colour", code="invalid_field")), MessageRejected, "invalid_field"),
        (answer(400, {"code": "invalid_json", "message": "x"}), MessageRejected, "invalid_json"),
        (answer(400, invalid("cf_order_status")), ConfigurationError, "invalid_value"),
        (answer(400, invalid("group_id")), ConfigurationError, "invalid_value"),
        (answer(400, invalid("email_config_id")), ConfigurationError, "invalid_value"),
        (answer(401, {"code": "invalid_credentials"}), ConfigurationError, "invalid_credentials"),
        (answer(403, {"code": "access_denied"}), ConfigurationError, "access_denied"),
        (answer(403, {"code": "require_feature"}), ConfigurationError, "require_feature"),
        (answer(403, {"code": "account_suspended"}), ConfigurationError, "account_suspended"),
        (GONE, ConfigurationError, ""),
        (answer(405), ConfigurationError, ""),
        (answer(406), ConfigurationError, ""),
        (answer(415), ConfigurationError, ""),
        (answer(409, invalid("email", code="duplicate_value")), TransientError, "duplicate_value"),
        (answer(409, {"code": "inconsistent_state"}), TransientError, "inconsistent_state"),
        (answer(429, {"message": "x"}, retry_after="12"), RateLimited, ""),
        (answer(500), TransientError, ""),
        (answer(503), TransientError, ""),
        (answer(504), OutcomeUnknown, ""),
    ],
)
def test_the_outcome_table(response: HttpResponse, error: type[Exception], code: str) -> None:
    with pytest.raises((IntegrationError, ConfigurationError)) as caught:
        outcome(response)
    raised: Any = caught.value
    assert (type(raised), raised.vendor_code) == (error, code)
    if isinstance(raised, RateLimited):
        assert (raised.retry_after_s, raised.whole_account) == (12.0, True)


@pytest.mark.parametrize("status", BARE_STATUSES)
@pytest.mark.parametrize("raw", [b"<html><h1>Sorry</h1></html>", b"", b'{"cod', b"[]", b"null"])
def test_a_refusal_without_a_code_goes_by_its_status(status: int, raw: bytes) -> None:
    with pytest.raises((IntegrationError, ConfigurationError)) as caught:
        outcome(HttpResponse(status, {}, raw))
    assert type(caught.value) is BARE_STATUSES[status]


@pytest.mark.parametrize("raw", [b"<html>", b"", b"[]", b"null", b"{}", b'{"id":"x"}', b'{"id":0}'])
def test_an_unreadable_acceptance_is_unknown(raw: bytes) -> None:
    with pytest.raises(OutcomeUnknown):
        outcome(HttpResponse(201, {}, raw))


@pytest.mark.parametrize("field", ["requester_id", "unique_external_id", "to_emails"])
def test_every_way_to_name_a_person_blames_the_person(field: str) -> None:
    with pytest.raises(RecipientUnreachable):
        outcome(answer(400, invalid(field)))


@pytest.mark.parametrize(
    "field", ["product_id", "type", "responder_id", "source", "custom_fields", "cf_order_number"]
)
def test_what_a_manager_set_up_stops_the_account_and_is_named(field: str) -> None:
    with pytest.raises(ConfigurationError, match=f"'{field}'"):
        outcome(answer(400, invalid(field, code="invalid_value")))


def test_the_budget_stays_below_the_smallest_plans() -> None:
    # 80 tickets made and 80 changed a minute on Growth
    assert 60 * files.provider("freshdesk").capabilities.rate_per_s <= 80


def test_a_reply_belongs_to_its_ticket() -> None:
    accepted = outcome(REPLIED, replaces_vendor_id="42")
    assert accepted == Accepted(vendor_id="42", detail="conversation 7001")


# --- one ticket per order -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("earlier", "audience", "path"),
    [
        ("", "customer", "/outbound_email"),
        ("42", "customer", "/42/reply"),
        ("", "staff", ""),
        ("42", "staff", "/42/notes"),
        ("x", "customer", "/outbound_email"),
    ],
)
def test_where_a_message_goes(earlier: str, audience: str, path: str) -> None:
    made_request = request(replaces_vendor_id=earlier, recipient={"audience": audience})
    assert made_request.method == "POST"
    assert made_request.url == f"https://lucky-bowl.freshdesk.com/api/v2/tickets{path}"


def test_a_guest_is_replied_to_and_staff_get_a_note() -> None:
    reply = body(replaces_vendor_id="42")
    assert list(reply) == ["body"]
    note = body(replaces_vendor_id="42", event_kind="customer_message")
    assert note == {"body": reply["body"], "private": True}


def test_a_deleted_ticket_is_replaced_by_a_new_one() -> None:
    result, seen = send("freshdesk", [GONE, CREATED], replaces_vendor_id="42")
    assert result == Accepted(vendor_id="43")
    assert [call["line"] for call in seen] == [
        "POST /api/v2/tickets/42/reply",
        "POST /api/v2/tickets/outbound_email",
    ]
    assert seen[0]["body"]["body"] == seen[1]["body"]["description"]


@pytest.mark.parametrize(
    ("answers", "earlier", "error"),
    [
        ([None], "", OutcomeUnknown),
        ([None], "42", OutcomeUnknown),
        ([GONE, None], "42", OutcomeUnknown),
        ([GONE, GONE], "42", ConfigurationError),
        ([answer(409)], "42", TransientError),
    ],
)
def test_nothing_else_is_sent_twice(
    answers: list[HttpResponse | None], earlier: str, error: type[Exception]
) -> None:
    result, seen = send("freshdesk", answers, replaces_vendor_id=earlier)
    assert type(result) is error
    assert len(seen) == len(answers)


# --- what a message becomes -----------------------------------------------------------------------


def test_only_trouble_opens_work_for_agents() -> None:
    late = body()
    assert (late["status"], late["priority"]) == (2, 3)
    ready = body(event_kind="status_changed", milestone="ready")
    assert (ready["status"], ready["priority"]) == (3, 2)
    assert ready["tags"][:3] == ["order_alert", "order_ready", "order-1042"]


def test_what_the_manager_set_up_for_tickets() -> None:
    settings = {
        "group_id": "80001",
        "ticket_type": "Problem",
        "number_field": "cf_order_number",
        "status_field": "cf_order_status",
    }
    found = body(settings)
    assert (found["group_id"], found["type"]) == (80001, "Problem")
    assert found["custom_fields"] == {"cf_order_number": "1042", "cf_order_status": "preparing"}
    assert not {"group_id", "type", "custom_fields"} & body().keys()


def test_a_hand_over_without_a_ticket_is_described_in_the_guests_words() -> None:
    """The requester can read a description, so nothing of ours may stand in it."""
    found = body(
        event_kind="customer_message",
        text="A guest (a•••@example.com) wrote: Hello?",
        recipient={"audience": "staff"},
        event={"detail": "Hello?", "conversation": []},
    )
    assert found["description"].startswith("<p>Hello?</p>")
    assert "wrote" not in found["description"]
    assert "email_config_id" not in found
    assert found["email"] == "ana@example.com"


def test_nothing_a_guest_typed_is_markup() -> None:
    found = body(text='<b>x</b> & "y" {{ticket.url}}\nnext https://a.example/?a=1&b="2')
    shown = found["description"].partition("<div")[0]
    assert shown == (
        "<p>&lt;b&gt;x&lt;/b&gt; &amp; &quot;y&quot; {\u200b{ticket.url}}<br>next "
        '<a href="https://a.example/?a=1&amp;b=">https://a.example/?a=1&amp;b=</a>&quot;2</p>'
    )


def test_tags_and_subject_fit() -> None:
    found = body(order={"number": "x," * 40}, subject="s" * 300, milestone="m" * 60)
    assert all(len(tag) <= 32 and "," not in tag for tag in found["tags"])
    assert len(found["subject"]) == 255


def test_somebody_without_a_name_is_not_renamed() -> None:
    assert "name" not in body(recipient={"audience": "customer"})
    assert body()["name"] == "Ana"


@pytest.mark.parametrize("to", ["", "ana", "+12025550142", "a@b@c", "a b@c"])
def test_what_is_no_mailbox_opens_no_ticket(to: str) -> None:
    with pytest.raises(RecipientUnreachable):
        request(to=to)
    assert request(to=to, replaces_vendor_id="42").url.endswith("/reply")


def test_an_empty_text_never_leaves() -> None:
    with pytest.raises(MessageRejected):
        request(text=" \n\x00")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("domain", "support.lucky-bowl.example"),
        ("domain", "a/b"),
        ("email_config_id", "support"),
        ("group_id", "x"),
        ("status_field", "order_status"),
        ("number_field", "cf_Order"),
    ],
)
def test_settings_that_cannot_be(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        files.provider("freshdesk", **{name: value})


# --- look-up --------------------------------------------------------------------------------------


def looked_up(found: object, **changes: Any) -> Accepted | None:
    return files.provider("freshdesk").looked_up(made(**changes), answer(200, found))


def test_a_new_ticket_is_found_by_its_tag() -> None:
    asked = files.provider("freshdesk").look_up(made())
    assert asked is not None
    tag = body()["tags"][-1]
    assert len(tag) <= 32
    assert parse_qs(urlsplit(asked.url).query) == {"query": [f"\"tag:'{tag}'\""]}
    assert looked_up({"results": [{"id": 9, "tags": ["x"]}, {"id": 43, "tags": [tag]}]}) == (
        Accepted(vendor_id="43")
    )
    assert looked_up({"results": [], "total": 0}) is None


def test_a_reply_is_found_by_its_hidden_mark() -> None:
    earlier = {"replaces_vendor_id": "42"}
    asked = files.provider("freshdesk").look_up(made(**earlier))
    assert asked is not None
    assert asked.url.endswith("/api/v2/tickets/42/conversations?per_page=100")
    ours = {"id": 5, "body": body(**earlier)["body"], "incoming": False}
    quoting = {**ours, "id": 6, "incoming": True}
    other = {"id": 7, "body": "<p>Same order</p>", "incoming": False}
    assert looked_up([other, ours], **earlier) == Accepted("42", detail="conversation 5")
    assert looked_up([other, quoting], **earlier) is None
    assert looked_up([], **earlier) is None


@pytest.mark.parametrize("found", [None, [], {}, {"results": {}}])
def test_an_unreadable_search_proves_nothing(found: object) -> None:
    with pytest.raises(OutcomeUnknown):
        looked_up(found)
    with pytest.raises(OutcomeUnknown):
        looked_up({"results": []}, replaces_vendor_id="42")


# --- the webhook ----------------------------------------------------------------------------------

SIMPLE = {
    "ticket_id": 42,
    "ticket_requester_name": "Ana Silva",
    "ticket_requester_email": "ana@example.com",
}


def call(said: object, kind: str = "application/json", **headers: str) -> InboundCall:
    raw = said if isinstance(said, bytes) else json.dumps(said).encode()
    proof = {name.replace("_", "-"): value for name, value in headers.items()}
    proof = proof or {"x-order-up-secret": SECRET}
    return InboundCall("POST", HOOK, {"content-type": kind, **proof}, raw, NOW)


def replies(made_call: InboundCall, **settings: str) -> Any:
    return files.provider("freshdesk", **settings).replies(made_call)


def simple(**changes: Any) -> dict[str, Any]:
    return {"freshdesk_webhook": {**SIMPLE, **changes}}


def comment(words: str) -> dict[str, Any]:
    return simple(ticket_latest_public_comment=words)


@pytest.mark.parametrize(
    "headers",
    [
        {"x_order_up_secret": ""},
        {"x_order_up_secret": SECRET[:-1]},
        {"x_order_up_secret": SECRET.upper()},
        {"x_order_up_secret": "ü" * 40},
        {"x_order_up_secret": "no", "authorization": basic_auth("order-up", SECRET)},
        {"authorization": basic_auth("order-up", "no")},
        {"authorization": basic_auth("ana", SECRET)},
        {"authorization": f"Bearer {SECRET}"},
        {"authorization": "Basic ü"},
        {"authorization": "Basic"},
        {"host": "alerts.example.com"},
    ],
)
def test_a_call_without_the_secret_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(SignatureInvalid) as caught:
        replies(call(comment("STOP"), **headers))
    assert SECRET not in caught.value.hint


@pytest.mark.parametrize("headers", [{"x_order_up_secret": ""}, {"authorization": "Basic Og=="}])
def test_without_a_secret_nothing_is_believed(headers: dict[str, str]) -> None:
    with pytest.raises(SignatureInvalid, match="no webhook secret"):
        replies(call(comment("STOP"), **headers), webhook_secret="")


@pytest.mark.parametrize(
    "headers",
    [
        {"x_order_up_secret": "the old one"},
        {"authorization": basic_auth("order-up", "the old one")},
    ],
)
def test_a_secret_is_rotated(headers: dict[str, str]) -> None:
    with pytest.raises(SignatureInvalid):
        replies(call(comment("x"), **headers))
    assert len(replies(call(comment("x"), **headers), previous_webhook_secret="the old one")) == 1


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (comment("Ana Silva : <div>Where is it?</div>"), "Where is it?"),
        (comment("<p>Where <b>is</b> it?</p>"), "Where is it?"),
        (comment("Where: here?"), "Where: here?"),
        (comment('<p>Yes</p><div class="freshdesk_quote">order-up-' + "a" * 20), "Yes"),
        (comment("Yes\n\nOn Sat, 14 Mar 2026, we wrote:\n> order-up-" + "a" * 20), "Yes"),
        (
            simple(ticket_subject="Order 1042", ticket_description="<p>When?</p>"),
            "Order 1042\nWhen?",
        ),
        (simple(ticket_subject="Where is it?"), "Where is it?"),
        ({"ticket_id": "42", "requester_email": "ana@example.com", "text": "When?"}, "When?"),
    ],
)
def test_a_guests_own_words(said: object, words: str) -> None:
    [reply] = replies(call(said))
    assert (reply.text, reply.sender, reply.thread) == (words, "ana@example.com", "42")
    assert reply.channel is Channel.HELPDESK


def test_a_simple_form_is_read_too() -> None:
    fields = {f"freshdesk_webhook[{name}]": str(value) for name, value in SIMPLE.items()}
    fields["freshdesk_webhook[ticket_latest_public_comment]"] = 'Where is "it"?\nAna'
    kind = "application/x-www-form-urlencoded; charset=utf-8"
    [reply] = replies(call(urlencode(fields).encode(), kind))
    assert reply.text == 'Where is "it"?\nAna'


def test_line_breaks_the_rule_left_bare_are_read() -> None:
    raw = b'{"ticket_id":"42","requester_email":"ana@example.com","text":"Where\nis it?"}'
    assert replies(call(raw))[0].text == "Where\nis it?"


def own_words() -> str:
    return str(body(replaces_vendor_id="42")["body"])


@pytest.mark.parametrize(
    "said",
    [
        comment(f"Lucky Bowl : {own_words()}"),
        comment(own_words()),
        comment("Sam Agent : <div>where is my order?</div>"),
        simple(ticket_subject="Order", ticket_description=own_words()),
        simple(ticket_requester_email="", ticket_latest_public_comment="<p>x</p>"),
        simple(ticket_requester_email="+12025550142", ticket_latest_public_comment="<p>x</p>"),
        {"event": "status_changed", "ticket_id": "42", "requester_email": "ana@example.com"},
        b"",
        b" \n",
    ],
)
def test_what_the_requester_did_not_say_is_no_reply(said: object) -> None:
    """Our own reply fires the restaurant's rule, which calls us: nothing may come of it."""
    assert replies(call(said)) == []


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b'{"ticket_id":"42","text":"say "hi""}', "application/json"),
        (b"ticket_id=%FF%FE&text=\xff", "application/x-www-form-urlencoded"),
        (b"ticket_id=42&text=%00", "application/x-www-form-urlencoded"),
        (simple(ticket_id="{{ticket.id}}"), "application/json"),
        (simple(ticket_id=None), "application/json"),
        ({"freshdesk_webhook": "x"}, "application/json"),
    ],
)
def test_a_rule_set_up_wrongly_is_told_so(said: object, kind: str) -> None:
    with pytest.raises(PayloadMalformed):
        replies(call(said, kind))


def test_a_repeated_call_is_one_reply_and_the_same_words_later_another() -> None:
    first = call(comment("<p>Where is it?</p>"))
    again = replace(first, received_at=NOW + timedelta(seconds=60))
    later = replace(first, received_at=NOW + timedelta(seconds=660))
    keys = [replies(one)[0].vendor_id for one in (first, again, later)]
    assert keys[0] == keys[1] != keys[2]


def test_nothing_private_shows() -> None:
    provider = files.provider("freshdesk")
    shown = repr(provider.request(made())) + repr(provider.look_up(made())) + repr(provider)
    for private in ("ana@example.com", made().text, SECRET, provider.account["api_key"]):
        assert private not in shown
