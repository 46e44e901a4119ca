"""The REST account's webhook address never takes anything: the API reads REST updates."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from integrations.contracts import InboundCall
from integrations.errors import SignatureInvalid
from integrations.sources.rest import Rest

FIXTURE = Path(__file__).parents[2] / "fixtures" / "rest" / "create_order.json"


@pytest.fixture
def call() -> InboundCall:
    body = json.dumps(json.loads(FIXTURE.read_text())["body"]).encode()
    url = "https://alerts.example.com/hooks/orders/token/"
    return InboundCall("POST", url, {}, body, datetime(2026, 3, 14, tzinfo=UTC))


def test_every_call_is_refused_with_the_way_out(call: InboundCall) -> None:
    with pytest.raises(SignatureInvalid, match="/api/v1/orders"):
        Rest({}).verify(call)
    with pytest.raises(SignatureInvalid):
        Rest({}).parse(call)


def test_the_event_key_depends_on_the_body_alone(call: InboundCall) -> None:
    assert Rest({}).event_key(call) == Rest({}).event_key(call)
    assert len(Rest({}).event_key(call)) == 64
