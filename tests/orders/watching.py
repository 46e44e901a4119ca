"""One watched order: what is said goes in, the watch runs when it asked to."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import Any

from orders.drafts import EventDraft
from orders.eta import EtaDecision, EtaRules, EtaState, assess
from orders.projection import Projection
from tests.orders.said import at

RULES = EtaRules()


class Kitchen:
    """One watched order: statements go in, the watch runs when it asked to."""

    def __init__(self, order: Projection, rules: EtaRules = RULES) -> None:
        self.order = order
        self.rules = rules
        self.state = EtaState()
        self.drafts: list[EventDraft] = []
        self.delayed = False
        self.next_watch_at: datetime | None = None

    def look(self, minute: float, *, is_held: bool = False, **changes: Any) -> list[EventDraft]:
        """Run every watch that is due before ``minute``, then change the order and look."""
        while self.next_watch_at is not None and self.next_watch_at < at(minute):
            self._assess(self.next_watch_at)
        before = len(self.drafts)
        self.order = replace(self.order, **changes)
        self._assess(at(minute), is_held=is_held)
        return self.drafts[before:]

    def _assess(self, now: datetime, *, is_held: bool = False) -> None:
        order, placed_at = self.order, self.order.placed_at
        decision = assess(order, self.state, self.rules, now, placed_at, is_held=is_held)
        again = assess(self.order, decision.state, self.rules, now, self.order.placed_at)
        assert again.drafts == []  # looking twice at the same moment repeats nothing
        self._keep(decision)

    def _keep(self, decision: EtaDecision) -> None:
        # what is remembered survives the database
        columns = {
            name: getattr(decision.state, name)
            for name in ("baseline_at", "told_at", "delays_told", "last_delay_told_at")
        }
        stored = json.loads(json.dumps(decision.state.watch()))
        self.state = EtaState.restore(stored, **columns)
        assert self.state == decision.state
        self.drafts += decision.drafts
        self.delayed = decision.delayed
        self.next_watch_at = decision.next_watch_at

    def told(self) -> list[str]:
        return [d.milestone for d in self.drafts if "audience" not in d.data]

    def staff(self) -> list[str]:
        return [d.milestone for d in self.drafts if d.data.get("audience") == "staff"]


def pickup(promised: float = 20, **more: Any) -> Projection:
    values = {"state": "preparing", "placed_at": at(0), "promised_at": at(promised)}
    return Projection(**(values | more))
