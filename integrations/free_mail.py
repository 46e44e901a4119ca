"""Mailboxes anybody gets for nothing: no sender of alerts.

Their hosts publish DMARC policies under which mail in their name from other servers is refused,
and Gmail forbids it outright. Page: support.google.com/a/answer/81126, November 2026.
"""

from __future__ import annotations

_HOSTS = frozenset(
    {
        "aol.com",
        "gmail.com",
        "gmx.com",
        "gmx.de",
        "gmx.net",
        "googlemail.com",
        "hotmail.com",
        "icloud.com",
        "live.com",
        "mail.com",
        "me.com",
        "msn.com",
        "outlook.com",
        "proton.me",
        "protonmail.com",
        "web.de",
        "yahoo.com",
        "ymail.com",
    }
)


def is_free_mailbox(address: str) -> bool:
    """Whether ``address`` (bare, no name) is at a host of free mailboxes."""
    return address.rpartition("@")[2].strip().rstrip(".").lower() in _HOSTS
