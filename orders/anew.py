"""Edits made by cancelling an order and placing it anew: the guest reads of an edit, no more. Pure.

Where the cancellation comes first, nobody can know yet that a new order follows. So it waits a
little before it is told, and gives way to the edit when the order is back in time.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from integrations.contracts import RANK, Observation, State
from orders import edits
from orders.drafts import EventDraft
from orders.projection import Projection
from orders.states import CALLED_OFF
from orders.streams import BEGINNING

#: how long a cancellation waits for the order to be placed anew
WAIT_S = 90
#: a little before the wait is over the message may already be leaving
_IN_TIME = timedelta(seconds=WAIT_S - 5)
REPLACED = "replaced"


def told_as_edit(
    drafts: Sequence[EventDraft],
    *,
    said: Sequence[Observation],
    fresh: Sequence[Observation],
    recorded: Collection[tuple[str, str, int]],
    old: Projection | None,
    new: Projection,
    now: datetime,
) -> list[EventDraft]:
    """``drafts`` as a guest should read them whose order is placed anew (``said`` before now)."""
    if not any("of" in one.data for one in fresh):
        return list(drafts)
    placed = [one for one in fresh if one.data.get("replaces")]
    if placed and old is not None:
        return _edited(drafts, said, placed, recorded, old, new, now)
    ends = any("of" in one.data and one.state in CALLED_OFF for one in fresh)
    return [
        replace(draft, data={**draft.data, "wait_s": WAIT_S})
        if ends and _is_status(draft, CALLED_OFF)
        else _without_repetition(draft, said, recorded)
        for draft in drafts
    ]


def _edited(
    drafts: Sequence[EventDraft],
    said: Sequence[Observation],
    placed: Sequence[Observation],
    recorded: Collection[tuple[str, str, int]],
    old: Projection,
    new: Projection,
    now: datetime,
) -> list[EventDraft]:
    gone = {one.data["replaces"] for one in placed}
    link = {"replaces": str(placed[-1].data["replaces"]), "replaced_by": str(placed[-1].data["of"])}
    ended = [
        one.received_at or BEGINNING
        for one in said
        if one.data.get("of") in gone and one.state in CALLED_OFF
    ]
    if not ended or now - max(ended) > _IN_TIME:
        return [
            replace(draft, data={**draft.data, **link}) if draft.kind == "order_edited" else draft
            for draft in drafts
        ]
    kept = [
        replace(draft, is_stale=True) if draft.kind == "status_changed" else draft
        for draft in drafts
        if draft.kind != "order_edited"
    ]
    number = 1 + sum(1 for _, m, _ in recorded if m.startswith(f"{REPLACED}:"))
    edit = edits.edit_between(old, new)
    words = [f"#{old.display} > #{new.display}"] if old.display != new.display else []
    words += [edit.sentence] if edit else []
    told = EventDraft(
        kind="order_edited",
        milestone=f"{REPLACED}:{number}",
        part_ref="",
        epoch=max([new.epoch, *(epoch for _, _, epoch in recorded)]),
        data={**edit.data(), "sentence": ": ".join(words), **link},
        held="",
        is_stale=False,
        occurred_at=now,
    )
    return [*kept, told]


def _without_repetition(
    draft: EventDraft, said: Sequence[Observation], recorded: Collection[tuple[str, str, int]]
) -> EventDraft:
    """An edited order is received and prepared again, which is no news unless it was said off."""
    if not any(one.data.get("replaces") for one in said):
        return draft
    early = frozenset(state for state in State if RANK[state] < RANK[State.READY])
    off = sum(1 for _, milestone, _ in recorded if milestone in CALLED_OFF)
    as_edits = sum(1 for _, milestone, _ in recorded if milestone.startswith(f"{REPLACED}:"))
    before = any(m == draft.milestone and e < draft.epoch for _, m, e in recorded)
    if _is_status(draft, early) and before and off <= as_edits:
        return replace(draft, is_stale=True)
    return draft


def _is_status(draft: EventDraft, states: Collection[str]) -> bool:
    return draft.kind == "status_changed" and draft.milestone in states
