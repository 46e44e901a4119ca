"""Shopify written to: what each news becomes, every answer, and what is told only once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations import shopify_marks
from integrations.contracts import HttpResponse, Message
from integrations.errors import (
    ConfigurationError,
    IntegrationError,
    MessageRejected,
    OutcomeUnknown,
    PayloadMalformed,
    RateLimited,
    TransientError,
)
from integrations.providers import shopify_facts as facts
from integrations.providers import shopify_order as shop
from integrations.providers.shopify import Shopify
from integrations.providers.shopify_facts import Event, Fulfillment, Part, ShopOrder
from tests.integrations import fixture_files as files

AT = datetime(2026, 3, 14, 22, 42, 4, tzinfo=UTC)
MINE = "OU-450789469"
EVERYTHING = shop.Rules(notify=True, tells_ready=True, cancels=True)
SECRETS = ("shpat_0000", "shpss_test")


def message(**changes: Any) -> Message:
    return files.message("shopify", **changes)


def provider(**changes: str) -> Shopify:
    made = files.provider("shopify", **changes)
    assert isinstance(made, Shopify)
    return made


def answer(body: Any, status: int = 200, **headers: str) -> HttpResponse:
    return HttpResponse(status, headers, json.dumps(body).encode())


def body_of(news: Message, **changes: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(provider(**changes).request(news).body)
    return made


# --- what each news becomes -----------------------------------------------------------------------

WRITTEN = {
    "preparing": "fulfillmentOrderReportProgress",
    "ready": "fulfillmentOrderLineItemsPreparedForPickup",
    "out_for_delivery": "fulfillmentEventCreate",
    "picked_up": "fulfillmentCreate",
    "delivered": "fulfillmentEventCreate",
    "failed": "fulfillmentEventCreate",
    "cancelled": "orderCancel",
}


@pytest.mark.parametrize("milestone", WRITTEN)
def test_each_state_has_its_mutation(milestone: str) -> None:
    news = message(milestone=milestone, order={"reason": "No more rice"})
    body = body_of(news, cancel_orders="yes")
    assert body["query"].startswith("mutation")
    assert f"  {WRITTEN[milestone]}(" in body["query"]


def test_the_values_of_mutations() -> None:
    def variables(milestone: str, **fields: Any) -> dict[str, Any]:
        made: dict[str, Any] = body_of(message(milestone=milestone, **fields), cancel_orders="yes")
        values: dict[str, Any] = made["variables"]
        return values

    assert variables("preparing", order={}) == {
        "id": "gid://shopify/FulfillmentOrder/0",
        "report": {"reasonNotes": message().text},
    }
    assert variables("ready", order={})["input"] == {
        "lineItemsByFulfillmentOrder": [{"fulfillmentOrderId": "gid://shopify/FulfillmentOrder/0"}]
    }
    left = variables("picked_up")["fulfillment"]
    assert (left["notifyCustomer"], "trackingInfo" in left) == (True, False)
    assert variables("cancelled", order={"reason": "No more rice"}) == {
        "id": "gid://shopify/Order/450789469",
        "notify": True,
        "note": "No more rice",
    }
    assert "restock: false" in body_of(message(milestone="cancelled"), cancel_orders="yes")["query"]
    delivered = variables("delivered")["event"]
    assert (delivered["status"], "estimatedDeliveryAt" in delivered) == ("DELIVERED", False)
    delayed = body_of(message(event_kind="order_delayed", milestone="delayed:1"))["variables"]
    assert delayed["event"]["status"] == "DELAYED"
    assert delayed["event"]["estimatedDeliveryAt"] == "2026-03-14T23:05:00Z"


@pytest.mark.parametrize(
    ("kind", "milestone"),
    [
        ("status_changed", "received"),
        ("status_changed", "accepted"),
        ("part_status_changed", "part_ready"),
        ("order_edited", "edited:1"),
        ("order_split", "split:1"),
        ("eta_changed", "eta:1"),
        ("customer_message", "message:1"),
        ("alarm", "alarm:example"),
    ],
)
def test_news_without_a_word_is_only_a_question(kind: str, milestone: str) -> None:
    news = message(event_kind=kind, milestone=milestone)
    body = body_of(news)
    assert body["query"].startswith("query")
    assert body["variables"] == {"id": "gid://shopify/Order/450789469"}
    found = provider().outcome(news, answer({"data": {"order": {"id": "x"}}}))
    assert found.detail == "Shopify has no word for this"


def test_the_question_is_named_after_the_order_and_nothing_gets_into_it() -> None:
    for number, name in (
        ("#1042", "Order1042"),
        ("1 { shop }\n\ud83c", "Order1shop"),
        ("", "Order"),
    ):
        query = body_of(message(event_kind="order_edited", order={"number": number}))["query"]
        assert query.startswith(f"query {name}($id: ID!) {{\n  order(")


def test_what_the_manager_does_not_want_is_not_written() -> None:
    ready = message(milestone="ready", order={})
    assert body_of(ready, notify_customer="no")["query"].startswith("query")
    assert body_of(ready, notify_customer="no", ready_mail_is_off="yes")["query"][:8] == "mutation"
    assert body_of(replace(ready, order={"is_delivery": True}))["query"].startswith("query")
    assert body_of(message(milestone="cancelled"))["query"].startswith("query")
    picked_up = message(milestone="picked_up")
    for choice in ("yes", "no"):
        left = body_of(picked_up, notify_customer=choice)["variables"]["fulfillment"]
        assert left["notifyCustomer"] is (choice == "yes")


def test_texts_are_cut_and_can_be_sent() -> None:
    event = body_of(message(text="\ud83c\x00Ä" * 400))["variables"]["event"]
    assert len(event["message"]) == 255
    assert event["message"].endswith(f"({MINE})")
    assert "\x00" not in event["message"]
    report = body_of(message(text="x" * 400, milestone="preparing"))["variables"]["report"]
    assert len(report["reasonNotes"]) == 255


def test_a_time_nobody_gave_is_left_out() -> None:
    for event, order in (({}, {}), ({"occurred_at": "soon"}, {"est_delivery_at": "later"})):
        said = body_of(message(event=event, order=order))["variables"]["event"]
        assert set(said) == {"fulfillmentId", "status", "message"}


@pytest.mark.parametrize("order_id", ["", "WEB-1042", "1/../2", "²"])
def test_an_order_of_somebody_else_is_refused(order_id: str) -> None:
    with pytest.raises(MessageRejected):
        provider().request(message(source_order_id=order_id))


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"shop_domain": "https://evil.example.com/?x=.myshopify.com"},
        {"shop_domain": "shop.example.com"},
        {"shop_domain": "10.0.0.1"},
        {"api_version": "2026/10"},
        {"access_token": ""},
        {"access_token": "", "client_id": "app-1", "client_secret": ""},
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        provider(**changes)


def test_the_shop_may_be_typed_as_people_copy_it() -> None:
    made = provider(shop_domain="https://Lucky-Bowl.myshopify.com/").request(message())
    assert made.url == "https://lucky-bowl.myshopify.com/admin/api/2026-10/graphql.json"


def test_an_app_asks_for_its_token_and_shows_no_header() -> None:
    made = provider(access_token="", client_id="app-1")
    assert "X-Shopify-Access-Token" not in made.request(message()).headers
    asked = made._ask_for_token(AT)
    assert asked.url == "https://lucky-bowl.myshopify.com/admin/oauth/access_token"
    wanted = b"grant_type=client_credentials&client_id=app-1&client_secret=shpss_test"
    assert asked.body == wanted


# --- answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (301, ConfigurationError),
        (401, ConfigurationError),
        (402, ConfigurationError),
        (403, ConfigurationError),
        (404, ConfigurationError),
        (423, ConfigurationError),
        (430, ConfigurationError),
        (429, RateLimited),
        (500, TransientError),
        (502, OutcomeUnknown),
        (503, TransientError),
        (504, OutcomeUnknown),
        (400, MessageRejected),
    ],
)
@pytest.mark.parametrize("body", [b"<html>Sorry</html>", b"", b'{"errors":"Not Found"}', b"[]"])
def test_statuses(status: int, error: type[Exception], body: bytes) -> None:
    with pytest.raises((IntegrationError, ConfigurationError)) as caught:
        provider().outcome(message(), HttpResponse(status, {}, body))
    assert type(caught.value) is error
    if isinstance(caught.value, RateLimited):
        assert caught.value.retry_after_s == 2.0
    assert not any(secret in str(caught.value) for secret in SECRETS)


def test_retry_after_is_honoured() -> None:
    with pytest.raises(RateLimited) as caught:
        provider().outcome(message(), HttpResponse(429, {"retry-after": "9"}, b""))
    assert (caught.value.retry_after_s, caught.value.whole_account) == (9.0, True)


UNREADABLE: list[bytes] = [
    b"<html>Welcome</html>",
    b"",
    b"[]",
    b"null",
    b'{"data":null}',
    b'{"data":{}}',
    b'{"data":{"fulfillmentEventCreate":null}}',
    b'{"data":{"fulfillmentEventCreate":{"fulfillmentEvent":null,"userErrors":[]}}}',
    b'{"data":{"fulfillmentEventCreate":{"userErrors":[]}}}',
]


@pytest.mark.parametrize("body", UNREADABLE)
def test_an_acceptance_without_an_id_is_unknown(body: bytes) -> None:
    with pytest.raises(OutcomeUnknown):
        provider().outcome(message(), HttpResponse(200, {}, body))


@pytest.mark.parametrize(
    ("cost", "wait_s"),
    [
        ({"requestedQueryCost": 60, "throttleStatus": {"currentlyAvailable": 10}}, 2.0),
        ({}, 2.0),
        (None, 2.0),
        (_cost := {"requestedQueryCost": 60, "throttleStatus": {
            "currentlyAvailable": 10, "restoreRate": 100.0}}, 0.5),
        ({**_cost, "requestedQueryCost": 9_000_000}, 60.0),
        ({**_cost, "requestedQueryCost": 5}, 0.1),
        ({**_cost, "requestedQueryCost": "60"}, 2.0),
        ({**_cost, "throttleStatus": {"currentlyAvailable": 1, "restoreRate": 0}}, 2.0),
    ],
)  # fmt: skip
def test_throttled_waits_until_the_points_are_back(cost: Any, wait_s: float) -> None:
    refused = {"errors": [{"extensions": {"code": "THROTTLED"}}], "extensions": {"cost": cost}}
    with pytest.raises(RateLimited) as caught:
        provider().outcome(message(), answer(refused))
    assert (caught.value.retry_after_s, caught.value.whole_account) == (wait_s, True)


@pytest.mark.parametrize(
    ("errors", "error", "code"),
    [
        ([{"extensions": {"code": "ACCESS_DENIED"}}], ConfigurationError, "ACCESS_DENIED"),
        ([{"extensions": {"code": "SHOP_INACTIVE"}}], ConfigurationError, "SHOP_INACTIVE"),
        ([{"extensions": {"code": "TIMEOUT"}}], TransientError, "TIMEOUT"),
        (
            [{"extensions": {"code": "INTERNAL_SERVER_ERROR"}}],
            TransientError,
            "INTERNAL_SERVER_ERROR",
        ),
        ([{"message": "x"}, {"extensions": {"code": "THROTTLED"}}], RateLimited, "THROTTLED"),
        ([{"extensions": {"code": "MAX_COST_EXCEEDED"}}], MessageRejected, "MAX_COST_EXCEEDED"),
        ([{"extensions": {"code": "call me"}}], MessageRejected, ""),
        ([{"message": "Field 'x' doesn't exist"}], MessageRejected, ""),
        ("[API] Invalid", MessageRejected, ""),
    ],
)
def test_errors_with_http_200(errors: Any, error: type[Exception], code: str) -> None:
    with pytest.raises((IntegrationError, ConfigurationError)) as caught:
        provider().outcome(message(), answer({"errors": errors, "data": None}))
    assert type(caught.value) is error
    assert getattr(caught.value, "vendor_code", "") == code


def test_user_errors_are_refusals_and_show_no_sentence() -> None:
    error = {"field": ["fulfillmentEvent", "x y"], "message": "Ana Silva lives elsewhere"}
    refused = {"data": {"fulfillmentEventCreate": {"userErrors": [error]}}}
    with pytest.raises(MessageRejected) as caught:
        provider().outcome(message(), answer(refused))
    assert caught.value.detail == "refused: fulfillmentEvent"
    assert "Ana" not in str(caught.value)
    cancelled = {"data": {"orderCancel": {"orderCancelUserErrors": [{"code": "INVALID"}]}}}
    with pytest.raises(MessageRejected) as caught:
        provider(cancel_orders="yes").outcome(message(milestone="cancelled"), answer(cancelled))
    assert caught.value.vendor_code == "INVALID"


@pytest.mark.parametrize(
    "code", ["NO_LINE_ITEMS_TO_PREPARE_FOR_FULFILLMENT_ORDER", "UNABLE_TO_PREPARE_QUANTITY"]
)
def test_prepared_before_counts_as_done(code: str) -> None:
    name = "fulfillmentOrderLineItemsPreparedForPickup"
    news = message(milestone="ready", order={})
    found = provider().outcome(news, answer({"data": {name: {"userErrors": [{"code": code}]}}}))
    assert (found.vendor_id, found.detail) == ("", "was prepared before")
    wrong = {"data": {name: {"userErrors": [{"code": "FULFILLMENT_ORDER_INVALID"}]}}}
    with pytest.raises(MessageRejected):
        provider().outcome(news, answer(wrong))
    assert provider().outcome(news, answer({"data": {name: {"userErrors": []}}})).vendor_id == ""


def test_an_order_the_shop_does_not_show_is_refused() -> None:
    news = message(event_kind="order_edited")
    with pytest.raises(MessageRejected) as caught:
        provider().outcome(news, answer({"data": {"order": None}}))
    assert caught.value.vendor_code == "NOT_FOUND"
    with pytest.raises(OutcomeUnknown):
        provider().outcome(news, answer({"data": {}}))
    test = message(event_kind="test", source_order_id="")
    assert provider().outcome(test, answer({"data": {"shop": {"id": "1"}}})).detail
    with pytest.raises(OutcomeUnknown):
        provider().outcome(test, answer({"data": {"shop": None}}))


# --- what is still to be written ------------------------------------------------------------------


def steps(order: ShopOrder, news: Message, rules: shop.Rules = EVERYTHING) -> list[str]:
    """The mutations one after the other, then why there are no more."""
    deed = shop.deed_of(news, rules)
    assert deed is not None
    found: list[str] = []
    for number in range(20):
        step = shop.next_step(order, deed, news, rules)
        if isinstance(step, str):
            return [*found, step]
        found.append(step.mutation.removeprefix("fulfillment"))
        order = shop.after(order, step, f"gid://shopify/Made/{number}", deed, news)
    raise AssertionError("it never ends")


LOCAL = Part("p1", "OPEN", "LOCAL")
PICKUP = Part("p2", "OPEN", "PICK_UP")
CLOSED = Part("p3", "CLOSED", "LOCAL")


def left(
    *events: tuple[str, int], numbers: tuple[str, ...] = (MINE,), **fields: Any
) -> Fulfillment:
    link = ("https://track.example.com/1042",) if numbers == (MINE,) else ()
    said = tuple(Event(status, AT + timedelta(minutes=at)) for status, at in events)
    return Fulfillment("f1", **{"numbers": numbers, "urls": link, "events": said, **fields})


CREATE_AND_TELL = ["Create", "EventCreate", shop.ALREADY]


@pytest.mark.parametrize(
    ("milestone", "order", "expected"),
    [
        ("out_for_delivery", ShopOrder((LOCAL,)), CREATE_AND_TELL),
        ("out_for_delivery", ShopOrder((Part("p", "OPEN"),)), CREATE_AND_TELL),
        ("out_for_delivery", ShopOrder((PICKUP,)), ["nothing has left the shop yet"]),
        ("out_for_delivery", ShopOrder((CLOSED,), (left(),)), ["EventCreate", shop.ALREADY]),
        ("out_for_delivery", ShopOrder((), (left(("OUT_FOR_DELIVERY", -5)),)), [shop.ALREADY]),
        ("out_for_delivery", ShopOrder((), (left(("DELIVERED", 5)),)), [shop.ALREADY]),
        (
            "out_for_delivery",
            ShopOrder((), (left(("OUT_FOR_DELIVERY", -9), ("FAILURE", -5)),)),
            ["EventCreate", shop.ALREADY],
        ),
        (
            "out_for_delivery",
            ShopOrder((), (left(("OUT_FOR_DELIVERY", -9), ("DELAYED", -5)),)),
            [shop.ALREADY],
        ),
        (
            "out_for_delivery",
            ShopOrder((), (left(numbers=()),)),
            ["TrackingInfoUpdate", "EventCreate", shop.ALREADY],
        ),
        (
            "out_for_delivery",
            ShopOrder((), (left(urls=("https://old.example.com/",)),)),
            ["TrackingInfoUpdate", "EventCreate", shop.ALREADY],
        ),
        (
            "out_for_delivery",
            ShopOrder((), (left(numbers=("1Z0001",)),)),
            ["another carrier tells about it"],
        ),
        (
            "out_for_delivery",
            ShopOrder((), (left(numbers=(), urls=("https://ups.example.com/",)),)),
            ["another carrier tells about it"],
        ),
        (
            "delivered",
            ShopOrder((), (left(status="CANCELLED"),)),
            ["nothing has left the shop yet"],
        ),
        ("delivered", ShopOrder((PICKUP,)), CREATE_AND_TELL),
        ("failed", ShopOrder((LOCAL,)), ["nothing has left the shop yet"]),
        ("failed", ShopOrder((CLOSED,), (left(),)), ["EventCreate", shop.ALREADY]),
        ("preparing", ShopOrder((LOCAL, PICKUP)), ["OrderReportProgress"] * 2 + [shop.ALREADY]),
        ("preparing", ShopOrder((Part("p", "IN_PROGRESS"), CLOSED)), [shop.ALREADY]),
        ("preparing", ShopOrder((Part("p", "ON_HOLD"),)), [shop.ALREADY]),
        ("ready", ShopOrder((PICKUP,)), ["OrderLineItemsPreparedForPickup", shop.ALREADY]),
        ("ready", ShopOrder((LOCAL, CLOSED)), [shop.ALREADY]),
        ("picked_up", ShopOrder((PICKUP, CLOSED)), ["Create", shop.ALREADY]),
        ("cancelled", ShopOrder((LOCAL,)), ["orderCancel", "the order is cancelled in the shop"]),
        (
            "delivered",
            ShopOrder((LOCAL,), is_cancelled=True),
            ["the order is cancelled in the shop"],
        ),
    ],
)
def test_only_what_is_missing_is_written(
    milestone: str, order: ShopOrder, expected: list[str]
) -> None:
    is_delivery = milestone != "ready"
    facts_of_order = {**message().order, "is_delivery": is_delivery}
    assert steps(order, message(milestone=milestone, order=facts_of_order)) == expected


@pytest.mark.parametrize(
    ("events", "is_told"),
    [
        ((), False),
        ((("OUT_FOR_DELIVERY", -9),), False),
        ((("DELAYED", -9),), False),
        ((("DELAYED", 0),), True),
        ((("DELIVERED", -1),), True),
        ((("OUT_FOR_DELIVERY", 3),), True),
    ],
)
def test_each_delay_is_told_once(events: tuple[tuple[str, int], ...], is_told: bool) -> None:
    news = message(event_kind="order_delayed", milestone="delayed:2")
    wanted = [shop.ALREADY] if is_told else ["EventCreate", shop.ALREADY]
    assert steps(ShopOrder((), (left(*events),)), news) == wanted


def test_the_order_is_read_as_the_shop_shows_it() -> None:
    order = {
        "id": "gid://shopify/Order/1",
        "cancelledAt": None,
        "fulfillmentOrders": {
            "nodes": [
                {"id": "p1", "status": "OPEN", "deliveryMethod": {"methodType": "LOCAL"}},
                {"id": "p2", "status": "CLOSED", "deliveryMethod": None},
            ]
        },
        "fulfillments": [
            {
                "id": "f1",
                "status": "SUCCESS",
                "trackingInfo": [{"number": MINE, "url": None}],
                "events": {
                    "nodes": [{"status": "DELIVERED", "happenedAt": "2026-03-14T22:42:04Z"}]
                },
            }
        ],
    }
    found = facts.read(order)
    assert found.parts == (LOCAL, Part("p2", "CLOSED"))
    assert found.fulfillments == (
        Fulfillment("f1", "SUCCESS", (MINE,), (), (Event("DELIVERED", AT),)),
    )
    assert facts.read({}) == ShopOrder()
    broken: Mapping[str, Any] = {"fulfillments": [{"events": {"nodes": [{"status": "X"}]}}]}
    with pytest.raises(PayloadMalformed):
        facts.read(broken)


# --- our own words come back ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "is_own"),
    [
        ({"order_id": 1, "message": "On its way (OU-1)"}, True),
        ({"order_id": 11, "message": "On its way (OU-1)"}, False),
        ({"order_id": 1, "message": "(OU-1) said the courier"}, False),
        ({"order_id": 1, "message": None}, False),
        ({"message": "(OU-)"}, False),
    ],
)
def test_our_events_are_known_again(said: dict[str, Any], is_own: bool) -> None:
    assert shopify_marks.is_own_event(said) is is_own


@pytest.mark.parametrize(
    ("tracked", "is_own"),
    [
        ({"tracking_number": "OU-1", "tracking_numbers": ["OU-1"]}, True),
        ({"tracking_number": "OU-1"}, True),
        ({"tracking_number": "OU-1", "tracking_numbers": ["OU-1", "1Z0001"]}, False),
        ({"tracking_number": "OU-2"}, False),
        ({"tracking_number": None, "tracking_numbers": []}, False),
    ],
)
def test_our_fulfillments_are_known_again(tracked: dict[str, Any], is_own: bool) -> None:
    assert shopify_marks.is_own_fulfillment({"order_id": 1, **tracked}) is is_own


def test_what_we_write_carries_the_mark() -> None:
    event = body_of(message())["variables"]["event"]
    assert shopify_marks.is_own_event({"order_id": 450789469, "message": event["message"]})
    step = shop.next_step(
        ShopOrder((LOCAL,)), shop.Deed("fulfillmentEventCreate", "DELIVERED"), message(), EVERYTHING
    )
    assert isinstance(step, shop.Step)
    tracked = step.body["variables"]["fulfillment"]["trackingInfo"]
    assert tracked == {
        "number": MINE,
        "company": "Sam",
        "url": "https://track.example.com/1042",
    }
