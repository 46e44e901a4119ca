"""The OpenAPI document describes the running server: every operation and every answer."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest
from drf_spectacular.drainage import GENERATOR_STATS

from orders.models import Location, Restaurant
from tests.api.bodies import bowls, full_update, soon
from tests.api.conftest import Caller
from tests.factories import (
    make_attempt,
    make_delivery,
    make_event,
    make_notification,
    make_order,
    make_provider_account,
    make_receipt,
)

NOW = datetime(2026, 3, 14, 18, 0, tzinfo=UTC)
ONE = "/api/v1/orders/{order_id}"


@pytest.fixture
def document(api: Caller) -> dict[str, Any]:
    answer = Caller("").get("openapi.json")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("application/json")
    body: dict[str, Any] = answer.json()
    return body


def strict(schema: Any) -> Any:
    """OpenAPI 3.0 as JSON Schema: nullable spelled out, and nothing that is not declared."""
    if isinstance(schema, list):
        return [strict(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: strict(value) for name, value in schema.items()}
    if "properties" in found:
        found.setdefault("additionalProperties", False)
    if found.pop("nullable", False):
        return {"anyOf": [{"type": "null"}, found]}
    return found


def assert_described(document: dict[str, Any], method: str, path: str, answer: Any) -> None:
    """The answer is one the document announces, in the shape it announces."""
    responses = document["paths"][path][method.lower()]["responses"]
    assert str(answer.status_code) in responses, (path, answer.status_code, answer.content)
    content = responses[str(answer.status_code)]["content"]
    kind = answer["Content-Type"]
    assert kind in content
    schema = strict(content[kind]["schema"]) | {"components": strict(document["components"])}
    checker = jsonschema.FormatChecker()
    jsonschema.Draft202012Validator(schema, format_checker=checker).validate(answer.json())


def test_the_document_is_made_without_a_warning(document: dict[str, Any]) -> None:
    GENERATOR_STATS.reset()
    Caller("").get("openapi.json")
    assert not GENERATOR_STATS._warn_cache
    assert not GENERATOR_STATS._error_cache


def test_the_document_knows_every_address(document: dict[str, Any]) -> None:
    assert {
        (method, path) for path, methods in document["paths"].items() for method in methods
    } == {
        ("get", "/api/v1/orders"),
        ("post", "/api/v1/orders"),
        ("get", ONE),
        ("patch", ONE),
        ("post", f"{ONE}/status"),
        ("post", f"{ONE}/split"),
        ("post", f"{ONE}/eta"),
        ("get", "/api/v1/notifications"),
        ("get", "/api/v1/notifications/{notification_id}"),
        ("post", "/api/v1/consent-events"),
        ("get", "/api/v1/addresses/{address_id}/consent"),
        ("post", "/api/v1/decisions/preview"),
        ("post", "/api/v1/rights-requests"),
    }


def test_every_operation_asks_for_a_key_and_names_its_refusals(document: dict[str, Any]) -> None:
    for methods in document["paths"].values():
        for method, operation in methods.items():
            assert operation["security"] == [{"apiKey": []}]
            assert operation["summary"]
            assert {"401", "403"} <= set(operation["responses"])
            if method != "get":
                assert {"400", "409", "413", "415", "422"} <= set(operation["responses"])
                names = [parameter["name"] for parameter in operation["parameters"]]
                assert "Idempotency-Key" in names
    scheme = document["components"]["securitySchemes"]["apiKey"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")


def test_the_orders_api_answers_as_described(document: dict[str, Any], api: Caller) -> None:
    def told(method: str, path: str, where: str, body: Any = None, **options: Any) -> Any:
        answer = api.call(method, where, body, **options)
        assert_described(document, method, path, answer)
        return answer

    everything = "/api/v1/orders"
    assert told("GET", everything, "orders").json()["data"] == []
    full = told("POST", everything, "orders", full_update(), key="k").json()
    told("POST", everything, "orders", full_update(), key="k")
    made = told("POST", everything, "orders", bowls()).json()
    assert told("POST", everything, "orders", bowls()).status_code == 200
    assert told("POST", everything, "orders", bowls(), key="k").status_code == 422
    assert told("POST", everything, "orders", {}).status_code == 422
    assert told("POST", everything, "orders", b"{").status_code == 400
    assert told("POST", everything, "orders", b" " * 5_000_000).status_code == 413
    assert told("GET", everything, "orders?limit=1").json()["next"]
    assert told("GET", everything, "orders?limit=0").status_code == 422
    for order in (full, made):
        where = f"orders/{order['id']}"
        assert told("GET", ONE, where).status_code == 200
        change = {"times": {"promised_at": None}, "items": [{"id": "a", "label": "A"}]}
        assert told("PATCH", ONE, where, change).status_code == 200
        told("POST", f"{ONE}/status", f"{where}/status", {"state": "ready", "part": "bowl-1"})
        told("POST", f"{ONE}/status", f"{where}/status", {"state": "cancelled"})
        told("POST", f"{ONE}/eta", f"{where}/eta", {"est_ready_at": soon(9)})
        told("POST", f"{ONE}/split", f"{where}/split", {"parts": [{"id": "a"}, {"id": "b"}]})
    nowhere = "orders/6f1ed002-ab59-4ffc-8d05-1d9c1f2c2a3b"
    assert told("GET", ONE, nowhere).status_code == 404
    for call, body in (
        ("status", {"state": "ready"}),
        ("split", {"parts": [{"id": "a"}]}),
        ("eta", {"est_ready_at": None}),
    ):
        path = f"{ONE}/{call}"
        assert told("POST", path, f"{nowhere}/{call}", body).status_code == 404
        assert told("POST", path, f"{nowhere}/{call}", {"x": 1}).status_code == 422


def test_the_notifications_api_answers_as_described(
    document: dict[str, Any], api: Caller, restaurant: Restaurant, location: Location
) -> None:
    event = make_event(make_order(restaurant, state="ready"), at=NOW)
    trace = [{"step": "route", "verdict": "matched", "why": "Ready"}]
    notification = make_notification(event, at=NOW, trace=trace)
    delivery = make_delivery(notification, make_provider_account(restaurant), at=NOW)
    make_attempt(delivery, at=NOW)
    make_receipt(delivery, at=NOW)
    path = "/api/v1/notifications"
    one = f"{path}/{{notification_id}}"
    for query in ("", "?limit=1", "?state=queued", "?state=nothing", "?cursor=x"):
        assert_described(document, "GET", path, api.get(f"notifications{query}"))
    assert_described(document, "GET", one, api.get(f"notifications/{notification.pk}"))
    assert_described(document, "GET", one, api.get(f"notifications/{event.pk}"))


def test_refusals_for_want_of_a_key_are_as_described(document: dict[str, Any]) -> None:
    some = "6f1ed002-ab59-4ffc-8d05-1d9c1f2c2a3b"
    for path, methods in document["paths"].items():
        where = path.removeprefix("/api/v1/")
        where = re.sub(r"{\w+}", some, where)
        for method in methods:
            answer = Caller("").call(method.upper(), where)
            assert answer.status_code == 401
            assert_described(document, method, path, answer)


def test_the_described_bodies_are_the_accepted_ones(document: dict[str, Any], api: Caller) -> None:
    """What the tests send and the server takes fits the described request schema."""
    operation = document["paths"]["/api/v1/orders"]["post"]
    schema = strict(operation["requestBody"]["content"]["application/json"]["schema"])
    schema["components"] = strict(document["components"])
    for body in (full_update(), bowls()):
        jsonschema.Draft202012Validator(schema).validate(body)
        assert api.post("orders", body).status_code == 201
