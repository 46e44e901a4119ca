"""What we said to people and they to us, for their rights: shown, ended, forgotten.

What stays of a message is that it left, when, and what became of it: a vendor's late word still
finds its row, and finds nobody.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import F, Q, Value
from django.db.models.fields import CharField
from django.db.models.functions import Cast, Concat

from consents.holders import Forgotten, Held, Holder, Person
from consents.models import ContactAddress, Subject, Suppression
from integrations import registry
from notifications import defaults, outbox, routing, vendor_lists
from notifications.models import (
    Delivery,
    DeliveryState,
    InboundMessage,
    Notification,
    ProviderAccount,
    PushState,
    VendorListPush,
)
from notifications.models.delivery import UNSENT
from notifications.selectors import AccountView, RestaurantConfig, restaurant_config
from orders.models import Restaurant

#: kind and milestone of the last acknowledgement; its words are those of "reply:erasure"
_KIND, _STEM = "reply", "erasure"
#: channels somebody may be told on that they are being forgotten, the best first
_TOLD_BY = ("email", "sms", "whatsapp", "telegram")
_LEFT = (DeliveryState.ACCEPTED, DeliveryState.DELIVERED, DeliveryState.READ)


class NotificationsHolder(Holder):
    """The outbox, what came back, and the vendors behind it."""

    name = "notifications"

    def export(self, person: Person) -> Held:
        """Messages to and from the person, and every vendor that got their address."""
        sent = (
            Delivery.objects.filter(notification__subject_id=person.subject_id)
            .select_related("notification__order", "notification__restaurant", "account", "address")
            .defer("address__value")
            .order_by("created_at", "pk")
        )
        written = InboundMessage.objects.filter(_wrote(person)).select_related("order")
        recipients = {
            f"{row.account.provider}|{row.channel}": {
                "name": registry.provider_class(row.account.provider).title,
                "what": f"your address and the messages by {row.channel}",
            }
            for row in sent
            if row.state in _LEFT or row.tries
        }
        told = VendorListPush.objects.filter(
            address_id__in=person.own_address_ids, state=PushState.TOLD
        ).select_related("account")
        for push in told:
            recipients[f"{push.account.provider}|list"] = {
                "name": registry.provider_class(push.account.provider).title,
                "what": "what you chose to receive, for its list of stops",
            }
        return Held(
            {
                "messages_to_you": [_sent(row) for row in sent],
                "messages_from_you": [_written(row) for row in written.order_by("received_at")],
            },
            [recipients[key] for key in sorted(recipients)],
        )

    def cancel_queued(self, subject_id: Any, at: datetime) -> int:
        """End what has not begun to leave."""
        return Delivery.objects.filter(
            notification__subject_id=subject_id, state__in=UNSENT
        ).update(
            state=DeliveryState.CANCELLED, reason="restricted", settled_at=at, lease_until=None
        )

    def is_sending(self, person: Person) -> bool:
        """A row whose vendor is being asked; the sweep ends it when its lease runs out."""
        return Delivery.objects.filter(_to(person), state=DeliveryState.SENDING).exists()

    def say_last_words(self, person: Person, *, key: str, now: datetime) -> str:
        """One answer to one address of their own that has not stopped us."""
        known = Delivery.objects.filter(_last_words(key)).first()
        if known is not None:
            return known.channel
        locale = Subject.objects.values_list("locale", flat=True).get(pk=person.subject_id)
        for channel in _TOLD_BY:
            for address in _may_be_told(person, channel):
                for config in _restaurants(person):
                    account = _account(config, address, locale, now)
                    if account is not None:
                        _queue(config, account, address, key, now)
                        return channel
        return ""

    def are_last_words_out(self, *, key: str) -> bool:
        """Nothing of it waits or is on its way."""
        under_way = (*UNSENT, DeliveryState.SENDING)
        return not Delivery.objects.filter(_last_words(key), state__in=under_way).exists()

    def cancel_last_words(self, *, key: str, at: datetime) -> None:
        """The address goes; what is unsent stays unsaid."""
        Delivery.objects.filter(_last_words(key), state__in=UNSENT).update(
            state=DeliveryState.CANCELLED, reason="erased", settled_at=at, lease_until=None
        )

    def forget_elsewhere(self, address: ContactAddress) -> list[Forgotten]:
        """Ask the vendor of every account that could reach the address, disabled ones too."""
        names = dict(ProviderAccount.objects.values_list("pk", "name"))
        return [
            Forgotten(names.get(answer.account_id, ""), answer.state, answer.problem)
            for answer in vendor_lists.erase_at_vendors(address)
        ]

    def forget(self, person: Person, now: datetime) -> dict[str, int]:
        """Deliveries keep their fate and lose their person; words people wrote go."""
        self.cancel_queued(person.subject_id, now)
        theirs = Delivery.objects.filter(_to(person))
        # first of all: two rows that differ by their address alone may both lose it then
        deliveries = theirs.update(is_erased=True)
        Delivery.objects.filter(_to(person), state__in=UNSENT).update(
            state=DeliveryState.CANCELLED, reason="erased", settled_at=now, lease_until=None
        )
        Notification.objects.filter(subject_id=person.subject_id).update(
            trace=[],
            recipient_key=Concat(Value("erased:"), Cast(F("pk"), CharField())),
            acknowledged_by="",
        )
        texts = InboundMessage.objects.filter(_wrote(person), text_removed_at=None).update(
            text="", text_removed_at=now
        )
        return {"deliveries_unnamed": deliveries, "inbound_texts": texts}


def _to(person: Person) -> Q:
    return Q(notification__subject_id=person.subject_id) | Q(address_id__in=person.own_address_ids)


def _wrote(person: Person) -> Q:
    """What came from addresses of their own, or on a shared one about orders of theirs."""
    return Q(address_id__in=person.own_address_ids) | Q(
        address_id__in=person.shared_address_ids, order__subject_id=person.subject_id
    )


def _sent(row: Delivery) -> dict[str, Any]:
    notification = row.notification
    return {
        "at": row.created_at.isoformat(),
        "restaurant": notification.restaurant.name,
        "order": notification.order.display if notification.order else "",
        "about": notification.milestone.partition(":")[0] or notification.kind,
        "purpose": notification.purpose,
        "channel": row.channel,
        "address": row.address.masked if row.address else "",
        "state": row.state,
        "sent_through": registry.provider_class(row.account.provider).title,
    }


def _written(row: InboundMessage) -> dict[str, Any]:
    return {
        "at": row.received_at.isoformat(),
        "channel": row.channel,
        "order": row.order.display if row.order else "",
        "text": row.text,
        "understood_as": row.intent,
    }


# --- the last acknowledgement ---------------------------------------------------------------------


def _last_words(key: str) -> Q:
    return Q(notification__kind=_KIND, notification__milestone=f"{_STEM}:{key}")


def _may_be_told(person: Person, channel: str) -> list[ContactAddress]:
    rows = ContactAddress.objects.filter(
        pk__in=person.own_address_ids, channel=channel, expires_at=None, unreachable_at=None
    ).defer("value")
    return [row for row in rows.order_by("-verified_at", "pk") if not _is_stopped(row)]


def _is_stopped(address: ContactAddress) -> bool:
    return Suppression.objects.filter(
        sender_group_id=address.sender_group_id,
        address_hash=address.address_hash,
        generation=address.generation,
        scope__in=("channel", "all"),
    ).exists()


def _restaurants(person: Person) -> list[RestaurantConfig]:
    """Those the person ordered from last come first."""
    rows = Restaurant.objects.filter(sender_group_id=person.sender_group_id)
    known = list(
        Notification.objects.filter(subject_id=person.subject_id)
        .order_by("-created_at")
        .values_list("restaurant_id", flat=True)[:1]
    )
    ids = dict.fromkeys([*known, *rows.order_by("pk").values_list("pk", flat=True)])
    return [restaurant_config(pk) for pk in ids]


def _account(
    config: RestaurantConfig, address: ContactAddress, locale: str, now: datetime
) -> AccountView | None:
    """An account that reaches the address; its restaurant gets the words where it lacks them."""
    words = config.template(
        trigger=f"{_KIND}:{_STEM}",
        audience="customer",
        channel=address.channel,
        language=(locale or config.language).partition("-")[0],
        location_id=None,
    )
    if words is None:
        defaults.install_words(Restaurant.objects.get(pk=config.id), f"{_KIND}:{_STEM}")
    usable = config.accounts_for(address.channel, now)
    return next((a for a in usable if a.reaches(address.channel, address.bound_to)), None)


def _queue(
    config: RestaurantConfig, account: AccountView, address: ContactAddress, key: str, now: datetime
) -> None:
    """About no subject: theirs is restricted, and this is the one answer it still owes."""
    outbox.queue_answer(
        restaurant_id=config.id,
        account_id=account.id,
        address=address,
        channel=account.channel,
        kind=_KIND,
        milestone=f"{_STEM}:{key}",
        purpose="service_reply",
        trace=[{"step": "rights", "verdict": "answers", "why": "erasure acknowledged"}],
        expires_at=now + routing.lifetime(_KIND),
        now=now,
    )
