"""The guest's page is wholly in Spanish for a guest who reads Spanish."""

from __future__ import annotations

import re
from gettext import GNUTranslations
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import translation

_ROOT = Path(settings.BASE_DIR)
_PO = _ROOT / "locale" / "es" / "LC_MESSAGES" / "django.po"
_GUEST_FILES = [
    "orders/phrases.py",
    "orders/pieces.py",
    "orders/page_data.py",
    "templates/orders/order.html",
    "templates/orders/order_live.html",
    "templates/pieces/track.html",
    "templates/pieces/chip.html",
    "templates/pieces/items.html",
    "templates/orders/mute.html",
    "templates/404.html",
    "templates/403_csrf.html",
    *(f"templates/portal/{path.name}" for path in (_ROOT / "templates/portal").glob("*.html")),
    "notifications/opt_in_words.py",
    "notifications/preference_data.py",
    "notifications/preference_pages.py",
]


def words_of(path: str) -> set[str]:
    """The translatable words of a file, as gettext would collect them."""
    text = (_ROOT / path).read_text()
    # one text may be written as several literals
    calls = re.findall(r'\b(?:_|ngettext)\(\s*((?:"(?:[^"\\]|\\.)*"\s*)+)', text)
    found = ["".join(re.findall(r'"((?:[^"\\]|\\.)*)"', call)) for call in calls]
    found += re.findall(r'{% translate "([^"]*)"', text) + re.findall(
        r"{% translate '([^']*)'", text
    )
    blocks = re.findall(r"{% blocktranslate[^%]*%}(.*?){% endblocktranslate %}", text, re.DOTALL)
    found += [re.sub(r"{{ *(\w+) *}}", r"%(\1)s", block) for block in blocks]
    return set(found)


@pytest.mark.parametrize("path", _GUEST_FILES)
def test_every_word_a_guest_reads_is_translated(path: str) -> None:
    known = set(re.findall(r'^msgid "(.+)"$', _PO.read_text(), re.MULTILINE))
    assert words_of(path) - known == set()


def test_the_compiled_file_is_in_use() -> None:
    with translation.override("es"):
        assert translation.gettext("Ready for pickup") == "Listo para recoger"
        assert translation.ngettext("%(n)d day", "%(n)d days", 2) == "%(n)d días"


def test_the_compiled_file_is_the_sources() -> None:
    with _PO.with_suffix(".mo").open("rb") as compiled:
        catalog = GNUTranslations(compiled)
    pairs = re.findall(r'^msgid "(.+)"\nmsgstr "(.+)"$', _PO.read_text(), re.MULTILINE)
    assert len(pairs) > 100
    assert {word: catalog.gettext(word) for word, _ in pairs} == dict(pairs)
