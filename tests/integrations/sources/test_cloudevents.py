"""CloudEvents: three modes, one meaning; precise refusals; states a manager maps."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from integrations.contracts import Customer, FollowUp, InboundCall, OrderUpdate, Source
from integrations.errors import EventIgnored, PayloadMalformed, SignatureInvalid
from integrations.signatures import hmac_hex
from integrations.sources.cloudevents import CloudEvents
from tests.integrations.sources.payload_files import NOW, answered, body_of, call, load, names

STRUCTURED = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
BATCH = {"Content-Type": "application/cloudevents-batch+json"}
POS = "https://pos.example.com/stores/STORE-1"


def source(*, status_map: Any = None, **settings: str) -> Source:
    return CloudEvents({"secret": "whsec-test", **settings}, status_map=status_map)


def structured(name: str) -> InboundCall:
    return call(body_of("cloudevents", name), STRUCTURED)


def binary() -> InboundCall:
    found = load("cloudevents", "binary_preparing")
    return call(found["body"], found["headers"])


def event(**data: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "type": "com.example.order.transition",
        "source": POS,
        "id": "ev-1",
        "time": "2026-03-14T18:05:00Z",
        "subject": "orders/A1",
        "data": {"order": {"id": "A1"}, **data},
    }


def read(body: Any, made: Source | None = None) -> OrderUpdate:
    (update,) = (made or source()).parse(call(body, STRUCTURED))
    assert isinstance(update, OrderUpdate)
    return update


@pytest.mark.parametrize("number", range(1, 10))
def test_samples(number: int) -> None:
    (name,) = names("cloudevents", f"structured_{number}_*")
    body = body_of("cloudevents", name)
    assert source().event_key(structured(name)) == f"{POS}|ev-000{number}"
    update = read(body)
    assert update.order_id == body["data"]["order"]["id"]
    assert {o.ordering_key for o in update.observations} == {f"{number:020d}"}
    assert {o.occurred_at for o in update.observations} == {
        datetime.fromisoformat(body["time"]).astimezone(UTC)
    }
    stated = {o.scope: o.state for o in update.observations}
    assert stated.get("order") == body["data"].get("state")
    assert update.unknown_states == ()
    assert source().parse(structured(name)) == [update]


def test_the_first_event_says_everything() -> None:
    update = read(body_of("cloudevents", "structured_1_received"))
    order, first, second = update.observations
    assert order.kind == "snapshot"
    assert order.snapshot_parts == ("bowl-1", "bowl-2")
    assert order.data["fulfillment"] == {"type": "delivery", "scheduled": False}
    assert order.data["times"]["promised_at"] == "2026-03-14T18:45:00+00:00"
    assert order.data["customer_kind"] == "direct"
    assert first.event_key == f"{POS}|ev-0001#part:bowl-1"
    assert (first.scope, first.ref, first.state) == ("part", "bowl-1", "received")
    assert first.data["modifiers"] == ["No onion", "Extra tahini"]
    assert second.data["label"] == "Miso Salmon Bowl"
    assert update.customer == Customer(
        name="Sample Customer",
        phone="+12025550143",
        email="sample.customer@example.com",
        contact_kind="direct",
    )
    assert "Sample Customer" not in repr(update.observations)
    assert update.aliases == (("drive", "c19a5d37-e457-4247-9a67-921ec0134125"),)
    assert (update.location_id, update.timezone) == ("STORE-1", "America/New_York")


def test_both_modes_of_one_event_are_one() -> None:
    one, other = structured("structured_2_preparing"), binary()
    assert source().event_key(one) == source().event_key(other)
    assert source().fingerprint(one) == source().fingerprint(other)
    assert source().parse(one) == source().parse(other)


def test_another_body_under_the_same_id_shows() -> None:
    one = call(event(state="ready"), STRUCTURED)
    other = call(event(state="preparing"), STRUCTURED)
    assert source().event_key(one) == source().event_key(other)
    assert source().fingerprint(one) != source().fingerprint(other)


def test_a_binary_event_signs_its_headers() -> None:
    found = load("cloudevents", "binary_preparing")
    body = json.dumps(found["body"]).encode()
    stamp = str(int(NOW.timestamp()))
    words = f"{stamp}.ev-0002.{POS}.com.example.order.transition.".encode()
    signature = f"t={stamp},v1={hmac_hex('whsec-test', words + body)}"
    headers = {**found["headers"], "X-Alert-Signature": signature}
    source().verify(call(body, headers))
    with pytest.raises(SignatureInvalid):
        source().verify(call(body, {**headers, "ce-id": "ev-0003"}))


def test_bearer_tokens_work_where_they_are_set() -> None:
    body = event(state="ready")
    right = call(body, {**STRUCTURED, "Authorization": "Bearer token-1"})
    source(bearer_token="token-1").verify(right)
    with pytest.raises(SignatureInvalid, match="bearer token"):
        source(bearer_token="token-2").verify(right)
    with pytest.raises(SignatureInvalid, match="missing"):
        source().verify(right)


def test_batches_only_where_they_are_on() -> None:
    later = {**event(state="ready"), "id": "ev-2"}
    batch = call([event(state="preparing"), later], BATCH)
    with pytest.raises(PayloadMalformed, match="switched off"):
        source().parse(batch)
    updates = source(allow_batch="yes").parse(batch)
    keys = [u.observations[0].event_key for u in updates if isinstance(u, OrderUpdate)]
    assert keys == [f"{POS}|ev-1", f"{POS}|ev-2"]
    assert source(allow_batch="yes").event_key(batch).startswith("batch|")


@pytest.mark.parametrize("entries", [[], [event()] * 101, {}])
def test_a_batch_has_one_to_a_hundred_events(entries: Any) -> None:
    with pytest.raises(PayloadMalformed, match="1 to 100"):
        source(allow_batch="yes").parse(call(entries, BATCH))


@pytest.mark.parametrize(
    ("sequence", "key"),
    [
        ("7", "00000000000000000007"),
        ("0" * 5 + "12", "00000000000000000012"),
        ("0" * 30 + "12", "00000000000000000012"),
        ("9" * 20, "9" * 20),
        ("1" + "0" * 20, "a021" + "1" + "0" * 20),
        ("b-2", "b-2"),
    ],
)
def test_sequences(sequence: str, key: str) -> None:
    assert read({**event(), "sequence": sequence}).observations[0].ordering_key == key


def test_numbers_of_any_length_are_ordered_as_numbers() -> None:
    numbers = ["0", "8", "10", "9" * 19, "9" * 20, "1" + "0" * 20, "9" * 21, "1" + "0" * 25]
    keys = [read({**event(), "sequence": n}).observations[0].ordering_key for n in numbers]
    assert keys == sorted(keys)
    with pytest.raises(PayloadMalformed, match="more than 190 digits"):
        read({**event(), "sequence": "9" * 191})


def test_without_a_sequence_the_time_orders() -> None:
    assert read(event()).observations[0].ordering_key == "00001773511500000000"


def test_parts_and_legs_alone_say_nothing_about_the_order() -> None:
    update = read(
        event(
            parts=[{"id": "p1", "state": "ready", "est_ready_at": None}],
            legs=[
                {
                    "id": "l1",
                    "state": "failed",
                    "native_state": "GONE",
                    "courier": {"name": "Casey"},
                }
            ],
        )
    )
    part, leg = update.observations
    assert (part.scope, part.track, part.data) == ("part", "kitchen", {"est_ready_at": None})
    assert (leg.scope, leg.track, leg.state, leg.native_state) == (
        "leg",
        "courier",
        "failed",
        "GONE",
    )


def test_a_state_nobody_knows_is_kept_and_mapped_later() -> None:
    body = event(state="on the grill", parts=[{"id": "p1", "state": "resting"}])
    update = read(body)
    assert update.unknown_states == ("order on the grill", "part resting")
    assert [o.state for o in update.observations] == [None, None]
    assert update.observations[0].native_state == "on the grill"
    mapped = read(body, source(status_map={"order": {"on the grill": "preparing"}}))
    assert mapped.observations[0].state == "preparing"
    assert mapped.unknown_states == ("part resting",)


def without(name: str) -> dict[str, Any]:
    found = event()
    del found[name]
    return found


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (without("id"), "event.id: missing"),
        (without("time"), "event.time: missing"),
        (without("subject"), "event.subject: missing"),
        (without("data"), "event.data: missing"),
        ({**event(), "specversion": "0.3"}, "event.specversion"),
        ({**event(), "time": "2026-03-14T18:05:00"}, "event.time: expected a time with offset"),
        ({**event(), "time": "2026-02-30T18:05:00Z"}, "event.time"),
        ({**event(), "subject": "orders/B2"}, "event.subject"),
        ({**event(), "data_schema": "x"}, "event.data_schema: attribute names"),
        ({**event(), "sequence": [1]}, "event.sequence"),
        ({**event(), "data": None}, "data: expected an object, got null"),
        ([event()], "event: expected an object, got a list"),
        (b"{", "not JSON"),
        (event(customer={"phone": "555-0143"}), r"data\.customer\.phone: expected a phone"),
        (event(state=7), r"data\.state: expected one of"),
        (event(parts=[{"id": "a"}, {"id": "b", "state": ["x"]}]), r"data\.parts\[1\]\.state"),
        (event(surprise=1), r"data\.surprise: unknown member"),
    ],
)
def test_invalid_events_are_refused_with_the_path(body: Any, words: str) -> None:
    invalid = call(body, STRUCTURED)
    with pytest.raises(PayloadMalformed, match=words):
        source().parse(invalid)
    assert source().event_key(invalid).startswith("refused|")


def test_a_corrected_event_may_use_its_id_again() -> None:
    wrong = call(event(customer={"phone": "555"}), STRUCTURED)
    right = call(event(customer={"phone": "+12025550143"}), STRUCTURED)
    assert source().event_key(right) == f"{POS}|ev-1"
    assert source().event_key(wrong) != source().event_key(right)


def test_only_the_allowed_event_source() -> None:
    with pytest.raises(PayloadMalformed, match=r"event\.source"):
        read(event(), source(source_prefix="https://other.example.com/"))
    read(event(), source(source_prefix="https://pos.example.com/"))


def test_headers_of_binary_events_are_decoded_once() -> None:
    found = load("cloudevents", "binary_preparing")
    data = {"order": {"id": "Ä 1%"}}
    made = call(data, {**found["headers"], "ce-subject": "orders/%C3%84%201%25"})
    (update,) = source().parse(made)
    assert update.order_id == "Ä 1%"
    for header, value in (("ce-datacontenttype", "x"), ("ce-subject", "%ff")):
        with pytest.raises(PayloadMalformed, match=header):
            source().parse(call(data, {**found["headers"], header: value}))


def test_expired_events_are_ignored() -> None:
    late = {**event(state="ready"), "expirytime": "2026-03-14T18:05:01Z"}
    with pytest.raises(EventIgnored, match="expired"):
        source().parse(call(late, STRUCTURED))
    assert (
        len(source().parse(call({**late, "expirytime": "2026-03-14T18:06:00Z"}, STRUCTURED))) == 1
    )
    wrong = call({**late, "expirytime": "soon"}, STRUCTURED)
    with pytest.raises(PayloadMalformed, match=r"event\.expirytime"):
        source().parse(wrong)
    assert source().event_key(wrong).startswith("refused|")


def test_answers() -> None:
    ok = call(event(), STRUCTURED)
    assert source().answer(ok, duplicate=False).status == 202
    again = source().answer(ok, duplicate=True)
    assert (again.status, again.body) == (200, b'{"duplicate":true}')
    refused = source().refuse(ok, "data.state: wrong")
    assert refused.status == 400
    assert json.loads(refused.body) == {"title": "data.state: wrong", "status": 400}


def test_other_formats_are_answered_415() -> None:
    made = source().handshake(call(b"a=1", {"Content-Type": "application/x-www-form-urlencoded"}))
    assert made is not None
    assert made.status == 415
    assert source().handshake(call(event(), STRUCTURED)) is None
    assert source().handshake(binary()) is None


def test_the_url_test_of_the_webhook_specification() -> None:
    asked = call(b"", {"WebHook-Request-Origin": "eventemitter.example.com"}, method="OPTIONS")
    closed = source().handshake(asked)
    assert closed is not None
    assert closed.status == 405
    opened = source(webhook_origin="EventEmitter.example.com").handshake(asked)
    assert opened is not None
    assert opened.headers["WebHook-Allowed-Origin"] == "EventEmitter.example.com"
    other = source(webhook_origin="other.example.com").handshake(asked)
    assert other is not None
    assert "WebHook-Allowed-Origin" not in other.headers


# --- data that is elsewhere ------------------------------------------------------------------

FETCHING = {"dataref_base": "https://pos.example.com/", "dataref_token": "token-1"}


def thin(link: Any = "https://pos.example.com/updates/7?v=1", **changes: Any) -> dict[str, Any]:
    found = {**event(), "dataref": link, "sequence": "3", **changes}
    return {name: value for name, value in found.items() if value is not None}


def asked(body: Any, **settings: str) -> FollowUp:
    (found,) = source(**{**FETCHING, **settings}).parse(call(body, STRUCTURED))
    assert isinstance(found, FollowUp)
    return found


@pytest.mark.parametrize("data", [None, {"order": {"id": "A1"}}])
def test_an_event_may_point_at_its_data(data: Any) -> None:
    found = asked(thin(data=data))
    assert found.request.url == "https://pos.example.com/updates/7?v=1"
    assert found.request.headers == {"Authorization": "Bearer token-1"}
    assert found.request.untrusted_url
    assert found.order_id == "A1"
    answer = answered({"order": {"id": "A1"}, "state": "ready"})
    (update,) = source(**FETCHING).parse_resource(found, answer, NOW)
    whole = {**thin(), "data": {"order": {"id": "A1"}, "state": "ready"}}
    assert source(**FETCHING).parse(call(whole, STRUCTURED)) == [update]


def test_each_event_is_fetched_for_itself_and_no_token_is_sent_where_none_is_set() -> None:
    first, second = asked(thin()), asked(thin(id="ev-2"))
    assert first.coalesce_key != second.coalesce_key
    assert asked(thin(), dataref_token="").request.headers == {}


def test_a_binary_event_may_come_without_a_body() -> None:
    headers = {f"ce-{name}": value for name, value in thin(data=None).items()}
    (found,) = source(**FETCHING).parse(call(b"", headers))
    assert found == asked(thin(data=None))


def test_fetching_is_off_unless_an_address_is_set() -> None:
    refused = call(thin(data=None), STRUCTURED)
    with pytest.raises(PayloadMalformed, match="switched off"):
        source().parse(refused)
    assert source().event_key(refused).startswith("refused|")


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example.com/updates/7",
        "https://pos.example.com.evil.example.com/7",
        "https://pos.example.com@evil.example.com/7",
        "http://pos.example.com/7",
        "https://pos.example.com/../7",
        "https://pos.example.com/a b",
        "https://pos.example.com/a\r\nX: 1",
        "//pos.example.com/7",
    ],
)
def test_links_lead_to_the_accounts_address_or_nowhere(link: str) -> None:
    with pytest.raises(PayloadMalformed, match="not at the address"):
        source(**FETCHING).parse(call(thin(link, data=None), STRUCTURED))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"order": {"id": "B2"}}, "event.subject"),
        ({"state": "ready"}, "data.order: missing"),
        ([], "data: expected an object"),
        ({"order": {"id": "A1"}, "surprise": 1}, "unknown member"),
    ],
)
def test_fetched_data_is_checked_like_any_other(answer: Any, words: str) -> None:
    with pytest.raises(PayloadMalformed, match=words):
        source(**FETCHING).parse_resource(asked(thin()), answered(answer), NOW)


@pytest.mark.parametrize(
    ("typed", "most"), [("", 0), ("60", 60), (" 7 ", 7), ("many", 0), ("-1", 0), ("9" * 9, 0)]
)
def test_a_manager_may_bound_the_calls(typed: str, most: int) -> None:
    assert source(calls_per_minute=typed).calls_per_minute == most
