"""Klaviyo: events about profiles, which a flow turns into messages; consents, suppressions.

The flow reports back by its own webhook action (``flow_key``); an account with a system webhook
(``webhook_secret``) is posted what Klaviyo itself records of the flow's message.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from aiohttp import web

from integrations.sandbox.callbacks import VendorCall
from integrations.sandbox.state import SandboxAccount, iso
from integrations.sandbox.vendors.base import Magic, ReceiptPlan, Route, needed, random_hex
from integrations.sandbox.vendors.crm import Crm
from integrations.sandbox.vendors.klaviyo_profiles import (
    Profiles,
    attributes_of,
    error,
    person_of,
    problem_with,
)
from integrations.signatures import hmac_hex

WEBHOOK_ID = "01HSANDBOX"
_JSON_API = "application/vnd.api+json"
_NAMES = {
    "text": "text",
    "subject": "subject",
    "number": "order_number",
    "attempt": "attempt_id",
}
#: person -> status of the refusal
_MAGIC: Mapping[str, int] = {
    "disabled@example.com": 403,
    "throttled@example.com": 429,
    "error@example.com": 500,
    "slow@example.com": 524,
    "+15005550012": 429,
    "+15005550050": 500,
}
#: person -> what becomes of the flow's message; others get it
_ENDS: Mapping[str, tuple[str, ...]] = {
    "bounced@example.com": ("bounced_email",),
    "dropped@example.com": ("dropped_email",),
    "spam@example.com": ("received_email", "marked_email_as_spam"),
    "opened@example.com": ("received_email", "opened_email"),
    "leaver@example.com": ("received_email", "unsubscribed_from_email_marketing"),
    "+15005550030": ("failed_to_deliver_sms",),
}
_DELIVERED = {"email": "received_email", "sms": "received_sms", "push": "received_push"}
#: what the manager's flow says of the same
_FLOW_WORDS = {"bounced_email": "bounced", "dropped_email": "failed", "opened_email": "read"}


class Klaviyo(Crm):
    """Events."""

    key = "klaviyo"
    title = "Klaviyo"
    magic = (
        *(Magic(person, f"HTTP {status}") for person, status in _MAGIC.items()),
        Magic("invalid@example.com", "400 at the profile's email"),
        Magic("+15005550001", "400 at the profile's phone_number"),
        *(Magic(person, f"accepted, then {', '.join(ends)}") for person, ends in _ENDS.items()),
    )

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.profiles = Profiles(self)

    def routes(self) -> Iterable[Route]:
        return (Route("POST", "/api/events", self.create), *self.profiles.routes())

    def control_routes(self) -> Iterable[Route]:
        return (
            Route("POST", "/suppress", self.profiles.suppress),
            Route("DELETE", "/flows", self.profiles.switch_off),
        )

    def account_name(self, settings: Mapping[str, str]) -> str:
        return "XyZ" + hashlib.sha256(needed(settings, "api_key").encode()).hexdigest()[:6]

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        return [f"Klaviyo-API-Key {needed(settings, 'api_key')}"]

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        headers = {"Retry-After": f"{retry_after_s:g}"} if status == 429 else None
        return error(status, "throttled" if status == 429 else "server_error", headers=headers)

    def account_of(self, request: web.Request) -> SandboxAccount | web.Response:
        """Whose key the request shows, or what Klaviyo answers to a stranger or a wrong header."""
        account = self.state.find_account(self.key, request.headers.get("Authorization", ""))
        if account is None:
            return error(401, "not_authenticated")
        if not _is_revision(request.headers.get("revision", "")):
            return error(400, "invalid", pointer="revision")
        if request.method == "POST" and request.content_type != _JSON_API:
            return error(415, "unsupported_media_type")
        return account

    # --- events -----------------------------------------------------------------------------------

    async def create(self, request: web.Request) -> web.StreamResponse:
        """POST events: 202, nothing else; a known unique_id of profile and metric is dropped."""
        account = self.account_of(request)
        if isinstance(account, web.Response):
            return account
        body = _loaded(await request.read())
        event = attributes_of(body, "event")
        problem = problem_with(event)
        if problem is not None:
            return problem
        person = person_of(event)
        status = _MAGIC.get(person)
        if status is not None:
            return self.refusal(status, 1.0)
        metric = event["metric"]["data"]["attributes"]["name"]
        # without a unique_id Klaviyo takes the second it came in
        unique_id = str(event.get("unique_id") or int(time.time()))
        self.profiles.seen(account, person, metric)
        place = (self.key, "event", f"{person} {metric} {unique_id}")
        if place not in self.state.resources and not event.get("backfill"):
            self.state.resources[place] = {}
            properties = event["properties"]
            self.take(
                account, request, message_id=unique_id, to=person, event=metric,
                properties=properties, names=_NAMES, body=body,
            )  # fmt: skip
            self._run_flow(account, unique_id, person, properties)
        return web.Response(status=202)

    def _run_flow(
        self, account: SandboxAccount, message_id: str, person: str, properties: Mapping[str, Any]
    ) -> None:
        if not self.profiles.is_flow_live:
            return
        settings = account.settings
        ends = _ENDS.get(person, (_DELIVERED[settings.get("speaks") or "email"],))
        if settings.get("flow_key"):
            words = [_FLOW_WORDS.get(end, "delivered") for end in ends]
            attempt = str(properties.get("attempt_id") or "")
            self.run_workflow(account, message_id, attempt, settings["flow_key"], *words)
        if not (settings.get("webhook_secret") and account.target(account.webhook_url)):
            return
        after_ms = self.state.settings.delivered_after_ms
        self.post_receipts(
            message_id,
            [
                ReceiptPlan(
                    end,
                    after_ms * (turn + 1),
                    partial(signed, account, [_recorded(end, properties)]),
                )
                for turn, end in enumerate(ends)
            ],
        )


def _recorded(metric: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """Klaviyo's own event about the flow's message, as a system webhook carries it."""
    event_id, now = random_hex(6), time.time()
    said: dict[str, Any] = {
        "attempt_id": properties.get("attempt_id"),
        "$flow": "SBXflow",
        "$message": "SBXmsg",
    }
    if metric == "bounced_email":
        said["Bounce Type"] = "Hard"
    return {
        "external_id": event_id,
        "topic": f"event:klaviyo.{metric}",
        "payload": {
            "data": {
                "type": "event",
                "id": event_id,
                "attributes": {
                    "timestamp": int(now),
                    "event_properties": said,
                    "datetime": iso(now),
                },
                "relationships": {},
            },
            "included": [],
        },
    }


def signed(account: SandboxAccount, events: list[dict[str, Any]]) -> VendorCall:
    """A batch, signed as Klaviyo signs: the body, then the timestamp as written."""
    stamp = datetime.now(UTC).isoformat(timespec="seconds")
    meta = {
        "klaviyo_account_id": "XyZ123",
        "klaviyo_webhook_id": WEBHOOK_ID,
        "timestamp": stamp,
    }
    body = json.dumps({"data": events, "meta": meta}, separators=(",", ":")).encode()
    return VendorCall(
        account.target(account.webhook_url),
        body,
        {
            "Content-Type": "application/json",
            "Klaviyo-Signature": hmac_hex(
                account.settings["webhook_secret"], body + stamp.encode()
            ),
            "Klaviyo-Timestamp": stamp,
            "Klaviyo-Webhook-Id": WEBHOOK_ID,
        },
    )


def _is_revision(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).year >= 2023
    except ValueError:
        return False


def _loaded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
