"""Secrets of an installation that nobody configured: made once, kept under var/ with mode 0600."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from cryptography.fernet import Fernet


def local_keys(var: Path) -> dict[str, str]:
    """The generated keys of this installation: SECRET_KEY, FIELD_ENCRYPTION_KEYS, ADDRESS_PEPPERS.

    Written on the first call; two processes starting at once agree on one file.
    """
    path = var / "keys.json"
    if not path.exists():
        var.mkdir(parents=True, exist_ok=True)
        made = {
            "SECRET_KEY": secrets.token_urlsafe(50),
            "FIELD_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            "ADDRESS_PEPPERS": secrets.token_hex(32),
        }
        draft = var / f"keys.{os.getpid()}.{secrets.token_hex(4)}.tmp"
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(made, indent=1))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass  # the other process was first; its keys are the keys
        finally:
            draft.unlink()
    keys: dict[str, str] = json.loads(path.read_text())
    return keys
