"""Airship: pushes to named users and channels, and the stream that says what became of them."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from aiohttp import web

from integrations.sandbox.callbacks import Callbacks, VendorCall
from integrations.sandbox.changing import changing
from integrations.sandbox.state import SandboxAccount, SandboxMessage, SandboxState, iso
from integrations.sandbox.vendors.airship_rules import refusal_of
from integrations.sandbox.vendors.airship_stream import EventLog
from integrations.sandbox.vendors.base import (
    Magic,
    ReceiptPlan,
    Route,
    SandboxVendor,
    basic,
    json_reply,
    needed,
    raw_of,
)

VERSION = "version=3"
GONE_CHANNEL = "00000000-0000-4000-8000-000000000404"
#: named user -> (HTTP status, error code, path)
_MAGIC: Mapping[str, tuple[int, int, str]] = {
    "bad-audience": (400, 40202, "audience.named_user"),
    "forbidden": (403, 40301, ""),
    "throttled": (429, 42900, ""),
    "internal": (500, 50000, ""),
    "down": (503, 50300, ""),
}
_ENDINGS = {"rejected": "SEND_REJECTED", "aborted": "SEND_ABORTED"}


class Airship(SandboxVendor):
    """Push. A message's window can be opened and its app removed; the stream tells."""

    key = "airship"
    title = "Airship"
    channel = "push"
    magic = (
        *(Magic(f"named_user:{to}", f"{row[0]} code {row[1]}") for to, row in _MAGIC.items()),
        Magic("named_user:nobody", "202 without a push id"),
        Magic("named_user:no-device", "202, and nothing is ever shown"),
        Magic("named_user:rejected", "taken, then SEND_REJECTED in the stream"),
        Magic("named_user:aborted", "taken, then SEND_ABORTED in the stream"),
        Magic(f"channel:{GONE_CHANNEL}", "404 code 40401"),
    )

    def __init__(self, state: SandboxState, callbacks: Callbacks) -> None:
        super().__init__(state, callbacks)
        self.log = EventLog()

    def routes(self) -> Iterable[Route]:
        return (
            Route("POST", "/api/push", self.push),
            Route("POST", "/api/push/validate", self.validate),
            Route("POST", "/api/named_users/associate", partial(self.change, "channel_id")),
            Route("POST", "/api/named_users/disassociate", partial(self.change, "channel_id")),
            Route("POST", "/api/named_users/uninstall", partial(self.change, "named_user_id")),
            Route("POST", "/api/channels/uninstall", partial(self.change, "")),
            Route("POST", "/api/channels/subscription_lists", partial(self.change, "audience")),
            Route("POST", "/api/events/", self.stream),
        )

    def control_routes(self) -> Iterable[Route]:
        return (
            Route("GET", "/events", self.happened),
            Route("POST", "/events", changing(self.happen)),
            Route("GET", "/changes", self.changes),
            Route("POST", "/stream", changing(self.set_stream)),
        )

    def account_name(self, settings: Mapping[str, str]) -> str:
        return needed(settings, "app_key")

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        app, token = needed(settings, "app_key"), settings.get("access_token", "")
        found = [f"Bearer {token} {app}"] if token else []
        if secret := settings.get("master_secret"):
            found.append(basic(app, secret))
        if not found:
            raise ValueError("setting 'access_token' or 'master_secret' is missing")
        if streaming := settings.get("stream_token"):
            found.append(f"stream {streaming} {app}")
        return found

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        headers = {"Retry-After": f"{retry_after_s:g}"} if status in (429, 503) else None
        return _error(status, status * 100, headers=headers)

    # --- the API ----------------------------------------------------------------------------------

    async def push(self, request: web.Request) -> web.StreamResponse:
        """POST one push."""
        account, body, refused = await self._read(request)
        if refused is not None or account is None:
            return refused or _error(401, 40101)
        to, value = _audience(body["audience"])
        if to == f"channel:{GONE_CHANNEL}":
            return _error(404, 40401)
        if value in _MAGIC:
            status, code, path = _MAGIC[value]
            return _error(status, code, path, {"Retry-After": "30"} if status == 429 else None)
        push_id = str(uuid.uuid1())
        answer = {
            "ok": True,
            "operation_id": str(uuid.uuid4()),
            "push_ids": [] if value == "nobody" else [push_id],
            "message_ids": [],
            "content_urls": [],
            "localized_ids": [],
        }
        if value not in ("nobody", "no-device"):
            self._accept(account, push_id, to, body, request)
        return json_reply(answer, status=202)

    async def validate(self, request: web.Request) -> web.StreamResponse:
        """POST a push to check it."""
        _, _, refused = await self._read(request)
        return refused or json_reply({"ok": True, "operation_id": str(uuid.uuid4())})

    async def change(self, member: str, request: web.Request) -> web.StreamResponse:
        """POST a change of a person, a device or a list; ``member`` must be there."""
        account, refused = self._account(request)
        if refused is not None or account is None:
            return refused or _error(401, 40101)
        try:
            body = json.loads(await request.read())
        except ValueError:
            return _error(400, 40001)
        is_right = isinstance(body, dict) and bool(body.get(member)) if member else body
        if not is_right:
            return _error(400, 40202, member)
        path = request.path.removeprefix("/airship/api/")
        self.plant("change", uuid.uuid4(), {"path": path, "body": body, "at": iso(time.time())})
        return json_reply({"ok": True})

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """POST, again with the cookie, and read events until somebody goes."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        app = request.headers.get("X-UA-Appkey", "")
        if self.state.find_account(self.key, f"stream {token} {app}") is None:
            return _error(401, 40101)
        return await self.log.serve(app, request)

    # --- what happens later -----------------------------------------------------------------------

    def _accept(
        self,
        account: SandboxAccount,
        push_id: str,
        to: str,
        body: Mapping[str, Any],
        request: web.Request,
    ) -> None:
        self.accept(lambda: self._message(account, push_id, to, body, request))
        value = to.partition(":")[2]
        ending = _ENDINGS.get(value, "SEND")
        settings = self.state.settings

        def tell(kind: str) -> VendorCall | None:
            self._event(account, push_id, kind, to, body)
            return None

        self.post_receipts(
            push_id,
            [
                ReceiptPlan("PUSH_BODY", 0, partial(tell, "PUSH_BODY")),
                ReceiptPlan(ending, settings.sent_after_ms, partial(tell, ending)),
            ],
        )

    def _event(
        self, account: SandboxAccount, push_id: str, kind: str, to: str, body: Mapping[str, Any]
    ) -> None:
        def read(status: int) -> None:
            message = self.state.message(push_id)
            if message is not None and status:
                self.state.note_receipt(message, _WORDS.get(kind, kind.lower()), status)

        self.log.append(self.account_name(account.settings), kind, push_id, to, body, read)

    async def happen(self, request: web.Request, wanted: dict[str, Any]) -> Any:
        """Somebody opens ``message`` or removes the app it is in (``type`` OPEN or UNINSTALL)."""
        kind, message_id = str(wanted.get("type", "OPEN")), str(wanted.get("message", ""))
        message = self.state.message(message_id)
        if message is None or message.vendor != self.key or kind not in ("OPEN", "UNINSTALL"):
            raise ValueError("'message' is no push of ours, or 'type' is not OPEN or UNINSTALL")
        self._event(message.account, message_id, kind, message.to, message.extra["push"])
        return {}

    async def happened(self, request: web.Request) -> web.StreamResponse:
        """Every event there is to stream, oldest first."""
        return json_reply({"events": self.log.bodies()})

    async def changes(self, request: web.Request) -> web.StreamResponse:
        """What was changed about people, devices and lists, oldest first."""
        found = [v for k, v in self.state.resources.items() if k[:2] == (self.key, "change")]
        return json_reply({"changes": found})

    async def set_stream(self, request: web.Request, wanted: dict[str, Any]) -> Any:
        """Make streams end after ``events`` events, or refuse the next ones with ``refuse``."""
        self.log.ends_after = int(wanted.get("events", 0))
        self.log.refuses = [int(status) for status in wanted.get("refuse", [])]
        return {"opened": self.log.opened}

    # --- shared -----------------------------------------------------------------------------------

    def _account(self, request: web.Request) -> tuple[SandboxAccount | None, web.Response | None]:
        given = request.headers.get("Authorization", "")
        if given.startswith("Bearer "):
            given = f"{given} {request.headers.get('X-UA-Appkey', '')}"
        account = self.state.find_account(self.key, given)
        if account is None or given.startswith("stream "):
            return None, _error(401, 40101)
        if VERSION not in request.headers.get("Accept", ""):
            return account, _error(406, 40600)
        if request.content_type != "application/json":
            return account, _error(415, 41500)
        return account, None

    async def _read(
        self, request: web.Request
    ) -> tuple[SandboxAccount | None, dict[str, Any], web.Response | None]:
        account, refused = self._account(request)
        if refused is not None:
            return account, {}, refused
        try:
            body = json.loads(await request.read())
        except ValueError:
            return account, {}, _error(400, 40001)
        path = refusal_of(body)
        return account, body, _error(400, 40202, path) if path is not None else None

    def _message(
        self,
        account: SandboxAccount,
        push_id: str,
        to: str,
        body: Mapping[str, Any],
        request: web.Request,
    ) -> SandboxMessage:
        shown = body["notification"]
        overrides = [shown[kind] for kind in ("ios", "android", "amazon", "web") if kind in shown]
        data: Mapping[str, Any] = next((o["extra"] for o in overrides if o.get("extra")), {})
        return SandboxMessage(
            vendor=self.key,
            channel=self.channel,
            account=account,
            id=push_id,
            to=to,
            text=shown["alert"],
            subject=next((o["title"] for o in overrides if o.get("title")), ""),
            order_number=str(data.get("order_number", "")),
            attempt=str(data.get("attempt_id", "")),
            raw=raw_of(request, lambda: body),
            extra={
                "push": dict(body),
                "data": dict(data),
                "devices": list(body["device_types"]),
                "opens": shown.get("actions", {}).get("open", {}).get("content", ""),
                "happens": {"Open": "OPEN", "Remove the app": "UNINSTALL"},
            },
        )


#: what the wall calls an event
_WORDS = {
    "PUSH_BODY": "queued",
    "SEND": "sent",
    "SEND_REJECTED": "failed",
    "SEND_ABORTED": "failed",
    "OPEN": "opened",
    "UNINSTALL": "unsubscribed",
}


def _audience(audience: Mapping[str, Any]) -> tuple[str, str]:
    """The one address inside an audience, and its value."""
    node: Any = audience
    while "and" in node:
        node = node["and"][0]
    ((kind, value),) = node.items()
    return f"{kind}:{value}", str(value)


def _error(status: int, code: int, path: str | None = None, headers: Any = None) -> web.Response:
    answer: dict[str, Any] = {
        "ok": False,
        "error": "The request was refused.",
        "error_code": code,
        "operation_id": str(uuid.uuid4()),
    }
    if path:
        location = {"line": 1, "column": 1}
        answer["details"] = {"error": "not understood", "path": path, "location": location}
    return json_reply(answer, status=status, headers=headers)
