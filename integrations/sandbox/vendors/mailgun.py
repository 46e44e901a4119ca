"""Mailgun's messages endpoint: form in, ``{"id","message"}`` out, signed JSON webhooks after it.

A webhook's signature covers timestamp and token only, never the body; the key is the HTTP
webhook signing key, not the API key.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from email.utils import parseaddr
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlencode

from aiohttp import web

from integrations.sandbox.callbacks import VendorCall
from integrations.sandbox.state import SandboxAccount, SandboxMessage, SandboxReply
from integrations.sandbox.vendors.base import (
    Magic,
    ReceiptPlan,
    Route,
    basic,
    json_reply,
    needed,
    random_hex,
    raw_of,
)
from integrations.sandbox.vendors.mailgun_events import (
    ACCEPTED,
    DELIVERED,
    MAGIC_EVENTS,
    Fields,
    event_data,
    kind,
    nonce,
    one,
    sign,
    user_variables,
    webhook,
)
from integrations.sandbox.vendors.mailgun_lists import MailgunLists

#: local part at example.com -> (HTTP status, message)
_MAGIC_ERRORS: Mapping[str, tuple[int, str]] = {
    "invalid": (400, "to parameter is not a valid address. please check documentation"),
    "error": (500, "Internal Server Error"),
}


class Mailgun(MailgunLists):
    """E-mail. The message wall shows it as a mailbox."""

    key = "mailgun"
    title = "Mailgun"
    channel = "email"
    magic = (
        Magic("invalid@example.com", "400 not a valid address"),
        Magic("throttled@example.com", "429 with X-RateLimit-Reset"),
        Magic("error@example.com", "500 server error"),
        Magic("bounce@example.com", "accepted, then bounced (550 5.1.1)"),
        Magic("suppressed@example.com", "accepted, then dropped: bounced before (605)"),
        Magic("deferred@example.com", "accepted, failed for now, then delivered"),
        Magic("complaint@example.com", "delivered, then marked as spam"),
        Magic("unsubscribed@example.com", "delivered, then unsubscribed at the vendor"),
        Magic("opened@example.com", "delivered, then opened"),
    )

    def routes(self) -> Iterable[Route]:
        return (
            Route("POST", "/v3/{domain}/messages", self.create),
            Route("GET", "/v3/{domain}/events", self.events),
            *self.list_routes(),
        )

    def account_name(self, settings: Mapping[str, str]) -> str:
        return needed(settings, "domain")

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        domain, login = needed(settings, "domain"), basic("api", needed(settings, "api_key"))
        keys = [key for key in (settings.get("lists_key"),) if key]
        # the key alone tells a wrong domain (404) from a wrong key (401)
        return [
            f"{domain} {login}",
            login,
            *(f"{domain} {basic('api', key)}" for key in keys),
            *(f"lists {domain} {basic('api', key)}" for key in keys),
        ]

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        if status == 429:
            reset = time.time() + retry_after_s
            return json_reply(
                {"message": "Too many requests, try again after the time given"},
                status=429,
                headers={"X-RateLimit-Reset": f"{reset:.0f}", "Retry-After": f"{retry_after_s:g}"},
            )
        return json_reply({"message": "Internal Server Error"}, status=status)

    # --- the API --------------------------------------------------------------------------------

    async def create(self, request: web.Request) -> web.StreamResponse:
        """POST messages: urlencoded or multipart."""
        account, refused = self._account(request)
        if account is None:
            return refused
        fields = await _fields_of(request)
        problem = _problem(fields)
        if problem is not None:
            return problem
        to = parseaddr(one(fields, "to"))[1]
        local = _magic_local(to)
        if local == "throttled":
            return self.refusal(429, 1.0)
        if local in _MAGIC_ERRORS:
            status, text = _MAGIC_ERRORS[local]
            return json_reply({"message": text}, status=status)
        stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime())
        message_id = f"{stamp}.1.{random_hex(8).upper()}@{request.match_info['domain']}"
        self.accept(lambda: self._message(account, message_id, fields, request))
        fate = self.stopped_by(account, to) or MAGIC_EVENTS.get(local, (DELIVERED,))
        self._post_events(account, message_id, to, fields, fate)
        return json_reply({"id": f"<{message_id}>", "message": "Queued. Thank you."})

    async def events(self, request: web.Request) -> web.StreamResponse:
        """GET events: the accepted and posted events, filtered by recipient, newest first."""
        account, refused = self._account(request)
        if account is None:
            return refused
        recipient, event = request.query.get("recipient"), request.query.get("event")
        items = []
        for message in self.state.messages(vendor=self.key):
            if recipient and parseaddr(message.to)[1] != recipient:
                continue
            fields = message.raw()["body"]
            kinds = dict.fromkeys(["accepted", *(r["kind"] for r in message.receipts)])
            to = parseaddr(message.to)[1]
            items += [
                event_data(message.id, to, fields, {"event": kind}, message.at)
                for kind in kinds
                if not event or kind == event
            ]
        items.reverse()
        return json_reply({"items": items[:300], "paging": {}})

    def _account(self, request: web.Request) -> tuple[SandboxAccount | None, web.Response]:
        """The account of the request, or None and what to answer."""
        login = request.headers.get("Authorization", "")
        domain = request.match_info["domain"]
        account = self.state.find_account(self.key, f"{domain} {login}")
        if account is None and self.state.find_account(self.key, login):
            return None, json_reply({"message": f"Domain not found: {domain}"}, status=404)
        return account, web.Response(text="Forbidden", status=401)

    def _message(
        self, account: SandboxAccount, message_id: str, fields: Fields, request: web.Request
    ) -> SandboxMessage:
        variables = _json_or_text(one(fields, "t:variables"))
        return SandboxMessage(
            vendor=self.key,
            channel=self.channel,
            account=account,
            id=message_id,
            to=one(fields, "to"),
            sender=one(fields, "from"),
            subject=one(fields, "subject") or one(fields, "template"),
            text=one(fields, "text") or _said_by(variables),
            html=one(fields, "html"),
            attempt=user_variables(fields).get("attempt_id", ""),
            raw=raw_of(request, lambda: fields),
            extra={
                "template": one(fields, "template"),
                "variables": variables,
                "reply_to": one(fields, "h:Reply-To"),
                "unsubscribe": one(fields, "h:List-Unsubscribe").strip("<>"),
            },
        )

    # --- what Mailgun posts to us ---------------------------------------------------------------

    def _post_events(
        self,
        account: SandboxAccount,
        message_id: str,
        to: str,
        fields: Fields,
        events: tuple[Fields, ...],
    ) -> None:
        url = account.target(account.webhook_url)
        if not url or not account.settings.get("signing_key"):
            return
        settings = self.state.settings
        step_ms = settings.delivered_after_ms
        plans = [
            ReceiptPlan(
                kind(event),
                settings.sent_after_ms if position == 0 else step_ms * position,
                partial(webhook, account, url, message_id, to, fields, event),
            )
            for position, event in enumerate((ACCEPTED, *events))
        ]
        self.post_receipts(message_id, plans)

    def reply(
        self, account: SandboxAccount, words: Mapping[str, Any]
    ) -> tuple[SandboxReply, VendorCall]:
        """A mail somebody sent back, as a route forwards it (parsed form)."""
        sender, text = str(words.get("from", "")), str(words.get("text", ""))
        if "@" not in sender:
            raise ValueError("'from' is the mail address that replies")
        to = str(words.get("to") or _reply_address(account.settings))
        message_id = f"{random_hex(12)}@{sender.rpartition('@')[2]}"
        subject = str(words.get("subject") or "Re: your order")
        timestamp, token = nonce()
        form = {
            "recipient": parseaddr(to)[1],
            "sender": parseaddr(sender)[1],
            "from": sender,
            "subject": subject,
            "body-plain": text,
            "stripped-text": text,
            "stripped-signature": "",
            "attachment-count": "0",
            "Message-Id": f"<{message_id}>",
            "message-headers": json.dumps(
                [["From", sender], ["To", to], ["Subject", subject], ["Message-Id", message_id]]
            ),
            "timestamp": timestamp,
            "token": token,
            "signature": sign(account, timestamp, token),
        }
        reply = SandboxReply(vendor=self.key, id=message_id, sender=sender, to=to, text=text)
        call = VendorCall(
            account.target(account.webhook_url),
            urlencode(form).encode(),
            {"Content-Type": "application/x-www-form-urlencoded", "User-Agent": "mailgun/treq"},
        )
        return reply, call


async def _fields_of(request: web.Request) -> Fields:
    """The form by name; a repeated name holds the list of its values, a file its name."""
    if request.content_type == "multipart/form-data":
        pairs = [
            (name, value if isinstance(value, str) else getattr(value, "filename", ""))
            for name, value in (await request.post()).items()
        ]
    else:
        body = await request.read()
        pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    fields: Fields = {}
    for name, value in pairs:
        if name not in fields:
            fields[name] = value
        elif isinstance(fields[name], list):
            fields[name].append(value)
        else:
            fields[name] = [fields[name], value]
    return fields


def _problem(fields: Fields) -> web.Response | None:
    """What Mailgun answers to ``fields`` it will not take."""
    text = ""
    if not one(fields, "from"):
        text = "from parameter is missing"
    elif not one(fields, "to"):
        text = "to parameter is missing"
    elif not one(fields, "subject") and not one(fields, "template"):
        text = "subject parameter is missing"
    elif not any(one(fields, name) for name in ("text", "html", "amp-html", "template")):
        text = "Need at least one of 'text', 'html', 'amp-html' or 'template' parameters specified"
    elif "@" not in parseaddr(one(fields, "to"))[1]:
        text = "to parameter is not a valid address. please check documentation"
    return json_reply({"message": text}, status=400) if text else None


def _magic_local(address: str) -> str:
    local, _, domain = address.lower().rpartition("@")
    return local if domain == "example.com" else ""


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def _said_by(variables: Any) -> str:
    """What a stored template would say, as far as its data tell."""
    return str(variables.get("text", "")) if isinstance(variables, dict) else ""


def _reply_address(settings: Mapping[str, str]) -> str:
    return (
        settings.get("reply_to") or settings.get("from_address") or f"orders@{settings['domain']}"
    )
