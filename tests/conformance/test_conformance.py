"""The checker itself, and the providers whose rules are ours: the vendors' files stay outside."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from integrations import registry
from integrations.contracts import HttpRequest
from tests.conformance.__main__ import LEAST
from tests.conformance.cases import cases
from tests.conformance.check import OWN, check
from tests.conformance.graphql_api import GraphQl
from tests.conformance.openapi import NotDescribed, OpenApi

DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "servers": [{"url": "https://api.example.com/v1"}],
    "components": {
        "schemas": {
            "Note": {
                "type": "object",
                "required": ["to"],
                "properties": {"to": {"type": "string"}, "ttl": {"type": "integer"}},
            }
        }
    },
    "paths": {
        "/notes/{id}": {
            "post": {
                "parameters": [
                    {"name": "dry", "in": "query", "schema": {"type": "boolean"}},
                    {"name": "Revision", "in": "header", "required": True, "schema": {}},
                ],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Note"}},
                        "application/x-www-form-urlencoded": {
                            "schema": {"$ref": "#/components/schemas/Note"}
                        },
                    },
                },
            }
        }
    },
}
GOOD = HttpRequest.post(
    "https://api.example.com/v1/notes/7?dry=true",
    json_body={"to": "Ana", "ttl": 60},
    headers={"Revision": "1"},
)


def problems(**changes: Any) -> list[str]:
    return OpenApi(DOCUMENT).problems(replace(GOOD, **changes))


def test_a_good_request_has_no_problems() -> None:
    assert problems() == []
    form = {"Content-Type": "application/x-www-form-urlencoded", "revision": "1"}
    assert problems(headers=form, body=b"to=Ana&ttl=60") == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"body": b'{"ttl": 60}'}, "'to' is a required property"),
        ({"body": b'{"to": "Ana", "ttl": "60"}'}, "is not of type 'integer'"),
        ({"body": b'{"to": "Ana", "extra": 1}'}, "'extra' was unexpected"),
        ({"body": b"<html>"}, "no JSON"),
        ({"body": b""}, "the body is missing"),
        ({"url": "https://api.example.com/v1/notes/7?wet=1"}, "wet is not known"),
        ({"url": "https://api.example.com/v1/notes/7?dry=soon"}, "is not of type 'boolean'"),
        ({"headers": {"Content-Type": "application/json"}}, "header Revision is missing"),
        ({"headers": {"Content-Type": "text/plain", "Revision": "1"}}, "content type"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], problem: str) -> None:
    found = problems(**changes)
    assert len(found) == 1
    assert problem in found[0]


def test_an_unknown_operation_is_no_success() -> None:
    with pytest.raises(NotDescribed):
        problems(url="https://api.example.com/v1/notes")
    with pytest.raises(NotDescribed):
        problems(method="PUT")


def test_graphql_documents_and_variables_are_checked() -> None:
    from graphql import build_schema, introspection_from_schema

    schema = build_schema("type Query { order(id: ID!, first: Int): String }")
    api = GraphQl(introspection_from_schema(schema))

    def ask(query: str, **variables: Any) -> list[str]:
        body = {"query": query, "variables": variables}
        return api.problems(HttpRequest.post("https://x.example.com/graphql", json_body=body))

    good = "query ($id: ID!, $n: Int) { order(id: $id, first: $n) }"
    assert ask(good, id="1", n=3) == []
    assert ask(good) != []
    assert ask(good, id="1", n="three") != []
    assert ask("query { meal }") != []
    assert ask("query {") != []


@pytest.mark.parametrize("key", sorted(path.stem for path in OWN.glob("*.json")))
def test_our_own_rules_hold(key: str) -> None:
    result = check(key, None)
    assert result is not None
    assert result.failures == []
    assert result.checked >= LEAST


@pytest.mark.parametrize("key", sorted(registry.PROVIDERS))
def test_the_spread_is_wide_enough_and_always_the_same(key: str) -> None:
    made = [(case.name, case.request) for case in cases(key)]
    assert sum(request is not None for _, request in made) >= LEAST
    if key != "fcm":  # its example key is made anew in each process, and signs nothing here
        assert [(case.name, case.request) for case in cases(key)] == made


def test_our_own_rules_find_faults() -> None:
    rules = json.loads((OWN / "pusher.json").read_text())
    from tests.conformance.check import _json_schema

    request = HttpRequest.post(
        "https://api.example.com/", json_body={"name": "pusher:x", "channels": [], "data": "{}"}
    )
    assert len(_json_schema(rules)(request)) == 2
