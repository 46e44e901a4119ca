"""DoorDash: Drive couriers of the restaurant's own orders, and Marketplace orders as an observer.

The answer is exactly 200, always: Drive repeats anything else, and for a Marketplace order 202
would promise that somebody accepts it later.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from integrations import payloads
from integrations.contracts import (
    FollowUp,
    HttpResponse,
    InboundCall,
    OrderUpdate,
    Setting,
    Source,
    State,
)
from integrations.errors import EventIgnored, PayloadMalformed
from integrations.redaction import without_members
from integrations.signatures import require_value
from integrations.sources import doordash_drive as drive
from integrations.sources import doordash_marketplace as marketplace

#: where couriers are, what doors look like, and numbers that must never be used
_PRIVATE = frozenset(
    {
        "dasher_location",
        "latitude",
        "longitude",
        "location",
        "vehicle",
        "phone",
        "email",
        "phone_number",
        "masked_phone_number",
        "dasher_dropoff_phone_number",
        "dasher_pickup_phone_number",
        "pickup_verification_image_url",
        "dropoff_verification_image_url",
        "dropoff_signature_image_url",
    }
)


class DoorDash(Source):
    """One DoorDash account: Drive, Marketplace, or both."""

    key = "doordash"
    title = "DoorDash Drive and Marketplace"
    settings = (
        Setting(
            "authorization",
            "Authorization value",
            secret=True,
            help="the whole header value set in the portal, with Basic or Bearer in front. "
            "Subscribe to courier and cancellation events only, never to Marketplace Orders",
        ),
        Setting("previous_authorization", "Previous value", secret=True, required=False),
        Setting("developer_id", "Developer ID (Drive)", required=False),
        Setting("key_id", "Key ID (Drive)", required=False),
        Setting(
            "signing_secret",
            "Signing secret (Drive)",
            secret=True,
            required=False,
            help="with the two above: deliveries that moved or fell silent are read again",
        ),
    )
    live_base_url = "https://openapi.doordash.com"
    priority: ClassVar[Mapping[str, int]] = {"commercial": 30, "kitchen": 10, "courier": 30}
    can_state: ClassVar[frozenset[str]] = frozenset(
        {State.RECEIVED, State.OUT_FOR_DELIVERY, State.DELIVERED, State.CANCELLED}
    )

    # --- before the call is believed -----------------------------------------------------------

    def verify(self, call: InboundCall) -> None:
        """DoorDash signs nothing: it sends back the value typed into its portal."""
        names = ("authorization", "previous_authorization")
        require_value(
            header="Authorization",
            given=call.headers.get("authorization", ""),
            allowed=[self.account.get(name, "") for name in names],
            what="Authorization value",
        )

    def event_key(self, call: InboundCall) -> str:
        """DoorDash numbers no events: what happened to which order or delivery, and when."""
        try:
            body = payloads.load_object(call.body)
            return drive.event_key(body) if _is_drive(body) else marketplace.event_key(body)
        except (PayloadMalformed, EventIgnored):
            return f"body|{payloads.sha256(call.body)}"

    def fingerprint(self, call: InboundCall) -> str:
        """Without positions, which make every repeat of an event different."""
        return payloads.sha256(self.body_to_store(call))

    def body_to_store(self, call: InboundCall) -> bytes:
        """Positions, pictures and masked numbers are left out."""
        return without_members(call.body, _PRIVATE)

    # --- reading -------------------------------------------------------------------------------

    def parse(self, call: InboundCall) -> list[OrderUpdate | FollowUp]:
        """What the push says, and the delivery to read again when its estimate has moved."""
        body = payloads.load_object(call.body)
        if not _is_drive(body):
            return [marketplace.read(body, self.status_map)]
        found: list[OrderUpdate | FollowUp] = [drive.read_event(body, self.status_map)]
        asked = drive.follow_up(body, self.account, self.base_url, call.received_at)
        return [*found, asked] if asked else found

    def check_up(self, order_id: str, now: datetime) -> FollowUp | None:
        """A Drive delivery that is late and silent; orders of the app cannot be asked about."""
        return drive.ask(order_id, self.account, self.base_url, now)

    def parse_resource(
        self, follow_up: FollowUp, response: HttpResponse, received_at: datetime
    ) -> list[OrderUpdate]:
        """The delivery of a GET /drive/v2/deliveries/{id}."""
        delivery = payloads.load_object(response.body)
        return [drive.read_delivery(delivery, received_at, self.status_map)]


def _is_drive(body: Mapping[str, Any]) -> bool:
    return "event_name" in body or "external_delivery_id" in body
