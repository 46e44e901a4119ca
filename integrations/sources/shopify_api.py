"""The requests to Shopify's Admin API: what thin events lead to, and the pages of a poll."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from integrations import payloads
from integrations.contracts import FollowUp, HttpRequest, HttpResponse
from integrations.sources import shopify_graphql as graphql

#: an answer of more than 1 MiB is cut
_PAGE = 40
#: what read_order and the courier's reader read
_FIELDS = (
    *("id", "name", "order_number", "created_at", "updated_at", "cancelled_at", "cancel_reason"),
    *("financial_status", "fulfillment_status", "line_items", "refunds", "fulfillments"),
    *("customer", "customer_locale", "phone", "email", "contact_email", "note_attributes"),
    *("shipping_address", "billing_address", "shipping_lines", "location_id"),
)
_NEXT = re.compile(r'<([^<>]+)>;\s*rel="?next"?', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Api:
    """One shop's Admin API. Pure: it makes requests, it sends none."""

    base_url: str
    version: str
    token: str

    def get(self, path: str) -> HttpRequest:
        """A GET of the REST API."""
        return HttpRequest.get(
            f"{self.base_url}/admin/api/{self.version}/{path}",
            headers={"X-Shopify-Access-Token": self.token},
            untrusted_url=True,
        )

    def ask(self, question: Mapping[str, Any]) -> HttpRequest:
        """A question to the GraphQL API."""
        return HttpRequest.post(
            f"{self.base_url}/admin/api/{self.version}/graphql.json",
            json_body=question,
            headers={"X-Shopify-Access-Token": self.token},
            untrusted_url=True,
        )

    # --- what events lead to ---------------------------------------------------------------------

    def order(self, order_id: str) -> FollowUp:
        """The order as it is now."""
        return FollowUp(
            request=self.get(f"orders/{quote(order_id, safe='')}.json"),
            coalesce_key=f"order:{order_id}",
            order_id=order_id,
        )

    def parts(self, order_id: str, context: Mapping[str, str]) -> FollowUp:
        """The fulfilment orders of an order."""
        return FollowUp(
            request=self.get(f"orders/{quote(order_id, safe='')}/fulfillment_orders.json"),
            coalesce_key=f"parts:{order_id}",
            order_id=order_id,
            context=context,
        )

    def node(
        self, kind: str, number: str, key: str, order_id: str, context: Mapping[str, str]
    ) -> FollowUp:
        """The order behind a fulfilment order or fulfilment, with all parts of that order."""
        return FollowUp(
            request=self.ask(graphql.question(kind, number)),
            coalesce_key=payloads.key_within(key, 200),
            order_id=order_id,
            context={"kind": kind, "number": number, **context},
        )

    # --- polling ---------------------------------------------------------------------------------

    def changed_orders(self, since: datetime) -> HttpRequest:
        """Orders updated since ``since``, closed ones included."""
        query = {
            "status": "any",
            "updated_at_min": since.astimezone(UTC).isoformat(timespec="seconds"),
            "limit": str(_PAGE),
            "fields": ",".join(_FIELDS),
        }
        return self.get(f"orders.json?{urlencode(query)}")

    def next_page(self, request: HttpRequest, response: HttpResponse) -> HttpRequest | None:
        """After the orders the fulfilment orders: each to the last page."""
        if request.body:
            asked = payloads.inner(payloads.load_object(request.body), "variables")
            cursor = graphql.next_cursor(payloads.load_object(response.body))
            if not cursor or cursor == asked.get("after"):
                return None
            since = payloads.text(asked.get("query"), 100)
            return self.ask(graphql.question_of_changes(since, cursor))
        parts = urlsplit(request.url)
        since = parse_qs(parts.query).get("updated_at_min", [unquote(parts.fragment)])[0]
        if token := _page_token(response.headers.get("link", "")):
            query = {"limit": str(_PAGE), "page_info": token, "fields": ",".join(_FIELDS)}
            page = self.get(f"orders.json?{urlencode(query)}")
            # a later page takes no other filter; what follows a # is never sent
            return replace(page, url=f"{page.url}#{quote(since)}")
        return self.ask(graphql.question_of_changes(f"updated_at:>='{since}'"))


def _page_token(links: str) -> str:
    """The page_info of a Link header; "" on the last page. The address in it is not followed."""
    found = _NEXT.search(links[:4000])
    if found is None:
        return ""
    try:
        return parse_qs(urlsplit(found[1]).query).get("page_info", [""])[0]
    except ValueError:
        return ""
