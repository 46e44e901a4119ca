"""Secrets of an installation that nobody configured: made once, kept under var/ with mode 0600."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from cryptography.fernet import Fernet

_MAKE: Mapping[str, Callable[[], str]] = {
    "SECRET_KEY": lambda: secrets.token_urlsafe(50),
    "FIELD_ENCRYPTION_KEYS": lambda: Fernet.generate_key().decode(),
    "ADDRESS_PEPPERS": lambda: secrets.token_hex(32),
    "LEDGER_KEYS": lambda: secrets.token_hex(32),
    "LINK_SIGNING_KEYS": lambda: secrets.token_hex(32),
}


def local_keys(var: Path) -> dict[str, str]:
    """The generated keys of this installation, a value for each name of ``_MAKE``.

    Written on the first call; two processes starting at once agree on one file. A kind of key that
    came with a newer release gets a file of its own, so that what is there is never written again.
    """
    keys = _agreed(var / "keys.json", _MAKE)
    for name in _MAKE.keys() - keys.keys():
        keys |= _agreed(var / f"keys.{name.lower()}.json", {name: _MAKE[name]})
    return keys


def _agreed(path: Path, makers: Mapping[str, Callable[[], str]]) -> dict[str, str]:
    """What ``path`` holds; where it does not exist, new keys by ``makers``."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"keys.{os.getpid()}.{secrets.token_hex(4)}.tmp")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps({name: make() for name, make in makers.items()}, indent=1))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass  # the other process was first; its keys are the keys
        finally:
            draft.unlink()
    keys: dict[str, str] = json.loads(path.read_text())
    return keys
