"""Who gets in, and how far."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orders.api_keys import create_key, record_use, revoke_key, verify_key
from orders.models import ApiKey, Order, Restaurant
from tests.api.bodies import bowls
from tests.api.conftest import Caller

NOW = datetime(2026, 3, 14, 18, 0, tzinfo=UTC)


def test_only_the_hash_of_a_key_is_stored(restaurant: Restaurant) -> None:
    key, text = create_key(restaurant=restaurant, name="till", scopes=["orders:read"])
    kind, prefix, secret = text.split("_", 2)
    stored = ApiKey.objects.values().get(pk=key.pk)
    assert (kind, prefix) == ("ou", key.prefix)
    assert len(secret) >= 40
    assert not any(secret in str(value) for value in stored.values())
    assert verify_key(text) == key


def test_a_key_with_an_unknown_scope_is_not_made(restaurant: Restaurant) -> None:
    with pytest.raises(ValueError, match="orders:fly"):
        create_key(restaurant=restaurant, name="till", scopes=["orders:fly"])
    assert not ApiKey.objects.exists()


def test_a_key_that_is_wrong_in_one_letter_is_nobody(api: Caller) -> None:
    last = "a" if api.text[-1] != "a" else "b"
    assert verify_key(api.text[:-1] + last) is None
    assert verify_key(api.text + "x") is None
    assert verify_key(api.text.replace("ou_", "sk_")) is None
    assert verify_key("ou_" + "ß" * 40) is None
    assert verify_key("") is None


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer  ", "Basic b3U6eA==", "ou_x", "Bearer ou_12345678_nope"]
)
def test_without_a_key_nothing_is_told(api: Caller, header: str) -> None:
    answer = Caller("").call("GET", "orders", **({"Authorization": header} if header else {}))
    body = answer.json()
    assert answer.status_code == 401
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert body["type"] == "https://alerts.example.com/api/v1/problems/unauthenticated"
    assert body["status"] == 401
    assert body["instance"] == "/api/v1/orders"


def test_a_revoked_key_is_refused_and_writes_nothing(api: Caller, api_key: ApiKey) -> None:
    revoke_key(key=api_key, at=NOW)
    revoke_key(key=api_key, at=NOW + timedelta(days=1))
    assert api.post("orders", bowls()).status_code == 401
    assert not Order.objects.exists()
    api_key.refresh_from_db()
    assert api_key.revoked_at == NOW


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("GET", "orders", "orders:read"),
        ("POST", "orders", "orders:write"),
        ("GET", "orders/6f1ed002-ab59-4ffc-8d05-1d9c1f2c2a3b", "orders:read"),
        ("PATCH", "orders/6f1ed002-ab59-4ffc-8d05-1d9c1f2c2a3b", "orders:write"),
        ("POST", "orders/6f1ed002-ab59-4ffc-8d05-1d9c1f2c2a3b/status", "orders:write"),
        ("POST", "orders/6f1ed002-ab59-4ffc-8d05-1d9c1f2c2a3b/split", "orders:write"),
        ("POST", "orders/6f1ed002-ab59-4ffc-8d05-1d9c1f2c2a3b/eta", "orders:write"),
        ("GET", "notifications", "notifications:read"),
        ("GET", "notifications/6f1ed002-ab59-4ffc-8d05-1d9c1f2c2a3b", "notifications:read"),
        ("POST", "consent-events", "consents:write"),
        ("GET", "addresses/6f1ed002-ab59-4ffc-8d05-1d9c1f2c2a3b/consent", "consents:read"),
        ("POST", "decisions/preview", "consents:read"),
        ("POST", "rights-requests", "consents:write"),
    ],
)
def test_each_call_needs_its_scope(
    restaurant: Restaurant, method: str, path: str, needed: str
) -> None:
    others = {"orders:read", "orders:write", "notifications:read", "consents:write"} - {needed}
    _, text = create_key(restaurant=restaurant, name="narrow", scopes=others)
    body = None if method == "GET" else bowls()
    answer = Caller(text).call(method, path, body)
    assert answer.status_code == 403
    assert f"'{needed}'" in answer.json()["detail"]
    assert not Order.objects.exists()


def test_last_use_is_written_at_most_once_a_minute(api: Caller, api_key: ApiKey) -> None:
    record_use(key=api_key, now=NOW)
    api_key.refresh_from_db()
    assert api_key.last_used_at == NOW
    stale = ApiKey.objects.get(pk=api_key.pk)
    record_use(key=api_key, now=NOW + timedelta(seconds=59))
    api_key.refresh_from_db()
    assert api_key.last_used_at == NOW
    record_use(key=api_key, now=NOW + timedelta(seconds=60))
    stale.last_used_at = None  # another process that has not seen the write
    record_use(key=stale, now=NOW + timedelta(seconds=61))
    api_key.refresh_from_db()
    assert api_key.last_used_at == NOW + timedelta(seconds=60)


def test_using_a_key_over_http_is_noted(api: Caller, api_key: ApiKey) -> None:
    assert api.get("orders").status_code == 200
    api_key.refresh_from_db()
    assert api_key.last_used_at is not None
