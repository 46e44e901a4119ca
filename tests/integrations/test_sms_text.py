"""Segment counting against reference vectors, and properties no table can list."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.sms_text import GSM_BASIC, GSM_EXTENSION, SmsLength, measure, normalize

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
VECTORS = [
    ("a" * 160, "gsm", 160, 1),
    ("a" * 161, "gsm", 161, 2),
    ("a" * 306, "gsm", 306, 2),
    ("a" * 307, "gsm", 307, 3),
    ("a" * 158 + "€", "gsm", 160, 1),
    ("a" * 159 + "€", "gsm", 161, 2),
    ("a" * 152 + "€" + "a" * 152, "gsm", 306, 3),
    ("€" * 80, "gsm", 160, 1),
    ("€" * 81, "gsm", 162, 2),
    ("mañana", "gsm", 6, 1),
    ("[A]", "gsm", 5, 1),
    ("a\r\nb", "gsm", 4, 1),
    ("", "gsm", 0, 1),
    ("я" * 70, "ucs", 70, 1),
    ("я" * 71, "ucs", 71, 2),
    ("я" * 134, "ucs", 134, 2),
    ("я" * 135, "ucs", 135, 3),
    ("😀" * 35, "ucs", 70, 1),
    ("😀" * 36, "ucs", 72, 2),
    ("я" * 66 + "😀" + "я" * 66, "ucs", 134, 3),
    ("Your order’s ready", "ucs", 18, 1),
    ("a`b", "ucs", 3, 1),
    ("ça va", "ucs", 5, 1),
    ("está", "ucs", 4, 1),
    ("a\tb", "ucs", 3, 1),
    (FAMILY, "ucs", 8, 1),
]


@pytest.mark.parametrize(("text", "encoding", "units", "parts"), VECTORS)
def test_reference_vectors(text: str, encoding: str, units: int, parts: int) -> None:
    measured = measure(text)
    assert (measured.encoding, measured.units, measured.parts) == (encoding, units, parts)


def test_the_tables_have_their_standard_size() -> None:
    assert len(GSM_BASIC) == 127
    assert len(GSM_EXTENSION) == 10
    assert not GSM_BASIC & GSM_EXTENSION
    assert "\x1b" not in GSM_BASIC


def test_the_first_character_that_costs_is_named() -> None:
    assert measure("Crème brûlée – 5 €") == SmsLength("ucs", 18, 1, "û")
    assert measure("plain").culprit == ""


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("Your order’s ready", "Your order's ready"),
        ("“Hi” „du“ ‘x’ ʼ `", "\"Hi\" \"du\" 'x' ' '"),
        ("18–19 — −5 • x…", "18-19 - -5 - x..."),
        ("a\r\nb\rc\td\u00a0e\u202ff", "a\nb\nc d e f"),
        ("cafe\u0301", "café"),
        ("a\u200bb\ufeffc\u200dd\u2060", "abcd"),
        ("\x00a\x1bb\ud83c", "ab"),
        (f"hi {FAMILY}", f"hi {FAMILY}"),
        ("plain text, 5 EUR\n", "plain text, 5 EUR\n"),
    ],
)
def test_normalize(text: str, normal: str) -> None:
    assert normalize(text) == normal


def test_accents_stay_unless_asked_for() -> None:
    assert normalize("está, ça, señor, Łódź") == "está, ça, señor, Łódź"
    # é and ñ are in the alphabet and cost nothing; Ł has no accent to strip
    assert normalize("está, ça, señor, crémé", strip_accents=True) == "esta, ca, señor, crémé"
    assert measure(normalize("está ça", strip_accents=True)).encoding == "gsm"


@given(st.text())
def test_normalizing_twice_is_normalizing_once(text: str) -> None:
    once = normalize(text)
    assert normalize(once) == once
    bare = normalize(text, strip_accents=True)
    assert normalize(bare, strip_accents=True) == bare


@given(st.text())
def test_normalized_text_can_always_be_encoded(text: str) -> None:
    normalize(text).encode("utf-8")


@given(st.text())
def test_parts_hold_all_units(text: str) -> None:
    measured = measure(text)
    alone, split = (160, 153) if measured.encoding == "gsm" else (70, 67)
    if measured.units <= alone:
        assert measured.parts == 1
    else:
        # at worst one unit of each part stays empty before a two-unit character
        least, most = measured.units / split, measured.units / (split - 1)
        assert math.ceil(least) <= measured.parts <= math.ceil(most)


@given(st.text(alphabet="a€ñ[", max_size=400), st.sampled_from("a€"))
def test_a_longer_text_never_needs_fewer_parts(text: str, more: str) -> None:
    assert measure(text + more).parts >= measure(text).parts
    assert measure(text + more).units > measure(text).units
