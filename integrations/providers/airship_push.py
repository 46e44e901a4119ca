"""The body of an Airship push: one text, and what each kind of device adds to it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from integrations.contracts import Message
from integrations.payloads import text
from integrations.providers.airship_stream import ATTEMPT

#: an iOS payload may take 2,048 bytes; texts, data and link together stay below
_TITLE_BYTES, _ALERT_BYTES, _VALUE_BYTES, _LINK_BYTES = 120, 800, 80, 250
_COLLAPSE_BYTES = 64


def notification(
    message: Message, kinds: Sequence[str], account: Mapping[str, str]
) -> dict[str, Any]:
    """What is shown, and the data the app finds with it."""
    said = message.text.strip()
    alert = fit(said, _ALERT_BYTES)
    title = fit(message.subject.strip() or said.partition("\n")[0], _TITLE_BYTES)
    shown: dict[str, Any] = {"alert": alert or title or "Order Up"}
    extra, tag = _extra(message), fit(message.thread_key, _COLLAPSE_BYTES)
    if "ios" in kinds:
        shown["ios"] = _ios(message, title, tag, extra)
    for kind in ("android", "amazon"):
        if kind in kinds:
            shown[kind] = _android(message, kind, title, tag, extra, account)
    if "web" in kinds:
        shown["web"] = {"title": title, "extra": extra}
    if action := _action(message, account):
        shown["actions"] = {"open": action}
    return shown


def _android(
    message: Message,
    kind: str,
    title: str,
    tag: str,
    extra: Mapping[str, str],
    account: Mapping[str, str],
) -> dict[str, Any]:
    channel = account.get("android_channel") or "orders"
    found: dict[str, Any] = {"title": title, "notification_channel": channel, "extra": extra}
    if kind == "amazon":
        return found | ({"consolidation_key": tag} if tag else {})
    found["delivery_priority"] = "high" if message.urgent else "normal"
    # a newer message of one order replaces the older one, waiting or shown
    return found | ({"notification_tag": tag, "collapse_key": tag} if tag else {})


def _action(message: Message, account: Mapping[str, str]) -> dict[str, str]:
    link, kind = message.links.get("order", ""), "url"
    if pattern := account.get("deep_link", "").strip():
        order = message.order
        link, kind = pattern, "deep_link"
        for name in ("number", "id"):
            value = quote(text(order.get(name)), safe="", errors="ignore")
            link = link.replace(f"{{{name}}}", value)
    return {"type": kind, "content": link} if link and _size(link) <= _LINK_BYTES else {}


def _ios(message: Message, title: str, tag: str, extra: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "title": title,
        "priority": 10 if message.urgent else 5,
        "interruption_level": "time-sensitive" if message.urgent else "active",
        "sound": "default",
        "extra": extra,
    }
    return found | ({"thread_id": tag, "collapse_id": tag} if tag else {})


def _extra(message: Message) -> dict[str, str]:
    """Every value is text; an app drops an event id it knows."""
    values = {
        "event_id": message.event.get("id") or message.attempt_id,
        ATTEMPT: message.attempt_id,
        "order_id": message.order.get("id") or "",
        "order_number": message.order.get("number") or "",
        "status": message.order.get("state") or "",
        "milestone": message.milestone,
    }
    return {name: fit(str(value), _VALUE_BYTES) for name, value in values.items()}


def _size(words: str) -> int:
    return len(json.dumps(words, ensure_ascii=False).encode("utf-8", "replace")) - 2


def fit(words: str, limit: int) -> str:
    """At most ``limit`` bytes as JSON, without NUL and halves of characters."""
    kept = words.replace("\x00", "").encode("utf-8", "ignore")[:limit].decode("utf-8", "ignore")
    while (size := _size(kept)) > limit:
        kept = kept[: len(kept) * limit // size]
    return kept
