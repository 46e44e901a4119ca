"""Signed checkpoints: whatever somebody with the database's password does, it shows by name."""

from __future__ import annotations

import threading
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from consents import checkpoints, ledger
from consents.identity import target_of
from consents.ledger import Draft
from consents.models import (
    CheckpointHead,
    ConsentEvent,
    ContactAddress,
    LedgerCheckpoint,
    RemovedChain,
)
from tests.consents.factories import NOW, OTHER_PHONE, append, events_of, make_address, make_group

DAY = timedelta(days=1)
pytestmark = pytest.mark.django_db


def tamper(sql: str, *values: Any) -> None:
    """What somebody with the keys to the database could do."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(sql, values)
        cursor.execute("SET session_replication_role = DEFAULT")


def problems() -> list[str]:
    return [f"{one.where}: {one.what}" for one in checkpoints.verify()]


def refused() -> str:
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("verify_ledger", stdout=out, stderr=out)
    return out.getvalue()


@pytest.fixture
def address() -> ContactAddress:
    """Three nights of a ledger with two chains."""
    group = make_group()
    first, second = make_address(group), make_address(group, OTHER_PHONE)
    append(first, "granted", at=NOW)
    checkpoints.make_checkpoint(NOW)
    append(second, "granted", at=NOW)
    append(first, "withdrawn", at=NOW + timedelta(hours=1))
    checkpoints.make_checkpoint(NOW + DAY)
    checkpoints.make_checkpoint(NOW + 2 * DAY)
    return first


def chain_name(address: ContactAddress) -> str:
    name = ledger.genesis(address.sender_group_id, address.address_hash)[:12]
    return f"sender group {address.sender_group_id}, chain {name}"


def test_each_night_names_the_chains_that_grew(address: ContactAddress) -> None:
    heads = CheckpointHead.objects.values_list("checkpoint__made_at", "sequence").order_by("pk")
    first, second, third = ConsentEvent.objects.order_by("sequence")
    assert sorted(heads) == [
        (NOW, first.sequence),
        (NOW + DAY, second.sequence),
        (NOW + DAY, third.sequence),
    ]
    rows = list(LedgerCheckpoint.objects.order_by("pk"))
    assert [row.chains for row in rows] == [1, 2, 2]
    assert [row.previous for row in rows] == ["", rows[0].signature, rows[1].signature]
    assert problems() == []
    out = StringIO()
    call_command("verify_ledger", stdout=out)
    assert "3 rows in 2 chains hold" in out.getvalue()
    assert "last signed checkpoint: 2026-11-27 18:00" in out.getvalue()


def test_one_a_night(address: ContactAddress) -> None:
    last = NOW + 2 * DAY
    assert checkpoints.make_due_checkpoint(last + timedelta(hours=22)) is None
    assert checkpoints.make_due_checkpoint(last + timedelta(hours=23)) is not None
    assert LedgerCheckpoint.objects.count() == 4


def test_a_cut_off_end_is_named(address: ContactAddress) -> None:
    end = events_of(address)[-1]
    tamper("DELETE FROM consents_consentevent WHERE sequence = %s", end.sequence)
    assert list(ledger.verify(ledger.all_events())) == []
    said = f"{chain_name(address)}, row {end.sequence}: the row that ended the chain"
    assert problems()[0].startswith(said)
    assert said in refused()


def test_a_missing_chain_is_named(address: ContactAddress) -> None:
    tamper("DELETE FROM consents_consentevent WHERE address_hash = %s", address.address_hash)
    assert list(ledger.verify(ledger.all_events())) == []
    assert {line.partition(", row")[0] for line in problems()} == {chain_name(address)}
    assert {line.rpartition(": ")[2] for line in problems()} == {"the whole chain is missing"}


def test_a_chain_written_anew_is_named(address: ContactAddress) -> None:
    head = ledger.genesis(address.sender_group_id, address.address_hash)
    for event in events_of(address):
        event.action, event.prev_hash = "granted", head
        head = event.row_hash = ledger.row_hash(event)
        tamper(
            "UPDATE consents_consentevent SET action = %s, prev_hash = %s, row_hash = %s"
            " WHERE sequence = %s",
            *(event.action, event.prev_hash, event.row_hash, event.sequence),
        )
    assert list(ledger.verify(ledger.all_events())) == []
    assert "the chain was written anew since the checkpoint" in refused()
    assert any(chain_name(address) in line for line in problems())


def test_a_changed_row_is_named(address: ContactAddress) -> None:
    tamper("UPDATE consents_consentevent SET action = 'granted' WHERE action = 'withdrawn'")
    said = refused()
    assert "was changed after it was written" in said
    assert address.address_hash[:12] in said


def test_a_row_under_an_old_number_is_named(address: ContactAddress) -> None:
    """A whole new chain whose numbers were left free before the last checkpoint."""
    late = make_address(make_group())
    row = append(late, "granted")
    tamper("UPDATE consents_consentevent SET sequence = -5 WHERE sequence = %s", row.sequence)
    moved = ConsentEvent.objects.get(sequence=-5)
    tamper(
        "UPDATE consents_consentevent SET row_hash = %s WHERE sequence = -5", ledger.row_hash(moved)
    )
    assert list(ledger.verify(ledger.all_events())) == []
    assert problems() == [f"{chain_name(late)}, row -5: no checkpoint knows this end of the chain"]


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("UPDATE {checkpoint} SET chains = 9 WHERE id = %s", "forged"),
        ("UPDATE {checkpoint} SET signature = repeat('0', 64) WHERE id = %s", "forged"),
        ("UPDATE {checkpoint} SET signature = 'ä' WHERE id = %s", "forged"),
        ("UPDATE {checkpoint} SET key_version = 7 WHERE id = %s", "not in LEDGER_KEYS"),
        (
            "UPDATE {head} SET row_hash = repeat('0', 64) WHERE checkpoint_id = %s",
            "the ends of chains it names were changed",
        ),
        ("DELETE FROM {checkpoint} WHERE id = %s", "one is missing"),
    ],
)  # fmt: skip
def test_a_forged_checkpoint_is_named(address: ContactAddress, sql: str, what: str) -> None:
    middle = LedgerCheckpoint.objects.order_by("pk")[1]
    tables = {"checkpoint": "consents_ledgercheckpoint", "head": "consents_checkpointhead"}
    tamper(sql.format(**tables), middle.pk)
    assert any(what in line for line in problems())
    assert what in refused()
    if sql.startswith("DELETE"):  # so that the test can end
        tamper("DELETE FROM consents_checkpointhead WHERE checkpoint_id = %s", middle.pk)


def test_a_new_key_signs_and_the_old_one_still_proves(
    address: ContactAddress, settings: Any
) -> None:
    settings.LEDGER_KEYS = [*settings.LEDGER_KEYS, "a-new-key"]
    made = checkpoints.make_checkpoint(NOW + 3 * DAY)
    assert made is not None
    assert made.key_version == 2
    assert problems() == []
    settings.LEDGER_KEYS = ["another-key", "a-new-key"]
    assert len([line for line in problems() if "forged" in line]) == 3


@pytest.mark.parametrize(
    "table", ["consents_ledgercheckpoint", "consents_checkpointhead", "consents_removedchain"]
)
@pytest.mark.parametrize("deed", ["UPDATE {} SET id = id", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_raw_sql_cannot_change_the_books(address: ContactAddress, table: str, deed: str) -> None:
    if table == "consents_removedchain":
        RemovedChain.objects.create(
            sender_group_ref=1, chain="c", rows=1, last_sequence=0, head_hash="h",
            older_than=NOW, removed_at=NOW, signature="s",
        )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            cursor.execute(deed.format(table))


@pytest.mark.django_db(transaction=True)
def test_a_checkpoint_waits_for_rows_that_have_their_numbers() -> None:
    """Two connections: a row numbered before the checkpoint and committed after it is in it."""
    group = make_group()
    slow, quick = make_address(group), make_address(group, OTHER_PHONE)
    has_number, may_commit = threading.Event(), threading.Event()

    def append_slowly() -> None:
        draft = Draft(target_of(slow), "granted", "order_updates", "portal", NOW, "slow")
        try:
            with transaction.atomic():
                ledger.append([draft], now=NOW)
                has_number.set()
                assert may_commit.wait(10)
        finally:
            connection.close()

    thread = threading.Thread(target=append_slowly)
    thread.start()
    assert has_number.wait(10)
    append(quick, "granted")  # a higher number, committed first
    timer = threading.Timer(0.3, may_commit.set)
    timer.start()
    made = checkpoints.make_checkpoint(NOW)
    thread.join(10)
    assert may_commit.is_set()
    assert made is not None
    assert (made.chains, CheckpointHead.objects.count()) == (2, 2)
    assert problems() == []
