"""What guests text back: STOP first, then questions, then staff."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from twilio.request_validator import RequestValidator

from consents.models import Suppression
from notifications.models import Delivery, InboundMessage, Notification
from notifications.selectors import webhook_url
from tests.stage import PHONE, PROVIDERS, Stage


def text(stage: Stage, words: str, *, sid: str = "SM1", sender: str = PHONE, **more: str) -> Any:
    """Post an inbound text as Twilio does, signed for the public URL."""
    account = stage.accounts["twilio"]
    form = {
        "AccountSid": PROVIDERS["twilio"]["account_sid"],
        "ApiVersion": "2010-04-01",
        "Body": words,
        "From": sender,
        "MessageSid": sid,
        "NumMedia": "0",
        "SmsMessageSid": sid,
        "SmsStatus": "received",
        "To": "+12025550100",
        **more,
    }
    signature = RequestValidator(PROVIDERS["twilio"]["auth_token"]).compute_signature(
        webhook_url(account.token), form
    )
    return stage.client.post(
        f"/hooks/messages/{account.token}/",
        data=urlencode(form),
        content_type="application/x-www-form-urlencoded",
        headers={"X-Twilio-Signature": signature},
    )


def test_stop_silences_the_next_alert_and_the_trace_says_so(stage: Stage) -> None:
    stage.open()
    stage.settle_and_send()
    assert text(stage, " Stop!! ").status_code == 200
    assert Suppression.objects.get().reason == "user"
    stage.post(state="ready")
    stage.settle_and_send()
    assert not [t for t in stage.texts() if "ready" in t]
    trace = Notification.objects.get(milestone="ready", audience="customer").trace
    assert any(line["verdict"] == "dropped" and "suppressed" in line["why"] for line in trace)


def test_stop_cancels_what_is_queued(stage: Stage) -> None:
    stage.open()
    stage.post(state="ready")
    text(stage, "STOP")
    stage.settle_and_send()
    delivery = Delivery.objects.filter(channel="sms").earliest("pk")
    assert (delivery.state, delivery.reason) == ("cancelled", "consent_withdrawn")
    assert not [t for t in stage.texts() if "ready" in t]


def test_the_vendor_confirmed_so_we_do_not(stage: Stage) -> None:
    stage.open()
    text(stage, "STOP", OptOutType="STOP")
    stage.settle_and_send()
    assert not Notification.objects.filter(kind="reply").exists()


def test_a_word_the_vendor_does_not_know_is_confirmed_once(stage: Stage) -> None:
    stage.open()
    for _ in range(5):
        assert text(stage, "baja", sid="SM-baja").status_code == 200
    stage.settle_and_send()
    assert InboundMessage.objects.count() == 1
    assert len([t for t in stage.texts() if "no more texts" in t]) == 1


def test_where_is_my_order(stage: Stage) -> None:
    stage.open()
    stage.post(state="preparing")
    stage.settle_and_send()
    before = len(stage.texts())
    text(stage, "where is my order?")
    stage.settle_and_send()
    answers = stage.texts()[before:]
    assert len(answers) == 1
    assert "order 1042 is being prepared" in answers[0]
    assert InboundMessage.objects.get().intent == "status"


def test_help_changes_nothing(stage: Stage) -> None:
    stage.open()
    text(stage, "HELP")
    stage.settle_and_send()
    assert not Suppression.objects.exists()


def test_start_lifts_a_stop(stage: Stage) -> None:
    stage.open()
    stage.settle_and_send()
    text(stage, "STOP", sid="SM-a")
    text(stage, "START", sid="SM-b")
    assert not Suppression.objects.exists()
    stage.post(state="ready")
    stage.settle_and_send()
    assert [t for t in stage.texts() if "ready" in t]


def test_can_i_cancel_my_order_is_no_opt_out(stage: Stage) -> None:
    stage.open()
    text(stage, "can I cancel my order?")
    assert not Suppression.objects.exists()
    assert stage.order().state == "received"


def test_a_wrong_signature_changes_nothing(stage: Stage) -> None:
    stage.open()
    account = stage.accounts["twilio"]
    answer = stage.client.post(
        f"/hooks/messages/{account.token}/",
        data=urlencode({"From": PHONE, "Body": "STOP", "MessageSid": "SM1"}),
        content_type="application/x-www-form-urlencoded",
        headers={"X-Twilio-Signature": "nö"},
    )
    assert answer.status_code == 401
    assert not Suppression.objects.exists()
    assert not InboundMessage.objects.exists()
