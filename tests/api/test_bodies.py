"""Whatever a caller sends, it is told what is wrong with it, and nothing is written."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.problems import problem_json
from orders.models import IdempotentCall, InboundCall, Order
from tests.api.bodies import bowls, full_update, soon
from tests.api.conftest import Caller

OTHER_TYPES = [None, True, 0, -1, 1.5, 1e400, 10**300, "", "x", "\x00", "\ud800", [], [[]], {}]
#: members whose absence is an error
REQUIRED = {
    "#/order",
    "#/order/id",
    "#/order/aliases/0/system",
    "#/order/aliases/0/id",
    "#/items/0/id",
    "#/items/0/label",
    "#/items/1/id",
    "#/items/1/label",
    "#/parts/0/id",
    "#/parts/1/id",
    "#/parts/1/contents/0/item_id",
    "#/legs/0/id",
    "#/location/id",
}
Path_ = tuple[str | int, ...]


def places(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    """Every place of a JSON value, itself included."""
    yield path
    pairs = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        pairs = enumerate(value)
    for step, inner in pairs:
        yield from places(inner, (*path, step))


def changed(body: Any, path: Path_, value: Any) -> Any:
    """``body`` with another value at ``path``; Ellipsis removes it."""
    if not path:
        return value
    whole = copy.deepcopy(body)
    holder = whole
    for step in path[:-1]:
        holder = holder[step]
    if value is ...:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return whole


PLACES = list(places(full_update()))
NAMES = ["#" + "".join(f"/{step}" for step in path) for path in PLACES]


def assert_precise(answer: Any) -> dict[str, Any]:
    """A problem document whose errors each name a place."""
    body: dict[str, Any] = answer.json()
    assert 400 <= answer.status_code < 500, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    assert body["status"] == answer.status_code
    assert body["title"]
    assert body["detail"]
    assert body["instance"].startswith("/api/v1/orders")
    if body["type"].endswith("/invalid-request"):
        assert body["errors"]
        assert all(entry["pointer"].startswith("#") for entry in body["errors"])
    return body


@pytest.mark.parametrize("path", PLACES[1:], ids=NAMES[1:])
def test_a_missing_member_is_named_or_unneeded(api: Caller, path: Path_) -> None:
    where = "#" + "".join(f"/{step}" for step in path)
    answer = api.post("orders", changed(full_update(), path, ...))
    if where in REQUIRED:
        assert where in {entry["pointer"] for entry in assert_precise(answer)["errors"]}
        assert not Order.objects.exists()
    else:
        assert answer.status_code == 201, answer.content


@pytest.mark.parametrize("path", PLACES, ids=NAMES)
def test_a_member_of_another_type_is_named(api: Caller, path: Path_) -> None:
    """Each place takes each wrong value: either it is legal there, or the answer points at it."""
    where = "#" + "".join(f"/{step}" for step in path)
    for number, value in enumerate(OTHER_TYPES):
        body = changed(full_update(f"W{number}"), path, value)
        answer = api.call("POST", "orders", json.dumps(body).encode())
        if answer.status_code in (200, 201):
            continue
        problem = assert_precise(answer)
        if problem["status"] == 422:
            pointers = [entry["pointer"] for entry in problem["errors"]]
            assert any(found.startswith(where) for found in pointers), (value, pointers)


@pytest.mark.parametrize("path", PLACES, ids=NAMES)
def test_an_unknown_member_is_named(api: Caller, path: Path_) -> None:
    holder: Any = full_update()
    for step in path:
        holder = holder[step]
    if not isinstance(holder, dict):
        return
    body = changed(full_update(), (*path, "surprise/~é"), 1)
    problem = assert_precise(api.post("orders", body))
    where = "#" + "".join(f"/{step}" for step in path)
    assert [entry["pointer"] for entry in problem["errors"]] == [f"{where}/surprise~1~0%C3%A9"]
    assert not Order.objects.exists()


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b'{"order":{"id":NaN}}', 400),
        (b'{"order":{"id":Infinity}}', 400),
        (b"[" * 100_000, 400),
        (b"[" * 100_000 + b"]" * 100_000, 400),
        (b'{"order":' * 5_000 + b"1" + b"}" * 5_000, 400),
        (b'{"order":{"id":' + b"9" * 5_000 + b"}}", 400),
        (b"null", 422),
        (b"[]", 422),
        (b'"order"', 422),
        (b"7", 422),
        (b"{}", 422),
        (b"", 422),
        (b" " * (4 * 1024 * 1024 + 1), 413),
    ],
)
@pytest.mark.parametrize("key", ["", "k-1"])
def test_what_is_no_order_update_is_refused(api: Caller, raw: bytes, status: int, key: str) -> None:
    answer = api.call("POST", "orders", raw, key=key)
    assert answer.status_code == status
    assert assert_precise(answer)["status"] == status
    assert not InboundCall.objects.exists()
    assert not IdempotentCall.objects.exists()


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_other_formats_are_refused(api: Caller, content_type: str) -> None:
    answer = api.client.generic(
        "POST",
        "/api/v1/orders",
        b"order=1",
        content_type,
        headers={"Authorization": f"Bearer {api.text}"},
    )
    assert answer.status_code == 415
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("charset", ["utf-16", "hex", "nonsense"])
def test_a_charset_cannot_break_the_reading(api: Caller, charset: str) -> None:
    answer = api.client.generic(
        "POST",
        "/api/v1/orders",
        json.dumps(bowls()).encode(),
        f"application/json; charset={charset}",
        headers={"Authorization": f"Bearer {api.text}"},
    )
    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("call", "body", "pointers"),
    [
        ("PATCH", {}, ["#"]),
        ("PATCH", {"state": "ready"}, ["#/state"]),
        ("PATCH", {"items": [{"id": "a", "label": "A"}] * 2}, ["#/items/1/id"]),
        (
            "PATCH",
            {"customer": {"phone": "0123", "email": "x"}},
            ["#/customer/phone", "#/customer/email"],
        ),
        ("PATCH", {"times": {"promised_at": "2026-03-14T18:00:00"}}, ["#/times/promised_at"]),
        ("PATCH", {"times": {"promised_at": "2026-02-30T18:00:00Z"}}, ["#/times/promised_at"]),
        ("PATCH", {"times": {"placed_at": "0001-01-01T00:00:00+14:00"}}, ["#/times/placed_at"]),
        ("PATCH", {"fulfillment": {"type": "drone"}}, ["#/fulfillment/type"]),
        ("status", {}, ["#/state"]),
        ("status", {"state": "done"}, ["#/state"]),
        ("status", {"state": ["ready"]}, ["#/state"]),
        ("status", {"state": "ready", "part": None}, ["#/part"]),
        ("status", {"state": "ready", "occurred_at": 1767225600}, ["#/occurred_at"]),
        ("status", {"state": "ready", "occurred_at": None}, ["#/occurred_at"]),
        ("status", {"state": "cancelled", "reason": "no"}, ["#/reason"]),
        ("status", {"state": "cancelled", "reason": {"code": "No!"}}, ["#/reason/code"]),
        ("split", {}, ["#/parts"]),
        ("split", {"parts": []}, ["#/parts"]),
        ("split", {"parts": [{"id": "a"}, {"id": "a"}]}, ["#/parts/1/id"]),
        ("split", {"parts": [{"id": "a", "quantity": 0.0001}]}, ["#/parts/0/quantity"]),
        ("split", {"parts": [{"id": "a", "quantity": True}]}, ["#/parts/0/quantity"]),
        ("status", {"state": "ready", "occurred_at": soon(3000)}, ["#/occurred_at"]),
        ("eta", {}, ["#"]),
        ("eta", {"est_ready_at": "2101-01-01T12:00:00Z"}, ["#/est_ready_at"]),
        ("eta", {"est_ready_at": soon(60 * 24 * 181)}, ["#/est_ready_at"]),
        ("eta", {"part": "bowl-1"}, ["#/est_ready_at"]),
        (
            "eta",
            {"part": "bowl-1", "est_delivery_at": soon(9)},
            ["#/est_delivery_at"],
        ),
    ],
)
def test_each_call_names_what_is_wrong(
    api: Caller, call: str, body: Any, pointers: list[str]
) -> None:
    made = api.post("orders", bowls()).json()
    path = f"orders/{made['id']}"
    answer = api.patch(path, body) if call == "PATCH" else api.post(f"{path}/{call}", body)
    problem = assert_precise(answer)
    assert problem["status"] == 422
    assert [entry["pointer"] for entry in problem["errors"]] == pointers
    assert api.get(path).json() == made
    assert InboundCall.objects.count() == 1


MEMBERS = (
    *("order", "id", "state", "parts", "items", "label", "quantity", "times", "part", "mode"),
    *("est_ready_at", "customer", "phone", "reason", "code", "legs", "courier"),
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(), max_size=8)
    | st.sampled_from(["ready", "bowl-1", soon(9), "order", "i1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(MEMBERS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(body=json_values, call=st.sampled_from(["", "/status", "/split", "/eta"]))
def test_no_json_breaks_the_api(api: Caller, body: Any, call: str) -> None:
    if not Order.objects.exists():
        assert api.post("orders", bowls("WEB-1")).status_code == 201
    order = Order.objects.earliest("pk")
    raw = json.dumps(body).encode()
    for method, path in (
        ("POST", "orders"),
        ("PATCH", f"orders/{order.public_id}"),
        ("POST", f"orders/{order.public_id}{call}"),
    ):
        answer = api.call(method, path, raw)
        if answer.status_code not in (200, 201, 405):
            assert_precise(answer)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("orders/not-a-uuid", 404),
        ("orders/", 404),
        ("nothing/here", 404),
        ("", 404),
        ("orders/%00", 404),
        ("problems/nothing", 404),
    ],
)
def test_unknown_addresses_are_problems_too(api: Caller, path: str, status: int) -> None:
    answer = api.get(path)
    assert answer.status_code == status
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["type"].endswith("/not-found")


def test_other_methods_are_problems_too(api: Caller) -> None:
    answer = api.call("DELETE", "orders")
    assert answer.status_code == 405
    assert answer.json()["type"].endswith("/method-not-allowed")
    assert answer["Allow"] == "GET, POST, HEAD, OPTIONS"


def test_every_problem_type_explains_itself(api: Caller) -> None:
    problem = api.post("orders", {}).json()
    path = problem["type"].removeprefix("https://alerts.example.com/api/v1/")
    told = Caller("").get(path).json()
    assert told["code"] == "invalid-request"
    assert told["title"] == problem["title"]
    assert told["status"] == 422
    assert told["explanation"]


def test_a_bug_of_ours_stays_loud() -> None:
    assert problem_json(ZeroDivisionError("our own fault"), {}) is None
