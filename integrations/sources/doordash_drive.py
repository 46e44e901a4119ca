"""DoorDash Drive: courier legs of the restaurant's own orders, as pushed and as fetched.

Pushes come out of order and carry only what is known when they are made. The id of a delivery is
the restaurant's own choice, so it may also be the id another source calls the order by.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from integrations import payloads
from integrations.contracts import (
    Customer,
    FollowUp,
    HttpRequest,
    Observation,
    OrderUpdate,
    State,
    ordering_key,
)

EVENT_STREAM = "drive.event_name"
DELIVERY_STREAM = "drive.delivery_status"
#: event, upper-cased (tracking events arrive in lower case) -> state of the leg
EVENTS: Mapping[str, str | None] = {
    "DASHER_CONFIRMED": None,
    "DASHER_ENROUTE_TO_PICKUP": None,
    "DASHER_CONFIRMED_PICKUP_ARRIVAL": None,
    "DASHER_PICKED_UP": State.OUT_FOR_DELIVERY,
    "DASHER_ENROUTE_TO_DROPOFF": State.OUT_FOR_DELIVERY,
    "DASHER_CONFIRMED_DROPOFF_ARRIVAL": State.OUT_FOR_DELIVERY,
    "DASHER_DROPPED_OFF": State.DELIVERED,
    "DELIVERY_CANCELLED": State.FAILED,
    "DELIVERY_RETURN_INITIALIZED": State.FAILED,
    "DASHER_ENROUTE_TO_RETURN": State.FAILED,
    "DASHER_CONFIRMED_RETURN_ARRIVAL": State.FAILED,
    "DELIVERY_RETURNED": State.FAILED,
    "DELIVERY_BATCHED": None,
    "DELIVERY_ATTEMPTED": None,
}
#: the words of GET /drive/v2/deliveries/{id} -> state of the leg
DELIVERY_STATES: Mapping[str, str | None] = {
    "quote": None,
    "created": None,
    "confirmed": None,
    "enroute_to_pickup": None,
    "arrived_at_pickup": None,
    "picked_up": State.OUT_FOR_DELIVERY,
    "enroute_to_dropoff": State.OUT_FOR_DELIVERY,
    "arrived_at_dropoff": State.OUT_FOR_DELIVERY,
    "delivered": State.DELIVERED,
    "enroute_to_return": State.FAILED,
    "arrived_at_return": State.FAILED,
    "returned": State.FAILED,
    "cancelled": State.FAILED,
}
#: what a till may call the delivery it booked
ALIASES = ("external_delivery_id", "external_id", "drive")
#: the courier got more than one order: the estimate moves and the push does not hold it
BATCHED = "DELIVERY_BATCHED"
#: DoorDash accepts no token that lives longer
TOKEN_LIFE_S = 1800

StatusMap = Mapping[str, Mapping[str, str]]


def event_key(event: Mapping[str, Any]) -> str:
    """Delivery, event and the time the push was made. Raises PayloadMalformed."""
    stamp = payloads.text(event.get("created_at"), 40)
    if not stamp:
        stamp = _told(_leg_data(event))
    return payloads.key_within(f"doordash_drive:{_delivery_id(event)}:{_native(event)}:{stamp}")


def _told(value: Any) -> str:
    return payloads.sha256(json.dumps(value, sort_keys=True).encode())[:32]


def _delivery_id(event: Mapping[str, Any]) -> str:
    return payloads.required_text(event.get("external_delivery_id"), "external_delivery_id")


def _native(event: Mapping[str, Any]) -> str:
    return payloads.required_text(event.get("event_name"), "event_name", 120).upper()[:120]


def read_event(event: dict[str, Any], status_map: StatusMap) -> OrderUpdate:
    """A push as an update. Raises PayloadMalformed."""
    native = _native(event)
    state, known = payloads.look_up(native, EVENTS, status_map.get(EVENT_STREAM))
    at = payloads.time(event.get("created_at"), "created_at")
    observation = Observation(
        event_key=event_key(event),
        track="courier",
        scope="leg",
        ref=_delivery_id(event),
        ordering_class="ranked",
        ordering_key=ordering_key(at),
        native_state=native,
        state=state,
        occurred_at=at,
        occurred_at_basis="event" if at else "arrival",
        data=_leg_data(event),
    )
    unknown = () if known else (f"{EVENT_STREAM} {native}",)
    return _update(event, observation, unknown)


def read_delivery(
    delivery: dict[str, Any], received_at: datetime, status_map: StatusMap
) -> OrderUpdate:
    """The answer of GET /drive/v2/deliveries/{id} as an update. Raises PayloadMalformed."""
    ref = _delivery_id(delivery)
    native = payloads.text(delivery.get("delivery_status"), 120)
    state, known = payloads.look_up(native, DELIVERY_STATES, status_map.get(DELIVERY_STREAM))
    data = _leg_data(delivery)
    told = _told([native, data])
    observation = Observation(
        event_key=payloads.key_within(f"doordash_drive:{ref}:read:{told}"),
        track="courier",
        scope="leg",
        ref=ref,
        ordering_class="ranked",
        ordering_key=ordering_key(received_at),
        kind="snapshot",
        native_state=native,
        state=state,
        data=data,
    )
    unknown = () if known or not native else (f"{DELIVERY_STREAM} {native}",)
    return _update(delivery, observation, unknown)


def _update(
    body: Mapping[str, Any], observation: Observation, unknown: tuple[str, ...]
) -> OrderUpdate:
    return OrderUpdate(
        order_id=observation.ref,
        observations=(observation,),
        aliases=tuple((system, observation.ref) for system in ALIASES),
        customer=_customer(body),
        location_id=payloads.text(body.get("pickup_external_store_id")),
        courier_only=True,
        unknown_states=unknown,
    )


def _leg_data(body: Mapping[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    estimate = payloads.time(body.get("dropoff_time_estimated"), "dropoff_time_estimated")
    if estimate and not body.get("dropoff_time_actual"):
        data["est_delivery_at"] = payloads.iso(estimate)
    courier: dict[str, str] = {}
    if name := payloads.text(body.get("dasher_name"), 100):
        courier["name"] = name.split()[0]
    if (link := payloads.text(body.get("tracking_url"), 2000)).startswith("https://"):
        courier["tracking_url"] = link
    if courier:
        data["courier"] = courier
    if why := payloads.text(body.get("cancellation_reason"), 200):
        data["reason"] = {"code": "courier_failed", "text": why}
    return data


def _customer(body: Mapping[str, Any]) -> Customer | None:
    """The restaurant's own guest: Drive carries its orders."""
    phone = payloads.text(body.get("dropoff_phone_number"), 40)
    if not phone:
        return None
    names = ("dropoff_contact_given_name", "dropoff_contact_family_name")
    words = [payloads.text(body.get(name), 80) for name in names]
    return Customer(name=" ".join(filter(None, words)), phone=phone)


# --- asking for a delivery -----------------------------------------------------------------------


def follow_up(
    event: Mapping[str, Any], account: Mapping[str, str], base_url: str, now: datetime
) -> FollowUp | None:
    """The request for the whole delivery; None when ``event`` needs none or nobody may ask."""
    if _native(event) != BATCHED:
        return None
    return ask(_delivery_id(event), account, base_url, now)


def ask(ref: str, account: Mapping[str, str], base_url: str, now: datetime) -> FollowUp | None:
    """The request for the delivery ``ref``; None where the account has no key."""
    token = _token(account, now)
    if not token:
        return None
    return FollowUp(
        request=HttpRequest.get(
            f"{base_url}/drive/v2/deliveries/{quote(ref, safe='')}",
            headers={"Authorization": f"Bearer {token}"},
        ),
        coalesce_key=f"delivery:{ref}",
        order_id=ref,
    )


def _token(account: Mapping[str, str], now: datetime) -> str:
    """A JWT of version DD-JWT-V1, made at ``now``; "" without the three values of the portal."""
    names = ("developer_id", "key_id", "signing_secret")
    developer, key, secret = (account.get(name, "") for name in names)
    if not (developer and key and secret):
        return ""
    issued = int(now.timestamp())
    header = {"alg": "HS256", "typ": "JWT", "dd-ver": "DD-JWT-V1"}
    claims = {
        "aud": "doordash",
        "iss": developer,
        "kid": key,
        "iat": issued,
        "exp": issued + TOKEN_LIFE_S,
    }
    signed = ".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
    try:
        raw = base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4))
    except (ValueError, binascii.Error):
        return ""
    return f"{signed}.{_base64url(hmac.new(raw, signed.encode(), hashlib.sha256).digest())}"


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")
