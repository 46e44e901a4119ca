"""What the ledger of one address adds up to. Pure: events in, states and suppressions out.

Events count in the order in which people acted (``occurred_at``, but never after it was
recorded), then in the order of recording; of two at one moment the restrictive one wins. So the
result does not depend on the order in which the rows arrived.

A no of the customer (withdrawn or denied for reason user or complaint) ends only by the
customer's own hand. What somebody else says later stays without effect.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from consents.models import ConsentAction as A

#: reasons that make a no the customer's own
CUSTOMER_REASONS = frozenset({"user", "complaint"})
RESTRICTIVE = frozenset({A.WITHDRAWN, A.DENIED, A.SUPPRESSED, A.ERASED})
_PERMISSIVE = frozenset({A.GRANTED, A.CONFIRMED, A.LIFTED, A.PENDING})
CHANNEL_WIDE = frozenset({"channel", "all"})
#: which of several reasons a suppression shows: the one that is hardest to lift
_HOLD = {"reassigned": 6, "legal": 5, "complaint": 4, "user": 3, "carrier": 2, "staff": 1}
#: of events at one moment the last one counts; the higher, the more restrictive
_WEIGHT = {
    A.CORRECTED: 0,
    A.LIFTED: 1,
    A.CONFIRMED: 2,
    A.GRANTED: 3,
    A.PENDING: 4,
    A.EXPIRED: 5,
    A.DENIED: 6,
    A.WITHDRAWN: 7,
    A.SUPPRESSED: 8,
    A.ERASED: 9,
}


@dataclass(frozen=True, slots=True)
class LedgerFact:
    """The part of a ledger row that decides about state."""

    id: UUID
    sequence: int
    channel: str
    generation: int
    purpose: str
    action: str
    scope: str
    reason: str
    source: str
    actor_type: str
    occurred_at: datetime
    recorded_at: datetime
    valid_until: datetime | None = None
    has_notice: bool = False
    has_evidence: bool = False
    supersedes: UUID | None = None

    @property
    def at(self) -> datetime:
        """When it counts: when the person acted, but never after we wrote it down."""
        return min(self.occurred_at, self.recorded_at)


@dataclass(frozen=True, slots=True)
class DerivedState:
    """One future ``ConsentState`` row, without its key."""

    state: str
    event_id: UUID
    since: datetime
    is_customer_refusal: bool = False
    carrier_block: str = ""
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class DerivedSuppression:
    """One future ``Suppression`` row, without its key."""

    reason: str
    event_id: UUID
    since: datetime


@dataclass(slots=True)
class Derived:
    """Keys: (generation, channel, purpose) and (generation, channel, scope)."""

    states: dict[tuple[int, str, str], DerivedState] = field(default_factory=dict)
    suppressions: dict[tuple[int, str, str], DerivedSuppression] = field(default_factory=dict)


def suppression_scope(scope: str, purpose: str) -> str:
    """The scope of a suppression a ledger row of this scope and purpose makes or lifts."""
    return f"category:{purpose}" if scope == "category" else scope


def is_customer_act(fact: LedgerFact) -> bool:
    """The customer's own hand: may grant again what the customer refused."""
    if fact.actor_type != "customer":
        return False
    if fact.source in ("keyword", "portal") or fact.action == A.CONFIRMED:
        return True
    return fact.source == "checkout" and fact.has_notice


def is_choice(fact: LedgerFact) -> bool:
    """What a person decided about a channel or a purpose, and not about one order only."""
    if fact.scope not in (*CHANNEL_WIDE, "category"):
        return False
    if fact.action in (A.WITHDRAWN, A.DENIED, A.SUPPRESSED):
        return fact.reason in CUSTOMER_REASONS
    return fact.action in (A.GRANTED, A.CONFIRMED, A.LIFTED) and is_customer_act(fact)


def is_attested(fact: LedgerFact) -> bool:
    """A grant somebody can show: given at a checkout, or with its wording or proof."""
    return (
        is_customer_act(fact)
        or (fact.source == "checkout" and fact.actor_type == "customer")
        or fact.has_notice
        or fact.has_evidence
    )


def may_lift(reason: str, suppressed_by: str, fact: LedgerFact) -> bool:
    """Whether ``fact`` may end a suppression made for ``reason`` by source ``suppressed_by``.

    A stop by the customer: the handset, the portal (possession is proven there) or a confirmed
    double opt-in; or the platform that reported it, about its own list. A complaint: not by
    keyword. A number that changed hands: never, its new holder has a generation of their own.
    """
    proven = fact.actor_type == "customer" and (
        fact.source == "portal" or fact.action == A.CONFIRMED
    )
    by_handset = fact.actor_type == "customer" and fact.source == "keyword"
    by_platform = (
        fact.actor_type == "customer"
        and fact.source == suppressed_by == "provider_webhook"
        and fact.scope not in CHANNEL_WIDE
    )
    match reason:
        case "user":
            return proven or by_handset or by_platform
        case "complaint":
            return proven
        case "carrier":
            return by_handset or fact.source == "provider_webhook"
        case "reassigned":
            return False
        case "legal":
            return fact.source == "staff"
        case _:
            return fact.source != "pos_import"


def derive(facts: Iterable[LedgerFact]) -> Derived:
    """States and suppressions of one address, from all its ledger rows in any order."""
    listed = sorted(facts, key=_moment)
    annulled = _annulled(listed)
    folds: dict[tuple[int, str], _Fold] = {}
    for fact in listed:
        fold = folds.setdefault((fact.generation, fact.channel), _Fold())
        if fact.id in annulled:
            fold.mentioned.add(fact.purpose)
        else:
            fold.apply(fact)
    derived = Derived()
    for (generation, channel), fold in folds.items():
        for purpose, state in fold.states.items():
            if fold.carrier_blocked and state.state == A.GRANTED:
                derived.states[generation, channel, purpose] = replace(
                    state, carrier_block="pending"
                )
            else:
                derived.states[generation, channel, purpose] = state
        for scope, suppression in fold.suppressions.items():
            derived.suppressions[generation, channel, scope] = suppression
    return derived


def granted_before_stop(facts: Iterable[LedgerFact], *, generation: int, channel: str) -> set[str]:
    """The purposes the customer had granted when they last stopped this channel."""
    listed = sorted(facts, key=_moment)
    annulled = _annulled(listed)
    fold, before = _Fold(), set[str]()
    for fact in listed:
        if (fact.generation, fact.channel) != (generation, channel) or fact.id in annulled:
            continue
        was_stopped = fold.is_stopped
        granted = {p for p, state in fold.states.items() if state.state == A.GRANTED}
        fold.apply(fact)
        if fold.is_stopped and not was_stopped:
            before = granted
    return before


def _moment(fact: LedgerFact) -> tuple[datetime, datetime, int, int]:
    return (fact.at, fact.recorded_at, _WEIGHT[A(fact.action)], fact.sequence)


def _annulled(facts: list[LedgerFact]) -> set[UUID]:
    """Rows a correction takes back. A customer's no is not a mistake staff can correct."""
    by_id = {fact.id: fact for fact in facts}
    annulled: set[UUID] = set()
    for fact in facts:
        target = by_id.get(fact.supersedes) if fact.supersedes else None
        if fact.action != A.CORRECTED or target is None:
            continue
        is_theirs = target.reason in CUSTOMER_REASONS or target.reason == "reassigned"
        if target.action in _PERMISSIVE or not is_theirs or is_customer_act(fact):
            annulled.add(target.id)
    return annulled


class _Fold:
    """The running sum over one generation of one channel."""

    def __init__(self) -> None:
        self.states: dict[str, DerivedState] = {}
        #: scope -> (reason, source of the suppressing event) -> the row it would make alone
        self._holds: dict[str, dict[tuple[str, str], DerivedSuppression]] = {}
        self.carrier_blocked = False
        #: purposes of rows taken back: a stop said while they stood refuses them all the same
        self.mentioned: set[str] = set()

    @property
    def suppressions(self) -> dict[str, DerivedSuppression]:
        """Per scope the reason that is hardest to lift; the others stand behind it."""
        return {
            scope: max(held.values(), key=lambda row: _HOLD.get(row.reason, 0))
            for scope, held in self._holds.items()
        }

    @property
    def is_stopped(self) -> bool:
        """The customer stopped the whole channel."""
        return any(
            reason in CUSTOMER_REASONS
            for scope in CHANNEL_WIDE
            for reason, _ in self._holds.get(scope, ())
        )

    def apply(self, fact: LedgerFact) -> None:
        match fact.action:
            case A.GRANTED | A.CONFIRMED:
                self._grant(fact)
            case A.PENDING:
                self._soften(fact, "pending", over=("pending", "expired"))
            case A.EXPIRED:
                self._soften(fact, "expired", over=("granted", "pending", "expired"))
            case A.DENIED | A.WITHDRAWN:
                self._refuse(fact)
            case A.SUPPRESSED:
                self._suppress(fact)
            case A.LIFTED:
                self._lift(fact)
            case A.ERASED:
                self.states = {p: s for p, s in self.states.items() if s.is_customer_refusal}

    def _grant(self, fact: LedgerFact) -> None:
        if fact.scope != "category":
            return  # a grant for one order is a preference, not a state
        known = self.states.get(fact.purpose)
        refused = self.is_stopped or (known is not None and known.is_customer_refusal)
        if refused and not is_customer_act(fact):
            return
        if not is_attested(fact):
            self._soften(fact, "pending", over=("pending", "expired"))
            return
        self.states[fact.purpose] = DerivedState(
            "granted", fact.id, fact.at, valid_until=fact.valid_until
        )

    def _soften(self, fact: LedgerFact, state: str, *, over: tuple[str, ...]) -> None:
        """Write a state that grants nothing, unless something stronger stands there."""
        known = self.states.get(fact.purpose)
        if fact.scope != "category" or self.is_stopped:
            return
        if known is None or (known.state in over and not known.is_customer_refusal):
            self.states[fact.purpose] = DerivedState(
                state, fact.id, fact.at, valid_until=fact.valid_until
            )

    def _refuse(self, fact: LedgerFact) -> None:
        is_theirs = fact.reason in CUSTOMER_REASONS
        refusal = DerivedState(fact.action, fact.id, fact.at, is_customer_refusal=is_theirs)
        if fact.scope == "category":
            self._refuse_purpose(fact.purpose, refusal)
            return
        self._suppress(fact)
        if fact.scope in CHANNEL_WIDE:
            for purpose in self.mentioned | set(self.states):
                self._refuse_purpose(purpose, refusal)

    def _refuse_purpose(self, purpose: str, refusal: DerivedState) -> None:
        known = self.states.get(purpose)
        if known is not None and known.is_customer_refusal and not refusal.is_customer_refusal:
            return  # what others add must not make the customer's own no easier to lift
        self.states[purpose] = refusal

    def _suppress(self, fact: LedgerFact) -> None:
        held = self._holds.setdefault(suppression_scope(fact.scope, fact.purpose), {})
        row = DerivedSuppression(fact.reason, fact.id, fact.at)
        held.setdefault((fact.reason, fact.source), row)

    def _lift(self, fact: LedgerFact) -> None:
        scope = suppression_scope(fact.scope, fact.purpose)
        lifted: set[str] = set()
        for name in CHANNEL_WIDE if scope in CHANNEL_WIDE else (scope,):
            held = self._holds.get(name, {})
            for reason, source in list(held):
                only_carrier = fact.reason == "carrier" and reason != "carrier"
                if not only_carrier and may_lift(reason, source, fact):
                    del held[reason, source]
                    lifted.add(reason)
            if not held:
                self._holds.pop(name, None)
        if fact.source == "keyword" or fact.reason == "carrier":
            self.carrier_blocked &= not may_lift("carrier", "", fact)
        elif "user" in lifted and scope in CHANNEL_WIDE and fact.channel == "sms":
            # the phone company may still block what was lifted on a web page
            self.carrier_blocked = True
