"""Pusher Channels: signed events in, ``{}`` out; signed occupancy webhooks on demand."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from aiohttp import web

from integrations.sandbox.callbacks import Callbacks, VendorCall
from integrations.sandbox.state import SandboxAccount, SandboxMessage, SandboxState
from integrations.sandbox.vendors.base import (
    Magic,
    Route,
    SandboxVendor,
    json_reply,
    needed,
    random_hex,
    raw_of,
)
from integrations.sandbox.vendors.pusher_sockets import Sockets

MAX_AGE_S = 600
DATA_LIMIT, CHANNELS_LIMIT = 10_240, 100
_CHANNEL = re.compile(r"[A-Za-z0-9_\-=@,.;]{1,164}")
_REQUIRED = ("auth_key", "auth_timestamp", "auth_version", "body_md5", "auth_signature")


class Pusher(SandboxVendor):
    """Live pages. The message wall shows each event with its channel."""

    key = "pusher"
    title = "Pusher Channels"
    channel = "realtime"
    magic = (Magic("private-over-quota", "403 over quota"),)

    def __init__(self, state: SandboxState, callbacks: Callbacks) -> None:
        super().__init__(state, callbacks)
        self._sockets = Sockets()

    def routes(self) -> Iterable[Route]:
        return (
            Route("POST", "/apps/{app}/events", self.trigger),
            Route("GET", "/app/{key}", self.listen),
        )

    def account_name(self, settings: Mapping[str, str]) -> str:
        return needed(settings, "app_id")

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        needed(settings, "secret")
        return [f"{needed(settings, 'app_id')} {needed(settings, 'app_key')}"]

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        headers = {"Retry-After": f"{retry_after_s:g}"} if status == 429 else None
        return web.Response(text="Try again later", status=status, headers=headers)

    async def trigger(self, request: web.Request) -> web.StreamResponse:
        """POST one event to up to a hundred channels."""
        body = await request.read()
        app, query = request.match_info["app"], request.query
        account = self.state.find_account(self.key, f"{app} {query.get('auth_key', '')}")
        if account is None:
            return web.Response(text="Unknown auth_key", status=401)
        problem = _signature_problem(account.settings, f"/apps/{app}/events", query, body)
        if problem:
            return web.Response(text=problem, status=401)
        try:
            event = json.loads(body)
            name, channels, data = event["name"], event["channels"], event["data"]
        except (ValueError, TypeError, KeyError):
            return web.Response(text="Invalid event", status=400)
        status, problem = _event_problem(name, channels, data)
        if problem:
            return web.Response(text=problem, status=status)
        for channel in channels:
            self.accept(partial(self._message, account, channel, event, request))
            await self._sockets.tell(channel, event)
        return json_reply({})

    async def listen(self, request: web.Request) -> web.StreamResponse:
        """A page connects with the public key of an app."""
        key = request.match_info["key"]
        accounts = self.state.accounts(self.key)
        found = next((a for a in accounts if a.settings.get("app_key") == key), None)
        return await self._sockets.serve(request, found)

    def _message(
        self, account: SandboxAccount, to: str, event: Mapping[str, Any], request: web.Request
    ) -> SandboxMessage:
        try:
            data = json.loads(event["data"])
        except ValueError:
            data = {}
        data = data if isinstance(data, dict) else {}
        number, state = str(data.get("order", "")), str(data.get("state", ""))
        return SandboxMessage(
            vendor=self.key,
            channel=self.channel,
            account=account,
            id=f"pusher-{random_hex(8)}",
            to=to,
            text=f"Order {number}: {state}",
            subject=str(event["name"]),
            order_number=number,
            raw=_without_auth(raw_of(request, lambda: event)),
            extra={"data": data},
        )

    def event(self, account: SandboxAccount, wanted: Mapping[str, Any]) -> VendorCall:
        """A webhook: ``name`` (channel_occupied) about ``order_channel``."""
        happened = {
            "name": str(wanted.get("name", "channel_occupied")),
            "channel": str(wanted.get("order_channel", "private-order-1")),
        }
        payload = {"time_ms": int(time.time() * 1000), "events": [happened]}
        body = json.dumps(payload, separators=(",", ":")).encode()
        secret = needed(account.settings, "secret").encode()
        headers = {
            "Content-Type": "application/json",
            "X-Pusher-Key": account.settings["app_key"],
            "X-Pusher-Signature": hmac.new(secret, body, hashlib.sha256).hexdigest(),
        }
        return VendorCall(account.target(account.webhook_url), body, headers)


def _signature_problem(
    settings: Mapping[str, str], path: str, query: Mapping[str, str], body: bytes
) -> str:
    """What Pusher says about a wrong signature; "" = it fits and is fresh."""
    if any(not query.get(name) for name in _REQUIRED):
        return "Missing authentication parameter"
    stamp = query["auth_timestamp"]
    if not stamp.isdecimal() or abs(time.time() - int(stamp)) > MAX_AGE_S:
        return "Timestamp expired"
    if hashlib.md5(body, usedforsecurity=False).hexdigest() != query["body_md5"]:
        return "Invalid body_md5"
    pairs = "&".join(f"{k}={query[k]}" for k in sorted(query) if k != "auth_signature")
    signed = f"POST\n{path}\n{pairs}".encode()
    expected = hmac.new(settings["secret"].encode(), signed, hashlib.sha256).hexdigest()
    fits = hmac.compare_digest(expected.encode(), query["auth_signature"].encode())
    return "" if fits else "Invalid signature"


def _event_problem(name: Any, channels: Any, data: Any) -> tuple[int, str]:
    if not isinstance(name, str) or not 0 < len(name) <= 200 or name.startswith("pusher"):
        return 400, "Invalid event name"
    if not isinstance(channels, list) or not 0 < len(channels) <= CHANNELS_LIMIT:
        return 400, "Invalid number of channels"
    if not all(isinstance(c, str) and _CHANNEL.fullmatch(c) for c in channels):
        return 400, "Invalid channel name"
    if "private-over-quota" in channels:
        return 403, "Account over quota"
    if not isinstance(data, str):
        return 400, "Data must be a string"
    if len(data.encode()) > DATA_LIMIT:
        return 413, f"The data content of this event exceeds the allowed maximum ({DATA_LIMIT})"
    return 200, ""


def _without_auth(raw: Any) -> Any:
    """The raw request with the signature left out of its path."""

    def shown() -> dict[str, Any]:
        request: dict[str, Any] = raw()
        return {**request, "path": request["path"].partition("?")[0]}

    return shown
