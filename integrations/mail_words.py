"""What a person wrote, out of a mail: without the quotation of ours and without markup."""

from __future__ import annotations

import re
from html import unescape

_QUOTED = re.compile(
    r"^(?:>|-{2,} ?original message|_{10,}|on .{5,200} wrote:$|am .{5,200} schrieb .{1,200}:$"
    r"|le .{5,200} a écrit ?:$|el .{5,200} escribió:$)",
    re.IGNORECASE,
)
#: where mail programs begin to quote in HTML
_QUOTED_MARKUP = re.compile(
    r"<blockquote\b|<[a-z]+ [^<>]{0,300}class=[\"'][^\"'<>]{0,100}"
    r"(?:gmail_quote|freshdesk_quote|moz-cite)",
    re.IGNORECASE,
)
_UNSEEN = re.compile(r"<(style|script|head)\b.*?(?:</\1\s*>|\Z)", re.IGNORECASE | re.DOTALL)
_LINE_END = re.compile(r"<br\b[^>]*>|</(?:p|div|li|tr|h[1-6])\s*>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-z][^<>]*>|<![^<>]*>", re.IGNORECASE)
#: nobody writes more; what mail programs put behind it is read by nobody here
_LONGEST = 20_000


def own_words(text: str) -> str:
    """``text`` up to where the quotation of our own mail begins."""
    kept: list[str] = []
    for line in text.replace("\r\n", "\n").split("\n"):
        if _QUOTED.match(line.strip()):
            break
        kept.append(line)
    return "\n".join(kept).strip()


def is_markup(text: str) -> bool:
    """Whether ``text`` holds tags."""
    return _TAG.search(text) is not None


def without_markup(html: str) -> str:
    """The words of ``html``, a line for each of its lines, up to where it quotes."""
    html = html[:_LONGEST]
    quoted = _QUOTED_MARKUP.search(html)
    if quoted is not None:
        html = html[: quoted.start()]
    html = _LINE_END.sub("\n", _UNSEEN.sub(" ", html))
    lines = unescape(_TAG.sub("", html)).replace("\xa0", " ").split("\n")
    return "\n".join(" ".join(line.split()) for line in lines).strip()
