"""What every team chat shows of a message: title, facts, links, and a reference to know it by."""

from __future__ import annotations

import re
from collections.abc import Iterator

from integrations.contracts import Message

#: control characters take six bytes in JSON and vendors refuse some; half characters take none
_UNSENDABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def sendable(words: str) -> str:
    """Without control characters, halves of surrogate pairs and blanks around; lines end in LF."""
    return _UNSENDABLE.sub("", words.replace("\r\n", "\n").replace("\r", "\n")).strip()


def cut(words: str, limit: int) -> str:
    """``words`` in at most ``limit`` characters; what was cut ends in an ellipsis."""
    return words if len(words) <= limit else words[: limit - 1] + "…"


def title(message: Message) -> str:
    """The subject, else the first line of the text, else our name."""
    return sendable(message.subject) or sendable(message.text).partition("\n")[0] or "Order Up"


def reference(message: Message) -> str:
    """The line at the end of a message: two with one reference are one event told twice."""
    return sendable(f"{message.event_kind} - {message.milestone} - {message.attempt_id}")


def facts(message: Message) -> Iterator[tuple[str, str]]:
    """(label, value) of what is known about the order."""
    for label, name in (
        ("Order", "number"),
        ("State", "state_label"),
        ("Source", "source"),
        ("Expected", "eta_time"),
        ("Reason", "reason"),
    ):
        value = sendable(str(message.order.get(name) or ""))
        if value:
            yield label, value


def links(message: Message, *, longest: int) -> Iterator[tuple[str, str, str]]:
    """(name, label, URL) of the pages behind a message; what chats would refuse is left out."""
    for name, label in (("acknowledge", "Acknowledge"), ("order", "Open order")):
        link = message.links.get(name, "")
        if link.startswith(("https://", "http://")) and len(link) <= longest:
            yield name, label, link
