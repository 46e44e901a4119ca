"""SendGrid's suppression lists: global, of groups, and those it fills itself."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from integrations.sandbox.changing import changing
from integrations.sandbox.state import SandboxAccount
from integrations.sandbox.vendors.base import Route, json_reply
from integrations.sandbox.vendors.mail_lists import MailLists

#: list -> why a mail to somebody on it is dropped
_REASONS = {
    "unsubscribes": "Unsubscribed Address",
    "spam_reports": "Spam Reporting Address",
    "bounces": "Bounced Address",
    "invalid_emails": "Invalid",
}
_MOST = 500


class SendGridLists(MailLists):
    """The part of SendGrid that keeps people from getting mail."""

    def list_routes(self) -> Iterable[Route]:
        """The paths of the lists."""
        return (
            Route("POST", "/v3/asm/suppressions/global", self.suppress),
            Route("DELETE", "/v3/asm/suppressions/global/{email}", self.unsuppress),
            Route("POST", "/v3/asm/groups/{group}/suppressions", self.suppress),
            Route("GET", "/v3/asm/groups/{group}/suppressions", self.members),
            Route("DELETE", "/v3/asm/groups/{group}/suppressions/{email}", self.unsuppress),
            Route("GET", "/v3/suppression/{list}", self.entries),
        )

    def control_routes(self) -> Iterable[Route]:
        return (
            Route("POST", "/lists", changing(self.plant_entry)),
            Route("GET", "/lists", self.show_lists),
        )

    def stopped_by(self, account: SandboxAccount, mailbox: str, group: object) -> str:
        """Why this account's mail to ``mailbox`` is dropped; "" = it is not."""
        for name, reason in _REASONS.items():
            if mailbox.lower() in self.listed(account, name):
                return reason
        if group and mailbox.lower() in self.listed(account, f"group {group}"):
            return "Unsubscribed Address"
        return ""

    async def suppress(self, request: web.Request) -> web.StreamResponse:
        """POST {"recipient_emails": [...]} to the global list or a group."""
        account = self._owner(request)
        if account is None:
            return errors(401, "authorization required")
        mailboxes = _mailboxes(await request.read())
        if not mailboxes:
            return errors(400, "recipient_emails is required", "recipient_emails")
        for mailbox in mailboxes:
            self.list_up(account, _list_of(request), mailbox)
        return json_reply({"recipient_emails": mailboxes}, status=201)

    async def unsuppress(self, request: web.Request) -> web.StreamResponse:
        """DELETE one address from the global list or a group."""
        account = self._owner(request)
        if account is None:
            return errors(401, "authorization required")
        if not self.strike(account, _list_of(request), request.match_info["email"]):
            return errors(404, "not found")
        return web.Response(status=204)

    async def members(self, request: web.Request) -> web.StreamResponse:
        """GET the addresses of a group."""
        account = self._owner(request)
        if account is None:
            return errors(401, "authorization required")
        return json_reply(list(self.listed(account, _list_of(request))))

    async def entries(self, request: web.Request) -> web.StreamResponse:
        """GET a page of a list, filtered by the time of the entry."""
        account, name = self._owner(request), request.match_info["list"]
        if account is None:
            return errors(401, "authorization required")
        if name not in _REASONS:
            return errors(404, "not found")
        try:
            start = int(request.query.get("start_time", "0"))
            offset, limit = (int(request.query.get(n, "0")) for n in ("offset", "limit"))
        except ValueError:
            return errors(400, "start_time, offset and limit are numbers")
        found = [
            {"created": int(entry["at"]), "email": mailbox}
            for mailbox, entry in self.listed(account, name).items()
            if int(entry["at"]) >= start
        ]
        return json_reply(found[offset : offset + (limit or _MOST)])

    def _owner(self, request: web.Request) -> SandboxAccount | None:
        return self.state.find_account(self.key, request.headers.get("Authorization", ""))


def errors(status: int, text: str, field: str | None = None, headers: Any = None) -> web.Response:
    """SendGrid's envelope of a refusal."""
    error = {"message": text, "field": field, "help": None}
    return json_reply({"errors": [error]}, status=status, headers=headers)


def _list_of(request: web.Request) -> str:
    group = request.match_info.get("group")
    return f"group {group}" if group else "unsubscribes"


def _mailboxes(body: bytes) -> list[str]:
    try:
        listed = json.loads(body)["recipient_emails"]
    except (ValueError, KeyError, TypeError):
        return []
    if not isinstance(listed, list):
        return []
    return [one for one in listed if isinstance(one, str) and "@" in one]
