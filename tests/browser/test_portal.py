"""The customer's own pages in Chromium: the whole walk, every page against axe, light and dark."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from consents import link_requests
from consents.models import OptIn
from consents.opt_ins import token_of
from integrations.sandbox.server import SandboxServer
from orders.models import Restaurant
from tests.stage import PHONE, Stage, build_stage

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

MAIL = "ana@example.com"
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
#: WCAG 2.2 A and AA, and what axe calls best practice
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture
def stage(transactional_db: None, sandbox: SandboxServer, settings: Any) -> Stage:
    """A stage whose rows the server's own thread sees. The browser speaks plain HTTP to it."""
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = False
    return build_stage(sandbox)


def answer(stage: Stage) -> None:
    link_requests.answer_all(timezone.now())
    stage.settle_and_send()


def path_in(text: str, kind: str) -> str:
    found = re.search(rf"https://alerts\.example\.com(/{kind}/\S+)", text)
    assert found, text
    return found[1]


def ask_and_open(stage: Stage, page: Page, url: str, typed: str = MAIL) -> None:
    page.goto(f"{url}/preferences/{stage.restaurant.slug}/")
    page.get_by_label("Mobile number or e-mail").fill(typed)
    page.get_by_role("button", name="Send me the link").click()
    expect(page.locator("h1")).to_have_text("Look at your messages")
    answer(stage)
    vendor = "mailgun" if "@" in typed else "twilio"
    page.goto(url + path_in(stage.texts(vendor)[-1], "p"))
    page.get_by_role("button", name="Open my choices").click()
    expect(page.locator("h1")).to_have_text("Your message choices")
    expect(page).to_have_url(re.compile("/preferences/"))


def test_from_the_form_to_silence(stage: Stage, live_server: Any, page: Page) -> None:
    stage.open()
    stage.settle_and_send()
    ask_and_open(stage, page, live_server.url)
    box = page.get_by_label("Order updates by e-mail")
    expect(box).to_be_checked()
    expect(page.get_by_label("News and offers by e-mail")).not_to_be_checked()
    page.get_by_label("News and offers by e-mail").check()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("status")).to_have_text("Saved.")
    expect(page.get_by_label("News and offers by e-mail")).to_be_checked()
    # the link in the first mail, pressed by a person
    page.goto(live_server.url + path_in(stage.texts("mailgun")[0], "u"))
    page.get_by_role("button", name="Stop these messages").click()
    expect(page.locator("h1")).to_have_text("Stopped")
    sent = len(stage.messages("mailgun"))
    stage.post(state="ready")
    stage.settle_and_send()
    assert len(stage.messages("mailgun")) == sent


def test_the_walk_needs_no_javascript(stage: Stage, live_server: Any, chromium: Browser) -> None:
    stage.open()
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    ask_and_open(stage, page, live_server.url)
    page.get_by_role("button", name="Stop everything").click()
    expect(page.get_by_text("This address opted out")).to_be_visible()
    page.get_by_role("button", name="Allow order updates again").click()
    expect(page.get_by_label("Order updates by e-mail")).to_be_checked()
    context.close()


Walk = tuple[str, Callable[[Page], None]]


def _nothing(page: Page) -> None:
    """The page as it opens."""


def _pages(stage: Stage, url: str) -> list[Walk]:
    """Every page of the portal and how to reach it, the ones that end something last."""
    slug = stage.restaurant.slug
    stop = url + path_in(stage.texts("mailgun")[0], "u")
    link_requests.ask(
        kind="opt_in",
        sender_group=stage.restaurant.sender_group,
        restaurant_ref=stage.restaurant.pk,
        typed="+12025550188",
        region="US",
        caller="198.51.100.1",
        language="en",
        now=timezone.now(),
    )
    link_requests.ask(
        kind="manage",
        sender_group=stage.restaurant.sender_group,
        restaurant_ref=stage.restaurant.pk,
        typed=PHONE,
        region="US",
        caller="198.51.100.1",
        language="en",
        now=timezone.now(),
    )
    answer(stage)
    manage = next(text for text in stage.texts("twilio") if "/p/" in text)
    opt_in = OptIn.objects.get()
    confirm = f"{url}/c/{stage.restaurant.pk}/{token_of(opt_in.pk)}/"

    def press(selector: str) -> Callable[[Page], None]:
        def act(page: Page) -> None:
            page.locator(selector).click()
            page.wait_for_load_state()

        return act

    def fill_and_press(value: str, *, tick: bool = False) -> Callable[[Page], None]:
        def act(page: Page) -> None:
            page.locator("#address").fill(value)
            if tick:
                page.locator("[name=agree]").check()
            page.locator("form button").click()
            page.wait_for_load_state()

        return act

    order = f"{url}/o/{stage.order().public_id}/"
    return [
        (f"{url}/preferences/{slug}/", _nothing),
        (f"{url}/preferences/{slug}/", fill_and_press("nobody")),
        (f"{url}/preferences/{slug}/", fill_and_press("nobody@example.com")),
        (f"{url}/opt-in/{slug}/", _nothing),
        (f"{url}/opt-in/{slug}/", fill_and_press("12", tick=True)),
        (f"{url}/opt-in/{slug}/", fill_and_press("+12025550166", tick=True)),
        (f"{url}/opt-in/{slug}/terms/", _nothing),
        (f"{url}/u/wrong/", _nothing),
        (f"{url}/p/{stage.restaurant.pk}/wrong/", _nothing),
        (f"{url}/o/00000000-0000-4000-8000-000000000000/", _nothing),
        (stop, _nothing),
        (stop, press("form >> nth=0 >> button")),
        (confirm, _nothing),
        (confirm, press("form button")),
        (order, _nothing),
        (order, press("[value=mute]")),
        (url + path_in(manage, "p"), _nothing),
        (url + path_in(manage, "p"), press("form button")),
        (f"{url}/preferences/{slug}/", press("[value=access]")),
        (f"{url}/preferences/{slug}/", press("[value=stop]")),
        (f"{url}/preferences/{slug}/", press("[value=resume]")),
        (f"{url}/preferences/{slug}/", press("summary")),
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["en", "es"])
def test_every_page_is_accessible(
    stage: Stage, live_server: Any, chromium: Browser, scheme: Any, locale: str
) -> None:
    Restaurant.objects.update(accent="#0B5F4A")
    stage.open()
    stage.open("WEB-2000")
    stage.settle_and_send()
    context = chromium.new_context(
        viewport={"width": 390, "height": 844}, color_scheme=scheme, locale=locale
    )
    page = context.new_page()
    found: dict[str, list[str]] = {}
    for number, (address, act) in enumerate(_pages(stage, live_server.url)):
        page.goto(address)
        act(page)
        assert page.locator("html").get_attribute("lang") == locale
        if scheme == "light" and page.locator(".house", has_text="Lucky Bowl").count():
            assert page.evaluate(_ACCENT) == "#0B5F4A"
        page.evaluate(AXE)
        result = page.evaluate(
            "rules => axe.run(document, {runOnly: {type: 'tag', values: rules}})", RULES
        )
        bad = [f"{v['id']}: {v['nodes'][0]['html'][:120]}" for v in result["violations"]]
        bad += page.evaluate(_TOO_SMALL)
        bad += page.evaluate("document.documentElement.scrollWidth > innerWidth ? ['wide'] : []")
        if bad:
            found[f"{number} {address}"] = bad
    context.close()
    assert found == {}


_ACCENT = "getComputedStyle(document.body).getPropertyValue('--accent').trim()"
#: buttons, links that stand alone and boxes that a thumb would miss
_TOO_SMALL = """() => [...document.querySelectorAll('button, .button, input, select')]
  .filter(e => e.offsetParent && !['checkbox', 'hidden'].includes(e.type))
  .filter(e => e.getBoundingClientRect().height < 44)
  .map(e => e.outerHTML.slice(0, 80))"""
