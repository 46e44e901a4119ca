"""Toast's orders API and its signed webhooks.

Orders are planted whole (``PUT /_sandbox/toast/orders/{guid}``). Webhooks carry them without the
people in them, as Toast does; a GET with a bearer token and a restaurant has everything.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from aiohttp import web

from integrations.sandbox.callbacks import VendorCall
from integrations.sandbox.state import SandboxAccount, iso
from integrations.sandbox.vendors.base import (
    TRIAL_ITEMS,
    TRIAL_MAIL,
    TRIAL_MINUTES,
    TRIAL_NAME,
    TRIAL_PHONE,
    Route,
    SandboxVendor,
    Trial,
    json_reply,
    needed,
)
from integrations.sandbox.vendors.planted import planting_routes
from integrations.signatures import hmac_base64

RESTAURANT = "0cd990c9-fd74-461d-8468-de2a0919ccbb"
MOST_PER_PAGE = 100
GUEST_EVENTS = "guest_order_fulfillment_status"
#: what webhooks leave out
_PEOPLE = ("firstName", "lastName", "phone", "phoneCountryCode")
_PLACES = ("address1", "address2", "city", "state", "zipCode")


class Toast(SandboxVendor):
    """An order source: a till with kitchen displays."""

    key = "toast"
    title = "Toast"

    def routes(self) -> Iterable[Route]:
        return (
            Route("GET", "/orders/v2/orders/{id}", self.read_order),
            Route("GET", "/orders/v2/ordersBulk", self.list_orders),
        )

    def control_routes(self) -> Iterable[Route]:
        return planting_routes(self, ("orders",))

    def account_name(self, settings: Mapping[str, str]) -> str:
        return settings.get("restaurant_guid") or RESTAURANT

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        token = settings.get("access_token", "")
        return [f"Bearer {token}"] if token else []

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        headers = {"Retry-After": f"{retry_after_s:g}"} if status == 429 else None
        return _error(status, "The request could not be processed.", headers)

    # --- the API --------------------------------------------------------------------------------

    async def read_order(self, request: web.Request) -> web.StreamResponse:
        """GET one order, people included."""
        if (refused := self._refused(request)) is not None:
            return refused
        guid = request.match_info["id"]
        order = self.state.resources.get((self.key, "orders", guid))
        if order is None:
            return _error(404, "The order was not found.")
        return json_reply({"guid": guid, **order})

    async def list_orders(self, request: web.Request) -> web.StreamResponse:
        """GET the orders modified between ``startDate`` and ``endDate``."""
        if (refused := self._refused(request)) is not None:
            return refused
        try:
            start = datetime.fromisoformat(request.query["startDate"])
            end = datetime.fromisoformat(request.query["endDate"])
            limit = min(int(request.query.get("pageSize", MOST_PER_PAGE)), MOST_PER_PAGE)
            first = (int(request.query.get("page", "1")) - 1) * limit
        except (KeyError, ValueError):
            return _error(
                400, "startDate and endDate are times such as 2026-03-14T18:00:00.000+0000"
            )
        found = [
            {"guid": guid, **order}
            for (vendor, _, guid), order in self.state.resources.items()
            if vendor == self.key
            and start
            <= datetime.fromisoformat(order.get("modifiedDate", "0001-01-01T00:00Z"))
            < end
        ]
        return json_reply(found[first : first + limit])

    def _refused(self, request: web.Request) -> web.Response | None:
        login = request.headers.get("Authorization", "")
        if self.state.find_account(self.key, login) is None:
            return _error(401, "The access token is not valid.")
        if not request.headers.get("Toast-Restaurant-External-ID"):
            return _error(400, "Toast-Restaurant-External-ID is missing.")
        return None

    # --- what Toast posts to us -----------------------------------------------------------------

    def event(self, account: SandboxAccount, wanted: Mapping[str, Any]) -> VendorCall:
        """``payload`` as it is, or the planted order ``order_id`` without its people.

        ``type``: order_updated (default), channel_order_updated, or
        guest_order_fulfillment_status with ``status``. ``event_id`` to repeat an event.
        """
        payload = wanted.get("payload") or self._envelope(account, wanted)
        body = json.dumps(payload, separators=(",", ":")).encode()
        signed = body + str(payload.get("timestamp", "")).encode()
        return VendorCall(
            account.target(account.webhook_url),
            body,
            {
                "Content-Type": "application/json",
                "Toast-Event-Category": str(payload.get("eventCategory", "")),
                "Toast-Event-Type": str(payload.get("eventType", "")),
                "Toast-Restaurant-External-ID": self.account_name(account.settings),
                "Toast-Signature": hmac_base64(needed(account.settings, "secret"), signed),
            },
        )

    def trial(self, account: SandboxAccount, order: Trial) -> Mapping[str, Any]:
        """An approved order whose dishes wait for the kitchen."""
        guest = {
            "firstName": TRIAL_NAME[0],
            "lastName": TRIAL_NAME[1],
            "phone": TRIAL_PHONE.removeprefix("+1"),
            "phoneCountryCode": "1",
            "email": TRIAL_MAIL,
        }
        dishes = [
            {
                "guid": f"{order.id}-S{n}",
                "displayName": name,
                "quantity": 1,
                "fulfillmentStatus": "NEW",
                "voided": False,
                "modifiers": [],
            }
            for n, name in enumerate(TRIAL_ITEMS)
        ]
        check = {
            "guid": f"{order.id}-C",
            "displayNumber": order.number,
            "customer": guest,
            "voided": False,
            "selections": dishes,
        }
        self.plant(
            "orders",
            order.id,
            {
                "guid": order.id,
                "displayNumber": order.number,
                "source": "Online",
                "approvalStatus": "APPROVED",
                "voided": False,
                "deleted": False,
                "openedDate": order.time(),
                "createdDate": order.time(),
                "modifiedDate": order.time(),
                "estimatedFulfillmentDate": order.time(TRIAL_MINUTES),
                "createdInTestMode": True,
                "checks": [check],
            },
        )
        place = {"restaurant": order.location_id} if order.location_id else {}
        return {"order_id": order.id, "type": "order_updated", **place}

    def _envelope(self, account: SandboxAccount, wanted: Mapping[str, Any]) -> dict[str, Any]:
        category = str(wanted.get("type", "order_updated"))
        guid = str(wanted.get("order_id") or "")
        now = iso(time.time())
        restaurant = wanted.get("restaurant") or self.account_name(account.settings)
        details: dict[str, Any] = {"restaurantGuid": restaurant}
        if category == GUEST_EVENTS:
            status = str(wanted.get("status", "RECEIVED"))
            details |= {"orderGuid": guid, "guestOrderStatus": status, "lastUpdated": now}
        else:
            order = self.state.resources.get((self.key, "orders", guid))
            if order is None:
                raise ValueError(
                    f"order '{guid}' is not planted: PUT /_sandbox/toast/orders/{{guid}}"
                )
            details["order"] = _without_people({"guid": guid, **order})
        return {
            "timestamp": now,
            "eventCategory": category,
            "eventType": category,
            "guid": str(wanted.get("event_id") or uuid.uuid4()),
            "details": details,
        }


def _without_people(order: Mapping[str, Any]) -> dict[str, Any]:
    """A copy as a webhook carries it."""
    copy: dict[str, Any] = json.loads(json.dumps(order))
    copy["externalId"] = None
    for check in copy.get("checks", []):
        for name in _PEOPLE:
            (check.get("customer") or {}).pop(name, None)
    for name in _PLACES:
        (copy.get("deliveryInfo") or {}).pop(name, None)
    return copy


def _error(status: int, text: str, headers: Any = None) -> web.Response:
    body = {"status": status, "code": status, "message": text, "requestId": str(uuid.uuid4())}
    return json_reply(body, status=status, headers=headers)
