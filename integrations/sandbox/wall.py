"""The message wall: what people would have received, on one page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aiohttp import web

from integrations.sandbox.faults import RECEIPT_FAULTS, REQUEST_FAULTS
from integrations.sandbox.state import SandboxState
from integrations.sandbox.vendors.base import SandboxVendor, json_reply

#: messages the page shows
SHOWN = 300
#: nothing from elsewhere: a mail's pictures are not fetched, its scripts never run
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; frame-src 'self'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'self'"
)
_PAGE = Path(__file__).with_name("wall.html")


def wall_routes(state: SandboxState, vendors: Mapping[str, SandboxVendor]) -> list[web.RouteDef]:
    """The page and what it polls."""

    async def page(request: web.Request) -> web.StreamResponse:
        return web.Response(
            text=_PAGE.read_text(encoding="utf-8"),
            content_type="text/html",
            headers={"Cache-Control": "no-cache", "Content-Security-Policy": _POLICY},
        )

    async def wall(request: web.Request) -> web.StreamResponse:
        """Everything the page shows, or only the version when nothing changed since ``?have=``."""
        if request.query.get("have") == str(state.version):
            return json_reply({"version": state.version})
        return json_reply(
            {
                "version": state.version,
                "messages": [message.as_json(whole=False) for message in state.newest(SHOWN)],
                "replies": [reply.as_json() for reply in state.replies],
                "events": list(state.events),
                "faults": state.faults.as_json(),
                "settings": state.settings.as_json(),
                "accepted": state.accepted,
                "vendors": [
                    {
                        "key": vendor.key,
                        "title": vendor.title,
                        "channel": vendor.channel,
                        "accounts": len(state.accounts(vendor.key)),
                        "magic": [magic._asdict() for magic in vendor.magic],
                    }
                    for vendor in vendors.values()
                ],
                "fault_kinds": {**REQUEST_FAULTS, **RECEIPT_FAULTS},
            }
        )

    return [web.get("/", page), web.get("/_sandbox/wall", wall)]
