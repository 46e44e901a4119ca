"""Fields at rest and the change of their keys."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection

from consents import encryption
from consents.encryption import DecryptionFailed
from consents.management.commands.rotate_keys import encrypted_fields
from consents.models import ConsentEvidence, ContactAddress, Subject
from tests.consents.factories import PHONE, make_address, make_group, make_subject

pytestmark = pytest.mark.django_db


def stored(table: str, column: str) -> list[bytes]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM {table} ORDER BY 1")  # noqa: S608
        return [bytes(row[0]) for row in cursor.fetchall()]


def test_nothing_readable_is_stored() -> None:
    address = make_address(make_group())
    make_subject(address.sender_group, address, name="Ana Lima")
    ConsentEvidence.objects.create(detail={"ip": "192.0.2.1"})
    for table, column, secret in (
        ("consents_contactaddress", "value", PHONE),
        ("consents_subject", "name", "Ana"),
        ("consents_consentevidence", "detail", "192"),
    ):
        (token,) = stored(table, column)
        assert secret.encode() not in token
    assert ContactAddress.objects.get().value == PHONE
    assert Subject.objects.get().name == "Ana Lima"
    assert ConsentEvidence.objects.get().detail == {"ip": "192.0.2.1"}


def test_a_wrong_key_raises_instead_of_handing_back_ciphertext(settings: Any) -> None:
    make_address(make_group())
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(DecryptionFailed):
        ContactAddress.objects.get()


def test_a_tampered_token_raises() -> None:
    token = bytearray(encryption.encrypt(b"+12125550142"))
    token[40] ^= 1
    with pytest.raises(DecryptionFailed):
        encryption.decrypt(bytes(token))
    with pytest.raises(DecryptionFailed):
        encryption.rotate(bytes(token))


def test_every_app_with_secrets_is_found() -> None:
    labels = {model._meta.label: columns for model, columns in encrypted_fields()}
    assert labels["consents.ContactAddress"] == ["value"]
    assert labels["consents.Subject"] == ["name"]
    assert "settings" in labels["orders.SourceAccount"]
    assert set(labels["orders.InboundCall"]) == {"body", "headers"}
    assert "settings" in labels["notifications.ProviderAccount"]


def test_rotation_moves_every_row_to_the_newest_key(settings: Any) -> None:
    group = make_group()
    for number in range(7):
        address = make_address(group, f"+121255501{number:02d}")
        make_subject(group, address, name=f"Guest {number}")
    old = settings.FIELD_ENCRYPTION_KEYS[0]
    new = Fernet.generate_key().decode()
    settings.FIELD_ENCRYPTION_KEYS = [new, old]
    out = StringIO()
    call_command("rotate_keys", "--batch", "3", stdout=out)
    assert "consents.ContactAddress: 7 rows, 0 unreadable" in out.getvalue()
    settings.FIELD_ENCRYPTION_KEYS = [new]
    assert sorted(a.value for a in ContactAddress.objects.all()) == [
        f"+121255501{n:02d}" for n in range(7)
    ]
    assert {s.name for s in Subject.objects.all()} == {f"Guest {n}" for n in range(7)}
    before = stored("consents_contactaddress", "value")
    call_command("rotate_keys", stdout=StringIO())
    assert stored("consents_contactaddress", "value") == before


def test_rotation_says_what_no_key_opens_and_leaves_it(settings: Any) -> None:
    make_address(make_group())
    before = stored("consents_contactaddress", "value")
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(CommandError, match="1 values"):
        call_command("rotate_keys", stdout=StringIO())
    assert stored("consents_contactaddress", "value") == before
