"""Whatever is said, by whomever, in any order: what must hold of every ledger."""

from __future__ import annotations

import itertools
import random
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consents import checkpoints, derivation, ledger, locks, selectors, services
from consents.derivation import Derived
from consents.identity import target_of
from consents.models import ConsentAction, ConsentState, ContactAddress, Purpose, Suppression
from tests.consents.factories import (
    NOW,
    PHONE,
    append,
    ask,
    events_of,
    make_address,
    make_group,
    make_notice,
    message,
)

pytestmark = pytest.mark.django_db
_keys = itertools.count(1)
MINUTE = timedelta(minutes=1)
PURPOSES = [Purpose.ORDER_UPDATES, Purpose.MARKETING, Purpose.FEEDBACK]
SCOPES = ["category", "channel", "all"]
REASONS = ["user", "complaint", "hard_bounce", "carrier", "staff", "legal"]

#: what may be said: minutes since NOW when it was meant, and when it was written down
times = st.tuples(st.integers(-600, 600), st.integers(0, 600))
common = {
    "action": st.sampled_from([str(action) for action in ConsentAction]),
    "purpose": st.sampled_from(PURPOSES),
    "scope": st.sampled_from(SCOPES),
    "reason": st.sampled_from(REASONS),
    "times": times,
    "has_notice": st.booleans(),
    "has_evidence": st.booleans(),
    "corrects": st.none() | st.integers(0, 20),
}
anybody = st.fixed_dictionaries(
    {
        **common,
        "who": st.sampled_from(
            [
                *(
                    ("customer", source)
                    for source in ("keyword", "portal", "checkout", "one_click")
                ),
                *(("staff", "staff"), ("system", "pos_import"), ("partner", "api")),
                *(("provider", "provider_webhook"), ("system", "policy")),
            ]
        ),
    }
)
others = st.fixed_dictionaries(
    {
        **common,
        "who": st.sampled_from([("staff", "staff"), ("system", "pos_import"), ("partner", "api")]),
    }
)
quick = settings(max_examples=60, deadline=None, database=None, derandomize=True)


def say(address: ContactAddress, said: dict[str, Any], notice: int) -> None:
    """One statement, through the one door every interface uses."""
    actor, source = said["who"]
    meant, written = said["times"]
    earlier = events_of(address) if said["corrects"] is not None else []
    services.record_consent(
        address_id=address.pk,
        purpose=said["purpose"],
        action=said["action"],
        scope=said["scope"],
        reason=said["reason"],
        source=source,
        actor_type=actor,
        occurred_at=NOW + meant * MINUTE,
        now=NOW + written * MINUTE,
        idempotency_key=f"random:{next(_keys)}",
        notice_version_id=notice if said["has_notice"] else None,
        evidence={"said": "so"} if said["has_evidence"] else None,
        supersedes=earlier[said["corrects"] % len(earlier)].id if earlier else None,
    )


def start() -> tuple[ContactAddress, int]:
    group = make_group()
    address = make_address(group, PHONE, verified_at=NOW)
    return address, make_notice(group).pk


def stored(address: ContactAddress) -> tuple[set[Any], set[Any]]:
    key = {"sender_group_id": address.sender_group_id, "address_hash": address.address_hash}
    states = ConsentState.objects.filter(**key).values_list(
        *("generation", "channel", "purpose", "state", "is_customer_refusal"),
        *("carrier_block", "event_id", "since", "valid_until"),
    )
    stops = Suppression.objects.filter(**key).values_list(
        "generation", "channel", "scope", "reason", "event_id", "since"
    )
    return set(states), set(stops)


def derived(found: Derived) -> tuple[set[Any], set[Any]]:
    states = {
        (
            *(*key, row.state, row.is_customer_refusal),
            *(row.carrier_block, row.event_id, row.since, row.valid_until),
        )
        for key, row in found.states.items()
    }
    stops = {(*key, row.reason, row.event_id, row.since) for key, row in found.suppressions.items()}
    return states, stops


@quick
@given(st.lists(anybody, max_size=12), st.randoms(use_true_random=False))
def test_stored_state_is_a_replay_in_any_order(
    statements: list[dict[str, Any]], shuffler: random.Random
) -> None:
    address, notice = start()
    for said in statements:
        say(address, said, notice)
    facts = [ledger.fact_of(event) for event in events_of(address)]
    before = stored(address)
    assert before == derived(derivation.derive(facts))
    shuffler.shuffle(facts)
    assert before == derived(derivation.derive(facts))
    locks.lock_address(address.address_hash)
    ledger.refresh(address.sender_group_id, address.address_hash)
    assert stored(address) == before
    assert list(ledger.verify(events_of(address))) == []


@quick
@given(st.lists(anybody, max_size=8), st.sampled_from(PURPOSES), st.permutations(range(3)))
def test_of_words_at_one_moment_the_restrictive_wins(
    statements: list[dict[str, Any]], purpose: str, order: list[int]
) -> None:
    """A grant, a lift and a no of the customer at one moment, written in any order, are a no."""
    address, notice = start()
    for said in statements:
        say(address, said, notice)
    at = NOW + 1000 * MINUTE
    at_once = [("granted", "category"), ("lifted", "channel"), ("withdrawn", "category")]
    for action, scope in (at_once[n] for n in order):
        append(address, action, at=at, purpose=purpose, scope=scope, notice_version_id=notice)
    state = ConsentState.objects.get(
        sender_group=address.sender_group, channel="sms", purpose=purpose
    )
    assert (state.state, state.is_customer_refusal) == ("withdrawn", True)


@quick
@given(st.lists(anybody, max_size=6), st.lists(others, max_size=12))
def test_nobody_else_lifts_a_customers_stop(
    before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> None:
    address, notice = start()
    for said in before:
        say(address, said, notice)
    services.withdraw(
        address_id=address.pk,
        source="keyword",
        occurred_at=NOW + 700 * MINUTE,
        now=NOW + 700 * MINUTE,
        idempotency_key=f"stop:{next(_keys)}",
    )
    for said in after:
        # said later than the stop, or claiming to be older
        say(address, {**said, "times": (said["times"][0] + 700, 701 + said["times"][1])}, notice)
    late = NOW + 2000 * MINUTE
    decision = ask(message(), selectors.load_snapshot(None, address.pk), late)
    assert (decision.verdict, decision.code) == ("drop", "suppressed")
    states = ConsentState.objects.filter(sender_group=address.sender_group)
    assert not states.filter(state="granted").exists()


@quick
@given(st.lists(others, max_size=12), st.sampled_from(PURPOSES))
def test_nobody_else_lifts_what_was_withdrawn_for_one_purpose(
    after: list[dict[str, Any]], purpose: str
) -> None:
    address, notice = start()
    services.withdraw(
        address_id=address.pk,
        source="portal",
        scope="category",
        purpose=purpose,
        occurred_at=NOW,
        now=NOW,
        idempotency_key=f"withdrawn:{next(_keys)}",
    )
    for said in after:
        say(address, {**said, "times": (said["times"][0], 1 + said["times"][1])}, notice)
    state = ConsentState.objects.get(
        sender_group=address.sender_group, channel="sms", purpose=purpose
    )
    assert state.state in ("withdrawn", "denied")
    assert state.is_customer_refusal


@settings(quick, max_examples=15)
@given(st.lists(st.tuples(st.integers(0, 3), anybody), min_size=1, max_size=12))
def test_checkpoints_hold_whatever_was_said_between_them(
    statements: list[tuple[int, dict[str, Any]]],
) -> None:
    group = make_group()
    notice = make_notice(group).pk
    addresses = [make_address(group, f"+1212555014{n}") for n in range(4)]
    for number, (who, said) in enumerate(statements):
        say(addresses[who], said, notice)
        if number % 3 == 0:
            checkpoints.make_checkpoint(NOW + next(_keys) * MINUTE)
    assert list(checkpoints.verify()) == []
    assert {target_of(address).generation for address in addresses} == {1}
