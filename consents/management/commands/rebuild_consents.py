"""Compute consent states and suppressions again from the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from consents import ledger, locks
from consents.models import ConsentEvent, ConsentState, Suppression

_Row = tuple[Any, ...]


class Command(BaseCommand):
    """One address at a time, each in its own transaction under its lock."""

    help = (
        "Replays the consent ledger into the derived tables. Safe while the service runs. "
        "--check changes nothing and fails when a stored row differs."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="compare only")

    def handle(self, *_: Any, **options: Any) -> None:
        addresses, differing = 0, 0
        for sender_group_id, address_hash in _addresses():
            addresses += 1
            with transaction.atomic():
                locks.lock_address(address_hash)
                before = _stored(sender_group_id, address_hash)
                ledger.refresh(sender_group_id, address_hash)
                differs = before != _stored(sender_group_id, address_hash)
                if options["check"]:
                    transaction.set_rollback(True)
            if differs:
                differing += 1
                self.stdout.write(f"sender group {sender_group_id}, address {address_hash[:12]}")
        if differing and options["check"]:
            raise CommandError(f"{differing} of {addresses} addresses differ from the ledger")
        self.stdout.write(f"{addresses} addresses, {differing} corrected")


def _addresses() -> Iterator[tuple[int, str]]:
    """Every address the ledger or a derived row knows; also derived rows without a ledger row."""
    key = ("sender_group_id", "address_hash")
    known = ConsentEvent.objects.values_list(*key).order_by()
    derived = ConsentState.objects.values_list(*key).order_by()
    suppressed = Suppression.objects.values_list(*key).order_by()
    yield from known.union(derived, suppressed).order_by(*key).iterator(chunk_size=2000)


def _stored(sender_group_id: int, address_hash: str) -> tuple[list[_Row], list[_Row]]:
    key = {"sender_group_id": sender_group_id, "address_hash": address_hash}
    states = ConsentState.objects.filter(**key).values_list(
        *("generation", "channel", "purpose", "state", "is_customer_refusal"),
        *("carrier_block", "event_id", "since", "valid_until"),
    )
    suppressions = Suppression.objects.filter(**key).values_list(
        "generation", "channel", "scope", "reason", "event_id", "since"
    )
    return sorted(states, key=str), sorted(suppressions, key=str)
