"""One background event loop per process, for synchronous callers."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator

import pytest

from integrations import http as door
from integrations.contracts import HttpRequest
from integrations.errors import OutcomeUnknown
from tests.integrations.loopback import Server, say_ok


@pytest.fixture
def own_door() -> Iterator[None]:
    door.configure()
    yield
    door.configure()


class LoopServer:
    """A server on the background loop, so that synchronous code can talk to it."""

    def __init__(self) -> None:
        self.server = Server(say_ok)

    async def start(self) -> str:
        self.listener = await asyncio.start_server(self.server.serve, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self.listener.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        self.listener.close()
        await self.server.stop()


@pytest.mark.usefixtures("own_door")
def test_run_serves_many_threads_on_one_loop() -> None:
    running = LoopServer()
    origin = door.run(running.start())
    seen: list[int] = []

    def send() -> None:
        answer = door.run(door.http_door().send(HttpRequest.post(origin), provider="acme"))
        seen.append(answer.status)

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [200] * 8
    assert door.http_door() is door.http_door()
    door.run(running.stop())


@pytest.mark.usefixtures("own_door")
def test_run_hands_on_the_error() -> None:
    async def fail() -> None:
        raise OutcomeUnknown("acme")

    with pytest.raises(OutcomeUnknown):
        door.run(fail())


@pytest.mark.usefixtures("own_door")
def test_run_inside_the_loop_is_refused_instead_of_waiting_for_itself() -> None:
    async def nested() -> None:
        door.run(asyncio.sleep(0))

    with pytest.raises(RuntimeError, match="event loop"):
        door.run(nested())


@pytest.mark.usefixtures("own_door")
def test_configure_reaches_the_door() -> None:
    door.configure(read_timeout_s=0.2, allowed_origins=["http://127.0.0.1:8001/ignored/path"])
    assert door.http_door()._config.allowed_origins == {"http://127.0.0.1:8001"}
    assert door.http_door()._config.read_timeout_s == 0.2


@pytest.mark.usefixtures("own_door")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_a_forked_child_gets_a_loop_of_its_own() -> None:
    running = LoopServer()
    origin = door.run(running.start())
    request = HttpRequest.post(origin)
    door.run(door.http_door().send(request, provider="acme"))
    child = os.fork()
    if child == 0:  # no assertion may escape into pytest from here
        try:
            answer = door.run(door.http_door().send(request, provider="acme"))
            os._exit(0 if answer.status == 200 else 1)
        except BaseException:  # noqa: BLE001
            os._exit(2)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert door.run(door.http_door().send(request, provider="acme")).status == 200
    assert running.server.connections == 2  # the parent's connection is still the parent's
    door.run(running.stop())
