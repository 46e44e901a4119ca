"""The access token of a Google service account: asked for once an hour, not once a message.

Page: developers.google.com/identity/protocols/oauth2/service-account.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from functools import cache

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from integrations.access_tokens import AccessToken
from integrations.contracts import HttpRequest

#: the audience Google wants, wherever the request really goes
AUDIENCE = "https://oauth2.googleapis.com/token"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ASSERTION_LIFE_S = 3600


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


@cache
def example_key_file() -> str:
    """A key file in Google's form with a key nobody else has."""
    key = generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "order-up-example",
            "private_key_id": "0" * 40,
            "private_key": pem.decode(),
            "client_email": "alerts@order-up-example.iam.gserviceaccount.com",
        }
    )


def google_token(account: ServiceAccount, url: str, *, provider: str) -> AccessToken:
    """The token of ``account``, asked for at ``url``."""

    def ask(at: datetime) -> HttpRequest:
        return HttpRequest.post(url, form={"grant_type": GRANT, "assertion": account.assertion(at)})

    return AccessToken(ask, provider=provider)
