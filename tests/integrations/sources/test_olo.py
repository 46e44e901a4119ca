"""Olo: the signature over four lines, ticks, the public events, and names set by an operator."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations.contracts import Customer, InboundCall, OrderUpdate
from integrations.errors import EventIgnored, PayloadMalformed, SignatureInvalid
from integrations.signatures import hmac_base64
from integrations.sources.olo import Olo, time_of_ticks
from orders.projection import project
from tests.integrations.sources.mutations import bent, survive
from tests.integrations.sources.payload_files import NOW, body_of, call, load, names

SECRET = "ThisIsADemonstrationSecret"
VECTOR = load("olo", "signature")
SIGNED_AT = datetime(2015, 3, 10, 18, 28, 34, 979195, tzinfo=UTC)


def source(status_map: Any = None, **settings: str) -> Olo:
    return Olo({"shared_secret": SECRET, **settings}, status_map=status_map)


def sample(name: str) -> InboundCall:
    found = load("olo", name)
    return call(found["body"], found["headers"])


def event(body: Any, kind: str = "OrderPlaced", message_id: str = "m-1") -> InboundCall:
    headers = {
        "X-Olo-Event-Type": kind,
        "X-Olo-Message-Id": message_id,
        "X-Olo-Timestamp": "639091083000000000",
    }
    return call(body, headers)


def order(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = body_of("olo", "order_placed_partial")
    return found | changes


def read(received: InboundCall, olo: Olo | None = None) -> OrderUpdate:
    (update,) = (olo or source()).parse(received)
    assert isinstance(update, OrderUpdate)
    return update


def vector(*, at: datetime = SIGNED_AT, **changes: str) -> InboundCall:
    """The published vector as a call; ``changes`` replace its members."""
    found = {**VECTOR, **changes}
    headers = {"X-Olo-Signature": found["signature"], **VECTOR["other_headers"]}
    headers |= {name: value for name, value in changes.items() if name.startswith("X-")}
    headers = {name: value for name, value in headers.items() if value}
    return call(found["body"].encode(), headers, url=found["url"], at=at)


# --- samples ---------------------------------------------------------------------------------


def test_every_sample_is_covered() -> None:
    expected = {"order_placed_partial", "order_picked_up_partial", "test_event"}
    assert set(names("olo")) == expected


@pytest.mark.parametrize(
    ("name", "kind", "state"),
    [
        ("order_placed_partial", "OrderPlaced", "received"),
        ("order_picked_up_partial", "OrderPickedUp", "picked_up"),
    ],
)
def test_samples(name: str, kind: str, state: str) -> None:
    received = sample(name)
    update = read(received)
    (observation,) = update.observations
    assert update.order_id == "123456789"
    assert (observation.native_state, observation.state) == (kind, state)
    assert (observation.track, observation.scope) == ("commercial", "order")
    assert (observation.ordering_class, observation.ordering_key) == ("ranked", "")
    assert observation.occurred_at == datetime(2026, 3, 14, 18, 5, tzinfo=UTC)
    assert observation.occurred_at_basis == "sent"
    assert source().event_key(received) == received.headers["x-olo-message-id"]
    assert update.location_id == "Sample Bowls Downtown"
    assert update.customer == Customer(contact_kind="none", external_id="987654321")
    assert read(received) == update


def test_the_test_event_succeeds_and_says_nothing() -> None:
    with pytest.raises(EventIgnored, match="Test"):
        source().parse(sample("test_event"))


def test_items_have_no_name_until_the_field_is_set() -> None:
    (plain,) = read(sample("order_placed_partial")).observations
    assert plain.data == {
        "display": "123456789",
        "items": [
            {"id": "1001-0", "label": "Item", "quantity": 1, "modifiers": []},
            {"id": "1002-1", "label": "Item", "quantity": 1, "modifiers": []},
        ],
        "fulfillment": {"type": "pickup"},
    }
    items = [{"productId": 1, "quantity": 2, "product": {"name": "Poke Bowl"}}]
    named = read(event(order(items=items)), source(item_name_field="product.name"))
    assert named.observations[0].data["items"][0]["label"] == "Poke Bowl"


# --- states ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "state"), [("OrderPlaced", "received"), ("OrderPickedUp", "picked_up")]
)
def test_states(kind: str, state: str) -> None:
    update = read(event(order(), kind))
    assert update.observations[0].state == state
    assert update.unknown_states == ()


def test_an_event_nobody_knows_is_kept_and_says_nothing() -> None:
    update = read(event({"orderId": 5}, "OrderReady"))
    assert update.unknown_states == ("order OrderReady",)
    assert update.observations[0].state is None
    assert update.observations[0].kind == "note"


def test_a_manager_maps_the_portals_events() -> None:
    mapped = source({"order": {"OrderReady": "ready", "OrderEdited": ""}})
    assert read(event({"orderId": 5}, "OrderReady"), mapped).observations[0].state == "ready"
    edit = read(event(order(), "OrderEdited"), mapped)
    assert edit.unknown_states == ()
    assert edit.observations[0].state is None
    assert len(edit.observations[0].data["items"]) == 2


@pytest.mark.parametrize("kind", ["UserSignedUp", "GuestOptIn", "Test"])
def test_events_without_an_order_are_ignored(kind: str) -> None:
    body = {"id": 7, "emailAddress": "ana@example.com", "allowMarketingSms": True}
    with pytest.raises(EventIgnored):
        source().parse(event(body, kind))


def test_events_of_one_order_may_come_in_any_order() -> None:
    placed = read(event(order(), "OrderPlaced", "m-1")).observations
    taken = read(event(order(), "OrderPickedUp", "m-2")).observations
    assert project([*placed, *taken]).state == project([*taken, *placed]).state == "picked_up"


# --- fields by setting -------------------------------------------------------------------------


def test_the_portals_field_names_are_settings() -> None:
    olo = source(
        order_id_field="order.ref",
        display_field="order.number",
        name_field="guest.name",
        phone_field="guest.phone",
        email_field="guest.email",
    )
    body = {
        "order": {"ref": "abc-1", "number": 42},
        "guest": {"name": "Ana", "phone": "+12025550143", "email": "ana@example.com"},
    }
    update = read(event(body), olo)
    assert (update.order_id, update.display) == ("abc-1", "42")
    assert update.customer == Customer("Ana", "+12025550143", "ana@example.com", "direct")
    with pytest.raises(PayloadMalformed, match=r"order\.ref: missing"):
        olo.parse(event({"orderId": 1}))


def test_an_order_placed_anew_names_the_one_it_replaces() -> None:
    olo = source(replaces_field="previous.orderId")
    update = read(event(order(previous={"orderId": 77})), olo)
    assert update.replaces == "77"
    data = update.observations[0].data
    assert (data["of"], data["replaces"]) == ("123456789", "77")
    first = read(event(order()), olo)
    assert first.replaces == ""
    assert first.observations[0].data["of"] == "123456789"
    assert "replaces" not in first.observations[0].data
    assert read(event(order(previous={"orderId": 123456789})), olo).replaces == ""
    assert "of" not in read(event(order(previous={"orderId": 77}))).observations[0].data


@pytest.mark.parametrize(
    ("method", "kind"), [("Pickup", "pickup"), ("delivery", "delivery"), ("carrier pigeon", None)]
)
def test_a_method_in_other_words_says_nothing(method: str, kind: str | None) -> None:
    data = read(event(order(deliveryMethod=method))).observations[0].data
    assert data.get("fulfillment", {}).get("type") == kind


# --- authenticity ------------------------------------------------------------------------------


def test_the_published_vector_passes() -> None:
    source().verify(vector())


@pytest.mark.parametrize(
    "change",
    [
        {"body": '{"message":"other"}'},
        {"url": "https://www.olo.com/webhook"},
        {"X-Olo-Message-Id": "other"},
        {"X-Olo-Timestamp": "635616089149791952"},
        {"X-Olo-Message-Id": ""},
        {"X-Olo-Timestamp": ""},
        {"X-Olo-Timestamp": "łódź"},
        {"X-Olo-Message-Id": "\udcff"},
        {"signature": "A" * 44},
        {"signature": ""},
        {"signature": "łódź-naïve"},
        {"signature": "\udcff\udcfe"},
    ],
)
def test_anything_else_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(SignatureInvalid) as refusal:
        source().verify(vector(**change))
    assert SECRET not in refusal.value.hint


@pytest.mark.parametrize(
    ("late", "fits"),
    [
        (timedelta(hours=24), True),
        (timedelta(minutes=-4), True),
        (timedelta(hours=25, seconds=1), False),
        (timedelta(minutes=-6), False),
    ],
)
def test_a_stale_signature_is_refused(late: timedelta, fits: bool) -> None:
    if fits:
        source().verify(vector(at=SIGNED_AT + late))
        return
    with pytest.raises(SignatureInvalid, match="s old"):
        source().verify(vector(at=SIGNED_AT + late))


@pytest.mark.parametrize(("message_id", "ticks"), [("", "639091083000000000"), ("m-1", "soon")])
def test_a_signed_call_without_id_or_time_is_refused(message_id: str, ticks: str) -> None:
    """Signed with the right key, so that only the missing header is at fault."""
    url = VECTOR["url"]
    signed = hmac_base64(SECRET, "\n".join([url, "{}", message_id, ticks]).encode())
    headers = {
        "X-Olo-Signature": signed,
        "X-Olo-Message-Id": message_id,
        "X-Olo-Timestamp": ticks,
    }
    with pytest.raises(SignatureInvalid, match="missing or unreadable"):
        source().verify(call(b"{}", headers, url=url))


def test_two_secrets_during_rotation_and_none_believes_nobody() -> None:
    source(shared_secret="new", previous_shared_secret=SECRET).verify(vector())
    with pytest.raises(SignatureInvalid, match="no signing key"):
        source(shared_secret="").verify(vector())


@pytest.mark.parametrize(
    ("ticks", "at"),
    [
        ("621355968000000000", datetime(1970, 1, 1, tzinfo=UTC)),
        ("635616089149791951", SIGNED_AT),
        ("0", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999999999999999999", None),
        ("99999999999999999999", None),
        ("-1", None),
        ("", None),
        ("٦٣", None),
    ],
)
def test_ticks(ticks: str, at: datetime | None) -> None:
    assert time_of_ticks(ticks) == at


# --- bodies nobody should send -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["order_placed_partial", "order_picked_up_partial", "test_event"])
@pytest.mark.parametrize("kind", ["OrderPlaced", "OrderPickedUp", "SomethingNew"])
def test_a_bent_sample_is_read_or_refused(name: str, kind: str) -> None:
    olo = source(name_field="customer.name", item_name_field="productId", phone_field="totals")
    valid = survive(bent(body_of("olo", name)), lambda body: olo.parse(event(body, kind)))
    assert (valid > 0) == (name != "test_event")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b'{"orderId": 12', "not JSON"),
        (b'{"orderId": "\xff\xfe"}', "not JSON"),
        (b"[1]", "expected an object"),
        (b"{}", "orderId: missing"),
    ],
)
def test_unreadable_bodies_say_what_is_wrong(body: bytes, words: str) -> None:
    with pytest.raises(PayloadMalformed, match=words):
        source().parse(event(body))


def test_headers_may_be_missing_or_strange() -> None:
    with pytest.raises(PayloadMalformed, match="X-Olo-Event-Type"):
        source().parse(call(order()))
    assert source().event_key(call(order())).startswith("body|")
    strange = {"X-Olo-Event-Type": "OrderPlaced", "X-Olo-Message-Id": "ł\x00\udcff" * 400}
    received = call(order(), strange)
    assert len(source().event_key(received)) <= 300
    assert read(received).observations[0].occurred_at_basis == "arrival"


def test_ten_megabytes_are_more_than_is_taken_and_still_read() -> None:
    body = json.dumps(order(note="x" * 10_000_000)).encode()
    assert len(body) > source().max_body_bytes
    assert read(event(body)).order_id == "123456789"


def test_there_is_nothing_to_poll() -> None:
    assert source().poll(NOW) is None
