"""Any system that can post a CloudEvent 1.0 with the public order update as its data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import unquote

from integrations import payloads
from integrations.canonical import Statement, check_update, read_update
from integrations.contracts import (
    FollowUp,
    InboundCall,
    OrderUpdate,
    Reply200,
    Setting,
    Source,
    State,
    ordering_key,
)
from integrations.errors import EventIgnored, PayloadMalformed, SignatureInvalid
from integrations.signatures import hmac_hex, is_same, require_hmac

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
REQUIRED = ("specversion", "id", "source", "type", "time", "subject")
MAX_AGE_S = 300
MAX_BATCH = 100


@dataclass(frozen=True, slots=True)
class _Event:
    attributes: Mapping[str, Any]
    data: Any

    def text(self, name: str) -> str:
        return payloads.text(self.attributes.get(name), 1000)

    @property
    def key(self) -> str:
        return payloads.key_within(f"{self.text('source')}|{self.text('id')}")


class CloudEvents(Source):
    """CloudEvents 1.0 over HTTP: structured, binary and (where switched on) batch mode."""

    key = "cloudevents"
    title = "CloudEvents (any system)"
    settings = (
        Setting("secret", "Signing secret", secret=True),
        Setting("previous_secret", "Previous signing secret", secret=True, required=False),
        Setting(
            "bearer_token",
            "Bearer token",
            secret=True,
            required=False,
            help="for senders that cannot sign; leave empty to accept signatures only",
        ),
        Setting(
            "source_prefix",
            "Allowed event source",
            required=False,
            help="events whose source begins otherwise are refused, e.g. https://pos.example.com/",
        ),
        Setting("allow_batch", "Batches", required=False, default="no", choices=("no", "yes")),
        Setting(
            "webhook_origin",
            "Origin that may test the URL",
            required=False,
            help="answers the WebHook-Request-Origin handshake for this origin, e.g. example.com",
        ),
    )
    max_body_bytes = 1024 * 1024
    can_state: ClassVar[frozenset[str]] = frozenset(state.value for state in State)

    # --- before the call is believed ---------------------------------------------------------

    def handshake(self, call: InboundCall) -> Reply200 | None:
        """OPTIONS of the abuse protection handshake, and formats that are none."""
        if call.method == "OPTIONS":
            return self._allow(call)
        if call.method == "POST" and _mode(call) == "":
            return _problem(415, "expected application/cloudevents+json or the ce- headers")
        return None

    def _allow(self, call: InboundCall) -> Reply200:
        allowed = self.account.get("webhook_origin", "")
        asked = call.headers.get("webhook-request-origin", "")
        if not allowed:
            return Reply200(status=405, headers={"Allow": "POST"})
        headers = {"Allow": "POST"}
        if is_same(asked.casefold(), allowed.casefold()):
            headers |= {"WebHook-Allowed-Origin": allowed, "WebHook-Allowed-Rate": "*"}
        return Reply200(headers=headers)

    def verify(self, call: InboundCall) -> None:
        """A bearer token, or a signature over time and content not older than five minutes."""
        authorization = call.headers.get("authorization", "")
        token = self.account.get("bearer_token", "")
        if authorization and token:
            if is_same(authorization, f"Bearer {token}"):
                return
            raise SignatureInvalid("the bearer token is not the one of this account")
        header = call.headers.get("x-alert-signature", "")
        if not header:
            raise SignatureInvalid("header X-Alert-Signature is missing")
        parts = dict(part.strip().partition("=")[::2] for part in header.split(","))
        stamp, given = parts.get("t", ""), parts.get("v1", "")
        if not (stamp.isascii() and stamp.isdecimal() and len(stamp) <= 12 and given):
            raise SignatureInvalid("X-Alert-Signature must read t=<unix seconds>,v1=<hex>")
        age_s = call.received_at.timestamp() - int(stamp)
        if abs(age_s) > MAX_AGE_S:
            raise SignatureInvalid(f"the signature is {age_s:.0f} s old; {MAX_AGE_S} is allowed")
        require_hmac(
            header="X-Alert-Signature",
            given=given,
            secrets=(self.account.get("secret", ""), self.account.get("previous_secret", "")),
            message=_signed(call, stamp),
            encode=hmac_hex,
        )

    # --- reading -------------------------------------------------------------------------------

    def event_key(self, call: InboundCall) -> str:
        """``source|id``; a batch or an event we refuse is known by its bytes.

        A refused event must not occupy its id: the sender corrects it and sends it again.
        """
        try:
            events = self._events(call)
            for event in events:
                self._read(event)
        except PayloadMalformed:
            return f"refused|{payloads.sha256(call.body)}"
        if _mode(call) == "batch":
            return f"batch|{payloads.sha256(call.body)}"
        return events[0].key

    def fingerprint(self, call: InboundCall) -> str:
        """Over type, subject, time and data, so that both modes of one event are equal."""
        try:
            said = [
                [event.text("type"), event.text("subject"), event.text("time"), event.data]
                for event in self._events(call)
            ]
        except PayloadMalformed:
            return super().fingerprint(call)
        return payloads.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode())

    def parse(self, call: InboundCall) -> list[OrderUpdate | FollowUp]:
        """One update per event that has not expired."""
        events = [(event, self._read(event)) for event in self._events(call)]
        live = [update for event, update in events if not _is_expired(event, call.received_at)]
        if not live:
            raise EventIgnored("expired before it arrived")
        return [*live]

    def answer(self, call: InboundCall, *, duplicate: bool) -> Reply200:
        """202, or 200 that says it was a repeat."""
        if duplicate:
            return Reply200(body=b'{"duplicate":true}', content_type="application/json")
        return Reply200(status=202)

    def refuse(self, call: InboundCall, problem: str) -> Reply200:
        """400 with the path that is wrong."""
        return _problem(400, problem)

    def _events(self, call: InboundCall) -> list[_Event]:
        mode = _mode(call)
        if mode == "binary":
            return [_binary(call)]
        if mode == "structured":
            return [_structured(payloads.load_json(call.body), "event")]
        if mode == "batch" and self.account.get("allow_batch") != "yes":
            raise PayloadMalformed("event: batches are switched off for this account")
        entries = payloads.load_json(call.body)
        if not isinstance(entries, list) or not 0 < len(entries) <= MAX_BATCH:
            raise PayloadMalformed(f"event: expected a list of 1 to {MAX_BATCH} events")
        return [_structured(entry, f"event[{index}]") for index, entry in enumerate(entries)]

    def _read(self, event: _Event) -> OrderUpdate:
        for name in REQUIRED:
            if not event.text(name):
                raise PayloadMalformed(f"event.{name}: missing or not a text")
        if event.text("specversion") != "1.0":
            raise PayloadMalformed("event.specversion: expected 1.0")
        prefix = self.account.get("source_prefix", "")
        if prefix and not event.text("source").startswith(prefix):
            raise PayloadMalformed("event.source: not the source this account allows")
        at = payloads.time(event.attributes["time"], "event.time")
        data = check_update(event.data, path="data", any_state=True)
        if event.text("subject") != f"orders/{data['order']['id']}":
            raise PayloadMalformed("event.subject: expected orders/ and the id in data.order.id")
        payloads.time(event.attributes.get("expirytime"), "event.expirytime")
        statement = Statement(
            event_key=event.key,
            ordering_key=ordering_key(_sequence(event) or at),
            occurred_at=at,
        )
        return read_update(data, statement, status_map=self.status_map)


def _mode(call: InboundCall) -> str:
    """structured, batch or binary; "" when the call is no CloudEvent."""
    media_type = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == BATCH:
        return "batch"
    if media_type == STRUCTURED:
        return "structured"
    is_event = all(f"ce-{name}" in call.headers for name in ("specversion", "id", "source", "type"))
    return "binary" if is_event else ""


def _signed(call: InboundCall, stamp: str) -> bytes:
    if _mode(call) != "binary":
        return stamp.encode() + b"." + call.body
    # in binary mode the attributes travel in headers, so they have to be signed as well
    names = ("ce-id", "ce-source", "ce-type")
    words = ".".join([stamp, *(call.headers[name] for name in names)])
    return words.encode("utf-8", "surrogatepass") + b"." + call.body


def _structured(value: Any, path: str) -> _Event:
    event = payloads.as_object(value, path)
    for name in event:
        if name != "data_base64" and not (name.isascii() and name.isalnum() and name.islower()):
            raise PayloadMalformed(f"{path}.{name[:40]}: attribute names are a-z and 0-9")
    if "data" not in event:
        raise PayloadMalformed(f"{path}.data: missing")
    return _Event({name: value for name, value in event.items() if name != "data"}, event["data"])


def _binary(call: InboundCall) -> _Event:
    if "ce-datacontenttype" in call.headers:
        raise PayloadMalformed("ce-datacontenttype: use Content-Type")
    attributes = {}
    for header, value in call.headers.items():
        if header.startswith("ce-"):
            try:
                attributes[header[3:]] = unquote(value, errors="strict")
            except UnicodeDecodeError:
                raise PayloadMalformed(f"{header}: not percent-encoded UTF-8") from None
    return _Event(attributes, payloads.load_json(call.body))


def _sequence(event: _Event) -> str:
    raw = event.attributes.get("sequence")
    if raw is None:
        return ""
    found = payloads.text(raw, 201)
    if not found or len(found) > 200:
        raise PayloadMalformed("event.sequence: expected 1 to 200 characters")
    return found


def _is_expired(event: _Event, received_at: datetime) -> bool:
    until = payloads.time(event.attributes.get("expirytime"), "event.expirytime")
    return until is not None and until < received_at


def _problem(status: int, problem: str) -> Reply200:
    body = json.dumps({"title": problem, "status": status}).encode()
    return Reply200(status=status, body=body, content_type="application/problem+json")
