"""What a person with a proven address sees of their choices, and how they change them.

News about an order belongs to the order: it is muted, not refused, and a mute is the person's own,
also on a shared phone. Everything else is consent: it is on only after a yes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, time
from uuid import UUID, uuid4

from django.db import transaction

from consents import notices, policy, selectors, services
from consents.facts import AddressSnapshot, Decision, MessageFacts
from consents.models import ConsentAction, ContactAddress, Preference, Purpose, Subject
from consents.people import Person

#: rows of the page, in its order
PURPOSES = (Purpose.ORDER_UPDATES, Purpose.FEEDBACK, Purpose.MARKETING)
SOURCE = "portal"
#: a message would not go for one of these reasons: the person has not said yes, or said no
_OFF = frozenset(
    {
        *("muted", "default_off", "suppressed", "restricted", "subject_erased"),
        *("no_consent", "consent_pending", "withdrawn", "denied"),
    }
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the messages come from: ISO country and IANA zone of the restaurant."""

    country: str
    timezone: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One purpose on one channel. ``code`` is the decision's."""

    purpose: Purpose
    channel: str
    is_on: bool
    code: str

    @property
    def name(self) -> str:
        """Of its form field."""
        return f"{self.purpose}-{self.channel}"


@dataclass(frozen=True, slots=True)
class Stop:
    """A proven address that is stopped as a whole. ``is_theirs``: by its holder."""

    address: ContactAddress
    is_theirs: bool


@dataclass(frozen=True, slots=True)
class Choices:
    """Everything the page shows about the proven address."""

    cells: tuple[Cell, ...]
    stops: tuple[Stop, ...]
    #: channels whose carrier may still block what was allowed again
    carrier_blocked: tuple[str, ...]


def choices_of(person: Person, place: Place, now: datetime) -> Choices:
    """The answers of ``policy.decide`` for each purpose on each proven channel."""
    subject_id = person.subject.pk if person.subject else None
    snapshots = {row.channel: selectors.load_snapshot(subject_id, row.pk) for row in person.proven}
    cells = []
    for purpose in PURPOSES:
        for row in person.proven:
            decision = _ask(snapshots[row.channel], row.channel, purpose, place, now)
            is_on = not (decision.verdict == "drop" and decision.code in _OFF)
            cells.append(Cell(purpose, row.channel, is_on, decision.code))
    stops = []
    for row in person.proven:
        held = [s for s in snapshots[row.channel].suppressions if s.scope in ("channel", "all")]
        if held:
            is_theirs = all(s.reason in ("user", "complaint") for s in held)
            stops.append(Stop(row, is_theirs))
    blocked = tuple(
        row.channel
        for row in person.proven
        if any(state.carrier_block for state in snapshots[row.channel].states.values())
    )
    return Choices(tuple(cells), tuple(stops), blocked)


def _ask(
    snapshot: AddressSnapshot, channel: str, purpose: str, place: Place, now: datetime
) -> Decision:
    """Whether the next message of this purpose would go, as far as the person's word counts."""
    kind = "status_changed" if purpose == Purpose.ORDER_UPDATES else purpose
    facts = MessageFacts(
        channel=channel,
        purpose=purpose,
        event_kind=kind,
        country=place.country,
        timezone=place.timezone,
    )
    return policy.decide(facts, snapshot, selectors.active_packs(now), now)


@dataclass(frozen=True, slots=True)
class Wording:
    """The words a box stood beside, and their language."""

    text: str
    language: str


@transaction.atomic
def change(
    *,
    person: Person,
    place: Place,
    wanted: Mapping[str, bool],
    wordings: Mapping[str, Wording],
    now: datetime,
) -> int:
    """Bring the cells named in ``wanted`` (name -> on) to what the person wants; how many changed.

    ``wordings`` has what each purpose's box said.
    """
    changed = 0
    before = choices_of(person, place, now)
    rows = {row.channel: row for row in person.proven}
    for cell in before.cells:
        is_on = wanted.get(cell.name)
        if is_on is None or is_on == cell.is_on or cell.code == "suppressed":
            continue
        _set(person, rows[cell.channel], cell, is_on, wordings[cell.purpose], now)
        changed += 1
    return changed


def _set(
    person: Person,
    address: ContactAddress,
    cell: Cell,
    is_on: bool,
    wording: Wording,
    now: datetime,
) -> None:
    is_mute = cell.purpose == Purpose.ORDER_UPDATES and person.subject is not None
    if is_mute and person.subject is not None:
        _prefer(person.subject.pk, cell, is_on)
        if not is_on or cell.code == "muted":
            return
    key = f"portal:{uuid4()}"
    subject_id = person.subject.pk if person.subject else None
    if not is_on:
        services.withdraw(
            address_id=address.pk,
            source=SOURCE,
            occurred_at=now,
            now=now,
            idempotency_key=key,
            scope="category",
            purpose=cell.purpose,
            subject_id=subject_id,
        )
        return
    notice = notices.notice_of(
        sender_group_id=address.sender_group_id,
        key=f"portal_{cell.purpose}",
        language=wording.language,
        text=wording.text,
        now=now,
    )
    services.record_consent(
        address_id=address.pk,
        purpose=cell.purpose,
        action=ConsentAction.GRANTED,
        source=SOURCE,
        occurred_at=now,
        now=now,
        idempotency_key=key,
        subject_id=subject_id,
        notice_version_id=notice.pk,
        language=wording.language,
    )


def _prefer(subject_id: UUID, cell: Cell, is_on: bool) -> None:
    Preference.objects.update_or_create(
        subject_id=subject_id,
        order_ref=None,
        purpose=cell.purpose,
        event_kind="",
        channel=cell.channel,
        defaults={"is_allowed": is_on, "set_by": "customer"},
    )


def resume(*, person: Person, wording: Wording, now: datetime) -> bool:
    """The holder of a stopped address wants order updates again. False = it may not be lifted."""
    subject_id = person.subject.pk if person.subject else None
    notice = notices.notice_of(
        sender_group_id=person.address.sender_group_id,
        key=f"portal_{Purpose.ORDER_UPDATES}",
        language=wording.language,
        text=wording.text,
        now=now,
    )
    key = f"portal:{uuid4()}"
    with transaction.atomic():
        recorded = [
            services.lift(
                address_id=row.pk,
                source=SOURCE,
                occurred_at=now,
                now=now,
                idempotency_key=f"{key}:{row.channel}",
                subject_id=subject_id,
                notice_version_id=notice.pk,
            )
            for row in person.proven
        ]
    return not any(one.is_refused for one in recorded)


def mute_order(*, subject_id: UUID, order_ref: UUID, is_muted: bool) -> None:
    """No more news about this one order, or news again. Nothing else changes."""
    rows = Preference.objects.filter(
        subject_id=subject_id, order_ref=order_ref, purpose="", event_kind="", channel=""
    )
    if not is_muted:
        rows.delete()
        return
    Preference.objects.update_or_create(
        subject_id=subject_id,
        order_ref=order_ref,
        purpose="",
        event_kind="",
        channel="",
        defaults={"is_allowed": False, "set_by": "customer"},
    )


def muted_orders(subject_id: UUID, order_refs: Iterable[UUID]) -> set[UUID]:
    """Which of these orders the person muted."""
    rows = Preference.objects.filter(
        subject_id=subject_id,
        order_ref__in=list(order_refs),
        purpose="",
        event_kind="",
        channel="",
        is_allowed=False,
    )
    return {ref for ref in rows.values_list("order_ref", flat=True) if ref is not None}


def set_habits(
    *, subject_id: UUID, language: str, quiet_from: time | None, quiet_until: time | None
) -> None:
    """The language of messages and the quiet hours, both ends or none."""
    if (quiet_from is None) != (quiet_until is None) or quiet_from == quiet_until:
        quiet_from = quiet_until = None
    Subject.objects.filter(pk=subject_id).update(
        locale=language, quiet_from=quiet_from, quiet_until=quiet_until
    )
