"""Telegram's Bot API: JSON in, ``{"ok":true,"result":{...}}`` out, updates to the webhook.

The token is part of the path. Errors are a code and a description. A blocked bot hears about it
once and is refused afterwards.
"""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Iterable, Mapping
from html import unescape
from typing import Any

from aiohttp import web

from integrations.sandbox.callbacks import VendorCall
from integrations.sandbox.state import SandboxAccount, SandboxMessage, SandboxReply
from integrations.sandbox.vendors.base import (
    Magic,
    Route,
    SandboxVendor,
    json_reply,
    needed,
    raw_of,
)
from integrations.sandbox.vendors.chat_links import link_routes

TEXT_LIMIT = 4096
DATA_LIMIT_BYTES = 64
_TAG = re.compile(r"</?(?:b|i|u|s|a|code|pre)(?: [^<>]*)?>")
_LOOSE = re.compile(r"[<>]|&(?!(?:lt|gt|amp|quot|#\d+);)")

#: chat id -> (error code, description, parameters)
_MAGIC_ERRORS: Mapping[int, tuple[int, str, dict[str, Any]]] = {
    400000001: (400, "Bad Request: chat not found", {}),
    403000001: (403, "Forbidden: bot was blocked by the user", {}),
    403000002: (403, "Forbidden: user is deactivated", {}),
    -403000003: (403, "Forbidden: bot was kicked from the group chat", {}),
    -400000002: (400, "Bad Request: not enough rights to send text messages to the chat", {}),
    -400000003: (
        400,
        "Bad Request: group chat was upgraded to a supergroup chat",
        {"migrate_to_chat_id": -1000400000003},
    ),
    429000001: (429, "Too Many Requests: retry after 1", {"retry_after": 1}),
    500000001: (500, "Internal Server Error", {}),
}


class Telegram(SandboxVendor):
    """Chats. The message wall shows them as phones."""

    key = "telegram"
    title = "Telegram"
    channel = "telegram"
    magic = (
        Magic("400000001", "400 chat not found"),
        Magic("403000001", "403 blocked by the user"),
        Magic("403000002", "403 user is deactivated"),
        Magic("-403000003", "403 kicked from the group"),
        Magic("-400000002", "400 not enough rights"),
        Magic("-400000003", "400 group has a new id, which works"),
        Magic("429000001", "429 throttled"),
        Magic("500000001", "500 server error"),
    )
    _serial = itertools.count(1)

    def routes(self) -> Iterable[Route]:
        return (
            Route("POST", "/bot{token}/sendMessage", self.create),
            Route("POST", "/bot{token}/editMessageText", self.edit),
            Route("POST", "/bot{token}/answerCallbackQuery", self.acknowledge),
            Route("POST", "/bot{token}/getMe", self.get_me),
            Route("POST", "/bot{token}/getWebhookInfo", self.get_webhook_info),
            *link_routes(
                self,
                parameter="start",
                person="4711",
                words=lambda token: {"text": f"/start {token}"},
                is_account=lambda account, name: account.settings.get("bot_username") == name,
            ),
        )

    def account_name(self, settings: Mapping[str, str]) -> str:
        return needed(settings, "bot_token").partition(":")[0]

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        return [needed(settings, "bot_token")]

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        if status == 429:
            wait = max(1, round(retry_after_s))
            return _error(429, f"Too Many Requests: retry after {wait}", {"retry_after": wait})
        return _error(status, {502: "Bad Gateway"}.get(status, "Internal Server Error"))

    # --- the API --------------------------------------------------------------------------------

    async def create(self, request: web.Request) -> web.StreamResponse:
        """sendMessage."""
        account, fields = await self._call(request)
        if account is None:
            return _unauthorized()
        problem = self._problem(account, fields)
        if problem is not None:
            return problem
        number = next(self._serial)
        chat = int(fields["chat_id"])
        self.accept(lambda: self._message(account, f"{chat}/{number}", fields, request))
        return json_reply({"ok": True, "result": _result(chat, number, fields)})

    async def edit(self, request: web.Request) -> web.StreamResponse:
        """editMessageText: the same window shows the new words."""
        account, fields = await self._call(request)
        if account is None:
            return _unauthorized()
        problem = self._problem(account, fields)
        if problem is not None:
            return problem
        chat, number = int(fields["chat_id"]), fields.get("message_id")
        message = self.state.message(f"{chat}/{number}")
        if message is None or message.vendor != self.key:
            return _error(400, "Bad Request: message to edit not found")
        words = _shown(fields["text"])
        if words == message.text:
            return _error(400, "Bad Request: message is not modified")
        message.text = words
        self.state.note_receipt(message, "edited", 200)
        return json_reply({"ok": True, "result": _result(chat, int(number or 0), fields)})

    async def acknowledge(self, request: web.Request) -> web.StreamResponse:
        """answerCallbackQuery."""
        account, fields = await self._call(request)
        if account is None:
            return _unauthorized()
        if not fields.get("callback_query_id"):
            return _error(400, "Bad Request: query is too old and response timeout expired")
        return json_reply({"ok": True, "result": True})

    async def get_me(self, request: web.Request) -> web.StreamResponse:
        """getMe: whether the token is good."""
        account, _ = await self._call(request)
        if account is None:
            return _unauthorized()
        name = account.settings.get("bot_username") or "sandbox_bot"
        bot = {"id": 1, "is_bot": True, "first_name": "Order Up", "username": name}
        return json_reply({"ok": True, "result": bot})

    async def get_webhook_info(self, request: web.Request) -> web.StreamResponse:
        """getWebhookInfo: the address the sandbox was told."""
        account, _ = await self._call(request)
        if account is None:
            return _unauthorized()
        info = {
            "url": account.target(account.webhook_url),
            "has_custom_certificate": False,
            "pending_update_count": 0,
            "allowed_updates": ["message", "callback_query", "my_chat_member"],
        }
        return json_reply({"ok": True, "result": info})

    async def _call(self, request: web.Request) -> tuple[SandboxAccount | None, dict[str, Any]]:
        account = self.state.find_account(self.key, request.match_info["token"])
        try:
            fields = json.loads(await request.read() or b"{}")
        except ValueError:
            fields = {}
        return account, fields if isinstance(fields, dict) else {}

    def _problem(self, account: SandboxAccount, fields: Mapping[str, Any]) -> web.Response | None:
        """What Telegram answers to a message it will not take."""
        try:
            chat = int(fields.get("chat_id", ""))
        except (TypeError, ValueError):
            return _error(400, "Bad Request: chat_id is empty")
        text = fields.get("text")
        if not isinstance(text, str) or not text.strip():
            return _error(400, "Bad Request: message text is empty")
        if fields.get("parse_mode") == "HTML" and _LOOSE.search(_TAG.sub("", text)):
            return _error(400, "Bad Request: can't parse entities: unsupported start tag")
        if len(_shown(text)) > TEXT_LIMIT:
            return _error(400, "Bad Request: message is too long")
        for button in _buttons(fields):
            if len(button.get("callback_data", "").encode()) > DATA_LIMIT_BYTES:
                return _error(400, "Bad Request: BUTTON_DATA_INVALID")
        if chat in _MAGIC_ERRORS:
            code, words, parameters = _MAGIC_ERRORS[chat]
            return _error(code, words, parameters)
        if self._pair(account, str(chat)) in self.state.opted_out:
            return _error(403, "Forbidden: bot was blocked by the user")
        return None

    def _message(
        self,
        account: SandboxAccount,
        message_id: str,
        fields: Mapping[str, Any],
        request: web.Request,
    ) -> SandboxMessage:
        topic = fields.get("message_thread_id")
        return SandboxMessage(
            vendor=self.key,
            channel=self.channel,
            account=account,
            id=message_id,
            to=f"{fields['chat_id']}/{topic}" if topic else str(fields["chat_id"]),
            text=_shown(fields["text"]),
            sender=account.settings.get("bot_username", ""),
            raw=_without_token(raw_of(request, lambda: fields)),
            extra={
                "buttons": [
                    {
                        "label": str(button.get("text", "")),
                        "url": str(button.get("url", "")),
                        "action_id": "button" if button.get("callback_data") else "",
                        "value": str(button.get("callback_data", "")),
                    }
                    for button in _buttons(fields)
                ]
            },
        )

    # --- what Telegram posts to us --------------------------------------------------------------

    def reply(
        self, account: SandboxAccount, words: Mapping[str, Any]
    ) -> tuple[SandboxReply, VendorCall]:
        """Words from the chat ``from``; ``action`` {"value"} presses a button.

        The words ``/block`` and ``/unblock`` block and unblock the bot instead of being said.
        """
        sender, said = str(words.get("from", "")), str(words.get("text", ""))
        chat, _, topic = sender.partition("/")
        if not re.fullmatch(r"-?\d{1,19}", chat):
            raise ValueError("'from' is the chat id that replies")
        message = _result(int(chat), next(self._serial), {"text": said})
        message["from"] = {"id": abs(int(chat)), "is_bot": False, "first_name": "Ana"}
        if topic:
            message |= {"message_thread_id": int(topic), "is_topic_message": True}
        action = words.get("action")
        note = ""
        update: dict[str, Any] = {"message": message}
        if isinstance(action, Mapping):
            query = {"id": str(next(self._serial)), "from": message["from"], "message": message}
            update = {"callback_query": {**query, "data": str(action.get("value", ""))}}
            said = said or str(action.get("value", ""))
        elif said in ("/block", "/unblock"):
            update = {"my_chat_member": self._block(account, message, said == "/block")}
            note = "The bot is blocked." if said == "/block" else "The bot is unblocked."
        update["update_id"] = next(self._serial)
        reply = SandboxReply(
            vendor=self.key,
            id=f"update:{update['update_id']}",
            sender=sender,
            to=account.settings.get("bot_username", ""),
            text=said,
            vendor_note=note,
        )
        headers = {
            "Content-Type": "application/json",
            "X-Telegram-Bot-Api-Secret-Token": needed(account.settings, "secret_token"),
        }
        body = json.dumps(update).encode()
        return reply, VendorCall(account.target(account.webhook_url), body, headers)

    def _block(
        self, account: SandboxAccount, message: Mapping[str, Any], is_blocked: bool
    ) -> dict[str, Any]:
        pair = self._pair(account, str(message["chat"]["id"]))
        (self.state.opted_out.add if is_blocked else self.state.opted_out.discard)(pair)
        old, new = ("member", "kicked") if is_blocked else ("kicked", "member")
        return {
            "chat": message["chat"],
            "from": message["from"],
            "date": message["date"],
            "old_chat_member": {"status": old},
            "new_chat_member": {"status": new},
        }

    def _pair(self, account: SandboxAccount, chat: str) -> tuple[str, str, str]:
        return (self.key, self.account_name(account.settings), chat)


def _result(chat: int, number: int, fields: Mapping[str, Any]) -> dict[str, Any]:
    kind = "private" if chat > 0 else "supergroup"
    return {
        "message_id": number,
        "chat": {"id": chat, "type": kind},
        "date": int(time.time()),
        "text": _shown(str(fields.get("text", ""))),
    }


def _shown(text: str) -> str:
    return unescape(_TAG.sub("", text))


def _buttons(fields: Mapping[str, Any]) -> list[dict[str, str]]:
    rows = (fields.get("reply_markup") or {}).get("inline_keyboard") or []
    return [button for row in rows for button in row]


def _without_token(raw: Any) -> Any:
    """The raw request without the bot's token in its path."""

    def shown() -> dict[str, Any]:
        request: dict[str, Any] = raw()
        return {**request, "path": f"/telegram/bot…/{request['path'].rpartition('/')[2]}"}

    return shown


def _error(status: int, words: str, parameters: Mapping[str, Any] | None = None) -> web.Response:
    answer: dict[str, Any] = {"ok": False, "error_code": status, "description": words}
    headers = None
    if parameters:
        answer["parameters"] = dict(parameters)
        if "retry_after" in parameters:
            headers = {"Retry-After": str(parameters["retry_after"])}
    return json_reply(answer, status=status, headers=headers)


def _unauthorized() -> web.Response:
    return _error(401, "Unauthorized")
