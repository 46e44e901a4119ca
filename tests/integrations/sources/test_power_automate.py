"""Power Automate as a source: the key, records and words as flow authors fill them in."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from integrations.contracts import Customer, InboundCall, OrderUpdate, State
from integrations.errors import EventIgnored, PayloadMalformed, SignatureInvalid
from integrations.sources.power_automate import STATES, PowerAutomate
from orders.projection import project
from tests.integrations.sources.mutations import bent, survive
from tests.integrations.sources.payload_files import body_of, call, load, names

KEY = "a-key-of-the-manager"
RECORD = "5b1f0c64-7a0e-4c0a-9f0e-0000000a1042"
SAMPLES = names("power_automate", "record_*")


def source(status_map: Any = None, **settings: str) -> PowerAutomate:
    return PowerAutomate({"secret": KEY, **settings}, status_map=status_map)


def post(body: Any, **headers: str) -> InboundCall:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return call(body, {"Authorization": f"Bearer {KEY}", **named})


def record(**changes: Any) -> dict[str, Any]:
    found = {
        "change": "updated",
        "record_id": "42",
        "number": "1042",
        "status": "Ready",
        "modified_at": "2026-03-14T18:24:10Z",
    }
    return {name: value for name, value in {**found, **changes}.items() if value is not ...}


def read(body: Any, made: PowerAutomate | None = None, **headers: str) -> OrderUpdate:
    (update,) = (made or source()).parse(post(body, **headers))
    assert isinstance(update, OrderUpdate)
    return update


# --- samples --------------------------------------------------------------------------------------


def test_every_sample_is_covered() -> None:
    assert set(SAMPLES) == {
        "record_cancelled",
        "record_created",
        "record_deleted",
        "record_preparing",
        "record_ready",
    }


@pytest.mark.parametrize(
    ("name", "native", "state"),
    [
        ("record_created", "New", State.RECEIVED),
        ("record_preparing", "In_Preparation", State.PREPARING),
        ("record_ready", "Ready for pickup", State.READY),
        ("record_cancelled", "CANCELLED", State.CANCELLED),
    ],
)
def test_samples(name: str, native: str, state: State) -> None:
    update = read(body_of("power_automate", name))
    (observation,) = update.observations
    assert (update.order_id, update.display) == (RECORD, "1042")
    assert (observation.native_state, observation.state) == (native, state)
    assert (observation.track, observation.scope) == ("kitchen", "order")
    assert observation.ordering_class == "sequenced"
    assert observation.occurred_at_basis == "resource_modified"
    assert update.unknown_states == ()
    assert read(body_of("power_automate", name)) == update


def test_what_a_new_record_says() -> None:
    update = read(body_of("power_automate", "record_created"))
    (observation,) = update.observations
    assert update.customer == Customer(
        "Sample Customer", "+12025550143", "sample.customer@example.com", "direct"
    )
    assert observation.kind == "snapshot"
    assert observation.occurred_at == datetime(2026, 3, 14, 18, 5, tzinfo=UTC)
    assert observation.data == {
        "display": "1042",
        "items": [
            {"id": "line-1", "label": "Harvest Bowl", "quantity": 1, "modifiers": []},
            {"id": "line-2", "label": "Miso Soup", "quantity": 2, "modifiers": []},
        ],
        "fulfillment": {"type": "pickup"},
        "times": {"promised_at": "2026-03-14T18:30:00+00:00"},
    }


def test_a_deleted_record_says_nothing() -> None:
    with pytest.raises(EventIgnored, match="deleted"):
        source().parse(post(body_of("power_automate", "record_deleted")))


def test_a_record_of_another_kind_says_nothing() -> None:
    with pytest.raises(EventIgnored, match="no order"):
        source().parse(post(record(record_type="contact")))
    assert read(record(record_type="Orders")).order_id == "42"


def test_records_may_come_in_any_order() -> None:
    said = [
        read(body_of("power_automate", name)).observations[0]
        for name in ("record_created", "record_preparing", "record_ready")
    ]
    assert {project(list(some)).state for some in itertools.permutations(said)} == {"ready"}


# --- words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", sorted(STATES))
def test_words_are_known_however_they_are_written(word: str) -> None:
    for written in (word, word.upper(), word.title().replace(" ", "_"), f" {word} ",
                    word.replace(" ", "-")):  # fmt: skip
        update = read(record(status=written))
        assert (update.observations[0].state, update.unknown_states) == (STATES[word], ())


def test_words_cover_every_state() -> None:
    assert set(STATES.values()) == set(State) == PowerAutomate.can_state


@pytest.mark.parametrize(
    ("status", "native"),
    [("Plated", "Plated"), ("Completed", "Completed"), (727000001, "727000001")],
)
def test_a_word_nobody_knows_is_kept_until_it_is_mapped(status: Any, native: str) -> None:
    update = read(record(status=status))
    assert update.unknown_states == (f"order {native}",)
    assert (update.observations[0].state, update.observations[0].native_state) == (None, native)
    mapped = read(record(status=status), source({"order": {native.upper(): "ready"}}))
    assert (mapped.observations[0].state, mapped.unknown_states) == ("ready", ())
    silent = read(record(status=status), source({"order": {native: ""}}))
    assert (silent.observations[0].state, silent.unknown_states) == (None, ())


def test_a_managers_word_goes_before_ours() -> None:
    mapped = source({"order": {"in progress": "accepted"}})
    assert read(record(status="In Progress"), mapped).observations[0].state == "accepted"


def test_a_new_record_without_a_word_is_received() -> None:
    made = read(record(change="created", status=None)).observations[0]
    assert (made.native_state, made.state) == ("created", State.RECEIVED)
    edited = read(record(status=None)).observations[0]
    assert (edited.state, edited.kind) == (None, "note")


# --- members --------------------------------------------------------------------------------------


def test_a_record_needs_nothing_but_its_id() -> None:
    (observation,) = (update := read({"record_id": 7})).observations
    assert (update.order_id, update.display, update.customer) == ("7", "7", None)
    assert (observation.ordering_class, observation.ordering_key) == ("ranked", "")
    assert (observation.occurred_at, observation.occurred_at_basis) == (None, "arrival")


def test_nulls_and_unknown_members_are_as_good_as_absent() -> None:
    nulls = dict.fromkeys(
        ("customer", "location", "fulfillment", "items", "promised_at", "ready_at", "reason")
    )
    assert read(record(**nulls, odata={"etag": 1})) == read(record())


def test_kitchen_times_and_reasons() -> None:
    update = read(
        record(location="L1", ready_at="2026-03-14T14:30:00-04:00", reason="No rice",
               fulfillment="Delivery")
    )  # fmt: skip
    assert update.location_id == "L1"
    assert update.observations[0].data["times"] == {"est_ready_at": "2026-03-14T18:30:00+00:00"}
    assert update.observations[0].data["reason"] == {"text": "No rice"}
    assert update.observations[0].data["fulfillment"] == {"type": "delivery"}


@pytest.mark.parametrize(
    ("customer", "expected"),
    [
        ({"name": "Ana"}, Customer("Ana", contact_kind="none")),
        ({"phone": "+12025550143"}, Customer(phone="+12025550143")),
        ({"name": ""}, None),
        ("Ana", None),
    ],
)
def test_guests(customer: Any, expected: Customer | None) -> None:
    assert read(record(customer=customer)).customer == expected


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (record(record_id=...), "record_id: missing"),
        (record(record_id=[]), "record_id: missing"),
        (record(record_id="x" * 201), "record_id: longer"),
        (record(modified_at="yesterday"), "modified_at: expected a time"),
        (record(modified_at="2026-03-14T18:24:10"), "modified_at: expected a time"),
        (record(ready_at="soon"), "ready_at: expected a time"),
        ([], "expected an object"),
        (b"{", "not JSON"),
    ],
)
def test_a_wrong_member_is_named_to_the_author(body: Any, words: str) -> None:
    with pytest.raises(PayloadMalformed, match=words) as problem:
        source().parse(post(body))
    answer = source().refuse(post(body), str(problem.value))
    assert (answer.status, answer.content_type) == (400, "application/problem+json")
    assert json.loads(answer.body) == {"title": str(problem.value), "status": 400}


# --- what is the same -----------------------------------------------------------------------------


def key(body: Any, **headers: str) -> str:
    return source().event_key(post(body, **headers))


def test_one_change_of_one_record_is_one_event() -> None:
    """A flow on new rows and one on changed rows both tell of a new row."""
    first, second = record(change="created"), record(change="updated", raw={"a": 1})
    assert key(first) == key(second)
    assert source().fingerprint(post(first)) == source().fingerprint(post(second))
    assert key(record(status="READY ")) == key(record())
    for change in ({"record_id": "43"}, {"status": "New"}, {"modified_at": "2026-03-14T18:24:11Z"}):
        assert key(record(**change)) != key(record())
    assert source().fingerprint(post(record(number="7"))) != source().fingerprint(post(record()))


def test_without_a_time_the_run_tells_events_apart() -> None:
    bare = record(modified_at=...)
    assert key(bare, Idempotency_Key="run-1") == key(bare, Idempotency_Key="run-1")
    assert key(bare, Idempotency_Key="run-1") != key(bare, Idempotency_Key="run-2")
    assert key(bare) == key(bare) != key(record(modified_at=..., status="New"))


def test_reading_what_was_stored_gives_the_same_events() -> None:
    for body in (record(raw={"x": 1}), record(raw={"x": 1}, modified_at=...)):
        came = post(body)
        kept = post(source().body_to_store(came))
        assert b"raw" not in kept.body
        assert source().event_key(kept) == source().event_key(came)
        assert source().parse(kept) == source().parse(came)


def test_a_refused_body_does_not_occupy_its_record() -> None:
    assert key(record(modified_at="yesterday")).startswith("refused|")
    assert key(b"{").startswith("refused|")


def test_answers() -> None:
    assert source().answer(post(record()), duplicate=False).status == 202
    again = source().answer(post(record()), duplicate=True)
    assert (again.status, again.body) == (200, b'{"duplicate":true}')


# --- the key --------------------------------------------------------------------------------------


def test_the_key_opens_and_so_does_the_one_before() -> None:
    source().verify(post(record()))
    source(secret="new-key", previous_secret=KEY).verify(post(record()))
    source(secret=f" {KEY} ").verify(post(record()))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("", "missing"),
        ("Bearer", "not the key"),
        ("Bearer ", "not the key"),
        (KEY, "only in the word in front"),
        (f"Basic {KEY}", "only in the word in front"),
        (f"Bearer {KEY}x", "not the key"),
        ("Bearer łódź-naïve", "not the key"),
    ],
)
def test_another_key_does_not(given: str, words: str) -> None:
    with pytest.raises(SignatureInvalid, match=words) as refusal:
        source().verify(call(record(), {"Authorization": given} if given else {}))
    assert KEY not in refusal.value.hint


@pytest.mark.parametrize("secret", ["", " "])
def test_an_account_without_a_key_is_closed(secret: str) -> None:
    with pytest.raises(SignatureInvalid, match="no key is set"):
        source(secret=secret).verify(call(record(), {"Authorization": "Bearer "}))


@pytest.mark.parametrize("name", SAMPLES)
def test_whatever_a_flow_sends_is_read_or_refused(name: str) -> None:
    made = source()

    def parse(raw: bytes) -> Any:
        made.event_key(post(raw))
        made.fingerprint(post(raw))
        made.body_to_store(post(raw))
        return made.parse(post(raw))

    assert survive(bent(load("power_automate", name)["body"]), parse) > 0
