"""How what we write into a Shopify shop is known again when the shop tells it back to us.

A shop posts every fulfilment and every event of one to its order source, whoever wrote it. Our own
words must not come back as a courier's. Ids cannot tell them apart, because the call may arrive
before the answer that holds the id; so they carry a mark made of the order's id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from integrations.payloads import text


def tracking_number(order_id: str) -> str:
    """The tracking number of a fulfilment that is ours."""
    return f"OU-{order_id}"


def marked(words: str, order_id: str, limit: int) -> str:
    """``words``, cut so that they end with the mark within ``limit`` characters."""
    mark = f"({tracking_number(order_id)})"
    return f"{words[: limit - len(mark) - 1].strip()} {mark}".strip()


def is_own_event(event: Mapping[str, Any]) -> bool:
    """Whether the body of ``fulfillment_events/create`` is an event we wrote."""
    order_id = text(event.get("order_id"))
    said = text(event.get("message"), 2000)
    return bool(order_id) and said.endswith(f"({tracking_number(order_id)})")


def is_own_fulfillment(body: Mapping[str, Any]) -> bool:
    """Whether a fulfilment (REST's words) carries our tracking number and no other."""
    order_id = text(body.get("order_id"))
    listed = body.get("tracking_numbers")
    numbers = [*(listed if isinstance(listed, list) else []), body.get("tracking_number")]
    found = {number for each in numbers if (number := text(each))}
    return bool(order_id) and found == {tracking_number(order_id)}
