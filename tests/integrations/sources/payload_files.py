"""Payloads of sources under tests/fixtures/<source>/ as calls, signed or not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from integrations.contracts import FollowUp, HttpRequest, HttpResponse, InboundCall

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
NOW = datetime(2026, 3, 14, 18, 5, 2, tzinfo=UTC)
URL = "https://alerts.example.com/hooks/orders/token/"


def load(source: str, name: str) -> dict[str, Any]:
    """One fixture file."""
    found: dict[str, Any] = json.loads((FIXTURES / source / f"{name}.json").read_text())
    return found


def body_of(source: str, name: str) -> Any:
    """The vendor's body in a fixture file."""
    return load(source, name)["body"]


def names(source: str, pattern: str = "*") -> list[str]:
    """Fixture names that hold a payload."""
    found = {path.stem for path in (FIXTURES / source).glob(f"{pattern}.json")}
    return sorted(found - {"signature", "order_update.schema"})


def call(
    body: Any,
    headers: Mapping[str, str] | None = None,
    *,
    url: str = URL,
    at: datetime = NOW,
    method: str = "POST",
) -> InboundCall:
    """A call with lower-case headers; anything but bytes is sent as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    merged = {name.lower(): value for name, value in (headers or {}).items()}
    return InboundCall(method, url, merged, raw, at)


def signed_call(source: str, *, at: datetime = NOW, **changes: str) -> InboundCall:
    """The source's signature vector as a call; ``changes`` replace its members."""
    vector = {**load(source, "signature"), **changes}
    signature = vector["signature"]
    if "timestamp" in vector:
        signature = f"t={vector['timestamp']},v1={signature}"
    headers = {vector["header"]: signature, "Content-Type": "application/cloudevents+json"}
    if not vector["signature"]:
        del headers[vector["header"]]
    return call(vector["body"].encode(), headers, url=vector.get("url", URL), at=at)


def answered(body: Any) -> HttpResponse:
    """The vendor's 200 to a GET."""
    return HttpResponse(200, {}, json.dumps(body).encode())


def follow_up(**context: str) -> FollowUp:
    """A follow-up as ``parse`` makes it, with any context."""
    return FollowUp(HttpRequest.get("https://example.com"), "order:1", "1", context)
