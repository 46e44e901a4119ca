"""Zendesk's error bodies: a name, sometimes with details by field, and what they blame."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from integrations.payloads import inner, objects, text

_NAME = re.compile(r"[A-Za-z_]{1,60}", re.ASCII)
#: fields of the details that speak of the person, and words that do where "base" is the field
_REQUESTER = frozenset({"requester", "requester_id", "requester_email", "email"})
_BLAMES = re.compile(r"\b(requester|suspended|e-?mail)\b", re.IGNORECASE)


def code_of(answer: Mapping[str, Any]) -> str:
    """RecordInvalid, RecordNotFound ...; "" where there is no plain name."""
    name = text(answer.get("error"), 80)
    return name if _NAME.fullmatch(name) else ""


def blames_requester(answer: Mapping[str, Any]) -> bool:
    """Whether the person is what is wrong: an impossible mailbox, a suspended user."""
    details = inner(answer, "details")
    if _REQUESTER & details.keys():
        return True
    return any(_BLAMES.search(said) for said in _descriptions(details.get("base")))


def is_closed(answer: Mapping[str, Any]) -> bool:
    """Whether the ticket is closed, which nothing can undo."""
    details = inner(answer, "details")
    found = [*objects(details.get("status")), *objects(details.get("base"))]
    return any(
        one.get("error") == "ClosedTicket"
        or "closed prevents ticket update" in text(one.get("description"), 300).lower()
        for one in found
    )


def _descriptions(value: Any) -> list[str]:
    return [text(one.get("description"), 300) for one in objects(value)]
