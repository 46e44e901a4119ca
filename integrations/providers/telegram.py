"""Messages from a Telegram bot. Vendor facts and their pages are in telegram.md."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from integrations.contracts import (
    Accepted,
    Capabilities,
    Channel,
    HttpRequest,
    HttpResponse,
    InboundCall,
    Message,
    Provider,
    Reply,
    Reply200,
    Setting,
)
from integrations.errors import (
    ConfigurationError,
    IntegrationError,
    MessageRejected,
    OutcomeUnknown,
    RateLimited,
    RecipientOptedOut,
    RecipientUnreachable,
)
from integrations.payloads import inner, text
from integrations.providers.telegram_updates import read_reply, verified, webhook_gaps

if TYPE_CHECKING:
    from integrations.http import Http

_LONGEST_TEXT = 4096
_LONGEST_BUTTON_BYTES = 64
_LONGEST_URL = 2000
#: "123", "-100123" or "-100123/7" (a topic of a group)
_ADDRESS = re.compile(r"(-?[0-9]{1,19})(?:/([0-9]{1,19}))?", re.ASCII)

#: words in the description of an error -> what they mean, in this order
_DESCRIPTIONS: tuple[tuple[int, str, type[IntegrationError] | type[ConfigurationError]], ...] = (
    (403, "user is deactivated", RecipientUnreachable),
    (403, "bot was kicked from", RecipientUnreachable),
    (403, "bot is not a member of", RecipientUnreachable),
    (403, "group chat was deleted", RecipientUnreachable),
    (403, "can't initiate conversation", RecipientUnreachable),
    (400, "chat not found", RecipientUnreachable),
    (400, "peer_id_invalid", RecipientUnreachable),
    (400, "not enough rights", ConfigurationError),
    (400, "topic_closed", ConfigurationError),
)
_CANNOT_EDIT = ("message to edit not found", "message can't be edited")


class _Moved(IntegrationError):
    """The group became a supergroup with another id."""

    code = RecipientUnreachable.code

    def __init__(self, provider: str, response: HttpResponse, chat: str) -> None:
        super().__init__(provider, response, detail="the group has a new id")
        self.chat = chat


class _CannotEdit(MessageRejected):
    """The earlier message is gone or too old to be changed."""


class Telegram(Provider):
    """Bot API: one JSON call per message, words and buttons back.

    ``send`` is overridden because Telegram may say that a group has a new id: the message goes out
    a second time at once, there. The first try had no effect.
    """

    key = "telegram"
    channel = Channel.TELEGRAM
    title = "Telegram"
    live_base_url = "https://api.telegram.org"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting(
            "bot_token",
            label="Bot token",
            secret=True,
            help="from @BotFather",
            example="1000000001:AAExample-0123456789abcdef",
        ),
        Setting(
            "secret_token",
            label="Webhook secret token",
            secret=True,
            required=False,
            help="you choose it, 1 to 256 of A-Z a-z 0-9 _ -; without it answers are refused",
        ),
        Setting(
            "previous_secret_token",
            label="Previous webhook secret token",
            secret=True,
            required=False,
            help="while rotating: calls that bear it are believed too, until you remove it",
        ),
        Setting("bot_username", label="Bot username", required=False, help="without the @"),
    )
    capabilities = Capabilities(
        replies=True, edit=True, max_chars=_LONGEST_TEXT, rate_per_s=30.0, own_addresses=True
    )

    def request(self, message: Message) -> HttpRequest:
        """sendMessage, or editMessageText where an earlier message is to be changed.

        A message worth an alarm is never an edit: edits make no sound. Raises MessageRejected or
        RecipientUnreachable for what Telegram would refuse.
        """
        words = _sendable(message.text).strip()
        if not words or len(message.text) > _LONGEST_TEXT:
            raise MessageRejected(
                self.key, detail=f"{len(message.text)} characters; 1 to {_LONGEST_TEXT} fit"
            )
        to = _ADDRESS.fullmatch(message.to.strip())
        if to is None:
            raise RecipientUnreachable(self.key, detail="not a chat id")
        body: dict[str, Any] = {
            "chat_id": int(to[1]),
            "text": escape(words, quote=False),
            "parse_mode": "HTML",
            "link_preview_options": {"is_disabled": True},
        }
        if keyboard := _keyboard(message):
            body["reply_markup"] = {"inline_keyboard": keyboard}
        earlier = message.replaces_vendor_id.rpartition("/")[2]
        method = "sendMessage"
        if earlier.isascii() and earlier.isdecimal() and not message.urgent:
            method, body["message_id"] = "editMessageText", int(earlier)
        elif to[2]:
            body["message_thread_id"] = int(to[2])
        return HttpRequest.post(self._method(method), json_body=body)

    def outcome(self, message: Message, response: HttpResponse) -> Accepted:
        """Read an answer: ``ok``, else the error code and words of its description."""
        answer = response.json_object()
        result = inner(answer, "result")
        if 200 <= response.status < 300 and "error_code" not in answer:
            chat = text(inner(result, "chat").get("id"))
            number = text(result.get("message_id"))
            if answer.get("ok") is not True or not (chat and number):
                raise OutcomeUnknown(self.key, response, detail="no message id in the answer")
            return Accepted(vendor_id=f"{chat}/{number}")
        found = answer.get("error_code")
        status = found if isinstance(found, int) and found else response.status
        said = text(answer.get("description"), 500).lower()
        if status == 429:
            raise RateLimited(
                self.key,
                response,
                retry_after_s=_wait_s(answer, response),
                whole_account=True,
            )
        if status == 400 and "message is not modified" in said:
            return Accepted(vendor_id=message.replaces_vendor_id, detail="already says so")
        if status == 400 and any(words in said for words in _CANNOT_EDIT):
            raise _CannotEdit(self.key, response, detail="the earlier message cannot be changed")
        moved = text(inner(answer, "parameters").get("migrate_to_chat_id"))
        if status == 400 and moved:
            raise _Moved(self.key, response, moved)
        if status == 403 and "bot was blocked by the user" in said:
            raise RecipientOptedOut(self.key, response, reason="user")
        self._raise_for_words(status, said, response)
        if status == 400:
            raise MessageRejected(self.key, response)
        if status == 403:
            # one chat that refuses us says nothing about the bot
            raise RecipientUnreachable(self.key, response)
        if status == 409:
            raise ConfigurationError(self.key, "another program polls this bot")
        self.raise_for_status(replace(response, status=status))
        raise OutcomeUnknown(self.key, response, detail="the answer is unreadable")

    def instead(self, message: Message, refusal: MessageRejected) -> Message | None:
        """A new message, where the earlier one cannot be changed."""
        is_gone = isinstance(refusal, _CannotEdit)
        return replace(message, replaces_vendor_id="") if is_gone else None

    async def send(self, message: Message, http: Http) -> Accepted:
        """As inherited, and once more to the new id of a group."""
        try:
            return await super().send(message, http)
        except _Moved as moved:
            try:
                again = replace(message, to=moved.chat, replaces_vendor_id="")
                accepted = await super().send(again, http)
            except _Moved as error:
                raise RecipientUnreachable(self.key, detail="the group moved twice") from error
            return replace(accepted, moved_to=moved.chat, detail="the group has a new id")

    def replies(self, call: InboundCall) -> list[Reply]:
        """The words or button of one update, or the stop of somebody who blocked the bot.

        A deep link's ``/start <token>`` is an action "link" with the token.
        """
        update = verified(call, self._secrets())
        reply = read_reply(update, self.account.get("bot_username", "").lstrip("@"))
        return [reply] if reply is not None else []

    def answer(self, call: InboundCall) -> Reply200:
        """Ends the spinner of a pressed button; anything else needs an empty 200 only."""
        update = verified(call, self._secrets())
        query_id = text(inner(update, "callback_query").get("id"))
        if not query_id:
            return Reply200()
        said = {"method": "answerCallbackQuery", "callback_query_id": query_id}
        return Reply200(body=json.dumps(said).encode(), content_type="application/json")

    def set_up_request(self) -> HttpRequest:
        """getWebhookInfo: where Telegram takes what people say."""
        return HttpRequest.post(self._method("getWebhookInfo"))

    def set_up_gaps(self, response: HttpResponse) -> list[str]:
        """That no webhook is set, that it hears too little, or that nobody answers there."""
        self.raise_for_status(response)
        answer = response.json_object()
        if answer.get("ok") is not True:
            raise OutcomeUnknown(self.key, response, detail="the answer is unreadable")
        return webhook_gaps(inner(answer, "result"))

    def link_url(self, token: str) -> str:
        """t.me with a start parameter; the stand-in has a page of its own."""
        bot = self.account.get("bot_username", "").strip().lstrip("@")
        if not bot:
            return ""
        host = "https://t.me" if self.base_url == self.live_base_url else f"{self.base_url}/link"
        return f"{host}/{quote(bot)}?start={token}"

    def _secrets(self) -> list[str]:
        return [self.account.get(f"{age}secret_token", "") for age in ("", "previous_")]

    def _method(self, name: str) -> str:
        # the token is in the path: a URL of ours is a secret
        return f"{self.base_url}/bot{quote(self.account['bot_token'].strip(), safe=':')}/{name}"

    def _raise_for_words(self, status: int, said: str, response: HttpResponse) -> None:
        for code, words, error in _DESCRIPTIONS:
            if code != status or words not in said:
                continue
            if issubclass(error, ConfigurationError):
                raise ConfigurationError(
                    self.key, "the bot may not write in this group", endpoint_only=True
                )
            raise error(self.key, response)


def _keyboard(message: Message) -> list[list[dict[str, str]]]:
    """One row of buttons: ask again, open the order."""
    row: list[dict[str, str]] = []
    number = str(message.order.get("number") or "")
    data = f"status:{number}"
    if number and len(data.encode("utf-8", "ignore")) <= _LONGEST_BUTTON_BYTES:
        row.append({"text": "Status", "callback_data": _sendable(data)})
    link = message.links.get("order", "")
    # Telegram refuses the whole message for a button to a host that is none
    if link.startswith("https://") and len(link) <= _LONGEST_URL:
        row.append({"text": "Track", "url": link})
    return [row] if row else []


def _wait_s(answer: Mapping[str, Any], response: HttpResponse) -> float | None:
    wait = inner(answer, "parameters").get("retry_after")
    if isinstance(wait, (int, float)) and not isinstance(wait, bool) and wait >= 0:
        return float(min(wait, 3600.0))
    return response.retry_after_s()


def _sendable(words: str) -> str:
    """Without halves of surrogate pairs, which no encoder takes, and without NUL."""
    return words.encode("utf-8", "ignore").decode().replace("\x00", "")
