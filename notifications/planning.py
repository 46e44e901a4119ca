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
from notifications import asking, routing
from notifications.outbox import lane_rows
from notifications.plans import Occasion, PlannedDelivery, PlannedNotification, settle_with_lane
from notifications.routing import EventFacts
from notifications.selectors import AccountView, RestaurantConfig, RouteView, restaurant_config
from notifications.telling import told_by_source
from orders.models import Order, OrderEvent
from orders.selectors import sources_of


def plan_event(
    *, event: OrderEvent, order: Order, now: datetime, audience: str = ""
) -> list[PlannedNotification]:
    """Decide about a recorded event, for one ``audience`` or for all."""
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
    at = event.occurred_at
    return plan(order=order, facts=facts, occurred_at=at, now=now, silent=silent, audience=audience)


def plan(
    *,
    order: Order,
    facts: EventFacts,
    occurred_at: datetime,
    now: datetime,
    silent: frozenset[str] = frozenset(),
    audience: str = "",
) -> list[PlannedNotification]:
    """Decide who would be told ``facts`` about ``order``. Reads, never writes."""
    config = restaurant_config(order.restaurant_id)
    matches = routing.match(config.routes, facts)
    matches = [m for m in matches if audience in ("", m[0].audience)]
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
    return any(not _goes_to_accounts(step, config) for step in route.steps)


def _is_beside_the_point(
    step: Mapping[str, Any], occasion: Occasion, note: PlannedNotification
) -> bool:
    """A way this restaurant has no account for, beside others: not worth a line of the trace."""
    have = {account.channel for account in occasion.config.accounts} | {"reply"}
    others = {other["channel"] for other in note.route.steps}
    return step["channel"] not in have and not others.isdisjoint(have)


def _goes_to_accounts(step: Mapping[str, Any], config: RestaurantConfig) -> bool:
    """Whether the step's accounts are the address themselves: there are no people to look for."""
    accounts = [a for a in config.accounts if a.channel == step["channel"]]
    return bool(accounts) and all(a.account_is_address for a in accounts)


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
        if _goes_to_accounts(step, occasion.config) or _is_beside_the_point(step, occasion, note):
            continue
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
    accounts = _accounts(occasion, step, channel)
    pairs = _reachable(accounts, [a for a in addresses if wanted in (None, a.address_id)])
    if not pairs:
        is_account_missing = not accounts and any(a.channel == channel for a in addresses)
        why = f"no working {channel} account" if is_account_missing else f"no {channel} address"
        note.note(label, "dropped", why)
        return
    for account, snapshot in pairs:
        due = asking.ask(occasion, note, label, channel, account, snapshot)
        if due is not None:
            lane = f"{occasion.order.pk}:{snapshot.address_id}"
            if snapshot.channel != channel:
                # a ticket or CRM event and a mail to one mailbox do not wait for each other
                lane = f"{lane}:{channel}"
            note.deliveries.append(
                _delivery(
                    occasion, note, index, step, account, channel, due,
                    lane=lane, address_id=snapshot.address_id,
                )
            )  # fmt: skip


def _accounts(occasion: Occasion, step: Mapping[str, Any], channel: str) -> list[AccountView]:
    """The working accounts of a channel, the one to try first first."""
    wanted = step.get("account") or occasion.facts.data.get("account_id")
    usable = occasion.config.accounts_for(channel, occasion.now)
    return sorted(usable, key=lambda account: account.id != wanted)


def _reachable(
    accounts: Sequence[AccountView], addresses: Sequence[policy.AddressSnapshot]
) -> list[tuple[AccountView, policy.AddressSnapshot]]:
    """Who reaches which address: of several kinds of address a person is reached by one.

    A chat or device is known to one account only; anything else goes to the first that can.
    """
    for kind in dict.fromkeys(kind for account in accounts for kind in account.address_channels):
        found = []
        for snapshot in addresses:
            able = (a for a in accounts if a.reaches(kind, snapshot.bound_to))
            if snapshot.channel == kind and (account := next(able, None)) is not None:
                found.append((account, snapshot))
        if found:
            return found
    return []


def _plan_chats(
    occasion: Occasion, route: RouteView, why: Sequence[str]
) -> list[PlannedNotification]:
    """One notification per team chat: there the account is the recipient."""
    chats: dict[int, PlannedNotification] = {}
    for index, step in enumerate(route.steps):
        for account in occasion.config.accounts:
            # one that only pauses is told when it goes on: nobody else reaches this recipient
            if account.channel != step["channel"] or account.is_stopped:
                continue
            if not account.account_is_address:
                continue
            if step.get("account") not in (None, account.id):
                continue
            note = chats.get(account.id)
            if note is None:
                note = chats[account.id] = _new(occasion, route, f"account:{account.id}", None, why)
            if account.of_source and not _is_of(occasion, account.of_source):
                why_not = f"{account.name}: not an order of {account.of_source}"
                note.note(f"step {index + 1}", "dropped", why_not)
                continue
            note.note(f"step {index + 1}", "allowed", f"{account.name}: work tool")
            note.deliveries.append(
                _delivery(
                    occasion, note, index, step, account, account.channel, occasion.now,
                    lane=f"{occasion.order.pk}:a{account.id}",
                )
            )  # fmt: skip
    return list(chats.values())


def _is_of(occasion: Occasion, source: str) -> bool:
    """Whether this source knows the order; of a new order only the event says so yet."""
    return source == occasion.facts.source or source in sources_of(occasion.order)


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
    # news that may be taken back in a moment says itself how long it waits
    settle = max(settle, int(occasion.facts.data.get("wait_s") or 0))
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
