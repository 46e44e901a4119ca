"""manage.py show_request: what would leave, for people, and no secret in it."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from integrations import registry
from notifications import examples, showing
from tests.stage import PROVIDERS, Stage

CASES = [
    (key, kind)
    for key in sorted(registry.PROVIDERS)
    for kind in examples.kinds_of(registry.provider_class(key))
]


def show(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    call_command("show_request", *arguments, stdout=out)
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


@pytest.mark.parametrize(("key", "kind"), CASES)
def test_every_kind_at_every_provider(key: str, kind: str) -> None:
    found = show(key, kind)
    assert set(found) == {"method", "url", "headers", "body"}
    said = json.dumps(found, ensure_ascii=False)
    assert "1042" in said or kind in ("reply", "alarm")
    for setting in registry.provider_class(key).settings:
        value = registry.provider_class(key).example_settings().get(setting.name, "")
        if setting.secret and not setting.is_url and len(value) > 5:
            assert value not in said
    assert showing.request_for_sample(key, *examples.trigger(kind)) == found


def test_a_real_order_in_its_restaurants_words(stage: Stage) -> None:
    stage.open()
    stage.post(state="ready")
    order = stage.order()
    for wanted in (str(order.public_id), "1042", "#1042"):
        found = show("twilio", "status_changed:ready", "--order", wanted)
        assert found["body"]["To"] == "+12025550143"
        assert found["body"]["Body"].startswith("Lucky Bowl: order 1042 is ready")
        assert PROVIDERS["twilio"]["account_sid"] in found["url"]
        assert PROVIDERS["twilio"]["auth_token"] not in json.dumps(found)
    assert stage.messages("twilio") == []


def test_an_account_that_is_not_there_is_made_up(stage: Stage) -> None:
    stage.open()
    found = show("plivo", "order_delayed", "--order", "1042")
    assert found["body"]["dst"] == "12025550143"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("twilio", "order_eaten"), "unknown event kind 'order_eaten'"),
        (("slack", "reply"), "no template for reply:help"),
        (("nobody", "reply"), "invalid choice: 'nobody'"),
    ],
)
def test_what_cannot_be_shown_is_named(arguments: tuple[str, ...], problem: str) -> None:
    with pytest.raises(CommandError, match=problem):
        show(*arguments)


@pytest.mark.django_db
def test_an_unknown_order_is_named() -> None:
    with pytest.raises(CommandError, match="no order '4711'"):
        show("twilio", "reply", "--order", "4711")


def test_it_says_when_the_event_happened(stage: Stage) -> None:
    assert show("partner_webhook", "status_changed")["body"]["timestamp"] == (
        "2026-03-14T22:36:00+00:00"
    )
    stage.open()
    found = show("partner_webhook", "status_changed", "--order", "1042")
    event = stage.order().events.get(milestone="received")
    assert found["body"]["timestamp"] == event.occurred_at.isoformat()
