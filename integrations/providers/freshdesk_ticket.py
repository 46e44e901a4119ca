"""The ticket, reply or note a message becomes at Freshdesk, and how to know it again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Any

from integrations import tickets
from integrations.contracts import Message
from integrations.payloads import text

_SUBJECT_CHARS = 255
_TAG_CHARS = 32
_OPEN, _PENDING = 2, 3
_MEDIUM, _HIGH = 2, 3
_BY_PORTAL = 2
_LINK = re.compile(r"https?://[^\s<>\"']+[^\s<>\"'.,;:!?)]")
#: what our own words carry unseen: a look-up knows them by it, and a webhook that echoes them
MARK = re.compile(r"order-up-[0-9a-f]{20}")


def first_mail(message: Message, *, mailbox_id: int, fields: Mapping[str, Any]) -> dict[str, Any]:
    """A new ticket that begins with a mail to the guest."""
    return {
        **_ticket(message, fields),
        "description": html(message),
        "email_config_id": mailbox_id,
        "status": _OPEN if tickets.is_trouble(message) else _PENDING,
    }


def for_staff(message: Message, *, fields: Mapping[str, Any]) -> dict[str, Any]:
    """A new ticket that mails nobody our words: its description can be read by its requester.

    So a hand-over describes it in the guest's own words, as if they had opened it.
    """
    said = message.text
    if message.event_kind == tickets.HAND_OVER:
        said = str(message.event.get("detail") or "") or message.text
    return {
        **_ticket(message, fields),
        "description": _html(tickets.sendable(said).strip() or "-", message),
        "status": _OPEN,
        "source": _BY_PORTAL,
    }


def html(message: Message) -> str:
    """The words as HTML, nothing of them markup, with our mark behind them."""
    return _html(tickets.words(message), message)


def tag(message: Message) -> str:
    """The tag by which the ticket a message opened is found."""
    return f"delivery-{tickets.reference(message)}"


def is_said_by(conversation: Mapping[str, Any], message: Message) -> bool:
    """Whether ``message`` is this reply or note."""
    body = text(conversation.get("body"), 1_000_000) + text(
        conversation.get("body_text"), 1_000_000
    )
    return _mark(message) in body and conversation.get("incoming") is not True


def is_opened_by(ticket: Mapping[str, Any], message: Message) -> bool:
    """Whether ``message`` opened this ticket."""
    listed = ticket.get("tags")
    return isinstance(listed, list) and tag(message) in listed


def _ticket(message: Message, fields: Mapping[str, Any]) -> dict[str, Any]:
    number = tickets.sendable(str(message.order.get("number") or "")).strip()
    numbered = [f"order-{number}"[:_TAG_CHARS].replace(",", "")] if number else []
    name = tickets.first_name(message)
    return {
        "subject": tickets.subject(message, _SUBJECT_CHARS),
        "email": tickets.mailbox(message.to),
        **({"name": name} if name else {}),
        "priority": _HIGH if tickets.is_trouble(message) else _MEDIUM,
        "tags": [*tickets.tags(message), *numbered, tag(message)],
        **fields,
    }


def _html(words: str, message: Message) -> str:
    pieces = _LINK.split(words)
    said = escape(pieces[0])
    for link, after in zip(_LINK.findall(words), pieces[1:], strict=True):
        said += f'<a href="{escape(link)}">{escape(link)}</a>{escape(after)}'
    lines = said.replace("\n", "<br>")
    return f'<p>{lines}</p><div style="display:none">{_mark(message)}</div>'


def _mark(message: Message) -> str:
    return f"order-up-{tickets.reference(message)}"
