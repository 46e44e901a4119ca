"""Rows to send: many orders, one message each, as planning would have written them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from django.db import connection
from django.db.models import Count

from consents import services as consent_services
from consents.models import SenderGroup
from integrations.contracts import Customer
from notifications import defaults
from notifications.models import Delivery, Notification, ProviderAccount
from orders.models import Location, Order, OrderEvent, Restaurant, SourceAccount

EVENT_SECRET = "whsec-bench"  # noqa: S105 - of a sandbox account on loopback
#: how many guests share the messages of a run
GUESTS = 500
TWILIO = {
    "account_sid": "AC" + "b" * 32,
    "auth_token": "c" * 32,
    "sender": "+12025550100",
}


@dataclass(frozen=True, slots=True)
class Stage:
    """The restaurant the benchmark plays."""

    restaurant: Restaurant
    location: Location
    account: ProviderAccount
    source: SourceAccount
    #: (subject, address) of every guest
    guests: list[tuple[UUID, int]]


def build_stage() -> Stage:
    """A restaurant with one SMS account, one source and guests who consented."""
    group = SenderGroup.objects.create(name="Bench", country="US")
    restaurant = Restaurant.objects.create(
        name="Bench Bowls", slug=f"bench-{uuid4().hex[:8]}", sender_group=group
    )
    location = Location.objects.create(restaurant=restaurant, name="One", external_ids=["BENCH"])
    account = ProviderAccount.objects.create(
        restaurant=restaurant,
        provider="twilio",
        channel="sms",
        name="Bench",
        settings=TWILIO,
        rate_per_s=0,
    )
    source = SourceAccount.objects.create(
        restaurant=restaurant,
        location=location,
        source="cloudevents",
        name="Bench",
        settings={"secret": EVENT_SECRET},
    )
    defaults.install(restaurant)
    guests = [_guest(group, number) for number in range(GUESTS)]
    return Stage(restaurant, location, account, source, guests)


def _guest(group: SenderGroup, number: int) -> tuple[UUID, int]:
    contacts = consent_services.resolve_customer(
        sender_group_id=group.pk,
        customer=Customer(name="Ana Bench", phone=f"+1202555{number:04d}", contact_kind="direct"),
        region="US",
        jurisdiction="US",
        source="checkout",
        idempotency_base=f"bench-{group.pk}-{number}",
        at=datetime.now(UTC),
        contact_consent=consent_services.GIVEN_WITH_ORDER,
    )
    assert contacts.subject_id is not None
    return contacts.subject_id, contacts.addresses["sms"]


def queue_messages(stage: Stage, count: int) -> None:
    """Insert ``count`` orders with one due "ready" message each, without ringing."""
    now = datetime.now(UTC)
    orders = Order.objects.bulk_create(
        [
            Order(
                restaurant=stage.restaurant,
                location=stage.location,
                subject_id=stage.guests[n % GUESTS][0],
                contact_kind="direct",
                display=str(10_000 + n),
                state="ready",
                est_ready_at=now,
                detail={},
            )
            for n in range(count)
        ],
        batch_size=1000,
    )
    events = OrderEvent.objects.bulk_create(
        [
            OrderEvent(
                order=order,
                kind="status_changed",
                milestone="ready",
                occurred_at=now,
                recorded_at=now,
            )
            for order in orders
        ],
        batch_size=1000,
    )
    notes = Notification.objects.bulk_create(
        [
            Notification(
                event=event,
                order=event.order,
                restaurant=stage.restaurant,
                audience="customer",
                subject_id=event.order.subject_id,
                recipient_key=f"subject:{event.order.subject_id}",
                kind="status_changed",
                milestone="ready",
                purpose="order_updates",
                is_urgent=True,
                expires_at=now + timedelta(hours=2),
                created_at=now,
            )
            for event in events
        ],
        batch_size=1000,
    )
    Delivery.objects.bulk_create(
        [
            Delivery(
                notification=note,
                address_id=stage.guests[n % GUESTS][1],
                account=stage.account,
                channel="sms",
                lane=f"{note.order_id}:sms",
                due_at=now,
                expires_at=note.expires_at,
                created_at=now,
            )
            for n, note in enumerate(notes)
        ],
        batch_size=1000,
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE notifications_delivery, notifications_notification, orders_order")


def unfinished(stage: Stage) -> int:
    """How many deliveries of the stage are on their way; raises when one ended badly."""
    states = dict(
        Delivery.objects.filter(account=stage.account)
        .exclude(state__in=["accepted", "delivered", "read"])
        .values_list("state")
        .annotate(rows=Count("id"))
    )
    moving: int = sum(states.pop(state, 0) for state in ("queued", "claimed", "sending"))
    if states:
        raise RuntimeError(f"deliveries ended as {states}: the figures would mean nothing")
    return moving
