"""Plivo's error codes and what each means for a delivery.

They come as ``ErrorCode`` of status callbacks and ``error_code`` of message records; answers to a
send carry words instead. Page: plivo.com/docs/messaging/troubleshooting/error-codes.
"""

from __future__ import annotations

from collections.abc import Mapping

from integrations.errors import (
    MessageRejected,
    RecipientOptedOut,
    RecipientUnreachable,
    TransientError,
)

#: the time limit ran out in Plivo's queue: a receipt of kind ``expired``
EXPIRED = "420"

#: "config": the sender, the country or the balance, nothing about this recipient
_CONFIGURATION = "config"

WORDS: Mapping[str, str] = {
    "10": MessageRejected.code,  # invalid message
    "20": TransientError.code,  # carrier network
    "30": MessageRejected.code,  # taken for spam
    "40": _CONFIGURATION,  # invalid source number
    "50": RecipientUnreachable.code,  # invalid destination
    "60": MessageRejected.code,  # loop: two machines answer each other
    "70": RecipientUnreachable.code,  # destination gone for good
    "80": TransientError.code,  # destination out of reach now
    "90": _CONFIGURATION,  # no route
    "100": RecipientUnreachable.code,  # the carrier forbids it
    "110": MessageRejected.code,  # too long
    "200": RecipientOptedOut.code,  # texted STOP
    "201": _CONFIGURATION,  # US toll-free to Canada
    EXPIRED: "",
    "450": _CONFIGURATION,  # country not enabled
    "900": _CONFIGURATION,  # no credit
    "1000": TransientError.code,  # unknown
}


def error_word(code: str) -> str:
    """The word of errors.py ``code`` stands for; an unlisted code may pass the next time."""
    return WORDS.get(code, TransientError.code) if code else ""
