"""From the contact data of an order to subjects and addresses.

The usual case is an order update that says nothing new: two reads, no write, no lock. Anything
new is written under the locks of the addresses concerned, after reading again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from django.db import transaction

from consents import ledger, locks, selectors
from consents.addresses import AddressInvalid, Normalized, address_hashes, normalize
from consents.contact_rows import AddressRow, current_rows, people_at
from consents.identity import create_address, target_of
from consents.ledger import Draft
from consents.models import (
    AddressOrigin,
    ConsentAction,
    ConsentEvent,
    Purpose,
    Subject,
    SubjectAddress,
    SubjectKind,
)
from consents.packs import LEVELS, Ruling

__all__ = ["ASK", "GIVEN_WITH_ORDER", "Contacts", "resolve_customer", "target_of"]

#: giving a contact with an order counts as consent to news about that order
GIVEN_WITH_ORDER = "given_with_order"
#: the customer is asked first; without an answer nothing is sent where consent is needed
ASK = "ask"
#: of a shared number only the latest people are compared by name
_CANDIDATES = 20


class CustomerLike(Protocol):
    """Who ordered, as a source said it."""

    @property
    def name(self) -> str: ...
    @property
    def phone(self) -> str: ...
    @property
    def email(self) -> str: ...
    @property
    def contact_kind(self) -> str: ...
    @property
    def locale(self) -> str: ...
    @property
    def consents(self) -> Mapping[str, bool]: ...


@dataclass(frozen=True, slots=True)
class Contacts:
    """What an order's contact data came to."""

    subject_id: UUID | None
    #: channel -> primary key of the ContactAddress
    addresses: dict[str, int] = field(default_factory=dict)
    #: "phone: invalid_number": what could not be used, without the value
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One address as stated, and every hash it may be filed under (newest first)."""

    channel: str
    normalized: Normalized
    hashes: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Call:
    """The arguments of one resolve_customer call."""

    sender_group_id: int
    customer: CustomerLike
    jurisdiction: str
    source: str
    idempotency_base: str
    at: datetime
    contact_consent: str
    subject_id: UUID | None
    notice_version_id: int | None


def resolve_customer(
    *,
    sender_group_id: int,
    customer: CustomerLike,
    region: str,
    jurisdiction: str,
    source: str,
    idempotency_base: str,
    at: datetime,
    contact_consent: str = GIVEN_WITH_ORDER,
    subject_id: UUID | None = None,
    notice_version_id: int | None = None,
) -> Contacts:
    """The subject and addresses of an order's customer; records the consent the source passed.

    ``region`` completes national phone numbers, ``jurisdiction`` is the country whose rules the
    restaurant follows, ``source`` the adapter's key, ``idempotency_base`` names the order (the
    same for every update of it), ``subject_id`` the subject the order has already. A ticked or
    unticked box (``customer.consents``) is recorded as granted or denied for order updates; no
    word at all is a grant only where a grant is needed and ``contact_consent`` says that giving
    the contact counts. A customer who refused is never granted again from here.

    Relay, masked and absent contacts give a subject with a name and no address: they are never
    messaged, so nothing may attach to them. Call it inside the transaction that saves the order.
    At most 3 queries and no writes when nothing is new. Safe against a concurrent call.
    """
    call = _Call(
        sender_group_id,
        customer,
        jurisdiction,
        source,
        idempotency_base,
        at,
        contact_consent,
        subject_id,
        notice_version_id,
    )
    wanted, problems = _stated(customer, region)
    if not wanted:
        return Contacts(_nameless(call), {}, problems)
    found = _find(call, wanted)
    if not found.is_complete(call, wanted):
        with transaction.atomic():
            locks.lock_addresses(h for w in wanted for h in w.hashes)
            found = _find(call, wanted)
            if not found.is_complete(call, wanted):
                _write(call, wanted, found)
                found = _find(call, wanted)
    return Contacts(found.subject_id, {c: a.id for c, a in found.addresses.items()}, problems)


def _stated(customer: CustomerLike, region: str) -> tuple[list[_Wanted], list[str]]:
    wanted: list[_Wanted] = []
    problems: list[str] = []
    if customer.contact_kind != "direct":
        return wanted, problems
    values = [("sms", "phone", customer.phone), ("email", "email", customer.email)]
    if "whatsapp" in customer.consents:
        values.append(("whatsapp", "phone", customer.phone))
    for channel, name, value in values:
        if not value:
            continue
        try:
            normalized = normalize(channel, value, region)
        except AddressInvalid as error:
            problem = f"{name}: {error.reason}"
            if problem not in problems:
                problems.append(problem)
        else:
            hashes = address_hashes(channel, normalized.value)
            wanted.append(_Wanted(channel, normalized, hashes))
    return wanted, problems


def _nameless(call: _Call) -> UUID | None:
    """The subject of an order without a usable address: somebody with a name, or nobody."""
    if call.subject_id is not None or not call.customer.name.strip():
        return call.subject_id
    return _new_subject(call).pk


def _new_subject(call: _Call) -> Subject:
    return Subject.objects.create(
        sender_group_id=call.sender_group_id,
        kind=SubjectKind.CUSTOMER,
        name=call.customer.name.strip(),
        locale=call.customer.locale[:35],
    )


@dataclass(slots=True)
class _Found:
    """What the database has for a call."""

    addresses: dict[str, AddressRow] = field(default_factory=dict)
    subject_id: UUID | None = None
    linked: set[int] = field(default_factory=set)
    drafts: list[Draft] = field(default_factory=list)

    def is_complete(self, call: _Call, wanted: list[_Wanted]) -> bool:
        return (
            self.subject_id is not None
            and all(w.channel in self.addresses for w in wanted)
            and all(address.id in self.linked for address in self.addresses.values())
            and not self.drafts
        )


def _find(call: _Call, wanted: list[_Wanted]) -> _Found:
    """Two queries; a third only when a grant is refused and may be on record already."""
    found = _Found(addresses=_addresses(call, wanted))
    ids = [address.id for address in found.addresses.values()]
    if call.subject_id is not None:
        links = SubjectAddress.objects.filter(subject_id=call.subject_id, address_id__in=ids)
        found.subject_id = call.subject_id
        found.linked = set(links.values_list("address_id", flat=True))
    elif ids:
        _match_subject(call, ids, found)
    drafts = [
        draft
        for w in wanted
        if w.channel in found.addresses
        and (draft := _consent_draft(call, w, found.addresses[w.channel])) is not None
    ]
    if drafts:
        keys = [draft.idempotency_key for draft in drafts]
        recorded = set(
            ConsentEvent.objects.filter(idempotency_key__in=keys).values_list(
                "idempotency_key", flat=True
            )
        )
        found.drafts = [d for d in drafts if d.idempotency_key not in recorded]
    return found


def _addresses(call: _Call, wanted: list[_Wanted]) -> dict[str, AddressRow]:
    filed = [(w.channel, digest) for w in wanted for digest in w.hashes]
    return current_rows(sender_group_id=call.sender_group_id, filed=filed, at=call.at)


def _match_subject(call: _Call, ids: list[int], found: _Found) -> None:
    """The latest customer of these addresses who goes by the same name."""
    name = _folded(call.customer.name)
    by_subject: dict[UUID, set[int]] = {}
    for subject_id, address_id, known_as in people_at(ids, limit=_CANDIDATES):
        if _folded(known_as) == name:
            by_subject.setdefault(subject_id, set()).add(address_id)
    if by_subject:
        found.subject_id = max(by_subject, key=lambda pk: len(by_subject[pk]))
        found.linked = by_subject[found.subject_id]


def _folded(name: str) -> str:
    return " ".join(name.casefold().split())


def _consent_draft(call: _Call, wanted: _Wanted, address: AddressRow) -> Draft | None:
    """The ledger row this contact asks for, or None when the ledger says it already."""
    stated = call.customer.consents.get(wanted.channel)
    state = address.state
    if state == "granted" and address.state_until and address.state_until <= call.at:
        state = "expired"
    is_refused = address.is_stopped or state in ("withdrawn", "denied")
    if stated is False:
        if is_refused:
            return None
        return _draft(call, address, wanted, ConsentAction.DENIED, "box not ticked")
    if state == "granted":
        return None
    if stated:
        # without the wording that was shown nobody can say what was agreed to after a no
        weak = is_refused and call.notice_version_id is None
        action = ConsentAction.PENDING if weak else ConsentAction.GRANTED
        return _draft(call, address, wanted, action, "box ticked")
    if is_refused or call.contact_consent != GIVEN_WITH_ORDER:
        return None
    if _ruling(call, wanted, address).level < LEVELS["consent"]:
        return None
    return _draft(call, address, wanted, ConsentAction.GRANTED, "contact given with the order")


def _ruling(call: _Call, wanted: _Wanted, address: AddressRow) -> Ruling:
    """What order updates to this address need, as ``decide`` will ask for it."""
    countries = (wanted.normalized.region, call.jurisdiction, address.sender_country)
    packs = selectors.active_packs(call.at)
    return packs.ruling(countries, wanted.channel, Purpose.ORDER_UPDATES)


def _draft(
    call: _Call, address: AddressRow, wanted: _Wanted, action: ConsentAction, how: str
) -> Draft:
    return Draft(
        target=address.target,
        action=action,
        purpose=Purpose.ORDER_UPDATES,
        source="checkout",
        occurred_at=call.at,
        idempotency_key=ledger.fitting_key(f"{call.idempotency_base}:{wanted.channel}:{action}"),
        actor_id=f"source:{call.source}",
        notice_version_id=call.notice_version_id,
        language=call.customer.locale,
        jurisdiction=call.jurisdiction,
        policy_version=_ruling(call, wanted, address).version,
        evidence={"order_source": call.source, "order": call.idempotency_base, "how": how},
    )


def _write(call: _Call, wanted: list[_Wanted], found: _Found) -> None:
    """Create what is missing; the locks are held."""
    for w in wanted:
        if w.channel not in found.addresses:
            create_address(
                sender_group_id=call.sender_group_id,
                channel=w.channel,
                normalized=w.normalized,
                hashes=w.hashes,
                origin=AddressOrigin.CUSTOMER,
            )
    fresh = _find(call, wanted)
    subject_id = fresh.subject_id or _new_subject(call).pk
    SubjectAddress.objects.bulk_create(
        (
            SubjectAddress(subject_id=subject_id, address_id=address.id)
            for address in fresh.addresses.values()
            if address.id not in fresh.linked
        ),
        ignore_conflicts=True,
    )
    for draft in fresh.drafts:
        ledger.append([draft], now=call.at)
