"""Every recorded payload of every source, from the endpoint to the order a guest sees.

tests/fixtures/orders/samples.json holds a row for each: ``call`` (how the call ends), the orders
it makes (id -> state, named parts, couriers' legs) and the milestones recorded. ``answer`` names
the fixture the vendor gives when asked about the order, ``event`` the one that leads to asking.
News about couriers needs an order first: ``before`` names the sample that brings it, ``order`` is
the id by which another system of the restaurant knows it. ``settings`` are the account's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations import http
from orders import follow_ups
from orders.models import InboundCall, Order, OrderAlias, SourceAccount
from tests.factories import make_source_account
from tests.integrations.sources.payload_files import FIXTURES
from tests.orders.posting import SECRET, Till
from tests.orders.senders import SOURCES, Vendor, answering, open_account, post, recorded, samples

pytestmark = pytest.mark.django_db

EXPECTED: dict[str, dict[str, Any]] = json.loads((FIXTURES / "orders" / "samples.json").read_text())
ALL = [(key, name) for key in SOURCES for name in samples(key)]
ROWS = [(key, name) for key, name in ALL if f"{key}/{name}" in EXPECTED]
#: what the clock says is of the day the test runs
TIMELY = ("status_changed", "part_status_changed", "order_edited", "order_split")


@pytest.fixture
def vendor(settings: Any) -> Iterator[Vendor]:
    """The vendor whose API every account asks."""
    with answering() as found:
        settings.SANDBOX_URL = found.url
        http.configure(connect_timeout_s=2, read_timeout_s=3, allowed_origins=[found.url])
        yield found
        http.close()


@pytest.mark.parametrize(("key", "name"), ROWS, ids=[f"{key}-{name}" for key, name in ROWS])
def test_a_sample_becomes_the_order_it_means(key: str, name: str, vendor: Vendor) -> None:
    expected = EXPECTED[f"{key}/{name}"]
    account = open_account(key, **expected.get("settings", {}))
    body, headers = recorded(key, expected.get("event", name))
    if answer := expected.get("answer"):
        vendor.body, _ = recorded(key, answer)
    prepare(account, expected)
    response = post(account, body, headers)
    assert response.status_code == expected.get("status", 200)
    follow_ups.fetch_due(now=datetime.now(UTC) + timedelta(seconds=2))
    assert bool(vendor.asked) == ("answer" in expected)
    assert not InboundCall.objects.filter(state__in=["received", "waiting", "failed"]).exists()
    assert outcome(account) == {
        "call": expected.get("call", "applied"),
        "orders": expected.get("orders", {}),
    }


def prepare(account: SourceAccount, expected: Mapping[str, Any]) -> None:
    """What the restaurant knows before the sample comes."""
    if before := expected.get("before"):
        assert post(account, *recorded(account.source, before)).status_code < 300
    if order := expected.get("order"):
        other = make_source_account(
            account.restaurant, location=account.location, settings={"secret": SECRET}
        )
        till = Till(account.restaurant, account.location, other)
        about = {"fulfillment": {"type": "delivery"}}
        assert till.post(order, state="accepted", **about).status_code == 202


def test_every_sample_has_a_row() -> None:
    assert [f"{key}/{name}" for key, name in ALL if f"{key}/{name}" not in EXPECTED] == []


@pytest.mark.parametrize("key", SOURCES)
def test_saying_it_twice_changes_nothing(key: str, vendor: Vendor) -> None:
    account = open_account(key)
    said = [n for n in samples(key) if "event" not in EXPECTED.get(f"{key}/{n}", {})]
    for name in said:
        post(account, *recorded(key, name))
    before = outcome(account), InboundCall.objects.count(), _events(account)
    for name in said:
        assert post(account, *recorded(key, name)).status_code < 400
    assert (outcome(account), InboundCall.objects.count(), _events(account)) == before


def _events(account: SourceAccount) -> int:
    return sum(
        order.events.count() for order in Order.objects.filter(restaurant=account.restaurant)
    )


def outcome(account: SourceAccount) -> dict[str, Any]:
    """How the newest call ended and what became of the account's orders."""
    call = InboundCall.objects.filter(account=account).order_by("pk").last()
    aliases = OrderAlias.objects.filter(system=f"account:{account.pk}").select_related("order")
    orders = {alias.external_id: _shown(alias.order) for alias in aliases}
    return {"call": call.state if call else None, "orders": orders}


def _shown(order: Order) -> dict[str, Any]:
    events = order.events.filter(kind__in=TIMELY).exclude(milestone__startswith="edited:")
    shown = {
        "state": order.state,
        "parts": {p.ref: p.state for p in order.parts.order_by("position") if p.kind != "order"},
        "legs": {leg["ref"]: leg["state"] for leg in order.detail["legs"]},
        "events": sorted(f"{e.part_ref}:{e.milestone}".lstrip(":") for e in events),
    }
    return {name: value for name, value in shown.items() if value}
