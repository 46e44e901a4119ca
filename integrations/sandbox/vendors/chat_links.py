"""The page behind a chat's deep link: what the app does when somebody opens t.me or m.me."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from aiohttp import web

from integrations.sandbox.state import SandboxAccount
from integrations.sandbox.vendors.base import Route, SandboxVendor, json_reply

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body{{font:16px/1.5 system-ui;max-width:30rem;margin:3rem auto;padding:0 1rem}}
button,input{{font:inherit;min-height:44px;padding:0 16px}}</style>
<h1>{title}</h1>{body}</html>"""


def link_routes(
    vendor: SandboxVendor,
    *,
    parameter: str,
    person: str,
    words: Callable[[str], Mapping[str, Any]],
    is_account: Callable[[SandboxAccount, str], bool],
) -> list[Route]:
    """GET shows a button, POST presses it: ``words`` of ``person`` (or JSON ``from``) are said."""

    async def show(request: web.Request) -> web.StreamResponse:
        body = (
            f"<p>The real app opens a chat with <b>{escape(request.match_info['name'])}</b> here."
            f'</p><form method="post"><button>Start the chat as {person}</button></form>'
        )
        page = _PAGE.format(title=f"{vendor.title} (sandbox)", body=body)
        return web.Response(text=page, content_type="text/html")

    async def press(request: web.Request) -> web.StreamResponse:
        name, token = request.match_info["name"], request.query.get(parameter, "")
        accounts = vendor.state.accounts(vendor.key)
        account = next((a for a in reversed(accounts) if is_account(a, name)), None)
        if account is None or not token:
            return json_reply({"error": "nobody is behind this link"}, status=404)
        wants_json = request.content_type == "application/json"
        given = json.loads(await request.read()) if wants_json else {}
        said = {"from": str(given.get("from") or person), **words(token)}
        reply, call = vendor.reply(account, said)
        vendor.state.replies.append(reply)
        vendor.state.version += 1
        answer = await vendor.callbacks.now(call)
        reply.status = answer.status
        vendor.state.version += 1
        if wants_json:
            return json_reply({**reply.as_json(), "text": str(said.get("text", ""))})
        body = "<p>Linked. The chat is on the <a href='/'>message wall</a>.</p>"
        page = _PAGE.format(title=f"{vendor.title} (sandbox)", body=body)
        return web.Response(text=page, content_type="text/html")

    return [Route("GET", "/link/{name}", show), Route("POST", "/link/{name}", press)]
