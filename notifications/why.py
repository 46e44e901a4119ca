"""Why a message may go or may not: the decision as it would fall now, rule by rule.

Reads only. The question is built by ``asking.consent_facts``, as planning and dispatch build it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from consents import policy
from consents import selectors as consent_selectors
from consents.models import Purpose, SubjectAddress
from notifications import asking, routing
from notifications.routing import EventFacts
from notifications.selectors import RestaurantConfig, RouteView
from notifications.triggers import route_triggers
from orders.models import Order

#: what no route of an order sends, and people ask about all the same
PROMOTIONAL = (Purpose.MARKETING, Purpose.FEEDBACK)


@dataclass(frozen=True, slots=True)
class Question:
    """One message that might be sent: what for, about what."""

    purpose: str
    #: as in Route.triggers; "" = about no event
    trigger: str = ""
    is_critical: bool = False
    audience: str = "customer"


@dataclass(frozen=True, slots=True)
class Answer:
    """What was asked, and what ``decide`` says."""

    question: Question
    decision: policy.Decision


def decide_now(
    question: Question,
    snapshot: policy.AddressSnapshot,
    *,
    config: RestaurantConfig,
    now: datetime,
    order: Order | None = None,
) -> policy.Decision:
    """What would be decided about this message to this address at ``now``."""
    kind, _sep, milestone = question.trigger.partition(":")
    fulfil_at = None
    if order is not None:
        fulfil_at = order.est_delivery_at or order.est_ready_at or order.promised_at
    location_id = order.location_id if order else None
    facts = asking.consent_facts(
        config,
        channel=snapshot.channel,
        purpose=question.purpose,
        kind=kind,
        milestone=milestone,
        order_ref=str(order.public_id) if order else "",
        is_critical=question.is_critical,
        audience=question.audience,
        expires_at=now + routing.lifetime(question.trigger),
        fulfil_at=fulfil_at,
        location_id=location_id,
        has_template=_has_template(question, snapshot.channel, config, location_id, now),
    )
    return policy.decide(facts, snapshot, consent_selectors.active_packs(now), now)


def _has_template(
    question: Question,
    channel: str,
    config: RestaurantConfig,
    location_id: int | None,
    now: datetime,
) -> bool:
    if not any(account.can_begin for account in config.accounts_for(channel, now)):
        return False
    words = config.template(
        trigger=question.trigger,
        audience=question.audience,
        channel=channel,
        language=config.language,
        location_id=location_id,
    )
    return words is not None and bool(words.vendor_template)


def questions(config: RestaurantConfig, order: Order | None = None) -> list[Question]:
    """Everything guests of this restaurant are told, and what might be advertised to them."""
    told = [
        Question(route.purpose, trigger, route.critical)
        for trigger, _word in route_triggers()
        if (route := _route(config.routes, trigger, order)) is not None
    ]
    return [*told, *(Question(purpose) for purpose in PROMOTIONAL)]


def _route(routes: Sequence[RouteView], trigger: str, order: Order | None) -> RouteView | None:
    kind, _sep, milestone = trigger.partition(":")
    facts = EventFacts(
        kind=kind,
        milestone=milestone,
        audience="customer",
        location_id=order.location_id if order else None,
        fulfillment=order.fulfillment if order else "",
    )
    return next((route for route, _why in routing.match(routes, facts)), None)


def answers(
    asked: Iterable[Question],
    snapshot: policy.AddressSnapshot,
    *,
    config: RestaurantConfig,
    now: datetime,
    order: Order | None = None,
) -> list[Answer]:
    """The decision about each question, in their order."""
    return [
        Answer(one, decide_now(one, snapshot, config=config, now=now, order=order)) for one in asked
    ]


def people_of(address_id: int) -> list[UUID | None]:
    """Who is reached at an address, the latest first; [None] for nobody we know."""
    links = SubjectAddress.objects.filter(address_id=address_id).order_by("-pk")
    return list(links.values_list("subject_id", flat=True)[:5]) or [None]
