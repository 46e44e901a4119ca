"""HubSpot: whom it must not tell, and what it calls us with."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations.contracts import (
    Channel,
    Choice,
    HttpResponse,
    InboundCall,
    Receipt,
    ReceiptKind,
    StopList,
)
from integrations.errors import (
    ConfigurationError,
    OutcomeUnknown,
    PayloadMalformed,
    SignatureInvalid,
)
from integrations.providers.hubspot import HubSpot
from integrations.providers.hubspot_calls import verify
from integrations.signatures import hmac_base64
from tests.integrations import fixture_files as files

HOOK = "https://alerts.example.com/hooks/messages/tok_1/"
NOW = datetime(2026, 3, 14, 22, 42, 5, tzinfo=UTC)
PERSON = "/communication-preferences/2026-09/statuses/ana%2Borders%40example.com"


def provider(**settings: str) -> HubSpot:
    return HubSpot({**files.settings("hubspot"), **settings})


# --- whom HubSpot must not tell -----------------------------------------------------------------


def choice(**changes: Any) -> Choice:
    made = Choice(
        channel=Channel.EMAIL,
        to="ana+orders@example.com",
        is_stopped=True,
        purpose="order_updates",
        occurred_at=NOW,
        event_id="c-1",
    )
    return replace(made, **changes)


def told(made: HubSpot, wanted: Choice) -> list[tuple[str, Any]]:
    return [
        (request.url.removeprefix("https://api.hubapi.com"), json.loads(request.body or b"null"))
        for request in made.choice_requests(wanted)
    ]


def test_a_stop_unsubscribes_from_the_type_it_is_about() -> None:
    made = provider(subscription_id="77", marketing_subscription_id="78")
    body = {"channel": "EMAIL", "statusState": "UNSUBSCRIBED", "subscriptionId": 77}
    assert told(made, choice()) == [(PERSON, body)]
    assert told(made, choice(purpose="marketing")) == [(PERSON, {**body, "subscriptionId": 78})]
    assert told(made, choice(purpose="")) == [(f"{PERSON}/unsubscribe-all?channel=EMAIL", None)]
    back = [(PERSON, {**body, "statusState": "NOT_SPECIFIED"})]
    assert told(made, choice(is_stopped=False)) == back
    legal = provider(subscription_id="77", legal_basis="PERFORMANCE_OF_CONTRACT")
    [(_, body)] = told(legal, choice())
    assert body["legalBasis"] == "PERFORMANCE_OF_CONTRACT"
    assert body["legalBasisExplanation"]


@pytest.mark.parametrize(
    "changes",
    [
        {"is_stopped": False, "purpose": ""},
        {"is_stopped": False, "purpose": "feedback"},
        {"channel": Channel.SMS, "to": "+12025550142", "purpose": ""},
        {"purpose": "feedback"},
    ],
)
def test_nothing_is_told_that_could_subscribe(changes: dict[str, Any]) -> None:
    made = provider(subscription_id="77", marketing_subscription_id="78")
    assert told(made, choice(**changes)) == []
    assert told(provider(), choice()) == []


def test_erasure_is_for_good() -> None:
    made = provider()
    [request] = made.erasure_requests(Channel.EMAIL, "ana@example.com")
    assert request.url == "https://api.hubapi.com/crm/objects/2026-09/contacts/gdpr-delete"
    assert json.loads(request.body) == {"objectId": "ana@example.com", "idProperty": "email"}
    assert made.erasure_requests(Channel.SMS, "+12025550142") == []


def test_the_stop_list_is_read_page_by_page() -> None:
    made = provider(subscription_id="77")
    request = made.stop_list_request(NOW, "100")
    body = json.loads(request.body)
    assert request.url == "https://api.hubapi.com/crm/objects/2026-09/contacts/search"
    assert body["after"] == "100"
    wanted = [
        ("hs_email_optout", "true"),
        ("hs_email_optout_77", "true"),
        ("order_alerts_email", "false"),
    ]
    changed = {
        "propertyName": "lastmodifieddate",
        "operator": "GTE",
        "value": "1773528125000",
    }
    assert body["filterGroups"] == [
        {"filters": [{"propertyName": name, "operator": "EQ", "value": value}, changed]}
        for name, value in wanted
    ]
    held = {"email": "ana@example.com", "hs_email_optout": "", "order_alerts_email": "False"}
    answer = {
        "results": [
            {"id": "7", "properties": held},
            {"id": "8", "properties": {"email": None, "hs_email_optout": "true"}},
            {"id": "9", "properties": {"email": "joe@example.com", "hs_email_optout": "false"}},
        ],
        "paging": {"next": {"after": "200"}},
    }
    page = made.stop_list(HttpResponse(200, {}, json.dumps(answer).encode()))
    assert page.next_page == "200"
    assert page.receipts == (
        Receipt(
            kind=ReceiptKind.UNSUBSCRIBED,
            vendor_id="7",
            vendor_code="order_alerts_email",
            event_id="stop:7:order_alerts_email",
            recipient="ana@example.com",
        ),
    )
    assert made.stop_list(HttpResponse(200, {}, b'{"results":[]}')) == StopList()
    with pytest.raises(OutcomeUnknown):  # not an empty page: who stopped since would be missed
        made.stop_list(HttpResponse(200, {}, b"<html>"))
    with pytest.raises(ConfigurationError):
        made.stop_list(HttpResponse(403, {}, b"{}"))


# --- what HubSpot calls us with -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("secret", "url", "body", "stamp", "signature"),
    [
        (
            "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy",
            "https://www.example.com/webhook_uri",
            "{'example_field':'example_value'}",
            1693657560000,
            "K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y=",
        ),
        (
            "test-client-secret",
            "https://alerts.example.com/hooks/hubspot/",
            '[{"eventId":3816279340,"subscriptionId":25,"portalId":33,"appId":1160452,'
            '"occurredAt":1462216307945,"subscriptionType":"contact.propertyChange",'
            '"attemptNumber":0,"objectId":1246965,"propertyName":"order_alerts_email",'
            '"propertyValue":"false","changeSource":"CRM_UI"}]',
            1700000000000,
            "4zFdOCEsUU3fb3s5FgNp8qjapBtnPB442TZEHX+H59s=",
        ),
    ],
)
def test_the_vendors_vectors(secret: str, url: str, body: str, stamp: int, signature: str) -> None:
    headers = {"x-hubspot-signature-v3": signature, "x-hubspot-request-timestamp": str(stamp)}
    at = datetime.fromtimestamp(stamp / 1000, UTC)
    call = InboundCall("POST", url, headers, body.encode(), at)
    verify(call, secret)
    for seconds in (-300, 300):
        verify(replace(call, received_at=at + timedelta(seconds=seconds)), secret)
    for wrong in (
        replace(call, body=call.body + b" "),
        replace(call, url=url + "x"),
        replace(call, method="PUT"),
        replace(call, headers={**headers, "x-hubspot-request-timestamp": str(stamp + 1)}),
        replace(call, headers={**headers, "x-hubspot-request-timestamp": "١٢٣"}),
        replace(call, headers={**headers, "x-hubspot-signature-v3": "ü" * 44}),
        replace(call, headers={**headers, "x-hubspot-signature-v3": signature.lower()}),
        replace(call, headers={"x-hubspot-request-timestamp": str(stamp)}),
        replace(call, headers={"x-hubspot-signature-v3": signature}),
        replace(call, received_at=at + timedelta(seconds=300.1)),
        replace(call, received_at=at - timedelta(seconds=300.1)),
    ):
        with pytest.raises(SignatureInvalid):
            verify(wrong, secret)
    for other in ("", "another"):
        with pytest.raises(SignatureInvalid):
            verify(call, other)


def signed(events: object) -> InboundCall:
    body, stamp = json.dumps(events).encode(), str(int(NOW.timestamp() * 1000))
    signature = hmac_base64("test-client-secret", f"POST{HOOK}".encode() + body + stamp.encode())
    headers = {"x-hubspot-signature-v3": signature, "x-hubspot-request-timestamp": stamp}
    return InboundCall("POST", HOOK, headers, body, NOW)


def codes(events: object, **settings: str) -> list[str]:
    return [found.vendor_code for found in provider(**settings).receipts(signed(events))]


def change(name: str, value: object, **more: Any) -> dict[str, Any]:
    return {
        "eventId": 1,
        "subscriptionId": 2,
        "portalId": 33,
        "occurredAt": 1773528124250,
        "subscriptionType": "contact.propertyChange",
        "objectId": 1246965,
        "propertyName": name,
        "propertyValue": value,
        **more,
    }


@pytest.mark.parametrize(
    ("event", "is_stop"),
    [
        (change("order_alerts_email", "false"), True),
        (change("order_alerts_email", "No"), True),
        (change("order_alerts_email", False), True),
        (change("order_alerts_email", "true"), False),
        (change("order_alerts_email", ""), False),
        (change("order_alerts_email", None), False),
        (change("hs_email_optout", "true"), True),
        (change("hs_email_optout", "false"), False),
        (change("hs_email_optout_77", "true"), True),
        (change("hs_email_optout_78", "true"), False),
        (change("hs_email_optout", "true", subscriptionType="object.propertyChange"), True),
        (change("hs_email_optout", "true", subscriptionType="object.propertyChange",
                objectTypeId="0-1"), True),
        (change("hs_email_optout", "true", objectTypeId="0-2"), False),
        (change("hs_email_optout", "true", subscriptionType="company.propertyChange"), False),
        (change("hs_email_optout", "true", portalId=34), False),
        (change("hs_email_optout", "true", objectId=None), False),
        (change("hs_email_optout_77", "true", changeSource="API"), False),
        (change("hs_email_optout_77", "true", changeSource="INTEGRATION"), False),
        (change("hs_email_optout_77", "true", changeSource="EMAIL"), True),
        (change("", "", subscriptionType="contact.privacyDeletion"), True),
        (
            change("", "", subscriptionType="contact.privacyDeletion", changeSource="API"),
            True,
        ),
        (change("", "", subscriptionType="contact.deletion"), False),
        (change("", "", subscriptionType=5), False),
        ("a word", False),
    ],
)  # fmt: skip
def test_only_a_no_is_read(event: object, is_stop: bool) -> None:
    assert len(codes([event], subscription_id="77")) == is_stop


def test_a_batch_in_any_order_and_repeated() -> None:
    first = change("hs_email_optout", "true")
    again = {**first, "attemptNumber": 1}
    other = change("order_alerts_email", "false", eventId=9)
    found = provider().receipts(signed([other, first, again]))
    assert [receipt.event_id for receipt in found] == [
        "9:2:1773528124250",
        "1:2:1773528124250",
        "1:2:1773528124250",
    ]
    assert codes([]) == []
    assert codes([change("hs_email_optout", "true", portalId=34)], portal_id="") == [
        "hs_email_optout"
    ]


@pytest.mark.parametrize("moment", [None, "soon", True, 10**30])
def test_times_nobody_can_read(moment: object) -> None:
    [found] = provider().receipts(signed([change("hs_email_optout", "true", occurredAt=moment)]))
    assert found.vendor_time is None


def test_a_workflow_that_is_signed_needs_no_key() -> None:
    [found] = provider(workflow_key="").receipts(signed({"attempt_id": "a-1"}))
    assert (found.kind, found.attempt_id) == (ReceiptKind.SENT, "a-1")
    with pytest.raises(PayloadMalformed):
        provider().receipts(signed({"email": "ana@example.com"}))


def test_secrets_and_keys_are_rotated() -> None:
    new = {"client_secret": "another", "workflow_key": "another"}
    old = {
        "previous_client_secret": "test-client-secret",
        "previous_workflow_key": "a-key-the-manager-chose",
    }
    flow = signed({"attempt_id": "a-1"})
    keyed = replace(flow, headers={"x-order-up-key": "a-key-the-manager-chose"})
    for call in (flow, keyed):
        with pytest.raises(SignatureInvalid):
            provider(**new).receipts(call)
        assert [one.attempt_id for one in provider(**new, **old).receipts(call)] == ["a-1"]


def test_without_a_secret_nobody_is_believed() -> None:
    with pytest.raises(SignatureInvalid):
        provider(client_secret="").receipts(signed([]))
    keyed = replace(signed({"attempt_id": "a"}), headers={"x-order-up-key": ""})
    with pytest.raises(SignatureInvalid):
        provider(workflow_key="").receipts(keyed)
