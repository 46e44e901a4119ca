"""A guest links a chat from the order's page, and is told there from then on."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from consents.models import ConsentEvent, ContactAddress, Suppression
from notifications import linking
from notifications.models import Delivery, InboundMessage, ProviderAccount
from notifications.selectors import clear_caches
from notifications.services import register_with_sandbox
from orders.models import Order
from tests.factories import make_provider_account
from tests.stage import Stage

BOT = {"bot_token": "1000000001:AAtest", "secret_token": "hook-secret", "bot_username": "lucky_bot"}
CHAT = "990011"


@pytest.fixture
def bot(stage: Stage) -> ProviderAccount:
    account = make_provider_account(
        stage.restaurant, provider="telegram", settings=BOT, rate_per_s=0
    )
    register_with_sandbox([account])
    clear_caches()
    return account


def says(stage: Stage, bot: ProviderAccount, words: str, number: int = 1) -> Any:
    """An update of Telegram's, as its server posts it."""
    update = {
        "update_id": number,
        "message": {
            "message_id": number,
            "date": int(datetime.now(UTC).timestamp()),
            "chat": {"id": int(CHAT), "type": "private"},
            "from": {"id": int(CHAT), "is_bot": False, "first_name": "Ana"},
            "text": words,
        },
    }
    return stage.client.post(
        f"/hooks/messages/{bot.token}/",
        data=update,
        content_type="application/json",
        headers={"X-Telegram-Bot-Api-Secret-Token": BOT["secret_token"]},
    )


def start(stage: Stage, bot: ProviderAccount, number: int = 1) -> Any:
    return says(stage, bot, f"/start {linking.link_token(stage.order().public_id)}", number)


def test_a_token_names_its_order_and_nobody_can_make_one() -> None:
    order = uuid.uuid4()
    token = linking.link_token(order)
    assert len(token) <= 64
    assert linking.read_link_token(token) == order
    other = linking.link_token(uuid.uuid4())
    for forged in (token[:-1], token + "A", other[:22] + token[22:], "", "x" * 38, "é" * 38):
        assert linking.read_link_token(forged) is None


def test_the_chat_is_told_and_texts_stop(stage: Stage, bot: ProviderAccount) -> None:
    stage.open()
    stage.settle_and_send()
    texts = len(stage.texts())
    assert start(stage, bot).status_code == 200
    stage.settle_and_send()
    assert "you will get news about order 1042 here" in stage.texts("telegram")[0]
    stage.post(state="ready")
    stage.settle_and_send()
    assert "order 1042 is ready" in stage.texts("telegram")[-1]
    assert len(stage.texts()) == texts
    address = ContactAddress.objects.get(channel="telegram")
    assert address.bound_to == bot.token
    assert address.verified_by == "portal"
    granted = ConsentEvent.objects.get(channel="telegram")
    assert (granted.action, granted.source, granted.purpose) == (
        "granted",
        "portal",
        "order_updates",
    )
    assert InboundMessage.objects.get().intent == "link"


def test_linking_twice_changes_nothing(stage: Stage, bot: ProviderAccount) -> None:
    stage.open()
    for _ in range(2):
        start(stage, bot)
    start(stage, bot, number=2)
    assert ContactAddress.objects.filter(channel="telegram").count() == 1
    assert stage.order().subject.addresses.filter(channel="telegram").count() == 1  # type: ignore[union-attr]


def test_who_blocked_the_chat_gets_texts_again(stage: Stage, bot: ProviderAccount) -> None:
    stage.open()
    start(stage, bot)
    says(stage, bot, "STOP", number=2)
    assert Suppression.objects.get().channel == "telegram"
    stage.post(state="ready")
    stage.settle_and_send()
    assert [t for t in stage.texts() if "ready" in t]
    assert not [t for t in stage.texts("telegram") if "ready" in t]


def test_linking_again_after_a_stop_ends_it(stage: Stage, bot: ProviderAccount) -> None:
    stage.open()
    start(stage, bot)
    says(stage, bot, "STOP", number=2)
    start(stage, bot, number=3)
    assert not Suppression.objects.exists()


def test_an_order_without_a_contact_gets_one(stage: Stage, bot: ProviderAccount) -> None:
    stage.open(customer={"name": "Table 4", "contact_kind": "none"})
    start(stage, bot)
    order = stage.order()
    assert (order.contact_kind, order.subject is not None) == ("direct", True)
    stage.post(state="ready")
    stage.settle_and_send()
    assert "ready" in stage.texts("telegram")[-1]


def test_old_orders_and_foreign_ones_link_nothing(stage: Stage, bot: ProviderAccount) -> None:
    stage.open()
    stage.post(state="picked_up")
    Order.objects.update(created_at=datetime.now(UTC) - timedelta(days=3), is_open=False)
    start(stage, bot)
    says(stage, bot, f"/start {linking.link_token(uuid.uuid4())}", number=2)
    says(stage, bot, "/start " + "A" * 38, number=3)
    assert not ContactAddress.objects.filter(channel="telegram", subjects__isnull=False).exists()
    assert not Delivery.objects.filter(channel="telegram", notification__kind="reply").exists()


def test_the_ways_a_page_offers(stage: Stage, bot: ProviderAccount) -> None:
    stage.open()
    order = stage.order()
    [way] = linking.ways(order, datetime.now(UTC))
    assert way.url == (
        f"{stage.sandbox.url}/telegram/link/lucky_bot?start={linking.link_token(order.public_id)}"
    )
    ProviderAccount.objects.filter(pk=bot.pk).update(mode="live")
    clear_caches()
    [way] = linking.ways(order, datetime.now(UTC))
    assert way.url.startswith("https://t.me/lucky_bot?start=")
    ProviderAccount.objects.filter(pk=bot.pk).update(stopped_reason="refused")
    clear_caches()
    assert linking.ways(order, datetime.now(UTC)) == []


def test_the_stand_ins_link_page_does_what_the_app_does(stage: Stage, bot: ProviderAccount) -> None:
    stage.open()
    [way] = linking.ways(stage.order(), datetime.now(UTC))
    with urllib.request.urlopen(way.url, timeout=5) as page:
        assert b"Start the chat" in page.read()
    pressed = urllib.request.Request(
        way.url, b'{"from": "990011"}', {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(pressed, timeout=5) as answer:
        assert json.load(answer)["text"].startswith("/start ")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(way.url.replace("lucky_bot", "other_bot"), b"", timeout=5)
