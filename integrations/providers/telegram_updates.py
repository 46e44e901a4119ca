"""What Telegram's webhook says: words, pressed buttons, and people who block the bot.

The webhook is proved by a shared secret in a header. Nothing covers the body, so the secret must
be one nobody else knows, a different one for each bot.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from integrations.contracts import Channel, InboundCall, Reply
from integrations.errors import PayloadMalformed, SignatureInvalid
from integrations.payloads import inner, load_object, text, unix_time
from integrations.signatures import matches_any

_SECRET = "x-telegram-bot-api-secret-token"  # noqa: S105 - the name of a header
_LONGEST_TEXT = 4096
_COMMAND = re.compile(r"/([a-z_]{1,32})(?:@(\w+))?(?:\s+(.*))?", re.IGNORECASE | re.DOTALL)
#: the updates we read
_UPDATES = ("message", "callback_query", "my_chat_member")
#: what stands for words; in an animation there is a document, too
_MEDIA = (
    *("photo", "voice", "audio", "video", "video_note", "animation", "document", "sticker"),
    *("location", "contact"),
)
_LINK_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")
#: what our commands say in words; /start alone explains and restores no consent
_COMMANDS: Mapping[str, str] = {
    "stop": "STOP",
    "start": "HELP",
    "help": "HELP",
    "status": "STATUS",
    "eta": "STATUS",
}


def verified(call: InboundCall, secrets: Iterable[str]) -> Mapping[str, Any]:
    """The update in a call that bears one of ``secrets``; empty ones are none.

    Raises SignatureInvalid or PayloadMalformed.
    """
    known = [secret for secret in secrets if secret]
    if not known:
        raise SignatureInvalid("no secret token is set on the account")
    given = call.headers.get(_SECRET, "")
    if not given:
        raise SignatureInvalid("header X-Telegram-Bot-Api-Secret-Token is missing")
    if not matches_any(given, known):
        raise SignatureInvalid(
            f"X-Telegram-Bot-Api-Secret-Token ({len(given)} characters) is not the account's"
        )
    return load_object(call.body)


def read_reply(update: Mapping[str, Any], bot_username: str) -> Reply | None:
    """What a person said in ``update``; None for everything else."""
    update_id = text(update.get("update_id"))
    if not update_id:
        return None
    if inner(update, "callback_query"):
        return _pressed(update_id, inner(update, "callback_query"))
    if inner(update, "my_chat_member"):
        return _blocked(update_id, inner(update, "my_chat_member"))
    return _said(update_id, inner(update, "message"), bot_username)


def webhook_gaps(info: Mapping[str, Any]) -> list[str]:
    """What is missing at Telegram for answers to come in, a sentence each (getWebhookInfo)."""
    if not text(info.get("url")):
        return ["Telegram has no webhook for this bot: call setWebhook with the account's URL."]
    gaps = []
    wanted = info.get("allowed_updates")
    missing = [kind for kind in _UPDATES if isinstance(wanted, list) and kind not in wanted]
    if wanted and missing:
        gaps.append(f"Telegram does not tell us of {', '.join(missing)}: set allowed_updates.")
    waiting = text(info.get("pending_update_count"))
    if waiting not in ("", "0") and info.get("last_error_date"):
        gaps.append(f"Telegram cannot reach the webhook: {waiting} updates wait.")
    return gaps


def chat_of(message: Mapping[str, Any]) -> str:
    """The address of a message: the chat, with the topic where it has one ("-100123/7")."""
    chat = text(inner(message, "chat").get("id"))
    topic = text(message.get("message_thread_id"))
    is_topic = chat and topic and message.get("is_topic_message") is True
    return f"{chat}/{topic}" if is_topic else chat


def _said(update_id: str, message: Mapping[str, Any], bot_username: str) -> Reply | None:
    chat = chat_of(message)
    # our own group may be read aloud by another bot: machines do not answer machines
    if not chat or inner(message, "from").get("is_bot") is True:
        return None
    words = str(message.get("text") or message.get("caption") or "")[:_LONGEST_TEXT]
    words = words or next((f"[{kind}]" for kind in _MEDIA if message.get(kind)), "")
    if not words:
        return None  # somebody joined, a group got a new id or title
    action: dict[str, str] = {}
    command = _COMMAND.fullmatch(words.strip())
    if command is not None:
        if command[2] and bot_username and command[2].lower() != bot_username.lower():
            return None  # a command for another bot of the group
        name, rest = command[1].lower(), (command[3] or "").strip()
        if name == "start" and _LINK_TOKEN.fullmatch(rest):
            words, action = "", {"type": "link", "value": rest}
        else:
            words = _COMMANDS.get(name, words)
    return Reply(
        channel=Channel.TELEGRAM,
        sender=chat,
        text=words,
        vendor_id=f"update:{update_id}",
        occurred_at=_moment(message.get("date")),
        action=action,
        recipient=bot_username,
    )


def _pressed(update_id: str, query: Mapping[str, Any]) -> Reply | None:
    chat, data = chat_of(inner(query, "message")), text(query.get("data"), 64)
    if not chat or not data:
        return None
    kind = data.partition(":")[0]
    return Reply(
        channel=Channel.TELEGRAM,
        sender=chat,
        # "status:1042" asks what the word asks; the order is the chat's own, whatever it says
        text=_COMMANDS.get(kind, "") if kind in ("status", "eta", "stop") else "",
        vendor_id=f"update:{update_id}",
        action={"type": "button", "value": data},
    )


def _blocked(update_id: str, change: Mapping[str, Any]) -> Reply | None:
    """A person who blocks the bot says stop; unblocking it restores nothing by itself."""
    chat = inner(change, "chat")
    is_private = chat.get("type") == "private"
    has_left = inner(change, "new_chat_member").get("status") in ("kicked", "left")
    if not (is_private and has_left and text(chat.get("id"))):
        return None
    return Reply(
        channel=Channel.TELEGRAM,
        sender=text(chat.get("id")),
        text="STOP",
        vendor_id=f"update:{update_id}",
        occurred_at=_moment(change.get("date")),
        vendor_handled="stop",
        # nothing can reach somebody who blocked us
        vendor_confirmed=True,
    )


def _moment(value: object) -> Any:
    try:
        return unix_time(value, "date")
    except PayloadMalformed:
        return None
