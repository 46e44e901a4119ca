"""The processes of a benchmark run: sandbox, worker, one-process server. All end with it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def process(arguments: list[str], *, env: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a child of this interpreter; it is interrupted, then killed, at the end."""
    child = subprocess.Popen(  # noqa: S603 - our own modules
        [sys.executable, *arguments],
        env={**os.environ, **env},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL if not os.environ.get("BENCH_LOUD") else None,
        start_new_session=True,
    )
    try:
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait(timeout=10)


def wait_for(url: str, timeout_s: float = 60.0) -> None:
    """Until ``url`` answers; raises TimeoutError."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - loopback
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise TimeoutError(f"{url} did not answer within {timeout_s:.0f} s")


def redis_url() -> str:
    """A Redis on this machine, "" when there is none."""
    url = os.environ.get("CELERY_BROKER_URL", "")
    if url.startswith("redis"):
        return url
    try:
        with socket.create_connection(("127.0.0.1", 6379), timeout=0.5):
            return "redis://127.0.0.1:6379/9"
    except OSError:
        return ""
