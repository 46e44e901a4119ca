"""What Klaviyo's refusals mean: where an error points to, then the status.

Page: developers.klaviyo.com rate_limits_and_error_handling.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from integrations.contracts import HttpResponse
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    RateLimited,
    RecipientUnreachable,
)
from integrations.payloads import inner, objects, text

_CODE = re.compile(r"[A-Za-z0-9_]{1,60}")
#: fields of an event whose refusal is about the person
_PERSON = re.compile(r"/data/attributes/profile/.*\b(email|phone_number)$")


def raise_for_refusal(provider: str, response: HttpResponse) -> str:
    """Raise for an answer whose meaning its errors tell; else the code of the first error."""
    status = response.status
    errors = objects(response.json_object().get("errors"))
    code = next((code for error in errors if _CODE.fullmatch(code := text(error.get("code")))), "")
    if status in (405, 410, 415) or (status == 400 and any(map(_is_revision, errors))):
        raise ConfigurationError(provider, f"the vendor answered HTTP {status}", vendor_code=code)
    if status == 400 and any(_PERSON.search(_pointer(error)) for error in errors):
        raise RecipientUnreachable(provider, response, vendor_code=code)
    if status == 429:  # the windows are the account's, not one key's or message's
        raise RateLimited(
            provider,
            response,
            retry_after_s=response.retry_after_s(),
            whole_account=True,
            vendor_code=code,
        )
    if status in (400, 409, 413, 422):
        raise MessageRejected(provider, response, vendor_code=code)
    return code


def _pointer(error: Mapping[str, Any]) -> str:
    return text(inner(error, "source").get("pointer"), 500)


def _is_revision(error: Mapping[str, Any]) -> bool:
    """Whether an error is about the revision header, wherever it says so."""
    source = inner(error, "source")
    said = [source.get("parameter"), source.get("header"), source.get("pointer"), error.get("code")]
    return any("revision" in text(word, 500).lower() for word in said)
