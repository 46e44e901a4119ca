"""An order that was called ready and is not: a correction for staff to make. Pure.

The guest hears nothing of a regression. Staff are asked only when it outlives the window in which
a ticket that was bumped by mistake comes back.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from integrations.contracts import RANK, State
from orders.drafts import EventDraft
from orders.eta_state import EtaState
from orders.projection import Projection

RECALLED = "recalled"
SETTLES = timedelta(seconds=20)


class Seen(NamedTuple):
    """What one look at an open order found."""

    state: EtaState
    drafts: list[EventDraft]
    #: when to look again
    again_at: datetime | None = None


def watch(projection: Projection, state: EtaState, now: datetime) -> Seen:
    """Remember that the order was ready, and notice when it has not been for a while."""
    if RANK[projection.state] >= RANK[State.READY]:
        was = f"{projection.epoch}:{projection.state}"
        return Seen(replace(state, was_ready=was, fallen_since=None), [])
    epoch, _sep, before = state.was_ready.partition(":")
    if epoch != str(projection.epoch):
        return Seen(replace(state, was_ready="", fallen_since=None), [])
    since = state.fallen_since or now
    state = replace(state, fallen_since=since)
    key = f"{RECALLED}:{epoch}"
    if key in state.warned:
        return Seen(state, [])
    if now - since < SETTLES:
        return Seen(state, [], since + SETTLES)
    data = {"state": str(projection.state), "previous": before, "audience": "staff"}
    draft = EventDraft(
        kind="status_changed",
        milestone=RECALLED,
        part_ref="",
        epoch=projection.epoch,
        data=data,
        held="",
        is_stale=False,
        occurred_at=now,
    )
    return Seen(replace(state, warned=(*state.warned, key)), [draft])
