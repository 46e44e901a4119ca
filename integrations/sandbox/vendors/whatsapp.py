"""WhatsApp's Cloud API: JSON in, a ``wamid.`` id out, signed statuses and messages after it.

As at Meta, free text needs an open 24-hour window: a message from the person through the
sandbox opens it.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from aiohttp import web

from integrations.sandbox.callbacks import VendorCall
from integrations.sandbox.state import SandboxAccount, SandboxMessage, SandboxReply
from integrations.sandbox.vendors import meta_graph
from integrations.sandbox.vendors.base import (
    Magic,
    ReceiptPlan,
    Route,
    SandboxVendor,
    json_reply,
    needed,
    random_hex,
    raw_of,
)

WINDOW_S = 24 * 3600
TEXT_LIMIT, BODY_LIMIT, TITLE_LIMIT = 4096, 1024, 20
_TO = re.compile(r"\d{7,15}|[A-Z]{2}\.\w+")
#: recipient -> (HTTP status, code, details)
_MAGIC_ERRORS: Mapping[str, tuple[int, int, str]] = {
    "15005550001": (400, 131026, "Message undeliverable"),
    "15005550012": (429, 130429, "Rate limit hit"),
    "15005550016": (400, 131056, "(Business Account, Consumer Account) pair rate limit hit"),
    "15005550041": (400, 132001, "Template name does not exist in the translation"),
    "15005550042": (400, 132015, "Template is paused"),
    "15005550043": (400, 131050, "The recipient has stopped marketing messages"),
    "15005550050": (500, 131000, "Something went wrong"),
}
#: recipient -> code of the failed status that follows acceptance
_MAGIC_FAILURES: Mapping[str, int] = {
    "15005550030": 131026,
    "15005550031": 131049,
    "15005550032": 131050,
    "15005550033": 132015,
}


class WhatsApp(SandboxVendor):
    """Chats. The message wall shows them as phones."""

    key = "whatsapp"
    title = "WhatsApp"
    channel = "whatsapp"
    magic = (
        Magic("+15005550001", "131026 undeliverable"),
        Magic("+15005550012", "429 / 130429 throttled"),
        Magic("+15005550016", "131056 too many to this person"),
        Magic("+15005550041", "132001 template missing"),
        Magic("+15005550042", "132015 template paused"),
        Magic("+15005550043", "131050 stopped marketing"),
        Magic("+15005550050", "500 / 131000 server error"),
        Magic("+15005550030", "accepted, then failed 131026"),
        Magic("+15005550031", "accepted, then failed 131049"),
        Magic("+15005550032", "accepted, then failed 131050 (stopped marketing)"),
        Magic("+15005550033", "accepted, then failed 132015 (template paused)"),
    )

    def routes(self) -> Iterable[Route]:
        return (
            Route("POST", "/{version}/{number}/messages", self.create),
            Route("GET", "/{version}/{business}/message_templates", self.templates),
        )

    def account_name(self, settings: Mapping[str, str]) -> str:
        return needed(settings, "phone_number_id")

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        number, token = self.account_name(settings), needed(settings, "access_token")
        return [f"{number} {token}", token]

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        code = {429: 130429, 503: 131016}.get(status, 131000)
        return meta_graph.error(status, code, "Try again later", product=self.key)

    async def create(self, request: web.Request) -> web.StreamResponse:
        """POST a message."""
        token, number = meta_graph.bearer(request), request.match_info["number"]
        account = self.state.find_account(self.key, f"{number} {token}")
        if account is None:
            if self.state.find_account(self.key, token):
                return self._error(400, 100, "Unsupported post request: no such object")
            return self._error(401, 190, "Invalid OAuth access token")
        try:
            payload = json.loads(await request.read())
            problem = self._problem(account, payload)
        except (ValueError, TypeError, AttributeError, KeyError):
            return self._error(400, 100, "Invalid parameter")
        if problem is not None:
            return self._error(*problem)
        to = str(payload.get("to") or payload["recipient"])
        message_id = "wamid." + random_hex(20)
        self.accept(lambda: self._message(account, message_id, to, payload, request))
        self._post_statuses(account, message_id, to, payload)
        return json_reply(
            {
                "messaging_product": "whatsapp",
                "contacts": [{"input": to, "wa_id": to}],
                "messages": [{"id": message_id, "message_status": "accepted"}],
            }
        )

    async def templates(self, request: web.Request) -> web.StreamResponse:
        """GET the message templates of a business account."""
        account = self.state.find_account(self.key, meta_graph.bearer(request))
        if account is None:
            return self._error(401, 190, "Invalid OAuth access token")
        if account.settings.get("business_account_id") != request.match_info["business"]:
            return self._error(400, 100, "Unsupported get request: no such object")
        return meta_graph.templates()

    def _error(self, status: int, code: int, details: str) -> web.Response:
        return meta_graph.error(status, code, details, product=self.key)

    def _problem(
        self, account: SandboxAccount, payload: Mapping[str, Any]
    ) -> tuple[int, int, str] | None:
        """What Meta would refuse, as (status, code, details)."""
        to = str(payload.get("to") or payload.get("recipient") or "")
        kind = payload.get("type")
        if payload.get("messaging_product") != "whatsapp" or not _TO.fullmatch(to):
            return 400, 100, "Invalid parameter: messaging_product or to"
        if len(str(payload.get("biz_opaque_callback_data", ""))) > 512:
            return 400, 100, "biz_opaque_callback_data is too long"
        if to in _MAGIC_ERRORS:
            return _MAGIC_ERRORS[to]
        if kind == "template":
            return _template_problem(payload["template"])
        if kind not in ("text", "interactive"):
            return 400, 131051, "Unsupported message type"
        words = _words(payload)
        limit = TEXT_LIMIT if kind == "text" else BODY_LIMIT
        if not 0 < len(words) <= limit:
            return 400, 131009, "Parameter value is not valid: body"
        if any(not 0 < len(title) <= TITLE_LIMIT for title in _titles(payload)):
            return 400, 131009, "Parameter value is not valid: button title"
        if not self._is_window_open(account, to):
            return 400, 131047, "More than 24 hours have passed since the recipient last replied"
        return None

    def _is_window_open(self, account: SandboxAccount, to: str) -> bool:
        number = _own_number(account)
        return any(
            reply.vendor == self.key
            and to in (reply.sender.lstrip("+"), user_id(reply.sender))
            and reply.to == number
            and time.time() - reply.at < WINDOW_S
            for reply in self.state.replies
        )

    def _message(
        self,
        account: SandboxAccount,
        message_id: str,
        to: str,
        payload: Mapping[str, Any],
        request: web.Request,
    ) -> SandboxMessage:
        return SandboxMessage(
            vendor=self.key,
            channel=self.channel,
            account=account,
            id=message_id,
            to=f"+{to}" if to.isdecimal() else to,
            text=_words(payload),
            sender=_own_number(account),
            attempt=str(payload.get("biz_opaque_callback_data", "")),
            raw=raw_of(request, lambda: payload),
            extra={"buttons": [{"label": title} for title in _titles(payload)]},
        )

    # --- what Meta posts to us ------------------------------------------------------------------

    def _post_statuses(
        self, account: SandboxAccount, message_id: str, to: str, payload: Mapping[str, Any]
    ) -> None:
        url = account.target(account.webhook_url)
        if not url:
            return
        settings = self.state.settings
        code = _MAGIC_FAILURES.get(to, 0)
        plans = []
        for kind, after_ms in (
            ("sent", settings.sent_after_ms),
            ("failed" if code else "delivered", settings.delivered_after_ms),
        ):
            status: dict[str, Any] = {"id": message_id, "status": kind, "recipient_id": to}
            if payload.get("biz_opaque_callback_data"):
                status["biz_opaque_callback_data"] = payload["biz_opaque_callback_data"]
            if kind == "failed":
                status["errors"] = [{"code": code, "title": "Message undeliverable"}]
            if not to.isdecimal():
                status["recipient_user_id"] = status.pop("recipient_id")
            plans.append(ReceiptPlan(kind, after_ms, partial(_status_call, account, url, status)))
        self.post_receipts(message_id, plans)

    def reply(
        self, account: SandboxAccount, words: Mapping[str, Any]
    ) -> tuple[SandboxReply, VendorCall]:
        """Words of the number ``from``; ``payload`` makes it a press of a template's button.

        ``hides_number`` names the person by their business-scoped id alone, as Meta does for who
        goes by a user name. ``marketing`` "stop" or "resume" is their choice in the app instead.
        """
        number, said = str(words.get("from", "")), str(words.get("text", ""))
        if not number:
            raise ValueError("'from' is the phone number that replies")
        ids = _ids(number)
        if words.get("hides_number"):
            del ids["wa_id"]
        if words.get("marketing"):
            return self._choice(account, number, ids, str(words["marketing"]))
        message_id = str(words.get("id") or "wamid." + random_hex(20))
        found: dict[str, Any] = {
            "from": ids.get("wa_id"),
            "from_user_id": ids["user_id"],
            "id": message_id,
            "timestamp": str(int(time.time())),
            "type": "text",
            "text": {"body": said},
        }
        if words.get("payload"):
            del found["text"]
            button = {"payload": str(words["payload"]), "text": said}
            found.update(type="button", button=button)
        if found["from"] is None:
            del found["from"]
        value = {"contacts": [{"profile": {"name": "Guest"}, **ids}], "messages": [found]}
        reply = SandboxReply(
            vendor=self.key, id=message_id, sender=number, to=_own_number(account), text=said
        )
        url = account.target(account.webhook_url)
        return reply, meta_graph.signed_call(account, url, _envelope(account, value))

    def _choice(
        self, account: SandboxAccount, number: str, ids: Mapping[str, str], value: str
    ) -> tuple[SandboxReply, VendorCall]:
        now = int(time.time())
        choice = {**ids, "category": "marketing_messages", "value": value, "timestamp": now}
        choice["detail"] = f"User requested to {value} marketing messages"
        envelope = _envelope(account, {"user_preferences": [choice]}, "user_preferences")
        reply = SandboxReply(
            vendor=self.key,
            id="preference." + random_hex(10),
            sender=number,
            # a choice is no word to the business: it opens no window
            to="",
            text=f"({value} marketing)",
        )
        return reply, meta_graph.signed_call(account, account.target(account.webhook_url), envelope)


def user_id(number: str) -> str:
    """The business-scoped id of the person with a number, always the same."""
    digits = number.lstrip("+")
    return f"US.9{digits}" if digits.isdecimal() else digits


def _ids(number: str) -> dict[str, str]:
    return {"wa_id": number.lstrip("+"), "user_id": user_id(number)}


def _own_number(account: SandboxAccount) -> str:
    return account.settings["phone_number_id"]


def _status_call(account: SandboxAccount, url: str, status: dict[str, Any]) -> VendorCall:
    stamped = {**status, "timestamp": str(int(time.time()))}
    value: dict[str, Any] = {"statuses": [stamped]}
    if "recipient_id" in status:
        value["contacts"] = [_ids(status["recipient_id"])]
    return meta_graph.signed_call(account, url, _envelope(account, value))


def _envelope(
    account: SandboxAccount, value: dict[str, Any], field: str = "messages"
) -> dict[str, Any]:
    metadata = {
        "display_phone_number": "12025550100",
        "phone_number_id": account.settings["phone_number_id"],
    }
    whole = {"messaging_product": "whatsapp", "metadata": metadata, **value}
    change = {"field": field, "value": whole}
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": "102290129340398", "changes": [change]}],
    }


def _template_problem(template: Mapping[str, Any]) -> tuple[int, int, str] | None:
    if not re.fullmatch(r"[a-z0-9_]{1,512}", template["name"]) or not template["language"]["code"]:
        return 400, 132001, "Template name does not exist in the translation"
    for component in template.get("components", []):
        for parameter in component["parameters"]:
            value = str(parameter.get("text") or parameter.get("payload") or "")
            if not value or re.search(r"[\n\t]| {4}", value):
                return 400, 132012, "Parameter format does not match: empty, or blanks in it"
    return None


def _words(payload: Mapping[str, Any]) -> str:
    """What the person reads; of a template its name and variables."""
    if payload["type"] == "text":
        return str(payload["text"]["body"])
    if payload["type"] == "interactive":
        return str(payload["interactive"]["body"]["text"])
    template = payload["template"]
    values = [
        str(parameter.get("text", ""))
        for component in template.get("components", [])
        if component["type"] == "body"
        for parameter in component["parameters"]
    ]
    return f"{template['name']}: {' · '.join(values)}"


def _titles(payload: Mapping[str, Any]) -> list[str]:
    if payload["type"] != "interactive":
        return []
    return [str(b["reply"]["title"]) for b in payload["interactive"]["action"]["buttons"]]
