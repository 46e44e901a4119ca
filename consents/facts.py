"""The plain values ``policy.decide`` reads and returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Literal
from uuid import UUID

from consents.addresses import NOWHERE, NumberPlace

Verdict = Literal["allow", "delay", "drop"]
Trace = dict[str, str]

#: order messages ignore do-not-disturb when fulfilment is this near or under way
LIVE_ORDER_WINDOW = timedelta(hours=2)


def nowhere() -> NumberPlace:
    """The place of an address that is no phone number."""
    return NOWHERE


@dataclass(frozen=True, slots=True)
class StateView:
    """What the ledger says about one purpose on the address's channel."""

    state: str
    event_id: UUID
    is_refusal: bool = False
    carrier_block: str = ""
    valid_until: datetime | None = None
    lawful_basis: str = "consent"
    has_notice: bool = False


@dataclass(frozen=True, slots=True)
class SuppressionView:
    """One suppression of the address (of any channel that shares it)."""

    scope: str
    channel: str
    reason: str
    event_id: UUID
    since: datetime


@dataclass(frozen=True, slots=True)
class PreferenceView:
    """One choice of the subject; "" means any."""

    is_allowed: bool
    order_ref: str = ""
    purpose: str = ""
    event_kind: str = ""
    channel: str = ""


@dataclass(frozen=True, slots=True)
class AddressSnapshot:
    """Everything ``decide`` knows about one subject at one address, read in one moment."""

    channel: str
    address_id: int | None = None
    address_hash: str = ""
    generation: int = 1
    sender_group_id: int | None = None
    sender_country: str = ""
    region: str = ""
    #: False: there is no such address (any more)
    is_known: bool = True
    origin: str = "customer"
    verified_at: datetime | None = None
    expires_at: datetime | None = None
    unreachable_at: datetime | None = None
    window_until: datetime | None = None
    subject_id: UUID | None = None
    #: a subject was named and is gone
    is_subject_erased: bool = False
    restricted_at: datetime | None = None
    timezone: str = ""
    quiet_from: time | None = None
    quiet_until: time | None = None
    states: Mapping[str, StateView] = field(default_factory=dict)
    suppressions: tuple[SuppressionView, ...] = ()
    preferences: tuple[PreferenceView, ...] = ()
    #: words of this person wait to be read by staff
    holds_marketing: bool = False
    #: what people may see of the address
    masked: str = ""
    #: the one provider account that reaches it; "" = any of the channel
    bound_to: str = ""
    #: where the number may be; called only when hours have to be kept
    place: Callable[[], NumberPlace] = field(default=nowhere, compare=False)


@dataclass(frozen=True, slots=True)
class MessageFacts:
    """What ``decide`` needs to know about the message.

    ``order_ref`` is the order's public id as text ("" = about no order). ``country`` and
    ``timezone`` are the restaurant's or location's; ``regions`` are further plausible
    jurisdictions (delivery address), ISO codes or areas such as "US-TX". ``due_at``: when the
    order is due, None = it is being made now.
    """

    channel: str
    purpose: str
    event_kind: str = ""
    milestone: str = ""
    order_ref: str = ""
    is_critical: bool = False
    audience: str = "customer"
    expires_at: datetime | None = None
    due_at: datetime | None = None
    country: str = ""
    timezone: str = ""
    default_allowed: bool = True
    regions: tuple[str, ...] = ()
    #: messages of this purpose this address got in the last 24 hours, and when one less counts
    sent_last_day: int = 0
    cap_frees_at: datetime | None = None
    #: a template the vendor approved is at hand
    has_template: bool = True
    live_window: timedelta = LIVE_ORDER_WINDOW


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer and why. ``until`` is set for delay only; ``rules`` is the trace, in order."""

    verdict: Verdict
    code: str
    until: datetime | None = None
    rules: tuple[Trace, ...] = ()
    event_ids: tuple[UUID, ...] = ()
    basis: str = ""
    policy_version: str = ""
