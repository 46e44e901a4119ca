"""Reads the lines of a Shopify order: what was ordered, what was paid back, what it is called."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from integrations import payloads

#: keeps what is handed to the fetching of parts small
_MOST_LABELS = 100


def titled(line: Mapping[str, Any]) -> str:
    """What people call a line: its title, and the variant where there is a choice."""
    title, variant = payloads.text(line.get("title")), payloads.text(line.get("variant_title"))
    if not title or not variant or variant == "Default Title":
        return title
    return f"{title} ({variant})"[:200]


def items(order: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The lines that are still ordered."""
    found = []
    for place, line in enumerate(payloads.objects(order.get("line_items"))):
        left = line.get("current_quantity")
        if left == 0 and not isinstance(left, bool):
            continue  # taken off the order by an edit
        found.append(
            {
                "id": payloads.text(line.get("id")) or f"line-{place}",
                "label": _label(line),
                "quantity": payloads.number(left, payloads.number(line.get("quantity"))),
                "modifiers": _modifiers(line),
            }
        )
    return found


def refunds(order: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The lines paid back so far; several refunds may be about one line."""
    lines = {
        payloads.text(line.get("id")): line for line in payloads.objects(order.get("line_items"))
    }
    amounts: dict[str, float] = {}
    for refund in payloads.objects(order.get("refunds")):
        for entry in payloads.objects(refund.get("refund_line_items")):
            ref = payloads.text(entry.get("line_item_id"))
            if ref and ref in lines:
                amounts[ref] = amounts.get(ref, 0) + payloads.number(entry.get("quantity"))
    return [
        {
            "id": ref,
            "label": _label(lines[ref]),
            "quantity": payloads.number(amount),
            "modifiers": _modifiers(lines[ref]),
        }
        for ref, amount in amounts.items()
    ]


def _label(line: Mapping[str, Any]) -> str:
    return titled(line) or payloads.text(line.get("name")) or "Item"


def _modifiers(line: Mapping[str, Any]) -> list[str]:
    words = []
    for entry in payloads.objects(line.get("properties")):
        name, value = payloads.text(entry.get("name")), payloads.text(entry.get("value"))
        # a leading underscore marks what a shop hides from people
        if name and value and not name.startswith("_"):
            words.append(f"{name}: {value}"[:200])
    return words


def line_labels(order: Mapping[str, Any]) -> str:
    """Line id -> label as JSON: the list of parts names its lines by id only."""
    lines = payloads.objects(order.get("line_items"))[:_MOST_LABELS]
    labels = {
        ref: titled(line)[:80]
        for line in lines
        if (ref := payloads.text(line.get("id"))) and titled(line)
    }
    return json.dumps(labels, separators=(",", ":"))
