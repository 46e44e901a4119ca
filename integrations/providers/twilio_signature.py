"""Who called: Twilio's webhook signature, checked with the SDK's validator.

It covers the URL as Twilio called it and every form field, and has no timestamp: a repeated call
is harmless because receipts and replies are stored once per message id.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qsl

from twilio.request_validator import RequestValidator, get_signature_algorithm

from integrations.contracts import InboundCall
from integrations.errors import SignatureInvalid

_MOST_FIELDS = 200


class Form(dict[str, list[str]]):
    """Form fields as RequestValidator wants them: a name may come more than once."""

    def getall(self, name: str) -> list[str]:
        """Every value of ``name``."""
        return self[name]

    def first(self, name: str) -> str:
        """The first value of ``name``, or ""."""
        return self.get(name, [""])[0]


def verified_form(
    call: InboundCall, *, auth_tokens: Sequence[str], shared_keys: Sequence[str]
) -> Form:
    """The form of a call Twilio signed (empty for a JSON body). Raises SignatureInvalid."""
    signature = call.headers.get("x-twilio-signature", "")
    if not signature:
        raise SignatureInvalid("header X-Twilio-Signature is missing")
    keys, algorithm = _signing_keys(call, auth_tokens, shared_keys)
    text = call.body.decode("utf-8", "replace")
    form = Form()
    signed: Form | str = form
    if "json" in call.headers.get("content-type", ""):
        # the validator can check a JSON body only through its hash in the signed URL
        if "bodySHA256" not in call.query:
            raise SignatureInvalid("a JSON body without bodySHA256 in the URL")
        signed = text
    else:
        try:
            fields = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        except ValueError:
            raise SignatureInvalid("the form has too many fields") from None
        for name, value in fields:
            form.setdefault(name, []).append(value)
    if not any(
        RequestValidator(key).validate(call.url, signed, signature, algorithm) for key in keys
    ):
        raise SignatureInvalid(
            f"X-Twilio-Signature ({len(signature)} characters) does not match; "
            "is the public URL the one Twilio calls?"
        )
    return form


def _signing_keys(
    call: InboundCall, auth_tokens: Sequence[str], shared_keys: Sequence[str]
) -> tuple[Sequence[str], str]:
    """Secrets and algorithm: auth token and SHA-1 unless the call says it used a shared key."""
    named = call.headers.get("x-twilio-webhooks-signature-settings", "")
    if not named:
        return auth_tokens, "HMAC_SHA1"
    if not shared_keys:
        raise SignatureInvalid("signed with a shared key, and none is configured")
    algorithm = str(get_signature_algorithm(named)).upper()
    if algorithm not in ("HMAC_SHA1", "HMAC_SHA256"):
        raise SignatureInvalid("the signature algorithm is not supported")
    return shared_keys, algorithm
