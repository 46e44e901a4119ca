"""Olo, online ordering for restaurant chains. Signed webhooks whose schema Olo shows to partners.

Only what Olo says in public is built in. The names of further events and of the fields that hold
the guest's contact are settings of the account, filled in from the portal's document.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from integrations import payloads
from integrations.contracts import (
    Customer,
    FollowUp,
    InboundCall,
    Observation,
    OrderUpdate,
    Setting,
    Source,
    State,
)
from integrations.errors import EventIgnored, PayloadMalformed, SignatureInvalid
from integrations.signatures import hmac_base64, require_hmac

#: event name -> ours; a manager adds the portal's other names in the stream "order"
EVENTS: Mapping[str, str | None] = {
    "OrderPlaced": State.RECEIVED,
    "OrderPickedUp": State.PICKED_UP,
}
#: events that are never about an order
OTHER_EVENTS = frozenset({"Test", "UserSignedUp"})
FULFILLMENTS = frozenset({"pickup", "delivery", "curbside", "dine_in"})
#: ticks of 100 ns from the first day of year 1 to 1970
_EPOCH_TICKS = 621_355_968_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Olo repeats a call for 24 hours; whether a repeat gets a new time is not public
MAX_AGE = timedelta(hours=25)
MAX_AHEAD = timedelta(minutes=5)


class Olo(Source):
    """The webhook of one brand: all its events come to one address."""

    key = "olo"
    title = "Olo"
    settings = (
        Setting("shared_secret", "Shared secret", secret=True, help="shown once by Olo"),
        Setting("previous_shared_secret", "Previous secret", secret=True, required=False),
        Setting(
            "order_id_field",
            "Field of the order id",
            required=False,
            default="orderId",
            help="names joined by dots, as in order.id",
        ),
        Setting(
            "replaces_field",
            "Field of the id of the order this one replaces",
            required=False,
            help="for brands whose edits cancel an order and place it anew: both are one order",
        ),
        Setting("display_field", "Field of the order number people see", required=False),
        Setting("name_field", "Field of the guest's name", required=False),
        Setting("phone_field", "Field of the guest's phone", required=False),
        Setting("email_field", "Field of the guest's e-mail", required=False),
        Setting("item_name_field", "Field of an item's name, inside the item", required=False),
    )
    priority: ClassVar[dict[str, int]] = {"commercial": 20, "kitchen": 10, "courier": 10}
    #: by the events known in public; mapped ones can say the rest
    can_state: ClassVar[frozenset[str]] = frozenset({State.RECEIVED, State.PICKED_UP})

    def verify(self, call: InboundCall) -> None:
        """Base64 HMAC-SHA256 over URL, raw body, message id and time, joined by line feeds."""
        message_id = call.headers.get("x-olo-message-id", "")
        stamp = call.headers.get("x-olo-timestamp", "")
        rest = (
            call.body,
            message_id.encode("utf-8", "surrogatepass"),
            stamp.encode("utf-8", "surrogatepass"),
        )

        def signed(url: str) -> bytes:
            return b"\n".join((url.encode("utf-8", "surrogatepass"), *rest))

        require_hmac(
            header="X-Olo-Signature",
            given=call.headers.get("x-olo-signature", ""),
            secrets=(
                self.account.get("shared_secret", ""),
                self.account.get("previous_shared_secret", ""),
            ),
            message=signed(call.url),
            encode=hmac_base64,
            call=call,
            over=signed,
        )
        sent_at = time_of_ticks(stamp)
        if not message_id or sent_at is None:
            raise SignatureInvalid("X-Olo-Message-Id or X-Olo-Timestamp is missing or unreadable")
        age = call.received_at - sent_at
        if not -MAX_AHEAD <= age <= MAX_AGE:
            raise SignatureInvalid(f"the signature is {age.total_seconds():.0f} s old")

    def event_key(self, call: InboundCall) -> str:
        """Olo's message id."""
        found = payloads.key_within(payloads.text(call.headers.get("x-olo-message-id"), 1000))
        return found or f"body|{payloads.sha256(call.body)}"

    def parse(self, call: InboundCall) -> list[OrderUpdate | FollowUp]:
        """What the event says by its name, and the order in its body."""
        kind = payloads.text(call.headers.get("x-olo-event-type"), 120)
        body = payloads.load_object(call.body)
        if not kind:
            raise PayloadMalformed("header X-Olo-Event-Type: missing")
        if kind in OTHER_EVENTS:
            raise EventIgnored(f"event {kind} says nothing about an order")
        state, known = payloads.look_up(kind, EVENTS, self.status_map.get("order"))
        path = self.account.get("order_id_field") or "orderId"
        order_id = _field(body, path)
        if not known and payloads.text(order_id) == "":
            raise EventIgnored(f"event {kind} is unknown and names no order")
        order_id = payloads.required_text(order_id, path)
        sent_at = time_of_ticks(call.headers.get("x-olo-timestamp", ""))
        data = self._data(body, order_id)
        replaced = self._replaced(body, order_id)
        if self.account.get("replaces_field"):
            data |= {"of": order_id, **({"replaces": replaced} if replaced else {})}
        observation = Observation(
            event_key=f"message:{self.event_key(call)}",
            track="commercial",
            scope="order",
            ordering_class="ranked",
            kind="snapshot" if "items" in data else "transition" if state else "note",
            native_state=kind,
            state=state,
            # when Olo sent it: good for freshness, never for an order of events
            occurred_at=sent_at,
            occurred_at_basis="sent" if sent_at else "arrival",
            data=data,
        )
        return [
            OrderUpdate(
                order_id=order_id,
                observations=(observation,),
                display=str(data["display"]),
                customer=self._customer(body),
                location_id=payloads.text(payloads.inner(body, "location").get("name")),
                replaces=replaced,
                unknown_states=() if known else (f"order {kind}",),
            )
        ]

    def _data(self, body: Mapping[str, Any], order_id: str) -> dict[str, Any]:
        display = payloads.text(self._set_field(body, "display_field"), 40) or order_id[:40]
        data: dict[str, Any] = {"display": display}
        if isinstance(body.get("items"), list):
            data["items"] = [
                self._item(i, n) for n, i in enumerate(payloads.objects(body["items"]))
            ]
        method = payloads.text(body.get("deliveryMethod")).lower()
        if method in FULFILLMENTS:
            data["fulfillment"] = {"type": method}
        return data

    def _item(self, item: Mapping[str, Any], place: int) -> dict[str, Any]:
        product = payloads.text(item.get("productId"), 80)
        return {
            # a product may stand on two lines, and lines have no public id
            "id": f"{product or 'line'}-{place}",
            "label": payloads.text(self._set_field(item, "item_name_field")) or "Item",
            "quantity": payloads.number(item.get("quantity")),
            "modifiers": [],
        }

    def _customer(self, body: Mapping[str, Any]) -> Customer | None:
        name = payloads.text(self._set_field(body, "name_field"))
        phone = payloads.text(self._set_field(body, "phone_field"), 40)
        email = payloads.text(self._set_field(body, "email_field"), 254)
        number = payloads.text(payloads.inner(body, "customer").get("customerId"))
        if not (name or phone or email or number):
            return None
        kind = "direct" if phone or email else "none"
        return Customer(name, phone, email, kind, external_id=number)

    def _replaced(self, body: Mapping[str, Any], order_id: str) -> str:
        """The order this one was placed for anew; "" = none, or nobody said where that stands."""
        found = payloads.text(self._set_field(body, "replaces_field"))
        return "" if found == order_id else found

    def _set_field(self, body: Mapping[str, Any], setting: str) -> Any:
        path = self.account.get(setting, "")
        return _field(body, path) if path else None


def time_of_ticks(ticks: str) -> datetime | None:
    """The time a .NET tick count stands for (100 ns since year 1, UTC); None when it is none."""
    if not (ticks.isascii() and ticks.isdecimal() and len(ticks) <= 19):
        return None
    try:
        return _EPOCH + timedelta(microseconds=(int(ticks) - _EPOCH_TICKS) // 10)
    except OverflowError:
        return None


def _field(body: Mapping[str, Any], path: str) -> Any:
    found: Any = body
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found
