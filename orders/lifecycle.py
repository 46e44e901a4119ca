"""What a change of the projection means: which events it makes and who must see them first. Pure.

Events come from changes of the projection, never from the vendors' events: at most one per part,
milestone and epoch, and within an epoch the story never goes backwards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from integrations.contracts import HANDED_OVER, RANK, TERMINAL, Observation, State
from orders import edits, eta
from orders.drafts import EventDraft
from orders.projection import PartView, Projection
from orders.states import CALLED_OFF, CHANGES, Effect
from orders.streams import moment

__all__ = ["EventDraft", "diff_events", "freshness", "held_because"]

CONTRADICTS = "contradicts_fulfillment"
ON_THE_ROAD = "goods_on_the_road"
CONFLICT = "conflict"
COURIER_FAILED = "courier_failed"
STAFF_FIRST = "staff_first"
PART_READY = "part_ready"
REFUNDED = "refunded"

_FRESH_MIN: Mapping[str, int] = {
    PART_READY: 20,
    State.READY: 20,
    State.OUT_FOR_DELIVERY: 20,
    State.DELIVERED: 30,
    State.PICKED_UP: 30,
    State.CANCELLED: 120,
    State.FAILED: 120,
    CONFLICT: 120,
    COURIER_FAILED: 120,
    REFUNDED: 120,
}
_FRESH_DEFAULT_MIN = 10
_BROUGHT = frozenset({"delivery", "shipping"})
_FETCHED = frozenset({"pickup", "curbside", "drive_through"})

Milestone = tuple[str, str, int]


def freshness(milestone: str) -> timedelta:
    """How old news may be when we learn it and still be told."""
    return timedelta(minutes=_FRESH_MIN.get(milestone, _FRESH_DEFAULT_MIN))


@dataclass(slots=True)
class _Change:
    """One step of the projection and what was recorded before it."""

    old: Projection | None
    new: Projection
    recorded: Collection[Milestone]
    occurred_at: datetime
    now: datetime
    own_drivers: bool
    drafts: list[EventDraft] = field(default_factory=list)
    epoch: int = 0

    def __post_init__(self) -> None:
        # very late news can show that an order was never away; its story still goes on from
        # the epoch already told
        self.epoch = max([self.new.epoch, *(epoch for _, _, epoch in self.recorded)])

    def is_recorded(self, milestone: str, part_ref: str = "") -> bool:
        return (part_ref, milestone, self.epoch) in self.recorded

    def add(
        self,
        kind: str,
        milestone: str,
        data: Mapping[str, Any],
        *,
        part_ref: str = "",
        held: str = "",
        is_silent: bool = False,
    ) -> None:
        stem = PART_READY if kind == "part_status_changed" else milestone.partition(":")[0]
        is_old = self.occurred_at < self.now - freshness(stem)
        self.drafts.append(
            EventDraft(
                kind=kind,
                milestone=milestone,
                part_ref=part_ref,
                epoch=self.epoch,
                data=dict(data),
                held=held,
                is_stale=is_old or is_silent,
                occurred_at=self.occurred_at,
            )
        )


def diff_events(
    old: Projection | None,
    new: Projection,
    *,
    recorded: Collection[Milestone],
    trigger: Observation,
    now: datetime,
    own_drivers: bool,
) -> list[EventDraft]:
    """The events that take the order from ``old`` to ``new``.

    ``recorded`` holds (part_ref, milestone, epoch) of every event the order has. ``trigger`` is
    the observation that made the change; its moment, not ``now``, decides what is stale.
    """
    known = trigger.occurred_at or trigger.received_at
    occurred_at = min(moment(trigger), now) if known else now
    change = _Change(old, new, recorded, occurred_at, now, own_drivers)
    _status(change)
    _staff_flags(change)
    if old is not None and old.is_stated:
        _parts(change)
        _contents(change)
        _estimates(change, old)
    elif new.is_stated:
        _parts(change)
    return change.drafts


# ---------------------------------------------------------------------------- status


def _status(change: _Change) -> None:
    old, new = _stated(change.old), change.new
    if not new.is_stated:
        return
    reopened = old is not None and new.epoch > old.epoch
    if old is not None and old.state == new.state and not reopened:
        return
    told = [
        RANK[m] for part, m, epoch in change.recorded if _is_status(part, m, epoch, change.epoch)
    ]
    if change.is_recorded(new.state) or RANK[new.state] <= max(told, default=0):
        return
    change.add(
        "status_changed",
        new.state,
        _status_data(old, new),
        held=held_because(old, new, own_drivers=change.own_drivers),
        # an order that was away and came back unseen: noted, so that nothing repeats
        is_silent=old is not None and old.state == new.state,
    )


def _stated(old: Projection | None) -> Projection | None:
    return old if old is not None and old.is_stated else None


def _is_status(part_ref: str, milestone: str, epoch: int, wanted: int) -> bool:
    return part_ref == "" and epoch == wanted and milestone in RANK


def _status_data(old: Projection | None, new: Projection) -> dict[str, Any]:
    data: dict[str, Any] = {"state": str(new.state), "previous": str(old.state) if old else ""}
    if new.epoch and (old is None or new.epoch > old.epoch):
        data["reopened"] = True
    if new.state in CALLED_OFF and new.reason.get("code"):
        data["reason"] = str(new.reason["code"])
    if (estimate := eta.estimate_of(new)) is not None:
        data["estimate"] = estimate.isoformat()
    return data


def held_because(old: Projection | None, new: Projection, *, own_drivers: bool) -> str:
    """Why staff must see the change to ``new`` before the customer does; "" = no reason."""
    letter = CHANGES[old.state if old else None][new.state]
    # a hand-over that turns into a cancellation is a manager's verdict, told by the manager
    if CONFLICT in new.flags or letter[0] in "CA":
        return CONFLICT
    road = letter.endswith("s") or any(leg.state == State.OUT_FOR_DELIVERY for leg in new.legs)
    if new.state in CALLED_OFF and road:
        return ON_THE_ROAD
    if new.state in CALLED_OFF and new.reason.get(STAFF_FIRST) is True:
        return STAFF_FIRST
    if new.state == State.PICKED_UP and new.fulfillment in _BROUGHT:
        return CONTRADICTS
    if not letter.endswith("h"):
        return ""
    first_is_last = old is None and new.state in HANDED_OVER
    by_nobody = new.fulfillment in _BROUGHT and not own_drivers and not new.has_live_leg
    brought = new.state in (State.DELIVERED, State.OUT_FOR_DELIVERY)
    if first_is_last or (brought and (by_nobody or new.fulfillment in _FETCHED)):
        return CONTRADICTS
    return ""


def _staff_flags(change: _Change) -> None:
    """Contradictions, failed couriers and refunds: news for staff, no status of the order."""
    before = change.old.flags if change.old else frozenset()
    data = {"state": str(change.new.state), "audience": "staff"}
    held_now = any(d.held == CONFLICT for d in change.drafts)
    for flag, held in (
        (CONFLICT, CONFLICT),
        (COURIER_FAILED, COURIER_FAILED),
        (str(Effect.AFTER_SALE), ""),
    ):
        if flag not in change.new.flags or flag in before or change.is_recorded(flag):
            continue
        if flag == CONFLICT and held_now:
            continue
        why = _courier_reason(change.new) if flag == COURIER_FAILED else {}
        change.add("status_changed", flag, {**data, **why}, held=held)


def _courier_reason(new: Projection) -> dict[str, Any]:
    """Why the courier failed, where a feed said so."""
    reasons = [dict(leg.reason) for leg in new.legs if leg.state == State.FAILED and leg.reason]
    return {"reason": reasons[-1]} if reasons else {}


# ---------------------------------------------------------------------------- parts


def _parts(change: _Change) -> None:
    """Staggered completion: "2 of 3 ready" while the order as a whole is not."""
    new = change.new
    counted = new.counted_parts
    if len(counted) < 2 or new.state in TERMINAL:
        return
    whole = RANK[new.state] >= RANK[State.READY]
    if whole and not change.is_recorded(State.READY):
        return
    if whole and change.drafts:
        return  # the order's own news says it all; else the part is the only news there will be
    before = {p.ref: p for p in change.old.named_parts} if change.old else {}
    for part in counted:
        was = before.get(part.ref)
        if part.state != State.READY or (was is not None and was.is_done):
            continue
        if not change.is_recorded(PART_READY, part.ref):
            data = _progress(new, part)
            change.add("part_status_changed", PART_READY, data, part_ref=part.ref)


def _progress(new: Projection, part: PartView) -> dict[str, Any]:
    counted = new.counted_parts
    waiting = [p.est_ready_at or new.est_ready_at for p in counted if not p.is_done]
    times = sorted(t for t in waiting if t is not None)
    return {
        "label": part.label or part.ref,
        "ready": sum(1 for p in counted if p.is_done),
        "total": len(counted),
        "next_eta": times[0].isoformat() if times else "",
        "last_eta": times[-1].isoformat() if times else "",
    }


# ---------------------------------------------------------------------------- contents


def _contents(change: _Change) -> None:
    old, new = change.old, change.new
    if old is None:
        return
    refunded = edits.refunds_between(old, new)
    if refunded and new.state not in CALLED_OFF:  # an order called off is paid back as a whole
        data = edits.refund_data(refunded)
        change.add("order_edited", _numbered(change, REFUNDED), data)
    if new.state in TERMINAL:
        return
    if edits.is_split(old, new):
        _divided(change, edits.split_sentence(new))
    elif moved := edits.moved_between(old, new):
        _divided(change, moved)
    couriers = sum(leg.is_live for leg in new.legs)
    if couriers > 1 and couriers > sum(leg.is_live for leg in old.legs):
        _split(change, f"split:couriers-{couriers}", {"couriers": couriers})
    edit = edits.edit_between(old, new)
    if edit:
        change.add("order_edited", _numbered(change, "edited"), edit.data())


def _numbered(change: _Change, stem: str) -> str:
    """The next milestone of a kind that happens several times."""
    return f"{stem}:{1 + sum(1 for _, m, _ in change.recorded if m.startswith(f'{stem}:'))}"


def _divided(change: _Change, sentence: str) -> None:
    """The order is divided otherwise than last told; back to an earlier way is news as well."""
    name = _fingerprint(change.new)
    told = [m.split(":") for _, m, _ in change.recorded if m.startswith("split:")]
    numbered = {int(words[1]): words[2] for words in told if len(words) == 3}
    last = max(numbered, default=0)
    if numbered.get(last) != name:
        _split(change, f"split:{last + 1}:{name}", {"sentence": sentence})


def _split(change: _Change, milestone: str, data: Mapping[str, Any]) -> None:
    if change.is_recorded(milestone):
        return
    parts = [
        {"ref": p.ref, "label": p.label, "quantity": edits.plain(p.quantity)}
        for p in change.new.counted_parts
    ]
    change.add("order_split", milestone, {"parts": parts, "total": len(parts), **data})


def _fingerprint(order: Projection) -> str:
    """The same for the same live parts with the same things in them."""
    live = sorted((p.ref, sorted(edits.held(p).items())) for p in order.named_parts if p.is_live)
    return hashlib.sha256(repr(live).encode()).hexdigest()[:12]


# ---------------------------------------------------------------------------- estimates


def _estimates(change: _Change, old: Projection) -> None:
    """A moved estimate is for the timeline alone; a new promise is the delay rules' business."""
    new = change.new
    if not new.is_open:
        return
    was, now = eta.estimate_of(old), eta.estimate_of(new)
    if was and now and _apart(was, now):
        data = {"estimate": now.isoformat(), "previous": was.isoformat(), "audience": "internal"}
        _eta(change, now, data)


def _eta(change: _Change, at: datetime, data: Mapping[str, Any]) -> None:
    minute = at.replace(second=0, microsecond=0).isoformat(timespec="minutes")
    milestone = f"eta:{minute}"
    if not change.is_recorded(milestone):
        change.add("eta_changed", milestone, data)


def _apart(one: datetime, other: datetime) -> bool:
    """Whether two times differ on a clock that shows minutes."""
    return abs(one - other) >= timedelta(minutes=1)
