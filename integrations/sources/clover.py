"""Clover, a till. Its webhook names orders that changed; the orders are fetched.

One address serves every merchant of an app, and one call may name orders of several of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

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
from integrations.signatures import require_value
from integrations.sources.clover_order import DELETED, Reading, instant, is_hidden, read_order
from integrations.sources.clover_ping import NOT_FOUND, Ping, gone, pings, verification_code

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
#: an answer of more than 1 MiB is cut
_PAGE = 50
_SEPARATORS = re.compile(r"[\s,;]+")
_MERCHANT = re.compile(r"/v3/merchants/([^/?]+)/orders")


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
        if not expected and verification_code(call):
            return
        require_value(
            header="X-Clover-Auth",
            given=call.headers.get(HEADER, ""),
            allowed=[expected],
            what="auth code",
        )

    def event_key(self, call: InboundCall) -> str:
        """Merchant, object, change and time; of several changes in one call a hash of all."""
        if code := verification_code(call):
            return f"{self.key}:verification:{code}"
        try:
            keys = sorted({ping.event_key for ping in pings(payloads.load_object(call.body))})
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
        if code := verification_code(call):
            raise EventIgnored(f"verification code {code}: paste it into Clover's dashboard")
        changed = list(pings(payloads.load_object(call.body)))
        if not changed:
            raise EventIgnored("none of the changed objects is an order")
        deleted = {(p.merchant, p.order_id): p for p in changed if p.change == DELETED}
        # one fetch answers all changes of an order; the newest names it
        asked: dict[tuple[str, str], Ping] = {}
        for ping in sorted(changed, key=lambda p: (p.at, p.event_key)):
            if ping.change != DELETED:
                asked[ping.merchant, ping.order_id] = ping
        found: list[OrderUpdate | FollowUp] = [gone(p, self._added()) for p in deleted.values()]
        found += [self._follow_up(ping) for place, ping in asked.items() if place not in deleted]
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
            context={
                "merchant": ping.merchant,
                "ts": str(ping.ts),
                "event_key": ping.event_key,
            },
        )

    def parse_resource(
        self, follow_up: FollowUp, response: HttpResponse, received_at: datetime
    ) -> list[OrderUpdate]:
        """The order of a GET; nothing while the till hides it."""
        order = payloads.load_object(response.body)
        if is_hidden(order):
            return []
        return [read_order(order, self._reading(follow_up.context.get("merchant", "")))]

    def parse_gone(self, follow_up: FollowUp, received_at: datetime) -> list[OrderUpdate]:
        """An order the till no longer has, although nobody said that it was deleted."""
        context, ts = follow_up.context, int(follow_up.context["ts"])
        if (at := instant(ts, "ts")) is None:
            return []
        key, merchant = context["event_key"], context["merchant"]
        ping = Ping(merchant, follow_up.order_id, NOT_FOUND, ts, at, key)
        return [gone(ping, self._added())]

    # --- polling ---------------------------------------------------------------------------------

    def poll(self, since: datetime) -> HttpRequest | None:
        """The orders of the first merchant modified since ``since``."""
        stamp = int(since.astimezone(UTC).timestamp() * 1000)
        return next((self._list(name, stamp, 0) for name in self._tokens()), None)

    def poll_next(self, request: HttpRequest, response: HttpResponse) -> HttpRequest | None:
        """The page after a full one, else the orders of the next merchant."""
        parts = urlsplit(request.url)
        query, asked = parse_qs(parts.query), _merchant_in(parts.path)
        stamp = int(query["filter"][0].rpartition("=")[2])
        offset = int(query.get("offset", ["0"])[0])
        found = payloads.load_object(response.body).get("elements")
        if isinstance(found, list) and len(found) >= _PAGE:
            return self._list(asked, stamp, offset + _PAGE)
        names = list(self._tokens())
        after = names[names.index(asked) + 1 :] if asked in names else []
        return next((self._list(name, stamp, 0) for name in after), None)

    def _list(self, merchant: str, stamp: int, offset: int) -> HttpRequest:
        query = {
            "filter": f"modifiedTime>={stamp}",
            "expand": EXPANDED,
            # by creation: what changes while pages are turned stays on its page
            "orderBy": "createdTime ASC",
            "limit": str(_PAGE),
            **({"offset": str(offset)} if offset else {}),
        }
        return HttpRequest.get(
            f"{self.base_url}/v3/merchants/{quote(merchant, safe='')}/orders?{urlencode(query)}",
            headers=self._headers(merchant),
        )

    def parse_poll(self, response: HttpResponse, received_at: datetime) -> list[OrderUpdate]:
        """Every order of the answer that is not hidden; its link says whose it is."""
        found = payloads.load_object(response.body).get("elements")
        if not isinstance(found, list):
            raise PayloadMalformed("elements: expected a list of orders")
        names = list(self._tokens())
        only = names[0] if len(names) == 1 else ""
        return [
            read_order(o, self._reading(_merchant_in(payloads.text(o.get("href"), 500)) or only))
            for o in payloads.objects(found)
            if not is_hidden(o)
        ]

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


def _merchant_in(path: str) -> str:
    """The merchant in the address of orders; "" when there is none."""
    found = _MERCHANT.search(path)
    return unquote(found[1]) if found else ""
