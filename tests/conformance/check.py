"""One provider against its specification: a vendor's file, or rules of our own where none is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jsonschema.validators import validator_for

from integrations.contracts import HttpRequest
from notifications.showing import body_of
from tests.conformance.cases import cases
from tests.conformance.graphql_api import GraphQl
from tests.conformance.openapi import NotDescribed, OpenApi

#: query parameters that belong to every call of the vendor and stand in no operation
ALSO_ALLOWED = {"messenger": frozenset({"appsecret_proof"})}
OWN = Path(__file__).parent / "own"
Problems = Callable[[HttpRequest], list[str]]


@dataclass
class Result:
    """How one provider did."""

    provider: str
    against: str
    #: requests that were validated
    checked: int = 0
    #: messages the adapter refused itself, as the vendor would have
    refused: int = 0
    #: requests the specification does not describe (they are no messages)
    outside: int = 0
    failures: list[str] = field(default_factory=list)


def check(key: str, specs: Path | None) -> Result | None:
    """Validate every case of ``key``; None when neither a specification nor rules are there."""
    path = specs / f"{key}.json" if specs else None
    if path is None or not path.exists():
        path = OWN / f"{key}.json"
    if not path.exists():
        return None
    problems = _reader(key, json.loads(path.read_text()))
    result = Result(key, "our own rules" if path.parent == OWN else "specification")
    for case in cases(key):
        if case.request is None:
            result.refused += 1
            continue
        try:
            found = problems(case.request)
        except NotDescribed as unknown:
            if case.name in ("look-up", "stop list", "erasure") or case.name.startswith("choice"):
                result.outside += 1
                continue
            found = [f"no such operation: {unknown}"]
        result.checked += 1
        result.failures += [f"{case.name}: {problem}" for problem in found[:3]]
    return result


def _reader(key: str, document: dict[str, Any]) -> Problems:
    if "openapi" in document:
        return OpenApi(document, also_allowed=ALSO_ALLOWED.get(key, frozenset())).problems
    if "data" in document and "__schema" in document["data"]:
        return GraphQl(document["data"]).problems
    return _json_schema(document)


def _json_schema(schema: dict[str, Any]) -> Problems:
    """A schema of the body; ``x-url``, ``x-headers`` and ``x-longest`` speak of the rest."""
    validator = validator_for(schema)(schema)

    def problems(request: HttpRequest) -> list[str]:
        found = [
            f"{'/'.join(str(step) for step in error.absolute_path)}: {error.message[:160]}"
            for error in validator.iter_errors(body_of(request))
        ]
        for name in schema.get("x-headers", ()):
            if name.lower() not in {header.lower() for header in request.headers}:
                found.append(f"header {name} is missing")
        if (longest := schema.get("x-longest")) and len(request.body) > longest:
            found.append(f"{len(request.body)} bytes; {longest} fit")
        if urlsplit(request.url).scheme != "https":
            found.append("not https")
        return found

    return problems
