"""Real processes of the product, for tests that start, use and kill them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent.parent


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def get_json(url: str) -> Any:
    """GET and read JSON."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def wait_until(probe: Callable[[], T], *, timeout_s: float, what: str) -> T:
    """The first truthy result of ``probe``; fails with ``what`` after the time."""
    until = time.monotonic() + timeout_s
    while True:
        try:
            found = probe()
            if found:
                return found
        except (urllib.error.URLError, OSError, ValueError):
            pass
        if time.monotonic() > until:
            raise AssertionError(f"not within {timeout_s:.0f} s: {what}")
        time.sleep(0.1)


@dataclass
class Product:
    """One installation with ports and a var directory of its own."""

    var: Path
    env: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    sandbox_port: int = field(default_factory=free_port)
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def sandbox(self) -> str:
        return f"http://127.0.0.1:{self.sandbox_port}"

    def environment(self) -> dict[str, str]:
        """What the child processes see: none of the test run's own settings."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if name
            not in {
                "DJANGO_SETTINGS_MODULE", "DATABASE_URL", "CELERY_BROKER_URL", "PUBLIC_URL",
                "FIELD_ENCRYPTION_KEYS", "ADDRESS_PEPPERS", "DEMO", "VAR_DIR",
            }
        }  # fmt: skip
        return {
            **kept,
            "VAR_DIR": str(self.var),
            "PORT": str(self.port),
            "SANDBOX_PORT": str(self.sandbox_port),
            "PYTHONUNBUFFERED": "1",
            **self.env,
        }

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start one process of the product; its output goes to var/<n>.log."""
        self.var.mkdir(parents=True, exist_ok=True)
        with (self.var / f"{len(self.children)}.log").open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                env=self.environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.children.append(child)
        return child

    def manage(self, *arguments: str) -> str:
        """Run one management command to its end; returns what it printed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    def logs(self) -> str:
        """Everything the processes printed."""
        return "\n".join(path.read_text(errors="replace") for path in self.var.glob("*.log"))

    def messages(self, query: str = "") -> list[dict[str, Any]]:
        """What the sandbox's vendors got."""
        found: list[dict[str, Any]] = get_json(f"{self.sandbox}/_sandbox/messages?{query}")[
            "messages"
        ]
        return found

    def stop(self) -> None:
        """Interrupt every process, kill what stays, and end the embedded database."""
        for child in reversed(self.children):
            if child.poll() is None:
                child.send_signal(signal.SIGINT)
                try:
                    child.wait(timeout=15)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait(timeout=5)
        self._stop_postgres()

    def _stop_postgres(self) -> None:
        pid_file = self.var / "postgres" / "postmaster.pid"
        if not pid_file.exists():
            return
        pid = int(pid_file.read_text().split()[0])
        try:
            os.kill(pid, signal.SIGINT)
        except ProcessLookupError:
            return
        wait_until(lambda: not pid_file.exists(), timeout_s=15, what="PostgreSQL stops")
