"""Uber Eats Marketplace orders (as an observer) and Uber Direct couriers of the restaurant's own.

Three bodies arrive at one address: Marketplace notices (thin, the order is fetched), Direct
delivery events (fat) and the older ``dapi.status_changed`` form (enough by itself).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlsplit

from integrations import payloads
from integrations.contracts import (
    FollowUp,
    HttpRequest,
    HttpResponse,
    InboundCall,
    Observation,
    OrderUpdate,
    Setting,
    Source,
    State,
    ordering_key,
)
from integrations.errors import EventIgnored, PayloadMalformed
from integrations.signatures import require_hmac
from integrations.sources import uber_eats_direct as direct
from integrations.sources.uber_eats_order import read_order

LIVE = "https://api.uber.com"
#: the order has to be read again
FETCHED = frozenset(
    {
        "orders.notification",
        "orders.scheduled.notification",
        "orders.cancel",
        "orders.failure",
        "orders.release",
        "order.fulfillment_issues.resolved",
    }
)
#: what an event says by its own name; the rest is in the order behind it
STATED: Mapping[str, str | None] = {
    "orders.cancel": State.CANCELLED,
    "orders.failure": State.CANCELLED,
    "orders.release": None,
}
DAPI = "dapi.status_changed"


class UberEats(Source):
    """One Uber application: Marketplace, Direct, or both."""

    key = "uber_eats"
    title = "Uber Eats and Uber Direct"
    settings = (
        Setting("client_secret", "Client secret (Marketplace)", secret=True, required=False),
        Setting("direct_signing_key", "Signing key (Direct webhook)", secret=True, required=False),
        Setting("previous_signing_key", "Previous secret or key", secret=True, required=False),
        Setting(
            "access_token",
            "Access token (Marketplace)",
            secret=True,
            required=False,
            help="scope eats.order or eats.store.orders.read",
        ),
    )
    live_base_url = LIVE
    priority: ClassVar[Mapping[str, int]] = {"commercial": 30, "kitchen": 10, "courier": 30}
    can_state: ClassVar[frozenset[str]] = frozenset(
        {
            State.RECEIVED,
            State.ACCEPTED,
            State.OUT_FOR_DELIVERY,
            State.PICKED_UP,
            State.DELIVERED,
            State.CANCELLED,
        }
    )
    #: of Marketplace orders; couriers of Direct bring the restaurant's own, which are ours to tell
    tells_guest: ClassVar[frozenset[str]] = frozenset(
        {State.RECEIVED, State.ACCEPTED, State.PICKED_UP, State.CANCELLED}
    )

    def verify(self, call: InboundCall) -> None:
        """Hex HMAC-SHA256 over the raw body, with any of the account's keys."""
        require_hmac(
            header="X-Uber-Signature",
            given=call.headers.get("x-uber-signature", ""),
            secrets=(
                self.account.get("client_secret", ""),
                self.account.get("direct_signing_key", ""),
                self.account.get("previous_signing_key", ""),
            ),
            message=call.body,
        )

    def event_key(self, call: InboundCall) -> str:
        """Uber's event id; courier positions of one delivery count once per estimated minute."""
        try:
            event = payloads.load_object(call.body)
        except PayloadMalformed:
            return f"body|{payloads.sha256(call.body)}"
        if event.get("kind") == direct.COURIER_UPDATE:
            return direct.courier_update_key(event, call.received_at)
        found = payloads.text(event.get("event_id")) or payloads.text(event.get("id"))
        return found or f"body|{payloads.sha256(call.body)}"

    def fingerprint(self, call: InboundCall) -> str:
        """Courier positions differ every 20 seconds without saying anything new."""
        key = self.event_key(call)
        if key.startswith(direct.COURIER_UPDATE):
            return payloads.sha256(key.encode())
        return payloads.sha256(self.body_to_store(call))

    def body_to_store(self, call: InboundCall) -> bytes:
        """Positions, pictures and proofs of delivery are nobody's business here."""
        try:
            return direct.without_positions(call.body)
        except PayloadMalformed:
            return call.body

    def parse(self, call: InboundCall) -> list[OrderUpdate | FollowUp]:
        """A courier's news, or what the notice says and the order to fetch."""
        event = payloads.load_object(call.body)
        if "kind" in event:
            key = self.event_key(call)
            return [direct.read_event(event, key, call.received_at, self.status_map)]
        kind = payloads.text(event.get("event_type"))
        if kind == DAPI:
            return [direct.read_dapi(event, self.status_map)]
        if kind not in FETCHED:
            raise EventIgnored(f"event type {kind or 'missing'} says nothing about an order")
        found: list[OrderUpdate | FollowUp] = [self._follow_up(event)]
        if kind in STATED:
            found.insert(0, self._notice(event, kind))
        return found

    def _notice(self, event: dict[str, Any], kind: str) -> OrderUpdate:
        meta = payloads.inner(event, "meta")
        at = payloads.unix_time(event.get("event_time"), "event_time")
        observation = Observation(
            event_key=payloads.required_text(event.get("event_id"), "event_id"),
            track="commercial",
            scope="order",
            ordering_class="ranked",
            ordering_key=ordering_key(at),
            kind="transition" if STATED[kind] else "note",
            native_state=kind,
            state=STATED[kind],
            occurred_at=at,
            occurred_at_basis="event",
            data={"note": "courier is near, start preparing"} if kind == "orders.release" else {},
        )
        return OrderUpdate(
            order_id=payloads.required_text(meta.get("resource_id"), "meta.resource_id"),
            observations=(observation,),
            location_id=payloads.text(meta.get("user_id")),
        )

    def _follow_up(self, event: dict[str, Any]) -> FollowUp:
        order_id = payloads.required_text(
            payloads.inner(event, "meta").get("resource_id"), "meta.resource_id"
        )
        href = payloads.required_text(event.get("resource_href"), "resource_href", 500)
        return FollowUp(
            request=HttpRequest.get(
                self.base_url + self._path(href),
                headers={"Authorization": f"Bearer {self.account.get('access_token', '')}"},
            ),
            coalesce_key=f"order:{order_id}",
            order_id=order_id,
            context={"event_time": payloads.text(event.get("event_time"))},
        )

    def _path(self, href: str) -> str:
        """The path of a link that leads to Uber (or to the stand-in this account talks to).

        Only the path is used: our token never goes to a host somebody wrote into a body.
        """
        if href.startswith(self.base_url + "/"):
            href = href.removeprefix(self.base_url)
        elif href.startswith(LIVE + "/"):
            href = href.removeprefix(LIVE)
        else:
            raise PayloadMalformed("resource_href: does not lead to api.uber.com")
        path = urlsplit(href).path
        if ".." in path or not path.startswith(("/v1/", "/v2/")):
            raise PayloadMalformed("resource_href: is not the address of an order")
        return path

    def parse_resource(
        self, follow_up: FollowUp, response: HttpResponse, received_at: datetime
    ) -> list[OrderUpdate]:
        """The order of a GET /v2/eats/order/{id}."""
        order = payloads.load_object(response.body)
        stamp = follow_up.context.get("event_time", "")
        at = payloads.unix_time(int(stamp), "event_time") if stamp.isdecimal() else None
        return [read_order(order, at, self.status_map)]
