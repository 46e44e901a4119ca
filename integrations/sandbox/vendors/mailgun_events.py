"""The signed JSON events Mailgun posts to us, and which ones a magic recipient provokes."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from integrations.sandbox.callbacks import VendorCall
from integrations.sandbox.state import SandboxAccount
from integrations.sandbox.vendors.base import needed, random_hex
from integrations.signatures import hmac_hex

Fields = dict[str, Any]

ACCEPTED: Fields = {"event": "accepted"}
DELIVERED: Fields = {
    "event": "delivered",
    "delivery-status": {"code": 250, "description": "", "message": "OK", "attempt-no": 1},
}
#: local part at example.com -> the events that follow acceptance
MAGIC_EVENTS: Mapping[str, tuple[Fields, ...]] = {
    "bounce": (
        {
            "event": "failed",
            "severity": "permanent",
            "reason": "bounce",
            "delivery-status": {
                "code": 550,
                "enhanced-code": "5.1.1",
                "description": "",
                "message": "5.1.1 The email account that you tried to reach does not exist",
            },
        },
    ),
    "suppressed": (
        {
            "event": "failed",
            "severity": "permanent",
            "reason": "suppress-bounce",
            "delivery-status": {
                "code": 605,
                "description": "Not delivering to previously bounced address",
                "message": "",
            },
        },
    ),
    "deferred": (
        {
            "event": "failed",
            "severity": "temporary",
            "reason": "generic",
            "delivery-status": {"code": 451, "description": "", "message": "4.3.0 Try later"},
        },
        DELIVERED,
    ),
    "complaint": (DELIVERED, {"event": "complained"}),
    "unsubscribed": (DELIVERED, {"event": "unsubscribed"}),
    "opened": (DELIVERED, {"event": "opened", "client-info": {"client-type": "mobile email"}}),
}


def one(fields: Fields, name: str) -> str:
    """The value of ``name``, the first one when it is repeated."""
    value = fields.get(name, "")
    return str(value[0] if isinstance(value, list) else value)


def user_variables(fields: Fields) -> dict[str, str]:
    """The ``v:`` values, which every event of the message carries."""
    return {name[2:]: one(fields, name) for name in fields if name.startswith("v:")}


def kind(event: Fields) -> str:
    """The short word for an event on the message wall."""
    if event["event"] != "failed":
        return str(event["event"])
    return "deferred" if event["severity"] == "temporary" else "failed"


def event_data(
    message_id: str, to: str, fields: Fields, event: Fields, timestamp: float
) -> dict[str, Any]:
    """The ``event-data`` of ``event`` about one message."""
    tags = fields.get("o:tag", [])
    return {
        "id": random_hex(11),
        "timestamp": round(timestamp, 3),
        "log-level": "error" if event["event"] == "failed" else "info",
        "recipient": to,
        "recipient-domain": to.rpartition("@")[2],
        "tags": tags if isinstance(tags, list) else [tags],
        "campaigns": [],
        "user-variables": user_variables(fields),
        "flags": {"is-test-mode": one(fields, "o:testmode") == "yes"},
        "message": {
            "headers": {
                "message-id": message_id,
                "to": one(fields, "to"),
                "from": one(fields, "from"),
                "subject": one(fields, "subject"),
            }
        },
        **event,
    }


def webhook(
    account: SandboxAccount, url: str, message_id: str, to: str, fields: Fields, event: Fields
) -> VendorCall:
    """The signed webhook call of ``event``; each call has a token of its own."""
    timestamp, token = nonce()
    body = {
        "signature": {
            "timestamp": timestamp,
            "token": token,
            "signature": sign(account, timestamp, token),
        },
        "event-data": event_data(message_id, to, fields, event, time.time()),
    }
    headers = {"Content-Type": "application/json", "User-Agent": "mailgun/treq"}
    return VendorCall(url, json.dumps(body).encode(), headers)


def nonce() -> tuple[str, str]:
    """(timestamp, token), the two values a signature covers."""
    return str(int(time.time())), random_hex(25)


def sign(account: SandboxAccount, timestamp: str, token: str) -> str:
    """The signature of a webhook call or a forwarded mail."""
    key = needed(account.settings, "signing_key")
    return hmac_hex(key, f"{timestamp}{token}".encode())
