"""What a person gets when they ask what we know: all of theirs, nothing of others."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from consents import exports, rights, services
from consents.models import ContactAddress, Preference, RightsRequest, Subject
from integrations import contracts
from notifications.replies import record_replies
from notifications.selectors import account_view
from tests.consents.factories import make_notice
from tests.stage import GUEST, PHONE, Stage

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def now() -> datetime:
    return datetime.now(UTC)


def hear(stage: Stage, text: str, vendor_id: str) -> None:
    reply = contracts.Reply(
        channel=contracts.Channel.SMS, sender=PHONE, text=text, vendor_id=vendor_id
    )
    account = account_view(stage.accounts["twilio"])
    record_replies(account=account, replies=[reply], received_at=now())


def opened(packed: bytes) -> tuple[dict[str, Any], str]:
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.testzip() is None
        data: dict[str, Any] = json.loads(archive.read("your-data.json"))
        return data, archive.read("your-data.html").decode()


@pytest.fixture
def guest(stage: Stage) -> Subject:
    stage.open()
    stage.settle_and_send()
    subject = stage.order().subject
    assert subject is not None
    Preference.objects.create(subject=subject, purpose="feedback", is_allowed=False)
    return subject


def ask(subject: Subject) -> RightsRequest:
    return rights.open_request(subject.pk, "access", "portal", now())


def test_the_file_has_everything_and_opens_for_a_week(stage: Stage, guest: Subject) -> None:
    text = ContactAddress.objects.get(channel="sms")
    services.verify_address(address_id=text.pk, at=now(), by="portal")
    notice = make_notice(text.sender_group, text="News by text, see <our> terms")
    services.record_consent(
        address_id=text.pk, purpose="marketing", action="granted", source="portal",
        occurred_at=now(), now=now(), idempotency_key="form:1", subject_id=guest.pk,
        notice_version_id=notice.pk, language="en",
    )  # fmt: skip
    hear(stage, "ring twice <b>please</b>", "SM1")
    request = ask(guest)
    assert ask(guest).pk == request.pk
    assert exports.build_exports(now()) == 1
    assert exports.build_exports(now()) == 0
    packed = exports.read_export(public_id=request.public_id, address_id=text.pk, now=now())
    data, page = opened(packed)

    assert data["profile"]["name"] == "Ana Silva"
    shown = {row["channel"]: row["address"] for row in data["addresses"]}
    # a mailbox nobody proved may be somebody else's
    assert shown == {"sms": PHONE, "email": "a•••@example.com"}
    assert [row["purpose"] for row in data["preferences"]] == ["feedback"]
    assert [order["number"] for order in data["orders"]] == ["1042"]
    assert {row["order"] for row in data["messages_to_you"]} == {"1042"}
    assert [row["text"] for row in data["messages_from_you"]] == ["ring twice <b>please</b>"]
    receipt = data["consent_receipts"][-1]
    assert receipt["schema_version"] == "ISO/IEC TS 27560:2023"
    assert receipt["privacy_notice"]["text"] == notice.text
    assert receipt["privacy_notice"]["sha256"] == notice.sha256
    assert receipt["pii_principal_id"] == str(guest.pk)
    assert receipt["events"][0]["event_type"] == "granted"
    assert receipt["purposes"][0]["purpose"] == "marketing"
    assert receipt["integrity"]["holds"] is True
    recipients = {row["name"] for row in data["recipients"]}
    used = {row["sent_through"] for row in data["messages_to_you"]}
    assert recipients == used | {"Web shop (cloudevents)"}
    assert "Mailgun" in used
    assert "&lt;b&gt;please" in page
    assert "<b>please" not in page

    over = now() + 7 * DAY
    with pytest.raises(exports.ExportUnavailable):
        exports.read_export(public_id=request.public_id, address_id=text.pk, now=over)
    assert exports.forget_files(now()) == 0
    assert exports.forget_files(over) == 1
    request.refresh_from_db()
    assert (request.state, request.file) == ("done", None)


def test_the_file_is_encrypted_where_it_lies(guest: Subject) -> None:
    request = ask(guest)
    exports.build_exports(now())
    with connection.cursor() as cursor:
        cursor.execute("SELECT file FROM consents_rightsrequest WHERE id = %s", [request.pk])
        raw = bytes(cursor.fetchone()[0])
    assert raw.startswith(b"gAAAA")
    assert b"PK" not in raw[:4]


def test_it_opens_for_their_own_address_alone(stage: Stage, guest: Subject) -> None:
    text = ContactAddress.objects.get(channel="sms")
    mail = ContactAddress.objects.get(channel="email")
    stage.open("WEB-3001", customer={"name": "Ben", "phone": PHONE, "contact_kind": "direct"})
    ben = stage.order("3001").subject
    assert ben is not None
    hear(stage, "Ben here", "SM2")
    request = ask(guest)
    exports.build_exports(now())
    stranger = ContactAddress.objects.exclude(pk__in=[text.pk, mail.pk])
    assert not stranger.exists()
    packed = exports.read_export(public_id=request.public_id, address_id=mail.pk, now=now())
    data, page = opened(packed)
    assert data["messages_from_you"] == []
    assert "Ben" not in json.dumps(data)
    assert "Ben" not in page
    assert "3001" not in json.dumps(data["orders"] + data["messages_to_you"])
    # whoever proves the shared phone may be Ben
    with pytest.raises(exports.ExportUnavailable):
        exports.read_export(public_id=request.public_id, address_id=text.pk, now=now())


def test_39_an_export_afterwards_finds_nothing(stage: Stage, guest: Subject, settings: Any,
                                               tmp_path: Any) -> None:  # fmt: skip
    from consents import erasure

    settings.ERASURE_JOURNAL = tmp_path / "erasures.jsonl"
    mail = ContactAddress.objects.get(channel="email").pk
    before, after = ask(guest), rights.open_request(guest.pk, "erasure", "portal", now())
    exports.build_exports(now())
    late = ask(guest)
    erasure.carry_on_erasures(now())
    stage.send()
    erasure.carry_on_erasures(now())
    after.refresh_from_db()
    assert after.state == "done"
    assert exports.build_exports(now()) == 0
    late.refresh_from_db()
    assert late.outcome == {"overtaken_by": "erasure"}
    assert not rights.overdue(now() + 400 * DAY).exists()
    for request in (before, late):
        with pytest.raises(exports.ExportUnavailable):
            exports.read_export(public_id=request.public_id, address_id=mail, now=now())
        request.refresh_from_db()
        assert request.file is None
    with pytest.raises(Subject.DoesNotExist):
        ask(guest)


def test_the_page_speaks_their_language(guest: Subject) -> None:
    page = exports.pack(exports.export_of(guest, now()), locale="es-MX")
    assert "Tus pedidos" in opened(page)[1]
    assert GUEST["email"] not in opened(page)[1]
