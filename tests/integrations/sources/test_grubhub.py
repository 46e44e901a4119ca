"""Grubhub Connect: the whole history in every push, HTTP Basic, and bodies nobody should send."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from integrations.contracts import Observation, OrderUpdate, ordering_key
from integrations.errors import EventIgnored, PayloadMalformed
from integrations.sources.grubhub import Grubhub
from orders.projection import project
from tests.integrations.sources import hostile
from tests.integrations.sources.payload_files import NOW, body_of, call, load, names, signed_call

DELIVERY = "0ec346bd-635a-4a07-8f35-44962a8bcc5b"
STATUS, ETA = "DELIVERY_STATUS_UPDATE", "ETA_UPDATE"
#: sample -> (update type, newest element, its time, state, rest of the key)
SAMPLES = {
    "delivery_canceled": (STATUS, "CANCELED", "2024-05-28T00:12:00Z", "failed", ""),
    "delivery_created": (STATUS, "CREATED", "2024-05-28T00:00:00Z", None, ""),
    "delivery_delivered": (STATUS, "PROOF_OF_DELIVERY", "2024-05-28T00:46:05Z", "delivered", ""),
    "delivery_eta_update": (
        ETA,
        "IN_TRANSIT",
        "2024-05-28T00:19:00Z",
        "out_for_delivery",
        ":2024-05-28T00:49:00Z",
    ),
    "delivery_in_transit": (STATUS, "IN_TRANSIT", "2024-05-28T00:19:00Z", "out_for_delivery", ""),
}
ACCOUNT = {"username": "username", "password": "password"}


def source(status_map: Any = None, **settings: str) -> Grubhub:
    return Grubhub({**ACCOUNT, **settings}, status_map=status_map)


def sample(name: str) -> dict[str, Any]:
    found: dict[str, Any] = body_of("grubhub", name)
    return found


def read(body: Any, grubhub: Grubhub | None = None, at: datetime = NOW) -> OrderUpdate:
    (update,) = (grubhub or source()).parse(call(body, at=at))
    assert isinstance(update, OrderUpdate)
    return update


def said(body: Any, at: datetime = NOW) -> Observation:
    (observation,) = read(body, at=at).observations
    return observation


def history(*types: str) -> dict[str, Any]:
    events = [
        {"type": name, "timestamp": f"2024-05-28T00:{minute:02}:00Z"}
        for minute, name in enumerate(types)
    ]
    return {"update_type": STATUS, "delivery": {"delivery_id": "d", "events": events}}


# --- samples ---------------------------------------------------------------------------------


def test_every_sample_is_covered() -> None:
    assert set(names("grubhub")) == set(SAMPLES)


@pytest.mark.parametrize("name", SAMPLES)
def test_samples(name: str) -> None:
    kind, native, at, state, rest = SAMPLES[name]
    body = sample(name)
    key = f"grubhub:{DELIVERY}:{kind}:{native}:{at}{rest}"
    assert source().event_key(call(body)) == key
    update = read(body)
    (observation,) = update.observations
    assert (observation.native_state, observation.state) == (native, state)
    assert (observation.track, observation.scope) == ("courier", "leg")
    assert (observation.ref, observation.event_key) == (DELIVERY, key)
    assert observation.ordering_class == "ranked"
    assert observation.occurred_at == datetime.fromisoformat(at)
    assert observation.ordering_key.startswith(ordering_key(observation.occurred_at))
    assert update.order_id == DELIVERY
    assert update.aliases == (("external_delivery_id", DELIVERY), ("external_id", "WEB-1042"))
    assert (update.courier_only, update.location_id) == (True, "STORE-1")
    assert (update.customer, update.unknown_states) == (None, ())


def test_what_a_leg_carries() -> None:
    assert said(sample("delivery_in_transit")).data == {
        "est_delivery_at": "2024-05-28T00:36:00+00:00",
        "courier": {"name": "Nick", "tracking_url": "https://track.example.com/0ec346bd"},
    }
    assert "est_delivery_at" not in said(sample("delivery_delivered")).data


def test_a_cancellation_says_why_even_with_a_code_nobody_published() -> None:
    body = sample("delivery_canceled")
    assert said(body).data["reason"] == {
        "code": "courier_failed",
        "text": "UNABLE_TO_ASSIGN_DRIVER by GRUBHUB: no driver available",
    }
    body["delivery"]["events"][-1]["reason_code"] = "CUSTOMER_CANCEL"
    assert said(body).data["reason"]["text"].startswith("CUSTOMER_CANCEL by GRUBHUB")


# --- states ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("native", "state"),
    [
        ("CREATED", None),
        ("ASSIGNED", None),
        ("UNASSIGNED", None),
        ("COURIER_AT_PICKUP", None),
        ("PICKUP_VERIFICATION", None),
        ("PICKED_UP", "out_for_delivery"),
        ("IN_TRANSIT", "out_for_delivery"),
        ("COURIER_AT_DROPOFF", "out_for_delivery"),
        ("DELIVERED", "delivered"),
        ("PROOF_OF_DELIVERY", None),
        ("RETURN_INITIATED", "failed"),
        ("RETURN_COMPLETED", "failed"),
        ("CANCELED", "failed"),
    ],
)
def test_delivery_states(native: str, state: str | None) -> None:
    update = read(history(native))
    assert update.observations[0].state == state
    assert update.unknown_states == ()


@pytest.mark.parametrize(
    ("native", "state"),
    [
        ("RESTAURANT_CONFIRMABLE", "received"),
        ("CONFIRMED", "accepted"),
        ("REJECTED", "cancelled"),
        ("WHATEVER", None),
    ],
)
def test_marketplace_states(native: str, state: str | None) -> None:
    update = read({"order_uuid": "u-1", "status": native, "merchant_id": 7})
    (observation,) = update.observations
    assert (observation.state, observation.native_state) == (state, native)
    assert (observation.track, observation.scope) == ("commercial", "order")
    assert observation.ordering_class == "ranked"
    assert (update.order_id, update.location_id) == ("u-1", "7")
    assert update.aliases == (("channelOrderId", "u-1"),)
    assert observation.event_key == f"grubhub:order:u-1:{native}"
    expected = () if state else ("marketplace.order WHATEVER",)
    assert update.unknown_states == expected


@pytest.mark.parametrize(
    ("types", "state"),
    [
        (("CREATED", "PICKED_UP", "RETURN_INITIATED"), "failed"),
        (("PICKED_UP", "DELIVERED", "PROOF_OF_DELIVERY"), "delivered"),
        (("ASSIGNED", "UNASSIGNED", "ASSIGNED"), None),
        (("PICKED_UP", "COURIER_AT_PICKUP"), "out_for_delivery"),
    ],
)
def test_the_strongest_element_counts(types: tuple[str, ...], state: str | None) -> None:
    body = history(*types)
    assert said(body).state == state
    body["delivery"]["events"].reverse()
    assert said(body).state == state


def test_the_order_of_arrival_does_not_matter() -> None:
    told = [said(sample(n)) for n in SAMPLES if n != "delivery_canceled"]
    for heard in permutations(told):
        order = project(heard, default_fulfillment="delivery")
        assert order.state == "delivered"
    assert project(told[:1], default_fulfillment="delivery").is_stated is False


@pytest.mark.parametrize("stamp", ["soon", "2024-05-28T00:30:00", "2024-05-28", 5, {}])
def test_one_unreadable_time_does_not_cost_the_delivery(stamp: Any) -> None:
    body = sample("delivery_delivered")
    body["delivery"]["events"][3]["timestamp"] = stamp
    assert said(body).state == "delivered"
    assert said(body).event_key == said(sample("delivery_delivered")).event_key
    body["delivery"]["events"] = body["delivery"]["events"][3:4]
    if stamp == {}:
        assert (said(body).state, said(body).occurred_at) == ("out_for_delivery", None)
        return
    with pytest.raises(PayloadMalformed, match=r"delivery\.events\.timestamp"):
        read(body)


def test_types_nobody_knows_are_reported_and_can_be_mapped() -> None:
    update = read(history("PICKED_UP", "BEAMED"))
    assert update.unknown_states == ("connect.delivery BEAMED",)
    assert update.observations[0].state == "out_for_delivery"
    mapped = source({"connect.delivery": {"BEAMED": "delivered"}})
    update = read(history("PICKED_UP", "BEAMED"), mapped)
    assert (update.unknown_states, update.observations[0].state) == ((), "delivered")


# --- estimates and positions -------------------------------------------------------------------


def test_the_last_estimate_to_arrive_counts() -> None:
    body = sample("delivery_eta_update")
    first = said(body, NOW)
    body["delivery"]["estimated_event_times"]["dropped_off"] = "2024-05-28T00:41:00Z"
    second = said(body, NOW + timedelta(minutes=2))
    earlier = said(sample("delivery_in_transit"), NOW + timedelta(minutes=9))
    expected = datetime(2024, 5, 28, 0, 41, tzinfo=UTC)
    for heard in permutations([first, second, earlier]):
        assert project(heard, default_fulfillment="delivery").est_delivery_at == expected


def test_positions_are_one_statement_and_are_not_kept() -> None:
    body = sample("delivery_in_transit") | {"update_type": "COURIER_LOCATION_UPDATE"}
    moved = json.loads(json.dumps(body))
    moved["courier"]["location"]["lat"] = 1.5
    assert source().event_key(call(body)) == source().event_key(call(moved))
    assert source().fingerprint(call(body)) == source().fingerprint(call(moved))
    assert "est_delivery_at" not in said(body).data
    stored = source().body_to_store(call(body))
    assert b'"lat"' not in stored
    assert source().parse(call(stored)) == source().parse(call(body))
    assert b"pod.png" not in source().body_to_store(call(sample("delivery_delivered")))


# --- authenticity ------------------------------------------------------------------------------


def test_basic_passes_and_the_previous_password_during_rotation() -> None:
    source().verify(signed_call("grubhub"))
    source(password="new", previous_password="password").verify(signed_call("grubhub"))
    lower = load("grubhub", "signature")["signature"].replace("Basic", "basic")
    source().verify(signed_call("grubhub", signature=lower))


@pytest.mark.parametrize(
    "given", [*hostile.FORGED, "Basic", "Basic dXNlcm5hbWU6", "Bearer dXNlcm5hbWU6cGFzc3dvcmQ="]
)
def test_anything_else_is_refused(given: str) -> None:
    hostile.disbelieves(source(), {"Authorization": given}, "password:")


def test_no_header_and_no_password_open_nothing() -> None:
    hostile.disbelieves(source(), {}, "cGFzc3dvcmQ")
    empty = Grubhub({"username": "username"})
    hostile.disbelieves(empty, {"Authorization": "Basic dXNlcm5hbWU6"}, "dXNlc")


# --- bodies nobody should send -------------------------------------------------------------------


def test_bent_samples_are_read_or_refused() -> None:
    assert hostile.survive_bending(source(), SAMPLES) > 1000


@pytest.mark.parametrize("body", hostile.UNREADABLE, ids=range(len(hostile.UNREADABLE)))
def test_unreadable_bodies(body: bytes) -> None:
    hostile.refuses(source(), body)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"delivery": {"events": [{"type": "CREATED"}]}}, "delivery.delivery_id"),
        ({"delivery": {"delivery_id": "d", "events": []}}, "delivery.events"),
        (
            {"delivery": {"delivery_id": "d", "events": [{"type": "X", "timestamp": "soon"}]}},
            "delivery.events.timestamp: expected a time",
        ),
    ],
)
def test_unreadable_events_say_where(change: dict[str, Any], words: str) -> None:
    with pytest.raises(PayloadMalformed, match=words):
        source().parse(call(sample("delivery_created") | change))


@pytest.mark.parametrize("body", [{}, {"update_type": "REFUND_UPDATE"}, {"menu": 1}])
def test_other_bodies_are_ignored(body: dict[str, Any]) -> None:
    with pytest.raises(EventIgnored):
        source().parse(call(body))


def test_ten_megabytes() -> None:
    body = json.dumps(sample("delivery_created") | {"x": "y" * 10_000_000}).encode()
    assert len(body) > source().max_body_bytes
    assert read(body).order_id == DELIVERY


def test_every_answer_is_an_empty_200() -> None:
    received = call(sample("delivery_created"))
    for reply in (
        source().answer(received, duplicate=False),
        source().answer(received, duplicate=True),
        source().refuse(received, "unreadable"),
    ):
        assert (reply.status, reply.body) == (200, b"")
    assert source().poll(NOW) is None
