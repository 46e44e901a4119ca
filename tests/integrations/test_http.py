"""The network door against a real server on loopback that misbehaves in every way we care about."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import Any

import pytest

from integrations.contracts import HttpRequest, HttpResponse
from integrations.errors import OutcomeUnknown, TransientError
from integrations.http import MAX_BODY_BYTES, HttpConfig
from tests.integrations.loopback import (
    IMPATIENT,
    Call,
    Handler,
    Names,
    Server,
    opened,
    say_ok,
    serving,
)


def exchange(
    handler: Handler, config: HttpConfig = IMPATIENT, path: str = "/v1", **request: Any
) -> tuple[HttpResponse, Server]:
    """One POST to a server with this handler."""

    async def go() -> tuple[HttpResponse, Server]:
        async with serving(handler) as server, opened(config) as http:
            sent = HttpRequest.post(server.origin + path, form={"a": "1"}, **request)
            return await http.send(sent, provider="acme"), server

    return asyncio.run(go())


def test_sends_the_request_unchanged_and_returns_the_answer() -> None:
    response, server = exchange(say_ok, path="/v1/a%2Fb?c=%2B1&d=e%20f", headers={"X-A": "b"})
    assert (response.status, response.body) == (200, b'{"ok":true}')
    assert response.headers["x-thing"] == "Yes"
    assert response.json() == {"ok": True}
    assert server.calls[0].head.startswith(b"POST /v1/a%2Fb?c=%2B1&d=e%20f HTTP/1.1\r\n")
    assert b"X-A: b\r\n" in server.calls[0].head
    assert b"Content-Type: application/x-www-form-urlencoded\r\n" in server.calls[0].head
    assert server.calls[0].body == b"a=1"


def test_connections_are_kept_and_counted_once() -> None:
    async def go() -> tuple[int, int, dict[Any, int]]:
        async with serving(say_ok) as server, opened(IMPATIENT) as http:
            for _ in range(20):
                await http.send(HttpRequest.post(server.origin), provider="acme")
            return server.connections, len(server.calls), dict(http.counts)

    assert asyncio.run(go()) == (1, 20, {("acme", "2xx"): 20})


def test_a_connection_the_server_closed_meanwhile_is_not_used_again() -> None:
    """A POST on it would be an unknown outcome although nobody received it."""

    async def answer_and_leave(call: Call) -> None:
        await call.answer(b"{}")
        raise ConnectionError

    async def go() -> list[int]:
        async with serving(answer_and_leave) as server, opened() as http:
            statuses = []
            for _ in range(5):
                response = await http.send(HttpRequest.post(server.origin), provider="acme")
                statuses.append(response.status)
                await asyncio.gather(*server.open)  # the server has closed its side
                await asyncio.get_running_loop().run_in_executor(None, bool)  # let ours notice
            return statuses

    assert asyncio.run(go()) == [200] * 5


def test_no_cookie_is_kept() -> None:
    async def set_cookie(call: Call) -> None:
        await call.answer(b"", "200 OK", "Set-Cookie: session=1; Path=/")

    async def go() -> bytes:
        async with serving(set_cookie) as server, opened(IMPATIENT) as http:
            await http.send(HttpRequest.get(server.origin), provider="acme")
            await http.send(HttpRequest.get(server.origin), provider="acme")
            return server.calls[1].head

    assert b"cookie" not in asyncio.run(go()).lower()


@pytest.mark.parametrize("status", [200, 204, 400, 401, 404, 410, 429, 500, 502, 503])
def test_every_status_is_an_answer(status: int) -> None:
    async def answer(call: Call) -> None:
        await call.answer(b"", f"{status} Words")

    assert exchange(answer)[0].status == status


def test_no_answer_in_time_is_unknown() -> None:
    async def stay_silent(call: Call) -> None:
        await call.over.wait()

    with pytest.raises(OutcomeUnknown, match="no answer in time"):
        exchange(stay_silent)


def test_an_answer_that_drips_forever_is_cut_off() -> None:
    async def drip(call: Call) -> None:
        call.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not call.over.is_set():
            call.writer.write(b".")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(call.over.wait(), 0.05)

    with pytest.raises(OutcomeUnknown, match="no answer in time"):
        exchange(drip)


def test_a_refused_connection_is_transient() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

    async def go() -> None:
        async with opened(IMPATIENT) as http:
            try:
                await http.send(HttpRequest.post(f"http://127.0.0.1:{port}"), provider="acme")
            finally:
                assert http.counts == {("acme", "not_sent"): 1}

    with pytest.raises(TransientError, match="not connected") as caught:
        asyncio.run(go())
    assert not isinstance(caught.value, OutcomeUnknown)
    assert str(port) not in str(caught.value)


def test_a_name_without_address_is_transient() -> None:
    async def go() -> None:
        async with opened(IMPATIENT, lookup=Names({})) as http:
            request = HttpRequest.post("https://nowhere.example", untrusted_url=True)
            await http.send(request, provider="acme")

    with pytest.raises(TransientError, match="not connected"):
        asyncio.run(go())


def test_a_server_without_tls_is_transient() -> None:
    async def hang_up(call: Call) -> None:
        raise ConnectionError

    async def go() -> None:
        async with serving(hang_up) as server, opened(IMPATIENT) as http:
            url = server.origin.replace("http:", "https:")
            await http.send(HttpRequest.post(url), provider="acme")

    with pytest.raises(TransientError, match="not connected"):
        asyncio.run(go())


def test_a_handshake_that_never_ends_is_transient() -> None:
    """The TCP connection stands, but no request can have left before TLS does."""

    async def go() -> None:
        done = asyncio.Event()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await done.wait()
            writer.close()

        listener = await asyncio.start_server(accept, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        try:
            async with opened(IMPATIENT) as http:
                await http.send(HttpRequest.post(f"https://127.0.0.1:{port}"), provider="acme")
        finally:
            done.set()
            listener.close()

    with pytest.raises(TransientError, match="timed out"):
        asyncio.run(go())


def test_a_disconnect_after_the_request_is_unknown() -> None:
    async def hang_up(call: Call) -> None:
        raise ConnectionError

    with pytest.raises(OutcomeUnknown, match="ServerDisconnectedError"):
        exchange(hang_up)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "GET"])
def test_nothing_is_repeated_on_a_kept_connection_that_breaks(method: str) -> None:
    """What was read may have been done: a PUT that comments on a ticket comments twice."""

    async def answer_once(call: Call) -> None:
        if len(server_calls) > 1:
            raise ConnectionError
        await call.answer(b"{}")

    server_calls: list[Call] = []

    async def go() -> int:
        nonlocal server_calls
        async with serving(answer_once) as server, opened() as http:
            server_calls = server.calls
            await http.send(HttpRequest.post(server.origin), provider="acme")
            with pytest.raises(OutcomeUnknown):
                await http.send(HttpRequest(method, server.origin), provider="acme")
            return len(server.calls)

    assert asyncio.run(go()) == 2


def test_a_reset_after_the_request_is_unknown() -> None:
    async def reset(call: Call) -> None:
        sock = call.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        call.writer.transport.abort()

    with pytest.raises(OutcomeUnknown):
        exchange(reset)


def test_an_answer_that_is_not_http_is_unknown() -> None:
    async def speak_smtp(call: Call) -> None:
        call.writer.write(b"220 mail.example.com ESMTP\r\n\r\n")
        await call.writer.drain()
        await call.over.wait()

    with pytest.raises(OutcomeUnknown):
        exchange(speak_smtp)


def test_a_truncated_acceptance_is_unknown() -> None:
    async def break_off(call: Call) -> None:
        call.writer.write(b'HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n{"sid":')
        await call.writer.drain()
        raise ConnectionError

    with pytest.raises(OutcomeUnknown, match=r"HTTP 201 .* broke off"):
        exchange(break_off)


def test_a_truncated_refusal_is_still_a_refusal() -> None:
    async def break_off(call: Call) -> None:
        call.writer.write(b'HTTP/1.1 429 Slow\r\nContent-Length: 500\r\nRetry-After: 7\r\n\r\n{"c')
        await call.writer.drain()
        raise ConnectionError

    response, _ = exchange(break_off)
    assert (response.status, response.retry_after_s(), response.json()) == (429, 7.0, None)


@pytest.mark.parametrize("body", [b"<html><h1>Bad gateway</h1>", b"", b'{"sid": "SM', b"\xff\xfe"])
def test_bodies_that_are_not_json(body: bytes) -> None:
    async def answer(call: Call) -> None:
        await call.answer(body)

    response, _ = exchange(answer)
    assert response.body == body
    assert response.json() is None
    assert response.json_object() == {}


def test_a_redirect_is_not_followed() -> None:
    async def redirect(call: Call) -> None:
        await call.answer(b"", "302 Found", "Location: /elsewhere")

    response, server = exchange(redirect)
    assert response.status == 302
    assert len(server.calls) == 1


def test_a_five_megabyte_body_is_cut() -> None:
    async def pour(call: Call) -> None:
        with contextlib.suppress(ConnectionError):
            await call.answer(b"x" * 5_000_000)

    async def go() -> tuple[int, int]:
        async with serving(pour) as server, opened() as http:
            response = await http.send(HttpRequest.get(server.origin), provider="acme")
            await http.send(HttpRequest.get(server.origin), provider="acme")
            return len(response.body), server.connections

    assert asyncio.run(go()) == (MAX_BODY_BYTES, 2)  # a cut connection is not used again


def test_certificates_are_checked() -> None:
    """The default context stays: verification and host names on."""

    async def go() -> ssl.SSLContext:
        async with opened() as http:
            http._trusted = http._open(None)
            connector: Any = http._trusted.connector
            context = connector._get_ssl_context(TlsRequest())
            assert isinstance(context, ssl.SSLContext)
            return context

    context = asyncio.run(go())
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


class TlsRequest:
    """What aiohttp's connector asks about a request before it picks a TLS context."""

    ssl = True

    def is_ssl(self) -> bool:
        return True
