"""Routes that wait for a state nobody ever states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client

from notifications.dead_routes import dead_routes
from notifications.models import Route
from notifications.routing import dead_triggers
from orders.models import SourceAccount
from orders.selectors import LEARNED_AFTER
from tests.factories import make_manager, make_order
from tests.stage import Stage


@dataclass(frozen=True)
class Waits:
    id: int
    triggers: tuple[str, ...]


def dead(*states: str, arrived: Any) -> dict[int, list[str]]:
    return dead_triggers([Waits(1, tuple(f"status_changed:{s}" for s in states))], arrived)


@pytest.mark.parametrize(
    ("waits", "arrived", "expected"),
    [
        (["ready"], {"received", "picked_up"}, ["ready"]),
        (["ready"], {"ready"}, []),
        (["ready"], set(), []),  # nothing is known
        (["cancelled", "failed"], {"ready"}, []),
        (["received", "accepted"], {"received"}, []),
        (["received", "accepted"], {"ready"}, ["received", "accepted"]),
        (["accepted"], {"received"}, ["accepted"]),
        (["recalled", "conflict"], {"ready"}, []),  # not states a source says
        (["picked_up", "preparing"], {"ready"}, ["preparing", "picked_up"]),
    ],
)
def test_which_states_are_dead(waits: list[str], arrived: set[str], expected: list[str]) -> None:
    assert dead(*waits, arrived=arrived) == ({1: expected} if expected else {})


def test_other_triggers_are_never_dead() -> None:
    assert dead_triggers([Waits(1, ("order_delayed", "part_status_changed"))], {"ready"}) == {}


@pytest.fixture
def silent_till(stage: Stage) -> Stage:
    """A shop whose till never says "ready", and enough pickup orders to know it."""
    for _ in range(LEARNED_AFTER):
        make_order(stage.restaurant, state="picked_up")
    SourceAccount.objects.update(seen_states=["received", "preparing", "picked_up"])
    return stage


def test_nobody_misses_couriers_where_guests_fetch(silent_till: Stage) -> None:
    found = dead_routes(silent_till.restaurant.pk)
    names = {Route.objects.get(pk=pk).name: states for pk, states in found.items()}
    assert names["Guest: progress"] == ["ready"]


def test_with_deliveries_their_states_are_missed(silent_till: Stage) -> None:
    make_order(silent_till.restaurant, fulfillment="delivery", state="delivered")
    route = Route.objects.get(restaurant=silent_till.restaurant, name="Guest: progress")
    assert dead_routes(silent_till.restaurant.pk)[route.pk] == [
        "ready",
        "out_for_delivery",
        "delivered",
    ]


def test_the_console_warns_calmly_and_names_the_cure(silent_till: Stage, client: Client) -> None:
    client.force_login(make_manager(silent_till.restaurant))
    route = Route.objects.get(restaurant=silent_till.restaurant, name="Guest: progress")
    listed = client.get("/admin/notifications/route/").content.decode()
    assert "waits for: Ready" in listed
    page = client.get(f"/admin/notifications/route/{route.pk}/change/").content.decode()
    assert "Press it on the board" in page
    home = client.get("/admin/").content.decode()
    assert "Nobody ever says: Ready" in home
    assert 'href="/board/"' in home


def test_no_warning_where_everything_arrives(stage: Stage, client: Client) -> None:
    client.force_login(make_manager(stage.restaurant))
    assert "Nobody ever says" not in client.get("/admin/").content.decode()
