"""Which states ever arrive at a restaurant: learned, at no cost once it is known."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orders import intake, selectors
from orders.models import Order, SourceAccount
from tests.factories import make_order, make_source_account
from tests.orders.posting import Till
from tests.orders.updates import apply, at, says

pytestmark = pytest.mark.django_db


def enough(till: Till) -> None:
    for _ in range(selectors.LEARNED_AFTER):
        make_order(till.restaurant)


def test_a_source_is_remembered_by_what_it_says(
    till: Till, nobody_plans: None, django_capture_on_commit_callbacks: object
) -> None:
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        apply(till.account, says("A1", "received"))
        apply(till.account, says("A1", "ready", minute=1))
    assert SourceAccount.objects.get(pk=till.account.pk).seen_states == ["ready", "received"]


def test_nothing_new_costs_nothing(
    till: Till, nobody_plans: None, django_capture_on_commit_callbacks: object
) -> None:
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        apply(till.account, says("A1", "received"))
        apply(till.account, says("A1", "ready", minute=1))
    with (
        CaptureQueriesContext(connection) as queries,
        django_capture_on_commit_callbacks(execute=True),  # type: ignore[operator]
    ):
        apply(till.account, says("A1", "ready", minute=2))
    touching = [q for q in queries if '"orders_sourceaccount"' in q["sql"] and "seen" in q["sql"]]
    assert touching == []


def test_until_enough_was_seen_what_could_be_said_counts(till: Till) -> None:
    assert "out_for_delivery" in selectors.states_that_arrive(till.restaurant.pk)


def test_enabled_sources_and_people_together(till: Till, nobody_plans: None) -> None:
    SourceAccount.objects.filter(pk=till.account.pk).update(seen_states=["received", "preparing"])
    make_source_account(till.restaurant, source="square", seen_states=["picked_up"])
    make_source_account(till.restaurant, source="square", seen_states=["failed"], enabled=False)
    enough(till)
    order = Order.objects.latest("pk")
    assert selectors.states_that_arrive(till.restaurant.pk) == {
        "received",
        "preparing",
        "picked_up",
    }
    intake.add_manual_update(order=order, state="ready", actor="maria", at=at(1))
    assert "ready" in selectors.states_that_arrive(till.restaurant.pk)
