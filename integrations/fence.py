"""A fence around other people's code that opens its own connections.

A library that sends by itself does not pass our network door, so what it does is watched where
Python reports it (PEP 578): every connection is judged by the address it really goes to, which no
second DNS answer can change, and nothing is started, written or read on this machine. What is
refused fails inside the library like a network that is not there.
"""

from __future__ import annotations

import mimetypes
import os
import socket
import sys
import zoneinfo
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from integrations.public_addresses import is_public

#: what starts programs, listens, or changes files
_FORBIDDEN = frozenset(
    {
        "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork",
        "os.forkpty", "os.startfile", "pty.spawn", "socket.bind", "ctypes.dlopen", "syslog.syslog",
        "syslog.openlog", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link",
        "os.symlink", "os.chmod", "os.chown", "os.truncate", "shutil.rmtree", "shutil.copyfile",
        "shutil.move", "tempfile.mkstemp", "tempfile.mkdtemp", "os.listdir", "os.scandir",
    }
)  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC


class Refused(OSError):
    """What the fence does not let through."""


@dataclass(slots=True)
class Fence:
    """One stretch of fenced code, and what it was refused, in words without addresses."""

    allowed: frozenset[tuple[str, int]]
    refused: list[str] = field(default_factory=list)

    def refuse(self, why: str) -> None:
        """Note ``why`` and raise."""
        self.refused.append(why)
        raise Refused(why)


_fence: ContextVar[Fence | None] = ContextVar("fence", default=None)
_is_watching = False


@contextmanager
def fenced(allowed_origins: Iterable[str] = ()) -> Iterator[Fence]:
    """Fence what runs inside, in this thread; ``allowed_origins`` are exempt.

    An origin is a scheme, a host and perhaps a port: "http://127.0.0.1:8001". Raises OSError
    when one cannot be resolved.
    """
    _watch()
    fence = Fence(frozenset(place for origin in allowed_origins for place in _places(origin)))
    token = _fence.set(fence)
    try:
        yield fence
    finally:
        _fence.reset(token)


def _places(origin: str) -> Iterator[tuple[str, int]]:
    parts = urlsplit(origin)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    for found in socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM):
        yield str(found[4][0]), port


def _watch() -> None:
    """Once a process: such a hook cannot be taken away again, and does nothing outside a fence."""
    global _is_watching
    if not _is_watching:
        _is_watching = True
        sys.addaudithook(_hook)


def _hook(event: str, args: tuple[Any, ...]) -> None:
    fence = _fence.get()
    if fence is None:
        return
    if event in _FORBIDDEN:
        fence.refuse(f"it would use this machine ({event})")
    check = _CHECKS.get(event)
    if check is not None:
        check(fence, args)


def _connection(fence: Fence, args: tuple[Any, ...]) -> None:
    address = args[1]
    if not isinstance(address, tuple) or len(address) < 2:
        fence.refuse("it would talk to this machine")
    host, port = str(address[0]), address[1]
    if (host, port) in fence.allowed:
        return
    try:
        is_fine = is_public(host)
    except ValueError:  # a name: whoever resolves it behind our back could go anywhere
        is_fine = False
    if not is_fine:
        fence.refuse("the URL leads to a private or local address")


def _opening(fence: Fence, args: tuple[Any, ...]) -> None:
    path, mode, flags = args[0], args[1], args[2]
    if isinstance(path, int):
        return  # something open already
    is_writing = any(c in str(mode or "r") for c in "wax+") or (flags or 0) & _WRITING
    name = os.path.realpath(os.fsdecode(path))
    if is_writing or not name.startswith(_readable()):
        fence.refuse("it would use files of this machine")


@cache
def _readable() -> tuple[str, ...]:
    """Where modules and the facts of the standard library are."""
    roots = {sys.prefix, sys.base_prefix, sys.exec_prefix, *zoneinfo.TZPATH}
    code = {os.path.join(os.path.realpath(root), "") for root in roots}
    return (*sorted(code), *map(os.path.realpath, mimetypes.knownfiles))


_CHECKS: dict[str, Callable[[Fence, tuple[Any, ...]], None]] = {
    "socket.connect": _connection,
    "socket.sendto": _connection,
    "socket.sendmsg": _connection,
    "open": _opening,
}
