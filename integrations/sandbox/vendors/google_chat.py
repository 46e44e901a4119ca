"""Google Chat's incoming webhooks: JSON in, the message with its name out.

Key and token in the query are the credential. A repeated ``requestId`` makes no second message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiohttp import web

from integrations.sandbox.state import SandboxAccount, SandboxMessage
from integrations.sandbox.vendors.base import (
    Magic,
    Route,
    SandboxVendor,
    json_reply,
    needed,
    random_hex,
    raw_of,
)

_ATTEMPT = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
#: bytes, cards included
MESSAGE_LIMIT = 32_000
#: spaces something happened to -> status and words
FATES: Mapping[str, tuple[int, str]] = {
    "DELETED": (404, "Space not found."),
    "REMOVED": (404, "Webhook not found."),
    "FORBIDDEN": (403, "The caller does not have permission"),
    "SWITCHEDOFF": (403, "Incoming webhooks are disabled by the administrator."),
    "STALETOKEN": (401, "Request had invalid authentication credentials."),
}
_FIELDS = frozenset({"text", "thread", "cardsV2", "fallbackText", "accessoryWidgets"})
_PARAMETERS = frozenset(
    {"key", "token", "messageReplyOption", "requestId", "messageId", "threadKey"}
)
_REPLY_OPTIONS = frozenset({"", "REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD", "REPLY_MESSAGE_OR_FAIL"})
_WIDGETS = frozenset({"decoratedText", "textParagraph", "buttonList", "divider", "image"})
_STATUSES: Mapping[int, str] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
}


class GoogleChat(SandboxVendor):
    """Team chat. The message wall shows it as cards of one space."""

    key = "google_chat"
    title = "Google Chat"
    channel = "team_chat"
    magic = tuple(
        Magic(f".../spaces/{space}/messages", f"{status} {words}")
        for space, (status, words) in FATES.items()
    )

    def routes(self) -> Iterable[Route]:
        return (Route("POST", "/v1/spaces/{space}/messages", self.create),)

    def account_name(self, settings: Mapping[str, str]) -> str:
        return _space(needed(settings, "webhook_url"))

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        url = needed(settings, "webhook_url")
        query = parse_qs(urlsplit(url).query)
        key, token = (query.get(name, [""])[0] for name in ("key", "token"))
        # shorter ones tell what part of a wrong URL is unknown
        return [f"{_space(url)} {key} {token}", f"{_space(url)} {key}", _space(url)]

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        headers = {"Retry-After": f"{retry_after_s:g}"} if status == 429 else None
        return _error(status, "The service is not available now.", headers)

    async def create(self, request: web.Request) -> web.StreamResponse:
        """POST a message to a space's webhook."""
        account, refused = self._account(request)
        if account is None:
            return refused
        body = await request.read()
        message, problem = _message(body)
        if message is None or (problem := _query_problem(request)):
            return _error(400, problem)
        space = request.match_info["space"]
        name = f"spaces/{space}/messages/{random_hex(6)}.{random_hex(6)}"
        known = self.state.resources.setdefault((self.key, "requests", space), {})
        wanted = request.query.get("requestId", "")
        if wanted and wanted in known:
            return json_reply(known[wanted])
        thread = message.get("thread", {}).get("threadKey", "")
        if not thread or "messageReplyOption" not in request.query:
            thread = random_hex(6)
        answer = {**message, "name": name, "thread": {"name": f"spaces/{space}/threads/{thread}"}}
        if wanted:
            known[wanted] = answer
        self.accept(lambda: self._kept(account, name, message, request))
        return json_reply(answer)

    def _account(self, request: web.Request) -> tuple[SandboxAccount | None, web.Response]:
        """The account of the URL, or None and what is wrong with it."""
        space, query = request.match_info["space"], request.query
        key, token = query.get("key", ""), query.get("token", "")
        account = self.state.find_account(self.key, f"{space} {key} {token}")
        if account is not None and space in FATES:
            return None, _error(*FATES[space])
        if account is not None:
            return account, web.Response()
        if self.state.find_account(self.key, f"{space} {key}"):
            return None, _error(403, "The caller does not have permission")
        if self.state.find_account(self.key, space):
            words = "API key not valid. Please pass a valid API key."
            return None, _error(400, words)
        return None, _error(404, "Space not found.")

    def _kept(
        self,
        account: SandboxAccount,
        name: str,
        message: Mapping[str, Any],
        request: web.Request,
    ) -> SandboxMessage:
        widgets = [widget for card in _cards(message) for widget in _widgets_of(card)]
        lines = [str(message["text"]), *_lines(widgets)]
        found = _ATTEMPT.search(lines[-1])
        titles = [str(card.get("header", {}).get("title", "")) for card in _cards(message)]
        return SandboxMessage(
            vendor=self.key,
            channel=self.channel,
            account=account,
            id=name,
            to=account.settings.get("channel_name") or self.account_name(account.settings),
            text=str(message["text"]),
            subject=titles[0] if titles else "",
            attempt=found[0] if found else "",
            raw=_without_query(raw_of(request, lambda: message)),
            extra={
                "lines": lines,
                "thread": message.get("thread", {}).get("threadKey", ""),
                "buttons": [
                    {"label": button["text"], "url": button["onClick"]["openLink"]["url"]}
                    for widget in widgets
                    for button in widget.get("buttonList", {}).get("buttons", ())
                ],
            },
        )


def _space(url: str) -> str:
    """The space in a webhook's URL. Raises ValueError for another URL."""
    parts = urlsplit(url).path.strip("/").split("/")
    if len(parts) < 3 or parts[-3] != "spaces" or parts[-1] != "messages":
        raise ValueError("'webhook_url' does not look like https://host/v1/spaces/X/messages")
    return parts[-2]


def _query_problem(request: web.Request) -> str:
    """What Google does not like about the query; "" = nothing."""
    for name in request.query:
        if name not in _PARAMETERS or len(request.query.getall(name)) > 1:
            return f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query'
    if request.query.get("messageReplyOption", "") not in _REPLY_OPTIONS:
        return "Invalid value at 'message_reply_option'"
    return ""


def _message(body: bytes) -> tuple[dict[str, Any] | None, str]:
    """The message in ``body``, or None and why Google would not take it."""
    if len(body) > MESSAGE_LIMIT:
        return None, "The message is too long."
    try:
        message = json.loads(body)
    except ValueError:
        return None, "Invalid JSON payload received."
    if not isinstance(message, dict):
        return None, "Invalid JSON payload received."
    unknown = message.keys() - _FIELDS
    if unknown:
        return None, f'Invalid JSON payload received. Unknown name "{min(unknown)}"'
    if not isinstance(message.get("text"), str) or not message["text"]:
        return None, "Message cannot be empty."
    try:
        for card in _cards(message):
            for widget in _widgets_of(card):
                if len(widget) != 1 or not widget.keys() <= _WIDGETS:
                    return None, "Invalid widget"
                for button in widget.get("buttonList", {}).get("buttons", ()):
                    # only a Chat app can take a click
                    _ = button["text"], button["onClick"]["openLink"]["url"]
    except (KeyError, TypeError, AttributeError):
        return None, "Invalid JSON payload received. Unknown name in cardsV2"
    return message, ""


def _cards(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [entry["card"] for entry in message.get("cardsV2", ())]


def _widgets_of(card: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [widget for section in card["sections"] for widget in section["widgets"]]


def _lines(widgets: list[dict[str, Any]]) -> Iterator[str]:
    for widget in widgets:
        fact = widget.get("decoratedText")
        if fact:
            yield f"{fact.get('topLabel', '')}: {fact['text']}"
        if "textParagraph" in widget:
            yield str(widget["textParagraph"]["text"])


def _without_query(raw: Any) -> Any:
    """The raw request without key and token."""

    def shown() -> dict[str, Any]:
        request: dict[str, Any] = raw()
        return {**request, "path": request["path"].partition("?")[0] + "?…"}

    return shown


def _error(status: int, words: str, headers: Any = None) -> web.Response:
    error = {"code": status, "message": words, "status": _STATUSES.get(status, "UNKNOWN")}
    return json_reply({"error": error}, status=status, headers=headers)
