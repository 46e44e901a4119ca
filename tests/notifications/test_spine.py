"""The main job: a signed update becomes one alert, explained, and never two."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from notifications.models import Attempt, Delivery, Notification
from orders.models import OrderEvent
from tests.stage import PHONE, Stage


def test_an_update_becomes_a_text_a_mail_and_a_chat_card(stage: Stage) -> None:
    assert stage.open().status_code == 202
    stage.settle_and_send()
    assert stage.post(state="ready").status_code == 202
    stage.settle_and_send()

    texts = stage.messages("twilio", order="1042")
    assert [m["to"] for m in texts] == [PHONE]
    assert texts[0]["text"].startswith("Lucky Bowl: order 1042 is ready for pickup")
    mails = stage.messages("mailgun", order="1042")
    assert [m["to"] for m in mails] == ["ana@example.com"]
    assert "we have your order 1042" in mails[0]["text"]
    assert len(stage.messages("slack", order="1042")) == 2


def test_the_same_post_again_changes_nothing(stage: Stage) -> None:
    stage.open()
    body = stage.event("WEB-1042", "ev-ready", 9, state="ready")
    assert stage.post_raw(body).status_code == 202
    stage.settle_and_send()
    before = (OrderEvent.objects.count(), Delivery.objects.count(), len(stage.messages()))
    again = stage.post_raw(body)
    assert (again.status_code, again.json()) == (200, {"duplicate": True})
    stage.settle_and_send()
    assert (OrderEvent.objects.count(), Delivery.objects.count(), len(stage.messages())) == before


def test_preparing_after_ready_alerts_nobody(stage: Stage) -> None:
    stage.open()
    stage.post_raw(stage.event("WEB-1042", "b", 20, state="ready"))
    stage.settle_and_send()
    before = len(stage.messages())
    stage.post_raw(stage.event("WEB-1042", "a", 10, state="preparing"))
    stage.settle_and_send()
    assert stage.order().state == "ready"
    assert len(stage.messages()) == before


def test_the_trace_explains_what_went_and_what_did_not(stage: Stage) -> None:
    stage.open()
    stage.post(state="ready")
    notification = Notification.objects.get(milestone="ready", audience="customer")
    steps = [(line["step"], line["verdict"]) for line in notification.trace]
    assert ("route", "matched") in steps
    assert ("step 5", "allowed") in steps  # text: the guest chose no chat
    assert ("step 6", "not needed") in steps
    assert PHONE not in str(notification.trace)


def test_an_attempt_is_written_before_the_call_and_travels_in_it(stage: Stage) -> None:
    stage.open()
    stage.post(state="ready")
    stage.settle_and_send()
    delivery = Delivery.objects.get(channel="sms")
    attempt = Attempt.objects.get(delivery=delivery)
    message = stage.messages("twilio")[0]
    assert message["attempt"] == str(attempt.pk)
    assert (delivery.state, attempt.outcome) == ("accepted", "accepted")
    assert delivery.vendor_id == attempt.vendor_id != ""
    assert delivery.consent_basis["events"], "the delivery names the ledger events it relied on"


def test_newer_news_replaces_what_is_unsent(stage: Stage) -> None:
    stage.open()
    stage.post(state="preparing")
    stage.post(state="ready")
    stage.post(state="picked_up")
    stage.settle_and_send()
    texts = stage.texts()
    assert len(texts) == 1
    states = list(
        Delivery.objects.filter(channel="sms").order_by("pk").values_list("state", flat=True)
    )
    assert states.count("superseded") >= 1


def test_an_edit_that_settles_is_told_with_the_status(stage: Stage) -> None:
    stage.open(items=[{"id": "1", "label": "Poke Bowl"}])
    stage.settle_and_send()
    stage.post(items=[{"id": "1", "label": "Poke Bowl"}, {"id": "2", "label": "Miso Soup"}])
    stage.post(state="ready")
    stage.settle_and_send()
    text = stage.texts()[-1]
    assert "ready" in text
    assert "Miso Soup" in text


def test_urgent_news_leaves_at_once_and_calm_news_settles(stage: Stage) -> None:
    stage.open()
    now = datetime.now(UTC)
    calm = Delivery.objects.filter(channel="email").get()
    assert timedelta(seconds=10) < calm.due_at - now <= timedelta(seconds=20)
    stage.post(state="ready")
    urgent = Delivery.objects.get(channel="sms")
    assert urgent.due_at <= datetime.now(UTC)


def test_two_of_three_bowls(stage: Stage) -> None:
    bowls = [{"id": f"b{n}", "label": f"Bowl {n}", "state": "preparing"} for n in (1, 2, 3)]
    stage.open(state="preparing", parts=bowls)
    stage.settle_and_send()
    stage.post(parts=[{"id": "b1", "state": "ready"}])
    stage.post(parts=[{"id": "b2", "state": "ready"}])
    stage.settle_and_send()
    assert "2 of 3 parts of order 1042 are ready" in stage.texts()[-1]
    stage.post(parts=[{"id": "b3", "state": "ready"}])
    stage.settle_and_send()
    assert "All 3 parts are done" in stage.texts()[-1]


@pytest.mark.parametrize("kind", ["relay", "masked", "none"])
def test_a_contact_that_is_not_the_guests_own_is_never_messaged(stage: Stage, kind: str) -> None:
    stage.open(customer={"name": "A", "phone": PHONE, "contact_kind": kind})
    stage.post(state="ready")
    stage.settle_and_send()
    assert stage.messages("twilio") == []
    assert stage.messages("mailgun") == []
    assert stage.messages("slack")
