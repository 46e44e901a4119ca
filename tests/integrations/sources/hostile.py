"""What every source must survive, whoever sends it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from integrations.contracts import FollowUp, OrderUpdate, Source
from integrations.errors import EventIgnored, PayloadMalformed, SignatureInvalid
from tests.integrations.sources.mutations import bent, survive
from tests.integrations.sources.payload_files import body_of, call

#: bodies that are no JSON object at all
UNREADABLE = (
    b"",
    b'{"a": [1, 2',
    b"\xff\xfe{}",
    b'{"a": "\xc3"}',
    b"[]",
    b"null",
    b"NaN",
    b"<html></html>",
    b"[" * 200_000,
    b'{"a":' * 600 + b"1" + b"}" * 600,
)
#: header values that prove nothing
FORGED = ("", " ", "0" * 64, "A" * 44 + "=", "Bearer", "łódź-naïve", "\udcff\udcfe", "x" * 100_000)


def reader(source: Source) -> Callable[[bytes], Sequence[OrderUpdate | FollowUp]]:
    """Everything intake does with a body: the stored bytes must read like the raw ones."""

    def read(body: bytes) -> Sequence[OrderUpdate | FollowUp]:
        received = call(body)
        stored = call(source.body_to_store(received))
        assert 0 < len(source.event_key(received)) <= 370
        source.fingerprint(received)
        found = source.parse(received)
        assert source.parse(stored) == found
        return found

    return read


def survive_bending(source: Source, samples: Iterable[str]) -> int:
    """Each sample bent in every place; the number of bodies that still meant something."""
    read = reader(source)
    return sum(survive(bent(body_of(source.key, name)), read) for name in samples)


def refuses(source: Source, body: bytes) -> None:
    """``body`` is refused in the one way intake understands."""
    received = call(body)
    assert source.event_key(received)
    assert source.body_to_store(received) == body
    source.fingerprint(received)
    with pytest.raises((PayloadMalformed, EventIgnored)):
        source.parse(received)


def disbelieves(source: Source, headers: dict[str, str], secret: str, body: Any = b"{}") -> None:
    """A call with ``headers`` is refused, and the hint gives no secret away."""
    with pytest.raises(SignatureInvalid) as refusal:
        source.verify(call(body, headers))
    assert refusal.value.hint
    assert secret not in refusal.value.hint
