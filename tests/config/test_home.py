"""The home page shows data of demo restaurants to everybody, real ones to their managers."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from orders.models import Order
from tests.factories import (
    make_delivery,
    make_event,
    make_manager,
    make_notification,
    make_order,
    make_provider_account,
    make_restaurant,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def demo_secrets(settings: Any, tmp_path: Path) -> None:
    """A stored demo login; whether it is shown depends on the database alone."""
    settings.VAR_DIR = tmp_path
    (tmp_path / "demo.json").write_text(json.dumps({"password": "open-sesame"}))


def told_order(**restaurant: Any) -> Order:
    order = make_order(make_restaurant(**restaurant), state="ready", display="114")
    now = timezone.now() - timedelta(minutes=2)
    account = make_provider_account(
        order.restaurant, provider="twilio", channel="sms", name="Twilio"
    )
    note = make_notification(make_event(order, "ready", at=now), at=now)
    make_delivery(note, account, at=now, state="delivered")
    return order


def test_strangers_see_doors_and_nothing_of_a_real_restaurant(client: Client) -> None:
    order = told_order(name="Lucky Bowl")
    text = client.get("/").content.decode()
    assert "Sign in to see your restaurants." in text
    assert 'href="/board/"' in text
    for secret in ("Lucky Bowl", "114", "open-sesame", str(order.public_id), "Latest alerts"):
        assert secret not in text


def test_managers_see_their_alerts(client: Client) -> None:
    order = told_order(name="Lucky Bowl")
    other = told_order(name="Other House")
    client.force_login(make_manager(order.restaurant))
    text = client.get("/").content.decode()
    assert "Order Up is watching the orders of Lucky Bowl." in text
    assert f'href="/o/{order.public_id}/"' in text
    assert "text message to Twilio" in text
    assert "open-sesame" not in text
    assert str(other.public_id) not in text
    assert "Other House" not in text


def test_a_demo_shows_its_login_and_its_sandbox(client: Client, settings: Any) -> None:
    settings.DEMO = True
    settings.SANDBOX_URL = "http://127.0.0.1:8001"
    told_order(name="Harvest & Steam", is_demo=True)
    text = client.get("/").content.decode()
    assert "<code>manager</code> / <code>open-sesame</code>" in text
    assert 'href="http://127.0.0.1:8001/"' in text
    assert "Harvest &amp; Steam" in text


def test_a_new_installation_says_what_comes_next(client: Client) -> None:
    client.force_login(make_manager(make_restaurant()))
    assert "The first one appears here" in client.get("/").content.decode()
