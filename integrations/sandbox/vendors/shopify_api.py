"""The front of a shop's Admin API: tokens of apps, points, fates, and what is posted afterwards."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from aiohttp import web

from integrations.sandbox.callbacks import CallAnswer, VendorCall
from integrations.sandbox.state import SandboxAccount, SandboxMessage, SandboxState
from integrations.sandbox.vendors.base import (
    Magic,
    SandboxVendor,
    form_of,
    json_reply,
    random_hex,
    raw_of,
)
from integrations.sandbox.vendors.shopify_admin import (
    COSTS,
    FATES,
    MUTATION_COST,
    Admin,
    Bucket,
    Change,
    root_field,
)

TOKEN_HEADER = "X-Shopify-Access-Token"  # noqa: S105 - a name
TOKEN_LIFE_S = 86_399
#: orders whose refusals are no GraphQL answers
STATUSES: Mapping[str, int] = {"4010000001": 401, "4020000001": 402, "4300000001": 430}
MAGIC = (
    Magic("4290000001", "throttled: wait for points"),
    Magic("4030000001", "access denied: a scope is missing"),
    Magic("5000000001", "internal error, HTTP 200"),
    Magic("4010000001", "401: the token is refused"),
    Magic("4020000001", "402: the shop is frozen"),
    Magic("4300000001", "430: blocked as suspicious"),
)
_SAYINGS: Mapping[str, str] = {
    "THROTTLED": "Throttled",
    "ACCESS_DENIED": "Access denied for order field.",
    "INTERNAL_SERVER_ERROR": "Internal error. Looks like something went wrong on our end.",
}

Event = Callable[[SandboxAccount, Mapping[str, Any]], VendorCall]


def app_key(settings: Mapping[str, str]) -> str:
    """By what an app is known when it asks for a token; "" for one with a static token."""
    if not settings.get("client_id"):
        return ""
    return f"{settings['client_id']} {settings.get('client_secret', '')}"


class AdminApi:
    """Answers the documents the product writes with. Not a vendor: ``vendor`` owns it."""

    def __init__(self, vendor: SandboxVendor) -> None:
        self._vendor = vendor
        self._admin = Admin(vendor.state.resources)
        self._buckets: dict[str, Bucket] = {}
        self._tokens: dict[str, tuple[SandboxAccount, float]] = {}

    @property
    def _state(self) -> SandboxState:
        return self._vendor.state

    def account_of(self, request: web.Request) -> SandboxAccount | None:
        """The account a static token or one we gave belongs to."""
        token = request.headers.get(TOKEN_HEADER, "")
        if (found := self._state.find_account(self._vendor.key, token)) is not None:
            return found
        account, until = self._tokens.get(token, (None, 0.0))
        return account if time.time() < until else None

    async def token(self, request: web.Request) -> web.StreamResponse:
        """POST of the client credentials grant."""
        form = form_of(await request.read())
        if form.get("grant_type") != "client_credentials":
            return json_reply({"error": "unsupported_grant_type"}, status=400)
        account = self._state.find_account(self._vendor.key, app_key(form) or "?")
        if account is None:
            return json_reply({"error": "invalid_client"}, status=401)
        token = f"shpat_{random_hex()}"
        self._tokens[token] = account, time.time() + TOKEN_LIFE_S
        scope = "read_orders,write_fulfillments,write_merchant_managed_fulfillment_orders"
        return json_reply({"access_token": token, "scope": scope, "expires_in": TOKEN_LIFE_S})

    def knows(self, asked: Any) -> bool:
        """Whether the document is one of those answered here."""
        return root_field(_query(asked)) in self._admin.fields

    def answer(
        self, request: web.Request, account: SandboxAccount, asked: Mapping[str, Any]
    ) -> web.StreamResponse:
        """What the shop says to one document."""
        name, variables = root_field(_query(asked)), asked.get("variables") or {}
        order_id = self._admin.order_in(variables)
        if order_id in STATUSES:
            return json_reply({"errors": "Unavailable Shop"}, status=STATUSES[order_id])
        fate = FATES.get(order_id, "")
        bucket = self._buckets.setdefault(account.settings["shop_domain"], Bucket())
        cost = bucket.take(COSTS.get(name, MUTATION_COST), is_empty=fate == "THROTTLED")
        if cost["actualQueryCost"] is None:
            fate = "THROTTLED"
        extensions = {"cost": cost}
        if fate:
            error = {"message": _SAYINGS[fate], "extensions": {"code": fate}}
            return json_reply({"errors": [error], "extensions": extensions})
        try:
            data, change = self._admin.answer(name, variables)
        except (ValueError, AttributeError) as problem:
            code = {"code": "INVALID_VARIABLE"}
            return json_reply({"errors": [{"message": str(problem)[:200], "extensions": code}]})
        if change is not None:
            self._record(request, account, asked, change)
        return json_reply({"data": data, "extensions": extensions})

    def _record(
        self, request: web.Request, account: SandboxAccount, asked: Any, change: Change
    ) -> None:
        key = self._vendor.key
        order = self._state.resources.get((key, "orders", change.order_id), {})
        name = str(order.get("name") or change.order_id)

        def made() -> SandboxMessage:
            return SandboxMessage(
                vendor=key,
                channel="commerce",
                account=account,
                id=change.id or f"shopify-{random_hex(8)}",
                to=change.order_id,
                text=change.text,
                subject=name,
                order_number=name.removeprefix("#"),
                raw=raw_of(request, lambda: asked),
                extra={"what": change.what, "guest_is_mailed": change.is_told},
            )

        self._vendor.accept(made)
        for event in change.events:
            for subscriber in self._subscribers(account):
                build = partial(self._vendor.event, subscriber, event)
                self._vendor.callbacks.later(0, build, partial(self._note, event))

    def _subscribers(self, account: SandboxAccount) -> list[SandboxAccount]:
        """Order sources of the same shop; the addresses of message accounts get no order news."""
        return [
            one
            for one in self._state.accounts(self._vendor.key)
            if one.settings.get("shop_domain") == account.settings["shop_domain"]
            and one.target(one.webhook_url)
            and "/hooks/messages/" not in one.webhook_url
        ]

    def _note(self, event: Mapping[str, Any], answer: CallAnswer) -> None:
        about = str(event.get("order_id") or event.get("part_id") or event.get("fulfillment_id"))
        self._state.note_event(self._vendor.key, str(event["type"]), about, answer.status)


def _query(asked: Any) -> str:
    return str(asked.get("query") or "") if isinstance(asked, dict) else ""


def parsed(body: bytes) -> Any:
    """The JSON in a body, None for what is none."""
    try:
        return json.loads(body)
    except ValueError:
        return None
