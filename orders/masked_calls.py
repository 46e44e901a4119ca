"""A call as it came, for who looks for its fault: its shape, and nothing about a person. Pure.

Shown are names of members, and values that can only be an id, a time, a state or a count. Text
anybody may have typed is shown as its length, and everything below a person or an address as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from integrations import payloads
from integrations.errors import PayloadMalformed

#: last words of members whose values are shown
_PLAIN = frozenset(
    """
    state status type kind event events id ids guid uuid at time timestamp ts date gmt version mode
    code category topic quantity count sequence specversion action method stage class currency
    timezone window scope
    """.split()  # noqa: SIM905 - a list of words reads as words
)
#: words of members that lead to a person or a place
_PEOPLE = frozenset(
    """
    customer customers consumer eater eaters guest recipient billing shipping contact courier dasher
    driver dropoff address destination person user employee server cardholder payment payments
    name phone email mail note notes instructions message comment reason token secret key password
    """.split()  # noqa: SIM905
)
#: words of headers that prove who calls
_PROOF = frozenset("signature hmac auth authorization token key secret mac cookie".split())  # noqa: SIM905
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_PHONE = re.compile(r"\+\d|\(\d{3}\)|\d{3}[ .-]\d{3}[ .-]\d{4}")
_NUMBER = re.compile(r"\d{7,}")
MOST_ENTRIES, DEEPEST, MOST_LINES, LONGEST = 20, 12, 400, 120


def masked_headers(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Every header with its value, or with its length where it may say who somebody is."""
    return [
        (name, value if _is_plain_header(name, value) else _hidden(value))
        for name, value in sorted(headers.items())
    ]


def masked_body(body: bytes) -> str:
    """The body's members, one a line; of a body that is no JSON only its size."""
    try:
        value = payloads.load_json(body)
    except PayloadMalformed:
        kind = "text" if _is_text(body) else "bytes that are no UTF-8 text"
        return f"{len(body)} bytes, {kind}, not JSON"
    lines: list[str] = []
    for line in _lines(value, "", is_hidden=False, depth=0):
        if len(lines) == MOST_LINES:
            lines.append("…")
            break
        lines.append(line)
    return "\n".join(lines)


def _lines(value: Any, name: str, *, is_hidden: bool, depth: int) -> Iterator[str]:
    pad, label = "  " * depth, f"{name}: " if name else ""
    is_hidden = is_hidden or bool(_PEOPLE & set(_words(name)))
    if isinstance(value, dict | list) and depth >= DEEPEST:
        yield f"{pad}{label}…"
    elif isinstance(value, dict):
        yield f"{pad}{label}{'{}' if not value else '{'}"
        for index, (key, inside) in enumerate(value.items()):
            if index == MOST_ENTRIES * 5:
                yield f"{pad}  … {len(value) - index} more"
                break
            yield from _lines(inside, _key(key), is_hidden=is_hidden, depth=depth + 1)
        if value:
            yield f"{pad}}}"
    elif isinstance(value, list):
        yield f"{pad}{label}{'[]' if not value else '['}"
        for inside in value[:MOST_ENTRIES]:
            yield from _entry(inside, name, is_hidden=is_hidden, depth=depth + 1)
        if len(value) > MOST_ENTRIES:
            yield f"{pad}  … {len(value) - MOST_ENTRIES} more"
        if value:
            yield f"{pad}]"
    else:
        yield f"{pad}{label}{_scalar(value, name, is_hidden=is_hidden)}"


def _entry(value: Any, name: str, *, is_hidden: bool, depth: int) -> Iterator[str]:
    """One entry of a list: without a name of its own, judged by the name of the list."""
    if isinstance(value, dict | list):
        yield from _lines(value, "", is_hidden=is_hidden, depth=depth)
    else:
        yield f"{'  ' * depth}{_scalar(value, name, is_hidden=is_hidden)}"


def _scalar(value: Any, name: str, *, is_hidden: bool) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if is_hidden or not _is_plain(name):
        return _hidden(value)
    text = str(value)
    is_id = _words(name)[-1:] in (["id"], ["ids"], ["guid"], ["uuid"], ["ts"], ["version"])
    if "@" in text or _PHONE.search(text) or (_NUMBER.fullmatch(text) and not is_id):
        return _hidden(value)
    return json.dumps(value if len(text) <= LONGEST else f"{text[:LONGEST]}…", ensure_ascii=False)


def _is_plain(name: str) -> bool:
    words = _words(name)
    return bool(words) and words[-1] in _PLAIN


def _is_plain_header(name: str, value: str) -> bool:
    words = set(_words(name))
    if words & _PROOF or len(value) > LONGEST or "@" in value or _PHONE.search(value):
        return False
    return name in ("content-type", "content-length", "user-agent", "host") or _is_plain(name)


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(name)]


def _key(name: str) -> str:
    """A member's name; one nobody would choose for a member may be somebody's."""
    return name if re.fullmatch(r"[\w.:$-]{1,60}", name) and not _PHONE.match(name) else "•••"


def _hidden(value: Any) -> str:
    if isinstance(value, str):
        return f"••• {len(value)} characters" if value else '""'
    return "••• a number"


def _is_text(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
