"""Two connections at one address: races that must end the same way every time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext

from consents import ledger, locks, selectors, services
from consents.models import ConsentEvent, ContactAddress, Subject, SubjectAddress
from tests.consents.factories import (
    NOW,
    OTHER_PHONE,
    Guest,
    append,
    ask,
    events_of,
    make_address,
    make_group,
    message,
)


def together(*tasks: Callable[[], object]) -> list[object]:
    """Run every task in a thread with a connection of its own, all let go at one moment."""
    gate = threading.Barrier(len(tasks))
    results: list[object] = [None] * len(tasks)

    def run(number: int, task: Callable[[], object]) -> None:
        try:
            gate.wait(10)
            results[number] = task()
        except Exception as error:  # noqa: BLE001 - handed to the test
            results[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(tasks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results


def test_a_lock_key_fits_a_signed_64_bit_number() -> None:
    assert locks.lock_key("ff" * 32) == -1
    assert locks.lock_key("7f" + "ff" * 31) == 2**63 - 1
    assert locks.lock_key("80" + "00" * 31) == -(2**63)


@pytest.mark.django_db(transaction=True)
def test_a_lock_outside_a_transaction_is_an_error() -> None:
    for take in (locks.lock_addresses_shared, locks.lock_addresses):
        with pytest.raises(TransactionManagementError):
            take(["ab" * 32])


@pytest.mark.django_db
def test_any_number_of_locks_is_one_query(
    django_assert_num_queries: Callable[[int], object],
) -> None:
    hashes = [f"{number:064x}" for number in range(200)]
    with django_assert_num_queries(1):  # type: ignore[attr-defined]
        locks.lock_addresses_shared(hashes)
    with django_assert_num_queries(0):  # type: ignore[attr-defined]
        locks.lock_addresses_shared([])


@pytest.mark.django_db
def test_locks_are_taken_in_the_order_of_their_keys() -> None:
    hashes = [f"{number * 0x123456789ABCDEF % 2**64:016x}" + "0" * 48 for number in range(50)]
    with CaptureQueriesContext(connection) as queries:
        locks.lock_addresses(hashes)
    array = queries.captured_queries[0]["sql"].partition("'{")[2].partition("}'")[0]
    array = array or queries.captured_queries[0]["sql"].partition("ARRAY[")[2].partition("]")[0]
    keys = [int(key) for key in array.split(",")]
    assert keys == sorted(locks.lock_key(digest) for digest in hashes)


@pytest.mark.django_db(transaction=True)
def test_senders_share_the_lock() -> None:
    inside = threading.Barrier(3)

    def send() -> int:
        with transaction.atomic():
            locks.lock_addresses_shared(["ab" * 32])
            return inside.wait(10)  # broken unless all three are in at once

    assert sorted(str(n) for n in together(send, send, send)) == ["0", "1", "2"]


@pytest.mark.django_db(transaction=True)
def test_no_sender_is_allowed_after_a_stop_committed() -> None:
    """Three senders against one stop, many times: whoever decides later than the stop refuses."""
    group = make_group()
    logs = [_race(make_address(group, f"+1212555{number + 100:04d}")) for number in range(20)]
    for log in logs:
        stopped_at = log.index("stop")
        assert log[:stopped_at] == ["allow"] * stopped_at
        assert log[stopped_at + 1 :] == ["drop"] * (3 - stopped_at)


def _race(address: ContactAddress) -> list[str]:
    """What happened, in the order in which the lock let it happen."""
    append(address, "granted", at=NOW - timedelta(days=1))
    log: list[str] = []

    def send() -> None:
        with transaction.atomic():
            locks.lock_addresses_shared([address.address_hash])
            seen = selectors.load_snapshot(None, address.pk)
            log.append(ask(message(), seen, NOW).verdict)

    def stop() -> None:
        with transaction.atomic():
            services.withdraw(
                address_id=address.pk,
                source="keyword",
                occurred_at=NOW,
                now=NOW,
                idempotency_key=f"stop:{address.pk}",
            )
            log.append("stop")

    together(send, stop, send, send)
    return log


@pytest.mark.django_db(transaction=True)
def test_the_same_stop_at_once_is_one_row() -> None:
    """The address is unknown: both webhooks would create it, and the chain would fork."""
    group = make_group()

    def stop() -> services.WordsOutcome:
        return services.handle_inbound_words(
            sender_group_id=group.pk,
            channel="sms",
            value=OTHER_PHONE,
            text="STOP",
            occurred_at=NOW,
            received_at=NOW,
            idempotency_key="twilio:SM1",
        )

    outcomes = together(*[stop] * 4)
    address = ContactAddress.objects.get()
    assert len(events_of(address)) == 1
    replies = [o.reply for o in outcomes if isinstance(o, services.WordsOutcome)]
    assert sorted(map(str, replies)) == ["None", "None", "None", "stop_confirmation"]


@pytest.mark.django_db(transaction=True)
def test_different_words_at_once_make_one_chain() -> None:
    address = make_address(make_group())

    def say(number: int) -> Callable[[], object]:
        return lambda: append(address, "granted" if number % 2 else "withdrawn")

    together(*[say(number) for number in range(6)])
    assert len(events_of(address)) == 6
    assert list(ledger.verify(ledger.all_events())) == []


@pytest.mark.django_db(transaction=True)
def test_two_updates_of_one_order_make_one_customer() -> None:
    group = make_group()
    for round_number in range(8):
        phone = f"+1212555{round_number + 100:04d}"
        guest = Guest(name="Ana", phone=phone, email=f"ana{round_number}@example.com")

        def resolve(guest: Guest = guest, round_number: int = round_number) -> services.Contacts:
            return services.resolve_customer(
                sender_group_id=group.pk,
                customer=guest,
                region="US",
                jurisdiction="US",
                source="toast",
                idempotency_base=f"order:{round_number}",
                at=NOW,
            )

        first, *others = together(resolve, resolve, resolve)
        assert all(other == first for other in others)
    assert Subject.objects.count() == 8
    assert ContactAddress.objects.count() == SubjectAddress.objects.count() == 16
    assert ConsentEvent.objects.count() == 8


@pytest.mark.django_db(transaction=True)
def test_crossing_addresses_do_not_deadlock() -> None:
    group = make_group()
    a, b = make_address(group), make_address(group, OTHER_PHONE)

    def everything(ids: list[int], key: str) -> Callable[[], object]:
        return lambda: services.withdraw_everything(
            address_ids=ids, source="portal", occurred_at=NOW, now=NOW, idempotency_key=key
        )

    for round_number in range(5):
        together(
            everything([a.pk, b.pk], f"x{round_number}"),
            everything([b.pk, a.pk], f"y{round_number}"),
        )
    assert len(events_of(a)) == len(events_of(b)) == 10
