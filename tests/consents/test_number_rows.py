"""Kinds of numbers, their zones and the words of every carrier, row by row.

Numbers are of fictional ranges where a country has one; the others are the smallest valid ones of
their kind in the numbering plan. Words: the FCC's list and what Twilio, Plivo and older pages name.
"""

from __future__ import annotations

import phonenumbers
import pytest

from consents.addresses import AddressInvalid, normalize, number_place
from consents.keywords import classify

KIND = phonenumbers.PhoneNumberType


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        ("+12125550142", KIND.FIXED_LINE_OR_MOBILE),  # what US, Canadian and Mexican mobiles are
        ("+525512345678", KIND.FIXED_LINE_OR_MOBILE),
        ("+447911123456", KIND.MOBILE),
        ("+5491123456789", KIND.MOBILE),
        ("+445631231234", KIND.VOIP),
    ],
)
def test_numbers_that_take_texts(number: str, kind: int) -> None:
    assert phonenumbers.number_type(phonenumbers.parse(number)) == kind
    assert normalize("sms", number).value == number


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        ("+442071234567", KIND.FIXED_LINE),
        ("+33123456789", KIND.FIXED_LINE),
        ("+551123456789", KIND.FIXED_LINE),
        ("+18005550100", KIND.TOLL_FREE),
        ("+19002345678", KIND.PREMIUM_RATE),
    ],
)
def test_numbers_that_take_none(number: str, kind: int) -> None:
    assert phonenumbers.number_type(phonenumbers.parse(number)) == kind
    with pytest.raises(AddressInvalid, match="not_textable"):
        normalize("sms", number)


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        ("+5215512345678", "invalid_number"),  # Mexico's old mobile prefix
        ("+551187654321", "invalid_number"),  # Brazil's eight digits
        ("4155552671 x5", "has_extension"),
        ("+", "not_a_number"),
    ],
)
def test_numbers_that_are_none(number: str, reason: str) -> None:
    with pytest.raises(AddressInvalid, match=reason):
        normalize("sms", number, "US")


@pytest.mark.parametrize(
    ("number", "zones"),
    [
        ("+14155552671", {"America/Los_Angeles"}),
        ("+12087250000", {"America/Denver"}),
        (
            "+447911123456",
            {"Europe/London", "Europe/Guernsey", "Europe/Isle_of_Man", "Europe/Jersey"},
        ),
        ("+919876543210", {"Asia/Calcutta"}),
    ],
)
def test_every_zone_a_number_may_be_in_counts(number: str, zones: set[str]) -> None:
    assert set(number_place(number).zones) == zones


def test_a_number_without_a_place_has_dozens_of_zones() -> None:
    assert len(number_place("+18005550100").zones) > 30


STOP = (
    *("STOP", "STOPALL", "STOP ALL", "UNSUBSCRIBE", "UNSUB", "CANCEL", "END", "QUIT"),
    *("REVOKE", "OPTOUT", "OPT OUT", "OPT-OUT"),
)


@pytest.mark.parametrize("word", STOP)
def test_every_carriers_stop_words_are_ours(word: str) -> None:
    """Plivo heeds three of them and SignalWire none; a bare CANCEL is not about the order."""
    for written in (word, word.lower(), f' "{word}." ', word.replace(" ", "  ")):
        found = classify(written, has_open_order=True)
        assert (found.intent, found.tier) == ("stop", 1), written


@pytest.mark.parametrize(
    ("word", "intent"),
    [("START", "start"), ("UNSTOP", "start"), ("HELP", "help"), ("INFO", "help")],
)
def test_every_carriers_other_words(word: str, intent: str) -> None:
    assert classify(word).intent == intent


def test_a_sentence_with_a_stop_word_counts() -> None:
    assert classify("please stop texting me").intent == "stop"
