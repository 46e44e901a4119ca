"""Words only a person can answer go to the staff, with the conversation around them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from consents.models import ContactAddress
from notifications import outbox, routing
from notifications.claims import Row
from notifications.models import Delivery, DeliveryState, InboundMessage, Notification
from notifications.routing import EventFacts
from notifications.selectors import AccountView, RestaurantConfig, RouteView
from notifications.words import event_words

KIND = "customer_message"
#: how far back a conversation is shown, and how much of it
LOOK_BACK = timedelta(hours=24)
_MOST_LINES = 6
_LONGEST_LINE = 500


def tell_staff(*, message: InboundMessage, config: RestaurantConfig, now: datetime) -> int:
    """Queue ``message`` to whatever the staff routes for it name; returns how many rows.

    A chat shows the words; a helpdesk gets a ticket of the person who wrote, with an internal
    note. Call it inside the transaction that stores the message.
    """
    order = message.order
    facts = EventFacts(
        kind=KIND,
        milestone=f"message:{message.pk}",
        audience="staff",
        location_id=order.location_id if order else None,
        fulfillment=order.fulfillment if order else "",
        source=str(order.detail.get("source") or "") if order else "",
    )
    rows: list[Delivery] = []
    for route, why in routing.match(config.routes, facts):
        rows += _queue(message, route, why, config, now)
    outbox.ring_on_commit(row.account_id for row in rows if row.state == DeliveryState.QUEUED)
    return len(rows)


def _queue(
    message: InboundMessage,
    route: RouteView,
    why: Sequence[str],
    config: RestaurantConfig,
    now: datetime,
) -> list[Delivery]:
    expires_at = now + routing.lifetime(KIND)
    found = []
    for index, account, address in _ways(message, route, config, now):
        step = route.steps[index]
        is_waiting = step.get("when") in ("if_not_delivered", "if_not_acknowledged")
        notification = Notification.objects.create(
            id=uuid4(),
            restaurant_id=config.id,
            order=message.order,
            route_id=route.id,
            audience="staff",
            recipient_key=f"account:{account.id}",
            kind=KIND,
            milestone=f"message:{message.pk}",
            purpose="staff_ops",
            is_urgent=True,
            trace=[
                {"step": "route", "verdict": "matched", "why": f"{route.name} ({', '.join(why)})"},
                {"step": f"step {index + 1}", "verdict": "allowed", "why": f"{account.name}"},
            ],
            expires_at=expires_at,
            created_at=now,
        )
        found.append(
            Delivery.objects.create(
                notification=notification,
                # a helpdesk opens the ticket of whoever wrote; a chat needs no address
                address=address,
                account_id=account.id,
                channel=account.channel,
                step=index,
                state=DeliveryState.WAITING if is_waiting else DeliveryState.QUEUED,
                lane=_lane(message, account, address),
                due_at=now + timedelta(seconds=int(step.get("after_s") or 120) * is_waiting),
                expires_at=expires_at,
                created_at=now,
            )
        )
    return found


def _ways(
    message: InboundMessage, route: RouteView, config: RestaurantConfig, now: datetime
) -> Iterator[tuple[int, AccountView, ContactAddress | None]]:
    """(step, account, address there) for everything the route names that can take the words."""
    for index, step in enumerate(route.steps):
        for account in config.accounts_for(step["channel"], now):
            if step.get("account") not in (None, account.id) or account.id == message.account_id:
                continue
            if account.account_is_address:
                yield index, account, None
            elif (address := _known_as(message, account)) is not None:
                yield index, account, address
                break


def _known_as(message: InboundMessage, account: AccountView) -> ContactAddress | None:
    """Under which address the account knows whoever wrote: theirs, else another of the order's.

    None for an account that writes to addresses of its own kind: the guest would get the note.
    """
    mine, order = message.address, message.order
    if mine is None or account.channel in account.address_channels:
        return None
    if account.reaches(mine.channel, mine.bound_to):
        return mine
    if order is None or order.subject is None:
        return None
    named = (order.detail.get("contact") or {}).get("addresses") or {}
    return next(
        (
            one
            for one in order.subject.addresses.order_by("pk")
            if account.reaches(one.channel, one.bound_to)
            and named.get(one.channel) in (None, one.pk)
        ),
        None,
    )


def _lane(message: InboundMessage, account: AccountView, address: ContactAddress | None) -> str:
    """The lane of the order's other news there, so that they share a thread or a ticket."""
    if message.order_id is None:
        return f"message:{message.pk}"
    if address is None:
        return f"{message.order_id}:a{account.id}"
    return f"{message.order_id}:{address.pk}:{account.channel}"


def fill_in(rows: Sequence[Row]) -> None:
    """Give rows of this kind what was said: the words and what came before. 4 queries a row."""
    for row in rows:
        if row.kind == KIND:
            row.event_data = _conversation(row.milestone.partition(":")[2])


def _conversation(message_id: str) -> dict[str, Any]:
    found = InboundMessage.objects.select_related("address", "account").filter(pk=message_id)
    message = found.first()
    if message is None:
        return {"detail": "", "conversation": []}
    said = [
        {"from": "customer", "text": one.text[:_LONGEST_LINE], "at": one.received_at}
        for one in InboundMessage.objects.filter(
            address=message.address_id,
            account__restaurant=message.account.restaurant_id,
            received_at__range=(message.received_at - LOOK_BACK, message.received_at),
        ).order_by("-received_at")[:_MOST_LINES]
        if message.address_id is not None or one.pk == message.pk
    ]
    said += [
        {"from": "us", "text": event_words(one.notification.kind, one.notification.milestone, {}),
         "at": one.settled_at}
        for one in Delivery.objects.filter(
            address=message.address_id,
            state__in=[DeliveryState.ACCEPTED, DeliveryState.DELIVERED, DeliveryState.READ],
            settled_at__range=(message.received_at - LOOK_BACK, message.received_at),
        ).exclude(address=None).select_related("notification").order_by("-settled_at")[:_MOST_LINES]
    ]  # fmt: skip
    said.sort(key=lambda line: line["at"])
    return {
        "detail": message.text[:_LONGEST_LINE],
        "sender": message.address.masked if message.address else "",
        "channel": message.channel,
        "conversation": [{**line, "at": line["at"].isoformat()} for line in said[-_MOST_LINES:]],
    }
