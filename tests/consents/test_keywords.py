"""Which inbound words stop, start and ask."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consents import words
from consents.keywords import classify, is_yes, normalise


@pytest.mark.parametrize("word", words.STOP)
def test_every_stop_word_alone_is_tier_one(word: str) -> None:
    for written in (word, word.upper(), f"  {word}!!! ", f"“{word}.”", f"{word} 🛑"):
        found = classify(written, has_open_order=True)
        assert (found.intent, found.tier) == ("stop", 1), written


@pytest.mark.parametrize("phrase", [*words.STOP_PHRASES, *words.STOP_PHRASES_UNSPACED])
def test_every_stop_phrase_inside_a_sentence_is_tier_two(phrase: str) -> None:
    found = classify(f"Hi, {phrase}, ok?", has_open_order=True)
    assert (found.intent, found.tier) == ("stop", 2)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "S.T.O.P",
            "s t o p",
            "ＳＴＯＰ",
            "Stop\u200b",
            "STOP\ufe0f",
            "STOP STOP STOP",
            "Opt-Out",
        ),
        *("İPTAL", "IPTAL", "Désabonner", "DESABONNER", "إلغاء", "الغاء"),
    ],
)
def test_spelling_does_not_matter(text: str) -> None:
    assert classify(text).intent == "stop"


@pytest.mark.parametrize(
    "text",
    [
        *("can I cancel my order?", "stop by at 6?", "Is there a bus stop near you"),
        *("can you remove the onions", "what time does lunch end today"),
    ],
)
def test_order_talk_is_tier_three(text: str) -> None:
    found = classify(text)
    assert (found.intent, found.tier) == ("other", 3)


@pytest.mark.parametrize(
    "text", ["weekend plans", "Thanks!", "stopover", "backend", "👍", "", "see you at 6", "1001"]
)
def test_a_stop_word_inside_another_word_is_none(text: str) -> None:
    assert classify(text) == classify("")


def test_courtesy_around_a_stop_word_is_a_stop() -> None:
    assert (classify("please stop").intent, classify("please stop").tier) == ("stop", 2)
    assert classify("STOP NOW").intent == "stop"


def test_cancel_please_means_the_order_while_there_is_one() -> None:
    assert classify("cancel please", has_open_order=True).intent == "other"
    assert classify("cancel please", has_open_order=True).tier == 3
    assert classify("cancel please", has_open_order=False).intent == "stop"


@pytest.mark.parametrize(
    "text",
    [
        *("where is my order", "Wheres my food???", "status", "ETA?", "how long", "Any update"),
        *("¿Dónde está mi pedido?", "Où est ma commande ?", "Wo bleibt mein Essen", "到哪了"),
        *("is my order ready yet", "когда будет готово", "मेरा ऑर्डर कहाँ है", "siparişim nerede"),
    ],
)
def test_questions_about_the_order(text: str) -> None:
    assert classify(text).intent == "status"


def test_a_stop_beats_a_question_and_a_question_keeps_the_review() -> None:
    assert classify("where is my order? stop texting me").intent == "stop"
    both = classify("stop, where's my food")
    assert (both.intent, both.tier) == ("status", 3)


def test_yes_counts_only_where_a_question_is_open() -> None:
    assert classify("YES").intent == "other"
    assert classify("Yes!", awaits_yes=True).intent == "start"
    assert is_yes("Sí.")
    assert not is_yes("yes please")


@pytest.mark.parametrize("text", ["START", "unstop"])
def test_start(text: str) -> None:
    assert classify(text).intent == "start"


@pytest.mark.parametrize("text", ["HELP", "info?", "Aide", "ayuda"])
def test_help(text: str) -> None:
    assert classify(text).intent == "help"


def test_accents_go_in_latin_only() -> None:
    assert normalise("Désinscrire") == "desinscrire"
    assert normalise("बंद करें") == "बंद करें"
    assert normalise("Ещё йод") == "ещё йод"


@given(st.text(max_size=300))
def test_any_text_has_a_meaning_and_normalising_twice_changes_nothing(text: str) -> None:
    assert classify(text).intent in ("stop", "start", "help", "status", "other")
    once = normalise(text)
    assert normalise(once) == once


@given(st.sampled_from(words.STOP), st.sampled_from(["!", " .", "\n", "…", " 🙏", "‼️"]))
def test_punctuation_never_saves_a_stop_word(word: str, tail: str) -> None:
    assert classify(word + tail).intent == "stop"
