"""Which routes an event takes, and how long its news stays worth telling. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from integrations.contracts import RANK, State
from notifications.selectors import RouteView

#: kinds that leave at once; everything else settles
URGENT = frozenset(
    {
        "status_changed:ready",
        "status_changed:out_for_delivery",
        "status_changed:cancelled",
        "status_changed:failed",
        "status_changed:recalled",
        "order_delayed",
        "status_requested",
        "customer_message",
        "reply",
        "link",
        "alarm",
    }
)
#: sent again once when the outcome of the first try stays unknown: missing them costs more
RESEND_WHEN_UNKNOWN = frozenset(
    {"status_changed:ready", "status_changed:out_for_delivery", "status_changed:cancelled",
     "order_delayed"}
)  # fmt: skip

_EXPIRY_MIN: Mapping[str, int] = {
    "status_changed:received": 20,
    "status_changed:accepted": 20,
    "status_changed:preparing": 15,
    "status_changed:ready": 30,
    "status_changed:out_for_delivery": 30,
    "status_changed:picked_up": 60,
    "status_changed:delivered": 60,
    "status_changed:cancelled": 240,
    "status_changed:failed": 240,
    "part_status_changed": 15,
    "order_delayed": 30,
    "order_edited": 60,
    "order_split": 60,
    "eta_changed": 30,
    "status_requested": 10,
    "customer_message": 240,
    "reply": 5,
    "link": 20,
    "alarm": 240,
}


class Waiting(Protocol):
    """What is looked at of a route: a row or its view."""

    @property
    def id(self) -> int: ...

    @property
    def triggers(self) -> Collection[str]: ...


@dataclass(frozen=True, slots=True)
class EventFacts:
    """What routes look at."""

    kind: str
    milestone: str
    held: str = ""
    audience: str = ""
    location_id: int | None = None
    fulfillment: str = ""
    source: str = ""
    late_min: int = 0
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def trigger(self) -> str:
        """ "kind:milestone" without the counter of repeatable milestones."""
        return trigger_of(self.kind, self.milestone)


def trigger_of(kind: str, milestone: str) -> str:
    """The name routes and templates know an event by, e.g. status_changed:ready."""
    if kind == "status_changed":
        return f"{kind}:{milestone}"
    stem = milestone.partition(":")[0]
    if kind == "order_delayed" and stem in ("earlier", "overdue", "stalled"):
        return f"{kind}:{stem}"
    if kind in ("reply", "link", "alarm") or (kind == "order_edited" and stem == "refunded"):
        return f"{kind}:{stem}"
    return kind


def _in(table: frozenset[str] | Mapping[str, int], trigger: str) -> str | None:
    for name in (trigger, trigger.partition(":")[0]):
        if name in table:
            return name
    return None


def is_urgent(trigger: str) -> bool:
    """Whether this news leaves at once."""
    return _in(URGENT, trigger) is not None


def resend_when_unknown(trigger: str) -> bool:
    """Whether a second text is better than none when nobody can tell if the first arrived."""
    return _in(RESEND_WHEN_UNKNOWN, trigger) is not None


def lifetime(trigger: str) -> timedelta:
    """How long after it happened this news is still worth a message."""
    name = _in(_EXPIRY_MIN, trigger)
    return timedelta(minutes=_EXPIRY_MIN[name] if name else 30)


def settle_s(trigger: str, *, calm_s: int, parts_s: int) -> int:
    """Seconds this news waits for what else happens."""
    if is_urgent(trigger):
        return 0
    return parts_s if trigger.startswith("part_status_changed") else calm_s


def weight(kind: str, milestone: str) -> int:
    """How much a message says: a newer one replaces unsent ones that say no more than it."""
    if kind == "status_changed":
        return 100 + RANK.get(milestone, 0)
    if milestone.startswith("replaced:"):
        return 250  # placed anew: also an unsent cancellation is replaced
    if milestone.startswith("refunded:"):
        return 0  # money is told by itself, whatever happens to the order
    return {"order_delayed": 95, "part_status_changed": 80, "order_split": 70,
            "order_edited": 70, "eta_changed": 60}.get(kind, 0)  # fmt: skip


def match(routes: Iterable[RouteView], event: EventFacts) -> list[tuple[RouteView, list[str]]]:
    """For each audience the first route that takes ``event``, with why it matched.

    A held event (staff must see it first) reaches nobody but staff; an event addressed to one
    audience reaches only that one.
    """
    chosen: dict[str, tuple[RouteView, list[str]]] = {}
    kind = event.kind
    for route in routes:
        if route.audience in chosen:
            continue
        if event.held and route.audience != "staff":
            continue
        if event.audience and route.audience != event.audience:
            continue
        hit = next((t for t in (event.trigger, kind) if t in route.triggers), None)
        if event.held and route.audience == "staff" and hit is None and "held" in route.triggers:
            hit = "held"
        if hit is None or not _conditions_hold(route.conditions, event):
            continue
        chosen[route.audience] = (route, [f"trigger {hit}"])
    return list(chosen.values())


#: that nothing is ever called off is good news
_EXCEPTIONS = frozenset({State.CANCELLED, State.FAILED})
#: two words for "we have it": most sources say one of them
_TAKEN = frozenset({State.RECEIVED, State.ACCEPTED})


def dead_triggers(routes: Iterable[Waiting], states: Collection[str]) -> dict[int, list[str]]:
    """Route id -> the states it waits for and nobody states. No ``states`` = nothing is known."""
    if not states:
        return {}
    found = {route.id: _waits_in_vain(route.triggers, states) for route in routes}
    return {route_id: dead for route_id, dead in found.items() if dead}


def _waits_in_vain(triggers: Collection[str], states: Collection[str]) -> list[str]:
    stems = (trigger.partition(":") for trigger in triggers)
    waited = {name for kind, _sep, name in stems if kind == "status_changed" and name in RANK}
    dead = waited - _EXCEPTIONS - set(states)
    if waited & _TAKEN & set(states):
        dead -= _TAKEN
    return sorted(dead, key=lambda state: (RANK[state], state))


def _conditions_hold(conditions: Mapping[str, Any], event: EventFacts) -> bool:
    if conditions.get("locations") and event.location_id not in conditions["locations"]:
        return False
    if conditions.get("fulfillment") and event.fulfillment not in conditions["fulfillment"]:
        return False
    if conditions.get("sources") and event.source not in conditions["sources"]:
        return False
    return event.late_min >= int(conditions.get("min_late_min") or 0)
