"""The token of unsubscribe links: signed, opaque, valid for as long as its key is kept.

34 bytes and a MAC of 20 as base64url, 72 characters: version, what to stop, the address's public
id, the attempt that carried it. It names no person and it can only ever reduce contact, so it
need not expire: somebody may press it in a mail of two months ago.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings

from consents.models import Purpose

_VERSION = 1
_LAYOUT = struct.Struct(">BB16s16s")
_MAC_BYTES = 20
#: what a link of this code stops; codes never change
_PURPOSES = {1: Purpose.ORDER_UPDATES, 2: Purpose.FEEDBACK, 3: Purpose.MARKETING}
_CODES = {purpose: code for code, purpose in _PURPOSES.items()}


@dataclass(frozen=True, slots=True)
class UnsubscribeLink:
    """What a token says: stop ``purpose`` at the address; ``attempt_id`` carried it."""

    address: UUID
    purpose: Purpose
    attempt_id: UUID


def stops(purpose: str) -> Purpose:
    """What the link in a message of ``purpose`` stops: answers and codes belong to orders."""
    return Purpose(purpose) if purpose in _CODES else Purpose.ORDER_UPDATES


def sign(link: UnsubscribeLink) -> str:
    """The token of ``link`` under the newest key."""
    code = _CODES[link.purpose]
    body = _LAYOUT.pack(_VERSION, code, link.address.bytes, link.attempt_id.bytes)
    return base64.urlsafe_b64encode(body + _mac(settings.LINK_SIGNING_KEYS[0], body)).decode()


def read(token: str) -> UnsubscribeLink | None:
    """What ``token`` says; None unless one of our keys signed exactly this."""
    try:
        raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    body, mac = raw[: _LAYOUT.size], raw[_LAYOUT.size :]
    if not any(hmac.compare_digest(mac, _mac(key, body)) for key in settings.LINK_SIGNING_KEYS):
        return None
    version, code, address, attempt = _LAYOUT.unpack(body)
    if version != _VERSION or code not in _PURPOSES:
        return None
    return UnsubscribeLink(UUID(bytes=address), _PURPOSES[code], UUID(bytes=attempt))


def _mac(key: str, body: bytes) -> bytes:
    digest = hmac.new(key.encode(), b"unsubscribe|" + body, hashlib.sha256).digest()
    return digest[:_MAC_BYTES]
