"""The signals table of the architecture is what is connected."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

from django.conf import settings
from django.dispatch import Signal

_ROW = re.compile(r"^\| `([\w.]+)` \| `([\w.]+)` \| (.+) \|$", re.MULTILINE)
_APPS = ("orders", "consents", "notifications")


def table() -> dict[str, tuple[str, set[str]]]:
    """Signal -> (where it is sent from, its receivers), as ARCHITECTURE.md says."""
    text = (Path(settings.BASE_DIR) / "ARCHITECTURE.md").read_text()
    section = text.partition("## Signals")[2].partition("\n## ")[0]
    return {
        signal: (sender, set(re.findall(r"`([\w.]+)`", receivers)))
        for signal, sender, receivers in _ROW.findall(section)
    }


def connected(signal: Signal) -> set[str]:
    live = (entry[1]() for entry in signal.receivers)
    return {f"{one.__module__}.{one.__qualname__}" for one in live if one is not None}


def test_the_table_names_every_signal_and_its_receivers() -> None:
    declared = {
        f"{app}.signals.{name}": connected(value)
        for app in _APPS
        if (Path(settings.BASE_DIR) / app / "signals.py").is_file()
        for name, value in vars(import_module(f"{app}.signals")).items()
        if isinstance(value, Signal)
    }
    assert {signal: receivers for signal, (_, receivers) in table().items()} == declared


def test_the_table_names_where_signals_are_sent() -> None:
    for signal, (sender, _) in table().items():
        stem = sender.split(".")
        path = Path(settings.BASE_DIR, *stem[:2]).with_suffix(".py")
        assert f"{signal.rpartition('.')[2]}.send(" in path.read_text()
