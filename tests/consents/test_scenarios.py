"""The acceptance scenarios of consent, by number: law, ledger, words and time."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import DatabaseError, connection, transaction

from consents import ledger, locks, selectors, services
from consents.addresses import address_hash
from consents.facts import PreferenceView, StateView
from consents.hours import known_zones, next_allowed, outside_quiet
from consents.identity import target_of
from consents.models import (
    ConsentEvent,
    ConsentState,
    ContactAddress,
    InboxItem,
    Preference,
    Subject,
    Suppression,
)
from consents.packs import PackSet, compile_pack
from consents.policy import CARRIER_RECHECK
from consents.signals import addresses_withdrawn
from integrations import registry
from integrations.contracts import Channel, Choice
from integrations.providers.klaviyo import Klaviyo
from notifications import compose, examples
from notifications.models import MessageTemplate
from notifications.rendering import TemplateInvalid
from notifications.selectors import clear_caches, restaurant_config
from notifications.services import save_template_version
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
    granted,
    make_address,
    make_group,
    make_notice,
    make_subject,
    marketing,
    message,
    shipped_packs,
    snapshot,
    stopped,
)
from tests.factories import make_restaurant

# pages, erasure and restores need more of the product than consents alone
from tests.notifications.test_erasure import (  # noqa: F401
    guest,
    journal,
    sendgrid,
    test_40_after_a_restore_the_erased_stay_erased_and_the_stops_stopped,
)
from tests.notifications.test_portal import (  # noqa: F401
    browser,
    test_29_the_link_ends_three_days_after_the_order,
    test_37_a_link_of_two_months_ago_stops_without_cookie_or_csrf_token,
    test_38_known_unknown_and_stopped_are_answered_alike,
    test_38_links_open_once_for_one_address,
    test_38_the_session_of_one_cannot_read_another,
)

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def resolve(group: Any, customer: Guest, **fields: Any) -> services.Contacts:
    fields.setdefault("jurisdiction", group.country)
    fields.setdefault("region", group.country)
    fields.setdefault("source", "toast")
    fields.setdefault("idempotency_base", "order:1001")
    fields.setdefault("at", NOW)
    return services.resolve_customer(sender_group_id=group.pk, customer=customer, **fields)


def words(address: ContactAddress, text: str, **fields: Any) -> services.WordsOutcome:
    fields.setdefault("channel", address.channel)
    fields.setdefault("occurred_at", NOW)
    fields.setdefault("received_at", fields["occurred_at"])
    fields.setdefault("idempotency_key", f"twilio:{text}:{fields['occurred_at']}")
    return services.handle_inbound_words(
        sender_group_id=address.sender_group_id, address_id=address.pk, text=text, **fields
    )


def verdict(
    address: ContactAddress, *, subject: UUID | None = None, now: datetime = NOW, **fields: Any
) -> tuple[str, str]:
    fields.setdefault("channel", address.channel)
    decision = ask(message(**fields), selectors.load_snapshot(subject, address.pk), now)
    return decision.verdict, decision.code


@pytest.mark.django_db
def test_01_a_grant_allows_and_is_named() -> None:
    address = make_address(make_group())
    event = append(address, "granted")
    decision = ask(message(), selectors.load_snapshot(None, address.pk))
    assert (decision.verdict, decision.basis) == ("allow", "consent")
    assert decision.event_ids == (event.id,)
    assert decision.policy_version == "US 2026-11"


@pytest.mark.django_db
def test_02_an_unticked_box_is_a_no() -> None:
    group = make_group()
    found = resolve(group, Guest(email="ana@example.com", consents={"sms": False}))
    sms = ContactAddress.objects.get(pk=found.addresses["sms"])
    email = ContactAddress.objects.get(pk=found.addresses["email"])
    assert actions_of(sms) == [("denied", "order_updates")]
    assert verdict(sms, subject=found.subject_id) == ("drop", "denied")
    assert verdict(email, subject=found.subject_id) == ("allow", "allowed")


@pytest.mark.django_db
def test_03_a_contract_needs_no_invented_consent() -> None:
    group = make_group(country="DE")
    found = resolve(group, Guest(phone=EU_PHONE, email="ana@example.com"))
    email = selectors.load_snapshot(found.subject_id, found.addresses["email"])
    decision = ask(message(channel="email", country="DE"), email)
    assert (decision.verdict, decision.basis, decision.event_ids) == ("allow", "contract", ())
    assert ask(message(country="DE"), selectors.load_snapshot(None, found.addresses["sms"])).basis
    assert not ConsentEvent.objects.exists()


@pytest.mark.django_db
def test_04_a_contract_is_no_consent_to_marketing() -> None:
    address = make_address(make_group(country="DE"), EU_PHONE, verified_at=NOW)
    decision = ask(marketing(country="DE"), selectors.load_snapshot(None, address.pk))
    assert (decision.verdict, decision.code) == ("drop", "no_consent")


@pytest.mark.django_db
def test_05_stop_suppresses_on_receipt() -> None:
    address = make_address(make_group())
    append(address, "granted", at=NOW - DAY)
    outcome = words(address, " Stop!! ")
    assert (outcome.intent, outcome.tier, outcome.suppressed) == ("stop", 1, True)
    assert outcome.reply == "stop_confirmation"
    assert verdict(address) == ("drop", "suppressed")
    reply = {"purpose": "service_reply", "event_kind": "stop_confirmation", "order_ref": ""}
    assert verdict(address, **reply) == ("allow", "allowed")
    late = NOW + 5 * MINUTE + timedelta(seconds=1)
    assert verdict(address, now=late, **reply) == ("drop", "confirmation_too_late")


@pytest.mark.django_db
def test_06_no_second_confirmation_after_the_vendors() -> None:
    address = make_address(make_group())
    outcome = words(address, "STOP", vendor_handled="stop", vendor_confirmed=True)
    assert (outcome.suppressed, outcome.reply) == (True, None)


@pytest.mark.django_db
def test_07_one_stop_delivered_five_times() -> None:
    address = make_address(make_group())
    outcomes = [words(address, "STOP", idempotency_key="twilio:SM1") for _ in range(5)]
    assert len(events_of(address)) == 1
    assert [o.reply for o in outcomes] == ["stop_confirmation", None, None, None, None]
    assert [o.is_duplicate for o in outcomes] == [False, True, True, True, True]
    assert all(o.suppressed for o in outcomes)


@pytest.mark.django_db
def test_08_a_late_stop_counts_and_stays_unanswered() -> None:
    address = make_address(make_group())
    outcome = words(address, "STOP", received_at=NOW + 6 * MINUTE)
    assert (outcome.suppressed, outcome.reply) == (True, None)


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["baja", "ALTO."])
def test_09_the_language_of_the_answer_does_not_matter(text: str) -> None:
    address = make_address(make_group())
    make_subject(address.sender_group, address, locale="en")
    assert words(address, text).suppressed
    assert verdict(address) == ("drop", "suppressed")


@pytest.mark.django_db
def test_10_free_words_stop_and_are_reviewed() -> None:
    address = make_address(make_group())
    outcome = words(address, "please don't text me any more")
    assert (outcome.tier, outcome.suppressed) == (2, True)
    item = InboxItem.objects.get()
    assert (item.pk, item.topic) == (outcome.inbox_item_id, "opt_out_review")


@pytest.mark.django_db
def test_11_talk_about_the_order_is_no_stop() -> None:
    address = make_address(make_group(), verified_at=NOW)
    notice = make_notice(address.sender_group)
    for purpose in ("order_updates", "marketing"):
        append(address, "granted", purpose=purpose, notice_version_id=notice.pk)
    offer = {"purpose": "marketing", "event_kind": "offer", "order_ref": ""}
    assert verdict(address, **offer) == ("allow", "allowed")
    outcome = words(address, "can I cancel my order?", has_open_order=True)
    assert (outcome.suppressed, outcome.tier) == (False, 3)
    item = InboxItem.objects.get(topic="order_talk")
    assert verdict(address) == ("allow", "allowed")
    assert verdict(address, **offer) == ("delay", "held_for_review")
    item.settled_at = NOW
    item.save()
    assert verdict(address, **offer) == ("allow", "allowed")
    bare = words(address, "CANCEL", has_open_order=True, occurred_at=NOW + MINUTE)
    assert (bare.intent, bare.suppressed, bare.reply) == ("stop", True, "stop_confirmation")


@pytest.mark.django_db
def test_12_start_gives_back_what_there_was_and_no_marketing() -> None:
    address = make_address(make_group())
    for purpose in ("order_updates", "feedback"):
        append(address, "granted", at=NOW - DAY, purpose=purpose)
    append(address, "denied", at=NOW - DAY, purpose="marketing")
    words(address, "STOP")
    outcome = words(address, "START", occurred_at=NOW + MINUTE)
    assert (outcome.suppressed, outcome.reply) == (False, "start_confirmation")
    assert actions_of(address)[-3:] == [
        ("lifted", "order_updates"),
        ("granted", "feedback"),
        ("granted", "order_updates"),
    ]
    states = dict(ConsentState.objects.values_list("purpose", "state"))
    assert states == {"order_updates": "granted", "feedback": "granted", "marketing": "withdrawn"}
    assert verdict(address) == ("allow", "allowed")
    again = words(address, "START", occurred_at=NOW + 2 * MINUTE)
    assert (again.reply, again.is_duplicate) == (None, True)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("source", "actor"), [("pos_import", "system"), ("api", "partner"), ("staff", "staff")]
)
def test_13_nobody_else_undoes_a_stop(source: str, actor: str) -> None:
    address = make_address(make_group())
    notice = make_notice(address.sender_group)
    words(address, "STOP")
    statement = {
        "address_id": address.pk,
        "purpose": "order_updates",
        "source": source,
        "actor_type": actor,
        "notice_version_id": notice.pk,
        "evidence": {"scan": "paper"},
        "occurred_at": NOW + HOUR,
        "now": NOW + HOUR,
    }
    claim = services.record_consent(**statement, action="granted", idempotency_key="a")
    lifted = services.record_consent(
        **statement, action="lifted", scope="channel", idempotency_key="b"
    )
    again = services.record_consent(**statement, action="granted", idempotency_key="a")
    assert [r.is_refused for r in (claim, lifted, again)] == [True, True, True]
    assert [r.is_new for r in (claim, lifted, again)] == [True, True, False]
    assert [e.action for e in events_of(address)] == ["withdrawn", "pending", "pending"]
    assert verdict(address, now=NOW + HOUR) == ("drop", "suppressed")


@pytest.mark.django_db
def test_14_the_portal_waits_for_the_carrier() -> None:
    address = make_address(make_group())
    words(address, "STOP")
    lift = {"address_id": address.pk, "source": "portal", "occurred_at": NOW + HOUR}
    recorded = services.lift(**lift, now=NOW + HOUR, idempotency_key="portal:1")
    assert not recorded.is_refused
    assert ConsentState.objects.get().carrier_block == "pending"
    decision = ask(message(), selectors.load_snapshot(None, address.pk), NOW + HOUR)
    assert (decision.verdict, decision.code) == ("delay", "carrier_block")
    assert decision.until == NOW + HOUR + CARRIER_RECHECK
    services.confirm_carrier(address_id=address.pk, now=NOW + 2 * HOUR, idempotency_key="bulk:1")
    assert verdict(address, now=NOW + 2 * HOUR) == ("allow", "allowed")


@pytest.mark.django_db
def test_14_start_from_the_handset_ends_the_carrier_block() -> None:
    address = make_address(make_group())
    words(address, "STOP")
    services.lift(
        address_id=address.pk,
        source="portal",
        occurred_at=NOW + HOUR,
        now=NOW + HOUR,
        idempotency_key="portal:1",
    )
    words(address, "START", occurred_at=NOW + 2 * HOUR)
    assert verdict(address, now=NOW + 2 * HOUR) == ("allow", "allowed")


@pytest.mark.django_db
def test_15_a_platforms_marketing_stop_leaves_order_updates_alone() -> None:
    address = make_address(make_group(), channel="whatsapp", verified_at=NOW)
    notice = make_notice(address.sender_group)
    for purpose in ("order_updates", "marketing"):
        append(address, "granted", purpose=purpose, notice_version_id=notice.pk, at=NOW - DAY)
    platform = {"purpose": "marketing", "source": "provider_webhook"}
    append(address, "suppressed", **platform)
    assert verdict(address) == ("allow", "allowed")
    offer = {"purpose": "marketing", "event_kind": "offer", "order_ref": ""}
    assert verdict(address, **offer) == ("drop", "suppressed")
    append(address, "lifted", at=NOW + MINUTE, **platform)
    assert verdict(address, now=NOW + MINUTE, **offer) == ("allow", "allowed")


@pytest.mark.django_db
def test_16_a_blocked_bot_is_about_reachability() -> None:
    address = make_address(make_group(), "99887766", channel="telegram")
    services.mark_unreachable(address_id=address.pk, at=NOW)
    assert verdict(address) == ("drop", "unreachable")
    services.mark_reachable(address_id=address.pk)
    assert verdict(address) == ("allow", "allowed")
    assert not ConsentEvent.objects.exists()


@pytest.mark.django_db
def test_17_a_dead_token_is_no_consent_event() -> None:
    group = make_group()
    token = make_address(group, "token-1", channel="push")
    services.mark_unreachable(address_id=token.pk, at=NOW)
    assert verdict(token) == ("drop", "unreachable")
    assert verdict(make_address(group, "token-2", channel="push")) == ("allow", "allowed")
    assert not ConsentEvent.objects.exists()


@pytest.mark.django_db
def test_18_a_stop_is_announced_inside_its_transaction() -> None:
    address = make_address(make_group())
    heard: list[dict[str, Any]] = []

    def listen(**values: Any) -> None:
        values.pop("signal"), values.pop("sender")
        assert connection.in_atomic_block
        assert Suppression.objects.filter(address_hash=values["address_hash"]).exists()
        heard.append(values)

    addresses_withdrawn.connect(listen)
    try:
        words(address, "STOP", idempotency_key="twilio:SM1")
        words(address, "STOP", idempotency_key="twilio:SM1")
    finally:
        addresses_withdrawn.disconnect(listen)
    assert heard == [
        {
            "sender_group_id": address.sender_group_id,
            "channel": "sms",
            "address_hash": address.address_hash,
            "generation": 1,
            "scope": "channel",
            "at": NOW,
        }
    ]


@pytest.mark.django_db(transaction=True)
def test_19_a_sender_that_waited_for_a_stop_sees_it() -> None:
    """The sender claimed; the stop holds the lock; the sender may only look after it committed."""
    address = make_address(make_group())
    append(address, "granted", at=NOW - DAY)
    asked, seen = threading.Event(), list[tuple[str, str]]()

    def send() -> None:
        try:
            with transaction.atomic():
                asked.set()
                locks.lock_addresses_shared([address.address_hash])
                seen.append(verdict(address))
        finally:
            connection.close()

    sender = threading.Thread(target=send)
    with transaction.atomic():
        words(address, "STOP")
        sender.start()
        assert asked.wait(10)
        _wait_until_blocked(address.address_hash)
        assert seen == []
    sender.join(10)
    assert seen == [("drop", "suppressed")]


@pytest.mark.django_db(transaction=True)
def test_20_a_stop_waits_for_the_flip_under_way() -> None:
    """Whoever is inside the shared lock finishes its flip; the stop then sees the row sending."""
    address = make_address(make_group())
    append(address, "granted", at=NOW - DAY)
    asked, order = threading.Event(), list[str]()

    def stop() -> None:
        try:
            asked.set()
            words(address, "STOP")
            order.append("stop")
        finally:
            connection.close()

    customer = threading.Thread(target=stop)
    with transaction.atomic():
        locks.lock_addresses_shared([address.address_hash])
        customer.start()
        assert asked.wait(10)
        _wait_until_blocked(address.address_hash)
        assert verdict(address) == ("allow", "allowed")
        order.append("flip")
    customer.join(10)
    assert order == ["flip", "stop"]
    assert verdict(address) == ("drop", "suppressed")


def _wait_until_blocked(digest: str) -> None:
    """Until PostgreSQL says that somebody waits for the lock of this address."""
    key = locks.lock_key(digest) & (2**64 - 1)
    deadline = threading.Event()
    for _ in range(500):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted "
                "AND classid::bigint = %s AND objid::bigint = %s",
                [key >> 32, key & (2**32 - 1)],
            )
            if cursor.fetchone()[0]:
                return
        deadline.wait(0.02)
    raise AssertionError("nobody waited for the lock")


@pytest.mark.django_db
def test_21_all_channels_means_the_other_one_too() -> None:
    group = make_group()
    sms = make_address(group)
    services.withdraw(
        address_id=sms.pk,
        scope="all",
        source="portal",
        occurred_at=NOW,
        now=NOW,
        idempotency_key="portal:all",
    )
    whatsapp = make_address(group, channel="whatsapp")  # came later: the number said no already
    append(whatsapp, "granted", at=NOW - DAY)
    assert verdict(sms) == ("drop", "suppressed")
    assert verdict(whatsapp) == ("drop", "suppressed")


@pytest.mark.django_db
def test_22_a_stop_counts_when_the_night_is_over() -> None:
    address = make_address(make_group())
    append(address, "granted", at=NOW - DAY)
    subject = make_subject(address.sender_group, address, quiet_from=time(22), quiet_until=time(8))
    night = datetime(2026, 11, 26, 4, 0, tzinfo=UTC)  # 23:00 in New York
    facts = message(due_at=night + 12 * HOUR)
    held = ask(facts, selectors.load_snapshot(subject.pk, address.pk), night)
    morning = datetime(2026, 11, 26, 13, 0, tzinfo=UTC)
    assert (held.verdict, held.code, held.until) == ("delay", "quiet_hours", morning)
    words(address, "STOP", occurred_at=night + HOUR)
    released = ask(facts, selectors.load_snapshot(subject.pk, address.pk), morning)
    assert (released.verdict, released.code) == ("drop", "suppressed")


@pytest.mark.django_db
def test_23_a_stop_on_a_shared_phone_is_everybodys() -> None:
    group = make_group()
    a = resolve(group, Guest(name="A", consents={"sms": True}))
    b = resolve(
        group,
        Guest(name="B", email="b@example.com", consents={"sms": True}),
        idempotency_base="order:1002",
    )
    assert a.subject_id != b.subject_id
    assert a.addresses["sms"] == b.addresses["sms"]
    phone = ContactAddress.objects.get(pk=a.addresses["sms"])
    words(phone, "STOP")
    assert verdict(phone, subject=b.subject_id) == ("drop", "suppressed")
    mail = ContactAddress.objects.get(pk=b.addresses["email"])
    assert verdict(mail, subject=b.subject_id) == ("allow", "allowed")


@pytest.mark.django_db
def test_24_a_choice_on_a_shared_phone_is_ones_own() -> None:
    address = make_address(make_group())
    append(address, "granted", at=NOW - DAY)
    a = make_subject(address.sender_group, address)
    b = make_subject(address.sender_group, address)
    Preference.objects.create(subject=a, channel="sms", is_allowed=False)
    assert verdict(address, subject=a.pk) == ("drop", "muted")
    assert verdict(address, subject=b.pk) == ("allow", "allowed")


@pytest.mark.django_db
def test_25_a_new_holder_starts_with_nothing() -> None:
    group = make_group()
    old = make_address(group)
    append(old, "granted", at=NOW - DAY)
    heard: list[int] = []

    def listen(generation: int, **_: Any) -> None:
        heard.append(generation)

    addresses_withdrawn.connect(listen)
    try:
        services.reassign_number(
            address_id=old.pk,
            source="provider_webhook",
            occurred_at=NOW,
            now=NOW,
            idempotency_key="rnd:1",
        )
    finally:
        addresses_withdrawn.disconnect(listen)
    assert heard == [1]
    assert verdict(old) == ("drop", "suppressed")
    outcome = services.handle_inbound_words(
        sender_group_id=group.pk,
        channel="sms",
        value=PHONE,
        text="START",
        occurred_at=NOW + HOUR,
        received_at=NOW + HOUR,
        idempotency_key="twilio:SM2",
    )
    new = ContactAddress.objects.get(pk=outcome.address_id)
    assert (new.generation, new.address_hash) == (2, old.address_hash)
    states = ConsentState.objects.filter(state="granted").values_list("generation", "purpose")
    assert (2, "order_updates") in states
    assert verdict(new, now=NOW + HOUR) == ("allow", "allowed")
    assert verdict(old, now=NOW + HOUR) == ("drop", "suppressed")


@pytest.mark.django_db
def test_25_staff_cannot_call_a_stopped_number_reassigned() -> None:
    address = make_address(make_group())
    words(address, "STOP")
    with pytest.raises(services.NotTheirsToSay):
        services.reassign_number(
            address_id=address.pk,
            source="staff",
            actor_type="staff",
            occurred_at=NOW,
            now=NOW,
            idempotency_key="staff:1",
        )
    assert len(events_of(address)) == 1


def test_26_a_number_nobody_verified_gets_no_marketing() -> None:
    states = {
        "marketing": granted(has_notice=True),
        "order_updates": granted(),
    }
    seen = snapshot(states=states)
    assert ask(marketing(), seen).code == "unverified"
    assert ask(message(), seen).code == "allowed"


@pytest.mark.django_db
def test_27_a_relay_number_hands_nothing_on() -> None:
    group = make_group()
    found = resolve(group, Guest(contact_kind="relay"))
    assert found.addresses == {}
    assert found.subject_id is not None
    assert not ContactAddress.objects.exists()
    relay = make_address(group, origin="marketplace_relay")
    words(relay, "STOP")
    services.expire_addresses(address_ids=[relay.pk], at=NOW)
    assert verdict(relay, now=NOW) == ("drop", "suppressed")
    later = resolve(group, Guest(name="B"), at=NOW + DAY, idempotency_base="order:1002")
    heir = ContactAddress.objects.get(pk=later.addresses["sms"])
    assert heir.generation == 2
    assert verdict(heir, subject=later.subject_id, now=NOW + DAY) == ("allow", "allowed")


def test_27_an_ended_address_is_never_used() -> None:
    seen = snapshot(states={"order_updates": granted()}, expires_at=NOW)
    assert ask(message(), seen).code == "address_expired"


def test_28_muting_one_order_mutes_one_order() -> None:
    mute = PreferenceView(is_allowed=False, order_ref="1001")
    seen = snapshot(states={"order_updates": granted()}, preferences=(mute,))
    assert ask(message(order_ref="1001"), seen).code == "muted"
    assert ask(message(order_ref="1002"), seen).code == "allowed"


@pytest.mark.django_db
def test_30_earlier_words_of_a_proven_number_count() -> None:
    group = make_group()
    customer = resolve(group, Guest(name="Ana"))
    words(ContactAddress.objects.get(pk=customer.addresses["sms"]), "STOP")
    profile = resolve(group, Guest(name="Ana Lima"), idempotency_base="order:1002")
    assert profile.subject_id != customer.subject_id
    address = ContactAddress.objects.get(pk=profile.addresses["sms"])
    assert verdict(address, subject=profile.subject_id) == ("drop", "suppressed")


MARKETING_GRANT = {"marketing": granted(has_notice=True)}


def test_31_marketing_keeps_the_recipients_hours() -> None:
    seen = snapshot("+12125550142", states=MARKETING_GRANT, verified_at=NOW)
    evening = datetime(2026, 11, 26, 1, 30, tzinfo=UTC)  # 19:30 in Chicago, 20:30 in New York
    decision = ask(marketing(timezone="America/Chicago"), seen, evening)
    assert (decision.verdict, decision.code) == ("delay", "hours")
    assert decision.until == datetime(2026, 11, 26, 13, 0, tzinfo=UTC)


def test_31_a_texan_number_sleeps_longer_on_sunday() -> None:
    seen = snapshot("+12145550142", states=MARKETING_GRANT, verified_at=NOW)
    sunday = datetime(2026, 11, 29, 15, 30, tzinfo=UTC)  # 09:30 in Dallas
    assert ask(marketing(), seen, sunday).until == datetime(2026, 11, 29, 18, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "release"),
    [
        (datetime(2027, 3, 14, 2, 0, tzinfo=UTC), datetime(2027, 3, 14, 12, 0, tzinfo=UTC)),
        (datetime(2027, 11, 7, 1, 0, tzinfo=UTC), datetime(2027, 11, 7, 13, 0, tzinfo=UTC)),
    ],
)
def test_32_the_night_of_a_clock_change(now: datetime, release: datetime) -> None:
    seen = snapshot(states=MARKETING_GRANT, verified_at=NOW)
    assert ask(marketing(), seen, now).until == release


@pytest.mark.parametrize(
    ("day", "end", "release"),
    [
        # 02:30 does not exist: 03:30 local
        (14, time(2, 30), datetime(2027, 3, 14, 7, 30, tzinfo=UTC)),
        # 01:30 comes twice: the second
        (7, time(1, 30), datetime(2027, 11, 7, 6, 30, tzinfo=UTC)),
    ],
)
def test_32_quiet_ends_at_the_later_reading(day: int, end: time, release: datetime) -> None:
    month = 3 if day == 14 else 11
    zones = known_zones(["America/New_York"])
    assert zones is not None
    now = datetime(2027, month, day, 4, 30, tzinfo=UTC)
    assert next_allowed(zones, [outside_quiet(time(22), end)], now) == release
    just_before = release - timedelta(seconds=1)
    assert next_allowed(zones, [outside_quiet(time(22), end)], just_before) == release
    assert next_allowed(zones, [outside_quiet(time(22), end)], release) == release


def test_33_a_number_alone_must_be_inside_everywhere_it_may_be() -> None:
    seen = snapshot("+61412345678", states=MARKETING_GRANT, verified_at=NOW)
    now = datetime(2027, 1, 14, 22, 30, tzinfo=UTC)
    decision = ask(marketing(country="AU", timezone="Australia/Sydney"), seen, now)
    assert decision.until == datetime(2027, 1, 15, 1, 30, tzinfo=UTC)
    at_home = snapshot(
        "+61412345678", states=MARKETING_GRANT, verified_at=NOW, timezone="Australia/Sydney"
    )
    assert ask(marketing(country="AU"), at_home, now).verdict == "allow"


def test_33_an_unknown_zone_keeps_marketing_in() -> None:
    seen = snapshot(states=MARKETING_GRANT, verified_at=NOW, timezone="Mars/Olympus")
    assert ask(marketing(), seen).code == "unknown_zone"


@pytest.fixture
def night_owl() -> Any:
    """A customer who sleeps from 22:00 to 08:00 in New York."""
    return snapshot(states={"order_updates": granted()}, quiet_from=time(22), quiet_until=time(8))


def test_34_a_live_order_wakes_and_a_far_one_waits(night_owl: Any) -> None:
    at_2240 = datetime(2026, 11, 26, 3, 40, tzinfo=UTC)
    live = message(milestone="delayed:1", due_at=at_2240 + 30 * MINUTE)
    assert ask(live, night_owl, at_2240).verdict == "allow"
    at_0200 = datetime(2026, 11, 26, 7, 0, tzinfo=UTC)
    catering = {"milestone": "cancelled", "due_at": at_0200 + 10 * HOUR}
    held = ask(message(**catering), night_owl, at_0200)
    assert (held.verdict, held.until) == ("delay", datetime(2026, 11, 26, 13, 0, tzinfo=UTC))
    assert ask(message(**catering, is_critical=True), night_owl, at_0200).verdict == "allow"
    silenced = snapshot(suppressions=(stopped(),))
    assert ask(message(**catering, is_critical=True), silenced, at_0200).code == "suppressed"


def test_35_what_is_too_old_in_the_morning_is_dropped(night_owl: Any) -> None:
    at_0200 = datetime(2026, 11, 26, 7, 0, tzinfo=UTC)
    facts = message(due_at=at_0200 + 10 * HOUR, expires_at=at_0200 + HOUR)
    assert (ask(facts, night_owl, at_0200).verdict, ask(facts, night_owl, at_0200).code) == (
        "drop",
        "expired",
    )
    assert ask(message(expires_at=NOW), night_owl, NOW).code == "expired"


@pytest.mark.django_db
def test_36_nobody_left_to_tell_means_phoning_once() -> None:
    seen = snapshot(suppressions=(stopped(scope="all"),), states={"order_updates": granted()})
    for channel in ("sms", "whatsapp", "email"):
        assert ask(message(channel=channel, is_critical=True), seen).code == "suppressed"
    group = make_group()
    task = {"sender_group_id": group.pk, "channel": "sms", "order_ref": UUID(int=1), "at": NOW}
    first, second = services.raise_phone_customer(**task), services.raise_phone_customer(**task)
    assert first.pk == second.pk
    assert InboxItem.objects.filter(topic="phone_customer").count() == 1


@pytest.mark.django_db
def test_39_after_erasure_the_number_stays_blocked_and_the_chain_holds() -> None:
    group = make_group()
    found = resolve(group, Guest())
    address = ContactAddress.objects.get(pk=found.addresses["sms"])
    words(address, "STOP")
    append(address, "erased", at=NOW + HOUR, source="rights_request", reason="legal")
    Subject.objects.get(pk=found.subject_id).delete()
    address.delete()
    back = resolve(group, Guest(), at=NOW + DAY, idempotency_base="order:1002")
    heir = ContactAddress.objects.get(pk=back.addresses["sms"])
    assert verdict(heir, subject=back.subject_id, now=NOW + DAY) == ("drop", "suppressed")
    assert list(ledger.verify(ledger.all_events())) == []


def test_39_a_subject_that_is_gone_or_restricted_is_told_nothing() -> None:
    states = {"order_updates": granted()}
    gone = snapshot(states=states, is_subject_erased=True)
    restricted = snapshot(states=states, restricted_at=NOW)
    for facts in (message(), message(is_critical=True)):
        assert ask(facts, gone).code == "subject_erased"
        assert ask(facts, restricted).code == "restricted"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE consents_consentevent SET action = 'granted'",
        "DELETE FROM consents_consentevent",
        "TRUNCATE consents_consentevent CASCADE",
    ],
)
def test_41_raw_sql_cannot_change_the_ledger(sql: str) -> None:
    append(make_address(make_group()), "withdrawn", scope="channel")
    connection.check_constraints()  # else TRUNCATE fails for the deferred ones before the trigger
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        connection.cursor().execute(sql)
    assert ConsentEvent.objects.get().action == "withdrawn"


@pytest.mark.django_db
def test_41_querysets_and_instances_cannot_either() -> None:
    event = append(make_address(make_group()), "withdrawn", scope="channel")
    event.action = "granted"
    for change in (
        lambda: ConsentEvent.objects.update(action="granted"),
        lambda: ConsentEvent.objects.all().delete(),
        event.save,
        event.delete,
    ):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            change()


@pytest.mark.django_db
def test_42_an_older_grant_that_arrives_later_changes_nothing() -> None:
    address = make_address(make_group())
    append(address, "withdrawn", at=NOW)
    append(address, "granted", at=NOW - DAY, now=NOW + DAY)
    assert ConsentState.objects.get().state == "withdrawn"


@pytest.mark.django_db
@pytest.mark.parametrize("order", [("granted", "denied"), ("denied", "granted")])
def test_42_of_two_at_once_the_restrictive_wins(order: tuple[str, str]) -> None:
    address = make_address(make_group())
    for action in order:
        append(address, action, at=NOW)
    assert ConsentState.objects.get().state == "denied"


@pytest.mark.django_db
def test_42_nobody_acts_in_the_future() -> None:
    address = make_address(make_group())
    append(address, "granted", at=NOW + DAY, now=NOW)
    append(address, "withdrawn", at=NOW + HOUR)
    assert ConsentState.objects.get().state == "withdrawn"


def test_43_a_default_is_no_consent() -> None:
    assert ask(message(default_allowed=True), snapshot()).code == "no_consent"
    assert ask(message(default_allowed=True, country="DE"), snapshot(EU_PHONE)).code == "allowed"
    # one plausible country is enough
    assert ask(message(country="US"), snapshot(EU_PHONE)).code == "no_consent"
    assert ask(message(country="DE", regions=("US",)), snapshot(EU_PHONE)).code == "no_consent"


def test_45_klaviyo_is_told_stops_and_never_subscribes_anybody() -> None:
    """Its subscribe job lifts what people stopped there; its unsubscribe job with a list ends
    everything for whoever is not on that list, so the stop goes without one."""
    provider = Klaviyo(Klaviyo.example_settings())
    common: dict[str, Any] = {"to": "ana@example.com", "occurred_at": NOW, "event_id": "e"}
    for purpose in ("", "order_updates", "marketing"):
        for channel in (Channel.EMAIL, Channel.SMS):
            grant = Choice(channel=channel, is_stopped=False, purpose=purpose, **common)
            assert provider.choice_requests(grant) == []
    stop = Choice(channel=Channel.EMAIL, is_stopped=True, purpose="marketing", **common)
    (request,) = provider.choice_requests(stop)
    assert request.url.endswith("/api/profile-subscription-bulk-delete-jobs")
    job = json.loads(request.body)["data"]
    assert "relationships" not in job
    (person,) = job["attributes"]["profiles"]["data"]
    assert person["attributes"]["subscriptions"] == {
        "email": {"marketing": {"consent": "UNSUBSCRIBED"}}
    }


@pytest.mark.django_db
def test_46_a_grant_keeps_the_wording_it_was_given_to() -> None:
    address = make_address(make_group())
    first = make_notice(address.sender_group, version=1, text="Text me about my order")
    event = append(address, "granted", notice_version_id=first.pk)
    make_notice(address.sender_group, version=2, text="Text me about my orders and offers")
    stored = ConsentEvent.objects.select_related("notice_version").get(pk=event.pk)
    assert stored.notice_version is not None
    assert (stored.notice_version.text, stored.notice_version.sha256) == (
        "Text me about my order",
        address_hash("notice", "Text me about my order"),
    )
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        type(first).objects.filter(pk=first.pk).update(text="Something else")


@pytest.mark.django_db
def test_47_a_staff_phone_stops_and_the_work_chat_goes_on() -> None:
    group = make_group()
    phone = make_address(group, OTHER_PHONE, origin="staff")
    chat = make_address(group, "shift-channel", channel="team_chat", origin="staff")
    staff = {"purpose": "staff_ops", "audience": "staff"}
    assert verdict(phone, **staff) == ("drop", "no_consent")
    append(phone, "granted", purpose="staff_ops", at=NOW - DAY)
    assert verdict(phone, **staff) == ("allow", "allowed")
    words(phone, "STOP")
    assert verdict(phone, **staff) == ("drop", "suppressed")
    assert verdict(chat, **staff) == ("allow", "allowed")


def test_48_a_new_pack_counts_from_its_day_and_sms_stays_mute() -> None:
    day = datetime(2026, 12, 20, tzinfo=UTC)
    us = next(pack for pack in shipped_packs() if pack.jurisdiction == "US")
    new = compile_pack(
        jurisdiction="US",
        version="FCC 26-67",
        effective_from=day,
        effective_to=None,
        rules=us.rules,
    )
    mute = snapshot(suppressions=(stopped(),), states={"order_updates": granted()})
    answers = []
    for now in (day - timedelta(microseconds=1), day):
        decision = ask(message(), mute, now, PackSet.at([*shipped_packs(), new], now))
        answers.append((decision.code, decision.policy_version))
    assert answers == [("suppressed", "US 2026-11"), ("suppressed", "US FCC 26-67")]


def test_a_state_view_of_a_pending_grant_is_no_grant() -> None:
    pending = StateView(state="pending", event_id=UUID(int=1))
    assert ask(message(), snapshot(states={"order_updates": pending})).code == "consent_pending"


def test_targets_carry_no_value() -> None:
    address = ContactAddress(sender_group_id=1, channel="sms", value=PHONE, address_hash="ab")
    assert PHONE not in repr(target_of(address))


@pytest.mark.django_db
@pytest.mark.parametrize(
    "words",
    ["Order {{ order.number }} is ready. Here is a COUPON for you!", "Ready! 20% off next time",
     "Listo. Un cupón para usted"],
)  # fmt: skip
def test_44_a_coupon_makes_an_order_message_marketing(words: str) -> None:
    restaurant = make_restaurant()
    template = MessageTemplate.objects.create(
        restaurant=restaurant, trigger="status_changed:ready", audience="customer"
    )
    with pytest.raises(TemplateInvalid, match="makes this message marketing"):
        save_template_version(template=template, text=words)
    assert not template.versions.exists()
    template.purpose = "marketing"
    template.save()
    save_template_version(template=template, text=words)
    clear_caches()
    # reclassified: it never goes out under the consent to order updates
    row = examples.row(
        registry.provider_class("twilio"), "status_changed", "ready", "customer", examples.Example()
    )
    with pytest.raises(compose.NoWords, match="marketing"):
        compose.words(row, restaurant_config(restaurant.pk))
    meant = replace(row, purpose="marketing")
    assert compose.words(meant, restaurant_config(restaurant.pk)).text == words


def test_every_scenario_is_here() -> None:
    found = {int(name.split("_")[1]) for name in globals() if re.match(r"test_\d\d_", name)}
    assert found == set(range(1, 49))
