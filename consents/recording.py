"""Writing one statement to the ledger, with the rules about who may undo a customer's no."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from consents import derivation, ledger
from consents.derivation import CHANNEL_WIDE, Derived, LedgerFact
from consents.ledger import Draft
from consents.models import ConsentAction, ConsentEvent

_GRANTS = frozenset({ConsentAction.GRANTED, ConsentAction.CONFIRMED})
_UNSAVED = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Recorded:
    """The ledger row a statement became.

    ``is_refused``: the statement goes against the customer's own no (an interface answers 409);
    the row then says ``pending`` and changes nothing. A grant nobody can show proof of becomes
    ``pending`` without being refused.
    """

    event: ConsentEvent
    is_new: bool
    is_refused: bool


def record(draft: Draft, *, now: datetime) -> Recorded:
    """Append ``draft``, weakened to ``pending`` where its speaker may not say it."""
    appended = ledger.append([draft], now=now, amend=amend)
    event = appended.events[0]
    was_weakened = event.action != draft.action
    return Recorded(
        event=event,
        is_new=draft.idempotency_key in appended.new_keys,
        is_refused=was_weakened and is_against_refusal(draft, appended.before),
    )


def is_against_refusal(draft: Draft, before: Derived) -> bool:
    """Whether ``draft`` would undo a no that is not its speaker's to undo."""
    fact = fact_of_draft(draft)
    if draft.action in _GRANTS:
        return _is_refused(draft, before) and not derivation.is_customer_act(fact)
    if draft.action != ConsentAction.LIFTED:
        return False
    held = _held(draft, before)
    return bool(held) and not any(derivation.may_lift(reason, "", fact) for reason in held)


def fact_of_draft(draft: Draft) -> LedgerFact:
    """What the row of ``draft`` would say about state."""
    return LedgerFact(
        id=_UNSAVED,
        sequence=0,
        channel=draft.target.channel,
        generation=draft.target.generation,
        purpose=str(draft.purpose),
        action=str(draft.action),
        scope=draft.scope,
        reason=draft.reason,
        source=draft.source,
        actor_type=draft.actor_type,
        occurred_at=draft.occurred_at,
        recorded_at=draft.occurred_at,
        has_notice=draft.notice_version_id is not None,
        has_evidence=draft.evidence is not None,
    )


def amend(draft: Draft, before: Derived) -> Draft:
    """``draft``, weakened to ``pending`` where its speaker may not say it."""
    is_hearsay = draft.action in _GRANTS and not derivation.is_attested(fact_of_draft(draft))
    if is_hearsay or is_against_refusal(draft, before):
        return replace(draft, action=ConsentAction.PENDING)
    return draft


def _is_refused(draft: Draft, before: Derived) -> bool:
    target = draft.target
    state = before.states.get((target.generation, target.channel, str(draft.purpose)))
    if state is not None and state.is_customer_refusal:
        return True
    return any(
        reason in derivation.CUSTOMER_REASONS
        for scope in CHANNEL_WIDE
        for reason in _reasons(draft, before, scope)
    )


def _held(draft: Draft, before: Derived) -> list[str]:
    scope = derivation.suppression_scope(draft.scope, str(draft.purpose))
    scopes = CHANNEL_WIDE if scope in CHANNEL_WIDE else (scope,)
    return [reason for name in scopes for reason in _reasons(draft, before, name)]


def _reasons(draft: Draft, before: Derived, scope: str) -> list[str]:
    target = draft.target
    row = before.suppressions.get((target.generation, target.channel, scope))
    return [row.reason] if row is not None else []
