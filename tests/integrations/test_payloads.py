"""Reading JSON nobody should send: refused with a reason, or made storable, never a crash."""

from __future__ import annotations

import pytest

from integrations import payloads
from integrations.errors import PayloadMalformed


@pytest.mark.parametrize(
    "body",
    [
        b'{"id": "\xed\xa0\x80"}',
        b'{"\xed\xb0\x80": 1}',
        b'{"id": "\xff"}',
        '{"id": "1"}'.encode("utf-16"),
        '{"id": "1"}'.encode("utf-32-le"),
    ],
    ids=["half a pair", "half a pair in a name", "no UTF-8", "UTF-16", "UTF-32"],
)
def test_only_utf_8_is_json(body: bytes) -> None:
    with pytest.raises(PayloadMalformed, match="not JSON"):
        payloads.load_json(body)


def test_a_byte_order_mark_is_no_harm() -> None:
    assert payloads.load_json(b'\xef\xbb\xbf{"id": 1}') == {"id": 1}


def test_escaped_halves_and_nul_are_taken_out() -> None:
    body = rb'{"a\u0000": ["x\ud800y", {"\uDC00": "z\u0000"}], "b": "\ud83d\ude00"}'
    assert payloads.load_json(body) == {"a": ["xy", {"": "z"}], "b": "\U0001f600"}


@pytest.mark.parametrize("depth", [600, 900, 5000])
def test_whatever_is_nested_too_deep_is_refused(depth: int) -> None:
    """Reading takes one frame a level, making it storable two: neither may run out of them."""
    with pytest.raises(PayloadMalformed, match="RecursionError"):
        payloads.load_json(_nested(depth))


def test_whatever_is_nested_a_little_is_read() -> None:
    assert payloads.load_json(_nested(100))


def _nested(depth: int) -> bytes:
    return b'{"a":' * depth + rb'"\u0000"' + b"}" * depth
