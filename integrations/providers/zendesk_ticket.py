"""The ticket a message becomes: what a new one holds, what an update adds, how to know it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from integrations import tickets
from integrations.contracts import Message
from integrations.payloads import text

_SUBJECT_CHARS = 150


def opened(message: Message, *, group: int, status_field: int, follows: str) -> dict[str, Any]:
    """A new ticket of ``message.to``; ``follows`` is the closed one it continues."""
    is_trouble = tickets.is_trouble(message)
    ticket: dict[str, Any] = {
        "subject": tickets.subject(message, _SUBJECT_CHARS),
        "external_id": external_id(message),
        # somebody new without a name is refused; the name of somebody known stays
        "requester": {
            "name": tickets.first_name(message) or "Guest",
            "email": tickets.mailbox(message.to),
        },
        **_content(message, status_field),
        "tags": [*tickets.tags(message), _tag(message)],
        "priority": "high" if is_trouble else "normal",
    }
    if is_trouble or tickets.is_internal(message):
        ticket["type"] = "incident" if is_trouble else "question"
    else:
        ticket["status"] = "pending"  # news for the guest is no work for an agent
    if group:
        ticket["group_id"] = group
    if follows:
        ticket["via_followup_source_id"] = int(follows)
    return ticket


def added(message: Message, *, status_field: int) -> dict[str, Any]:
    """What ``message`` changes on its ticket: one comment more, and tags beside the others."""
    needs_look = tickets.is_internal(message) or tickets.is_trouble(message)
    return {
        **_content(message, status_field),
        "additional_tags": tickets.tags(message),
        "status": "open" if needs_look else "pending",
    }


def external_id(message: Message) -> str:
    """Our name for the ticket: the order's, where there is an order."""
    return message.thread_key or f"order-up-{tickets.reference(message)}"


def is_opened_by(ticket: Mapping[str, Any], message: Message) -> bool:
    """Whether ``message`` opened this ticket."""
    listed = ticket.get("tags")
    return isinstance(listed, list) and _tag(message) in listed


def is_said_by(comment: Mapping[str, Any], message: Message) -> bool:
    """Whether ``message`` is this comment, by its words and who may read them.

    A comment can carry no mark of ours; two messages of one ticket do not read the same.
    """
    said = text(comment.get("plain_body") or comment.get("body"), 100_000)
    is_public = comment.get("public") is not False
    is_same = said.split() == tickets.words(message).split()
    return is_same and is_public is not tickets.is_internal(message)


def _content(message: Message, status_field: int) -> dict[str, Any]:
    content: dict[str, Any] = {
        "comment": {"body": tickets.words(message), "public": not tickets.is_internal(message)},
    }
    if status_field:
        state = str(message.order.get("state") or tickets.topic(message))
        content["custom_fields"] = [{"id": status_field, "value": state}]
    return content


def _tag(message: Message) -> str:
    return f"delivery_{tickets.reference(message)}"
