"""Rights requests: their clocks, and what they do at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from consents import rights
from consents.models import ConsentEvent, ConsentState, Subject
from notifications.models import Delivery
from tests.consents.factories import NOW, append, make_address, make_group, make_subject
from tests.stage import Stage

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "country", "asked", "due"),
    [
        ("access", "US", "2026-11-25", "2026-12-25"),
        ("access", "DE", "2027-01-31", "2027-02-28"),
        ("erasure", "DE", "2027-12-31", "2028-01-31"),
        ("restriction", "GB", "2028-01-30", "2028-02-29"),
        ("objection", "DE", "2026-12-01", "2027-01-01"),
        ("access", "BR", "2026-12-01", "2026-12-16"),
        ("erasure", "BR", "2026-12-01", "2027-01-01"),
        ("complaint", "GB", "2027-01-31", "2027-03-02"),
    ],
)
def test_the_law_sets_the_day(kind: str, country: str, asked: str, due: str) -> None:
    assert rights.due_at(kind, at(asked), country) == at(due)


def test_the_same_wish_twice_is_one_request_and_each_complaint_its_own() -> None:
    subject = make_subject(make_group())
    first = rights.open_request(subject.pk, "access", "portal", NOW)
    assert rights.open_request(subject.pk, "access", "api", NOW + DAY).pk == first.pk
    one = rights.open_request(subject.pk, "complaint", "portal", NOW, "cold food data")
    two = rights.open_request(subject.pk, "complaint", "portal", NOW, "still")
    assert one.pk != two.pk
    assert (one.text, one.state) == ("cold food data", "open")
    assert {request.pk for request in rights.requests_of([subject.pk])} == {
        first.pk,
        one.pk,
        two.pk,
    }


def test_an_overdue_request_is_found_and_an_acknowledged_complaint_is_not() -> None:
    subject = make_subject(make_group())
    access = rights.open_request(subject.pk, "access", "portal", NOW)
    complaint = rights.open_request(subject.pk, "complaint", "portal", NOW, "no")
    assert not rights.overdue(NOW + 29 * DAY).exists()
    assert set(rights.overdue(NOW + 29 * DAY, within=2 * DAY)) == {access, complaint}
    rights.acknowledge(request_id=complaint.pk, by="mia", now=NOW + DAY)
    assert list(rights.overdue(NOW + 40 * DAY)) == [access]
    rights.settle(request_id=complaint.pk, by="mia", now=NOW + 2 * DAY, note="we called them")
    complaint.refresh_from_db()
    assert (complaint.state, complaint.settled_by) == ("done", "mia")
    assert complaint.acknowledged_at == NOW + DAY
    assert complaint.outcome == {"acknowledged_by": "mia", "note": "we called them"}
    with pytest.raises(rights.RequestSettled):
        rights.settle(request_id=complaint.pk, by="mia", now=NOW)


def test_a_refusal_names_its_reason() -> None:
    subject = make_subject(make_group())
    request = rights.open_request(subject.pk, "access", "staff", NOW)
    with pytest.raises(ValueError, match="reason"):
        rights.refuse(request_id=request.pk, by="mia", now=NOW, reason=" ")
    rights.refuse(request_id=request.pk, by="mia", now=NOW, reason="third time this week")
    request.refresh_from_db()
    assert (request.state, request.outcome) == (
        "refused",
        {"refused_because": "third time this week"},
    )


def test_a_restriction_is_a_veto_from_its_moment_and_keeps_the_data(stage: Stage) -> None:
    stage.open()
    subject = stage.order().subject
    assert subject is not None
    waiting = Delivery.objects.filter(state="queued", notification__subject=subject)
    assert (count := waiting.count()) > 0
    before = len(stage.messages("twilio") + stage.messages("mailgun"))
    request = rights.open_request(subject.pk, "restriction", "staff", datetime.now(UTC))
    assert (request.state, request.outcome) == ("done", {"cancelled": count})
    stage.post(state="ready")
    stage.settle_and_send()
    assert len(stage.messages("twilio") + stage.messages("mailgun")) == before
    assert set(
        Delivery.objects.filter(notification__subject=subject).values_list("state", "reason")
    ) == {("cancelled", "restricted")}
    assert subject.addresses.count() == 2
    rights.end_restriction(subject_id=subject.pk)
    stage.post(state="cancelled")
    stage.settle_and_send()
    assert len(stage.messages("twilio") + stage.messages("mailgun")) > before


def test_a_restriction_cannot_end_under_an_erasure() -> None:
    subject = make_subject(make_group())
    erasure = rights.open_request(subject.pk, "erasure", "portal", NOW)
    with pytest.raises(ValueError, match="under way"):
        rights.end_restriction(subject_id=subject.pk)
    with pytest.raises(ValueError, match="by erasing"):
        rights.settle(request_id=erasure.pk, by="mia", now=NOW)
    assert Subject.objects.get(pk=subject.pk).restricted_at == NOW


def test_an_objection_ends_marketing_everywhere_at_once_and_nothing_else() -> None:
    group = make_group(country="DE")
    text = make_address(group)
    mail = make_address(group, "ana@example.com", channel="email")
    subject = make_subject(group, text, mail)
    for address in (text, mail):
        for purpose in ("marketing", "order_updates"):
            append(address, "granted", purpose=purpose)
    request = rights.open_request(subject.pk, "objection", "portal", NOW + DAY)
    assert (request.state, request.outcome) == ("done", {"ended": 4})
    states = ConsentState.objects.values_list("channel", "purpose", "state")
    assert set(states) == {
        (channel, purpose, state)
        for channel in ("sms", "email")
        for purpose, state in (
            ("marketing", "withdrawn"),
            ("feedback", "withdrawn"),
            ("order_updates", "granted"),
        )
    }
    said = ConsentEvent.objects.filter(action="withdrawn")
    assert {(event.source, event.actor_type) for event in said} == {("rights_request", "customer")}
    assert {event.subject_ref for event in said} == {subject.pk}
