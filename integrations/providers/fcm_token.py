"""The access token of a Google service account: asked for once an hour, not once a message.

Page: developers.google.com/identity/protocols/oauth2/service-account.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from integrations.contracts import HttpRequest, HttpResponse
from integrations.errors import ConfigurationError, OutcomeUnknown, RateLimited, TransientError

if TYPE_CHECKING:
    from integrations.http import Http

#: the audience Google wants, wherever the request really goes
AUDIENCE = "https://oauth2.googleapis.com/token"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ASSERTION_LIFE_S = 3600
#: a token that ends within this time is renewed first
_MARGIN = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, repr=False)
class ServiceAccount:
    """The parts of a service account's key file that matter here."""

    project_id: str
    email: str
    key_id: str
    key: RSAPrivateKey

    @staticmethod
    def from_json(text: str) -> ServiceAccount:
        """Read a key file; raises ValueError for anything that is none."""
        try:
            info = json.loads(text)
            if info["type"] != "service_account":
                raise ValueError("not a service account")
            key = load_pem_private_key(info["private_key"].encode(), password=None)
            project, email, key_id = (
                info[name] for name in ("project_id", "client_email", "private_key_id")
            )
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError("not a service account's key file") from error
        are_texts = all(isinstance(value, str) and value for value in (project, email, key_id))
        if not isinstance(key, RSAPrivateKey) or not are_texts:
            raise ValueError("not a service account's key file")
        return ServiceAccount(project, email, key_id, key)

    def assertion(self, at: datetime) -> str:
        """The signed statement Google exchanges for a token."""
        issued = int(at.timestamp())
        claims = {
            "iss": self.email,
            "aud": AUDIENCE,
            "scope": SCOPE,
            "iat": issued,
            "exp": issued + _ASSERTION_LIFE_S,
        }
        return jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": self.key_id})


class AccessToken:
    """One service account's token, shared by all messages in flight; one asks, the others wait."""

    def __init__(self, account: ServiceAccount, url: str, *, provider: str) -> None:
        self._account, self._url, self._provider = account, url, provider
        self._value, self._good_until = "", datetime.min.replace(tzinfo=UTC)
        self._lock: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None

    async def get(
        self, http: Http, *, refused: str = "", now: Callable[[], datetime] | None = None
    ) -> str:
        """A token good for some minutes more; ``refused`` is one Google no longer takes.

        Raises ConfigurationError, RateLimited or TransientError: no message has left then.
        """
        clock = now or (lambda: datetime.now(UTC))
        async with self._own_lock():
            if not self._value or self._value == refused or clock() >= self._good_until:
                await self._renew(http, clock())
            return self._value

    def _own_lock(self) -> asyncio.Lock:
        loop = asyncio.get_running_loop()
        if self._lock is None or self._lock[0] is not loop:
            self._lock = (loop, asyncio.Lock())
        return self._lock[1]

    async def _renew(self, http: Http, at: datetime) -> None:
        form = {"grant_type": GRANT, "assertion": self._account.assertion(at)}
        try:
            response = await http.send(
                HttpRequest.post(self._url, form=form), provider=self._provider
            )
        except OutcomeUnknown as error:
            raise TransientError(self._provider, detail="no answer about a token") from error
        answer = response.json_object()
        value, life_s = answer.get("access_token"), answer.get("expires_in")
        if response.status != 200 or not isinstance(value, str) or not value.isprintable():
            raise self._refusal(response)
        seconds = life_s if isinstance(life_s, int) and 0 < life_s <= 86400 else 600
        self._value, self._good_until = value, at + timedelta(seconds=seconds) - _MARGIN

    def _refusal(self, response: HttpResponse) -> Exception:
        status = response.status
        if status in (400, 401, 403, 404):
            said = response.json_object().get("error")
            code = (
                said if said in ("invalid_grant", "invalid_client", "unauthorized_client") else ""
            )
            return ConfigurationError(
                self._provider, f"Google gives no token: HTTP {status}", vendor_code=code
            )
        if status == 429:
            return RateLimited(
                self._provider, response, retry_after_s=response.retry_after_s() or 60.0
            )
        return TransientError(self._provider, response, detail="no token")
