"""Which IP addresses are on the public internet: what a URL somebody typed may lead to."""

from __future__ import annotations

import ipaddress
import socket

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether an IP address is on the public internet, also when it hides in an IPv6 one."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if ip.is_site_local:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def leads_inside(host: str) -> bool:
    """Whether a host a person typed is, as it is written, this machine or a private address.

    Names are judged when they are connected to (integrations/http.py), and each time anew.
    """
    host = host.strip("[]").rstrip(".").lower()
    try:
        return not is_public(host)
    except ValueError:
        pass
    try:  # "127.1", "0x7f000001" and other spellings the system's resolver reads
        return not is_public(socket.inet_ntoa(socket.inet_aton(host)))
    except (OSError, ValueError):
        return host == "localhost" or host.endswith(".localhost")
