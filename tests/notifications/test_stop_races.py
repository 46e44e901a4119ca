"""300 guests text STOP while their message leaves: two real connections, real HTTP, no luck."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection

from consents import services
from integrations.sandbox.server import SandboxServer
from notifications import dispatch
from notifications.models import Attempt, Delivery
from notifications.selectors import clear_caches
from tests.stage import Stage, build_stage

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 300
SEED = 20261129
#: the guest writes within this time of the worker's start, seconds
LONGEST_WAIT = 0.06


def phone(number: int) -> str:
    return f"+1202555{number:04d}"


def queue_everything(stage: Stage) -> None:
    """One message a guest, all waiting: each round makes its own due."""
    for number in range(ROUNDS):
        stage.open(f"WEB-{3000 + number}", customer={"name": "Ana", "phone": phone(number)})
    Delivery.objects.filter(state="queued").exclude(channel="sms").delete()
    Delivery.objects.filter(state="queued").update(
        due_at=datetime(2100, 1, 1, tzinfo=UTC), expires_at=datetime(2100, 1, 2, tzinfo=UTC)
    )


class Race:
    """A worker and a guest who begin every round together."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.account = stage, stage.accounts["twilio"]
        self.start, self.end = threading.Barrier(2), threading.Barrier(2)
        self.waits = random.Random(SEED)
        self.stopped_at: dict[str, datetime] = {}
        self.errors: list[BaseException] = []

    def work(self) -> None:
        """Make the round's message due and send what is due."""
        for number in range(ROUNDS):
            to = phone(number)
            mine = Delivery.objects.filter(
                notification__order__display=str(3000 + number), channel="sms", state="queued"
            )
            assert mine.update(due_at=datetime.now(UTC)) == 1, to
            self.start.wait(30)
            dispatch._drain(self.account.pk)
            self.end.wait(30)

    def stop(self) -> None:
        """A moment later, or not, the guest texts STOP."""
        for number in range(ROUNDS):
            self.start.wait(30)
            # at once, somewhere in between, when it is long gone
            time.sleep((0, self.waits.random() / 2, 1)[number % 3] * LONGEST_WAIT)
            now = datetime.now(UTC)
            services.handle_inbound_words(
                sender_group_id=self.stage.restaurant.sender_group_id,
                channel="sms",
                value=phone(number),
                region="US",
                text="STOP",
                occurred_at=now,
                received_at=now,
                idempotency_key=f"race-{number}",
                vendor_confirmed=True,
            )
            self.stopped_at[phone(number)] = datetime.now(UTC)
            self.end.wait(30)

    def run(self, deed: Any) -> None:
        try:
            deed()
        except BaseException as error:  # noqa: BLE001 - shown by the assertion
            self.errors.append(error)
            self.start.abort()
            self.end.abort()
        finally:
            connection.close()


def test_no_message_begins_to_leave_after_its_stop(sandbox: SandboxServer) -> None:
    stage = build_stage(sandbox)
    queue_everything(stage)
    clear_caches()
    sandbox.state.settings.change({"latency_ms": 12})
    race = Race(stage)
    threads = [threading.Thread(target=race.run, args=[deed]) for deed in (race.work, race.stop)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=240)
    assert race.errors == []
    assert len(race.stopped_at) == ROUNDS

    tries = {attempt.delivery_id: attempt for attempt in Attempt.objects.all()}
    sent = Counter(message["to"] for message in stage.messages("twilio"))
    ends: Counter[str] = Counter()
    violations = []
    rows = Delivery.objects.filter(channel="sms").select_related("notification__order")
    for delivery in rows:
        assert delivery.notification.order is not None
        to = phone(int(delivery.notification.order.display) - 3000)
        attempt = tries.get(delivery.pk)
        if delivery.state == "cancelled":
            ends["cancelled"] += 1
            if attempt is not None or sent[to]:
                violations.append((to, "cancelled, yet it left"))
            continue
        ends["overtaken" if delivery.overtaken_by_withdrawal else "before"] += 1
        assert attempt is not None
        assert attempt.finished_at is not None
        # a row that was leaving when the stop committed is flagged; one that began later is not
        if not delivery.overtaken_by_withdrawal and attempt.finished_at > race.stopped_at[to]:
            violations.append((to, "it began to leave after the stop"))
    assert violations == []
    assert set(sent.values()) == {1}
    assert sum(ends.values()) == ROUNDS
    # the race was one: queued or claimed, on its way, and gone before
    assert len(ends) == 3, ends
    assert ends["cancelled"] >= 5, ends
    assert ends["overtaken"] + ends["before"] >= 5, ends
