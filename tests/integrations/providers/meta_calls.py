"""Signed calls of Meta's webhooks for tests of WhatsApp and Messenger."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

from integrations.contracts import InboundCall

SECRET = "app-secret-0123456789abcdef"
HOOK = "https://alerts.example.com/hooks/messages/tok_1/"
NOW = datetime(2026, 3, 14, 22, 42, 5, tzinfo=UTC)


def signed(body: bytes, *, secret: str = SECRET) -> InboundCall:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return InboundCall("POST", HOOK, {"x-hub-signature-256": f"sha256={digest}"}, body, NOW)


def posted(payload: object) -> InboundCall:
    return signed(json.dumps(payload).encode())


def challenge(**query: str) -> InboundCall:
    asked = {f"hub.{name}": value for name, value in query.items()}
    return InboundCall("GET", f"{HOOK}?{urlencode(asked)}", {}, b"", NOW, asked)


def error_body(code: object, subcode: object = None) -> bytes:
    error: Mapping[str, object] = {"message": "words", "type": "OAuthException", "code": code}
    if subcode is not None:
        error = {**error, "error_subcode": subcode}
    return json.dumps({"error": error}).encode()
