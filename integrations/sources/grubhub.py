"""Grubhub Connect: couriers for the restaurant's own orders. Every push holds the whole history.

A missed or reordered push loses nothing, because the next one repeats what it said. Of Marketplace
orders only the documented status is read; this product never confirms or rejects one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from integrations import payloads
from integrations.contracts import (
    FollowUp,
    InboundCall,
    Observation,
    OrderUpdate,
    Setting,
    Source,
    State,
)
from integrations.errors import EventIgnored, PayloadMalformed
from integrations.redaction import without_members
from integrations.signatures import require_basic
from integrations.sources.grubhub_delivery import LOCATION_UPDATE, delivery_key, read_delivery

ORDER_STREAM = "marketplace.order"
ORDER_STATES: Mapping[str, str | None] = {
    "RESTAURANT_CONFIRMABLE": State.RECEIVED,
    "CONFIRMED": State.ACCEPTED,
    "REJECTED": State.CANCELLED,
}
#: where the courier is and what the door looks like
_PRIVATE = frozenset({"location", "photo_url", "photo_capture_location", "dropoff_image_details"})


class Grubhub(Source):
    """The Connect webhook of one partner, with HTTP Basic."""

    key = "grubhub"
    title = "Grubhub"
    settings = (
        Setting("username", "User", help="the Basic user agreed with Grubhub at signup"),
        Setting("password", "Password", secret=True),
        Setting("previous_password", "Previous password", secret=True, required=False),
    )
    priority: ClassVar[Mapping[str, int]] = {"commercial": 20, "kitchen": 10, "courier": 30}
    can_state: ClassVar[frozenset[str]] = frozenset(
        {
            State.RECEIVED,
            State.ACCEPTED,
            State.OUT_FOR_DELIVERY,
            State.DELIVERED,
            State.CANCELLED,
        }
    )

    # --- before the call is believed -----------------------------------------------------------

    def verify(self, call: InboundCall) -> None:
        """HTTP Basic, as chosen at signup."""
        names = ("password", "previous_password")
        require_basic(
            given=call.headers.get("authorization", ""),
            user=self.account.get("username", ""),
            passwords=(self.account.get(name, "") for name in names),
        )

    def event_key(self, call: InboundCall) -> str:
        """Delivery, kind and newest element of the history; estimates also by their value."""
        try:
            return _event_key(payloads.load_object(call.body))
        except (PayloadMalformed, EventIgnored):
            return f"body|{payloads.sha256(call.body)}"

    def fingerprint(self, call: InboundCall) -> str:
        """Positions differ all the time without saying anything new."""
        key = self.event_key(call)
        if f":{LOCATION_UPDATE}:" in key:
            return payloads.sha256(key.encode())
        return payloads.sha256(self.body_to_store(call))

    def body_to_store(self, call: InboundCall) -> bytes:
        """Positions and door pictures (which expire) are left out."""
        return without_members(call.body, _PRIVATE)

    # --- reading -------------------------------------------------------------------------------

    def parse(self, call: InboundCall) -> list[OrderUpdate | FollowUp]:
        """The leg with everything that happened to it so far."""
        body = payloads.load_object(call.body)
        key = _event_key(body)
        if "update_type" in body:
            return [read_delivery(body, key, call.received_at, self.status_map)]
        return [self._order(body, key)]

    def _order(self, body: dict[str, Any], key: str) -> OrderUpdate:
        native = payloads.required_text(body.get("status"), "status", 120)
        state, known = payloads.look_up(native, ORDER_STATES, self.status_map.get(ORDER_STREAM))
        observation = Observation(
            event_key=key,
            track="commercial",
            scope="order",
            ordering_class="ranked",
            native_state=native,
            state=state,
            data={"reason": {"code": "rejected"}} if native == "REJECTED" else {},
        )
        order_id = payloads.required_text(body.get("order_uuid"), "order_uuid")
        return OrderUpdate(
            order_id=order_id,
            observations=(observation,),
            # the name an aggregator or a till has for an order of a marketplace
            aliases=(("channelOrderId", order_id),),
            location_id=payloads.text(body.get("merchant_id")),
            unknown_states=() if known else (f"{ORDER_STREAM} {native}",),
        )


def _event_key(body: Mapping[str, Any]) -> str:
    """Raises PayloadMalformed, or EventIgnored for bodies that are about no order."""
    if "update_type" in body:
        return delivery_key(body)
    if "order_uuid" not in body:
        raise EventIgnored("the body names neither a delivery nor an order")
    order = payloads.required_text(body["order_uuid"], "order_uuid")
    native = payloads.required_text(body.get("status"), "status", 120)
    return payloads.key_within(f"grubhub:order:{order}:{native}")
