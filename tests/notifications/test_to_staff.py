"""Words only a person can answer reach the staff with the conversation around them."""

from __future__ import annotations

from consents.models import InboxItem
from notifications.models import Delivery, InboundMessage, Notification, Route
from notifications.selectors import clear_caches
from tests.notifications.test_replies import text
from tests.stage import Stage


def test_a_question_reaches_the_team_chat_once(stage: Stage) -> None:
    stage.open()
    stage.post(state="preparing")
    stage.settle_and_send()
    before = len(stage.messages("slack"))
    for _ in range(2):
        assert text(stage, "Please leave the sauce aside!", sid="SM-q").status_code == 200
    stage.settle_and_send()
    found = stage.messages("slack")[before:]
    assert len(found) == 1
    assert "#1042" in found[0]["text"]
    assert "Please leave the sauce aside!" in found[0]["text"]
    assert "0143" in found[0]["text"]
    assert "+12025550143" not in str(found[0])
    assert InboundMessage.objects.get().outcome == "passed to the staff"
    assert InboxItem.objects.get().topic == "question"


def test_a_stranger_is_heard_too(stage: Stage) -> None:
    text(stage, "Do you have gluten free bowls?", sender="+12025550177")
    stage.settle_and_send()
    assert ["gluten free" in m["text"] for m in stage.messages("slack")] == [True]


def test_stop_and_questions_we_answer_bother_nobody(stage: Stage) -> None:
    stage.open()
    stage.settle_and_send()
    before = len(stage.messages("slack"))
    text(stage, "where is my order?", sid="SM-1")
    text(stage, "STOP", sid="SM-2")
    text(stage, "   ", sid="SM-3")
    stage.settle_and_send()
    assert len(stage.messages("slack")) == before
    assert not Notification.objects.filter(kind="customer_message").exists()


def test_without_a_route_it_waits_in_the_inbox(stage: Stage) -> None:
    Route.objects.filter(triggers__contains=["customer_message"]).delete()
    clear_caches()
    text(stage, "Do you deliver to the harbour?")
    assert not Delivery.objects.exists()
    assert InboundMessage.objects.get().outcome == "left to staff"
    assert InboxItem.objects.filter(settled_at=None).count() == 1


def test_the_next_step_waits_until_nobody_acknowledged(stage: Stage) -> None:
    step = {"channel": "team_chat", "when": "if_not_acknowledged", "after_s": 300}
    route = Route.objects.get(triggers__contains=["customer_message"])
    route.steps = [*route.steps, step]
    route.save()
    clear_caches()
    text(stage, "I am allergic to nuts, please check")
    states = list(Delivery.objects.order_by("step").values_list("step", "state"))
    assert states == [(0, "queued"), (1, "waiting")]


def test_the_guest_never_gets_the_note(stage: Stage) -> None:
    """A step to a channel of people would reach the very guest who wrote."""
    Route.objects.filter(triggers__contains=["customer_message"]).update(
        steps=[{"channel": "sms", "when": "now"}, {"channel": "email", "when": "now"}]
    )
    clear_caches()
    stage.open()
    stage.settle_and_send()
    before = len(stage.messages())
    text(stage, "Please leave the sauce aside!")
    stage.settle_and_send()
    assert len(stage.messages()) == before
    assert InboundMessage.objects.get().outcome == "left to staff"
