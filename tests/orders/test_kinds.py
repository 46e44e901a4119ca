"""Words that mean another thing for each kind of order wait until somebody says the kind."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest

from integrations.contracts import Observation
from orders.projection import project
from tests.orders.said import say

HANDED_OFF = {"state_by": {"pickup": "picked_up", "dine_in": None}}


def handed_off(**more: Any) -> Observation:
    return replace(say("k3", "out_for_delivery", minute=3), data=HANDED_OFF, **more)


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("pickup", "picked_up"),
        ("dine_in", "ready"),
        ("curbside", "out_for_delivery"),
        ("delivery", "out_for_delivery"),
        ("", "out_for_delivery"),
    ],
)
def test_the_kind_decides_whoever_names_it_and_whenever(kind: str, state: str) -> None:
    fulfillment = {"fulfillment": {"type": kind}} if kind else {}
    ready = replace(say("k2", "ready", minute=2), data=fulfillment)
    other = replace(say("k1", None, minute=1, account="other"), data=fulfillment)
    for said in ([ready, handed_off()], [other, replace(ready, data={}), handed_off()]):
        assert {project(heard).state for heard in permutations(said)} == {state}


@pytest.mark.parametrize("by", [None, "x", [], 5, {"delivery": "ready"}])
def test_anything_else_changes_nothing(by: Any) -> None:
    told = replace(say("k1", "ready"), data={"state_by": by, "fulfillment": {"type": "pickup"}})
    assert project([told]).state == "ready"
