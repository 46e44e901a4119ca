"""The streaming half of the network door: lines from a server that dribbles, stalls and leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from integrations.contracts import HttpRequest
from integrations.errors import ConfigurationError, OutcomeUnknown, TransientError
from integrations.http import HttpConfig
from integrations.http_lines import LONGEST_LINE, Lines
from tests.integrations.loopback import Call, Handler, opened, serving

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
PATIENT = HttpConfig(connect_timeout_s=1, read_timeout_s=0.1)


def chunk(content: bytes) -> bytes:
    return f"{len(content):x}\r\n".encode() + content + b"\r\n"


def reading(
    handler: Handler, use: Callable[[Lines], Awaitable[object]], *, idle_s: float = 5.0
) -> object:
    async def go() -> object:
        async with serving(handler) as server, opened(PATIENT) as http:
            request = HttpRequest.post(f"{server.origin}/events", json_body={"start": "LATEST"})
            lines = await http.open_lines(request, provider="acme", idle_s=idle_s)
            try:
                return await use(lines)
            finally:
                lines.close()
                for call in server.calls:
                    call.over.set()

    return asyncio.run(go())


async def all_of(lines: Lines) -> list[list[bytes]]:
    found = []
    while batch := await lines.next(within_s=5):
        found.append(batch)
    return found


def test_lines_come_whole_however_they_were_cut() -> None:
    async def dribble(call: Call) -> None:
        call.writer.write(HEAD)
        for piece in (b'{"a":1}\n{"b', b'":2}\r\n\n', b'{"c":3', b"}\n", b"half"):
            call.writer.write(chunk(piece))
            await call.writer.drain()
            await asyncio.sleep(0.02)
        call.writer.write(b"0\r\n\r\n")

    found = reading(dribble, all_of)
    assert isinstance(found, list)
    assert [line for batch in found for line in batch] == [b'{"a":1}', b'{"b":2}', b'{"c":3}']


def test_no_news_is_no_end_and_loses_nothing() -> None:
    async def slowly(call: Call) -> None:
        call.writer.write(HEAD + chunk(b"fir"))
        await call.writer.drain()
        await asyncio.sleep(0.15)
        call.writer.write(chunk(b"st\n"))
        await call.over.wait()

    async def use(lines: Lines) -> list[object]:
        return [await lines.next(within_s=0.05), await lines.next(within_s=2)]

    assert reading(slowly, use) == [None, [b"first"]]


def test_a_silent_connection_is_dead_after_a_while() -> None:
    async def fall_silent(call: Call) -> None:
        call.writer.write(HEAD + chunk(b"one\n"))
        await call.over.wait()

    async def use(lines: Lines) -> None:
        assert await lines.next(within_s=2) == [b"one"]
        await lines.next(within_s=5)

    with pytest.raises(OutcomeUnknown, match="the stream broke"):
        reading(fall_silent, use, idle_s=0.1)


def test_a_broken_connection_says_so() -> None:
    async def leave(call: Call) -> None:
        call.writer.write(HEAD + b"5\r\none")
        raise ConnectionError

    with pytest.raises(OutcomeUnknown, match="the stream broke"):
        reading(leave, all_of)


def test_a_line_without_an_end_is_refused() -> None:
    async def flood(call: Call) -> None:
        call.writer.write(HEAD + chunk(b"x" * (LONGEST_LINE + 1)))
        await call.over.wait()

    with pytest.raises(OutcomeUnknown, match="without an end"):
        reading(flood, all_of)


def test_status_and_cookies_without_a_body() -> None:
    async def send_round(call: Call) -> None:
        cookies = ("Set-Cookie: node=7; Path=/; HttpOnly", "Set-Cookie: b=2", "Set-Cookie: junk")
        await call.answer(b"", "307 Temporary Redirect", *cookies)

    async def use(lines: Lines) -> tuple[int, str, list[bytes] | None]:
        return lines.status, lines.cookie(), await lines.next(within_s=1)

    assert reading(send_round, use) == (307, "node=7; b=2", [])


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://127.0.0.1:1/events", TransientError),
        ("ftp://example.com/", ConfigurationError),
        ("http://10.0.0.1/events", ConfigurationError),
    ],
)
def test_what_cannot_be_opened(url: str, error: type[Exception]) -> None:
    async def go() -> None:
        async with opened(PATIENT) as http:
            request = HttpRequest("POST", url, untrusted_url="10." in url)
            await http.open_lines(request, provider="acme", idle_s=1)

    with pytest.raises((error,)):
        asyncio.run(go())
