"""Browser notifications switched on and off from the order's page, and what the page offers."""

from __future__ import annotations

import json
import urllib.request
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from consents.models import ContactAddress, Suppression
from integrations.providers.web_push import WebPush
from notifications.models import ProviderAccount
from notifications.selectors import clear_caches
from notifications.services import register_with_sandbox
from orders.models import Order
from tests.factories import make_provider_account
from tests.integrations import fixture_files as files
from tests.notifications.test_linking import BOT
from tests.stage import Stage


@pytest.fixture
def push(stage: Stage) -> ProviderAccount:
    account = make_provider_account(
        stage.restaurant, provider="web_push", settings=files.settings("web_push"), rate_per_s=0
    )
    register_with_sandbox([account])
    clear_caches()
    stage.open()
    return account


def browser(stage: Stage, name: str = "anas-phone") -> dict[str, Any]:
    """A browser of the sandbox's push service."""
    request = urllib.request.Request(
        f"{stage.sandbox.url}/_sandbox/web_push/browsers",
        json.dumps({"id": name}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def ask(stage: Stage, body: Any, path: str = "") -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    url = f"/o/{stage.order().public_id}/push/{path}"
    return stage.client.post(url, data=data, content_type="application/json")


def test_a_browser_is_told_until_it_says_no(stage: Stage, push: ProviderAccount) -> None:
    subscription = browser(stage)
    for _ in range(2):
        assert ask(stage, {**subscription, "expirationTime": None}).json() == {"on": True}
    address = ContactAddress.objects.get(channel="web_push")
    assert (address.bound_to, address.masked) == (push.token, "browser")
    texts = len(stage.texts())
    stage.post(state="ready")
    stage.settle_and_send()
    assert "order 1042 is ready" in stage.texts("web_push")[-1]
    assert len(stage.texts()) == texts
    told = len(stage.messages("web_push"))
    assert ask(stage, subscription, "stop/").json() == {"on": False}
    stage.post(state="cancelled")
    stage.settle_and_send()
    assert len(stage.messages("web_push")) == told
    assert [t for t in stage.texts() if "cancelled" in t]
    assert ask(stage, subscription).json() == {"on": True}
    assert not Suppression.objects.exists()


def test_a_dead_browser_falls_back_to_a_text(stage: Stage, push: ProviderAccount) -> None:
    assert ask(stage, browser(stage, "gone")).status_code == 200
    stage.post(state="ready")
    stage.settle_and_send()
    stage.settle_and_send()
    assert [t for t in stage.texts() if "ready" in t]
    assert ContactAddress.objects.get(channel="web_push").unreachable_at is not None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"endpoint": "http://127.0.0.1/", "keys": {"p256dh": "x", "auth": "y"}}',
        b'{"endpoint": "https://evil.example.com/x", "keys": {"p256dh": "x", "auth": "y"}}',
        b"{" + b" " * 5000,
    ],
)
def test_what_is_no_browser_is_refused(stage: Stage, push: ProviderAccount, body: bytes) -> None:
    for path in ("", "stop/"):
        answer = ask(stage, body, path)
        assert answer.status_code == 400
        assert answer.json()["problem"]
    assert not ContactAddress.objects.filter(channel="web_push").exists()


def test_nobody_subscribes_for_ever(stage: Stage, push: ProviderAccount) -> None:
    for number in range(10):
        assert ask(stage, browser(stage, f"b{number}")).status_code == 200
    assert ask(stage, browser(stage, "b10")).status_code == 409
    Order.objects.update(is_open=False, created_at="2026-01-01T00:00:00Z")
    ContactAddress.objects.filter(channel="web_push").delete()
    assert ask(stage, browser(stage, "late")).status_code == 409


def test_another_site_cannot_press_it(stage: Stage, push: ProviderAccount) -> None:
    strict = Client(enforce_csrf_checks=True)
    url = f"/o/{stage.order().public_id}/push/"
    answer = strict.post(url, data=browser(stage), content_type="application/json")
    assert answer.status_code == 403
    assert not ContactAddress.objects.filter(channel="web_push").exists()


def test_the_page_offers_what_the_restaurant_has(stage: Stage, push: ProviderAccount) -> None:
    make_provider_account(stage.restaurant, provider="telegram", settings=BOT)
    clear_caches()
    page = stage.client.get(f"/o/{stage.order().public_id}/").content.decode()
    assert "Tell me by" in page
    assert "/telegram/link/lucky_bot?start=" in page
    key = WebPush(files.settings("web_push")).public_key
    assert f'data-push-key="{key}"' in page
    worker = stage.client.get("/sw.js")
    assert worker.headers["Content-Type"].startswith("text/javascript")
    stage.post(state="picked_up")
    assert "Tell me by" not in stage.client.get(f"/o/{stage.order().public_id}/").content.decode()


def test_without_such_accounts_there_is_nothing_to_choose(stage: Stage) -> None:
    stage.open()
    page = stage.client.get(f"/o/{stage.order().public_id}/").content.decode()
    assert "Tell me by" not in page
    assert ask(stage, {"endpoint": "x"}).status_code == 404


def test_a_key_made_by_the_command_works() -> None:
    out = StringIO()
    call_command("make_vapid_key", stdout=out)
    private = out.getvalue().partition("=")[2].partition("\n")[0]
    made = WebPush({"vapid_private_key": private, "contact": "mailto:ops@example.com"})
    assert made.public_key in out.getvalue()
    assert len(made.public_key) == 87
