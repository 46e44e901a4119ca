"""What a source's adapter tells the manager who connects it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Setup:
    """How a source is connected, in words for the page of its account. Plain English sentences.

    Declared in ``integrations/sources/<key>_setup.py`` as ``SETUP``.
    """

    #: what to do at the vendor, one step each, in order
    steps: tuple[str, ...]
    #: how the vendor itself is made to send something, to see that it works
    live_test: str
    #: where its states stand, as status maps name the places -> the same for people
    streams: Mapping[str, str]
    #: secrets the manager thinks up and enters here and there: name of the setting -> the form we
    #: offer, "{}" for random characters
    invented: Mapping[str, str] = field(default_factory=dict)
    #: event keys of calls whose outcome is meant for whoever connects it begin like this
    notice_key: str = ""
    #: what we never do there, where taking part would make us answer for its orders
    observes: str = ""
    #: states the vendor tells its guests itself, unless a manager says otherwise
    tells_guest: frozenset[str] = frozenset()
    #: what else to know about who tells the guest
    tells_note: str = ""
