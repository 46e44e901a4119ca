"""What every source tells the manager who connects it agrees with its adapter."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from integrations import registry
from integrations.contracts import State

FOLDER = Path(__file__).resolve().parents[3] / "integrations" / "sources"
SOURCES = sorted(registry.SOURCES)
#: sources that see orders of a marketplace, where a wrong answer accepts or denies one
MARKETPLACES = {"uber_eats", "doordash", "grubhub", "deliverect", "otter"}


def streams_in_code(key: str) -> set[str]:
    """Every stream the adapter's files name in a constant called …STREAM."""
    found = set()
    for path in [FOLDER / f"{key}.py", *FOLDER.glob(f"{key}_*.py")]:
        for node in ast.parse(path.read_text()).body:
            if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Constant):
                continue
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if any(name.endswith("STREAM") for name in names):
                found.add(str(node.value.value))
    return found


@pytest.mark.parametrize("key", SOURCES)
def test_a_manager_is_told_what_to_do(key: str) -> None:
    setup = registry.source_setup(key)
    assert len(setup.steps) >= 2
    words = (*setup.steps, setup.live_test, setup.tells_note, setup.observes)
    assert all(text.endswith((".", "?")) for text in words if text)
    assert all(len(text) <= 320 for text in words)
    if key != "rest":
        assert any("address from this page" in step or "signing secret" in step
                   for step in setup.steps)  # fmt: skip


@pytest.mark.parametrize("key", SOURCES)
def test_its_streams_are_those_of_the_adapter(key: str) -> None:
    setup = registry.source_setup(key)
    assert setup.streams
    assert streams_in_code(key) <= set(setup.streams)
    assert all(label and " " not in stream for stream, label in setup.streams.items())


@pytest.mark.parametrize("key", SOURCES)
def test_invented_secrets_are_settings(key: str) -> None:
    secrets = {one.name for one in registry.source_class(key).settings if one.secret}
    for name, form in registry.source_setup(key).invented.items():
        assert name in secrets
        assert form.count("{}") == 1


@pytest.mark.parametrize("key", SOURCES)
def test_a_source_tells_only_what_it_can_know(key: str) -> None:
    setup = registry.source_setup(key)
    assert setup.tells_guest <= registry.source_class(key).can_state <= set(State)


def test_shops_and_marketplaces_tell_their_guests() -> None:
    telling = {key for key in SOURCES if registry.source_setup(key).tells_guest}
    assert telling == {"shopify", "woocommerce", "uber_eats", "doordash", "grubhub"}
    assert State.READY in registry.source_setup("shopify").tells_guest
    for key in ("uber_eats", "doordash", "grubhub"):
        # couriers of the restaurant's own orders are announced through the same accounts
        assert not registry.source_setup(key).tells_guest & {
            State.OUT_FOR_DELIVERY,
            State.DELIVERED,
        }


@pytest.mark.parametrize("key", SOURCES)
def test_marketplaces_are_only_observed(key: str) -> None:
    assert bool(registry.source_setup(key).observes) == (key in MARKETPLACES)
