"""What tests of a whole order's life through one more account have in common."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from notifications.models import ProviderAccount, Route
from notifications.selectors import clear_caches
from notifications.services import register_with_sandbox
from tests.factories import make_provider_account
from tests.stage import GUEST, Stage

MAILBOX = GUEST["email"]


def connect(stage: Stage, provider: str, settings: Mapping[str, str]) -> ProviderAccount:
    """An account at ``provider`` that alone tells guests about the progress of their orders."""
    account = make_provider_account(
        stage.restaurant, provider=provider, settings=dict(settings), rate_per_s=0
    )
    register_with_sandbox([account])
    Route.objects.filter(name="Guest: progress").update(
        steps=[{"channel": account.channel, "when": "now"}]
    )
    clear_caches()
    return account


def until(is_so: Callable[[], bool], *, seconds: float = 5.0) -> None:
    """Wait for what a vendor posts back; fails when it never comes."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)
