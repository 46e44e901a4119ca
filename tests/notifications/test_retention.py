"""The nightly clearing out: what is past its term goes, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from consents import checkpoints, ledger, ledger_terms, retention
from consents.models import (
    AddressReveal,
    ConsentEvent,
    ConsentEvidence,
    ConsentState,
    ContactAddress,
    InboxItem,
    ManageLink,
    RemovedChain,
    RetentionRun,
    RightsRequest,
    Subject,
    SubjectAddress,
)
from notifications.models import Delivery, InboundMessage, Notification
from orders.models import InboundCall, Order
from tests.consents.factories import OTHER_PHONE, append, make_address, make_group
from tests.stage import Stage

DAY, YEAR = timedelta(days=1), timedelta(days=366)
NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
pytestmark = pytest.mark.django_db


def run(now: datetime = NOW, **more: Any) -> RetentionRun:
    done = retention.run(now, **more)
    assert done is not None
    assert done.counts.keys() == {rule.name for rule in retention.rules()}
    return done


def age(model: Any, column: str, by: timedelta) -> None:
    """Move the rows of a table into the past."""
    for row in model.objects.all():
        model.objects.filter(pk=row.pk).update(**{column: NOW - by})


@pytest.fixture
def guest(stage: Stage) -> Subject:
    """Somebody with one row of everything, all of today."""
    stage.open()
    stage.settle_and_send()
    subject = stage.order().subject
    assert subject is not None
    address = ContactAddress.objects.get(channel="sms")
    InboundMessage.objects.create(
        id=uuid4(), account=stage.accounts["twilio"], vendor_id="SM1", channel="sms",
        address=address, text="hello", intent="other", received_at=NOW,
    )  # fmt: skip
    InboxItem.objects.create(
        sender_group=address.sender_group, address=address, channel="sms", topic="question",
        text="hello", received_at=NOW, holds_marketing=True,
    )  # fmt: skip
    append(address, "granted", evidence={"ip": "192.0.2.1"}, subject_ref=subject.pk)
    for column, model in (
        ("created_at", ConsentEvidence),
        ("created_at", Notification),
        ("received_at", InboundCall),
    ):
        age(model, column, timedelta(0))
    return subject


CASES: list[tuple[str, timedelta, Callable[[timedelta], None], Callable[[], bool]]] = [
    (
        "inbox_texts",
        90 * DAY,
        lambda by: age(InboxItem, "received_at", by),
        lambda: InboxItem.objects.get().text == "",
    ),
    (
        "inbound_texts",
        90 * DAY,
        lambda by: age(InboundMessage, "received_at", by),
        lambda: InboundMessage.objects.get().text == "",
    ),
    (
        "raw_calls",
        30 * DAY,
        lambda by: age(InboundCall, "received_at", by),
        lambda: not InboundCall.objects.exists(),
    ),
    (
        "deliveries",
        NOW - datetime(2024, 11, 25, 3, 0, tzinfo=UTC),
        lambda by: age(Notification, "created_at", by),
        lambda: not Delivery.objects.exists(),
    ),
    (
        "evidence",
        NOW - datetime(2021, 11, 25, 3, 0, tzinfo=UTC),
        lambda by: age(ConsentEvidence, "created_at", by),
        lambda: not ConsentEvidence.objects.exists(),
    ),
]


@pytest.mark.parametrize(("rule", "term", "make_old", "is_gone"), CASES, ids=[c[0] for c in CASES])
def test_each_rule_has_its_term_and_heeds_a_hold(
    guest: Subject, rule: str, term: timedelta, make_old: Any, is_gone: Any
) -> None:
    make_old(term - timedelta(seconds=1))
    assert run().counts[rule] == 0
    assert not is_gone()
    make_old(term)
    dry = run(is_dry_run=True)
    assert dry.counts[rule] >= 1
    assert not is_gone()
    Subject.objects.filter(pk=guest.pk).update(legal_hold=True)
    kept = run()
    assert kept.held >= 1
    assert not is_gone()
    Subject.objects.filter(pk=guest.pk).update(legal_hold=False)
    # what nobody holds went at once
    assert kept.counts[rule] + run().counts[rule] == dry.counts[rule]
    assert is_gone()
    assert sum(run().counts.values()) == 0  # once more changes nothing
    assert Order.objects.get().subject_id == guest.pk
    assert list(ledger.verify(ledger.all_events())) == []


def test_a_reading_that_marketing_waits_for_stays_open(guest: Subject) -> None:
    age(InboxItem, "received_at", 91 * DAY)
    run()
    item = InboxItem.objects.get()
    assert (item.text, item.holds_marketing, item.settled_at) == ("", True, None)


def test_portal_rows_files_and_requests_go(guest: Subject) -> None:
    address = ContactAddress.objects.get(channel="sms")
    ManageLink.objects.create(
        token_hash="0" * 64, address=address, created_at=NOW - DAY, expires_at=NOW - DAY / 2
    )
    common = {
        "sender_group": address.sender_group, "subject": guest, "subject_ref": guest.pk,
        "kind": "access", "state": "done", "received_at": NOW, "due_at": NOW,
    }  # fmt: skip
    RightsRequest.objects.create(**common, settled_at=NOW - 4 * YEAR)
    fresh = RightsRequest.objects.create(**common, settled_at=NOW, file=b"PK", file_until=NOW)
    AddressReveal.objects.create(masked="+1", seen_by="mia", seen_at=NOW - 4 * YEAR)
    counts = run().counts
    wanted = ("portal_links", "rights_requests", "export_files", "address_reveals")
    assert [counts[name] for name in wanted] == [1, 1, 1, 1]
    assert RightsRequest.objects.get().pk == fresh.pk
    assert RightsRequest.objects.get().file is None


def test_batches_end_and_a_killed_run_is_gone_on_with(
    guest: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = ContactAddress.objects.get(channel="sms")
    for _ in range(5):
        InboxItem.objects.create(
            sender_group=address.sender_group, address=address, channel="sms", topic="question",
            text="x", received_at=NOW - 91 * DAY,
        )  # fmt: skip
    monkeypatch.setattr(retention, "BATCH", 2)
    [rule] = [rule for rule in retention.rules() if rule.name == "inbox_texts"]
    assert rule.clear_batch(NOW, 2) == 2  # and then the process died
    assert run().counts["inbox_texts"] == 3
    assert InboxItem.objects.filter(text_removed_at=None).count() == 1


def test_one_run_a_night(guest: Subject) -> None:
    assert retention.run(NOW, is_dry_run=True) is not None
    assert retention.run_due(NOW) is not None
    assert retention.run_due(NOW + timedelta(hours=22)) is None
    assert retention.run_due(NOW + timedelta(hours=23)) is not None
    assert RetentionRun.objects.filter(is_dry_run=False).count() == 2


def test_a_rule_that_fails_stops_no_other(guest: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    [rule] = [rule for rule in retention.rules() if rule.name == "ledger_chains"]
    monkeypatch.setattr(rule, "held", lambda now: 1 // 0)
    age(InboundCall, "received_at", 31 * DAY)
    done = retention.run(NOW)
    assert done is not None
    assert "ledger_chains" not in done.counts
    assert done.counts["raw_calls"] == 1


def test_the_command_counts_first(guest: Subject) -> None:
    age(InboundCall, "received_at", 31 * DAY)
    out = StringIO()
    call_command("apply_retention", "--dry-run", stdout=out)
    assert "rows would go, 0 held" in out.getvalue()
    assert InboundCall.objects.exists()
    call_command("apply_retention", stdout=out)
    assert not InboundCall.objects.exists()
    assert [run.is_dry_run for run in RetentionRun.objects.order_by("pk")] == [True, False]


# --- the ledger -----------------------------------------------------------------------------------


def chain_of(address: ContactAddress) -> int:
    return len(ledger.chain(address.sender_group_id, address.address_hash))


def gone_address(country: str = "DE", **event: Any) -> ContactAddress:
    """An address nobody keeps any more, with two rows of a ledger six years old."""
    address = make_address(make_group(country=country))
    then = NOW - 6 * YEAR
    append(address, "granted", at=then, evidence={"ip": "192.0.2.1"})
    append(address, **{"action": "expired", "at": then + DAY, **event})
    ContactAddress.objects.filter(pk=address.pk).delete()
    return address


def test_a_chain_past_its_term_leaves_whole_with_its_signed_end() -> None:
    old = gone_address()
    young = make_address(make_group(), OTHER_PHONE)
    append(young, "granted", at=NOW - DAY)
    checkpoints.make_checkpoint(NOW - DAY)
    head = ledger.chain(old.sender_group_id, old.address_hash)[-1]
    assert run(is_dry_run=True).counts["ledger_chains"] == 1
    assert chain_of(old) == 2
    assert run().counts["ledger_chains"] == 1
    assert (chain_of(old), chain_of(young)) == (0, 1)
    assert not ConsentState.objects.filter(address_hash=old.address_hash).exists()
    assert not ConsentEvidence.objects.exists()
    left = RemovedChain.objects.get()
    assert (left.rows, left.last_sequence, left.head_hash) == (2, head.sequence, head.row_hash)
    assert old.address_hash not in str(list(RemovedChain.objects.values()))
    assert list(checkpoints.verify()) == []
    out = StringIO()
    call_command("verify_ledger", stdout=out)
    assert "1 rows in 1 chains hold" in out.getvalue()
    # the number comes back and its new chain is guarded like any other
    back = make_address(old.sender_group)
    append(back, "granted", at=NOW)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        ConsentEvent.objects.filter(address_hash=back.address_hash).delete()


@pytest.mark.parametrize(
    "why", ["young", "address", "suppressed", "us_opt_out", "held", "broken"]
)  # fmt: skip
def test_a_chain_inside_its_term_stays(why: str) -> None:
    if why == "young":
        old = gone_address(at=NOW - 4 * YEAR)
    elif why == "address":
        old = gone_address()
        make_address(old.sender_group)
    elif why == "suppressed":
        old = gone_address(action="withdrawn", scope="channel")
    elif why == "us_opt_out":
        old = gone_address(country="US", action="withdrawn", purpose="marketing")
    elif why == "held":
        subject = Subject.objects.create(sender_group=make_group(), legal_hold=True)
        old = gone_address(subject_ref=subject.pk)
    else:
        old = gone_address()
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
            cursor.execute("UPDATE consents_consentevent SET reason = 'staff'")
            cursor.execute("SET session_replication_role = DEFAULT")
    done = run()
    assert done.counts["ledger_chains"] == 0
    assert done.held == (1 if why == "held" else 0)
    assert chain_of(old) == 2
    assert not RemovedChain.objects.exists()
    if why == "us_opt_out":
        assert run(NOW + 5 * YEAR).counts["ledger_chains"] == 1


@pytest.mark.parametrize("what", ["no record", "an old record", "too young", "another chain"])
def test_41_no_other_path_deletes_a_row(what: str) -> None:
    old = gone_address(at=NOW - DAY if what == "too young" else NOW - 5 * YEAR)
    rows = ledger.chain(old.sender_group_id, old.address_hash)
    chain = ledger.genesis(old.sender_group_id, old.address_hash)
    record = RemovedChain(
        sender_group_ref=old.sender_group_id,
        chain=chain if what != "another chain" else "0" * 64,
        rows=2, last_sequence=rows[-1].sequence, head_hash=rows[-1].row_hash,
        older_than=NOW - 4 * YEAR, removed_at=NOW, signature="0" * 64,
    )  # fmt: skip
    if what != "no record":
        record.save()
    if what == "an old record":
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
            cursor.execute("UPDATE consents_removedchain SET transaction = transaction - 1")
            cursor.execute("SET session_replication_role = DEFAULT")
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        ConsentEvent.objects.all()._raw_delete("default")
    assert chain_of(old) == 2


def test_41_a_record_somebody_forged_to_delete_is_named() -> None:
    old = gone_address()
    rows = ledger.chain(old.sender_group_id, old.address_hash)
    RemovedChain.objects.create(
        sender_group_ref=old.sender_group_id,
        chain=ledger.genesis(old.sender_group_id, old.address_hash),
        rows=2, last_sequence=rows[-1].sequence, head_hash=rows[-1].row_hash,
        older_than=NOW, removed_at=NOW, signature="0" * 64,
    )  # fmt: skip
    ConsentEvent.objects.all().delete()
    assert [problem.what for problem in checkpoints.verify()] == [
        "its removal is forged: the signature is not ours"
    ]


def test_a_shared_hold_keeps_what_both_said(guest: Subject) -> None:
    address = ContactAddress.objects.get(channel="sms")
    other = Subject.objects.create(sender_group=address.sender_group, legal_hold=True)
    SubjectAddress.objects.create(subject=other, address=address)
    age(InboundMessage, "received_at", 91 * DAY)
    assert run().counts["inbound_texts"] == 0
    assert not ledger_terms.remove_chain(
        sender_group_id=address.sender_group_id, address_hash=address.address_hash, now=NOW
    )
