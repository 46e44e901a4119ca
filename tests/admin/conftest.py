"""Two restaurants with one row of everything each, and clients of the people who look at them."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from config.admin_settings import UNFOLD_EXTRA
from tests.admin.factories import World


@pytest.fixture(autouse=True)
def console_settings(settings: Any) -> None:
    """The console as the product shows it, whoever merged its settings."""
    settings.UNFOLD = {
        **settings.UNFOLD,
        **UNFOLD_EXTRA,
        "COLORS": {**settings.UNFOLD["COLORS"], **UNFOLD_EXTRA["COLORS"]},
    }


@pytest.fixture
def mine(db: None) -> World:
    """The restaurant of the manager in these tests."""
    return World("Lucky Bowl")


@pytest.fixture
def theirs(db: None) -> World:
    """Somebody else's restaurant."""
    return World("Other Kitchen")


@pytest.fixture
def manager(mine: World) -> Client:
    """The manager of ``mine``, signed in."""
    client = Client()
    client.force_login(mine.manager)
    return client


@pytest.fixture
def superuser(db: None) -> Client:
    """Somebody who may see everything, signed in."""
    client = Client()
    client.force_login(
        get_user_model().objects.create_superuser("root", "root@example.com", "pass")
    )
    return client
