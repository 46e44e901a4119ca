"""Reads what is on the checks of a Toast order: selections, their modifiers, and the guests.

Checks only split the bill. Selections are what people eat, except those that sell no food.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from integrations import payloads
from integrations.contracts import Customer

#: lines that no kitchen ever finishes: an order must not wait for a gift card to be ready
NO_FOOD = frozenset({"TOAST_CARD_SELL", "TOAST_CARD_RELOAD", "HOUSE_ACCOUNT_PAY_BALANCE"})
_NOT_DIGITS = re.compile(r"\D", re.ASCII)
_MOST_MODIFIERS = 50


def checks(order: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The checks of an order, deleted ones included."""
    return payloads.objects(order.get("checks"))


def is_voided(order: Mapping[str, Any]) -> bool:
    """The order itself, or every check that was not merged away."""
    if order.get("voided") is True:
        return True
    left = [check for check in checks(order) if check.get("deleted") is not True]
    return bool(left) and all(check.get("voided") is True for check in left)


def selections(order: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], bool]]:
    """(selection, voided) of every check that is still one; checks only split the bill.

    An order voided as a whole keeps its lines: it was called off, not edited.
    """
    is_whole = is_voided(order)
    for check in checks(order):
        if check.get("deleted") is True:
            continue
        for selection in payloads.objects(check.get("selections")):
            is_void = selection.get("voided") is True
            yield selection, is_void or (check.get("voided") is True and not is_whole)


def is_food(selection: Mapping[str, Any]) -> bool:
    """Whether the kitchen has anything to do with it."""
    is_money = payloads.text(selection.get("selectionType"), 60) in NO_FOOD
    return not (is_money or selection.get("deferred") is True)


def is_refunded(selection: Mapping[str, Any]) -> bool:
    """Whether money was paid back for it; it stays on the check."""
    amount = payloads.inner(selection, "refundDetails").get("refundAmount")
    return isinstance(amount, int | float) and not isinstance(amount, bool) and amount > 0


def line(selection: Mapping[str, Any]) -> dict[str, Any]:
    """Label, quantity and modifiers of a selection."""
    return {
        "label": payloads.text(selection.get("displayName")) or "Item",
        "quantity": payloads.number(selection.get("quantity")),
        "modifiers": _modifiers(selection),
    }


def _modifiers(selection: Mapping[str, Any]) -> list[str]:
    """Names of the modifiers and of theirs; a loop, because they nest without a limit."""
    words: list[str] = []
    waiting = payloads.objects(selection.get("modifiers"))[::-1]
    while waiting and len(words) < _MOST_MODIFIERS:
        modifier = waiting.pop()
        if modifier.get("voided") is True:
            continue
        if name := payloads.text(modifier.get("displayName")):
            quantity = payloads.number(modifier.get("quantity"))
            words.append(name if quantity == 1 else f"{quantity} x {name}"[:200])
        waiting += payloads.objects(modifier.get("modifiers"))[::-1]
    return words


def guest(order: Mapping[str, Any]) -> Customer | None:
    """The first guest of a check who can be reached, else the first who has a name."""
    named: Customer | None = None
    for check in checks(order):
        found = payloads.inner(check, "customer")
        words = [payloads.text(found.get(name), 80) for name in ("firstName", "lastName")]
        name = " ".join(word for word in words if word)
        phone, email = _phone(found), payloads.text(found.get("email"), 254)
        external_id = payloads.text(found.get("guid"))
        if phone or email:
            return Customer(name, phone, email, "direct", external_id=external_id)
        if name and named is None:
            named = Customer(name, contact_kind="none", external_id=external_id)
    return named


def _phone(found: Mapping[str, Any]) -> str:
    """E.164 where the country code is known, else as it was typed."""
    written = payloads.text(found.get("phone"), 40)
    code = _NOT_DIGITS.sub("", payloads.text(found.get("phoneCountryCode"), 8))
    digits = _NOT_DIGITS.sub("", written)
    if not (code and digits) or written.startswith("+"):
        return written
    if code == "1" and len(digits) == 11 and digits.startswith("1"):
        return f"+{digits}"
    return f"+{code}{digits.lstrip('0')}"
