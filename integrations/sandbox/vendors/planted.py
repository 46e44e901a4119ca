"""Planting what an order source can be asked for: ``/_sandbox/{vendor}/{kind}/{id}``."""

from __future__ import annotations

import json
from collections.abc import Iterable

from aiohttp import web

from integrations.sandbox.vendors.base import Route, SandboxVendor, json_reply


def planting_routes(vendor: SandboxVendor, kinds: Iterable[str]) -> list[Route]:
    """PUT, GET and DELETE of one resource of each of ``kinds``."""
    allowed = frozenset(kinds)
    resources = vendor.state.resources

    def key(request: web.Request) -> tuple[str, str, str]:
        kind = request.match_info["kind"]
        if kind not in allowed:
            raise web.HTTPNotFound(text=f"known kinds: {', '.join(sorted(allowed))}")
        return vendor.key, kind, request.match_info["id"]

    async def put(request: web.Request) -> web.StreamResponse:
        place = key(request)
        try:
            value = json.loads(await request.read())
        except ValueError:
            value = None
        if not isinstance(value, dict):
            return json_reply({"error": "send a JSON object"}, status=400)
        value.setdefault("id", place[2])
        resources[place] = value
        return json_reply(value)

    async def get(request: web.Request) -> web.StreamResponse:
        value = resources.get(key(request))
        return json_reply(value or {}, status=200 if value is not None else 404)

    async def delete(request: web.Request) -> web.StreamResponse:
        resources.pop(key(request), None)
        return json_reply({})

    path = "/{kind}/{id}"
    return [Route("PUT", path, put), Route("GET", path, get), Route("DELETE", path, delete)]
