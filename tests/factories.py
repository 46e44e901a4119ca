"""Rows for tests, as small as they can be. Every argument has a default; `now` never does.

They insert what intake, planning and dispatch would have written; nothing here decides anything.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User

from consents.addresses import address_hash
from consents.encryption import keyed_hash
from consents.models import ContactAddress, SenderGroup, Subject, SubjectAddress
from integrations.contracts import TERMINAL
from integrations.contracts import Observation as SourceObservation
from integrations.registry import provider_class
from notifications.models import Attempt, Delivery, Notification, ProviderAccount, Receipt
from orders.models import (
    InboundCall,
    Item,
    Location,
    Membership,
    Observation,
    Order,
    OrderAlias,
    OrderEvent,
    Part,
    Restaurant,
    SourceAccount,
)

_numbers = itertools.count(1)
_STATED = (
    *("event_key", "track", "scope", "ref", "ordering_class", "ordering_key"),
    *("kind", "native_state", "state"),
)


def make_restaurant(**fields: Any) -> Restaurant:
    """A restaurant in New York with a sender group of its own."""
    number = next(_numbers)
    fields.setdefault("name", f"Lucky Bowl {number}")
    fields.setdefault("slug", f"lucky-bowl-{number}")
    fields.setdefault("phone", "+12125550100")
    if "sender_group" not in fields:
        fields["sender_group"] = SenderGroup.objects.create(
            name=fields["name"], country=fields.get("country", "US"), phone=fields["phone"]
        )
    return Restaurant.objects.create(**fields)


def make_location(restaurant: Restaurant | None = None, **fields: Any) -> Location:
    """A kitchen of ``restaurant`` (default: of a new one) that sources call "L1"."""
    fields.setdefault("name", "Main Street")
    fields.setdefault("external_ids", ["L1"])
    return Location.objects.create(restaurant=restaurant or make_restaurant(), **fields)


def make_manager(restaurant: Restaurant | None = None, **fields: Any) -> User:
    """A staff user who manages ``restaurant`` (None: no restaurant at all). Password "pass"."""
    fields.setdefault("username", f"manager{next(_numbers)}")
    fields.setdefault("is_staff", True)
    user = get_user_model().objects.create_user(password="pass", **fields)
    if restaurant is not None:
        Membership.objects.create(user=user, restaurant=restaurant)
    return user


def make_source_account(
    restaurant: Restaurant | None = None, *, source: str = "cloudevents", **fields: Any
) -> SourceAccount:
    """An enabled sandbox account at ``source``."""
    fields.setdefault("name", f"{source} {next(_numbers)}")
    fields.setdefault("settings", {"secret": "test-secret"})
    return SourceAccount.objects.create(
        restaurant=restaurant or make_restaurant(), source=source, **fields
    )


def make_provider_account(
    restaurant: Restaurant | None = None, *, provider: str = "console", **fields: Any
) -> ProviderAccount:
    """An enabled sandbox account at ``provider``, for the provider's channel unless given."""
    fields.setdefault("name", f"{provider} {next(_numbers)}")
    if "channel" not in fields:
        fields["channel"] = provider_class(provider).channel.value
    return ProviderAccount.objects.create(
        restaurant=restaurant or make_restaurant(), provider=provider, **fields
    )


def make_address(
    restaurant: Restaurant, *, channel: str = "sms", value: str = "", **fields: Any
) -> ContactAddress:
    """One address of the restaurant's sender group; a reserved number or mailbox by default."""
    if not value:
        number = next(_numbers)
        value = f"guest{number}@example.com" if channel == "email" else f"+1212555{number:04d}"
    fields.setdefault("masked", _masked(value))
    fields.setdefault("origin", "pos")
    fields.setdefault("region", "" if channel == "email" else "US")
    fields.setdefault("address_hash", address_hash(channel, value))
    return ContactAddress.objects.create(
        sender_group=restaurant.sender_group, channel=channel, value=value, **fields
    )


def make_customer(
    restaurant: Restaurant | None = None,
    *,
    name: str = "Maya Alvarez",
    phone: str | None = None,
    email: str | None = None,
    **fields: Any,
) -> Subject:
    """A customer; with an sms and an email address where ``phone`` and ``email`` are given."""
    restaurant = restaurant or make_restaurant()
    subject = Subject.objects.create(sender_group=restaurant.sender_group, name=name, **fields)
    for channel, value in (("sms", phone), ("email", email)):
        if value:
            address = make_address(restaurant, channel=channel, value=value)
            SubjectAddress.objects.create(subject=subject, address=address)
    return subject


def make_order(
    restaurant: Restaurant | None = None,
    *,
    parts: Iterable[Mapping[str, Any]] = (),
    items: Iterable[str | Mapping[str, Any]] = (),
    account: SourceAccount | None = None,
    **fields: Any,
) -> Order:
    """An order as projected. Without ``parts`` it gets the one implicit part "order".

    ``items``: labels, or fields of Item. ``parts``: fields of Part; ref, label and state have
    defaults. ``account``: the source that knows the order, as an alias.
    """
    restaurant = restaurant or (account.restaurant if account else make_restaurant())
    if "location" not in fields:
        fields["location"] = restaurant.locations.first() or make_location(restaurant)
    fields.setdefault("display", str(100 + next(_numbers)))
    fields.setdefault("state", "received")
    fields.setdefault("is_open", fields["state"] not in TERMINAL)
    fields.setdefault("contact_kind", "direct" if fields.get("subject") else "")
    order = Order.objects.create(restaurant=restaurant, **fields)
    if account is not None:
        OrderAlias.objects.create(
            restaurant=restaurant,
            system=f"account:{account.pk}",
            external_id=f"ext-{order.pk}",
            order=order,
        )
    for position, part in enumerate(parts):
        make_part(order, position=position, **part)
    if not order.parts.exists():
        make_part(order, ref="order", state=order.state, label="")
    for position, item in enumerate(items):
        values = {"label": item} if isinstance(item, str) else dict(item)
        values.setdefault("ref", f"i{position + 1}")
        Item.objects.create(order=order, position=position, **values)
    return order


def make_part(order: Order, **fields: Any) -> Part:
    """A part of ``order`` in the order's state."""
    position = fields.setdefault("position", 0)
    fields.setdefault("ref", f"p{position + 1}")
    fields.setdefault("label", f"Bowl {position + 1}")
    fields.setdefault("state", order.state)
    fields.setdefault("quantity", Decimal(1))
    return Part.objects.create(order=order, **fields)


def make_call(
    account: SourceAccount, *, at: datetime, order: Order | None = None, **fields: Any
) -> InboundCall:
    """A verified call that was read and applied."""
    key = fields.setdefault("event_key", f"evt-{next(_numbers)}")
    fields.setdefault("body", b"{}")
    fields.setdefault("body_hash", keyed_hash(key))
    fields.setdefault("state", "applied")
    fields.setdefault("settled_at", at)
    return InboundCall.objects.create(account=account, order=order, received_at=at, **fields)


def make_observation(
    order: Order, *, at: datetime, account: SourceAccount | None = None, **fields: Any
) -> Observation:
    """One statement about the order in the kitchen track; the source's values by default."""
    blank = SourceObservation(event_key=f"obs-{next(_numbers)}", track="kitchen", scope="order")
    for name in _STATED:
        fields.setdefault(name, getattr(blank, name))
    fields.setdefault("source", account.source if account else "manual")
    fields.setdefault("occurred_at", at)
    fields.setdefault("occurred_at_basis", "event")
    return Observation.objects.create(order=order, account=account, received_at=at, **fields)


def make_event(
    order: Order,
    milestone: str = "ready",
    *,
    at: datetime,
    kind: str = "status_changed",
    **fields: Any,
) -> OrderEvent:
    """An event of ``order`` that happened and was recorded at ``at``."""
    fields.setdefault("occurred_at", at)
    fields.setdefault("recorded_at", at)
    return OrderEvent.objects.create(order=order, kind=kind, milestone=milestone, **fields)


def make_notification(
    event: OrderEvent, *, at: datetime, audience: str = "customer", **fields: Any
) -> Notification:
    """The decision to tell ``audience`` about ``event``."""
    order = event.order
    fields.setdefault("subject", order.subject if audience == "customer" else None)
    subject = fields["subject"]
    fields.setdefault("recipient_key", f"subject:{subject.pk if subject else uuid.uuid4()}")
    fields.setdefault("purpose", "order_updates" if audience == "customer" else "staff_ops")
    fields.setdefault("expires_at", at + timedelta(minutes=20))
    return Notification.objects.create(
        event=event,
        order=order,
        restaurant=order.restaurant,
        audience=audience,
        kind=event.kind,
        milestone=event.milestone,
        created_at=at,
        **fields,
    )


def make_delivery(
    notification: Notification,
    account: ProviderAccount,
    *,
    at: datetime,
    address: ContactAddress | None = None,
    **fields: Any,
) -> Delivery:
    """The outbox row of ``notification`` at ``account``, queued and due at ``at``."""
    fields.setdefault("channel", account.channel)
    fields.setdefault("due_at", at)
    fields.setdefault("expires_at", notification.expires_at)
    target = address.pk if address else f"a{account.pk}"
    fields.setdefault("lane", f"{notification.order_id}:{target}")
    return Delivery.objects.create(
        notification=notification, account=account, address=address, created_at=at, **fields
    )


def make_attempt(delivery: Delivery, *, at: datetime, **fields: Any) -> Attempt:
    """A try that began at ``at``; in flight unless ``outcome`` is given."""
    fields.setdefault("number", delivery.attempts.count() + 1)
    if fields.get("outcome"):
        fields.setdefault("duration_ms", 84)
        fields.setdefault("finished_at", at + timedelta(milliseconds=fields["duration_ms"]))
    return Attempt.objects.create(
        delivery=delivery, account=delivery.account, started_at=at, **fields
    )


def make_receipt(
    delivery: Delivery, kind: str = "delivered", *, at: datetime, **fields: Any
) -> Receipt:
    """A later statement of the vendor about ``delivery``."""
    fields.setdefault("event_id", f"rcpt-{next(_numbers)}")
    return Receipt.objects.create(
        account=delivery.account, delivery=delivery, kind=kind, received_at=at, **fields
    )


def _masked(value: str) -> str:
    """How people may see an address in tests: "+1•••0142", "g•••@example.com"."""
    if "@" in value:
        name, _, domain = value.partition("@")
        return f"{name[:1]}•••@{domain}"
    return f"{value[:2]}•••{value[-4:]}"
