"""Who called: Plivo's webhook signatures, version 3 and version 2.

Version 3 covers the URL with its query and every form field. Version 2 covers the URL without its
query and a nonce, so the body of such a call is only as trustworthy as the path is secret.
Source: plivo-python 4.63.0, utils/signature_v3.py and utils/__init__.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from integrations.contracts import InboundCall
from integrations.errors import SignatureInvalid
from integrations.signatures import hmac_base64, is_same

_MOST_FIELDS = 200
_V3 = ("x-plivo-signature-v3", "x-plivo-signature-ma-v3")
_V3_NONCE = "x-plivo-signature-v3-nonce"
_V2 = ("x-plivo-signature-v2", "x-plivo-signature-ma-v2")
_V2_NONCE = "x-plivo-signature-v2-nonce"

Fields = Mapping[str, list[str]]


class Verified(NamedTuple):
    """The form of a genuine call. ``nonce`` is set when only the URL was signed, not the form."""

    form: Fields
    nonce: str = ""

    def first(self, name: str) -> str:
        """The first value of ``name``, or ""."""
        return self.form.get(name, [""])[0]


def verified(call: InboundCall, tokens: Iterable[str]) -> Verified:
    """The form of a call Plivo signed with one of ``tokens``. Raises SignatureInvalid."""
    keys = [token for token in tokens if token]
    form = _form(call)
    v3, v3_nonce = _signatures(call, _V3), call.headers.get(_V3_NONCE, "")
    v2, v2_nonce = _signatures(call, _V2), call.headers.get(_V2_NONCE, "")
    if v3 and v3_nonce and _matches(v3, keys, signed_v3(call.url, form, v3_nonce)):
        return Verified(form)
    if v2 and v2_nonce and _matches(v2, keys, signed_v2(call.url, v2_nonce)):
        return Verified(form, v2_nonce)
    if not (v3 and v3_nonce) and not (v2 and v2_nonce):
        raise SignatureInvalid("X-Plivo-Signature-V3 or -V2, or its nonce, is missing")
    raise SignatureInvalid(
        "the X-Plivo-Signature headers do not match; is the public URL the one Plivo calls?"
    )


def signed_v3(url: str, form: Fields, nonce: str) -> bytes:
    """What version 3 signs: URL, its query sorted, the form sorted, the nonce."""
    text = _base(url)
    query = urlsplit(url).query
    if query:
        pairs = _sorted_pairs(_parsed(query))
        text += "?" + "&".join(f"{name}={value}" for name, value in pairs)
        text += "." if form else ""
    elif form:
        text += "?"
    text += "".join(name + value for name, value in _sorted_pairs(form))
    return f"{text}.{nonce}".encode("utf-8", "surrogatepass")


def signed_v2(url: str, nonce: str) -> bytes:
    """What version 2 signs: the URL without its query, and the nonce."""
    return f"{_base(url)}{nonce}".encode("utf-8", "surrogatepass")


def _matches(given: list[str], keys: list[str], message: bytes) -> bool:
    expected = [hmac_base64(key, message) for key in keys]
    found = False
    for signature in given:
        for candidate in expected:
            found |= is_same(signature, candidate)
    return found


def _signatures(call: InboundCall, names: Iterable[str]) -> list[str]:
    """Every signature of the headers; one header may hold several, with commas between."""
    values = ",".join(call.headers.get(name, "") for name in names)
    return [value.strip() for value in values.split(",") if value.strip()]


def _base(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def _form(call: InboundCall) -> Fields:
    return _parsed(call.body.decode("utf-8", "replace"))


def _parsed(text: str) -> Fields:
    try:
        return parse_qs(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise SignatureInvalid("the call has too many fields") from None


def _sorted_pairs(fields: Fields) -> list[tuple[str, str]]:
    return [(name, value) for name in sorted(fields) for value in sorted(fields[name])]
