"""Consents over the API: what is recorded, what is refused, what would be decided."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from consents.models import (
    ConsentEvent,
    ConsentState,
    ContactAddress,
    NoticeVersion,
    RightsRequest,
    Subject,
    SubjectAddress,
    Suppression,
)
from consents.services import verify_address, withdraw
from notifications import defaults
from notifications.models import Notification
from orders.models import Location, Restaurant
from tests.api.conftest import Caller
from tests.api.test_document import assert_described
from tests.api.test_document import document as document
from tests.factories import make_address, make_customer, make_order

NOW = datetime(2026, 3, 14, 18, 0, tzinfo=UTC)
PHONE = "+12025550142"
PATH = "/api/v1/consent-events"


def said(**fields: Any) -> dict[str, Any]:
    return {
        "address": {"channel": "sms", "value": PHONE},
        "purpose": "order_updates",
        "action": "granted",
        "occurred_at": "2026-03-14T18:00:00Z",
        "origin": "the tablet at the counter",
    } | fields


@pytest.fixture
def address(restaurant: Restaurant) -> ContactAddress:
    return make_address(restaurant, value=PHONE)


@pytest.fixture
def stopped(address: ContactAddress) -> ContactAddress:
    withdraw(
        address_id=address.pk, source="keyword", occurred_at=NOW, now=NOW, idempotency_key="stop"
    )
    return address


def test_a_consent_is_recorded_once(api: Caller, location: Location, document: Any) -> None:
    first = api.post("consent-events", said(), key="k1")
    assert_described(document, "POST", PATH, first)
    assert first.status_code == 201
    body = first.json()
    assert body["object"] == "consent_event"
    assert body["address"]["masked"] == "+1•••0142"
    assert (body["asked"], body["event"]["action"]) == ("granted", "granted")
    assert body["event"]["source"] == "api"
    again = api.post("consent-events", said(), key="k1")
    assert (again.content, again["Idempotent-Replayed"]) == (first.content, "true")
    assert ConsentEvent.objects.count() == 1
    event = ConsentEvent.objects.get()
    assert (event.actor_type, event.evidence is not None) == ("api", True)
    assert PHONE not in first.content.decode()


def test_without_a_key_nothing_is_recorded(api: Caller) -> None:
    answer = api.post("consent-events", said())
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["header"] == "Idempotency-Key"
    assert not ConsentEvent.objects.exists()


def test_a_grant_nobody_can_show_is_pending(api: Caller) -> None:
    body = said()
    del body["origin"]
    answer = api.post("consent-events", body, key="k")
    assert answer.status_code == 201
    assert answer.json()["event"]["action"] == "pending"
    assert ConsentState.objects.get().state == "pending"


@pytest.mark.parametrize("action", ["granted", "lifted"])
def test_13_a_stop_is_not_lifted_over_the_api(
    api: Caller, stopped: ContactAddress, document: Any, action: str
) -> None:
    body = said(address={"id": str(stopped.public_id)}, action=action)
    answer = api.post("consent-events", body, key="k")
    assert_described(document, "POST", PATH, answer)
    assert answer.status_code == 409
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["type"].endswith("/problems/consent-refused")
    assert list(ConsentEvent.objects.order_by("sequence").values_list("action", "source")) == [
        ("withdrawn", "keyword"),
        ("pending", "api"),
    ]
    assert Suppression.objects.get().reason == "user"
    again = api.post("consent-events", body, key="k")
    assert (again.status_code, again["Content-Type"]) == (409, "application/problem+json")
    assert again.content == answer.content
    assert ConsentEvent.objects.count() == 2
    assert api.get("problems/consent-refused").json()["status"] == 409


def test_what_nobody_refused_is_not_lifted_either(api: Caller, address: ContactAddress) -> None:
    body = said(address={"id": str(address.public_id)}, action="lifted")
    assert api.post("consent-events", body, key="k").status_code == 409
    assert ConsentEvent.objects.get().action == "pending"


def test_a_withdrawal_of_everything_counts_on_both_phone_channels(
    api: Caller, restaurant: Restaurant, address: ContactAddress
) -> None:
    make_address(restaurant, channel="whatsapp", value=PHONE)
    answer = api.post("consent-events", said(action="withdrawn", scope="all"), key="k")
    assert answer.status_code == 201
    assert set(Suppression.objects.values_list("channel", "scope", "reason")) == {
        ("sms", "all", "user"),
        ("whatsapp", "all", "user"),
    }


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"address": {}}, "#/address"),
        ({"address": {"id": "x"}}, "#/address/id"),
        ({"address": {"channel": "sms", "value": "12"}}, "#/address/value"),
        ({"address": {"channel": "pigeon", "value": PHONE}}, "#/address/channel"),
        ({"purpose": "joy"}, "#/purpose"),
        ({"action": "confirmed"}, "#/action"),
        ({"scope": "channel"}, "#/scope"),
        ({"occurred_at": "yesterday"}, "#/occurred_at"),
        ({"notice": "checkout:9"}, "#/notice"),
        ({"notice": "x:²"}, "#/notice"),
        ({"more": 1}, "#/more"),
    ],
)
def test_nonsense_is_named_and_records_nothing(
    api: Caller, change: dict[str, Any], pointer: str
) -> None:
    answer = api.post("consent-events", said(**change), key="k")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert PHONE not in answer.content.decode()
    assert not ConsentEvent.objects.exists()
    assert not ContactAddress.objects.exists()


def test_a_named_notice_is_kept(api: Caller, restaurant: Restaurant) -> None:
    notice = NoticeVersion.objects.create(
        sender_group=restaurant.sender_group,
        key="checkout",
        version=2,
        text="May we text you?",
        sha256="0" * 64,
        valid_from=NOW,
    )
    body = said(notice="checkout:2")
    del body["origin"]
    assert api.post("consent-events", body, key="k").json()["event"]["action"] == "granted"
    assert ConsentEvent.objects.get().notice_version == notice


def test_state_and_rows_of_an_address_are_shown_masked(
    api: Caller, stranger: Caller, stopped: ContactAddress, document: Any
) -> None:
    path = f"addresses/{stopped.public_id}/consent"
    answer = api.get(path)
    assert_described(document, "GET", "/api/v1/addresses/{address_id}/consent", answer)
    body = answer.json()
    assert body["address"] == {
        "id": str(stopped.public_id), "channel": "sms", "masked": "+1•••0142",
    }  # fmt: skip
    assert [event["action"] for event in body["events"]] == ["withdrawn"]
    assert [row["scope"] for row in body["suppressions"]] == ["channel"]
    assert body["events_total"] == 1
    assert PHONE not in answer.content.decode()
    assert stranger.get(path).status_code == 404


def test_a_preview_names_rule_and_version_and_does_nothing(
    api: Caller, restaurant: Restaurant, stopped: ContactAddress, document: Any
) -> None:
    defaults.install(restaurant)
    customer = Subject.objects.create(sender_group=restaurant.sender_group)
    SubjectAddress.objects.create(subject=customer, address=stopped)
    order = make_order(restaurant, subject=customer)
    before = ConsentEvent.objects.count()
    body = {"order": str(order.public_id), "trigger": "status_changed:ready"}
    answer = api.post("decisions/preview", body)
    assert_described(document, "POST", "/api/v1/decisions/preview", answer)
    (one,) = answer.json()["data"]
    assert (one["verdict"], one["code"]) == ("drop", "suppressed")
    assert one["rules"][-1] == {"rule": "suppression", "verdict": "drop", "why": "suppressed"}
    assert one["events"] == [str(ConsentEvent.objects.get().pk)]
    assert one["policy_version"]
    assert one["address"]["masked"] == "+1•••0142"
    assert ConsentEvent.objects.count() == before
    assert not Notification.objects.exists()
    assert api.post("decisions/preview", {}).status_code == 422
    assert api.post("decisions/preview", {"order": str(stopped.public_id)}).status_code == 404


def test_a_preview_of_marketing_without_consent(api: Caller, address: ContactAddress) -> None:
    verify_address(address_id=address.pk, at=NOW, by="portal")
    body = {"address": str(address.public_id), "purpose": "marketing"}
    (one,) = api.post("decisions/preview", body).json()["data"]
    assert (one["verdict"], one["code"]) == ("drop", "no_consent")


def test_a_rights_request_waits_with_its_clock(
    api: Caller, stranger: Caller, restaurant: Restaurant, document: Any
) -> None:
    customer = make_customer(restaurant, phone=PHONE)
    address = customer.addresses.get()
    body = {"kind": "erasure", "address": str(address.public_id), "text": "Forget me."}
    answer = api.post("rights-requests", body, key="k")
    assert_described(document, "POST", "/api/v1/rights-requests", answer)
    assert answer.status_code == 201
    made = RightsRequest.objects.get()
    assert answer.json()["id"] == str(made.public_id)
    assert (made.state, made.asked_via, made.text) == ("open", "api", "Forget me.")
    assert made.subject_ref == customer.pk
    assert api.post("rights-requests", body).json()["id"] == str(made.public_id)
    assert stranger.post("rights-requests", body).status_code == 404
    assert RightsRequest.objects.count() == 1
    lonely = make_address(restaurant, channel="email", value="ana@example.com")
    refused = api.post("rights-requests", {**body, "address": str(lonely.public_id)})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["code"] == "ambiguous"
