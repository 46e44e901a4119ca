"""Fields that are encrypted at rest (secrets, addresses, names, raw calls) and keyed hashes.

Tokens are Fernet (MultiFernet: newest key writes, all keys read). A token no key opens raises
``DecryptionFailed``: handing back ciphertext would let an adapter dial it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from functools import cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django import forms
from django.conf import settings
from django.core.signals import setting_changed
from django.db import models


class DecryptionFailed(Exception):
    """No configured key opens this value: a key is missing or the value was tampered with."""


@cache
def _fernet() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.FIELD_ENCRYPTION_KEYS])


def encrypt(value: bytes) -> bytes:
    """A Fernet token of ``value`` under the newest key."""
    return _fernet().encrypt(value)


def decrypt(token: bytes) -> bytes:
    """The value inside ``token``; raises DecryptionFailed."""
    try:
        return _fernet().decrypt(token)
    except InvalidToken:
        raise DecryptionFailed("no configured key opens this value") from None


def rotate(token: bytes) -> bytes:
    """The same value under the newest key."""
    try:
        return _fernet().rotate(token)
    except InvalidToken:
        raise DecryptionFailed("no configured key opens this value") from None


def pepper_version() -> int:
    """The version new address hashes are made with."""
    return len(settings.ADDRESS_PEPPERS)


def keyed_hash(text: str, *, version: int | None = None) -> str:
    """Hex HMAC-SHA256 of ``text`` under pepper ``version`` (default: the newest)."""
    pepper = settings.ADDRESS_PEPPERS[(version or pepper_version()) - 1]
    return hmac.new(pepper.encode(), text.encode(), hashlib.sha256).hexdigest()


def _forget_keys(*, setting: str, **_: object) -> None:
    if setting == "FIELD_ENCRYPTION_KEYS":
        _fernet.cache_clear()


setting_changed.connect(_forget_keys, dispatch_uid="consents.encryption.forget_keys")


class _EncryptedField(models.Field):  # type: ignore[type-arg]
    """A value stored as a Fernet token in a bytea column; it cannot be searched by content."""

    empty_strings_allowed = False

    def get_internal_type(self) -> str:
        return "BinaryField"

    def _to_bytes(self, value: Any) -> bytes:
        raise NotImplementedError

    def _from_bytes(self, value: bytes) -> Any:
        raise NotImplementedError

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        if value is None:
            return None
        return connection.Database.Binary(encrypt(self._to_bytes(value)))

    def from_db_value(self, value: Any, *_: object) -> Any:
        return None if value is None else self._from_bytes(decrypt(bytes(value)))


class EncryptedBinaryField(_EncryptedField):
    """Bytes, encrypted at rest."""

    def _to_bytes(self, value: Any) -> bytes:
        return bytes(value)

    def _from_bytes(self, value: bytes) -> bytes:
        return value


class EncryptedTextField(_EncryptedField):
    """Text, encrypted at rest."""

    empty_strings_allowed = True

    def _to_bytes(self, value: Any) -> bytes:
        return str(value).encode()

    def _from_bytes(self, value: bytes) -> str:
        return value.decode()

    def formfield(self, **kwargs: Any) -> Any:
        return super().formfield(**{"form_class": forms.CharField, **kwargs})


class EncryptedJSONField(_EncryptedField):
    """A JSON value, encrypted at rest."""

    def _to_bytes(self, value: Any) -> bytes:
        return json.dumps(value, separators=(",", ":")).encode()

    def _from_bytes(self, value: bytes) -> Any:
        return json.loads(value)
