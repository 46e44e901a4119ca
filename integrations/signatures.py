"""Keyed hashes of raw bytes and comparing them without leaking how far they matched.

Headers may hold anything a stranger typed, including characters that are not ASCII: every
comparison is made on bytes, so nothing here raises on them.

Whoever is refused hears nothing. The manager of the account reads in the hint what differs: form,
encoding, address, age; never a key, a signature or an address.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from urllib.parse import urlsplit, urlunsplit

from integrations.contracts import InboundCall, basic_auth
from integrations.errors import SignatureInvalid

Encode = Callable[[str, bytes], str]
#: what is signed when the vendor calls this address
Over = Callable[[str], bytes]

#: a longer body is not signed again and again only to give a better hint
_HINT_BYTES = 256 * 1024


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
    encode: Encode = hmac_hex,
    call: InboundCall | None = None,
    over: Over | None = None,
) -> None:
    """Raise SignatureInvalid unless ``given`` signs ``message`` with one of ``secrets``.

    Empty secrets (a second key that is not set) never match. Where the address is part of what is
    signed, ``call`` and ``over`` let the hint say that the vendor has another one.
    """
    keys = [secret for secret in secrets if secret]
    if not keys:
        raise SignatureInvalid("no signing key is set on the account")
    if not given:
        raise SignatureInvalid(f"header {header} is missing")
    if matches_any(given.strip(), [encode(key, message) for key in keys]):
        return
    why = _other_form(given.strip(), keys, message, encode)
    if not why and call is not None and over is not None and len(message) <= _HINT_BYTES:
        why = _other_address(given.strip(), keys, encode, call, over)
    raise SignatureInvalid(f"{header} {why or _shape(given, encode(keys[0], message))}")


def require_basic(*, given: str, user: str, passwords: Iterable[str], if_missing: str = "") -> None:
    """Raise SignatureInvalid unless ``given`` is HTTP Basic with one of ``passwords``."""
    known = [password for password in passwords if password]
    if not (user and known):
        raise SignatureInvalid("no user and password are set on the account")
    if not given:
        raise SignatureInvalid(f"header Authorization is missing{if_missing}")
    scheme, _, rest = given.partition(" ")
    if scheme.lower() != "basic":
        raise SignatureInvalid(f"Authorization is {_scheme(scheme)}, expected Basic")
    if matches_any(f"Basic {rest.strip()}", [basic_auth(user, one) for one in known]):
        return
    raise SignatureInvalid(f"Authorization is Basic, but {_basic_difference(rest, user, known)}")


def require_value(*, header: str, given: str, allowed: Iterable[str], what: str) -> None:
    """Raise SignatureInvalid unless ``given`` is one of the fixed values ``allowed``."""
    known = [value.strip() for value in allowed if value.strip()]
    if not known:
        raise SignatureInvalid(f"no {what} is set on the account")
    value = given.strip()
    if not value:
        raise SignatureInvalid(f"header {header} is missing")
    if matches_any(value, known):
        return
    bare = value.rpartition(" ")[2]
    if any(is_same(bare, one.rpartition(" ")[2]) for one in known):
        why = "differs only in the word in front (Basic, Bearer or none)"
    else:
        why = f"got {len(value)} characters, expected {len(known[0])}"
    raise SignatureInvalid(f"{header} is not the {what} of this account: {why}")


# --- what differs, in words ---------------------------------------------------------------------


def _other_form(given: str, keys: Sequence[str], message: bytes, encode: Encode) -> str:
    """Says how ``given`` is the right signature in another form; "" when it is not."""
    name, sign, bare = given.partition("=")
    is_labelled = bool(sign) and name.isalnum() and len(name) <= 8 and bool(bare)
    if is_labelled and matches_any(bare, [encode(key, message) for key in keys]):
        return f"is right but for “{name}=” in front of it"
    other, names = (
        (hmac_base64, ("base64", "hex")) if encode is hmac_hex else (hmac_hex, ("hex", "base64"))
    )
    if encode not in (hmac_hex, hmac_base64):
        return ""
    if matches_any(given, [other(key, message) for key in keys]):
        return f"is right, but written in {names[0]} instead of {names[1]}"
    if encode is hmac_hex and matches_any(given.lower(), [encode(key, message) for key in keys]):
        return "is right, but written in capital letters"
    return ""


def _other_address(
    given: str, keys: Sequence[str], encode: Encode, call: InboundCall, over: Over
) -> str:
    for words, url in _addresses_like(call):
        if matches_any(given, [encode(key, over(url)) for key in keys]):
            return (
                f"is right for another URL: {words}. Paste the address exactly as it stands on "
                "this page"
            )
    return ""


def _addresses_like(call: InboundCall) -> Iterator[tuple[str, str]]:
    """Addresses people paste instead of ours, each with what is different about it."""
    parts = urlsplit(call.url)
    scheme = "http" if parts.scheme == "https" else "https"
    path = parts.path.rstrip("/") if parts.path.endswith("/") else f"{parts.path}/"
    slash = "a slash at the end" if path.endswith("/") else "no slash at the end"
    host = call.headers.get("host", "")
    hosts: Mapping[str, str] = {"": parts.netloc}
    if host and host != parts.netloc:
        hosts = {**hosts, "another host, the one it called": host}
    for elsewhere, netloc in hosts.items():
        for other_scheme, its in (("", parts.scheme), (f"{scheme}://", scheme)):
            for other_path, way in (("", parts.path), (slash, path)):
                words = [word for word in (elsewhere, other_scheme, other_path) if word]
                if words:
                    url = urlunsplit((its, netloc, way, parts.query, ""))
                    yield f"the vendor has {' and '.join(words)}", url
    if parts.query:
        yield "the vendor signed it without the part after “?”", call.url.partition("?")[0]


def _shape(given: str, expected: str) -> str:
    if len(given.strip()) != len(expected):
        return (
            f"does not fit the body: got {len(given.strip())} characters, expected "
            f"{len(expected)}; check which signature the vendor sends"
        )
    return (
        f"does not fit the body: it has the right form ({len(expected)} characters), but was made "
        "with another key, for another URL or over another body; check the signing key"
    )


def _scheme(given: str) -> str:
    return given if given.isalpha() and len(given) <= 10 else "something unknown"


def _basic_difference(rest: str, user: str, passwords: Sequence[str]) -> str:
    try:
        text = base64.b64decode(rest.strip(), validate=True).decode("utf-8")
    except (ValueError, binascii.Error):
        return "it cannot be decoded"
    name, colon, password = text.partition(":")
    if not colon:
        return "there is no colon between user and password"
    if not is_same(name, user):
        return f"the user is another one (got {len(name)} characters, expected {len(user)})"
    return (
        f"the user is right, the password is another one (got {len(password)} characters, "
        f"expected {len(passwords[0])})"
    )
