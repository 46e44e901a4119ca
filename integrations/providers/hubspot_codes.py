"""What HubSpot's refusals mean: the machine words in an error, then the status.

Every field of an error is optional; its sentences are for people and decide nothing. Pages:
developers.hubspot.com api-reference/error-handling and marketing/transactional single-send.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from integrations.contracts import HttpResponse
from integrations.errors import (
    ConfigurationError,
    IntegrationError,
    MessageRejected,
    RateLimited,
    RecipientOptedOut,
    RecipientUnreachable,
    TransientError,
)
from integrations.payloads import objects, text

#: seconds until the next try when HubSpot does not say; a used-up day is asked about once an hour
_BURST_WAIT_S, _DAY_WAIT_S = 10.0, 3600.0
_WORD = re.compile(r"[A-Z][A-Z0-9_]{2,59}")

_Class = type[IntegrationError] | type[ConfigurationError]

#: codes inside ``errors`` and categories of an error
_WORDS: Mapping[str, _Class] = {
    "INVALID_EMAIL": RecipientUnreachable,
    "PROPERTY_DOESNT_EXIST": ConfigurationError,
    "MISSING_SCOPES": ConfigurationError,
    "INVALID_AUTHENTICATION": ConfigurationError,
    "OBJECT_NOT_FOUND": ConfigurationError,
    "RATE_LIMITS": RateLimited,
    "CONFLICT": TransientError,
    "VALIDATION_ERROR": MessageRejected,
}

#: what HubSpot says of a single-send; None = taken
SEND_RESULTS: Mapping[str, _Class | None] = {
    **dict.fromkeys(("SENT", "QUEUED", "IDEMPOTENT_IGNORE", "IDEMPOTENT_FAIL")),
    # nobody can be reached there, whoever sends
    **dict.fromkeys(
        (
            "PREVIOUSLY_BOUNCED",
            "INVALID_TO_ADDRESS",
            "BLOCKED_ADDRESS",
            "BLOCKED_DOMAIN",
            "QUARANTINED_ADDRESS",
            "UNDELIVERABLE",
        ),
        RecipientUnreachable,
    ),
    **dict.fromkeys(("PREVIOUS_SPAM", "ADDRESS_OPTED_OUT"), RecipientOptedOut),
    # a rule of this HubSpot account: the mailbox is good and another vendor reaches it
    **dict.fromkeys(("GDPR_DOI_ENABLED", "NON_MARKETABLE_CONTACT"), MessageRejected),
    **dict.fromkeys(
        (
            "MISSING_CONTENT",
            "MISSING_TEMPLATE_PROPERTIES",
            "TEMPLATE_RENDER_EXCEPTION",
            "CORRUPT_INPUT",
            "VALIDATION_FAILED",
        ),
        MessageRejected,
    ),
    **dict.fromkeys(
        (
            "EMAIL_DISABLED",
            "INVALID_FROM_ADDRESS",
            "UNCONFIGURED_SENDING_DOMAIN",
            "CANCELLED_ABUSE",
        ),
        ConfigurationError,
    ),
    **dict.fromkeys(("THROTTLED", "ATTACHMENT_DOWNLOAD_QUEUE_FULL"), TransientError),
}
_FAMILIES: Mapping[str, _Class] = {
    "PREVIOUSLY_UNSUBSCRIBED_": RecipientOptedOut,
    "PORTAL_": ConfigurationError,
}


def raise_for_refusal(provider: str, response: HttpResponse) -> None:
    """Raise for an answer that is a refusal and whose meaning HubSpot's words or status tell."""
    status, error = response.status, response.json_object()
    if status == 429:
        raise_throttled(provider, response, text(error.get("policyName")))
    if status in (405, 410, 415):
        raise ConfigurationError(provider, f"the vendor answered HTTP {status}")
    if status in (409, 423, 477, 500, 503):
        raise_later(provider, response, _category(error))
    if status in (401, 403, 404):
        raise ConfigurationError(
            provider, f"the vendor answered HTTP {status}", vendor_code=_category(error)
        )
    if 400 <= status < 500:
        raise_for_error(provider, response, error)


def raise_for_error(provider: str, response: HttpResponse, error: Mapping[str, Any]) -> NoReturn:
    """Raise for one error object: that of a whole answer, or of one item of a 207."""
    for word in _words(error):
        cls = _WORDS.get(word)
        if cls is not None:
            raise_as(cls, provider, response, word)
    raise MessageRejected(provider, response, vendor_code=_category(error))


def raise_for_send_result(provider: str, response: HttpResponse, word: str) -> bool:
    """True when a single-send was taken; False for a word nobody knows; else raises."""
    cls = SEND_RESULTS.get(word)
    if cls is None:
        cls = next((found for start, found in _FAMILIES.items() if word.startswith(start)), None)
    if cls is not None:
        raise_as(cls, provider, response, word if _WORD.fullmatch(word) else "")
    return word in SEND_RESULTS


def raise_as(cls: _Class, provider: str, response: HttpResponse, code: str) -> NoReturn:
    """Raise ``cls``; one that asks for patience honours Retry-After."""
    if issubclass(cls, ConfigurationError):
        raise ConfigurationError(provider, f"HubSpot refused: {code}", vendor_code=code)
    if issubclass(cls, RateLimited):
        raise_throttled(provider, response, "")
    if cls is TransientError:
        raise_later(provider, response, code)
    raise cls(provider, response, vendor_code=code)


def raise_later(provider: str, response: HttpResponse, code: str) -> NoReturn:
    """Again later: when HubSpot says, else as always."""
    wait_s = response.retry_after_s()
    if wait_s is not None:
        raise RateLimited(provider, response, retry_after_s=wait_s, vendor_code=code)
    raise TransientError(provider, response, vendor_code=code)


def raise_throttled(provider: str, response: HttpResponse, policy: str) -> NoReturn:
    """Too fast for ten seconds, or too much for the day of the account's time zone."""
    code = policy if _WORD.fullmatch(policy) else ""
    wait_s = response.retry_after_s()
    if wait_s is None or "DAILY" in code:
        wait_s = _DAY_WAIT_S if "DAILY" in code else _BURST_WAIT_S
    # a burst is the whole app's; a used-up day is no reason to keep the others waiting for it:
    # each asks once and goes to the next step of its route
    raise RateLimited(
        provider,
        response,
        retry_after_s=wait_s,
        whole_account="DAILY" not in code,
        vendor_code=code,
    )


def is_conflict(response: HttpResponse) -> bool:
    """Whether an upsert lost a race for a contact somebody else was just writing."""
    errors = objects(response.json_object().get("errors"))
    return response.status == 409 or (
        response.status == 207 and any(_category(each) == "CONFLICT" for each in errors)
    )


def _category(error: Mapping[str, Any]) -> str:
    word = text(error.get("category"))
    return word if _WORD.fullmatch(word) else ""


def _words(error: Mapping[str, Any]) -> Iterator[str]:
    """The machine words of an error, the most exact first."""
    inner = objects(error.get("errors"))
    for each in (*inner, error):
        for name in ("code", "subCategory"):
            word = text(each.get(name)).rpartition(".")[2]
            if _WORD.fullmatch(word):
                yield word
    # "Property values were not valid: [{"error":"INVALID_EMAIL", ...}]": words inside a sentence
    said = " ".join(text(each.get("message"), 5000) for each in (error, *inner))
    for word in ("INVALID_EMAIL", "PROPERTY_DOESNT_EXIST"):
        if re.search(rf"\b{word}\b", said):
            yield word
    if category := _category(error):
        yield category
