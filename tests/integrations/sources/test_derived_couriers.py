"""What couriers, marketplaces and aggregators say, sample by sample.

tests/fixtures/orders/derived_couriers.json holds a row for each sample: ``event_key``, ``asks``
(the resources fetched next) and ``said``, by order: display, location, aliases and statements.
A statement is [track, scope, leg or part, the source's word, our state, ordering class, ordering
key, when, basis of that time]; keys made of times are written as times. A row with ``event`` is
the answer to the question of that sample.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from integrations.contracts import FollowUp, Observation, OrderUpdate, Source
from integrations.errors import EventIgnored
from integrations.registry import source_class
from tests.integrations.sources.payload_files import FIXTURES, NOW, answered, call, load, names

#: with everything set that lets an account ask the vendor
SETTINGS: dict[str, dict[str, str]] = {
    "cloudevents": {},
    "deliverect": {"access_token": "t", "order_path": "/orders/{id}"},
    "doordash": {"developer_id": "d", "key_id": "k", "signing_secret": "c2VjcmV0"},
    "grubhub": {},
    "olo": {},
    "otter": {"api_url": "https://public-api.example.com", "access_token": "t"},
    "uber_eats": {"access_token": "t", "direct_access_token": "t"},
}
EXPECTED: dict[str, dict[str, Any]] = json.loads(
    (FIXTURES / "orders" / "derived_couriers.json").read_text()
)
SAMPLES = [(key, n) for key in SETTINGS for n in names(key) if "body" in load(key, n)]


def described(key: str, name: str) -> dict[str, Any]:
    """The row of a sample."""
    adapter = source_class(key)(SETTINGS[key])
    event = EXPECTED[f"{key}/{name}"].get("event", "")
    held = load(key, event or name)
    headers = dict(held.get("headers", {}))
    if key == "cloudevents" and not headers:
        headers = {"Content-Type": "application/cloudevents+json"}
    received = call(held["body"], headers)
    assert adapter.handshake(received) is None
    try:
        found = adapter.parse(received)
    except EventIgnored:
        return {"event_key": adapter.event_key(received), "ignored": True}
    asked = [one for one in found if isinstance(one, FollowUp)]
    if event:
        return {"event": event, "said": said(read_answer(adapter, asked[0], key, name))}
    row: dict[str, Any] = {"event_key": adapter.event_key(received)}
    row["said"] = said([one for one in found if isinstance(one, OrderUpdate)])
    if asked:
        row["asks"] = [one.coalesce_key for one in asked]
    return row


def read_answer(adapter: Source, asked: FollowUp, key: str, name: str) -> list[OrderUpdate]:
    return adapter.parse_resource(asked, answered(load(key, name)["body"]), NOW)


def said(updates: list[OrderUpdate]) -> dict[str, Any]:
    """Order -> its statements, and what names it."""
    return {
        one.order_id: {
            "display": one.display,
            "location": one.location_id,
            "aliases": [":".join(pair) for pair in one.aliases],
            "parks": one.courier_only,
            "contact": one.customer.contact_kind if one.customer else None,
            "statements": [statement(o) for o in one.observations],
        }
        for one in updates
    }


def statement(one: Observation) -> list[Any]:
    state = None if one.state is None else str(one.state)
    at = None if one.occurred_at is None else written(one.occurred_at)
    order = [one.ordering_class, readable(one.ordering_key)]
    place = [one.track, one.scope, one.ref]
    return [*place, one.native_state, state, *order, at, one.occurred_at_basis]


def readable(key: str) -> str:
    """An ordering key as the number or the times it was made of."""
    return ".".join(_readable(int(part)) for part in key.split(".") if part)


def _readable(number: int) -> str:
    if number < 1_000_000:
        return str(number)
    seconds, micros = divmod(number, 1_000_000)
    return written(datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros))


def written(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def test_every_sample_has_a_row() -> None:
    assert {f"{key}/{name}" for key, name in SAMPLES} == set(EXPECTED)


@pytest.mark.parametrize(("key", "name"), SAMPLES, ids=[f"{k}-{n}" for k, n in SAMPLES])
def test_what_a_sample_says(key: str, name: str) -> None:
    assert described(key, name) == EXPECTED[f"{key}/{name}"]


def test_statements_of_one_payload_have_keys_of_their_own() -> None:
    for key, name in SAMPLES:
        held = load(key, name)
        if "event" in EXPECTED[f"{key}/{name}"] or EXPECTED[f"{key}/{name}"].get("ignored"):
            continue
        headers = held.get("headers") or {"Content-Type": "application/cloudevents+json"}
        found = source_class(key)(SETTINGS[key]).parse(call(held["body"], headers))
        keys = [o.event_key for u in found if isinstance(u, OrderUpdate) for o in u.observations]
        assert len(keys) == len(set(keys))
