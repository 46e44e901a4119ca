"""Several workers at once: each message leaves exactly once."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from django.db import connection

from integrations.sandbox.server import SandboxServer
from notifications import dispatch
from notifications.models import Attempt, Delivery
from tests.stage import GUEST, build_stage

pytestmark = pytest.mark.django_db(transaction=True)


def test_three_workers_send_each_message_once(sandbox: SandboxServer) -> None:
    stage = build_stage(sandbox)
    for number in range(40):
        phone = f"+1202555{100 + number:04d}"
        stage.open(f"WEB-{2000 + number}", state="ready", customer={**GUEST, "phone": phone})
    account = stage.accounts["twilio"]
    start = threading.Barrier(3)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            start.wait()
            dispatch._drain(account.pk)
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            errors.append(error)
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=30)
    assert errors == []
    sent = Counter(message["to"] for message in stage.messages("twilio"))
    assert len(sent) == 40
    assert set(sent.values()) == {1}
    assert Attempt.objects.filter(account=account).count() == 40
    assert not Delivery.objects.filter(account=account).exclude(state="accepted").exists()


def test_a_stop_between_claim_and_flip_sends_nothing(sandbox: SandboxServer) -> None:
    """The withdrawal commits on another connection while our rows are claimed."""
    from datetime import UTC, datetime

    from consents import services, vendor_news
    from notifications import claims
    from notifications.selectors import account_by_id, clear_caches, restaurant_config

    stage = build_stage(sandbox)
    stage.open(state="ready")
    clear_caches()
    account = account_by_id(stage.accounts["twilio"].pk)
    assert account is not None
    now = datetime.now(UTC)
    ids = claims.claim(account_id=account.id, limit=10, now=now, lease_s=45)
    assert len(ids) == 1
    config = restaurant_config(account.restaurant_id)
    jobs, versions = dispatch._compose(claims.load(ids), config, account, now)

    def stop() -> None:
        address = vendor_news.find_address(
            sender_group_id=config.sender_group_id, channel="sms", value=GUEST["phone"]
        )
        assert address is not None
        services.handle_inbound_words(
            sender_group_id=config.sender_group_id,
            channel="sms",
            value=GUEST["phone"],
            region="US",
            text="STOP",
            occurred_at=now,
            received_at=now,
            idempotency_key="race",
            vendor_handled="",
            vendor_confirmed=True,
            has_open_order=True,
        )
        connection.close()

    other = threading.Thread(target=stop)
    other.start()
    other.join(timeout=10)
    assert dispatch._flip(jobs, versions, config, account, now) == []
    delivery = Delivery.objects.get(pk=ids[0])
    assert (delivery.state, delivery.reason) == ("cancelled", "consent_withdrawn")
    assert stage.messages("twilio") == []
