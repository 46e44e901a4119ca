"""The closed set of values message templates may use, built from plain values.

``SAMPLE`` is the documented example of every value: templates are checked against it when saved
and an unknown name is an error then, not at send time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from notifications.times import clock, until, zone

STATE_LABELS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "received": "received",
        "accepted": "confirmed",
        "preparing": "being prepared",
        "ready": "ready",
        "out_for_delivery": "on its way",
        "picked_up": "picked up",
        "delivered": "delivered",
        "cancelled": "cancelled",
        "failed": "not completed",
    },
    "es": {
        "received": "recibido",
        "accepted": "confirmado",
        "preparing": "en preparación",
        "ready": "listo",
        "out_for_delivery": "en camino",
        "picked_up": "recogido",
        "delivered": "entregado",
        "cancelled": "cancelado",
        "failed": "no completado",
    },
}


_UNDER_WAY = frozenset({"received", "accepted", "preparing", "out_for_delivery"})


@dataclass(frozen=True, slots=True)
class PartFacts:
    """One part as the context needs it."""

    label: str
    state: str
    est_ready_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """One order as the context needs it. Datetimes are aware."""

    id: str
    number: str
    state: str
    fulfillment: str = "pickup"
    is_scheduled: bool = False
    promised_at: datetime | None = None
    est_ready_at: datetime | None = None
    est_delivery_at: datetime | None = None
    #: the time the guest waits for, busy kitchens and lost couriers minded; None = not known
    expected_at: datetime | None = None
    reason: str = ""
    courier_name: str = ""
    tracking_url: str = ""
    source: str = ""
    flags: Sequence[str] = ()
    parts: Sequence[PartFacts] = ()
    items: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class MessageFacts:
    """Everything one message is about."""

    order: OrderFacts
    restaurant_name: str
    restaurant_phone: str
    location_name: str
    timezone: str
    event_kind: str
    milestone: str
    event_data: Mapping[str, Any] = field(default_factory=dict)
    #: sentences of calm events this message tells as well
    also: Sequence[str] = ()
    first_name: str = ""
    language: str = "en"
    order_url: str = ""
    #: the person's own pages: all choices, and one press that stops messages like this one
    manage_url: str = ""
    unsubscribe_url: str = ""
    #: what a message that carries a link is about; it works once
    confirm_url: str = ""
    acknowledge_url: str = ""


def build(facts: MessageFacts, now: datetime) -> dict[str, Any]:
    """The template context of one message."""
    tz = zone(facts.timezone)
    order = facts.order
    language = facts.language if facts.language in STATE_LABELS else "en"
    is_delivery = order.fulfillment in ("delivery", "shipping")
    stated = order.est_delivery_at if is_delivery else order.est_ready_at
    # when the kitchen is done is no time for somebody who waits at the door
    estimate = order.expected_at or stated or order.promised_at
    return {
        "order": {
            "id": order.id,
            "number": order.number,
            "state": order.state,
            "state_label": STATE_LABELS[language].get(order.state, order.state),
            "fulfillment": order.fulfillment,
            "is_delivery": is_delivery,
            "is_scheduled": order.is_scheduled,
            #: a time still means something to the guest
            "is_under_way": order.state in _UNDER_WAY,
            "eta_time": clock(estimate, tz, now, language),
            "eta_in": until(estimate, now, language),
            "ready_time": clock(order.est_ready_at, tz, now, language),
            "promised_time": clock(order.promised_at, tz, now, language),
            "reason": order.reason,
            "source": order.source,
            "flags": list(order.flags),
            "items": list(order.items),
            "url": facts.order_url,
        },
        "parts": _parts(order.parts, tz, now, language),
        "courier": {"name": order.courier_name, "tracking_url": order.tracking_url},
        "event": _event(facts, tz, now, language),
        "customer": {"first_name": facts.first_name},
        "restaurant": {"name": facts.restaurant_name, "phone": facts.restaurant_phone},
        "location": {"name": facts.location_name},
        "links": {
            "order": facts.order_url,
            "manage": facts.manage_url,
            "unsubscribe": facts.unsubscribe_url,
            "confirm": facts.confirm_url,
            "acknowledge": facts.acknowledge_url,
        },
    }


def _parts(
    parts: Sequence[PartFacts], tz: ZoneInfo, now: datetime, language: str
) -> dict[str, Any]:
    live = [p for p in parts if p.state not in ("cancelled", "failed", "removed")]
    done = [p for p in live if p.state in ("ready", "out_for_delivery", "picked_up", "delivered")]
    open_etas = sorted(p.est_ready_at for p in live if p not in done and p.est_ready_at)
    return {
        "total": len(live),
        "ready": len(done),
        "open": len(live) - len(done),
        "next_eta": clock(open_etas[0], tz, now, language) if open_etas else "",
        "next_eta_in": until(open_etas[0], now, language) if open_etas else "",
        "last_eta": clock(open_etas[-1], tz, now, language) if open_etas else "",
        "last_eta_in": until(open_etas[-1], now, language) if open_etas else "",
        "list": [{"label": p.label, "state": p.state} for p in live],
    }


def _event(facts: MessageFacts, tz: ZoneInfo, now: datetime, language: str) -> dict[str, Any]:
    data = facts.event_data
    new_eta = _when(data.get("estimate") or data.get("new_estimate"))
    return {
        "kind": facts.event_kind,
        "milestone": facts.milestone,
        "part_label": str(data.get("label") or ""),
        "change": str(data.get("sentence") or ""),
        "late_min": int(data.get("late_min") or 0),
        "new_time": clock(new_eta, tz, now, language),
        "new_in": until(new_eta, now, language),
        "also": " ".join(facts.also),
        "detail": str(data.get("detail") or ""),
        "sender": str(data.get("sender") or ""),
        #: [{"from": "customer" or "us", "text", "at"}], oldest first
        "conversation": list(data.get("conversation") or []),
    }


def _when(value: object) -> datetime | None:
    if isinstance(value, datetime):
        return value
    if isinstance(value, str) and value:
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            return None
        return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return None


_SAMPLE_NOW = datetime(2026, 3, 14, 22, 36, tzinfo=UTC)


def sample_facts(event_kind: str, milestone: str, language: str = "en") -> MessageFacts:
    """A full example for previews: a three-bowl pickup order, two bowls done."""
    ready = datetime(2026, 3, 14, 22, 42, tzinfo=UTC)
    state = milestone if milestone in STATE_LABELS["en"] else "preparing"
    return MessageFacts(
        order=OrderFacts(
            id="00000000-0000-4000-8000-000000001042",
            number="1042",
            state=state,
            promised_at=datetime(2026, 3, 14, 22, 30, tzinfo=UTC),
            est_ready_at=ready,
            reason="The kitchen had to close early",
            courier_name="Sam",
            tracking_url="https://track.example.com/1042",
            source="square",
            parts=(
                PartFacts("Harvest Bowl", "ready"),
                PartFacts("Miso Salmon Bowl", "ready"),
                PartFacts("Tofu Bowl", "preparing", ready),
            ),
            items=("1 x Harvest Bowl", "1 x Miso Salmon Bowl", "1 x Tofu Bowl"),
        ),
        restaurant_name="Harvest & Steam",
        restaurant_phone="+1 202 555 0100",
        location_name="Main Street",
        timezone="America/New_York",
        event_kind=event_kind,
        milestone=milestone,
        event_data={
            "label": "Miso Salmon Bowl",
            "sentence": "+1 Miso soup, -1 Iced tea",
            "late_min": 12,
            "estimate": ready.isoformat(),
            "detail": "Could you leave the sauce aside?",
            "sender": "+1•••0142",
            "conversation": [
                {"from": "us", "text": "Ready", "at": "2026-03-14T22:30:00+00:00"},
                {
                    "from": "customer",
                    "text": "Could you leave the sauce aside?",
                    "at": "2026-03-14T22:35:00+00:00",
                },
            ],
        },
        also=("Also changed: +1 Miso soup.",),
        first_name="Ana",
        language=language,
        order_url="https://orders.example.com/o/1042",
        manage_url="https://orders.example.com/preferences/harvest-and-steam/",
        unsubscribe_url="https://orders.example.com/u/example/",
        confirm_url="https://orders.example.com/p/1/example/",
        acknowledge_url="https://orders.example.com/a/1042",
    )


def sample(event_kind: str, milestone: str, language: str = "en") -> dict[str, Any]:
    """The context of ``sample_facts``, at a fixed moment."""
    return build(sample_facts(event_kind, milestone, language), _SAMPLE_NOW)
