"""Who ordered: what a source says about the guest, and what becomes of it."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from consents.models import ContactAddress
from integrations.contracts import Customer
from orders.models import Order, SourceAccount
from tests.orders.posting import PHONE
from tests.orders.updates import apply, says

pytestmark = pytest.mark.django_db


def test_a_direct_contact_becomes_a_subject(account: SourceAccount) -> None:
    apply(account, says("A1", "received", customer=Customer("Ana", PHONE, "ana@example.com")))
    order = Order.objects.get()
    assert order.contact_kind == "direct"
    assert order.subject is not None
    assert order.subject.name == "Ana"
    channels = {address.channel for address in order.subject.addresses.all()}
    assert channels >= {"sms", "email"}
    stored = list(order.observations.values_list("data", flat=True))
    assert PHONE not in repr(stored) + repr(order.detail)


def test_the_same_contact_again_costs_nothing(account: SourceAccount) -> None:
    customer = Customer("Ana", PHONE)
    apply(account, says("A1", "received", customer=customer))
    with CaptureQueriesContext(connection) as queries:
        apply(account, says("A1", data={"note": "x"}, minute=1, customer=customer), 1)
    assert not [q for q in queries.captured_queries if "consents_" in q["sql"]]


def test_a_corrected_number_replaces_the_old_one(account: SourceAccount) -> None:
    apply(account, says("A1", "received", customer=Customer("Ana", PHONE)))
    apply(account, says("A1", minute=1, customer=Customer("Ana", "+12025550199")), 1)
    subject = Order.objects.get().subject
    assert subject is not None
    masked = {address.masked for address in subject.addresses.filter(channel="sms")}
    assert any(value.endswith("0199") for value in masked)


@pytest.mark.parametrize("kind", ["relay", "masked", "none"])
def test_only_direct_contacts_are_addresses(account: SourceAccount, kind: str) -> None:
    apply(account, says("A1", "received", customer=Customer("Ana", PHONE, contact_kind=kind)))
    assert Order.objects.get().contact_kind == kind
    assert not ContactAddress.objects.exists()


def test_a_later_source_may_know_the_contact(account: SourceAccount, pos: SourceAccount) -> None:
    shared = (("external_id", "WEB-1"),)
    relay = Customer("A.", contact_kind="relay")
    apply(account, says("A1", "received", aliases=shared, customer=relay))
    apply(pos, says("sq", "accepted", aliases=shared, customer=Customer("Ana", PHONE)))
    assert Order.objects.get().contact_kind == "direct"
    apply(account, says("A1", "ready", minute=2, customer=Customer("B.", contact_kind="relay")), 2)
    order = Order.objects.get()
    assert order.contact_kind == "direct"
    assert order.subject is not None
    assert ContactAddress.objects.filter(subjects=order.subject, channel="sms").exists()


def test_an_impossible_number_is_said_without_showing_it(account: SourceAccount) -> None:
    customer = Customer("Ana", "12", "no mail")
    applied = apply(account, says("A1", "received", customer=customer))
    assert applied.outcome == "applied"
    assert "contact phone" in applied.cause
    assert "contact email" in applied.cause
    assert "no mail" not in applied.cause
