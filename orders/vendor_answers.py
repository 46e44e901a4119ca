"""What a vendor's answer to our question is worth: its body, or why not and when to ask again.

The words are for managers, so they carry a status and what it means, never a body. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from integrations.contracts import HttpResponse
from integrations.errors import ConfigurationError, IntegrationError, RateLimited

#: trouble that passes by itself
SOON = timedelta(minutes=1)
#: trouble a manager has to end: wrong keys asked again and again look like an attack
REFUSED = timedelta(minutes=5)
#: without a word how long, a vendor that asks us to slow down is left alone this long
THROTTLED = timedelta(minutes=5)
_MEANS = {
    400: "it does not understand the question",
    401: "it does not accept our key",
    403: "our key does not permit this",
    404: "there is nothing at this address",
    429: "it asks us to slow down",
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why an answer is of no use, and when to ask again; None = at the usual time."""

    words: str
    wait: timedelta | None = None


def trouble_in(answer: HttpResponse | BaseException, key: str) -> Trouble | None:
    """The trouble with ``answer`` of the vendor ``key``; None when it is one to be read.

    Raises what is no answer of a vendor.
    """
    if isinstance(answer, ConfigurationError):
        return Trouble(str(answer), REFUSED)
    if isinstance(answer, RateLimited) and answer.retry_after_s:
        return Trouble(str(answer), timedelta(seconds=answer.retry_after_s))
    if isinstance(answer, IntegrationError):
        return Trouble(str(answer), SOON)
    if isinstance(answer, BaseException):
        raise answer
    if 200 <= answer.status < 300:
        return None
    means = _MEANS.get(answer.status, "")
    words = f"{key} answered HTTP {answer.status}" + (f": {means}" if means else "")
    return Trouble(words, _wait_after(answer))


def _wait_after(answer: HttpResponse) -> timedelta | None:
    if answer.status == 429 or answer.retry_after_s():
        asked = answer.retry_after_s()
        return THROTTLED if asked is None else max(timedelta(seconds=asked), SOON)
    if answer.status in (401, 403):
        return REFUSED
    return SOON if answer.status >= 500 or answer.status == 408 else None
