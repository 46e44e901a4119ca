"""The one address vendors and guests know us by. Pure.

It is a setting and never read from a request: several vendors sign it, and what a proxy says about
scheme and host must not decide what we believe.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

#: names that lead nowhere outside a machine or a house
_INSIDE = (".localhost", ".local", ".internal", ".lan", ".home.arpa")


def read_public_url(typed: str) -> str:
    """``typed`` without a slash at its end; raises ValueError saying what is wrong with it."""
    url = typed.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"“{typed}” is no address: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError(f"“{typed}” must be http:// or https:// and a host")
    if parts.username or parts.password:
        raise ValueError("it must not hold a user or password")
    if parts.path or parts.query or parts.fragment:
        raise ValueError(f"“{typed}” must end after the host: we serve at the root of it")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def why_unreachable(url: str) -> str:
    """Why a vendor outside cannot call ``url``: "inside" this house, "plain" HTTP, or ""."""
    parts = urlsplit(url)
    if _is_inside(parts.hostname or ""):
        return "inside"
    return "" if parts.scheme == "https" else "plain"


def _is_inside(host: str) -> bool:
    try:
        return not ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith(_INSIDE)
