"""Forgetting a person: through real orders, real dispatch and vendors that answer."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction

from consents import erasure, erasure_journal, ledger, rights, services
from consents.models import (
    ConsentEvent,
    ConsentEvidence,
    ContactAddress,
    InboxItem,
    ManageLink,
    Preference,
    RightsRequest,
    Subject,
    Suppression,
)
from integrations import contracts
from integrations.contracts import HttpRequest
from integrations.http import http_door, run
from notifications import steps
from notifications.models import Delivery, InboundMessage, MessageTemplate, ProviderAccount
from notifications.replies import record_replies
from notifications.selectors import account_view, clear_caches
from notifications.services import register_with_sandbox
from notifications.sweep import sweep
from orders.models import InboundCall
from tests.factories import make_address, make_provider_account
from tests.stage import GUEST, PHONE, Stage

pytestmark = pytest.mark.django_db
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture(autouse=True)
def journal(settings: Any, tmp_path: Path) -> Path:
    settings.ERASURE_JOURNAL = tmp_path / "books" / "erasures.jsonl"
    return tmp_path / "books" / "erasures.jsonl"


@pytest.fixture
def hubspot(stage: Stage) -> ProviderAccount:
    from tests.integrations import fixture_files

    account = make_provider_account(
        stage.restaurant, provider="hubspot", settings=dict(fixture_files.settings("hubspot"))
    )
    register_with_sandbox([account])
    clear_caches()
    return account


@pytest.fixture
def guest(stage: Stage) -> Subject:
    """Somebody who ordered, was told, wrote back, chose and opened a link."""
    stage.open()
    stage.settle_and_send()
    subject = stage.order().subject
    assert subject is not None
    text = ContactAddress.objects.get(channel="sms")
    hear(stage, "is it ready yet? my door code is 471100815", "SM1")
    services.record_consent(
        address_id=text.pk,
        purpose="marketing",
        action="granted",
        source="portal",
        occurred_at=now(),
        now=now(),
        idempotency_key="form:1",
        subject_id=subject.pk,
        evidence={"ip": "192.0.2.7"},
    )
    Preference.objects.create(subject=subject, purpose="feedback", is_allowed=False)
    ManageLink.objects.create(
        token_hash="0" * 64, address=text, created_at=now(), expires_at=now() + HOUR
    )
    stage.settle_and_send()
    return subject


def now() -> datetime:
    return datetime.now(UTC)


def hear(stage: Stage, text: str, vendor_id: str) -> None:
    reply = contracts.Reply(
        channel=contracts.Channel.SMS, sender=PHONE, text=text, vendor_id=vendor_id
    )
    account = account_view(stage.accounts["twilio"])
    record_replies(account=account, replies=[reply], received_at=now())


def ask(subject: Subject) -> RightsRequest:
    return rights.open_request(subject.pk, "erasure", "portal", now(), "please forget me")


def carry_on(stage: Stage, at: datetime) -> str:
    """The beat, with dispatch between its rounds as in service."""
    erasure.carry_on_erasures(at)
    stage.send()
    erasure.carry_on_erasures(at)
    return str(RightsRequest.objects.get(kind="erasure").outcome["step"])


def traces(word: str) -> list[str]:
    """Tables in which ``word`` can be read, encrypted columns opened."""
    from django.apps import apps

    found = []
    for model in apps.get_models():
        ours = model._meta.app_label in ("consents", "orders", "notifications")
        if ours and model.objects.exists():
            rows = json.dumps(list(model.objects.values()), default=str)
            found += [model.__name__] if word in rows else []
    return found


def test_39_an_erasure_waits_for_what_is_leaving_and_leaves_nothing(
    stage: Stage, guest: Subject, hubspot: ProviderAccount, journal: Path
) -> None:
    assert {"Subject", "InboundCall"} <= set(traces("Ana Silva"))
    stage.post(state="ready")
    text = Delivery.objects.filter(channel="sms").latest("pk")
    leaving = Delivery.objects.filter(pk=text.pk)
    leaving.update(state="sending", lease_until=now() + MINUTE)
    queued = list(Delivery.objects.filter(state="queued", notification__subject=guest))
    request = ask(guest)
    guest.refresh_from_db()
    assert guest.restricted_at is not None
    assert {d.reason for d in Delivery.objects.filter(pk__in=[d.pk for d in queued])} <= {
        "restricted"
    }
    assert carry_on(stage, now()) == "waiting"
    assert Subject.objects.filter(pk=guest.pk).exists()
    leaving.update(state="accepted", lease_until=None, settled_at=now(), vendor_id="SM-late")
    sent_before = len(stage.messages())
    assert carry_on(stage, now()) == "erased"

    last = stage.messages()[sent_before:]
    assert [message["to"] for message in last] == [GUEST["email"]]
    assert "deleting what we know about you" in last[0]["text"]
    request.refresh_from_db()
    assert (request.state, request.subject, request.text) == ("done", None, "")
    assert request.subject_ref == guest.pk
    vendors = {(answer["account"], answer["state"]) for answer in request.outcome["vendors"]}
    assert (hubspot.name, "erased") in vendors
    assert not any(answer["state"] == "failed" for answer in request.outcome["vendors"])
    for word in (
        "Ana Silva",
        "Silva",
        PHONE,
        GUEST["email"],
        "471100815",
        "192.0.2.7",
        "forget me",
    ):
        assert traces(word) == [], word
    for model in (Subject, ContactAddress, ConsentEvidence, Preference, ManageLink, InboxItem):
        kept = model._default_manager.all()
        if model is Subject:
            kept = kept.filter(kind="customer")
        assert not kept.exists(), model
    order = stage.order()
    assert (order.subject_id, order.state) == (None, "ready")
    assert not InboundCall.objects.filter(order=order).exists()

    ends = ConsentEvent.objects.filter(action="erased")
    assert {event.channel for event in ends} == {"sms", "email"}
    assert {event.subject_ref for event in ends} == {guest.pk}
    assert list(ledger.verify(ledger.all_events())) == []
    [line] = [json.loads(line) for line in journal.read_text().splitlines() if line]
    assert line["subject"] == str(guest.pk)
    assert {a["address_hash"] for a in line["addresses"]} == {e.address_hash for e in ends}
    assert PHONE not in journal.read_text()
    assert journal.stat().st_mode & 0o777 == 0o600
    with pytest.raises(Subject.DoesNotExist):
        rights.open_request(guest.pk, "access", "portal", now())


def test_39_a_late_callback_gets_200_and_brings_nobody_back(stage: Stage, guest: Subject) -> None:
    delivery = Delivery.objects.filter(channel="sms", state="accepted").first()
    assert delivery is not None
    ask(guest)
    assert carry_on(stage, now()) == "erased"
    people, calls = Subject.objects.count(), InboundCall.objects.count()
    receipt = contracts.Receipt(
        contracts.ReceiptKind.DELIVERED, attempt_id=str(delivery.attempt), recipient=PHONE
    )
    from notifications.receipts import record_receipts

    assert record_receipts(account_id=delivery.account_id, receipts=[receipt], received_at=now())
    delivery.refresh_from_db()
    assert (delivery.state, delivery.address, delivery.is_erased) == ("delivered", None, True)
    opted_out = contracts.Receipt(
        contracts.ReceiptKind.UNSUBSCRIBED, attempt_id=str(delivery.attempt), recipient=PHONE
    )
    record_receipts(account_id=delivery.account_id, receipts=[opted_out], received_at=now())
    # the source repeats its order with the guest in it, and says more
    assert stage.post(state="delivered", customer=GUEST).status_code == 202
    order = stage.order()
    assert (order.state, order.subject_id) == ("delivered", None)
    assert Subject.objects.count() == people
    assert not ContactAddress.objects.exists()
    assert InboundCall.objects.count() == calls + 1


def test_39_a_suppression_still_blocks_the_number_on_a_new_order(
    stage: Stage, guest: Subject
) -> None:
    hear(stage, "STOP", "SM2")
    stage.settle_and_send()
    sent = len(stage.messages("twilio"))
    ask(guest)
    assert carry_on(stage, now()) == "erased"
    stage.open("WEB-2001", customer={**GUEST, "email": ""})
    stage.settle_and_send()
    assert len(stage.messages("twilio")) == sent
    heir = ContactAddress.objects.get()
    assert Suppression.objects.get().address_hash == heir.address_hash
    assert heir.subjects.get().pk != guest.pk


def test_39_the_longest_wait_is_ten_minutes(stage: Stage, guest: Subject) -> None:
    hung = Delivery.objects.filter(channel="sms").latest("pk")
    Delivery.objects.filter(pk=hung.pk).update(state="sending", lease_until=now() + DAY)
    request = ask(guest)
    assert carry_on(stage, request.received_at + 9 * MINUTE) == "waiting"
    # the last words are due by then, and dispatch has another clock
    assert carry_on(stage, request.received_at + 10 * MINUTE) == "telling"
    assert carry_on(stage, request.received_at + 19 * MINUTE) == "telling"
    assert carry_on(stage, request.received_at + 20 * MINUTE) == "erased"
    assert Delivery.objects.get(notification__kind="reply", is_erased=True).reason == "erased"
    request.refresh_from_db()
    assert request.outcome["waited_in_vain"] is True


@pytest.mark.parametrize("state", ["queued", "unknown"])
def test_39_what_was_still_leaving_is_never_sent_again(
    stage: Stage, guest: Subject, state: str
) -> None:
    """Its worker reports after the erasure that the vendor failed, or nobody knows."""
    hung = Delivery.objects.filter(channel="sms").latest("pk")
    rows = Delivery.objects.filter(pk=hung.pk)
    rows.update(state="sending", lease_until=now() + DAY)
    request = ask(guest)
    for minutes in (10, 20):
        step = carry_on(stage, request.received_at + minutes * MINUTE)
    assert step == "erased"
    sent = len(stage.messages())
    rows.update(
        state=state, reason="outcome_unknown", due_at=now() - HOUR, settled_at=now() - HOUR,
        expires_at=now() + HOUR,
    )  # fmt: skip
    for _ in range(2):
        sweep(now())
        stage.send()
    assert len(stage.messages()) == sent
    steps.go_on(delivery_ids=[hung.pk], now=now())
    stage.send()
    assert len(stage.messages()) == sent
    assert Delivery.objects.filter(notification=hung.notification_id).count() == 1


def test_39_what_a_shared_phone_says_of_others_stays(stage: Stage, guest: Subject) -> None:
    text = ContactAddress.objects.get(channel="sms")
    stage.open("WEB-3001", customer={"name": "Ben", "phone": PHONE, "contact_kind": "direct"})
    other = stage.order("3001").subject
    assert other is not None
    assert other.pk != guest.pk
    hear(stage, "Ben here, thank you", "SM3")
    before = list(ledger.chain(text.sender_group_id, text.address_hash))
    ask(guest)
    assert carry_on(stage, now()) == "erased"
    assert list(text.subjects.values_list("pk", flat=True)) == [other.pk]
    assert list(ledger.chain(text.sender_group_id, text.address_hash)) == before
    assert ConsentEvent.objects.get(action="erased").channel == "email"
    assert "Ben here, thank you" in [m.text for m in InboundMessage.objects.all()]


def test_a_vendor_that_fails_is_asked_again_while_the_address_is_there(
    stage: Stage, guest: Subject, hubspot: ProviderAccount
) -> None:
    stage.fault(vendor="hubspot", kind="500", times=1)
    request = ask(guest)
    assert carry_on(stage, now()) == "vendors"
    request.refresh_from_db()
    failed = [a["account"] for a in request.outcome["vendors"] if a["state"] == "failed"]
    assert failed == [hubspot.name]
    assert PHONE not in json.dumps(request.outcome)
    assert GUEST["email"] not in json.dumps(request.outcome)
    assert carry_on(stage, now() + MINUTE / 2) == "vendors"
    assert ContactAddress.objects.exists()
    assert carry_on(stage, now() + 2 * MINUTE) == "erased"
    request.refresh_from_db()
    assert request.outcome["tries"] == 2


def test_a_vendor_that_never_answers_does_not_keep_the_data_here(
    stage: Stage, guest: Subject, hubspot: ProviderAccount
) -> None:
    stage.fault(vendor="hubspot", kind="500", times=50)
    request = ask(guest)
    assert carry_on(stage, now()) == "vendors"
    assert carry_on(stage, request.due_at - 3 * DAY) == "vendors"
    assert carry_on(stage, request.due_at - 2 * DAY + MINUTE) == "erased"
    request.refresh_from_db()
    assert [a["state"] for a in request.outcome["vendors"] if a["account"] == hubspot.name]


def test_a_legal_hold_keeps_the_data_and_the_silence(stage: Stage, guest: Subject) -> None:
    Subject.objects.filter(pk=guest.pk).update(legal_hold=True)
    ask(guest)
    assert carry_on(stage, now()) == "waiting"
    assert Subject.objects.get(pk=guest.pk).restricted_at is not None
    Subject.objects.filter(pk=guest.pk).update(legal_hold=False)
    assert carry_on(stage, now()) == "erased"


def test_staff_must_say_who_checked(stage: Stage, guest: Subject) -> None:
    request = rights.open_request(guest.pk, "erasure", "staff", now())
    assert (request.state, request.outcome) == ("open", {})
    erasure.carry_on_erasures(now())
    guest.refresh_from_db()
    assert guest.restricted_at is None
    for _ in range(2):
        rights.begin(request_id=request.pk, by="mia", now=now())
    assert carry_on(stage, now()) == "erased"
    with pytest.raises(rights.RequestSettled):
        rights.begin(request_id=request.pk, by="mia", now=now())


class Killed(BaseException):
    """The process is gone."""


def until_killed(stage: Stage) -> None:
    """Rounds of the beat; the transaction the kill falls into is lost."""
    for _ in range(4):
        with transaction.atomic():
            erasure.carry_on_erasures(now())
        stage.send()


@pytest.mark.parametrize("step", ["waiting", "telling", "vendors", "erasing"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_at_any_step_is_taken_up_where_it_was(
    stage: Stage, guest: Subject, journal: Path, monkeypatch: pytest.MonkeyPatch,
    step: str, when: str,
) -> None:  # fmt: skip
    request = ask(guest)
    real = erasure._advance

    def dying(request_id: int, at: str, following: str, values: dict[str, Any]) -> bool:
        if at != step:
            return real(request_id, at, following, values)
        if when == "after":
            real(request_id, at, following, values)
        raise Killed

    monkeypatch.setattr(erasure, "_advance", dying)
    for _ in range(3 if when == "before" else 1):
        with pytest.raises(Killed):
            until_killed(stage)
    assert Subject.objects.filter(pk=guest.pk).exists()
    monkeypatch.setattr(erasure, "_advance", real)
    said = "deleting what we know"
    assert carry_on(stage, now()) == "erased"
    assert carry_on(stage, now()) == "erased"
    assert erasure.carry_on(request_id=request.pk, now=now()) == "erased"
    assert sum(said in text for text in stage.texts("mailgun")) == 1
    assert ConsentEvent.objects.filter(action="erased").count() == 2
    assert list(ledger.verify(ledger.all_events())) == []


def test_a_restaurant_without_the_words_says_them_all_the_same(
    stage: Stage, guest: Subject
) -> None:
    """It was set up before there were any."""
    MessageTemplate.objects.filter(trigger="reply:erasure").delete()
    clear_caches()
    ask(guest)
    assert carry_on(stage, now()) == "erased"
    assert sum("deleting what we know" in text for text in stage.texts("mailgun")) == 1


def test_no_journal_no_erasure(stage: Stage, guest: Subject, settings: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    settings.ERASURE_JOURNAL = tmp_path / "file" / "erasures.jsonl"
    request = ask(guest)
    assert carry_on(stage, now()) == "erasing"
    assert Subject.objects.filter(pk=guest.pk).exists()
    assert not ConsentEvent.objects.filter(action="erased").exists()
    settings.ERASURE_JOURNAL = tmp_path / "erasures.jsonl"
    assert carry_on(stage, now()) == "erased"
    request.refresh_from_db()
    assert request.state == "done"


@pytest.fixture
def sendgrid(stage: Stage) -> ProviderAccount:
    settings = {
        "api_key": "SG.test",
        "from_address": "orders@example.com",
        "unsubscribe_group": "77",
        "shares_lists": "yes",
    }
    account = make_provider_account(stage.restaurant, provider="sendgrid", settings=settings)
    register_with_sandbox([account])
    clear_caches()
    return account


def unsubscribe(stage: Stage, mailbox: str) -> None:
    """The person presses the vendor's own link."""
    url = f"{stage.sandbox.url}/_sandbox/sendgrid/lists"
    said = {"list": "unsubscribes", "email": mailbox}
    run(http_door().send(HttpRequest.post(url, json_body=said), provider="sandbox"))


def replayed() -> str:
    out = StringIO()
    call_command("replay_erasures", stdout=out)
    return out.getvalue()


def test_40_after_a_restore_the_erased_stay_erased_and_the_stops_stopped(
    stage: Stage, guest: Subject, sendgrid: ProviderAccount
) -> None:
    ben = make_address(stage.restaurant, channel="email", value="ben@example.com")
    phone = ContactAddress.objects.get(channel="sms")
    backup = transaction.savepoint()
    # what the backup does not have: a stop by text, an erasure, a stop at the vendor
    hear(stage, "STOP", "SM9")
    ask(guest)
    assert carry_on(stage, now()) == "erased"
    unsubscribe(stage, "ben@example.com")
    transaction.savepoint_rollback(backup)
    clear_caches()

    assert Subject.objects.filter(pk=guest.pk).exists()
    assert not Suppression.objects.exists()
    said = replayed()
    assert "1 stops read back" in said
    assert "1 erasures in the journal, 1 people had come back" in said
    assert not Subject.objects.filter(pk=guest.pk).exists()
    assert not ContactAddress.objects.filter(pk=phone.pk).exists()
    for word in ("Ana Silva", PHONE, GUEST["email"], "471100815", "192.0.2.7"):
        assert traces(word) == [], word
    stopped = {(row.channel, row.address_hash) for row in Suppression.objects.all()}
    assert stopped == {("sms", phone.address_hash), ("email", ben.address_hash)}
    assert ConsentEvent.objects.filter(action="erased").count() == 2
    assert list(ledger.verify(ledger.all_events())) == []

    rows = ConsentEvent.objects.count()
    assert "1 erasures in the journal, 0 people had come back" in replayed()
    assert ConsentEvent.objects.count() == rows


def test_40_who_comes_back_by_themselves_is_not_erased_by_a_replay(
    stage: Stage, guest: Subject
) -> None:
    ask(guest)
    assert carry_on(stage, now()) == "erased"
    stage.open("WEB-8")
    assert ContactAddress.objects.count() == 2
    assert "0 people had come back" in replayed()
    assert ContactAddress.objects.count() == 2
    assert stage.order("8").subject is not None


def test_40_a_list_that_cannot_be_read_is_said(
    stage: Stage, guest: Subject, sendgrid: ProviderAccount
) -> None:
    stage.fault(vendor="sendgrid", kind="500", times=1)
    with pytest.raises(CommandError, match="1 lists could not be read"):
        replayed()
    assert "0 erasures" in replayed()


def test_40_a_line_cut_short_by_a_crash_spoils_no_other(
    stage: Stage, guest: Subject, journal: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal.parent.mkdir(parents=True)
    journal.write_text('{"subject": "5f0c6f1e-2f6a-4d6a-9a52')
    ask(guest)
    assert carry_on(stage, now()) == "erased"
    assert [erased.subject_id for erased in erasure_journal.read()] == [guest.pk]
    assert "erasure_journal.line_unreadable" in caplog.text
