"""What tills and shops say, sample by sample: everything an order is made of, and when.

tests/fixtures/orders/derived.json holds a row for each sample. A call has ``event_key``, what it
states (``said``, by order) and which resources it asks for (``asks``); an answer names the call
that asked for it (``event``). Each statement is [track, scope, part or leg, the source's word, our
state, ordering key, when, basis of that time]. Keys and times are as the payload writes them, in
UTC; ordering keys of times are written as times, followed by the envelope's where it has one.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from integrations.contracts import FollowUp, Observation, OrderUpdate, Source
from integrations.errors import EventIgnored, PayloadMalformed
from integrations.registry import source_class
from tests.integrations.sources.payload_files import FIXTURES, NOW, answered, call, load, names

SOURCES = ("clover", "lightspeed", "shopify", "square", "toast", "woocommerce")
SETTINGS: dict[str, dict[str, str]] = {
    "clover": {"merchant_tokens": "XYZVJT2ZRRRSC=t", "printed_means": "preparing"},
    "lightspeed": {"username": "u", "password": "p", "endpoint_id": "MINE"},
    "shopify": {"shop_domain": "sample-shop.myshopify.com", "access_token": "t"},
    "square": {"access_token": "t"},
    "toast": {"secret": "s", "access_token": "t"},
    "woocommerce": {"site_url": "https://example.com"},
}
MAPPED = {"woocommerce": {"order": {"ready-for-pickup": "ready"}}}
EXPECTED: dict[str, dict[str, Any]] = json.loads((FIXTURES / "orders" / "derived.json").read_text())
SAMPLES = [(key, n) for key in SOURCES for n in names(key) if "body" in load(key, n)]


def source(key: str) -> Source:
    return source_class(key)(SETTINGS[key], status_map=MAPPED.get(key, {}))


def described(key: str, name: str) -> dict[str, Any]:
    """The row of a sample."""
    adapter, event = source(key), EXPECTED[f"{key}/{name}"].get("event", "")
    held = load(key, event or name)
    received = call(held["body"], held.get("headers"))
    try:
        found = adapter.parse(received)
    except (PayloadMalformed, EventIgnored) as refusal:
        return {"event_key": adapter.event_key(received), "refused": type(refusal).__name__}
    asked = [one for one in found if isinstance(one, FollowUp)]
    if event:
        answer = answered(load(key, name)["body"])
        return {"event": event, "said": said(read_answer(adapter, asked, answer))}
    row: dict[str, Any] = {"event_key": adapter.event_key(received)}
    if told := said([one for one in found if isinstance(one, OrderUpdate)]):
        row["said"] = told
    if asked:
        row["asks"] = [one.coalesce_key for one in asked]
    return row


def read_answer(adapter: Source, asked: list[FollowUp], answer: Any) -> list[OrderUpdate]:
    """The answer to the question it fits; the order it is about decides."""
    fitting = next(a for a in asked if a.order_id in ("", order_in(answer.body)))
    return adapter.parse_resource(fitting, answer, NOW)


def order_in(body: bytes) -> str:
    held = json.loads(body)
    parts = held.get("fulfillment_orders") or [{}]
    known = (held.get("guid"), held.get("order", {}).get("id"), parts[0].get("order_id"))
    return str(next((one for one in known if one), held.get("id", "")))


def said(updates: list[OrderUpdate]) -> dict[str, Any]:
    """Order -> its statements, and what names it."""
    return {
        one.order_id: {
            "display": one.display,
            "location": one.location_id,
            "aliases": [":".join(pair) for pair in one.aliases],
            "statements": [statement(o) for o in one.observations],
        }
        for one in updates
    }


def statement(one: Observation) -> list[Any]:
    state = None if one.state is None else str(one.state)
    at = None if one.occurred_at is None else written(one.occurred_at)
    key = readable(one.ordering_key) if one.ordering_class == "sequenced" else "ranked"
    place = [one.track, one.scope, one.ref]
    return [*place, one.native_state, state, key, at, one.occurred_at_basis]


def readable(key: str) -> str:
    """An ordering key as the version or the times it was made of."""
    parts = [int(part) for part in key.split(".") if part]
    return ".".join(
        str(part) if part < 1_000_000 else written(datetime.fromtimestamp(part / 1e6, UTC))
        for part in parts
    )


def written(at: datetime) -> str:
    precision = "milliseconds" if at.microsecond else "seconds"
    return at.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def test_every_sample_has_a_row() -> None:
    assert {f"{key}/{name}" for key, name in SAMPLES} == set(EXPECTED)


@pytest.mark.parametrize(("key", "name"), SAMPLES, ids=[f"{k}-{n}" for k, n in SAMPLES])
def test_what_a_sample_says(key: str, name: str) -> None:
    assert described(key, name) == EXPECTED[f"{key}/{name}"]
