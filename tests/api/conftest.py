"""A restaurant, its key, and a caller that speaks JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from orders.api_keys import SCOPES, create_key
from orders.models import ApiKey, Location, Restaurant
from tests.factories import make_location, make_restaurant


class Caller:
    """Calls the API with one key; ``call`` answers (status, body, response)."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.client = Client()

    def call(
        self, method: str, path: str, body: Any = None, *, key: str = "", **headers: str
    ) -> Any:
        """The response; its JSON is ``.json()``. ``key`` is the Idempotency-Key."""
        if self.text:
            headers.setdefault("Authorization", f"Bearer {self.text}")
        if key:
            headers["Idempotency-Key"] = key
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {} if body is None else {"data": raw, "content_type": "application/json"}
        return self.client.generic(method, f"/api/v1/{path}", **sent, headers=headers)

    def get(self, path: str, **headers: str) -> Any:
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any, **options: str) -> Any:
        return self.call("POST", path, body, **options)

    def patch(self, path: str, body: Any, **options: str) -> Any:
        return self.call("PATCH", path, body, **options)


@pytest.fixture
def restaurant(db: None) -> Restaurant:
    return make_restaurant()


@pytest.fixture
def location(restaurant: Restaurant) -> Location:
    return make_location(restaurant)


@pytest.fixture
def made_key(restaurant: Restaurant, location: Location) -> tuple[ApiKey, str]:
    return create_key(restaurant=restaurant, name="till", scopes=SCOPES)


@pytest.fixture
def api_key(made_key: tuple[ApiKey, str]) -> ApiKey:
    return made_key[0]


@pytest.fixture
def api(made_key: tuple[ApiKey, str]) -> Caller:
    return Caller(made_key[1])


@pytest.fixture
def stranger(db: None) -> Caller:
    """A key of another restaurant with every scope."""
    other = make_restaurant()
    make_location(other)
    return Caller(create_key(restaurant=other, name="other", scopes=SCOPES)[1])
