"""The other side of Pusher: pages that listen on a WebSocket (protocol 7)."""

from __future__ import annotations

import hmac
import itertools
import json
from collections.abc import Mapping
from typing import Any

from aiohttp import WSMsgType, web

from integrations.sandbox.state import SandboxAccount
from integrations.signatures import hmac_hex

_ACTIVITY_S = 120
#: codes of pusher.com/docs/channels/library_auth_reference/pusher-websockets-protocol
_NO_APP, _UNAUTHORIZED = 4001, 4009


class Sockets:
    """Who listens to which channel."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._listening: dict[web.WebSocketResponse, set[str]] = {}

    async def serve(
        self, request: web.Request, account: SandboxAccount | None
    ) -> web.WebSocketResponse:
        """One page, until it leaves."""
        socket = web.WebSocketResponse(heartbeat=_ACTIVITY_S)
        await socket.prepare(request)
        if account is None:
            await socket.close(code=_NO_APP, message=b"Application does not exist")
            return socket
        socket_id = f"{next(self._numbers)}.{id(socket) % 10**9}"
        hello = {"socket_id": socket_id, "activity_timeout": _ACTIVITY_S}
        await _say(socket, "pusher:connection_established", hello)
        self._listening[socket] = set()
        try:
            async for frame in socket:
                if frame.type == WSMsgType.TEXT:
                    await self._heard(socket, socket_id, account, frame.data)
        finally:
            self._listening.pop(socket, None)
        return socket

    async def _heard(
        self, socket: web.WebSocketResponse, socket_id: str, account: SandboxAccount, said: str
    ) -> None:
        try:
            frame = json.loads(said)
            name, data = frame["event"], frame.get("data") or {}
        except (ValueError, TypeError, KeyError):
            return
        if name == "pusher:ping":
            await _say(socket, "pusher:pong", {})
        if name != "pusher:subscribe":
            return
        channel = str(data.get("channel", ""))
        proof = hmac_hex(account.settings["secret"], f"{socket_id}:{channel}".encode())
        expected = f"{account.settings['app_key']}:{proof}"
        given = str(data.get("auth", ""))
        if channel.startswith("private-") and not hmac.compare_digest(
            given.encode(), expected.encode()
        ):
            problem = {"type": "AuthError", "error": "Invalid signature", "status": _UNAUTHORIZED}
            await _say(socket, "pusher:subscription_error", problem, channel)
            return
        self._listening[socket].add(channel)
        await _say(socket, "pusher_internal:subscription_succeeded", {}, channel)

    async def tell(self, channel: str, event: Mapping[str, Any]) -> int:
        """Pass an event to every page of the channel; returns how many."""
        heard = [s for s, channels in self._listening.items() if channel in channels]
        for socket in heard:
            frame = {"event": event["name"], "channel": channel, "data": event["data"]}
            await socket.send_json(frame)
        return len(heard)


async def _say(
    socket: web.WebSocketResponse, name: str, data: Mapping[str, Any], channel: str = ""
) -> None:
    frame: dict[str, Any] = {"event": name, "data": json.dumps(data)}
    if channel:
        frame["channel"] = channel
    await socket.send_json(frame)
