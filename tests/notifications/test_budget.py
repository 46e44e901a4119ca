"""Round trips are the price of an update; they do not grow with history."""

from __future__ import annotations

from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.stage import Stage

#: statements of one status update of a known order, alerts planned: call, intake, planning
BUDGET = 12
_FRAME = ("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT")


def statements(stage: Stage, state: str) -> int:
    """What one update costs, without the frame of its transaction."""
    with CaptureQueriesContext(connection) as queries:
        assert stage.post(state=state).status_code == 202
    return len([q for q in queries if not q["sql"].startswith(_FRAME)])


def test_an_update_with_its_alerts_stays_in_the_budget(stage: Stage) -> None:
    stage.open()
    stage.post(state="accepted")
    assert statements(stage, "preparing") <= BUDGET
    assert statements(stage, "ready") <= BUDGET


def test_history_costs_no_more_queries(stage: Stage) -> None:
    stage.open()
    stage.settle_and_send()
    short = statements(stage, "preparing")
    for minute in range(40):
        stage.post(times={"est_ready_at": f"2026-11-25T18:{minute:02d}:00Z"})
    stage.settle_and_send()
    assert statements(stage, "ready") <= max(short, BUDGET)
