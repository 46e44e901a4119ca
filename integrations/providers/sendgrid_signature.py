"""Who called: SendGrid's ECDSA signature over timestamp and raw body.

Event webhook and Inbound Parse are signed alike, each with a key pair of its own; we hold the
public halves. Page: twilio.com/docs/sendgrid, getting-started-event-webhook-security-features.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from integrations.contracts import InboundCall
from integrations.errors import SignatureInvalid

#: SendGrid repeats a refused call for 24 h, and does not say that it signs it anew; a repeated
#: event is stored once by its id
MAX_AGE_S = 25 * 3600
#: how far the sender's clock may be ahead of ours
MAX_AHEAD_S = 600
_SIGNATURE = "x-twilio-email-event-webhook-signature"
_TIMESTAMP = "x-twilio-email-event-webhook-timestamp"


def verify(call: InboundCall, public_keys: Iterable[str]) -> datetime:
    """When ``call`` was signed; raises SignatureInvalid unless lately and with one of the keys."""
    keys = [key.strip() for key in public_keys if key.strip()]
    if not keys:
        raise SignatureInvalid("no webhook verification key is set on the account")
    given, stamp = call.headers.get(_SIGNATURE, ""), call.headers.get(_TIMESTAMP, "")
    if not (given and stamp.isascii() and stamp.isdecimal()):
        raise SignatureInvalid("X-Twilio-Email-Event-Webhook-Signature or -Timestamp is missing")
    age_s = call.received_at.timestamp() - int(stamp[:15])
    if not -MAX_AHEAD_S <= age_s <= MAX_AGE_S:
        raise SignatureInvalid(f"the signature is {round(age_s)} s old")
    message = stamp.encode() + call.body
    if not any(_signs(key, given, message) for key in keys):
        raise SignatureInvalid(
            f"X-Twilio-Email-Event-Webhook-Signature ({len(given)} characters) does not match"
        )
    return call.received_at - timedelta(seconds=age_s)


def _signs(key: str, given: str, message: bytes) -> bool:
    try:
        public = load_der_public_key(base64.b64decode(key, validate=True))
        signature = base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        return False
    if not isinstance(public, ec.EllipticCurvePublicKey):
        return False
    try:
        public.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
