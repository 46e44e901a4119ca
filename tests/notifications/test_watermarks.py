"""Messenger says "everything up to then was read" and names no message: it counts for each."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from consents.models import SubjectAddress, Suppression
from notifications.models import (
    Attempt,
    Delivery,
    InboundMessage,
    ProviderAccount,
    Receipt,
    Route,
)
from notifications.selectors import clear_caches
from notifications.services import register_with_sandbox
from tests.factories import make_address, make_provider_account
from tests.integrations import fixture_files as files
from tests.stage import Stage

PERSON = "6250000000000042"


@pytest.fixture
def page(stage: Stage) -> ProviderAccount:
    """A Page the guest of order 1042 has just written to."""
    account = make_provider_account(
        stage.restaurant, provider="messenger", settings=files.settings("messenger"), rate_per_s=0
    )
    register_with_sandbox([account])
    Route.objects.filter(audience="customer").update(
        steps=[{"channel": "messenger", "when": "now"}]
    )
    clear_caches()
    stage.open()
    subject = stage.order().subject
    assert subject is not None
    address = make_address(
        stage.restaurant, channel="messenger", value=PERSON, region="", bound_to=account.token
    )
    SubjectAddress.objects.create(subject=subject, address=address)
    says(stage, account, message={"mid": "m_hello", "text": "Hello!"})
    return account


def says(stage: Stage, page: ProviderAccount, **event: Any) -> Any:
    """One event of the person, signed as Meta signs."""
    settings = files.settings("messenger")
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    about = {
        "sender": {"id": PERSON},
        "recipient": {"id": settings["page_id"]},
        "timestamp": now_ms,
    }
    where = event.pop("where", "messaging")
    entry = {"id": settings["page_id"], "time": now_ms, where: [{**about, **event}]}
    body = json.dumps({"object": "page", "entry": [entry]}).encode()
    mac = hmac.new(settings["app_secret"].encode(), body, hashlib.sha256).hexdigest()
    answer = stage.client.post(
        f"/hooks/messages/{page.token}/",
        data=body,
        content_type="application/json",
        headers={"X-Hub-Signature-256": f"sha256={mac}"},
    )
    assert answer.status_code == 200
    return answer


def mark(minutes: float = 0) -> dict[str, int]:
    at = datetime.now(UTC) + timedelta(minutes=minutes)
    return {"watermark": int(at.timestamp() * 1000)}


def tell(stage: Stage, page: ProviderAccount, state: str) -> Delivery:
    """Tell the guest a state; the stand-in would refuse, it knows of no window."""
    stage.post(state=state)
    delivery = Delivery.objects.get(notification__milestone=state, account=page)
    now = datetime.now(UTC)
    attempt = Attempt.objects.create(
        id=uuid4(), delivery=delivery, account=page, number=1, started_at=now, outcome="accepted"
    )
    delivery.state, delivery.attempt, delivery.settled_at = "accepted", attempt.pk, now
    delivery.save()
    return delivery


def test_read_and_delivered_by_watermark(stage: Stage, page: ProviderAccount) -> None:
    preparing, ready = tell(stage, page, "preparing"), tell(stage, page, "ready")
    says(stage, page, read=mark())
    says(stage, page, delivery=mark())  # later, and about less: changes nothing
    says(stage, page, read=mark())
    for delivery in (preparing, ready):
        delivery.refresh_from_db()
        assert delivery.state == "read"
    kinds = sorted(Receipt.objects.values_list("kind", flat=True))
    assert kinds == ["read", "read"]


def test_a_watermark_before_the_message_says_nothing_about_it(
    stage: Stage, page: ProviderAccount
) -> None:
    ready = tell(stage, page, "ready")
    says(stage, page, read=mark(minutes=-5))
    ready.refresh_from_db()
    assert ready.state == "accepted"
    assert not Receipt.objects.exists()


def test_the_window_of_whoever_wrote_is_open(stage: Stage, page: ProviderAccount) -> None:
    address = SubjectAddress.objects.get(address__channel="messenger").address
    assert address.window_until is not None
    assert address.window_until > datetime.now(UTC) + timedelta(hours=23)
    stage.post(state="ready")
    assert Delivery.objects.filter(notification__milestone="ready", account=page).exists()
    type(address).objects.filter(pk=address.pk).update(window_until=datetime.now(UTC))
    stage.post(state="picked_up")
    assert not Delivery.objects.filter(notification__milestone="picked_up", account=page).exists()


def test_said_to_another_app_only_a_stop_counts(stage: Stage, page: ProviderAccount) -> None:
    before = InboundMessage.objects.count()
    question = {"mid": "m_1", "text": "where is my order?"}
    says(stage, page, where="standby", message=question)
    assert InboundMessage.objects.count() == before
    assert not Suppression.objects.exists()
    for _ in range(2):
        says(stage, page, where="standby", message={"mid": "m_2", "text": "STOP"})
    assert Suppression.objects.get().channel == "messenger"
    assert not Delivery.objects.filter(notification__kind="reply").exists()
