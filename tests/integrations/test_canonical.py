"""Our checks of the public order update against its JSON Schema."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.canonical import Statement, check_update, read_update
from integrations.errors import PayloadMalformed
from tests.integrations.sources.payload_files import FIXTURES, body_of, names

SCHEMA = json.loads((FIXTURES / "cloudevents" / "order_update.schema.json").read_text())
SAMPLES = [body_of("cloudevents", name)["data"] for name in names("cloudevents", "structured_*")]
FULL: dict[str, Any] = {
    "mode": "partial",
    "order": {"id": "A1", "display": "1", "aliases": [{"system": "drive", "id": "d1"}]},
    "state": "preparing",
    "flags": {"delayed": True},
    "parts": [
        {
            "id": "p1",
            "kind": "fulfillment",
            "label": "Box",
            "quantity": 1.5,
            "state": "ready",
            "modifiers": ["No onion"],
            "contents": [{"item_id": "i1", "quantity": 2}],
            "replaces": "p0",
            "est_ready_at": None,
        }
    ],
    "legs": [
        {
            "id": "l1",
            "state": "out_for_delivery",
            "native_state": "ON_ITS_WAY",
            "est_delivery_at": "2026-03-14T18:45:00+01:00",
            "courier": {"name": "Casey", "phone_kind": "none"},
            "part_ids": ["p1"],
        }
    ],
    "items": [{"id": "i1", "label": "Bowl", "quantity": 2, "modifiers": []}],
    "refunds": [{"id": "i9", "label": "Soup", "quantity": 1, "modifiers": []}],
    "customer": {"name": "Ana", "phone": "+12025550143", "email": "a@example.com", "locale": "es"},
    "times": {"promised_at": None, "est_ready_at": "2026-03-14T18:45:00Z"},
    "fulfillment": {"type": "pickup", "scheduled": False, "table": "4"},
    "location": {"id": "L1", "timezone": "America/New_York"},
    "reason": {"code": "too_busy", "text": "sorry"},
    "courier": {"name": "C", "tracking_url": "https://track.example.com/1"},
    "note": "for staff",
}
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 2_000_000),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=50),
    st.sampled_from(
        [
            "ready",
            "direct",
            "+12025550143",
            "2026-03-14T18:45:00Z",
            "2026-03-14T18:45:00",
            "x" * 300,
        ]
    ),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.sampled_from(["id", "state", "label", "other"]), st.text(max_size=5)),
)


def paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [here] if here else []
    if isinstance(value, dict):
        for name, entry in value.items():
            found += paths(entry, (*here, name))
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            found += paths(entry, (*here, index))
    return found


def is_schema_valid(value: Any) -> bool:
    return bool(jsonschema.Draft202012Validator(SCHEMA).is_valid(value))


def is_accepted(value: Any) -> bool:
    try:
        check_update(value)
    except PayloadMalformed:
        return False
    return True


@pytest.mark.parametrize("sample", [*SAMPLES, FULL])
def test_valid_updates_pass(sample: dict[str, Any]) -> None:
    assert is_schema_valid(sample)
    assert check_update(sample) is sample


@pytest.mark.parametrize("path", paths(FULL), ids=str)
def test_each_member_is_checked(path: tuple[Any, ...]) -> None:
    """An object where none belongs is refused at every place, naming that place."""
    changed = copy.deepcopy(FULL)
    target = changed
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = {"surprise": 1}
    assert not is_schema_valid(changed)
    with pytest.raises(PayloadMalformed) as refusal:
        check_update(changed)
    last = path[-1]
    assert (f"[{last}]" if isinstance(last, int) else f".{last}") in str(refusal.value)


@settings(max_examples=400, deadline=None)
@given(path=st.sampled_from(paths(FULL)), value=VALUES)
def test_what_the_schema_refuses_is_refused(path: tuple[Any, ...], value: Any) -> None:
    changed = copy.deepcopy(FULL)
    target = changed
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    if is_accepted(changed):
        assert is_schema_valid(changed)
        read_update(changed, Statement("key", "1", None))


@settings(max_examples=200, deadline=None)
@given(dropped=st.sets(st.sampled_from(paths(FULL)), max_size=4))
def test_what_is_left_out_is_judged_as_the_schema_does(dropped: set[tuple[Any, ...]]) -> None:
    changed = copy.deepcopy(FULL)
    for path in sorted((p for p in dropped if isinstance(p[-1], str)), key=len, reverse=True):
        target = changed
        for step in path[:-1]:
            target = target[step]
        target.pop(path[-1], None)
    assert is_accepted(changed) == is_schema_valid(changed)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"parts": [{"id": "a"}, {"id": "a"}]}, "data.parts: an id appears twice"),
        ({"note": "a\x00b"}, "data.note: holds a NUL"),
        ({"note": "\ud800"}, "data.note: holds a NUL or half a character"),
        ({"times": {"est_ready_at": "2026-02-31T10:00:00Z"}}, "data.times.est_ready_at"),
        ({"items": [{"id": "1", "label": "x", "quantity": 1e9}]}, r"quantity: expected a number"),
        ({"items": [{"id": "1", "label": "x", "quantity": True}]}, "got true or false"),
    ],
)
def test_what_only_we_refuse(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(PayloadMalformed, match=words):
        check_update({"order": {"id": "A1"}, **changes})


def test_every_observation_of_a_full_update() -> None:
    update = read_update(check_update(FULL), Statement("key", "1", None, track="commercial"))
    order, part, leg = update.observations
    assert [o.event_key for o in update.observations] == ["key", "key#part:p1", "key#leg:l1"]
    assert order.track == part.track == "commercial"
    assert set(order.data) == {
        *("display", "items", "refunds", "times", "fulfillment", "reason", "courier", "flags"),
        *("note", "customer_kind"),
    }
    assert part.data["contents"] == [{"item_id": "i1", "quantity": 2}]
    assert leg.data["est_delivery_at"] == "2026-03-14T17:45:00+00:00"
    assert leg.native_state == "ON_ITS_WAY"


def test_long_keys_stay_apart() -> None:
    parts = [{"id": "x" * 199 + letter} for letter in "ab"]
    update = read_update({"order": {"id": "A"}, "parts": parts}, Statement("k" * 300, "1", None))
    keys = {o.event_key for o in update.observations}
    assert len(keys) == 2
    assert max(map(len, keys)) <= 370
