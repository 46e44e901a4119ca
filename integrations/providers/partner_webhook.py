"""Order events to a partner's server, signed as Standard Webhooks. Facts: partner_webhook.md."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from standardwebhooks.webhooks import Webhook

from integrations.contracts import (
    Accepted,
    Capabilities,
    Channel,
    HttpRequest,
    HttpResponse,
    Message,
    Provider,
    Setting,
)
from integrations.errors import ConfigurationError, OutcomeUnknown, RateLimited, TransientError

if TYPE_CHECKING:
    from integrations.http import Http

#: larger bodies fall back to the short form, which is always far below
LARGEST_BODY = 20 * 1024
_PORTS = frozenset({None, 443, 8443})
_SECRET_BYTES = range(24, 65)
#: ten tries in about three days, the example of Standard Webhooks
_RETRY_S = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
_NOT_IN_TYPE = re.compile(r"[^A-Za-z0-9_]")
#: what "full" adds; nothing about the guest, and nothing that is worded relative to now
_FULL = (
    "fulfillment",
    "is_scheduled",
    "promised_at",
    "est_ready_at",
    "est_delivery_at",
    "location",
    "source",
    "reason",
    "flags",
    "items",
    "parts",
)


class PartnerWebhook(Provider):
    """One POST per order event to one endpoint; the account is the endpoint.

    ``request`` is pure and unsigned: the signature covers the second it leaves in, so
    :meth:`signed` adds it when ``send`` is called and a message that waited is not stale.
    """

    key = "partner_webhook"
    channel = Channel.WEBHOOK
    title = "Partner webhook"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting(
            "url",
            label="Endpoint URL",
            is_url=True,
            help="https, port 443 or 8443",
            example="https://partner.example.com/hooks/orders?k=1",
        ),
        Setting(
            "secret",
            label="Signing secret",
            secret=True,
            help="whsec_ and base64",
            example="whsec_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=",
        ),
        Setting(
            "previous_secret",
            label="Previous signing secret",
            secret=True,
            required=False,
            help="while rotating: signs too, until you remove it",
        ),
        Setting(
            "detail",
            label="Event data",
            required=False,
            default="thin",
            choices=("thin", "full"),
            help="thin: ids and status; full: times, parts and items too, never guest data",
        ),
        Setting(
            "allow_http",
            label="Allow http and any port",
            required=False,
            default="no",
            choices=("no", "yes"),
            help="for a partner without TLS; private addresses stay refused",
        ),
    )
    capabilities = Capabilities(
        idempotency_key=True, rate_per_s=20.0, retry_s=_RETRY_S, account_is_address=True
    )

    def __init__(self, account: Mapping[str, str], *, base_url: str = "") -> None:
        super().__init__(account, base_url=base_url)
        self._url = self._checked_url(account["url"].strip())
        names = ("secret", "previous_secret")
        self._signers = [self._signer(name) for name in names if account.get(name)]

    def request(self, message: Message) -> HttpRequest:
        """POST the event, unsigned; ``webhook-id`` is the event's, the same on every retry."""
        full = self.account.get("detail") == "full"
        body = _body(message, full=full)
        if len(body) > LARGEST_BODY:
            body = _body(message, full=False)
        headers = {
            "Content-Type": "application/json",
            "webhook-id": "msg_" + _event_id(message).replace(".", "_"),
        }
        return HttpRequest("POST", self._url, headers, body, untrusted_url=True)

    def signed(self, request: HttpRequest, at: datetime) -> HttpRequest:
        """``request`` with timestamp ``at`` (aware) and one signature per active secret. Pure."""
        # the library replaces the zone instead of converting to it
        moment = at.astimezone(UTC)
        name, body = request.headers["webhook-id"], request.body.decode()
        signatures = [signer.sign(name, moment, body) for signer in self._signers]
        stamp = str(int(moment.timestamp()))
        extra = {"webhook-timestamp": stamp, "webhook-signature": " ".join(signatures)}
        return replace(request, headers={**request.headers, **extra})

    async def send(self, message: Message, http: Http) -> Accepted:
        """Sign now and POST. An unanswered request is repeatable: partners dedupe by the id."""
        now = datetime.now(UTC)
        if not message.event.get("occurred_at"):
            message = replace(message, event={**message.event, "occurred_at": now.isoformat()})
        try:
            response = await http.send(self.signed(self.request(message), now), provider=self.key)
        except OutcomeUnknown as error:
            raise TransientError(self.key, detail="no complete answer") from error
        return self.outcome(message, response)

    def outcome(self, message: Message, response: HttpResponse) -> Accepted:
        """Only the status counts: 2xx took it, 410 ends the endpoint, the rest is tried again."""
        status = response.status
        if 200 <= status < 300:
            return Accepted(detail=f"HTTP {status}")
        if status == 410:
            raise ConfigurationError(
                self.key, "the endpoint is gone (HTTP 410)", vendor_code="410", endpoint_only=True
            )
        wait_s = response.retry_after_s()
        if status == 429 or (status == 503 and wait_s is not None):
            raise RateLimited(self.key, response, retry_after_s=wait_s)
        raise TransientError(self.key, response)

    def _checked_url(self, text: str) -> str:
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        is_loose = self.account.get("allow_http") == "yes"
        schemes = ("https", "http") if is_loose else ("https",)
        if parts.scheme not in schemes or not parts.hostname or parts.username is not None:
            raise ConfigurationError(self.key, "setting 'url' is not an https address")
        if not is_loose and port not in _PORTS:
            raise ConfigurationError(self.key, "setting 'url' names another port than 443 or 8443")
        # a sandbox account keeps the path, so one sandbox can tell endpoints apart
        path = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
        return f"{self.base_url}{path}" if self.base_url else parts._replace(fragment="").geturl()

    def _signer(self, name: str) -> Webhook:
        prefix, found, encoded = self.account[name].strip().partition("whsec_")
        try:
            key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if prefix or not found or len(key) not in _SECRET_BYTES:
            raise ConfigurationError(
                self.key, f"setting '{name}' is not whsec_ and base64 of 24 to 64 bytes"
            )
        return Webhook(key)


def _event_id(message: Message) -> str:
    return str(message.event.get("id") or message.attempt_id)


def _event_type(message: Message) -> str:
    if message.event_kind == "test":
        return "webhook.test"
    return "order." + _NOT_IN_TYPE.sub("_", message.event_kind.removeprefix("order_"))


def _body(message: Message, *, full: bool) -> bytes:
    order, event = message.order, message.event
    data: dict[str, Any] = {
        "order_id": order.get("id") or "",
        "order_number": order.get("number") or "",
        "status": order.get("state") or "",
        "milestone": message.milestone,
        "part": event.get("part") or "",
    }
    if full:
        data.update((name, order[name]) for name in _FULL if order.get(name))
        if event.get("change"):
            data["change"] = event["change"]
        if event.get("late_min"):
            data["late_min"] = event["late_min"]
        data["parts"] = _parts(order.get("parts"))
    body = {
        "type": _event_type(message),
        "timestamp": event.get("occurred_at") or "",
        "data": data,
    }
    if not body["timestamp"]:
        del body["timestamp"]
    # ASCII: half a surrogate pair stays an escape, and every consumer reads the same bytes
    return json.dumps(body, separators=(",", ":"), default=str).encode()


def _parts(parts: object) -> list[dict[str, str]]:
    listed = parts.get("list") if isinstance(parts, Mapping) else None
    return [
        {"label": str(part.get("label", "")), "status": str(part.get("state", ""))}
        for part in (listed if isinstance(listed, list) else [])
    ]
