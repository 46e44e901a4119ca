"""The ledger's chains, its commands and the reads of the hot path."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from consents import ledger, selectors
from consents.facts import PreferenceView
from consents.identity import target_of
from consents.ledger import Draft
from consents.models import ConsentEvidence, ConsentState, InboxItem, Preference, Suppression
from tests.consents.factories import (
    NOW,
    OTHER_PHONE,
    append,
    ask,
    events_of,
    make_address,
    make_group,
    make_subject,
    message,
)

pytestmark = pytest.mark.django_db


def run(command: str, *arguments: str) -> str:
    out = StringIO()
    call_command(command, *arguments, stdout=out, stderr=out)
    return out.getvalue()


def tamper(sql: str, *values: Any) -> None:
    """What somebody with the keys to the database could do."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(sql, values)
        cursor.execute("SET session_replication_role = DEFAULT")


def test_each_row_names_the_one_before_it() -> None:
    address = make_address(make_group())
    first = append(address, "granted")
    second = append(address, "withdrawn", at=NOW + timedelta(minutes=1))
    assert first.prev_hash == ledger.genesis(address.sender_group_id, address.address_hash)
    assert second.prev_hash == first.row_hash
    assert second.sequence > first.sequence
    stored = events_of(address)
    assert [ledger.row_hash(event) for event in stored] == [first.row_hash, second.row_hash]


def test_evidence_is_kept_apart_and_may_go() -> None:
    address = make_address(make_group())
    event = append(address, "granted", evidence={"ip": "192.0.2.1"})
    proof = ConsentEvidence.objects.get(pk=event.evidence_id)
    assert proof.detail == {"ip": "192.0.2.1"}
    assert proof.delete_after == NOW + ledger.EVIDENCE_KEPT
    proof.delete()
    assert list(ledger.verify(events_of(address))) == []


def test_one_append_is_about_one_address() -> None:
    group = make_group()
    drafts = [
        Draft(target_of(address), "granted", "order_updates", "portal", NOW, f"key:{address.pk}")
        for address in (make_address(group), make_address(group, OTHER_PHONE))
    ]
    with pytest.raises(ValueError, match="one address"):
        ledger.append(drafts, now=NOW)


def test_a_key_too_long_for_the_column_still_counts_once() -> None:
    address = make_address(make_group())
    for _ in range(2):
        append(address, "granted", idempotency_key="wamid." + "x" * 300)
    assert len(events_of(address)) == 1


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("UPDATE consents_consentevent SET action = 'granted' WHERE sequence = %s", "was changed"),
        ("DELETE FROM consents_consentevent WHERE sequence = %s", "does not follow"),
    ],
)
def test_a_changed_or_missing_row_shows(sql: str, what: str) -> None:
    address = make_address(make_group())
    rows = [append(address, "withdrawn", at=NOW + timedelta(minutes=n)) for n in range(3)]
    append(make_address(make_group(), OTHER_PHONE), "granted")
    assert "4 rows in 2 chains hold" in run("verify_ledger")
    tamper(sql, rows[1].sequence)
    out = StringIO()
    with pytest.raises(CommandError, match="1 breaks"):
        call_command("verify_ledger", stdout=out, stderr=out)
    assert what in out.getvalue()
    assert address.address_hash[:12] in out.getvalue()


def test_a_cut_off_end_shows_against_a_checkpoint(tmp_path: Path) -> None:
    address = make_address(make_group())
    rows = [append(address, "withdrawn", at=NOW + timedelta(minutes=n)) for n in range(3)]
    checkpoint = tmp_path / "heads"
    run("verify_ledger", "--checkpoint", str(checkpoint))
    append(address, "granted", at=NOW + timedelta(hours=1))
    assert "4 rows" in run("verify_ledger", "--against", str(checkpoint))
    tamper("DELETE FROM consents_consentevent WHERE sequence >= %s", rows[2].sequence)
    assert "2 rows" in run("verify_ledger")
    with pytest.raises(CommandError, match="1 breaks"):
        run("verify_ledger", "--against", str(checkpoint))
    checkpoint.write_text("forged")
    with pytest.raises(CommandError, match="no checkpoint"):
        run("verify_ledger", "--against", str(checkpoint))


def test_rebuilding_mends_what_was_derived() -> None:
    group = make_group()
    address, other = make_address(group), make_address(group, OTHER_PHONE)
    append(address, "withdrawn", scope="channel")
    append(other, "granted")
    assert run("rebuild_consents").endswith("2 addresses, 0 corrected\n")
    Suppression.objects.all().delete()
    ConsentState.objects.update(state="pending")
    with pytest.raises(CommandError, match="2 of 2"):
        run("rebuild_consents", "--check")
    assert not Suppression.objects.exists()
    assert run("rebuild_consents").endswith("2 addresses, 2 corrected\n")
    assert Suppression.objects.get().address_hash == address.address_hash
    assert ConsentState.objects.get().state == "granted"
    run("rebuild_consents", "--check")


def test_rebuilding_removes_what_no_ledger_row_explains() -> None:
    group = make_group()
    Suppression.objects.create(
        sender_group=group,
        channel="sms",
        address_hash="ab" * 32,
        reason="user",
        event_id=UUID(int=1),
        since=NOW,
    )
    run("rebuild_consents")
    assert not Suppression.objects.exists()


Counter = Callable[[int], Any]


def test_snapshots_take_one_query_however_many(django_assert_num_queries: Counter) -> None:
    group = make_group(country="DE")
    keys = []
    for number in range(20):
        address = make_address(group, f"+1212555{number + 100:04d}")
        append(address, "granted")
        subject = make_subject(group, address, timezone="Europe/Berlin")
        keys += [(subject.pk, address.pk), (None, address.pk)]
    gone = [(None, 10**9), (uuid4(), keys[0][1]), (uuid4(), 10**9)]
    with django_assert_num_queries(1):
        found = selectors.load_snapshots([*keys, *gone])
    assert set(found) == {*keys, *gone}
    assert [found[key].is_known for key in gone] == [False, True, False]
    assert [found[key].is_subject_erased for key in gone] == [False, True, True]
    assert not any(found[key].is_subject_erased for key in keys)
    with django_assert_num_queries(0):
        assert selectors.load_snapshots([]) == {}


def test_a_snapshot_says_everything() -> None:
    group = make_group(country="DE")
    address = make_address(group, verified_at=NOW)
    event = append(address, "granted", valid_until=NOW + timedelta(days=1))
    no = append(address, "withdrawn", purpose="marketing")
    stop = append(address, "suppressed", scope=f"order:{UUID(int=5)}")
    subject = make_subject(group, address, timezone="Europe/Berlin", restricted_at=NOW)
    Preference.objects.create(subject=subject, order_ref=UUID(int=5), is_allowed=False)
    InboxItem.objects.create(
        sender_group=group,
        address=address,
        channel="sms",
        topic="order_talk",
        received_at=NOW,
        holds_marketing=True,
    )
    seen = selectors.load_snapshot(subject.pk, address.pk)
    assert (seen.sender_country, seen.region, seen.generation) == ("DE", "US", 1)
    assert (seen.verified_at, seen.restricted_at, seen.timezone) == (NOW, NOW, "Europe/Berlin")
    assert seen.holds_marketing
    assert seen.states["order_updates"].event_id == event.id
    assert seen.states["order_updates"].valid_until == NOW + timedelta(days=1)
    assert (seen.states["marketing"].event_id, seen.states["marketing"].is_refusal) == (no.id, True)
    assert [(s.scope, s.event_id) for s in seen.suppressions] == [(f"order:{UUID(int=5)}", stop.id)]
    assert seen.preferences == (
        PreferenceView(is_allowed=False, order_ref="00000000-0000-0000-0000-000000000005"),
    )
    assert seen.place().prefix == "+1212"


def test_a_grant_ends_when_it_ends() -> None:
    address = make_address(make_group())
    append(address, "granted", valid_until=NOW + timedelta(hours=1))
    seen = selectors.load_snapshot(None, address.pk)
    assert ask(message(), seen, NOW).code == "allowed"
    assert ask(message(), seen, NOW + timedelta(hours=1)).code == "no_consent"


def test_what_is_gone_says_so() -> None:
    address = make_address(make_group())
    gone = selectors.load_snapshot(UUID(int=1), address.pk)
    assert gone.is_subject_erased
    assert ask(message(), selectors.load_snapshot(None, 0)).code == "address_gone"


def test_a_stop_of_one_channel_is_not_one_of_the_other() -> None:
    group = make_group()
    sms, whatsapp = make_address(group), make_address(group, channel="whatsapp")
    append(sms, "withdrawn", scope="channel")
    assert selectors.load_snapshot(None, whatsapp.pk).suppressions == ()
    other_seller = make_address(make_group())
    assert selectors.load_snapshot(None, other_seller.pk).suppressions == ()
