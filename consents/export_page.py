"""An export as a person reads it. Pure: the JSON values in, headings and lines out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

#: one fact: its name and what it says
Line = tuple[str, str]


def page_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """The context of the page: who holds the data, and each section as blocks of lines."""
    titles = {
        "profile": _("About you"),
        "addresses": _("Your addresses"),
        "preferences": _("What you chose"),
        "consent_receipts": _("What you agreed to and withdrew"),
        "orders": _("Your orders"),
        "messages_to_you": _("Messages to you"),
        "messages_from_you": _("Messages from you"),
        "recipients": _("Who else got data, and where it came from"),
    }
    return {
        "controller": data["controller"],
        "made_at": data["made_at"],
        "sections": [
            (title, [_lines(block) for block in _blocks(data.get(name, []))])
            for name, title in titles.items()
        ],
    }


def _blocks(section: Any) -> list[Mapping[str, Any]]:
    return list(section) if isinstance(section, list) else [section]


def _lines(block: Mapping[str, Any], prefix: str = "") -> list[Line]:
    """Every value that says something; what is nested goes under the name it has."""
    lines: list[Line] = []
    for name, value in block.items():
        label = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, Mapping):
            lines += _lines(value, f"{label} · ")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            for one in value:
                lines += _lines(one, f"{label} · ")
        elif isinstance(value, list):
            lines.append((label, ", ".join(map(str, value))))
        elif isinstance(value, bool):
            lines.append((label, _("yes") if value else _("no")))
        elif value not in (None, ""):
            lines.append((label, str(value)))
    return lines
