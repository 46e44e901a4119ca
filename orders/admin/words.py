"""Words the pages about sources and their calls share."""

from __future__ import annotations

from django.contrib import messages
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from consents.console import tag
from orders.status_maps import Reread

#: state of a call -> (what people call it, tone)
CALL_STATES = {
    "received": (_("stored, not read yet"), "warn"),
    "applied": (_("applied"), "good"),
    "ignored": (_("nothing new"), "quiet"),
    "waiting": (_("details are being fetched"), "quiet"),
    "parked": (_("waits for its order"), "warn"),
    "quarantined": (_("could not be read"), "bad"),
    "failed": (_("our error"), "bad"),
}


def call_standing(state: str) -> SafeString:
    """The state of a call as a tag."""
    word, tone = CALL_STATES.get(state, (state, "warn"))
    return tag(word, tone)


def said_again(done: Reread) -> tuple[int, str]:
    """The message level and words after reading calls again."""
    words = [ngettext("%(n)d call read.", "%(n)d calls read.", done.read) % {"n": done.read}]
    still = done.tried - done.read
    if still:
        text = _now("%(n)d still cannot be read; the cause stands beside each.")
        words.append(text % {"n": still})
    if done.left:
        words.append(_now("%(n)d more wait: do it once more.") % {"n": done.left})
    level = messages.WARNING if still or done.left else messages.SUCCESS
    return level, " ".join(words)
