"""Open order pages hear through Pusher at once, and a minute later no more."""

from __future__ import annotations

from notifications.models import Delivery, ProviderAccount
from notifications.selectors import clear_caches
from notifications.services import register_with_sandbox
from tests.factories import make_provider_account
from tests.integrations import fixture_files as files
from tests.stage import Stage


def pages(stage: Stage) -> ProviderAccount:
    account = make_provider_account(
        stage.restaurant, provider="pusher", settings=files.settings("pusher"), rate_per_s=0
    )
    register_with_sandbox([account])
    clear_caches()
    return account


def test_each_change_moves_the_page_of_its_order(stage: Stage) -> None:
    account = pages(stage)
    stage.open()
    stage.settle_and_send()
    stage.post(state="ready")
    stage.settle_and_send()
    told = stage.messages("pusher")
    assert [message["extra"]["data"]["state"] for message in told] == ["ready"]
    assert told[0]["to"] == f"private-order-{stage.order().public_id}"
    assert "Ana" not in str(told)
    assert {row.state for row in Delivery.objects.filter(account=account)} == {"accepted"}


def test_what_cannot_be_said_within_a_minute_is_not_said(stage: Stage) -> None:
    account = pages(stage)
    stage.fault(vendor="pusher", kind="503")
    stage.open()
    stage.post(state="ready")
    for _ in range(5):
        stage.settle_and_send()
    (row,) = Delivery.objects.filter(account=account)
    assert (row.state, row.reason, row.tries) == ("failed", "transient", 3)
    assert stage.messages("pusher") == []
    assert len(stage.texts()) == 1  # the guest is told beside it, and not once more for it
    account.refresh_from_db()
    assert account.stopped_reason == ""
