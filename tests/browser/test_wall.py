"""The message wall: a push as on a lock screen, a run of a flow, and what may be pressed there."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from integrations import registry
from integrations.sandbox.server import SandboxServer
from tests.integrations import fixture_files as files
from tests.integrations.sandbox.through import deliver

pytestmark = pytest.mark.browser


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer().start() as server:
        yield server


def ask(sandbox: SandboxServer, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{sandbox.url}/_sandbox/{path}", data=data, headers=headers)
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


def told(sandbox: SandboxServer, key: str) -> str:
    """One message of a provider's fixture, taken by its stand-in; the vendor's id."""
    ask(sandbox, "accounts", {"vendor": key, "settings": files.settings(key)})
    made = registry.provider_class(key)(files.settings(key), base_url=f"{sandbox.url}/{key}")
    # a thread of its own: the browser keeps an event loop in this one
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(deliver, made, files.message(key), sandbox.url)
        return job.result(timeout=10).vendor_id


def events(sandbox: SandboxServer) -> list[dict[str, Any]]:
    """What Airship's stream would tell, from the beginning, without reading it."""
    found: list[dict[str, Any]] = ask(sandbox, "airship/events")["events"]
    return found


def test_sections_are_there_when_somebody_has_an_account(
    page: Page, sandbox: SandboxServer
) -> None:
    page.goto(sandbox.url)
    expect(page.locator("#status")).to_contain_text("accepted")
    expect(page.locator("#pushes-section")).to_be_hidden()
    expect(page.locator("#runs-section")).to_be_hidden()
    ask(sandbox, "accounts", {"vendor": "airship", "settings": files.settings("airship")})
    expect(page.locator("#pushes-empty")).to_have_text("No device has shown a notification.")
    expect(page.locator("#runs-section")).to_be_hidden()


def test_a_push_is_opened_and_its_app_removed(page: Page, sandbox: SandboxServer) -> None:
    push_id = told(sandbox, "airship")
    told(sandbox, "fcm")
    page.goto(sandbox.url)
    window = page.locator("#pushes article", has_text="airship")
    expect(page.locator("#pushes article")).to_have_count(2)
    expect(window).to_contain_text("Order 1042")
    expect(window).to_contain_text("Ready for pickup.")
    expect(window.get_by_role("link")).to_have_attribute("href", "https://orders.example.com/o/1/")
    for label in ("Open", "Remove the app"):
        with page.expect_response(lambda answer: answer.request.method == "POST"):
            window.get_by_role("button", name=label).click()
        expect(window.get_by_role("button", name=label)).to_be_disabled()
    # the vendor itself says meanwhile that the push was sent
    deeds = [event for event in events(sandbox) if event["type"] in ("OPEN", "UNINSTALL")]
    assert [event["type"] for event in deeds] == ["OPEN", "UNINSTALL"]
    assert deeds[0]["body"]["triggering_push"] == {"push_id": push_id}
    others = page.locator("#pushes article", has_text="fcm")
    expect(others.get_by_role("button", name="Open", exact=True)).to_have_count(0)
    expect(page.locator("#others-section")).to_be_hidden()


def test_a_run_shows_what_the_flow_was_given(page: Page, sandbox: SandboxServer) -> None:
    run = told(sandbox, "power_automate")
    page.goto(sandbox.url)
    window = page.locator("#runs article")
    expect(window.locator("header strong")).to_have_text("order.status_changed")
    expect(window).to_contain_text("Order 1042: ready_for_pickup")
    expect(window).to_contain_text(f"run {run}")
    expect(window.locator("pre")).to_be_hidden()
    window.get_by_text("What the flow was given").click()
    expect(window.locator("pre")).to_contain_text('"fulfillment_method": "pickup"')
    page.fill('[name="order"]', "2000")
    expect(page.locator("#runs article")).to_have_count(0)
