"""The guest's order page in Chromium: live by a line, notified by the worker, linked to a chat."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from integrations.sandbox.server import SandboxServer
from notifications.models import ProviderAccount
from notifications.selectors import clear_caches
from notifications.services import register_with_sandbox
from tests.factories import make_provider_account
from tests.integrations import fixture_files as files
from tests.notifications.test_linking import BOT
from tests.notifications.test_way_pages import browser
from tests.stage import Stage, build_stage

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def stage(transactional_db: None, sandbox: SandboxServer) -> Stage:
    """A stage whose rows the server's own thread sees."""
    return build_stage(sandbox)


def connect(stage: Stage, key: str, settings: dict[str, str]) -> ProviderAccount:
    account = make_provider_account(stage.restaurant, provider=key, settings=settings, rate_per_s=0)
    register_with_sandbox([account])
    clear_caches()
    return account


def test_a_change_shows_at_once(stage: Stage, live_server: Any, page: Page) -> None:
    connect(stage, "pusher", files.settings("pusher"))
    stage.open()
    page.goto(f"{live_server.url}/o/{stage.order().public_id}/")
    expect(page.locator("[data-line-state=open]")).to_be_attached()
    began = time.monotonic()
    stage.post(state="ready")
    stage.settle_and_send()
    expect(page.locator("h1")).to_have_text("Ready for pickup")
    assert time.monotonic() - began < 5  # the page itself asks every ten seconds


def test_a_push_shows_a_notification_that_opens_the_order(
    stage: Stage, live_server: Any, page: Page
) -> None:
    connect(stage, "web_push", files.settings("web_push"))
    stage.open()
    page.context.grant_permissions(["notifications"], origin=live_server.url)
    page.goto(f"{live_server.url}/o/{stage.order().public_id}/")
    expect(page.get_by_role("button", name="Notify me in this browser")).to_be_visible()
    session = page.context.new_cdp_session(page)
    registrations: list[Any] = []
    session.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda event: registrations.extend(event["registrations"]),
    )
    session.send("ServiceWorker.enable")
    page.evaluate("navigator.serviceWorker.register('/sw.js').then(() => 1)")
    page.evaluate("navigator.serviceWorker.ready.then(() => 1)")
    news = {"title": "Order 1042: ready", "body": "Come and get it", "tag": "order-1", "url": "/x"}
    for _ in range(2):
        session.send(
            "ServiceWorker.deliverPushMessage",
            {
                "origin": live_server.url,
                "registrationId": registrations[-1]["registrationId"],
                "data": json.dumps(news),
            },
        )
    shown = """async () => {
        const worker = await navigator.serviceWorker.ready;
        for (let i = 0; i < 50; i++) {
            const found = await worker.getNotifications();
            if (found.length) return found.map((one) => [one.title, one.body, one.data.url]);
            await new Promise((done) => setTimeout(done, 100));
        }
        return [];
    }"""
    assert page.evaluate(shown) == [["Order 1042: ready", "Come and get it", "/x"]]


#: Chromium reaches no push service here: its subscriptions are played, one made with another key
PLAYED = """
const played = %s;
const made = (told, key) => ({
    toJSON: () => told,
    options: { applicationServerKey: key },
    unsubscribe: async () => { window.left = told.endpoint; window.held = null; return true; },
});
window.held = made(played[0], new Uint8Array(65).fill(4).buffer);
PushManager.prototype.getSubscription = async () => window.held;
PushManager.prototype.subscribe = async ({ applicationServerKey }) =>
    (window.held = made(played[1], applicationServerKey.buffer));
"""


def test_a_subscription_with_an_older_key_is_made_anew(
    stage: Stage, live_server: Any, page: Page
) -> None:
    """Its push service would refuse every message for it."""
    connect(stage, "web_push", files.settings("web_push"))
    stage.open()
    old, new = browser(stage, "old"), browser(stage, "new")
    page.add_init_script(PLAYED % json.dumps([old, new]))
    page.goto(f"{live_server.url}/o/{stage.order().public_id}/")
    page.get_by_role("button", name="Notify me in this browser").click()
    expect(page.locator("[data-push] button")).to_have_attribute("aria-pressed", "true")
    assert page.evaluate("window.left") == old["endpoint"]
    stage.post(state="ready")
    stage.settle_and_send()
    assert [message["to"] for message in stage.messages("web_push")] == ["browser new"]
    page.reload()  # the page knows nothing of a subscription that is not ours
    expect(page.locator("[data-push] button")).to_have_attribute("aria-pressed", "false")


def test_linking_a_chat_by_hand(stage: Stage, live_server: Any, page: Page, settings: Any) -> None:
    # what the vendor's servers call must be where this test serves
    settings.PORT = live_server.thread.port
    connect(stage, "telegram", BOT)
    stage.open()
    page.goto(f"{live_server.url}/o/{stage.order().public_id}/")
    page.get_by_role("link", name="Telegram").click()
    page.get_by_role("button", name="Start the chat").click()
    expect(page.get_by_text("Linked.")).to_be_visible()
    stage.settle_and_send()
    assert "you will get news about order 1042 here" in stage.texts("telegram")[0]
