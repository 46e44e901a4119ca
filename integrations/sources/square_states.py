"""What Square's words mean, and how one account wants them read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from integrations import payloads
from integrations.contracts import State

#: fulfilment state -> ours; COMPLETED depends on the fulfilment type
FULFILLMENT_STATES: Mapping[str, str | None] = {
    "PROPOSED": State.RECEIVED,
    "RESERVED": State.PREPARING,
    "PREPARED": State.READY,
    "COMPLETED": None,
    "COMPLETED PICKUP": State.PICKED_UP,
    "COMPLETED DELIVERY": State.DELIVERED,
    "CANCELED": State.CANCELLED,
    "FAILED": State.FAILED,
}
#: order state -> ours; COMPLETED means paid and closed, not handed over
ORDER_STATES: Mapping[str, str | None] = {
    "DRAFT": None,
    "OPEN": None,
    "COMPLETED": None,
    "CANCELED": State.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Reading:
    """How one account wants Square's words read."""

    status_map: Mapping[str, Mapping[str, str]]
    reserved_means: str = "preparing"

    def order(self, native: str) -> tuple[str | None, bool]:
        """(our state or None, known) of an order state."""
        return payloads.look_up(native, ORDER_STATES, self.status_map.get("order"))

    def fulfillment(self, native: str, kind: str) -> tuple[str | None, bool]:
        """(our state or None, known) of a fulfilment state of a fulfilment type."""
        added = self.status_map.get("fulfillment", {})
        if native == "RESERVED" and self.reserved_means == "accepted" and native not in added:
            return State.ACCEPTED, True
        typed = f"{native} {kind}"
        word = typed if typed in FULFILLMENT_STATES or typed in added else native
        return payloads.look_up(word, FULFILLMENT_STATES, added)
