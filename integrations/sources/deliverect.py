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
from integrations.sources import deliverect_order as orders

COURIER_STREAM = "courier_status"
#: status code of a courier -> state of the leg; 90 is an order's paperwork but a courier's end
COURIER_STATES: Mapping[str, str | None] = {
    "80": None,
    "81": None,
    "83": None,
    "84": None,
    "85": None,
    "87": State.OUT_FOR_DELIVERY,
    "89": State.OUT_FOR_DELIVERY,
    "90": State.DELIVERED,
    "115": State.FAILED,
}
SIGNATURES = ("x-server-authorization-hmac-sha256", "x-deliverect-signature")
#: what a channel is told when it registers; feeds left out are not sent
REGISTERED_URLS = ("statusUpdateURL", "updatePrepTimeURL", "courierUpdateURL")
REGISTRATION = frozenset({"register", "active", "inactive"})
_PRIVATE = frozenset({"coordinates", "rawDriverUpdate"})
#: what makes two bodies without a time of their own differ
_TOLD = ("pickupTime", "deliveryTime", "courierId", "courierName", "multipleDrivers")
#: bodies without a time: the same one within this time is a repeat, later it is news again
REPEAT_S = 300


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
            return _event_key(payloads.load_object(call.body), call.received_at)
        except (PayloadMalformed, EventIgnored):
            return f"body|{payloads.sha256(call.body)}"

    def fingerprint(self, call: InboundCall) -> str:
        """Without positions."""
        return payloads.sha256(self.body_to_store(call))

    def body_to_store(self, call: InboundCall) -> bytes:
        """Positions of couriers and guests are left out."""
        return without_members(call.body, _PRIVATE)

    # --- reading -------------------------------------------------------------------------------

    def parse(self, call: InboundCall) -> list[OrderUpdate | FollowUp]:
        """What the body says, and after a status event the order to check it against."""
        body = payloads.load_object(call.body)
        kind = _kind(body)
        if kind == "order":
            return [orders.read_order(body, call.received_at, self.status_map)]
        key = _event_key(body, call.received_at)
        if kind == "courier":
            return [self._courier(body, key, call.received_at)]
        if kind == "preparation":
            return [_preparation(body, key, call.received_at)]
        found: list[OrderUpdate | FollowUp] = [self._status(body, key)]
        asked = self._follow_up(body)
        return [*found, asked] if asked else found

    def parse_resource(
        self, follow_up: FollowUp, response: HttpResponse, received_at: datetime
    ) -> list[OrderUpdate]:
        """The order of the answer, with the same keys as the one that is posted."""
        order = payloads.load_object(response.body)
        return [orders.read_order(order, received_at, self.status_map)]

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
            order_id=_order_id(body),
            observations=(observation,),
            aliases=orders.aliases(body),
            location_id=payloads.text(body.get("location")),
            unknown_states=unknown,
        )

    def _follow_up(self, body: Mapping[str, Any]) -> FollowUp | None:
        token, path = self.account.get("access_token"), self.account.get("order_path", "")
        if not token or not path.startswith("/") or "{id}" not in path:
            return None
        order_id = _order_id(body)
        return FollowUp(
            request=HttpRequest.get(
                self.base_url + path.replace("{id}", quote(order_id, safe="")),
                headers={"Authorization": f"Bearer {token}"},
            ),
            coalesce_key=f"order:{order_id}",
            order_id=order_id,
        )

    def _courier(self, body: Mapping[str, Any], key: str, received_at: datetime) -> OrderUpdate:
        order_id, native = _order_id(body), _courier_status(body)
        state, known = payloads.look_up(native, COURIER_STATES, self.status_map.get(COURIER_STREAM))
        at = payloads.time(body.get("received"), "received")
        observation = Observation(
            event_key=key,
            track="courier",
            scope="leg",
            ref=_leg(body, order_id),
            ordering_class="ranked",
            ordering_key=ordering_key(at or received_at),
            native_state=native,
            state=state,
            occurred_at=at,
            occurred_at_basis="event" if at else "arrival",
            data=_leg_data(body),
        )
        return OrderUpdate(
            order_id=order_id,
            observations=(observation,),
            location_id=payloads.text(body.get("location")),
            courier_only=True,
            unknown_states=() if known or not native else (f"{COURIER_STREAM} {native}",),
        )


def _kind(body: Mapping[str, Any]) -> str:
    """order, status, courier or preparation; raises PayloadMalformed or EventIgnored."""
    if isinstance(body.get("items"), list) and ("_id" in body or "orderId" in body):
        return "order"
    if "orderId" not in body:
        raise EventIgnored("the body names no order")
    if "timeStamp" in body and "status" in body:
        return "status"
    if isinstance(body.get("courier"), dict) or "courierName" in body or "coordinates" in body:
        return "courier"
    # positions are not kept, so a courier without a name is known by the rest of the form
    if "dispatchPartner" in body or "courierId" in body:
        return "courier"
    if "pickupTime" in body:
        return "preparation"
    raise PayloadMalformed("the body: no order, status, courier or preparation time")


def _event_key(body: Mapping[str, Any], received_at: datetime) -> str:
    kind = _kind(body)
    if kind == "order":
        return orders.order_key(body)
    order_id = _order_id(body)
    if kind == "status":
        native = payloads.required_text(body.get("status"), "status", 20)
        stamp = payloads.required_text(body.get("timeStamp"), "timeStamp", 40)
    else:
        is_courier = kind == "courier"
        native = _courier_status(body) if is_courier else payloads.text(body.get("status"), 20)
        stamp = payloads.text(body.get("received"), 40) if is_courier else ""
    if not stamp:
        told = [payloads.text(value) for value in (*map(body.get, _TOLD), _first_name(body))]
        digest = payloads.sha256(json.dumps(told).encode())[:32]
        stamp = f"{digest}:{int(received_at.timestamp()) // REPEAT_S}"
    return payloads.key_within(f"deliverect:{kind}:{order_id}:{native}:{stamp}")


def _order_id(body: Mapping[str, Any]) -> str:
    return payloads.required_text(body.get("orderId"), "orderId")


def _courier_status(body: Mapping[str, Any]) -> str:
    inside = payloads.inner(body, "courier").get("status")
    return payloads.text(body.get("status"), 20) or payloads.text(inside, 20)


def _leg(body: Mapping[str, Any], order_id: str) -> str:
    """One leg per order, however often the courier changes; one per courier where several share it.

    A share of an order is delivered when its own courier says so.
    """
    courier = payloads.text(body.get("courierId"), 60)
    if body.get("multipleDrivers") is True and courier:
        return payloads.key_within(f"{order_id}:{courier}", 200)
    return order_id


def _leg_data(body: Mapping[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    estimate = payloads.time(body.get("deliveryTime"), "deliveryTime")
    if estimate:
        data["est_delivery_at"] = payloads.iso(estimate)
    if name := payloads.text(body.get("courierName"), 100) or _first_name(body):
        data["courier"] = {"name": name.split()[0]}
    return data


def _first_name(body: Mapping[str, Any]) -> str:
    return payloads.text(payloads.inner(body, "courier").get("firstName"), 100)


def _preparation(body: Mapping[str, Any], key: str, received_at: datetime) -> OrderUpdate:
    """A new ready time. It has no time of its own: the last to arrive counts."""
    ready = payloads.time(body.get("pickupTime"), "pickupTime")
    if ready is None:
        raise PayloadMalformed("pickupTime: missing")
    observation = Observation(
        event_key=key,
        track="kitchen",
        scope="order",
        ordering_key=ordering_key(received_at),
        kind="eta",
        # the status of the order comes along and is no news
        native_state=payloads.text(body.get("status"), 20),
        data={"times": {"est_ready_at": payloads.iso(ready)}},
    )
    return OrderUpdate(
        order_id=_order_id(body),
        observations=(observation,),
        location_id=payloads.text(body.get("location")),
        # a time alone is no order to show
        courier_only=True,
    )
