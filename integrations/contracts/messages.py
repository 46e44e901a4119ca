"""Outbound: a message, what the vendor says about it, what people send back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from integrations.contracts.settings import Channel


@dataclass(frozen=True, slots=True)
class Message:
    """Everything one delivery attempt says. Lives in memory only, never on a broker.

    ``text`` is always present (it is the fallback of every channel). ``order`` and ``event`` are
    the same closed context the message templates see (notifications/context.py), for providers
    that send data instead of text (cards, CRM events, tickets, partner webhooks).
    """

    attempt_id: str
    channel: Channel
    to: str = field(repr=False)
    text: str = field(repr=False)
    event_kind: str = "status_changed"
    milestone: str = ""
    purpose: str = "order_updates"
    subject: str = field(default="", repr=False)
    html: str = field(default="", repr=False)
    #: seconds for which the message is still worth having; passed to vendors that can expire
    valid_for_s: int = 1800
    language: str = "en"
    #: names and values for vendor-side templates
    vendor_template: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    order: Mapping[str, Any] = field(default_factory=dict)
    event: Mapping[str, Any] = field(default_factory=dict)
    restaurant: Mapping[str, Any] = field(default_factory=dict)
    recipient: Mapping[str, Any] = field(default_factory=dict)
    #: links: order page, acknowledge, unsubscribe (one click), manage
    links: Mapping[str, str] = field(default_factory=dict)
    #: our public URL for receipts of this attempt, already carrying the attempt id
    callback_url: str = ""
    #: same value for all messages of one order to one recipient (threads, tags, collapse keys)
    thread_key: str = ""
    #: vendor id of the newest earlier message of this thread at this account, where the provider
    #: declares ``capabilities.edit``: the message to change, the ticket to add to
    replaces_vendor_id: str = ""
    #: the person wrote to us a moment ago: a chat app lets us answer in free words
    window_open: bool = False
    #: the id the provider's own source (``Provider.of_source``) gave the order
    source_order_id: str = ""
    #: the same for every try of one delivery: what a vendor that drops repetitions dedupes by
    delivery_key: str = ""
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """The vendor took the message. ``vendor_id`` is "" where the vendor gives none."""

    vendor_id: str = ""
    segments: int = 0
    detail: str = ""
    #: the address is another one from now on; the message went there
    moved_to: str = field(default="", repr=False)


class ReceiptKind(StrEnum):
    """What a vendor says later about an attempt, by rank."""

    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    CLICKED = "clicked"
    FAILED = "failed"
    EXPIRED = "expired"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"
    #: the person took back a stop they had set at the vendor
    RESUBSCRIBED = "resubscribed"


@dataclass(frozen=True, slots=True)
class Receipt:
    """One statement of a vendor about one earlier message.

    At least one of ``attempt_id`` (what we put into the request and the vendor echoed) and
    ``vendor_id`` is set; a watermark ("everything up to then was read") has ``recipient`` and
    ``up_to`` instead, and what a person chose at the vendor has ``recipient`` and ``purpose``.
    ``error`` is the class of errors.py a failed receipt stands for.
    """

    kind: ReceiptKind
    vendor_id: str = ""
    attempt_id: str = ""
    vendor_time: datetime | None = None
    vendor_code: str = ""
    error: str = ""
    #: unique inside the account when the vendor gives one; "" = derived from the other fields
    event_id: str = ""
    recipient: str = ""
    up_to: datetime | None = None
    #: what a stop of the person's, or its end, is about: "marketing"; "" = the whole channel
    purpose: str = ""
    #: another id the vendor has for the same person, by which alone it may name them later
    alias: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """Words (or a button) a person sent back on a channel."""

    channel: Channel
    sender: str
    text: str
    vendor_id: str
    occurred_at: datetime | None = None
    #: "stop", "start", "help" when the vendor says it handled the word itself
    vendor_handled: str = ""
    #: the vendor already sent its own confirmation
    vendor_confirmed: bool = False
    #: e.g. {"type": "acknowledge", "value": "..."} for buttons; {"type": "overheard"} = said to
    #: somebody else in our name, who answers it: only a stop counts
    action: Mapping[str, str] = field(default_factory=dict)
    #: which of our numbers or pages it was sent to
    recipient: str = ""
    #: another id the vendor has for the sender, by which alone it may name them later
    alias: str = ""
    #: the vendor's conversation it was said in (a ticket): our answer goes there, as its
    #: ``Message.replaces_vendor_id``
    thread: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person chose about one of their addresses, for a vendor that keeps a list itself."""

    channel: Channel
    to: str = field(repr=False)
    is_stopped: bool
    #: "order_updates", "marketing" ...; "" = everything on this channel
    purpose: str
    occurred_at: datetime
    #: the ledger's id of the choice: the same whenever it is told again
    event_id: str


@dataclass(frozen=True, slots=True)
class StopList:
    """A page of the addresses a vendor will not send to, as receipts without a message.

    ``next_page`` is what the next request needs; "" = this was the last page.
    """

    receipts: tuple[Receipt, ...] = ()
    next_page: str = ""


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event of a stream the vendor lets us read: what it says, and where to go on after it."""

    #: what ``Provider.stream_request`` needs to go on behind this event; "" = it moves nothing
    offset: str = ""
    receipts: tuple[Receipt, ...] = ()
    #: an address nobody is at any more, in every form it may be stored in
    gone: tuple[str, ...] = ()
