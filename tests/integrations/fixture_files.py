"""Vendor payloads under tests/fixtures/<provider>/ as values of integrations.contracts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from integrations import registry
from integrations.contracts import (
    Accepted,
    Channel,
    HttpRequest,
    HttpResponse,
    InboundCall,
    Message,
    Provider,
    Receipt,
    ReceiptKind,
    Reply,
)

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"


def names(key: str, pattern: str) -> list[str]:
    """Fixture names of a provider, without suffix, sorted."""
    return sorted(path.stem for path in (FIXTURES / key).glob(f"{pattern}.json"))


def load(key: str, name: str) -> dict[str, Any]:
    """One fixture file."""
    loaded: dict[str, Any] = json.loads((FIXTURES / key / f"{name}.json").read_text())
    return loaded


def settings(key: str) -> dict[str, str]:
    """The settings of the account all fixtures of a provider belong to."""
    values: dict[str, str] = load(key, "account")["settings"]
    return values


def provider(key: str, *, base_url: str = "", **changes: str) -> Provider:
    """The provider with its fixture account, ``changes`` applied to the settings."""
    return registry.provider_class(key)({**settings(key), **changes}, base_url=base_url)


def message(key: str, name: str = "send_ok", **changes: Any) -> Message:
    """The message of a send fixture (send_ok's where the fixture has none)."""
    fields = load(key, name).get("message") or load(key, "send_ok")["message"]
    made = Message(**{**fields, "channel": Channel(fields["channel"])})
    return replace(made, **changes)


def request(fixture: Mapping[str, Any]) -> HttpRequest:
    """The exact request a fixture expects."""
    fields = dict(fixture["request"])
    return HttpRequest(**{**fields, "body": fields["body"].encode()})


def response(fixture: Mapping[str, Any]) -> HttpResponse:
    """The vendor's answer in a fixture."""
    fields = dict(fixture["reply"])
    return HttpResponse(**{**fields, "body": fields["body"].encode()})


def accepted(fixture: Mapping[str, Any]) -> Accepted:
    """The acceptance a fixture expects."""
    return Accepted(**fixture["accepted"])


def call(fixture: Mapping[str, Any]) -> InboundCall:
    """The vendor's call to us in a fixture."""
    fields = dict(fixture["call"])
    return InboundCall(
        **{
            **fields,
            "body": fields["body"].encode(),
            "received_at": datetime.fromisoformat(fields["received_at"]),
        }
    )


def forged(true_call: InboundCall, change: Mapping[str, Any]) -> InboundCall:
    """``true_call`` with the change of one "forged" entry; it always differs from the true one."""
    made = true_call
    if "replace" in change:
        old, new = change["replace"]
        body = new if old is None else made.body.decode().replace(old, new)
        made = replace(made, body=body.encode())
    if "append" in change:
        made = replace(made, body=made.body + change["append"].encode())
    if "headers" in change:
        merged = {**made.headers, **change["headers"]}
        made = replace(made, headers={k: v for k, v in merged.items() if v is not None})
    if "url" in change:
        made = replace(made, url=change["url"])
    if "later_s" in change:
        later = made.received_at + timedelta(seconds=change["later_s"])
        made = replace(made, received_at=later)
    assert made != true_call, f"the change '{change['what']}' changes nothing"
    return made


def receipts(fixture: Mapping[str, Any]) -> list[Receipt]:
    """The receipts a fixture expects."""
    return [
        Receipt(
            **{
                **fields,
                "kind": ReceiptKind(fields["kind"]),
                "vendor_time": _time(fields.get("vendor_time")),
                "up_to": _time(fields.get("up_to")),
            }
        )
        for fields in fixture["receipts"]
    ]


def replies(fixture: Mapping[str, Any]) -> list[Reply]:
    """The replies a fixture expects."""
    return [
        Reply(
            **{
                **fields,
                "channel": Channel(fields["channel"]),
                "occurred_at": _time(fields.get("occurred_at")),
            }
        )
        for fields in fixture["replies"]
    ]


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
