"""Joining what several sources say about one order: owners of tracks, courier legs, conflicts.

Pure. The rules across tracks: a cancellation decides unless the goods were handed over; while a
courier is on the job only the courier hands over; otherwise the furthest state holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from integrations.contracts import HANDED_OVER, RANK, TERMINAL, Observation, State
from orders.book import Book
from orders.details import Fields, merge_fields
from orders.legs import MOVING, Leg, carried_by, counted_legs, legs_of, legs_state
from orders.states import CALLED_OFF, REMOVED, Effect, is_live, roll_up_states
from orders.streams import (
    BEGINNING,
    Fold,
    moment,
    rows_of,
)

COURIER_FAILED = "courier_failed"
DELAYED = "delayed"


@dataclass(slots=True)
class JoinedPart:
    """One part after all tracks were joined."""

    ref: str
    state: str
    fields: Fields
    since: datetime | None


@dataclass(slots=True)
class Joined:
    """The order after joining."""

    state: str = State.RECEIVED
    epoch: int = 0
    flags: set[str] = field(default_factory=set)
    parts: list[JoinedPart] = field(default_factory=list)
    legs: list[Leg] = field(default_factory=list)
    newest_leg: Leg | None = None
    has_live_leg: bool = False
    since: datetime | None = None
    account: str = ""
    parts_account: str = ""
    lists_parts: bool = False
    is_stated: bool = True


@dataclass(slots=True)
class Voice:
    """One account speaking for one track."""

    account: str
    fold: Fold
    state: str | None


def join(book: Book, fulfillment: str) -> Joined:
    """One order out of everything in ``book``."""
    part_fields = {account: _part_fields(said) for account, said in book.said.items()}
    voices = {"commercial": _voices(book, "commercial"), "kitchen": _kitchens(book, part_fields)}
    owners = [v for t in ("kitchen", "commercial") if (v := _owner(book, t, voices[t]))]
    joined = Joined(legs=legs_of(book))
    counted = counted_legs(book, joined.legs)
    live = [leg for leg in counted if is_live(leg.state)]
    joined.has_live_leg = bool(live)
    joined.newest_leg = max(live, key=_urgency, default=None)
    joined.epoch = max((v.fold.epoch for vs in voices.values() for v in vs), default=0)
    for flags in [v.fold.flags for v in owners] + [leg.flags for leg in counted]:
        joined.flags |= flags
    _decide(joined, owners, live, fulfillment)
    _let_staff_settle(book, joined, bool(live))
    if joined.legs and not live and joined.state not in TERMINAL:
        joined.flags.add(COURIER_FAILED)
    if _is_said_delayed(book, counted):
        joined.flags.add(DELAYED)
    joined.is_stated = bool(owners) or joined.since is not None
    kitchen = _owner(book, "kitchen", voices["kitchen"])
    if kitchen and kitchen.account in book.said:
        joined.parts_account = kitchen.account
    if kitchen and kitchen.fold.parts:
        joined.lists_parts = kitchen.fold.listed is not None
        fields = part_fields.get(kitchen.account, {})
        joined.parts = _joined_parts(book, kitchen.fold, fields, joined)
        _move_parts(joined, live)
    return joined


def _urgency(leg: Leg) -> tuple[bool, datetime, str]:
    """Of couriers who share an order the one still on the way counts, then the newest."""
    return leg.state != State.DELIVERED, leg.began, leg.ref


# ---------------------------------------------------------------------------- tracks


def _voices(book: Book, track: str) -> list[Voice]:
    """Every account that speaks about the order itself on ``track``."""
    staff = [o for o in book.staff if o.scope == "order"]
    voices = []
    for account, said in book.said.items():
        own = [o for o in said if o.scope == "order" and o.track == track]
        if own:
            fold = Fold().run(rows_of(own, staff))
            voices.append(Voice(account, fold, fold.state()))
    return voices


def _kitchens(book: Book, part_fields: dict[str, dict[str, Fields]]) -> list[Voice]:
    """Every account that speaks about parts or about the order on the kitchen track."""
    staff = [o for o in book.staff if o.scope != "leg"]
    voices = []
    for account, said in book.said.items():
        own = [_for_kitchen(o) for o in said if _is_kitchens(o)]
        if any(o.scope == "part" or o.track == "kitchen" for o in own):
            voices.append(_kitchen(account, own, staff, part_fields[account]))
    heard = any(
        o.track == "commercial" and o.scope == "order" for s in book.said.values() for o in s
    )
    if not voices and staff and (not heard or any(o.scope == "part" for o in staff)):
        account = staff[0].account
        part_fields[account] = _part_fields(staff)
        voices.append(_kitchen(account, staff, (), part_fields[account]))
    return voices


def _is_kitchens(one: Observation) -> bool:
    if one.scope == "part":
        return True
    return one.scope == "order" and (one.track == "kitchen" or one.snapshot_parts is not None)


def _for_kitchen(one: Observation) -> Observation:
    """A snapshot on another track lists parts; its state belongs to that track."""
    if one.scope == "order" and one.track != "kitchen" and one.state is not None:
        return replace(one, state=None)
    return one


def _kitchen(
    account: str,
    said: Sequence[Observation],
    staff: Sequence[Observation],
    fields: Mapping[str, Fields],
) -> Voice:
    fold = Fold(counted=_counted_parts([*said, *staff], fields)).run(rows_of(said, staff))
    return Voice(account, fold, fold.state())


def _counted_parts(said: Iterable[Observation], fields: Mapping[str, Fields]) -> frozenset[str]:
    """Which parts' states make the order's: items where any states one, else fulfilments.

    Where nobody states any, the parts only describe the order and follow it.
    """
    known: set[str] = set()
    stating: set[str] = set()
    for one in said:
        if one.scope == "part":
            known.add(one.ref)
            if one.state is not None:
                stating.add(one.ref)
    wholes = {ref for ref in known if _kind(fields.get(ref, {})) == "fulfillment"}
    if stating - wholes:
        return frozenset(known - wholes)
    return frozenset(wholes) if stating else frozenset()


def _kind(fields: Fields) -> str:
    return str(fields["kind"].value) if "kind" in fields else "item"


def _part_fields(said: Iterable[Observation]) -> dict[str, Fields]:
    streams: dict[str, list[Observation]] = {}
    for one in said:
        if one.scope == "part":
            streams.setdefault(one.ref, []).append(one)
    return {ref: merge_fields(stream) for ref, stream in streams.items()}


def _owner(book: Book, track: str, voices: Sequence[Voice]) -> Voice | None:
    """The loudest account that stated anything; one that stated a state before one that did not."""
    return max(
        voices,
        key=lambda v: (v.state is not None, book.priority(v.account, track), v.account),
        default=None,
    )


def _is_said_delayed(book: Book, legs: Iterable[Leg]) -> bool:
    for fields in [*book.fields_of("commercial"), *(leg.fields for leg in legs)]:
        if (stated := fields.get("delayed")) is not None and stated.value is True:
            return True
        flags = fields.get("flags")
        if flags is not None and flags.value == {"delayed": True}:
            return True
    return False


# ---------------------------------------------------------------------------- across tracks


def _decide(joined: Joined, owners: Sequence[Voice], live: Sequence[Leg], fulfillment: str) -> None:
    on_road = legs_state(live)
    called_off = [v for v in owners if v.state in CALLED_OFF]
    # while a courier is on the job, only the courier hands over
    handed = [] if live else [v for v in owners if v.state in HANDED_OVER]
    if on_road == State.DELIVERED:
        joined.state, joined.account = State.DELIVERED, live[0].account
        joined.since = max((leg.since for leg in live if leg.since), default=None)
    elif handed:
        _take(joined, _fitting(handed, fulfillment))
        if len({v.state for v in handed}) > 1:
            joined.flags.add(Effect.CONFLICT)
    elif called_off:
        _take(joined, min(called_off, key=lambda v: str(v.state)))
        return
    else:
        _furthest(joined, owners, live, on_road)
        return
    if called_off:
        joined.flags.add(_after_hand_over(handed, called_off))


def _take(joined: Joined, voice: Voice) -> None:
    joined.state = voice.state or State.RECEIVED
    joined.account, joined.since = voice.account, voice.fold.decided_at()


def _fitting(handed: Sequence[Voice], fulfillment: str) -> Voice:
    wanted = State.DELIVERED if fulfillment in ("delivery", "shipping") else State.PICKED_UP
    return next((v for v in handed if v.state == wanted), handed[0])


def _after_hand_over(handed: Sequence[Voice], called_off: Sequence[Voice]) -> Effect:
    """A refund the same account booked later is after-sale news; anything else is for staff."""
    for off in called_off:
        later = any(
            v.account == off.account and v.fold.key and v.fold.key < off.fold.key for v in handed
        )
        if not later:
            return Effect.CONFLICT
    return Effect.AFTER_SALE


def _furthest(
    joined: Joined, owners: Sequence[Voice], live: Sequence[Leg], on_road: str | None
) -> None:
    best = 0
    if on_road is not None:
        moving = [leg for leg in live if leg.state in MOVING]
        best, joined.state, joined.account = RANK[on_road], on_road, moving[0].account
        joined.since = min((leg.since for leg in moving if leg.since), default=None)
    for voice in owners:
        state = voice.state
        if state is None:
            continue
        if state in HANDED_OVER:  # a till that closes the order says no more than ready
            state = State.READY
        if RANK[state] > best:
            best, joined.state, joined.account = RANK[state], state, voice.account
            joined.since = voice.fold.decided_at()


def _let_staff_settle(book: Book, joined: Joined, has_live_leg: bool) -> None:
    """Staff who have seen everything settle a conflict and may hand over for a silent courier."""
    pressed = [o for o in book.staff if o.scope == "order" and o.state]
    if not pressed:
        return
    last = max(pressed, key=lambda o: (o.received_at or BEGINNING, o.event_key))
    spoke = last.received_at or BEGINNING
    unseen = any(
        o.state and (o.received_at or BEGINNING) > spoke for s in book.said.values() for o in s
    )
    hands_over = has_live_leg and (last.state in HANDED_OVER or last.state in MOVING)
    if unseen or not (Effect.CONFLICT in joined.flags or hands_over):
        return
    if last.state in TERMINAL or hands_over:
        joined.flags.discard(Effect.CONFLICT)
        joined.state = last.state or joined.state
        joined.since, joined.account = moment(last), last.account


# ---------------------------------------------------------------------------- parts


def _joined_parts(
    book: Book, fold: Fold, fields: Mapping[str, Fields], joined: Joined
) -> list[JoinedPart]:
    listed = {ref: place for place, ref in enumerate(fold.listed or ())}
    ordered = sorted(
        fold.parts.values(),
        key=lambda p: (listed.get(p.ref, len(listed)), p.first, len(p.ref), p.ref),
    )
    parts = [JoinedPart(p.ref, fold.part_state(p), fields.get(p.ref, {}), p.since) for p in ordered]
    states = {p.ref: p.state for p in parts}
    wholes = [p for p in parts if _kind(p.fields) == "fulfillment"]
    for part in parts:
        if part.ref in fold.counted or part.state == REMOVED:
            continue
        if part in wholes and fold.counted:
            inside = [states[r] for r in _contents(part.fields) if r in states]
            counted = [states[r] for r in states if r in fold.counted]
            part.state = roll_up_states(inside or counted)
        else:
            around = [w for w in wholes if part.ref in _contents(w.fields)]
            part.state = around[0].state if around else joined.state
    return parts


def _contents(fields: Fields) -> list[str]:
    stated = fields.get("contents")
    if stated is None or not isinstance(stated.value, list | tuple):
        return []
    return [str(line.get("item_id")) for line in stated.value if isinstance(line, Mapping)]


def _move_parts(joined: Joined, live: Sequence[Leg]) -> None:
    """Parts travel with their courier and end with the order."""
    carried: dict[str, Leg] = {}
    for leg in live:
        for ref in carried_by(leg):
            carried[ref] = leg
    all_moving = bool(live) and not carried and all(leg.state in MOVING for leg in live)
    for part in joined.parts:
        if not is_live(part.state):
            continue
        if live and part.state in HANDED_OVER and joined.state not in HANDED_OVER:
            part.state = State.READY
        own = carried.get(part.ref)
        if own is not None and own.state in MOVING and RANK[part.state] < RANK[own.state]:
            part.state, part.since = own.state, own.since
        elif all_moving and RANK[part.state] < RANK[State.OUT_FOR_DELIVERY]:
            part.state, part.since = State.OUT_FOR_DELIVERY, joined.since
        if joined.state in TERMINAL and part.state not in HANDED_OVER:
            part.state, part.since = joined.state, joined.since
