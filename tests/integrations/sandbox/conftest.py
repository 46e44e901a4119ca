from __future__ import annotations

from collections.abc import Iterator

import pytest

from integrations.sandbox.server import SandboxServer
from tests.integrations.sandbox.calls import Client, Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer().start() as server:
        yield server


@pytest.fixture
def client(sandbox: SandboxServer, receiver: Receiver) -> Client:
    """A client of a fresh sandbox whose receipts come at once, in order."""
    client = Client(sandbox, receiver)
    client.control("POST", "settings", {"sent_after_ms": 0, "delivered_after_ms": 50})
    return client
