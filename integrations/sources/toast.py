"""Toast, a till with kitchen displays. Fat webhooks: every change carries the order, but no people.

Who placed an order is fetched until it is on its way. Its list of changed orders answers what
was missed: Toast repeats a webhook twice and then lets it go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

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
)
from integrations.errors import EventIgnored, PayloadMalformed, SignatureInvalid
from integrations.signatures import hmac_base64, require_hmac
from integrations.sources.toast_order import Reading, needs_contact, read_order, tied

ORDER_EVENTS = frozenset({"order_updated", "channel_order_updated"})
GUEST_STREAM = "guestOrderStatus"
#: what Toast shows the guest of an ordering channel -> ours; CLOSED means paid
GUEST_STATES: Mapping[str, str | None] = {
    "RECEIVED": State.RECEIVED,
    "IN_PREPARATION": State.PREPARING,
    "READY_FOR_PICKUP": State.READY,
    "CLOSED": None,
    "VOIDED": State.CANCELLED,
}
TYPES = frozenset({"pickup", "delivery", "dine_in", "curbside"})
#: as far ahead of ``since`` as anybody looks back
_WINDOW = timedelta(days=4)
#: orders can be long, and an answer of more than 1 MiB is cut
_PAGE = 20
#: it goes into a header
_GUID = re.compile(r"[0-9A-Za-z-]{1,60}")
_SEPARATORS = re.compile(r"[\s,;]+")


class Toast(Source):
    """The orders webhook of one subscription, and the orders behind it."""

    key = "toast"
    title = "Toast"
    settings = (
        Setting("secret", "Webhook secret", secret=True, help="of this subscription"),
        Setting("previous_secret", "Previous secret", secret=True, required=False),
        Setting(
            "access_token",
            "API token",
            secret=True,
            required=False,
            help="scope orders:read and guest.pi:read; without it there are no contacts",
        ),
        Setting(
            "restaurant_guid",
            "Restaurant to poll",
            required=False,
            help="Toast-Restaurant-External-ID",
        ),
        Setting(
            "dining_options",
            "Dining options",
            required=False,
            help="guid=delivery, guid=dine_in, guid=pickup, guid=curbside",
        ),
    )
    live_base_url = "https://ws-api.toasttab.com"
    can_state: ClassVar[frozenset[str]] = frozenset(
        state.value for state in State if state not in (State.PICKED_UP, State.FAILED)
    )

    #: what Toast asks for
    poll_every_s: ClassVar[int] = 300

    def verify(self, call: InboundCall) -> None:
        """Base64 HMAC-SHA256 over the raw body followed by the ``timestamp`` in it."""
        try:
            stamp = payloads.load_object(call.body).get("timestamp")
        except PayloadMalformed:
            stamp = None
        if not isinstance(stamp, str) or not stamp:
            raise SignatureInvalid("the body has no timestamp, which is part of what is signed")
        require_hmac(
            header="Toast-Signature",
            given=call.headers.get("toast-signature", ""),
            secrets=(self.account.get("secret", ""), self.account.get("previous_secret", "")),
            message=call.body + stamp.encode(),
            encode=hmac_base64,
        )

    def event_key(self, call: InboundCall) -> str:
        """Toast's id of the event."""
        try:
            found = payloads.text(payloads.load_object(call.body).get("guid"))
        except PayloadMalformed:
            found = ""
        return found or f"body|{payloads.sha256(call.body)}"

    def parse(self, call: InboundCall) -> list[OrderUpdate | FollowUp]:
        """The order as it is now, and the request for its guest while nobody may know him."""
        event = payloads.load_object(call.body)
        details = payloads.inner(event, "details")
        if GUEST_STREAM in details:
            return self._guest_news(event, details)
        category = payloads.text(event.get("eventCategory")) or "missing"
        if category not in ORDER_EVENTS:
            raise EventIgnored(f"event category {category} says nothing about an order")
        order = payloads.as_object(details.get("order"), "details.order")
        restaurant = payloads.text(details.get("restaurantGuid"))
        sent_at = payloads.time(event.get("timestamp"), "timestamp")
        update = read_order(order, self._reading(restaurant), sent_at)
        if self.account.get("access_token"):
            # half a guest (webhooks may keep the mail address) must not replace the fetched one
            update = replace(update, customer=None)
        found: list[OrderUpdate | FollowUp] = [update]
        if needs_contact(order):
            found += self._follow_ups(update.order_id, restaurant)
        return found

    def _guest_news(
        self, event: Mapping[str, Any], details: Mapping[str, Any]
    ) -> list[OrderUpdate | FollowUp]:
        """What an ordering channel is told about its own order."""
        order_id = payloads.required_text(details.get("orderGuid"), "details.orderGuid")
        native = payloads.required_text(details.get(GUEST_STREAM), f"details.{GUEST_STREAM}", 120)
        sent_at = payloads.time(event.get("timestamp"), "timestamp")
        at = payloads.time(details.get("lastUpdated"), "details.lastUpdated")
        if at is None:
            raise PayloadMalformed("details.lastUpdated: missing")
        state, known = payloads.look_up(native, GUEST_STATES, self.status_map.get(GUEST_STREAM))
        key = tied(at, sent_at)
        observation = Observation(
            event_key=payloads.key_within(f"guest:{order_id}:{key}:{native}", 370),
            track="kitchen",
            scope="order",
            ordering_key=key,
            native_state=native,
            state=state,
            occurred_at=at,
            occurred_at_basis="event",
        )
        restaurant = payloads.text(details.get("restaurantGuid"))
        update = OrderUpdate(
            order_id=order_id,
            observations=(observation,),
            location_id=restaurant,
            unknown_states=() if known else (f"{GUEST_STREAM} {native}",),
        )
        return [update, *self._follow_ups(order_id, restaurant)]

    def _follow_ups(self, order_id: str, restaurant: str) -> list[FollowUp]:
        """One GET of the order; none without a token or a restaurant to ask for."""
        if not (self.account.get("access_token") and _GUID.fullmatch(restaurant)):
            return []
        request = HttpRequest.get(
            f"{self.base_url}/orders/v2/orders/{quote(order_id, safe='')}",
            headers=self._headers(restaurant),
        )
        context = {"restaurant": restaurant}
        return [FollowUp(request, f"order:{order_id}", order_id, context)]

    def parse_resource(
        self, follow_up: FollowUp, response: HttpResponse, received_at: datetime
    ) -> list[OrderUpdate]:
        """The order of a GET /orders/v2/orders/{guid}, which knows its guest."""
        reading = self._reading(follow_up.context.get("restaurant", ""))
        return [read_order(payloads.load_object(response.body), reading)]

    def poll(self, since: datetime) -> HttpRequest | None:
        """The orders of one restaurant modified in the days after ``since``."""
        restaurant = self.account.get("restaurant_guid", "").strip()
        if not (restaurant and self.account.get("access_token")):
            return None
        window = {
            "startDate": _stamp(since),
            "endDate": _stamp(since + _WINDOW),
            "pageSize": str(_PAGE),
        }
        return HttpRequest.get(
            f"{self.base_url}/orders/v2/ordersBulk?{urlencode(window)}",
            headers=self._headers(restaurant),
        )

    def parse_poll(self, response: HttpResponse, received_at: datetime) -> list[OrderUpdate]:
        """Every order of the answer."""
        found = payloads.load_json(response.body)
        if not isinstance(found, list):
            raise PayloadMalformed("the body: expected a list of orders")
        reading = self._reading(self.account.get("restaurant_guid", "").strip())
        return [read_order(order, reading) for order in payloads.objects(found)]

    def poll_next(self, request: HttpRequest, response: HttpResponse) -> HttpRequest | None:
        """The page after a full one; Toast says nothing of how many there are."""
        found = payloads.load_json(response.body)
        if not isinstance(found, list) or len(found) < _PAGE:
            return None
        parts = urlsplit(request.url)
        query = dict(parse_qsl(parts.query))
        query["page"] = str(int(query.get("page", "1")) + 1)
        return replace(request, url=urlunsplit(parts._replace(query=urlencode(query))))

    def _headers(self, restaurant: str) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self.account.get('access_token', '')}",
            "Toast-Restaurant-External-ID": restaurant,
        }

    def _reading(self, location_id: str) -> Reading:
        return Reading(self.status_map, self._dining_options(), location_id)

    def _dining_options(self) -> dict[str, str]:
        written = _SEPARATORS.split(self.account.get("dining_options", ""))
        pairs = (entry.partition("=") for entry in written)
        return {guid: kind for guid, _, kind in pairs if kind in TYPES}


def _stamp(at: datetime) -> str:
    """A time as Toast wants it: milliseconds, and an offset without a colon."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
