"""A stranger can see why an alert went, or did not go."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db.models.query_utils import DeferredAttribute
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from notifications import words
from notifications.history import history_of
from notifications.models import DeliveryState, InboundMessage, Notification, ProviderAccount
from notifications.page_data import health_strip, latest_alerts, told_lines
from notifications.timeline import TimelineRow, answers, rows
from orders.models import InboundCall, Order
from tests.factories import (
    make_attempt,
    make_call,
    make_customer,
    make_delivery,
    make_event,
    make_manager,
    make_notification,
    make_observation,
    make_order,
    make_provider_account,
    make_receipt,
    make_restaurant,
    make_source_account,
)
from tests.stage import Stage

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 24, 23, 36, tzinfo=UTC)


def seconds(count: float) -> datetime:
    return NOW + timedelta(seconds=count)


def twilio(order: Order, **fields: Any) -> ProviderAccount:
    return make_provider_account(
        order.restaurant, provider="twilio", channel="sms", name="Twilio", **fields
    )


def order_of_maya(**fields: Any) -> Order:
    here = make_restaurant()
    guest = make_customer(here, phone="+12125550142")
    return make_order(here, subject=guest, display="114", **fields)


def trace(*lines: tuple[str, str, str]) -> list[dict[str, str]]:
    return [{"step": step, "verdict": verdict, "why": why} for step, verdict, why in lines]


def told(order: Order, state: str = "delivered", **fields: Any) -> Notification:
    """A "ready" that was sent one second after it was recorded."""
    assert order.subject is not None
    event = make_event(order, "ready", at=NOW)
    note = make_notification(
        event,
        at=seconds(0.1),
        trace=trace(
            ("route", "matched", "Guest alerts (trigger status_changed:ready)"),
            ("step 1", "allowed", "sms +1•••0142: consent"),
        ),
    )
    delivery = make_delivery(
        note,
        twilio(order),
        at=seconds(0.1),
        address=order.subject.addresses.get(),
        state=state,
        **fields,
    )
    if state in (DeliveryState.ACCEPTED, DeliveryState.DELIVERED, DeliveryState.READ):
        make_attempt(
            delivery,
            at=seconds(0.9),
            outcome="accepted",
            http_status=201,
            vendor_id="SM1",
            duration_ms=100,
        )
    return note


def lines(made: Iterable[TimelineRow]) -> list[tuple[str, str, str]]:
    return [(row.actor, row.fact, row.verdict) for row in made]


def verdicts(order: Order) -> list[tuple[str, str, str]]:
    return [(a.what, a.verdict.text, a.verdict.tone) for a in answers(history_of(order))]


# -- the list ----------------------------------------------------------


def test_the_whole_way_in_order() -> None:
    order = order_of_maya(state="ready")
    square = make_source_account(order.restaurant, source="square", name="Square")
    call = make_call(square, at=seconds(-0.1), order=order)
    make_observation(
        order, at=seconds(-0.1), account=square, call=call, state="ready",
        native_state="PREPARED", occurred_at=seconds(-2),
    )  # fmt: skip
    note = told(order)
    delivery = note.deliveries.get()
    make_receipt(delivery, "sent", at=seconds(2))
    make_receipt(delivery, "delivered", at=seconds(3), vendor_time=seconds(2.5))
    InboundMessage.objects.create(
        account=delivery.account,
        vendor_id="in1",
        channel="sms",
        address=delivery.address,
        order=order,
        text="thank you",
        intent="other",
        outcome="shown_to_staff",
        received_at=seconds(60),
    )
    made = rows(history_of(order))
    assert lines(made) == [
        ("Square", "says ready", "applied"),
        ("Order Up", "Ready", ""),
        ("Order Up", "tell the guest: Ready", "1 message planned"),
        ("Twilio", "text message to +1•••0142 queued, due 18:36:00", ""),
        ("Twilio", "try 1, HTTP 201, 100 ms", "accepted by the vendor"),
        ("Twilio", "receipt", "sent"),
        ("Twilio", "receipt", "delivered"),
        ("Guest, +1•••0142", "“thank you”", "shown to staff"),
    ]
    assert [row.clock for row in made][:2] == ["18:35:59", "18:36:00"]
    assert made[0].details == ("kitchen, order: PREPARED → ready (18:35:58)",)
    assert made[2].details == (
        "route: matched – Guest alerts (trigger status_changed:ready)",
        "step 1: allowed – sms +1•••0142: consent",
    )
    assert made[4].details == ("vendor's id SM1",)
    assert [row.at for row in made] == sorted(row.at for row in made)


def test_cause_stands_before_effect_in_the_same_instant() -> None:
    order = order_of_maya()
    account = make_source_account(order.restaurant)
    make_delivery(
        make_notification(make_event(order, "ready", at=NOW), at=NOW), twilio(order), at=NOW
    )
    make_call(account, at=NOW, order=order)
    stages = [row.stage for row in rows(history_of(order))]
    assert stages == ["heard", "changed", "decided", "queued"]


@pytest.mark.parametrize(
    ("state", "cause", "verdict", "tone"),
    [
        ("quarantined", "Unknown state 'FIRED'", "could not be read", "bad"),
        ("parked", "", "parked until the order is known", "warn"),
        ("ignored", "", "nothing new", "quiet"),
        ("failed", "KeyError", "our error", "bad"),
    ],
)
def test_calls_that_changed_nothing_are_there_too(
    state: str, cause: str, verdict: str, tone: str
) -> None:
    order = make_order()
    account = make_source_account(order.restaurant, name="Square")
    make_call(account, at=NOW, order=order, state=state, cause=cause, conflicting_bodies=1)
    [row] = rows(history_of(order))
    assert (row.fact, row.verdict, row.tone) == ("sent a call", verdict, tone)
    assert row.details[:-1] == ((cause,) if cause else ())
    assert row.details[-1].startswith("The same event came again")


def test_a_call_about_a_part_names_the_part() -> None:
    order = make_order()
    account = make_source_account(order.restaurant)
    call = make_call(account, at=NOW, order=order)
    for ref in ("bowl-1", "bowl-2"):
        make_observation(
            order, at=NOW, account=account, call=call, scope="part", ref=ref, state="ready"
        )
    [row] = rows(history_of(order))
    assert row.fact == "says bowl-1 ready, bowl-2 ready"


def test_buttons_are_a_source_like_any_other() -> None:
    order = make_order()
    make_observation(order, at=NOW, state="ready", native_state="ready")
    [row] = rows(history_of(order))
    assert (row.actor, row.fact) == ("manual", "says ready")


def test_an_acknowledged_alert_ends_the_reminders() -> None:
    order = make_order()
    make_notification(
        make_event(order, "overdue:1", kind="order_delayed", at=NOW, data={"audience": "staff"}),
        at=NOW,
        audience="staff",
        acknowledged_at=seconds(40),
        acknowledged_by="joe",
    )
    last = rows(history_of(order))[-1]
    assert (last.actor, last.fact, last.verdict) == (
        "joe",
        "acknowledged the alert",
        "no more reminders",
    )


# -- was the guest told? ----------------------------------------------------------


def test_told_says_how_fast() -> None:
    order = order_of_maya(state="ready")
    told(order)
    assert verdicts(order) == [
        ("Ready", "told by text message at 18:36:01, 1.0 s after we knew; delivered", "good")
    ]


def test_not_told_names_every_refusal() -> None:
    order = order_of_maya()
    make_notification(
        make_event(order, "ready", at=NOW),
        at=NOW,
        trace=trace(
            ("route", "matched", "Guest alerts"),
            ("step 1", "dropped", "sms +1•••0142: no_consent (us-2026.1)"),
            ("step 2", "dropped", "no email address"),
        ),
    )
    assert verdicts(order) == [
        ("Ready", "not told: sms +1•••0142: no_consent (us-2026.1); no email address", "warn")
    ]
    decided = rows(history_of(order))[-1]
    assert (decided.verdict, decided.tone) == ("nobody told", "warn")


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({"is_stale": True}, "not told: we learned it too late to be useful"),
        (
            {"is_stale": True, "data": {"previous": "cancelled"}},
            "not told: the guest knew this state already",
        ),
        (
            {"held": "goods_on_the_road"},
            "not told: held for the staff, the food is already on the road",
        ),
        ({}, "not told: no route tells guests about this"),
    ],
)
def test_an_event_nobody_planned_says_why(fields: dict[str, Any], verdict: str) -> None:
    order = order_of_maya()
    make_event(order, "cancelled", at=NOW, **fields)
    [answer] = verdicts(order)
    assert answer[:2] == ("Cancelled", verdict)
    [row] = rows(history_of(order))
    assert row.verdict == verdict


def test_an_edit_told_with_a_later_message() -> None:
    order = order_of_maya()
    edit = make_event(
        order, "edited:1", kind="order_edited", at=NOW, data={"sentence": "+1 miso soup"}
    )
    ready = make_event(order, "ready", at=seconds(5))
    make_notification(
        ready,
        at=seconds(5),
        merged_events=[{"event": str(edit.pk), "sentence": "+1 miso soup"}],
    )
    assert verdicts(order)[0] == (
        "Order changed: +1 miso soup",
        "told together with “Ready”",
        "good",
    )


@pytest.mark.parametrize(
    ("fields", "verdict", "tone"),
    [
        ({"state": "queued", "due_at": seconds(20)}, "text message leaves at 18:36:20", "quiet"),
        (
            {"state": "queued", "tries": 1, "due_at": seconds(30)},
            "text message is tried again at 18:36:30",
            "warn",
        ),
        ({"state": "waiting"}, "text message held in reserve", "quiet"),
        (
            {"state": "failed", "reason": "unreachable"},
            "not told: text message failed (nobody can be reached at this address)",
            "bad",
        ),
        (
            {"state": "cancelled", "reason": "consent_withdrawn"},
            "not told: text message cancelled before sending (the guest withdrew consent)",
            "bad",
        ),
        ({"state": "expired"}, "not told: text message too late, not sent", "bad"),
        (
            {"state": "unknown"},
            "text message sent, but the vendor never said whether it arrived",
            "warn",
        ),
        (
            {"state": "superseded", "reason": "superseded_by:x"},
            "not told alone: a newer message replaced it",
            "quiet",
        ),
    ],
)
def test_every_way_a_delivery_can_stand(fields: dict[str, Any], verdict: str, tone: str) -> None:
    order = order_of_maya()
    told(order, **fields)
    [answer] = verdicts(order)
    assert answer[1:] == (verdict, tone)


def test_a_message_that_never_left_ends_with_its_reason() -> None:
    order = order_of_maya()
    newer = make_event(order, "delivered", at=seconds(4))
    told(order, state="superseded", reason=f"superseded_by:{newer.pk}", settled_at=seconds(4))
    [row] = [r for r in rows(history_of(order)) if r.stage == "sent"]
    assert (row.fact, row.verdict) == (
        "text message to +1•••0142",
        "replaced by the message about “Delivered”",
    )


def test_the_best_delivery_speaks_for_the_event() -> None:
    order = order_of_maya()
    note = told(order, state="failed", reason="unreachable")
    mail = make_provider_account(order.restaurant, provider="mailgun", channel="email")
    make_delivery(note, mail, at=seconds(2), step=1, state="accepted", settled_at=seconds(5))
    [answer] = verdicts(order)
    assert answer[1] == "told by e-mail at 18:36:05, 5.0 s after we knew; sent"


def test_what_is_not_for_guests_is_not_asked() -> None:
    order = order_of_maya()
    make_event(order, "stalled:ready", kind="order_delayed", at=NOW, data={"audience": "staff"})
    make_event(order, "eta:18:40", kind="eta_changed", at=seconds(1), data={"audience": "internal"})
    assert verdicts(order) == []
    assert [row.verdict for row in rows(history_of(order))] == [
        "for the staff only",
        "for the record, no message",
    ]


def test_new_times_are_shown_in_the_zone_of_the_location() -> None:
    order = order_of_maya()
    late = {
        "estimate": seconds(1140).isoformat(),
        "previous": seconds(420).isoformat(),
        "late_min": 12,
    }
    make_event(order, "delayed:1", kind="order_delayed", at=NOW, data=late)
    make_event(order, "eta:1", kind="eta_changed", at=seconds(1), data=late | {"rescheduled": True})
    make_event(order, "preparing", at=seconds(2), data={"previous": "accepted"}, epoch=1)
    made = rows(history_of(order))
    assert [row.fact for row in made] == ["Running late", "Rescheduled", "Preparing"]
    assert made[0].details == ("18:55 instead of 18:43.", "12 min later than first said.")
    assert made[2].details == ("Before: confirmed.", "Reopened 1 time before.")


def test_every_delivery_state_and_channel_has_words() -> None:
    for state in DeliveryState:
        assert "_" not in words.delivery_word(state)
        assert words.delivery_tone(state) in ("good", "warn", "bad", "quiet")
    assert words.channel_word("web_push") == "browser notification"
    assert words.reason_word("some_new_code") == "some new code"


@pytest.mark.parametrize(
    ("kind", "milestone", "data", "said"),
    [
        ("status_changed", "out_for_delivery", {}, "On the way"),
        (
            "part_status_changed",
            "part_ready",
            {"label": "Miso", "ready": 2, "total": 3},
            "Miso ready (2 of 3)",
        ),
        ("part_status_changed", "part_ready", {}, "A part ready"),
        ("order_split", "split:1", {}, "Order split"),
        ("order_delayed", "delayed:2", {}, "Running late"),
        ("order_delayed", "earlier:1", {}, "Earlier than last told"),
        ("status_requested", "asked:1", {}, "Asked where the order is"),
        ("something_new", "x", {}, "Something new"),
        ("status_changed", "courier_failed", {}, "The courier run failed"),
        ("eta_changed", "eta:1", {}, "New estimate"),
    ],
)
def test_events_have_words(kind: str, milestone: str, data: dict[str, Any], said: str) -> None:
    assert words.event_words(kind, milestone, data) == said


# -- reading ----------------------------------------------------------


def test_history_is_eight_queries_and_no_secret(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    order = order_of_maya(state="ready")
    account = make_source_account(order.restaurant)
    for number in range(3):
        call = make_call(account, at=seconds(number), order=order)
        make_observation(order, at=seconds(number), account=account, call=call)
    told(order)
    order = Order.objects.select_related("restaurant", "location").get(pk=order.pk)
    with django_assert_num_queries(8):
        history = history_of(order)
        rows(history)
        answers(history)
    assert isinstance(InboundCall.body, DeferredAttribute)
    assert "body" in history.calls[0].get_deferred_fields()
    [delivery] = next(iter(history.deliveries.values()))
    assert delivery.address is not None
    assert "value" in delivery.address.get_deferred_fields()


# -- pages ----------------------------------------------------------


def test_the_staff_page_shows_verdict_and_trace(client: Client) -> None:
    order = order_of_maya(state="ready")
    told(order)
    url = reverse("board-order", args=[order.public_id])
    assert client.get(url)["Location"].startswith("/admin/login/")
    client.force_login(make_manager(order.restaurant))
    text = client.get(url).content.decode()
    assert "told by text message at 18:36:01" in text
    assert "step 1: allowed – sms +1•••0142: consent" in text
    assert "+12125550142" not in text
    assert text.count("<h1>") == 1


def test_the_staff_page_of_another_restaurant_does_not_exist(client: Client) -> None:
    order = order_of_maya()
    client.force_login(make_manager(make_restaurant()))
    assert client.get(reverse("board-order", args=[order.public_id])).status_code == 404


def test_the_guest_reads_what_was_told_and_no_address(client: Client) -> None:
    order = order_of_maya(state="ready")
    told(order, state="read")
    [line] = told_lines(order.public_id, seconds(120))
    assert (line.time, line.what, line.how) == ("18:36", "Ready", "text message, read")
    text = client.get(reverse("order-page", args=[order.public_id])).content.decode()
    assert "What we told you" in text
    assert "0142" not in text


def test_the_guest_does_not_read_what_is_still_waiting_or_for_staff() -> None:
    order = order_of_maya()
    note = told(order, state="queued")
    staff = make_notification(note.event, at=NOW, audience="staff")  # type: ignore[arg-type]
    make_delivery(staff, note.deliveries.get().account, at=NOW, state="accepted")
    assert told_lines(order.public_id, NOW) == []


def test_latest_alerts_are_masked_newest_first_and_ours(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    order = order_of_maya(state="ready")
    note = told(order)
    kitchen = make_provider_account(
        order.restaurant, provider="slack", channel="team_chat", name="Kitchen chat"
    )
    make_delivery(note, kitchen, at=seconds(9), state="failed")
    told(order_of_maya())
    with django_assert_num_queries(1):
        lines = latest_alerts([order.restaurant_id], seconds(60))
    assert [(a.time, a.order, a.what, a.where, a.state, a.tone) for a in lines] == [
        ("18:36", "#114", "Ready", "team chat to Kitchen chat", "failed", "bad"),
        ("18:36", "#114", "Ready", "text message to +1•••0142", "delivered", "good"),
    ]


def test_health_strip_shows_what_is_wrong() -> None:
    order = order_of_maya()
    told(order, state="queued", due_at=seconds(-300))
    twilio(order, stopped_reason="the vendor answered HTTP 401")
    strip = {
        item.label: (item.value, item.tone) for item in health_strip([order.restaurant_id], NOW)
    }
    assert strip == {
        "alerts sent in 24 h": ("0", "fine"),
        "failed": ("0", "fine"),
        "oldest waiting alert": ("5 min", "bad"),
        "Twilio": ("stopped", "bad"),
    }


# -- the real chain ----------------------------------------------------------------------------


def test_the_timeline_of_a_real_order_reads_from_call_to_vendor(stage: Stage) -> None:
    stage.open(state="preparing")
    stage.settle_and_send()
    stage.post(state="ready")
    stage.settle_and_send()
    history = history_of(stage.order())
    spoken = [(a.what, a.verdict.tone, a.verdict.text) for a in answers(history)]
    assert [(what, tone) for what, tone, _ in spoken] == [("Preparing", "good"), ("Ready", "good")]
    assert all("told by text message at" in text for _, _, text in spoken)
    made = rows(history)
    ready = next(i for i, row in enumerate(made) if (row.stage, row.fact) == ("changed", "Ready"))
    assert (made[ready - 1].actor, made[ready - 1].fact) == ("Web shop", "says ready")
    after = [row.stage for row in made[ready + 1 :]]
    assert after[0] == "decided"
    assert {"queued", "sent"} <= set(after)
    assert any("sms +1" in detail for row in made for detail in row.details)
    assert not any("2025550143" in str(row) for row in made)
