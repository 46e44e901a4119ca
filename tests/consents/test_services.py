"""Customers of orders, statements about consent, and words people send."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from consents import derivation, ledger, selectors, services
from consents.identity import target_of
from consents.models import (
    ConsentEvent,
    ConsentEvidence,
    ConsentState,
    ContactAddress,
    InboxItem,
    SenderGroup,
    Subject,
    SubjectAddress,
    Suppression,
)
from tests.consents.factories import (
    EU_PHONE,
    NOW,
    OTHER_PHONE,
    PHONE,
    Guest,
    actions_of,
    append,
    ask,
    events_of,
    make_address,
    make_group,
    make_notice,
    make_subject,
    message,
)

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(hours=1)


def resolve(group: SenderGroup, guest: Guest, **fields: Any) -> services.Contacts:
    fields.setdefault("jurisdiction", group.country)
    fields.setdefault("region", group.country)
    fields.setdefault("idempotency_base", "order:1001")
    fields.setdefault("at", NOW)
    return services.resolve_customer(
        sender_group_id=group.pk, customer=guest, source="toast", **fields
    )


def sms_of(contacts: services.Contacts) -> ContactAddress:
    return ContactAddress.objects.get(pk=contacts.addresses["sms"])


def say(group: SenderGroup, text: str, **fields: Any) -> services.WordsOutcome:
    fields.setdefault("value", PHONE)
    fields.setdefault("occurred_at", NOW)
    fields.setdefault("received_at", fields["occurred_at"])
    fields.setdefault("idempotency_key", f"twilio:{text}:{fields['occurred_at']}")
    return services.handle_inbound_words(
        sender_group_id=group.pk, channel="sms", text=text, **fields
    )


# --- resolve_customer ---------------------------------------------------------------------------


def test_a_phone_given_with_an_order_is_consent_to_its_news() -> None:
    group = make_group()
    found = resolve(group, Guest(phone="(212) 555-0142", locale="es-US"))
    address = sms_of(found)
    assert (address.value, address.masked, address.region) == (PHONE, "+1•••0142", "US")
    (event,) = events_of(address)
    assert (event.action, event.purpose, event.source) == ("granted", "order_updates", "checkout")
    assert (event.lawful_basis, event.reason, event.actor_id) == ("consent", "user", "source:toast")
    assert (event.jurisdiction, event.policy_version) == ("US", "US 2026-11")
    assert event.language == "es-US"
    assert event.evidence is not None
    assert event.evidence.detail == {
        "order_source": "toast",
        "order": "order:1001",
        "how": "contact given with the order",
    }
    subject = Subject.objects.get()
    assert (subject.pk, subject.name, subject.locale) == (found.subject_id, "Ana Lima", "es-US")
    seen = selectors.load_snapshot(found.subject_id, address.pk)
    assert ask(message(), seen).code == "allowed"
    assert ask(message(purpose="marketing"), seen).verdict == "drop"


def test_whoever_wants_to_be_asked_is_not_granted() -> None:
    group = make_group()
    found = resolve(group, Guest(), contact_consent=services.ASK)
    seen = selectors.load_snapshot(found.subject_id, sms_of(found).pk)
    assert ask(message(), seen).code == "no_consent"
    assert not ConsentEvent.objects.exists()


def test_where_a_contract_is_enough_nothing_is_recorded_unless_a_plausible_country_differs() -> (
    None
):
    group = make_group(country="DE")
    resolve(group, Guest(phone=EU_PHONE))
    assert not ConsentEvent.objects.exists()
    resolve(group, Guest(phone="+12125550142"), idempotency_base="order:1002")
    assert ConsentEvent.objects.get().policy_version == "EU 2026-11+US 2026-11"


def test_a_known_customer_costs_two_queries_and_no_write() -> None:
    group = make_group()
    guest = Guest(email="ana@example.com", consents={"sms": True})
    first = resolve(group, guest)
    selectors.active_packs(NOW)
    with CaptureQueriesContext(connection) as queries:
        again = resolve(group, guest, at=LATER, subject_id=first.subject_id)
        other_order = resolve(group, guest, at=LATER, idempotency_base="order:1002")
    assert first == again == other_order
    assert len(queries) == 4
    assert all(q["sql"].split()[0] == "SELECT" for q in queries.captured_queries)
    assert Subject.objects.count() == 1
    assert ConsentEvent.objects.count() == 1


def test_a_refused_claim_is_on_record_once_and_then_costs_three_queries() -> None:
    group = make_group()
    address = sms_of(resolve(group, Guest(consents={"sms": False})))
    for _ in range(2):
        resolve(group, Guest(consents={"sms": True}), at=LATER, idempotency_base="order:1002")
    assert [e.action for e in events_of(address)] == ["denied", "pending"]
    assert ConsentState.objects.get().state == "denied"
    with CaptureQueriesContext(connection) as queries:
        resolve(group, Guest(consents={"sms": True}), at=LATER, idempotency_base="order:1002")
    assert len(queries) == 3


def test_the_wording_that_was_shown_makes_a_ticked_box_count_again() -> None:
    group = make_group()
    notice = make_notice(group)
    address = sms_of(resolve(group, Guest(consents={"sms": False})))
    ticked = {"at": LATER, "idempotency_base": "order:1002", "notice_version_id": notice.pk}
    resolve(group, Guest(consents={"sms": True}), **ticked)
    assert ConsentState.objects.get().state == "granted"
    assert ask(message(), selectors.load_snapshot(None, address.pk), LATER).code == "allowed"


def test_but_not_after_a_stop_from_the_handset() -> None:
    group = make_group()
    notice = make_notice(group)
    address = sms_of(resolve(group, Guest()))
    say(group, "STOP")
    ticked = {"at": LATER, "idempotency_base": "order:1002", "notice_version_id": notice.pk}
    resolve(group, Guest(consents={"sms": True}), **ticked)
    assert ask(message(), selectors.load_snapshot(None, address.pk), LATER).code == "suppressed"


def test_after_a_stop_a_number_given_again_says_nothing() -> None:
    group = make_group()
    address = sms_of(resolve(group, Guest()))
    say(group, "STOP")
    resolve(group, Guest(), at=LATER, idempotency_base="order:1002")
    assert [e.action for e in events_of(address)] == ["granted", "withdrawn"]


def test_an_ended_grant_is_given_again_with_the_next_order() -> None:
    group = make_group()
    address = make_address(group)
    append(address, "granted", at=NOW, valid_until=LATER)
    resolve(group, Guest(), at=LATER)
    assert [e.action for e in events_of(address)] == ["granted", "granted"]
    assert ask(message(), selectors.load_snapshot(None, address.pk), LATER).code == "allowed"


def test_whatsapp_only_where_the_checkout_asked_for_it() -> None:
    group = make_group()
    found = resolve(group, Guest(consents={"whatsapp": True}))
    assert set(found.addresses) == {"sms", "whatsapp"}
    whatsapp = ContactAddress.objects.get(pk=found.addresses["whatsapp"])
    assert whatsapp.address_hash == sms_of(found).address_hash
    assert {(e.channel, e.action) for e in ConsentEvent.objects.all()} == {
        ("sms", "granted"),
        ("whatsapp", "granted"),
    }


def test_what_cannot_be_used_is_named_without_its_value() -> None:
    found = resolve(make_group(), Guest(phone="12345", email="ana@", consents={"whatsapp": True}))
    assert found.problems == ["phone: invalid_number", "email: invalid_email"]
    assert found.addresses == {}
    assert Subject.objects.get().pk == found.subject_id
    assert not ContactAddress.objects.exists()


@pytest.mark.parametrize("kind", ["relay", "masked", "none"])
def test_an_indirect_contact_is_a_name_and_nothing_else(kind: str) -> None:
    group = make_group()
    found = resolve(group, Guest(contact_kind=kind, email="x@relay.example.com"))
    again = resolve(group, Guest(contact_kind=kind), subject_id=found.subject_id)
    assert (found.addresses, again) == ({}, found)
    assert not ContactAddress.objects.exists()
    assert resolve(group, Guest(name=" ", phone="", contact_kind=kind)).subject_id is None


def test_who_is_who_on_a_shared_number() -> None:
    group = make_group()
    ana = resolve(group, Guest(name="Ana  Lima"))
    same = resolve(group, Guest(name="ana lima"), idempotency_base="order:1002")
    ben = resolve(group, Guest(name="Ben"), idempotency_base="order:1003")
    assert ana.subject_id == same.subject_id != ben.subject_id
    # the order knows its customer already: another spelling is the same person
    respelt = resolve(group, Guest(name="A. Lima"), subject_id=ana.subject_id)
    assert respelt.subject_id == ana.subject_id
    assert Subject.objects.count() == 2
    elsewhere = resolve(make_group(), Guest(name="Ana Lima"), idempotency_base="order:9")
    assert elsewhere.subject_id != ana.subject_id


def test_a_number_everybody_is_given_under_stays_cheap() -> None:
    group = make_group()
    address = make_address(group)
    for number in range(60):
        make_subject(group, address, name=f"Guest {number}")
    resolve(group, Guest(name="Guest 59"))
    with CaptureQueriesContext(connection) as queries:
        resolve(group, Guest(name="Guest 59"), idempotency_base="order:1002")
    assert len(queries) == 2
    assert "LIMIT 20" in queries.captured_queries[-1]["sql"]


def test_a_second_address_joins_the_customer_of_the_order() -> None:
    group = make_group()
    first = resolve(group, Guest())
    second = resolve(group, Guest(email="ana@example.com"), subject_id=first.subject_id)
    assert second.subject_id == first.subject_id
    links = SubjectAddress.objects.filter(subject_id=first.subject_id)
    assert {link.address_id for link in links} == set(second.addresses.values())


def test_an_address_hashed_with_an_old_pepper_is_found(settings: Any) -> None:
    group = make_group()
    address = sms_of(resolve(group, Guest()))
    say(group, "STOP")
    settings.ADDRESS_PEPPERS = [*settings.ADDRESS_PEPPERS, "newer"]
    again = sms_of(resolve(group, Guest(), at=LATER, idempotency_base="order:1002"))
    assert again == address
    # and after erasure, when only the ledger remembers the hash
    Subject.objects.all().delete()
    ContactAddress.objects.all().delete()
    heir = sms_of(resolve(group, Guest(), at=LATER, idempotency_base="order:1003"))
    assert (heir.address_hash, heir.pepper_version) == (address.address_hash, 1)
    assert ask(message(), selectors.load_snapshot(None, heir.pk), LATER).code == "suppressed"
    fresh = sms_of(resolve(group, Guest(phone=OTHER_PHONE), idempotency_base="order:1004"))
    assert fresh.pepper_version == 2


def test_a_number_that_changed_hands_stays_changed_after_its_rows_are_erased() -> None:
    group = make_group()
    old = sms_of(resolve(group, Guest()))
    services.reassign_number(
        address_id=old.pk,
        source="provider_webhook",
        occurred_at=NOW,
        now=NOW,
        idempotency_key="rnd:1",
    )
    ContactAddress.objects.all().delete()
    new = sms_of(resolve(group, Guest(name="Ben"), at=LATER, idempotency_base="order:1002"))
    assert new.generation == 2
    assert ask(message(), selectors.load_snapshot(None, new.pk), LATER).code == "allowed"


# --- statements ---------------------------------------------------------------------------------


def test_a_claim_nobody_can_show_waits() -> None:
    address = make_address(make_group())
    claim = {
        "address_id": address.pk,
        "purpose": "marketing",
        "action": "granted",
        "source": "pos_import",
        "actor_type": "system",
        "occurred_at": NOW,
        "now": NOW,
    }
    bare = services.record_consent(**claim, idempotency_key="a")
    assert (bare.event.action, bare.is_refused) == ("pending", False)
    assert ConsentState.objects.get().state == "pending"
    shown = services.record_consent(**claim, idempotency_key="b", evidence={"scan": "form 12"})
    assert (shown.event.action, shown.is_refused) == ("granted", False)


def test_a_confirmed_opt_in_proves_the_address() -> None:
    address = make_address(make_group())
    append(address, "pending", purpose="marketing", valid_until=LATER)
    services.record_consent(
        address_id=address.pk,
        purpose="marketing",
        action="confirmed",
        source="portal",
        occurred_at=NOW,
        now=NOW,
        idempotency_key="a",
    )
    address.refresh_from_db()
    assert (address.verified_at, address.verified_by) == (NOW, "portal")
    assert ConsentState.objects.get().state == "granted"


def test_staff_may_write_down_a_customers_no() -> None:
    address = make_address(make_group())
    append(address, "granted")
    services.withdraw(
        address_id=address.pk,
        scope="category",
        source="staff",
        actor_type="staff",
        actor_id="7",
        occurred_at=NOW,
        now=NOW,
        idempotency_key="staff:1",
    )
    assert ConsentState.objects.get().is_customer_refusal
    assert ask(message(), selectors.load_snapshot(None, address.pk)).code == "withdrawn"


def test_a_bounce_can_be_taken_back_by_staff_and_a_complaint_not() -> None:
    group = make_group()
    for phone, reason, refused in ((PHONE, "hard_bounce", False), (OTHER_PHONE, "complaint", True)):
        address = make_address(group, phone)
        services.withdraw(
            address_id=address.pk,
            source="provider_webhook",
            reason=reason,
            actor_type="provider",
            occurred_at=NOW,
            now=NOW,
            idempotency_key=f"vendor:{reason}",
        )
        assert events_of(address)[0].action == "suppressed"
        recorded = services.lift(
            address_id=address.pk,
            source="staff",
            actor_type="staff",
            occurred_at=LATER,
            now=LATER,
            idempotency_key=f"staff:{reason}",
            purposes=(),
        )
        assert recorded.is_refused is refused
        assert Suppression.objects.filter(address_hash=address.address_hash).exists() is refused


def test_stopping_everything_covers_every_address_once() -> None:
    group = make_group()
    sms, whatsapp = make_address(group), make_address(group, channel="whatsapp")
    email = make_address(group, "ana@example.com", channel="email")
    stop = {"address_ids": [sms.pk, whatsapp.pk, email.pk], "source": "portal", "now": NOW}
    for _ in range(2):
        services.withdraw_everything(**stop, occurred_at=NOW, idempotency_key="portal:1")
    rows = Suppression.objects.values_list("channel", "scope")
    assert set(rows) == {("sms", "all"), ("whatsapp", "all"), ("email", "all")}


def test_evidence_of_words_is_kept_with_the_row() -> None:
    group = make_group()
    say(group, "Stop!!", vendor_handled="stop")
    assert ConsentEvidence.objects.get().detail == {"text": "Stop!!", "vendor_handled": "stop"}


# --- words --------------------------------------------------------------------------------------


def test_a_stop_from_a_stranger_counts_when_they_order_later() -> None:
    group = make_group()
    outcome = say(group, "STOP", value="+12125550142")
    assert outcome.suppressed
    found = resolve(group, Guest(), at=LATER)
    assert found.addresses["sms"] == outcome.address_id
    assert ConsentEvent.objects.count() == 1


def test_a_second_stop_is_recorded_and_not_confirmed_again() -> None:
    group = make_group()
    assert say(group, "STOP").reply == "stop_confirmation"
    second = say(group, "QUIT", occurred_at=LATER)
    assert (second.suppressed, second.reply, second.is_duplicate) == (True, None, False)


def test_the_vendors_opinion_adds_stops_and_takes_none_away() -> None:
    group = make_group()
    assert say(group, "NOMORE", vendor_handled="stop").suppressed
    other = say(group, "STOP", value=OTHER_PHONE, vendor_handled="help")
    assert (other.intent, other.suppressed) == ("stop", True)


def test_help_changes_nothing() -> None:
    group = make_group()
    assert say(group, "HELP").reply == "help"
    assert say(group, "HELP", vendor_confirmed=True).reply is None
    assert not ConsentEvent.objects.exists()
    assert not InboxItem.objects.exists()


def test_yes_lifts_a_stop_and_is_small_talk_elsewhere() -> None:
    group = make_group()
    address = make_address(group)
    assert say(group, "YES").intent == "other"
    say(group, "STOP", occurred_at=LATER)
    assert say(group, "YES", occurred_at=LATER + timedelta(minutes=1)).intent == "start"
    assert actions_of(address)[-1] == ("granted", "order_updates")


def test_yes_confirms_an_open_double_opt_in_and_no_stale_one() -> None:
    group = make_group()
    address = make_address(group)
    append(address, "pending", purpose="marketing", valid_until=LATER)
    stale = say(group, "YES", occurred_at=LATER)
    assert stale.intent == "other"
    fresh = say(group, "YES", occurred_at=LATER - timedelta(minutes=1))
    assert fresh.intent == "start"
    assert ("confirmed", "marketing") in actions_of(address)
    address.refresh_from_db()
    assert address.verified_by == "keyword"


def test_start_gives_no_marketing_an_import_merely_claimed() -> None:
    group = make_group()
    address = make_address(group)
    append(address, "granted", purpose="marketing", source="pos_import", actor_type="system")
    say(group, "START", occurred_at=LATER)
    assert dict(ConsentState.objects.values_list("purpose", "state")) == {
        "marketing": "pending",
        "order_updates": "granted",
    }


def test_start_does_not_end_a_complaint() -> None:
    group = make_group()
    address = make_address(group)
    append(address, "suppressed", scope="channel", reason="complaint", source="provider_webhook")
    outcome = say(group, "START", occurred_at=LATER)
    assert (outcome.suppressed, outcome.reply) == (True, None)


def test_an_old_start_delivered_again_does_not_end_a_newer_stop() -> None:
    group = make_group()
    address = make_address(group)
    append(address, "granted", at=NOW - timedelta(days=1))
    start = {"idempotency_key": "twilio:SM1", "occurred_at": NOW}
    say(group, "START", **start)
    say(group, "STOP", occurred_at=NOW + timedelta(minutes=1))
    again = say(group, "START", received_at=LATER, **start)
    assert (again.suppressed, again.reply) == (True, None)


def test_questions_go_where_somebody_answers() -> None:
    group = make_group()
    answered = say(group, "where is my order?", has_open_order=True)
    assert (answered.intent, answered.inbox_item_id) == ("status", None)
    say(group, "where is my order?", has_open_order=False)
    say(group, "Do you have oat milk?", order_ref=UUID(int=5))
    say(group, "👍")
    items = InboxItem.objects.order_by("pk").values_list("topic", "text", "holds_marketing")
    assert list(items) == [
        ("question", "where is my order?", False),
        ("question", "Do you have oat milk?", False),
    ]


def test_a_seller_with_separate_numbers_may_mute_one_purpose() -> None:
    group = make_group(stop_scope="purpose")
    address = make_address(group, verified_at=NOW)
    notice = make_notice(group)
    for purpose in ("order_updates", "marketing"):
        append(address, "granted", purpose=purpose, notice_version_id=notice.pk)
    outcome = say(group, "STOP", occurred_at=LATER)
    assert (outcome.suppressed, outcome.reply) == (True, "stop_confirmation")
    seen = selectors.load_snapshot(None, address.pk)
    assert ask(message(), seen, LATER).code == "withdrawn"
    assert ask(message(purpose="marketing"), seen, LATER).code == "allowed"


def test_granted_before_a_stop_is_what_counted_then() -> None:
    address = make_address(make_group())
    append(address, "granted", at=NOW)
    append(address, "granted", at=NOW, purpose="marketing")
    append(address, "withdrawn", at=NOW + timedelta(minutes=1), purpose="marketing")
    append(address, "withdrawn", at=NOW + timedelta(minutes=2), scope="channel")
    facts = [ledger.fact_of(event) for event in events_of(address)]
    target = target_of(address)
    assert derivation.granted_before_stop(
        facts, generation=target.generation, channel=target.channel
    ) == {"order_updates"}
