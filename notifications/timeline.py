"""The timeline of one order: from the vendor's bytes to the read receipt, in one list.

``rows`` merges what sources said, what changed, what was decided and why, every try and every
receipt. ``answers`` says, per event, whether the guest was told. Pure over a ``History``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from notifications import words
from notifications.history import History
from notifications.models import Delivery, DeliveryState, InboundMessage, Notification
from notifications.models.delivery import UNSENT
from notifications.verdicts import EventVerdict, event_verdict, trace_lines
from orders import phrases, pieces
from orders.details import instant
from orders.models import InboundCall, Observation, OrderEvent
from orders.said_times import times_said

#: order of rows that carry the same instant: cause before effect
STAGES = ("heard", "changed", "decided", "queued", "sent", "answered")
_OPEN = (*UNSENT, DeliveryState.SENDING, DeliveryState.UNKNOWN)
_ENDED_UNSENT = (DeliveryState.CANCELLED, DeliveryState.EXPIRED, DeliveryState.SUPERSEDED)


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """One line: when, who, what, and what became of it."""

    at: datetime
    #: "18:42:07" in the location's zone
    clock: str
    #: one of STAGES
    stage: str
    actor: str
    fact: str
    verdict: str = ""
    #: good | warn | bad | quiet
    tone: str = "quiet"
    #: the trace of a decision, the statements of a call
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """Was the guest told about this event?"""

    clock: str
    what: str
    verdict: EventVerdict


def rows(history: History) -> list[TimelineRow]:
    """Every row, oldest first; a cause stands before its effect."""
    maker = _Maker(history)
    made = [
        *maker.heard(),
        *maker.changed(),
        *maker.decided(),
        *maker.sent(),
        *maker.answered(),
    ]
    return sorted(made, key=lambda row: (row.at, STAGES.index(row.stage)))


def answers(history: History) -> list[Answer]:
    """Per event meant for the guest: told or not, and why, oldest first."""
    tz = pieces.local_zone(history.order)
    return [
        Answer(
            _second(event.recorded_at, tz),
            words.event_words(event.kind, event.milestone, event.data, history.order.fulfillment),
            event_verdict(event, history),
        )
        for event in history.events
        if event.data.get("audience") in (None, "", "customer")
    ]


def _second(at: datetime, tz: ZoneInfo) -> str:
    return f"{at.astimezone(tz):%H:%M:%S}"


class _Maker:
    """Makes the rows of one history."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.tz = pieces.local_zone(history.order)

    def row(self, at: datetime, stage: str, actor: str, fact: str, **rest: object) -> TimelineRow:
        return TimelineRow(at, _second(at, self.tz), stage, actor, fact, **rest)  # type: ignore[arg-type]

    # -- what sources said --------------------------------------------------------------------

    def heard(self) -> Iterable[TimelineRow]:
        for call in self.history.calls:
            yield self._call(call, self.history.observations.get(call.pk, ()))
        batches: dict[tuple[datetime, str], list[Observation]] = {}
        for observation in self.history.observations.get(None, ()):
            batches.setdefault((observation.received_at, _who(observation)), []).append(observation)
        for (at, who), statements in batches.items():
            yield self.row(
                at, "heard", who, _said(statements, self.tz), verdict=_("applied"),
                details=tuple(_statement(o, self.tz) for o in statements),
            )  # fmt: skip

    def _call(self, call: InboundCall, statements: Sequence[Observation]) -> TimelineRow:
        verdicts = {
            "received": (_("stored, not read yet"), "warn"),
            "applied": (_("applied"), "quiet"),
            "ignored": (_("nothing new"), "quiet"),
            "waiting": (_("the details are being fetched"), "quiet"),
            "parked": (_("parked until the order is known"), "warn"),
            "quarantined": (_("could not be read"), "bad"),
            "failed": (_("our error"), "bad"),
        }
        verdict, tone = verdicts.get(call.state, (call.state, "warn"))
        details = [_statement(o, self.tz) for o in statements]
        if call.cause:
            details.insert(0, call.cause)
        if call.conflicting_bodies:
            details.append(_("The same event came again with another body; the first one counts."))
        return self.row(
            call.received_at, "heard", call.account.name, _said(statements, self.tz),
            verdict=verdict, tone=tone, details=tuple(details),
        )  # fmt: skip

    # -- what changed -------------------------------------------------------------------------

    def changed(self) -> Iterable[TimelineRow]:
        for event in self.history.events:
            verdict = event_verdict(event, self.history)
            yield self.row(
                event.recorded_at, "changed", "Order Up",
                words.event_words(
                    event.kind, event.milestone, event.data, self.history.order.fulfillment
                ),
                verdict=verdict.text if verdict.is_final_word else "",
                tone=verdict.tone if verdict.is_final_word else "quiet",
                details=tuple(_about(event, self.tz)),
            )  # fmt: skip

    # -- what was decided ---------------------------------------------------------------------

    def decided(self) -> Iterable[TimelineRow]:
        for note in self.history.notifications:
            deliveries = self.history.deliveries.get(note.pk, ())
            verdict = (
                ngettext("%(n)d message planned", "%(n)d messages planned", len(deliveries))
                % {"n": len(deliveries)}
                if deliveries
                else _("nobody told")
            )
            yield self.row(
                note.created_at, "decided", "Order Up", self._deciding(note), verdict=verdict,
                tone="quiet" if deliveries else "warn", details=tuple(trace_lines(note.trace)),
            )  # fmt: skip
            if note.acknowledged_at:
                who = note.acknowledged_by or _("somebody")
                yield self.row(
                    note.acknowledged_at, "answered", who, _("acknowledged the alert"),
                    verdict=_("no more reminders"), tone="good",
                )  # fmt: skip

    def _deciding(self, note: Notification) -> str:
        event = next((e for e in self.history.events if e.pk == note.event_id), None)
        whom = {
            "customer": _("the guest"),
            "staff": _("the staff"),
            "partner": _("the partner"),
        }.get(note.audience, note.audience)
        if note.route is not None and note.recipient_key.startswith("account:"):
            whom = f"{whom} ({note.route.name})"
        what = words.event_words(note.kind, note.milestone, event.data if event else {})
        return _("tell %(whom)s: %(what)s") % {"whom": whom, "what": what}

    # -- what left, and what came back --------------------------------------------------------

    def sent(self) -> Iterable[TimelineRow]:
        for note in self.history.notifications:
            for delivery in self.history.deliveries.get(note.pk, ()):
                yield self._queued(delivery)
                yield from self._tries(delivery)
                yield from self._receipts(delivery)
                end = self._end(delivery)
                if end:
                    yield end

    def _queued(self, delivery: Delivery) -> TimelineRow:
        fact = _("%(what)s queued, due %(time)s") % {
            "what": _target(delivery),
            "time": _second(delivery.due_at, self.tz),
        }
        # what has ended is told by its own row further down
        verdict = words.delivery_word(delivery.state) if delivery.state in _OPEN else ""
        details = []
        basis = delivery.consent_basis.get("basis") or delivery.consent_basis.get("code")
        if delivery.consent_checked_at:
            when = _second(delivery.consent_checked_at, self.tz)
            details.append(
                _("Consent asked again at %(time)s: %(basis)s")
                % {"time": when, "basis": str(basis or "").replace("_", " ")}
            )
        if delivery.overtaken_by_withdrawal:
            details.append(_("The guest withdrew while this was leaving; it is not tried again."))
        if delivery.resent_by:
            details.append(_("Sent again by %(who)s.") % {"who": delivery.resent_by})
        return self.row(
            delivery.created_at, "queued", delivery.account.name, fact,
            verdict=verdict, tone=words.delivery_tone(delivery.state) if verdict else "quiet",
            details=tuple(details),
        )  # fmt: skip

    def _tries(self, delivery: Delivery) -> Iterable[TimelineRow]:
        for attempt in self.history.attempts.get(delivery.pk, ()):
            facts = [_("try %(n)d") % {"n": attempt.number}]
            if attempt.http_status:
                facts.append(f"HTTP {attempt.http_status}")
            if attempt.vendor_code:
                facts.append(_("code %(code)s") % {"code": attempt.vendor_code})
            if attempt.duration_ms is not None:
                facts.append(f"{attempt.duration_ms} ms")
            details = [attempt.detail] if attempt.detail else []
            if attempt.vendor_id:
                details.append(_("vendor's id %(id)s") % {"id": attempt.vendor_id})
            is_good = attempt.outcome == "accepted"
            verdict = words.reason_word(attempt.outcome) if attempt.outcome else _("in flight")
            yield self.row(
                attempt.started_at, "sent", delivery.account.name, ", ".join(facts),
                verdict=_("accepted by the vendor") if is_good else verdict,
                tone="good" if is_good else "bad" if attempt.outcome else "quiet",
                details=tuple(details),
            )  # fmt: skip

    def _receipts(self, delivery: Delivery) -> Iterable[TimelineRow]:
        tones = {"delivered": "good", "read": "good", "clicked": "good", "sent": "quiet"}
        for receipt in self.history.receipts.get(delivery.pk, ()):
            details = []
            if receipt.vendor_time:
                when = _second(receipt.vendor_time, self.tz)
                details.append(_("The vendor dates it %(time)s.") % {"time": when})
            if receipt.vendor_code:
                details.append(_("code %(code)s") % {"code": receipt.vendor_code})
            yield self.row(
                receipt.received_at, "answered", delivery.account.name, _("receipt"),
                verdict=receipt.kind, tone=tones.get(receipt.kind, "bad"), details=tuple(details),
            )  # fmt: skip

    def _end(self, delivery: Delivery) -> TimelineRow | None:
        """The row that says why a message never left; sent ones say it by try and receipt."""
        untried = delivery.state == DeliveryState.FAILED and not delivery.tries
        if delivery.settled_at is None or not (untried or delivery.state in _ENDED_UNSENT):
            return None
        return self.row(
            delivery.settled_at, "sent", "Order Up", _target(delivery),
            verdict=_ending(delivery, self.history.events),
            tone=words.delivery_tone(delivery.state),
        )  # fmt: skip

    # -- what people answered -----------------------------------------------------------------

    def answered(self) -> Iterable[TimelineRow]:
        for message in self.history.messages:
            yield self.row(
                message.received_at, "answered", _sender(message),
                f"“{message.text}”" if message.text else _("pressed a button"),
                verdict=message.outcome.replace("_", " ") or message.intent,
            )  # fmt: skip


def _who(observation: Observation) -> str:
    """The account that spoke, or the person who pressed a button."""
    if observation.account:
        return observation.account.name
    return str(observation.data.get("actor") or observation.source)


def _target(delivery: Delivery) -> str:
    channel = words.channel_word(delivery.channel)
    if delivery.address is None:
        return channel
    return _("%(channel)s to %(address)s") % {
        "channel": channel,
        "address": delivery.address.masked,
    }


def _ending(delivery: Delivery, events: Sequence[OrderEvent]) -> str:
    kind, _sep, event_id = delivery.reason.partition(":")
    if kind == "superseded_by":
        newer = next((e for e in events if str(e.pk) == event_id), None)
        if newer is not None:
            what = words.event_words(newer.kind, newer.milestone, newer.data)
            return _("replaced by the message about “%(what)s”") % {"what": what}
    reason = words.reason_word(kind)
    state = words.delivery_word(delivery.state)
    return f"{state}: {reason}" if reason else state


def _sender(message: InboundMessage) -> str:
    where = message.address.masked if message.address else message.account.name
    return _("Guest, %(where)s") % {"where": where}


def _said(statements: Sequence[Observation], tz: ZoneInfo) -> str:
    """One line for what a call stated: the states it names, else its kinds."""
    said = [o for o in statements if o.state]
    # a part's state is worth a line only where nothing is said about the whole
    said = [o for o in said if o.scope != "part"] or said
    named = [
        f"{o.ref} {phrases.state_word(str(o.state)).lower()}"
        if o.scope == "part"
        else phrases.state_word(str(o.state)).lower()
        for o in said
    ]
    if named:
        return _("says %(what)s") % {"what": ", ".join(dict.fromkeys(named))}
    if not statements:
        return _("sent a call")
    kinds = {
        "snapshot": _("the whole order"),
        "transition": _("a step we make nothing of"),
        "eta": _("a new time"),
        "contents": _("what is in the order"),
        "note": _("a note"),
    }
    what = ", ".join(dict.fromkeys(kinds.get(o.kind, o.kind) for o in statements))
    times = dict.fromkeys(word for o in statements for word in _times(o, tz) if o.kind == "eta")
    text = _("sends %(what)s") % {"what": what}
    return f"{text}: {', '.join(times)}" if times else text


def _times(observation: Observation, tz: ZoneInfo) -> list[str]:
    return times_said(observation.data, tz, observation.received_at)


def _statement(observation: Observation, tz: ZoneInfo) -> str:
    scope = observation.scope if not observation.ref else f"{observation.scope} {observation.ref}"
    word = phrases.state_word(observation.state).lower() if observation.state else _("no state")
    native = observation.native_state or observation.kind
    text = f"{observation.track}, {scope}: {native} → {word}"
    if observation.occurred_at and observation.occurred_at_basis != "arrival":
        text = f"{text} ({_second(observation.occurred_at, tz)})"
    return ", ".join([text, *_times(observation, tz)])


def _about(event: OrderEvent, tz: ZoneInfo) -> Iterable[str]:
    if abs((event.recorded_at - event.occurred_at).total_seconds()) >= 1:
        yield _("Happened at %(time)s.") % {"time": _second(event.occurred_at, tz)}
    before, estimate = event.data.get("previous"), instant(event.data.get("estimate"))
    if event.kind == "status_changed":
        if before:
            state = phrases.state_word(str(before)).lower()
            yield _("Before: %(state)s.") % {"state": state}
    elif estimate and (was := instant(before)):
        times = {"new": f"{estimate.astimezone(tz):%H:%M}", "old": f"{was.astimezone(tz):%H:%M}"}
        yield _("%(new)s instead of %(old)s.") % times
    elif estimate:
        yield f"{estimate.astimezone(tz):%H:%M}."
    if event.kind == "eta_changed" and event.account:
        yield _("Said by %(who)s.") % {"who": event.account.name}
    if event.data.get("late_min"):
        yield _("%(n)d min later than first said.") % {"n": event.data["late_min"]}
    if event.epoch:
        yield ngettext(
            "Reopened %(n)d time before.", "Reopened %(n)d times before.", event.epoch
        ) % {"n": event.epoch}
