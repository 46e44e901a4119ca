"""Lightspeed: HTTP Basic, every status, and bodies nobody should send."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from integrations.contracts import Observation, OrderUpdate, basic_auth
from integrations.errors import EventIgnored, PayloadMalformed
from integrations.sources.lightspeed import STATES, Lightspeed
from orders.lifecycle import held_because
from orders.projection import project
from tests.integrations.sources.hostile import (
    FORGED,
    UNREADABLE,
    disbelieves,
    refuses,
    survive_bending,
)
from tests.integrations.sources.payload_files import NOW, body_of, call, load, names, signed_call

SETTINGS = {"username": "username", "password": "password", "endpoint_id": "MINE"}
REFERENCE = "order-wFUBVgHNGPAJsryIrSaE"
#: sample -> (order, native, state, account in the event key, shown, reason)
SAMPLES = {
    "order_success": ("REF11", "SUCCESS", "accepted", "A123080.14", "A123080.14", ""),
    "order_ready_for_pickup": (
        REFERENCE,
        "READY_FOR_PICKUP",
        "ready",
        "5a81c7f4-9e2f-4db2-965d-6946a4f9c25b",
        "Order NZVV",
        "",
    ),
    "order_cancelled": (REFERENCE, "CANCELLED", "cancelled", "", "", "cancelled on the POS"),
    "order_failure": (
        REFERENCE,
        "FAILURE",
        "failed",
        "",
        "",
        "the order could not be delivered to the POS",
    ),
    "order_in_delivery": (REFERENCE, "IN_DELIVERY", None, "", "", ""),
    "order_closed": (REFERENCE, "CLOSED", None, "", "", ""),
}


def source(status_map: Any = None, **settings: str) -> Lightspeed:
    return Lightspeed({**SETTINGS, **settings}, status_map=status_map)


def notice(**changes: Any) -> dict[str, Any]:
    return {"thirdPartyReference": "WEB-1042", "status": "SUCCESS", "type": "ORDER", **changes}


def read(body: Any, lightspeed: Lightspeed | None = None) -> OrderUpdate:
    (update,) = (lightspeed or source()).parse(call(body))
    assert isinstance(update, OrderUpdate)
    return update


def said(**changes: Any) -> Observation:
    (observation,) = read(notice(**changes)).observations
    return observation


# --- samples -----------------------------------------------------------------------------------


def test_every_sample_is_covered() -> None:
    assert set(names("lightspeed")) == {*SAMPLES, "webhook_endpoint_registration"}


@pytest.mark.parametrize("name", SAMPLES)
def test_samples(name: str) -> None:
    order, native, state, account, display, reason = SAMPLES[name]
    body = body_of("lightspeed", name)
    update = read(body)
    (one,) = update.observations
    assert (update.order_id, update.display) == (order, display)
    assert (one.native_state, one.state, one.track, one.scope) == (
        native,
        state,
        "kitchen",
        "order",
    )
    assert (one.ordering_class, one.ordering_key, one.occurred_at) == ("ranked", "", None)
    assert one.data.get("reason", {}).get("text", "") == reason
    assert update.aliases == (("external_id", order),)
    assert update.location_id == str(body.get("businessLocationId", ""))
    assert update.customer is None
    assert update.unknown_states == ()
    assert source().event_key(call(body)) == f"lightspeed:MINE:ORDER:{order}:{native}:{account}"


def test_the_registered_endpoint_is_the_account() -> None:
    endpoint = body_of("lightspeed", "webhook_endpoint_registration")
    registered = source(username=endpoint["username"], password=endpoint["password"])
    registered.verify(signed_call("lightspeed"))
    with pytest.raises(EventIgnored, match="registration"):
        registered.parse(call(endpoint))


# --- states and order --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("native", "state"),
    [
        ("SUCCESS", "accepted"),
        ("FAILURE", "failed"),
        ("READY_FOR_PICKUP", "ready"),
        ("IN_DELIVERY", None),
        ("DELIVERED", None),
        ("CLOSED", None),
        ("ABANDONED", "cancelled"),
        ("CANCELLED", "cancelled"),
    ],
)
def test_states(native: str, state: str | None) -> None:
    update = read(notice(status=native))
    assert update.observations[0].state == state
    assert update.unknown_states == ()


def test_nothing_is_stated_that_was_not_declared() -> None:
    assert {state for state in STATES.values() if state} == Lightspeed.can_state


def test_a_status_nobody_knows_is_reported_until_a_manager_maps_it() -> None:
    update = read(notice(status="IN_OVEN"))
    assert update.unknown_states == ("order IN_OVEN",)
    assert (update.observations[0].state, update.observations[0].native_state) == (None, "IN_OVEN")
    mapped = source({"order": {"IN_OVEN": "preparing", "DELIVERED": "delivered"}})
    assert read(notice(status="IN_OVEN"), mapped).observations[0].state == "preparing"
    assert read(notice(status="DELIVERED"), mapped).observations[0].state == "delivered"


def test_a_late_success_does_not_take_ready_back() -> None:
    late = [said(status="READY_FOR_PICKUP"), said(status="SUCCESS")]
    assert project(late).state == project(late[::-1]).state == "ready"


def test_an_order_that_never_reached_the_till_is_for_staff_first() -> None:
    failed = project([said(status="FAILURE", reason="no such table")])
    assert held_because(None, failed, own_drivers=False) == "staff_first"
    assert failed.reason == {"code": "other", "text": "no such table", "staff_first": True}
    assert said(status="FAILURE").data["reason"] == {"code": "other", "staff_first": True}
    off = project([said(status="CANCELLED", reason="guest called")])
    assert held_because(None, off, own_drivers=False) == ""


def test_payments_say_nothing() -> None:
    with pytest.raises(EventIgnored, match="PAYMENT"):
        source().parse(call(notice(type="PAYMENT")))


def test_type_order_is_the_default() -> None:
    body = notice()
    del body["type"]
    assert read(body) == read(notice())
    assert source().event_key(call(body)) == source().event_key(call(notice()))


def test_the_vendors_own_key_counts_where_it_is_sent() -> None:
    keyed = [
        call(notice(), {"X-Lightspeed-Idempotency-Key": key}) for key in ("k-1", "k-1", "k-2", "")
    ]
    keys = [source().event_key(one) for one in keyed]
    assert keys[:2] == ["lightspeed:MINE:key:k-1"] * 2
    assert len(set(keys)) == 3
    assert len({o.event_key for one in keyed for o in read(one.body).observations}) == 1


@pytest.mark.parametrize("number", [2**63 - 1, 247158188015618, "247158188015618"])
def test_long_ids_stay_exact(number: Any) -> None:
    update = read(notice(businessLocationId=number, thirdPartyReference=number))
    assert update.location_id == update.order_id == str(number)


# --- authenticity ------------------------------------------------------------------------------


def test_the_published_vector_passes() -> None:
    source().verify(signed_call("lightspeed"))
    source().verify(call(notice(), {"Authorization": "basic dXNlcm5hbWU6cGFzc3dvcmQ="}))


@pytest.mark.parametrize("given", [*FORGED, "Basic", basic_auth("username", "passwort")])
def test_anything_else_is_refused(given: str) -> None:
    disbelieves(source(), {"Authorization": given}, "password:")


def test_absent_is_refused() -> None:
    disbelieves(source(), {}, "password:")


def test_two_passwords_during_rotation_and_none_believes_nobody() -> None:
    source(password="new", previous_password="password").verify(signed_call("lightspeed"))
    for missing in ({"password": ""}, {"username": ""}):
        disbelieves(source(**missing), {"Authorization": basic_auth("", "")}, "password:")


def test_a_stale_copy_is_the_same_event() -> None:
    """Nothing in a notification tells its age: a repeated call is stopped by its event key."""
    body = load("lightspeed", "signature")["body"].encode()
    keys = {source().event_key(call(body, at=NOW + timedelta(days=d))) for d in (0, 400)}
    assert len(keys) == 1


# --- bodies nobody should send -----------------------------------------------------------------


def test_bent_samples_are_read_or_refused() -> None:
    assert survive_bending(source(), names("lightspeed")) > 0


@pytest.mark.parametrize("body", UNREADABLE)
def test_bodies_that_are_no_object_are_refused(body: bytes) -> None:
    refuses(source(), body)


def test_a_cut_body_is_refused() -> None:
    whole = json.dumps(body_of("lightspeed", "order_ready_for_pickup")).encode()
    for end in range(len(whole)):
        refuses(source(), whole[:end])


def test_ten_megabytes_are_more_than_is_taken_and_still_read() -> None:
    body = json.dumps(notice(reason="x" * 10_000_000)).encode()
    assert len(body) > source().max_body_bytes
    (one,) = read(json.loads(body)).observations
    assert len(one.data["reason"]["text"]) == 500


def test_an_over_long_reference_is_refused_not_cut() -> None:
    with pytest.raises(PayloadMalformed, match="longer than 200"):
        source().parse(call(notice(thirdPartyReference="x" * 201)))
