"""CloudEvents 1.0 over HTTP: the three modes, and one event whichever of them it came in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from integrations import payloads
from integrations.contracts import InboundCall
from integrations.errors import PayloadMalformed

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
REQUIRED = ("specversion", "id", "source", "type", "time", "subject")
#: digits an ordering key is padded to
_PADDED = 20
_MOST_DIGITS = 190


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its attributes, and its data (None = it has none)."""

    attributes: Mapping[str, Any]
    data: Any

    def text(self, name: str) -> str:
        """The attribute ``name``; "" where it is none."""
        return payloads.text(self.attributes.get(name), 1000)

    @property
    def key(self) -> str:
        """The identity the specification gives an event."""
        return payloads.key_within(f"{self.text('source')}|{self.text('id')}")

    @property
    def sequence(self) -> str:
        """The sequence as a sortable text, "" without one. Raises PayloadMalformed."""
        raw = self.attributes.get("sequence")
        if raw is None:
            return ""
        found = payloads.text(raw, 201)
        if not found or len(found) > 200:
            raise PayloadMalformed("event.sequence: expected 1 to 200 characters")
        if not (found.isascii() and found.isdecimal()):
            return found
        digits = found.lstrip("0") or "0"
        if len(digits) > _MOST_DIGITS:
            raise PayloadMalformed(f"event.sequence: more than {_MOST_DIGITS} digits")
        # behind all padded ones, the longer the later
        return digits if len(digits) <= _PADDED else f"a{len(digits):03d}{digits}"


def mode_of(call: InboundCall) -> str:
    """structured, batch or binary; "" when the call is no CloudEvent."""
    media_type = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == BATCH:
        return "batch"
    if media_type == STRUCTURED:
        return "structured"
    is_event = all(f"ce-{name}" in call.headers for name in ("specversion", "id", "source", "type"))
    return "binary" if is_event else ""


def signed_bytes(call: InboundCall, stamp: str) -> bytes:
    """What a signature made at ``stamp`` covers."""
    if mode_of(call) != "binary":
        return stamp.encode() + b"." + call.body
    # in binary mode the attributes travel in headers, so they have to be signed as well
    names = ("ce-id", "ce-source", "ce-type")
    words = ".".join([stamp, *(call.headers[name] for name in names)])
    return words.encode("utf-8", "surrogatepass") + b"." + call.body


def read_structured(value: Any, path: str) -> Event:
    """An event that is JSON as a whole. Raises PayloadMalformed."""
    event = payloads.as_object(value, path)
    for name in event:
        if name != "data_base64" and not (name.isascii() and name.isalnum() and name.islower()):
            raise PayloadMalformed(f"{path}.{name[:40]}: attribute names are a-z and 0-9")
    if "data" not in event and "dataref" not in event:
        raise PayloadMalformed(f"{path}.data: missing")
    attributes = {name: value for name, value in event.items() if name != "data"}
    return Event(attributes, event.get("data"))


def read_binary(call: InboundCall) -> Event:
    """An event whose attributes are headers. Raises PayloadMalformed."""
    if "ce-datacontenttype" in call.headers:
        raise PayloadMalformed("ce-datacontenttype: use Content-Type")
    attributes = {}
    for header, value in call.headers.items():
        if header.startswith("ce-"):
            try:
                attributes[header[3:]] = unquote(value, errors="strict")
            except UnicodeDecodeError:
                raise PayloadMalformed(f"{header}: not percent-encoded UTF-8") from None
    is_empty = not call.body and "dataref" in attributes
    return Event(attributes, None if is_empty else payloads.load_json(call.body))
