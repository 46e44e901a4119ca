"""What the apps above keep about people, asked for without knowing them.

An app that stores anything about a subject derives from ``Holder`` and registers an instance in its
``AppConfig.ready``. Exports, restrictions and erasures ask every holder.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from consents.models import ContactAddress, Subject, SubjectAddress


@dataclass(frozen=True, slots=True)
class Person:
    """Whose data it is. On a shared address what others said is theirs."""

    subject_id: UUID
    sender_group_id: int
    #: addresses nobody else uses
    own_address_ids: tuple[int, ...] = ()
    #: addresses others use as well
    shared_address_ids: tuple[int, ...] = ()

    @property
    def address_ids(self) -> tuple[int, ...]:
        """All of them."""
        return self.own_address_ids + self.shared_address_ids


@dataclass(frozen=True, slots=True)
class Held:
    """What one holder gives an export: JSON values, by heading."""

    sections: dict[str, Any] = field(default_factory=dict)
    #: {"name", "what"} of everybody the data went to or came from
    recipients: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What one vendor answered when asked to forget an address."""

    #: names the account without personal data
    account: str
    #: erased | nothing (it keeps nothing we could have erased) | failed
    state: str
    problem: str = ""


class Holder:
    """One app's data about people. Every answer may be empty; every deed may be repeated."""

    name = ""

    def export(self, person: Person) -> Held:
        """What the person may see of it."""
        return Held()

    def cancel_queued(self, subject_id: UUID, at: datetime) -> int:
        """End what is queued for the person; the locks of their addresses are held."""
        return 0

    def is_sending(self, person: Person) -> bool:
        """Whether something is on its way to the person now."""
        return False

    def say_last_words(self, person: Person, *, key: str, now: datetime) -> str:
        """Queue the last acknowledgement to an address that may hear it, once per ``key``.

        Returns the channel, "" when nobody may be told.
        """
        return ""

    def are_last_words_out(self, *, key: str) -> bool:
        """Whether the acknowledgement left or will not leave any more."""
        return True

    def cancel_last_words(self, *, key: str, at: datetime) -> None:
        """It took too long: the address goes now."""

    def forget_elsewhere(self, address: ContactAddress) -> list[Forgotten]:
        """Ask every vendor that could have the address to forget it. Calls them: no transaction."""
        return []

    def forget(self, person: Person, now: datetime) -> dict[str, int]:
        """Delete it, inside the erasing transaction, addresses still there; rows by what."""
        return {}


_holders: dict[str, Holder] = {}


def register(holder: Holder) -> None:
    """Ask ``holder`` from now on; called from AppConfig.ready."""
    _holders[holder.name] = holder


def holders() -> Iterator[Holder]:
    """Everybody who keeps something, by name."""
    return iter([_holders[name] for name in sorted(_holders)])


def person_of(subject: Subject) -> Person:
    """The person with their addresses, those of their own apart from shared ones."""
    links = SubjectAddress.objects.filter(subject=subject).order_by("address_id")
    ids = list(links.values_list("address_id", flat=True))
    shared = shared_addresses(ids, subject.pk)
    return Person(
        subject_id=subject.pk,
        sender_group_id=subject.sender_group_id,
        own_address_ids=tuple(pk for pk in ids if pk not in shared),
        shared_address_ids=tuple(pk for pk in ids if pk in shared),
    )


def shared_addresses(address_ids: Iterable[int], subject_id: UUID) -> set[int]:
    """Those of ``address_ids`` that somebody else uses as well."""
    others = SubjectAddress.objects.filter(address_id__in=list(address_ids))
    return set(others.exclude(subject_id=subject_id).values_list("address_id", flat=True))
