"""Klaviyo: whom it must not tell, and what it calls us with."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from integrations.contracts import Channel, Choice, HttpResponse, InboundCall, Receipt, ReceiptKind
from integrations.errors import (
    ConfigurationError,
    OutcomeUnknown,
    PayloadMalformed,
    SignatureInvalid,
)
from integrations.providers.klaviyo import Klaviyo
from integrations.providers.klaviyo_calls import verify
from tests.integrations import fixture_files as files

NOW = datetime(2026, 3, 14, 22, 42, 5, tzinfo=UTC)


def provider(**settings: str) -> Klaviyo:
    return Klaviyo({**files.settings("klaviyo"), **settings})


# --- whom Klaviyo must not tell -----------------------------------------------------------------


def choice(**changes: Any) -> Choice:
    made = Choice(
        channel=Channel.SMS,
        to="+12025550142",
        is_stopped=True,
        purpose="order_updates",
        occurred_at=NOW,
        event_id="c-1",
    )
    return replace(made, **changes)


MAIL = {"channel": Channel.EMAIL, "to": "ana@example.com"}
NO = {"consent": "UNSUBSCRIBED"}


@pytest.mark.parametrize(
    ("changes", "person"),
    [
        ({}, {"phone_number": "+12025550142", "subscriptions": {"sms": {"transactional": NO}}}),
        (
            {"purpose": "marketing"},
            {"phone_number": "+12025550142", "subscriptions": {"sms": {"marketing": NO}}},
        ),
        (
            {"purpose": ""},
            {
                "phone_number": "+12025550142",
                "subscriptions": {"sms": {"marketing": NO, "transactional": NO}},
            },
        ),
        (
            {**MAIL, "purpose": "marketing"},
            {"email": "ana@example.com", "subscriptions": {"email": {"marketing": NO}}},
        ),
        (
            {**MAIL, "purpose": ""},
            {"email": "ana@example.com", "subscriptions": {"email": {"marketing": NO}}},
        ),
    ],
)
def test_a_stop_takes_back_what_it_is_about_and_names_no_list(
    changes: dict[str, Any], person: dict[str, Any]
) -> None:
    [request] = provider().choice_requests(choice(**changes))
    assert request.url == "https://a.klaviyo.com/api/profile-subscription-bulk-delete-jobs"
    assert json.loads(request.body) == {
        "data": {
            "type": "profile-subscription-bulk-delete-job",
            "attributes": {"profiles": {"data": [{"type": "profile", "attributes": person}]}},
        }
    }


@pytest.mark.parametrize(
    "changes",
    [
        # who stops order news by mail keeps the newsletter
        {**MAIL},
        {"is_stopped": False},
        {**MAIL, "purpose": "", "is_stopped": False},
        {**MAIL, "purpose": "marketing", "is_stopped": False},
        {"channel": Channel.PUSH, "to": "token:x", "purpose": ""},
        {"purpose": "feedback"},
    ],
)
def test_nothing_else_is_told_and_nobody_is_ever_subscribed(changes: dict[str, Any]) -> None:
    assert provider().choice_requests(choice(**changes)) == []


def test_erasure_names_one_identifier() -> None:
    for channel, to, person in (
        (Channel.EMAIL, "ana@example.com", {"email": "ana@example.com"}),
        (Channel.SMS, "+12025550142", {"phone_number": "+12025550142"}),
    ):
        [request] = provider().erasure_requests(channel, to)
        assert request.url == "https://a.klaviyo.com/api/data-privacy-deletion-jobs"
        profile = {"data": {"type": "profile", "attributes": person}}
        assert json.loads(request.body) == {
            "data": {"type": "data-privacy-deletion-job", "attributes": {"profile": profile}}
        }
    assert provider().erasure_requests(Channel.PUSH, "token:x") == []


def page(speaks: str, *profiles: object, count: str = "no", following: str = "") -> Any:
    answer = {"data": list(profiles), "links": {"next": following or None}}
    made = provider(speaks=speaks, unsubscribes_count=count)
    return made.stop_list(HttpResponse(200, {}, json.dumps(answer).encode()))


def profile(**attributes: Any) -> dict[str, Any]:
    return {"type": "profile", "id": "01P", "attributes": attributes}


@pytest.mark.parametrize(
    ("reason", "count", "kind", "error"),
    [
        ("HARD_BOUNCE", "no", "bounced", "unreachable"),
        ("INVALID_EMAIL", "no", "bounced", "unreachable"),
        ("SPAM_COMPLAINT", "no", "complained", ""),
        ("UNSUBSCRIBE", "no", "", ""),
        ("UNSUBSCRIBE", "yes", "unsubscribed", ""),
        ("USER_SUPPRESSED", "no", "", ""),
        ("USER_SUPPRESSED", "yes", "unsubscribed", ""),
        ("INVENTED", "yes", "", ""),
    ],
)
def test_every_suppression(reason: str, count: str, kind: str, error: str) -> None:
    stop = {"reason": reason, "timestamp": "2026-03-14T22:42:04+00:00"}
    held = {"email": {"marketing": {"suppression": [stop]}}}
    found = page("email", profile(email="ana@example.com", subscriptions=held), count=count)
    expected = Receipt(
        kind=ReceiptKind(kind or "sent"),
        vendor_id="01P",
        vendor_time=datetime(2026, 3, 14, 22, 42, 4, tzinfo=UTC),
        vendor_code=reason,
        error=error,
        event_id=f"stop:01P:{reason}:2026-03-14T22:42:04+00:00",
        recipient="ana@example.com",
    )
    assert found.receipts == ((expected,) if kind else ())


def test_texts_go_by_the_transactional_consent() -> None:
    held = {
        "sms": {
            "marketing": {"consent": "UNSUBSCRIBED", "consent_timestamp": "x"},
            "transactional": {"consent": "UNSUBSCRIBED"},
        }
    }
    person = profile(phone_number="+12025550142", subscriptions=held)
    codes = [r.vendor_code for r in page("sms", person).receipts]
    assert codes == ["sms.transactional"]
    codes = [r.vendor_code for r in page("sms", person, count="yes").receipts]
    assert codes == ["sms.transactional", "sms.marketing"]
    held["sms"]["transactional"]["consent"] = "SUBSCRIBED"
    assert page("sms", person).receipts == ()


def test_pages_follow_the_cursor() -> None:
    following = "https://a.klaviyo.com/api/profiles?page%5Bcursor%5D=bmV4dA%3D%3D&x=1"
    assert page("email", following=following).next_page == "bmV4dA=="
    assert page("email").next_page == ""
    assert page("email", {"id": "01P"}, "x", {"attributes": {"email": None}}).receipts == ()
    request = provider().stop_list_request(NOW, "bmV4dA==")
    assert request is not None
    query = parse_qs(urlsplit(request.url).query)
    assert query["page[cursor]"] == ["bmV4dA=="]
    field = "subscriptions.email.marketing.suppression.timestamp"
    assert query["filter"] == [f"greater-than({field},2026-03-14T22:42:05Z)"]
    texts = provider(speaks="sms").stop_list_request(NOW)
    assert texts is not None
    assert "greater-than%28updated%2C2026-03-14T22%3A42%3A05Z%29" in texts.url
    assert provider(speaks="push").stop_list_request(NOW) is None
    with pytest.raises(ConfigurationError):
        provider().stop_list(HttpResponse(401))


# --- whether a flow listens ---------------------------------------------------------------------


def metric(name: str, *flows: str) -> dict[str, Any]:
    listed = [{"type": "flow", "id": flow} for flow in flows]
    return {
        "type": "metric",
        "id": "M1",
        "attributes": {"name": name},
        "relationships": {"flow-triggers": {"data": listed}},
    }


def flow(status: str, *, archived: bool = False) -> dict[str, Any]:
    return {"type": "flow", "id": status, "attributes": {"status": status, "archived": archived}}


OURS = "Order Status Changed"


@pytest.mark.parametrize(
    ("answer", "gap"),
    [
        ({"data": [metric(OURS, "live")], "included": [flow("live")]}, ""),
        ({"data": [metric("X"), metric(OURS, "draft", "live")], "included": [flow("live")]}, ""),
        ({"data": [metric(OURS), metric(OURS, "live")], "included": [flow("live")]}, ""),
        ({"data": [metric(OURS, "draft")], "included": [flow("draft")]}, "No live flow"),
        ({"data": [metric(OURS, "live")], "included": [flow("live", archived=True)]}, "No live"),
        ({"data": [metric(OURS), metric("X", "live")], "included": [flow("live")]}, "No live flow"),
        ({"data": [metric(OURS)]}, "No live flow"),
        ({"data": [metric("X", "live")], "included": [flow("live")]}, "does not know"),
        ({"data": []}, "does not know"),
        ({"data": [metric("X")], "links": {"next": "https://a.klaviyo.com/api/metrics?x=1"}}, ""),
    ],
)
def test_an_event_nobody_listens_to_is_a_gap(answer: object, gap: str) -> None:
    found = provider().set_up_gaps(HttpResponse(200, {}, json.dumps(answer).encode()))
    assert len(found) == bool(gap)
    assert gap in "".join(found)


def test_the_metrics_are_asked_for_with_their_flows() -> None:
    request = provider().set_up_request()
    assert parse_qs(urlsplit(request.url).query) == {
        "include": ["flow-triggers"],
        "fields[metric]": ["name"],
        "fields[flow]": ["name,status,archived"],
    }
    with pytest.raises(ConfigurationError):
        provider().set_up_gaps(HttpResponse(403))
    with pytest.raises(OutcomeUnknown):
        provider().set_up_gaps(HttpResponse(200, {}, b"[]"))


# --- what Klaviyo calls us with -----------------------------------------------------------------

VECTOR = (
    b'{"data":[{"topic":"event:klaviyo.unsubscribed_from_email_marketing","external_id":"5abc",'
    b'"payload":{}}],"meta":{"klaviyo_account_id":"XyZ123","klaviyo_webhook_id":"01HABC",'
    b'"timestamp":"2026-01-15T10:00:00+00:00"}}'
)
SECRET = "a-secret-of-at-least-16"


def test_the_vector() -> None:
    stamp, moment = "2026-01-15T10:00:00+00:00", datetime(2026, 1, 15, 10, tzinfo=UTC)
    headers = {
        "klaviyo-signature": "7223d7b388aa95a3246089c44cdc56c2f593a6aecd376ccdbb9724b63027de2e",
        "klaviyo-timestamp": stamp,
        "klaviyo-webhook-id": "01HABC",
    }
    call = InboundCall("POST", "https://alerts.example.com/", headers, VECTOR, moment)
    assert verify(call, SECRET)["meta"]["klaviyo_account_id"] == "XyZ123"
    assert provider().receipts(call) == []  # it is about nothing we sent
    for seconds in (-300, 300):
        verify(replace(call, received_at=moment + timedelta(seconds=seconds)), SECRET)
    for wrong in (
        replace(call, body=VECTOR + b" "),
        replace(call, headers={**headers, "klaviyo-timestamp": "2026-01-15T10:00:00Z"}),
        replace(call, headers={**headers, "klaviyo-webhook-id": "01HXYZ"}),
        replace(call, headers={**headers, "klaviyo-signature": "ü" * 64}),
        replace(call, headers={**headers, "klaviyo-webhook-id": "ü"}),
        replace(call, headers={**headers, "klaviyo-timestamp": "ü"}),
        *(
            replace(call, headers={k: v for k, v in headers.items() if k != missing})
            for missing in headers
        ),
        replace(call, received_at=moment + timedelta(seconds=301)),
        replace(call, received_at=moment - timedelta(seconds=301)),
    ):
        with pytest.raises(SignatureInvalid):
            verify(wrong, SECRET)
    for secret in ("", "another-secret-of-16"):
        with pytest.raises(SignatureInvalid):
            verify(call, secret)


def signed(
    *events: object, stamp: str = "2026-03-14T22:42:05+00:00", webhook: object = "01HABC"
) -> InboundCall:
    body = json.dumps({"data": list(events), "meta": {"klaviyo_webhook_id": webhook}}).encode()
    mac = hmac.new(SECRET.encode(), body + stamp.encode(), hashlib.sha256).hexdigest()
    headers = {
        "klaviyo-signature": mac,
        "klaviyo-timestamp": stamp,
        "klaviyo-webhook-id": "01HABC",
    }
    return InboundCall("POST", "https://alerts.example.com/", headers, body, NOW)


def test_secrets_and_keys_are_rotated() -> None:
    new = {"webhook_secret": "another-secret-of-16", "flow_key": "another"}
    old = {"previous_webhook_secret": SECRET, "previous_flow_key": "a-key-the-manager-chose"}
    event = signed(recorded("event:klaviyo.received_email", attempt_id="a-1"))
    flow = replace(
        event,
        headers={"x-order-up-key": "a-key-the-manager-chose"},
        body=b'{"attempt_id":"a-1"}',
    )
    for call in (event, flow):
        with pytest.raises(SignatureInvalid):
            provider(**new).receipts(call)
        assert [one.attempt_id for one in provider(**new, **old).receipts(call)] == ["a-1"]


@pytest.mark.parametrize(
    ("stamp", "is_fresh"),
    [
        ("2026-03-14T22:42:05Z", True),
        ("2026-03-14T18:42:05-04:00", True),
        ("Sat, 14 Mar 2026 22:42:05 GMT", True),
        ("1773528125", True),
        ("Sat, 14 Mar 2026 23:42:05 GMT", False),
        ("1773528125000", False),
        ("now", False),
        ("", False),
    ],
)
def test_timestamps_in_every_form_seen(stamp: str, is_fresh: bool) -> None:
    if is_fresh:
        assert provider().receipts(signed(stamp=stamp)) == []
        return
    with pytest.raises(SignatureInvalid):
        provider().receipts(signed(stamp=stamp))


@pytest.mark.parametrize("webhook", [None, "", 5, {"id": "01HABC"}])
def test_a_body_that_names_no_webhook_is_refused(webhook: object) -> None:
    with pytest.raises(SignatureInvalid):
        provider().receipts(signed(webhook=webhook))


def recorded(topic: str, **properties: Any) -> dict[str, Any]:
    attributes = {"timestamp": 1773528124, "event_properties": properties}
    payload = {"data": {"type": "event", "id": "e-1", "attributes": attributes}}
    return {"external_id": "e-1", "topic": topic, "payload": payload}


@pytest.mark.parametrize(
    ("topic", "kind"),
    [
        ("received_email", "delivered"),
        ("email_delivered", "delivered"),
        ("received_sms", "delivered"),
        ("received_push", "delivered"),
        ("sent_sms", "sent"),
        ("opened_email", "read"),
        ("opened_push", "read"),
        ("clicked_email", "clicked"),
        ("clicked_sms", "clicked"),
        ("bounced_email", "bounced"),
        ("bounced_push", "bounced"),
        ("dropped_email", "failed"),
        ("failed_to_deliver_sms", "failed"),
        ("marked_email_as_spam", "complained"),
        ("unsubscribed_from_email_marketing", "unsubscribed"),
        ("unsubscribed_from_sms_marketing", "unsubscribed"),
        ("subscribed_to_email_marketing", None),
        ("placed_order", None),
        ("", None),
    ],
)
def test_every_topic(topic: str, kind: str | None) -> None:
    read = provider().receipts(signed(recorded(f"event:klaviyo.{topic}", attempt_id="a-1")))
    found = [(r.kind.value, r.attempt_id, r.event_id) for r in read]
    assert found == ([(kind, "a-1", "e-1")] if kind else [])


@pytest.mark.parametrize(
    ("topic", "bounce", "error"),
    [
        ("bounced_email", "Hard", "unreachable"),
        ("bounced_email", "Soft", ""),
        ("bounced_email", None, ""),
        ("bounced_push", "Hard", ""),
        ("received_email", "Hard", ""),
    ],
)
def test_only_a_hard_bounce_of_a_mail_ends_a_mailbox(topic: str, bounce: Any, error: str) -> None:
    event = recorded(f"event:klaviyo.{topic}", attempt_id="a-1", **{"Bounce Type": bounce})
    [receipt] = provider().receipts(signed(event))
    assert receipt.error == error


def test_events_that_are_not_about_us_or_not_readable() -> None:
    odd: list[Any] = [
        recorded("event:klaviyo.received_email"),
        recorded("event:klaviyo.received_email", attempt_id={"x": 1}),
        {"topic": "event:klaviyo.received_email", "payload": []},
        {"topic": 5},
        "x",
        None,
    ]
    assert provider().receipts(signed(*odd)) == []
    nested = recorded("event:klaviyo.received_email", **{"$extra": {"attempt_id": "a-1"}})
    assert provider().receipts(signed(nested))[0].attempt_id == "a-1"


@pytest.mark.parametrize(
    ("attributes", "moment"),
    [
        ({"timestamp": 1773528124}, datetime(2026, 3, 14, 22, 42, 4, tzinfo=UTC)),
        ({"datetime": "2026-03-14T22:42:04Z"}, datetime(2026, 3, 14, 22, 42, 4, tzinfo=UTC)),
        ({"timestamp": 10**20}, None),
        ({"timestamp": True, "datetime": "soon"}, None),
    ],
)
def test_times_of_events(attributes: dict[str, Any], moment: datetime | None) -> None:
    event = recorded("event:klaviyo.received_email")
    event["payload"]["data"]["attributes"] = {
        **attributes,
        "event_properties": {"attempt_id": "a-1"},
    }
    [receipt] = provider().receipts(signed(event))
    assert receipt.vendor_time == moment


def test_the_flow_needs_its_key_and_a_body() -> None:
    def call(key: str, body: bytes = b'{"attempt_id":"a-1"}') -> InboundCall:
        return InboundCall("POST", "https://x.example.com/", {"x-order-up-key": key}, body, NOW)

    [receipt] = provider().receipts(call("a-key-the-manager-chose"))
    assert (receipt.kind, receipt.attempt_id) == (ReceiptKind.SENT, "a-1")
    with pytest.raises(PayloadMalformed):
        provider().receipts(call("a-key-the-manager-chose", b"attempt"))
    for key, setting in (("", "a"), ("", ""), ("b", "a"), ("a", "")):
        with pytest.raises(SignatureInvalid):
            provider(flow_key=setting).receipts(call(key))
