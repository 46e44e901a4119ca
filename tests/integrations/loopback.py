"""A real HTTP server on loopback that tests answer by hand, and a DNS they control."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from integrations.http import Http, HttpConfig

Handler = Callable[["Call"], Awaitable[None]]


class Call:
    """One request as it reached the server; the handler answers by hand, byte by byte."""

    def __init__(self, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
        self.head, self.body, self.writer = head, body, writer
        self.over = asyncio.Event()

    async def answer(self, body: bytes, status: str = "200 OK", *headers: str) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
        self.writer.write("\r\n".join(lines).encode() + body)
        await self.writer.drain()


class Server:
    """A loopback HTTP server that counts connections and remembers requests."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.calls: list[Call] = []
        self.connections = 0
        self.origin = ""
        self.open: dict[Any, asyncio.StreamWriter] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open[asyncio.current_task()] = writer
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = 0
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        length = int(line.partition(b":")[2])
                call = Call(head, await reader.readexactly(length), writer)
                self.calls.append(call)
                await self.handler(call)
        writer.close()

    async def stop(self) -> None:
        """Close every connection and wait until its handler is through."""
        for call in self.calls:
            call.over.set()
        for writer in self.open.values():
            writer.close()
        await asyncio.gather(*self.open)


@contextlib.asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[Server]:
    server = Server(handler)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.origin = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listener.close()
        await server.stop()


@contextlib.asynccontextmanager
async def opened(*args: Any, **kwargs: Any) -> AsyncIterator[Http]:
    http = Http(*args, **kwargs)
    try:
        yield http
    finally:
        await http.close()


IMPATIENT = HttpConfig(connect_timeout_s=0.5, read_timeout_s=0.2)


async def say_ok(call: Call) -> None:
    await call.answer(b'{"ok":true}', "200 OK", "X-Thing: Yes")


class Names(AbstractResolver):
    """A DNS whose answers change from one question to the next; the last one stays."""

    def __init__(self, answers: dict[str, list[list[str]]]) -> None:
        self.answers = answers
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        if host not in self.answers:
            raise OSError("no such name")
        queue = self.answers[host]
        addresses = queue.pop(0) if len(queue) > 1 else queue[0]
        return [
            ResolveResult(hostname=host, host=a, port=port, family=family, proto=0, flags=0)
            for a in addresses
        ]

    async def close(self) -> None:
        """Nothing to close."""
