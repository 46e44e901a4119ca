"""Team chats end to end: one dead endpoint, presses, threads, shared quotas, pasted addresses."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from integrations.errors import ConfigurationError
from notifications import steps
from notifications.models import Attempt, Delivery, Notification, ProviderAccount
from notifications.selectors import clear_caches
from notifications.services import register_with_sandbox, save_account
from tests.factories import make_provider_account
from tests.integrations import fixture_files as files
from tests.stage import Stage

FLOW = "https://env.0a.environment.api.powerplatform.com/workflows/{}/triggers/manual?sig=s3c"
SPACE = "https://chat.googleapis.com/v1/spaces/{}/messages?key=k-1&token={}"
HOOK = "https://hooks.slack.com/services/T0/{}/xyz"
DEAD = [
    ("slack", HOOK, "B0ARCHIVED", "B0KITCHEN", "channel_is_archived"),
    ("slack", HOOK, "B0REMOVED", "B0KITCHEN", "no_active_hooks"),
    ("slack", HOOK, "B0FORBIDDEN", "B0KITCHEN", "action_prohibited"),
    ("teams", FLOW, "turned-off", "w0rk", "WorkflowTriggerIsNotEnabled"),
    ("teams", FLOW, "tenant-only", "w0rk", "DirectApiAuthorizationRequired"),
    ("google_chat", SPACE.format("{}", "t"), "DELETED", "AAA", "NOT_FOUND"),
    ("google_chat", SPACE.format("{}", "t"), "FORBIDDEN", "AAA", "PERMISSION_DENIED"),
]


def chat(stage: Stage, provider: str, url: str, **fields: Any) -> ProviderAccount:
    """One more chat of the restaurant, known to the sandbox where it is a sandbox account."""
    settings = {**files.settings(provider), "webhook_url": url}
    account = make_provider_account(
        stage.restaurant, provider=provider, settings=settings, **{"rate_per_s": 0, **fields}
    )
    if account.mode == "sandbox":
        register_with_sandbox([account])
    clear_caches()
    return account


def raise_alarm(stage: Stage, detail: str = "The printer is off") -> int:
    """One message to every team chat."""
    return steps.raise_alarm(
        restaurant_id=stage.restaurant.pk, key=detail, detail=detail, now=datetime.now(UTC)
    )


@pytest.mark.parametrize(("provider", "url", "dead", "alive", "code"), DEAD)
def test_a_dead_webhook_stops_itself_alone_and_is_told_elsewhere(
    stage: Stage, provider: str, url: str, dead: str, alive: str, code: str
) -> None:
    broken = chat(stage, provider, url.format(dead), name="Bar chat")
    neighbour = chat(stage, provider, url.format(alive), name="Pass chat")
    assert raise_alarm(stage) == 3
    stage.send()
    broken.refresh_from_db()
    assert code in broken.stopped_reason
    kept = Delivery.objects.get(account=broken)
    assert (kept.state, kept.reason) == ("queued", "account_stopped")
    assert Attempt.objects.get(account=broken).vendor_code == code
    for account in ProviderAccount.objects.exclude(pk=broken.pk):
        assert account.stopped_reason == ""
    stage.settle_and_send()
    for vendor in {provider, "slack"}:
        told = [m["text"] for m in stage.messages(vendor) if "Bar chat was stopped" in m["text"]]
        assert len(told) == ProviderAccount.objects.filter(provider=vendor).exclude(
            pk=broken.pk
        ).count()  # fmt: skip
    # neither tried again nor told again, until somebody mends it
    alarms = Notification.objects.filter(kind="alarm").count()
    stage.settle_and_send()
    assert Attempt.objects.filter(account=broken).count() == 1
    assert Notification.objects.filter(kind="alarm").count() == alarms
    assert not Delivery.objects.filter(account=neighbour).exclude(state="accepted").exists()


@pytest.mark.parametrize(("provider", "url", "dead", "alive", "code"), DEAD[::3])
def test_a_mended_webhook_gets_what_waited(
    stage: Stage, provider: str, url: str, dead: str, alive: str, code: str
) -> None:
    broken = chat(stage, provider, url.format(dead))
    raise_alarm(stage)
    stage.send()
    broken.refresh_from_db()
    save_account(account=broken, values={"webhook_url": url.format(alive)})
    stage.settle_and_send()
    assert Delivery.objects.get(account=broken).state == "accepted"
    assert any("The printer is off" in m["text"] for m in stage.messages(provider))


def test_a_refused_card_does_not_stop_the_chat(stage: Stage) -> None:
    account = chat(stage, "teams", FLOW.format("other-schema"))
    raise_alarm(stage)
    stage.send()
    account.refresh_from_db()
    delivery = Delivery.objects.get(account=account)
    assert (delivery.state, delivery.reason, account.stopped_reason) == ("failed", "rejected", "")
    assert stage.messages("teams") == []


# --- quotas and threads ---------------------------------------------------------------------------


def test_webhooks_of_one_space_share_its_quota(stage: Stage) -> None:
    for token in ("t-1", "t-2", "t-3"):
        chat(stage, "google_chat", SPACE.format("AAA", token), rate_per_s=None)
    chat(stage, "google_chat", SPACE.format("BBB", "t-1"), rate_per_s=None)

    def sent() -> list[str]:
        stage.send()
        return sorted(m["to"] for m in stage.messages("google_chat"))

    assert raise_alarm(stage) == 5
    assert sent() == ["AAA", "BBB"]
    assert sent() == ["AAA", "BBB"]
    for count in (2, 3):
        earlier = datetime.now(UTC) - timedelta(seconds=1)
        ProviderAccount.objects.update(budget_at=earlier, budget_tokens=0)
        assert sent() == [*["AAA"] * count, "BBB"]


def test_bots_in_one_channel_share_its_quota_and_webhooks_do_not(stage: Stage) -> None:
    for token in ("xoxb-1", "xoxb-2"):
        bot = {"bot_token": token, "channel_id": "C0KITCHEN"}
        account = make_provider_account(stage.restaurant, provider="slack", settings=bot)
        register_with_sandbox([account])
    for hook in ("B0BAR", "B0PASS"):
        chat(stage, "slack", HOOK.format(hook), rate_per_s=None)
    raise_alarm(stage)
    stage.send()
    told = sorted(m["to"] for m in stage.messages("slack"))
    assert told == ["T0/B0", "T0/B0BAR", "T0/B0PASS", "T0SANDBOX/C0KITCHEN"]


def test_one_thread_per_order(stage: Stage) -> None:
    chat(stage, "google_chat", SPACE.format("AAA", "t"))
    for order in ("WEB-1042", "WEB-1043"):
        stage.open(order)
        stage.settle_and_send()
        stage.post(order, state="cancelled")
        stage.settle_and_send()
    threads: dict[str, list[str]] = {}
    for message in stage.messages("google_chat"):
        threads.setdefault(message["extra"]["thread"], []).append(message["text"])
    assert sorted(threads) == sorted(f"order-{stage.order(n).public_id}" for n in ("1042", "1043"))
    assert all(len(texts) == 2 for texts in threads.values())


def test_a_bot_in_slack_keeps_one_thread_per_order(stage: Stage) -> None:
    bot = {"bot_token": "xoxb-1", "channel_id": "C0KITCHEN"}
    account = make_provider_account(stage.restaurant, provider="slack", settings=bot, rate_per_s=0)
    register_with_sandbox([account])
    clear_caches()
    for order in ("WEB-1042", "WEB-1043"):
        stage.open(order)
        stage.settle_and_send()
    for order in ("WEB-1042", "WEB-1043"):
        stage.post(order, state="cancelled")
        stage.settle_and_send()
    told = [m for m in stage.messages("slack") if m["to"].endswith("C0KITCHEN")]
    roots = [m["id"].partition("/")[2] for m in told[:2]]
    assert [m["extra"]["thread"] for m in told] == ["", "", *roots]
    assert [m["extra"]["in_channel"] for m in told[2:]] == [True, True]  # urgent
    assert account.pk in Delivery.objects.values_list("account_id", flat=True)


def test_a_thread_whose_first_message_was_deleted_begins_anew(stage: Stage) -> None:
    bot = {"bot_token": "xoxb-1", "channel_id": "C0KITCHEN"}
    account = make_provider_account(stage.restaurant, provider="slack", settings=bot, rate_per_s=0)
    register_with_sandbox([account])
    clear_caches()
    stage.open()
    stage.settle_and_send()
    Delivery.objects.filter(account=account).update(vendor_id="C0KITCHEN/1.000099")
    stage.post(state="cancelled")
    stage.settle_and_send()
    told = [m for m in stage.messages("slack") if m["to"].endswith("C0KITCHEN")]
    assert [m["extra"]["thread"] for m in told] == ["", ""]
    newest = Delivery.objects.filter(account=account).latest("pk")
    assert (newest.state, newest.vendor_id) == ("accepted", told[-1]["id"])


# --- presses and words ----------------------------------------------------------------------------


def shown(stage: Stage, account: ProviderAccount) -> Notification:
    """An alarm this account has shown."""
    raise_alarm(stage)
    stage.send()
    delivery = Delivery.objects.get(account=account, notification__kind="alarm")
    assert delivery.state == "accepted"
    return delivery.notification


def press(
    stage: Stage, account: ProviderAccount, value: str, *, age_s: int = 0, secret: str = ""
) -> Any:
    """A press of Acknowledge, as Slack tells it."""
    payload = {
        "type": "block_actions",
        "user": {"id": "U0SAM"},
        "actions": [{"action_id": "order_ack", "value": value, "action_ts": "1773528125.000100"}],
    }
    body = urlencode({"payload": json.dumps(payload)})
    stamp = str(int(time.time()) - age_s)
    key = (secret or account.settings["signing_secret"]).encode()
    mac = hmac.new(key, f"v0:{stamp}:{body}".encode(), hashlib.sha256).hexdigest()
    return stage.client.post(
        f"/hooks/messages/{account.token}/",
        data=body,
        content_type="application/x-www-form-urlencoded",
        headers={"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={mac}"},
    )


def test_a_press_in_slack_acknowledges_once(stage: Stage) -> None:
    account = chat(stage, "slack", HOOK.format("B0KITCHEN"))
    notification = shown(stage, account)
    (message,) = [m for m in stage.messages("slack") if m["extra"]["buttons"][0]["value"]]
    value = message["extra"]["buttons"][0]["value"]
    answer = press(stage, account, value)
    assert (answer.status_code, answer.content) == (200, b"")
    notification.refresh_from_db()
    first = notification.acknowledged_at
    assert first is not None
    assert notification.acknowledged_by == "U0SAM"
    # the same press again, inside the five minutes a signature is worth
    assert press(stage, account, value).status_code == 200
    notification.refresh_from_db()
    assert notification.acknowledged_at == first


@pytest.mark.parametrize("change", [{"age_s": 301}, {"age_s": -310}, {"secret": "another"}])
def test_an_old_or_forged_press_changes_nothing(stage: Stage, change: dict[str, Any]) -> None:
    account = chat(stage, "slack", HOOK.format("B0KITCHEN"))
    notification = shown(stage, account)
    attempt = Attempt.objects.get(account=account)
    answer = press(stage, account, str(attempt.pk), **change)
    assert (answer.status_code, answer.content) == (401, b"")
    notification.refresh_from_db()
    assert notification.acknowledged_at is None


def test_a_press_speaks_of_messages_of_its_own_account_only(stage: Stage) -> None:
    account = chat(stage, "slack", HOOK.format("B0KITCHEN"))
    other = chat(stage, "slack", HOOK.format("B0BAR"))
    notification = shown(stage, account)
    value = str(Attempt.objects.get(account=account).pk)
    for bent in (value, "no attempt", "", "5f0c6f1e-2f6a-4d6a-9a52-0a4e6b1d1042"):
        assert press(stage, other, bent).status_code == 200
    notification.refresh_from_db()
    assert notification.acknowledged_at is None


def test_a_reference_written_in_teams_acknowledges(stage: Stage) -> None:
    account = chat(stage, "teams", FLOW.format("w0rk"))
    notification = shown(stage, account)
    reference = stage.messages("teams")[0]["attempt"]
    words = f"<at>Orders</at>&nbsp;ack {reference}"
    activity = {"type": "message", "id": "7", "text": words, "from": {"id": "29:1"}}
    body = json.dumps(activity)
    key = base64.b64decode(account.settings["outgoing_token"])
    mac = base64.b64encode(hmac.new(key, body.encode(), hashlib.sha256).digest()).decode()
    for given, status in (("AAAA", 401), (mac, 200), (mac, 200)):
        answer = stage.client.post(
            f"/hooks/messages/{account.token}/",
            data=body,
            content_type="application/json",
            headers={"Authorization": f"HMAC {given}"},
        )
        assert answer.status_code == status
        notification.refresh_from_db()
        assert (notification.acknowledged_at is not None) is (status == 200)
    assert notification.acknowledged_by == "29:1"


# --- pasted addresses -----------------------------------------------------------------------------

INSIDE = [
    ("slack", "https://127.0.0.1:{}/slack/services/T0/B0/xyz"),
    ("teams", "https://localhost:{}/teams/workflows/1/triggers/manual?sig=s3c"),
    ("google_chat", "https://[::1]:{}/v1/spaces/AAA/messages?key=k&token=t"),
]


@pytest.mark.parametrize(("provider", "url"), INSIDE)
def test_a_private_address_is_not_saved(stage: Stage, provider: str, url: str) -> None:
    account = chat(stage, provider, files.settings(provider)["webhook_url"])
    before = account.settings
    with pytest.raises(ConfigurationError, match="is a private address"):
        save_account(account=account, values={"webhook_url": url.format(8001)})
    account.refresh_from_db()
    assert account.settings == before


@pytest.mark.parametrize(("provider", "url"), INSIDE)
def test_a_private_address_that_got_in_is_not_called(stage: Stage, provider: str, url: str) -> None:
    port = stage.sandbox.url.rpartition(":")[2]
    account = chat(stage, provider, url.format(port), mode="live", name="Inside")
    raise_alarm(stage)
    stage.send()
    account.refresh_from_db()
    assert "is a private address" in account.stopped_reason
    assert "s3c" not in account.stopped_reason
    assert not Attempt.objects.filter(account=account).exists()
    assert Delivery.objects.get(account=account).state == "queued"
    stage.settle_and_send()
    assert any("Inside was stopped" in text for text in stage.texts("slack"))
