"""The worked merge cases: one expected order for every arrival order and every repetition."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from integrations.contracts import Observation, ordering_key
from orders.projection import Projection, project

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent.parent / "fixtures/orders/merge_cases.json").read_text("utf-8")
)["merge"]


def observation(raw: dict[str, Any], account: str) -> Observation:
    listed = raw.get("snapshot_parts")
    return Observation(
        event_key=raw["key"],
        account=account,
        source=f"source_{account}",
        track=raw["track"],
        scope=raw["scope"],
        ref=raw.get("ref", ""),
        ordering_class=raw["ordering"],
        ordering_key=ordering_key(raw.get("seq")),
        state=raw["state"],
        snapshot_parts=None if listed is None else tuple(listed),
    )


def orders_of(observations: Sequence[Observation]) -> Iterator[list[Observation]]:
    """Every permutation of up to six statements, a fixed sample beyond; with repetitions."""
    if len(observations) <= 6:
        yield from (list(p) for p in itertools.permutations(observations))
    else:
        dice = random.Random(1042)
        for _ in range(720):
            yield dice.sample(list(observations), len(observations))
    dice = random.Random(7)
    for _ in range(50):
        repeated = [o for o in observations for _ in range(dice.randint(1, 3))]
        dice.shuffle(repeated)
        yield repeated


def summary(order: Projection) -> dict[str, Any]:
    return {
        "state": order.state,
        "epoch": order.epoch,
        "flags": sorted(order.flags),
        "parts": {p.ref: p.state for p in order.named_parts},
        "legs": {leg.ref: leg.state for leg in order.legs},
    }


@pytest.mark.parametrize("split_accounts", [False, True], ids=["one_account", "one_per_track"])
@pytest.mark.parametrize("case", CASES, ids=lambda c: c["name"])
def test_every_arrival_order_ends_in_the_expected_order(
    case: dict[str, Any], split_accounts: bool
) -> None:
    observations = [
        observation(raw, raw["track"] if split_accounts else "1") for raw in case["observations"]
    ]
    first = project(observations, default_fulfillment=case["fulfillment"])
    assert summary(first) == case["expect"]
    for arrival in orders_of(observations):
        assert project(arrival, default_fulfillment=case["fulfillment"]) == first


def test_all_cases_are_here() -> None:
    assert len(CASES) == 31
