"""A message sent as in production: the provider's own ``send``, through the network door."""

from __future__ import annotations

import asyncio

from integrations.contracts import Accepted, Message, Provider
from integrations.http import Http, HttpConfig


def deliver(provider: Provider, message: Message, origin: str = "") -> Accepted:
    """Send ``message``; only ``origin`` is exempt from the guard against private addresses."""

    async def go() -> Accepted:
        http = Http(HttpConfig(1.0, 0.5, frozenset({origin} if origin else ())))
        try:
            return await provider.send(message, http)
        finally:
            await http.close()

    return asyncio.run(go())
