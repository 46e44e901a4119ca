"""What Square's thin events say before their order was fetched."""

from __future__ import annotations

import copy
from datetime import datetime
from typing import Any

import pytest

from integrations.contracts import Observation, OrderUpdate
from integrations.sources.square import Square
from orders.projection import Projection, project
from tests.integrations.sources.mutations import bent, survive
from tests.integrations.sources.payload_files import NOW, answered, body_of, call, follow_up

ORDER = "eA3vssLHKJrv9H0IdJCM3gNqfdcZY"
PART, OTHER = "VWJ1N9leLqjSDLvF2hvYjD", "k2QeM7sTq1aZb9Yx0000Aa"
#: sample -> (native, state, version, at); what moved is a part
MOVED = {
    "order_fulfillment_updated_reserved": ("RESERVED", "preparing", 6, "23:16:30.789"),
    "order_fulfillment_updated_prepared": ("PREPARED", "ready", 7, "23:31:02.114"),
    "order_fulfillment_updated_canceled": ("CANCELED", "cancelled", 8, "23:33:11.020"),
}
#: samples that need the fetched order to mean anything
SILENT = ("order_updated", "order_fulfillment_updated_completed")


def source(status_map: Any = None, **settings: str) -> Square:
    return Square({"signature_key": "k", "access_token": "t", **settings}, status_map=status_map)


def said(body: Any, square: Square | None = None) -> OrderUpdate | None:
    told = [e for e in (square or source()).parse(call(body)) if isinstance(e, OrderUpdate)]
    assert len(told) < 2
    return told[0] if told else None


def one(body: Any, square: Square | None = None) -> Observation:
    update = said(body, square)
    assert update is not None
    (observation,) = update.observations
    return observation


def moved(old: Any, new: Any, **facts: Any) -> dict[str, Any]:
    found: dict[str, Any] = copy.deepcopy(body_of("square", "order_fulfillment_updated_prepared"))
    notice = found["data"]["object"]["order_fulfillment_updated"]
    notice["fulfillment_update"][0] |= {"old_state": old, "new_state": new}
    notice |= facts
    return found


def fetched(**changes: Any) -> tuple[Observation, ...]:
    body = copy.deepcopy(body_of("square", "get_order_two_pickups"))
    body["order"] |= changes
    (update,) = source().parse_resource(follow_up(), answered(body), NOW)
    return update.observations


def shown(*said: Observation) -> Projection:
    forwards, backwards = project(said), project(said[::-1])
    assert forwards == backwards
    return forwards


@pytest.mark.parametrize("name", MOVED)
def test_a_fulfilment_that_moved(name: str) -> None:
    native, state, version, at = MOVED[name]
    update = said(body_of("square", name))
    assert update is not None
    assert (update.order_id, update.location_id) == (ORDER, "FPYCBCHYMXFK1")
    # a stub without a guest would swallow the first news: an unknown order waits for its fetch
    assert update.courier_only
    (part,) = update.observations
    assert (part.track, part.scope, part.ref) == ("kitchen", "part", PART)
    assert (part.native_state, part.state) == (native, state)
    assert (part.ordering_class, part.ordering_key) == ("sequenced", f"{version:020d}")
    assert part.occurred_at == datetime.fromisoformat(f"2020-04-16T{at}Z")
    assert part.occurred_at_basis == "event"


def test_an_order_that_was_made() -> None:
    made = one(body_of("square", "order_created"))
    assert (made.track, made.scope, made.native_state) == ("commercial", "order", "OPEN")
    assert (made.state, made.ordering_key) == ("received", f"{1:020d}")
    assert made.occurred_at == datetime.fromisoformat("2020-04-16T23:14:26.129Z")


def test_an_order_that_was_called_off() -> None:
    body = body_of("square", "order_updated")
    body["data"]["object"]["order_updated"]["state"] = "CANCELED"
    off = one(body)
    assert (off.native_state, off.state, off.scope) == ("CANCELED", "cancelled", "order")
    assert shown(off, *fetched(version=1)).state == "cancelled"


@pytest.mark.parametrize("name", SILENT)
def test_what_the_event_cannot_know_is_left_to_the_order(name: str) -> None:
    assert said(body_of("square", name)) is None


@pytest.mark.parametrize(
    ("old", "new"), [("PREPARED", "PREPARED"), (None, "RESERVED"), ("RESERVED", ""), (1, ["x"])]
)
def test_what_did_not_move_states_nothing(old: Any, new: Any) -> None:
    assert said(moved(old, new)) is None


def test_a_word_nobody_knows_is_reported_by_the_order_alone() -> None:
    assert said(moved("RESERVED", "SIMMERING")) is None
    mapped = source({"fulfillment": {"SIMMERING": "ready"}})
    assert one(moved("RESERVED", "SIMMERING"), mapped).state == "ready"


def test_reserved_may_mean_accepted() -> None:
    body = body_of("square", "order_fulfillment_updated_reserved")
    assert one(body, source(reserved_means="accepted")).state == "accepted"


def test_the_order_and_its_event_agree_however_they_come() -> None:
    ready = one(body_of("square", "order_fulfillment_updated_prepared"))
    projection = shown(ready, *fetched())
    assert projection.state == shown(*fetched()).state == "preparing"
    assert {p.ref: (p.state, p.label) for p in projection.named_parts} == {
        PART: ("ready", "Harvest Bowl"),
        OTHER: ("preparing", "Miso Salmon Bowl"),
    }


def test_an_answer_older_than_the_event_does_not_take_it_back() -> None:
    cancelled = one(body_of("square", "order_fulfillment_updated_canceled"))
    parts = {p.ref: p.state for p in shown(cancelled, *fetched()).named_parts}
    assert parts == {PART: "cancelled", OTHER: "preparing"}


def test_a_late_event_does_not_take_the_order_back() -> None:
    late = one(body_of("square", "order_fulfillment_updated_reserved"))
    parts = {p.ref: p.state for p in shown(late, *fetched()).named_parts}
    assert parts[PART] == "ready"


def test_an_order_of_the_pos_app_is_ordered_by_its_time() -> None:
    facts = {"version": None, "updated_at": "2020-04-16T23:31:02.114Z"}
    timed = one(moved("RESERVED", "PREPARED", **facts))
    same = fetched(version=None, updated_at=facts["updated_at"])
    assert timed.ordering_key == same[0].ordering_key
    untimed = moved("RESERVED", "PREPARED", version=None, updated_at=None)
    assert one(untimed).occurred_at_basis == "event"
    assert said(untimed | {"created_at": None}) is None


def test_two_fulfilments_may_move_in_one_event() -> None:
    body = moved("RESERVED", "PREPARED")
    updates = body["data"]["object"]["order_fulfillment_updated"]["fulfillment_update"]
    updates += [updates[0] | {"fulfillment_uid": OTHER}, updates[0]]
    update = said(body)
    assert update is not None
    assert [o.ref for o in update.observations] == [PART, OTHER]


@pytest.mark.parametrize("name", [*MOVED, *SILENT, "order_created"])
def test_bent_events_are_read_or_refused(name: str) -> None:
    square = source()
    assert survive(bent(body_of("square", name)), lambda body: square.parse(call(body))) > 0
