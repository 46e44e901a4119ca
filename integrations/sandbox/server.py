"""The sandbox server: every vendor's stand-in behind one loopback port.

Vendors live below ``/{vendor key}``, their controls below ``/_sandbox``, the message wall is
``/``. Latency and faults are applied here, around every vendor route, so that no vendor file
has to think of them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from aiohttp import web

from integrations.sandbox.callbacks import Callbacks
from integrations.sandbox.control import Control
from integrations.sandbox.faults import Fault
from integrations.sandbox.state import SandboxState
from integrations.sandbox.vendors import VENDORS
from integrations.sandbox.vendors.base import Handler, SandboxVendor
from integrations.sandbox.wall import wall_routes

#: a text is small, a mail with pictures is not
MAX_BODY_BYTES = 25 * 1024 * 1024
_PROXY_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


def create_app(state: SandboxState | None = None) -> web.Application:
    """The application with all vendors, its controls and the message wall."""
    state = state or SandboxState()
    callbacks = Callbacks()
    vendors = {vendor.key: vendor(state, callbacks) for vendor in VENDORS}
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    for vendor in vendors.values():
        for route in vendor.routes():
            handler = _misbehaving(state, vendor, route.handler)
            # not add_get: a HEAD route nobody asked for would come with it
            app.router.add_route(route.method, f"/{vendor.key}{route.path}", handler)
        for route in vendor.control_routes():
            app.router.add_route(route.method, f"/_sandbox/{vendor.key}{route.path}", route.handler)
    app.add_routes(Control(state, callbacks, vendors).routes())
    app.add_routes(wall_routes(state, vendors))

    async def outgoing(_: web.Application) -> AsyncIterator[None]:
        await callbacks.start()
        yield
        await callbacks.stop()

    app.cleanup_ctx.append(outgoing)
    return app


def _misbehaving(state: SandboxState, vendor: SandboxVendor, handler: Handler) -> Handler:
    """``handler`` behind the sandbox's latency and fault plan."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if state.settings.latency_ms:
            await asyncio.sleep(state.settings.latency_ms / 1000)
        if not len(state.faults):
            return await handler(request)
        fault = state.faults.for_request(vendor.key)
        if fault is None:
            return await handler(request)
        state.version += 1
        return await _go_wrong(fault, vendor, handler, request)

    return handle


async def _go_wrong(
    fault: Fault, vendor: SandboxVendor, handler: Handler, request: web.Request
) -> web.StreamResponse:
    if fault.kind.isdecimal():
        return vendor.refusal(int(fault.kind), fault.retry_after_s)
    if fault.kind == "html":
        return web.Response(body=_PROXY_PAGE, status=fault.status, content_type="text/html")
    if fault.delay_ms:
        await asyncio.sleep(fault.delay_ms / 1000)
    if fault.kind == "slow":
        return await handler(request)
    # what is left are the ways of not answering; only one of them accepts first
    response: web.StreamResponse = web.Response()
    if fault.kind == "drop_after_accept":
        response = await handler(request)
    if request.transport is not None:
        request.transport.abort()
    return response


class SandboxServer:
    """The sandbox in a daemon thread with an event loop of its own.

    ``start`` returns when the port is open; ``stop`` when it is closed and the thread is gone.
    """

    def __init__(self, *, host: str = "127.0.0.1") -> None:
        self.host = host
        self.port = 0
        self.state = SandboxState()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Base URL, without a trailing slash."""
        return f"http://{self.host}:{self.port}"

    def start(self, port: int = 0) -> SandboxServer:
        """Listen on ``port`` (0 = any free one). Raises OSError when it is taken."""
        loop = asyncio.new_event_loop()
        self._loop = loop
        self._thread = threading.Thread(target=self._run, args=(loop,), name="sandbox", daemon=True)
        self._thread.start()
        try:
            self._call(self._open(port))
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Close the port and end the thread. Safe to call twice."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        self._call(self._close())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        self._loop = self._thread = None

    def on_loop(self, action: Callable[[SandboxState], Any]) -> Any:
        """Run ``action`` on the server's own loop, where its state may be touched."""

        async def act() -> Any:
            return action(self.state)

        return self._call(act())

    def __enter__(self) -> SandboxServer:
        return self if self._loop is not None else self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        loop.run_forever()

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        assert self._loop is not None, "the sandbox is not running"
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _open(self, port: int) -> None:
        self._runner = await open_runner(create_app(self.state), self.host, port)
        self.port = self._runner.addresses[0][1]

    async def _close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        # answers without an end whose reader has gone belong to no connection any more
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)


async def open_runner(app: web.Application, host: str, port: int) -> web.AppRunner:
    """Serve ``app``; requests that hang on purpose are cut off at once when it closes."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=1024).start()
    except OSError:
        await runner.cleanup()
        raise
    return runner


async def _serve(host: str, port: int) -> None:
    runner = await open_runner(create_app(), host, port)
    address = runner.addresses[0]
    print(f"Sandbox: http://{address[0]}:{address[1]}/", flush=True)  # noqa: T201 - a command
    try:
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def main(arguments: list[str] | None = None) -> None:
    """``python -m integrations.sandbox [--host H] [--port N]``: serve until interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m integrations.sandbox", description="A stand-in for every vendor."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8001)
    options = parser.parse_args(arguments)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(options.host, options.port))
