"""Lightspeed Restaurant (K-Series): the fate of orders placed through Order and Pay.

A notification has no time, no id and no contents: it says which order, and how it fares. Contact
and items come from the system that placed the order, joined by the reference both know.
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
from integrations.signatures import require_basic

STREAM = "order"
FAILURE = "FAILURE"
#: status -> ours. Whom IN_DELIVERY and DELIVERED are about, the guest or the till, depends on
#: who integrated it; a manager who knows maps them
STATES: Mapping[str, str | None] = {
    "SUCCESS": State.ACCEPTED,
    "READY_FOR_PICKUP": State.READY,
    "CANCELLED": State.CANCELLED,
    "ABANDONED": State.CANCELLED,
    FAILURE: State.FAILED,
    "IN_DELIVERY": None,
    "DELIVERED": None,
    "CLOSED": None,
}
ORDER = "ORDER"
IDEMPOTENCY = "x-lightspeed-idempotency-key"


class Lightspeed(Source):
    """One webhook endpoint registered with Lightspeed's Order and Pay API."""

    key = "lightspeed"
    title = "Lightspeed Restaurant"
    settings = (
        Setting("username", "User", help="as registered for the endpoint"),
        Setting("password", "Password", secret=True),
        Setting("previous_password", "Previous password", secret=True, required=False),
        Setting(
            "endpoint_id",
            "Endpoint id",
            required=False,
            help="the endpointId ordering systems name when they place an order",
        ),
    )
    can_state: ClassVar[frozenset[str]] = frozenset(
        {State.ACCEPTED, State.READY, State.CANCELLED, State.FAILED}
    )

    def verify(self, call: InboundCall) -> None:
        """HTTP Basic with the user and password of the endpoint."""
        names = ("password", "previous_password")
        require_basic(
            given=call.headers.get("authorization", ""),
            user=self.account.get("username", ""),
            passwords=(self.account.get(name, "") for name in names),
            if_missing="; register the endpoint with withBasicAuth",
        )

    def event_key(self, call: InboundCall) -> str:
        """Endpoint, kind, order, status and account; the vendor's own key where it sends one."""
        endpoint = self.account.get("endpoint_id", "")
        if given := payloads.text(call.headers.get(IDEMPOTENCY)):
            return f"{self.key}:{endpoint}:key:{given}"
        try:
            return f"{self.key}:{endpoint}:{_identity(payloads.load_object(call.body))}"
        except PayloadMalformed:
            return f"body|{payloads.sha256(call.body)}"

    def parse(self, call: InboundCall) -> list[OrderUpdate | FollowUp]:
        """The order's new status."""
        notice = payloads.load_object(call.body)
        kind = _kind(notice)
        if kind != ORDER:
            raise EventIgnored(f"a notification of type {kind} says nothing about an order")
        if "endpointId" in notice and "status" not in notice:
            raise EventIgnored("the registration of an endpoint says nothing about an order")
        native = payloads.required_text(notice.get("status"), "status", 120)
        reference = payloads.required_text(notice.get("thirdPartyReference"), "thirdPartyReference")
        state, known = payloads.look_up(native, STATES, self.status_map.get(STREAM))
        display = _display(notice)
        data: dict[str, Any] = {"display": display} if display else {}
        if reason := _reason(notice, native):
            data["reason"] = reason
        observation = Observation(
            # one statement however often it is sent: ranked streams cannot count repetitions
            event_key=payloads.key_within(_identity(notice), 370),
            track="kitchen",
            scope="order",
            ordering_class="ranked",
            native_state=native,
            state=state,
            data=data,
        )
        return [
            OrderUpdate(
                order_id=reference,
                observations=(observation,),
                display=display,
                # the id of the system that placed the order, and that knows the guest
                aliases=(("external_id", reference),),
                location_id=payloads.text(notice.get("businessLocationId")),
                unknown_states=() if known else (f"{STREAM} {native}",),
            )
        ]


def _kind(notice: Mapping[str, Any]) -> str:
    return payloads.text(notice.get("type"), 40) or ORDER


def _identity(notice: Mapping[str, Any]) -> str:
    account = payloads.inner(notice, "account")
    words = (
        _kind(notice),
        payloads.text(notice.get("thirdPartyReference")),
        payloads.text(notice.get("status"), 120),
        payloads.text(account.get("uuid")) or payloads.text(notice.get("ikentooAccountIdentifier")),
    )
    return ":".join(words)


def _reason(notice: Mapping[str, Any], native: str) -> dict[str, Any]:
    """Why it ended. What never reached the till was paid for all the same: staff see it first."""
    words = payloads.text(notice.get("reason"), 500)
    reason: dict[str, Any] = {"code": "other", "text": words} if words else {}
    if native == FAILURE:
        reason = {"code": "other", **reason, "staff_first": True}
    return reason


def _display(notice: Mapping[str, Any]) -> str:
    """What the till calls the order; "" where it gives no name."""
    name = payloads.text(payloads.inner(notice, "account").get("name"), 40)
    return name or payloads.text(notice.get("ikentooAccountIdentifier"), 40)
