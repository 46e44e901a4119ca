"""Accounts: secrets stay secret and stored, a test goes over real HTTP, health is in words."""

from __future__ import annotations

import urllib.request
from typing import Any

from django.db import connection
from django.test import Client
from django.urls import reverse

from integrations.sandbox.server import SandboxServer
from notifications.models import ProviderAccount
from tests.admin.factories import SECRETS, World
from tests.factories import make_provider_account
from tests.stage import PROVIDERS, Stage

TWILIO = {
    "set_account_sid": "AC" + "1" * 32,
    "set_sender": "+12025550100",
    "mode": "live",
    "priority": 10,
    "enabled": "on",
}


def change_url(account: Any) -> str:
    return reverse(f"admin:{account._meta.app_label}_{account._meta.model_name}_change",
                   args=[account.pk])  # fmt: skip


def messages_of(answer: Any) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


def test_an_empty_secret_keeps_the_stored_one(mine: World, manager: Client) -> None:
    page = manager.get(change_url(mine.account)).content.decode()
    assert 'type="password"' in page
    assert SECRETS[1] not in page
    answer = manager.post(
        change_url(mine.account), {**TWILIO, "name": "Texts", "set_auth_token": ""}
    )
    assert answer.status_code == 302
    account = ProviderAccount.objects.get(pk=mine.account.pk)
    assert account.name == "Texts"
    assert account.settings["auth_token"] == SECRETS[1]


def test_a_new_secret_replaces_it_and_is_encrypted(mine: World, manager: Client) -> None:
    answer = manager.post(
        change_url(mine.account), {**TWILIO, "name": "Texts", "set_auth_token": "brand-new-token"}
    )
    assert answer.status_code == 302
    account = ProviderAccount.objects.get(pk=mine.account.pk)
    assert account.settings["auth_token"] == "brand-new-token"
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT settings FROM notifications_provideraccount WHERE id = %s", [account.pk]
        )
        assert b"brand-new-token" not in bytes(cursor.fetchone()[0])
    assert "brand-new-token" not in manager.get(change_url(account)).content.decode()


def test_a_refused_form_gives_no_secret_back(mine: World, manager: Client) -> None:
    answer = manager.post(
        change_url(mine.account), {**TWILIO, "name": "", "set_auth_token": "typed-secret-value"}
    )
    assert answer.status_code == 200
    assert "name" in answer.context["adminform"].form.errors
    assert "typed-secret-value" not in answer.content.decode()


def test_a_missing_setting_is_named_and_nothing_is_saved(mine: World, manager: Client) -> None:
    answer = manager.post(
        change_url(mine.account), {**TWILIO, "name": "Texts", "set_account_sid": ""}
    )
    assert answer.status_code == 200
    assert "set_account_sid" in answer.context["adminform"].form.errors
    assert ProviderAccount.objects.get(pk=mine.account.pk).name != "Texts"


def test_saving_mends_a_stopped_account(mine: World, manager: Client) -> None:
    page = manager.get(change_url(mine.slack)).content.decode()
    assert "the channel is archived" in page
    assert "Mend the settings below" in page
    data = {"name": "Kitchen", "mode": "live", "priority": 10, "enabled": "on"}
    assert manager.post(change_url(mine.slack), data).status_code == 302
    mine.slack.refresh_from_db()
    assert mine.slack.stopped_reason == ""
    assert mine.slack.settings["webhook_url"].endswith(SECRETS[2])


def test_an_account_is_added_after_choosing_its_provider(mine: World, manager: Client) -> None:
    add = reverse("admin:notifications_provideraccount_add")
    assert "?vendor=twilio" in manager.get(add).content.decode()
    data = {**TWILIO, "set_auth_token": "t" * 32, "name": "New", "restaurant": mine.restaurant.pk}
    assert manager.post(f"{add}?vendor=twilio", data).status_code == 302
    account = ProviderAccount.objects.get(name="New")
    assert (account.provider, account.channel) == ("twilio", "sms")
    assert account.settings["auth_token"] == "t" * 32


def test_the_page_shows_the_address_to_paste(mine: World, manager: Client) -> None:
    page = manager.get(change_url(mine.account)).content.decode()
    assert f"https://alerts.example.com/hooks/messages/{mine.account.token}/" in page
    page = manager.get(change_url(mine.source)).content.decode()
    assert f"https://alerts.example.com/hooks/orders/{mine.source.token}/" in page
    assert "the signature header is missing" in page


def press_test(client: Client, account: ProviderAccount, to: str = "+12025550142") -> list[str]:
    url = reverse("admin:notifications_provideraccount_test", args=[account.pk])
    return messages_of(client.post(url, {"to": to}, follow=True))


def test_the_test_button_sends_over_real_http(stage: Stage, superuser: Client) -> None:
    (said,) = press_test(superuser, stage.accounts["twilio"])
    assert said.startswith("Twilio took the test message (its id: SM")
    (message,) = stage.messages("twilio")
    assert message["to"] == "+12025550142"
    assert message["text"].startswith("This is a test from Order Up.")


def test_the_test_button_needs_no_address_for_a_team_chat(stage: Stage, superuser: Client) -> None:
    (said,) = press_test(superuser, stage.accounts["slack"], to="")
    assert said.startswith("Slack took the test message")
    assert len(stage.messages("slack")) == 1


def test_the_test_button_says_what_the_vendor_refused(stage: Stage, superuser: Client) -> None:
    stage.fault(vendor="twilio", kind="500", times=1)
    (said,) = press_test(superuser, stage.accounts["twilio"])
    assert said.startswith("Not sent: ")
    assert "500" in said
    (said,) = press_test(superuser, stage.accounts["twilio"], to="+15005550001")
    assert said.startswith("Not sent: nobody can be reached at this address (twilio")
    stage.fault(vendor="twilio", kind="html", status=401, times=1)
    (said,) = press_test(superuser, stage.accounts["twilio"])
    assert said.endswith("Check the settings.")
    assert PROVIDERS["twilio"]["auth_token"] not in said
    assert stage.messages("twilio") == []


def test_the_test_button_says_what_is_missing_at_the_vendor(
    stage: Stage, superuser: Client
) -> None:
    account = make_provider_account(
        stage.restaurant, provider="klaviyo", settings={"api_key": "pk_0001"}
    )
    (said,) = press_test(superuser, account, to="ana@example.com")
    assert said.startswith("Klaviyo took the test message")
    off = urllib.request.Request(f"{stage.sandbox.url}/_sandbox/klaviyo/flows", method="DELETE")
    urllib.request.urlopen(off, timeout=5).close()
    took, gap = press_test(superuser, account, to="ana@example.com")
    assert took.startswith("Klaviyo took the test message")
    assert gap.startswith("No live flow starts on the metric “Order Status Changed”")


def test_the_test_button_asks_for_an_address(stage: Stage, superuser: Client) -> None:
    (said,) = press_test(superuser, stage.accounts["twilio"], to="")
    assert "a test needs an address" in said
    assert stage.messages("twilio") == []


def test_a_manager_cannot_test_another_restaurants_account(
    stage: Stage, mine: World, manager: Client
) -> None:
    url = reverse("admin:notifications_provideraccount_test", args=[stage.accounts["twilio"].pk])
    assert manager.post(url, {"to": "+12025550142"}).status_code == 404
    assert stage.messages("twilio") == []


def test_buttons_answer_to_post_only(mine: World, manager: Client, sandbox: SandboxServer) -> None:
    url = reverse("admin:notifications_provideraccount_test", args=[mine.account.pk])
    assert manager.get(url).status_code == 405
