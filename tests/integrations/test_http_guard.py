"""URLs a person typed never lead into a private network, whatever DNS says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from integrations.contracts import HttpRequest
from integrations.errors import ConfigurationError
from integrations.http import HttpConfig, PinnedResolver
from integrations.public_addresses import is_public, leads_inside
from tests.integrations.loopback import IMPATIENT, Names, Server, opened, say_ok, serving

PRIVATE = [
    "127.0.0.1",
    "127.8.9.10",
    "0.0.0.0",  # noqa: S104
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.2.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fec0::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "::127.0.0.1",
]
PUBLIC = ["93.184.215.14", "8.8.8.8", "2606:2800:21f:cb07::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "host",
    [
        *PRIVATE,
        "[::1]",
        "127.0.0.1.",
        "127.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.1",
        "0",
        "10.1",
        "localhost",
        "LOCALHOST.",
        "x.localhost",
    ],
)
def test_hosts_that_lead_inside_as_they_are_written(host: str) -> None:
    assert leads_inside(host)


@pytest.mark.parametrize(
    "host", [*PUBLIC, "8.8", "hooks.slack.com", "localhost.example.com", "münchen.example", ""]
)
def test_names_are_judged_when_they_are_connected_to(host: str) -> None:
    assert not leads_inside(host)


def refused(
    url_of: Callable[[Server], str],
    lookup: AbstractResolver | None = None,
    why: str = "private or local address",
) -> Server:
    """The server after a typed URL was refused; it must not have seen anything."""

    async def go() -> Server:
        async with serving(say_ok) as server, opened(IMPATIENT, lookup=lookup) as http:
            request = HttpRequest.post(url_of(server), untrusted_url=True)
            with pytest.raises(ConfigurationError, match=why) as caught:
                await http.send(request, provider="acme")
            assert caught.value.endpoint_only
            assert http.counts == {("acme", "not_sent"): 1}
            return server

    server = asyncio.run(go())
    assert server.connections == 0
    return server


def port_of(server: Server) -> str:
    return server.origin.rpartition(":")[2]


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "10.0.0.1", "169.254.169.254"],  # noqa: S104
)
def test_private_literals_are_refused(host: str) -> None:
    refused(lambda server: f"http://{host}:{port_of(server)}/")


@pytest.mark.parametrize("host", ["localhost", "0x7f000001", "127.1", "2130706433", "0177.0.0.1"])
def test_other_spellings_of_loopback_are_refused(host: str) -> None:
    """The system's resolver reads all of these as 127.0.0.1."""
    refused(
        lambda server: f"http://{host}:{port_of(server)}/",
        why="private or local|not a usable",
    )


def test_a_name_for_a_private_address_is_refused() -> None:
    names = Names({"hooks.example.com": [["127.0.0.1"]]})
    refused(lambda server: f"http://hooks.example.com:{port_of(server)}/", names)
    assert names.asked == 1


def test_one_private_answer_among_public_ones_is_refused() -> None:
    names = Names({"hooks.example.com": [["8.8.8.8", "127.0.0.1"]]})
    refused(lambda server: f"http://hooks.example.com:{port_of(server)}/", names)


def test_a_dns_answer_that_changes_gains_nothing() -> None:
    """What was judged is what is connected to: each resolution is judged on its own."""
    names = Names({"hooks.example.com": [["8.8.8.8"], ["127.0.0.1"]]})

    async def go() -> list[ResolveResult]:
        resolver = PinnedResolver(names)
        first = await resolver.resolve("hooks.example.com", 443)
        with pytest.raises(OSError, match="private"):
            await resolver.resolve("hooks.example.com", 443)
        return first

    assert [answer["host"] for answer in asyncio.run(go())] == ["8.8.8.8"]
    assert names.asked == 2
    refused(lambda server: f"http://hooks.example.com:{port_of(server)}/", names)


def test_allowed_origins_pass_and_their_neighbours_do_not() -> None:
    async def go() -> int:
        async with serving(say_ok) as server, serving(say_ok) as other:
            allowed = HttpConfig(allowed_origins=frozenset({server.origin}))
            async with opened(allowed) as http:
                request = HttpRequest.post(f"{server.origin}/slack/x", untrusted_url=True)
                status = (await http.send(request, provider="acme")).status
                with pytest.raises(ConfigurationError):
                    await http.send(
                        HttpRequest.post(other.origin, untrusted_url=True), provider="acme"
                    )
            assert (server.connections, other.connections) == (1, 0)
            return status

    assert asyncio.run(go()) == 200


def test_trusted_urls_may_be_local() -> None:
    async def go() -> int:
        async with serving(say_ok) as server, opened(IMPATIENT) as http:
            return (await http.send(HttpRequest.post(server.origin), provider="acme")).status

    assert asyncio.run(go()) == 200


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example.com/x",
        "ftp://example.com/",
        "file:///etc/passwd",
        "http://",
        "http:///path",
        "https://example.com:99999/",
        "https://example.com:0/",
        "https://exa mple.com/",
        "https://example.com/a\r\nX-Injected: 1",
        "https://example.com/é",
        "https://.example.com/",
        f"https://{'a' * 64}.example.com/",
        "https://[::1/",
    ],
)
@pytest.mark.parametrize("untrusted", [True, False])
def test_malformed_urls_are_a_configuration_error(url: str, untrusted: bool) -> None:
    async def go() -> None:
        async with opened(IMPATIENT) as http:
            await http.send(
                HttpRequest("POST", url, {}, b"", untrusted_url=untrusted), provider="acme"
            )

    with pytest.raises(ConfigurationError, match="not a usable http"):
        asyncio.run(go())
