"""Whatever a verified vendor sends, the endpoint answers and the call ends as something known.

Each sample of each source is bent in every place; a fixed share of the results is posted, always
the same one, so that the run stays short and a failure can be repeated.
"""

from __future__ import annotations

import copy
import hashlib
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from orders.models import InboundCall, SourceAccount
from tests.orders.senders import SOURCES, Headers, open_account, post, recorded, samples

pytestmark = pytest.mark.django_db

#: bent bodies posted per source
POSTED = 80
REMOVED = object()
STRANGE: tuple[Any, ...] = (
    REMOVED,
    None,
    True,
    -1,
    10**400,
    "",
    "\x00\ud800",
    "x" * 5000,
    "2026-03-14T18:05:02",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59-23:59",
    [],
    {},
    [None, 1, "x", {}],
)
#: what a vendor numbers its events with: without a number of its own a bent body is a repeat, and
#: nobody reads it
NUMBERS = ("event_id", "eventId", "guid", "id", "thirdPartyReference")
NUMBERED = frozenset({"cloudevents", "lightspeed", "otter", "square", "toast", "uber_eats"})
NUMBER_HEADERS = ("X-Shopify-Event-Id", "X-Olo-Message-Id", "ce-id")
HUGE = 10 * 1024 * 1024
ODD_SIGNATURES = ("łódź-naïve", "\x80\xff", "", "=" * 5000, "t=1,v1=é")


def bent(body: Any) -> Iterator[Any]:
    """``body`` with one member at a time removed or replaced, at every depth."""
    whole = copy.deepcopy(body)
    yield from _bent_within(whole, whole)


def _bent_within(whole: Any, node: Any) -> Iterator[Any]:
    for place in list(node) if isinstance(node, dict) else range(len(node)):
        value = node[place]
        for strange in STRANGE:
            if strange is not REMOVED:
                node[place] = strange
                yield whole
            elif isinstance(node, dict):
                del node[place]
                yield whole
        node[place] = value
        if isinstance(value, dict | list):
            yield from _bent_within(whole, value)


def chosen(key: str) -> list[tuple[bytes, Headers]]:
    """``POSTED`` bent bodies of a source, spread over its samples by a hash of their bytes."""
    found: dict[str, tuple[bytes, Headers]] = {}
    for name in samples(key):
        body, headers = recorded(key, name)
        whole = json.loads(body)
        for one in bent(whole):
            raw = json.dumps(numbered(key, one, whole, len(found))).encode()
            own = {n: f"{v}-{len(found)}" if n in NUMBER_HEADERS else v for n, v in headers.items()}
            found[hashlib.sha256(raw).hexdigest()] = (raw, own)
    return [found[digest] for digest in sorted(found)[:POSTED]]


def numbered(key: str, one: Any, whole: Any, number: int) -> Any:
    """``one`` under a number of its own, unless it is the number that was bent."""
    if key not in NUMBERED or not isinstance(one, dict):
        return one
    own = {n: f"{one[n]}-{number}" for n in NUMBERS if n in one and one[n] == whole[n]}
    return {**one, **own}


def broken(body: bytes) -> list[bytes]:
    """Bodies that are no JSON, or not the kind that was meant."""
    middle = len(body) // 2
    return [
        b"",
        body[:-1],
        body[:middle],
        body[:middle] + b"\xff\xfe" + body[middle:],
        b"\xef\xbb\xbf" + body,
        b"[" * 100_000,
        b"null",
        b"[]",
        b"{}",
        b"NaN",
        b'"text"',
        b"1" * 5000,
    ]


def assert_survived(account: SourceAccount, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing failed by our own mistake, and nothing was left half done."""
    calls = InboundCall.objects.filter(account=account)
    bad = calls.filter(state__in=["failed", "received"])
    assert [(call.state, call.cause, bytes(call.body)[:2000]) for call in bad] == []
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("key", SOURCES)
def test_bent_bodies_are_survived(key: str, caplog: pytest.LogCaptureFixture) -> None:
    account = open_account(key)
    bodies = chosen(key)
    statuses = {post(account, body, headers).status_code for body, headers in bodies}
    assert len(bodies) > POSTED / 2
    # they were read, and not taken for repeats
    read = InboundCall.objects.filter(account=account).count()
    assert read > (POSTED / 2 if key in NUMBERED else 10)
    assert statuses & {200, 202}
    assert not {status for status in statuses if status >= 500}
    assert_survived(account, caplog)


@pytest.mark.parametrize("key", SOURCES)
def test_broken_bodies_are_survived(key: str, caplog: pytest.LogCaptureFixture) -> None:
    account = open_account(key)
    body, headers = recorded(key, samples(key)[0])
    for raw in broken(body):
        assert post(account, raw, headers).status_code < 500
    assert_survived(account, caplog)


@pytest.mark.parametrize("key", SOURCES)
def test_a_body_of_ten_megabytes_is_refused_unread(key: str) -> None:
    account = open_account(key)
    _, headers = recorded(key, samples(key)[0])
    assert post(account, b" " * HUGE, headers).status_code == 413
    assert not InboundCall.objects.filter(account=account).exists()


@pytest.mark.parametrize("key", SOURCES)
def test_a_repeated_delivery_is_one_call(key: str) -> None:
    account = open_account(key)
    for name in samples(key):
        body, headers = recorded(key, name)
        first = post(account, body, headers)
        stored = InboundCall.objects.filter(account=account).count()
        second = post(account, body, headers)
        assert first.status_code < 500
        assert second.status_code < 500
        assert InboundCall.objects.filter(account=account).count() == stored


@pytest.mark.parametrize("key", SOURCES)
def test_the_signature_of_another_account_proves_nothing(key: str) -> None:
    mine, other = open_account(key, 1), open_account(key, 2)
    for name in samples(key):
        assert post(mine, *recorded(key, name), as_account=other).status_code in (200, 401)
    assert not InboundCall.objects.filter(account=mine).exists()


@pytest.mark.parametrize("key", SOURCES)
@pytest.mark.parametrize("odd", ODD_SIGNATURES, ids=["words", "bytes", "none", "long", "accent"])
def test_an_odd_signature_is_refused(key: str, odd: str, caplog: pytest.LogCaptureFixture) -> None:
    account = open_account(key)
    name = samples(key)[-1]
    assert post(account, *recorded(key, name), signature=odd).status_code == 401
    assert_survived(account, caplog)
    assert not InboundCall.objects.filter(account=account).exists()
