"""Freshdesk: Basic with the API key as user, tickets, replies and notes, an unsigned rule."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from html import escape, unescape
from typing import Any

from aiohttp import web

from integrations.sandbox.callbacks import VendorCall
from integrations.sandbox.state import SandboxAccount, iso
from integrations.sandbox.vendors.base import Magic, Route, basic, json_reply, needed
from integrations.sandbox.vendors.helpdesk import MAILBOX, Helpdesk, Ticket

TAG_LIMIT = 32
SUBJECT_LIMIT = 255
_FIELDS = frozenset(
    {
        *("subject", "description", "email", "phone", "name", "requester_id", "status", "priority"),
        *("unique_external_id", "source", "type", "tags", "custom_fields", "group_id", "cc_emails"),
        *("responder_id", "due_by", "fr_due_by", "email_config_id", "product_id"),
    }
)
_NUMBERS = frozenset({"status", "priority", "source", "group_id", "email_config_id"})
_HIDDEN = re.compile(r'<div style="display:none">[^<]*</div>')
_TAG = re.compile(r"<[^>]*>")
_QUERY = re.compile(r"\"tag:'([^']{1,32})'\"")
#: local part at example.com -> what becomes of its tickets
_MAGIC: Mapping[str, tuple[int, str, str]] = {
    "undeliverable": (400, "email", "invalid_value"),
    "refused": (400, "description", "invalid_value"),
    "forbidden": (403, "", "access_denied"),
    "conflict": (409, "email", "inconsistent_state"),
    "throttled": (429, "", ""),
    "maintenance": (503, "", ""),
}


class Freshdesk(Helpdesk):
    """Tickets that begin with a mail of ours or of the people who wait for their food."""

    key = "freshdesk"
    title = "Freshdesk"
    open_status = 2
    magic = tuple(
        Magic(f"{local}@example.com", f"{status} {field} {code}".strip())
        for local, (status, field, code) in _MAGIC.items()
    )

    def routes(self) -> Iterable[Route]:
        tickets = "/api/v2/tickets"
        return (
            Route("POST", tickets, self.create),
            Route("POST", f"{tickets}/outbound_email", self.write_first),
            Route("POST", f"{tickets}/{{number}}/reply", self.answer),
            Route("POST", f"{tickets}/{{number}}/notes", self.note),
            Route("GET", f"{tickets}/{{number}}", self.read),
            Route("GET", f"{tickets}/{{number}}/conversations", self.conversations),
            Route("GET", "/api/v2/search/tickets", self.search),
        )

    def account_name(self, settings: Mapping[str, str]) -> str:
        return needed(settings, "domain")

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        return [basic(needed(settings, "api_key"), "X")]

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        if status == 429:
            words = "You have exceeded the limit of requests per minute"
            wait = {"Retry-After": f"{max(1, round(retry_after_s))}"}
            return json_reply({"message": words}, status=429, headers=wait)
        return web.Response(text="<html>We are sorry</html>", status=status)

    # --- tickets --------------------------------------------------------------------------------

    async def create(self, request: web.Request) -> web.StreamResponse:
        """POST /api/v2/tickets: nobody is mailed the description."""
        return await self._open(request, is_mail=False)

    async def write_first(self, request: web.Request) -> web.StreamResponse:
        """POST /api/v2/tickets/outbound_email: the description is mailed."""
        return await self._open(request, is_mail=True)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """POST /api/v2/tickets/{id}/reply: mailed to the requester."""
        return await self._comment(request, public=True)

    async def note(self, request: web.Request) -> web.StreamResponse:
        """POST /api/v2/tickets/{id}/notes: private unless it says otherwise."""
        return await self._comment(request, public=False)

    async def read(self, request: web.Request) -> web.StreamResponse:
        """GET /api/v2/tickets/{id}."""
        found = self._ticket_of(request)
        return found if isinstance(found, web.Response) else json_reply(_shape(found[1]))

    async def conversations(self, request: web.Request) -> web.StreamResponse:
        """GET /api/v2/tickets/{id}/conversations: everything after the description."""
        found = self._ticket_of(request)
        if isinstance(found, web.Response):
            return found
        listed = [_conversation(found[1], comment) for comment in found[1]["comments"][1:]]
        return json_reply(listed[: int(request.query.get("per_page", "30"))])

    async def search(self, request: web.Request) -> web.StreamResponse:
        """GET /api/v2/search/tickets?query="tag:'...'"."""
        account = self._account(request)
        if account is None:
            return _unauthorized()
        wanted = _QUERY.fullmatch(request.query.get("query", ""))
        if wanted is None:
            return _invalid("query", "invalid_value")
        found = [_shape(t) for t in self.tickets(account) if wanted[1] in t["tags"]]
        return json_reply({"results": found[:30], "total": len(found)})

    def _account(self, request: web.Request) -> SandboxAccount | None:
        return self.state.find_account(self.key, request.headers.get("Authorization", ""))

    def _ticket_of(self, request: web.Request) -> tuple[SandboxAccount, Ticket] | web.Response:
        account = self._account(request)
        if account is None:
            return _unauthorized()
        ticket = self.ticket(account, request.match_info["number"])
        return (account, ticket) if ticket is not None else web.Response(status=404)

    async def _open(self, request: web.Request, *, is_mail: bool) -> web.StreamResponse:
        account = self._account(request)
        if account is None:
            return _unauthorized()
        wanted = _object(await request.read())
        problem = _problem(account, wanted, is_mail=is_mail)
        if problem is not None:
            return problem
        assert wanted is not None
        ticket = self.new_ticket(
            account,
            requester=str(wanted.get("email") or wanted.get("phone") or "known@example.com"),
            subject=wanted["subject"],
            status=wanted.get("status", 5 if is_mail else 2),
            priority=wanted["priority"],
            tags=list(wanted.get("tags", [])),
            custom_fields=wanted.get("custom_fields", {}),
        )
        self._say(account, ticket, wanted["description"], is_mail, request, wanted)
        return json_reply(_shape(ticket), status=201)

    async def _comment(self, request: web.Request, *, public: bool) -> web.StreamResponse:
        found = self._ticket_of(request)
        if isinstance(found, web.Response):
            return found
        account, ticket = found
        wanted = _object(await request.read())
        if wanted is None:
            return json_reply({"code": "invalid_json", "message": "not JSON"}, status=400)
        if not str(wanted.get("body", "")).strip():
            return _invalid("body", "missing_field")
        magic = _magic_answer(ticket["requester"])
        if magic is not None:
            return magic
        public = public or wanted.get("private") is False
        said = self._say(account, ticket, wanted["body"], public, request, wanted)
        return json_reply(_conversation(ticket, said), status=201)

    def _say(
        self,
        account: SandboxAccount,
        ticket: Ticket,
        html: str,
        public: bool,
        request: web.Request,
        body: Any,
    ) -> dict[str, Any]:
        said = self.add_comment(
            ticket, author="agent@example.com", text=_seen(html), public=public, html=html
        )
        self.show(account, ticket, said, request, body)
        return said

    # --- what a rule posts to us ----------------------------------------------------------------

    def webhook(
        self, account: SandboxAccount, ticket: Ticket, comment: Mapping[str, Any], *, is_new: bool
    ) -> VendorCall:
        """The simple content of a "Trigger webhook" action, with the header it was given."""
        html = comment["html"] or f"<div>{escape(comment['text'])}</div>"
        fields: dict[str, Any] = {
            "ticket_id": ticket["id"],
            "ticket_requester_name": _name(ticket["requester"]),
            "ticket_requester_email": ticket["requester"],
        }
        if is_new:
            fields |= {"ticket_subject": ticket["subject"], "ticket_description": html}
        else:
            fields["ticket_latest_public_comment"] = f"{_name(comment['author'])} : {html}"
        headers = {
            "Content-Type": "application/json",
            "X-Order-Up-Secret": needed(account.settings, "webhook_secret"),
        }
        body = json.dumps({"freshdesk_webhook": fields}).encode()
        return VendorCall(account.target(account.webhook_url), body, headers)


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _problem(
    account: SandboxAccount, wanted: dict[str, Any] | None, *, is_mail: bool
) -> web.Response | None:
    """What Freshdesk answers to a ticket it will not open."""
    if wanted is None:
        return json_reply({"code": "invalid_json", "message": "not JSON"}, status=400)
    unknown = sorted(set(wanted) - _FIELDS)
    if unknown:
        return _invalid(unknown[0], "invalid_field")
    required = ["subject", "description", "priority"]
    required += ["email", "email_config_id"] if is_mail else ["status"]
    for name in required:
        if not wanted.get(name):
            return _invalid(name, "missing_field")
    if not {"email", "phone", "requester_id", "unique_external_id"} & wanted.keys():
        return _invalid("requester_id", "missing_field")
    for name in _NUMBERS & wanted.keys():
        if not isinstance(wanted[name], int):
            return _invalid(name, "datatype_mismatch")
    if wanted["priority"] not in (1, 2, 3, 4) or len(wanted["subject"]) > SUBJECT_LIMIT:
        return _invalid("priority", "invalid_value")
    if "email" in wanted and not MAILBOX.fullmatch(wanted["email"]):
        return _invalid("email", "invalid_value")
    if any(len(tag) > TAG_LIMIT or "," in tag for tag in wanted.get("tags", [])):
        return _invalid("tags", "invalid_value")
    if any(not name.startswith("cf_") for name in wanted.get("custom_fields", {})):
        return _invalid("custom_fields", "invalid_field")
    known = account.settings.get("email_config_id", "")
    if is_mail and str(wanted["email_config_id"]) != known:
        return _invalid("email_config_id", "invalid_value")
    return _magic_answer(str(wanted.get("email", "")))


def _magic_answer(mailbox: str) -> web.Response | None:
    local, _, domain = mailbox.lower().partition("@")
    if domain != "example.com" or local not in _MAGIC:
        return None
    status, field, code = _MAGIC[local]
    if field:
        return _invalid(field, code, status=status)
    headers = {"Retry-After": "2"} if status == 429 else None
    problem = {"code": code, "message": "You are not authorized to perform this action."}
    return json_reply(problem, status=status, headers=headers)


def _invalid(field: str, code: str, *, status: int = 400) -> web.Response:
    error = {"field": field, "message": "It should be a valid value", "code": code}
    return json_reply({"description": "Validation failed", "errors": [error]}, status=status)


def _unauthorized() -> web.Response:
    words = "You have to be logged in to perform this action."
    return json_reply({"code": "invalid_credentials", "message": words}, status=401)


def _shape(ticket: Ticket) -> dict[str, Any]:
    blank = {"html": "", "text": "", "at": 0.0}
    first: dict[str, Any] = next(iter(ticket["comments"]), blank)
    return {
        "id": ticket["id"],
        "subject": ticket["subject"],
        "description": first["html"],
        "description_text": first["text"],
        "status": ticket["status"],
        "priority": ticket.get("priority", 1),
        "source": 2,
        "tags": ticket["tags"],
        "custom_fields": ticket.get("custom_fields", {}),
        "created_at": iso(first["at"]),
    }


def _conversation(ticket: Ticket, comment: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": comment["id"],
        "ticket_id": ticket["id"],
        "body": comment["html"] or comment["text"],
        "body_text": comment["text"],
        "incoming": comment["author"] == ticket["requester"],
        "private": not comment["public"],
        "to_emails": [ticket["requester"]] if comment["public"] else [],
        "created_at": iso(comment["at"]),
    }


def _seen(html: str) -> str:
    """What a reader sees of our HTML."""
    return unescape(_TAG.sub("", _HIDDEN.sub("", html).replace("<br>", "\n")))


def _name(mailbox: str) -> str:
    return mailbox.partition("@")[0].replace(".", " ").title()
