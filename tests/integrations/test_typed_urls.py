"""Webhook URLs a person pasted: none leads into a private network, not even later."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest

from integrations.errors import ConfigurationError
from integrations.http import HttpConfig, PinnedResolver
from tests.integrations import fixture_files as files
from tests.integrations.loopback import IMPATIENT, Call, Names, Server, opened, say_ok, serving

CHATS = ["google_chat", "slack", "teams"]


def pasted(key: str, place: str) -> str:
    """The fixture account's webhook URL with another host (and port)."""
    url = files.settings(key)["webhook_url"]
    return url.replace(urlsplit(url).netloc, place, 1)


@pytest.mark.parametrize("key", CHATS)
@pytest.mark.parametrize("base_url", ["", "http://127.0.0.1"])
@pytest.mark.parametrize(
    "place",
    [
        "127.0.0.1",
        "127.0.0.1:8443",
        "10.0.0.7",
        "169.254.169.254",
        "[::1]",
        "[::ffff:10.0.0.1]",
        "127.1",
        "2130706433",
        "localhost",
        "hooks.example.com@127.0.0.1",
    ],
)
def test_a_private_address_is_refused_when_it_is_saved(key: str, place: str, base_url: str) -> None:
    """The form builds the provider with a base URL of its own."""
    url = pasted(key, place)
    with pytest.raises(ConfigurationError, match="'webhook_url' is a private address") as caught:
        files.provider(key, base_url=base_url, webhook_url=url)
    assert urlsplit(url).path not in str(caught.value)


def sent_to(key: str, names: Names, *, asked_before: int = 0) -> Server:
    """Our server on loopback after the provider tried to send there by a name."""

    async def go() -> Server:
        resolver = PinnedResolver(names)
        for _ in range(asked_before):
            await resolver.resolve("hooks.example.com", 443)
        async with serving(say_ok) as server, opened(IMPATIENT, lookup=names) as http:
            port = urlsplit(server.origin).port
            provider = files.provider(key, webhook_url=pasted(key, f"hooks.example.com:{port}"))
            with pytest.raises(ConfigurationError, match="private or local address") as caught:
                await provider.send(files.message(key), http)
            assert caught.value.endpoint_only
            assert http.counts == {(key, "not_sent"): 1}
            return server

    return asyncio.run(go())


@pytest.mark.parametrize("key", CHATS)
@pytest.mark.parametrize(
    "answer", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["10.0.0.1"], ["::ffff:127.0.0.1"]]
)
def test_a_name_for_a_private_address_is_refused_when_something_is_sent(
    key: str, answer: list[str]
) -> None:
    names = Names({"hooks.example.com": [answer]})
    assert sent_to(key, names).connections == 0
    assert names.asked == 1


@pytest.mark.parametrize("key", CHATS)
def test_a_dns_answer_that_changes_later_gains_nothing(key: str) -> None:
    """Public when it was saved and tried out, private when the next message leaves."""
    names = Names({"hooks.example.com": [["8.8.8.8"], ["127.0.0.1"]]})
    assert sent_to(key, names, asked_before=1).connections == 0
    assert names.asked == 2


@pytest.mark.parametrize("key", CHATS)
def test_a_vendor_that_sends_us_elsewhere_is_not_followed(key: str) -> None:
    """Where a redirect leads is never asked: it stops this one endpoint."""

    async def go() -> tuple[int, int]:
        async with serving(say_ok) as inside:

            async def elsewhere(call: Call) -> None:
                await call.answer(b"", "302 Found", f"Location: {inside.origin}/")

            async with serving(elsewhere) as server:
                provider = files.provider(key, base_url=server.origin)
                allowed = HttpConfig(allowed_origins=frozenset({server.origin, inside.origin}))
                async with opened(allowed) as http:
                    with pytest.raises(ConfigurationError) as caught:
                        await provider.send(files.message(key), http)
                assert caught.value.endpoint_only
                return server.connections, inside.connections

    assert asyncio.run(go()) == (1, 0)
