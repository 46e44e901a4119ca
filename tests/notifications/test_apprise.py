"""The staff are told through a service of the apprise library, once, in order."""

from __future__ import annotations

import pytest

from integrations.errors import ConfigurationError
from notifications.models import Delivery, ProviderAccount
from notifications.selectors import clear_caches
from notifications.services import register_with_sandbox, save_account, test_account
from tests.factories import make_provider_account
from tests.integrations import fixture_files as files
from tests.stage import Stage


def chat(stage: Stage, url: str = "") -> ProviderAccount:
    """The team's chat."""
    account = make_provider_account(
        stage.restaurant,
        provider="apprise",
        settings={"service_url": url or files.settings("apprise")["service_url"]},
        rate_per_s=0,
    )
    register_with_sandbox([account])
    clear_caches()
    return account


def test_a_whole_order(stage: Stage) -> None:
    account = chat(stage)
    stage.open()
    stage.settle_and_send()
    for state in ("preparing", "ready", "cancelled"):
        stage.post(state=state)
        stage.settle_and_send()
    told = stage.messages("apprise", order="1042")
    assert [message["extra"]["type"] for message in told] == ["info", "success", "warning"]
    assert "cancelled" in told[-1]["text"]
    deliveries = Delivery.objects.filter(account=account)
    assert {one.state for one in deliveries} == {"accepted"}
    attempts = {str(one.attempt) for one in deliveries}
    assert {message["attempt"] for message in told} == attempts


@pytest.mark.parametrize(("status", "state"), [(429, "queued"), (500, "queued"), (400, "failed")])
def test_what_becomes_of_a_no(stage: Stage, status: int, state: str) -> None:
    account = chat(stage, f"discord://sandbox-{status}/abcDEF-token_of_a-webhook")
    stage.open()
    stage.settle_and_send()
    delivery = Delivery.objects.get(account=account, notification__kind="status_changed")
    assert delivery.state == state


def test_a_dead_service_stops_its_account_and_says_why(stage: Stage) -> None:
    account = chat(stage, "discord://sandbox-404/abcDEF-token_of_a-webhook")
    stage.open()
    stage.settle_and_send()
    account.refresh_from_db()
    assert account.stopped_reason.startswith("apprise: the service refused: ")
    assert "error=404" in account.stopped_reason
    assert "abcDEF" not in account.stopped_reason


def test_the_test_button(stage: Stage) -> None:
    account = chat(stage)
    test_account(account=account, to="")
    (message,) = stage.messages("apprise")
    assert message["subject"] == "Test from Order Up"


def test_a_live_account_reaches_nobody_on_this_machine(stage: Stage) -> None:
    """The same guard that lets the sandbox through does not let a typed URL through."""
    account = ProviderAccount(
        restaurant=stage.restaurant, provider="apprise", name="chat", mode="live"
    )
    with pytest.raises(ConfigurationError, match="private or local"):
        save_account(account=account, values={"service_url": "json://127.0.0.1:8000/admin"})
    assert account.pk is None
