"""An order event before it is written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class EventDraft:
    """One change worth a row. ``data`` is JSON-ready.

    ``data["audience"]``, where present, limits who may be told: "staff", or "internal" for the
    timeline alone.
    """

    kind: str
    milestone: str
    part_ref: str
    epoch: int
    data: dict[str, Any]
    #: why staff must see it before the customer; "" = no reason
    held: str
    #: recorded, not told: too old when we learned it
    is_stale: bool
    occurred_at: datetime
