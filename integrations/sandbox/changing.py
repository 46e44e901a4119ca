"""Endpoints of the sandbox's own that change something: JSON in, JSON out, errors in words."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

Action = Callable[[web.Request, dict[str, Any]], Awaitable[Any]]


def changing(action: Action) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """A handler that reads a JSON object and answers JSON; ValueError becomes 400.

    A page of another site could post here through a visitor's browser; it cannot send JSON
    without asking first, and it says who it is.
    """

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            return web.json_response({"error": "cross-site request"}, status=403)
        try:
            return web.json_response(await action(request, await _json_object(request)))
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)

    return handle


async def _json_object(request: web.Request) -> dict[str, Any]:
    body = await request.read()
    if not body:
        return {}
    if request.content_type != "application/json":
        raise ValueError("send application/json")
    value = json.loads(body)
    if not isinstance(value, dict):
        raise ValueError("send a JSON object")
    return value
