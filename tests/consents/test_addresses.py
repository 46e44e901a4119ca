"""Numbers and mailboxes as comparable values."""

from __future__ import annotations

from typing import Any

import pytest

from consents.addresses import (
    NOWHERE,
    AddressInvalid,
    address_hash,
    address_hashes,
    normalize,
    normalize_sender,
    number_place,
)


@pytest.mark.parametrize(
    ("value", "region", "e164", "found"),
    [
        ("(212) 555-0142", "US", "+12125550142", "US"),
        ("+1 787 555 1234", "US", "+17875551234", "PR"),
        ("0170 1234567", "DE", "+491701234567", "DE"),
        ("+447911123456", "GB", "+447911123456", "GG"),
    ],
)
def test_phone(value: str, region: str, e164: str, found: str) -> None:
    normalized = normalize("sms", value, region)
    assert (normalized.value, normalized.region) == (e164, found)
    assert normalized.masked.endswith("•••" + e164[-4:])
    assert e164[4:-4] not in normalized.masked


@pytest.mark.parametrize(
    ("value", "region", "reason"),
    [
        ("", "US", "empty"),
        ("abc", "US", "not_a_number"),
        ("2125550142", "", "no_country"),
        ("12345", "US", "invalid_number"),
        ("415-555-2671 ext 5", "US", "has_extension"),
        ("+442071234567", "US", "not_textable"),
        ("+18005550100", "US", "not_textable"),
        ("+5215512345678", "MX", "invalid_number"),
    ],
)
def test_phone_refused(value: str, region: str, reason: str) -> None:
    with pytest.raises(AddressInvalid) as caught:
        normalize("sms", value, region)
    assert caught.value.reason == reason
    assert str(caught.value) == reason


def test_whatsapp_ids_have_no_plus_and_old_shapes() -> None:
    assert normalize_sender("whatsapp", "5215512345678").value == "+525512345678"
    assert normalize_sender("whatsapp", "551187654321").value == "+5511987654321"
    assert normalize("whatsapp", "491701234567", "US").value == "+491701234567"


def test_mailbox() -> None:
    normalized = normalize("email", "  Ana.Lima@Bücher.Example ")
    assert normalized.value == "ana.lima@xn--bcher-kva.example"
    assert normalized.masked == "a•••@xn--bcher-kva.example"
    for bad in ("ana", "ana@", "@example.com", "a b@example.com", "a@example..com"):
        with pytest.raises(AddressInvalid):
            normalize("email", bad)


@pytest.mark.parametrize("value", ["32665", "+442071234567", "Lucky", "+12125550142"])
def test_whoever_writes_has_an_address(value: str) -> None:
    once = normalize_sender("sms", value)
    assert once.value
    assert normalize_sender("sms", once.value) == once


def test_one_number_is_one_address_on_both_phone_channels() -> None:
    assert address_hash("sms", "+12125550142") == address_hash("whatsapp", "+12125550142")
    assert address_hash("sms", "+12125550142") != address_hash("telegram", "+12125550142")


def test_every_pepper_is_tried_newest_first(settings: Any) -> None:
    old = address_hash("sms", "+12125550142")
    settings.ADDRESS_PEPPERS = [*settings.ADDRESS_PEPPERS, "a-newer-pepper"]
    hashes = address_hashes("sms", "+12125550142")
    assert list(hashes.values()) == [2, 1]
    assert hashes[old] == 1
    assert address_hash("sms", "+12125550142") == next(iter(hashes)) != old


def test_where_a_number_may_be() -> None:
    assert number_place("+12145550142").prefix == "+1214"
    assert number_place("+12145550142").zones == ("America/Chicago",)
    assert len(number_place("+61412345678").zones) == 8
    assert number_place("ana@example.com") is NOWHERE
    assert "Etc/Unknown" not in number_place("+5215512345678").zones
