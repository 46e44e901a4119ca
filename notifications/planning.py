"""From an order event to decisions: who is told, where, when, and why (or why not).

``plan`` reads and decides; ``outbox.insert`` writes what it decided. The preview in admin and
API calls ``plan`` alone, so it cannot differ from what really happens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings

from consents import policy
from consents import selectors as consent_selectors
from notifications import routing
from notifications.outbox import lane_rows
from notifications.plans import Occasion, PlannedDelivery, PlannedNotification, settle_with_lane
from notifications.routing import EventFacts
from notifications.selectors import AccountView, RestaurantConfig, RouteView, restaurant_config
from notifications.telling import told_by_source
from orders.models import Order, OrderEvent


def plan_event(*, event: OrderEvent, order: Order, now: datetime) -> list[PlannedNotification]:
    """Decide about a recorded event."""
    if event.is_stale:
        return []
    facts = EventFacts(
        kind=event.kind,
        milestone=event.milestone,
        held=event.held,
        audience=str(event.data.get("audience") or ""),
        location_id=order.location_id,
        fulfillment=order.fulfillment,
        source=event.source,
        late_min=int(event.data.get("late_min") or 0),
        data=event.data,
    )
    silent = told_by_source(event.account_id) if event.account_id else frozenset[str]()
    return plan(order=order, facts=facts, occurred_at=event.occurred_at, now=now, silent=silent)


def plan(
    *,
    order: Order,
    facts: EventFacts,
    occurred_at: datetime,
    now: datetime,
    silent: frozenset[str] = frozenset(),
) -> list[PlannedNotification]:
    """Decide who would be told ``facts`` about ``order``. Reads, never writes."""
    config = restaurant_config(order.restaurant_id)
    matches = routing.match(config.routes, facts)
    if not matches:
        return []
    occasion = Occasion(order, facts, occurred_at, now, config)
    snapshots = _snapshots(occasion, [route for route, _ in matches])
    if order.pk and any(_needs_lane(route, config) for route, _ in matches):
        occasion = Occasion(order, facts, occurred_at, now, config, lane_rows(order.pk, now))
    planned: list[PlannedNotification] = []
    for route, why in matches:
        planned += _plan_route(occasion, route, why, snapshots, silent)
    return planned


def _needs_lane(route: RouteView, config: RestaurantConfig) -> bool:
    return bool(route.steps) and bool(config.accounts)


Snapshots = Mapping[str, Sequence[tuple[UUID, policy.AddressSnapshot]]]


def _snapshots(occasion: Occasion, routes: Iterable[RouteView]) -> Snapshots:
    """Per audience the (subject, address) pairs with what the ledger says, in one read."""
    order = occasion.order
    audiences = {route.audience for route in routes}
    subjects = [order.subject_id] if "customer" in audiences and order.subject_id else []
    groups = [
        kind
        for kind in ("staff", "partner")
        if any(r.audience == kind and _reaches_people(r, occasion.config) for r in routes)
    ]
    if not subjects and not groups:
        return {}
    found = consent_selectors.audience_snapshots(
        subject_ids=subjects, sender_group_id=occasion.config.sender_group_id, groups=groups
    )
    if "customer" in found:
        found["customer"] = [pair for pair in found["customer"] if _is_of_order(pair[1], order)]
    return found


def _is_of_order(snapshot: policy.AddressSnapshot, order: Order) -> bool:
    """Whether this address is the one the order was placed with, where the order names one.

    A guest may have given another number last month; channels the order says nothing about (a
    linked chat, a browser) belong to the guest and count for every order.
    """
    named = (order.detail.get("contact") or {}).get("addresses") or {}
    return named.get(snapshot.channel) in (None, snapshot.address_id)


def _reaches_people(route: RouteView, config: RestaurantConfig) -> bool:
    """Whether a step of this route goes to an address and not to a team chat."""
    chats = {a.channel for a in config.accounts if a.account_is_address}
    return any(step["channel"] not in chats for step in route.steps)


def _plan_route(
    occasion: Occasion,
    route: RouteView,
    why: Sequence[str],
    snapshots: Snapshots,
    silent: frozenset[str],
) -> list[PlannedNotification]:
    people: dict[UUID, list[policy.AddressSnapshot]] = {}
    for subject_id, snapshot in snapshots.get(route.audience, ()):
        people.setdefault(subject_id, []).append(snapshot)
    planned = []
    for subject_id, addresses in people.items():
        note = _new(occasion, route, f"subject:{subject_id}", subject_id, why)
        if route.audience == "customer" and not _may_tell_customer(occasion, note, silent):
            planned.append(note)
            continue
        _plan_steps(occasion, note, addresses)
        planned.append(note)
    if route.audience == "customer" and not people:
        note = _new(occasion, route, "subject:none", None, why)
        note.note("recipient", "dropped", "no source gave a contact for this order")
        planned.append(note)
    planned += _plan_chats(occasion, route, why)
    for note in planned:
        settle_with_lane(occasion, note)
    return planned


def _new(
    occasion: Occasion,
    route: RouteView,
    recipient_key: str,
    subject_id: UUID | None,
    why: Sequence[str],
) -> PlannedNotification:
    trigger = occasion.facts.trigger
    note = PlannedNotification(
        audience=route.audience,
        route=route,
        recipient_key=recipient_key,
        subject_id=subject_id,
        expires_at=max(occasion.occurred_at, occasion.now - timedelta(hours=1))
        + routing.lifetime(trigger),
        is_urgent=routing.is_urgent(trigger),
    )
    note.note("route", "matched", f"{route.name} ({', '.join(why)})")
    return note


def _may_tell_customer(
    occasion: Occasion, note: PlannedNotification, silent: frozenset[str]
) -> bool:
    if occasion.order.contact_kind not in ("", "direct"):
        note.note(
            "recipient", "dropped", f"the contact is {occasion.order.contact_kind}, not the guest's"
        )
        return False
    if occasion.facts.milestone in silent:
        note.note("recipient", "dropped", "the source tells the guest this milestone itself")
        return False
    return True


def _plan_steps(
    occasion: Occasion, note: PlannedNotification, addresses: Sequence[policy.AddressSnapshot]
) -> None:
    for index, step in enumerate(note.route.steps):
        when = step.get("when", "now")
        if when == "otherwise" and any(not d.is_waiting for d in note.deliveries):
            note.note(f"step {index + 1}", "not needed", f"{step['channel']} is only a fallback")
            continue
        _plan_step(occasion, note, index, step, addresses)


def _plan_step(
    occasion: Occasion,
    note: PlannedNotification,
    index: int,
    step: Mapping[str, Any],
    addresses: Sequence[policy.AddressSnapshot],
) -> None:
    label = f"step {index + 1}"
    channel = step["channel"]
    wanted = occasion.facts.data.get("address_id") if channel == "reply" else None
    if channel == "reply":
        channel = str(occasion.facts.data.get("channel") or "sms")
    usable = [
        a for a in addresses if a.channel == channel and (wanted is None or a.address_id == wanted)
    ]
    account = _account(occasion, step, channel)
    if not usable:
        note.note(label, "dropped", f"no {channel} address")
        return
    if account is None:
        note.note(label, "dropped", f"no working {channel} account")
        return
    for snapshot in usable:
        due = _decide(occasion, note, label, channel, snapshot)
        if due is not None:
            note.deliveries.append(
                _delivery(
                    occasion, note, index, step, account, channel, due,
                    lane=f"{occasion.order.pk}:{snapshot.address_id}",
                    address_id=snapshot.address_id,
                )
            )  # fmt: skip


def _account(occasion: Occasion, step: Mapping[str, Any], channel: str) -> AccountView | None:
    wanted = step.get("account") or occasion.facts.data.get("account_id")
    usable = occasion.config.accounts_for(channel, occasion.now)
    return next((a for a in usable if a.id == wanted), usable[0] if usable else None)


def _decide(
    occasion: Occasion,
    note: PlannedNotification,
    label: str,
    channel: str,
    snapshot: policy.AddressSnapshot,
) -> datetime | None:
    """Ask the ledger; None = dropped, else the moment it may go."""
    decision = policy.decide(
        consent_facts(
            occasion.config,
            channel=channel,
            purpose=note.route.purpose,
            kind=occasion.facts.kind,
            milestone=occasion.facts.milestone,
            order_ref=str(occasion.order.public_id),
            is_critical=note.route.critical,
            audience=note.audience,
            expires_at=note.expires_at,
            fulfil_at=occasion.fulfil_at,
            location_id=occasion.order.location_id,
        ),
        snapshot,
        consent_selectors.active_packs(occasion.now),
        occasion.now,
    )
    where = f"{channel} {snapshot.masked}"
    if decision.verdict == "drop":
        note.note(label, "dropped", f"{where}: {decision.code} ({decision.policy_version})")
        return None
    if decision.verdict == "delay" and decision.until is not None:
        note.note(label, "delayed", f"{where}: {decision.code} until {decision.until:%H:%M}Z")
        return decision.until
    note.note(label, "allowed", f"{where}: {decision.basis or decision.code}")
    return occasion.now


def consent_facts(
    config: RestaurantConfig,
    *,
    channel: str,
    purpose: str,
    kind: str,
    milestone: str,
    order_ref: str,
    is_critical: bool,
    audience: str,
    expires_at: datetime,
    fulfil_at: datetime | None,
    location_id: int | None,
) -> policy.MessageFacts:
    """What the ledger is asked; planning and dispatch ask the same question."""
    place = config.locations.get(location_id or 0)
    return policy.MessageFacts(
        channel=channel,
        purpose=purpose,
        # the ledger knows answers by their own names: some are owed even after a STOP
        event_kind=milestone.partition(":")[0] if kind == "reply" else kind,
        milestone=milestone,
        order_ref=order_ref,
        is_critical=is_critical,
        audience=audience,
        expires_at=expires_at,
        due_at=fulfil_at,
        country=config.country,
        timezone=place.timezone if place else config.timezone,
    )


def _plan_chats(
    occasion: Occasion, route: RouteView, why: Sequence[str]
) -> list[PlannedNotification]:
    """One notification per team chat: there the account is the recipient."""
    chats: dict[int, PlannedNotification] = {}
    for index, step in enumerate(route.steps):
        for account in occasion.config.accounts_for(step["channel"], occasion.now):
            if not account.account_is_address:
                continue
            if step.get("account") not in (None, account.id):
                continue
            note = chats.get(account.id)
            if note is None:
                note = chats[account.id] = _new(occasion, route, f"account:{account.id}", None, why)
                note.note(f"step {index + 1}", "allowed", f"{account.name}: work tool")
            note.deliveries.append(
                _delivery(
                    occasion, note, index, step, account, account.channel, occasion.now,
                    lane=f"{occasion.order.pk}:a{account.id}",
                )
            )  # fmt: skip
    return list(chats.values())


def _delivery(
    occasion: Occasion,
    note: PlannedNotification,
    index: int,
    step: Mapping[str, Any],
    account: AccountView,
    channel: str,
    allowed_from: datetime,
    *,
    lane: str,
    address_id: int | None = None,
) -> PlannedDelivery:
    settle = routing.settle_s(
        occasion.facts.trigger, calm_s=settings.SETTLE_S, parts_s=settings.SETTLE_PARTS_S
    )
    due_at = max(allowed_from, occasion.now + timedelta(seconds=settle))
    is_waiting = step.get("when") in ("if_not_delivered", "if_not_acknowledged")
    if is_waiting:
        due_at = occasion.now + timedelta(seconds=int(step.get("after_s") or 120))
    return PlannedDelivery(
        account=account,
        channel=channel,
        step=index,
        lane=lane,
        due_at=due_at,
        address_id=address_id,
        is_waiting=is_waiting,
    )


def plan_next_step(
    *, order: Order, event: OrderEvent, route: RouteView, subject_id: UUID | None,
    audience: str, expires_at: datetime, after_step: int, now: datetime,
) -> PlannedNotification:  # fmt: skip
    """Decide about the fallback steps behind ``after_step``: consent is asked afresh."""
    config = restaurant_config(order.restaurant_id)
    facts = EventFacts(
        kind=event.kind,
        milestone=event.milestone,
        location_id=order.location_id,
        fulfillment=order.fulfillment,
        source=event.source,
        data=event.data,
    )
    occasion = Occasion(order, facts, event.occurred_at, now, config)
    note = PlannedNotification(
        audience=audience,
        route=route,
        recipient_key="",
        subject_id=subject_id,
        expires_at=expires_at,
        is_urgent=True,
    )
    if subject_id is None:
        return note
    found = consent_selectors.audience_snapshots(
        subject_ids=[subject_id], sender_group_id=config.sender_group_id, groups=[]
    )
    addresses = [
        snapshot
        for pairs in found.values()
        for _, snapshot in pairs
        if audience != "customer" or _is_of_order(snapshot, order)
    ]
    for index, step in enumerate(route.steps):
        if index > after_step and step.get("when") == "otherwise" and not note.deliveries:
            _plan_step(occasion, note, index, step, addresses)
    return note
