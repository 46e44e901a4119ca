"""Toast: the signature over body and time, every status, parts, guests, and hostile bodies."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations.contracts import Customer, FollowUp, Observation, OrderUpdate, ordering_key
from integrations.errors import EventIgnored, PayloadMalformed
from integrations.signatures import hmac_base64
from integrations.sources.toast import GUEST_STATES, Toast
from integrations.sources.toast_order import LEG_STATES, ORDER_STATES, PART_STATES
from orders.projection import Projection, project
from tests.integrations.sources.hostile import (
    FORGED,
    UNREADABLE,
    disbelieves,
    refuses,
    survive_bending,
)
from tests.integrations.sources.mutations import bent, survive
from tests.integrations.sources.payload_files import (
    NOW,
    answered,
    body_of,
    call,
    follow_up,
    load,
    names,
    signed_call,
)

SECRET = "toast-test-secret"
ORDER = "a1d0c0de-0000-4000-8000-000000000001"
BOWL, SALMON = (f"a1d0c0de-0000-4000-8000-0000000000{n}" for n in (21, 22))
RESTAURANT = "0cd990c9-fd74-461d-8468-de2a0919ccbb"
Parts = tuple[str | None, str | None]
#: sample -> (event key ends, order state stated, projected, part states, sent, modified)
SAMPLES: dict[str, tuple[str, str, str, Parts, str, str]] = {
    "1_needs_approval": ("a1", "received", "received", (None, None), "00:06.010", "00:04.900"),
    "2_sent_to_kitchen": (
        "a2",
        "accepted",
        "preparing",
        ("preparing", "preparing"),
        "05:12.300",
        "05:11.002",
    ),
    "3_first_bowl_ready": (
        "a3",
        "accepted",
        "preparing",
        ("ready", "preparing"),
        "18:40.120",
        "18:39.600",
    ),
    "4_eta_slip": (
        "a4",
        "accepted",
        "preparing",
        ("ready", "preparing"),
        "19:02.000",
        "19:01.440",
    ),
    "5_all_ready": ("a5", "accepted", "ready", ("ready", "ready"), "30:20.000", "30:19.000"),
    "6_out_for_delivery": (
        "a6",
        "accepted",
        "out_for_delivery",
        ("ready", "ready"),
        "33:08.000",
        "33:07.000",
    ),
    "7_voided": (
        "a7",
        "cancelled",
        "cancelled",
        ("preparing", "preparing"),
        "06:00.000",
        "05:59.500",
    ),
}
OTHERS = {
    "order_updated_official",
    "guest_order_fulfillment_status_ready",
    "get_order_customer_excerpt",
}


def source(status_map: Any = None, **settings: str) -> Toast:
    return Toast({"secret": SECRET, **settings}, status_map=status_map)


def sample(name: str) -> dict[str, Any]:
    found: dict[str, Any] = body_of("toast", f"order_updated_{name}")
    return found


def event(base: str = "2_sent_to_kitchen", **changes: Any) -> dict[str, Any]:
    """A sample with members of its order replaced."""
    found = sample(base)
    found["details"]["order"] |= changes
    return found


def cooked(*statuses: Any, voided: bool = False) -> list[dict[str, Any]]:
    """One check whose selections have ``statuses``."""
    check: dict[str, Any] = copy.deepcopy(sample("2_sent_to_kitchen"))["details"]["order"][
        "checks"
    ][0]
    check["selections"] = [
        {"guid": f"s{n}", "displayName": f"Bowl {n}", "quantity": 1, "fulfillmentStatus": status}
        for n, status in enumerate(statuses)
    ]
    return [check | {"voided": voided}]


def read(body: Any, toast: Toast | None = None) -> OrderUpdate:
    update = (toast or source()).parse(call(body))[0]
    assert isinstance(update, OrderUpdate)
    return update


def parts_of(update: OrderUpdate) -> dict[str, Observation]:
    return {one.ref: one for one in update.observations if one.scope == "part"}


def shown(*bodies: Any) -> Projection:
    return project([o for body in bodies for o in read(body).observations])


# --- samples -----------------------------------------------------------------------------------


def test_every_sample_is_covered() -> None:
    assert set(names("toast")) == {f"order_updated_{name}" for name in SAMPLES} | OTHERS


@pytest.mark.parametrize("name", SAMPLES)
def test_samples(name: str) -> None:
    key, stated, projected, parts, sent, modified = SAMPLES[name]
    body = sample(name)
    update = read(body)
    commercial, kitchen = update.observations[:2]
    assert source().event_key(call(body)) == f"a1d0c0de-0000-4000-8000-0000000000{key}"
    assert (update.order_id, update.display, update.location_id) == (ORDER, "42", RESTAURANT)
    assert (commercial.track, commercial.scope, commercial.state) == (
        "commercial",
        "order",
        stated,
    )
    found = parts_of(update)
    assert (found[BOWL].state, found[SALMON].state) == parts
    assert kitchen.snapshot_parts == (BOWL, SALMON)
    at = datetime.fromisoformat(f"2026-03-14T18:{sent}Z")
    changed = datetime.fromisoformat(f"2026-03-14T18:{modified}Z")
    for one in update.observations:
        assert (one.occurred_at, one.occurred_at_basis) == (at, "sent")
        assert one.ordering_class == "sequenced"
        assert one.ordering_key == f"{ordering_key(changed)}.{ordering_key(at)}"
    assert update.unknown_states == ()
    assert update.customer is None
    assert shown(body).state == projected
    assert source().parse(call(body)) == [update]


def test_the_published_sample() -> None:
    body = body_of("toast", "order_updated_official")
    update = read(body)
    commercial, kitchen = update.observations
    assert source().event_key(call(body)) == "534bf25a-b657-45aa-9a63-47f8f35400d6"
    assert update.order_id == "f6d98b95-2816-4f54-b1ab-7a5d71e83769"
    assert update.location_id == "0cd990c9-fd74-461d-8468-de2a0919ccbba"
    assert (commercial.native_state, commercial.state) == ("APPROVED", "accepted")
    assert commercial.occurred_at == datetime(2024, 3, 28, 15, 11, 1, 50000, UTC)
    changed = datetime(2024, 4, 1, 15, 10, 59, 817000, UTC)
    assert commercial.ordering_key.startswith(ordering_key(changed))
    assert (update.display, kitchen.snapshot_parts) == ("2", ())
    # opened at the till with no time to prepare: the "estimate" is the opening
    assert "times" not in kitchen.data


def test_a_modifier_may_come_more_than_once() -> None:
    checks = cooked("SENT")
    checks[0]["selections"][0]["modifiers"] = [
        {"displayName": "Egg", "quantity": 2, "modifiers": [{"displayName": "Soft", "quantity": 1}]}
    ]
    (line,) = read(event(checks=checks)).observations[0].data["items"]
    assert line["modifiers"] == ["2 x Egg", "Soft"]


def test_the_whole_story_in_any_order() -> None:
    told = [name for name in SAMPLES if name != "7_voided"]
    forwards = shown(*map(sample, told))
    assert forwards == shown(*map(sample, told[::-1])) == shown(*map(sample, told + told))
    assert (forwards.state, len(forwards.named_parts)) == ("out_for_delivery", 2)
    assert shown(*map(sample, [*told[:2], "7_voided"])).state == "cancelled"


def test_the_guest_is_only_in_the_fetched_order() -> None:
    asked = follow_up(restaurant=RESTAURANT)
    body = body_of("toast", "get_order_customer_excerpt")
    (update,) = source().parse_resource(asked, answered(body), NOW)
    assert update.order_id == ORDER
    assert update.location_id == RESTAURANT
    assert update.aliases == (("external_id", "WEB:1042"),)
    assert update.customer == Customer(
        "Sample Customer",
        "+12025550143",
        "sample.customer@example.com",
        "direct",
        external_id="a1d0c0de-0000-4000-8000-000000000031",
    )
    commercial = update.observations[0]
    assert commercial.occurred_at_basis == "resource_modified"
    # of one change the webhook counts: this excerpt leaves the selections out
    both = [*read(sample("2_sent_to_kitchen")).observations, *update.observations]
    assert len(project(both).named_parts) == 2
    assert {p.state for p in project(both).named_parts} == {"preparing"}


def test_the_guest_order_status() -> None:
    body = body_of("toast", "guest_order_fulfillment_status_ready")
    update = read(body)
    (one,) = update.observations
    assert source().event_key(call(body)) == "a1d0c0de-0000-4000-8000-0000000000b1"
    assert (update.order_id, update.location_id) == (ORDER, RESTAURANT)
    assert (one.native_state, one.state, one.track) == ("READY_FOR_PICKUP", "ready", "kitchen")
    assert one.occurred_at == datetime(2026, 3, 14, 18, 30, 20, 900000, UTC)
    assert one.ordering_key.startswith(ordering_key(one.occurred_at))


def test_a_guest_status_lifts_the_bowls_that_lag() -> None:
    ready = body_of("toast", "guest_order_fulfillment_status_ready")
    found = shown(sample("3_first_bowl_ready"), ready)
    assert (found.state, {p.state for p in found.named_parts}) == ("ready", {"ready"})


# --- states ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("native", "state"),
    [
        ("NEEDS_APPROVAL", "received"),
        ("FUTURE", "received"),
        ("APPROVED", "accepted"),
        ("NOT_APPROVED", "cancelled"),
    ],
)
def test_order_states(native: str, state: str) -> None:
    update = read(event(approvalStatus=native))
    assert (update.observations[0].native_state, update.observations[0].state) == (native, state)
    assert update.unknown_states == ()
    rejected = update.observations[0].data.get("reason")
    assert rejected == ({"code": "rejected"} if native == "NOT_APPROVED" else None)


@pytest.mark.parametrize(
    ("native", "state"),
    [("NEW", "accepted"), ("HOLD", "accepted"), ("SENT", "preparing"), ("READY", "ready")],
)
def test_part_states(native: str, state: str) -> None:
    update = read(event(checks=cooked(native)))
    part = parts_of(update)["s0"]
    assert (part.native_state, part.state, part.track) == (native, state, "kitchen")


@pytest.mark.parametrize("waiting", ["NEEDS_APPROVAL", "FUTURE"])
@pytest.mark.parametrize("native", ["NEW", "HOLD"])
def test_no_bowl_is_accepted_before_its_order(waiting: str, native: str) -> None:
    body = event(approvalStatus=waiting, checks=cooked(native, native))
    assert parts_of(read(body))["s0"].state is None
    assert shown(body).state == "received"


@pytest.mark.parametrize(
    ("native", "state"),
    [
        ("PENDING", None),
        ("IN_PROGRESS", "out_for_delivery"),
        ("PICKED_UP", "out_for_delivery"),
        ("DELIVERED", "delivered"),
    ],
)
def test_delivery_states(native: str, state: str | None) -> None:
    update = read(event("5_all_ready", deliveryInfo={"deliveryState": native}))
    legs = [o for o in update.observations if o.scope == "leg"]
    assert [o.state for o in legs] == ([state] if state else [])
    assert update.unknown_states == ()
    assert update.observations[0].data["fulfillment"]["type"] == "delivery"
    assert project(update.observations).state == (state or "ready")


@pytest.mark.parametrize(
    ("native", "state"),
    [
        ("RECEIVED", "received"),
        ("IN_PREPARATION", "preparing"),
        ("READY_FOR_PICKUP", "ready"),
        ("CLOSED", None),
        ("VOIDED", "cancelled"),
    ],
)
def test_guest_states(native: str, state: str | None) -> None:
    body = body_of("toast", "guest_order_fulfillment_status_ready")
    body["details"]["guestOrderStatus"] = native
    assert read(body).observations[0].state == state
    assert read(body).unknown_states == ()


def test_nothing_is_stated_that_was_not_declared() -> None:
    tables = (ORDER_STATES, PART_STATES, LEG_STATES, GUEST_STATES)
    assert {s for table in tables for s in table.values() if s} == Toast.can_state


def test_an_order_is_voided_as_a_whole_or_check_by_check() -> None:
    for body in (
        event(voided=True),
        event(checks=cooked("SENT", voided=True)),
        event(checks=[*cooked("SENT", voided=True), {"deleted": True}]),
    ):
        assert read(body).observations[0].state == "cancelled"
        assert shown(body).state == "cancelled"
        assert read(body).observations[0].data["items"]
    one_of_two = event(checks=cooked("SENT", voided=True) + cooked("READY"))
    assert read(one_of_two).observations[0].state == "accepted"
    assert read(event(checks=[])).observations[0].state == "accepted"


def test_a_voided_selection_is_an_edit() -> None:
    checks = cooked("SENT", "SENT")
    checks[0]["selections"][1]["voided"] = True
    update = read(event(checks=checks))
    assert [parts_of(update)[ref].state for ref in ("s0", "s1")] == ["preparing", "cancelled"]
    assert [line["id"] for line in update.observations[0].data["items"]] == ["s0"]
    assert shown(event(checks=checks)).state == "preparing"


def test_a_deleted_order_is_a_note_and_no_cancellation() -> None:
    gone = event("3_first_bowl_ready", deleted=True)
    (note,) = read(gone).observations
    assert (note.native_state, note.state) == ("deleted", None)
    assert shown(sample("2_sent_to_kitchen"), gone).state == "preparing"


def test_a_recalled_ticket_goes_back() -> None:
    later = {"modifiedDate": "2026-03-14T18:40:00.000+0000"}
    recalled = event(
        "5_all_ready", checks=sample("3_first_bowl_ready")["details"]["order"]["checks"], **later
    )
    assert shown(sample("5_all_ready"), recalled).state == "preparing"


def test_paid_and_closed_says_nothing() -> None:
    checks = sample("2_sent_to_kitchen")["details"]["order"]["checks"]
    checks[0] |= {"paymentStatus": "CLOSED", "closedDate": "2026-03-14T18:06:00.000+0000"}
    assert shown(event(checks=checks, closedDate="2026-03-14T18:06:00.000+0000")).state == (
        "preparing"
    )


def test_words_nobody_knows_are_reported_until_a_manager_maps_them() -> None:
    strange = event(
        approvalStatus="MAYBE", checks=cooked("BURNT"), deliveryInfo={"deliveryState": "LOST"}
    )
    update = read(strange)
    assert update.unknown_states == (
        "order.approvalStatus MAYBE",
        "selection.fulfillmentStatus BURNT",
        "deliveryInfo.deliveryState LOST",
    )
    assert {o.state for o in update.observations} == {None}
    mapped = source(
        {
            "order.approvalStatus": {"MAYBE": "received"},
            "selection.fulfillmentStatus": {"BURNT": "preparing"},
            "deliveryInfo.deliveryState": {"LOST": "failed"},
        }
    )
    again = read(strange, mapped)
    assert again.unknown_states == ()
    assert [o.state for o in again.observations] == ["received", None, "preparing", "failed"]
    # known again by the same keys, so that a replay completes them
    assert [o.event_key for o in again.observations] == [o.event_key for o in update.observations]
    guest = body_of("toast", "guest_order_fulfillment_status_ready")
    guest["details"]["guestOrderStatus"] = "ON_SHELF"
    assert read(guest).unknown_states == ("guestOrderStatus ON_SHELF",)
    shelf = source({"guestOrderStatus": {"ON_SHELF": "ready"}})
    assert read(guest, shelf).observations[0].state == "ready"


# --- contents ----------------------------------------------------------------------------------


def test_what_the_order_carries() -> None:
    update = read(sample("2_sent_to_kitchen"))
    bowl = {
        "label": "Harvest Bowl",
        "quantity": 1,
        "modifiers": ["No onion", "Extra tahini"],
    }
    salmon = {"label": "Miso Salmon Bowl", "quantity": 1, "modifiers": ["Brown rice"]}
    assert update.observations[0].data == {
        "display": "42",
        "items": [{"id": BOWL, **bowl}, {"id": SALMON, **salmon}],
        "times": {"placed_at": "2026-03-14T18:00:04.100000+00:00"},
        "fulfillment": {"scheduled": False},
    }
    assert update.observations[1].data == {"times": {"est_ready_at": "2026-03-14T18:20:00+00:00"}}
    assert parts_of(update)[BOWL].data == {"kind": "item", **bowl}


def test_an_estimate_that_moves_and_whom_it_is_for() -> None:
    assert shown(sample("4_eta_slip")).est_ready_at == datetime(2026, 3, 14, 18, 34, tzinfo=UTC)
    delivered = shown(sample("6_out_for_delivery"))
    assert delivered.est_delivery_at == datetime(2026, 3, 14, 18, 34, tzinfo=UTC)
    assert delivered.est_ready_at is None


def test_a_promise_makes_an_order_scheduled() -> None:
    body = event("1_needs_approval", promisedDate="2026-03-15T12:00:00.000-0400")
    found = shown(body)
    assert found.promised_at == datetime(2026, 3, 15, 16, tzinfo=UTC)
    assert found.is_scheduled
    assert shown(event(approvalStatus="FUTURE")).is_scheduled
    assert not shown(sample("1_needs_approval")).is_scheduled


def test_how_it_is_fulfilled() -> None:
    option = "06f9f331-848a-41b2-896f-e73e32cb278e"
    assert shown(event(curbsidePickupInfo={"notes": "red car"})).fulfillment == "curbside"
    known = source(dining_options=f"x=delivery, {option}=dine_in; {option}2=teleport")
    update = read(event(deliveryInfo={}), known)
    assert update.observations[0].data["fulfillment"]["type"] == "dine_in"


def test_modifiers_of_modifiers_are_named_and_removed_ones_are_not() -> None:
    checks = cooked("SENT")
    checks[0]["selections"][0]["modifiers"] = [
        {"displayName": "Dressing", "modifiers": [{"displayName": "On the side"}]},
        {"displayName": "Nuts", "voided": True},
        {"displayName": None},
    ]
    assert parts_of(read(event(checks=checks)))["s0"].data["modifiers"] == [
        "Dressing",
        "On the side",
    ]


def test_the_same_selection_on_two_checks_is_one_part() -> None:
    update = read(event(checks=cooked("SENT") + cooked("READY")))
    assert list(parts_of(update)) == ["s0"]


@pytest.mark.parametrize(
    ("guest", "phone"),
    [
        ({"phone": "2025550143", "phoneCountryCode": "1"}, "+12025550143"),
        ({"phone": "1 202-555-0143", "phoneCountryCode": "+1"}, "+12025550143"),
        ({"phone": "+1 202 555 0143", "phoneCountryCode": "44"}, "+1 202 555 0143"),
        ({"phone": "07700 900123", "phoneCountryCode": 44}, "+447700900123"),
        ({"phone": "2025550143"}, "2025550143"),
        ({"phone": "call the bar", "phoneCountryCode": "1"}, "call the bar"),
    ],
)
def test_phone_numbers(guest: dict[str, Any], phone: str) -> None:
    customer = read(event(checks=[{"customer": None}, {"customer": guest}])).customer
    assert customer == Customer("", phone, "", "direct")


def test_a_name_alone_is_nobody_to_message() -> None:
    named = event(checks=[{"customer": {"firstName": "Ana"}}])
    assert read(named).customer == Customer("Ana", contact_kind="none")


def test_half_a_guest_does_not_replace_the_fetched_one() -> None:
    body = event(checks=[{"customer": {"email": "ana@example.com"}}])
    assert read(body).customer == Customer("", "", "ana@example.com", "direct")
    assert read(body, source(access_token="token")).customer is None


# --- fetching and polling ----------------------------------------------------------------------


def test_the_guest_is_asked_for_until_the_order_is_on_its_way() -> None:
    toast = source(access_token="token")
    update, asked = toast.parse(call(sample("2_sent_to_kitchen")))
    assert isinstance(update, OrderUpdate)
    assert isinstance(asked, FollowUp)
    assert asked.request.url == f"https://ws-api.toasttab.com/orders/v2/orders/{ORDER}"
    assert asked.request.headers == {
        "Authorization": "Bearer token",
        "Toast-Restaurant-External-ID": RESTAURANT,
    }
    assert (asked.coalesce_key, asked.order_id) == (f"order:{ORDER}", ORDER)
    assert asked.context == {"restaurant": RESTAURANT}
    # whoever is first heard of when all is ready is not to miss it
    for early in ("1_needs_approval", "3_first_bowl_ready", "5_all_ready"):
        assert len(toast.parse(call(sample(early)))) == 2
    for later in ("6_out_for_delivery", "7_voided"):
        assert len(toast.parse(call(sample(later)))) == 1
    assert len(toast.parse(call(event(deleted=True)))) == 1
    guest = body_of("toast", "guest_order_fulfillment_status_ready")
    assert len(toast.parse(call(guest))) == 2


def test_an_id_cannot_lead_elsewhere() -> None:
    toast = source(access_token="token")
    (_, asked) = toast.parse(call(event(guid="../../config?x=1#")))
    assert isinstance(asked, FollowUp)
    assert asked.request.url.endswith("/orders/v2/orders/..%2F..%2Fconfig%3Fx%3D1%23")
    body = sample("2_sent_to_kitchen")
    for forged in ("r\r\nX-Evil: 1", "ł", "", None):
        body["details"]["restaurantGuid"] = forged
        assert len(toast.parse(call(body))) == 1


def test_polling_asks_for_what_changed() -> None:
    since = datetime(2026, 3, 14, 18, tzinfo=UTC)
    assert source(access_token="token").poll(since) is None
    assert source(restaurant_guid=RESTAURANT).poll(since) is None
    request = source(access_token="token", restaurant_guid=RESTAURANT).poll(since)
    assert request is not None
    assert request.url == (
        "https://ws-api.toasttab.com/orders/v2/ordersBulk"
        "?startDate=2026-03-14T18%3A00%3A00.000%2B0000"
        "&endDate=2026-03-18T18%3A00%3A00.000%2B0000&pageSize=20"
    )
    assert request.headers["Toast-Restaurant-External-ID"] == RESTAURANT


def test_a_poll_repeats_what_a_webhook_said() -> None:
    toast = source(restaurant_guid=RESTAURANT)
    body = sample("3_first_bowl_ready")
    (polled,) = toast.parse_poll(answered([body["details"]["order"]]), NOW)
    assert polled.location_id == RESTAURANT
    webhook = read(body).observations
    told, again = project(webhook), project([*webhook, *polled.observations])
    assert (again.state, again.items, again.est_ready_at) == (
        told.state,
        told.items,
        told.est_ready_at,
    )
    assert [(p.ref, p.state) for p in again.parts] == [(p.ref, p.state) for p in told.parts]
    assert toast.parse_poll(answered([body["details"]["order"]]), NOW) == [polled]
    with pytest.raises(PayloadMalformed, match="list of orders"):
        toast.parse_poll(answered({"status": 401}), NOW)


def test_of_one_change_the_newest_envelope_wins_whatever_was_fetched_first() -> None:
    """A fetched order has no envelope: it must not take the place of a webhook that has one."""
    first, second = event(checks=cooked("SENT")), event(checks=cooked("READY"))
    second["timestamp"] = "2026-03-14T18:05:30.000Z"
    toast = source(restaurant_guid=RESTAURANT)
    (fetched,) = toast.parse_poll(answered([second["details"]["order"]]), NOW)
    said = [*read(first).observations, *fetched.observations, *read(second).observations]
    kept = {one.event_key: one for one in said[::-1]}
    assert project(kept.values()).state == project(said).state == "ready"


def test_a_full_page_is_followed_by_the_next() -> None:
    toast = source(access_token="token", restaurant_guid=RESTAURANT)
    first = toast.poll(datetime(2026, 3, 14, 18, tzinfo=UTC))
    assert first is not None
    full = answered([{}] * 20)
    second = toast.poll_next(first, full)
    assert second is not None
    assert second.url == f"{first.url}&page=2"
    assert second.headers == first.headers
    third = toast.poll_next(second, full)
    assert third is not None
    assert third.url == f"{first.url}&page=3"
    assert toast.poll_next(first, answered([{}] * 19)) is None
    assert toast.poll_next(first, answered({"status": 401})) is None


def test_a_line_that_was_paid_back_stays_and_is_a_refund() -> None:
    checks = cooked("READY", "READY", "READY", "READY")
    odd = ({"refundAmount": 12.5}, {"refundAmount": 0}, {"refundAmount": True}, [])
    for selection, details in zip(checks[0]["selections"], odd, strict=True):
        selection["refundDetails"] = details
    data = read(event(checks=checks)).observations[0].data
    assert [line["id"] for line in data["refunds"]] == ["s0"]
    assert len(data["items"]) == 4
    assert "refunds" not in read(event(checks=cooked("READY"))).observations[0].data


def test_deferred_revenue_is_no_food() -> None:
    checks = cooked("READY", "NEW")
    checks[0]["selections"][1]["deferred"] = True
    assert list(parts_of(read(event(checks=checks)))) == ["s0"]


@pytest.mark.parametrize(
    "kind", ["TOAST_CARD_SELL", "TOAST_CARD_RELOAD", "HOUSE_ACCOUNT_PAY_BALANCE"]
)
def test_a_gift_card_is_bought_and_never_cooked(kind: str) -> None:
    checks = cooked("READY", "NEW")
    checks[0]["selections"][1]["selectionType"] = kind
    update = read(event(checks=checks))
    assert list(parts_of(update)) == ["s0"]
    assert [line["id"] for line in update.observations[0].data["items"]] == ["s0", "s1"]
    assert shown(event(checks=checks)).state == "ready"


# --- authenticity ------------------------------------------------------------------------------


def test_the_published_vector_passes() -> None:
    source().verify(signed_call("toast"))
    source(secret="new", previous_secret=SECRET).verify(signed_call("toast"))


def test_the_time_in_the_body_is_part_of_what_is_signed() -> None:
    vector = load("toast", "signature")
    whole = vector["body"].encode()
    disbelieves(source(), {"Toast-Signature": hmac_base64(SECRET, whole)}, SECRET, whole)
    untimed = whole.replace(b'"timestamp":"2026-03-14T18:05:12.300Z",', b"", 1)
    disbelieves(source(), {"Toast-Signature": hmac_base64(SECRET, untimed)}, SECRET, untimed)
    altered = whole.replace(b'"SENT"', b'"READY"', 1)
    disbelieves(source(), {"Toast-Signature": vector["signature"]}, SECRET, altered)


@pytest.mark.parametrize("given", FORGED)
def test_anything_else_is_refused(given: str) -> None:
    body = load("toast", "signature")["body"].encode()
    disbelieves(source(), {"Toast-Signature": given}, SECRET, body)


def test_absent_is_refused_and_no_secret_believes_nobody() -> None:
    body = load("toast", "signature")["body"].encode()
    disbelieves(source(), {}, SECRET, body)
    disbelieves(source(secret=""), {"Toast-Signature": hmac_base64("", body)}, SECRET, body)


@pytest.mark.parametrize("body", UNREADABLE)
def test_a_body_that_cannot_be_read_cannot_be_signed(body: bytes) -> None:
    disbelieves(source(), {"Toast-Signature": hmac_base64(SECRET, body)}, SECRET, body)


def test_a_stale_copy_is_the_same_event() -> None:
    """Repeats come a quarter of an hour later with the old time: the event key stops them."""
    body = sample("2_sent_to_kitchen")
    keys = {source().event_key(call(body, at=NOW + timedelta(days=days))) for days in (0, 400)}
    assert len(keys) == 1


# --- bodies nobody should send -----------------------------------------------------------------


@pytest.mark.parametrize("name", sorted({f"order_updated_{name}" for name in SAMPLES} | OTHERS))
def test_bent_samples_are_read_or_refused(name: str) -> None:
    toast = source(access_token="token", restaurant_guid=RESTAURANT)
    survived = survive_bending(toast, [name])
    assert survived > 0 or name.startswith("get_")


def test_bent_answers_are_read_or_refused() -> None:
    toast = source(access_token="token", restaurant_guid=RESTAURANT)
    order = body_of("toast", "get_order_customer_excerpt")

    def fetched(body: bytes) -> Any:
        return toast.parse_resource(follow_up(), answered(json.loads(body)), NOW)

    def polled(body: bytes) -> Any:
        return toast.parse_poll(answered(json.loads(body)), NOW)

    assert survive(bent(order), fetched) > 0
    assert survive(bent([sample("6_out_for_delivery")["details"]["order"]]), polled) > 0


@pytest.mark.parametrize("body", UNREADABLE)
def test_bodies_that_are_no_object_are_refused(body: bytes) -> None:
    refuses(source(), body)


def test_a_cut_body_is_refused() -> None:
    whole = json.dumps(sample("2_sent_to_kitchen")).encode()
    for end in range(0, len(whole), 97):
        refuses(source(), whole[:end])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"guid": None}, "order.guid: missing"),
        ({"guid": "x" * 201}, "longer than 200"),
        ({"modifiedDate": None}, "order.modifiedDate: missing"),
        ({"modifiedDate": "2026-03-14T18:05:11"}, "order.modifiedDate: expected a time"),
    ],
)
def test_unreadable_orders_say_what_is_wrong(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(PayloadMalformed, match=words):
        source().parse(call(event(**changes)))


def test_ten_megabytes_are_more_than_is_taken_and_still_read() -> None:
    checks = cooked("SENT")
    checks[0]["selections"][0]["displayName"] = "x" * 10_000_000
    body = event(checks=checks)
    assert len(json.dumps(body)) > source().max_body_bytes
    assert len(parts_of(read(body))["s0"].data["label"]) == 200


def test_modifiers_nest_deeper_than_python_does() -> None:
    nested: dict[str, Any] = {"displayName": "deep"}
    for _ in range(200):
        nested = {"displayName": "x", "modifiers": [nested]}
    checks = cooked("SENT")
    checks[0]["selections"][0]["modifiers"] = [nested]
    assert len(parts_of(read(event(checks=checks)))["s0"].data["modifiers"]) == 50


@pytest.mark.parametrize("category", ["menus", "stock", "partners", None])
def test_other_events_are_ignored(category: str | None) -> None:
    with pytest.raises(EventIgnored, match="says nothing about an order"):
        source().parse(call(sample("2_sent_to_kitchen") | {"eventCategory": category}))


def test_orders_of_a_channel_are_read_alike() -> None:
    body = sample("2_sent_to_kitchen")
    assert read(body | {"eventCategory": "channel_order_updated"}) == read(body)
