"""What every test shares: a guard against the network, the sandbox, a restaurant that works."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from django.db import connection

from consents import selectors as consent_selectors
from integrations import http
from integrations.sandbox.server import SandboxServer
from tests.stage import Stage, build_stage


@pytest.fixture(autouse=True, scope="session")
def loopback_only() -> Iterator[None]:
    """Nothing in the tests leaves this machine; a try is an error naming the address."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not str(address[0]).startswith(
            ("127.", "::1", "localhost", "0.0.0.0")  # noqa: S104 - compared, not bound
        ):
            raise RuntimeError(f"a test tried to reach {address[0]}")
        connect(self, address)

    socket.socket.connect = guarded  # type: ignore[method-assign]
    yield
    socket.socket.connect = connect  # type: ignore[method-assign]


@pytest.fixture
def sandbox(settings: Any) -> Iterator[SandboxServer]:
    """A sandbox of its own on a free port; accounts in sandbox mode lead to it."""
    with SandboxServer() as server:
        settings.SANDBOX_URL = server.url
        http.configure(connect_timeout_s=2, read_timeout_s=3, allowed_origins=[server.url])
        yield server
        http.close()


@pytest.fixture
def stage(db: None, sandbox: SandboxServer) -> Stage:
    """A restaurant with SMS, mail and team chat accounts, default routes and a web shop."""
    return build_stage(sandbox)


def require_service(name: str, host: str, port: int) -> None:
    """Skip when a service is not there, except in CI, where it must be."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        if os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail(f"{name} must be running on {host}:{port} (REQUIRE_SERVICES=1)")
        pytest.skip(f"{name} is not running on {host}:{port}")


@pytest.fixture(autouse=True)
def emptying_the_ledger(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let a transactional test end: the ledger refuses TRUNCATE, and the packs go with it.

    Only this connection, only while the test's rows are flushed; it is closed right after.
    """
    marker = request.node.get_closest_marker("django_db")
    is_transactional = marker is not None and marker.kwargs.get("transaction")
    if not is_transactional and "transactional_db" not in request.fixturenames:
        yield
        return
    request.getfixturevalue("transactional_db")
    _restore_packs()
    yield
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")


def _restore_packs() -> None:
    from django.apps import apps

    from consents.models import PolicyPack

    if not PolicyPack.objects.exists():
        migration = import_module("consents.migrations.0003_policy_packs")
        with connection.schema_editor() as editor:
            migration.add(apps, editor)
    consent_selectors.clear_caches()
