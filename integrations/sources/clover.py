"""Clover, a till. Its webhook names orders that changed; the orders are fetched.

One address serves every merchant of an app, and one call may name orders of several of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

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
from integrations.signatures import require_value
from integrations.sources.clover_order import (
    DELETED,
    STATES,
    Reading,
    instant,
    is_hidden,
    read_order,
)

HEADER = "x-clover-auth"
HOSTS: Mapping[str, str] = {
    "us": "https://api.clover.com",
    "eu": "https://api.eu.clover.com",
    "la": "https://api.la.clover.com",
    "sandbox": "https://apisandbox.dev.clover.com",
}
EXPANDED = ",".join(
    (
        "lineItems",
        "lineItems.modifications",
        "customers",
        "customers.phoneNumbers",
        "customers.emailAddresses",
        "orderType",
        "discounts",
    )
)
CHANGES = frozenset({"CREATE", "UPDATE", DELETED})
_PAGE = 100
_CODE = re.compile(r"[0-9A-Za-z-]{1,64}")
_SEPARATORS = re.compile(r"[\s,;]+")


@dataclass(frozen=True, slots=True)
class Ping:
    """One line of a call: this order of this merchant changed."""

    merchant: str
    order_id: str
    change: str
    at: datetime
    event_key: str


class Clover(Source):
    """The webhook of one Clover app, and the orders of its merchants."""

    key = "clover"
    title = "Clover"
    settings = (
        Setting(
            "auth_code",
            "Clover auth code",
            secret=True,
            required=False,
            help="shown by Clover's dashboard once the address is verified; empty until then",
        ),
        Setting(
            "merchant_tokens",
            "Merchants and tokens",
            secret=True,
            help="MERCHANT=token, one for each merchant, separated by commas or lines",
        ),
        Setting("region", "Region", required=False, default="us", choices=tuple(HOSTS)),
        Setting(
            "printed_means",
            "A printed line means",
            required=False,
            default="nothing",
            choices=("nothing", "preparing"),
            help="preparing: for restaurants that cook what their printer says",
        ),
    )
    #: preparing only where a printed line means it
    can_state: ClassVar[frozenset[str]] = frozenset(
        {State.RECEIVED, State.ACCEPTED, State.PREPARING, State.CANCELLED}
    )

    def __init__(self, account: Mapping[str, str], **options: Any) -> None:
        super().__init__(account, **options)
        self.base_url = self.base_url or HOSTS.get(account.get("region") or "us", HOSTS["us"])

    # --- before the call is believed -----------------------------------------------------------

    def verify(self, call: InboundCall) -> None:
        """The fixed code of the dashboard; a verification code is let in while there is none.

        It has to be: Clover shows the auth code only after its verification code was pasted.
        """
        expected = self.account.get("auth_code", "")
        if not expected and _verification_code(call):
            return
        require_value(
            header="X-Clover-Auth",
            given=call.headers.get(HEADER, ""),
            allowed=[expected],
            what="auth code",
        )

    def event_key(self, call: InboundCall) -> str:
        """Merchant, object, change and time; of several changes in one call a hash of all."""
        if code := _verification_code(call):
            return f"{self.key}:verification:{code}"
        try:
            keys = sorted({ping.event_key for ping in _pings(payloads.load_object(call.body))})
        except PayloadMalformed:
            keys = []
        if len(keys) == 1:
            return payloads.key_within(keys[0])
        if keys:
            return f"{self.key}:{len(keys)}:{payloads.sha256('|'.join(keys).encode())}"
        return f"body|{payloads.sha256(call.body)}"

    # --- reading ---------------------------------------------------------------------------------

    def parse(self, call: InboundCall) -> list[OrderUpdate | FollowUp]:
        """The orders to fetch, and those that are gone."""
        if code := _verification_code(call):
            raise EventIgnored(f"verification code {code}: paste it into Clover's dashboard")
        pings = list(_pings(payloads.load_object(call.body)))
        if not pings:
            raise EventIgnored("none of the changed objects is an order")
        gone = {(p.merchant, p.order_id): p for p in pings if p.change == DELETED}
        # one fetch answers all changes of an order; the newest names it
        asked: dict[tuple[str, str], Ping] = {}
        for ping in sorted(pings, key=lambda p: (p.at, p.event_key)):
            if ping.change != DELETED:
                asked[ping.merchant, ping.order_id] = ping
        found: list[OrderUpdate | FollowUp] = [_deleted(p, self._added()) for p in gone.values()]
        found += [self._follow_up(ping) for place, ping in asked.items() if place not in gone]
        return found

    def _follow_up(self, ping: Ping) -> FollowUp:
        merchant, order_id = quote(ping.merchant, safe=""), quote(ping.order_id, safe="")
        return FollowUp(
            request=HttpRequest.get(
                f"{self.base_url}/v3/merchants/{merchant}/orders/{order_id}?expand={EXPANDED}",
                headers=self._headers(ping.merchant),
            ),
            coalesce_key=payloads.key_within(f"order:{ping.merchant}:{ping.order_id}", 200),
            order_id=ping.order_id,
            context={"merchant": ping.merchant, "event_key": ping.event_key},
        )

    def parse_resource(
        self, follow_up: FollowUp, response: HttpResponse, received_at: datetime
    ) -> list[OrderUpdate]:
        """The order of a GET; nothing while the till hides it."""
        order = payloads.load_object(response.body)
        if is_hidden(order):
            return []
        return [read_order(order, self._reading(follow_up.context.get("merchant", "")))]

    def poll(self, since: datetime) -> HttpRequest | None:
        """The merchant's orders modified since ``since``; None unless there is exactly one."""
        merchants = list(self._tokens())
        if len(merchants) != 1:
            return None
        stamp = int(since.astimezone(UTC).timestamp() * 1000)
        query = {
            "filter": f"modifiedTime>={stamp}",
            "expand": EXPANDED,
            "orderBy": "modifiedTime ASC",
            "limit": str(_PAGE),
        }
        return HttpRequest.get(
            f"{self.base_url}/v3/merchants/{quote(merchants[0], safe='')}/orders"
            f"?{urlencode(query)}",
            headers=self._headers(merchants[0]),
        )

    def parse_poll(self, response: HttpResponse, received_at: datetime) -> list[OrderUpdate]:
        """Every order of the answer that is not hidden."""
        found = payloads.load_object(response.body).get("elements")
        if not isinstance(found, list):
            raise PayloadMalformed("elements: expected a list of orders")
        reading = self._reading(next(iter(self._tokens()), ""))
        return [read_order(o, reading) for o in payloads.objects(found) if not is_hidden(o)]

    def _tokens(self) -> dict[str, str]:
        written = _SEPARATORS.split(self.account.get("merchant_tokens", ""))
        pairs = (entry.partition("=") for entry in written)
        return {merchant: token for merchant, _, token in pairs if merchant and token}

    def _headers(self, merchant: str) -> dict[str, str]:
        """Without the token of a merchant nobody named yet: asking again works once he is."""
        token = self._tokens().get(merchant)
        return {"Authorization": f"Bearer {token}"} if token else {}

    def _reading(self, merchant: str) -> Reading:
        means = self.account.get("printed_means") == "preparing"
        return Reading(self._added(), means, merchant)

    def _added(self) -> Mapping[str, str]:
        return self.status_map.get("order", {})


def _verification_code(call: InboundCall) -> str:
    """The code of the one call that carries nothing else; "" for every other call."""
    if len(call.body) > 200:
        return ""
    try:
        body = payloads.load_object(call.body)
    except PayloadMalformed:
        return ""
    code = body.get("verificationCode")
    if len(body) != 1 or not isinstance(code, str) or not _CODE.fullmatch(code):
        return ""
    return code


def _pings(body: Mapping[str, Any]) -> Iterator[Ping]:
    """Every order named by a call. Raises PayloadMalformed."""
    merchants = payloads.as_object(body.get("merchants"), "merchants")
    for merchant, changes in merchants.items():
        if not 0 < len(merchant) <= 60:
            raise PayloadMalformed("merchants: a merchant id is empty or too long")
        for entry in payloads.objects(changes):
            kind, _, order_id = payloads.text(entry.get("objectId"), 300).partition(":")
            change = payloads.text(entry.get("type"), 40)
            if kind != "O" or change not in CHANGES:
                continue
            at = instant(entry.get("ts"), "ts")
            if at is None:
                raise PayloadMalformed("ts: missing")
            order_id = payloads.required_text(order_id, "objectId", 100)
            key = f"clover:{merchant}:O:{order_id}:{change}:{entry['ts']}"
            yield Ping(merchant, order_id, change, at, key)


def _deleted(ping: Ping, added: Mapping[str, str]) -> OrderUpdate:
    """An order that is gone can no longer be fetched: the call itself has to say so."""
    observation = Observation(
        event_key=payloads.key_within(ping.event_key, 370),
        track="commercial",
        scope="order",
        ordering_key=ordering_key(ping.at),
        native_state=DELETED,
        state=payloads.look_up(DELETED, STATES, added)[0],
        occurred_at=ping.at,
        occurred_at_basis="event",
        data={"reason": {"code": "deleted_at_till"}},
    )
    return OrderUpdate(
        order_id=ping.order_id, observations=(observation,), location_id=ping.merchant
    )
