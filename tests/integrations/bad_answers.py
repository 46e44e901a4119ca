"""What vendors answer when something is wrong, byte for byte; test_bad_answers.py sends it."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from contextlib import suppress

from tests.integrations.loopback import Call, Handler

#: an order of a shop that waits to be told that its goods have left
_ORDER = {
    "id": "gid://shopify/Order/450789469",
    "fulfillmentOrders": {
        "nodes": [
            {
                "id": "gid://shopify/FulfillmentOrder/1",
                "status": "OPEN",
                "deliveryMethod": {"methodType": "LOCAL"},
            }
        ]
    },
    "fulfillments": [],
}
_HTML = b"<!doctype html><title>Sorry</title><h1>Something went wrong</h1>"
_FIVE_MB = 5_000_000

#: 200 with an error inside, in the ways vendors have of saying it
ERRORS_INSIDE: Mapping[str, object] = {
    "error_word": {"error": "invalid_request", "message": "no"},
    "error_object": {"error": {"message": "Something went wrong"}},
    "errors_list": {"errors": [{"status": 500, "title": "Something went wrong"}]},
    "errors_in_data": {"data": None, "errors": [{"message": "Throttled"}]},
    "not_ok": {"ok": False, "error_code": 400, "description": "Bad Request"},
    "status_word": {"status": "error", "code": 21_211, "message": "no"},
    "null_id": {"id": None, "sid": None, "name": None, "messages": [], "message_uuid": []},
    "other_kinds": {"id": {}, "sid": [], "name": {}, "messages": "x", "ok": "yes", "ticket": "x"},
}


def page(status: str, body: bytes = b"", *headers: str) -> Handler:
    """Answers every request with this, complete and correct HTTP."""

    async def answer(call: Call) -> None:
        with suppress(ConnectionError):  # a long body is not read to its end
            await call.answer(body, status, *headers)

    return answer


def cut_off(status: str, body: bytes) -> Handler:
    """The head promises more than comes."""

    async def answer(call: Call) -> None:
        call.writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 500\r\n\r\n".encode() + body)
        await call.writer.drain()
        raise ConnectionError

    return answer


async def hang_up(call: Call) -> None:
    raise ConnectionError


async def reset(call: Call) -> None:
    sock = call.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    call.writer.transport.abort()


async def stay_silent(call: Call) -> None:
    await call.over.wait()


async def speak_smtp(call: Call) -> None:
    call.writer.write(b"220 mail.example.com ESMTP\r\n\r\n")
    await call.writer.drain()
    await call.over.wait()


def up_to_the_message(handler: Handler) -> Handler:
    """``handler`` for the message itself; what is asked before gets a good answer."""

    async def answer(call: Call) -> None:
        before = answer_before(call)
        if before is None:
            await handler(call)
        else:
            await call.answer(
                json.dumps(before).encode(), "200 OK", "Content-Type: application/json"
            )

    return answer


def from_the_start(handler: Handler) -> Handler:
    """``handler`` for everything."""
    return handler


def answer_before(call: Call) -> object:
    """The answer to what a provider asks before it tells; None = this is the message."""
    path = call.head.split(b" ", 2)[1].partition(b"?")[0]
    if path.endswith((b"/token", b"/tokens")):
        return {"access_token": "t0ken", "expires_in": 3600}
    if path.endswith(b"/graphql.json") and b"mutation" not in call.body:
        return {"data": {"order": _ORDER}}
    return None


#: bodies under a vendor's own status for "taken" that are not its word
UNREADABLE: Mapping[str, bytes] = {
    "html": _HTML,
    "empty": b"",
    "words": b"ok, thanks",
    "half_json": b'{"id": "<2026',
    "null": b"null",
    "list": b"[]",
    "number": b"7",
    "not_utf8": b"\xff\xfe\x00",
    "deep": b"[" * 100_000,
    "five_mb": b" " * _FIVE_MB,
    "five_mb_html": b"<" * _FIVE_MB,
    **{name: json.dumps(body).encode() for name, body in ERRORS_INSIDE.items()},
}

#: what tells nothing: it left, and what became of it is not known
UNKNOWN: Mapping[str, Handler] = {
    "silent": stay_silent,
    "hung_up": hang_up,
    "reset": reset,
    "no_http": speak_smtp,
    "cut_off": cut_off("200 OK", b'{"id":"1'),
}

#: a no that the page of some machine in between says, with its status
REFUSED: Mapping[str, tuple[int, Handler]] = {
    **{
        f"{status}_html": (status, page(f"{status} Sorry", _HTML, "Content-Type: text/html"))
        for status in (400, 401, 403, 404, 500, 502, 503, 504)
    },
    "500_five_mb": (500, page("500 Sorry", b"x" * _FIVE_MB)),
    "503_cut_off": (503, cut_off("503 Sorry", b'{"err')),
    **{
        f"{status}_redirect": (status, page(f"{status} Elsewhere", b"", "Location: /elsewhere"))
        for status in (301, 302, 303, 307, 308)
    },
}

#: Retry-After of a 429 -> the seconds it asks for; None = nothing usable
WAITS: Mapping[str, float | None] = {
    "-5": None,
    "9999999999": 3600.0,
    "1e400": 3600.0,
    "nan": None,
    "soon": None,
    "": None,
    "12": 12.0,
    "0": 0.0,
    "Sat, 14 Mar 2026 22:42:25 GMT": 20.0,
    "Saturday, 14-Mar-26 22:42:25 GMT": 20.0,
    "Fri, 31 Dec 9999 23:59:59 GMT": 3600.0,
    "Thu, 01 Jan 1970 00:00:00 GMT": None,
    "9999-12-31": None,
    "Fri, 99 Foo 9999 99:99:99 GMT": None,
}
DATE = "Sat, 14 Mar 2026 22:42:05 GMT"


def throttled(retry_after: str) -> Handler:
    """A 429 of a machine that does not know the vendor's codes."""
    return page("429 Slow down", b"", f"Retry-After: {retry_after}", f"Date: {DATE}")
