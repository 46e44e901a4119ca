"""Messenger's Send API: JSON in, an ``m_`` id out, signed echoes, deliveries and messages after it.

As at Meta, text needs an open 24-hour window: a message from the person through the sandbox opens
it. Utility templates need none.
"""

from __future__ import annotations

import hmac
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
from integrations.sandbox.vendors.chat_links import link_routes
from integrations.signatures import hmac_hex

WINDOW_S = 24 * 3600
TEXT_LIMIT, METADATA_LIMIT, TITLE_LIMIT, BUTTONS_LIMIT = 2000, 1000, 20, 13
#: recipient -> (HTTP status, code, subcode, details)
_MAGIC: Mapping[str, tuple[int, int, int, str]] = {
    "5550001": (400, 551, 1545041, "This person isn't available right now"),
    "5550002": (400, 100, 2018001, "No matching user found"),
    "5550012": (400, 613, 0, "Calls to this API have exceeded the rate limit"),
    "5550013": (400, 10, 1893063, "This Page is temporarily restricted"),
    "5550014": (400, 10, 2018300, "Another app is controlling this thread now"),
    "5550050": (500, 2, 0, "Service temporarily unavailable"),
}


class Messenger(SandboxVendor):
    """Chats with a Page. The message wall shows them as phones."""

    key = "messenger"
    title = "Messenger"
    channel = "messenger"
    magic = tuple(
        Magic(person, f"{code}/{subcode} {details}" if subcode else f"{code} {details}")
        for person, (_, code, subcode, details) in _MAGIC.items()
    )

    def routes(self) -> Iterable[Route]:
        return (
            Route("POST", "/{version}/{page}/messages", self.create),
            Route("GET", "/{version}/{page}/message_templates", self.templates),
            *link_routes(
                self,
                parameter="ref",
                person="6250000000000042",
                words=lambda token: {"ref": token},
                is_account=lambda account, name: account.settings.get("page_id") == name,
            ),
        )

    def account_name(self, settings: Mapping[str, str]) -> str:
        return needed(settings, "page_id")

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        needed(settings, "app_secret")
        return [f"{self.account_name(settings)} {needed(settings, 'page_access_token')}"]

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        return meta_graph.error(status, 613 if status == 429 else 2, "Try again later")

    async def create(self, request: web.Request) -> web.StreamResponse:
        """POST a message."""
        account = self._account(request)
        if isinstance(account, web.Response):
            return account
        try:
            payload = json.loads(await request.read())
            problem = self._problem(account, payload)
        except (ValueError, TypeError, AttributeError, KeyError):
            return meta_graph.error(400, 100, "Invalid parameter")
        if problem is not None:
            status, code, subcode, details = problem
            return meta_graph.error(status, code, details, subcode=subcode)
        to, message_id = payload["recipient"]["id"], "m_" + random_hex(20)
        self.accept(lambda: self._message(account, message_id, payload, request))
        self._post_receipts(account, message_id, payload)
        return json_reply({"recipient_id": to, "message_id": message_id})

    async def templates(self, request: web.Request) -> web.StreamResponse:
        """GET the Page's message templates."""
        account = self._account(request)
        return account if isinstance(account, web.Response) else meta_graph.templates()

    def _account(self, request: web.Request) -> SandboxAccount | web.Response:
        """Whose call it is, or the refusal."""
        token = meta_graph.bearer(request)
        account = self.state.find_account(self.key, f"{request.match_info['page']} {token}")
        if account is None:
            return meta_graph.error(401, 190, "Invalid OAuth access token")
        proof = hmac_hex(account.settings["app_secret"], token.encode())
        given = request.query.get("appsecret_proof", "")
        if not hmac.compare_digest(given.encode(), proof.encode()):
            return meta_graph.error(
                400, 100, "Invalid appsecret_proof provided in the API argument"
            )
        return account

    def _problem(
        self, account: SandboxAccount, payload: Mapping[str, Any]
    ) -> tuple[int, int, int, str] | None:
        """What Meta would refuse, as (status, code, subcode, details)."""
        to, message = payload["recipient"]["id"], payload["message"]
        if to in _MAGIC:
            return _MAGIC[to]
        if len(message.get("metadata", "")) > METADATA_LIMIT:
            return 400, 100, 0, "metadata is too long"
        if payload["messaging_type"] == "UTILITY":
            return _template_problem(message["template"])
        if payload["messaging_type"] not in ("RESPONSE", "UPDATE"):
            return 400, 100, 0, "Message tags are no longer supported"
        if not 0 < len(message["text"]) <= TEXT_LIMIT:
            return 400, 100, 0, "Length of param message[text] must be 1 to 2000"
        buttons = message.get("quick_replies", [])
        if len(buttons) > BUTTONS_LIMIT or any(len(b["title"]) > TITLE_LIMIT for b in buttons):
            return 400, 100, 0, "Invalid quick replies"
        if not self._is_window_open(account, to):
            return 400, 10, 2018278, "This message is sent outside of allowed window."
        return None

    def _is_window_open(self, account: SandboxAccount, person: str) -> bool:
        page = account.settings["page_id"]
        return any(
            reply.vendor == self.key
            and (reply.sender, reply.to) == (person, page)
            and time.time() - reply.at < WINDOW_S
            for reply in self.state.replies
        )

    def _message(
        self,
        account: SandboxAccount,
        message_id: str,
        payload: Mapping[str, Any],
        request: web.Request,
    ) -> SandboxMessage:
        message = payload["message"]
        return SandboxMessage(
            vendor=self.key,
            channel=self.channel,
            account=account,
            id=message_id,
            to=payload["recipient"]["id"],
            text=_words(message),
            sender=account.settings["page_id"],
            attempt=message.get("metadata", ""),
            raw=_without_proof(raw_of(request, lambda: payload)),
            extra={"buttons": [{"label": b["title"]} for b in message.get("quick_replies", [])]},
        )

    # --- what Meta posts to us ------------------------------------------------------------------

    def _post_receipts(
        self, account: SandboxAccount, message_id: str, payload: Mapping[str, Any]
    ) -> None:
        url = account.target(account.webhook_url)
        if not url:
            return
        settings, message = self.state.settings, payload["message"]
        page, person = account.settings["page_id"], payload["recipient"]["id"]
        said = {"is_echo": True, "app_id": 1, "mid": message_id, "text": _words(message)}
        if message.get("metadata"):
            said["metadata"] = message["metadata"]
        echo = {"sender": {"id": page}, "recipient": {"id": person}, "message": said}
        arrived = {"mids": [message_id], "watermark": int(time.time() * 1000)}
        delivery = {"sender": {"id": person}, "recipient": {"id": page}, "delivery": arrived}
        plans = [
            ReceiptPlan(kind, after_ms, partial(_call, account, url, event))
            for kind, after_ms, event in (
                ("sent", settings.sent_after_ms, echo),
                ("delivered", settings.delivered_after_ms, delivery),
            )
        ]
        self.post_receipts(message_id, plans)

    def reply(
        self, account: SandboxAccount, words: Mapping[str, Any]
    ) -> tuple[SandboxReply, VendorCall]:
        """Words of the person ``from``; ``payload`` makes it a quick reply, ``ref`` a link.

        ``read`` says instead that they read everything up to now.
        """
        person, said = str(words.get("from", "")), str(words.get("text", ""))
        if not person:
            raise ValueError("'from' is the page-scoped id of the person")
        page, message_id = account.settings["page_id"], str(words.get("id") or "m_" + random_hex())
        event: dict[str, Any] = {"sender": {"id": person}, "recipient": {"id": page}}
        if words.get("read"):
            # reading is no word to the Page: it opens no window
            event["read"] = {"watermark": int(time.time() * 1000)}
            page, said = "", "(read)"
        elif words.get("ref"):
            ref = {"ref": str(words["ref"]), "source": "SHORTLINK", "type": "OPEN_THREAD"}
            event["referral"] = ref
        else:
            event["message"] = {"mid": message_id, "text": said}
            if words.get("payload"):
                event["message"]["quick_reply"] = {"payload": str(words["payload"])}
        reply = SandboxReply(
            vendor=self.key,
            id=message_id,
            sender=person,
            to=page,
            text=said or "(came by a link)",
        )
        return reply, _call(account, account.target(account.webhook_url), event)


def _call(account: SandboxAccount, url: str, event: Mapping[str, Any]) -> VendorCall:
    now_ms = int(time.time() * 1000)
    entry = {
        "id": account.settings["page_id"],
        "time": now_ms,
        "messaging": [{"timestamp": now_ms, **event}],
    }
    return meta_graph.signed_call(account, url, {"object": "page", "entry": [entry]})


def _template_problem(template: Mapping[str, Any]) -> tuple[int, int, int, str] | None:
    if not re.fullmatch(r"[a-z0-9_]{1,512}", template["name"]) or not template["language"]["code"]:
        return 400, 100, 0, "Template does not exist"
    for component in template.get("components", []):
        for parameter in component["parameters"]:
            if not (parameter.get("text") or parameter.get("url") or parameter.get("payload")):
                return 400, 100, 0, "Template parameter is empty"
    return None


def _words(message: Mapping[str, Any]) -> str:
    """What the person reads; of a template its name and variables."""
    if "text" in message:
        return str(message["text"])
    template = message["template"]
    values = [
        str(parameter.get("text", ""))
        for component in template.get("components", [])
        if component["type"] == "body"
        for parameter in component["parameters"]
    ]
    return f"{template['name']}: {' · '.join(values)}"


def _without_proof(raw: Any) -> Any:
    """The raw request with the proof left out of its path."""

    def shown() -> dict[str, Any]:
        request: dict[str, Any] = raw()
        return {**request, "path": request["path"].partition("?")[0]}

    return shown
