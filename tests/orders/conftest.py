"""Fixtures of the order tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orders import selectors
from orders.models import SourceAccount
from orders.signals import order_event_recorded
from tests.factories import make_source_account
from tests.orders.posting import Till, open_till


@pytest.fixture(autouse=True)
def fresh_caches() -> None:
    """What one test kept must not answer another."""
    selectors.clear_caches()


@pytest.fixture
def till(db: None) -> Till:
    """A web shop of a restaurant with one location, speaking CloudEvents."""
    return open_till()


@pytest.fixture
def nobody_plans() -> Iterator[None]:
    """Intake alone: without the receivers of other apps."""
    receivers = order_event_recorded.receivers
    order_event_recorded.receivers = []
    order_event_recorded.sender_receivers_cache.clear()
    yield
    order_event_recorded.receivers = receivers
    order_event_recorded.sender_receivers_cache.clear()


@pytest.fixture
def account(till: Till) -> SourceAccount:
    return till.account


@pytest.fixture
def pos(till: Till) -> SourceAccount:
    """A second source of the same restaurant."""
    return make_source_account(
        till.restaurant, source="square", location=till.location, settings={}
    )
