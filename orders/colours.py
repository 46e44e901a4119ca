"""Whether a colour can be read: the contrast of WCAG 2.2. Pure."""

from __future__ import annotations

import re

#: the two papers of static/orders/site.css
PAPER_LIGHT, PAPER_DARK = "#FBFAF7", "#171614"


def contrast(colour: str, paper: str) -> float:
    """The contrast ratio of two #RRGGBB colours, 1 to 21; raises ValueError on anything else."""
    lighter, darker = sorted((_luminance(colour), _luminance(paper)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def readable(colour: str, paper: str) -> bool:
    """Whether ``colour`` is a colour and text of it on ``paper`` has a contrast of 4.5 or more."""
    return bool(re.fullmatch(r"#[0-9A-Fa-f]{6}", colour)) and contrast(colour, paper) >= 4.5


def _luminance(colour: str) -> float:
    if not re.fullmatch(r"#[0-9A-Fa-f]{6}", colour):
        raise ValueError(f"not a colour: {colour!r}")
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
