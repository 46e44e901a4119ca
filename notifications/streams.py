"""Reading a vendor's stream of events: for vendors that call nobody, what became of a message.

One reader per account, for hours, in a process of its own: a request or a task would be cut off.
The place is stored after what stands before it was, so a killed reader repeats events instead of
losing them, and a receipt is believed once.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from consents import locks, vendor_news
from consents import services as consent_services
from integrations.contracts import HttpRequest, Provider
from integrations.errors import (
    ConfigurationError,
    IntegrationError,
    OutcomeUnknown,
    PayloadMalformed,
    TransientError,
)
from integrations.http import http_door, run
from integrations.http_lines import Lines
from notifications.models import StreamPosition
from notifications.receipts import record_receipts
from notifications.selectors import AccountView, account_by_id, provider_for, restaurant_config
from notifications.sweep import beat

logger = logging.getLogger(__name__)

#: cookies a vendor may hand out before it sends the stream
MOST_REDIRECTS = 5
#: first half of the advisory lock's key: "strm"
_LOCK = 0x7374726D


class StreamRefused(Exception):
    """This stream cannot be read: another reader has it, or the vendor will not give it."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for what, seconds."""

    #: silence after which the connection is taken for dead
    idle_s: float = 300.0
    #: news or none, the reader reports this often
    report_s: float = 10.0
    first_pause_s: float = 1.0
    longest_pause_s: float = 120.0
    #: connections in a row that brought nothing before somebody is told
    most_failures: int = 12


@dataclass(slots=True)
class _Reader:
    account: AccountView
    provider: Provider
    patience: Patience
    is_over: Callable[[], bool]
    offset: str = ""
    cookie: str = ""
    failures: int = 0
    #: events read by this reader
    read: int = 0


def follow(
    *,
    account_id: int,
    is_over: Callable[[], bool],
    patience: Patience | None = None,
    from_now: bool = False,
) -> int:
    """Read the account's stream until ``is_over``; returns how many events were read.

    ``from_now`` forgets the stored place. Raises StreamRefused, and OutcomeUnknown or
    TransientError after too many connections in a row that brought nothing.
    """
    account = account_by_id(account_id)
    if account is None:
        raise StreamRefused("there is no such account, or it is disabled")
    try:
        provider = provider_for(account)
        if provider.stream_request() is None:
            raise StreamRefused(f"{account.provider} has no stream")
    except ConfigurationError as error:
        raise StreamRefused(error.detail) from error
    reader = _Reader(account, provider, patience or Patience(), is_over)
    with locks.alone(_LOCK << 32 | account_id) as is_mine:
        if not is_mine:
            # vendors give one reader the stream
            raise StreamRefused("another process reads this account's stream")
        if not from_now:
            place = StreamPosition.objects.filter(account_id=account_id).first()
            reader.offset = place.offset if place else ""
        while not is_over():
            _read_on(reader)
    return reader.read


def _read_on(reader: _Reader) -> None:
    """One connection, from opening to its end, and the pause behind it."""
    before, started = reader.read, time.monotonic()
    problem: IntegrationError | None = None
    try:
        _connection(reader)
    except (TransientError, OutcomeUnknown) as error:
        problem = error
    is_fruitful = reader.read > before or time.monotonic() - started > reader.patience.report_s
    reader.failures = 0 if is_fruitful else reader.failures + 1
    if reader.failures > reader.patience.most_failures:
        raise problem or TransientError(reader.provider.key, detail="the stream ends at once")
    if reader.is_over():
        return
    facts = {"account_id": reader.account.id, "failures": reader.failures}
    logger.info("stream.reconnects", extra={**facts, "why": str(problem or "it ended")})
    _wait(reader, _pause_s(reader))


def _pause_s(reader: _Reader) -> float:
    """Longer with every failure, and never the same for two readers."""
    patience = reader.patience
    step = patience.first_pause_s * float(2 ** min(reader.failures, 16))
    return min(step, patience.longest_pause_s) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter


def _wait(reader: _Reader, seconds: float) -> None:
    until = time.monotonic() + seconds
    while not reader.is_over() and (left := until - time.monotonic()) > 0:
        _report(reader)
        time.sleep(min(left, reader.patience.report_s, 1.0))


def _connection(reader: _Reader) -> None:
    lines = _opened(reader)
    try:
        while not reader.is_over():
            found = run(lines.next(within_s=reader.patience.report_s))
            if found == []:
                return
            if found:
                _take(reader, found)
            _report(reader)
    finally:
        _close(lines)


def _opened(reader: _Reader) -> Lines:
    """The answer that carries events; raises StreamRefused, TransientError or OutcomeUnknown."""
    for _ in range(MOST_REDIRECTS + 1):
        request = reader.provider.stream_request(reader.offset, reader.cookie)
        assert request is not None
        lines = _open(reader, request)
        if lines.status == 200:
            return lines
        status, cookie = lines.status, lines.cookie()
        _close(lines)
        if status == 307 and cookie:
            # the same request again, with the cookie: it leads to the machine that has the stream
            reader.cookie = cookie
        elif status in (408, 429) or status >= 500:
            raise TransientError(reader.provider.key, detail=f"the stream answered HTTP {status}")
        else:
            raise StreamRefused(f"the vendor answered HTTP {status}")
    raise TransientError(reader.provider.key, detail="the stream leads round in a circle")


def _open(reader: _Reader, request: HttpRequest) -> Lines:
    try:
        return run(
            http_door().open_lines(
                request, provider=reader.provider.key, idle_s=reader.patience.idle_s
            )
        )
    except ConfigurationError as error:
        raise StreamRefused(error.detail) from error


def _close(lines: Lines) -> None:
    """On the loop the connection lives on."""

    async def go() -> None:
        lines.close()

    run(go())


def _take(reader: _Reader, lines: Sequence[bytes]) -> None:
    """Record what a batch of lines says, then its place."""
    events = []
    for line in lines:
        try:
            events.append(reader.provider.stream_event(line))
        except PayloadMalformed as problem:
            facts = {"account_id": reader.account.id, "why": str(problem)}
            logger.warning("stream.malformed", extra=facts)
    now = datetime.now(UTC)
    receipts = [receipt for event in events for receipt in event.receipts]
    if receipts:
        record_receipts(account_id=reader.account.id, receipts=receipts, received_at=now)
    for event in events:
        for value in event.gone:
            _mark_gone(reader.account, value, now)
    reader.read += len(events)
    if offset := next((e.offset for e in reversed(events) if e.offset), ""):
        reader.offset = offset
        StreamPosition.objects.update_or_create(
            account_id=reader.account.id, defaults={"offset": offset, "updated_at": now}
        )


def _mark_gone(account: AccountView, value: str, now: datetime) -> None:
    """Nobody is at an address any more: a fact about reaching it, not about consent."""
    config = restaurant_config(account.restaurant_id)
    for channel in account.address_channels:
        address = vendor_news.find_address(
            sender_group_id=config.sender_group_id, channel=channel, value=value
        )
        if address is not None:
            consent_services.mark_unreachable(address_id=address.pk, at=now)


def _report(reader: _Reader) -> None:
    """Proof of life; raises StreamRefused where the account was switched off meanwhile."""
    if account_by_id(reader.account.id) is None:
        raise StreamRefused("the account was disabled")
    name = f"{reader.account.provider}_stream_{reader.account.id}"
    beat(name, datetime.now(UTC), {"events": reader.read, "failures": reader.failures})
