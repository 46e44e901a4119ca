"""What the ledger adds up to, over random histories."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consents import derivation, ledger
from consents.derivation import LedgerFact, derive, may_lift
from consents.models import ConsentState, Suppression
from consents.recording import record
from tests.consents.factories import NOW, make_address, make_group, make_notice

ACTIONS = [
    *("granted", "denied", "withdrawn", "suppressed", "lifted", "pending", "confirmed"),
    *("expired", "corrected", "erased"),
]
PURPOSES = ["order_updates", "marketing"]
SCOPES = ["category", "channel", "all", "order:00000000-0000-0000-0000-000000000001"]
REASONS = ["user", "complaint", "hard_bounce", "carrier", "staff", "legal", "reassigned"]
OTHERS = [
    *(("staff", "staff"), ("pos_import", "system"), ("api", "partner"), ("checkout", "staff")),
    *(("provider_webhook", "provider"), ("rights_request", "staff"), ("policy", "system")),
]
CUSTOMER = [("keyword", "customer"), ("portal", "customer"), ("checkout", "customer")]


def facts(
    speakers: list[tuple[str, str]],
    actions: list[str] = ACTIONS,
    *,
    scopes: list[str] = SCOPES,
    reasons: list[str] = REASONS,
    channels: tuple[str, ...] = ("sms", "whatsapp"),
    generations: int = 2,
) -> Any:
    """Lists of ledger facts by ``speakers``; corrections point at any earlier row."""

    def number(rows: list[LedgerFact]) -> list[LedgerFact]:
        return [
            replace(
                row,
                id=UUID(int=1000 + at),
                sequence=at,
                supersedes=UUID(int=1000 + row.sequence % (at + 1)),
            )
            for at, row in enumerate(rows)
        ]

    one = st.builds(
        lambda speaker, minutes, delay, **rest: LedgerFact(
            id=UUID(int=0),
            source=speaker[0],
            actor_type=speaker[1],
            occurred_at=NOW + timedelta(minutes=minutes),
            recorded_at=NOW + timedelta(minutes=minutes + delay),
            **rest,
        ),
        speaker=st.sampled_from(speakers),
        minutes=st.integers(0, 5),
        delay=st.integers(-2, 5),
        sequence=st.integers(0, 50),
        channel=st.sampled_from(channels),
        generation=st.integers(1, generations),
        purpose=st.sampled_from(PURPOSES),
        action=st.sampled_from(actions),
        scope=st.sampled_from(scopes),
        reason=st.sampled_from(reasons),
        has_notice=st.booleans(),
        has_evidence=st.booleans(),
    )
    return st.lists(one, max_size=12).map(number)


@given(facts(CUSTOMER + OTHERS), st.randoms())
def test_the_order_of_arrival_does_not_matter(
    rows: list[LedgerFact], shuffle: random.Random
) -> None:
    arrived = list(rows)
    shuffle.shuffle(arrived)
    assert derive(arrived) == derive(rows)


@given(facts(CUSTOMER + OTHERS))
def test_adding_a_no_at_the_end_never_allows_more(rows: list[LedgerFact]) -> None:
    last = max((row.at for row in rows), default=NOW)
    no = LedgerFact(
        id=UUID(int=9999),
        sequence=9999,
        channel="sms",
        generation=1,
        purpose="marketing",
        action="withdrawn",
        scope="category",
        reason="user",
        source="portal",
        actor_type="customer",
        occurred_at=last,
        recorded_at=max((row.recorded_at for row in rows), default=NOW),
    )
    after = derive([*rows, no])
    assert after.states[1, "sms", "marketing"].state in ("withdrawn", "denied")
    assert set(derive(rows).suppressions) <= set(after.suppressions)


#: one address on one channel, so that what is said meets what was said before
_NEAR: dict[str, Any] = {"channels": ("sms",), "generations": 1}
_NOES = facts(
    CUSTOMER + OTHERS,
    ["granted", "denied", "withdrawn", "suppressed"],
    reasons=["user", "complaint", "staff", "hard_bounce"],
    **_NEAR,
)
_YESES = facts(
    OTHERS,
    ["granted", "confirmed", "lifted", "corrected", "pending", "expired", "erased", "suppressed"],
    scopes=["category", "channel", "all"],
    **_NEAR,
)


@settings(max_examples=400)
@given(_NOES, _YESES)
def test_nobody_but_the_customer_ends_a_customers_no(
    history: list[LedgerFact], attempts: list[LedgerFact]
) -> None:
    before = derive(history)
    later = max((row.at for row in history), default=NOW) + timedelta(minutes=1)
    tries = [
        replace(
            row,
            id=UUID(int=5000 + at),
            sequence=5000 + at,
            # a correction may aim at any row of the history
            supersedes=history[at % len(history)].id if history else None,
            occurred_at=later + (row.occurred_at - NOW),
            recorded_at=later + timedelta(hours=1),
        )
        for at, row in enumerate(attempts)
    ]
    after = derive([*history, *tries])
    for key, state in before.states.items():
        if state.is_customer_refusal:
            assert after.states[key].is_customer_refusal
            assert after.states[key].state in ("withdrawn", "denied")
    for key, row in before.suppressions.items():
        if row.reason in ("user", "complaint"):
            assert after.suppressions[key].reason in ("user", "complaint", "legal", "reassigned")


@given(facts(CUSTOMER), facts([("checkout", "customer")], actions=["granted", "lifted"]))
def test_a_box_ticked_in_somebodys_shop_ends_no_stop(
    history: list[LedgerFact], ticks: list[LedgerFact]
) -> None:
    """A grant without the wording that was shown, and no proof of who typed the number."""
    before = derive(history)
    later = max((row.at for row in history), default=NOW) + timedelta(minutes=1)
    claims = [
        replace(
            row,
            id=UUID(int=5000 + at),
            occurred_at=later,
            recorded_at=later,
            has_notice=False,
            supersedes=None,
        )
        for at, row in enumerate(ticks)
    ]
    after = derive([*history, *claims])
    for key, state in before.states.items():
        if state.is_customer_refusal:
            assert after.states[key] == state
    for scope, row in before.suppressions.items():
        if row.reason in ("user", "complaint"):
            assert after.suppressions[scope] == row


@given(facts(OTHERS, actions=["granted", "pending", "confirmed", "lifted", "corrected"]))
def test_hearsay_grants_nothing(rows: list[LedgerFact]) -> None:
    unproven = [replace(row, has_notice=False, has_evidence=False) for row in rows]
    assert all(state.state != "granted" for state in derive(unproven).states.values())


def said(number: int, action: str, speaker: str = "portal", **fields: Any) -> LedgerFact:
    """Row ``number``, a minute after the one before; by the customer unless somebody else."""
    at = NOW + timedelta(minutes=number)
    actors = {"staff": "staff", "pos_import": "system", "provider_webhook": "provider"}
    return LedgerFact(
        id=UUID(int=number),
        sequence=number,
        channel="sms",
        generation=1,
        purpose="order_updates",
        action=action,
        scope=fields.pop("scope", "category"),
        reason=fields.pop("reason", "user"),
        source=speaker,
        actor_type=actors.get(speaker, "customer"),
        occurred_at=at,
        recorded_at=fields.pop("recorded_at", at),
        **fields,
    )


def state_of(*rows: LedgerFact) -> str:
    return derive(rows).states[1, "sms", "order_updates"].state


def test_a_stop_that_arrives_late_still_beats_a_claim_made_after_it() -> None:
    """The import was a fair grant when it was written down; the customer had said no before."""
    claim = said(5, "granted", "pos_import", has_notice=True, has_evidence=True)
    late = said(1, "withdrawn", recorded_at=NOW + timedelta(days=1))
    assert state_of(claim) == "granted"
    assert state_of(claim, late) == "withdrawn"
    assert state_of(late, said(6, "granted", has_notice=True)) == "granted"


def test_a_stop_of_the_channel_refuses_what_nobody_had_granted_yet() -> None:
    stop = said(1, "withdrawn", "keyword", scope="channel")
    claim = said(2, "granted", "staff", has_evidence=True)
    assert derive([stop, claim]).states == {}


def test_staff_correct_their_own_mistakes_and_no_customers_no() -> None:
    grant = said(1, "granted", "staff", has_evidence=True)
    mistake = said(2, "corrected", "staff", supersedes=grant.id)
    assert derive([grant, mistake]).states == {}
    no = said(1, "withdrawn")
    assert state_of(no, said(2, "corrected", "staff", supersedes=no.id)) == "withdrawn"
    assert derive([no, said(2, "corrected", supersedes=no.id)]).states == {}
    staff_no = said(1, "withdrawn", "staff", reason="staff")
    assert derive([staff_no, said(2, "corrected", "staff", supersedes=staff_no.id)]).states == {}


def test_a_bounce_on_top_of_a_stop_makes_the_stop_no_easier_to_lift() -> None:
    stop = said(1, "withdrawn", "keyword", scope="channel")
    bounce = said(2, "suppressed", "provider_webhook", scope="channel", reason="hard_bounce")
    lifts = [said(3, "lifted", who, scope="channel") for who in ("staff", "pos_import")]
    for rows in ([stop, bounce, *lifts], [bounce, replace(stop, id=UUID(int=9)), *lifts]):
        kept = derive(rows).suppressions[1, "sms", "channel"]
        assert kept.reason == "user"
    handset = said(4, "lifted", "keyword", scope="channel")
    assert derive([stop, bounce, handset]).suppressions == {}


def test_who_may_lift_what() -> None:
    def speaker(source: str, actor: str, **fields: Any) -> LedgerFact:
        return LedgerFact(
            id=UUID(int=1),
            sequence=1,
            channel="sms",
            generation=1,
            purpose="order_updates",
            action=fields.pop("action", "lifted"),
            scope=fields.pop("scope", "channel"),
            reason="user",
            source=source,
            actor_type=actor,
            occurred_at=NOW,
            recorded_at=NOW,
        )

    handset = speaker("keyword", "customer")
    portal = speaker("portal", "customer")
    shop = speaker("checkout", "customer")
    staff = speaker("staff", "staff")
    importer = speaker("pos_import", "system")
    platform = speaker("provider_webhook", "customer")
    own_list = speaker("provider_webhook", "customer", scope="category")
    opt_in = speaker("portal", "customer", action="confirmed")
    allowed = {
        "user": [handset, portal, opt_in],
        "complaint": [portal, opt_in],
        "carrier": [handset, platform, own_list],
        "reassigned": [],
        "legal": [staff],
        "hard_bounce": [handset, portal, shop, staff, platform, own_list, opt_in],
    }
    everybody = [handset, portal, shop, staff, importer, platform, own_list, opt_in]
    for reason, speakers in allowed.items():
        assert [s for s in everybody if may_lift(reason, "keyword", s)] == [
            s for s in everybody if s in speakers
        ], reason
    assert may_lift("user", "provider_webhook", own_list)
    assert not may_lift("user", "provider_webhook", platform)


def test_the_reason_that_is_hardest_to_lift_shows_and_the_others_stand_behind_it() -> None:
    def row(number: int, action: str, reason: str, source: str, actor: str) -> LedgerFact:
        return LedgerFact(
            id=UUID(int=number),
            sequence=number,
            channel="sms",
            generation=1,
            purpose="order_updates",
            action=action,
            scope="channel",
            reason=reason,
            source=source,
            actor_type=actor,
            occurred_at=NOW + timedelta(minutes=number),
            recorded_at=NOW + timedelta(minutes=number),
        )

    history = [
        row(1, "suppressed", "hard_bounce", "provider_webhook", "provider"),
        row(2, "withdrawn", "user", "keyword", "customer"),
        row(3, "suppressed", "complaint", "provider_webhook", "customer"),
        row(4, "lifted", "user", "keyword", "customer"),
        row(5, "lifted", "user", "staff", "staff"),
    ]
    shown = [
        {key[2]: kept.reason for key, kept in derive(history[:n]).suppressions.items()}
        for n in range(1, 6)
    ]
    assert [found.get("channel") for found in shown] == [
        *("hard_bounce", "user", "complaint", "complaint", "complaint"),
    ]
    assert derive(history[:3]).suppressions[1, "sms", "channel"].event_id == UUID(int=3)


@pytest.mark.django_db(transaction=True)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(facts(CUSTOMER + OTHERS))
def test_what_is_stored_is_what_a_replay_gives(rows: list[LedgerFact]) -> None:
    group = make_group()
    address = make_address(group)
    notice = make_notice(group)
    for row in rows:
        draft = ledger.Draft(
            target=ledger.Target(group.pk, row.channel, address.address_hash, 1, row.generation),
            action=row.action,
            purpose=row.purpose,
            source=row.source,
            occurred_at=row.occurred_at,
            idempotency_key=f"{group.pk}:{row.sequence}",
            scope=row.scope,
            reason=row.reason,
            actor_type=row.actor_type,
            notice_version_id=notice.pk if row.has_notice else None,
            evidence={"form": "x"} if row.has_evidence else None,
        )
        record(draft, now=row.recorded_at)
    events = ledger.chain(group.pk, address.address_hash)
    derived = derivation.derive(ledger.fact_of(event) for event in events)
    states = ConsentState.objects.filter(sender_group=group)
    assert {
        (s.generation, s.channel, s.purpose): (s.state, s.is_customer_refusal, s.event_id)
        for s in states
    } == {key: (s.state, s.is_customer_refusal, s.event_id) for key, s in derived.states.items()}
    suppressions = Suppression.objects.filter(sender_group=group)
    assert {(s.generation, s.channel, s.scope): (s.reason, s.event_id) for s in suppressions} == {
        key: (s.reason, s.event_id) for key, s in derived.suppressions.items()
    }
    assert list(ledger.verify(events)) == []
    assert len(events) == len(rows)
