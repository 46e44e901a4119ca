"""Words nobody knows: counted, mapped by a manager, versioned, and read again."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from django.db import connection
from django.test import TestCase
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from integrations.contracts import Observation, OrderUpdate
from orders import calls, intake, status_maps
from orders.models import InboundCall, Order, ParkedUpdate, SourceAccount, UnknownWord
from orders.projection import project
from orders.restated import standing
from orders.status_maps import MapChanged, Reread
from tests.factories import make_location, make_source_account
from tests.orders.posting import Till, delivery, post_uber

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 14, 18, tzinfo=UTC)


def unknown(account: SourceAccount) -> list[tuple[str, str, str, int]]:
    rows = UnknownWord.objects.filter(account=account).order_by("about", "stream", "word")
    return [(row.about, row.stream, row.word, row.times) for row in rows]


def map_states(account: SourceAccount, **meanings: str) -> Reread:
    """Map words of the stream "order" and read what said them again."""
    with TestCase.captureOnCommitCallbacks(execute=True):
        words = status_maps.map_words(
            account_id=account.pk,
            meanings={("order", word): meaning for word, meaning in meanings.items()},
            actor="maya",
            now=timezone.now(),
        )
    found = status_maps.calls_saying(account.pk, words=words)
    return status_maps.read_again(found, now=timezone.now())


# --- kept and counted -------------------------------------------------------------------------


def test_a_word_nobody_knows_is_counted_once_per_call(till: Till) -> None:
    till.post(state="received")
    assert unknown(till.account) == []
    first = till.event(state="PLATED", parts=[{"id": "p1", "label": "Bowl", "state": "resting"}])
    for _ in range(2):  # the second one is a duplicate
        till.post_raw(json.dumps(first).encode())
    till.post("B2", state="PLATED")
    assert unknown(till.account) == [
        ("state", "order", "PLATED", 2),
        ("state", "part", "resting", 1),
    ]
    row = UnknownWord.objects.get(word="PLATED")
    assert row.call == till.call()
    assert row.first_seen_at < row.last_seen_at
    for call in InboundCall.objects.filter(state="quarantined"):
        assert calls.replay_call(row=call, now=timezone.now()) == "quarantined"
    assert ("state", "order", "PLATED", 2) in unknown(till.account)


def test_what_everybody_knows_costs_no_query_more(till: Till) -> None:
    till.post(state="received")
    with CaptureQueriesContext(connection) as asked:
        till.post(state="ready")
    assert not [q for q in asked.captured_queries if "unknownword" in q["sql"]]


def test_the_name_of_a_kitchen_nobody_knows_is_counted(till: Till) -> None:
    till.post(state="received", location={"id": "L9"})
    till.post("B2", state="received", location={"id": "L9"})
    assert unknown(till.account) == [("location", "", "L9", 2)]
    assert not Order.objects.exists()
    status_maps.name_location(account=till.account, name="L9", location_id=till.location.pk)
    assert unknown(till.account) == []
    till.location.refresh_from_db()
    assert till.location.external_ids == ["L1", "L9"]
    found = status_maps.calls_saying(till.account.pk, locations=["L9"])
    assert status_maps.read_again(found, now=timezone.now()) == Reread(read=2, tried=2)
    assert Order.objects.count() == 2


def test_a_kitchen_of_another_restaurant_is_refused(till: Till) -> None:
    other = make_location()
    with pytest.raises(other.DoesNotExist):
        status_maps.name_location(account=till.account, name="L9", location_id=other.pk)
    other.refresh_from_db()
    assert other.external_ids == ["L1"]


# --- mapped and read again --------------------------------------------------------------------


def test_mapping_reads_every_call_that_said_it(till: Till) -> None:
    for order in ("A1", "B2", "C3"):
        till.post(order, state="received")
        till.post(order, state="PLATED")
    till.post("D4", state="SIZZLING")
    assert map_states(till.account, PLATED="ready") == Reread(read=3, tried=3)
    assert unknown(till.account) == [("state", "order", "SIZZLING", 1)]
    states = Order.objects.order_by("display").values_list("state", flat=True)
    assert list(states) == ["ready", "ready", "ready", "received"]
    assert InboundCall.objects.filter(state="quarantined").count() == 1


def test_a_call_with_more_unknown_words_than_its_cause_holds_is_read_too(till: Till) -> None:
    parts = [{"id": f"p{n}", "label": "Bowl", "state": f"UNHEARD_OF_{n:02d}"} for n in range(40)]
    till.post(state="PLATED", parts=parts)
    assert "UNHEARD_OF_39" not in till.call().cause
    assert len(unknown(till.account)) == 41
    words = {("part", f"UNHEARD_OF_{n:02d}"): "ready" for n in range(40)} | {
        ("order", "PLATED"): ""
    }
    status_maps.map_words(
        account_id=till.account.pk, meanings=words, actor="maya", now=timezone.now()
    )
    found = status_maps.calls_saying(till.account.pk, words=[("part", "UNHEARD_OF_39")])
    assert status_maps.read_again(found, now=timezone.now()) == Reread(read=1, tried=1)
    assert till.order().state == "ready"


def test_a_word_that_says_nothing_is_settled(till: Till) -> None:
    till.post(state="preparing")
    till.post(state="ON_BREAK")
    assert map_states(till.account, ON_BREAK="") == Reread(read=1, tried=1)
    assert till.order().state == "preparing"
    assert (till.call().state, till.call().cause) == ("applied", "")
    assert unknown(till.account) == []
    till.post(state="ON_BREAK")
    assert till.call().state == "applied"


def test_every_change_is_a_version_with_its_author(till: Till) -> None:
    till.post(state="PLATED")
    map_states(till.account, PLATED="ready")
    map_states(till.account, PLATED="ready")  # nothing changes
    map_states(till.account, PLATED="preparing", RESTING="")
    status_maps.set_status_map(
        account_id=till.account.pk,
        status_map={"order": {"RESTING": ""}},
        actor="ben",
        now=NOW,
        known_version=3,
    )
    rows = till.account.status_map_changes.order_by("version", "word")
    assert [(r.version, r.word, r.before, r.after, r.changed_by) for r in rows] == [
        (2, "PLATED", None, "ready", "maya"),
        (3, "PLATED", "ready", "preparing", "maya"),
        (3, "RESTING", None, "", "maya"),
        (4, "PLATED", "preparing", None, "ben"),
    ]
    till.account.refresh_from_db()
    assert till.account.status_map == {"order": {"RESTING": ""}}
    assert till.account.status_map_version == 4
    with pytest.raises(MapChanged):
        status_maps.set_status_map(
            account_id=till.account.pk, status_map={}, actor="ben", now=NOW, known_version=3
        )
    with pytest.raises(ValueError, match="plated"):
        map_states(till.account, PLATED="plated")
    till.account.refresh_from_db()
    assert till.account.status_map_version == 4


def test_a_wrong_mapping_is_corrected_and_told_orders_stay_told(till: Till) -> None:
    till.post(state="received")
    till.post(state="PLATED")
    map_states(till.account, PLATED="ready")
    assert till.order().state == "ready"
    map_states(till.account, PLATED="preparing")
    assert till.order().state == "preparing"
    map_states(till.account, PLATED="")
    assert till.order().state == "received"
    map_states(till.account, PLATED="ready")
    assert till.order().state == "ready"
    # every reading is kept, and each milestone is an event once
    said = till.order().observations.filter(native_state="PLATED").order_by("pk")
    assert [one.event_key.rpartition("@")[2] for one in said][1:] == [
        "map2",
        "map3",
        "map4",
        "map5",
    ]
    # guests hear "ready" once and nothing backwards; whether staff hear of it is the recall's
    assert [one for one in till.milestones() if one != "recalled"] == ["received", "ready"]
    before = till.order().observations.count()
    assert map_states(till.account, PLATED="ready") == Reread()
    call = till.call()
    assert calls.replay_call(row=call, now=timezone.now()) == "applied"
    assert till.order().observations.count() == before


def test_an_order_that_is_over_is_not_told_anew(till: Till) -> None:
    till.post(state="PLATED")
    map_states(till.account, PLATED="ready")
    till.post(state="picked_up")
    assert map_states(till.account, PLATED="preparing") == Reread()
    assert till.order().state == "picked_up"


def test_readings_count_by_version_in_any_order() -> None:
    def said(key: str, state: str | None, native: str = "PLATED") -> Observation:
        return Observation(
            event_key=key,
            track="kitchen",
            scope="order",
            ordering_key="1",
            native_state=native,
            state=state,
            account="7",
            received_at=NOW,
        )

    first = replace(said("e0", "received", "received"), ordering_key="0")
    readings = [
        first,
        said("e1", None),
        said("e1@map2", "ready"),
        said("e1@map3", None),
        said("e1@map10", "preparing"),
        # another statement, whatever its key looks like
        replace(said("e1@mapX", "accepted"), ordering_key="0"),
        replace(said("e1@map11", "accepted", "OTHER"), ordering_key="0"),
    ]
    states = {project(standing(order)).state for order in permutations(readings)}
    assert states == {"preparing"}
    kept = standing(readings)
    assert [one.event_key for one in kept] == ["e0", "e1@map10", "e1@mapX", "e1@map11"]
    assert standing([*kept, *readings]) == (*kept, *kept)


def test_news_that_waits_for_its_order_is_read_again_too(till: Till) -> None:
    account = make_source_account(
        till.restaurant,
        source="uber_eats",
        location=till.location,
        settings={"direct_signing_key": "key"},
    )
    post_uber(account, delivery("beamed", external_id="A1"))
    call = till.call()
    assert call.state == "parked"
    assert unknown(account) == [("state", "direct.status", "beamed", 1)]
    words = status_maps.map_words(
        account_id=account.pk,
        meanings={("direct.status", "beamed"): "out_for_delivery"},
        actor="maya",
        now=timezone.now(),
    )
    found = status_maps.calls_saying(account.pk, words=words)
    assert status_maps.read_again(found, now=timezone.now()).tried == 1
    assert ParkedUpdate.objects.count() == 1
    till.post(
        state="ready",
        about={"aliases": [{"system": "external_id", "id": "A1"}]},
        fulfillment={"type": "delivery"},
    )
    call.refresh_from_db()
    assert call.state == "applied"
    assert till.order().state == "out_for_delivery"


def test_a_page_waits_for_so_many_and_says_how_many_are_left(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        till.post(f"A{number}", state="PLATED")
    monkeypatch.setattr(status_maps, "AT_ONCE", 2)
    assert map_states(till.account, PLATED="ready") == Reread(read=2, tried=2, left=3)
    stuck = InboundCall.objects.filter(state="quarantined")
    assert status_maps.read_again(stuck, now=timezone.now()) == Reread(2, 2, 1)
    assert status_maps.read_again(stuck, now=timezone.now()) == Reread(1, 1, 0)


def test_a_poll_counts_a_word_once_however_often_it_asks(till: Till) -> None:
    account = make_source_account(till.restaurant, source="square", location=till.location)
    paused = Observation("order:sq-1:v1", "kitchen", "order", ordering_key="1", native_state="OFF")
    update = OrderUpdate("sq-1", (paused,), unknown_states=("order OFF",))
    for minute in range(3):
        at = NOW + timedelta(minutes=minute)
        intake.apply_update(account=account, update=update, call=None, received_at=at)
    assert unknown(account) == [("state", "order", "OFF", 1)]
