"""What the consent ledger is asked about a message, when it is planned and again when it leaves."""

from __future__ import annotations

from datetime import datetime

from consents import policy
from consents import selectors as consent_selectors
from notifications.plans import Occasion, PlannedNotification
from notifications.selectors import AccountView, RestaurantConfig


def consent_facts(
    config: RestaurantConfig,
    *,
    channel: str,
    purpose: str,
    kind: str,
    milestone: str,
    order_ref: str,
    is_critical: bool,
    audience: str,
    expires_at: datetime,
    fulfil_at: datetime | None,
    location_id: int | None,
    has_template: bool = False,
) -> policy.MessageFacts:
    """What the ledger is asked; planning and dispatch ask the same question.

    ``channel`` is the kind of the address: news by way of a CRM is news to a mailbox.
    """
    place = config.locations.get(location_id or 0)
    return policy.MessageFacts(
        channel=channel,
        purpose=purpose,
        # the ledger knows answers by their own names: some are owed even after a STOP
        event_kind=milestone.partition(":")[0] if kind == "reply" else kind,
        milestone=milestone,
        order_ref=order_ref,
        is_critical=is_critical,
        audience=audience,
        expires_at=expires_at,
        due_at=fulfil_at,
        country=config.country,
        timezone=place.timezone if place else config.timezone,
        has_template=has_template,
    )


def ask(
    occasion: Occasion,
    note: PlannedNotification,
    label: str,
    channel: str,
    account: AccountView,
    snapshot: policy.AddressSnapshot,
) -> datetime | None:
    """The moment a message may go to one address, None = dropped; the trace says why."""
    decision = policy.decide(
        consent_facts(
            occasion.config,
            channel=snapshot.channel,
            has_template=account.can_begin and has_template(occasion, note, channel),
            purpose=note.route.purpose,
            kind=occasion.facts.kind,
            milestone=occasion.facts.milestone,
            order_ref=str(occasion.order.public_id),
            is_critical=note.route.critical,
            audience=note.audience,
            expires_at=note.expires_at,
            fulfil_at=occasion.fulfil_at,
            location_id=occasion.order.location_id,
        ),
        snapshot,
        consent_selectors.active_packs(occasion.now),
        occasion.now,
    )
    where = f"{channel} {snapshot.masked}"
    if decision.verdict == "drop":
        note.note(label, "dropped", f"{where}: {decision.code} ({decision.policy_version})")
        return None
    if decision.verdict == "delay" and decision.until is not None:
        note.note(label, "delayed", f"{where}: {decision.code} until {decision.until:%H:%M}Z")
        return decision.until
    note.note(label, "allowed", f"{where}: {decision.basis or decision.code}")
    return occasion.now


def has_template(occasion: Occasion, note: PlannedNotification, channel: str) -> bool:
    """Whether the words for this message name a template the vendor approved."""
    words = occasion.config.template(
        trigger=occasion.facts.trigger,
        audience=note.audience,
        channel=channel,
        language=occasion.config.language,
        location_id=occasion.order.location_id,
    )
    return words is not None and bool(words.vendor_template)
