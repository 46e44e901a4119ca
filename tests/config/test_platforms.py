"""One order on every platform: told by all, and everything that comes back is in the timeline."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from config import platforms
from integrations import http, registry
from integrations.sandbox.server import SandboxServer
from notifications import dispatch
from notifications.history import history_of
from notifications.models import Delivery, ProviderAccount
from notifications.selectors import clear_caches
from notifications.timeline import rows
from orders import follow_ups

pytestmark = pytest.mark.django_db(transaction=True)


def work() -> None:
    """What beat and the workers do, in a moment."""
    Delivery.objects.filter(state="queued").update(due_at=datetime.now(UTC) - timedelta(seconds=1))
    clear_caches()
    follow_ups.fetch_due(now=datetime.now(UTC) + timedelta(minutes=5))
    for account in ProviderAccount.objects.all():
        dispatch.dispatch_account(account_id=account.pk)
    time.sleep(0.05)


def waiting(scene: platforms.Platforms) -> int:
    """How many calls the vendors still have to make."""
    calls: int = scene.control("health", {}, method="GET")["callbacks"]["waiting"]
    return calls


def test_one_order_reaches_everybody(
    transactional_db: None, sandbox: SandboxServer, live_server: Any, settings: Any
) -> None:
    settings.SANDBOX_URL, settings.PORT = sandbox.url, live_server.thread.port
    # the server's first answer takes a while: it loads every page
    http.configure(connect_timeout_s=5, read_timeout_s=30, allowed_origins=[sandbox.url])
    scene = platforms.set_up(sandbox_url=sandbox.url, base_url=live_server.url, work=work)
    scene.live()
    # nothing may come back while the rows are being cleared away
    scene.wait(lambda: not waiting(scene), "the vendors had said everything")
    found = {key: rest for key, *rest in scene.rows()}
    assert set(found) == set(registry.PROVIDERS) - {"console"}
    for key, (told, failed, receipts, heard) in found.items():
        can = registry.provider_class(key).capabilities
        assert told >= len(platforms.STATES), (key, scene.table())
        assert failed == 0, (key, scene.table())
        assert bool(receipts) == (can.receipts or can.stream), (key, scene.table())
        # a press of Slack's button is an acknowledgement and no message
        is_chat = can.replies and key != "slack"
        assert heard == (2 if is_chat else 0), (key, scene.table())
    facts = rows(history_of(scene.order()))
    said = "\n".join(f"{row.actor} {row.fact} {row.verdict}" for row in facts)
    assert "Sam acknowledged the alert" in said
    for account in scene.accounts.values():
        assert account.name in said, account.name
