"""What the preference page shows, computed once: rows, columns, open orders, requests."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.translation import get_language
from django.utils.translation import gettext as _

from consents import choices
from consents.choices import Cell, Place
from consents.models import Purpose, RightsRequest
from consents.people import Person
from notifications.brand import Brand
from notifications.selectors import restaurant_config
from notifications.words import channel_word
from orders import phrases
from orders.models import Order

#: an order that ended is of interest this long
_RECENT = timedelta(hours=12)
_MOST_ORDERS = 10
_TOLL_FREE = ("+1800", "+1833", "+1844", "+1855", "+1866", "+1877", "+1888")


@dataclass(frozen=True, slots=True)
class Box:
    """One box of the table."""

    name: str
    is_on: bool
    #: the channel was stopped: the box can be changed only after that is undone
    is_stopped: bool
    label: str


@dataclass(frozen=True, slots=True)
class PurposeRow:
    """One row of the table."""

    title: str
    note: str
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order news may still come about."""

    public_id: uuid.UUID
    number: str
    state: str
    is_muted: bool


@dataclass(frozen=True, slots=True)
class RightRow:
    """A request of this person, in words."""

    kind: str
    state: str
    #: of the export, while its file is kept
    file_id: uuid.UUID | None


@dataclass(frozen=True, slots=True)
class PreferencePage:
    """Everything but the frame."""

    masked: str
    columns: tuple[str, ...]
    rows: tuple[PurposeRow, ...]
    #: the address is stopped as a whole: by its holder ("theirs"), for another reason, or not ("")
    stopped: str
    stop_is_partial: bool
    #: what to do where the carrier still blocks: "start" or ""
    carrier: str
    sender: str
    is_toll_free: bool
    orders: tuple[OrderRow, ...]
    others: tuple[tuple[uuid.UUID, str, str], ...]
    is_shared: bool
    has_person: bool
    language: str
    quiet_from: str
    quiet_until: str
    rights: tuple[RightRow, ...]


def place_of(brand: Brand) -> Place:
    """Where the restaurant's messages come from."""
    return Place(brand.country, brand.timezone)


def preference_page(person: Person, brand: Brand, now: datetime) -> PreferencePage:
    """The page of one proven address at one restaurant."""
    seen = choices.choices_of(person, place_of(brand), now)
    subject = person.subject
    sender = _sms_sender(brand, now) if any(r.channel == "sms" for r in person.proven) else ""
    stopped = ""
    if seen.stops:
        stopped = "theirs" if all(stop.is_theirs for stop in seen.stops) else "other"
    return PreferencePage(
        masked=person.address.masked,
        columns=tuple(channel_word(row.channel) for row in person.proven),
        rows=tuple(_row(purpose, seen.cells) for purpose in choices.PURPOSES),
        stopped=stopped,
        stop_is_partial=0 < len(seen.stops) < len(person.proven),
        carrier="start" if seen.carrier_blocked else "",
        sender=sender,
        is_toll_free=sender.startswith(_TOLL_FREE),
        orders=_orders(person, brand, now),
        others=tuple((r.public_id, channel_word(r.channel), r.masked) for r in person.others),
        is_shared=person.is_shared,
        has_person=subject is not None,
        language=get_language() or "en",
        quiet_from=f"{subject.quiet_from:%H:%M}" if subject and subject.quiet_from else "",
        quiet_until=f"{subject.quiet_until:%H:%M}" if subject and subject.quiet_until else "",
        rights=_rights(person, now),
    )


def _row(purpose: Purpose, cells: Sequence[Cell]) -> PurposeRow:
    title, note = _purpose_words(purpose)
    boxes = tuple(
        Box(
            cell.name,
            cell.is_on,
            cell.code == "suppressed",
            _("%(what)s by %(channel)s") % {"what": title, "channel": channel_word(cell.channel)},
        )
        for cell in cells
        if cell.purpose == purpose
    )
    return PurposeRow(title, note, boxes)


def _purpose_words(purpose: Purpose) -> tuple[str, str]:
    if purpose == Purpose.ORDER_UPDATES:
        return _("Order updates"), _("Part of your order. Mute them if you like.")
    if purpose == Purpose.FEEDBACK:
        return _("Questions about how it was"), _("Only if you want to be asked.")
    return _("News and offers"), _("Only if you want them.")


def _sms_sender(brand: Brand, now: datetime) -> str:
    """The number our texts come from, "" where it is a name or unknown."""
    for account in restaurant_config(brand.restaurant_id).accounts_for("sms", now):
        sender = account.settings.get("sender", "")
        if sender.startswith("+"):
            return sender
    return ""


def open_orders(person: Person, brand: Brand, now: datetime) -> list[Order]:
    """Orders of the person at this seller that are open or ended a moment ago."""
    if person.subject is None:
        return []
    rows = Order.objects.filter(
        subject=person.subject,
        restaurant__sender_group=brand.sender_group,
        same_as=None,
        created_at__gt=now - timedelta(days=90),
    ).order_by("-is_open", "-created_at")[:_MOST_ORDERS]
    return [o for o in rows if o.is_open or (o.updated_at or o.created_at) > now - _RECENT]


def _orders(person: Person, brand: Brand, now: datetime) -> tuple[OrderRow, ...]:
    orders = open_orders(person, brand, now)
    if not orders or person.subject is None:
        return ()
    muted = choices.muted_orders(person.subject.pk, [order.public_id for order in orders])
    return tuple(
        OrderRow(
            order.public_id,
            order.display or str(order.public_id)[:8],
            phrases.state_word(order.state, order.fulfillment),
            order.public_id in muted,
        )
        for order in orders
    )


def _rights(person: Person, now: datetime) -> tuple[RightRow, ...]:
    if person.subject is None or person.is_shared:
        return ()
    rows = RightsRequest.objects.filter(
        subject=person.subject, kind__in=("access", "erasure")
    ).defer("file", "text")
    words = {
        "access": _("Copy of your data"),
        "erasure": _("Erasure of your data"),
    }
    states = {
        "open": _("received"),
        "working": _("being worked on"),
        "done": _("done"),
        "refused": _("refused, we wrote to you why"),
    }
    return tuple(
        RightRow(
            words[row.kind],
            states[row.state],
            row.public_id if row.file_until and row.file_until > now else None,
        )
        for row in rows.order_by("-received_at")[:5]
    )
