"""Mailgun's suppression lists of one domain: unsubscribes, complaints, bounces.

Only an account key may see or change them; a domain sending key may not.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from integrations.sandbox.changing import changing
from integrations.sandbox.state import SandboxAccount
from integrations.sandbox.vendors.base import Route, json_reply
from integrations.sandbox.vendors.mail_lists import MailLists
from integrations.sandbox.vendors.mailgun_events import Fields

#: list -> (reason, code) of the failure that a mail to somebody on it is
_REASONS = {
    "unsubscribes": ("suppress-unsubscribe", 607),
    "complaints": ("suppress-complaint", 607),
    "bounces": ("suppress-bounce", 605),
}
_MOST = 1000


class MailgunLists(MailLists):
    """The part of Mailgun that keeps people from getting mail."""

    def list_routes(self) -> Iterable[Route]:
        """The paths of the lists."""
        return (
            Route("POST", "/v3/{domain}/unsubscribes", self.unsubscribe),
            Route("DELETE", "/v3/{domain}/unsubscribes/{address}", self.resubscribe),
            *(Route("GET", f"/v3/{{domain}}/{name}", self.entries) for name in _REASONS),
        )

    def control_routes(self) -> Iterable[Route]:
        return (
            Route("POST", "/lists", changing(self.plant_entry)),
            Route("GET", "/lists", self.show_lists),
        )

    def stopped_by(self, account: SandboxAccount, mailbox: str) -> tuple[Fields, ...]:
        """The events of a mail to somebody on a list; () = it is delivered."""
        for name, (reason, code) in _REASONS.items():
            entry = self.listed(account, name).get(mailbox.lower())
            if entry is not None and "*" in entry.get("tags", ["*"]):
                failed: Fields = {
                    "event": "failed",
                    "severity": "permanent",
                    "reason": reason,
                    "delivery-status": {"code": code, "message": "", "description": reason},
                }
                return (failed,)
        return ()

    async def unsubscribe(self, request: web.Request) -> web.StreamResponse:
        """POST a JSON list of {"address", "tags"}."""
        account = self._owner(request)
        if account is None:
            return _forbidden()
        records = _records(await request.read())
        if not records:
            return json_reply({"message": "Missing mandatory parameter: address"}, status=400)
        for record in records:
            tags = record.get("tags") or ["*"]
            self.list_up(account, "unsubscribes", str(record["address"]), tags=tags)
        said = f"{len(records)} addresses have been added to the unsubscribes table"
        return json_reply({"message": said})

    async def resubscribe(self, request: web.Request) -> web.StreamResponse:
        """DELETE one address, with all its tags."""
        account = self._owner(request)
        if account is None:
            return _forbidden()
        mailbox = request.match_info["address"]
        if not self.strike(account, "unsubscribes", mailbox):
            said = "Address not found in unsubscribers table"
            return json_reply({"message": said}, status=404)
        said = "Unsubscribe event has been removed"
        return json_reply({"message": said, "address": mailbox})

    async def entries(self, request: web.Request) -> web.StreamResponse:
        """GET a page of a list, sorted by address; a next page is named even behind the last."""
        account, name = self._owner(request), request.path.rpartition("/")[2]
        if account is None:
            return _forbidden()
        limit = request.query.get("limit", "100")
        if not limit.isdecimal() or not 1 <= int(limit) <= _MOST:
            return json_reply({"message": "limit is out of range"}, status=400)
        after = request.query.get("address", "")
        listed = self.listed(account, name)
        page = [box for box in sorted(listed) if box > after][: int(limit)]
        items = [_entry(name, box, listed[box]) for box in page]
        query = urlencode({"page": "next", "address": (page or [after])[-1], "limit": limit})
        url = f"https://api.mailgun.net/v3/{request.match_info['domain']}/{name}?{query}"
        return json_reply({"items": items, "paging": {"next": url}})

    def _owner(self, request: web.Request) -> SandboxAccount | None:
        login = request.headers.get("Authorization", "")
        domain = request.match_info["domain"]
        return self.state.find_account(self.key, f"lists {domain} {login}")


def _entry(name: str, mailbox: str, entry: Any) -> dict[str, Any]:
    stamp = time.strftime("%a, %d %b %Y %H:%M:%S UTC", time.gmtime(entry["at"]))
    shown: dict[str, Any] = {"address": mailbox, "created_at": stamp}
    if name == "unsubscribes":
        shown["tags"] = entry.get("tags", ["*"])
    if name == "bounces":
        shown |= {"code": "550", "error": "5.1.1 no such mailbox"}
    return shown


def _records(body: bytes) -> list[dict[str, Any]]:
    try:
        listed = json.loads(body)
    except ValueError:
        return []
    listed = listed if isinstance(listed, list) else []
    return [one for one in listed if isinstance(one, dict) and "@" in str(one.get("address", ""))]


def _forbidden() -> web.Response:
    return web.Response(text="Forbidden", status=401)
