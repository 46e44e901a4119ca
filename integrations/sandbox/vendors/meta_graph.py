"""What the stand-ins of Meta's products share: error envelope, challenge and signed calls."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from integrations.sandbox.callbacks import VendorCall
from integrations.sandbox.state import SandboxAccount
from integrations.sandbox.vendors.base import json_reply, needed, random_hex
from integrations.signatures import hmac_hex


def error(
    status: int, code: int, details: str, *, subcode: int = 0, product: str = ""
) -> web.Response:
    """A refusal in the Graph API's envelope."""
    body: dict[str, Any] = {
        "message": f"(#{code}) {details}",
        "type": "OAuthException",
        "code": code,
        "fbtrace_id": "A" + random_hex(10),
    }
    if subcode:
        body["error_subcode"] = subcode
    if product:
        body["error_data"] = {"messaging_product": product, "details": details}
    return json_reply({"error": body}, status=status)


def bearer(request: web.Request) -> str:
    """The access token of a request: header or query."""
    header = request.headers.get("Authorization", "")
    return header.removeprefix("Bearer ") or request.query.get("access_token", "")


def templates(category: str = "UTILITY") -> web.Response:
    """A list of message templates: one approved, one paused."""
    states = {"order_status_update": "APPROVED", "order_status_old": "PAUSED"}
    return json_reply(
        {
            "data": [
                {
                    "id": str(number),
                    "name": name,
                    "language": "en_US",
                    "status": status,
                    "category": category,
                }
                for number, (name, status) in enumerate(states.items(), start=920070352646140)
            ]
        }
    )


def signed_call(account: SandboxAccount, url: str, payload: Any) -> VendorCall:
    """``payload`` as Meta posts it: ASCII with escapes, signed with the app secret."""
    body = json.dumps(payload, separators=(",", ":")).encode()
    secret = needed(account.settings, "app_secret")
    return VendorCall(
        url,
        body,
        {
            "Content-Type": "application/json",
            "User-Agent": "facebookexternalua",
            "X-Hub-Signature-256": "sha256=" + hmac_hex(secret, body),
        },
    )
