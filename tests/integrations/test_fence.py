"""The fence: what other people's code may do inside it, and that it ends where it ends."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from integrations.fence import Refused, fenced

PRIVATE = "the URL leads to a private or local address"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "0.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00::1", "localhost", "a.b"],
)
@pytest.mark.parametrize("event", ["socket.connect", "socket.sendto", "socket.sendmsg"])
def test_private_addresses_are_not_reached(event: str, host: str) -> None:
    """Names too: whoever resolves them behind our back could go anywhere."""
    with fenced() as fence, pytest.raises(Refused, match="private"):
        sys.audit(event, None, (host, 443))
    assert fence.refused == [PRIVATE]


@pytest.mark.parametrize("host", ["1.1.1.1", "2606:4700::1111"])
def test_public_addresses_are_reached(host: str) -> None:
    with fenced() as fence:
        sys.audit("socket.connect", None, (host, 443))
    assert fence.refused == []


def test_a_name_that_leads_home_is_judged_by_its_address(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer that was checked is the one that is used: there is no second question."""
    port = listener.getsockname()[1]
    home = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [home])
    with fenced() as fence, pytest.raises(OSError, match="private"):
        urllib.request.urlopen(f"http://chat.example.com:{port}/", timeout=1)
    assert fence.refused == [PRIVATE]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_an_exempt_origin_is_reached(listener: socket.socket, host: str) -> None:
    port = listener.getsockname()[1]
    with fenced([f"http://{host}:{port}"]) as fence:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        with pytest.raises(Refused):
            socket.create_connection(("127.0.0.1", port + 1), timeout=1)
    assert fence.refused == [PRIVATE]


def _unix() -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.connect("/run/dbus/system_bus_socket")


def _datagram() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"<13>hello", ("127.0.0.1", 514))


def _bind() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))


@pytest.mark.parametrize(
    "deed",
    [
        lambda: subprocess.run(["true"], check=False),
        lambda: sys.audit("os.system", b"true"),
        lambda: sys.audit("os.exec", "/bin/true", ["true"], None),
        lambda: sys.audit("os.fork"),
        lambda: sys.audit("syslog.syslog", 6, "hello"),
        lambda: ctypes.CDLL("libc.so.6"),
        lambda: Path("/etc/passwd").read_text(),
        lambda: os.open("/etc/hostname", os.O_RDONLY),
        lambda: Path(sys.prefix, "new.txt").write_text("x"),
        lambda: Path(tempfile.gettempdir(), "new.txt").write_bytes(b"x"),
        lambda: tempfile.mkstemp(),
        lambda: os.remove("/nowhere"),
        lambda: os.mkdir("/nowhere"),
        lambda: os.listdir("/"),
        _unix,
        _datagram,
        _bind,
    ],
)
def test_this_machine_is_not_used(deed: Callable[[], Any]) -> None:
    with fenced() as fence, pytest.raises(Refused):
        deed()
    assert len(fence.refused) == 1


def test_modules_and_zones_may_be_read() -> None:
    with fenced() as fence:
        assert Path(os.__file__).read_text()
        import zoneinfo

        assert zoneinfo.ZoneInfo.no_cache("America/New_York")
    assert fence.refused == []


def test_outside_the_fence_nothing_is_refused(listener: socket.socket, tmp_path: Path) -> None:
    port = listener.getsockname()[1]
    with fenced():
        pass
    socket.create_connection(("127.0.0.1", port), timeout=1).close()
    (tmp_path / "x").write_text("x")


def test_other_threads_are_free(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    reached: list[bool] = []

    def connect() -> None:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        reached.append(True)

    with fenced():
        thread = threading.Thread(target=connect)
        thread.start()
        thread.join()
    assert reached == [True]
