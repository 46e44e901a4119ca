"""Forgetting a person, step by step, each in a commit of its own.

waiting > telling > vendors > erasing > erased. A process may die anywhere: the step is in the
request and every step may be done again. What is sending when the request begins may end first;
the last acknowledgement leaves while there still is an address; vendors are asked while it can be
read; then everything goes in one transaction. The ledger's rows and the suppressions stay: they
name nobody, and they keep the number blocked (GDPR art. 17(3)(b) and (e)).
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from consents import derivation, erasure_journal, holders, ledger, locks
from consents.erasure_journal import Erased, ErasedAddress
from consents.holders import Person
from consents.ledger import Draft
from consents.models import (
    AddressReveal,
    ConsentAction,
    ConsentEvent,
    ConsentEvidence,
    ContactAddress,
    InboxItem,
    Purpose,
    RightsRequest,
    SenderGroup,
    Subject,
    Suppression,
)

logger = logging.getLogger(__name__)

#: what is on its way when a request begins may take this long to end, and so may the last words
LONGEST_WAIT = timedelta(minutes=10)
#: seconds between tries at vendors; the last pause repeats
PAUSES_S = (60, 300, 1800, 7200, 21600, 86400)
#: a vendor that never answers does not keep the data here: before the law's day the rest goes
GIVES_UP_BEFORE_DUE = timedelta(days=2)
#: the advisory lock of the one who carries erasures on: "eras"
_LOCK = 0x65726173

Step = str


def carry_on_erasures(now: datetime) -> dict[str, int]:
    """Take every erasure under way as far as it goes now; returns requests by step reached."""
    reached: dict[str, int] = {}
    with locks.alone(_LOCK) as is_mine:
        if not is_mine:
            return reached
        under_way = RightsRequest.objects.filter(
            kind=RightsRequest.Kind.ERASURE, state=RightsRequest.State.WORKING
        )
        for request_id in list(under_way.order_by("received_at").values_list("pk", flat=True)):
            try:
                step = carry_on(request_id=request_id, now=now)
            except Exception:
                # a full disk or a mistake of ours; the others go on, and this one the next time
                logger.exception("erasure.failed", extra={"request_id": request_id})
                step = "failed"
            reached[step] = reached.get(step, 0) + 1
    return reached


def carry_on(*, request_id: int, now: datetime) -> Step:
    """Take one erasure as far as it goes now; returns the step it is at."""
    while True:
        request = RightsRequest.objects.get(pk=request_id)
        step = str(request.outcome.get("step", ""))
        if request.state != RightsRequest.State.WORKING or step not in _STEPS:
            return step
        subject = Subject.objects.filter(pk=request.subject_ref).first()
        if subject is None:
            _advance(request_id, step, "erased", _done(now))
            return "erased"
        if subject.legal_hold or not _STEPS[step](request, subject, now):
            return step


def _advance(request_id: int, step: Step, following: Step, values: dict[str, Any]) -> bool:
    """Go from ``step`` to ``following``, once; ``values`` are columns, "outcome" is merged in."""
    with transaction.atomic():
        request = RightsRequest.objects.select_for_update(of=("self",)).get(pk=request_id)
        if request.outcome.get("step") != step:
            return False
        outcome = request.outcome | values.pop("outcome", {}) | {"step": following}
        RightsRequest.objects.filter(pk=request_id).update(outcome=outcome, **values)
    return True


def _done(now: datetime, **outcome: Any) -> dict[str, Any]:
    return {
        "state": RightsRequest.State.DONE,
        "settled_at": now,
        "outcome": {"erased_at": now.isoformat(), **outcome},
    }


def _waited(request: RightsRequest, since: str, now: datetime) -> bool:
    began = datetime.fromisoformat(request.outcome[since])
    return now - began >= LONGEST_WAIT


def _wait(request: RightsRequest, subject: Subject, now: datetime) -> bool:
    """What is on its way ends first, then the last words are queued."""
    person = holders.person_of(subject)
    is_sending = any(holder.is_sending(person) for holder in holders.holders())
    if is_sending and not _waited(request, "begun_at", now):
        return False
    with transaction.atomic():
        key = str(request.public_id)
        told = [holder.say_last_words(person, key=key, now=now) for holder in holders.holders()]
        outcome = {
            "waited_in_vain": is_sending,
            "told_by": next((channel for channel in told if channel), ""),
            "told_at": now.isoformat(),
        }
        values: dict[str, Any] = {"outcome": outcome}
        if request.acknowledged_at is None and outcome["told_by"]:
            values["acknowledged_at"] = now
        return _advance(request.pk, "waiting", "telling", values)


def _tell(request: RightsRequest, subject: Subject, now: datetime) -> bool:
    """The last words leave before the address goes."""
    key = str(request.public_id)
    if not all(holder.are_last_words_out(key=key) for holder in holders.holders()):
        if not _waited(request, "told_at", now):
            return False
        for holder in holders.holders():
            holder.cancel_last_words(key=key, at=now)
    return _advance(request.pk, "telling", "vendors", {"outcome": {"vendors": [], "tries": 0}})


def _ask_vendors(request: RightsRequest, subject: Subject, now: datetime) -> bool:
    """Every vendor that could have an address is asked to forget it, until each has answered.

    Outside a transaction: asked twice, a vendor erases what is erased already.
    """
    outcome = request.outcome
    if "next_at" in outcome and now < datetime.fromisoformat(outcome["next_at"]):
        return False
    person = holders.person_of(subject)
    answers: list[dict[str, str]] = []
    for address in ContactAddress.objects.filter(pk__in=person.own_address_ids).order_by("pk"):
        for holder in holders.holders():
            answers += [
                {
                    "account": answer.account,
                    "channel": address.channel,
                    "state": answer.state,
                    "problem": answer.problem[:200],
                }
                for answer in holder.forget_elsewhere(address)
            ]
    tries = outcome["tries"] + 1
    found = {"vendors": answers, "tries": tries}
    has_failed = any(answer["state"] == "failed" for answer in answers)
    if has_failed and now < request.due_at - GIVES_UP_BEFORE_DUE:
        pause_s = PAUSES_S[min(tries, len(PAUSES_S)) - 1]
        found["next_at"] = (now + timedelta(seconds=pause_s)).isoformat()
        _advance(request.pk, "vendors", "vendors", {"outcome": found})
        return False
    return _advance(request.pk, "vendors", "erasing", {"outcome": found})


def _erase(request: RightsRequest, subject: Subject, now: datetime) -> bool:
    """Everything goes, and the journal has it before the commit."""
    with transaction.atomic():
        _lock(subject.pk, ())
        still_there = Subject.objects.select_for_update().filter(pk=subject.pk).first()
        if still_there is None or still_there.legal_hold:
            return False
        person = holders.person_of(still_there)
        erased = Erased(
            subject_id=subject.pk,
            sender_group_id=subject.sender_group_id,
            request_id=request.public_id,
            erased_at=now,
            addresses=tuple(_entry(address) for address in _rows(person.own_address_ids)),
        )
        counts = _forget(still_there, person, erased, now)
        moved = _advance(request.pk, "erasing", "erased", _done(now, deleted=counts))
        erasure_journal.write(erased)
    return moved


_STEPS = {"waiting": _wait, "telling": _tell, "vendors": _ask_vendors, "erasing": _erase}


def _lock(subject_id: UUID, hashes: tuple[str, ...]) -> None:
    known = ContactAddress.objects.filter(subjects=subject_id)
    locks.lock_addresses({*hashes, *known.values_list("address_hash", flat=True)})


def _entry(address: ContactAddress) -> ErasedAddress:
    """The address as the journal names it, with what stopped it."""
    stops = Suppression.objects.filter(
        sender_group_id=address.sender_group_id,
        channel=address.channel,
        address_hash=address.address_hash,
        generation=address.generation,
    )
    return ErasedAddress(
        channel=address.channel,
        address_hash=address.address_hash,
        pepper_version=address.pepper_version,
        generation=address.generation,
        stops=tuple(stops.order_by("scope").values_list("scope", "reason")),
    )


def _rows(address_ids: tuple[int, ...]) -> list[ContactAddress]:
    found = ContactAddress.objects.filter(pk__in=address_ids).defer("value")
    return list(found.order_by("pk"))


def _forget(
    subject: Subject | None, person: Person, erased: Erased, now: datetime
) -> dict[str, int]:
    """Delete what is known of ``person``; the locks of their addresses are held. Repeatable."""
    counts: dict[str, int] = {}
    for holder in holders.holders():
        counts |= holder.forget(person, now)
    own = _rows(person.own_address_ids)
    counts["evidence"] = _forget_evidence(person, own)
    inbox = InboxItem.objects.filter(address__in=own)
    counts["inbox"] = inbox.delete()[0]
    AddressReveal.objects.filter(address__in=own).update(masked="")
    _append(erased, now)
    counts["addresses"] = len(own)
    ContactAddress.objects.filter(pk__in=[address.pk for address in own]).delete()
    _forget_words(person.subject_id, now)
    if subject is not None:
        subject.delete()
        counts["subjects"] = 1
    return counts


def _forget_evidence(person: Person, own: list[ContactAddress]) -> int:
    """Proof of what they said, and of what was said at addresses of their own."""
    theirs = Q(subject_ref=person.subject_id)
    for address in own:
        theirs |= Q(
            sender_group_id=address.sender_group_id,
            address_hash=address.address_hash,
            generation=address.generation,
        )
    events = ConsentEvent.objects.filter(theirs, evidence__isnull=False)
    return ConsentEvidence.objects.filter(pk__in=events.values("evidence_id")).delete()[0]


def _forget_words(subject_id: UUID, now: datetime) -> None:
    """What they wrote in requests; an open complaint still has to be answered."""
    rows = RightsRequest.objects.filter(subject_ref=subject_id)
    rows.update(file=None, file_until=None)
    # nothing is left that could be shown
    rows.filter(kind=RightsRequest.Kind.ACCESS, settled_at=None).update(
        state=RightsRequest.State.DONE, settled_at=now, outcome={"overtaken_by": "erasure"}
    )
    is_open = Q(kind=RightsRequest.Kind.COMPLAINT, settled_at=None)
    rows.exclude(is_open).update(text="")


def _append(erased: Erased, now: datetime) -> None:
    """``erased`` in the chain of each address of their own; nothing where it is there already."""
    for address in erased.addresses:
        key = f"erased:{erased.request_id}:{address.channel}:{address.address_hash[:16]}"
        ended = Draft(
            target=_target(erased, address),
            action=ConsentAction.ERASED,
            purpose=Purpose.ORDER_UPDATES,
            source="rights_request",
            occurred_at=erased.erased_at,
            idempotency_key=f"{key}:{address.generation}",
            scope="all",
            lawful_basis="legal_duty",
            subject_ref=erased.subject_id,
        )
        ledger.append([*_lost_stops(erased, address, ended), ended], now=now)


def _target(erased: Erased, address: ErasedAddress) -> ledger.Target:
    return ledger.Target(
        erased.sender_group_id,
        address.channel,
        address.address_hash,
        address.pepper_version,
        address.generation,
    )


def _lost_stops(erased: Erased, address: ErasedAddress, ended: Draft) -> list[Draft]:
    """What was stopped before the erasure and is not in this, restored, ledger."""
    events = ledger.chain(erased.sender_group_id, address.address_hash)
    if any(event.idempotency_key == ended.idempotency_key for event in events):
        return []
    known = derivation.derive(ledger.fact_of(event) for event in events).suppressions
    return [
        replace(
            ended,
            action=ConsentAction.SUPPRESSED,
            purpose=scope.partition(":")[2] if scope.startswith("category:") else ended.purpose,
            scope="category" if scope.startswith("category:") else scope,
            reason=reason,
            idempotency_key=f"{ended.idempotency_key}:{scope}",
        )
        for scope, reason in address.stops
        if (address.generation, address.channel, scope) not in known
    ]


# --- after a restore ------------------------------------------------------------------------------


def replay(now: datetime) -> dict[str, int]:
    """Erase again everybody in the journal; returns how many lines and how many were back.

    To be run after any restore, when the stops vendors know of have been read again. Running it
    on a database nobody restored changes nothing.
    """
    found = {"lines": 0, "erased_again": 0}
    for erased in erasure_journal.read():
        found["lines"] += 1
        found["erased_again"] += _replay_one(erased, now)
    return found


def _replay_one(erased: Erased, now: datetime) -> bool:
    with transaction.atomic():
        _lock(erased.subject_id, tuple(a.address_hash for a in erased.addresses))
        if not SenderGroup.objects.filter(pk=erased.sender_group_id).exists():
            return False
        subject = Subject.objects.select_for_update().filter(pk=erased.subject_id).first()
        person = _person_then(subject, erased)
        is_back = subject is not None or bool(person.own_address_ids)
        if is_back:
            _forget(subject, person, erased, now)
        else:
            _append(erased, now)
        request = RightsRequest.objects.filter(public_id=erased.request_id).first()
        if request is not None and request.state == RightsRequest.State.WORKING:
            step = str(request.outcome.get("step", ""))
            _advance(request.pk, step, "erased", _done(erased.erased_at, replayed=True))
    return is_back


def _person_then(subject: Subject | None, erased: Erased) -> Person:
    """Who was erased, with what came back: rows older than the erasure that nobody else uses."""
    known = holders.person_of(subject) if subject else None
    named = [
        address.pk
        for one in erased.addresses
        for address in ContactAddress.objects.defer("value").filter(
            sender_group_id=erased.sender_group_id,
            channel=one.channel,
            address_hash=one.address_hash,
            generation=one.generation,
            created_at__lte=erased.erased_at,
        )
    ]
    shared = holders.shared_addresses(named, erased.subject_id)
    own = {*(known.own_address_ids if known else ()), *(pk for pk in named if pk not in shared)}
    return Person(
        subject_id=erased.subject_id,
        sender_group_id=erased.sender_group_id,
        own_address_ids=tuple(sorted(own)),
        shared_address_ids=known.shared_address_ids if known else (),
    )
