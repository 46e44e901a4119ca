"""Calls as Twilio would make them, signed here independently of its SDK."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlencode

from integrations.contracts import InboundCall

KEY = "0123456789abcdef0123456789abcdef"
HOOK = "https://alerts.example.com/hooks/messages/tok_1/"
NOW = datetime(2026, 3, 14, 22, 42, 5, tzinfo=UTC)


def signed(
    form: dict[str, str],
    *,
    url: str = HOOK,
    key: str = KEY,
    algorithm: str = "sha1",
    signed_url: str = "",
) -> InboundCall:
    text = (signed_url or url) + "".join(name + form[name] for name in sorted(form))
    digest = hmac.new(key.encode(), text.encode(), getattr(hashlib, algorithm)).digest()
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "x-twilio-signature": base64.b64encode(digest).decode(),
    }
    query = {name: values[0] for name, values in parse_qs(url.partition("?")[2]).items()}
    return InboundCall("POST", url, headers, urlencode(form).encode(), NOW, query)
