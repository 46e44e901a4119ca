"""Reads what one call of Clover names: orders that changed, and orders that are gone.

A call is a hint. What an order is now has to be fetched; only that it is gone has to be believed,
because then there is nothing left to fetch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from integrations import payloads
from integrations.contracts import InboundCall, Observation, OrderUpdate, ordering_key
from integrations.errors import PayloadMalformed
from integrations.sources.clover_order import DELETED, STATES, instant

CHANGES = frozenset({"CREATE", "UPDATE", DELETED})
#: what the till no longer has was deleted there, whether or not we were told
NOT_FOUND = "not found"
_CODE = re.compile(r"[0-9A-Za-z-]{1,64}")


@dataclass(frozen=True, slots=True)
class Ping:
    """One line of a call: this order of this merchant changed."""

    merchant: str
    order_id: str
    change: str
    #: milliseconds since 1970, as sent
    ts: int
    at: datetime
    event_key: str


def verification_code(call: InboundCall) -> str:
    """The code of the one call that carries nothing else; "" for every other call."""
    if len(call.body) > 200:
        return ""
    try:
        body = payloads.load_object(call.body)
    except PayloadMalformed:
        return ""
    code = body.get("verificationCode")
    if len(body) != 1 or not isinstance(code, str) or not _CODE.fullmatch(code):
        return ""
    return code


def pings(body: Mapping[str, Any]) -> Iterator[Ping]:
    """Every order named by a call. Raises PayloadMalformed."""
    merchants = payloads.as_object(body.get("merchants"), "merchants")
    for merchant, changes in merchants.items():
        if not 0 < len(merchant) <= 60:
            raise PayloadMalformed("merchants: a merchant id is empty or too long")
        for entry in payloads.objects(changes):
            kind, _, order_id = payloads.text(entry.get("objectId"), 300).partition(":")
            change = payloads.text(entry.get("type"), 40)
            if kind != "O" or change not in CHANGES:
                continue
            at = instant(entry.get("ts"), "ts")
            if at is None:
                raise PayloadMalformed("ts: missing")
            order_id = payloads.required_text(order_id, "objectId", 100)
            key = f"clover:{merchant}:O:{order_id}:{change}:{entry['ts']}"
            yield Ping(merchant, order_id, change, entry["ts"], at, key)


def gone(ping: Ping, added: Mapping[str, str]) -> OrderUpdate:
    """An order that can no longer be fetched. Staff decide whether the guest should hear of it.

    Tills delete orders to tidy up. One that nobody here knew is no news at all.
    """
    key = ping.event_key if ping.change == DELETED else f"{ping.event_key}:{ping.change}"
    observation = Observation(
        event_key=payloads.key_within(key, 370),
        track="commercial",
        scope="order",
        ordering_key=ordering_key(ping.at),
        native_state=ping.change,
        state=payloads.look_up(DELETED, STATES, added)[0],
        occurred_at=ping.at,
        occurred_at_basis="event",
        data={"reason": {"code": "deleted_at_till", "staff_first": True}},
    )
    return OrderUpdate(
        order_id=ping.order_id,
        observations=(observation,),
        location_id=ping.merchant,
        courier_only=ping.change == NOT_FOUND,
    )
