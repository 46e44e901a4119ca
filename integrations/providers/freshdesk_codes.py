"""Freshdesk's error bodies: a code, or the fields of a validation error, and what they blame."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from integrations.contracts import HttpResponse
from integrations.errors import ConfigurationError, MessageRejected, RecipientUnreachable
from integrations.payloads import objects, text

_CODE = re.compile(r"[a-z_]{1,60}", re.ASCII)
_CUSTOM = re.compile(r"cf_[a-z0-9_]{1,100}", re.ASCII)
#: fields of a validation error that speak of the person
_PERSON = frozenset({"email", "phone", "requester_id", "unique_external_id", "to_emails"})
#: and those that speak of what a manager set up; custom fields besides
_SET_UP = frozenset(
    {"group_id", "email_config_id", "product_id", "type", "responder_id", "source", "custom_fields"}
)


def code_of(answer: Mapping[str, Any]) -> str:
    """invalid_credentials, missing_field ...; "" where there is no plain word."""
    first = next(iter(objects(answer.get("errors"))), {})
    code = text(answer.get("code"), 80) or text(first.get("code"), 80)
    return code if _CODE.fullmatch(code) else ""


def error_of(
    answer: Mapping[str, Any], code: str, provider: str, response: HttpResponse
) -> Exception:
    """Our error for a 400, by the fields it names."""
    named = [text(error.get("field")) for error in objects(answer.get("errors"))]
    if any(name in _PERSON for name in named):
        return RecipientUnreachable(provider, response, vendor_code=code)
    wrong = next((name for name in named if name in _SET_UP or _CUSTOM.fullmatch(name)), "")
    if wrong:
        return ConfigurationError(
            provider, f"Freshdesk refuses the field '{wrong}'", vendor_code=code
        )
    return MessageRejected(provider, response, vendor_code=code)
