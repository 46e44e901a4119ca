"""The README shows what the adapters declare."""

from pathlib import Path

from config.matrix import fill, provider_table
from integrations import registry

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_is_up_to_date() -> None:
    text = README.read_text()
    assert fill(text) == text, "run: manage.py provider_matrix"


def test_every_provider_has_a_row() -> None:
    assert len(provider_table().splitlines()) == len(registry.PROVIDERS) + 2
