"""Keyed hashes of raw bytes and comparing them without leaking how far they matched.

Headers may hold anything a stranger typed, including characters that are not ASCII: every
comparison is made on bytes, so nothing here raises on them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterable

from integrations.errors import SignatureInvalid


def _digest(secret: str, message: bytes) -> bytes:
    return hmac.new(secret.encode("utf-8", "surrogatepass"), message, hashlib.sha256).digest()


def hmac_hex(secret: str, message: bytes) -> str:
    """Lower-case hex HMAC-SHA256."""
    return _digest(secret, message).hex()


def hmac_base64(secret: str, message: bytes) -> str:
    """Base64 HMAC-SHA256, with padding."""
    return base64.b64encode(_digest(secret, message)).decode("ascii")


def is_same(given: str, expected: str) -> bool:
    """Whether two texts are equal, in time that depends on their length only."""
    return hmac.compare_digest(
        given.encode("utf-8", "surrogatepass"), expected.encode("utf-8", "surrogatepass")
    )


def matches_any(given: str, expected: Iterable[str]) -> bool:
    """Whether ``given`` equals one of ``expected``; looks at all of them either way."""
    found = False
    for candidate in expected:
        found |= is_same(given, candidate)
    return found


def require_hmac(
    *,
    header: str,
    given: str,
    secrets: Iterable[str],
    message: bytes,
    encode: Callable[[str, bytes], str] = hmac_hex,
) -> None:
    """Raise SignatureInvalid unless ``given`` signs ``message`` with one of ``secrets``.

    Empty secrets (a second key that is not set) never match.
    """
    keys = [secret for secret in secrets if secret]
    if not keys:
        raise SignatureInvalid("no signing key is set on the account")
    if not given:
        raise SignatureInvalid(f"header {header} is missing")
    expected = [encode(key, message) for key in keys]
    if not matches_any(given.strip(), expected):
        raise SignatureInvalid(
            f"{header} does not fit the body: got {len(given)} characters, "
            f"expected {len(expected[0])}; check the signing key and the URL the vendor has"
        )
