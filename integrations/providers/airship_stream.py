"""Airship's Real-Time Data Streaming, event by event: the only way it says what became of a push.

Pages: docs.airship.com/developer/rest-api/connect and connect/schemas/events.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from integrations import payloads
from integrations.contracts import HttpRequest, Receipt, ReceiptKind, StreamEvent
from integrations.errors import ConfigurationError, PayloadMalformed

HOSTS: Mapping[str, str] = {
    "us": "https://connect.urbanairship.com",
    "eu": "https://connect.asnapieu.com",
}
ACCEPT = "application/vnd.urbanairship+x-ndjson; version=3;"
#: what we put into every push's data and find again in the echo of it
ATTEMPT = "attempt_id"
#: sent is handed to Apple, Google or a browser's service; nobody says "shown"
_KINDS: Mapping[str, ReceiptKind] = {
    "PUSH_BODY": ReceiptKind.SENT,
    "SEND": ReceiptKind.SENT,
    "SEND_REJECTED": ReceiptKind.FAILED,
    "SEND_ABORTED": ReceiptKind.FAILED,
    "OPEN": ReceiptKind.READ,
}
TYPES = (*_KINDS, "UNINSTALL")
_CHANNELS = ("channel", "ios_channel", "android_channel", "amazon_channel")


def request(base_url: str, account: Mapping[str, str], offset: str, cookie: str) -> HttpRequest:
    """Everything behind ``offset``; "" = from now on. Raises ConfigurationError without a token."""
    token = account.get("stream_token", "").strip()
    if not token:
        raise ConfigurationError("airship", "setting 'stream_token' is missing")
    body: dict[str, Any] = {"resume_offset": offset} if offset else {"start": "LATEST"}
    body |= {"enable_offset_updates": True, "filters": [{"types": list(TYPES)}]}
    headers = {
        "Authorization": f"Bearer {token}",
        "X-UA-Appkey": account["app_key"].strip(),
        "Accept": ACCEPT,
        "Content-Type": "application/json",
    }
    if cookie:
        headers["Cookie"] = cookie
    return HttpRequest.post(f"{base_url}/api/events/", json_body=body, headers=headers)


def event(line: bytes) -> StreamEvent:
    """What one line says. Raises PayloadMalformed; unknown events only move the offset."""
    found = payloads.load_object(line)
    offset = payloads.text(found.get("offset"), 60)
    kind = payloads.text(found.get("type"), 60)
    if kind == "UNINSTALL":
        return StreamEvent(offset, gone=_device(found))
    if kind not in _KINDS:
        return StreamEvent(offset)
    body = payloads.inner(found, "body")
    about = payloads.inner(body, "triggering_push") if kind == "OPEN" else body
    push_id, attempt = payloads.text(about.get("push_id")), _attempt(body)
    if not (push_id or attempt):
        return StreamEvent(offset)  # an app opened without a push
    receipt = Receipt(
        kind=_KINDS[kind],
        vendor_id=push_id,
        attempt_id=attempt,
        vendor_time=_time(found.get("occurred")),
        vendor_code=kind,
        event_id=payloads.text(found.get("id")),
    )
    return StreamEvent(offset, (receipt,))


def _time(value: Any) -> datetime | None:
    try:
        return payloads.time(value, "occurred")
    except PayloadMalformed:
        return None


def _device(found: Mapping[str, Any]) -> tuple[str, ...]:
    """The addresses of the one device an event is about; of a person's other devices it says
    nothing.
    """
    device = payloads.inner(found, "device")
    ids = (payloads.text(device.get(name)).lower() for name in _CHANNELS)
    return next((tuple(f"{kind}:{one}" for kind in _CHANNELS) for one in ids if one), ())


def _attempt(body: Mapping[str, Any]) -> str:
    """Our attempt's id in the echo of a push: base64 of the push as we sent it."""
    payload = body.get("payload")
    if isinstance(payload, str):
        try:
            payload = json.loads(base64.b64decode(payload, validate=True))
        except (ValueError, RecursionError):
            return ""
    pushes = payload if isinstance(payload, list) else [payload]
    for push in pushes:
        shown = payloads.inner(push, "notification") if isinstance(push, dict) else {}
        for device in ("ios", "android", "amazon", "web"):
            if attempt := payloads.text(payloads.inner(shown, device, "extra").get(ATTEMPT)):
                return attempt
    return ""
