"""Phone numbers, mailboxes and vendor ids as comparable values, and what people may see of them.

Pure: no database. Numbering-plan facts come from the installed ``phonenumbers`` release.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import phonenumbers
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from phonenumbers import timezone as number_timezone

from consents import encryption

PHONE_CHANNELS = frozenset({"sms", "whatsapp"})
#: WhatsApp's own id of a person, used where it gives no number: country, dot, letters and digits
_WHATSAPP_USER = re.compile(r"([A-Z]{2})\.[A-Za-z0-9]{1,128}", re.ASCII)
_DOTS = "•••"
_UNKNOWN_ZONE = "Etc/Unknown"
_SENDABLE = frozenset(
    {
        phonenumbers.PhoneNumberType.MOBILE,
        phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE,
        phonenumbers.PhoneNumberType.VOIP,
        phonenumbers.PhoneNumberType.PERSONAL_NUMBER,
    }
)


class AddressInvalid(ValueError):
    """The value cannot be an address of this channel; ``reason`` is a lowercase code.

    Codes: empty, not_a_number, no_country, invalid_number, has_extension, not_textable,
    invalid_email. The text never holds the value itself.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Normalized:
    """An address in the one form we store, compare and dial."""

    value: str
    masked: str
    #: ISO region of a phone number, "" for other kinds
    region: str = ""


@dataclass(frozen=True, slots=True)
class NumberPlace:
    """Where a number may be: IANA zones (all of them count) and calling code + area code."""

    zones: tuple[str, ...] = ()
    prefix: str = ""


NOWHERE = NumberPlace()


def hash_kind(channel: str) -> str:
    """What the value is: one phone number has one hash on every channel that dials it."""
    return "phone" if channel in PHONE_CHANNELS else channel


def shared_channels(channel: str) -> tuple[str, ...]:
    """The channels on which this channel's values mean the same address."""
    return tuple(sorted(PHONE_CHANNELS)) if channel in PHONE_CHANNELS else (channel,)


def address_hash(channel: str, value: str, version: int | None = None) -> str:
    """The keyed hash of a normalised value under pepper ``version`` (default: the newest)."""
    return encryption.keyed_hash(f"{hash_kind(channel)}|{value}", version=version)


def address_hashes(channel: str, value: str) -> dict[str, int]:
    """Every hash the value may be filed under -> pepper version, newest first."""
    newest = encryption.pepper_version()
    return {address_hash(channel, value, v): v for v in range(newest, 0, -1)}


def normalize(channel: str, value: str, region: str = "") -> Normalized:
    """``value`` as we store it; raises AddressInvalid when a message could not reach it.

    ``region`` (ISO 3166-1) is the country of the restaurant: it completes national numbers.
    """
    text = value.strip()
    if not text:
        raise AddressInvalid("empty")
    if channel == "whatsapp":
        if user := _WHATSAPP_USER.fullmatch(text):
            return Normalized(text, f"{user[1]}{_DOTS}{text[-4:]}", user[1])
        try:
            return _phone(text, region)
        except AddressInvalid:
            return _phone(_from_whatsapp_id(text), region)
    if channel == "sms":
        return _phone(text, region)
    if channel == "email":
        return _email(text)
    if channel == "web_push":
        return Normalized(text, "browser")
    return Normalized(text, _DOTS + text[-4:])


def normalize_sender(channel: str, value: str, region: str = "") -> Normalized:
    """The address somebody wrote to us from. Never raises: a stop from an odd number counts.

    Numbers no message could be sent to (short codes, fixed lines) are kept as they came.
    """
    text = value.strip()
    if channel == "whatsapp":
        text = _from_whatsapp_id(text)
    try:
        return normalize(channel, text, region)
    except AddressInvalid:
        text = text.casefold()
        try:
            number = phonenumbers.parse(text, region or None)
        except phonenumbers.NumberParseException:
            return Normalized(text, _DOTS + text[-2:])
        number.extension = None
        e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        found = phonenumbers.region_code_for_number(number) or ""
        return Normalized(e164, _mask_number(number, e164), found if len(found) == 2 else "")


def _phone(text: str, region: str) -> Normalized:
    try:
        number = phonenumbers.parse(text, region.upper() or None)
    except phonenumbers.NumberParseException as error:
        no_country = error.error_type == phonenumbers.NumberParseException.INVALID_COUNTRY_CODE
        raise AddressInvalid("no_country" if no_country else "not_a_number") from None
    if number.extension:
        # E.164 would drop it without a word and dial somebody else
        raise AddressInvalid("has_extension")
    if not phonenumbers.is_valid_number(number):
        raise AddressInvalid("invalid_number")
    if phonenumbers.number_type(number) not in _SENDABLE:
        raise AddressInvalid("not_textable")
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return Normalized(
        e164, _mask_number(number, e164), phonenumbers.region_code_for_number(number) or ""
    )


def _mask_number(number: phonenumbers.PhoneNumber, e164: str) -> str:
    return f"+{number.country_code}{_DOTS}{e164[-4:]}"


def _from_whatsapp_id(text: str) -> str:
    """WhatsApp ids carry no plus and keep the old shape of Mexican and Brazilian mobiles."""
    digits = text.lstrip("+")
    if not (digits.isascii() and digits.isdecimal()):
        return text
    if digits.startswith("521") and len(digits) == 13:
        return "+52" + digits[3:]
    if digits.startswith("55") and len(digits) == 12:
        return f"+55{digits[2:4]}9{digits[4:]}"
    return "+" + digits


def _email(text: str) -> Normalized:
    local, at, domain = text.rpartition("@")
    try:
        ascii_domain = domain.encode("idna").decode("ascii") if at else ""
        value = f"{local}@{ascii_domain}".lower()
        validate_email(value)
    except (ValidationError, UnicodeError):
        raise AddressInvalid("invalid_email") from None
    return Normalized(value, f"{value[0]}{_DOTS}@{ascii_domain.lower()}")


def number_place(value: str) -> NumberPlace:
    """The zones and the area of an E.164 number; NOWHERE for anything else."""
    try:
        number = phonenumbers.parse(value)
    except phonenumbers.NumberParseException:
        return NOWHERE
    zones = tuple(z for z in number_timezone.time_zones_for_number(number) if z != _UNKNOWN_ZONE)
    length = phonenumbers.length_of_geographical_area_code(number)
    national = phonenumbers.national_significant_number(number)
    return NumberPlace(zones, f"+{number.country_code}{national[:length]}")
