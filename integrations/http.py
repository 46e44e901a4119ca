"""The only network door: every request to a vendor leaves through :class:`Http`.

One long-lived aiohttp session per event loop keeps connections (and TLS) warm; nothing is built
per request that can be built once. No redirects, no retries, no proxies from the environment, no
cookies. What matters to the caller is whether a failed request had left this machine: before that
it is a ``TransientError`` and safe to repeat, afterwards an ``OutcomeUnknown`` and not.

Synchronous code uses ``run(coroutine)`` and ``http_door()``: one background event loop per
process, made on first use, never inherited by a forked child.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from integrations.contracts import HttpRequest, HttpResponse
from integrations.errors import ConfigurationError, OutcomeUnknown, TransientError
from integrations.http_lines import Lines
from integrations.public_addresses import is_public

#: longest answer we keep; vendors' answers are a few kB, the rest is an accident or an attack
MAX_BODY_BYTES = 1024 * 1024
#: idle connections are dropped before the usual 60-75 s of vendors' load balancers, so that a
#: POST does not meet a connection the other side is just closing
KEEPALIVE_S = 30
DNS_CACHE_S = 60

#: printable ASCII without blanks: a line break in a URL would be a second request
_SENDABLE = re.compile(r"[!-~]+")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class HttpConfig:
    """Time-outs in seconds, and origins ("http://127.0.0.1:8001") exempt from the SSRF guard."""

    connect_timeout_s: float = 5.0
    read_timeout_s: float = 15.0
    allowed_origins: frozenset[str] = frozenset()


_config = HttpConfig()


# --------------------------------------------------------------------------------------------
# SSRF guard
# --------------------------------------------------------------------------------------------


class AddressRefused(OSError):
    """A name or literal a person typed leads into a private network."""


class PinnedResolver(AbstractResolver):
    """Resolves once, refuses private answers, and the connection goes to exactly that answer.

    Checking and connecting use the same answer, so a name that resolves differently the second
    time (DNS rebinding) gains nothing. One private address among public ones refuses them all.
    """

    def __init__(self, lookup: AbstractResolver | None = None) -> None:
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of ``host``; raises AddressRefused when any of them is private."""
        if self._lookup is None:
            self._lookup = ThreadedResolver()
        answers = await self._lookup.resolve(host, port, family)
        if not answers or not all(is_public(answer["host"]) for answer in answers):
            raise AddressRefused("the name leads to a private address")
        return answers

    async def close(self) -> None:
        """Close the resolver that does the look-ups."""
        if self._lookup is not None:
            await self._lookup.close()


# --------------------------------------------------------------------------------------------
# The door
# --------------------------------------------------------------------------------------------


class Http:
    """Sends requests on the event loop it is first used in. Not shared between loops."""

    def __init__(
        self, config: HttpConfig | None = None, *, lookup: AbstractResolver | None = None
    ) -> None:
        """``lookup`` replaces the system's DNS for URLs a person typed."""
        self._config = config or _config
        self._lookup = lookup
        self._trusted: aiohttp.ClientSession | None = None
        self._guarded: aiohttp.ClientSession | None = None
        #: (provider, "2xx".."5xx" | "not_sent" | "unknown") -> requests so far
        self.counts: Counter[tuple[str, str]] = Counter()

    @property
    def allowed_origins(self) -> frozenset[str]:
        """Origins exempt from the guard against private addresses."""
        return self._config.allowed_origins

    async def send(self, request: HttpRequest, *, provider: str) -> HttpResponse:
        """One request, one answer of any status, its body cut at ``MAX_BODY_BYTES``.

        Raises TransientError (the request never left: refused, DNS, TLS, connect time-out),
        OutcomeUnknown (it left and no complete answer came) or ConfigurationError (the URL is
        no URL, or one a person typed leads into a private network).
        """
        url = _parse_url(request.url, provider)
        session = self._session(request, url, provider)
        started = time.perf_counter()
        try:
            async with session.request(
                request.method,
                url,
                data=request.body or None,
                headers=request.headers,
                allow_redirects=False,
            ) as answer:
                body = await _read_body(answer, provider)
        except aiohttp.InvalidURL:  # "127.1" and other spellings of an address
            self.counts[provider, "not_sent"] += 1
            raise _unusable(provider) from None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._classify(error, provider) from error
        except OutcomeUnknown:
            self.counts[provider, "unknown"] += 1
            raise
        self.counts[provider, f"{answer.status // 100}xx"] += 1
        return HttpResponse(
            status=answer.status,
            headers={name.lower(): value for name, value in answer.headers.items()},
            body=body,
            duration_ms=round((time.perf_counter() - started) * 1000),
        )

    async def open_lines(self, request: HttpRequest, *, provider: str, idle_s: float) -> Lines:
        """An answer without an end, read line by line; raises like ``send``.

        ``idle_s`` without a byte end it. Close what you get.
        """
        url = _parse_url(request.url, provider)
        session = self._session(request, url, provider)
        connect_s = self._config.connect_timeout_s
        try:
            answer = await session.request(
                request.method,
                url,
                data=request.body or None,
                headers=request.headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(connect=connect_s, sock_read=idle_s),
            )
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._classify(error, provider) from error
        self.counts[provider, f"{answer.status // 100}xx"] += 1
        return Lines(answer, provider)

    async def close(self) -> None:
        """Close all connections; the next ``send`` opens new ones."""
        sessions, self._trusted, self._guarded = (self._trusted, self._guarded), None, None
        for session in sessions:
            if session is not None:
                await session.close()

    def _session(self, request: HttpRequest, url: URL, provider: str) -> aiohttp.ClientSession:
        if not request.untrusted_url or str(url.origin()) in self._config.allowed_origins:
            if self._trusted is None:
                self._trusted = self._open(None)
            return self._trusted
        # the connector asks the resolver for names only, so literals are checked here
        if _is_private_literal(url.host or ""):
            self.counts[provider, "not_sent"] += 1
            raise _refusal(provider)
        if self._guarded is None:
            self._guarded = self._open(PinnedResolver(self._lookup))
        return self._guarded

    def _open(self, resolver: AbstractResolver | None) -> aiohttp.ClientSession:
        config = self._config
        connector = aiohttp.TCPConnector(
            limit=0,  # the dispatcher bounds what is in flight; a queue here would eat time-outs
            keepalive_timeout=KEEPALIVE_S,
            resolver=resolver,
            use_dns_cache=resolver is None,
            ttl_dns_cache=DNS_CACHE_S,
        )
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "OrderUp/1", "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(
                total=config.connect_timeout_s + config.read_timeout_s,
                connect=config.connect_timeout_s,
                sock_connect=config.connect_timeout_s,
                sock_read=config.read_timeout_s,
            ),
        )
        # aiohttp repeats a PUT whose kept connection broke, and to some vendors a PUT says
        # something; there is no public switch, a test sees that this one works
        session._retry_connection = False
        return session

    def _classify(self, error: Exception, provider: str) -> Exception:
        """Our error for one of aiohttp's; connect errors are the ones where nothing left.

        A total time-out is longer than the connect one, so it can only strike after connecting.
        """
        if isinstance(error, aiohttp.ClientConnectorError):
            self.counts[provider, "not_sent"] += 1
            if isinstance(error.os_error, AddressRefused):
                return _refusal(provider)
            return TransientError(provider, detail=f"not connected: {type(error).__name__}")
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            self.counts[provider, "not_sent"] += 1
            return TransientError(provider, detail="not connected: timed out")
        self.counts[provider, "unknown"] += 1
        if isinstance(error, TimeoutError):
            return OutcomeUnknown(provider, detail="no answer in time")
        return OutcomeUnknown(provider, detail=f"no usable answer: {type(error).__name__}")


@lru_cache(maxsize=1024)
def _checked_url(text: str) -> URL:
    """Raises ValueError unless ``text`` is an http(s) URL that may be sent as it is written."""
    if not _SENDABLE.fullmatch(text):
        raise ValueError("not sendable")
    # encoded=True: what the adapter wrote is what is sent (and may have been signed)
    url = URL(text, encoded=True)
    if url.scheme not in ("http", "https") or not url.host or not url.port:
        raise ValueError("not http(s)")
    url.host.encode("idna")  # what the resolver will do: labels of the right length
    return url


def _parse_url(text: str, provider: str) -> URL:
    """The URL, or ConfigurationError; the message never shows it (it may be a secret)."""
    try:
        return _checked_url(text)
    except ValueError:
        raise _unusable(provider) from None


def _is_private_literal(host: str) -> bool:
    try:
        return not is_public(host)
    except ValueError:
        return False  # a name: the resolver decides


def _unusable(provider: str) -> ConfigurationError:
    return ConfigurationError(
        provider, "the URL is not a usable http(s) address", endpoint_only=True
    )


def _refusal(provider: str) -> ConfigurationError:
    return ConfigurationError(
        provider, "the URL leads to a private or local address", endpoint_only=True
    )


async def _read_body(answer: aiohttp.ClientResponse, provider: str) -> bytes:
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in answer.content.iter_any():
            chunks.append(chunk)
            size += len(chunk)
            if size > MAX_BODY_BYTES:
                answer.close()
                break
    except aiohttp.ClientPayloadError as error:
        # a refusal that broke off is still a refusal; an acceptance that did may be anything
        if 200 <= answer.status < 300:
            raise OutcomeUnknown(
                provider, HttpResponse(answer.status), detail="the answer broke off"
            ) from error
    return b"".join(chunks)[:MAX_BODY_BYTES]


# --------------------------------------------------------------------------------------------
# One background loop per process, for synchronous callers
# --------------------------------------------------------------------------------------------


class _Door:
    """An event loop in a daemon thread, and the Http that lives on it."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.http = Http()
        self.thread = threading.Thread(target=self.loop.run_forever, name="http", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self.http.close(), self.loop).result(timeout=5)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(timeout=5)
        self.loop.close()


_door: _Door | None = None
_lock = threading.Lock()
#: loops of the parent process: kept, because finalizing one here would touch the parent's epoll
_inherited: list[_Door] = []


def configure(
    *,
    connect_timeout_s: float = 5.0,
    read_timeout_s: float = 15.0,
    allowed_origins: Iterable[str] = (),
) -> None:
    """Set time-outs and exempt origins for this process. Call it at start, before traffic."""
    global _config
    _config = HttpConfig(
        connect_timeout_s,
        read_timeout_s,
        frozenset(str(URL(origin).origin()) for origin in allowed_origins),
    )
    close()


def background_loop() -> asyncio.AbstractEventLoop:
    """This process's background event loop, for callers that keep many requests in flight."""
    return _open_door().loop


def http_door() -> Http:
    """The Http of this process's background loop; await its methods only inside ``run``."""
    return _open_door().http


def run(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run ``coroutine`` on the background loop and return its result or raise its error.

    Blocks the calling thread, which must not be the loop's own.
    """
    door = _open_door()
    if threading.current_thread() is door.thread:
        coroutine.close()
        raise RuntimeError("run() was called from the event loop it would wait for")
    future = asyncio.run_coroutine_threadsafe(coroutine, door.loop)
    try:
        return future.result()
    finally:
        future.cancel()  # does nothing when it is done; else the caller was interrupted


def close() -> None:
    """Stop the background loop and close its connections; the next use starts another."""
    global _door
    with _lock:
        door, _door = _door, None
    if door is not None:
        door.stop()


def _open_door() -> _Door:
    global _door
    door = _door
    if door is None:
        with _lock:
            door = _door = _door or _Door()
    return door


def _after_fork() -> None:
    """A child has the parent's loop object but not its thread: start anew on first use."""
    global _door, _lock
    if _door is not None:
        _inherited.append(_door)
    _door = None
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(close)
