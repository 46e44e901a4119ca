"""What Airship refuses in a push: the path of the first member it does not like."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

DEVICE_TYPES = frozenset({"ios", "android", "amazon", "web"})
_SELECTORS = frozenset(
    {"named_user", "channel", "ios_channel", "android_channel", "amazon_channel"}
)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NOTIFICATION = frozenset({"alert", "actions", "interactive", *DEVICE_TYPES})
_OPTIONS: Mapping[str, type] = {
    "expiry": int,
    "no_throttle": bool,
    "bypass_frequency_limits": bool,
    "omit_from_activity_log": bool,
    "personalization": bool,
}
_IOS_BYTES, _ANDROID_BYTES = 2048, 4096
_LEVELS = ("passive", "active", "time-sensitive", "critical")


def refusal_of(push: Any) -> str | None:
    """The path of what is wrong; "" = the whole of it, None = nothing."""
    if not isinstance(push, dict):
        return ""
    for member in push:
        if member not in ("audience", "device_types", "notification", "options", "campaigns"):
            return str(member)
    if not _is_audience(push.get("audience")):
        return "audience"
    kinds = push.get("device_types")
    if not isinstance(kinds, list) or not kinds or not set(kinds) <= DEVICE_TYPES:
        return "device_types"
    return _options(push) or _notification(push.get("notification"))


def _is_audience(audience: Any) -> bool:
    """One person or device, perhaps only while on a list."""
    if not isinstance(audience, dict) or len(audience) != 1:
        return False
    ((kind, value),) = audience.items()
    if kind == "and":
        is_list = isinstance(value, list) and len(value) == 2 and isinstance(value[1], dict)
        return is_list and set(value[1]) == {"subscription_lists"} and _is_audience(value[0])
    if kind not in _SELECTORS or not isinstance(value, str):
        return False
    if kind == "named_user":
        return 0 < len(value) <= 128
    return _UUID.fullmatch(value) is not None


def _options(push: Mapping[str, Any]) -> str | None:
    options = push.get("options", {})
    for name, value in options.items():
        if name not in _OPTIONS or type(value) is not _OPTIONS[name]:
            return f"options.{name}"
    categories = push.get("campaigns", {}).get("categories", ["one"])
    is_right = isinstance(categories, list) and 1 <= len(categories) <= 10
    if not is_right or any(len(str(one).encode()) > 64 for one in categories):
        return "campaigns.categories"
    return None


def _notification(shown: Any) -> str | None:
    if not isinstance(shown, dict) or not isinstance(shown.get("alert"), str):
        return "notification.alert"
    for member in shown:
        if member not in _NOTIFICATION:
            return f"notification.{member}"
    for kind in DEVICE_TYPES & set(shown):
        device = shown[kind]
        if any(not isinstance(value, str) for value in device.get("extra", {}).values()):
            return f"notification.{kind}.extra"
        limit = _IOS_BYTES if kind == "ios" else _ANDROID_BYTES
        sent = {"alert": shown["alert"], "actions": shown.get("actions", {}), **device}
        if len(json.dumps(sent, ensure_ascii=False).encode()) > limit:
            return f"notification.{kind}"
    return _ios(shown.get("ios", {})) or _android(shown.get("android", {}))


def _ios(device: Mapping[str, Any]) -> str | None:
    if device.get("priority", 10) not in (5, 10):
        return "notification.ios.priority"
    if device.get("interruption_level", "active") not in _LEVELS:
        return "notification.ios.interruption_level"
    if len(str(device.get("collapse_id", "")).encode()) > 64:
        return "notification.ios.collapse_id"
    return None


def _android(device: Mapping[str, Any]) -> str | None:
    if device.get("delivery_priority", "high") not in ("high", "normal"):
        return "notification.android.delivery_priority"
    return None
