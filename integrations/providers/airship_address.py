"""Whom Airship can be asked to reach: a person by our id for them, or one install of the app."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from integrations.errors import RecipientUnreachable

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_LONGEST_NAME = 128
#: kind of address -> the device type Airship wants to hear with it, "" = it tells them apart
_CHANNELS: Mapping[str, str] = {
    "channel": "",
    "ios_channel": "ios",
    "android_channel": "android",
    "amazon_channel": "amazon",
}


@dataclass(frozen=True, slots=True)
class AirshipAddress:
    """One address, checked."""

    kind: str
    value: str = field(repr=False)

    @staticmethod
    def read(to: str, provider: str) -> AirshipAddress:
        """``kind:value``; anything else (another vendor's token, a bare id) is unreachable."""
        kind, _, value = to.strip().partition(":")
        if kind in _CHANNELS and _UUID.fullmatch(value):
            return AirshipAddress(kind, value.lower())
        is_name = 0 < len(value) <= _LONGEST_NAME and value.isprintable() and value == value.strip()
        if kind == "named_user" and is_name:
            return AirshipAddress(kind, value)
        raise RecipientUnreachable(provider, detail="not a named user or channel of Airship")

    @property
    def is_named_user(self) -> bool:
        """A person with any number of devices."""
        return self.kind == "named_user"

    @property
    def device_type(self) -> str:
        """What the one device is; "" for a person or where the address does not say."""
        return _CHANNELS.get(self.kind, "")

    @property
    def audience(self) -> dict[str, str]:
        """The selector of a push."""
        return {self.kind: self.value}

    def device_types(self, wanted: Sequence[str]) -> list[str]:
        """The kinds of device to push to, of those the account has."""
        return [self.device_type] if self.device_type else list(wanted)
