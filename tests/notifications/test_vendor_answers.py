"""What vendors hear when they call us: some read the answer to a call they made."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from consents.models import Suppression
from notifications.models import InboundMessage, ProviderAccount
from notifications.selectors import clear_caches
from tests.stage import Stage

SECRET = "s3cret_token"
TEAMS_TOKEN = base64.b64encode(b"0" * 32).decode()
SETTINGS: dict[str, tuple[str, dict[str, str]]] = {
    "telegram": ("telegram", {"bot_token": "1:AA", "secret_token": SECRET}),
    "teams": (
        "team_chat",
        {
            "webhook_url": "https://x.example.com/workflows/1/triggers/manual?sig=1",
            "outgoing_token": TEAMS_TOKEN,
        },
    ),
}


def call(stage: Stage, provider: str, body: dict[str, Any], **headers: str) -> Any:
    channel, settings = SETTINGS[provider]
    account, _ = ProviderAccount.objects.get_or_create(
        restaurant=stage.restaurant,
        provider=provider,
        defaults={"channel": channel, "name": provider, "settings": settings},
    )
    clear_caches()
    return stage.client.post(
        f"/hooks/messages/{account.token}/",
        data=json.dumps(body),
        content_type="application/json",
        headers=headers,
    )


def telegram(stage: Stage, update: dict[str, Any], secret: str = SECRET) -> Any:
    return call(stage, "telegram", update, **{"X-Telegram-Bot-Api-Secret-Token": secret})


CHAT = {"id": 5000000042, "type": "private"}


def test_a_pressed_button_is_stored_and_its_spinner_ends(stage: Stage) -> None:
    query = {"id": "q-1", "message": {"message_id": 1, "chat": CHAT}, "data": "status:1042"}
    answer = telegram(stage, {"update_id": 1, "callback_query": query})
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    assert answer.json() == {"method": "answerCallbackQuery", "callback_query_id": "q-1"}
    assert InboundMessage.objects.get().vendor_id == "update:1"


def test_blocking_the_bot_is_a_withdrawal_and_needs_no_answer(stage: Stage) -> None:
    change = {"chat": CHAT, "date": 1, "new_chat_member": {"status": "kicked"}}
    answer = telegram(stage, {"update_id": 2, "my_chat_member": change})
    assert (answer.status_code, answer.content) == (200, b"")
    assert Suppression.objects.get().channel == "telegram"
    again = telegram(stage, {"update_id": 2, "my_chat_member": change})
    assert (again.status_code, Suppression.objects.count()) == (200, 1)


@pytest.mark.parametrize("secret", ["", "other"])
def test_a_stranger_hears_nothing(stage: Stage, secret: str) -> None:
    query = {"id": "q-1", "message": {"message_id": 1, "chat": CHAT}, "data": "status:1042"}
    answer = telegram(stage, {"update_id": 1, "callback_query": query}, secret)
    assert (answer.status_code, answer.content) == (401, b"")
    assert not InboundMessage.objects.exists()


def test_staff_who_write_in_teams_are_told_that_we_heard(stage: Stage) -> None:
    body = {"type": "message", "id": "7", "text": "<at>Orders</at> hi", "from": {"id": "29:1"}}
    digest = hmac.new(base64.b64decode(TEAMS_TOKEN), json.dumps(body).encode(), hashlib.sha256)
    signature = base64.b64encode(digest.digest()).decode()
    answer = call(stage, "teams", body, Authorization=f"HMAC {signature}")
    assert answer.json() == {"type": "message", "text": "Noted."}
    assert InboundMessage.objects.get().text == "hi"
