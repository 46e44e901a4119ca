"""Slack's incoming webhooks (JSON in, the plain text ``ok`` or an error word out) and its bots.

The URL is the credential, there is no message id and no receipt. A bot's ``chat.postMessage``
answers JSON with the message's ``ts``, on which a thread can hang. A button press comes back as
a signed ``block_actions`` form when the account has a signing secret.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from aiohttp import web

from integrations.sandbox.callbacks import VendorCall
from integrations.sandbox.state import SandboxAccount, SandboxMessage, SandboxReply
from integrations.sandbox.vendors.base import (
    Magic,
    Route,
    SandboxVendor,
    json_reply,
    needed,
    random_hex,
    raw_of,
)
from integrations.signatures import hmac_hex

#: a message carries the id of its attempt at the end of its last, small line
_ATTEMPT = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
BLOCKS_LIMIT = 50
#: longest text of a block by its type
_TEXT_LIMITS: Mapping[str, int] = {"header": 150, "section": 3000}
_FIELDS_LIMIT, _FIELD_LIMIT = 10, 2000
_BUTTON_LIMIT, _VALUE_LIMIT, _URL_LIMIT, _ID_LIMIT = 75, 2000, 3000, 255
#: hooks (the part behind the team) of channels something happened to -> status and word
FATES: Mapping[str, tuple[int, str]] = {
    "B0ARCHIVED": (410, "channel_is_archived"),
    "B0DELETED": (404, "channel_not_found"),
    "B0REMOVED": (404, "no_active_hooks"),
    "B0REVOKED": (403, "invalid_token"),
    "B0FORBIDDEN": (403, "action_prohibited"),
    "B0GENERAL": (403, "posting_to_general_channel_denied"),
    "B0SUSPENDED": (403, "team_disabled"),
    "B0LEFT": (400, "user_not_found"),
}
#: channels of bots, likewise
BOT_FATES: Mapping[str, str] = {
    "C0ARCHIVED": "is_archived",
    "C0OUTSIDE": "not_in_channel",
    "C0REVOKED": "token_revoked",
    "C0UNSURE": "internal_error",
}


class Slack(SandboxVendor):
    """Team chat. The message wall shows it as cards of one channel."""

    key = "slack"
    title = "Slack"
    channel = "team_chat"
    magic = (
        *(Magic(f".../{hook}/...", f"{status} {word}") for hook, (status, word) in FATES.items()),
        *(Magic(channel, word) for channel, word in BOT_FATES.items()),
    )

    def routes(self) -> Iterable[Route]:
        return (
            Route("POST", "/services/{team}/{hook}/{secret}", self.create),
            Route("POST", "/api/chat.postMessage", self.post),
        )

    def account_name(self, settings: Mapping[str, str]) -> str:
        return "/".join(_path_of(settings)[:2])

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        if settings.get("bot_token"):
            # one bot may be in many channels
            return [
                f"{settings['bot_token']} {needed(settings, 'channel_id')}",
                settings["bot_token"],
            ]
        team, hook, secret = _path_of(settings)
        # shorter paths tell what part of a wrong URL is unknown
        return [f"{team}/{hook}/{secret}", f"{team}/{hook}", team]

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        if status == 429:
            headers = {"Retry-After": f"{retry_after_s:g}"}
            return web.Response(text="rate_limited", status=429, headers=headers)
        return web.Response(text="rollup_error", status=status)

    async def create(self, request: web.Request) -> web.StreamResponse:
        """POST a message to a channel's webhook URL."""
        account, refused = self._account(request)
        if account is None:
            return refused
        payload = _payload(request, await request.read())
        if payload is None:
            return web.Response(text="invalid_payload", status=400)
        text = payload.get("text")
        if not isinstance(text, str) or not text.strip():
            return web.Response(text="no_text", status=400)
        if not _are_blocks_valid(payload.get("blocks", [])):
            return web.Response(text="invalid_blocks", status=400)
        self.accept(lambda: self._message(account, text, payload, request))
        return web.Response(text="ok")

    async def post(self, request: web.Request) -> web.StreamResponse:
        """POST a message as a bot."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            return _bot_answer("not_authed")
        if self.state.find_account(self.key, token) is None:
            return _bot_answer("invalid_auth")
        payload = _payload(request, await request.read())
        if payload is None:
            return _bot_answer("invalid_json")
        channel = str(payload.get("channel"))
        account = self.state.find_account(self.key, f"{token} {channel}")
        if account is None:
            return _bot_answer("channel_not_found")
        if channel in BOT_FATES:
            return _bot_answer(BOT_FATES[channel])
        text = payload.get("text")
        if not isinstance(text, str) or not text.strip():
            return _bot_answer("no_text")
        if not _are_blocks_valid(payload.get("blocks", [])):
            return _bot_answer("invalid_blocks")
        known = self.state.resources.setdefault((self.key, "stamps", channel), {})
        thread = payload.get("thread_ts", "")
        if thread and thread not in known:
            return _bot_answer("thread_not_found")
        stamp = f"{time.time():.0f}.{len(known) + 1:06d}"
        known[stamp] = thread
        kept = f"{channel}/{stamp}"
        self.accept(lambda: self._message(account, text, payload, request, id=kept))
        return _bot_answer("", channel=channel, ts=stamp)

    def _account(self, request: web.Request) -> tuple[SandboxAccount | None, web.Response]:
        """The account of the URL, or None and Slack's word for what is wrong with it."""
        team, hook, secret = (request.match_info[part] for part in ("team", "hook", "secret"))
        account = self.state.find_account(self.key, f"{team}/{hook}/{secret}")
        if account is not None and hook in FATES:
            status, word = FATES[hook]
            return None, web.Response(text=word, status=status)
        if account is not None:
            return account, web.Response()
        if self.state.find_account(self.key, f"{team}/{hook}"):
            return None, web.Response(text="invalid_token", status=403)
        word = "no_service" if self.state.find_account(self.key, team) else "no_team"
        return None, web.Response(text=word, status=404)

    def _message(
        self,
        account: SandboxAccount,
        text: str,
        payload: Mapping[str, Any],
        request: web.Request,
        *,
        id: str = "",
    ) -> SandboxMessage:
        blocks = payload.get("blocks", [])
        headers = [words for kind, words in _block_texts(blocks) if kind == "header"]
        return SandboxMessage(
            vendor=self.key,
            channel=self.channel,
            account=account,
            id=id or f"slack-{random_hex(8)}",
            to=account.settings.get("channel_name") or self.account_name(account.settings),
            # mrkdwn carries three characters as entities; a reader sees the characters
            text=unescape(text),
            attempt=_attempt(blocks),
            subject=headers[0] if headers else "",
            raw=_without_url(raw_of(request, lambda: payload)),
            extra={
                "lines": [words for kind, words in _block_texts(blocks) if kind != "header"],
                "buttons": list(_buttons(blocks)),
                "thread": str(payload.get("thread_ts", "")),
                "in_channel": not payload.get("thread_ts") or bool(payload.get("reply_broadcast")),
            },
        )

    def reply(
        self, account: SandboxAccount, words: Mapping[str, Any]
    ) -> tuple[SandboxReply, VendorCall]:
        """A button press: ``action`` {"action_id","value","block_id"} by the user ``from``."""
        action = words.get("action")
        if not isinstance(action, Mapping) or not action.get("action_id"):
            raise ValueError("'action' is the button: action_id, value")
        user = str(words.get("from") or "sam")
        stamp = f"{time.time():.6f}"
        press = {"type": "button", "action_ts": stamp, **action}
        reply = SandboxReply(
            vendor=self.key,
            id=f"{user}:{stamp}",
            sender=user,
            to=self.account_name(account.settings),
            text=str(words.get("text") or action.get("value") or action["action_id"]),
        )
        return reply, _interaction(account, user, press)


def _interaction(account: SandboxAccount, user: str, press: Mapping[str, Any]) -> VendorCall:
    """The signed ``block_actions`` call of one button press."""
    team, channel, _ = _path_of(account.settings)
    payload = {
        "type": "block_actions",
        "trigger_id": f"{random_hex(6)}.{random_hex(6)}",
        "api_app_id": "A0SANDBOX",
        "team": {"id": team},
        "user": {"id": user, "username": user.lower()},
        "channel": {"id": f"C{channel[1:]}"},  # a hook's channel is made up
        "response_url": f"https://hooks.slack.com/actions/{team}/{channel}/{random_hex(8)}",
        "actions": [press],
    }
    body = urlencode({"payload": json.dumps(payload)}).encode()
    signed_at = str(int(time.time()))
    secret = needed(account.settings, "signing_secret")
    return VendorCall(
        account.target(account.webhook_url),
        body,
        {
            "Content-Type": "application/x-www-form-urlencoded",
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            "X-Slack-Request-Timestamp": signed_at,
            "X-Slack-Signature": "v0=" + hmac_hex(secret, f"v0:{signed_at}:".encode() + body),
        },
    )


def _bot_answer(error: str, **facts: str) -> web.Response:
    return json_reply({"ok": False, "error": error} if error else {"ok": True, **facts})


def _path_of(settings: Mapping[str, str]) -> tuple[str, str, str]:
    """(team, hook or channel, secret) of an account. Raises ValueError for what is no account."""
    if settings.get("bot_token"):
        return "T0SANDBOX", needed(settings, "channel_id"), settings["bot_token"]
    parts = urlsplit(needed(settings, "webhook_url")).path.strip("/").split("/")
    if len(parts) < 4 or parts[-4] != "services":
        raise ValueError("'webhook_url' does not look like https://host/services/T/B/X")
    return parts[-3], parts[-2], parts[-1]


def _payload(request: web.Request, body: bytes) -> dict[str, Any] | None:
    """The JSON object sent as the body or as the form field ``payload``; None if unreadable."""
    text = body.decode("utf-8", "replace")
    if request.content_type == "application/x-www-form-urlencoded":
        text = parse_qs(text).get("payload", [""])[0]
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _without_url(raw: Any) -> Any:
    """The raw request with the secret end of its path left out."""

    def shown() -> dict[str, Any]:
        request: dict[str, Any] = raw()
        if "/services/" not in request["path"]:
            return request
        return {**request, "path": request["path"].rpartition("/")[0] + "/…"}

    return shown


def _are_blocks_valid(blocks: Any) -> bool:
    """The published limits of the block types we know; unknown types pass."""
    if not isinstance(blocks, list) or len(blocks) > BLOCKS_LIMIT:
        return False
    for block in blocks:
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            return False
        limit = _TEXT_LIMITS.get(block["type"], 0)
        text = block.get("text")
        if limit and text is not None and not 0 < len(_plain(text)) <= limit:
            return False
        fields = block.get("fields", ())
        if len(fields) > _FIELDS_LIMIT or len(block.get("block_id", "")) > _ID_LIMIT:
            return False
        if not all(0 < len(_plain(field)) <= _FIELD_LIMIT for field in fields):
            return False
        if not all(_is_element_valid(element) for element in block.get("elements", ())):
            return False
    return True


def _is_element_valid(element: Any) -> bool:
    if element.get("type") != "button":
        return bool(_plain(element))
    url = element.get("url")
    return (
        0 < len(_plain(element.get("text"))) <= _BUTTON_LIMIT
        and len(element.get("action_id", "")) <= _ID_LIMIT
        and len(element.get("value", "")) <= _VALUE_LIMIT
        and (url is None or (url.startswith(("https://", "http://")) and len(url) <= _URL_LIMIT))
    )


def _plain(text: Any) -> str:
    return str(text.get("text", "")) if isinstance(text, Mapping) else str(text or "")


def _block_texts(blocks: list[Any]) -> Iterator[tuple[str, str]]:
    """(block type, words) of everything a reader sees except buttons."""
    for block in blocks:
        kind = block["type"]
        if block.get("text"):
            yield kind, _plain(block["text"])
        for field in block.get("fields", ()):
            yield kind, _plain(field)
        if kind == "context":
            for element in block.get("elements", ()):
                yield kind, _plain(element)


def _attempt(blocks: list[Any]) -> str:
    small = [words for kind, words in _block_texts(blocks) if kind == "context"]
    found = _ATTEMPT.search(small[-1]) if small else None
    return found[0] if found else ""


def _buttons(blocks: list[Any]) -> Iterator[dict[str, str]]:
    for block in blocks:
        for element in block.get("elements", ()):
            if element.get("type") == "button":
                yield {
                    "label": _plain(element.get("text")),
                    "url": str(element.get("url", "")),
                    "action_id": str(element.get("action_id", "")),
                    "block_id": str(block.get("block_id", "")),
                    "value": str(element.get("value", "")),
                }
