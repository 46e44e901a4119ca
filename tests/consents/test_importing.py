"""Lists of consents from elsewhere: what lands, what is refused, and that it lands once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from consents import importing, ledger, locks
from consents.import_rows import ListRefused, RowInvalid, parse_row, read_rows
from consents.importing import open_import, run_import
from consents.models import (
    ConsentEvent,
    ConsentEvidence,
    ConsentImport,
    ConsentState,
    ContactAddress,
    SenderGroup,
    Suppression,
)
from tests.consents.factories import (
    NOW,
    PHONE,
    append,
    events_of,
    make_address,
    make_group,
    make_notice,
)
from tests.factories import make_restaurant

HEADER = "address,channel,purpose,action,occurred_at,notice,language,origin"
DAY = timedelta(days=1)


def listed(*lines: str, header: str = HEADER) -> bytes:
    return "\n".join([header, *lines]).encode()


def take(group: SenderGroup, data: bytes, now: datetime = NOW) -> ConsentImport:
    made = open_import(sender_group_id=group.pk, name="list.csv", data=data, by="mia", now=now)
    return run_import(import_id=made.pk, now=now)


def phone(number: int) -> str:
    """Numbers of the exchange that is kept for fiction: 100 of them in each of many area codes."""
    areas = ("202", "212", "312", "415", "503", "617", "702", "713", "816", "919",
             "206", "213", "303", "404", "512", "602", "615", "704", "804", "901")  # fmt: skip
    return f"+1{areas[number // 100 % 20]}55501{number % 100:02d}"


def states(group: SenderGroup, channel: str = "sms") -> dict[str, str]:
    rows = ConsentState.objects.filter(sender_group=group, channel=channel)
    return dict(rows.values_list("purpose", "state"))


@pytest.mark.django_db
def test_each_row_becomes_what_the_ledger_makes_of_it() -> None:
    group = make_group()
    make_notice(group)
    made = take(
        group,
        listed(
            f"{PHONE},sms,order_updates,granted,2024-05-01T12:00:00+02:00,order_texts:1,en,",
            f"{PHONE},,marketing,granted,2024-05-01,,,",
            "ana@example.com,,marketing,granted,2024-05-01,,es,paper form at the counter",
            "(212) 555-0143,sms,,denied,2024-05-01,,,",
            "ben@example.com,email,marketing,suppressed,2024-05-02,,,",
        ),
    )
    assert made.counts == {
        "granted": 2, "pending": 1, "denied": 1, "suppressed": 1, "problems": 0,
    }  # fmt: skip
    assert made.problems == []
    assert made.file is None
    assert made.finished_at == NOW
    events = {
        (e.channel, e.purpose, e.action): e for e in ConsentEvent.objects.order_by("sequence")
    }
    first = events["sms", "order_updates", "granted"]
    assert first.notice_version is not None
    assert first.occurred_at == datetime(2024, 5, 1, 10, tzinfo=UTC)
    assert first.recorded_at == NOW
    assert (first.source, first.actor_type, first.actor_id) == ("pos_import", "staff", "mia")
    mail = events["email", "marketing", "granted"]
    assert mail.language == "es"
    assert ConsentEvidence.objects.get(pk=mail.evidence_id).detail == {
        "origin": "paper form at the counter", "file": made.sha256, "row": 4,
    }  # fmt: skip
    assert Suppression.objects.get(channel="email").scope == "channel"
    assert list(ledger.verify(ledger.all_events())) == []
    assert ContactAddress.objects.get(masked="+1•••0143").value == "+12125550143"


@pytest.mark.django_db
def test_42_a_stale_flag_grants_nothing() -> None:
    group = make_group()
    stopped = make_address(group)
    append(stopped, "withdrawn", at=NOW - DAY, scope="channel")
    make_notice(group)
    made = take(
        group,
        listed(
            f"{PHONE},sms,order_updates,granted,2026-11-25T17:00:00Z,order_texts:1,,our till",
            f"{PHONE},sms,order_updates,granted,2024-01-01,order_texts:1,,our till",
        ),
    )
    assert made.counts["pending"] == 2
    assert [e.action for e in events_of(stopped)] == ["withdrawn", "pending", "pending"]
    assert Suppression.objects.filter(address_hash=stopped.address_hash).exists()
    assert "granted" not in states(group).values()


@pytest.mark.django_db
def test_rows_of_one_address_count_one_after_the_other() -> None:
    """A batch equals one statement after the other: the second row sees the first."""
    group = make_group()
    made = take(
        group,
        listed(
            f"{PHONE},sms,,withdrawn,2024-05-01,,,",
            f"{PHONE},sms,,granted,2024-06-01,,,the web form",
        ),
    )
    assert made.counts == {"withdrawn": 1, "pending": 1, "problems": 0}
    assert states(group) == {"order_updates": "withdrawn"}
    one = ContactAddress.objects.get()
    before = list(ConsentState.objects.values_list("state", "event_id", "since"))
    with transaction.atomic():
        locks.lock_address(one.address_hash)
        ledger.refresh(group.pk, one.address_hash)
    assert list(ConsentState.objects.values_list("state", "event_id", "since")) == before


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("555,sms,,granted,2024-05-01,,,", "invalid_number"),
        ("ana@,,,granted,2024-05-01,,,", "invalid_email"),
        (",sms,,granted,2024-05-01,,,", "empty"),
        ("nobody,sms,,granted,2024-05-01,,,", "not_a_number"),
        (f"{PHONE},pigeon,,granted,2024-05-01,,,", "unknown_channel"),
        (f"{PHONE},sms,joy,granted,2024-05-01,,,", "unknown_purpose"),
        (f"{PHONE},sms,,lifted,2024-05-01,,,", "unknown_action"),
        (f"{PHONE},sms,,confirmed,2024-05-01,,,", "unknown_action"),
        (f"{PHONE},sms,,yes,2024-05-01,,,", "unknown_action"),
        (f"{PHONE},sms,,granted,,,,", "no_time"),
        (f"{PHONE},sms,,granted,05/01/2024,,,", "bad_time"),
        (f"{PHONE},sms,,granted,2024-05-01T12:00:00,,,", "bad_time"),
        (f"{PHONE},sms,,granted,1970-01-01,,,", "bad_time"),
        (f"{PHONE},sms,,granted,2999-05-01,,,", "time_ahead"),
        (f"{PHONE},sms,,granted,2024-05-01,order_texts:9,,", "unknown_notice"),
        (f"{PHONE},sms,,granted", "wrong_columns"),
        (f'"{PHONE},sms,,granted,2024-05-01,,,', "unreadable"),
        (f"{PHONE},sms,,granted,2024-05-01,,,\x00", "unreadable"),
        (f"{PHONE},sms,,granted,2024-05-01,,,{'x' * 5000}", "too_long"),
        (f"{PHONE},sms,,granted,2024-05-01,,,\udcff", "not_utf8"),
    ],
)
def test_a_row_of_nonsense_has_a_code(line: str, code: str) -> None:
    data = f"{HEADER}\n".encode() + line.encode("utf-8", "surrogateescape")
    ((number, cells),) = read_rows(data)
    if not isinstance(cells, RowInvalid):
        with pytest.raises(RowInvalid) as caught:
            parse_row(number, cells, country="US", notices={"order_texts:1"}, now=NOW)
        cells = caught.value
    assert (number, cells.code) == (2, code)
    assert PHONE not in str(cells)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (b"phone,action\n", "no_address_column"),
        (b"address,purpose\n", "no_action_column"),
        (b"address,action,opted_in\n", "unknown_column"),
        (b"address,action,action\n", "unknown_column"),
        (b'"address,action\n', "no_header"),
        (b"\xff\xfe,\n", "no_header"),
        (b"address,action\n" + b"\n" * 250_001, "too_many_rows"),
        (b"x" * (32 * 1024 * 1024 + 1), "too_large"),
    ],
)
@pytest.mark.django_db
def test_a_file_that_is_no_list_is_refused_whole(data: bytes, code: str) -> None:
    with pytest.raises(ListRefused) as caught:
        take(make_group(), data)
    assert caught.value.code == code
    assert not ConsentImport.objects.exists()
    assert not ConsentEvent.objects.exists()


def test_semicolons_a_byte_order_mark_and_any_order_of_columns_are_read() -> None:
    data = b"\xef\xbb\xbfAction;Address\r\ngranted;+12125550142\r\n\r\n;\r\n"
    ((number, cells),) = read_rows(data)
    assert number == 2
    assert cells == ["+12125550142", "", "", "granted", "", "", "", ""]


@pytest.mark.django_db
def test_the_same_file_twice_is_one_import() -> None:
    group = make_group()
    data = listed(f"{PHONE},sms,,granted,2024-05-01,,,")
    first = take(group, data)
    again = take(group, data, now=NOW + DAY)
    assert again.pk == first.pk
    assert again.finished_at == NOW
    assert ConsentEvent.objects.count() == 1
    other = take(make_group(), data)
    assert other.pk != first.pk  # another seller's list, whoever sent the file
    assert ConsentEvent.objects.count() == 2


@pytest.mark.django_db
def test_a_run_that_was_killed_is_finished(monkeypatch: Any) -> None:
    monkeypatch.setattr(importing, "BATCH", 3)
    group = make_group()
    lines = [f"{phone(n)},sms,,denied,2024-05-01,,," for n in range(10)]
    data = listed(*lines[:5], "nonsense,sms,,denied,2024-05-01,,,", *lines[5:])
    made = open_import(sender_group_id=group.pk, name="l", data=data, by="mia", now=NOW)
    killed = importing.append_all
    calls = []

    def dies(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return killed(*args, **kwargs)

    monkeypatch.setattr(importing, "append_all", dies)
    with pytest.raises(KeyboardInterrupt):
        run_import(import_id=made.pk, now=NOW)
    assert ConsentEvent.objects.count() == 6  # two batches landed, the third is undone whole
    assert importing.unfinished_imports() == [made.pk]
    made.refresh_from_db()
    assert made.finished_at is None
    assert bytes(made.file or b"") == data
    monkeypatch.setattr(importing, "append_all", killed)
    done = run_import(import_id=made.pk, now=NOW + DAY)
    assert done.counts == {"denied": 10, "problems": 1}
    assert done.problems == [(7, "not_a_number")]
    assert ConsentEvent.objects.count() == 10
    assert ContactAddress.objects.count() == 10
    assert importing.unfinished_imports() == []
    assert list(ledger.verify(ledger.all_events())) == []


@pytest.mark.django_db
def test_an_address_that_changed_hands_begins_anew() -> None:
    group = make_group()
    old = make_address(group)
    append(old, "suppressed", scope="all", reason="reassigned", source="provider_webhook")
    ContactAddress.objects.filter(pk=old.pk).update(expires_at=NOW - DAY)
    take(group, listed(f"{PHONE},sms,,granted,2026-11-24,,,new form"))
    new = ContactAddress.objects.get(generation=2)
    assert events_of(old)[-1].generation == 2
    assert ConsentState.objects.get(generation=2).state == "granted"
    assert new.address_hash == old.address_hash


@pytest.mark.django_db
def test_two_thousand_rows_cost_a_fixed_number_of_round_trips(tmp_path: Path) -> None:
    restaurant = make_restaurant()
    actions = ("granted", "denied", "withdrawn", "granted")
    lines = [
        f"{phone(n)},sms,{('order_updates', 'marketing')[n % 2]},{actions[n % 4]},2024-05-01,,,"
        if n % 20
        else f"{'x' * (n % 7)},sms,,{'granted'},2024-05-01,,,"
        for n in range(2000)
    ]
    path = tmp_path / "list.csv"
    path.write_bytes(listed(*lines))
    out = StringIO()
    with CaptureQueriesContext(connection) as queries:
        call_command("import_consents", str(path), restaurant=restaurant.pk, by="mia", stdout=out)
    made = ConsentImport.objects.get()
    assert len(made.problems) == 100
    assert made.counts["problems"] == 100
    assert sum(made.counts.values()) == 2000
    assert ConsentEvent.objects.count() == 1900
    assert made.problems[0] == [2, "empty"]
    assert "row 2: empty" in out.getvalue()
    assert "+1" not in out.getvalue()
    restrictive = made.counts["denied"] + made.counts["withdrawn"]
    # what every stop costs is the cancelling of what is queued for it; the rest is by the batch
    others = [q for q in queries if "notifications_delivery" not in q["sql"]]
    assert len(others) < 4 * 40 + 3 * restrictive
    assert list(ledger.verify(ledger.all_events())) == []
    call_command("rebuild_consents", "--check", stdout=StringIO())


@pytest.mark.django_db
def test_the_command_says_what_is_wrong_with_the_file(tmp_path: Path) -> None:
    restaurant = make_restaurant()
    path = tmp_path / "list.csv"
    for wanted, content, code in (
        (restaurant.pk, b"phone\n", "no_address_column; nothing was taken"),
        (restaurant.pk + 999, b"address,action\n", "there is no restaurant"),
    ):
        path.write_bytes(content)
        with pytest.raises(CommandError, match=code):
            call_command("import_consents", str(path), restaurant=wanted, by="mia")
    with pytest.raises(CommandError, match="No such file"):
        call_command("import_consents", str(tmp_path / "no"), restaurant=restaurant.pk, by="mia")
    assert not ConsentImport.objects.exists()
