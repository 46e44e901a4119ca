"""Any system that can post a CloudEvent 1.0 with the public order update as its data."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, ClassVar

from integrations import payloads
from integrations.canonical import Statement, check_update, read_update
from integrations.contracts import (
    FollowUp,
    HttpResponse,
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
from integrations.sources import cloudevents_dataref as dataref
from integrations.sources.cloudevents_modes import (
    REQUIRED,
    Event,
    mode_of,
    read_binary,
    read_structured,
    signed_bytes,
)

MAX_AGE_S = 300
MAX_BATCH = 100
#: what an event says beside its data
_TOLD = ("type", "subject", "time", "dataref")


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
        Setting(
            "dataref_base",
            "Address data may be fetched from",
            required=False,
            is_url=True,
            example="https://pos.example.com",
            help="for events that carry a dataref instead of data; empty = such events are refused",
        ),
        Setting("dataref_token", "Bearer token for that address", secret=True, required=False),
        Setting(
            "calls_per_minute",
            "Calls a minute",
            required=False,
            help="more than these are answered 429; empty = any number",
        ),
    )
    max_body_bytes = 1024 * 1024
    can_state: ClassVar[frozenset[str]] = frozenset(state.value for state in State)

    def __init__(self, account: Any, **options: Any) -> None:
        super().__init__(account, **options)
        # the only host whose data is ever fetched
        self.base_url = self.base_url or self.account.get("dataref_base", "").strip().rstrip("/")

    @property
    def calls_per_minute(self) -> int:
        """What the manager allows this sender; 0 = any number."""
        told = self.account.get("calls_per_minute", "").strip()
        return int(told) if told.isascii() and told.isdecimal() and len(told) <= 6 else 0

    # --- before the call is believed ---------------------------------------------------------

    def handshake(self, call: InboundCall) -> Reply200 | None:
        """OPTIONS of the abuse protection handshake, and formats that are none."""
        if call.method == "OPTIONS":
            return self._allow(call)
        if call.method == "POST" and mode_of(call) == "":
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
            message=signed_bytes(call, stamp),
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
                self._read(event, call.received_at)
        except PayloadMalformed:
            return f"refused|{payloads.sha256(call.body)}"
        if mode_of(call) == "batch":
            return f"batch|{payloads.sha256(call.body)}"
        return events[0].key

    def fingerprint(self, call: InboundCall) -> str:
        """Over type, subject, time and data, so that both modes of one event are equal."""
        try:
            said = [
                [*(event.text(name) for name in _TOLD), event.data] for event in self._events(call)
            ]
        except PayloadMalformed:
            return super().fingerprint(call)
        return payloads.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode())

    def parse(self, call: InboundCall) -> list[OrderUpdate | FollowUp]:
        """One update, or the data to fetch, per event that has not expired."""
        events = [(event, self._read(event, call.received_at)) for event in self._events(call)]
        live = [found for event, found in events if not _is_expired(event, call.received_at)]
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

    def _events(self, call: InboundCall) -> list[Event]:
        mode = mode_of(call)
        if mode == "binary":
            return [read_binary(call)]
        if mode == "structured":
            return [read_structured(payloads.load_json(call.body), "event")]
        if mode == "batch" and self.account.get("allow_batch") != "yes":
            raise PayloadMalformed("event: batches are switched off for this account")
        entries = payloads.load_json(call.body)
        if not isinstance(entries, list) or not 0 < len(entries) <= MAX_BATCH:
            raise PayloadMalformed(f"event: expected a list of 1 to {MAX_BATCH} events")
        return [read_structured(entry, f"event[{index}]") for index, entry in enumerate(entries)]

    def _read(self, event: Event, received_at: datetime) -> OrderUpdate | FollowUp:
        for name in REQUIRED:
            if not event.text(name):
                raise PayloadMalformed(f"event.{name}: missing or not a text")
        if event.text("specversion") != "1.0":
            raise PayloadMalformed("event.specversion: expected 1.0")
        prefix = self.account.get("source_prefix", "")
        if prefix and not event.text("source").startswith(prefix):
            raise PayloadMalformed("event.source: not the source this account allows")
        at = payloads.time(event.attributes["time"], "event.time") or received_at
        payloads.time(event.attributes.get("expirytime"), "event.expirytime")
        statement = Statement(
            event_key=event.key, ordering_key=ordering_key(event.sequence or at), occurred_at=at
        )
        if dataref.is_thin(event):
            return dataref.ask(event, statement, self.account, self.base_url)
        return self._update(event.data, event.text("subject"), statement)

    def _update(self, data: Any, subject: str, statement: Statement) -> OrderUpdate:
        data = check_update(data, path="data", any_state=True)
        if subject != f"orders/{data['order']['id']}":
            raise PayloadMalformed("event.subject: expected orders/ and the id in data.order.id")
        return read_update(data, statement, status_map=self.status_map)

    def parse_resource(
        self, follow_up: FollowUp, response: HttpResponse, received_at: datetime
    ) -> list[OrderUpdate]:
        """The data an event pointed at, said when the event was."""
        data = payloads.load_json(response.body)
        statement = dataref.statement_of(follow_up, response, received_at)
        return [self._update(data, dataref.subject_of(follow_up, data), statement)]


def _is_expired(event: Event, received_at: datetime) -> bool:
    until = payloads.time(event.attributes.get("expirytime"), "event.expirytime")
    return until is not None and until < received_at


def _problem(status: int, problem: str) -> Reply200:
    body = json.dumps({"title": problem, "status": status}).encode()
    return Reply200(status=status, body=body, content_type="application/problem+json")
