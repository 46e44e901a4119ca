"""Celery tasks: thin, ids only, safe to run twice."""

from __future__ import annotations

from datetime import UTC, datetime

from celery import shared_task

from notifications import dispatch as dispatching
from notifications import self_test, vendor_lists, vendor_stops
from notifications import sweep as sweeping


@shared_task(name="notifications.dispatch", queue="default", acks_late=True)
def dispatch(*, account_id: int, **_: object) -> int:
    """Send everything due at one account."""
    return dispatching.dispatch_account(account_id=account_id)


@shared_task(name="notifications.run_self_tests", queue="default", acks_late=True)
def run_self_tests(**_: object) -> int:
    """Say a word to team chats that were quiet for a week."""
    return self_test.run_self_tests(datetime.now(UTC))


@shared_task(name="notifications.sweep", queue="default", acks_late=True)
def sweep(**_: object) -> dict[str, int]:
    """One round of the safety net."""
    return sweeping.sweep(datetime.now(UTC))


@shared_task(name="notifications.tell_vendor_lists", queue="default", acks_late=True)
def tell_vendor_lists(**_: object) -> int:
    """Tell vendors that keep lists what people chose."""
    return vendor_lists.push_choices(datetime.now(UTC))


@shared_task(name="notifications.read_vendor_lists", queue="default", acks_late=True)
def read_vendor_lists(**_: object) -> dict[str, int]:
    """Read the lists of vendors that were not read for a day."""
    return vendor_stops.read_due_lists(datetime.now(UTC))
