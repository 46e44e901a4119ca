"""Deliverect, between a hundred ordering channels and the till. Reporting, channel and POS feeds.

No body says what it is: each is told apart by its members. Reporting events are sent once and
never again, so everything is answered 200 and an order can be fetched to check.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import quote

from integrations import payloads
from integrations.contracts import (
    FollowUp,
    HttpRequest,
    HttpResponse,
    InboundCall,
    Observation,
    OrderUpdate,
    Reply200,
    Setting,
    Source,
    State,
    ordering_key,
)
from integrations.errors import EventIgnored, PayloadMalformed
from integrations.redaction import without_members
from integrations.signatures import require_hmac
from integrations.sources import deliverect_bodies as bodies
from integrations.sources import deliverect_courier as couriers
from integrations.sources import deliverect_order as orders

SIGNATURES = ("x-server-authorization-hmac-sha256", "x-deliverect-signature")
#: what a channel is told when it registers; feeds left out are not sent
REGISTERED_URLS = ("statusUpdateURL", "updatePrepTimeURL", "courierUpdateURL")
REGISTRATION = frozenset({"register", "active", "inactive"})
_PRIVATE = frozenset({"coordinates", "rawDriverUpdate"})


class Deliverect(Source):
    """One Deliverect account or channel."""

    key = "deliverect"
    title = "Deliverect"
    settings = (
        Setting(
            "webhook_secret",
            "Webhook secret",
            secret=True,
            help="the partner secret; before certification the channel link id",
        ),
        Setting("previous_webhook_secret", "Previous secret", secret=True, required=False),
        Setting("access_token", "Access token", secret=True, required=False),
        Setting(
            "order_path",
            "Path of an order",
            required=False,
            help="of your API role, with {id} in it, e.g. /orders/{id}; with the access token: "
            "every status event reads its order again",
        ),
    )
    live_base_url = "https://api.deliverect.com"
    priority: ClassVar[Mapping[str, int]] = {"commercial": 20, "kitchen": 20, "courier": 20}
    can_state: ClassVar[frozenset[str]] = frozenset(set(State) - {State.PICKED_UP})

    # --- before the call is believed -----------------------------------------------------------

    def handshake(self, call: InboundCall) -> Reply200 | None:
        """A channel link registers: tell it this address for the three feeds we read.

        Answered unverified: the secret of a new link is the id it is only now telling, and the
        answer holds nothing but the address it has just called.
        """
        if call.method != "POST" or b"channelLinkId" not in call.body:
            return None
        try:
            body = payloads.load_object(call.body)
        except PayloadMalformed:
            return None
        is_registration = payloads.text(body.get("status"), 20) in REGISTRATION
        if not is_registration or "channelLinkId" not in body or "orderId" in body or "_id" in body:
            return None
        url = call.url.partition("?")[0]
        urls = json.dumps(dict.fromkeys(REGISTERED_URLS, url))
        return Reply200(body=urls.encode(), content_type="application/json")

    def verify(self, call: InboundCall) -> None:
        """Hex HMAC-SHA256 over the raw body, under either of the two names in use."""
        given = next((call.headers[n] for n in SIGNATURES if call.headers.get(n)), "")
        require_hmac(
            header="X-Server-Authorization-HMAC-SHA256",
            given=given,
            secrets=(
                self.account.get("webhook_secret", ""),
                self.account.get("previous_webhook_secret", ""),
            ),
            message=call.body,
        )

    def event_key(self, call: InboundCall) -> str:
        """Kind, order, status and time; where no time is sent, the body within five minutes."""
        try:
            return bodies.event_key(payloads.load_object(call.body), call.received_at)
        except (PayloadMalformed, EventIgnored):
            return f"body|{payloads.sha256(call.body)}"

    def fingerprint(self, call: InboundCall) -> str:
        """Without positions."""
        return payloads.sha256(self.body_to_store(call))

    def body_to_store(self, call: InboundCall) -> bytes:
        """Positions of couriers and guests are left out."""
        kept = without_members(call.body, _PRIVATE)
        try:
            body = payloads.load_object(call.body)
            if bodies.kind_of(body) == "courier":
                left = payloads.load_object(kept)
                # the only sign of a courier may be that there was a position
                return kept if bodies.is_courier(left) else _with_sign(left)
        except (PayloadMalformed, EventIgnored):
            pass
        return kept

    # --- reading -------------------------------------------------------------------------------

    def parse(self, call: InboundCall) -> list[OrderUpdate | FollowUp]:
        """What the body says, and after a status event the order to check it against."""
        body = payloads.load_object(call.body)
        kind = bodies.kind_of(body)
        if kind == "order":
            return [orders.read_order(body, call.received_at, self.status_map)]
        key = bodies.event_key(body, call.received_at)
        if kind == "courier":
            return [couriers.read_courier(body, key, call.received_at, self.status_map)]
        if kind == "preparation":
            return [couriers.read_preparation(body, key, call.received_at)]
        found: list[OrderUpdate | FollowUp] = [self._status(body, key)]
        asked = self._ask(bodies.order_id_of(body))
        return [*found, asked] if asked else found

    def parse_resource(
        self, follow_up: FollowUp, response: HttpResponse, received_at: datetime
    ) -> list[OrderUpdate]:
        """The order of the answer, with the same keys as the one that is posted."""
        order = _chosen(payloads.load_object(response.body), follow_up.order_id)
        return [orders.read_order(order, received_at, self.status_map)]

    def check_up(self, order_id: str, now: datetime) -> FollowUp | None:
        """An order that is late and silent: a status that was lost is never sent again."""
        return self._ask(order_id)

    def _status(self, body: Mapping[str, Any], key: str) -> OrderUpdate:
        native = payloads.required_text(body.get("status"), "status", 20)
        state, unknown = orders.read_state(native, self.status_map)
        at = payloads.time(body.get("timeStamp"), "timeStamp")
        words = payloads.text(body.get("reason"), 500)
        observation = Observation(
            event_key=key,
            track="kitchen",
            scope="order",
            ordering_key=ordering_key(at),
            native_state=native,
            state=state,
            occurred_at=at,
            occurred_at_basis="event",
            data=orders.why(native, state, words),
        )
        return OrderUpdate(
            order_id=bodies.order_id_of(body),
            observations=(observation,),
            aliases=orders.aliases(body),
            location_id=payloads.text(body.get("location")),
            unknown_states=unknown,
        )

    def _ask(self, order_id: str) -> FollowUp | None:
        token, path = self.account.get("access_token"), self.account.get("order_path", "")
        if not token or not path.startswith("/") or "{id}" not in path:
            return None
        return FollowUp(
            request=HttpRequest.get(
                self.base_url + path.replace("{id}", quote(order_id, safe="")),
                headers={"Authorization": f"Bearer {token}"},
            ),
            coalesce_key=f"order:{order_id}",
            order_id=order_id,
        )


def _with_sign(body: dict[str, Any]) -> bytes:
    return json.dumps({**body, "coordinates": None}, separators=(",", ":")).encode()


def _chosen(body: dict[str, Any], order_id: str) -> dict[str, Any]:
    """The order of an answer: alone, or in the list some API roles answer with."""
    listed = body.get("_items")
    if not isinstance(listed, list) or "_id" in body:
        return body
    for order in payloads.objects(listed):
        if order_id in (payloads.text(order.get("_id")), ""):
            return order
    raise PayloadMalformed("_items: the order is not among them")
