"""Uber Eats Marketplace orders (as an observer) and Uber Direct couriers of the restaurant's own.

Three bodies arrive at one address: Marketplace notices (thin, the order is fetched), Direct
delivery events (fat) and the older ``dapi.status_changed`` form (fetched where there is a token).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

from integrations import payloads
from integrations.contracts import (
    FollowUp,
    HttpRequest,
    HttpResponse,
    InboundCall,
    OrderUpdate,
    Setting,
    Source,
    State,
)
from integrations.errors import EventIgnored, PayloadMalformed
from integrations.signatures import require_hmac
from integrations.sources import uber_eats_dapi as dapi
from integrations.sources import uber_eats_direct as direct
from integrations.sources import uber_eats_notice as notices
from integrations.sources.uber_eats_order import read_order

LIVE = "https://api.uber.com"


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
        Setting(
            "direct_access_token",
            "Access token (Direct)",
            secret=True,
            required=False,
            help="scope eats.deliveries: deliveries that fell silent are asked about",
        ),
        Setting("customer_id", "Customer id (Direct)", required=False, example="cus_EXAMPLE"),
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
        named = (payloads.text(event.get(name), 1000) for name in ("event_id", "id"))
        found = payloads.key_within(next(filter(None, named), ""))
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
        if kind == dapi.STATUS_CHANGED:
            asked = self._delivery_behind(event)
            update = dapi.read_event(event, self.status_map)
            return [update, asked] if asked else [update]
        if kind not in notices.STATED:
            raise EventIgnored(f"event type {kind or 'missing'} says nothing about an order")
        return [notices.read(event, kind), self._order_behind(event)]

    # --- fetching ------------------------------------------------------------------------------

    def _order_behind(self, event: dict[str, Any]) -> FollowUp:
        order_id = payloads.required_text(
            payloads.inner(event, "meta").get("resource_id"), "meta.resource_id"
        )
        href = payloads.required_text(event.get("resource_href"), "resource_href", 500)
        at = notices.noticed_at(event)
        return FollowUp(
            request=self._get(self._path(href), "access_token"),
            coalesce_key=f"order:{order_id}",
            order_id=order_id,
            context={"event_time": str(int(at.timestamp()))} if at else {},
        )

    def _delivery_behind(self, event: dict[str, Any]) -> FollowUp | None:
        """The delivery of an older notice, None where nobody may ask; the notice is enough."""
        if not self.account.get("direct_access_token"):
            return None
        delivery = dapi.delivery_id(event)
        try:
            path = self._path(payloads.text(event.get("resource_href"), 500))
        except PayloadMalformed:
            return None
        return FollowUp(
            request=self._get(path, "direct_access_token"),
            coalesce_key=f"delivery:{delivery}",
            order_id=delivery,
            context={"reads": dapi.STATUS_CHANGED, "leg": dapi.leg_ref(event)},
        )

    def check_up(self, order_id: str, now: datetime) -> FollowUp | None:
        """A Direct delivery that is late and silent."""
        customer = self.account.get("customer_id", "")
        if not (customer and self.account.get("direct_access_token")):
            return None
        if not order_id.startswith(direct.ID_PREFIX):
            return None
        path = f"/v1/customers/{quote(customer, safe='')}/deliveries/{quote(order_id, safe='')}"
        return FollowUp(
            request=self._get(path, "direct_access_token"),
            coalesce_key=f"delivery:{order_id}",
            order_id=order_id,
            context={"reads": direct.DELIVERY_STATUS},
        )

    def _get(self, path: str, token: str) -> HttpRequest:
        return HttpRequest.get(
            self.base_url + path,
            headers={"Authorization": f"Bearer {self.account.get(token, '')}"},
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
        """The order of a GET /v2/eats/order/{id}, or a delivery in either of its forms."""
        body, context = payloads.load_object(response.body), follow_up.context
        reads = context.get("reads", "") or _form_of(body)
        if reads == direct.DELIVERY_STATUS:
            return [direct.read_delivery(body, received_at, self.status_map)]
        if reads == dapi.STATUS_CHANGED:
            return [dapi.read_delivery(body, context.get("leg", ""), received_at, self.status_map)]
        stamp = context.get("event_time", "")
        at = payloads.unix_time(int(stamp), "event_time") if stamp else None
        return [read_order(body, at, self.status_map)]


def _form_of(body: Mapping[str, Any]) -> str:
    """Which of the three resources an answer is, by its members; "" = an order."""
    if "order_status" in body:
        return dapi.STATUS_CHANGED
    is_direct = payloads.text(body.get("id")).startswith(direct.ID_PREFIX)
    return direct.DELIVERY_STATUS if is_direct else ""
