"""Clover: pings of several merchants, the orders behind them, and bodies nobody should send."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations.contracts import Customer, FollowUp, OrderUpdate, ordering_key
from integrations.errors import EventIgnored, PayloadMalformed
from integrations.sources.clover import EXPANDED, Clover
from integrations.sources.clover_order import PRINTED_STATES, STATES
from orders.lifecycle import held_because
from orders.projection import project
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
    names,
    signed_call,
)

CODE = "0307e264-b33a-4913-88aa-37b10014a0b8"
MERCHANT, OTHER, ORDER = "XYZVJT2ZRRRSC", "MNOVJT2ZRRRSC", "GHIVJT2ABCRSC"
SETTINGS = {"auth_code": CODE, "merchant_tokens": f"{MERCHANT}=token-1"}
#: sample -> (native, state, modified)
ORDERS = {
    "get_order_open": ("open", "received", 1537970958000),
    "get_order_locked_paid": ("locked/PAID", "accepted", 1537971900000),
}
CALLS = {"orders_create_update", "order_delete", "verification"}


def source(status_map: Any = None, **settings: str) -> Clover:
    return Clover({**SETTINGS, **settings}, status_map=status_map)


def order(name: str = "get_order_open", **changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = copy.deepcopy(body_of("clover", name))
    return found | changes


def read(body: Any, clover: Clover | None = None) -> OrderUpdate:
    asked = follow_up(merchant=MERCHANT)
    (update,) = (clover or source()).parse_resource(asked, answered(body), NOW)
    return update


def ping(*changes: tuple[str, str, int], merchant: str = MERCHANT) -> dict[str, Any]:
    """A call: (object, change, time) of one merchant."""
    entries = [{"objectId": name, "type": change, "ts": ts} for name, change, ts in changes]
    return {"appId": "DRKVJT2ZRRRSC", "merchants": {merchant: entries}}


def at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


# --- samples: calls ----------------------------------------------------------------------------


def test_every_sample_is_covered() -> None:
    assert set(names("clover")) == {*ORDERS, *CALLS}


def test_one_call_names_orders_of_several_merchants() -> None:
    clover = source(merchant_tokens=f"{MERCHANT}=token-1, {OTHER}=token-2")
    found = clover.parse(call(body_of("clover", "orders_create_update")))
    asked = {entry.order_id: entry for entry in found if isinstance(entry, FollowUp)}
    assert len(found) == len(asked) == 3
    assert {name: entry.context for name, entry in asked.items()} == {
        ORDER: {
            "merchant": MERCHANT,
            "event_key": f"clover:{MERCHANT}:O:{ORDER}:CREATE:1537970958000",
            "ts": "1537970958000",
        },
        "ABCVJTABCRRSC": {
            "merchant": MERCHANT,
            "event_key": f"clover:{MERCHANT}:O:ABCVJTABCRRSC:UPDATE:1536156558000",
            "ts": "1536156558000",
        },
        "QRSVJT2ABCRSC": {
            "merchant": OTHER,
            "event_key": f"clover:{OTHER}:O:QRSVJT2ABCRSC:UPDATE:1537970959000",
            "ts": "1537970959000",
        },
    }
    first, last = asked[ORDER], asked["QRSVJT2ABCRSC"]
    assert first.request.url == (
        f"https://api.clover.com/v3/merchants/{MERCHANT}/orders/{ORDER}?expand={EXPANDED}"
    )
    assert first.request.headers == {"Authorization": "Bearer token-1"}
    assert last.request.headers == {"Authorization": "Bearer token-2"}
    assert len({entry.coalesce_key for entry in asked.values()}) == 3


def test_a_deleted_order_is_cancelled_without_asking() -> None:
    event = call(body_of("clover", "order_delete"))
    (update,) = source().parse(event)
    assert isinstance(update, OrderUpdate)
    (gone,) = update.observations
    assert (update.order_id, update.location_id) == (ORDER, MERCHANT)
    assert (gone.native_state, gone.state) == ("DELETE", "cancelled")
    assert gone.occurred_at == datetime(2018, 9, 26, 14, 26, 39, tzinfo=UTC)
    assert gone.ordering_key == ordering_key(gone.occurred_at)
    key = f"clover:{MERCHANT}:O:{ORDER}:DELETE:1537971999000"
    assert gone.event_key == source().event_key(event) == key
    paid = read(order("get_order_locked_paid"))
    assert project([*paid.observations, gone]).state == "cancelled"
    assert project([gone, *paid.observations]).state == "cancelled"


def test_staff_decide_whether_the_guest_hears_of_a_deletion() -> None:
    (update,) = source().parse(call(body_of("clover", "order_delete")))
    assert isinstance(update, OrderUpdate)
    before, after = project(read(order()).observations), project(update.observations)
    assert held_because(before, after, own_drivers=False) == "staff_first"
    assert after.reason["code"] == "deleted_at_till"


def test_an_order_the_till_no_longer_has_was_deleted() -> None:
    (asked,) = source().parse(call(ping((f"O:{ORDER}", "UPDATE", 1537971999000))))
    assert isinstance(asked, FollowUp)
    (update,) = source().parse_gone(asked, NOW)
    (gone,) = update.observations
    assert (update.order_id, update.location_id) == (ORDER, MERCHANT)
    assert (gone.native_state, gone.state) == ("not found", "cancelled")
    assert gone.data["reason"] == {"code": "deleted_at_till", "staff_first": True}
    assert project([gone, *read(order()).observations]).state == "cancelled"
    # of an order nobody here ever saw it is no news
    assert update.courier_only
    (said,) = source().parse(call(body_of("clover", "order_delete")))
    assert isinstance(said, OrderUpdate)
    assert not said.courier_only
    tidy = source({"order": {"DELETE": ""}})
    assert tidy.parse_gone(asked, NOW)[0].observations[0].state is None


def test_a_restaurant_may_delete_to_tidy_up() -> None:
    tidy = source({"order": {"DELETE": ""}})
    (update,) = tidy.parse(call(body_of("clover", "order_delete")))
    assert isinstance(update, OrderUpdate)
    assert update.observations[0].state is None


def test_the_verification_code_is_kept_for_a_manager() -> None:
    event = call(body_of("clover", "verification"))
    fresh = source(auth_code="")
    code = "ce7643c1-83ea-4218-abe6-da876c9c7a0a"
    fresh.verify(event)
    assert fresh.event_key(event) == f"clover:verification:{code}"
    with pytest.raises(EventIgnored, match=f"{code}: paste it"):
        fresh.parse(event)
    disbelieves(source(), {}, CODE, event.body)
    source().verify(call(event.body, {"X-Clover-Auth": CODE}))
    for other in (
        {"verificationCode": code, "merchants": {}},
        {"verificationCode": "x" * 65},
        {"verificationCode": "<b>"},
        {"verificationCode": 7},
        ping((f"O:{ORDER}", "UPDATE", 1)),
    ):
        disbelieves(fresh, {}, CODE, other)


# --- samples: orders ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ORDERS)
def test_samples(name: str) -> None:
    native, state, modified = ORDERS[name]
    update = read(order(name))
    (one,) = update.observations
    assert (update.order_id, update.display, update.location_id) == (ORDER, "42", MERCHANT)
    assert (one.native_state, one.state) == (native, state)
    assert (one.track, one.scope, one.kind) == ("commercial", "order", "snapshot")
    assert one.ordering_key == ordering_key(at(modified))
    assert (one.occurred_at, one.occurred_at_basis) == (at(modified), "resource_modified")
    assert update.aliases == (("external_id", "WEB-1042"),)
    assert update.unknown_states == ()
    assert read(order(name)) == update


def test_what_the_order_carries() -> None:
    update = read(order())
    assert update.observations[0].data == {
        "display": "42",
        "items": [
            {
                "id": "LI1VJT2ABCRSC",
                "label": "Harvest Bowl",
                "quantity": 1,
                "modifiers": ["No onion"],
            },
            {"id": "LI2VJT2ABCRSC", "label": "Miso Salmon Bowl", "quantity": 1, "modifiers": []},
        ],
        "times": {"placed_at": "2018-09-26T14:09:18+00:00"},
        "fulfillment": {"type": "pickup"},
    }
    assert update.customer == Customer(
        "Sample Customer",
        "2025550143",
        "sample.customer@example.com",
        "direct",
        external_id="CUSVJT2ABCRSC",
    )


# --- states ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("native", "state"), [("open", "received"), ("locked", "accepted")])
@pytest.mark.parametrize("money", ["OPEN", "PAID", "PARTIALLY_PAID", None])
def test_states_and_money_which_is_none(native: str, state: str, money: str | None) -> None:
    update = read(order(state=native, paymentState=money))
    assert update.observations[0].state == state
    assert update.unknown_states == ()
    assert "note" not in update.observations[0].data


@pytest.mark.parametrize("money", ["REFUNDED", "PARTIALLY_REFUNDED", "CREDITED"])
def test_money_back_is_a_note_and_no_cancellation(money: str) -> None:
    (one,) = read(order("get_order_locked_paid", paymentState=money)).observations
    assert one.state == "accepted"
    assert one.data["note"] == f"payment: {money.lower().replace('_', ' ')}"


def test_a_line_that_was_paid_back_is_a_refund() -> None:
    body = order("get_order_locked_paid")
    body["lineItems"]["elements"][1]["refunded"] = True
    data = read(body).observations[0].data
    assert data["refunds"] == [
        {"id": "LI2VJT2ABCRSC", "label": "Miso Salmon Bowl", "quantity": 1, "modifiers": []}
    ]
    assert len(data["items"]) == 2
    assert "refunds" not in read(order()).observations[0].data


@pytest.mark.parametrize("hidden", [None, ""])
def test_a_hidden_order_is_no_order_yet(hidden: str | None) -> None:
    body = order(state=hidden)
    assert source().parse_resource(follow_up(merchant=MERCHANT), answered(body), NOW) == []
    assert source().parse_poll(answered({"elements": [body]}), NOW) == []


def test_a_printed_line_means_preparing_only_where_somebody_said_so() -> None:
    body = order("get_order_locked_paid")
    body["lineItems"]["elements"][1]["printed"] = False
    assert {o.scope for o in read(body).observations} == {"order"}
    clover = source(printed_means="preparing")
    update = read(body, clover)
    parts = {o.ref: o for o in update.observations if o.scope == "part"}
    assert [(p.native_state, p.state) for p in parts.values()] == [
        ("printed", "preparing"),
        ("not printed", None),
    ]
    assert update.observations[1].snapshot_parts == tuple(parts)
    assert parts["LI1VJT2ABCRSC"].data == {
        "kind": "item",
        "label": "Harvest Bowl",
        "quantity": 1,
        "modifiers": ["No onion"],
    }
    assert project(update.observations).state == "preparing"


def test_nothing_is_stated_that_was_not_declared() -> None:
    tables = (STATES, PRINTED_STATES)
    assert {s for table in tables for s in table.values() if s} == Clover.can_state


def test_a_merchants_own_state_is_reported_until_a_manager_maps_it() -> None:
    update = read(order(state="cooking"))
    assert update.unknown_states == ("order cooking",)
    assert update.observations[0].state is None
    mapped = read(order(state="cooking"), source({"order": {"cooking": "preparing"}}))
    assert mapped.unknown_states == ()
    assert mapped.observations[0].state == "preparing"
    assert mapped.observations[0].event_key == update.observations[0].event_key


# --- order and contents ------------------------------------------------------------------------


def test_an_older_answer_that_comes_late_changes_nothing() -> None:
    said = [*read(order("get_order_locked_paid")).observations, *read(order()).observations]
    assert project(said).state == project(said[::-1]).state == "accepted"


def test_a_poll_repeats_what_a_fetch_said() -> None:
    assert source().parse_poll(answered({"elements": [order()]}), NOW) == [read(order())]


def test_several_changes_of_an_order_need_one_fetch() -> None:
    changes = ping(
        (f"O:{ORDER}", "UPDATE", 3000), (f"O:{ORDER}", "CREATE", 1000), ("C:CUST", "UPDATE", 4000)
    )
    (asked,) = source().parse(call(changes))
    assert isinstance(asked, FollowUp)
    assert asked.context["event_key"].endswith("UPDATE:3000")
    gone = ping((f"O:{ORDER}", "DELETE", 5000), (f"O:{ORDER}", "UPDATE", 4000))
    (update,) = source().parse(call(gone))
    assert isinstance(update, OrderUpdate)


def test_event_keys_of_several_changes_do_not_depend_on_their_order() -> None:
    one, two = (f"O:{ORDER}", "UPDATE", 1000), ("O:OTHER", "UPDATE", 2000)
    keys = {source().event_key(call(ping(*both))) for both in ((one, two), (two, one))}
    assert len(keys) == 1
    assert keys != {source().event_key(call(ping(one)))}
    assert len({source().event_key(call(ping(e, two))) for e in (one, (*one[:2], 1001))}) == 2


def test_other_objects_are_ignored() -> None:
    for body in (ping(("C:CUST", "UPDATE", 1)), ping((f"O:{ORDER}", "RENAME", 1)), ping()):
        with pytest.raises(EventIgnored, match="none of the changed objects"):
            source().parse(call(body))


def test_an_unknown_merchant_is_asked_for_again_until_he_is_named() -> None:
    body = ping((f"O:{ORDER}", "UPDATE", 1), merchant="NEWMERCHANT")
    (asked,) = source().parse(call(body))
    assert isinstance(asked, FollowUp)
    assert asked.request.headers == {}
    (again,) = source(merchant_tokens="NEWMERCHANT=token-3").parse(call(body))
    assert isinstance(again, FollowUp)
    assert again.request.headers == {"Authorization": "Bearer token-3"}
    assert again.coalesce_key == asked.coalesce_key


def test_ids_cannot_lead_elsewhere() -> None:
    (asked,) = source().parse(call(ping(("O:../x?y#", "UPDATE", 1), merchant="../a")))
    assert isinstance(asked, FollowUp)
    assert asked.request.url.startswith(
        "https://api.clover.com/v3/merchants/..%2Fa/orders/..%2Fx%3Fy%23?expand="
    )


@pytest.mark.parametrize(
    ("kind", "meaning"),
    [
        ({"systemOrderTypeId": "PICK-UP-TYPE"}, "pickup"),
        ({"systemOrderTypeId": "DELIVERY-TYPE"}, "delivery"),
        ({"label": "Dine In"}, "dine_in"),
        ({"label": "Curbside pickup"}, "curbside"),
        ({"label": "Take Out"}, "pickup"),
        ({"labelKey": "to_go"}, "pickup"),
        ({"label": "Stammtisch"}, None),
        ({"href": "https://api.clover.com/x"}, None),
        (None, None),
    ],
)
def test_order_types_are_the_restaurants_own_words(kind: Any, meaning: str | None) -> None:
    data = read(order(orderType=kind)).observations[0].data
    assert data.get("fulfillment") == ({"type": meaning} if meaning else None)


def test_what_was_not_expanded_is_empty() -> None:
    link = {"href": "https://api.clover.com/v3/x"}
    update = read(order(lineItems=link, customers=link, title=None))
    assert update.observations[0].data["items"] == []
    assert update.customer is None
    assert update.display == ORDER[-4:]


def test_a_name_alone_is_nobody_to_message() -> None:
    guests = {"elements": [{"firstName": "Ana", "marketingAllowed": True}]}
    customer = read(order(customers=guests)).customer
    assert customer == Customer("Ana", contact_kind="none")
    assert customer.consents == {}


# --- polling and hosts -------------------------------------------------------------------------


def test_polling_asks_for_what_changed() -> None:
    since = datetime(2026, 3, 14, 18, tzinfo=UTC)
    request = source().poll(since)
    assert request is not None
    assert request.url.startswith(
        f"https://api.clover.com/v3/merchants/{MERCHANT}/orders?filter=modifiedTime%3E%3D1773511200000&"
    )
    assert request.headers == {"Authorization": "Bearer token-1"}
    assert source(merchant_tokens="").poll(since) is None
    with pytest.raises(PayloadMalformed, match="elements: expected a list"):
        source().parse_poll(answered({"message": "401 Unauthorized"}), NOW)


def test_every_merchant_is_polled_page_by_page() -> None:
    clover = source(merchant_tokens="A=1\nB/B=2")
    first = clover.poll(datetime(2026, 3, 14, 18, tzinfo=UTC))
    assert first is not None
    assert "/v3/merchants/A/orders?filter=modifiedTime%3E%3D1773511200000&" in first.url
    full, short = answered({"elements": [{}] * 50}), answered({"elements": [{}] * 49})
    second = clover.poll_next(first, full)
    assert second is not None
    assert second.url == f"{first.url}&offset=50"
    third = clover.poll_next(second, full)
    assert third is not None
    assert third.url == f"{first.url}&offset=100"
    other = clover.poll_next(third, short)
    assert other is not None
    assert other.url == first.url.replace("/A/", "/B%2FB/")
    assert other.headers == {"Authorization": "Bearer 2"}
    assert clover.poll_next(other, short) is None
    assert clover.poll_next(other, answered({"message": "401 Unauthorized"})) is None
    # whose merchant left meanwhile
    assert source(merchant_tokens="C=3").poll_next(first, short) is None


def test_a_polled_order_says_whose_it_is() -> None:
    links = ("https://www.clover.com/v3/merchants/B%2FB/orders/1", "https://x", None, 5)
    orders = [order(href=link) for link in links]
    clover = source(merchant_tokens="A=1, B/B=2")
    polled = clover.parse_poll(answered({"elements": orders}), NOW)
    assert [update.location_id for update in polled] == ["B/B", "", "", ""]
    alone = source().parse_poll(answered({"elements": orders[1:]}), NOW)
    assert [update.location_id for update in alone] == [MERCHANT] * 3


@pytest.mark.parametrize(
    ("region", "host"),
    [("", "api.clover.com"), ("eu", "api.eu.clover.com"), ("la", "api.la.clover.com")],
)
def test_each_region_has_its_host(region: str, host: str) -> None:
    assert source(region=region).base_url == f"https://{host}"
    assert Clover(SETTINGS, base_url="http://127.0.0.1:1/clover").base_url.endswith("/clover")


# --- authenticity ------------------------------------------------------------------------------


def test_the_code_of_the_dashboard_passes() -> None:
    source().verify(signed_call("clover"))


@pytest.mark.parametrize("given", [*FORGED, CODE[:-1], CODE.upper()])
def test_anything_else_is_refused(given: str) -> None:
    disbelieves(source(), {"X-Clover-Auth": given}, CODE, body_of("clover", "order_delete"))


def test_absent_is_refused_and_no_code_believes_nobody() -> None:
    disbelieves(source(), {}, CODE, body_of("clover", "order_delete"))
    for given in ("", CODE):
        headers = {"X-Clover-Auth": given}
        disbelieves(source(auth_code=""), headers, CODE, body_of("clover", "order_delete"))


def test_a_stale_copy_is_the_same_event() -> None:
    body = body_of("clover", "orders_create_update")
    keys = {source().event_key(call(body, at=NOW + timedelta(days=days))) for days in (0, 400)}
    assert len(keys) == 1


# --- bodies nobody should send -----------------------------------------------------------------


def test_bent_samples_are_read_or_refused() -> None:
    for name in CALLS - {"verification"}:
        assert survive_bending(source(), [name]) > 0
    assert survive_bending(source(), ["verification"]) == 0


@pytest.mark.parametrize("name", ORDERS)
def test_bent_answers_are_read_or_refused(name: str) -> None:
    clover = source(printed_means="preparing")

    def fetched(body: bytes) -> Any:
        return clover.parse_resource(follow_up(), answered(json.loads(body)), NOW)

    def polled(body: bytes) -> Any:
        return clover.parse_poll(answered(json.loads(body)), NOW)

    assert survive(bent(order(name)), fetched) > 0
    assert survive(bent({"elements": [order(name)]}), polled) > 0


@pytest.mark.parametrize("body", UNREADABLE)
def test_bodies_that_are_no_object_are_refused(body: bytes) -> None:
    refuses(source(), body)


def test_a_cut_body_is_refused() -> None:
    whole = json.dumps(body_of("clover", "orders_create_update")).encode()
    for end in range(len(whole)):
        refuses(source(), whole[:end])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "merchants: expected an object"),
        ({"merchants": {"": [{}]}}, "merchant id is empty"),
        (ping(("O:", "UPDATE", 1)), "objectId: missing"),
        (ping(("O:" + "x" * 101, "UPDATE", 1)), "longer than 100"),
        ({"merchants": {"M": [{"objectId": "O:1", "type": "UPDATE"}]}}, "ts: missing"),
        (ping(("O:1", "UPDATE", 10**40)), "ts: expected milliseconds"),
    ],
)
def test_unreadable_calls_say_what_is_wrong(body: Any, words: str) -> None:
    with pytest.raises(PayloadMalformed, match=words):
        source().parse(call(body))
    assert source().event_key(call(body))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id": None}, "id: missing"),
        ({"modifiedTime": None}, "modifiedTime: missing"),
        ({"modifiedTime": "2026-03-14T18:00:00Z"}, "modifiedTime: expected milliseconds"),
    ],
)
def test_unreadable_orders_say_what_is_wrong(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(PayloadMalformed, match=words):
        read(order(**changes))


def test_ten_megabytes_are_more_than_is_taken_and_still_read() -> None:
    changes = [(f"O:ORDER{n}", "UPDATE", n) for n in range(170_000)]
    body = json.dumps(ping(*changes)).encode()
    assert len(body) > 10_000_000 > source().max_body_bytes
    assert len(source().parse(call(body))) == 170_000
    assert read(order(note="x" * 10_000_000)).order_id == ORDER
