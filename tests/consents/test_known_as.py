"""One person under several ids of a vendor, from several processes at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from consents import known_as, ledger, services, vendor_news
from consents.models import (
    AddressAlias,
    ConsentEvent,
    ConsentState,
    ContactAddress,
    Subject,
    SubjectAddress,
    Suppression,
)
from tests.consents.factories import make_address, make_group

NOW = datetime(2026, 3, 14, 22, 42, 5, tzinfo=UTC)
ALIAS = "US.13491208655302741918"
OLD, NEW = "-42", "-1000000000042"


def at_once(*work: Callable[[], object]) -> list[BaseException]:
    """Run each in a thread of its own, all beginning together; returns what they raised."""
    start, errors = threading.Barrier(len(work)), list[BaseException]()

    def run(one: Callable[[], object]) -> None:
        try:
            start.wait()
            one()
        except BaseException as error:  # noqa: BLE001 - shown by the assertion
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    return errors


def stopped(address: ContactAddress) -> None:
    services.withdraw(
        address_id=address.pk,
        source="keyword",
        occurred_at=NOW,
        now=NOW,
        idempotency_key=f"stop:{address.pk}",
    )


@pytest.mark.django_db(transaction=True)
def test_an_alias_learned_six_times_at_once_is_one() -> None:
    group = make_group()
    person = make_address(group, "+12025550142", channel="whatsapp")
    before = make_address(group, ALIAS, channel="whatsapp")
    stopped(before)
    learn = lambda: known_as.note_alias(address_id=person.pk, alias=ALIAS, at=NOW)  # noqa: E731
    assert at_once(*[learn] * 6) == []
    assert AddressAlias.objects.get().address == person
    assert Suppression.objects.filter(address_hash=person.address_hash).count() == 1
    assert ConsentEvent.objects.count() == 2
    assert list(ledger.verify(ledger.all_events())) == []


@pytest.mark.django_db(transaction=True)
def test_a_group_that_two_workers_find_moved_moves_once() -> None:
    group = make_group()
    old = make_address(group, OLD, channel="telegram")
    subject = Subject.objects.create(sender_group=group)
    SubjectAddress.objects.create(subject=subject, address=old)
    stopped(old)
    move = lambda: known_as.move_address(address_id=old.pk, value=NEW, at=NOW)  # noqa: E731
    assert at_once(*[move] * 4) == []
    new = ContactAddress.objects.exclude(pk=old.pk).get()
    assert (new.value, new.expires_at) == (NEW, None)
    assert [link.address for link in SubjectAddress.objects.filter(subject=subject)] == [new]
    assert Suppression.objects.filter(address_hash=new.address_hash).count() == 1
    assert move() == new.pk
    assert known_as.move_address(address_id=new.pk, value=NEW, at=NOW) == new.pk
    assert list(ledger.verify(ledger.all_events())) == []


@pytest.mark.django_db
def test_a_grant_nobody_can_show_is_no_better_after_a_move() -> None:
    """Carried as it stood: what waits for a proof still waits for it."""
    old = make_address(make_group(), OLD, channel="telegram")
    services.record_consent(
        address_id=old.pk,
        purpose="order_updates",
        action="granted",
        source="pos_import",
        actor_type="system",
        occurred_at=NOW,
        now=NOW,
        idempotency_key="import",
    )
    [before] = ConsentState.objects.values_list("state", flat=True)
    new = ContactAddress.objects.get(
        pk=known_as.move_address(address_id=old.pk, value=NEW, at=NOW + timedelta(minutes=1))
    )
    assert ConsentState.objects.get(address_hash=new.address_hash).state == before == "pending"


@pytest.mark.django_db
def test_an_alias_brings_no_grant_along() -> None:
    group = make_group()
    person = make_address(group, "+12025550142", channel="whatsapp")
    before = make_address(group, ALIAS, channel="whatsapp")
    services.record_consent(
        address_id=before.pk,
        purpose="marketing",
        action="granted",
        source="portal",
        occurred_at=NOW,
        now=NOW,
        idempotency_key="granted",
    )
    assert known_as.note_alias(address_id=person.pk, alias=ALIAS, at=NOW)
    assert not ConsentState.objects.filter(address_hash=person.address_hash).exists()


@pytest.mark.django_db
def test_an_alias_means_nobody_in_another_sender_group() -> None:
    person = make_address(make_group(), "+12025550142", channel="whatsapp")
    known_as.note_alias(address_id=person.pk, alias=ALIAS, at=NOW)
    same = {"channel": "whatsapp", "value": ALIAS}
    assert vendor_news.find_address(sender_group_id=person.sender_group_id, **same) == person
    assert vendor_news.find_address(sender_group_id=make_group().pk, **same) is None
    lower = {**same, "value": ALIAS.replace("US", "us")}
    assert vendor_news.find_address(sender_group_id=person.sender_group_id, **lower) is None
