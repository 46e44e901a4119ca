"""WooCommerce, the shop plugin of WordPress. Fat webhooks: every event carries the whole order.

Nothing is ever sent twice, so the orders changed since a time can be listed as well.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

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
)
from integrations.errors import EventIgnored, PayloadMalformed, SignatureInvalid
from integrations.signatures import hmac_base64, require_hmac
from integrations.sources.woocommerce_order import PROMISE_FORMATS, Reading, is_draft, read_order

SIGNATURE = "x-wc-webhook-signature"
_PING = re.compile(rb"webhook_id=\d{1,20}")
_DELETED = "order.deleted"
#: an answer of more than 1 MiB is cut
_PAGE = 50
#: what read_order reads
_FIELDS = (
    *("id", "number", "status", "customer_id", "billing", "shipping"),
    *("date_created_gmt", "date_modified_gmt", "date_completed_gmt"),
    *("line_items", "shipping_lines", "meta_data"),
)


class WooCommerce(Source):
    """The order webhooks of one shop, and its list of changed orders."""

    key = "woocommerce"
    title = "WooCommerce"
    settings = (
        Setting(
            "site_url",
            "Shop address",
            is_url=True,
            help="as under Settings > General, e.g. https://shop.example.com",
        ),
        Setting("webhook_secret", "Webhook secret", secret=True, help="exactly as typed there"),
        Setting("previous_webhook_secret", "Previous secret", secret=True, required=False),
        Setting("consumer_key", "REST key", secret=True, required=False, help="read permission"),
        Setting("consumer_secret", "REST secret", secret=True, required=False),
        Setting(
            "completed_means",
            "Completed means",
            required=False,
            default="by method",
            choices=("by method", "picked_up", "delivered", "nothing"),
            help="by method: picked up for local pickup, delivered for everything else",
        ),
        Setting(
            "promise_key",
            "Field of the promised time",
            required=False,
            help="key in the order's meta data, set by a time slot plugin",
        ),
        Setting(
            "promise_format",
            "Form of that time",
            required=False,
            default="iso",
            choices=PROMISE_FORMATS,
            help="iso: with offset; local: 2026-03-14 18:05 on the shop's clock; unix: seconds",
        ),
        Setting("timezone", "Time zone of the shop", required=False, help="e.g. America/New_York"),
    )
    priority: ClassVar[dict[str, int]] = {"commercial": 20, "kitchen": 10, "courier": 10}
    #: what core can say; statuses a plugin adds are mapped per site and can say the rest
    can_state: ClassVar[frozenset[str]] = frozenset(
        {
            State.RECEIVED,
            State.ACCEPTED,
            State.PICKED_UP,
            State.DELIVERED,
            State.CANCELLED,
            State.FAILED,
        }
    )

    def __init__(self, account: Any, **options: Any) -> None:
        super().__init__(account, **options)
        self.base_url = self.base_url or self._site

    @property
    def _site(self) -> str:
        return self.account.get("site_url", "").strip().rstrip("/")

    # --- before the call is believed -----------------------------------------------------------

    def handshake(self, call: InboundCall) -> Reply200 | None:
        """The unsigned ping on activation: exactly 200, or the shop leaves the webhook off."""
        is_ping = _PING.fullmatch(call.body) is not None and SIGNATURE not in call.headers
        return Reply200(status=200) if is_ping and call.method == "POST" else None

    def verify(self, call: InboundCall) -> None:
        """Base64 HMAC-SHA256 over the raw body, from the shop this account belongs to."""
        require_hmac(
            header="X-WC-Webhook-Signature",
            given=call.headers.get(SIGNATURE, ""),
            secrets=(
                self.account.get("webhook_secret", ""),
                self.account.get("previous_webhook_secret", ""),
            ),
            message=call.body,
            encode=hmac_base64,
        )
        sender = call.headers.get("x-wc-webhook-source", "")
        if sender and self._site and _place(sender) != _place(self._site):
            raise SignatureInvalid("X-WC-Webhook-Source is not the shop address of this account")

    def event_key(self, call: InboundCall) -> str:
        """Site, webhook, topic, order, change and body.

        Not the delivery id: two orders delivered in one second share it.
        """
        digest = payloads.sha256(call.body)
        try:
            order = payloads.load_object(call.body)
        except PayloadMalformed:
            return f"body|{digest}"
        headers = call.headers
        words = (
            self.key,
            payloads.text(headers.get("x-wc-webhook-source")) or self._site,
            payloads.text(headers.get("x-wc-webhook-id"), 40),
            payloads.text(headers.get("x-wc-webhook-topic"), 40),
            payloads.text(order.get("id"), 40),
            payloads.text(order.get("date_modified_gmt"), 40),
            digest,
        )
        return ":".join(words)

    # --- reading ---------------------------------------------------------------------------------

    def parse(self, call: InboundCall) -> list[OrderUpdate | FollowUp]:
        """The order as it is now."""
        topic = payloads.text(call.headers.get("x-wc-webhook-topic"), 80)
        if topic and not topic.startswith("order."):
            raise EventIgnored(f"topic {topic} says nothing about an order")
        order = payloads.load_object(call.body)
        if topic == _DELETED:
            return [_deleted(order, call.received_at)]
        if is_draft(order):
            raise EventIgnored("a draft is no order yet")
        return [read_order(order, self._reading())]

    def poll(self, since: datetime) -> HttpRequest | None:
        """Orders modified since ``since``; None without REST keys."""
        key, secret = self.account.get("consumer_key"), self.account.get("consumer_secret")
        if not (key and secret and self.base_url):
            return None
        query = {
            "modified_after": since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
            "dates_are_gmt": "true",
            # by id: what changes while pages are turned stays on its page
            "orderby": "id",
            "order": "asc",
            "per_page": str(_PAGE),
            "_fields": ",".join(_FIELDS),
        }
        return self._get(f"orders?{urlencode(query)}", key, secret)

    def poll_next(self, request: HttpRequest, response: HttpResponse) -> HttpRequest | None:
        """The page after a full one."""
        found = payloads.load_json(response.body)
        if not isinstance(found, list) or len(found) < _PAGE:
            return None
        parts = urlsplit(request.url)
        query = dict(parse_qsl(parts.query))
        query["page"] = str(int(query.get("page", "1")) + 1)
        return replace(request, url=urlunsplit(parts._replace(query=urlencode(query))))

    def _get(self, path: str, key: str, secret: str) -> HttpRequest:
        return HttpRequest.get(
            f"{self.base_url}/wp-json/wc/v3/{path}", auth=(key, secret), untrusted_url=True
        )

    def parse_poll(self, response: HttpResponse, received_at: datetime) -> list[OrderUpdate]:
        """Every order of the answer that is no draft."""
        found = payloads.load_json(response.body)
        if not isinstance(found, list):
            raise PayloadMalformed("the body: expected a list of orders")
        reading = self._reading()
        return [read_order(o, reading) for o in payloads.objects(found) if not is_draft(o)]

    def _reading(self) -> Reading:
        return Reading(
            added=self.status_map.get("order", {}),
            completed_means=self.account.get("completed_means") or "by method",
            promise_key=self.account.get("promise_key", ""),
            promise_format=self.account.get("promise_format") or "iso",
            timezone=self.account.get("timezone", ""),
        )


def _place(url: str) -> tuple[str, str]:
    """Host and path of a shop: the scheme and the final slash do not tell shops apart."""
    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
    except ValueError:
        return url, ""
    return parts.netloc.casefold(), parts.path.rstrip("/")


def _deleted(order: dict[str, Any], received_at: datetime) -> OrderUpdate:
    """Moved to the bin: tidying up, and no word to the guest. Only the id is sent."""
    order_id = payloads.required_text(order.get("id"), "id")
    note = Observation(
        event_key=f"order:{payloads.key_within(order_id)}:deleted",
        track="commercial",
        scope="order",
        kind="note",
        native_state=_DELETED,
        occurred_at=received_at,
        data={"note": "deleted in the shop"},
    )
    return OrderUpdate(order_id=order_id, observations=(note,))
