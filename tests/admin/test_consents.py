"""Deeds about consents at the console: nothing is lifted, looks are on record, scans are scans."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from consents.importing import run_import
from consents.models import (
    AddressReveal,
    ConsentEvent,
    ConsentImport,
    ConsentState,
    OptIn,
    RightsRequest,
    SubjectAddress,
    Suppression,
)
from consents.services import record_consent, withdraw
from notifications.leads import silent_leads
from notifications.models import Notification, Route
from tests import factories as make
from tests.admin.factories import MAILBOX, NOW, World

PDF = b"%PDF-1.4 a signed card"


def deed(page: str, name: str, pk: object) -> str:
    return reverse(f"admin:consents_{page}_{name}", args=[pk])


def why(what: str, pk: object) -> str:
    return reverse("console-why", args=[what, pk])


def said(**fields: Any) -> dict[str, Any]:
    return {"action": "granted", "purpose": "marketing", "said_on": "2026-03-01", "note": "told me",
            "nonce": "n1"} | fields  # fmt: skip


def notices(answer: Any) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


def test_a_whole_address_is_shown_once_and_the_look_is_kept(mine: World, manager: Client) -> None:
    url = deed("contactaddress", "reveal", mine.address.pk)
    before = AddressReveal.objects.count()
    answer = manager.post(url, {"why": "  "}, follow=True)
    assert mine.address.value not in answer.content.decode()
    assert AddressReveal.objects.count() == before
    answer = manager.post(url, {"why": "the driver is lost"})
    assert mine.address.value in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    look = AddressReveal.objects.latest("pk")
    assert (look.seen_by, look.why) == (mine.manager.get_username(), "the driver is lost")
    assert look.masked == mine.address.masked
    assert (
        "the driver is lost"
        in manager.get(reverse("admin:consents_addressreveal_changelist")).content.decode()
    )
    assert manager.get(url).status_code == 405


def test_another_restaurants_address_is_never_shown(
    mine: World, theirs: World, manager: Client
) -> None:
    before = AddressReveal.objects.count()
    for name, data in (("reveal", {"why": "curious"}), ("record", said())):
        answer = manager.post(deed("contactaddress", name, theirs.address.pk), data)
        assert answer.status_code == 404
    for what, pk in (("address", theirs.address.pk), ("subject", theirs.subject.pk),
                     ("order", theirs.order.pk), ("address", "x"), ("user", 1)):  # fmt: skip
        assert manager.get(why(what, pk)).status_code == 404
    assert AddressReveal.objects.count() == before


def test_a_paper_consent_counts_with_its_scan(mine: World, manager: Client) -> None:
    url = deed("contactaddress", "record", mine.address.pk)
    for _ in range(2):  # pressed twice
        scan = SimpleUploadedFile("card.pdf", PDF, "application/pdf")
        manager.post(url, said(scan=scan))
    event = ConsentEvent.objects.get(source="staff")
    assert (event.action, event.purpose) == ("granted", "marketing")
    assert event.actor_id == mine.manager.get_username()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT scan FROM consents_consentevidence WHERE id = %s", [event.evidence_id]
        )
        ((stored,),) = cursor.fetchall()
    assert PDF not in bytes(stored)  # encrypted
    answer = manager.post(deed("consentevent", "scan", event.pk))
    assert answer.content == PDF
    assert answer["Content-Type"] == "application/pdf"
    assert answer["Content-Disposition"].startswith("attachment")
    assert AddressReveal.objects.latest("pk").why == "the scanned consent"


@pytest.mark.parametrize(
    ("data", "why_not"),
    [
        (b"<html>%PDF-", "PDF, a PNG or a JPEG"),
        (b"MZ\x90", "PDF, a PNG or a JPEG"),
        (b"%PDF-" + b"x" * 5 * 1024 * 1024, "larger than 5 MB"),
    ],
)
def test_what_is_no_scan_records_nothing(
    mine: World, manager: Client, data: bytes, why_not: str
) -> None:
    scan = SimpleUploadedFile("card.pdf", data, "application/pdf")
    url = deed("contactaddress", "record", mine.address.pk)
    answer = manager.post(url, said(scan=scan), follow=True)
    assert why_not in notices(answer)[0]
    assert not ConsentEvent.objects.filter(source="staff").exists()


def test_a_yes_without_paper_waits(mine: World, manager: Client) -> None:
    manager.post(deed("contactaddress", "record", mine.address.pk), said())
    assert ConsentEvent.objects.get(source="staff").action == "pending"
    assert ConsentState.objects.get(purpose="marketing", channel="sms").state == "pending"


def test_13_staff_cannot_undo_a_stop_and_cannot_say_lifted(mine: World, manager: Client) -> None:
    withdraw(
        address_id=mine.address.pk, source="keyword", occurred_at=NOW, now=NOW, idempotency_key="s"
    )
    url = deed("contactaddress", "record", mine.address.pk)
    scan = SimpleUploadedFile("card.pdf", PDF, "application/pdf")
    answer = manager.post(url, said(purpose="order_updates", scan=scan), follow=True)
    assert "grants nothing" in notices(answer)[0]
    assert ConsentEvent.objects.get(source="staff").action == "pending"
    assert Suppression.objects.filter(address_hash=mine.address.address_hash).exists()
    for action in ("lifted", "confirmed", "erased"):
        assert manager.post(url, said(action=action, nonce=action)).status_code == 404
    assert ConsentEvent.objects.filter(source="staff").count() == 1


def test_a_mailbox_is_asked_itself(mine: World, manager: Client) -> None:
    Suppression.objects.filter(channel="email").delete()
    scan = SimpleUploadedFile("card.pdf", PDF, "application/pdf")
    url = deed("contactaddress", "record", mine.mail.pk)
    answer = manager.post(url, said(scan=scan), follow=True)
    assert "asked" in notices(answer)[0]
    opt_in = OptIn.objects.get()
    assert (opt_in.purposes, opt_in.source) == (["marketing"], "staff")
    assert ConsentState.objects.get(channel="email", purpose="marketing").state == "pending"
    assert MAILBOX not in answer.content.decode()


@pytest.mark.parametrize("action", ["denied", "withdrawn", "suppressed"])
def test_staff_write_down_a_no(mine: World, manager: Client, action: str) -> None:
    manager.post(deed("contactaddress", "record", mine.address.pk), said(action=action))
    assert ConsentEvent.objects.get(source="staff").action == action


def test_why_names_rules_version_and_rows_and_changes_nothing(mine: World, manager: Client) -> None:
    withdraw(
        address_id=mine.address.pk, source="keyword", occurred_at=NOW, now=NOW, idempotency_key="s"
    )
    stop = ConsentEvent.objects.get(source="keyword")
    counts = (ConsentEvent.objects.count(), Notification.objects.count())
    for what, pk in (("address", mine.address.pk), ("subject", mine.subject.pk),
                     ("order", mine.order.pk)):  # fmt: skip
        text = manager.get(why(what, pk)).content.decode()
        assert "may not go" in text
        assert "Did they stop it?" in text
        assert f"/admin/consents/consentevent/{stop.pk}/change/" in text
        assert "us-2026-11" in text.lower() or "2026-11" in text
        assert mine.address.masked in text
        assert str(mine.address.value) not in text
    assert (ConsentEvent.objects.count(), Notification.objects.count()) == counts
    page = manager.get(reverse("admin:orders_order_change", args=[mine.order.pk]))
    assert why("order", mine.order.pk) in page.content.decode()


def test_a_receipt_is_what_the_row_says(mine: World, manager: Client) -> None:
    event = mine.rows[ConsentEvent]
    answer = manager.post(deed("consentevent", "receipt", event.pk))
    receipt = json.loads(answer.content)
    assert receipt["record_id"] == str(event.pk)
    assert receipt["integrity"]["holds"] is True
    assert receipt["schema_version"] == "ISO/IEC TS 27560:2023"


def test_a_request_runs_against_its_clock(mine: World, manager: Client) -> None:
    manager.post(deed("subject", "ask", mine.subject.pk), {"kind": "complaint", "text": "Rude."})
    made = RightsRequest.objects.get(kind="complaint")
    assert (made.asked_via, made.text) == ("staff", "Rude.")
    assert made.due_at - made.received_at == timedelta(days=30)
    late = timezone.now() - timedelta(days=1)
    RightsRequest.objects.filter(pk=made.pk).update(due_at=late)
    listed = reverse("admin:consents_rightsrequest_changelist")
    assert "overdue" in manager.get(listed).content.decode()
    manager.post(deed("rightsrequest", "acknowledge", made.pk))
    made.refresh_from_db()
    assert made.acknowledged_at is not None
    answer = manager.post(deed("rightsrequest", "refuse", made.pk), {"reason": ""}, follow=True)
    assert "reason" in notices(answer)[-1]
    manager.post(deed("rightsrequest", "settle", made.pk), {"note": "Said sorry."})
    made.refresh_from_db()
    assert (made.state, made.settled_by) == ("done", mine.manager.get_username())
    answer = manager.post(deed("rightsrequest", "settle", made.pk), follow=True)
    assert "Nothing was changed" in notices(answer)[-1]


def test_a_list_is_handed_in_and_reported_by_row(mine: World, manager: Client) -> None:
    url = reverse("admin:consents_consentimport_add")
    group = mine.restaurant.sender_group_id
    bad = SimpleUploadedFile("list.csv", b"phone,action\n")
    answer = manager.post(url, {"sender_group": group, "list": bad})
    assert "names no column" in answer.content.decode()
    rows = b"address,action,occurred_at\n+12025550111,denied,2024-05-01\nnonsense,denied,2024-05-01"
    for _ in range(2):
        good = SimpleUploadedFile("list.csv", rows)
        assert manager.post(url, {"sender_group": group, "list": good}).status_code == 302
    made = ConsentImport.objects.get(made_by=mine.manager.get_username())
    assert made.finished_at is None
    run_import(import_id=made.pk, now=timezone.now())
    change = reverse("admin:consents_consentimport_change", args=[made.pk])
    text = manager.get(change).content.decode()
    assert "1 row was not taken" in text
    answer = manager.post(deed("consentimport", "problems", made.pk))
    assert answer.content.split() == [b"row,code", b"3,not_a_number"]


def test_a_list_is_not_handed_in_for_others(mine: World, theirs: World, manager: Client) -> None:
    before = ConsentImport.objects.count()
    data = {"sender_group": theirs.restaurant.sender_group_id,
            "list": SimpleUploadedFile("l.csv", b"address,action\n")}  # fmt: skip
    assert manager.post(reverse("admin:consents_consentimport_add"), data).status_code == 200
    assert ConsentImport.objects.count() == before


def test_who_changed_what_shows_ones_own(mine: World, theirs: World, manager: Client) -> None:
    Route.objects.filter(pk=mine.rows[Route].pk).update(name="Guests: louder")
    Route.objects.filter(pk=theirs.rows[Route].pk).update(name="Secret plan")
    text = manager.get(reverse("console-changes")).content.decode()
    assert "Who changed what?" in text
    assert "Guests: louder" in text
    assert "the system" in text
    assert "Secret plan" not in text
    assert "Other Kitchen" not in text
    older = manager.get(reverse("console-changes"), {"before": "2000-01-01T00:00:00Z"})
    assert "Nothing was changed yet" in older.content.decode()
    stranger = Client()
    stranger.force_login(make.make_manager(None))
    assert stranger.get(reverse("console-changes")).status_code == 404


def test_47_a_muted_shift_lead_is_a_warning(mine: World, manager: Client) -> None:
    group = mine.restaurant.sender_group
    lead = make.make_customer(mine.restaurant, phone="+12025550177")
    type(lead).objects.filter(pk=lead.pk).update(kind="staff", name="Lee")
    address = SubjectAddress.objects.get(subject=lead).address
    assert address.sender_group == group
    record_consent(
        address_id=address.pk, purpose="staff_ops", action="granted", source="portal",
        occurred_at=NOW, now=NOW, idempotency_key="lead",
    )  # fmt: skip
    manager.post(deed("subject", "reach", lead.pk), {"must": "on"})
    now = timezone.now()
    assert silent_leads([mine.restaurant.pk], now) == []
    withdraw(
        address_id=address.pk, source="keyword", occurred_at=NOW, now=NOW, idempotency_key="stop"
    )
    (silent,) = silent_leads([mine.restaurant.pk], now)
    assert (silent.subject_id, silent.name) == (lead.pk, "Lee")
    text = manager.get(reverse("admin:index")).content.decode()
    assert "Lee must be reached and hears nothing" in text
    assert why("subject", lead.pk) in text
    manager.post(deed("subject", "reach", lead.pk), {})
    assert silent_leads([mine.restaurant.pk], now) == []
    assert (
        manager.post(deed("subject", "reach", mine.subject.pk), {"must": "on"}).status_code == 404
    )
