"""Leaving out of a stored body what nobody here needs to know: positions, pictures, numbers."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from integrations import payloads
from integrations.errors import PayloadMalformed


def without_members(body: bytes, names: Collection[str]) -> bytes:
    """``body`` without the members called ``names``, at any depth.

    Byte for byte the same where it has none of them, and where it is no JSON object: what cannot
    be read is kept as it came, so that a manager can see why.
    """
    try:
        value = payloads.load_object(body)
        return json.dumps(value, separators=(",", ":")).encode() if _strip(value, names) else body
    except (PayloadMalformed, RecursionError):
        return body


def _strip(value: Any, names: Collection[str]) -> bool:
    """Remove in place; a loop, because a body may be nested deeper than Python's stack."""
    removed = False
    waiting = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            for name in [name for name in node if name in names]:
                del node[name]
                removed = True
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return removed
