"""API keys: made, verified, and what they may do.

A key reads ``ou_<prefix>_<secret>``. The database holds its SHA-256 and the prefix; the secret has
256 random bits, so a fast hash is enough and the key itself is shown once and never again.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import cast

from django.db.models import Q
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from orders.models import ApiKey, Restaurant

#: what a key can be allowed to do, and the words for it
SCOPES = {
    "orders:read": "see orders",
    "orders:write": "create and change orders",
    "notifications:read": "see notifications and why they were or were not sent",
    "notifications:write": "replay notifications",
    "consents:read": "see consents",
    "consents:write": "record consents",
}
#: last_used_at is for people; more often would be a write per request
LAST_USED_STEP = timedelta(minutes=1)
_LONGEST_KEY = 100


def create_key(*, restaurant: Restaurant, name: str, scopes: Iterable[str]) -> tuple[ApiKey, str]:
    """A new key and its text, which cannot be read back later.

    Raises ValueError for a scope nobody knows.
    """
    wanted = sorted(set(scopes))
    unknown = [scope for scope in wanted if scope not in SCOPES]
    if unknown:
        raise ValueError(f"unknown scope {unknown[0]!r}; known: {', '.join(SCOPES)}")
    prefix = secrets.token_hex(4)
    text = f"ou_{prefix}_{secrets.token_urlsafe(32)}"
    key = ApiKey.objects.create(
        restaurant=restaurant, name=name, prefix=prefix, key_hash=_digest(text), scopes=wanted
    )
    return key, text


def verify_key(text: str) -> ApiKey | None:
    """The live key ``text`` is, or None. Its restaurant is loaded with it."""
    if len(text) > _LONGEST_KEY or not text.startswith("ou_") or not text.isascii():
        return None
    digest = _digest(text)
    key = ApiKey.objects.select_related("restaurant").filter(key_hash=digest).first()
    if key is None or not hmac.compare_digest(key.key_hash, digest):
        return None
    return key if key.revoked_at is None else None


def revoke_key(*, key: ApiKey, at: datetime) -> None:
    """End ``key`` now; repeating it keeps the first moment."""
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=at)


def record_use(*, key: ApiKey, now: datetime) -> None:
    """Note that ``key`` was used, at most once a minute."""
    if key.last_used_at is not None and now - key.last_used_at < LAST_USED_STEP:
        return
    stale = Q(last_used_at=None) | Q(last_used_at__lte=now - LAST_USED_STEP)
    ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def key_of(request: Request) -> ApiKey:
    """The key an authenticated request carries."""
    return cast("ApiKey", request.auth)


class ApiKeyAuthentication(BaseAuthentication):
    """``Authorization: Bearer ou_...``; ``request.auth`` is then the ApiKey, ``user`` is None."""

    def authenticate(self, request: Request) -> tuple[None, ApiKey] | None:
        header = request.headers.get("Authorization", "")
        if not header:
            return None
        scheme, _, text = header.partition(" ")
        if scheme.lower() != "bearer" or not text.strip():
            raise AuthenticationFailed("the Authorization header must be 'Bearer <API key>'")
        key = verify_key(text.strip())
        if key is None:
            raise AuthenticationFailed("the API key is unknown or revoked")
        record_use(key=key, now=timezone.now())
        return None, key

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="Order Up"'


class HasScope(BasePermission):
    """The key carries the scope the view names for the method (``view.scopes``)."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        needed: str | None = getattr(view, "scopes", {}).get(request.method)
        if needed is None:  # the method is answered with 405 or OPTIONS: any key may learn that
            return isinstance(request.auth, ApiKey)
        self.message = f"the API key lacks the scope '{needed}'"
        return isinstance(request.auth, ApiKey) and needed in _scopes(request.auth)


def _scopes(key: ApiKey) -> Collection[str]:
    return key.scopes


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the OpenAPI document describes the keys."""

    target_class = "orders.api_keys.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key of one restaurant: ou_<prefix>_<secret>.",
        }
