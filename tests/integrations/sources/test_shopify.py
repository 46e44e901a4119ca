"""Shopify: topics, the signature, thin events, and bodies nobody should send."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from integrations.contracts import (
    Customer,
    FollowUp,
    HttpResponse,
    InboundCall,
    Observation,
    OrderUpdate,
    ordering_key,
)
from integrations.errors import EventIgnored, PayloadMalformed, SignatureInvalid
from integrations.signatures import hmac_base64
from integrations.sources.shopify import Shopify
from integrations.sources.shopify_courier import STATES as COURIER_STATES
from integrations.sources.shopify_order import STATES as ORDER_STATES
from orders.edits import edit_between, refunds_between
from orders.projection import project
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

SHOP = "sample-shop.myshopify.com"
SECRET = "shopify-test-client-secret"
SETTINGS = {"shop_domain": SHOP, "client_secret": SECRET, "access_token": "shpat_test"}
API = f"https://{SHOP}/admin/api/2026-07"
ORDER = "450789469"
ORDERS = ("orders_create", "orders_cancelled", "orders_fulfilled")
EVENTS = (
    "fulfillment_events_create_delayed",
    "fulfillment_events_create_delivered",
    "fulfillment_events_create_in_transit",
)
FULFILLMENTS = ("fulfillments_create", "fulfillments_update_out_for_delivery")
THIN = (
    "fulfillment_orders_line_items_prepared_for_local_delivery",
    "fulfillment_orders_line_items_prepared_for_pickup",
)
FETCHED = ("get_order_fulfillment_orders", "graphql_two_parts")


def source(status_map: Any = None, **settings: str) -> Shopify:
    return Shopify({**SETTINGS, **settings}, status_map=status_map)


def sample(name: str) -> InboundCall:
    found = load("shopify", name)
    return call(found["body"], found["headers"])


def about(topic: str, body: Any) -> InboundCall:
    return call(body, {"X-Shopify-Topic": topic})


def split(
    received: InboundCall, shop: Shopify | None = None
) -> tuple[list[OrderUpdate], list[FollowUp]]:
    found = (shop or source()).parse(received)
    updates = [entry for entry in found if isinstance(entry, OrderUpdate)]
    return updates, [entry for entry in found if isinstance(entry, FollowUp)]


def read(received: InboundCall, shop: Shopify | None = None) -> OrderUpdate:
    (update,), _ = split(received, shop)
    return update


def order(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = body_of("shopify", "orders_create")
    return found | changes


def said(shop: Shopify | None = None, **changes: Any) -> Observation:
    """The order's own statement, without that of its creation."""
    return read(about("orders/updated", order(**changes)), shop).observations[0]


def key_of(written: str) -> str:
    return ordering_key(datetime.fromisoformat(written))


# --- samples: orders ---------------------------------------------------------------


def test_every_sample_is_covered() -> None:
    expected = {*ORDERS, *EVENTS, *FULFILLMENTS, *THIN, *FETCHED, "orders_edited"}
    assert set(names("shopify")) >= expected
    payloads = {name for name in names("shopify") if "body" in load("shopify", name)}
    assert {n for n in payloads if n.startswith(("orders_", "fulfillment", "get_"))} <= expected


@pytest.mark.parametrize(
    ("name", "number", "display", "native", "state", "stamp"),
    [
        (
            "orders_create",
            ORDER,
            "#1001",
            "financial_status=partially_refunded",
            None,
            "2008-01-10T11:00:00-05:00",
        ),
        (
            "orders_cancelled",
            ORDER,
            "#1001",
            "cancelled_at set",
            "cancelled",
            "2025-07-02T11:31:25-05:00",
        ),
        (
            "orders_fulfilled",
            "1073459972",
            "#1002",
            "fulfillment_status=fulfilled",
            None,
            "2025-07-02T11:31:05-05:00",
        ),
    ],
)
def test_order_samples(
    name: str, number: str, display: str, native: str, state: str | None, stamp: str
) -> None:
    received = sample(name)
    update = read(received)
    stated, created = update.observations
    assert (update.order_id, update.display) == (number, display)
    assert (stated.native_state, stated.state) == (native, state)
    assert (stated.track, stated.scope, stated.ordering_class) == (
        "commercial",
        "order",
        "sequenced",
    )
    assert stated.ordering_key == key_of(stamp)
    assert (created.native_state, created.state) == ("created", "received")
    assert stated.data["display"] == display.removeprefix("#")
    assert update.unknown_states == ()
    event_id = received.headers["x-shopify-event-id"]
    assert source().event_key(received) == (
        f"{SHOP}|{received.headers['x-shopify-topic']}|{event_id}"
    )
    assert source().parse(received) == source().parse(received)


def test_a_new_order_is_received_and_a_cancelled_one_cancelled() -> None:
    new, off = read(sample("orders_create")), read(sample("orders_cancelled"))
    assert project(new.observations).state == "received"
    assert project([*new.observations, *off.observations]).state == "cancelled"
    assert off.observations[0].data["reason"] == {"code": "other"}
    assert off.observations[0].occurred_at == datetime(2025, 7, 2, 16, 31, 25, tzinfo=UTC)


def test_what_the_order_carries() -> None:
    update = read(sample("orders_create"))
    assert update.customer == Customer(
        name="Sample Customer",
        phone="+12025550143",
        email="sample.customer@example.com",
        contact_kind="direct",
        external_id="207119551",
    )
    assert update.observations[0].data == {
        "display": "1001",
        "items": [
            {"id": "518995019", "label": "IPod Nano - 8gb (red)", "quantity": 1, "modifiers": []}
        ],
        "times": {"placed_at": "2008-01-10T16:00:00+00:00"},
    }


def test_an_order_asks_for_its_parts() -> None:
    _, (asked,) = split(sample("orders_create"))
    assert asked.request.method == "GET"
    assert asked.request.url == f"{API}/orders/{ORDER}/fulfillment_orders.json"
    assert asked.request.headers == {"X-Shopify-Access-Token": "shpat_test"}
    assert asked.request.untrusted_url
    assert (asked.coalesce_key, asked.order_id) == (f"parts:{ORDER}", ORDER)
    assert json.loads(asked.context["lines"])["518995019"] == "IPod Nano - 8gb (red)"


# --- states of an order ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "native", "state"),
    [
        ({"financial_status": "paid"}, "financial_status=paid", "accepted"),
        ({"financial_status": "pending"}, "financial_status=pending", None),
        ({"financial_status": "refunded"}, "financial_status=refunded", None),
        ({"financial_status": None}, "", None),
        ({"cancelled_at": "2025-07-02T11:31:25-05:00"}, "cancelled_at set", "cancelled"),
        (
            {"financial_status": "paid", "fulfillment_status": "partial"},
            "fulfillment_status=partial",
            None,
        ),
        (
            {"financial_status": "paid", "fulfillment_status": "fulfilled"},
            "fulfillment_status=fulfilled",
            None,
        ),
    ],
)
def test_order_states(changes: dict[str, Any], native: str, state: str | None) -> None:
    stated = said(**changes)
    assert (stated.native_state, stated.state) == (native, state)


@pytest.mark.parametrize("word", [w for w in ORDER_STATES if "=" in w])
def test_every_word_of_an_order_is_known(word: str) -> None:
    name, _, value = word.partition("=")
    update = read(about("orders/updated", order(**{"financial_status": None, name: value})))
    assert update.observations[0].state == ORDER_STATES[word]
    assert update.unknown_states == ()


def test_a_refund_does_not_take_the_acceptance_back() -> None:
    paid = said(financial_status="paid", updated_at="2025-07-02T11:00:00-05:00")
    refunded = said(financial_status="refunded", updated_at="2025-07-02T11:10:00-05:00")
    assert project([refunded, paid]).state == "accepted"


def test_updated_may_come_before_create() -> None:
    early = read(about("orders/updated", order(updated_at="2008-01-10T11:00:05-05:00")))
    late = read(sample("orders_create"))
    assert {o.event_key for o in early.observations} & {o.event_key for o in late.observations}
    assert project([*early.observations, *late.observations]).state == "received"


def test_a_status_nobody_knows_is_reported_until_it_is_mapped() -> None:
    strange = about("orders/updated", order(financial_status="bartered"))
    assert read(strange).unknown_states == ("order financial_status=bartered",)
    mapped = source({"order": {"financial_status=bartered": "accepted"}})
    assert read(strange, mapped).observations[0].state == "accepted"
    assert read(strange, mapped).unknown_states == ()


# --- items, people, times ---------------------------------------------------------------


def test_lines_taken_off_are_gone_and_hidden_properties_stay_hidden() -> None:
    lines = [
        {"id": 1, "title": "Poke Bowl", "variant_title": "Default Title", "quantity": 3}
        | {
            "current_quantity": 2,
            "properties": [
                {"name": "Base", "value": "Brown rice"},
                {"name": "_slot", "value": "x"},
            ],
        },
        {"id": 2, "title": "Miso", "quantity": 1, "current_quantity": 0},
    ]
    assert said(line_items=lines).data["items"] == [
        {"id": "1", "label": "Poke Bowl", "quantity": 2, "modifiers": ["Base: Brown rice"]}
    ]


def test_a_redacted_guest_is_nobody_to_message() -> None:
    hidden = dict.fromkeys(
        ("phone", "email", "contact_email", "customer", "shipping_address", "billing_address")
    )
    assert read(about("orders/create", order(**hidden))).customer is None
    named = hidden | {"customer": {"id": 7, "first_name": "Ana"}}
    customer = read(about("orders/create", order(**named))).customer
    assert customer == Customer("Ana", contact_kind="none", external_id="7")


def test_marketing_consent_is_no_consent_to_order_news() -> None:
    customer = read(sample("orders_create")).customer
    assert customer is not None
    assert customer.consents == {}


@pytest.mark.parametrize(
    ("value", "promised"),
    [("2026-03-14T18:30:00-04:00", "2026-03-14T22:30:00+00:00"), ("around six", None), (5, None)],
)
def test_the_promise_of_a_slot_app(value: Any, promised: str | None) -> None:
    shop = source(promise_attribute="Pickup time")
    stated = said(shop, note_attributes=[{"name": "Pickup time", "value": value}])
    assert stated.data["times"].get("promised_at") == promised


def test_lines_paid_back_are_counted_over_all_refunds() -> None:
    lines = [
        {"id": 1, "title": "Poke Bowl", "quantity": 3, "current_quantity": 1},
        {"id": 2, "name": "Miso", "quantity": 1, "current_quantity": 1},
    ]
    paid = [
        {"refund_line_items": [{"line_item_id": 1, "quantity": 1}, {"line_item_id": 9}]},
        {"refund_line_items": [{"line_item_id": 1, "quantity": 1}, {"quantity": 5}, None]},
        {"refund_line_items": None, "transactions": [{}]},
    ]
    before = project([said(line_items=[{**lines[0], "current_quantity": 3}, lines[1]])])
    stated = said(line_items=lines, refunds=paid, updated_at="2025-07-02T11:31:25-05:00")
    assert stated.data["refunds"] == [
        {"id": "1", "label": "Poke Bowl", "quantity": 2, "modifiers": []}
    ]
    after = project([stated])
    (refunded,) = refunds_between(before, after)
    assert (refunded["quantity"], refunded["label"]) == ("2", "Poke Bowl")
    # told as money back, not as an edit
    assert not edit_between(before, after)
    assert "refunds" not in said(refunds=[]).data


# --- edits ---------------------------------------------------------------


def test_an_edit_is_thin_and_asks_for_the_order_and_its_parts() -> None:
    (update,), asked = split(sample("orders_edited"))
    (note,) = update.observations
    assert (update.order_id, note.kind, note.state) == (ORDER, "contents", None)
    assert [entry.coalesce_key for entry in asked] == [f"order:{ORDER}", f"parts:{ORDER}"]
    assert asked[0].request.url == f"{API}/orders/{ORDER}.json"
    fetched = source().parse_resource(asked[0], answered({"order": order()}), NOW)
    assert fetched == [read(about("orders/updated", order()))]


# --- couriers ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "native", "state", "stamp"),
    [
        (EVENTS[0], "delayed", None, "2025-07-02T12:05:28-05:00"),
        (EVENTS[1], "delivered", "delivered", "2025-07-02T12:20:28-05:00"),
        (EVENTS[2], "in_transit", "out_for_delivery", "2025-07-02T11:39:28-05:00"),
    ],
)
def test_courier_event_samples(name: str, native: str, state: str | None, stamp: str) -> None:
    (update,), asked = split(sample(name))
    (leg,) = update.observations
    assert update.order_id == ORDER
    assert (leg.track, leg.scope, leg.ref) == ("courier", "leg", "255858046")
    assert (leg.native_state, leg.state) == (native, state)
    assert leg.ordering_key == key_of(stamp)
    assert leg.occurred_at == datetime.fromisoformat(stamp)
    assert leg.occurred_at_basis == "event"
    assert ("delayed" in leg.data.get("flags", {})) == (native == "delayed")
    assert asked == []


def test_delayed_is_a_flag_with_an_estimate() -> None:
    moving = read(sample(EVENTS[2])).observations
    late = read(sample(EVENTS[0])).observations
    projection = project([*late, *moving])
    assert "delayed" in projection.flags
    assert projection.state == "out_for_delivery"
    assert projection.est_delivery_at == datetime(2025, 7, 2, 17, 35, tzinfo=UTC)


def courier_event(status: str, **changes: Any) -> InboundCall:
    body = body_of("shopify", EVENTS[2]) | {"status": status} | changes
    return about("fulfillment_events/create", body)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("label_purchased", None),
        ("label_printed", None),
        ("confirmed", None),
        ("carrier_picked_up", "out_for_delivery"),
        ("in_transit", "out_for_delivery"),
        ("out_for_delivery", "out_for_delivery"),
        ("attempted_delivery", None),
        ("delayed", None),
        ("delivered", "delivered"),
        ("failure", "failed"),
    ],
)
def test_courier_states(status: str, state: str | None) -> None:
    update = read(courier_event(status))
    (leg,) = update.observations
    assert (leg.scope, leg.state) == ("leg", state)
    assert update.unknown_states == ()
    fulfillment = body_of("shopify", FULFILLMENTS[1]) | {"shipment_status": status}
    assert read(about("fulfillments/update", fulfillment)).observations[0].state == state


def test_every_courier_state_has_a_test() -> None:
    tested = {"label_purchased", "label_printed", "confirmed", "carrier_picked_up", "in_transit"}
    tested |= {"out_for_delivery", "attempted_delivery", "delayed", "delivered", "failure"}
    assert set(COURIER_STATES) == tested | {"ready_for_pickup"}


def test_an_attempt_is_noted_and_an_unknown_word_reported() -> None:
    tried = read(courier_event("attempted_delivery", message="Nobody home"))
    assert tried.observations[0].data["note"] == "Nobody home"
    assert read(courier_event("teleported")).unknown_states == ("fulfillment_event teleported",)
    mapped = source({"fulfillment_event": {"teleported": "delivered"}})
    assert read(courier_event("teleported"), mapped).observations[0].state == "delivered"


@pytest.mark.parametrize(
    ("name", "native", "state", "stamp"),
    [
        (FULFILLMENTS[0], "success", None, "2025-07-02T11:38:43-05:00"),
        (FULFILLMENTS[1], "out_for_delivery", "out_for_delivery", "2025-07-02T11:52:10-05:00"),
    ],
)
def test_fulfilment_samples(name: str, native: str, state: str | None, stamp: str) -> None:
    (update,), (asked,) = split(sample(name))
    (leg,) = update.observations
    assert update.order_id == ORDER
    assert (leg.scope, leg.ref) == ("leg", "1069019878")
    assert (leg.native_state, leg.state) == (native, state)
    assert leg.ordering_key == key_of(stamp)
    # the link of the sample is not https and is left out
    assert leg.data == {"courier": {"name": "my-custom-shipping-company"}}
    assert asked.coalesce_key == f"parts:{ORDER}"


def test_a_guest_who_picks_up_has_no_courier() -> None:
    bare = body_of("shopify", FULFILLMENTS[0])
    bare |= dict.fromkeys(("tracking_company", "tracking_number", "tracking_url"))
    for body in (bare, bare | {"status": "cancelled"}):
        (note,) = read(about("fulfillments/create", body)).observations
        assert (note.scope, note.kind, note.state) == ("order", "note", None)


def test_a_cancelled_fulfilment_ends_its_leg_and_one_never_made_starts_none() -> None:
    body = body_of("shopify", FULFILLMENTS[1])
    (leg,) = read(about("fulfillments/update", body | {"status": "cancelled"})).observations
    assert (leg.scope, leg.state, leg.native_state) == ("leg", "cancelled", "cancelled")
    unmade = body | {"status": "failure", "shipment_status": None}
    assert read(about("fulfillments/create", unmade)).observations[0].scope == "order"


def test_an_order_repeats_the_news_of_its_couriers() -> None:
    fulfillment = body_of("shopify", FULFILLMENTS[1])
    (direct,) = read(sample(FULFILLMENTS[1])).observations
    repeated = read(about("orders/updated", order(fulfillments=[fulfillment])))
    assert direct in repeated.observations


def test_what_we_wrote_ourselves_comes_back_as_no_news() -> None:
    """Taken for a courier's word, it would keep the till from ever ending the order."""
    event = body_of("shopify", EVENTS[1]) | {"message": f"Enjoy your meal (OU-{ORDER})"}
    with pytest.raises(EventIgnored):
        source().parse(about("fulfillment_events/create", event))
    body = body_of("shopify", FULFILLMENTS[1])
    mine = body | {"tracking_number": f"OU-{ORDER}", "tracking_numbers": [f"OU-{ORDER}"]}
    (note,) = read(about("fulfillments/update", mine)).observations
    assert (note.scope, note.kind, note.state) == ("order", "note", None)
    other = mine | {"tracking_numbers": [f"OU-{ORDER}", "1Z0001"]}
    assert read(about("fulfillments/update", other)).observations[0].scope == "leg"


def test_a_till_may_name_an_order_by_the_shops_id() -> None:
    assert read(sample("orders_create")).aliases == (("shopify", ORDER),)


# --- authenticity ---------------------------------------------------------------


def test_the_published_vector_passes_under_either_name() -> None:
    source().verify(signed_call("shopify"))
    vector = load("shopify", "signature")
    newer = {"shopify-hmac-sha256": vector["signature"]}
    source().verify(call(vector["body"].encode(), newer))


@pytest.mark.parametrize(
    "change",
    [
        {"body": '{"id":1}'},
        {"signature": "A" * 44},
        {"signature": ""},
        {"signature": "łódź-naïve"},
        {"signature": "\udcff\udcfe"},
    ],
    ids=["altered body", "wrong", "absent", "not ASCII", "half characters"],
)
def test_anything_else_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(SignatureInvalid) as refusal:
        source().verify(signed_call("shopify", **change))
    assert SECRET not in refusal.value.hint


def test_two_secrets_during_rotation_and_none_believes_nobody() -> None:
    source(client_secret="new", previous_client_secret=SECRET).verify(signed_call("shopify"))
    with pytest.raises(SignatureInvalid, match="no signing key"):
        source(client_secret="").verify(signed_call("shopify"))


@pytest.mark.parametrize(("shop", "fits"), [(SHOP.upper(), True), ("other.myshopify.com", False)])
def test_another_shop_of_the_same_app_is_refused(shop: str, fits: bool) -> None:
    signature = hmac_base64(SECRET, b"{}")
    headers = {"X-Shopify-Hmac-Sha256": signature, "X-Shopify-Shop-Domain": shop}
    if fits:
        source().verify(call(b"{}", headers))
        return
    with pytest.raises(SignatureInvalid, match="not the shop"):
        source().verify(call(b"{}", headers))


def test_the_event_key_needs_no_event_id() -> None:
    headers = {"X-Shopify-Topic": "orders/create", "X-Shopify-Webhook-Id": "w-1"}
    assert source().event_key(call({}, headers)) == f"{SHOP}|orders/create|w-1"
    assert source().event_key(call({})).startswith("body|")


def test_a_stale_retry_is_the_same_event() -> None:
    """The scheme has no time: a repeat is known by its event, and by the order's own clock."""
    found = load("shopify", "orders_create")
    later = call(found["body"], found["headers"], at=datetime(2027, 1, 1, tzinfo=UTC))
    assert source().event_key(later) == source().event_key(sample("orders_create"))
    old, new = said(updated_at="2025-07-02T11:00:00Z"), said(updated_at="2025-07-02T12:00:00Z")
    assert old.ordering_key < new.ordering_key


# --- bodies nobody should send ---------------------------------------------------------------


@pytest.mark.parametrize("name", [*ORDERS, *EVENTS, *FULFILLMENTS, *THIN, "orders_edited"])
def test_a_bent_sample_is_read_or_refused(name: str) -> None:
    found = load("shopify", name)
    shop = source(promise_attribute="colour")

    def one(body: bytes) -> Any:
        received = call(body, found["headers"])
        assert shop.event_key(received)
        return shop.parse(received)

    assert survive(bent(found["body"]), one) > 0


@pytest.mark.parametrize("name", FETCHED)
def test_a_bent_answer_is_read_or_refused(name: str) -> None:
    asked = follow_up(
        kind="FulfillmentOrder",
        number="1046000780",
        word="line_items_prepared_for_pickup",
        lines="[",
        by="1046000782",
        replaced="1046000781",
    )

    def one(body: bytes) -> Any:
        return source().parse_resource(asked, answered(json.loads(body)), NOW)

    assert survive(bent(body_of("shopify", name)), one) > 0


def test_a_bent_list_of_orders_is_read_or_refused() -> None:
    listed = {"orders": [body_of("shopify", "orders_fulfilled")]}
    polled = source().parse_poll
    assert survive(bent(listed), lambda body: polled(answered(json.loads(body)), NOW)) > 0


@pytest.mark.parametrize(
    ("topic", "body", "words"),
    [
        ("orders/create", b"", "not JSON"),
        ("orders/create", b'{"id": 1, "updated_at": "20', "not JSON"),
        ("orders/create", b'{"name": "\xff\xfe"}', "not JSON"),
        ("orders/create", b"[1]", "expected an object"),
        ("orders/create", b"{}", "id: missing"),
        ("orders/create", b'{"id": 1}', "updated_at: missing"),
        ("orders/edited", b"{}", "order_edit: expected an object"),
        ("fulfillment_orders/split", b"{}", r"fulfillment_order\.id: missing"),
        ("fulfillment_events/create", b'{"id": 1}', "order_id: missing"),
        ("fulfillments/create", b'{"id": 1, "order_id": 1}', "updated_at: missing"),
        ("", b"{}", "X-Shopify-Topic"),
    ],
)
def test_unreadable_bodies_say_what_is_wrong(topic: str, body: bytes, words: str) -> None:
    with pytest.raises(PayloadMalformed, match=words):
        source().parse(about(topic, body))
    assert source().event_key(about(topic, body))


def test_ten_megabytes_are_more_than_is_taken_and_still_read() -> None:
    body = json.dumps(order(note="x" * 10_000_000)).encode()
    assert len(body) > source().max_body_bytes
    assert read(about("orders/create", body)).order_id == ORDER


@pytest.mark.parametrize("topic", ["products/update", "customers/redact", "łódź"])
def test_other_topics_are_ignored(topic: str) -> None:
    with pytest.raises(EventIgnored, match="says nothing about an order"):
        source().parse(about(topic, {}))


# --- polling ---------------------------------------------------------------


def test_polling_lists_what_changed() -> None:
    since = datetime(2026, 3, 14, 18, tzinfo=UTC)
    assert source(access_token="").poll(since) is None
    request = source().poll(since)
    assert request is not None
    assert request.url.startswith(
        f"{API}/orders.json?status=any&updated_at_min=2026-03-14T18%3A00%3A00%2B00%3A00&limit=40"
        "&fields=id%2Cname%2C"
    )
    polled = source().parse_poll(answered({"orders": [order()]}), NOW)
    assert polled == [read(about("orders/updated", order()))]


@pytest.mark.parametrize("name", ORDERS)
def test_what_polling_asks_for_is_all_that_is_read(name: str) -> None:
    """A polled order says what its webhook said, so that it counts once."""
    request = source().poll(datetime(2026, 3, 14, 18, tzinfo=UTC))
    assert request is not None
    fields = parse_qs(urlsplit(request.url).query)["fields"][0].split(",")
    whole = body_of("shopify", name)
    asked = {field: whole[field] for field in fields if field in whole}
    assert len(asked) < len(whole)
    (polled,) = source().parse_poll(answered({"orders": [asked]}), NOW)
    told = read(about("orders/updated", whole))
    assert (polled.customer, polled.display) == (told.customer, told.display)
    assert {o.event_key for o in polled.observations} == {o.event_key for o in told.observations}


def linked(link: str) -> HttpResponse:
    return HttpResponse(200, {"link": link}, b'{"orders": []}')


def test_pages_of_orders_are_followed_by_the_parts_that_changed() -> None:
    shop = source()
    first = shop.poll(datetime(2026, 3, 14, 18, tzinfo=UTC))
    assert first is not None
    before = f'<{API}/orders.json?page_info=back>; rel="previous"'
    second = shop.poll_next(
        first, linked(f'{before}, <{API}/orders.json?page_info=P%2B2>; rel="next"')
    )
    assert second is not None
    sent, _, kept = second.url.partition("#")
    assert parse_qs(urlsplit(sent).query).keys() == {"limit", "page_info", "fields"}
    assert "page_info=P%2B2" in sent
    # what follows the # is not sent, and remembers since when
    assert unquote(kept) == "2026-03-14T18:00:00+00:00"
    third = shop.poll_next(second, linked(before))
    assert third is not None
    assert (third.method, third.url) == ("POST", f"{API}/graphql.json")
    variables = json.loads(third.body)["variables"]
    assert variables == {"query": "updated_at:>='2026-03-14T18:00:00+00:00'", "after": None}
    page = {"data": {"fulfillmentOrders": {"pageInfo": {"hasNextPage": True, "endCursor": "c"}}}}
    fourth = shop.poll_next(third, answered(page))
    assert fourth is not None
    assert json.loads(fourth.body)["variables"] == {**variables, "after": "c"}
    assert shop.poll_next(fourth, answered(page)) is None  # it would go on for ever
    assert shop.poll_next(third, answered({"data": None})) is None


@pytest.mark.parametrize(
    "link", ['<https://[>; rel="next"', "<>; rel=next", "x" * 9000, 'rel="next"']
)
def test_an_odd_link_is_the_last_page(link: str) -> None:
    shop = source()
    first = shop.poll(datetime(2026, 3, 14, 18, tzinfo=UTC))
    assert first is not None
    after = shop.poll_next(first, linked(link))
    assert after is not None
    assert after.url.endswith("/graphql.json")


def test_the_shop_or_the_stand_in_is_asked() -> None:
    assert source(shop_domain=f"https://{SHOP}/").base_url == f"https://{SHOP}"
    assert Shopify(SETTINGS, base_url="http://127.0.0.1:1/shopify").base_url.startswith("http:")
