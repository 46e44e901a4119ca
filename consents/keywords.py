"""What the words of an inbound message mean for consent. Pure: no database, no clock.

Three tiers of opt-out. Tier 1: the whole message is an opt-out word. Tier 2: free words that a
reasonable person reads as one. Tier 3: it holds such a word but reads as talk about an order, so
it stops nothing, but a person must read it and marketing waits until then.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from consents import words

Intent = Literal["stop", "start", "help", "status", "other"]

#: longer than any text message; what follows is not read
LONGEST = 2000
_APOSTROPHES = frozenset("'’‘ʼ`´＇")


@dataclass(frozen=True, slots=True)
class Words:
    """The meaning of a message. ``tier`` is 1 to 3 for opt-out words, 0 where there is none."""

    intent: Intent
    tier: int = 0
    #: the word or phrase that decided, normalised
    matched: str = ""


def normalise(text: str) -> str:
    """Words in lower case, one space apart, without punctuation, emoji and Latin accents.

    Combining marks of other scripts stay: without them Hindi and Arabic words fall apart.
    """
    folded = unicodedata.normalize("NFKC", text[:LONGEST]).casefold()
    kept: list[str] = []
    is_latin = False
    for char in unicodedata.normalize("NFD", folded):
        category = unicodedata.category(char)
        if category.startswith("M"):
            if not (is_latin or category == "Me" or "\ufe00" <= char <= "\ufe0f"):
                kept.append(char)
            continue
        if char in _APOSTROPHES or category == "Cf":
            continue
        is_word = category[0] in "LN"
        # a mark after no letter at all belongs to nothing
        is_latin = not is_word or char.isascii() or _is_latin(char)
        kept.append(char if is_word else " ")
    tokens = unicodedata.normalize("NFC", "".join(kept)).split()
    if len(tokens) > 1 and all(len(token) == 1 and token.isascii() for token in tokens):
        tokens = ["".join(tokens)]  # s.t.o.p
    return " ".join(tokens)


def _is_latin(char: str) -> bool:
    return unicodedata.name(char, "").startswith("LATIN")


def _set(entries: Iterable[str]) -> frozenset[str]:
    return frozenset(normalise(entry) for entry in entries)


def _padded(entries: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({f" {normalise(entry)} " for entry in entries}))


_STOP = _set(words.STOP)
_ORDINARY = _set(words.ORDINARY)
_COURTESY = _set(words.COURTESY)
_START = _set(words.START)
_YES = _set(words.YES)
_HELP = _set(words.HELP)
_STATUS = _set(words.STATUS)
_STOP_PHRASES = _padded(words.STOP_PHRASES)
_STATUS_PHRASES = _padded(words.STATUS_PHRASES)
_PLAIN_STOP = _padded(_STOP - _ORDINARY - _set(["stop", "quit", "rezygnuje"]))
_STOP_TOKENS = _padded(_STOP)
_STOP_UNSPACED = tuple(normalise(entry) for entry in words.STOP_PHRASES_UNSPACED)
_STATUS_UNSPACED = tuple(normalise(entry) for entry in words.STATUS_PHRASES_UNSPACED)
_ORDINARY_UNSPACED = (normalise("停止"),)


def classify(text: str, *, awaits_yes: bool = False, has_open_order: bool = False) -> Words:
    """The meaning of ``text``.

    ``awaits_yes``: the address is stopped or a double opt-in is open, so a bare "yes" is a start.
    ``has_open_order``: "cancel please" is then talk about the order, else an opt-out. A bare stop
    word is an opt-out whatever the customer ordered.
    """
    said = normalise(text)
    if not said:
        return Words("other")
    if (whole := _whole(said, awaits_yes)) is not None:
        return whole
    padded = f" {said} "
    if (stop := _free_stop(said, padded, has_open_order)) is not None:
        return stop
    ordinary = _first(_STOP_TOKENS, padded) or _first(_ORDINARY_UNSPACED, said)
    tier = 3 if ordinary else 0
    if found := _first(_STATUS_PHRASES, padded) or _first(_STATUS_UNSPACED, said):
        return Words("status", tier=tier, matched=found)
    return Words("other", tier=tier, matched=ordinary)


def is_yes(text: str) -> bool:
    """Whether ``text`` is a bare yes, which means something only where a question is open."""
    return normalise(text) in _YES


def _whole(said: str, awaits_yes: bool) -> Words | None:
    distinct = set(said.split())
    once = distinct.pop() if len(distinct) == 1 else said  # "stop stop stop"
    for candidate in (said, once):
        if candidate in _STOP:
            return Words("stop", tier=1, matched=candidate)
    if said in _START or (awaits_yes and said in _YES):
        return Words("start", matched=said)
    if said in _HELP:
        return Words("help", matched=said)
    if said in _STATUS:
        return Words("status", matched=said)
    return None


def _free_stop(said: str, padded: str, has_open_order: bool) -> Words | None:
    """Tier 2, or tier 3 where courtesy surrounds a word that may mean the order."""
    found = _first(_STOP_PHRASES, padded) or _first(_STOP_UNSPACED, said)
    if found:
        return Words("stop", tier=2, matched=found)
    rest = " ".join(token for token in said.split() if token not in _COURTESY)
    if rest in _STOP:
        if rest in _ORDINARY and has_open_order:
            return Words("other", tier=3, matched=rest)
        return Words("stop", tier=2, matched=rest)
    if found := _first(_PLAIN_STOP, padded):
        return Words("stop", tier=2, matched=found)
    return None


def _first(entries: tuple[str, ...], text: str) -> str:
    return next((entry.strip() for entry in entries if entry in text), "")
