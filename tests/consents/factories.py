"""Rows and values for consent tests."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings

from consents import ledger
from consents.addresses import address_hash, normalize_sender, number_place
from consents.facts import AddressSnapshot, Decision, MessageFacts, StateView, SuppressionView
from consents.identity import target_of
from consents.ledger import Draft
from consents.models import (
    ConsentEvent,
    ContactAddress,
    NoticeVersion,
    SenderGroup,
    Subject,
    SubjectAddress,
)
from consents.packs import Pack, PackSet, compile_pack
from consents.policy import decide

NOW = datetime(2026, 11, 25, 18, 0, tzinfo=UTC)
PHONE = "+12125550142"
OTHER_PHONE = "+12125550143"
EU_PHONE = "+491701234567"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Guest:
    """A customer as a source describes one."""

    name: str = "Ana Lima"
    phone: str = PHONE
    email: str = ""
    contact_kind: str = "direct"
    locale: str = "en"
    consents: Mapping[str, bool] = field(default_factory=dict)


def shipped_packs() -> list[Pack]:
    """The packs a new installation gets, from their files."""
    folder = Path(settings.BASE_DIR) / "consents" / "packs"
    packs = []
    for path in sorted(folder.glob("*.json")):
        raw = json.loads(path.read_text())
        packs.append(
            compile_pack(
                jurisdiction=raw["jurisdiction"],
                version=raw["version"],
                effective_from=datetime.fromisoformat(raw["effective_from"]),
                effective_to=None,
                rules=raw["rules"],
            )
        )
    return packs


def shipped(now: datetime = NOW) -> PackSet:
    return PackSet.at(shipped_packs(), now)


def make_group(**fields: Any) -> SenderGroup:
    fields.setdefault("name", f"Lucky Bowl {next(_numbers)}")
    return SenderGroup.objects.create(**fields)


def make_subject(group: SenderGroup, *addresses: ContactAddress, **fields: Any) -> Subject:
    subject = Subject.objects.create(sender_group=group, **fields)
    for address in addresses:
        SubjectAddress.objects.create(subject=subject, address=address)
    return subject


def make_address(
    group: SenderGroup, value: str = PHONE, channel: str = "sms", **fields: Any
) -> ContactAddress:
    normalized = normalize_sender(channel, value)
    fields.setdefault("origin", "customer")
    return ContactAddress.objects.create(
        sender_group=group,
        channel=channel,
        value=normalized.value,
        masked=normalized.masked,
        address_hash=address_hash(channel, normalized.value),
        region=normalized.region,
        **fields,
    )


def make_notice(
    group: SenderGroup, version: int = 1, text: str = "Text me about my order"
) -> NoticeVersion:
    return NoticeVersion.objects.create(
        sender_group=group,
        key="order_texts",
        version=version,
        text=text,
        sha256=address_hash("notice", text),
        valid_from=NOW,
    )


def append(address: ContactAddress, action: str, *, at: datetime = NOW, **fields: Any) -> Any:
    """One ledger row about ``address``; by default the customer's own word on the portal."""
    fields.setdefault("purpose", "order_updates")
    fields.setdefault("source", "portal")
    fields.setdefault("idempotency_key", str(uuid4()))
    now = fields.pop("now", at)
    draft = Draft(target=target_of(address), action=action, occurred_at=at, **fields)
    return ledger.append([draft], now=now).events[0]


def events_of(address: ContactAddress) -> list[ConsentEvent]:
    return ledger.chain(address.sender_group_id, address.address_hash)


def actions_of(address: ContactAddress) -> list[tuple[str, str]]:
    return [(event.action, event.purpose) for event in events_of(address)]


def message(**fields: Any) -> MessageFacts:
    """An order update by SMS of a New York restaurant, about an order being made."""
    fields.setdefault("channel", "sms")
    fields.setdefault("purpose", "order_updates")
    fields.setdefault("event_kind", "status_changed")
    fields.setdefault("milestone", "ready")
    fields.setdefault("order_ref", "1001")
    fields.setdefault("country", "US")
    fields.setdefault("timezone", "America/New_York")
    return MessageFacts(**fields)


def marketing(**fields: Any) -> MessageFacts:
    return message(
        **{"purpose": "marketing", "event_kind": "offer", "order_ref": "", "milestone": ""} | fields
    )


def granted(**fields: Any) -> StateView:
    fields.setdefault("event_id", UUID(int=7))
    return StateView(state="granted", **fields)


def stopped(
    *, scope: str = "channel", channel: str = "sms", reason: str = "user", since: datetime = NOW
) -> SuppressionView:
    return SuppressionView(scope, channel, reason, UUID(int=9), since)


def snapshot(phone: str = PHONE, **fields: Any) -> AddressSnapshot:
    """A reachable US phone nobody has said anything about."""
    fields.setdefault("channel", "sms")
    fields.setdefault("region", normalize_sender("sms", phone).region if phone else "")
    fields.setdefault("sender_country", "")
    if phone:
        fields.setdefault("place", lambda: number_place(phone))
    return AddressSnapshot(**fields)


def ask(
    facts: MessageFacts, seen: AddressSnapshot, now: datetime = NOW, packs: PackSet | None = None
) -> Decision:
    return decide(facts, seen, packs or shipped(now), now)
