"""DoorDash Drive and Marketplace: every sample, every state, exactly 200, hostile bodies."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import pytest

from integrations.contracts import Customer, FollowUp, Observation, OrderUpdate, ordering_key
from integrations.errors import EventIgnored, PayloadMalformed
from integrations.sources.doordash import DoorDash
from orders.projection import project
from tests.integrations.sources import hostile
from tests.integrations.sources.payload_files import (
    NOW,
    answered,
    body_of,
    call,
    follow_up,
    names,
    signed_call,
)

DELIVERY = "c19a5d37-e457-4247-9a67-921ec0134125"
LATE = "drive_dasher_picked_up_late_arrival"
#: sample -> (event, created_at, state)
DRIVE = {
    "drive_dasher_confirmed": ("DASHER_CONFIRMED", "2022-02-01T22:50:10.120000Z", None),
    "drive_dasher_dropped_off": (
        "DASHER_DROPPED_OFF",
        "2022-02-01T23:18:22.791883Z",
        "delivered",
    ),
    "drive_dasher_picked_up": (
        "DASHER_PICKED_UP",
        "2022-02-01T23:02:40.501000Z",
        "out_for_delivery",
    ),
    LATE: ("DASHER_PICKED_UP", "2022-02-01T23:18:25.410000Z", "out_for_delivery"),
    "drive_delivery_cancelled": ("DELIVERY_CANCELLED", "2022-02-01T22:58:00.000000Z", "failed"),
}
#: sample -> (status, created_at, state)
DASHER = {
    "marketplace_dasher_status_arrived_at_store": (
        "arrived_at_store",
        "2021-06-02T17:41:29.996321Z",
        None,
    ),
    "marketplace_dasher_status_dasher_out_for_delivery": (
        "dasher_out_for_delivery",
        "2021-06-02T17:46:02.100000Z",
        "out_for_delivery",
    ),
    "marketplace_dasher_status_dropoff": ("dropoff", "2021-06-02T18:01:44.000000Z", "delivered"),
}
OTHERS = {"marketplace_order_cancel", "marketplace_order_create", "marketplace_order_release"}
ACCOUNT = {"authorization": "Bearer portal-token-1"}
KEYS = {"developer_id": "dev-1", "key_id": "key-1", "signing_secret": "c2VjcmV0LWJ5dGVz"}


def source(status_map: Any = None, **settings: str) -> DoorDash:
    return DoorDash({**ACCOUNT, **settings}, status_map=status_map)


def sample(name: str) -> dict[str, Any]:
    found: dict[str, Any] = body_of("doordash", name)
    return found


def read(body: Any, doordash: DoorDash | None = None) -> OrderUpdate:
    update = (doordash or source()).parse(call(body))[0]
    assert isinstance(update, OrderUpdate)
    return update


def said(body: Any, doordash: DoorDash | None = None) -> Observation:
    (observation,) = read(body, doordash).observations
    return observation


def push(event: str, **changes: Any) -> dict[str, Any]:
    return {"event_name": event, "external_delivery_id": "d-1", **changes}


def dasher(status: str) -> dict[str, Any]:
    delivery = {"external_order_id": "o-1", "dasher_status": status}
    return {"event": {"type": "dasher_status_update"}, "delivery": delivery}


# --- Drive -----------------------------------------------------------------------------------


def test_every_sample_is_covered() -> None:
    assert set(names("doordash")) == {*DRIVE, *DASHER, *OTHERS}


@pytest.mark.parametrize("name", DRIVE)
def test_drive_samples(name: str) -> None:
    native, at, state = DRIVE[name]
    update = read(sample(name))
    (observation,) = update.observations
    key = f"doordash_drive:{DELIVERY}:{native}:{at}"
    assert source().event_key(call(sample(name))) == observation.event_key == key
    assert (observation.native_state, observation.state) == (native, state)
    assert (observation.track, observation.scope, observation.ref) == ("courier", "leg", DELIVERY)
    assert observation.ordering_class == "ranked"
    assert observation.occurred_at == datetime.fromisoformat(at)
    assert observation.ordering_key == ordering_key(observation.occurred_at)
    assert update.aliases == (
        ("external_delivery_id", DELIVERY),
        ("external_id", DELIVERY),
        ("drive", DELIVERY),
    )
    assert update.courier_only
    assert update.unknown_states == ()


def test_what_a_leg_carries() -> None:
    assert said(sample("drive_dasher_picked_up")).data == {
        "est_delivery_at": "2022-02-01T23:16:00+00:00",
        "courier": {
            "name": "Sample",
            "tracking_url": "https://doordash.com/drive/portal/track/53904a0b",
        },
    }
    assert said(sample("drive_delivery_cancelled")).data["reason"] == {
        "code": "courier_failed",
        "text": "failed_to_deliver",
    }
    over = push("X", dropoff_time_estimated=at(5), dropoff_time_actual=at(6))
    assert said(over).data == {}


def at(minute: int) -> str:
    return f"2026-03-14T18:{minute:02}:00Z"


@pytest.mark.parametrize(
    ("native", "state"),
    [
        ("DASHER_CONFIRMED", None),
        ("DASHER_ENROUTE_TO_PICKUP", None),
        ("DASHER_CONFIRMED_PICKUP_ARRIVAL", None),
        ("DASHER_PICKED_UP", "out_for_delivery"),
        ("DASHER_ENROUTE_TO_DROPOFF", "out_for_delivery"),
        ("DASHER_CONFIRMED_DROPOFF_ARRIVAL", "out_for_delivery"),
        ("DASHER_DROPPED_OFF", "delivered"),
        ("DELIVERY_CANCELLED", "failed"),
        ("DELIVERY_RETURN_INITIALIZED", "failed"),
        ("DASHER_ENROUTE_TO_RETURN", "failed"),
        ("DASHER_CONFIRMED_RETURN_ARRIVAL", "failed"),
        ("DELIVERY_RETURNED", "failed"),
        ("DELIVERY_BATCHED", None),
        ("DELIVERY_ATTEMPTED", None),
    ],
)
def test_drive_states_in_either_case(native: str, state: str | None) -> None:
    for spelled in (native, native.lower()):
        update = read(push(spelled))
        assert update.observations[0].state == state
        assert update.observations[0].native_state == native
        assert update.unknown_states == ()


def test_dropped_off_before_picked_up_is_delivered() -> None:
    told = [said(sample(name)) for name in DRIVE if name != "drive_delivery_cancelled"]
    for heard in permutations(told):
        assert project(heard, default_fulfillment="delivery").state == "delivered"


def test_the_guest_of_a_drive_delivery_is_the_restaurants() -> None:
    body = push(
        "DASHER_CONFIRMED",
        dropoff_contact_given_name="Ana",
        dropoff_contact_family_name="Sample",
        dropoff_phone_number="+12025550143",
        pickup_external_store_id="S1",
    )
    update = read(body)
    assert update.customer == Customer("Ana Sample", "+12025550143")
    assert update.location_id == "S1"
    assert read(sample("drive_dasher_confirmed")).customer is None


def test_an_id_of_the_portals_simulator_is_no_problem() -> None:
    assert read(push("DASHER_CONFIRMED", external_delivery_id="not a uuid!")).order_id


# --- Marketplace -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DASHER)
def test_dasher_samples(name: str) -> None:
    native, stamp, state = DASHER[name]
    order_id = "7424215690108_2"
    update = read(sample(name))
    (observation,) = update.observations
    key = f"doordash_mkt:dasher_status:{order_id}:{native}:{stamp}"
    assert source().event_key(call(sample(name))) == observation.event_key == key
    assert (observation.native_state, observation.state) == (native, state)
    assert (observation.track, observation.scope, observation.ref) == ("courier", "leg", order_id)
    assert observation.ordering_class == "ranked"
    assert observation.occurred_at == datetime.fromisoformat(stamp)
    assert observation.data == {"courier": {"name": "Sample"}}
    assert (update.order_id, update.location_id) == (order_id, "123852")
    assert update.aliases == (
        ("channelOrderId", order_id),
        ("client_order_id", "12321444"),
        ("external_id", "12321444"),
    )
    assert update.courier_only


@pytest.mark.parametrize(
    ("native", "state"),
    [
        ("dasher_confirmed", None),
        ("arriving_at_store", None),
        ("arrived_at_store", None),
        ("dasher_out_for_delivery", "out_for_delivery"),
        ("dropoff", "delivered"),
    ],
)
def test_dasher_states(native: str, state: str | None) -> None:
    update = read(dasher(native))
    assert update.observations[0].state == state
    assert update.unknown_states == ()


def test_a_cancellation() -> None:
    update = read(sample("marketplace_order_cancel"))
    (observation,) = update.observations
    order_id = "0da8b530-7c4c-4925-8785-cd843b797d64"
    assert (update.order_id, update.location_id) == (order_id, "location1")
    assert ("external_id", "321") in update.aliases
    assert observation.event_key == f"doordash_mkt:cancel:{order_id}"
    assert source().event_key(call(sample("marketplace_order_cancel"))) == observation.event_key
    assert (observation.native_state, observation.state) == ("(order cancelled)", "cancelled")
    assert (observation.track, observation.scope) == ("commercial", "order")
    assert (observation.ordering_class, observation.ordering_key) == ("ranked", "")
    assert observation.occurred_at is None


def test_a_release_is_a_hint() -> None:
    update = read(sample("marketplace_order_release"))
    (observation,) = update.observations
    assert (observation.native_state, observation.state) == ("(order release)", None)
    assert (observation.kind, update.courier_only) == ("note", True)
    assert ("external_id", "321") in update.aliases


@pytest.mark.parametrize("reference", [None, "", 5])
def test_the_tills_id_may_be_missing(reference: Any) -> None:
    body = sample("marketplace_order_cancel") | {"client_order_id": reference}
    order_id = body["external_order_id"]
    tills = (("client_order_id", "5"), ("external_id", "5")) if reference else ()
    assert read(body).aliases == (("channelOrderId", order_id), *tills)


@pytest.mark.parametrize("extra", [{}, {"event": {}}, {"event": None, "is_asap": True}])
def test_a_cancellation_is_never_guessed(extra: dict[str, Any]) -> None:
    body = {"external_order_id": "o-1", "store": {}, **extra}
    with pytest.raises(PayloadMalformed, match="neither a cancellation"):
        source().parse(call(body))


def test_a_forwarded_order() -> None:
    update = read(sample("marketplace_order_create"))
    (observation,) = update.observations
    assert observation.event_key == "doordash_mkt:OrderCreate:abc12345"
    assert (update.order_id, update.display, update.location_id) == (
        "abc12345",
        "string",
        "abc12345",
    )
    assert (observation.native_state, observation.state) == ("NEW", "received")
    assert (observation.ordering_class, observation.ordering_key) == ("ranked", "")
    assert observation.data == {
        "display": "string",
        "customer_kind": "masked",
        "items": [
            {
                "id": "line-0",
                "label": "Burrito Scram-Bowl",
                "quantity": 1,
                "modifiers": ["KETCHUP", "Salt"],
            }
        ],
        "fulfillment": {"type": "delivery"},
    }
    assert update.customer == Customer("Sample C.", contact_kind="masked")
    assert update.aliases == (("channelOrderId", "abc12345"),)
    assert not update.courier_only


@pytest.mark.parametrize(
    ("fulfillment_type", "is_pickup", "kind"),
    [
        ("dx_delivery", True, "delivery"),
        ("mx_fleet_delivery", None, "delivery"),
        ("pickup", False, "pickup"),
        ("new_kind", True, "pickup"),
        (None, False, "delivery"),
    ],
)
def test_fulfillment(fulfillment_type: Any, is_pickup: Any, kind: str) -> None:
    order = {"id": "1", "fulfillment_type": fulfillment_type, "is_pickup": is_pickup}
    body = {"event": {"type": "OrderCreate", "status": "NEW"}, "order": order}
    assert said(body).data["fulfillment"] == {"type": kind}


def test_quantities_of_options_are_told() -> None:
    extras = [{"options": [{"name": "Sauce", "quantity": 2}]}]
    order = {"id": "1", "categories": [{"items": [{"name": "Bowl", "extras": extras}]}]}
    body = {"event": {"type": "OrderCreate", "status": "NEW"}, "order": order}
    assert said(body).data["items"][0]["modifiers"] == ["2 x Sauce"]


def test_masked_numbers_positions_and_pictures_are_not_kept() -> None:
    for name in names("doordash"):
        kept = source().body_to_store(call(sample(name))).decode()
        for word in ("555", "@", '"lat"', "latitude", "Chevrolet"):
            assert word not in kept or (word == "555" and '"order_value":5555' in kept)
        assert source().parse(call(kept.encode())) == source().parse(call(sample(name)))
    kept = source().body_to_store(call(push("X", dropoff_phone_number="+12025550143")))
    assert b"+12025550143" in kept  # the restaurant's own guest


def test_a_repeat_with_another_position_says_the_same() -> None:
    body = sample("drive_dasher_picked_up")
    moved = body | {"dasher_location": {"lat": 1, "lng": 2}}
    assert source().fingerprint(call(body)) == source().fingerprint(call(moved))
    assert source().event_key(call(body)) == source().event_key(call(moved))


def test_states_nobody_knows_are_reported_and_can_be_mapped() -> None:
    for body, stream, native in (
        (push("teleported"), "drive.event_name", "TELEPORTED"),
        (dasher("lost"), "marketplace.dasher_status", "lost"),
    ):
        assert read(body).unknown_states == (f"{stream} {native}",)
        assert said(body).state is None
        mapped = source({stream: {native: "failed"}})
        assert (said(body, mapped).state, read(body, mapped).unknown_states) == ("failed", ())


# --- reading a delivery again ----------------------------------------------------------------


def test_a_batched_delivery_is_read_again_with_a_jwt() -> None:
    doordash = source(**KEYS)
    update, asked = doordash.parse(call(push("delivery_batched", external_delivery_id="d/1")))
    assert isinstance(update, OrderUpdate)
    assert isinstance(asked, FollowUp)
    assert asked.request.url == "https://openapi.doordash.com/drive/v2/deliveries/d%2F1"
    assert asked.coalesce_key == "delivery:d/1"
    token = asked.request.headers["Authorization"].removeprefix("Bearer ")
    head, claims, signature = token.split(".")
    digest = hmac.new(b"secret-bytes", f"{head}.{claims}".encode(), hashlib.sha256).digest()
    assert base64.urlsafe_b64decode(signature + "=") == digest
    decoded = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert decoded["exp"] - decoded["iat"] == 1800
    assert decoded["iat"] == int(NOW.timestamp())
    assert (decoded["aud"], decoded["iss"], decoded["kid"]) == ("doordash", "dev-1", "key-1")


def test_a_silent_delivery_is_asked_about() -> None:
    asked = source(**KEYS).check_up("d/1", NOW)
    assert asked is not None
    assert asked.request.url == "https://openapi.doordash.com/drive/v2/deliveries/d%2F1"
    assert asked.order_id == "d/1"
    assert source().check_up("d/1", NOW) is None


@pytest.mark.parametrize(
    ("event", "settings"),
    [
        ("DASHER_PICKED_UP", KEYS),
        ("DELIVERY_BATCHED", {}),
        ("DELIVERY_BATCHED", {**KEYS, "signing_secret": "nöt base64"}),
        ("DELIVERY_BATCHED", {**KEYS, "signing_secret": "abcde"}),
    ],
)
def test_nothing_else_is_fetched(event: str, settings: dict[str, str]) -> None:
    assert len(source(**settings).parse(call(push(event)))) == 1


@pytest.mark.parametrize(
    ("native", "state"),
    [
        ("quote", None),
        ("created", None),
        ("confirmed", None),
        ("enroute_to_pickup", None),
        ("arrived_at_pickup", None),
        ("picked_up", "out_for_delivery"),
        ("enroute_to_dropoff", "out_for_delivery"),
        ("arrived_at_dropoff", "out_for_delivery"),
        ("delivered", "delivered"),
        ("enroute_to_return", "failed"),
        ("arrived_at_return", "failed"),
        ("returned", "failed"),
        ("cancelled", "failed"),
    ],
)
def test_a_fetched_delivery(native: str, state: str | None) -> None:
    body = {
        "external_delivery_id": "d-1",
        "delivery_status": native,
        "dropoff_time_estimated": at(40),
    }
    (update,) = source().parse_resource(follow_up(), answered(body), NOW)
    (observation,) = update.observations
    assert (observation.native_state, observation.state) == (native, state)
    assert observation.data == {"est_delivery_at": "2026-03-14T18:40:00+00:00"}
    later = datetime(2026, 3, 14, 19, tzinfo=UTC)
    (again,) = source().parse_resource(follow_up(), answered(body), later)
    assert again.observations[0].event_key == observation.event_key
    assert update.unknown_states == ()


def test_a_fetched_delivery_that_is_none_is_refused() -> None:
    with pytest.raises(PayloadMalformed, match="external_delivery_id"):
        source().parse_resource(follow_up(), answered({"code": "unknown_delivery_id"}), NOW)


# --- authenticity ------------------------------------------------------------------------------


def test_the_portals_value_passes_and_the_previous_one_during_rotation() -> None:
    source().verify(signed_call("doordash"))
    rotated = source(authorization="new", previous_authorization=ACCOUNT["authorization"])
    rotated.verify(signed_call("doordash"))


@pytest.mark.parametrize("given", [*hostile.FORGED, "Bearer portal-token-2", "portal-token-1"])
def test_anything_else_is_refused(given: str) -> None:
    hostile.disbelieves(source(), {"Authorization": given}, "portal-token-1")


def test_an_account_without_a_value_believes_nobody() -> None:
    hostile.disbelieves(DoorDash({}), {"Authorization": ""}, "-")
    hostile.disbelieves(source(), {"X-DoorDash-Signature": "0" * 64}, "portal-token-1")


# --- answers and bodies nobody should send -------------------------------------------------------


@pytest.mark.parametrize("name", names("doordash"))
def test_every_answer_is_exactly_200_and_empty(name: str) -> None:
    received = call(sample(name))
    assert source().handshake(received) is None
    for reply in (
        source().answer(received, duplicate=False),
        source().answer(received, duplicate=True),
        source().refuse(received, "unreadable"),
    ):
        assert (reply.status, reply.body) == (200, b"")


@pytest.mark.parametrize("name", names("doordash"))
def test_bent_samples_are_read_or_refused(name: str) -> None:
    assert hostile.survive_bending(source(**KEYS), [name]) > 20


@pytest.mark.parametrize("body", hostile.UNREADABLE, ids=range(len(hostile.UNREADABLE)))
def test_unreadable_bodies(body: bytes) -> None:
    hostile.refuses(source(), body)


def test_options_without_end() -> None:
    option: dict[str, Any] = {"name": "x"}
    for _ in range(90):
        option = {"name": "x", "extra": [{"options": [option]}]}
    order = {"id": "1", "categories": [{"items": [{"extras": [{"options": [option]}]}]}]}
    body = {"event": {"type": "OrderCreate", "status": "NEW"}, "order": order}
    assert len(said(body).data["items"][0]["modifiers"]) == 9


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (push(""), "event_name"),
        (push("X", created_at="soon"), "created_at: expected a time"),
        ({"event_name": "X"}, "external_delivery_id"),
        (dasher(""), "delivery.dasher_status"),
        ({"event": {"type": "OrderCreate", "status": "NEW"}}, "id: missing"),
        ({"event": {"type": "OrderCreate"}, "order": {"id": "1"}}, "event.status"),
    ],
)
def test_unreadable_events_say_where(body: dict[str, Any], words: str) -> None:
    with pytest.raises(PayloadMalformed, match=words):
        source().parse(call(body))


@pytest.mark.parametrize("body", [{}, {"event": {"type": "MenuStatus"}}, {"store": {}}])
def test_other_bodies_are_ignored(body: dict[str, Any]) -> None:
    with pytest.raises(EventIgnored):
        source().parse(call(body))


def test_ten_megabytes() -> None:
    body = json.dumps(push("DASHER_PICKED_UP", x="y" * 10_000_000)).encode()
    assert len(body) > source().max_body_bytes
    assert said(body).state == "out_for_delivery"
