"""People a vendor knows by two ids, choices they make at the vendor, and chats that move."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from consents import known_as, ledger, services, vendor_news
from consents.addresses import address_hash
from consents.models import (
    AddressAlias,
    ConsentEvent,
    ConsentState,
    ContactAddress,
    SubjectAddress,
    Suppression,
)
from integrations.contracts import HttpResponse, InboundCall
from integrations.errors import RecipientOptedOut
from integrations.sandbox.vendors.whatsapp import user_id
from notifications import linking, outcomes
from notifications.models import Delivery, InboundMessage, ProviderAccount, Receipt, Route
from notifications.selectors import clear_caches
from notifications.services import register_with_sandbox
from tests.factories import make_address, make_provider_account
from tests.integrations import fixture_files as files
from tests.integrations.providers.meta_calls import error_body, posted
from tests.stage import PHONE, Stage

ALIAS = user_id(PHONE)
IDS = {"wa_id": PHONE.lstrip("+"), "user_id": ALIAS}
BOT = {"bot_token": "1000000001:AAtest", "secret_token": "hook-secret", "bot_username": "lucky_bot"}
#: the stand-in says that this group has a new id
OLD_GROUP, NEW_GROUP = "-400000003", "-1000400000003"


def add_account(stage: Stage, provider: str, settings: dict[str, str]) -> ProviderAccount:
    account = make_provider_account(
        stage.restaurant, provider=provider, settings=settings, rate_per_s=0
    )
    register_with_sandbox([account])
    clear_caches()
    return account


@pytest.fixture
def chat(stage: Stage) -> ProviderAccount:
    """A WhatsApp number; the guest of order 1042 is told there and wrote a moment ago."""
    account = add_account(stage, "whatsapp", files.settings("whatsapp"))
    Route.objects.filter(audience="customer").update(steps=[{"channel": "whatsapp", "when": "now"}])
    clear_caches()
    stage.open()
    subject = stage.order().subject
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    assert subject is not None
    address = make_address(stage.restaurant, channel="whatsapp", value=PHONE)
    SubjectAddress.objects.create(subject=subject, address=address)
    services.record_consent(
        address_id=address.pk,
        purpose="order_updates",
        action="granted",
        source="portal",
        occurred_at=an_hour_ago,
        now=an_hour_ago,
        idempotency_key="granted",
    )
    write_at_vendor(stage)
    vendor_says(stage, account, messages=[said("Hello!")])
    return account


def write_at_vendor(stage: Stage, sender: str = PHONE) -> None:
    """The stand-in takes free words for whoever wrote through it; its call reaches nobody here."""
    words = {"vendor": "whatsapp", "from": sender, "text": "Hello!"}
    request = urllib.request.Request(
        f"{stage.sandbox.url}/_sandbox/reply",
        data=json.dumps(words).encode(),
        headers={"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=5).close()


def said(words: str, number: int = 0, **ids: str) -> dict[str, Any]:
    """A message of the guest; without ``ids`` by the phone number alone."""
    who = ids or {"from": PHONE.lstrip("+")}
    text = {"type": "text", "text": {"body": words}, "id": f"wamid.IN{number}"}
    return {**who, **text, "timestamp": str(int(time.time()))}


def vendor_says(
    stage: Stage, account: ProviderAccount, field: str = "messages", **value: Any
) -> None:
    change = {"field": field, "value": value}
    call = posted({"object": "whatsapp_business_account", "entry": [{"changes": [change]}]})
    deliver(stage, account, call)


def deliver(stage: Stage, account: ProviderAccount, call: InboundCall) -> None:
    answer = stage.client.post(
        f"/hooks/messages/{account.token}/",
        data=call.body,
        content_type="application/json",
        headers=dict(call.headers),
    )
    assert answer.status_code == 200


def chosen(value: str, *, at: int = 0, **ids: str) -> dict[str, Any]:
    about = {"category": "marketing_messages", "value": value, "timestamp": int(time.time()) + at}
    return {**(ids or {"wa_id": PHONE.lstrip("+")}), **about}


def choose(stage: Stage, account: ProviderAccount, value: str, **how: Any) -> None:
    vendor_says(stage, account, "user_preferences", user_preferences=[chosen(value, **how)])


def phone_address() -> ContactAddress:
    return ContactAddress.objects.get(
        channel="whatsapp", address_hash=address_hash("whatsapp", PHONE)
    )


def told(stage: Stage) -> list[str]:
    stage.settle_and_send()
    return stage.texts("whatsapp")


def stops(address: ContactAddress) -> list[tuple[str, str]]:
    rows = Suppression.objects.filter(address_hash=address.address_hash, channel=address.channel)
    return sorted(rows.values_list("scope", "reason"))


# --- what people choose about marketing -----------------------------------------------------------


def test_a_stop_of_marketing_stops_no_order_news(stage: Stage, chat: ProviderAccount) -> None:
    address = phone_address()
    choice = chosen("stop", at=-5)
    for _ in range(2):
        vendor_says(stage, chat, "user_preferences", user_preferences=[choice])
    assert stops(address) == [("category:marketing", "user")]
    [event] = ConsentEvent.objects.filter(channel="whatsapp").exclude(action="granted")
    assert (event.action, event.purpose, event.scope, event.source, event.actor_type) == (
        *("suppressed", "marketing", "category", "provider_webhook", "customer"),
    )
    stage.post(state="ready")
    assert any("ready" in words for words in told(stage))
    assert list(ledger.verify(ledger.all_events())) == []


def test_taking_it_back_grants_nothing_and_lifts_no_other_stop(
    stage: Stage, chat: ProviderAccount
) -> None:
    address = phone_address()
    choose(stage, chat, "stop", at=-60)
    vendor_says(stage, chat, messages=[said("STOP", 1)])
    choose(stage, chat, "resume", at=5)
    assert stops(address) == [("channel", "user")]
    assert not ConsentState.objects.filter(state="granted", channel="whatsapp").exists()
    before = len(told(stage))
    stage.post(state="ready")
    assert not [words for words in told(stage)[before:] if "ready" in words]


def test_choices_count_in_the_order_they_were_made(stage: Stage, chat: ProviderAccount) -> None:
    choose(stage, chat, "resume", at=-10)
    choose(stage, chat, "stop", at=-60)  # older, and later here
    assert stops(phone_address()) == []


def test_a_stop_of_somebody_unknown_counts_from_the_first_message(
    stage: Stage, chat: ProviderAccount
) -> None:
    choose(stage, chat, "stop", wa_id="12025550177")
    choose(stage, chat, "resume", wa_id="12025550178")
    found = vendor_news.find_address(
        sender_group_id=stage.restaurant.sender_group_id, channel="whatsapp", value="+12025550177"
    )
    assert found is not None
    assert stops(found) == [("category:marketing", "user")]
    rows = ConsentEvent.objects.filter(channel="whatsapp").exclude(action="granted")
    assert {row.address_hash for row in rows} == {found.address_hash}


def test_a_forged_choice_changes_nothing(stage: Stage, chat: ProviderAccount) -> None:
    answer = stage.client.post(
        f"/hooks/messages/{chat.token}/",
        data=b'{"object":"whatsapp_business_account","entry":[]}',
        content_type="application/json",
        headers={"X-Hub-Signature-256": "sha256=" + "0" * 64},
    )
    assert answer.status_code == 401
    assert not Receipt.objects.exists()
    assert not ConsentEvent.objects.filter(channel="whatsapp").exclude(action="granted").exists()


def test_a_refused_offer_stops_offers_and_a_refused_text_the_channel(
    stage: Stage, chat: ProviderAccount
) -> None:
    """What a send is answered with, told to the ledger."""
    address = phone_address()
    stage.post(state="ready")
    delivery = Delivery.objects.filter(address=address).latest("pk")
    message = files.message("whatsapp", purpose="marketing")
    with pytest.raises(RecipientOptedOut) as caught:
        files.provider("whatsapp").outcome(message, HttpResponse(400, {}, error_body(131050)))
    now = datetime.now(UTC)
    outcomes.settle_addresses(
        opted_out={delivery.pk: caught.value}, unreachable=[], moved={}, now=now
    )
    assert stops(address) == [("category:marketing", "user")]


def test_a_failed_status_of_an_offer_stops_offers(stage: Stage, chat: ProviderAccount) -> None:
    status = {
        "id": "wamid.OUT",
        "status": "failed",
        "recipient_id": PHONE.lstrip("+"),
        "timestamp": str(int(time.time())),
        "errors": [{"code": 131050}],
    }
    for _ in range(2):
        vendor_says(stage, chat, statuses=[status])
    assert stops(phone_address()) == [("category:marketing", "user")]
    assert sorted(Receipt.objects.values_list("kind", flat=True)) == ["failed", "unsubscribed"]


# --- one person, two ids --------------------------------------------------------------------------


def learn_by_message(stage: Stage, chat: ProviderAccount) -> None:
    number = {"from": PHONE.lstrip("+"), "from_user_id": ALIAS}
    vendor_says(stage, chat, messages=[said("thanks", 7, **number)])


def learn_by_contact(stage: Stage, chat: ProviderAccount) -> None:
    vendor_says(stage, chat, contacts=[IDS], messages=[said("thanks", 7)])


def learn_by_status(stage: Stage, chat: ProviderAccount) -> None:
    """A status that names no number: the attempt says who was written to."""
    stage.post(state="preparing")
    stage.settle_and_send()
    delivery = Delivery.objects.filter(account=chat, state="accepted").latest("pk")
    status = {"id": delivery.vendor_id, "status": "sent", "recipient_user_id": ALIAS}
    about = {"biz_opaque_callback_data": str(delivery.attempt)}
    vendor_says(stage, chat, statuses=[{**status, **about}])


@pytest.mark.parametrize("learn", [learn_by_message, learn_by_contact, learn_by_status])
def test_a_stop_by_the_other_id_stops_the_number(
    stage: Stage, chat: ProviderAccount, learn: Callable[[Stage, ProviderAccount], None]
) -> None:
    learn(stage, chat)
    assert AddressAlias.objects.get().address == phone_address()
    vendor_says(stage, chat, messages=[said("STOP", 8, from_user_id=ALIAS)])
    assert stops(phone_address()) == [("channel", "user")]
    assert ContactAddress.objects.filter(channel="whatsapp").count() == 1
    before = len(told(stage))
    stage.post(state="ready")
    assert not [words for words in told(stage)[before:] if "ready" in words]


def test_a_question_by_the_other_id_is_about_the_order(stage: Stage, chat: ProviderAccount) -> None:
    learn_by_message(stage, chat)
    ContactAddress.objects.update(window_until=None)
    vendor_says(stage, chat, messages=[said("where is my order?", 8, from_user_id=ALIAS)])
    message = InboundMessage.objects.latest("received_at")
    assert (message.intent, message.order, message.address) == (
        *("status", stage.order(), phone_address()),
    )
    assert phone_address().window_until is not None
    assert "order 1042" in told(stage)[-1]


def test_what_was_stopped_before_we_knew_counts_once_we_do(
    stage: Stage, chat: ProviderAccount
) -> None:
    vendor_says(stage, chat, messages=[said("STOP", 8, from_user_id=ALIAS)])
    choose(stage, chat, "stop", user_id=ALIAS)
    assert stops(phone_address()) == []
    for number in (9, 10):
        ids = {"from": PHONE.lstrip("+"), "from_user_id": ALIAS}
        vendor_says(stage, chat, messages=[said("hm", number, **ids)])
    assert stops(phone_address()) == [("category:marketing", "user"), ("channel", "user")]
    assert AddressAlias.objects.count() == 1
    assert list(ledger.verify(ledger.all_events())) == []


def test_an_id_alone_is_an_address_of_its_own(stage: Stage, chat: ProviderAccount) -> None:
    """Somebody without a number here: the answer goes to the id, letter by letter."""
    ContactAddress.objects.update(window_until=None)
    write_at_vendor(stage, "DE.aB9")
    vendor_says(stage, chat, messages=[said("STOP", 8, from_user_id="DE.aB9")])
    address = ContactAddress.objects.exclude(pk=phone_address().pk).get(channel="whatsapp")
    assert (address.value, address.region, address.masked) == ("DE.aB9", "DE", "DE•••.aB9")
    assert address.window_until is not None
    assert phone_address().window_until is None
    stage.settle_and_send()
    [answer] = [m for m in stage.messages("whatsapp") if m["to"] == "DE.aB9"]
    assert "no more" in answer["text"]


def test_an_alias_that_changes_hands_means_the_newest(stage: Stage, chat: ProviderAccount) -> None:
    other = make_address(stage.restaurant, channel="whatsapp", value="+12025550177")
    now = datetime.now(UTC)
    assert known_as.note_alias(address_id=phone_address().pk, alias=ALIAS, at=now)
    assert not known_as.note_alias(address_id=phone_address().pk, alias=ALIAS, at=now)
    assert not known_as.note_alias(address_id=other.pk, alias="+1 202 555 0177", at=now)
    assert known_as.note_alias(address_id=other.pk, alias=ALIAS, at=now)
    assert AddressAlias.objects.get().address == other


# --- windows --------------------------------------------------------------------------------------


def test_who_writes_again_is_there_again(stage: Stage, chat: ProviderAccount) -> None:
    ContactAddress.objects.filter(pk=phone_address().pk).update(
        unreachable_at=datetime.now(UTC) - timedelta(minutes=1)
    )
    vendor_says(stage, chat, messages=[said("back", 8)])
    assert phone_address().unreachable_at is None


# --- a chat that moved ----------------------------------------------------------------------------


def update(stage: Stage, bot: ProviderAccount, number: int, words: str, chat: str) -> None:
    message = {
        "message_id": number,
        "date": int(time.time()),
        "chat": {"id": int(chat), "type": "group"},
        "from": {"id": 42, "is_bot": False},
        "text": words,
    }
    answer = stage.client.post(
        f"/hooks/messages/{bot.token}/",
        data=json.dumps({"update_id": number, "message": message}),
        content_type="application/json",
        headers={"X-Telegram-Bot-Api-Secret-Token": BOT["secret_token"]},
    )
    assert answer.status_code == 200


def test_a_group_with_a_new_id_keeps_its_order_and_its_consent(stage: Stage) -> None:
    bot = add_account(stage, "telegram", BOT)
    stage.open()
    update(stage, bot, 1, f"/start {linking.link_token(stage.order().public_id)}", OLD_GROUP)
    stage.settle_and_send()
    assert [m["to"] for m in stage.messages("telegram")] == [NEW_GROUP]
    old = ContactAddress.objects.get(channel="telegram", expires_at__isnull=False)
    new = ContactAddress.objects.get(channel="telegram", expires_at=None)
    assert (new.value, new.bound_to, new.verified_by) == (NEW_GROUP, bot.token, "portal")
    assert not SubjectAddress.objects.filter(address=old).exists()
    assert ConsentState.objects.get(address_hash=new.address_hash).state == "granted"
    assert list(ledger.verify(ledger.all_events())) == []
    stage.post(state="ready")
    stage.settle_and_send()
    ready = Delivery.objects.get(notification__milestone="ready", channel="telegram")
    assert (ready.address, ready.state) == (new, "accepted")
    update(stage, bot, 2, "/stop", NEW_GROUP)
    assert Suppression.objects.get().address_hash == new.address_hash


def test_a_blocked_chat_is_told_again_once_it_is_linked_again(stage: Stage) -> None:
    bot = add_account(stage, "telegram", BOT)
    stage.open()
    token = linking.link_token(stage.order().public_id)
    update(stage, bot, 1, f"/start {token}", "403000001")
    stage.settle_and_send()
    address = ContactAddress.objects.get(channel="telegram")
    assert stops(address) == [("channel", "user")]
    update(stage, bot, 2, f"/start {token}", "403000001")
    assert stops(address) == []
