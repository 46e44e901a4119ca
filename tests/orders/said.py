"""Short ways to write observations and to live through a life of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from integrations.contracts import Observation, ordering_key
from orders.drafts import EventDraft
from orders.lifecycle import diff_events
from orders.projection import Projection, project

NOON = datetime(2026, 3, 14, 12, 0, tzinfo=UTC)


def at(minutes: float) -> datetime:
    """Minutes after noon."""
    return NOON + timedelta(minutes=minutes)


def iso(minutes: float) -> str:
    return at(minutes).isoformat()


def say(
    key: str,
    state: str | None = None,
    *,
    seq: int | None = None,
    account: str = "pos",
    track: str = "kitchen",
    part: str = "",
    leg: str = "",
    minute: float | None = None,
    arrives: float | None = None,
    listed: Iterable[str] | None = None,
    source: str = "",
    data: Mapping[str, Any] | None = None,
) -> Observation:
    """One observation: sequenced when ``seq`` is given, else ranked."""
    happened = minute if minute is not None else float(seq or 0)
    return Observation(
        event_key=key,
        account=account,
        source=source or f"source_{account}",
        track="courier" if leg else track,
        scope="part" if part else "leg" if leg else "order",
        ref=part or leg,
        ordering_class="ranked" if seq is None else "sequenced",
        ordering_key=ordering_key(seq),
        state=state,
        snapshot_parts=None if listed is None else tuple(listed),
        occurred_at=at(happened),
        received_at=at(happened if arrives is None else arrives),
        data=data or {},
    )


def staff(key: str, state: str | None, minute: float, **more: Any) -> Observation:
    """A manager's button, pressed at ``minute``."""
    return say(key, state, seq=0, account="", source="manual", minute=minute, **more)


def live(
    arrivals: Iterable[Observation],
    *,
    own_drivers: bool = False,
    now: datetime | None = None,
    fulfillment: str = "pickup",
    priorities: Mapping[str, Mapping[str, int]] | None = None,
) -> tuple[Projection, list[EventDraft]]:
    """Take the observations in one at a time; the last order and every event on the way."""
    seen: list[Observation] = []
    old: Projection | None = None
    story: list[EventDraft] = []
    recorded: set[tuple[str, str, int]] = set()
    for one in arrivals:
        seen.append(one)
        new = project(seen, default_fulfillment=fulfillment, priorities=priorities)
        drafts = diff_events(
            old,
            new,
            recorded=recorded,
            trigger=one,
            now=now or max(o.received_at for o in seen if o.received_at),
            own_drivers=own_drivers,
        )
        story += drafts
        recorded |= {(d.part_ref, d.milestone, d.epoch) for d in drafts}
        old = new
    assert old is not None
    return old, story


def told(story: Iterable[EventDraft]) -> list[str]:
    """What a customer may read, in order."""
    return [
        d.milestone if not d.part_ref else f"{d.part_ref} {d.milestone}"
        for d in story
        if not (d.held or d.is_stale or d.data.get("audience"))
    ]
