"""Who called: SignalWire's webhook signature, in its two schemes.

Forms are signed as Twilio signs them (base64 of HMAC-SHA1 over URL and sorted fields; a JSON body
by its hash in the URL), JSON of the newer handlers by hex HMAC-SHA1 over URL and raw body. The key
is the project's signing key, not the API token. Neither has a timestamp: a repeated call is
harmless because receipts and replies are stored once per message id.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from twilio.request_validator import RequestValidator

from integrations.contracts import InboundCall
from integrations.errors import PayloadMalformed, SignatureInvalid
from integrations.payloads import load_object
from integrations.providers.twilio_signature import Form
from integrations.signatures import is_same

_HEADERS = ("x-signalwire-signature", "x-twilio-signature")
_MOST_FIELDS = 200


def verified(call: InboundCall, keys: Sequence[str]) -> tuple[Form, Mapping[str, Any]]:
    """(form, JSON object) of a call SignalWire signed; the one it is not is empty.

    Raises SignatureInvalid.
    """
    if not keys:
        raise SignatureInvalid("no signing key is set on the account")
    given = next((call.headers[name] for name in _HEADERS if call.headers.get(name)), "")
    if not given:
        raise SignatureInvalid("header X-SignalWire-Signature is missing")
    is_json = "json" in call.headers.get("content-type", "")
    form = Form() if is_json else _form(call)
    if not any(
        _signs_raw(call, key, given) or _signs_form(call, key, given, form, is_json) for key in keys
    ):
        raise SignatureInvalid(
            f"X-SignalWire-Signature ({len(given)} characters) does not match; "
            "is the public URL the one SignalWire calls, and the key the signing key?"
        )
    return form, _json(call) if is_json else {}


def _signs_raw(call: InboundCall, key: str, given: str) -> bool:
    message = call.url.encode("utf-8", "surrogatepass") + call.body
    digest = hmac.new(key.encode("utf-8", "surrogatepass"), message, hashlib.sha1)
    return is_same(given, digest.hexdigest())


def _signs_form(call: InboundCall, key: str, given: str, form: Form, is_json: bool) -> bool:
    signed: Form | str = form
    if is_json:
        # the validator can check a JSON body only through its hash in the signed URL
        if "bodySHA256" not in call.query:
            return False
        signed = call.body.decode("utf-8", "replace")
    return bool(RequestValidator(key).validate(call.url, signed, given))


def _form(call: InboundCall) -> Form:
    form = Form()
    text = call.body.decode("utf-8", "replace")
    try:
        fields = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise SignatureInvalid("the form has too many fields") from None
    for name, value in fields:
        form.setdefault(name, []).append(value)
    return form


def _json(call: InboundCall) -> Mapping[str, Any]:
    try:
        return load_object(call.body)
    except PayloadMalformed:
        return {}
