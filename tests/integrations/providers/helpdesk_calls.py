"""A server that answers what a test scripts, for providers that may ask twice."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from integrations.contracts import HttpResponse
from integrations.errors import ConfigurationError, IntegrationError
from integrations.http import Http, HttpConfig
from tests.integrations import fixture_files as files


def answer(status: int, body: object = None, **headers: str) -> HttpResponse:
    """A vendor's answer; a header's name with _ for -."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status, named, b"" if body is None else json.dumps(body).encode())


def send(
    key: str, answers: list[HttpResponse | None], **changes: Any
) -> tuple[Any, list[dict[str, Any]]]:
    """Send the fixture's message to a server that gives ``answers`` (None: silence) one by one.

    Returns the acceptance or error, and what the server saw.
    """
    seen: list[dict[str, Any]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                lines = [line.partition(": ") for line in head.split("\r\n")[1:] if line]
                headers = {name.lower(): value for name, _, value in lines}
                raw = await reader.readexactly(int(headers.get("content-length", 0)))
                method, path = head.split()[:2]
                seen.append(
                    {"line": f"{method} {path}", "headers": headers, "body": json.loads(raw)}
                )
                said = answers[len(seen) - 1]
                if said is None:
                    await asyncio.Event().wait()
                    continue
                extra = "".join(f"{name}: {value}\r\n" for name, value in said.headers.items())
                length = f"Content-Length: {len(said.body)}\r\n"
                writer.write(
                    f"HTTP/1.1 {said.status} x\r\n{extra}{length}\r\n".encode() + said.body
                )
        except (asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.close()

    async def go() -> Any:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        http = Http(HttpConfig(1.0, 0.2, frozenset({origin})))
        try:
            provider = files.provider(key, base_url=origin)
            return await provider.send(files.message(key, **changes), http)
        except (IntegrationError, ConfigurationError) as error:
            return error
        finally:
            await http.close()
            server.close()

    return asyncio.run(go()), seen
