"""manage.py connect: an account from the environment, once, encrypted."""

from __future__ import annotations

import urllib.request
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from notifications.models import ProviderAccount
from tests.factories import make_restaurant
from tests.stage import PROVIDERS, Stage


def connect(*arguments: str) -> str:
    out = StringIO()
    call_command("connect", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def twilio_in_env(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in PROVIDERS["twilio"].items():
        monkeypatch.setenv(f"TWILIO_{name.upper()}", value)


def test_an_account_is_stored_encrypted_and_works(stage: Stage, twilio_in_env: None) -> None:
    ProviderAccount.objects.all().delete()
    said = connect("twilio", "--from-env", "--sandbox", "--test", "+12025550142")
    account = ProviderAccount.objects.get()
    assert (account.name, account.channel, account.mode) == ("Twilio", "sms", "sandbox")
    assert account.settings["auth_token"] == PROVIDERS["twilio"]["auth_token"]
    assert f"/hooks/messages/{account.token}/" in said
    assert "The test was accepted" in said
    assert PROVIDERS["twilio"]["auth_token"] not in said
    assert len(stage.messages("twilio")) == 1
    with connection.cursor() as cursor:
        cursor.execute("SELECT settings FROM notifications_provideraccount")
        assert PROVIDERS["twilio"]["auth_token"].encode() not in bytes(cursor.fetchone()[0])


@pytest.mark.django_db
def test_the_same_name_again_updates(
    twilio_in_env: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make_restaurant()
    connect("twilio", "--from-env")
    secret = tmp_path / "token"
    secret.write_text("9" * 32 + "\n")
    monkeypatch.delenv("TWILIO_AUTH_TOKEN")
    monkeypatch.setenv("TWILIO_AUTH_TOKEN_FILE", str(secret))
    assert "updated" in connect("twilio", "--from-env", "--priority", "3")
    account = ProviderAccount.objects.get()
    assert (account.settings["auth_token"], account.priority, account.mode) == ("9" * 32, 3, "live")


@pytest.mark.django_db
def test_what_is_missing_is_named_and_nothing_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    make_restaurant(slug="one")
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    with pytest.raises(CommandError, match="'auth_token' is missing") as caught:
        connect("twilio", "--from-env")
    assert "TWILIO_AUTH_TOKEN " in str(caught.value)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN_FILE", "/nowhere/at/all")
    with pytest.raises(CommandError, match="TWILIO_AUTH_TOKEN_FILE: No such file"):
        connect("twilio", "--from-env")
    make_restaurant(slug="two")
    with pytest.raises(CommandError, match="known: one, two"):
        connect("twilio", "--from-env")
    with pytest.raises(CommandError, match="known: one, two"):
        connect("twilio", "--from-env", "--restaurant", "three")
    assert not ProviderAccount.objects.exists()


@pytest.mark.django_db
def test_without_from_env_it_only_lists() -> None:
    said = connect("slack")
    assert "SLACK_WEBHOOK_URL" in said
    assert not ProviderAccount.objects.exists()


def test_a_test_says_what_is_missing_at_the_vendor(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "pat-na1-0001")
    arguments = ("hubspot", "--from-env", "--sandbox", "--test", "ana@example.com")
    assert "But:" not in connect(*arguments)
    forgotten = f"{stage.sandbox.url}/_sandbox/hubspot/properties/last_order_eta"
    urllib.request.urlopen(urllib.request.Request(forgotten, method="DELETE"), timeout=5).close()
    with pytest.raises(CommandError, match="lacks the contact properties last_order_eta"):
        connect(*arguments)
    monkeypatch.setenv("KLAVIYO_API_KEY", "pk_0001")
    monkeypatch.setenv("KLAVIYO_METRIC", "Bowl News")
    said = connect("klaviyo", "--from-env", "--sandbox", "--test", "ana@example.com")
    assert "But:" not in said
    stage.fault(vendor="klaviyo", kind="500", every=2)
    said = connect("klaviyo", "--from-env", "--sandbox", "--test", "ana@example.com")
    assert "The test was accepted." in said
    assert "But: What is set up at the vendor could not be seen (klaviyo" in said
