"""Why may we (not) write to them? Every decision about an address, rule by rule. Changes nothing.

It stands here because it asks the question that planning asks, about routes and orders.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from consents.admin_words import code_word, purpose_word, rule_word, verdict_word
from consents.console import ConsoleAdmin
from consents.models import ConsentEvent, ContactAddress, Subject
from consents.policy import AddressSnapshot, Decision
from consents.selectors import load_snapshots
from notifications import why
from notifications.selectors import restaurant_config
from notifications.triggers import trigger_word
from notifications.words import channel_word
from orders import phrases
from orders.models import Order, Restaurant

_MODELS: dict[str, type[Model]] = {
    "address": ContactAddress,
    "subject": Subject,
    "order": Order,
}
_TONES = {"allow": "good", "pass": "good", "delay": "warn", "drop": "bad", "skip": "quiet"}
#: addresses one page explains
_MOST = 12


@dataclass(slots=True)
class Case:
    """One decision, and all news it is about."""

    news: list[str]
    decision: Decision
    until: str = ""
    events: list[ConsentEvent] = field(default_factory=list)

    @property
    def tone(self) -> str:
        return _TONES[self.decision.verdict]

    @property
    def verdict(self) -> str:
        return verdict_word(self.decision.verdict)

    @property
    def reason(self) -> str:
        return code_word(self.decision.code)

    @property
    def basis(self) -> str:
        """What a message that may go rests on; what one that may not go would need."""
        word = code_word(self.decision.basis) if self.decision.basis else ""
        if word and self.decision.verdict == "drop":
            return _("needed: %(what)s") % {"what": word}
        return word

    @property
    def rules(self) -> list[tuple[str, str, str, str]]:
        """(question, tone, verdict, why) of each rule, in the order they were asked."""
        return [
            (rule_word(r["rule"]), _TONES[r["verdict"]], verdict_word(r["verdict"]), _why(r["why"]))
            for r in self.decision.rules
        ]


def _why(text: str) -> str:
    code, _sep, rest = text.partition(" beyond ")
    return f"{code_word(code)}, {_('later than it is news')}" if rest else code_word(text)


@dataclass(frozen=True, slots=True)
class Section:
    """One person at one address."""

    address: ContactAddress
    channel: str
    subject: Subject | None
    cases: list[Case]


def why_page(request: HttpRequest, what: str, pk: str) -> HttpResponse:
    """The page for an address, a person or the guest of an order; 404 for other people's rows."""
    row = _visible(request, what, pk)
    now = timezone.now()
    order = row if isinstance(row, Order) else None
    pairs = _pairs(row)
    context = {
        **admin.site.each_context(request),
        "title": _heading(row),
        "row": row,
        "back": _back(row),
        "sections": _sections(pairs, _restaurant(row), order, now),
        "left": max(0, len(pairs) - _MOST),
    }
    return TemplateResponse(request, "admin/console/why.html", context)


def _visible(request: HttpRequest, what: str, pk: str) -> Any:
    model = _MODELS.get(what)
    page = admin.site._registry.get(model) if model is not None else None
    if not isinstance(page, ConsoleAdmin) or not page.has_module_permission(request):
        raise Http404
    try:
        row = page.visible(request).filter(pk=pk).first()
    except (ValueError, ValidationError):
        raise Http404 from None
    if row is None:
        raise Http404
    return row


def _heading(row: Any) -> str:
    if isinstance(row, ContactAddress):
        return _("Why may we (not) write to %(whom)s?") % {"whom": row.masked}
    if isinstance(row, Order):
        return _("Why may we (not) write to the guest of %(order)s?") % {"order": row}
    return _("Why may we (not) write to %(whom)s?") % {"whom": row.name or _("this person")}


def _back(row: Any) -> str:
    return f"admin:{row._meta.app_label}_{row._meta.model_name}_change"


def _restaurant(row: Any) -> Restaurant:
    if isinstance(row, Order):
        return row.restaurant
    found = Restaurant.objects.filter(sender_group=row.sender_group_id).order_by("pk").first()
    if found is None:
        raise Http404
    return found


def _pairs(row: Any) -> list[tuple[UUID | None, ContactAddress]]:
    if isinstance(row, ContactAddress):
        return [(subject, row) for subject in why.people_of(row.pk)]
    subject = row.subject if isinstance(row, Order) else row
    if subject is None:
        return []
    addresses = subject.addresses.defer("value").order_by("channel", "-generation")
    return [(subject.pk, address) for address in addresses]


def _sections(
    pairs: list[tuple[UUID | None, ContactAddress]],
    restaurant: Restaurant,
    order: Order | None,
    now: datetime,
) -> list[Section]:
    config = restaurant_config(restaurant.pk)
    shown = pairs[:_MOST]
    snapshots = load_snapshots([(subject, address.pk) for subject, address in shown])
    people = Subject.objects.in_bulk({subject for subject, _a in shown if subject is not None})
    asked = why.questions(config, order)
    sections = []
    for subject, address in shown:
        seen: AddressSnapshot = snapshots[subject, address.pk]
        answers = why.answers(asked, seen, config=config, now=now, order=order)
        cases = _cases(answers, restaurant.timezone, now)
        person = people.get(subject) if subject is not None else None
        sections.append(Section(address, channel_word(address.channel), person, cases))
    _name_events(case for section in sections for case in section.cases)
    return sections


def _cases(answers: Iterable[why.Answer], zone: str, now: datetime) -> list[Case]:
    """Alike decisions are one case; the page is read by people."""
    cases: dict[Any, Case] = {}
    for answer in answers:
        made = answer.decision
        rules = tuple(tuple(rule.items()) for rule in made.rules)
        key = (made.verdict, made.code, made.until, made.policy_version, made.basis, rules)
        news = (
            trigger_word(answer.question.trigger)
            if answer.question.trigger
            else purpose_word(answer.question.purpose)
        )
        if key in cases:
            cases[key].news.append(news)
            continue
        until = phrases.clock(made.until, phrases.zone(zone), now) if made.until else ""
        cases[key] = Case([news], made, until)
    return list(cases.values())


def _name_events(cases: Iterable[Case]) -> None:
    listed = list(cases)
    ids = {pk for case in listed for pk in case.decision.event_ids}
    events = ConsentEvent.objects.in_bulk(ids)
    for case in listed:
        case.events = [events[pk] for pk in case.decision.event_ids if pk in events]
