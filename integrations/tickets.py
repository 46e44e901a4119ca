"""What helpdesks have in common: who may read which words, what a ticket is about, who wrote."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from integrations.contracts import Message
from integrations.mail_words import is_markup, own_words, without_markup

#: a guest's words handed over to staff
HAND_OVER = "customer_message"
_ANSWERS = frozenset({"status_requested", "reply"})
#: news a person of the restaurant should look at
_TROUBLE = frozenset(
    {
        *("delayed", "overdue", "stalled", "cancelled", "failed"),
        *("recalled", "conflict", "courier_failed", "after_sale", HAND_OVER),
    }
)
_TICKET = re.compile(r"[1-9][0-9]{0,19}", re.ASCII)
_MAILBOX = re.compile(r"[^\s@<>\",;]{1,64}@[^\s@<>\",;]{1,190}")
_NO_WORD = re.compile(r"[^a-z0-9]+")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
#: both vendors' template languages; a guest called "{{ticket.url}}" must stay called so
_PLACEHOLDER = re.compile(r"\{(?=[{%])")
#: a line of dashes and who wrote when, which Zendesk may put above a comment
_BYLINE = re.compile(r"\A\s*-{10,}[^\n]*\n+[^\n]{1,200}\d{4}[^\n]{0,80}\n+")


# --- what leaves --------------------------------------------------------------------------------


def is_internal(message: Message) -> bool:
    """Whether only the staff may read ``message``: a note, never a mail to the guest."""
    audience = str(message.recipient.get("audience") or "")
    return (
        message.event_kind == HAND_OVER
        or audience not in ("", "customer")
        or message.purpose.endswith("_ops")
    )


def topic(message: Message) -> str:
    """One word for what ``message`` is about: ready, delayed, edited, status_requested."""
    kind, milestone = message.event_kind, message.milestone.partition(":")[0]
    word = milestone if kind in ("status_changed", "order_delayed") and milestone else kind
    return _NO_WORD.sub("_", word.lower()).strip("_").removeprefix("order_")[:22] or "news"


def is_trouble(message: Message) -> bool:
    """Whether somebody should look at the ticket."""
    return topic(message) in _TROUBLE


def tags(message: Message) -> list[str]:
    """What the restaurant's own rules can look for."""
    answered = ["auto_answered"] if message.event_kind in _ANSWERS else []
    return ["order_alert", f"order_{topic(message)}", *answered]


def reference(message: Message) -> str:
    """20 characters that stand for one delivery at any restaurant, the same for every try."""
    if message.delivery_key:
        words = f"{message.event.get('id')}|{message.thread_key}|{message.delivery_key}"
    else:
        words = message.attempt_id
    return sha256(words.encode("utf-8", "replace")).hexdigest()[:20]


def words(message: Message) -> str:
    """The text, for a hand-over with what was said before; "" when there is nothing to say."""
    said = sendable(message.text).strip()
    before = "\n".join(_before(message)) if message.event_kind == HAND_OVER else ""
    return f"{said}\n\nBefore that (UTC):\n{before}" if said and before else said


def _before(message: Message) -> Iterator[str]:
    lines = [line for line in message.event.get("conversation") or [] if isinstance(line, Mapping)]
    if lines and lines[-1].get("text") == message.event.get("detail"):
        lines.pop()
    for line in lines:
        at = str(line.get("at") or "")[11:16]
        text = " ".join(sendable(str(line.get("text") or "")).split())
        yield f"{at} {line.get('from')}: {text}".strip()


def subject(message: Message, limit: int) -> str:
    """One line of at most ``limit`` characters."""
    line = " ".join((sendable(message.subject).strip() or sendable(message.text)).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def first_name(message: Message) -> str:
    """What the vendor may call somebody new; "" when nobody knows."""
    return " ".join(sendable(str(message.recipient.get("first_name") or "")).split())[:60]


def mailbox(value: str) -> str:
    """``value`` when it can be a mailbox, else ""."""
    found = value.strip()
    return found if _MAILBOX.fullmatch(found) else ""


def ticket_of(value: object) -> str:
    """``value`` when it can be the number of a ticket, else ""."""
    found = str(value).strip()
    return found if _TICKET.fullmatch(found) else ""


def sendable(text: str) -> str:
    """``text`` without controls and halves of characters, and without working placeholders."""
    text = text.replace("\r\n", "\n").encode("utf-8", "ignore").decode()
    return _PLACEHOLDER.sub("{\u200b", _CONTROL.sub("", text))


# --- what comes back ----------------------------------------------------------------------------


def said_words(value: Any) -> str:
    """What a person wrote in a comment: without byline, markup and quotation."""
    text = value if isinstance(value, str) else ""
    text = _BYLINE.sub("", text.replace("\r\n", "\n"))
    return own_words(without_markup(text) if is_markup(text) else text)
