"""Requests against OpenAPI 3 documents, more strictly than these demand: no unknown members."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from jsonschema import FormatChecker
from openapi_schema_validator import OAS30Validator, OAS31Validator

from integrations.contracts import HttpRequest
from notifications.showing import body_of

_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_COMBINED = ("allOf", "oneOf", "anyOf", "not", "if", "then", "else")


class NotDescribed(Exception):
    """The document has no operation for this request."""


class OpenApi:
    """One document."""

    def __init__(
        self, document: Mapping[str, Any], *, also_allowed: frozenset[str] = frozenset()
    ) -> None:
        self.document = document
        self._also_allowed = also_allowed
        version = str(document["openapi"])
        self._validator = OAS30Validator if version.startswith("3.0") else OAS31Validator

    def problems(self, request: HttpRequest) -> list[str]:
        """What is wrong with ``request``; raises NotDescribed."""
        parts = urlsplit(request.url)
        operation, path_item = self._operation(request.method.lower(), parts.path)
        parameters = [
            self._resolved(one)
            for one in (*path_item.get("parameters", ()), *operation.get("parameters", ()))
        ]
        return [
            *self._parameter_problems(parameters, "query", dict(parse_qsl(parts.query))),
            *self._header_problems(parameters, request),
            *self._body_problems(operation, request),
        ]

    # --- which operation ------------------------------------------------------------------------

    @cached_property
    def _paths(self) -> list[tuple[re.Pattern[str], Mapping[str, Any]]]:
        bases = {urlsplit(server["url"]).path.rstrip("/") for server in self._servers()} or {""}
        found = []
        for template, item in self.document["paths"].items():
            for base in bases:
                # literal paths before templates: "/me" is no "{id}"
                found.append((_pattern(base + template), item, template.count("{")))
        return [(pattern, item) for pattern, item, _ in sorted(found, key=lambda one: one[2])]

    def _servers(self) -> Iterator[Mapping[str, Any]]:
        yield from self.document.get("servers", ())
        for item in self.document["paths"].values():
            yield from item.get("servers", ())

    def _operation(self, method: str, path: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        for pattern, item in self._paths:
            if pattern.fullmatch(path) and method in item:
                return item[method], item
        raise NotDescribed(f"{method.upper()} {path}")

    # --- what it demands ------------------------------------------------------------------------

    def _parameter_problems(
        self, parameters: list[Mapping[str, Any]], place: str, given: Mapping[str, str]
    ) -> Iterator[str]:
        known = {one["name"]: one for one in parameters if one["in"] == place}
        for name, one in known.items():
            if one.get("required") and name not in given:
                yield f"{place} parameter {name} is missing"
        for name, value in given.items():
            if name in self._also_allowed:
                continue
            if name not in known:
                yield f"{place} parameter {name} is not known"
                continue
            schema = known[name].get("schema", {})
            yield from self._schema_problems(schema, _typed(value, self._resolved(schema)), name)

    @staticmethod
    def _header_problems(
        parameters: list[Mapping[str, Any]], request: HttpRequest
    ) -> Iterator[str]:
        given = {name.lower() for name in request.headers}
        for one in parameters:
            if one["in"] == "header" and one.get("required") and one["name"].lower() not in given:
                yield f"header {one['name']} is missing"

    def _body_problems(self, operation: Mapping[str, Any], request: HttpRequest) -> Iterator[str]:
        wanted = self._resolved(operation.get("requestBody", {}))
        if not request.body:
            if wanted.get("required"):
                yield "the body is missing"
            return
        kind = next(
            (v for n, v in request.headers.items() if n.lower() == "content-type"), ""
        ).partition(";")[0]
        contents = wanted.get("content", {})
        is_form = kind in _FORMS
        name = next((one for one in contents if one == kind or (is_form and one in _FORMS)), None)
        if name is None:
            yield f"content type {kind!r} instead of {sorted(contents)}"
            return
        schema = contents[name].get("schema", {})
        body = body_of(request)
        if is_form:
            body = _typed_form(body, self._properties(schema))
        elif not isinstance(body, dict | list):
            yield "the body is no JSON"
            return
        yield from self._schema_problems(schema, body, "body")

    def _properties(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        schema = self._resolved(schema)
        found = dict(schema.get("properties", {}))
        for one in schema.get("allOf", ()):
            found |= self._properties(one)
        return {name: self._resolved(one) for name, one in found.items()}

    def _schema_problems(self, schema: Mapping[str, Any], value: Any, where: str) -> Iterator[str]:
        whole = {**_strict(schema), "components": self._components}
        for error in self._validator(whole, format_checker=FormatChecker()).iter_errors(value):
            path = "/".join(str(step) for step in error.absolute_path)
            yield f"{where} {path}: {error.message[:160]}".replace("  ", " ")

    @cached_property
    def _components(self) -> Any:
        return _strict(self.document.get("components", {}))

    def _resolved(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in value:
            found: Any = self.document
            for step in value["$ref"].removeprefix("#/").split("/"):
                found = found[unquote(step).replace("~1", "/").replace("~0", "~")]
            value = found
        return value


def _pattern(template: str) -> re.Pattern[str]:
    words = re.split(r"\{[^}]*\}", template)
    return re.compile("[^/]+".join(re.escape(word) for word in words))


def _strict(value: Any, *, is_combined: bool = False) -> Any:
    """``value`` with unknown members refused wherever an object lists its members itself."""
    if isinstance(value, list):
        return [_strict(one, is_combined=is_combined) for one in value]
    if not isinstance(value, dict):
        return value
    made = {
        name: _strict(one, is_combined=is_combined or name in _COMBINED)
        for name, one in value.items()
    }
    is_object = isinstance(value.get("properties"), dict) and value.get("type") == "object"
    combines = any(name in value for name in _COMBINED)
    if is_object and not (is_combined or combines) and "additionalProperties" not in value:
        made["additionalProperties"] = False
    return made


def _typed(value: str, schema: Mapping[str, Any]) -> Any:
    """The value a text stands for where a number, a truth value or JSON is meant."""
    kinds = schema.get("type", "string")
    kinds = {kinds} if isinstance(kinds, str) else set(kinds)
    if "string" in kinds:
        return value
    if "array" in kinds:  # style form, not exploded
        return value.split(",")
    try:
        return json.loads(value)
    except ValueError:
        return value


def _typed_form(body: Any, properties: Mapping[str, Mapping[str, Any]]) -> Any:
    if not isinstance(body, dict):
        return body
    made = {}
    for name, value in body.items():
        schema = properties.get(name, {})
        if isinstance(value, list):
            made[name] = value
        elif schema.get("type") == "array":
            made[name] = [value]
        else:
            made[name] = _typed(value, schema)
    return made
