"""WooCommerce: the ping, the signature, every status, and bodies nobody should send."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from integrations.contracts import Customer, InboundCall, Observation, OrderUpdate, ordering_key
from integrations.errors import EventIgnored, PayloadMalformed, SignatureInvalid
from integrations.signatures import hmac_base64
from integrations.sources.woocommerce import WooCommerce
from orders.lifecycle import held_because
from orders.projection import project
from tests.integrations.sources.mutations import bent, survive
from tests.integrations.sources.payload_files import (
    NOW,
    answered,
    body_of,
    call,
    load,
    names,
    signed_call,
)

SETTINGS = {"site_url": "https://example.com", "webhook_secret": 'woo&test"secret'}
#: sample -> (native, state, ordering time)
SAMPLES = {
    "order_created_processing": ("processing", "accepted", "2017-03-22T19:28:08Z"),
    "order_updated_cancelled": ("cancelled", "cancelled", "2017-03-22T19:40:02Z"),
    "order_updated_completed": ("completed", "delivered", "2017-03-22T20:05:11Z"),
    "order_updated_custom_status": ("ready-for-pickup", "ready", "2017-03-22T19:31:00Z"),
}
CUSTOM = {"order": {"ready-for-pickup": "ready", "out-for-delivery": "out_for_delivery"}}


def source(status_map: Any = None, **settings: str) -> WooCommerce:
    return WooCommerce({**SETTINGS, **settings}, status_map=status_map)


def sample(name: str) -> InboundCall:
    found = load("woocommerce", name)
    return call(found["body"], found["headers"])


def order(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = body_of("woocommerce", "order_created_processing")
    return found | changes


def shipped(method: str) -> list[dict[str, Any]]:
    return [{"id": 317, "method_id": method}] if method else []


def read(body: Any, woo: WooCommerce | None = None) -> OrderUpdate:
    (update,) = (woo or source()).parse(call(body, {"X-WC-Webhook-Topic": "order.updated"}))
    assert isinstance(update, OrderUpdate)
    return update


def said(body: Any, woo: WooCommerce | None = None) -> Observation:
    (observation,) = read(body, woo).observations
    return observation


# --- samples ---------------------------------------------------------------------------------


def test_every_sample_is_covered() -> None:
    assert set(names("woocommerce")) == {*SAMPLES, "order_deleted"}


@pytest.mark.parametrize("name", SAMPLES)
def test_samples(name: str) -> None:
    native, state, at = SAMPLES[name]
    received = sample(name)
    body = load("woocommerce", name)["body"]
    topic = load("woocommerce", name)["headers"]["X-WC-Webhook-Topic"]
    (update,) = source(CUSTOM).parse(received)
    assert isinstance(update, OrderUpdate)
    (observation,) = update.observations
    assert (update.order_id, update.display) == ("727", "727")
    assert (observation.native_state, observation.state) == (native, state)
    assert (observation.track, observation.scope) == ("commercial", "order")
    assert observation.ordering_class == "sequenced"
    assert observation.ordering_key == ordering_key(datetime.fromisoformat(at))
    assert update.unknown_states == ()
    site, digest = "https://example.com/", source().fingerprint(received)
    stamp = body["date_modified_gmt"]
    assert source().event_key(received) == f"woocommerce:{site}:5:{topic}:727:{stamp}:{digest}"
    assert source(CUSTOM).parse(received) == [update]


def test_what_the_order_carries() -> None:
    update = read(order())
    (observation,) = update.observations
    assert update.customer == Customer(
        "Sample Customer", "+12025550143", "sample.customer@example.com", "direct"
    )
    assert observation.data == {
        "display": "727",
        "items": [
            {"id": "315", "label": "Woo Single #1", "quantity": 2, "modifiers": []},
            {
                "id": "316",
                "label": "Ship Your Idea – Color: Black, Size: M Test",
                "quantity": 1,
                "modifiers": ["pa_color: black", "size: M Test"],
            },
        ],
        "times": {"placed_at": "2017-03-22T19:28:02+00:00"},
        "fulfillment": {"type": "delivery"},
    }
    assert observation.occurred_at == datetime(2017, 3, 22, 19, 28, 8, tzinfo=UTC)


def test_a_deleted_order_is_a_note_and_no_cancellation() -> None:
    (update,) = source().parse(sample("order_deleted"))
    assert isinstance(update, OrderUpdate)
    (note,) = update.observations
    assert (update.order_id, note.kind, note.state) == ("727", "note", None)
    assert note.native_state == "order.deleted"
    kept = project([*read(order()).observations, note])
    assert kept.state == "accepted"


# --- states ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("native", "method", "state"),
    [
        ("pending", "flat_rate", "received"),
        ("on-hold", "flat_rate", "received"),
        ("processing", "flat_rate", "accepted"),
        ("completed", "local_pickup", "picked_up"),
        ("completed", "local_pickup:3", "picked_up"),
        ("completed", "pickup_location", "picked_up"),
        ("completed", "flat_rate", "delivered"),
        ("completed", "", "delivered"),
        ("cancelled", "local_pickup", "cancelled"),
        ("refunded", "flat_rate", "cancelled"),
        ("failed", "flat_rate", "failed"),
        ("trash", "flat_rate", None),
        ("wc-processing", "flat_rate", "accepted"),
    ],
)
def test_states(native: str, method: str, state: str | None) -> None:
    update = read(order(status=native, shipping_lines=shipped(method)))
    assert update.observations[0].state == state
    assert update.unknown_states == ()


@pytest.mark.parametrize("native", ["checkout-draft", "auto-draft", "wc-checkout-draft"])
def test_a_draft_is_no_order(native: str) -> None:
    with pytest.raises(EventIgnored, match="draft"):
        source().parse(call(order(status=native)))
    assert source().parse_poll(answered([order(status=native)]), NOW) == []


@pytest.mark.parametrize(
    ("means", "state"),
    [("picked_up", "picked_up"), ("delivered", "delivered"), ("nothing", None)],
)
def test_a_shop_says_what_completed_means(means: str, state: str | None) -> None:
    body = order(status="completed", shipping_lines=shipped("local_pickup"))
    assert said(body, source(completed_means=means)).state == state


def test_a_refund_after_the_hand_over_changes_nothing() -> None:
    done = "2017-03-22T20:05:11"
    assert said(order(status="refunded", date_completed_gmt=done)).state is None
    assert said(order(status="refunded")).data["reason"] == {"code": "refunded"}


def test_an_unknown_slug_is_reported_and_says_nothing() -> None:
    update = read(order(status="in-oven"))
    assert update.unknown_states == ("order in-oven",)
    assert update.observations[0].state is None
    mapped = read(order(status="in-oven"), source({"order": {"in-oven": "preparing"}}))
    assert mapped.observations[0].state == "preparing"
    assert mapped.unknown_states == ()


def test_a_shops_own_mapping_wins() -> None:
    mapped = source({"order": {"completed": "ready"}})
    assert said(order(status="completed"), mapped).state == "ready"


# --- order and time --------------------------------------------------------------------------


def test_of_one_second_the_higher_rank_wins() -> None:
    stamp = {"date_modified_gmt": "2017-03-22T19:30:00"}
    one = said(order(status="processing", **stamp))
    two = said(order(status="ready-for-pickup", **stamp), source(CUSTOM))
    assert one.ordering_key == two.ordering_key
    assert one.event_key != two.event_key
    assert project([one, two]).state == project([two, one]).state == "ready"


def test_repeats_of_one_state_are_one_statement_however_they_came() -> None:
    polled = source().parse_poll(answered([order()]), NOW)
    assert polled == [read(order())]


@pytest.mark.parametrize("stamp", ["2017-03-22T19:28:08", "2017-03-22T19:28:08Z"])
def test_gmt_times_are_utc_with_or_without_z(stamp: str) -> None:
    assert said(order(date_modified_gmt=stamp)).occurred_at == datetime(
        2017, 3, 22, 19, 28, 8, tzinfo=UTC
    )


def test_site_time_is_never_read() -> None:
    without = order(date_modified="1999-01-01T00:00:00", date_created="1999-01-01T00:00:00")
    assert said(without) == said(order())


@pytest.mark.parametrize(
    ("form", "value", "promised"),
    [
        ("iso", "2026-03-14T18:30:00-04:00", "2026-03-14T22:30:00+00:00"),
        ("iso", "2026-03-14T18:30:00", None),
        ("local", "2026-03-14 18:30", "2026-03-14T22:30:00+00:00"),
        ("unix", 1773527400, "2026-03-14T22:30:00+00:00"),
        ("unix", "soon", None),
        ("unix", "9" * 30, None),
        ("local", "around six", None),
    ],
)
def test_the_promise_of_a_slot_plugin(form: str, value: Any, promised: str | None) -> None:
    woo = source(promise_key="_slot", promise_format=form, timezone="America/New_York")
    body = order(meta_data=[{"key": "_slot", "value": value}])
    assert said(body, woo).data["times"].get("promised_at") == promised


def test_a_zone_nobody_knows_promises_nothing() -> None:
    woo = source(promise_key="s", promise_format="local", timezone="Mars/Olympus")
    body = order(meta_data=[{"key": "s", "value": "2026-03-14 18:30"}])
    assert "promised_at" not in said(body, woo).data["times"]


# --- items and people --------------------------------------------------------------------------


def test_markup_and_hidden_fields_stay_out_of_items() -> None:
    line = {
        "id": 9,
        "name": "Poke &amp; <b>Miso</b>",
        "quantity": 2,
        "meta_data": [
            {"key": "_reduced_stock", "value": "2"},
            {"key": "size", "display_key": "Size", "display_value": "<p>Large</p>"},
            {"key": "add-ons", "value": {"a": 1}},
        ],
    }
    assert said(order(line_items=[line])).data["items"] == [
        {"id": "9", "label": "Poke & Miso", "quantity": 2, "modifiers": ["Size: Large"]}
    ]


def test_a_guest_without_contact_is_nobody_to_message() -> None:
    billing = {"first_name": "Ana", "phone": "", "email": ""}
    customer = read(order(billing=billing, customer_id=12)).customer
    assert customer == Customer("Ana", contact_kind="none", external_id="12")
    assert read(order(billing={}, shipping={})).customer is None


# --- authenticity ------------------------------------------------------------------------------


def test_the_ping_is_answered_with_exactly_200_and_does_nothing() -> None:
    reply = source().handshake(call(b"webhook_id=5"))
    assert reply is not None
    assert (reply.status, reply.body) == (200, b"")
    for other in (
        call(b"webhook_id=5&x=1"),
        call(b"webhook_id="),
        call(b"webhook_id=5", {"X-WC-Webhook-Signature": "x"}),
        call(b"webhook_id=5", method="GET"),
        sample("order_deleted"),
    ):
        assert source().handshake(other) is None


def test_the_published_vector_passes() -> None:
    source().verify(signed_call("woocommerce"))


@pytest.mark.parametrize(
    "change",
    [
        {"body": '{"id":728}'},
        {"signature": "A" * 44},
        {"signature": ""},
        {"signature": "łódź-naïve"},
        {"signature": "\udcff\udcfe"},
    ],
    ids=["altered body", "wrong", "absent", "not ASCII", "half characters"],
)
def test_anything_else_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(SignatureInvalid) as refusal:
        source().verify(signed_call("woocommerce", **change))
    assert SETTINGS["webhook_secret"] not in refusal.value.hint


def test_two_secrets_during_rotation_and_none_believes_nobody() -> None:
    rotated = source(webhook_secret="new", previous_webhook_secret=SETTINGS["webhook_secret"])
    rotated.verify(signed_call("woocommerce"))
    with pytest.raises(SignatureInvalid, match="no signing key"):
        source(webhook_secret="").verify(signed_call("woocommerce"))


@pytest.mark.parametrize(
    ("site", "fits"),
    [
        ("https://example.com/", True),
        ("http://EXAMPLE.com", True),
        ("https://example.com/shop/", False),
        ("https://other.example.com/", False),
        ("https://[", False),
    ],
)
def test_only_the_accounts_own_shop_is_believed(site: str, fits: bool) -> None:
    body = b'{"id":727}'
    signature = hmac_base64(SETTINGS["webhook_secret"], body)
    signed = call(body, {"X-WC-Webhook-Signature": signature, "X-WC-Webhook-Source": site})
    if fits:
        source().verify(signed)
        return
    with pytest.raises(SignatureInvalid, match="shop address"):
        source().verify(signed)


def test_a_stale_copy_is_the_same_event() -> None:
    """The scheme has no time: a replayed call is stopped by its event key."""
    old = call(order(), load("woocommerce", "order_created_processing")["headers"], at=NOW)
    again = call(
        order(),
        load("woocommerce", "order_created_processing")["headers"],
        at=datetime(2027, 1, 1, tzinfo=UTC),
    )
    assert source().event_key(old) == source().event_key(again)


def test_two_orders_of_one_second_are_two_events() -> None:
    headers = load("woocommerce", "order_created_processing")["headers"]
    keys = {source().event_key(call(order(id=number), headers)) for number in (1, 2)}
    assert len(keys) == 2


# --- bodies nobody should send -------------------------------------------------------------------


@pytest.mark.parametrize("name", [*SAMPLES, "order_deleted"])
def test_a_bent_sample_is_read_or_refused(name: str) -> None:
    found = load("woocommerce", name)
    woo = source(CUSTOM, promise_key="_download_permissions_granted")

    def one(body: bytes) -> Any:
        received = call(body, found["headers"])
        assert woo.event_key(received)
        return woo.parse(received)

    assert survive(bent(found["body"]), one) > 0
    assert survive(bent([found["body"]]), lambda b: woo.parse_poll(answered(json.loads(b)), NOW))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (json.dumps(order()).encode()[:-40], "not JSON"),
        (b'{"id": "\xff\xfe"}', "not JSON"),
        (b"[1]", "expected an object"),
        (b"[" * 100_000, "not JSON"),
        (b'{"id": 727}', "status: missing"),
        (b'{"id": 727, "status": "processing"}', "date_modified_gmt: missing"),
        (b'{"status": "processing"}', "id: missing"),
    ],
    ids=["empty", "cut", "bytes", "list", "deep", "no status", "no time", "no id"],
)
def test_unreadable_bodies_say_what_is_wrong(body: bytes, words: str) -> None:
    with pytest.raises(PayloadMalformed, match=words):
        source().parse(call(body, {"X-WC-Webhook-Topic": "order.updated"}))
    assert source().event_key(call(body))


def test_ten_megabytes_are_more_than_is_taken_and_still_read() -> None:
    body = json.dumps(order(customer_note="x" * 10_000_000)).encode()
    assert len(body) > source().max_body_bytes
    assert read(json.loads(body)).order_id == "727"


@pytest.mark.parametrize("topic", ["product.updated", "coupon.created", "action.x", "łódź"])
def test_other_topics_are_ignored(topic: str) -> None:
    with pytest.raises(EventIgnored, match="says nothing about an order"):
        source().parse(call(order(), {"X-WC-Webhook-Topic": topic}))


# --- polling ---------------------------------------------------------------------------------


def test_polling_asks_for_what_changed() -> None:
    since = datetime(2026, 3, 14, 18, tzinfo=UTC)
    assert source().poll(since) is None
    request = source(consumer_key="ck_1", consumer_secret="cs_1").poll(since)
    assert request is not None
    assert request.url.startswith(
        "https://example.com/wp-json/wc/v3/orders?modified_after=2026-03-14T18%3A00%3A00"
        "&dates_are_gmt=true&orderby=id&order=asc&per_page=50&_fields=id%2Cnumber%2C"
    )
    assert request.headers["Authorization"].startswith("Basic ")
    assert request.untrusted_url


@pytest.mark.parametrize("name", SAMPLES)
def test_what_polling_asks_for_is_all_that_is_read(name: str) -> None:
    """A polled order says what its webhook said, so that it counts once."""
    woo = source(CUSTOM, consumer_key="ck_1", consumer_secret="cs_1", promise_key="_slot")
    request = woo.poll(datetime(2026, 3, 14, 18, tzinfo=UTC))
    assert request is not None
    fields = parse_qs(urlsplit(request.url).query)["_fields"][0].split(",")
    whole = load("woocommerce", name)["body"]
    asked = {field: whole[field] for field in fields if field in whole}
    assert len(asked) < len(whole)
    assert woo.parse_poll(answered([asked]), NOW) == [read(whole, woo)]


def test_a_full_page_is_followed_by_the_next() -> None:
    woo = source(consumer_key="ck_1", consumer_secret="cs_1")
    first = woo.poll(datetime(2026, 3, 14, 18, tzinfo=UTC))
    assert first is not None
    second = woo.poll_next(first, answered([{}] * 50))
    assert second is not None
    assert second.url == f"{first.url}&page=2"
    assert (second.headers, second.untrusted_url) == (first.headers, True)
    assert woo.poll_next(second, answered([{}] * 49)) is None
    assert woo.poll_next(second, answered({"code": "x"})) is None


def test_the_same_words_under_another_map_are_the_same_statement() -> None:
    body = order(status="in-oven")
    keys = {
        said(body, source({"order": {"in-oven": meaning}})).event_key
        for meaning in ("preparing", "ready", "")
    }
    assert keys == {said(body).event_key}


def test_a_failed_payment_is_for_staff_first() -> None:
    failed = project([said(order(status="failed"))])
    assert (failed.state, failed.reason["code"]) == ("failed", "payment_failed")
    assert held_because(None, failed, own_drivers=False) == "staff_first"


def test_a_poll_answer_that_is_no_list_is_refused() -> None:
    with pytest.raises(PayloadMalformed, match="list of orders"):
        source().parse_poll(answered({"code": "woocommerce_rest_cannot_view"}), NOW)


def test_the_site_or_the_stand_in_is_asked() -> None:
    assert source().base_url == "https://example.com"
    assert WooCommerce(SETTINGS, base_url="http://127.0.0.1:1/woocommerce").base_url == (
        "http://127.0.0.1:1/woocommerce"
    )
