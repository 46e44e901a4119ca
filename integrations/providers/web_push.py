"""Notifications in a guest's browser by the Web Push protocol. Facts are in web_push.md."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from py_vapid import Vapid02
from pywebpush import WebPusher

from integrations.contracts import (
    Accepted,
    Capabilities,
    Channel,
    HttpRequest,
    HttpResponse,
    Message,
    Provider,
    Setting,
)
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    RateLimited,
    RecipientUnreachable,
    TransientError,
)

if TYPE_CHECKING:
    from integrations.http import Http

#: far below the 3993 bytes that still fit into one encrypted record
MOST_BYTES = 3000
_LONGEST_TTL_S = 28 * 24 * 3600
_TOKEN_LIFE_S = 12 * 3600
DEFAULT_HOSTS = (
    "fcm.googleapis.com,jmt17.google.com,*.push.services.mozilla.com,*.notify.windows.com,"
    "*.push.apple.com"
)
_CONTACT = re.compile(r"mailto:[^@\s]+@[^@\s.]+(\.[^@\s.]+)+|https://[^\s/.]+(\.[^\s/.]+)+[^\s]*")
#: this browser subscribed with another key of ours, in the words of Apple, Google and Mozilla
_OLD_KEY = re.compile(r"pkhashmismatch|do not correspond|key mismatch", re.IGNORECASE)
#: words by which push services blame our key or token: in a 400, and in a 401 or 403, where
#: anything else is about the one browser
_ABOUT_US = re.compile(r"vapid|authoriz|unauthorizedregistration|jwt", re.IGNORECASE)
_OUR_TOKEN = re.compile(r"jwt", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a browser gave us: where to POST and the keys to encrypt for."""

    endpoint: str
    p256dh: str
    auth: str

    @property
    def origin(self) -> str:
        """Scheme and host of the push service, the audience of our token."""
        parts = urlsplit(self.endpoint)
        return f"{parts.scheme}://{parts.netloc}"


class WebPush(Provider):
    """A message to one browser; its address is the PushSubscription as JSON.

    ``request`` is pure and shows the notification in the clear; :meth:`sealed` encrypts it for
    the browser (RFC 8291) and adds our token (RFC 8292) when ``send`` is called.
    """

    key = "web_push"
    channel = Channel.WEB_PUSH
    title = "Web Push"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting(
            "vapid_private_key",
            label="VAPID private key",
            secret=True,
            help="32 bytes, base64url. A new key ends every subscription: keep a copy",
            example="AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA",
        ),
        Setting(
            "contact",
            label="Contact",
            help="mailto: or https: address of a real domain",
            example="mailto:ops@example.com",
        ),
        Setting(
            "allowed_hosts",
            label="Push services",
            required=False,
            default=DEFAULT_HOSTS,
            help="host names, *. for any host below",
        ),
    )
    capabilities = Capabilities(own_addresses=True)

    def __init__(self, account: Mapping[str, str], *, base_url: str = "") -> None:
        super().__init__(account, base_url=base_url)
        try:
            self._vapid = Vapid02.from_string(account["vapid_private_key"].strip())
        except Exception as error:
            raise ConfigurationError(
                self.key, "setting 'vapid_private_key' is not a P-256 key in base64url"
            ) from error
        if not _CONTACT.fullmatch(account["contact"].strip()):
            raise ConfigurationError(
                self.key, "setting 'contact' is not mailto: or https: with a real domain"
            )
        self._hosts = [
            host.strip().lower()
            for host in (account.get("allowed_hosts") or DEFAULT_HOSTS).split(",")
            if host.strip()
        ]

    @property
    def public_key(self) -> str:
        """The key a page subscribes with, base64url."""
        raw = self._vapid.public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")

    def request(self, message: Message) -> HttpRequest:
        """POST to the push service, still in the clear.

        Raises RecipientUnreachable for what is no subscription at a known push service.
        """
        subscription = self.subscription(message.to)
        parts = urlsplit(subscription.endpoint)
        path = parts._replace(scheme="", netloc="").geturl()
        headers = {
            "TTL": str(max(0, min(message.valid_for_s, _LONGEST_TTL_S))),
            "Urgency": "high" if message.urgent else "normal",
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
        }
        if message.thread_key:
            headers["Topic"] = self._topic(message.thread_key)
        if (parts.hostname or "").endswith(".notify.windows.com"):
            headers["X-WNS-Type"] = "wns/raw"
        return HttpRequest(
            "POST",
            f"{self.base_url}{path}" if self.base_url else subscription.endpoint,
            headers,
            _payload(message),
            untrusted_url=True,
        )

    def sealed(self, request: HttpRequest, to: str, at: datetime) -> HttpRequest:
        """``request`` encrypted for the browser ``to``, with our token as of ``at``."""
        subscription = self.subscription(to)
        info = {
            "endpoint": subscription.endpoint,
            "keys": {"p256dh": subscription.p256dh, "auth": subscription.auth},
        }
        try:
            body: bytes = WebPusher(info).encode(request.body)["body"]
        except Exception as error:
            raise RecipientUnreachable(self.key, detail="the browser's keys are damaged") from error
        # a fresh dict: the library adds to it, and another host needs another audience
        claims = {
            "aud": subscription.origin,
            "exp": int(at.timestamp()) + _TOKEN_LIFE_S,
            "sub": self.account["contact"].strip(),
        }
        headers = {**request.headers, **self._vapid.sign(claims)}
        return replace(request, headers=headers, body=body)

    async def send(self, message: Message, http: Http) -> Accepted:
        """Encrypt, sign, POST. An unanswered push may be repeated: topic and tag replace it."""
        request = self.request(message)
        # about a millisecond of elliptic curves, which others need not wait for
        made = await asyncio.to_thread(self.sealed, request, message.to, datetime.now(UTC))
        try:
            response = await http.send(made, provider=self.key)
        except OutcomeUnknown as error:
            if not message.thread_key:
                raise
            raise TransientError(self.key, detail="no complete answer") from error
        return self.outcome(message, response)

    def outcome(self, message: Message, response: HttpResponse) -> Accepted:
        """The status decides; a body only tells whom a 400 blames."""
        status = response.status
        if status in (200, 201, 202):
            return Accepted(vendor_id=_location(response))
        if status in (404, 410) or 300 <= status < 400:
            raise RecipientUnreachable(self.key, response, detail="the subscription is gone")
        if status in (400, 401, 403):
            self._raise_for_key(response)
        if status == 429:
            wait_s = response.retry_after_s()
            raise RateLimited(self.key, response, retry_after_s=60.0 if wait_s is None else wait_s)
        if status >= 500 or status == 408:
            raise TransientError(self.key, response)
        if 200 <= status < 300:
            raise OutcomeUnknown(self.key, response, detail=f"HTTP {status}")
        raise MessageRejected(self.key, response)

    def _raise_for_key(self, response: HttpResponse) -> None:
        """One browser that subscribed with an older key must not stop the others."""
        said, is_bare = response.text(), response.status != 400
        is_old = _OLD_KEY.search(said)
        if not is_old and (_OUR_TOKEN if is_bare else _ABOUT_US).search(said):
            raise ConfigurationError(
                self.key, "the push service refuses our VAPID key, token or contact"
            )
        if is_old or is_bare:
            raise RecipientUnreachable(self.key, response, detail="our key is not the one it knows")

    def subscription(self, to: str) -> Subscription:
        """The browser behind an address; raises RecipientUnreachable for what is none."""
        try:
            given = json.loads(to)
            found = Subscription(
                str(given["endpoint"]), str(given["keys"]["p256dh"]), str(given["keys"]["auth"])
            )
            parts = urlsplit(found.endpoint)
            is_https = parts.scheme == "https" and parts.port in (None, 443)
            host = (parts.hostname or "").lower()
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise RecipientUnreachable(self.key, detail="not a PushSubscription") from error
        if not is_https or parts.username is not None or not self._is_allowed(host):
            raise RecipientUnreachable(self.key, detail="not at a known push service")
        if not _are_keys_valid(found):
            raise RecipientUnreachable(self.key, detail="the browser's keys are damaged")
        return found

    def _is_allowed(self, host: str) -> bool:
        return any(
            host.endswith(allowed[1:]) if allowed.startswith("*.") else host == allowed
            for allowed in self._hosts
        )

    def _topic(self, thread_key: str) -> str:
        """Right length and alphabet, and the push service learns nothing about the order."""
        secret = self.account["vapid_private_key"]
        digest = hashlib.sha256(f"{secret}|{thread_key}".encode()).digest()
        return base64.urlsafe_b64encode(digest).decode("ascii")[:32]


def _are_keys_valid(subscription: Subscription) -> bool:
    """Whether the browser's point is on the curve and its secret has 16 bytes."""
    try:
        point, auth = _decoded(subscription.p256dh), _decoded(subscription.auth)
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except (ValueError, binascii.Error):
        return False
    return len(auth) == 16


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _payload(message: Message) -> bytes:
    """The JSON our service worker shows; the text is cut until it fits."""
    title = message.subject.strip() or message.text.strip().partition("\n")[0]
    body: dict[str, Any] = {
        "title": title[:100],
        "body": message.text.strip(),
        "tag": message.thread_key or message.attempt_id,
        "url": message.links.get("order", "")[:500],
        "event_id": str(message.event.get("id") or message.attempt_id),
        "attempt_id": message.attempt_id,
    }
    made = _json(body)
    while len(made) > MOST_BYTES and body["body"]:
        # a character takes 6 bytes at most (an escape); a few rounds are enough
        excess = math.ceil((len(made) - MOST_BYTES) / 6)
        body["body"] = body["body"][: -excess - 1]
        made = _json(body)
    return made


def _json(body: Mapping[str, Any]) -> bytes:
    made = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return made.encode("utf-8", "ignore")  # halves of surrogate pairs have no bytes


def _location(response: HttpResponse) -> str:
    """The message's own URL at the push service, the only id there is."""
    return response.headers.get("location", "")[:200]
