"""HubSpot's contacts: their properties, their subscriptions, searching and erasing them."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from aiohttp import web

from integrations.sandbox.state import SandboxAccount
from integrations.sandbox.vendors.base import Route, json_reply

if TYPE_CHECKING:
    from integrations.sandbox.vendors.hubspot import HubSpot

#: what the manager created for us, behind the prefix of the account
CREATED = (
    *("event", "news", "number", "status", "status_at", "subject", "text", "eta", "parts"),
    *("part", "url", "name", "language", "restaurant", "attempt"),
)
_OWN = ("email", "firstname", "hs_email_optout", "lastmodifieddate")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")
_LONGEST_VALUE = 65_536


class Contacts:
    """The contacts of every account, kept in the sandbox's resources."""

    def __init__(self, vendor: HubSpot) -> None:
        self.vendor = vendor
        self.removed: set[str] = set()

    def routes(self, version: str) -> Iterable[Route]:
        """Reading, searching, subscriptions and erasure."""
        crm = f"/crm/objects/{version}/contacts"
        statuses = f"/communication-preferences/{version}/statuses/{{mailbox}}"
        return (
            Route("POST", f"{crm}/search", self.search),
            Route("POST", f"{crm}/gdpr-delete", self.erase),
            Route("GET", statuses, self.read_statuses),
            Route("POST", statuses, self.change_status),
            Route("POST", f"{statuses}/unsubscribe-all", self.unsubscribe_all),
            Route("GET", f"/crm/properties/{version}/contacts", self.list_properties),
        )

    # --- properties -------------------------------------------------------------------------------

    def find(self, account: SandboxAccount, mailbox: str) -> dict[str, Any] | None:
        """The contact with this mailbox."""
        return self.vendor.state.resources.get(self._place(account, mailbox))

    def write(
        self, account: SandboxAccount, mailbox: str, properties: Mapping[str, str]
    ) -> tuple[dict[str, Any], set[str]]:
        """(the record as answered, which properties changed); a new mailbox is a new contact."""
        known = self.find(account, mailbox)
        before = known["properties"] if known else {"email": mailbox.lower()}
        after = {**before, **properties}
        changed = {name for name, value in properties.items() if before.get(name) != value}
        changed_ms = int(time.time() * 1000) if changed or not known else known["at"]
        contact = {"id": _id_of(mailbox), "properties": after, "at": changed_ms}
        self.vendor.state.resources[self._place(account, mailbox)] = contact
        answer = {"id": contact["id"], "properties": dict(properties), "new": known is None}
        return answer, changed

    def created(self, account: SandboxAccount) -> set[str]:
        """The names of the properties that exist."""
        prefix = account.settings.get("property_prefix") or "last_order_"
        names = {*_OWN, *(f"{prefix}{name}" for name in CREATED)}
        names.add(account.settings.get("opt_out_property") or "email")
        for setting in ("subscription_id", "marketing_subscription_id"):
            if account.settings.get(setting):
                names.add(f"hs_email_optout_{account.settings[setting]}")
        return names - self.removed

    async def list_properties(self, request: web.Request) -> web.StreamResponse:
        """GET crm/properties/contacts."""
        account = self.vendor.account_of(request)
        if account is None:
            return error(401, "INVALID_AUTHENTICATION")
        names = sorted(self.created(account))
        return json_reply({"results": [{"name": name, "type": "string"} for name in names]})

    async def remove_property(self, request: web.Request) -> web.StreamResponse:
        """The manager forgot to create this one."""
        self.removed.add(request.match_info["name"])
        return json_reply({})

    # --- subscriptions ----------------------------------------------------------------------------

    def is_unsubscribed(self, account: SandboxAccount, mailbox: str, subscription: str) -> bool:
        """From one type, or from everything."""
        held = (self.find(account, mailbox) or {}).get("properties", {})
        names = ("hs_email_optout", f"hs_email_optout_{subscription}")
        is_magic = mailbox.lower() == "unsubscribed@example.com"
        return is_magic or any(held.get(name) == "true" for name in names)

    async def read_statuses(self, request: web.Request) -> web.StreamResponse:
        """GET statuses/{mailbox}?channel=EMAIL."""
        account = self.vendor.account_of(request)
        if account is None:
            return error(401, "INVALID_AUTHENTICATION")
        if request.query.get("channel") != "EMAIL":
            return error(400, "VALIDATION_ERROR")
        return json_reply(self._statuses(account, request.match_info["mailbox"]))

    async def change_status(self, request: web.Request) -> web.StreamResponse:
        """POST statuses/{mailbox}; it would subscribe as well."""
        account = self.vendor.account_of(request)
        if account is None:
            return error(401, "INVALID_AUTHENTICATION")
        body = object_of(await request.read())
        subscription, state = body.get("subscriptionId"), body.get("statusState")
        states = {"SUBSCRIBED": "false", "UNSUBSCRIBED": "true", "NOT_SPECIFIED": ""}
        if body.get("channel") != "EMAIL" or state not in states:
            return error(400, "VALIDATION_ERROR")
        if not isinstance(subscription, int):
            return error(400, "VALIDATION_ERROR")
        mailbox = request.match_info["mailbox"]
        self.write(account, mailbox, {f"hs_email_optout_{subscription}": states[str(state)]})
        return json_reply(self._statuses(account, mailbox))

    async def unsubscribe_all(self, request: web.Request) -> web.StreamResponse:
        """POST statuses/{mailbox}/unsubscribe-all?channel=EMAIL."""
        account = self.vendor.account_of(request)
        if account is None:
            return error(401, "INVALID_AUTHENTICATION")
        if request.query.get("channel") != "EMAIL":
            return error(400, "VALIDATION_ERROR")
        mailbox = request.match_info["mailbox"]
        self.write(account, mailbox, {"hs_email_optout": "true"})
        return json_reply(self._statuses(account, mailbox))

    def _statuses(self, account: SandboxAccount, mailbox: str) -> dict[str, Any]:
        settings = account.settings
        numbers = [settings.get("subscription_id"), settings.get("marketing_subscription_id")]
        return {
            "status": "COMPLETE",
            "results": [
                {
                    "channel": "EMAIL",
                    "subscriberIdString": mailbox,
                    "subscriptionId": int(number),
                    "status": "UNSUBSCRIBED"
                    if self.is_unsubscribed(account, mailbox, number)
                    else "NOT_SPECIFIED",
                }
                for number in numbers
                if number
            ],
        }

    # --- searching and erasing --------------------------------------------------------------------

    async def search(self, request: web.Request) -> web.StreamResponse:
        """POST contacts/search: groups of equal-to and not-before filters, pages of ``limit``."""
        account = self.vendor.account_of(request)
        if account is None:
            return error(401, "INVALID_AUTHENTICATION")
        wanted = object_of(await request.read())
        groups = [group["filters"] for group in wanted.get("filterGroups", [])]
        asked = {each["propertyName"] for group in groups for each in group}
        if not asked <= self.created(account):
            return error(400, "VALIDATION_ERROR", code="PROPERTY_DOESNT_EXIST")
        name = self.vendor.account_name(account.settings)
        found = [
            {"id": contact["id"], "properties": contact["properties"]}
            for (vendor, kind, place), contact in self.vendor.state.resources.items()
            if (vendor, kind) == (self.vendor.key, "contact")
            and place.startswith(f"{name} ")
            and any(all(_fits(contact, each) for each in group) for group in groups)
        ]
        limit, start = int(wanted.get("limit", 10)), int(wanted.get("after", 0))
        answer: dict[str, Any] = {"total": len(found), "results": found[start : start + limit]}
        if start + limit < len(found):
            answer["paging"] = {"next": {"after": str(start + limit)}}
        return json_reply(answer)

    async def erase(self, request: web.Request) -> web.StreamResponse:
        """POST contacts/gdpr-delete."""
        account = self.vendor.account_of(request)
        if account is None:
            return error(401, "INVALID_AUTHENTICATION")
        body = object_of(await request.read())
        if body.get("idProperty") != "email" or not isinstance(body.get("objectId"), str):
            return error(400, "VALIDATION_ERROR")
        self.vendor.state.resources.pop(self._place(account, body["objectId"]), None)
        return web.Response(status=204)

    def _place(self, account: SandboxAccount, mailbox: str) -> tuple[str, str, str]:
        name = self.vendor.account_name(account.settings)
        return (self.vendor.key, "contact", f"{name} {mailbox.lower()}")


def property_problem(
    vendor: HubSpot, account: SandboxAccount, properties: Any
) -> web.Response | None:
    """Why HubSpot would refuse these properties of a contact."""
    if not isinstance(properties, dict) or not properties:
        return error(400, "VALIDATION_ERROR")
    created = vendor.contacts.created(account)
    for name, value in properties.items():
        if not _NAME.fullmatch(name) or name not in created:
            return error(400, "VALIDATION_ERROR", code="PROPERTY_DOESNT_EXIST")
        if not isinstance(value, str) or len(value) > _LONGEST_VALUE:
            return error(400, "VALIDATION_ERROR", code="INVALID_STRING")
        if name.endswith("status_at") and value and not _is_time(value):
            return error(400, "VALIDATION_ERROR", code="INVALID_DATE")
    return None


def error(
    status: int,
    category: str = "",
    *,
    code: str = "",
    policy: str = "",
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """HubSpot's error body; every field of it may be missing."""
    body: dict[str, Any] = {
        "status": "error",
        "message": "This will be a human readable message.",
        "correlationId": str(uuid4()),
        **({"category": category} if category else {}),
        **({"policyName": policy} if policy else {}),
    }
    if code:
        body["errors"] = [{"message": "details", "code": code}]
    return json_reply(body, status=status, headers=headers)


def object_of(body: bytes) -> dict[str, Any]:
    """A JSON object; anything else is an empty one."""
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _fits(contact: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    if wanted["propertyName"] == "lastmodifieddate":
        return bool(contact["at"] >= int(wanted["value"]))
    return bool(contact["properties"].get(wanted["propertyName"]) == wanted["value"])


def _is_time(value: str) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _id_of(mailbox: str) -> str:
    return str(int.from_bytes(hashlib.sha256(mailbox.lower().encode()).digest()[:4]) + 10**9)
