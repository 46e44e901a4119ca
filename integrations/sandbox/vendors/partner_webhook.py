"""A partner's server: takes signed order events at any path and verifies them as partners do.

Verification is written out here, not taken from the library the product signs with: two sides
that share code agree about their mistakes too.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from integrations.sandbox.state import SandboxAccount, SandboxMessage
from integrations.sandbox.vendors.base import (
    Magic,
    Route,
    SandboxVendor,
    json_reply,
    needed,
    random_hex,
    raw_of,
)

MAX_AGE_S = 300
#: last part of the endpoint's path -> the status it always answers
_MAGIC: Mapping[str, int] = {"gone": 410, "moved": 301, "broken": 500}


class PartnerWebhook(SandboxVendor):
    """A consumer of our own webhooks. The message wall shows what it understood."""

    key = "partner_webhook"
    title = "Partner webhook"
    channel = "webhook"
    magic = (
        Magic("https://…/gone", "410 gone for good"),
        Magic("https://…/moved", "301, which nobody follows"),
        Magic("https://…/broken", "500 server error"),
    )

    def routes(self) -> Iterable[Route]:
        return (Route("POST", "/{path:.*}", self.receive),)

    def account_name(self, settings: Mapping[str, str]) -> str:
        return urlsplit(needed(settings, "url")).netloc

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        needed(settings, "secret")
        return [urlsplit(needed(settings, "url")).path.lstrip("/")]

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        headers = {"Retry-After": f"{retry_after_s:g}"} if status in (429, 503) else None
        return json_reply({"error": f"HTTP {status}"}, status=status, headers=headers)

    async def receive(self, request: web.Request) -> web.StreamResponse:
        """One event: verified, then deduped by its id as the convention asks."""
        path = request.match_info["path"]
        account = self.state.find_account(self.key, path)
        if account is None:
            return json_reply({"error": "no such endpoint"}, status=404)
        status = _MAGIC.get(path.rpartition("/")[2])
        if status is not None:
            return web.Response(status=status, headers={"Location": "/"} if status < 400 else None)
        body = await request.read()
        problem = _problem(account.settings, request.headers, body)
        if problem:
            return json_reply({"error": problem}, status=401)
        try:
            event = json.loads(body)
            data, kind = event["data"], str(event["type"])
        except (ValueError, TypeError, KeyError):
            return json_reply({"error": "type and data are expected"}, status=400)
        event_id = f"{path} {request.headers['webhook-id']}"
        if self.state.message(event_id) is None:
            self.accept(lambda: _message(self, account, event_id, kind, data, request, event))
        return web.Response(status=204)


def _message(
    vendor: SandboxVendor,
    account: SandboxAccount,
    event_id: str,
    kind: str,
    data: Mapping[str, Any],
    request: web.Request,
    event: Mapping[str, Any],
) -> SandboxMessage:
    number, status = str(data.get("order_number", "")), str(data.get("status", ""))
    return SandboxMessage(
        vendor=vendor.key,
        channel=vendor.channel,
        account=account,
        id=event_id or random_hex(),
        to=vendor.account_name(account.settings),
        text=f"Order {number}: {status}" if number else kind,
        subject=kind,
        order_number=number,
        raw=raw_of(request, lambda: event),
        extra={"event": dict(event)},
    )


def _problem(settings: Mapping[str, str], headers: Mapping[str, str], body: bytes) -> str:
    """What a consumer would complain about; "" = the event is ours and fresh."""
    event_id = headers.get("webhook-id", "")
    stamp = headers.get("webhook-timestamp", "")
    given = headers.get("webhook-signature", "").split()
    if not event_id or "." in event_id or not given:
        return "webhook-id or webhook-signature is missing"
    if not stamp.isdecimal() or abs(time.time() - int(stamp)) > MAX_AGE_S:
        return "webhook-timestamp is not a fresh time"
    signed = f"{event_id}.{stamp}.".encode() + body
    key = base64.b64decode(settings["secret"].removeprefix("whsec_"))
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    # no early end: how long this takes says nothing about the key
    fits = [hmac.compare_digest(one.encode(), expected.encode()) for one in given]
    return "" if any(fits) else "webhook-signature does not fit"
