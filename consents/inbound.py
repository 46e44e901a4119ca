"""What a person's words on a channel do: stop, start, help, status, or something for staff."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from django.db import transaction

from consents import derivation, keywords, ledger, locks
from consents.addresses import address_hashes, normalize_sender
from consents.derivation import CHANNEL_WIDE, Derived
from consents.identity import create_address, current_address, target_of
from consents.keywords import Words
from consents.ledger import Draft, Target
from consents.models import (
    AddressOrigin,
    ConsentAction,
    ConsentEvent,
    ContactAddress,
    InboxItem,
    Purpose,
    SenderGroup,
)
from consents.policy import CONFIRMATION_WINDOW


@dataclass(frozen=True, slots=True)
class WordsOutcome:
    """What was understood and done."""

    intent: keywords.Intent
    tier: int = 0
    #: the channel is suppressed for this address now
    suppressed: bool = False
    #: stop_confirmation | start_confirmation | help: what to answer, None = nothing
    reply: str | None = None
    inbox_item_id: int | None = None
    address_id: int | None = None
    #: the words were handled before; nothing was written
    is_duplicate: bool = False


@dataclass(frozen=True, slots=True)
class _Said:
    """One inbound message."""

    sender_group_id: int
    channel: str
    text: str
    value: str
    region: str
    occurred_at: datetime
    received_at: datetime
    idempotency_key: str
    vendor_handled: str
    vendor_confirmed: bool
    order_ref: UUID | None


def handle_inbound_words(
    *,
    sender_group_id: int,
    channel: str,
    text: str,
    occurred_at: datetime,
    received_at: datetime,
    idempotency_key: str,
    address_id: int | None = None,
    value: str = "",
    region: str = "",
    vendor_handled: str = "",
    vendor_confirmed: bool = False,
    has_open_order: bool = False,
    order_ref: UUID | None = None,
) -> WordsOutcome:
    """Act on what somebody wrote from an address (given by row, else by ``value``).

    A stop counts from whoever sends it, known or not, on receipt; it never touches the order.
    ``vendor_handled`` ("stop", "start", "help") is what the vendor made of it, and a stop of
    either side is a stop. The confirmation is left out when the vendor sent one, when the stop is
    older than five minutes, and for a repeated stop. The same ``idempotency_key`` again writes no
    second ledger row; items for staff are not deduplicated (the caller stores each message once).
    """
    address = _known(sender_group_id, channel, address_id, value, region, received_at)
    if address is not None:
        value = value or address.value
    said = _Said(
        sender_group_id,
        channel,
        text,
        value,
        region,
        occurred_at,
        received_at,
        idempotency_key,
        vendor_handled,
        vendor_confirmed,
        order_ref,
    )
    words = _meaning(said, address, has_open_order)
    match words.intent:
        case "stop":
            return _stop(said, words)
        case "start":
            return _start(said, words)
        case "help":
            reply = None if vendor_confirmed else "help"
            return _outcome(words, address, reply=reply)
        case _:
            return _for_staff(said, words, address, has_open_order)


def _known(
    sender_group_id: int,
    channel: str,
    address_id: int | None,
    value: str,
    region: str,
    at: datetime,
) -> ContactAddress | None:
    if address_id is not None:
        address = ContactAddress.objects.get(pk=address_id)
        hashes: Iterable[str] = [address.address_hash]
    elif value:
        hashes = address_hashes(channel, normalize_sender(channel, value, region).value)
    else:
        raise ValueError("an inbound message needs an address or a value")
    current = current_address(
        sender_group_id=sender_group_id, channel=channel, hashes=hashes, at=at
    )
    return current or (address if address_id is not None else None)


def _meaning(said: _Said, address: ContactAddress | None, has_open_order: bool) -> Words:
    words = keywords.classify(said.text, has_open_order=has_open_order)
    if words.intent == "stop":
        return words
    if said.vendor_handled == "stop":
        return Words("stop", tier=1, matched="vendor")
    if said.vendor_handled == "start":
        return Words("start", matched="vendor")
    if said.vendor_handled == "help" and words.intent == "other":
        return Words("help", matched="vendor")
    if words.intent == "other" and keywords.is_yes(said.text) and address is not None:
        before = _derived(target_of(address))
        if _is_stopped(before, target_of(address)) or _open_opt_ins(before, address, said):
            return keywords.classify(said.text, awaits_yes=True)
    return words


def _derived(target: Target) -> Derived:
    events = ledger.chain(target.sender_group_id, target.address_hash)
    return derivation.derive(ledger.fact_of(event) for event in events)


def _is_stopped(derived: Derived, target: Target) -> bool:
    return any(
        (target.generation, target.channel, scope) in derived.suppressions for scope in CHANNEL_WIDE
    )


def _open_opt_ins(derived: Derived, address: ContactAddress, said: _Said) -> set[str]:
    """Purposes for which a double opt-in was asked and has not run out."""
    return {
        purpose
        for (generation, channel, purpose), state in derived.states.items()
        if (generation, channel) == (address.generation, address.channel)
        and state.state == "pending"
        and state.valid_until is not None
        and state.valid_until > said.received_at
    }


def _claim(said: _Said) -> ContactAddress:
    """The current row of the sender, made when there is none; its lock is held from here on."""
    normalized = normalize_sender(said.channel, said.value, said.region)
    hashes = address_hashes(said.channel, normalized.value)
    locks.lock_addresses(hashes)
    found = current_address(
        sender_group_id=said.sender_group_id,
        channel=said.channel,
        hashes=hashes,
        at=said.received_at,
    )
    return found or create_address(
        sender_group_id=said.sender_group_id,
        channel=said.channel,
        normalized=normalized,
        hashes=hashes,
        origin=AddressOrigin.CUSTOMER,
    )


def _draft(said: _Said, target: Target, action: str, purpose: str, scope: str) -> Draft:
    return Draft(
        target=target,
        action=action,
        purpose=purpose,
        source="keyword",
        occurred_at=said.occurred_at,
        idempotency_key=said.idempotency_key,
        scope=scope,
        evidence={"text": said.text[: keywords.LONGEST], "vendor_handled": said.vendor_handled},
    )


def _stop(said: _Said, words: Words) -> WordsOutcome:
    group = SenderGroup.objects.only("stop_scope").get(pk=said.sender_group_id)
    scope = "category" if group.stop_scope == "purpose" else "channel"
    with transaction.atomic():
        address = _claim(said)
        target = target_of(address)
        draft = _draft(said, target, ConsentAction.WITHDRAWN, Purpose.ORDER_UPDATES, scope)
        appended = ledger.append([draft], now=said.received_at)
        is_new = said.idempotency_key in appended.new_keys
        item = None
        if is_new and words.tier == 2:
            item = _item(said, address, "opt_out_review")
    was_stopped = _is_stopped(appended.before, target)
    is_late = said.received_at - said.occurred_at > CONFIRMATION_WINDOW
    owes_reply = is_new and not (was_stopped or is_late or said.vendor_confirmed)
    return WordsOutcome(
        "stop",
        words.tier,
        suppressed=_is_stopped(appended.after, target) or scope == "category",
        reply="stop_confirmation" if owes_reply else None,
        inbox_item_id=item.pk if item else None,
        address_id=address.pk,
        is_duplicate=not is_new,
    )


def _start(said: _Said, words: Words) -> WordsOutcome:
    with transaction.atomic():
        address = _claim(said)
        target = target_of(address)
        events = ledger.chain(target.sender_group_id, target.address_hash)
        drafts = _start_drafts(said, address, events)
        after = derivation.derive(ledger.fact_of(event) for event in events)
        is_new = False
        if drafts:
            appended = ledger.append(drafts, now=said.received_at)
            after, is_new = appended.after, bool(appended.new_keys)
        if is_new:
            # only whoever holds the phone can have written from it
            ContactAddress.objects.filter(pk=address.pk, verified_at=None).update(
                verified_at=said.received_at, verified_by="keyword"
            )
    suppressed = _is_stopped(after, target)
    owes_reply = is_new and not (suppressed or said.vendor_confirmed)
    return WordsOutcome(
        "start",
        words.tier,
        suppressed=suppressed,
        reply="start_confirmation" if owes_reply else None,
        address_id=address.pk,
        is_duplicate=not is_new,
    )


def _start_drafts(said: _Said, address: ContactAddress, events: list[ConsentEvent]) -> list[Draft]:
    """Lift what the customer stopped; grant what they had granted before, and order updates."""
    target = target_of(address)
    facts = [ledger.fact_of(event) for event in events]
    now = derivation.derive(facts)
    mine = {
        purpose: state
        for (generation, channel, purpose), state in now.states.items()
        if (generation, channel) == (target.generation, target.channel)
    }
    drafts: list[Draft] = []
    if _is_stopped(now, target) or any(state.carrier_block for state in mine.values()):
        lifted = _draft(said, target, ConsentAction.LIFTED, Purpose.ORDER_UPDATES, "channel")
        drafts.append(replace(lifted, idempotency_key=f"{said.idempotency_key}:lifted"))
    before_stop = derivation.granted_before_stop(
        facts, generation=target.generation, channel=target.channel
    )
    opt_ins = _open_opt_ins(now, address, said)
    regained = before_stop if _is_stopped(now, target) else set()
    for purpose in sorted({str(Purpose.ORDER_UPDATES)} | regained | opt_ins):
        if purpose in mine and mine[purpose].state == "granted":
            continue
        action = ConsentAction.CONFIRMED if purpose in opt_ins else ConsentAction.GRANTED
        grant = _draft(said, target, action, purpose, "category")
        drafts.append(replace(grant, idempotency_key=f"{said.idempotency_key}:{purpose}"))
    return drafts


def _for_staff(
    said: _Said, words: Words, address: ContactAddress | None, has_open_order: bool
) -> WordsOutcome:
    """Words a person must read: order talk, questions, a status request about no open order."""
    is_answered = words.intent == "status" and has_open_order
    item = None
    if words.tier == 3:
        item = _item(said, address, "order_talk", holds_marketing=True)
    elif keywords.normalise(said.text) and not is_answered:
        item = _item(said, address, "question")
    outcome = _outcome(words, address)
    return replace(outcome, inbox_item_id=item.pk if item else None)


def _item(
    said: _Said, address: ContactAddress | None, topic: str, *, holds_marketing: bool = False
) -> InboxItem:
    return InboxItem.objects.create(
        sender_group_id=said.sender_group_id,
        address=address,
        channel=said.channel,
        topic=topic,
        text=said.text[: keywords.LONGEST],
        order_ref=said.order_ref,
        received_at=said.received_at,
        holds_marketing=holds_marketing,
    )


def _outcome(
    words: Words, address: ContactAddress | None, *, reply: str | None = None
) -> WordsOutcome:
    if address is None:
        return WordsOutcome(words.intent, words.tier, reply=reply)
    target = target_of(address)
    return WordsOutcome(
        words.intent,
        words.tier,
        suppressed=_is_stopped(_derived(target), target),
        reply=reply,
        address_id=address.pk,
    )
