"""A person's words without the quotation of our mail and without markup."""

from __future__ import annotations

import time

import pytest

from integrations.mail_words import is_markup, own_words, without_markup


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("STOP", "STOP"),
        ("STOP\r\n\r\nOn Sat, 14 Mar 2026, Bowl Bar wrote:\r\n> Order", "STOP"),
        ("Wo?\n\nAm Sa., 14. März 2026 schrieb Bowl Bar <o@example.com>:\n> x", "Wo?"),
        ("Où ?\n\nLe sam. 14 mars 2026, Bowl Bar a écrit :\n> x", "Où ?"),
        ("ok\n-----Original Message-----\nFrom: x", "ok"),
        ("ok\n________________________________\nFrom: x", "ok"),
        ("> only quoted", ""),
        ("a\nb", "a\nb"),
    ],
)
def test_quoted_text_is_left_out(text: str, own: str) -> None:
    assert own_words(text) == own


@pytest.mark.parametrize(
    ("html", "words"),
    [
        ("<p>Where is my order?</p>", "Where is my order?"),
        ("<div>Hi&nbsp;there</div><div>Fish &amp; chips &lt;3</div>", "Hi there\nFish & chips <3"),
        ("one<br/>two<BR>three", "one\ntwo\nthree"),
        ("<ul><li>a</li><li>b</li></ul>", "a\nb"),
        ("<style>p { color: red }</style><p>STOP</p>", "STOP"),
        ("<p>Yes</p><blockquote>STOP</blockquote>", "Yes"),
        ('<p>Yes</p><div class="gmail_quote">On Sat we wrote</div>', "Yes"),
        ("<p>Yes</p><div class='freshdesk_quote'>x</div>", "Yes"),
        ("a < b and b > c", "a < b and b > c"),
        ("", ""),
    ],
)
def test_markup_is_left_out(html: str, words: str) -> None:
    assert without_markup(html) == words


@pytest.mark.parametrize(
    ("text", "expected"),
    [("<p>x</p>", True), ("a<br>b", True), ("a < b", False), ("<3", False), ("", False)],
)
def test_markup_is_told_from_words(text: str, expected: bool) -> None:
    assert is_markup(text) is expected


@pytest.mark.parametrize("text", ["<" * 50_000, "<style>" * 8_000, "<a " * 20_000, "<!--" * 15_000])
def test_nonsense_is_read_in_no_time(text: str) -> None:
    started = time.perf_counter()
    without_markup(text)
    assert time.perf_counter() - started < 1
