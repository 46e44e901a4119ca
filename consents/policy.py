"""May this message go to this address now? One pure function, asked when a message is planned and
asked again, under the lock of the address, when it is sent.

The order of questions is the law's, not ours: vetoes, the floor of every plausible jurisdiction,
the customer's choice, the restaurant's default, then time and volume. A critical message skips
everything after the floor and nothing before it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from consents.facts import (
    LIVE_ORDER_WINDOW,
    AddressSnapshot,
    Decision,
    MessageFacts,
    PreferenceView,
    StateView,
    SuppressionView,
    Trace,
    Verdict,
)
from consents.hours import Rule, known_zones, next_allowed, open_hours, outside_quiet
from consents.packs import LEVELS, PackSet, Ruling

__all__ = [
    "LIVE_ORDER_WINDOW",
    "AddressSnapshot",
    "Decision",
    "MessageFacts",
    "PreferenceView",
    "StateView",
    "SuppressionView",
    "decide",
]

#: a customer's stop is confirmed within this time or not at all
CONFIRMATION_WINDOW = timedelta(minutes=5)
#: how long to wait before asking again whether the carrier lets messages through
CARRIER_RECHECK = timedelta(minutes=15)
#: how long marketing waits before asking again whether somebody read the customer's words
REVIEW_RECHECK = timedelta(days=1)

_PROMOTIONAL = frozenset({"marketing", "feedback"})
#: answers to what a person just wrote, and codes they just asked for
_ASKED_FOR = frozenset({"service_reply", "security"})
_REFUSED = frozenset({"withdrawn", "denied"})
#: replies owed even to somebody who stopped us
_OWED_REPLIES = frozenset({"stop_confirmation", "help"})
#: channels on which we may only speak first with a template the vendor approved
_WINDOWED = frozenset({"messenger", "whatsapp"})


def _passed(rule: str, why: str) -> Trace:
    return {"rule": rule, "verdict": "pass", "why": why}


def _skipped(rule: str, why: str) -> Trace:
    return {"rule": rule, "verdict": "skip", "why": why}


# made once: a message that may go costs no new trace rows for what did not apply
_VETO_PASS = _passed("veto", "nothing forbids it")
_CHOICE_NONE = _passed("choice", "nothing chosen")
_CHOICE_ON = _passed("choice", "the customer wants it")
_DEFAULT_ON = _passed("default", "on")
_DEFAULT_OVERRULED = _skipped("default", "the customer chose")
_TIME_FREE = _passed("time", "no quiet time or hours apply")
_TIME_OPEN = _passed("time", "open now")
_CRITICAL = _skipped("choice", "critical")


class _Case:
    """One question being answered; collects the trace."""

    __slots__ = ("basis", "event_ids", "facts", "now", "rules", "ruling", "snapshot")

    def __init__(
        self, facts: MessageFacts, snapshot: AddressSnapshot, ruling: Ruling, now: datetime
    ) -> None:
        self.facts, self.snapshot, self.ruling, self.now = facts, snapshot, ruling, now
        self.rules: list[Trace] = []
        self.event_ids: tuple[UUID, ...] = ()
        self.basis = ""

    def end(self, verdict: Verdict, code: str, until: datetime | None = None) -> Decision:
        return Decision(
            verdict,
            code,
            until,
            tuple(self.rules),
            self.event_ids,
            self.basis,
            self.ruling.version,
        )

    def drop(self, rule: str, code: str, *event_ids: UUID) -> Decision:
        self.rules.append({"rule": rule, "verdict": "drop", "why": code})
        self.event_ids = event_ids or self.event_ids
        return self.end("drop", code)

    def delay(self, rule: str, code: str, until: datetime) -> Decision:
        expires_at = self.facts.expires_at
        if expires_at is not None and expires_at <= until:
            self.rules.append({"rule": rule, "verdict": "drop", "why": f"{code} beyond expiry"})
            return self.end("drop", "expired")
        self.rules.append({"rule": rule, "verdict": "delay", "why": code})
        return self.end("delay", code, until)


def decide(
    facts: MessageFacts, snapshot: AddressSnapshot, packs: PackSet, now: datetime
) -> Decision:
    """Allow, delay or drop, with the rules, ledger events and policy version relied on."""
    countries = (snapshot.region, facts.country, snapshot.sender_country, *facts.regions)
    case = _Case(facts, snapshot, packs.ruling(countries, facts.channel, facts.purpose), now)
    if (ended := _veto(case)) is not None:
        return ended
    if facts.event_kind in _OWED_REPLIES and facts.purpose == "service_reply":
        case.basis = "legal_duty"
        return case.end("allow", "allowed")
    if (ended := _floor(case)) is not None:
        return ended
    if facts.is_critical:
        case.rules.append(_CRITICAL)
        return case.end("allow", "allowed")
    return _choice(case) or _time(case) or case.end("allow", "allowed")


def _veto(case: _Case) -> Decision | None:
    """Step 1: what no consent and no urgency overrides."""
    facts, snapshot, now = case.facts, case.snapshot, case.now
    if snapshot.is_subject_erased:
        return case.drop("subject", "subject_erased")
    if not snapshot.is_known:
        return case.drop("address", "address_gone")
    if snapshot.restricted_at is not None:
        return case.drop("subject", "restricted")
    for suppression in snapshot.suppressions:
        if (ended := _suppressed(case, suppression)) is not None:
            return ended
    if snapshot.expires_at is not None and snapshot.expires_at <= now:
        return case.drop("address", "address_expired")
    if case.ruling.needs_verified_address and snapshot.verified_at is None:
        return case.drop("address", "unverified")
    if snapshot.unreachable_at is not None:
        return case.drop("channel", "unreachable")
    if (
        facts.channel in _WINDOWED
        and not facts.has_template
        and (snapshot.window_until is None or snapshot.window_until <= now)
    ):
        return case.drop("channel", "window_closed")
    if facts.expires_at is not None and facts.expires_at <= now:
        return case.drop("expiry", "expired")
    case.rules.append(_VETO_PASS)
    return None


def _suppressed(case: _Case, suppression: SuppressionView) -> Decision | None:
    facts = case.facts
    if not _covers(suppression, facts):
        return None
    owed = facts.event_kind in _OWED_REPLIES and facts.purpose == "service_reply"
    if not (owed and suppression.reason == "user" and suppression.channel == facts.channel):
        return case.drop("suppression", "suppressed", suppression.event_id)
    case.event_ids = (suppression.event_id,)
    late = case.now - suppression.since > CONFIRMATION_WINDOW
    if late and facts.event_kind == "stop_confirmation":
        return case.drop("suppression", "confirmation_too_late", suppression.event_id)
    return None


def _covers(suppression: SuppressionView, facts: MessageFacts) -> bool:
    scope = suppression.scope
    if scope == "all":
        return True
    if suppression.channel != facts.channel:
        return False
    if scope == "channel":
        return True
    kind, _, what = scope.partition(":")
    if kind == "category":
        return what == facts.purpose or (what == "marketing" and facts.purpose == "feedback")
    return kind == "order" and what == facts.order_ref


def _floor(case: _Case) -> Decision | None:
    """Step 2: the strictest demand of every plausible jurisdiction; a default never meets it."""
    facts, ruling, now = case.facts, case.ruling, case.now
    view = case.snapshot.states.get(facts.purpose)
    level = LEVELS[ruling.required_basis]
    case.basis = ruling.required_basis
    if view is not None:
        if view.state in _REFUSED:
            return case.drop("consent", view.state, view.event_id)
        if view.state == "granted" and (view.valid_until is None or now < view.valid_until):
            granted = LEVELS.get(view.lawful_basis, 0)
            if view.has_notice and view.lawful_basis == "consent":
                granted = LEVELS["written_consent"]
            if granted >= level:
                case.basis, case.event_ids = view.lawful_basis, (view.event_id,)
                level = 0
    if level > LEVELS["contract"]:
        is_pending = view is not None and view.state == "pending"
        return case.drop("consent", "consent_pending" if is_pending else "no_consent")
    if any(state.carrier_block for state in case.snapshot.states.values()):
        return case.delay("carrier", "carrier_block", now + CARRIER_RECHECK)
    if facts.purpose in _PROMOTIONAL and case.snapshot.holds_marketing:
        return case.delay("review", "held_for_review", now + REVIEW_RECHECK)
    case.rules.append(_passed("consent", case.basis))
    return None


def _choice(case: _Case) -> Decision | None:
    """Steps 3 and 4: the most specific choice of the customer, else the restaurant's default."""
    facts = case.facts
    chosen: PreferenceView | None = None
    best = -1
    for preference in case.snapshot.preferences:
        rank = _rank(preference, facts)
        if rank < 0:
            continue
        # of two equally specific ones the restrictive wins
        if rank > best or (rank == best and not preference.is_allowed):
            chosen, best = preference, rank
    if chosen is not None:
        if not chosen.is_allowed:
            return case.drop("choice", "muted")
        case.rules += (_CHOICE_ON, _DEFAULT_OVERRULED)
        return None
    case.rules.append(_CHOICE_NONE)
    if not facts.default_allowed:
        return case.drop("default", "default_off")
    case.rules.append(_DEFAULT_ON)
    return None


def _rank(preference: PreferenceView, facts: MessageFacts) -> int:
    """How specific a choice is for this message; -1 = it is about something else."""
    if preference.order_ref and preference.order_ref != facts.order_ref:
        return -1
    if preference.channel and preference.channel != facts.channel:
        return -1
    if preference.purpose and preference.purpose != facts.purpose:
        return -1
    if facts.purpose in _ASKED_FOR and preference.purpose != facts.purpose:
        return -1
    rank = 32 if preference.order_ref else 0
    if preference.event_kind:
        if preference.event_kind == f"{facts.event_kind}:{facts.milestone}":
            rank += 16
        elif preference.event_kind == facts.event_kind:
            rank += 8
        else:
            return -1
    return rank + (4 if preference.purpose else 0) + (2 if preference.channel else 0)


def _time(case: _Case) -> Decision | None:
    """Step 5: do-not-disturb, statutory hours, volume."""
    ruling = case.ruling
    if ruling.areas:
        ruling = ruling.within(case.snapshot.place().prefix, case.facts.regions)
    rules: list[Rule] = []
    if _keeps_quiet(case) and case.snapshot.quiet_from and case.snapshot.quiet_until:
        rules.append(outside_quiet(case.snapshot.quiet_from, case.snapshot.quiet_until))
    code = "quiet_hours" if rules else "hours"
    if ruling.hours is not None:
        rules.append(open_hours(ruling.hours))
    start = case.now
    if ruling.max_per_day is not None and case.facts.sent_last_day >= ruling.max_per_day:
        if case.facts.cap_frees_at is None or case.facts.cap_frees_at <= case.now:
            return case.drop("volume", "volume_cap")
        start, code = case.facts.cap_frees_at, "volume_cap"
    if not rules and start == case.now:
        case.rules.append(_TIME_FREE)
        return None
    zones = known_zones(_zone_names(case))
    if zones is None:
        return case.drop("time", "unknown_zone")
    opening = next_allowed(zones, rules, start)
    if opening is None:
        return case.drop("time", "never_open")
    if opening > case.now:
        return case.delay("time", code, opening)
    case.rules.append(_TIME_OPEN)
    return None


def _keeps_quiet(case: _Case) -> bool:
    """Whether the customer's do-not-disturb counts: not for answers, not for a live order."""
    facts = case.facts
    if facts.purpose in _ASKED_FOR:
        return False
    if facts.purpose == "order_updates":
        return facts.due_at is not None and facts.due_at - case.now > facts.live_window
    return True


def _zone_names(case: _Case) -> tuple[str, ...]:
    """Where the person is: what they said, the live order's place, all zones of the number."""
    facts, snapshot = case.facts, case.snapshot
    if snapshot.timezone:
        return (snapshot.timezone,)
    if facts.timezone and facts.order_ref and facts.purpose not in _PROMOTIONAL:
        return (facts.timezone,)
    return snapshot.place().zones or (facts.timezone,)
