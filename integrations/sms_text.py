"""What an SMS costs before it reaches a carrier: alphabet, units, billable parts.

A part carries 140 octets: 160 units of the GSM 7-bit alphabet or 70 UTF-16 units alone, 153 or
67 when the text is split (each part then starts with a 6-octet header). One character outside the
GSM tables turns the whole text to UTF-16. Sources: 3GPP TS 23.038, Twilio's and Sinch's
descriptions of both alphabets.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

GSM_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
#: sent as ESC + character: two units each
GSM_EXTENSION = frozenset("\f^{}\\[~]|€")
_GSM = GSM_BASIC | GSM_EXTENSION

#: units alone, units per part when split
_ROOM = {"gsm": (160, 153), "ucs": (70, 67)}

_LOOK_ALIKES = str.maketrans(
    {
        "\t": " ",
        "‘": "'",
        "’": "'",
        "ʼ": "'",
        "`": "'",
        "“": '"',
        "”": '"',
        "„": '"',
        "–": "-",
        "—": "-",
        "−": "-",
        "•": "-",
        "…": "...",
    }
)
#: no-break, figure, punctuation, thin, hair and narrow no-break spaces, and the other wide ones
_SPACES = re.compile("[\u00a0\u2000-\u200a\u202f\u205f\u3000]")
#: control characters, soft hyphen, zero-width space and non-joiner, direction marks, word joiner,
#: byte order mark, and halves of surrogate pairs (which no encoder takes)
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ud800-\udfff\u00ad\u200b\u200c\u200e\u200f\u2060\ufeff]"
)
_JOINER = "\u200d"
_NEWLINES = re.compile("\r\n?")
_PLAIN = re.compile(r"[ -_a-~\n]*")


@dataclass(frozen=True, slots=True)
class SmsLength:
    """What a text needs: ``encoding`` "gsm" or "ucs", units, parts, and the first character
    that forced "ucs" ("" for "gsm"). An empty text counts as one part; carriers refuse it."""

    encoding: str
    units: int
    parts: int
    culprit: str = ""


def measure(text: str) -> SmsLength:
    """Units and parts of ``text`` exactly as given (see :func:`normalize`)."""
    culprit = next((char for char in text if char not in _GSM), "")
    if culprit:
        return SmsLength("ucs", *_walk([1 + (ord(c) > 0xFFFF) for c in text], "ucs"), culprit)
    return SmsLength("gsm", *_walk([1 + (c in GSM_EXTENSION) for c in text], "gsm"))


def _walk(widths: list[int], encoding: str) -> tuple[int, int]:
    """Total units and parts: a two-unit character moves to the next part whole."""
    units = sum(widths)
    alone, split = _ROOM[encoding]
    if units <= alone:
        return units, 1
    parts, used = 1, 0
    for width in widths:
        if used + width > split:
            parts, used = parts + 1, 0
        used += width
    return units, parts


def normalize(text: str, *, strip_accents: bool = False) -> str:
    """``text`` with look-alike characters a phone shows the same way but a carrier bills dearer.

    NFC, LF line ends, plain spaces, quotes, dashes and dots; invisible characters removed except
    the joiner inside an emoji. ``strip_accents`` also turns letters GSM lacks into plain ones
    (it alters names). Idempotent.
    """
    if not _PLAIN.fullmatch(text):
        text = unicodedata.normalize("NFC", text)
        text = _NEWLINES.sub("\n", text)
        text = _SPACES.sub(" ", text).translate(_LOOK_ALIKES)
        # removing a character may bring a letter and its accent together
        text = unicodedata.normalize("NFC", _drop_stray_joiners(_INVISIBLE.sub("", text)))
    return _without_accents(text) if strip_accents else text


def _drop_stray_joiners(text: str) -> str:
    if _JOINER not in text:
        return text
    kept: list[str] = []
    for index, char in enumerate(text):
        if char == _JOINER:
            before = kept[-1] if kept else ""
            after = text[index + 1 : index + 2]
            if not (_joins(before) and _joins(after)):
                continue
        kept.append(char)
    return "".join(kept)


def _joins(char: str) -> bool:
    """Whether ``char`` may stand next to a joiner: an emoji, skin tone or variation selector."""
    return bool(char) and (char == "\ufe0f" or unicodedata.category(char) in ("So", "Sk"))


def _without_accents(text: str) -> str:
    if all(char in _GSM for char in text):
        return text
    return "".join(
        char if char in _GSM else _base_letter(char) for char in unicodedata.normalize("NFC", text)
    )


def _base_letter(char: str) -> str:
    base = unicodedata.normalize("NFD", char)[:1]
    return base if base in GSM_BASIC else char
