"""Square POS and Square Online. Thin webhooks: an event says which order to fetch, little else."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import quote

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
from integrations.signatures import hmac_base64, require_hmac
from integrations.sources.square_event import CREATED, read_event
from integrations.sources.square_order import read_order
from integrations.sources.square_states import Reading

#: an answer of more than 1 MiB is cut
_PAGE = 50
EVENTS = {
    CREATED: "order_created",
    "order.updated": "order_updated",
    "order.fulfillment.updated": "order_fulfillment_updated",
}


class Square(Source):
    """Order webhooks of one Square application, and the orders behind them."""

    key = "square"
    title = "Square"
    settings = (
        Setting("signature_key", "Webhook signature key", secret=True),
        Setting("previous_signature_key", "Previous key", secret=True, required=False),
        Setting("access_token", "Access token", secret=True, help="scope ORDERS_READ"),
        Setting("api_version", "Square-Version", required=False, help="empty: the application's"),
        Setting(
            "reserved_means",
            "RESERVED means",
            required=False,
            default="preparing",
            choices=("preparing", "accepted"),
        ),
        Setting(
            "location_ids",
            "Locations to poll",
            required=False,
            help="Square location ids, separated by commas",
        ),
    )
    live_base_url = "https://connect.squareup.com"
    can_state: ClassVar[frozenset[str]] = frozenset(
        state.value for state in State if state is not State.OUT_FOR_DELIVERY
    )

    def verify(self, call: InboundCall) -> None:
        """Base64 HMAC-SHA256 over the registered URL and the raw body."""
        require_hmac(
            header="x-square-hmacsha256-signature",
            given=call.headers.get("x-square-hmacsha256-signature", ""),
            secrets=(
                self.account.get("signature_key", ""),
                self.account.get("previous_signature_key", ""),
            ),
            message=call.url.encode() + call.body,
            encode=hmac_base64,
            call=call,
            over=lambda url: url.encode() + call.body,
        )

    def event_key(self, call: InboundCall) -> str:
        """Square's event id."""
        try:
            found = payloads.text(payloads.load_object(call.body).get("event_id"))
        except PayloadMalformed:
            found = ""
        return found or f"body|{payloads.sha256(call.body)}"

    def parse(self, call: InboundCall) -> list[OrderUpdate | FollowUp]:
        """What the event itself says, and the order to fetch."""
        event = payloads.load_object(call.body)
        kind = payloads.text(event.get("type"))
        if kind not in EVENTS:
            raise EventIgnored(f"event type {kind or 'missing'} says nothing about an order")
        notice = payloads.inner(event, "data", "object", EVENTS[kind])
        order_id = payloads.required_text(
            notice.get("order_id") or payloads.inner(event, "data").get("id"), "data.id"
        )
        if notice.get("state") == "DRAFT":
            raise EventIgnored("a draft is no order yet")
        told = read_event(event, notice, order_id, self._reading())
        fetch = FollowUp(
            request=HttpRequest.get(
                f"{self.base_url}/v2/orders/{quote(order_id, safe='')}", headers=self._headers()
            ),
            coalesce_key=f"order:{order_id}",
            order_id=order_id,
        )
        return [fetch] if told is None else [told, fetch]

    def parse_resource(
        self, follow_up: FollowUp, response: HttpResponse, received_at: datetime
    ) -> list[OrderUpdate]:
        """The order of a GET /v2/orders/{id}."""
        answer = payloads.load_object(response.body)
        return self._updates(payloads.as_object(answer.get("order"), "order"))

    def poll(self, since: datetime) -> HttpRequest | None:
        """Orders updated since ``since`` at the locations of the account."""
        locations = [part.strip() for part in self.account.get("location_ids", "").split(",")]
        if not any(locations):
            return None
        window = {"start_at": since.astimezone(UTC).isoformat()}
        return HttpRequest.post(
            f"{self.base_url}/v2/orders/search",
            json_body={
                "location_ids": [location for location in locations if location],
                "limit": _PAGE,
                "query": {
                    "filter": {"date_time_filter": {"updated_at": window}},
                    "sort": {"sort_field": "UPDATED_AT", "sort_order": "ASC"},
                },
            },
            headers=self._headers(),
        )

    def parse_poll(self, response: HttpResponse, received_at: datetime) -> list[OrderUpdate]:
        """Every order of the answer."""
        found = payloads.load_object(response.body).get("orders")
        return [update for order in payloads.objects(found) for update in self._updates(order)]

    def poll_next(self, request: HttpRequest, response: HttpResponse) -> HttpRequest | None:
        """The same search from where the answer ended."""
        cursor = payloads.load_object(response.body).get("cursor")
        if not (isinstance(cursor, str) and cursor):
            return None
        wanted = payloads.load_object(request.body)
        if wanted.get("cursor") == cursor:
            return None
        return replace(request, body=json.dumps({**wanted, "cursor": cursor}).encode())

    def _headers(self) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {self.account.get('access_token', '')}"}
        if version := self.account.get("api_version"):
            headers["Square-Version"] = version
        return headers

    def _updates(self, order: dict[str, Any]) -> list[OrderUpdate]:
        return [] if order.get("state") == "DRAFT" else [read_order(order, self._reading())]

    def _reading(self) -> Reading:
        return Reading(
            status_map=self.status_map,
            reserved_means=self.account.get("reserved_means") or "preparing",
        )
