"""Apprise: one endpoint in the form of its ``json://`` service, in place of a hundred services."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

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

#: "sandbox-401" anywhere in a service URL: the service always answers like this
_FATE = re.compile(r"sandbox-(\d{3})\b")
_TYPES = frozenset({"info", "success", "warning", "failure"})
_TEXTS = ("version", "title", "message", "type")


class Apprise(SandboxVendor):
    """Team chat. The wall shows it under the name of the service meant."""

    key = "apprise"
    title = "Apprise"
    channel = "team_chat"
    magic = (
        Magic("…sandbox-401…", "the service refuses the token"),
        Magic("…sandbox-429…", "the service has had enough"),
        Magic("…sandbox-500…", "any other status likewise"),
    )

    def routes(self) -> Iterable[Route]:
        return (Route("POST", "/{schema}/{digest}", self.create),)

    def account_name(self, settings: Mapping[str, str]) -> str:
        url = needed(settings, "service_url")
        return f"{url.partition('://')[0]} {_digest(url)[:6]}"

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        return [_digest(needed(settings, "service_url"))]

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        return json_reply({"error": f"HTTP {status}"}, status=status)

    async def create(self, request: web.Request) -> web.StreamResponse:
        """POST one notification."""
        account = self.state.find_account(self.key, request.match_info["digest"])
        if account is None:
            return json_reply({"error": "nobody is here"}, status=404)
        if fate := _FATE.search(account.settings["service_url"]):
            return json_reply({"error": "as you wish"}, status=int(fate[1]))
        try:
            note = json.loads(await request.read())
            is_right = all(isinstance(note[name], str) for name in _TEXTS)
            is_right = is_right and note["type"] in _TYPES and note["message"] != ""
        except (ValueError, TypeError, KeyError):
            is_right = False
        if not is_right:
            return json_reply({"error": "no notification of apprise's"}, status=400)
        self.accept(lambda: self._message(account, request.match_info["schema"], note, request))
        return json_reply({"ok": True})

    def _message(
        self, account: SandboxAccount, schema: str, note: Mapping[str, Any], request: web.Request
    ) -> SandboxMessage:
        return SandboxMessage(
            vendor=self.key,
            channel=self.channel,
            account=account,
            id=random_hex(),
            to=f"{schema}://…",
            text=note["message"],
            subject=note["title"],
            attempt=str(note.get("attempt", "")),
            order_number=str(note.get("order", "")),
            raw=raw_of(request, lambda: note),
            extra={"type": note["type"], "lines": note["message"].split("\n")},
        )


def _digest(url: str) -> str:
    return hashlib.sha256(url.strip().encode()).hexdigest()[:24]
