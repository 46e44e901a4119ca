"""A push service and the browsers behind it: decrypts what only the browser could read.

``POST /_sandbox/web_push/browsers`` makes a browser and answers its PushSubscription; ``id`` in
the body names it, and some names misbehave.
"""

from __future__ import annotations

import base64
import json
import os
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any

import http_ece
from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from integrations.sandbox.state import SandboxAccount, SandboxMessage
from integrations.sandbox.vendors.base import (
    Magic,
    Route,
    SandboxVendor,
    json_reply,
    needed,
    random_hex,
    raw_of,
)

ORIGIN = "https://updates.push.services.mozilla.com"
BODY_LIMIT = 4096
LONGEST_TOKEN_S = 24 * 3600
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,32}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_AUTHORIZATION = re.compile(r"vapid t=([\w.-]+), ?k=([\w-]+)")
#: name of a browser -> the status its push service answers
_MAGIC: Mapping[str, int] = {"gone": 410, "unknown": 404, "old-key": 403, "busy": 429, "down": 503}


class WebPush(SandboxVendor):
    """Browser notifications. The message wall shows them decrypted."""

    key = "web_push"
    title = "Web Push"
    channel = "web_push"
    magic = tuple(Magic(f"browser “{name}”", str(status)) for name, status in _MAGIC.items())

    def routes(self) -> Iterable[Route]:
        return (Route("POST", "/wpush/v2/{browser}", self.push),)

    def control_routes(self) -> Iterable[Route]:
        return (Route("POST", "/browsers", self.subscribe),)

    def account_name(self, settings: Mapping[str, str]) -> str:
        return needed(settings, "contact")

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        key = _decoded(needed(settings, "vapid_private_key"))
        if len(key) != 32:
            raise ValueError("'vapid_private_key' is 32 bytes in base64url")
        private = ec.derive_private_key(int.from_bytes(key, "big"), ec.SECP256R1())
        return [_encoded(_point(private))]

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        headers = {"Retry-After": f"{retry_after_s:g}"} if status == 429 else None
        body = {"code": status, "errno": 201, "error": f"HTTP {status}", "message": "Try later"}
        return json_reply(body, status=status, headers=headers)

    async def subscribe(self, request: web.Request) -> web.StreamResponse:
        """A new browser: its PushSubscription. The same ``id`` again replaces its keys."""
        body = await request.read()
        try:
            name = str(json.loads(body).get("id") or random_hex(8)) if body else random_hex(8)
        except (ValueError, AttributeError):
            name = ""
        if not _NAME.fullmatch(name):
            return json_reply({"error": "'id' is letters, digits, - and _"}, status=400)
        private = ec.generate_private_key(ec.SECP256R1())
        keys = {"p256dh": _encoded(_point(private)), "auth": _encoded(os.urandom(16))}
        self.state.resources[self.key, "browser", name] = {"private": private, **keys}
        endpoint = f"{ORIGIN}/wpush/v2/{name}"
        return json_reply({"endpoint": endpoint, "expirationTime": None, "keys": keys})

    async def push(self, request: web.Request) -> web.StreamResponse:
        """One encrypted message to one browser."""
        name, body = request.match_info["browser"], await request.read()
        account, refused = self._authorized(request)
        if account is None:
            return refused
        if name in _MAGIC:
            return self.refusal(_MAGIC[name], 30)
        browser = self.state.resources.get((self.key, "browser", name))
        if browser is None:
            return _refused(404, 102, "Invalid subscription")
        if len(body) > BODY_LIMIT:
            return _refused(413, 104, "Payload too large")
        problem = _header_problem(request.headers)
        if problem:
            return _refused(400, 110, problem)
        try:
            said = http_ece.decrypt(
                body,
                private_key=browser["private"],
                auth_secret=_decoded(browser["auth"]),
                version="aes128gcm",
            )
            shown = json.loads(said)
        except (http_ece.ECEException, ValueError):
            return _refused(400, 110, "The browser cannot decrypt this")
        message_id = f"webpush-{random_hex(8)}"
        self.accept(lambda: self._message(account, message_id, name, shown, request))
        return web.Response(status=201, headers={"Location": f"{ORIGIN}/m/{message_id}"})

    def _authorized(self, request: web.Request) -> tuple[SandboxAccount | None, web.Response]:
        """The account whose key signed the token, or None and the refusal."""
        found = _AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
        if found is None:
            return None, _refused(401, 109, "Missing authorization")
        account = self.state.find_account(self.key, found[2])
        if account is None:
            return None, _refused(403, 109, "The key is not the one of the subscription")
        if not _is_token_valid(found[1], found[2]):
            return None, _refused(401, 109, "Invalid VAPID token")
        return account, web.Response()

    def _message(
        self,
        account: SandboxAccount,
        message_id: str,
        browser: str,
        shown: Mapping[str, Any],
        request: web.Request,
    ) -> SandboxMessage:
        return SandboxMessage(
            vendor=self.key,
            channel=self.channel,
            account=account,
            id=message_id,
            to=f"browser {browser}",
            text=str(shown.get("body", "")),
            subject=str(shown.get("title", "")),
            attempt=str(shown.get("attempt_id", "")),
            raw=raw_of(request, lambda: shown),
            extra={
                "notification": dict(shown),
                "topic": request.headers.get("Topic", ""),
                "ttl": request.headers.get("TTL", ""),
            },
        )


def _refused(status: int, errno: int, words: str) -> web.Response:
    body = {"code": status, "errno": errno, "error": "refused", "message": words}
    return json_reply(body, status=status)


def _header_problem(headers: Mapping[str, str]) -> str:
    if not headers.get("TTL", "").isdecimal():
        return "Missing TTL"
    if headers.get("Content-Encoding") != "aes128gcm":
        return "Unknown Content-Encoding"
    topic = headers.get("Topic")
    return "Invalid Topic" if topic is not None and not _TOPIC.fullmatch(topic) else ""


def _is_token_valid(token: str, key: str) -> bool:
    """Whether ``token`` is signed by ``key``, for this push service, and neither old nor long."""
    try:
        head, claims, signature = token.split(".")
        raw = _decoded(signature)
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), _decoded(key))
        whole = encode_dss_signature(
            int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
        )
        public.verify(whole, f"{head}.{claims}".encode(), ec.ECDSA(hashes.SHA256()))
        said = json.loads(_decoded(claims))
        left_s = float(said["exp"]) - time.time()
    except (ValueError, KeyError, TypeError, InvalidSignature):
        return False
    return said.get("aud") == ORIGIN and 0 < left_s <= LONGEST_TOKEN_S and bool(said.get("sub"))


def _point(private: ec.EllipticCurvePrivateKey) -> bytes:
    return private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
