"""The receivers of other apps' signals. At most ten lines each, rows only, never HTTP."""

from __future__ import annotations

from datetime import datetime, timedelta

from consents.models import ConsentEvent
from consents.signals import addresses_withdrawn, choices_recorded, link_wanted
from notifications import link_messages, outbox, planning, steps, vendor_lists
from orders import silence
from orders.models import Order, OrderEvent, SourceAccount
from orders.signals import feed_silent, guest_known, order_event_recorded


def connect() -> None:
    """Connect the receivers; called once from AppConfig.ready."""
    order_event_recorded.connect(
        plan_notifications, dispatch_uid="notifications.plan_notifications"
    )
    guest_known.connect(tell_newcomer, dispatch_uid="notifications.tell_newcomer")
    feed_silent.connect(alarm_feed_silent, dispatch_uid="notifications.alarm_feed_silent")
    addresses_withdrawn.connect(cancel_withdrawn, dispatch_uid="notifications.cancel_withdrawn")
    choices_recorded.connect(tell_vendor_lists, dispatch_uid="notifications.tell_vendor_lists")
    link_wanted.connect(send_link, dispatch_uid="notifications.send_link")


def plan_notifications(sender: object, *, event: OrderEvent, order: Order, **_: object) -> None:
    """An order event was recorded: decide and queue, inside its transaction."""
    now = event.recorded_at
    planned = planning.plan_event(event=event, order=order, now=now)
    outbox.ring_on_commit(outbox.insert(planned, event=event, order=order, now=now))


def tell_newcomer(
    sender: object, *, event: OrderEvent, order: Order, at: datetime, **_: object
) -> None:
    """The guest became known after the news: tell him alone, the others have it."""
    planned = planning.plan_event(event=event, order=order, now=at, audience="customer")
    # that nobody could be reached is on record already
    planned = [note for note in planned if note.subject_id is not None]
    outbox.ring_on_commit(outbox.insert(planned, event=event, order=order, now=at))


def alarm_feed_silent(
    sender: object,
    *,
    account: SourceAccount,
    last_call_at: datetime,
    usual_gap: timedelta,
    now: datetime,
    **_: object,
) -> None:
    """A source stopped talking: tell the team that what they see may be old."""
    detail = silence.in_words(account.name, last_call_at, usual_gap, now)
    key = f"feed_silent:{account.pk}"
    steps.raise_alarm(restaurant_id=account.restaurant_id, key=key, detail=detail, now=now)


def cancel_withdrawn(
    sender: object,
    *,
    sender_group_id: int,
    channel: str,
    address_hash: str,
    generation: int,
    scope: str,
    at: datetime,
    **_: object,
) -> None:
    """An address withdrew: end what is queued for it, inside the withdrawing transaction."""
    outbox.cancel_withdrawn(
        sender_group_id=sender_group_id,
        channel=channel,
        address_hash=address_hash,
        generation=generation,
        scope=scope,
        at=at,
    )


def tell_vendor_lists(sender: object, *, events: tuple[ConsentEvent, ...], **_: object) -> None:
    """A person chose: note whom to tell, inside the recording transaction."""
    vendor_lists.note_choices(events)


def send_link(
    sender: object,
    *,
    restaurant_ref: int,
    address_id: int,
    what: str,
    ref: int,
    language: str,
    at: datetime,
    **_: object,
) -> None:
    """Somebody asked for a link and may have it: queue the message that carries it."""
    link_messages.queue_link(
        restaurant_ref=restaurant_ref,
        address_id=address_id,
        what=what,
        ref=ref,
        language=language,
        at=at,
    )
