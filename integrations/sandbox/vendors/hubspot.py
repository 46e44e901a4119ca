"""HubSpot: contacts whose properties change, custom events, single-sends, signed webhooks.

Contacts and subscriptions are in hubspot_contacts.py. The workflow runs when the property it waits
for really changes: the same value again starts nothing, as in the real one.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import web

from integrations.sandbox.callbacks import VendorCall
from integrations.sandbox.state import SandboxAccount, SandboxReply
from integrations.sandbox.vendors.base import (
    Magic,
    Route,
    form_of,
    json_reply,
    needed,
    random_hex,
)
from integrations.sandbox.vendors.crm import Crm
from integrations.sandbox.vendors.hubspot_contacts import (
    Contacts,
    error,
    object_of,
    property_problem,
)
from integrations.signatures import hmac_base64

TOKEN_LIFE_S = 1800
_VERSION = "{version:20[0-9]{2}-[0-9]{2}}"
_EVENT = re.compile(r"pe[0-9]+_[a-z0-9_]+")
_LONGEST_EVENT_VALUE = 256
#: local part at example.com -> (status, category, code or policy, Retry-After)
_MAGIC: Mapping[str, tuple[int, str, str, str]] = {
    "scope": (403, "MISSING_SCOPES", "", ""),
    "locked": (423, "", "", "2"),
    "migrating": (477, "", "", ""),
    "throttled": (429, "RATE_LIMITS", "TEN_SECONDLY_ROLLING", ""),
    "daily": (429, "RATE_LIMITS", "DAILY", ""),
    "error": (500, "", "", ""),
}
#: local part at example.com -> sendResult of a single-send
_RESULTS: Mapping[str, str] = {
    "bounced": "PREVIOUSLY_BOUNCED",
    "optedout": "ADDRESS_OPTED_OUT",
    "spam": "PREVIOUS_SPAM",
    "cold": "NON_MARKETABLE_CONTACT",
    "busy": "THROTTLED",
}


class HubSpot(Crm):
    """Property changes, events and single-sends."""

    key = "hubspot"
    title = "HubSpot"
    tells_stops = True
    magic = (
        *(
            Magic(f"{to}@example.com", f"{n} {c} {p}".strip())
            for to, (n, c, p, _) in _MAGIC.items()
        ),
        Magic("invalid@example.com", "400 INVALID_EMAIL"),
        Magic("partial@example.com", "207 with an error inside"),
        Magic("conflict@example.com", "409 for an upsert; an update works"),
        Magic("unsubscribed@example.com", "unsubscribed from order news; the workflow stays quiet"),
        *(Magic(f"{to}@example.com", f"single-send: {word}") for to, word in _RESULTS.items()),
    )

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.contacts = Contacts(self)

    def routes(self) -> Iterable[Route]:
        crm = f"/crm/objects/{_VERSION}/contacts"
        return (
            Route("POST", f"{crm}/batch/upsert", self.upsert),
            Route("PATCH", f"{crm}/{{contact}}", self.update),
            Route("POST", f"/events/custom/{_VERSION}/send", self.occur),
            Route("POST", f"/marketing/transactional/{_VERSION}/single-email/send", self.mail),
            Route("POST", f"/oauth/{_VERSION}/token", self.give_token),
            *self.contacts.routes(_VERSION),
        )

    def control_routes(self) -> Iterable[Route]:
        return (
            Route("DELETE", "/tokens", self.end_tokens),
            Route("DELETE", "/properties/{name}", self.contacts.remove_property),
        )

    def account_name(self, settings: Mapping[str, str]) -> str:
        """The Hub ID; every account without one is the same portal."""
        return settings.get("portal_id") or "33"

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        if settings.get("refresh_token"):
            return [f"refresh {settings['refresh_token']}"]
        return [f"Bearer {needed(settings, 'access_token')}"]

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        if status == 429:
            headers = {"Retry-After": f"{retry_after_s:g}"} if retry_after_s else None
            return error(429, "RATE_LIMITS", policy="TEN_SECONDLY_ROLLING", headers=headers)
        return error(status)

    def account_of(self, request: web.Request) -> SandboxAccount | None:
        """The account whose token the request shows."""
        given = request.headers.get("Authorization", "")
        token = self.state.resources.get((self.key, "token", given.removeprefix("Bearer ")))
        if token is not None:
            given = f"refresh {token['refresh']}" if token["until"] > time.time() else ""
        return self.state.find_account(self.key, given)

    # --- telling ----------------------------------------------------------------------------------

    async def upsert(self, request: web.Request) -> web.StreamResponse:
        """POST contacts/batch/upsert with one or more contacts."""
        account = self.account_of(request)
        if account is None:
            return error(401, "INVALID_AUTHENTICATION")
        body = object_of(await request.read())
        inputs = body.get("inputs")
        if not isinstance(inputs, list) or not 1 <= len(inputs) <= 100:
            return error(400, "VALIDATION_ERROR")
        results: list[dict[str, Any]] = []
        for each in inputs:
            refused = self._refused(account, each)
            if refused is not None:
                return refused
            results.append(self._write(account, request, each["id"], each["properties"], body))
        return json_reply({"status": "COMPLETE", "results": results})

    def _refused(self, account: SandboxAccount, wanted: Any) -> web.Response | None:
        if not isinstance(wanted, dict) or wanted.get("idProperty") != "email":
            return error(400, "VALIDATION_ERROR")
        local = magic_local(wanted.get("id"))
        if local == "conflict":
            return error(409, "CONFLICT")
        if local == "partial":
            problem = {
                "status": "error",
                "category": "VALIDATION_ERROR",
                "message": "no",
                "id": "1",
            }
            answer = {"status": "COMPLETE", "results": [], "numErrors": 1, "errors": [problem]}
            return json_reply(answer, status=207)
        refused = refusal_of(wanted.get("id"))
        return refused or property_problem(self, account, wanted.get("properties"))

    async def update(self, request: web.Request) -> web.StreamResponse:
        """PATCH contacts/{mailbox}?idProperty=email."""
        account = self.account_of(request)
        if account is None:
            return error(401, "INVALID_AUTHENTICATION")
        body = object_of(await request.read())
        mailbox = request.match_info["contact"]
        refused = refusal_of(mailbox) or property_problem(self, account, body.get("properties"))
        if refused is not None:
            return refused
        if magic_local(mailbox) != "conflict" and self.contacts.find(account, mailbox) is None:
            return error(404, "OBJECT_NOT_FOUND")
        return json_reply(self._write(account, request, mailbox, body["properties"], body))

    def _write(
        self,
        account: SandboxAccount,
        request: web.Request,
        mailbox: str,
        properties: Mapping[str, str],
        body: Any,
    ) -> dict[str, Any]:
        record, changed = self.contacts.write(account, mailbox, properties)
        prefix = account.settings.get("property_prefix") or "last_order_"
        if f"{prefix}event" in changed:
            names = _names(prefix)
            event = f"{prefix}news = {properties.get(f'{prefix}news', '')}"
            message_id = f"{record['id']}/{random_hex(4)}"
            self.take(
                account, request, message_id=message_id, to=mailbox, event=event,
                properties=properties, names=names, body=body,
            )  # fmt: skip
            self._report(account, message_id, mailbox, properties.get(names["attempt"], ""))
        return record

    async def occur(self, request: web.Request) -> web.StreamResponse:
        """POST events/custom/.../send: 204 and nothing else; a known uuid changes nothing."""
        account = self.account_of(request)
        if account is None:
            return error(401, "INVALID_AUTHENTICATION")
        event = object_of(await request.read())
        name, properties = event.get("eventName"), event.get("properties")
        if not isinstance(name, str) or not _EVENT.fullmatch(name):
            return error(400, "VALIDATION_ERROR")
        if not isinstance(properties, dict) or not _are_event_values(properties):
            return error(400, "VALIDATION_ERROR")
        refused = refusal_of(event.get("email"))
        if refused is not None:
            return refused
        if account.settings.get("event_name") != name:
            return error(404, "OBJECT_NOT_FOUND")
        uuid = str(event.get("uuid") or random_hex(16))
        place = (self.key, "uuid", f"{name} {uuid}")
        if place not in self.state.resources:
            self.state.resources[place] = {}
            names = _names("order_")
            self.take(
                account, request, message_id=uuid, to=event["email"], event=name,
                properties=properties, names=names, body=event,
            )  # fmt: skip
            self._report(account, uuid, event["email"], properties.get(names["attempt"], ""))
        return web.Response(status=204)

    async def mail(self, request: web.Request) -> web.StreamResponse:
        """POST single-email/send: at most one mail for a sendId."""
        account = self.account_of(request)
        if account is None:
            return error(401, "INVALID_AUTHENTICATION")
        body = object_of(await request.read())
        mail, values = body.get("message"), body.get("customProperties") or {}
        if not isinstance(body.get("emailId"), int) or not isinstance(mail, dict):
            return error(400, "VALIDATION_ERROR")
        if not all(isinstance(value, str) for value in values.values()):
            return error(400, "VALIDATION_ERROR")
        to = mail.get("to")
        refused = refusal_of(to)
        if refused is not None:
            return refused
        status_id = random_hex(16)
        place = (self.key, "send", str(mail.get("sendId") or status_id))
        word = _RESULTS.get(magic_local(to))
        if word is None and place in self.state.resources:
            word = "IDEMPOTENT_IGNORE"
        if word is not None:
            return json_reply({"status": "COMPLETE", "statusId": status_id, "sendResult": word})
        self.state.resources[place] = {}
        names = _names("order_")
        self.take(
            account, request, message_id=status_id, to=str(to), properties=values, names=names,
            event=f"single-send of e-mail {body['emailId']}", body=body,
        )  # fmt: skip
        self._report(account, status_id, str(to), values.get(names["attempt"], ""))
        answer = {"status": "PENDING", "statusId": status_id, "requestedAt": "2026-03-14T22:42:04Z"}
        return json_reply(answer)

    def _report(self, account: SandboxAccount, message_id: str, mailbox: str, attempt: str) -> None:
        """The workflow's own webhook action; HubSpot mails nobody who unsubscribed."""
        subscription = account.settings.get("subscription_id", "")
        if not self.contacts.is_unsubscribed(account, mailbox, subscription):
            key = account.settings.get("workflow_key", "")
            self.run_workflow(account, message_id, attempt, key, "delivered")

    # --- tokens of OAuth apps ---------------------------------------------------------------------

    async def give_token(self, request: web.Request) -> web.StreamResponse:
        """POST a refresh token, get an access token for half an hour."""
        form = form_of(await request.read())
        account = self.state.find_account(self.key, f"refresh {form.get('refresh_token', '')}")
        names = ("client_id", "client_secret")
        if account is None or any(form.get(name) != account.settings.get(name) for name in names):
            return json_reply({"error": "invalid_grant"}, status=400)
        token = random_hex(20)
        self.state.resources[self.key, "token", token] = {
            "refresh": form["refresh_token"],
            "until": time.time() + TOKEN_LIFE_S,
        }
        answer = {"access_token": token, "expires_in": TOKEN_LIFE_S, "token_type": "bearer"}
        return json_reply(answer)

    async def end_tokens(self, request: web.Request) -> web.StreamResponse:
        """End every token at once, as a revoked one would."""
        resources = self.state.resources
        for place in [p for p in resources if p[:2] == (self.key, "token")]:
            del resources[place]
        return json_reply({})

    # --- what HubSpot posts to us -----------------------------------------------------------------

    def reply(
        self, account: SandboxAccount, words: Mapping[str, Any]
    ) -> tuple[SandboxReply, VendorCall]:
        """Somebody changes what HubSpot may send: ``text`` STOP or START, a property if wanted."""
        mailbox, word = str(words.get("from", "")), str(words.get("text", "")).strip().upper()
        contact = self.contacts.find(account, mailbox)
        if contact is None or word not in ("STOP", "START"):
            raise ValueError("'from' is a contact's mailbox, 'text' is STOP or START")
        name = str(
            words.get("property") or account.settings.get("opt_out_property") or "hs_email_optout"
        )
        says_stop = "true" if name.startswith("hs_email_optout") else "false"
        says_go = "false" if says_stop == "true" else "true"
        value = says_stop if word == "STOP" else says_go
        self.contacts.write(account, mailbox, {name: value})
        event = {
            "eventId": int(random_hex(4), 16),
            "subscriptionId": 25,
            "portalId": int(self.account_name(account.settings)),
            "appId": 1160452,
            "occurredAt": int(time.time() * 1000),
            "subscriptionType": "contact.propertyChange",
            "attemptNumber": 0,
            "objectId": int(contact["id"]),
            "propertyName": name,
            "propertyValue": value,
            "changeSource": "CRM_UI",
        }
        reply = SandboxReply(
            vendor=self.key, id=str(event["eventId"]), sender=mailbox, to="HubSpot", text=word
        )
        return reply, signed(account, [event])


def signed(account: SandboxAccount, events: list[dict[str, Any]]) -> VendorCall:
    """A batch of events, signed as an app's webhook, version 3."""
    stamp = str(int(time.time() * 1000))
    body = json.dumps(events, separators=(",", ":")).encode()
    over = f"POST{account.webhook_url}".encode() + body + stamp.encode()
    return VendorCall(
        account.target(account.webhook_url),
        body,
        {
            "Content-Type": "application/json",
            "User-Agent": "HubSpot Connect 2.0 (http://dev.hubspot.com/)",
            "X-HubSpot-Request-Timestamp": stamp,
            "X-HubSpot-Signature-v3": hmac_base64(needed(account.settings, "client_secret"), over),
        },
    )


def magic_local(mailbox: object) -> str:
    """The local part of an address at example.com."""
    local, _, domain = str(mailbox).lower().rpartition("@")
    return local if domain == "example.com" else ""


def refusal_of(mailbox: object) -> web.Response | None:
    """What HubSpot answers for a mailbox it will not take, or one with a fate."""
    local = magic_local(mailbox)
    if local == "invalid" or not isinstance(mailbox, str) or "@" not in mailbox:
        return error(400, "VALIDATION_ERROR", code="INVALID_EMAIL")
    if local not in _MAGIC:
        return None
    status, category, policy, wait = _MAGIC[local]
    return error(status, category, policy=policy, headers={"Retry-After": wait} if wait else None)


def _are_event_values(properties: Mapping[str, Any]) -> bool:
    return len(properties) <= 50 and all(
        isinstance(value, str) and len(value) <= _LONGEST_EVENT_VALUE
        for value in properties.values()
    )


def _names(prefix: str) -> dict[str, str]:
    return {name: prefix + name for name in ("text", "subject", "number", "attempt")}
