"""What a manager's own workflow says about a message."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from integrations.contracts import InboundCall
from integrations.errors import PayloadMalformed, SignatureInvalid
from integrations.flow_calls import is_flow_call, read_flow_call, require_key


def call(body: bytes = b"{}", **headers: str) -> InboundCall:
    return InboundCall("POST", "https://alerts.example.com/", headers, body, datetime.now(UTC))


@pytest.mark.parametrize(
    ("word", "kind", "error"),
    [
        ("", "sent", ""),
        ("sent", "sent", ""),
        ("Delivered", "delivered", ""),
        ("read", "read", ""),
        ("clicked", "clicked", ""),
        ("failed", "failed", ""),
        ("bounced", "bounced", "unreachable"),
        ("unsubscribed", "unsubscribed", ""),
    ],
)
def test_every_word(word: str, kind: str, error: str) -> None:
    [found] = read_flow_call(call(b'{"attempt_id":"a-1","kind":"%s"}' % word.encode()))
    assert (found.kind.value, found.error, found.attempt_id) == (kind, error, "a-1")
    assert found.event_id == f"flow:a-1:{word.lower() or 'sent'}"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"attempt_id":""}',
        b'{"attempt_id":"a","kind":"eaten"}',
        b'{"kind":"sent"}',
    ],
)
def test_what_cannot_be_read_is_named(body: bytes) -> None:
    with pytest.raises(PayloadMalformed):
        read_flow_call(call(body))


def test_the_key() -> None:
    assert not is_flow_call(call())
    shown = call(**{"x-order-up-key": "a-key"})
    assert is_flow_call(shown)
    require_key(shown, "a-key")
    for key in ("", "another", "a-key-that-is-longer"):
        with pytest.raises(SignatureInvalid) as caught:
            require_key(shown, key)
        assert "a-key" not in caught.value.hint
    for given in ("", "ÄÖ\ud83c", "a-keyy"):
        with pytest.raises(SignatureInvalid):
            require_key(call(**{"x-order-up-key": given}), "a-key")
