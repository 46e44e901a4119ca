"""Why an event was told, or was not: one sentence per event. Pure over a ``History``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from notifications import words
from notifications.history import History
from notifications.models import Delivery, DeliveryState, Notification
from orders import phrases, pieces
from orders.models import OrderEvent

#: best first: the state that says most about whether the guest knows
_BEST = (
    DeliveryState.READ,
    DeliveryState.DELIVERED,
    DeliveryState.ACCEPTED,
    DeliveryState.SENDING,
    DeliveryState.CLAIMED,
    DeliveryState.QUEUED,
    DeliveryState.UNKNOWN,
    DeliveryState.WAITING,
    DeliveryState.SUPERSEDED,
    DeliveryState.CANCELLED,
    DeliveryState.EXPIRED,
    DeliveryState.FAILED,
)
_TOLD = frozenset({DeliveryState.READ, DeliveryState.DELIVERED, DeliveryState.ACCEPTED})


@dataclass(frozen=True, slots=True)
class EventVerdict:
    """Whether the guest was told about an event."""

    text: str
    #: good | warn | bad | quiet
    tone: str
    #: nothing was planned for the event, so no later row explains it
    is_final_word: bool = False


def event_verdict(event: OrderEvent, history: History) -> EventVerdict:
    """Told, on its way, or not told and why."""
    notes = [n for n in history.notifications if n.event_id == event.pk]
    guests = [n for n in notes if n.audience == "customer"]
    if not guests:
        return _unplanned(event, history, notes)
    deliveries = [d for n in guests for d in history.deliveries.get(n.pk, ())]
    if not deliveries:
        return EventVerdict(_("not told: %(why)s") % {"why": refusals(guests)}, "warn")
    best = min(deliveries, key=lambda d: _BEST.index(DeliveryState(d.state)))
    return _delivered(event, best, history)


def _unplanned(event: OrderEvent, history: History, notes: Sequence[Notification]) -> EventVerdict:
    merged = next((n for n in history.notifications if _tells(n, event)), None)
    if merged is not None:
        what = words.event_words(merged.kind, merged.milestone, {})
        return EventVerdict(_("told together with “%(what)s”") % {"what": what}, "good", not notes)
    reason = _reason_to_be_silent(event)
    if reason is not None:
        return EventVerdict(*reason, not notes)
    return EventVerdict(_("not told: no route tells guests about this"), "quiet", not notes)


def _reason_to_be_silent(event: OrderEvent) -> tuple[str, str] | None:
    """What about the event itself keeps it from guests, with its tone; None = nothing."""
    audience = event.data.get("audience")
    if audience == "internal":
        return _("for the record, no message"), "quiet"
    if audience == "staff":
        return _("for the staff only"), "quiet"
    if event.is_stale and event.data.get("previous") == event.milestone:
        return _("not told: the guest knew this state already"), "quiet"
    if event.is_stale:
        return _("not told: we learned it too late to be useful"), "warn"
    if event.held:
        why = {"why": held_word(event.held)}
        return _("not told: held for the staff, %(why)s") % why, "warn"
    return None


def _tells(note: Notification, event: OrderEvent) -> bool:
    """Whether ``note`` tells ``event`` as well (merged while it settled)."""
    told = {m.get("event") if isinstance(m, dict) else m for m in note.merged_events}
    return note.audience == "customer" and str(event.pk) in told


def held_word(held: str) -> str:
    """Why an event is held, in words."""
    return {
        "contradicts_fulfillment": _("it contradicts how the guest gets the order"),
        "goods_on_the_road": _("the food is already on the road"),
        "conflict": _("the sources disagree"),
        "courier_failed": _("the courier run failed"),
        "staff_first": _("its end may be housekeeping and no news for the guest"),
    }.get(held, held.replace("_", " "))


def _delivered(event: OrderEvent, delivery: Delivery, history: History) -> EventVerdict:
    tz = pieces.local_zone(history.order)
    how = {"channel": words.channel_word(delivery.channel)}
    if delivery.state in _TOLD:
        tries = [a for a in history.attempts.get(delivery.pk, ()) if a.outcome == "accepted"]
        at = (tries[-1].finished_at if tries else None) or delivery.settled_at
        how["state"] = words.delivery_word(delivery.state)
        if at is None:
            return EventVerdict(_("told by %(channel)s, %(state)s") % how, "good")
        how["time"] = f"{at.astimezone(tz):%H:%M:%S}"
        how["span"] = _seconds((at - event.recorded_at).total_seconds())
        text = _("told by %(channel)s at %(time)s, %(span)s after we knew; %(state)s") % how
        return EventVerdict(text, "good")
    if delivery.state in (DeliveryState.QUEUED, DeliveryState.CLAIMED, DeliveryState.SENDING):
        how["time"] = f"{delivery.due_at.astimezone(tz):%H:%M:%S}"
        if delivery.tries:
            return EventVerdict(_("%(channel)s is tried again at %(time)s") % how, "warn")
        return EventVerdict(_("%(channel)s leaves at %(time)s") % how, "quiet")
    if delivery.state == DeliveryState.SUPERSEDED:
        return EventVerdict(_("not told alone: a newer message replaced it"), "quiet")
    if delivery.state == DeliveryState.UNKNOWN:
        text = _("%(channel)s sent, but the vendor never said whether it arrived") % how
        return EventVerdict(text, "warn")
    if delivery.state == DeliveryState.WAITING:
        return EventVerdict(_("%(channel)s held in reserve") % how, "quiet")
    state, reason = words.delivery_word(delivery.state), words.reason_word(delivery.reason)
    why = f"{state} ({reason})" if reason and reason != state else state
    return EventVerdict(_("not told: %(why)s") % {"why": f"{how['channel']} {why}"}, "bad")


def _seconds(seconds: float) -> str:
    if seconds < 60:
        return f"{max(0.0, seconds):.1f} s"
    return phrases.span(int(seconds // 60))


def refusals(notes: Iterable[Notification]) -> str:
    """What each step that said no gave as its reason, in order."""
    why = [
        str(line["why"])
        for note in notes
        for line in note.trace
        if isinstance(line, Mapping) and line.get("verdict") == "dropped" and line.get("why")
    ]
    return "; ".join(dict.fromkeys(why)) or _("no step could be taken")


def trace_lines(trace: Iterable[Any]) -> list[str]:
    """The decision trace, one line per step: "route: matched. Guest alerts (trigger ready)"."""
    lines = []
    for line in trace:
        if not isinstance(line, Mapping):
            continue
        head = ": ".join(str(line[key]) for key in ("step", "verdict") if line.get(key))
        lines.append(f"{head} – {line['why']}" if line.get("why") else head)
    return lines
