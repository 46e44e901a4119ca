"""Zendesk Support: a token for client credentials, tickets with comments, a signed trigger."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import web

from integrations.sandbox.callbacks import VendorCall
from integrations.sandbox.state import SandboxAccount, iso
from integrations.sandbox.vendors.base import Magic, Route, json_reply, needed, random_hex
from integrations.sandbox.vendors.helpdesk import MAILBOX, Helpdesk, Ticket

TOKEN_LIFE_S = 1800
SCOPES = frozenset({"read", "write", "tickets:read", "tickets:write"})
#: updates of one ticket by one user in ten minutes
UPDATES, UPDATES_WITHIN_S = 30, 600
_ENUMS: Mapping[str, frozenset[str]] = {
    "status": frozenset({"new", "open", "pending", "hold", "solved", "closed"}),
    "priority": frozenset({"low", "normal", "high", "urgent"}),
    "type": frozenset({"problem", "incident", "question", "task"}),
}
#: local part at example.com -> what becomes of its tickets
_MAGIC: Mapping[str, tuple[int, str]] = {
    "suspended": (422, "Requester: Suspended User is suspended."),
    "undeliverable": (422, "Requester: Email: undeliverable@example.com is not properly formatted"),
    "refused": (422, "Subject: contains a word we do not take"),
    "forbidden": (403, "You do not have access to this page. Please contact the account owner"),
    "conflict": (409, "Attempt to update a stale ticket"),
    "throttled": (429, "Number of allowed API requests per minute exceeded"),
    "maintenance": (503, "Service unavailable"),
}
_NAMES = {
    403: "Forbidden",
    409: "UpdateConflict",
    422: "RecordInvalid",
    429: "APIRateLimitExceeded",
}


class Zendesk(Helpdesk):
    """Tickets opened and commented by us, and by the people who wait for their food."""

    key = "zendesk"
    title = "Zendesk"
    open_status = "new"
    magic = tuple(
        Magic(f"{local}@example.com", f"{status} {words}")
        for local, (status, words) in _MAGIC.items()
    )

    def routes(self) -> Iterable[Route]:
        tickets = "/api/v2/tickets"
        return (
            Route("POST", "/oauth/tokens", self.give_token),
            Route("POST", tickets, self.create),
            Route("GET", tickets, self.find),
            Route("PUT", f"{tickets}/{{number}}", self.update),
            Route("GET", f"{tickets}/{{number}}", self.read),
            Route("GET", f"{tickets}/{{number}}/comments", self.comments),
        )

    def control_routes(self) -> Iterable[Route]:
        return (*super().control_routes(), Route("DELETE", "/tokens", self.end_tokens))

    def account_name(self, settings: Mapping[str, str]) -> str:
        return needed(settings, "subdomain")

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        return [f"{needed(settings, 'client_id')} {needed(settings, 'client_secret')}"]

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        if status == 429:
            return _error(429, _MAGIC["throttled"][1], retry_after_s=retry_after_s)
        return web.Response(text="Service unavailable", status=status)

    # --- tokens ---------------------------------------------------------------------------------

    async def give_token(self, request: web.Request) -> web.StreamResponse:
        """POST /oauth/tokens with client credentials."""
        said = _object(await request.read())
        account = self.state.find_account(
            self.key, f"{said.get('client_id')} {said.get('client_secret')}"
        )
        if account is None:
            words = "Client authentication failed due to unknown client"
            return json_reply({"error": "invalid_client", "error_description": words}, status=401)
        scope = str(said.get("scope", ""))
        if said.get("grant_type") != "client_credentials":
            return json_reply({"error": "unsupported_grant_type"}, status=400)
        if not scope or not set(scope.split()) <= SCOPES:
            return json_reply({"error": "invalid_scope"}, status=400)
        token = random_hex(32)
        self.state.resources[self.key, "token", token] = {
            "credential": f"{said['client_id']} {said['client_secret']}",
            "scopes": scope.split(),
            "until": time.time() + TOKEN_LIFE_S,
        }
        return json_reply(
            {
                "access_token": token,
                "token_type": "bearer",
                "scope": scope,
                "expires_in": TOKEN_LIFE_S,
            }
        )

    async def end_tokens(self, request: web.Request) -> web.StreamResponse:
        """End every token at once, as a revoked client would."""
        resources = self.state.resources
        for place in [p for p in resources if p[:2] == (self.key, "token")]:
            del resources[place]
        return json_reply({})

    def _account(self, request: web.Request, scope: str) -> SandboxAccount | web.Response:
        """The account of the request, or what to answer."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        known = self.state.resources.get((self.key, "token", token))
        account = None
        if known is not None and known["until"] > time.time():
            account = self.state.find_account(self.key, known["credential"])
        if known is None or account is None:
            words = "The access token provided is expired, revoked, malformed or invalid"
            return json_reply({"error": "invalid_token", "error_description": words}, status=401)
        if not {scope, f"tickets:{scope}"} & set(known["scopes"]):
            return _error(403, _MAGIC["forbidden"][1])
        return account

    # --- tickets --------------------------------------------------------------------------------

    async def create(self, request: web.Request) -> web.StreamResponse:
        """POST /api/v2/tickets."""
        account = self._account(request, "write")
        if isinstance(account, web.Response):
            return account
        body = await request.read()
        key = request.headers.get("Idempotency-Key", "")
        place = (self.key, "idempotency", f"{self.account_name(account.settings)}:{key}")
        earlier = self.state.resources.get(place) if key else None
        digest = hashlib.sha256(body).hexdigest()
        if len(key) > 255 or (earlier is not None and earlier["digest"] != digest):
            words = "Idempotency key has been used with different parameters"
            return json_reply({"error": "IdempotentRequestError", "description": words}, status=400)
        if earlier is not None:
            return _created(earlier["answer"], "hit")
        wanted = _object(body).get("ticket")
        refused = self._refusal_of(account, wanted)
        if refused is not None or not isinstance(wanted, dict):
            return refused or _invalid("base", "Ticket: cannot be blank")
        ticket = self._opened(account, wanted)
        answer = self._commented(account, ticket, wanted, request)
        if key:
            self.state.resources[place] = {"digest": digest, "answer": answer}
        return _created(answer, "miss")

    async def update(self, request: web.Request) -> web.StreamResponse:
        """PUT /api/v2/tickets/{id}: a comment, more tags, a status."""
        account = self._account(request, "write")
        if isinstance(account, web.Response):
            return account
        ticket = self.ticket(account, request.match_info["number"])
        if ticket is None:
            return _error(404, "Not found", name="RecordNotFound")
        if ticket["status"] == "closed":
            return _invalid("status", "Status: closed prevents ticket update")
        changes = _object(await request.read()).get("ticket")
        problem = _enum_problem(changes) or _magic_answer(ticket["requester"], is_update=True)
        if problem is not None or not isinstance(changes, dict):
            return problem or _invalid("base", "Ticket: cannot be blank")
        now = time.time()
        ticket["updates"] = [at for at in ticket["updates"] if at > now - UPDATES_WITHIN_S]
        if len(ticket["updates"]) >= UPDATES:
            wait_s = ticket["updates"][0] + UPDATES_WITHIN_S - now
            return _error(429, "Too many updates of this ticket", retry_after_s=wait_s)
        ticket["updates"].append(now)
        return json_reply(self._commented(account, ticket, changes, request))

    async def read(self, request: web.Request) -> web.StreamResponse:
        """GET /api/v2/tickets/{id}."""
        account = self._account(request, "read")
        if isinstance(account, web.Response):
            return account
        ticket = self.ticket(account, request.match_info["number"])
        if ticket is None:
            return _error(404, "Not found", name="RecordNotFound")
        return json_reply({"ticket": _shape(ticket)})

    async def find(self, request: web.Request) -> web.StreamResponse:
        """GET /api/v2/tickets?external_id=."""
        account = self._account(request, "read")
        if isinstance(account, web.Response):
            return account
        name = request.query.get("external_id", "")
        found = [_shape(t) for t in self.tickets(account) if t.get("external_id") == name]
        return json_reply({"tickets": found, "count": len(found), "next_page": None})

    async def comments(self, request: web.Request) -> web.StreamResponse:
        """GET /api/v2/tickets/{id}/comments, newest last unless ``sort_order`` is desc."""
        account = self._account(request, "read")
        if isinstance(account, web.Response):
            return account
        ticket = self.ticket(account, request.match_info["number"])
        if ticket is None:
            return _error(404, "Not found", name="RecordNotFound")
        listed = [_comment_shape(comment) for comment in ticket["comments"]]
        if request.query.get("sort_order") == "desc":
            listed.reverse()
        return json_reply({"comments": listed[:100], "count": len(listed), "next_page": None})

    def _refusal_of(self, account: SandboxAccount, wanted: Any) -> web.Response | None:
        """What Zendesk answers to a ticket it will not open."""
        if not isinstance(wanted, dict):
            return _invalid("base", "Ticket: cannot be blank")
        requester = wanted.get("requester")
        if isinstance(requester, dict):
            mailbox = str(requester.get("email", ""))
            if not MAILBOX.fullmatch(mailbox):
                return _invalid(
                    "requester", f"Requester: Email: {mailbox} is not properly formatted"
                )
            if not str(requester.get("name", "")).strip():
                return _invalid("requester", "Requester: Name: is too short (minimum is 1)")
            magic = _magic_answer(mailbox, is_update=False)
            if magic is not None:
                return magic
        comment = wanted.get("comment")
        if not isinstance(comment, dict) or not str(comment.get("body", "")).strip():
            return _invalid("base", "Description: cannot be blank")
        if len(str(wanted.get("subject", ""))) > 255:
            return _invalid("subject", "Subject: is too long")
        return _enum_problem(wanted)

    def _opened(self, account: SandboxAccount, wanted: Mapping[str, Any]) -> Ticket:
        requester = wanted.get("requester") or {}
        source = self.ticket(account, wanted.get("via_followup_source_id", ""))
        follows = source["id"] if source and source["status"] == "closed" else None
        return self.new_ticket(
            account,
            requester=str(requester.get("email") or "agent@example.com"),
            subject=str(wanted.get("subject", "")),
            external_id=wanted.get("external_id"),
            tags=[str(tag) for tag in wanted.get("tags", [])],
            priority=wanted.get("priority"),
            follows=follows,
        )

    def _commented(
        self,
        account: SandboxAccount,
        ticket: Ticket,
        changes: Mapping[str, Any],
        request: web.Request,
    ) -> dict[str, Any]:
        """Apply ``changes`` and hand back the vendor's envelope."""
        if "tags" in changes:
            ticket["tags"] = [str(tag) for tag in changes["tags"]]
        more = [str(tag) for tag in changes.get("additional_tags", [])]
        ticket["tags"] = list(dict.fromkeys([*ticket["tags"], *more]))
        ticket["status"] = changes.get("status", ticket["status"])
        ticket["custom_fields"] = changes.get("custom_fields", ticket.get("custom_fields", []))
        comment = changes.get("comment")
        events = []
        if isinstance(comment, dict) and str(comment.get("body", "")).strip():
            public = comment.get("public") is not False
            said = self.add_comment(
                ticket, author="agent@example.com", text=str(comment["body"]), public=public
            )
            events = [{"id": said["id"], "type": "Comment", "public": public, "body": said["text"]}]
            self.show(account, ticket, said, request, {"ticket": changes})
        return {"ticket": _shape(ticket), "audit": {"id": next(self._comments), "events": events}}

    # --- what Zendesk posts to us ---------------------------------------------------------------

    def webhook(
        self, account: SandboxAccount, ticket: Ticket, comment: Mapping[str, Any], *, is_new: bool
    ) -> VendorCall:
        secret = needed(account.settings, "signing_secret")
        body = json.dumps(
            {
                "event": "ticket_created" if is_new else "customer_reply",
                "ticket_id": str(ticket["id"]),
                "external_id": ticket.get("external_id") or "",
                "requester_email": ticket["requester"],
                "author_email": comment["author"],
                "subject": ticket["subject"],
                "text": comment["text"],
                "updated_at": iso(comment["at"]),
            }
        ).encode()
        stamp = iso(time.time())
        digest = hmac.new(secret.encode(), stamp.encode() + body, hashlib.sha256).digest()
        headers = {
            "Content-Type": "application/json",
            "X-Zendesk-Account-Id": "123456",
            "X-Zendesk-Webhook-Id": "01SANDBOX",
            "X-Zendesk-Webhook-Invocation-Id": random_hex(8),
            "X-Zendesk-Webhook-Signature": base64.b64encode(digest).decode(),
            "X-Zendesk-Webhook-Signature-Timestamp": stamp,
        }
        return VendorCall(account.target(account.webhook_url), body, headers)


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _shape(ticket: Ticket) -> dict[str, Any]:
    first: dict[str, Any] = next(iter(ticket["comments"]), {"text": "", "at": 0.0})
    return {
        "id": ticket["id"],
        "external_id": ticket.get("external_id"),
        "subject": ticket["subject"],
        "description": first["text"],
        "status": ticket["status"],
        "priority": ticket.get("priority"),
        "tags": ticket["tags"],
        "custom_fields": ticket.get("custom_fields", []),
        "created_at": iso(first["at"]),
    }


def _comment_shape(comment: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": comment["id"],
        "body": comment["text"],
        "plain_body": comment["text"],
        "public": comment["public"],
        "created_at": iso(comment["at"]),
    }


def _created(answer: Any, lookup: str) -> web.Response:
    return json_reply(answer, status=201, headers={"X-Idempotency-Lookup": lookup})


def _enum_problem(ticket: Any) -> web.Response | None:
    if not isinstance(ticket, dict):
        return None
    for name, allowed in _ENUMS.items():
        if name in ticket and ticket[name] not in allowed:
            return _invalid(name, f"{name.title()}: {ticket[name]} is not valid")
    return None


def _magic_answer(mailbox: str, *, is_update: bool) -> web.Response | None:
    """People at example.com who provoke an answer; a conflict needs a ticket to happen on."""
    local, _, domain = mailbox.lower().partition("@")
    if domain != "example.com" or local not in _MAGIC or (local == "conflict") is not is_update:
        return None
    status, words = _MAGIC[local]
    if status == 422:
        return _invalid("subject" if local == "refused" else "requester", words)
    return _error(status, words, retry_after_s=2 if status in (429, 503) else None)


def _invalid(field: str, words: str) -> web.Response:
    details = {field: [{"description": words, "error": "InvalidValue"}]}
    problem = {
        "error": "RecordInvalid",
        "description": "Record validation errors",
        "details": details,
    }
    return json_reply(problem, status=422)


def _error(
    status: int, words: str, *, name: str = "", retry_after_s: float | None = None
) -> web.Response:
    headers = {"Retry-After": f"{max(1, round(retry_after_s))}"} if retry_after_s else None
    problem = {"error": name or _NAMES.get(status, "Error"), "description": words}
    return json_reply(problem, status=status, headers=headers)
