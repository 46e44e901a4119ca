"""“Send me a test”: the sandbox posts a signed event of every vendor to the running server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from integrations import registry
from integrations.sandbox.server import SandboxServer
from orders import follow_ups, try_out
from orders.models import Order, SourceAccount
from orders.selectors import clear_caches
from orders.try_out import NotPossible, send_trial
from tests.factories import make_location, make_restaurant, make_source_account

pytestmark = pytest.mark.django_db(transaction=True)

#: what a manager types; "" of the table of declared settings where it may stay empty
TYPED: dict[str, dict[str, str]] = {
    "cloudevents": {"secret": "s"},
    "clover": {"auth_code": "code", "merchant_tokens": "OTHER=x, M1=token"},
    "deliverect": {"webhook_secret": "s"},
    "doordash": {"authorization": "Bearer s"},
    "grubhub": {"username": "u", "password": "p"},
    "lightspeed": {"username": "u", "password": "p"},
    "olo": {"shared_secret": "s", "display_field": "ref", "name_field": "customer.name"},
    "otter": {"webhook_secret": "s"},
    "power_automate": {"secret": "s"},
    "shopify": {
        "client_secret": "s",
        "access_token": "t",
        "shop_domain": "lucky-bowl.myshopify.com",
    },
    "square": {"signature_key": "s", "access_token": "t"},
    "toast": {"secret": "s", "access_token": "t"},
    "uber_eats": {"client_secret": "s", "access_token": "t"},
    "woocommerce": {"site_url": "https://shop.example.com", "webhook_secret": "s"},
}
POSTED = sorted(set(registry.SOURCES) - try_out.NOT_POSTED)
#: sources that say nothing of what was ordered
WITHOUT_ITEMS = {"grubhub", "lightspeed"}


@pytest.fixture
def server(live_server: Any, sandbox: SandboxServer, settings: Any) -> Iterator[None]:
    """The product as it runs: a web server on its port and a worker that fetches."""
    settings.PORT = live_server.thread.port
    settings.HOST = "127.0.0.1"
    clear_caches()
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.05):
            follow_ups.fetch_due(now=timezone.now())
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    yield
    stop.set()
    worker.join()


def open_account(source: str, **fields: Any) -> SourceAccount:
    restaurant = make_restaurant()
    fields.setdefault("location", make_location(restaurant, external_ids=["M1"]))
    fields.setdefault("settings", TYPED[source])
    return make_source_account(restaurant, source=source, **fields)


@pytest.mark.parametrize("source", POSTED)
def test_a_test_of_every_source_becomes_an_order(server: None, source: str) -> None:
    account = open_account(source)
    tried = send_trial(account=account, now=timezone.now())
    assert (tried.problem, 200 <= tried.status < 300) == ("", True)
    assert tried.call is not None
    assert (tried.call.state, tried.call.cause) == ("applied", "")
    order = Order.objects.get(restaurant=account.restaurant)
    assert tried.call.order == order
    assert order.location == account.location
    assert order.items.count() == (0 if source in WITHOUT_ITEMS else 2)
    if source not in WITHOUT_ITEMS:
        assert order.display.removeprefix("#").startswith("T-")
    account.refresh_from_db()
    assert account.signature_failures == 0
    # and once more: another order
    assert send_trial(account=account, now=timezone.now()).call != tried.call
    assert Order.objects.filter(restaurant=account.restaurant).count() == 2


def test_courier_news_waits_for_its_order(server: None) -> None:
    account = open_account("uber_eats", settings={"direct_signing_key": "k"})
    tried = send_trial(account=account, now=timezone.now())
    assert tried.call is not None
    assert tried.call.state == "parked"
    assert not Order.objects.exists()


def test_a_kitchen_nobody_named_is_shown_as_what_it_is(server: None) -> None:
    account = open_account("square", location=None)
    account.restaurant.locations.update(external_ids=[])
    tried = send_trial(account=account, now=timezone.now())
    assert tried.call is not None
    assert tried.call.state == "quarantined"
    assert tried.call.cause.startswith("unknown location 'LSANDBOX'")


def test_it_is_really_signed_over_the_public_address(server: None, settings: Any) -> None:
    account = open_account("square")
    assert send_trial(account=account, now=timezone.now()).status == 200
    # what the vendor was given once, and what we think we are called, are not the same any more
    registered = dict(try_out._registration(account))
    settings.PUBLIC_URL = "http://orders.example.com"
    told = try_out._ask_sandbox("try", registered)
    assert told["status"] == 401
    account.refresh_from_db()
    assert "for another URL" in account.last_signature_hint


def test_what_cannot_be_tried_says_why(server: None, sandbox: SandboxServer) -> None:
    def why(**fields: Any) -> str:
        with pytest.raises(NotPossible) as refusal:
            send_trial(account=open_account("clover", **fields), now=timezone.now())
        return str(refusal.value)

    assert "verification code" in why(mode="live")
    assert why(enabled=False) == "the connection is switched off"
    assert why(settings={"merchant_tokens": " "}) == (
        "'merchant_tokens' names no merchant: write MERCHANT=token"
    )
    assert why(settings={}) == "setting 'merchant_tokens' is missing"
    sandbox.stop()
    assert "the sandbox does not answer at http://127.0.0.1:" in why()
    assert not Order.objects.exists()


def test_an_address_that_does_not_answer_is_told(server: None, settings: Any) -> None:
    settings.PORT = 1
    tried = send_trial(account=open_account("olo"), now=timezone.now())
    assert (tried.status, tried.call) == (0, None)
    assert tried.problem


def test_sandbox_accounts_are_registered_and_nothing_else(
    server: None, sandbox: SandboxServer
) -> None:
    accounts = [
        open_account("square"),
        open_account("toast", mode="live"),
        open_account("olo", settings={}),
        make_source_account(source="rest"),
    ]
    assert try_out.register_with_sandbox(accounts) == 1
    known = sandbox.on_loop(lambda state: [a.vendor for a in state.accounts()])
    assert known == ["square"]
