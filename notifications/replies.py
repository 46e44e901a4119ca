"""What people send back: opt-out words first, then questions, then a hand-over to staff."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.db import transaction

from consents import keywords, known_as, vendor_news
from consents import services as consent_services
from consents.models import ContactAddress
from integrations import contracts
from notifications import linking, outbox, routing, steps, to_staff
from notifications.models import InboundMessage, Notification
from notifications.selectors import AccountView, RestaurantConfig, restaurant_config
from orders import intake
from orders.models import Order

#: a question is about an order that ended at most this long ago
RECENTLY = timedelta(hours=6)


def record_replies(
    *, account: AccountView, replies: Sequence[contracts.Reply], received_at: datetime
) -> int:
    """Store and act on new replies; a repeated webhook changes nothing. Returns how many new."""
    new = 0
    for reply in replies:
        with transaction.atomic():
            new += _record_reply(account, reply, received_at)
    return new


def _record_reply(account: AccountView, reply: contracts.Reply, received_at: datetime) -> bool:
    if reply.action.get("type") == "acknowledge":
        return _acknowledge(account, reply, received_at)
    if reply.action.get("type") == "overheard" and keywords.classify(reply.text).intent != "stop":
        return False
    config = restaurant_config(account.restaurant_id)
    channel = account.address_channel(reply.sender)
    address = _sender(config, channel, reply)
    message, is_new = InboundMessage.objects.get_or_create(
        account_id=account.id,
        vendor_id=reply.vendor_id[:200],
        defaults={
            "id": uuid4(),
            "channel": reply.channel,
            "address": address,
            "text": reply.text[:2000],
            "intent": "other",
            "thread": reply.thread[:200],
            "received_at": received_at,
        },
    )
    if not is_new:
        return False
    if reply.action.get("type") == "link" and _link(account, config, reply, message, received_at):
        return True
    is_known = address is not None
    if address is not None:
        _note_alias(address, reply, received_at)
    order = latest_order(config, address)
    outcome = consent_services.handle_inbound_words(
        sender_group_id=config.sender_group_id,
        channel=channel,
        # whoever the vendor names by an alias speaks for the address we know them by
        value=(address.value if address else "") or reply.sender,
        region=config.country,
        text=reply.text,
        occurred_at=reply.occurred_at or received_at,
        received_at=received_at,
        idempotency_key=f"inbound:{account.id}:{reply.vendor_id}",
        vendor_handled=reply.vendor_handled,
        vendor_confirmed=reply.vendor_confirmed,
        has_open_order=order is not None,
        order_ref=order.public_id if order else None,
    )
    address = address or _sender(config, channel, reply)
    if address is not None:
        if not is_known:
            _note_alias(address, reply, received_at)
        _note_contact(account, address, reply.occurred_at or received_at)
    message.intent, message.order, message.address = outcome.intent, order, address
    message.save(update_fields=["intent", "order", "address"])
    message.outcome = _answer(account, config, message, address, outcome, received_at)
    message.save(update_fields=["outcome"])
    return True


def _link(
    account: AccountView,
    config: RestaurantConfig,
    reply: contracts.Reply,
    message: InboundMessage,
    now: datetime,
) -> bool:
    """Somebody came by the deep link of an order's page: news goes to this chat from now on.

    False = no link of ours, or of an order too old: then it is words like any other.
    """
    public_id = linking.read_link_token(reply.action.get("value", ""))
    if public_id is None:
        return False
    order = Order.objects.filter(restaurant_id=config.id, public_id=public_id).first()
    if order is None:
        return False
    found = linking.choose(
        order=order, account=account, value=reply.sender, key=reply.vendor_id, now=now
    )
    if found is None:
        return False
    address = ContactAddress.objects.get(pk=found.address_id)
    _note_contact(account, address, reply.occurred_at or now)
    message.intent, message.order, message.address = "link", order, address
    message.outcome = "linked"
    message.save(update_fields=["intent", "order", "address", "outcome"])
    queue_reply(account, config, message, address, "linked", now)
    return True


def _sender(
    config: RestaurantConfig, channel: str, reply: contracts.Reply
) -> ContactAddress | None:
    return vendor_news.find_address(
        sender_group_id=config.sender_group_id,
        channel=channel,
        value=reply.sender,
        region=config.country,
    )


def _note_alias(address: ContactAddress, reply: contracts.Reply, now: datetime) -> None:
    if reply.alias:
        known_as.note_alias(address_id=address.pk, alias=reply.alias, at=now)


def _note_contact(account: AccountView, address: ContactAddress, at: datetime) -> None:
    """What it means for the address that the person wrote: they are there, and we may answer."""
    if address.unreachable_at is not None and address.unreachable_at <= at:
        consent_services.mark_reachable(address_id=address.pk)
    if account.window_s:
        until = at + timedelta(seconds=account.window_s)
        consent_services.open_window(address_id=address.pk, until=until)
    if account.own_addresses:
        consent_services.bind_address(address_id=address.pk, to=account.token)


def _answer(
    account: AccountView,
    config: RestaurantConfig,
    message: InboundMessage,
    address: ContactAddress | None,
    outcome: consent_services.WordsOutcome,
    now: datetime,
) -> str:
    if outcome.intent == "status" and address is not None:
        if message.order is not None:
            intake.record_status_request(
                order=message.order,
                address_id=address.pk,
                inbound_id=message.pk,
                channel=message.channel,
                account_id=account.id,
                at=now,
            )
            return "answered with the order's state"
        queue_reply(account, config, message, address, "no_open_order", now)
        return "no open order"
    if outcome.reply and address is not None:
        queue_reply(account, config, message, address, outcome.reply, now)
        return outcome.reply
    if outcome.suppressed:
        return "stopped; the vendor confirmed it"
    if outcome.intent == "other" and message.text.strip():
        told = to_staff.tell_staff(message=message, config=config, now=now)
        return "passed to the staff" if told else "left to staff"
    return outcome.intent


def latest_order(config: RestaurantConfig, address: ContactAddress | None) -> Order | None:
    """The order a person most likely means: open first, then the newest of the last hours."""
    if address is None:
        return None
    orders = Order.objects.filter(restaurant_id=config.id, subject__addresses=address.pk).order_by(
        "-is_open", "-created_at"
    )
    found = orders.first()
    if found is None or found.is_open:
        return found
    cutoff = (found.updated_at or found.created_at) + RECENTLY
    return found if cutoff > datetime.now(cutoff.tzinfo) else None


def queue_reply(
    account: AccountView,
    config: RestaurantConfig,
    message: InboundMessage,
    address: ContactAddress,
    key: str,
    now: datetime,
) -> None:
    """Queue one answer to the address and on the account that asked."""
    expires_at = now + routing.lifetime("reply")
    subject = address.subjects.order_by("-created_at").values_list("pk", flat=True).first()
    outbox.queue_answer(
        restaurant_id=config.id,
        account_id=account.id,
        address=address,
        channel=message.channel,
        kind="reply",
        milestone=f"{key}:{message.pk}",
        purpose="service_reply",
        trace=[{"step": "reply", "verdict": "answers", "why": f"{message.intent}: {key}"}],
        expires_at=expires_at,
        now=now,
        order_id=message.order_id,
        subject_id=subject,
    )


def _acknowledge(account: AccountView, reply: contracts.Reply, now: datetime) -> bool:
    """A pressed button carries the id of the attempt that showed it."""
    try:
        attempt_id = UUID(reply.action.get("value", ""))
    except ValueError:
        return False
    notification = Notification.objects.filter(
        deliveries__attempts=attempt_id, deliveries__account=account.id
    ).first()
    if notification is None:
        return False
    return steps.acknowledge(notification=notification, actor=reply.sender, now=now)
